// Arrows: one for each message, drawn by phase, lies on top of all others.

function course(arrow) {
  // From the edge of one lane to the edge of another; what does not arrive ends on the way.
  const down = Math.sign(arrow.to - arrow.source) || 1;
  const x0 = x(arrow.at);
  const y0 = edge(arrow.source, down > 0);
  const end = { x: x(arrow.ends), y: edge(arrow.to, down < 0) };
  const part = { '': 1, 'its receiver was down': 1, [IGNORED]: 1, [UNHEARD]: 1, [WITHHELD]: isWithClient(arrow) ? 0.35 : 0.2, 'its sender crashed before it left': 0.14 }[arrow.fate] ?? 0.5;
  return [x0, y0, x0 + part * (end.x - x0), y0 + part * (end.y - y0)];
}

function* visible() {
  const to = timeAt(place.width);
  for (let i = firstAtLeast(departures, timeAt(place.gutter) - longestFlight); i < arrows.length && departures[i] <= to; i += 1) {
    if (isShown(arrows[i])) yield arrows[i];
  }
}

function drawArrows(pen, focus) {
  const close = run.flight / perPixel() > 7; // else heads and labels would be a blot
  const alike = focus ? arrow => arrow.number === focus.number && arrow.at === focus.at : () => true;
  const loud = [];
  const quiet = [];
  const dishonest = [];
  for (const arrow of visible()) (arrow.lie ? dishonest : focus && alike(arrow) ? loud : quiet).push(arrow);
  const plain = focus ? 0.22 : close ? 0.9 : 0.5;
  for (const isPale of [true, false]) { // clients' beneath all others
    pen.globalAlpha = isPale ? 0.5 * plain : plain;
    const some = quiet.filter(arrow => PALE.has(SLUGS[arrow.phase]) === isPale);
    run.phases.forEach((_, phase) => strokes(pen, some.filter(arrow => arrow.phase === phase), phase, 0, close));
    if (close) heads(pen, some);
  }
  pen.globalAlpha = 1;
  for (const arrow of loud) strokes(pen, [arrow], arrow.phase, 1.4);
  heads(pen, loud);
  if (close) {
    for (const arrow of dishonest) {
      pen.globalAlpha = focus && !alike(arrow) ? 0.3 : 1;
      drawLie(pen, arrow);
    }
  } else drawManyLies(pen, dishonest);
  pen.globalAlpha = 1;
  for (const arrow of quiet) if (isLost(arrow) && close) drawFate(pen, arrow);
  for (const arrow of loud) if (isLost(arrow)) drawFate(pen, arrow);
  if (close) labels(pen, quiet.concat(loud, dishonest));
}

function strokes(pen, some, phase, wider = 0, dashed = true) {
  pen.beginPath();
  for (const arrow of some) {
    const [x0, y0, x1, y1] = course(arrow);
    pen.moveTo(x0, y0);
    pen.lineTo(x1, y1);
  }
  pen.setLineDash(dashed ? DASHES[phase] : []);
  pen.lineWidth = WIDTHS[phase] + wider;
  pen.strokeStyle = ink[SLUGS[phase]];
  pen.stroke();
}

function heads(pen, some) {
  for (const arrow of some) {
    if (isLost(arrow)) continue;
    const [x0, y0, x1, y1] = course(arrow);
    pen.fillStyle = pen.strokeStyle = ink[SLUGS[arrow.phase]];
    head(pen, x1, y1, Math.atan2(y1 - y0, x1 - x0), 5 + WIDTHS[arrow.phase], OPEN_HEADS.has(arrow.phase));
  }
}

function drawFate(pen, arrow) {
  const [, , x1, y1] = course(arrow);
  cross(pen, x1, y1, 4, ink[SLUGS[arrow.phase]]);
}

function drawManyLies(pen, some) {
  // From afar: too many and too close for signs.
  pen.beginPath();
  for (const arrow of some) {
    const [x0, y0, x1, y1] = course(arrow);
    pen.moveTo(x0, y0);
    pen.lineTo(x1, y1);
  }
  pen.globalAlpha = 0.7;
  pen.setLineDash([]);
  pen.lineWidth = 1.2;
  pen.strokeStyle = ink.lie;
  pen.stroke();
}

function drawLie(pen, arrow) {
  const [x0, y0, x1, y1] = course(arrow);
  pen.beginPath();
  pen.moveTo(x0, y0);
  pen.lineTo(x1, y1);
  pen.setLineDash([8, 4]);
  pen.lineWidth = 2.6;
  pen.strokeStyle = ink.lie;
  pen.stroke();
  if (arrow.fate === WITHHELD) {
    pen.beginPath();
    pen.arc(x1, y1, 4.5, 0, 2 * Math.PI);
    pen.setLineDash([]);
    pen.lineWidth = 2;
    pen.stroke();
    return;
  }
  pen.fillStyle = ink.lie;
  if (isLost(arrow)) cross(pen, x1, y1, 4, ink.lie);
  else head(pen, x1, y1, Math.atan2(y1 - y0, x1 - x0), 9, false);
  const part = isWithClient(arrow) ? 0.66 : 0.42; // above what replica 0 says
  lieDisc(pen, x0 + part * (x1 - x0), y0 + part * (y1 - y0));
}

function labels(pen, some) {
  // What a replica says to others, written where it says it, in two rows, as far as there is room; and lies to clients.
  const rows = run.replicas.map(() => place.narrow ? [-Infinity] : [-Infinity, -Infinity]);
  const flags = run.marks.filter(([, kind]) => kind === 'evidence');
  const said = new Set();
  for (const arrow of some.sort((a, b) => a.at - b.at || isWithClient(a) - isWithClient(b) || b.lie - a.lie)) {
    const key = `${arrow.at} ${arrow.source} ${arrow.line}`;
    if (said.has(key) || arrow.fate === WITHHELD || arrow.source < 0 || (isWithClient(arrow) && !arrow.lie)) continue;
    said.add(key);
    const flag = arrow.source < run.replicas.length - 1 && flags.find(([at, , replica]) => replica === arrow.source && Math.abs(x(at) - x(arrow.at)) < 12);
    const at = flag ? x(flag[0]) + 17 : x(arrow.at) + 5; // beside it, not under it
    const row = rows[arrow.source].findIndex(end => end < at);
    if (row < 0 || at < place.gutter) continue;
    const words = brief(arrow);
    const side = arrow.source === run.replicas.length - 1 ? 1 : -1;
    const color = arrow.lie ? ink.lie : ink[SLUGS[arrow.phase]];
    text(pen, words, at, y(arrow.source) + side * (BAND / 2 + 9 + 12 * row), { size: 10.5, weight: 700, color, halo: ink.paper });
    rows[arrow.source][row] = at + pen.measureText(words).width + 6;
  }
}

function brief(arrow) {
  const found = /^([A-Z-]+)( v\d+)?( n\d+)?/.exec(arrow.line);
  return found ? found[1].toLowerCase() + (found[3] || found[2] || '') : SLUGS[arrow.phase];
}
