// What an arrow or a sign says: a card beside it, kept when clicked. All that comes from the run is set as text.

const card = document.getElementById('card');
let focus = null; // the arrow under the pointer or pinned
let pinned = false;

function found(px, py) {
  const solid = hot.findLast(box => !box.faint && inside(box, px, py));
  if (solid) return { box: solid };
  let best = null;
  let nearest = 7;
  for (const arrow of visible()) {
    const distance = toCourse(px, py, course(arrow)) - (arrow.lie ? 1 : 0);
    if (distance < nearest) { nearest = distance; best = arrow; }
  }
  if (best) return { arrow: best };
  const faint = hot.findLast(box => box.faint && inside(box, px, py));
  return faint ? { box: faint } : null;
}

const inside = (box, px, py) => px >= box.x0 && px <= box.x1 && py >= box.y0 && py <= box.y1;

function toCourse(px, py, [x0, y0, x1, y1]) {
  const dx = x1 - x0;
  const dy = y1 - y0;
  const along = Math.max(0, Math.min(1, ((px - x0) * dx + (py - y0) * dy) / (dx * dx + dy * dy || 1)));
  return Math.hypot(px - x0 - along * dx, py - y0 - along * dy);
}

function paragraph(className, words) {
  const element = document.createElement('p');
  element.className = className;
  element.textContent = words;
  card.append(element);
}

function describeArrow(arrow) {
  card.style.setProperty('--card', arrow.lie ? ink.lie : ink[SLUGS[arrow.phase]]);
  paragraph('title', arrow.line);
  const arrival = arrow.fate || `arrives ${inWords(arrow.ends)}${arrow.copy ? ' (a second copy)' : ''}`;
  paragraph('route', `${nameOf(arrow.source)} → ${nameOf(arrow.to)} · leaves ${inWords(arrow.at)} · ${arrival}`);
  if (arrow.fate === WITHHELD) paragraph('lie', `Withheld: an honest replica would have sent this to ${nameOf(arrow.to)}.`);
  else if (arrow.fate === IGNORED) paragraph('lie', `Ignored: an honest replica would have taken what ${nameOf(arrow.source)} asks.`);
  else if (arrow.lie) paragraph('lie', `A lie: an honest replica would not have sent this to ${nameOf(arrow.to)}.`);
  const culprit = arrow.fate === IGNORED ? arrow.to : arrow.source;
  const does = arrow.lie && run.replicas[culprit].byzantine;
  if (does && does.length) paragraph('route', `Replica ${culprit} is Byzantine: ${does.join('; ')}.`);
  if (arrow.source < 0 && run.clients[client(arrow.source)].hostile) paragraph('route', `Client ${client(arrow.source)} is hostile: it sends what nobody should send.`);
  paragraph('words', arrow.words);
  if (arrow.note) paragraph('words', arrow.note);
  paragraph('why', run.phases[arrow.phase].why);
}

function describeBox(box) {
  card.style.setProperty('--card', box.color || ink.accent);
  paragraph('title', box.title);
  if (box.words) paragraph('words', box.words);
}

function show(what, px, py) {
  card.replaceChildren();
  if (what.arrow) describeArrow(what.arrow); else describeBox(what.box);
  if (pinned) {
    const close = document.createElement('button');
    close.type = 'button';
    close.textContent = '×';
    close.setAttribute('aria-label', 'Close');
    close.addEventListener('click', unpin);
    card.append(close);
  }
  card.classList.toggle('pinned', pinned);
  card.hidden = false;
  const stage = card.parentElement;
  const left = px + 18 + card.offsetWidth > stage.clientWidth ? px - card.offsetWidth - 18 : px + 18;
  const top = py + 18 + card.offsetHeight > stage.clientHeight ? py - card.offsetHeight - 18 : py + 18;
  card.style.left = `${Math.max(4, Math.min(left, stage.clientWidth - card.offsetWidth - 4))}px`;
  card.style.top = `${Math.max(4, top)}px`;
}

function point(px, py) {
  if (pinned) return;
  const what = found(px, py);
  picture.classList.toggle('over', what !== null);
  const arrow = what ? what.arrow || null : null;
  if (arrow !== focus) { focus = arrow; redraw(); }
  if (what) show(what, px, py); else card.hidden = true;
}

function pin(px, py) {
  const what = found(px, py);
  if (!what) { unpin(); return; }
  pinned = true;
  focus = what.arrow || null;
  show(what, px, py);
  redraw();
}

function unpin() {
  pinned = false;
  focus = null;
  card.hidden = true;
  redraw();
}
