// Sorting, filtering, opening, and the timelines. All figures come from the block of JSON in this file.

const data = JSON.parse(document.getElementById('data').textContent);
const rows = new Map(data.rows.map((row) => [row.id, row]));
const table = document.getElementById('attacks');
const all = [...table.tBodies];
const bodies = all.filter((body) => !rows.get(body.id).control); // a control stays on top, whatever is looked for
const tip = document.getElementById('tip');
const search = document.getElementById('search');
const family = document.getElementById('family');
const chips = [...document.querySelectorAll('[data-only]')];
const dots = [...document.querySelectorAll('a[data-id]')];

const whole = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });
const SVG = 'http://www.w3.org/2000/svg';

function make(tag, attributes = {}, ...inside) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...inside);
  return element;
}

function drawn(tag, attributes = {}, text = null) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (text !== null) element.textContent = text;
  return element;
}

function millis(ms) {
  if (ms === null) return 'none';
  if (ms >= 1000) return `${(ms / 1000).toFixed(ms >= 10000 ? 1 : 2)} s`;
  return `${ms >= 10 ? ms.toFixed(0) : ms.toFixed(1)} ms`;
}

// ── finding ──

const ORDERS = {
  order: (row) => row.order, cost: (row) => row.cost, until: (row) => row.until, ratio: (row) => row.ratio, attacked: (row) => row.attacked,
  gap: (row) => row.gap, slowest: (row) => row.slowest, cpu: (row) => row.cpu, deeds: (row) => row.deeds, views: (row) => row.views,
  convicted: (row) => row.convicted, verdict: (row) => (row.ok ? 0 : 1),
};
const WORST_FIRST = new Set(['cost', 'cpu', 'gap', 'slowest', 'views', 'convicted', 'verdict']);
const KINDS = {
  down: (row) => row.down, slow: (row) => row.slow, loud: (row) => row.loud, few: (row) => row.few, views: (row) => row.views > 0, convicted: (row) => row.convicted > 0, violated: (row) => !row.ok,
};

function isWanted(row) {
  const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
  return words.every((word) => row.words.includes(word))
    && (!family.value || row.family === family.value)
    && chips.every((chip) => chip.getAttribute('aria-pressed') === 'false' || KINDS[chip.dataset.only](row));
}

function filter() {
  let count = 0;
  for (const body of bodies) {
    const wanted = isWanted(rows.get(body.id));
    body.hidden = !wanted;
    count += wanted ? 1 : 0;
  }
  for (const dot of dots) dot.classList.toggle('dim', document.getElementById(dot.dataset.id).hidden);
  document.getElementById('shown').textContent = `${count} of ${bodies.length}`;
  document.getElementById('none').hidden = count > 0;
}

function sort(head) {
  const key = head.dataset.key;
  const before = head.getAttribute('aria-sort');
  const downFirst = WORST_FIRST.has(key);
  const down = before ? before === 'ascending' : downFirst;
  for (const other of table.tHead.querySelectorAll('[aria-sort]')) other.removeAttribute('aria-sort');
  head.setAttribute('aria-sort', down ? 'descending' : 'ascending');
  const compare = (a, b) => { // what has no value comes last, whichever way
    const [one, other] = [a, b].map((row) => ORDERS[key](row));
    if (one === null || other === null) return (one === null) - (other === null);
    return down ? other - one : one - other;
  };
  bodies.sort((a, b) => compare(rows.get(a.id), rows.get(b.id)) || rows.get(a.id).order - rows.get(b.id).order);
  table.append(...bodies);
}

for (const head of table.tHead.querySelectorAll('[data-key]')) head.firstElementChild.addEventListener('click', () => sort(head));
for (const chip of chips) {
  chip.addEventListener('click', () => {
    chip.setAttribute('aria-pressed', String(chip.getAttribute('aria-pressed') === 'false'));
    filter();
  });
}
search.addEventListener('input', filter);
family.addEventListener('change', filter);

function reset() {
  search.value = family.value = '';
  for (const chip of chips) chip.setAttribute('aria-pressed', 'false');
  filter();
}
document.getElementById('reset').addEventListener('click', reset);

// ── opening ──

function toggle(body, open = !body.classList.contains('open')) {
  body.classList.toggle('open', open);
  body.querySelector('.name button').setAttribute('aria-expanded', String(open));
  const detail = body.querySelector('.detail');
  detail.hidden = !open;
  if (open) draw(detail.querySelector('.chart'), rows.get(body.id));
}

