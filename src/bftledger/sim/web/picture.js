// The picture: lanes, what befalls them, and the arrows between them.

const picture = document.getElementById('picture');
const overview = document.getElementById('overview');
const BAND = 16;
const AXIS = 26;
const RIBBON = 17;
const CALL = 13;

const spanRows = packed(run.spans.map(([from, to]) => [from, to]), 4);
const MANY = 4; // so many clients have a lane each; more share one
const ROWS = 3;
const sharing = run.clients.length > MANY;
const clientLanes = sharing ? [run.calls.map((_, i) => i)] : run.clients.map((_, c) => run.calls.flatMap((call, i) => (call[2] === c ? [i] : [])));
const callRows = [];
clientLanes.forEach(some => {
  const rows = packed(some.map(i => [run.calls[i][0], run.calls[i][1] < 0 ? run.end : run.calls[i][1]]), sharing ? 4 * ROWS : ROWS);
  some.forEach((i, k) => { callRows[i] = rows[k]; });
});
let hot = []; // what can be pointed at, besides arrows: boxes with a card
let place = {}; // where things are, as of the last drawing

function packed(intervals, most) {
  // Rows such that nothing in a row overlaps, as far as there are rows.
  const ends = [];
  return intervals.map(([from, to]) => {
    let row = ends.findIndex(end => end <= from);
    if (row < 0) row = ends.length < most ? ends.push(0) - 1 : most - 1;
    ends[row] = Math.max(ends[row], to);
    return row;
  });
}

function layout(width) {
  const narrow = width < 620;
  const lanes = run.replicas.length;
  const ribbons = Math.max(0, ...spanRows.map(row => row + 1));
  const pitch = narrow ? 74 : lanes > 5 ? 84 : 104;
  let top = AXIS + ribbons * RIBBON + 8;
  const clients = clientLanes.map(some => {
    const lane = { top, height: CALL * Math.max(1, ...some.map(i => callRows[i] + 1)) - 2 };
    top += lane.height + 12;
    return lane;
  });
  if (clients.length) top += 6;
  place = {
    width, narrow, pitch, ribbons, clients, gutter: narrow ? 40 : 118,
    first: top + pitch / 2, height: top + lanes * pitch + 4,
  };
}

const y = replica => place.first + replica * place.pitch;
const laneOf = number => place.clients[sharing ? 0 : number];

function edge(at, isBelow) {
  // Where an arrow leaves or reaches a lane, from below or from above. Clients stand above all replicas.
  if (at >= 0) return y(at) + (isBelow ? BAND : -BAND) / 2;
  const lane = laneOf(client(at));
  return lane.top + lane.height + 1;
}
const x = time => place.gutter + (view.axis.unit(time) - view.from) / (view.to - view.from) * (place.width - place.gutter);
const timeAt = px => view.axis.time(view.from + (px - place.gutter) / (place.width - place.gutter) * (view.to - view.from));
const perPixel = () => (view.to - view.from) / (place.width - place.gutter);

function draw(focus) {
  layout(picture.clientWidth);
  const pen = fitted(picture, place.height);
  hot = [];
  pen.save();
  pen.beginPath();
  pen.rect(place.gutter, 0, place.width - place.gutter, place.height);
  pen.clip();
  drawGround(pen);
  drawSpans(pen);
  run.replicas.forEach((replica, i) => drawLane(pen, replica, i));
  drawCalls(pen);
  drawArrows(pen, focus);
  drawBlocks(pen);
  drawMarks(pen);
  if (view.cursor !== null) line(pen, x(view.cursor), AXIS, place.height, ink.accent, [4, 3]);
  pen.restore();
  drawNames(pen);
}

function line(pen, at, from, to, color, dash = [], width = 1) {
  pen.beginPath();
  pen.moveTo(at, from);
  pen.lineTo(at, to);
  pen.setLineDash(dash);
  pen.lineWidth = width;
  pen.strokeStyle = color;
  pen.stroke();
}

// ── ground ──

function drawGround(pen) {
  run.replicas.forEach((replica, i) => {
    if (!replica.byzantine) return;
    pen.fillStyle = ink['lie-tint'];
    pen.fillRect(place.gutter, y(i) - place.pitch / 2 + 2, place.width, place.pitch - 4);
  });
  const from = timeAt(place.gutter);
  const to = timeAt(place.width);
  drawFolds(pen, from, to);
  drawTicks(pen, from, to);
}

