// The run, and its time axis. Times are in microseconds; where quiet times are folded, the axis has units of its own.

const run = JSON.parse(document.getElementById('run').textContent);
const FOLDED_FLIGHTS = 3; // a folded time is drawn as wide as so many flights of a message

class Axis {
  // Piecewise linear: one unit is a microsecond but in the folded times.
  constructor(folds) {
    this.folds = folds;
    this.times = [0];
    this.units = [0];
    for (const [from, to] of folds) {
      this.knot(from, this.units.at(-1) + from - this.times.at(-1));
      this.knot(to, this.units.at(-1) + FOLDED_FLIGHTS * run.flight);
    }
    const end = Math.max(run.end, 1) + 2 * run.flight;
    this.knot(end, this.units.at(-1) + end - this.times.at(-1));
    this.length = this.units.at(-1);
  }

  knot(time, unit) {
    this.times.push(time);
    this.units.push(unit);
  }

  unit(time) { return between(time, this.times, this.units); }
  time(unit) { return between(unit, this.units, this.times); }
}

function between(value, from, to) {
  let low = 0;
  let high = from.length - 2;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (from[middle] <= value) low = middle; else high = middle - 1;
  }
  const width = from[low + 1] - from[low];
  return to[low] + (width ? (value - from[low]) / width * (to[low + 1] - to[low]) : 0);
}

function firstAtLeast(values, value) {
  let low = 0;
  let high = values.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (values[middle] < value) low = middle + 1; else high = middle;
  }
  return low;
}

function inWords(time) {
  return time < 1e6 ? `${(time / 1e3).toFixed(3)} ms` : `${(time / 1e6).toFixed(4)} s`;
}

function roughly(time) {
  return time < 1e6 ? `${Math.round(time / 1e3)} ms` : `${(time / 1e6).toFixed(2)} s`;
}

// ── messages ──

// One arrow for each copy of a message; one that never arrives has a fate.
const arrows = [];
for (const [at, source, to, number, lie, fate, ...arrivals] of run.messages) {
  const [phase, line, words, note] = run.frames[number];
  const reached = arrivals.length ? arrivals : [at + run.flight];
  reached.forEach((ends, copy) => arrows.push({
    at, ends, source, to, number, phase, line, words, note, copy,
    lie: lie === 1, fate: fate < 0 ? '' : run.fates[fate],
  }));
}
arrows.sort((a, b) => a.at - b.at);
const departures = arrows.map(arrow => arrow.at);
const longestFlight = arrows.reduce((most, arrow) => Math.max(most, arrow.ends - arrow.at), 0);
const lies = arrows.filter(arrow => arrow.lie);
const WITHHELD = 'withheld by an adversary';
const IGNORED = 'ignored by an adversary';
const UNHEARD = 'nobody listens there';
const isLost = arrow => arrow.fate !== '' && arrow.fate !== UNHEARD;

// ── places: replicas from 0 on, clients below ──

const client = place => -1 - place; // and back
const isWithClient = arrow => arrow.source < 0 || arrow.to < 0;
const nameOf = place => (place < 0 ? `client ${client(place)}` : `replica ${place}`);
const everybody = [...run.clients.map((_, i) => client(i)), ...run.replicas.map((_, i) => i)];

// ── what is looked at ──

const shown = { phases: new Set(), senders: new Set(everybody), clients: true, onlyLies: false };
const STATUS = run.phases.findIndex(phase => phase.name === 'status');
run.phases.forEach((_, i) => { if (i !== STATUS) shown.phases.add(i); });

function isShown(arrow) {
  return shown.phases.has(arrow.phase) && shown.senders.has(arrow.source)
    && (arrow.lie || (!shown.onlyLies && (shown.clients || !isWithClient(arrow))));
}

const view = { axis: new Axis(run.quiet), from: 0, to: 1, cursor: null };
