// Signs on the lanes, and the overview of the whole run.

function drawBlocks(pen) {
  const room = run.flight / perPixel() > 4;
  for (const [replica, at, first, last, version] of run.blocks) {
    const px = x(at);
    if (px < place.gutter - 20 || px > place.width + 20) continue;
    const words = first === last ? `${first}` : `${first}–${last}`;
    const half = room ? Math.max(8.5, 3.6 * words.length + 3) : 3;
    const py = y(replica);
    const tall = room ? 9.5 : 6;
    pen.beginPath();
    if (version) {
      const reach = half + 5;
      pen.moveTo(px, py - reach);
      pen.lineTo(px + reach, py);
      pen.lineTo(px, py + reach);
      pen.lineTo(px - reach, py);
      pen.closePath();
    } else pen.roundRect(px - half, py - tall, 2 * half, 2 * tall, 3);
    pen.fillStyle = blockInk(last, version);
    pen.fill();
    pen.setLineDash([]);
    pen.lineWidth = 1.5;
    pen.strokeStyle = ink.paper;
    pen.stroke();
    if (room) text(pen, words, px, py + 0.5, { size: 11, weight: 700, color: ink['block-ink'], align: 'center' });
    hot.push({ x0: px - half - 1, x1: px + half + 1, y0: py - 10, y1: py + 10, at, color: blockInk(last, version),
      title: `replica ${replica} executes block${first === last ? '' : 's'} ${words}`,
      words: version ? 'It is not the block that others have at this height: the ledger has forked, which must never happen while no more than f replicas are Byzantine.'
        : 'A quorum of commits has decided it. At every honest replica it must be the same block.' });
  }
}

function drawMarks(pen) {
  for (const [at, kind, replica, says] of run.marks) {
    const px = x(at);
    if (px < place.gutter - 2 || px > place.width) continue;
    const py = replica < 0 ? AXIS : y(replica);
    if (kind === 'violation' || kind === 'healed') {
      const color = kind === 'violation' ? ink.lie : ink.good;
      line(pen, px, AXIS, place.height, color, kind === 'violation' ? [] : [6, 4], 2);
      const align = px > place.width - 120 ? 'right' : 'left';
      const words = kind === 'violation' ? 'violation' : 'faults end';
      text(pen, words, align === 'left' ? px + 4 : px - 4, place.height - 10, { color, weight: 700, halo: ink.paper, align });
      hot.push({ x0: px - 4, x1: px + 4, y0: AXIS, y1: place.height, at, title: says, words: '', color, faint: true });
    } else if (kind === 'evidence') {
      line(pen, px, py - 8, py - 26, ink.ink, [], 2);
      pen.beginPath();
      pen.moveTo(px, py - 26);
      pen.lineTo(px + 13, py - 26);
      pen.lineTo(px + 9, py - 21);
      pen.lineTo(px + 13, py - 16);
      pen.lineTo(px, py - 16);
      pen.fillStyle = ink.ink;
      pen.fill();
      hot.push({ x0: px - 2, x1: px + 14, y0: py - 27, y1: py - 9, at, title: says, words: run.phases[SLUGS.indexOf('evidence')].why });
    } else if (kind === 'timer' && replica >= 0 && run.flight / perPixel() > 2) {
      pen.beginPath();
      pen.moveTo(px - 4, py + 11);
      pen.lineTo(px + 4, py + 11);
      pen.lineTo(px, py + 18);
      pen.closePath();
      pen.setLineDash([]);
      pen.lineWidth = 1.3;
      pen.strokeStyle = ink.soft;
      pen.stroke();
      hot.push({ x0: px - 5, x1: px + 5, y0: py + 9, y1: py + 19, at, title: says, words: '' });
    }
  }
}

// ── overview ──

function drawOverview() {
  const height = 56;
  const pen = fitted(overview, height);
  const width = overview.clientWidth;
  const scale = width / view.axis.length;
  const px = time => view.axis.unit(time) * scale;
  pen.fillStyle = ink.fault;
  for (const [from, to] of run.spans) pen.fillRect(px(from), 0, Math.max(1, px(to) - px(from)), height);
  pen.fillStyle = ink.panel;
  for (const [from, to] of view.axis.folds) pen.fillRect(px(from), 0, px(to) - px(from), height);
  const bins = Array.from({ length: Math.ceil(width / 3) + 1 }, () => run.phases.map(() => 0));
  for (const arrow of arrows) if (isShown(arrow)) bins[Math.floor(px(arrow.at) / 3)][arrow.phase] += 1;
  const most = Math.max(1, ...bins.map(bin => bin.reduce((a, b) => a + b, 0)));
  bins.forEach((bin, i) => {
    let base = height - 2;
    const total = bin.reduce((a, b) => a + b, 0);
    const tall = (height - 14) * Math.sqrt(total / most);
    bin.forEach((count, phase) => {
      if (!count) return;
      pen.fillStyle = ink[SLUGS[phase]];
      pen.globalAlpha = PALE.has(SLUGS[phase]) ? 0.5 : 1;
      pen.fillRect(3 * i, base - tall * count / total, 2.4, tall * count / total);
      base -= tall * count / total;
    });
  });
  pen.globalAlpha = 1;
  pen.fillStyle = ink.lie;
  for (const arrow of lies) pen.fillRect(px(arrow.at) - 1, 0, 2, 8);
  for (const [at, kind] of run.marks) if (kind === 'violation') pen.fillRect(px(at) - 1.5, 0, 3, height);
  const left = view.from * scale;
  const wide = Math.max(6, (view.to - view.from) * scale);
  pen.fillStyle = ink.accent;
  pen.globalAlpha = 0.13;
  pen.fillRect(left, 0, wide, height);
  pen.globalAlpha = 1;
  pen.lineWidth = 1.5;
  pen.strokeStyle = ink.accent;
  pen.strokeRect(left + 1, 1, wide - 2, height - 2);
}
