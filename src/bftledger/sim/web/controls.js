// Zooming, moving, filtering, and the list of what mattered.

let isDue = false;

function redraw() {
  if (isDue) return;
  isDue = true;
  requestAnimationFrame(() => {
    isDue = false;
    draw(focus);
    drawOverview();
    document.getElementById('shown').textContent = `${inWords(Math.max(0, timeAt(place.gutter)))} to ${inWords(timeAt(place.width))}`;
  });
}

function look(from, to) {
  const widest = view.axis.length;
  const width = Math.min(widest, Math.max(to - from, 4 * run.flight / 3));
  view.from = Math.max(0, Math.min((from + to - width) / 2, widest - width));
  view.to = view.from + width;
  redraw();
}

function middle() {
  // What keys and buttons zoom around: the place that was gone to, or the middle.
  const px = view.cursor === null ? -1 : x(view.cursor);
  return px >= place.gutter && px <= place.width ? px : (place.gutter + place.width) / 2;
}

function zoom(factor, px = middle()) {
  const fixed = view.from + (px - place.gutter) * perPixel();
  const left = (fixed - view.from) * factor;
  const width = (view.to - view.from) * factor;
  if (!pinned) card.hidden = true;
  look(fixed - left, fixed - left + width);
}

function move(units) { look(view.from + units, view.to + units); }

function comfortable() {
  // So much of the axis that the three phases of a block can be told apart.
  return Math.max(200, picture.clientWidth - 120) / 34 * run.flight;
}

function goTo(time) {
  const width = Math.min(view.to - view.from, comfortable());
  view.cursor = time;
  const unit = view.axis.unit(time);
  look(unit - 0.25 * width, unit + 0.75 * width);
}

function refold(folded) {
  const from = view.axis.time(view.from);
  const to = view.axis.time(view.to);
  view.axis = new Axis(folded ? run.quiet : []);
  look(view.axis.unit(from), view.axis.unit(to));
}

function begin() {
  // The whole run if it is short; else where there is most to see: lies, view changes, many messages.
  const whole = view.axis.length;
  const wide = comfortable();
  if (whole <= 1.6 * wide) { look(0, whole); return; }
  const notable = run.story.filter(([, weight]) => weight !== 'normal').map(([at]) => at);
  let best = { score: -1, from: 0 };
  for (const at of [0, ...lies.filter(isShown).slice(0, 300).map(lie => lie.at), ...notable.slice(0, 300)]) {
    const from = Math.max(0, Math.min(view.axis.unit(at) - 0.06 * wide, whole - wide));
    const score = interest(view.axis.time(from), view.axis.time(from + wide));
    if (score > best.score + 0.05) best = { score, from };
  }
  look(best.from, best.from + wide);
}

function interest(from, to) {
  const inside = arrows.slice(firstAtLeast(departures, from), firstAtLeast(departures, to))
    .filter(arrow => isShown(arrow) && (arrow.lie || !isWithClient(arrow)));
  const changes = inside.some(arrow => SLUGS[arrow.phase] === 'view-change');
  return Math.min(inside.length, 100) / 100 + inside.some(arrow => arrow.lie) + 0.5 * changes;
}

// ── pointer and keys ──

let drag = null;
const touches = new Map();

picture.addEventListener('wheel', event => {
  event.preventDefault();
  if (Math.abs(event.deltaX) > Math.abs(event.deltaY)) move(event.deltaX * perPixel());
  else zoom(1.0016 ** event.deltaY, event.offsetX);
}, { passive: false });

picture.addEventListener('pointerdown', event => {
  touches.set(event.pointerId, event.offsetX);
  picture.setPointerCapture(event.pointerId);
  drag = { px: event.offsetX, from: view.from, moved: false };
});

picture.addEventListener('pointermove', event => {
  if (touches.size === 2) {
    const before = spread();
    touches.set(event.pointerId, event.offsetX);
    const after = spread();
    if (before > 10 && after > 10) zoom(before / after, [...touches.values()].reduce((a, b) => a + b) / 2);
    drag = null;
    return;
  }
  if (!drag) { point(event.offsetX, event.offsetY); return; }
  if (Math.abs(event.offsetX - drag.px) > 3) drag.moved = true;
  if (!drag.moved) return;
  picture.classList.add('dragged');
  if (!pinned) card.hidden = true;
  const from = drag.from - (event.offsetX - drag.px) * perPixel();
  look(from, from + view.to - view.from);
});

for (const kind of ['pointerup', 'pointercancel']) {
  picture.addEventListener(kind, event => {
    if (drag && !drag.moved && kind === 'pointerup') pin(event.offsetX, event.offsetY);
    touches.delete(event.pointerId);
    picture.classList.remove('dragged');
    drag = null;
  });
}

const spread = () => { const [a, b] = [...touches.values()]; return Math.abs(a - b); };

picture.addEventListener('pointerleave', () => {
  if (pinned || drag) return;
  focus = null;
  card.hidden = true;
  redraw();
});