function drawTicks(pen, from, to) {
  const raw = 85 * perPixel();
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map(k => k * power).find(candidate => candidate >= raw);
  const [unit, name] = step < 1e5 ? [1e3, 'ms'] : [1e6, 's'];
  const digits = Math.max(0, -Math.floor(Math.log10(step / unit)));
  let last = -Infinity;
  for (let tick = Math.max(0, Math.ceil(from / step)) * step; tick <= to; tick += step) {
    const fold = view.axis.folds.find(([a, b]) => tick > a && tick < b);
    if (fold) { // go on behind it
      tick = Math.floor(fold[1] / step) * step;
      continue;
    }
    const px = x(tick);
    line(pen, px, AXIS - 5, place.height, ink.line);
    const words = `${(tick / unit).toFixed(digits)} ${name}`;
    pen.font = `400 11px ${FONT}`;
    const ends = px + pen.measureText(words).width + 8;
    if (px < last || view.axis.folds.some(([a, b]) => x(a) < ends && x(b) > px)) continue;
    last = ends;
    text(pen, words, px + 3, AXIS / 2, { color: ink.soft });
  }
}

function drawFolds(pen, from, to) {
  for (const [a, b] of view.axis.folds) {
    if (b < from || a > to) continue;
    const left = x(a);
    const width = x(b) - left;
    pen.fillStyle = ink.panel;
    pen.fillRect(left, 0, width, place.height);
    if (width > 14) for (const edge of [left, left + width]) zigzag(pen, edge);
    if (width > 34) text(pen, roughly(b - a), left + width / 2, AXIS / 2, { color: ink.soft, align: 'center', weight: 600 });
    hot.push({ x0: left, x1: left + width, y0: 0, y1: AXIS, title: `${roughly(b - a)} of quiet, folded`, words: 'Nothing but status messages and timers.', at: a });
  }
}

function zigzag(pen, at) {
  pen.beginPath();
  for (let i = AXIS - 4, side = 1; i < place.height; i += 6, side = -side) pen.lineTo(at + 2 * side, i);
  pen.setLineDash([]);
  pen.lineWidth = 1;
  pen.strokeStyle = ink.soft;
  pen.stroke();
}

function drawSpans(pen) {
  run.spans.forEach(([from, to, label, replicas], i) => {
    const left = Math.max(x(from), place.gutter);
    const width = Math.min(x(to), place.width) - left;
    if (width < 0) return;
    const top = AXIS + spanRows[i] * RIBBON;
    pen.fillStyle = ink.fault;
    const lanes = replicas.length ? replicas : run.replicas.map((_, k) => k);
    for (const k of lanes) pen.fillRect(left, y(k) - place.pitch / 2, Math.max(width, 2), place.pitch);
    pen.fillRect(left, top, Math.max(width, 2), RIBBON - 2);
    clipped(pen, label, left + 4, top + RIBBON / 2, width - 6, { color: ink['fault-ink'], weight: 600 });
    hot.push({ x0: left, x1: left + width, y0: top, y1: top + RIBBON, title: label, words: `From ${inWords(from)} to ${inWords(to)}.`, at: from });
  });
}

function clipped(pen, words, at, height, width, options) {
  if (width < 14) return;
  pen.save();
  pen.beginPath();
  pen.rect(at, height - 10, width, 20);
  pen.clip();
  text(pen, words, at, height, options);
  pen.restore();
}

// ── lanes ──

function drawLane(pen, replica, i) {
  const top = y(i) - BAND / 2;
  for (const [from, to, number, left] of replica.views) {
    const a = Math.max(x(from), place.gutter);
    const width = Math.min(x(to), place.width) - a;
    if (width <= 0) continue;
    const leads = !left && number % run.primaries === i;
    pen.fillStyle = ink[`${leads ? 'primary' : 'band'}${number % 3}`];
    if (left) pen.fillStyle = ink.panel;
    pen.fillRect(a, top, width, BAND);
    if (left) hatched(pen, a, top, width, BAND, ink['view-change']);
    const words = left ? `has left view ${number}` : `view ${number}${leads ? ', primary' : ''}`;
    const style = { size: 10.5, weight: leads ? 700 : 500, halo: left ? ink.panel : null };
    const free = besideBlocks(pen, words, i, a + 5, a + width);
    clipped(pen, words, free, y(i) + 0.5, a + width - free - 1, style);
    hot.push({ x0: a, x1: a + width, y0: top, y1: top + BAND, faint: true, at: from, replica: i,
      title: `replica ${i} ${left ? words : `is in ${words}`}`, words: `From ${inWords(from)} to ${inWords(to)}.` });
  }
  for (const [from, to] of replica.down) {
    const a = Math.max(x(from), place.gutter);
    const b = Math.min(x(to), place.width);
    if (b <= a) continue;
    pen.fillStyle = ink.paper;
    pen.fillRect(a, top - 1, b - a, BAND + 2);
    pen.beginPath();
    pen.moveTo(a, y(i));
    pen.lineTo(b, y(i));
    pen.setLineDash([3, 5]);
    pen.lineWidth = 1.5;
    pen.strokeStyle = ink.soft;
    pen.stroke();
    if (x(from) >= place.gutter) cross(pen, a, y(i), 6, ink.ink);
    clipped(pen, 'down', a + 12, y(i), b - a - 14, { color: ink.soft, weight: 600, halo: ink.paper });
    hot.push({ x0: a - 6, x1: b, y0: top, y1: top + BAND, at: from, title: `replica ${i} is down`, words: `From ${inWords(from)} to ${inWords(to)}.` });
  }
}

