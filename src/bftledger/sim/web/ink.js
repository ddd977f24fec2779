// Colours and shapes. The colours are those of the style sheet, read again when light and dark change.

const SLUGS = run.phases.map(phase => phase.slug);
const WIDTHS = [0.8, 0.8, 1.3, 2.2, 1.4, 1.4, 1, 2.4, 1.3, 0.8, 2.2, 1.6];
const DASHES = [[], [], [2, 3], [], [], [], [3, 3], [], [7, 3], [1, 3], [], [2, 2]];
const OPEN_HEADS = new Set([4, 6, 9]); // so that phases differ in more than colour
const PALE = new Set(['client-request', 'client-reply']); // the ground on which the replicas' messages stand out
const FONT = 'system-ui, -apple-system, "Segoe UI", "Liberation Sans", sans-serif';
const ink = {};

function readInk() {
  const style = getComputedStyle(document.documentElement);
  for (const name of ['paper', 'panel', 'ink', 'soft', 'line', 'accent', 'lie', 'lie-tint', 'fault', 'fault-ink', 'client-ink', 'good', 'block-ink',
    'band0', 'band1', 'band2', 'primary0', 'primary1', 'primary2', 'block0', 'block1', 'block2', 'fork0', 'fork1', ...SLUGS]) {
    ink[name] = style.getPropertyValue(`--${name}`).trim();
  }
}

function blockInk(height, version) {
  return version ? ink[`fork${(version - 1) % 2}`] : ink[`block${height % 3}`];
}

function fitted(canvas, height) {
  // The canvas at the resolution of the screen; drawing is in CSS pixels.
  const ratio = window.devicePixelRatio || 1;
  const width = canvas.clientWidth;
  const pen = canvas.getContext('2d');
  canvas.style.height = `${height}px`;
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
  }
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, width, height);
  return pen;
}

function text(pen, words, x, y, { color = ink.ink, size = 11, weight = 400, halo = null, align = 'left' } = {}) {
  pen.font = `${weight} ${size}px ${FONT}`;
  pen.textAlign = align;
  pen.textBaseline = 'middle';
  if (halo) {
    pen.lineJoin = 'round';
    pen.setLineDash([]);
    pen.lineWidth = 3.5;
    pen.strokeStyle = halo;
    pen.strokeText(words, x, y);
  }
  pen.fillStyle = color;
  pen.fillText(words, x, y);
}

function head(pen, x, y, angle, size, isOpen) {
  pen.save();
  pen.translate(x, y);
  pen.rotate(angle);
  pen.beginPath();
  pen.moveTo(-size, -size * 0.5);
  pen.lineTo(0, 0);
  pen.lineTo(-size, size * 0.5);
  pen.setLineDash([]);
  if (isOpen) { pen.lineWidth = 1.3; pen.stroke(); } else { pen.closePath(); pen.fill(); }
  pen.restore();
}

function cross(pen, x, y, size, color) {
  for (const [width, stroke] of [[4.5, ink.paper], [2.2, color]]) {
    pen.beginPath();
    pen.moveTo(x - size, y - size);
    pen.lineTo(x + size, y + size);
    pen.moveTo(x + size, y - size);
    pen.lineTo(x - size, y + size);
    pen.setLineDash([]);
    pen.lineWidth = width;
    pen.strokeStyle = stroke;
    pen.stroke();
  }
}

function lieDisc(pen, x, y) {
  pen.beginPath();
  pen.arc(x, y, 7, 0, 2 * Math.PI);
  pen.fillStyle = ink.lie;
  pen.fill();
  pen.setLineDash([]);
  pen.lineWidth = 1.5;
  pen.strokeStyle = ink.paper;
  pen.stroke();
  text(pen, '!', x, y + 0.5, { color: ink.paper, size: 11, weight: 800, align: 'center' });
}

function hatched(pen, x, y, width, height, color) {
  pen.save();
  pen.beginPath();
  pen.rect(x, y, width, height);
  pen.clip();
  pen.beginPath();
  for (let i = x - (x % 7) - height; i < x + width; i += 7) {
    pen.moveTo(i, y + height);
    pen.lineTo(i + height, y);
  }
  pen.setLineDash([]);
  pen.lineWidth = 1.4;
  pen.strokeStyle = color;
  pen.stroke();
  pen.restore();
}