document.addEventListener('keydown', event => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const step = 0.2 * (view.to - view.from);
  const inPicture = document.activeElement === picture;
  const does = {
    Escape: unpin, '+': () => zoom(0.7), '=': () => zoom(0.7), '-': () => zoom(1.4), 0: () => look(0, view.axis.length), l: nextLie,
    ...(inPicture ? { ArrowLeft: () => move(-step), ArrowRight: () => move(step) } : {}),
  }[event.key];
  if (!does) return;
  event.preventDefault();
  does();
});

function moveWindow(event) {
  const unit = event.offsetX / overview.clientWidth * view.axis.length;
  const half = (view.to - view.from) / 2;
  look(unit - half, unit + half);
}
overview.addEventListener('pointerdown', event => { overview.setPointerCapture(event.pointerId); moveWindow(event); });
overview.addEventListener('pointermove', event => { if (event.buttons) moveWindow(event); });

// ── buttons, filters, story ──

function nextLie() {
  const after = view.cursor ?? -1;
  const some = lies.filter(isShown);
  const lie = some.find(arrow => arrow.at > after) ?? some[0];
  if (lie) goTo(lie.at);
}

function checkbox(parent, words, checked, count, change, slug) {
  const label = document.createElement('label');
  const box = document.createElement('input');
  box.type = 'checkbox';
  box.checked = checked;
  box.addEventListener('change', () => { change(box.checked); redraw(); });
  label.append(box);
  if (slug !== undefined) label.append(sample(slug));
  label.append(words);
  const counted = document.createElement('span');
  counted.className = 'count';
  counted.textContent = count;
  label.append(counted);
  parent.append(label);
}

function sample(phase) {
  // Its line, as it is drawn.
  const svg = document.getElementById('sample').content.firstElementChild.cloneNode(true);
  const [path, tip] = svg.children;
  const isOpen = OPEN_HEADS.has(phase);
  path.setAttribute('d', isOpen ? 'M2 8H38M32 4l6 4-6 4' : 'M2 8H32');
  path.style.stroke = tip.style.fill = `var(--${SLUGS[phase]})`;
  path.style.strokeWidth = WIDTHS[phase];
  path.style.strokeDasharray = DASHES[phase].join(' ');
  if (isOpen) tip.remove();
  return svg;
}

function toggle(set, item, isIn) { if (isIn) set.add(item); else set.delete(item); }

function fill() {
  const phases = document.getElementById('phases');
  const senders = document.getElementById('senders');
  const fold = document.getElementById('fold');
  const counts = run.phases.map(() => 0);
  const sent = new Map(everybody.map(at => [at, 0]));
  for (const [, source, , number] of run.messages) { counts[run.frames[number][0]] += 1; sent.set(source, sent.get(source) + 1); }
  run.phases.forEach(({ name }, phase) => {
    if (!counts[phase]) return;
    checkbox(phases, name, shown.phases.has(phase), counts[phase], isIn => {
      toggle(shown.phases, phase, isIn);
      if (phase === STATUS && isIn && fold.checked) { fold.checked = false; refold(false); } // they fill the quiet times
    }, phase);
  });
  run.replicas.forEach((replica, i) => {
    checkbox(senders, `replica ${i}${replica.byzantine ? ' (Byzantine)' : ''}`, true, sent.get(i), isIn => toggle(shown.senders, i, isIn));
  });
  const clients = run.clients.map((_, i) => client(i));
  if (sharing) {
    const all = clients.reduce((sum, at) => sum + sent.get(at), 0);
    checkbox(senders, `${clients.length} clients`, true, all, isIn => clients.forEach(at => toggle(shown.senders, at, isIn)));
  } else clients.forEach((at, i) => {
    checkbox(senders, `client ${i}${run.clients[i].hostile ? ' (hostile)' : ''}`, true, sent.get(at), isIn => toggle(shown.senders, at, isIn));
  });
  fold.checked = run.quiet.length > 0;
  fold.parentElement.hidden = run.quiet.length === 0;
  fold.addEventListener('change', () => refold(fold.checked));
  document.getElementById('clients-label').hidden = !arrows.some(isWithClient);
  document.getElementById('clients').addEventListener('change', event => { shown.clients = event.target.checked; redraw(); });
  document.getElementById('only-lies-label').hidden = document.getElementById('next-lie').hidden = lies.length === 0;
  document.getElementById('only-lies').addEventListener('change', event => { shown.onlyLies = event.target.checked; redraw(); });
  document.getElementById('narrower').addEventListener('click', () => zoom(0.6));
  document.getElementById('wider').addEventListener('click', () => zoom(1 / 0.6));
  document.getElementById('all').addEventListener('click', () => look(0, view.axis.length));
  document.getElementById('next-lie').addEventListener('click', nextLie);
  document.querySelectorAll('#story li').forEach((item, i) => item.addEventListener('click', () => {
    document.querySelectorAll('#story .here').forEach(other => other.classList.remove('here'));
    item.classList.add('here');
    goTo(run.story[i][0]);
    picture.scrollIntoView({ block: 'nearest' });
  }));
}

readInk();
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => { readInk(); redraw(); });
new ResizeObserver(redraw).observe(picture.parentElement);
fill();
layout(picture.clientWidth);
begin();