function besideBlocks(pen, words, replica, from, to) {
  // Where the words hide no block, if there is such a place.
  pen.font = `700 10.5px ${FONT}`;
  const width = pen.measureText(words).width;
  const blocks = run.blocks.filter(block => block[0] === replica).map(block => x(block[1]));
  const places = [from, ...blocks.filter(px => px > from && px < to).map(px => px + 13)];
  return places.find(px => px + width < to && !blocks.some(block => block > px - 10 && block < px + width + 10)) ?? from;
}

function drawNames(pen) {
  run.replicas.forEach((replica, i) => {
    const color = replica.byzantine ? ink.lie : ink.ink;
    text(pen, place.narrow ? `R${i}` : `replica ${i}`, 10, y(i), { size: place.narrow ? 14 : 15, weight: 700, color });
    if (replica.byzantine && !place.narrow) text(pen, replica.of === null ? 'Byzantine' : `second core of ${replica.of}`, 10, y(i) + 18, { color, weight: 600, size: 12 });
    if (replica.byzantine) {
      hot.push({ x0: 0, x1: place.gutter, y0: y(i) - 14, y1: y(i) + 26, color, title: `replica ${i} is Byzantine`, words: replica.byzantine.join('; ') });
    }
  });
  place.clients.forEach((lane, c) => drawClientName(pen, lane, c));
  line(pen, place.gutter - 0.5, 0, place.height, ink.line);
}

function drawClientName(pen, lane, number) {
  const words = sharing ? (place.narrow ? 'C' : 'clients') : place.narrow ? `C${number}` : `client ${number}`;
  const hostile = run.clients.flatMap((each, i) => (each.hostile && (sharing || i === number) ? [`client ${i}`] : []));
  const color = hostile.length && !sharing ? ink.lie : ink['client-ink'];
  const middle = lane.top + lane.height / 2;
  text(pen, words, 10, middle, { size: 12.5, weight: 600, color });
  if (!hostile.length) return;
  if (!sharing && !place.narrow) text(pen, 'hostile', 70, middle, { size: 11, weight: 600, color });
  hot.push({ x0: 0, x1: place.gutter, y0: lane.top, y1: lane.top + lane.height, color: ink.lie,
    title: `hostile: ${hostile.join(', ')}`, words: 'Sends what nobody should send, and listens to no answer.' });
}

function drawCalls(pen) {
  for (const lane of place.clients) {
    pen.fillStyle = ink.panel;
    pen.fillRect(place.gutter, lane.top, place.width, lane.height);
  }
  run.calls.forEach(([from, to, number, words], i) => {
    const a = Math.max(x(from), place.gutter);
    const b = Math.min(x(to < 0 ? run.end : to), place.width);
    if (b < a) return;
    const top = laneOf(number).top + callRows[i] * CALL;
    pen.fillStyle = to < 0 ? ink.lie : ink['client-request'];
    pen.globalAlpha = 0.28;
    pen.fillRect(a, top, Math.max(b - a, 2), CALL - 2);
    pen.globalAlpha = 1;
    line(pen, a, top, top + CALL - 2, ink['client-request'], [], 2);
    if (to >= 0) line(pen, b, top, top + CALL - 2, ink['client-request'], [], 2);
    clipped(pen, words, a + 4, top + (CALL - 2) / 2 + 0.5, b - a - 6, { size: 9.5 });
    hot.push({ x0: a - 2, x1: b + 2, y0: top, y1: top + CALL - 2, faint: true, at: from, title: `client ${number}: ${words}`,
      words: to < 0 ? `Asked at ${inWords(from)}, never answered.` : `Asked at ${inWords(from)}, answered after ${inWords(to - from)}.` });
  });
}