for (const body of all) {
  body.querySelector('.row').addEventListener('click', () => {
    if (!window.getSelection().isCollapsed) return;
    toggle(body);
    history.replaceState(null, '', body.classList.contains('open') ? `#${encodeURIComponent(body.id)}` : ' ');
  });
  const copy = body.querySelector('.command button');
  copy?.addEventListener('click', async () => {
    await navigator.clipboard?.writeText(copy.previousElementSibling.textContent);
    copy.textContent = 'copied';
    setTimeout(() => { copy.textContent = 'copy'; }, 1200);
  });
}
document.getElementById('open-all').addEventListener('click', () => all.forEach((body) => { if (!body.hidden) toggle(body, true); }));
document.getElementById('close-all').addEventListener('click', () => all.forEach((body) => toggle(body, false)));

function goTo(id) {
  const body = all.find((one) => one.id === id);
  if (!body) return;
  if (body.hidden) reset();
  toggle(body, true);
  body.scrollIntoView({ block: 'start', behavior: 'auto' });
  window.scrollBy(0, -48);
}

for (const dot of dots) {
  const { id } = dot.dataset;
  dot.addEventListener('click', (event) => {
    event.preventDefault();
    history.replaceState(null, '', `#${encodeURIComponent(id)}`);
    goTo(id);
  });
  const show = () => { const at = dot.getBoundingClientRect(); say(rows.get(id).shown, at.x + at.width / 2, at.bottom + 8); };
  dot.addEventListener('pointerenter', show);
  dot.addEventListener('focus', show);
  dot.addEventListener('pointerleave', hush);
  dot.addEventListener('blur', hush);
}

function say(text, x, y) {
  tip.textContent = text;
  tip.hidden = false;
  const box = tip.getBoundingClientRect();
  tip.style.left = `${Math.max(6, Math.min(x - box.width / 2, window.innerWidth - box.width - 6))}px`;
  tip.style.top = `${Math.min(y, window.innerHeight - box.height - 6)}px`;
}

function hush() { tip.hidden = true; }

document.addEventListener('keydown', (event) => {
  const typing = event.target.matches('input, select');
  if (event.key === '/' && !typing) { event.preventDefault(); search.focus(); }
  if (event.key === 'Escape') { hush(); if (typing) { reset(); event.target.blur(); } }
});

// ── one run ──

const LEFT = 54;
const RIGHT = 22;
const FLAGS = 62;
const RATE = 170;
const BETWEEN = 34;
const LATENCY = 112;
const BOTTOM = 24;

function ceiling(value) {
  const step = 10 ** Math.floor(Math.log10(Math.max(value, 1)));
  return [1, 1.5, 2, 3, 4, 5, 7.5, 10].map((times) => times * step).find((top) => top >= value);
}

function draw(chart, row) {
  const width = Math.max(300, chart.clientWidth);
  if (chart.dataset.width === String(width)) return;
  chart.dataset.width = String(width);
  chart.querySelector('svg')?.remove();
  const { bin, from, tx, p50, p99 } = row.timeline;
  const to = from + bin * tx.length;
  const x = (s) => LEFT + (s - from) / (to - from) * (width - LEFT - RIGHT);
  const rateTop = FLAGS;
  const rateBottom = rateTop + RATE;
  const msTop = rateBottom + BETWEEN;
  const msBottom = msTop + LATENCY;
  const svg = drawn('svg', { height: msBottom + BOTTOM, role: 'img', 'aria-label': row.alt });
  const add = (tag, attributes, text) => { const element = drawn(tag, attributes, text); svg.append(element); return element; };

  add('rect', { class: 'band', x: x(row.attack[0]), y: rateTop - 8, width: x(row.attack[1]) - x(row.attack[0]), height: msBottom - rateTop + 8 });
  const most = ceiling(Math.max(...tx) / bin);
  const y = (rate) => rateBottom - rate / most * RATE;
  for (const share of [0, 0.5, 1]) {
    add('path', { class: 'grid', d: `M${LEFT} ${y(most * share)}H${width - RIGHT}` });
    add('text', { x: LEFT - 7, y: y(most * share) + 4, 'text-anchor': 'end' }, whole.format(most * share));
  }
  const rates = tx.map((count) => count / bin);
  const middle = (i) => x(from + (i + 0.5) * bin);
  const line = rates.map((rate, i) => `${i ? 'L' : 'M'}${middle(i).toFixed(1)} ${y(rate).toFixed(1)}`).join('');
  add('path', { class: 'area', d: `${line}L${middle(tx.length - 1)} ${rateBottom}L${middle(0)} ${rateBottom}Z` });
  add('path', { class: 'rate', d: line });
  for (const [begin, end, mean, text] of row.parts) {
    add('path', { class: 'mean', d: `M${x(begin)} ${y(mean)}H${x(end)}` });
    add('text', { class: 'share', x: (x(begin) + x(end)) / 2, y: rateBottom + 16, 'text-anchor': 'middle' }, text);
  }

  const known = [...p50, ...p99].filter((ms) => ms !== null && ms > 0);
  const low = Math.floor(Math.log10(Math.min(...known, 10)));
  const high = Math.max(low + 1, Math.ceil(Math.log10(Math.max(...known, 10))));
  const z = (ms) => msBottom - (Math.log10(ms) - low) / (high - low) * LATENCY;
  for (let power = low; power <= high; power += 1) {
    add('path', { class: 'grid', d: `M${LEFT} ${z(10 ** power)}H${width - RIGHT}` });
    add('text', { x: LEFT - 7, y: z(10 ** power) + 4, 'text-anchor': 'end' }, power >= 3 ? `${10 ** (power - 3)} s` : `${10 ** power} ms`);
  }
  for (const [name, values] of [['p99', p99], ['p50', p50]]) {
    let path = '';
    let pen = 'M';
    values.forEach((ms, i) => {
      if (ms === null) { pen = 'M'; return; }
      path += `${pen}${middle(i).toFixed(1)} ${z(ms).toFixed(1)}${pen === 'M' ? 'h1' : ''}`;
      pen = 'L';
    });
    add('path', { class: name, d: path, 'stroke-linecap': 'round' });
  }
  for (const [begin, end] of row.gaps) { // nothing is known of latencies while nothing comes
    const [left, right] = [x(begin), x(end)];
    const wide = right - left;
    add('rect', { class: 'nothing', x: left, y: msTop, width: wide, height: LATENCY });
    const text = `no receipt for ${(end - begin).toFixed(2)} s`;
    const fits = wide > text.length * 6.2;
    const short = `${(end - begin).toFixed(2)} s`;
    if (fits || wide > short.length * 6.2) add('text', { class: 'nothing', x: (left + right) / 2, y: msTop + 14, 'text-anchor': 'middle' }, fits ? text : short);
  }
  const step = (to - from) / Math.max(2, Math.floor((width - LEFT) / 70));
  const every = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 60].find((one) => one >= step) ?? 120;
  for (let s = Math.ceil(from / every) * every; s <= to + 1e-9; s += every) {
    const shown = Number(s.toFixed(3));
    add('text', { x: x(s), y: msBottom + 17, 'text-anchor': 'middle' }, shown === 0 ? '0 s' : `${shown > 0 ? '+' : '−'}${Math.abs(shown)} s`);
  }

  // Flags stand in three lanes, each in the first one that has room for it.
  const ends = [0, 0, 0, 0];
  for (const event of row.events) {
    const at = x(event.t);
    const wide = event.flag.length * 6.6 + 12;
    const turned = at + wide > width - RIGHT;
    const left = turned ? at - wide : at;
    let lane = ends.findIndex((end) => end <= left);
    if (lane < 0) lane = ends.indexOf(Math.min(...ends));
    ends[lane] = turned ? at + 3 : at + wide;
    const top = 11 + lane * 13;
    add('path', { class: event.kind, d: `M${at} ${top - 8}V${msBottom}` });
    add('text', { class: `flag ${event.kind}`, x: turned ? at - 4 : at + 4, y: top, 'text-anchor': turned ? 'end' : 'start' }, event.flag);
  }

  const cross = add('path', { class: 'cross', d: '', hidden: '' });
  svg.addEventListener('pointermove', (event) => {
    const box = svg.getBoundingClientRect();
    const i = Math.floor((event.clientX - box.x - LEFT) / (width - LEFT - RIGHT) * tx.length);
    if (i < 0 || i >= tx.length) { cross.setAttribute('d', ''); hush(); return; }
    cross.removeAttribute('hidden');
    cross.setAttribute('d', `M${middle(i)} ${rateTop}V${msBottom}`);
    const at = from + (i + 0.5) * bin;
    say(`${at >= 0 ? '+' : '−'}${Math.abs(at).toFixed(2)} s\n${whole.format(rates[i])} tx/s\np50 ${millis(p50[i])}, p99 ${millis(p99[i])}`, event.clientX, event.clientY + 18);
  });
  svg.addEventListener('pointerleave', () => { cross.setAttribute('d', ''); hush(); });
  chart.prepend(svg);
}

new ResizeObserver(() => {
  for (const body of all) if (body.classList.contains('open')) draw(body.querySelector('.chart'), rows.get(body.id));
}).observe(table);

window.addEventListener('hashchange', () => goTo(decodeURIComponent(location.hash.slice(1))));
filter();
if (location.hash) goTo(decodeURIComponent(location.hash.slice(1)));
else if (bodies.length === 1) toggle(bodies[0], true);
