// Draws a simulated run: lanes of processes, messages as arrows, disks, faults, epochs, operations.

/**
 * What the page was given; see page.ts.
 * @typedef {object} Drawing
 * @property {{ name: string, role: string }[]} lanes
 * @property {string[]} labels
 * @property {number} from
 * @property {number} until
 * @property {[number, number, number, number, number][]} messages
 * @property {[number, number, number, number][]} disks
 * @property {[number, number, number, string][]} faults
 * @property {[number, number, number, string, string][]} operations
 * @property {[number, number, string, string][]} notes
 * @property {{ by: string, sentences: string[] } | null} violation
 */

/** Something on the screen that one can point at: [left, top, right, bottom, text]. */
/** @typedef {[number, number, number, number, string]} Spot */

const LANE = 46;
const TOP = 24;
/** More arrows than this at once are a carpet: some are passed over. */
const ARROWS_MAX = 3_000;
const COLOURS = {
  chain: '#1f618d',
  clients: '#b7950b',
  registers: '#7d3c98',
  pings: '#aab7b8',
  disk: '#5d6d7e',
};
/** @type {Record<string, string>} */
const OUTCOMES = { done: '#239b56', refused: '#c0392b', unknown: '#e67e22', led: '#16a085' };
/** @type {Record<string, string>} */
const NOTES = {
  process: '#111',
  epoch: '#7d3c98',
  warn: '#d68910',
  error: '#c0392b',
  info: '#95a5a6',
};

/**
 * @template {Element} Kind
 * @param {string} id
 * @param {new () => Kind} kind
 */
function element(id, kind) {
  const found = document.getElementById(id);
  if (!(found instanceof kind)) throw new Error(`the page has no ${id}`);
  return found;
}

/** @type {Drawing} */
const drawing = JSON.parse(element('data', HTMLScriptElement).textContent ?? '{}');
const area = element('area', HTMLCanvasElement);
const overview = element('overview', HTMLCanvasElement);
const tip = element('tip', HTMLDivElement);
const said = element('said', HTMLParagraphElement);
const boxes = [...document.querySelectorAll('input[data-kind]')].filter(
  (one) => one instanceof HTMLInputElement,
);
const whole = { from: drawing.from, until: Math.max(drawing.from + 1, drawing.until) };
const view = { ...whole };
/** @type {Spot[]} */
let spots = [];
const kinds = drawing.labels.map(kindOf);

/** @param {string} label */
function kindOf(label) {
  if (label.includes('/journal.peer.')) return 'chain';
  if (label.includes('/Observe')) return 'pings';
  return label.includes('/journal.control.') ? 'registers' : 'clients';
}

/** @param {string} kind */
const shown = (kind) => boxes.some(({ dataset, checked }) => dataset.kind === kind && checked);

/** @param {number} time */
const x = (time) => ((time - view.from) / (view.until - view.from)) * area.clientWidth;
/** @param {number} lane */
const middle = (lane) => TOP + lane * LANE + LANE / 2;
/** @param {number} from @param {number} until */
const visible = (from, until) => until >= view.from && from <= view.until;
/** @param {number} time */
const stamp = (time) => `${(time / 1e6).toFixed(6)} s`;

/** @param {HTMLCanvasElement} canvas @param {number} height */
function fresh(canvas, height) {
  const scale = window.devicePixelRatio || 1;
  canvas.style.height = `${height}px`;
  canvas.width = canvas.clientWidth * scale;
  canvas.height = height * scale;
  const pen = canvas.getContext('2d');
  if (pen === null) throw new Error('this browser has no canvas');
  pen.scale(scale, scale);
  return pen;
}

function draw() {
  const pen = fresh(area, TOP + drawing.lanes.length * LANE);
  spots = [];
  drawGrid(pen);
  if (shown('faults')) drawFaults(pen);
  if (shown('disk')) drawDisks(pen);
  if (shown('operations')) drawOperations(pen);
  drawMessages(pen);
  if (shown('notes')) drawNotes(pen);
  if (drawing.violation !== null) drawViolation(pen);
  drawOverview();
}

/** @param {CanvasRenderingContext2D} pen */
function drawGrid(pen) {
  pen.font = '11px system-ui, sans-serif';
  pen.strokeStyle = '#ddd';
  for (let lane = 0; lane <= drawing.lanes.length; lane += 1) {
    pen.strokeRect(0, TOP + lane * LANE, area.clientWidth, 0);
  }
  const span = view.until - view.from;
  const rough = span / 8;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = Math.max(
    1,
    [1, 2, 5, 10].map((one) => one * power).find((one) => one >= rough) ?? 1,
  );
  const digits = Math.max(0, 6 - Math.floor(Math.log10(step)));
  pen.fillStyle = '#666';
  for (let time = Math.ceil(view.from / step) * step; time <= view.until; time += step) {
    pen.fillRect(x(time), TOP - 6, 1, 6);
    pen.fillText(`${(time / 1e6).toFixed(digits)} s`, x(time) + 3, TOP - 8);
  }
}

/** @param {CanvasRenderingContext2D} pen */
function drawFaults(pen) {
  for (const [lane, from, until, text] of drawing.faults) {
    if (lane < 0 || !visible(from, until)) continue;
    const [left, top] = [x(from), TOP + lane * LANE + 1];
    const width = Math.max(2, x(until) - left);
    pen.fillStyle = 'rgba(231, 76, 60, 0.22)';
    pen.fillRect(left, top, width, LANE - 2);
    pen.fillStyle = '#922b21';
    pen.fillRect(left, top, 2, LANE - 2);
    if (width > 50) pen.fillText(text, Math.max(2, left + 4), top + 11);
    spots.push([left, top, left + width, top + 14, `${text}\n${stamp(from)} to ${stamp(until)}`]);
  }
}

/** @param {CanvasRenderingContext2D} pen */
function drawDisks(pen) {
  pen.fillStyle = COLOURS.disk;
  for (const [lane, from, until, label] of drawing.disks) {
    if (!visible(from, until)) continue;
    const text = drawing.labels[label] ?? '';
    const top = middle(lane) + (text.startsWith('sync') ? 13 : 17);
    const width = Math.max(1, x(until) - x(from));
    pen.fillRect(x(from), top, width, 3);
    spots.push([x(from), top - 1, x(from) + width, top + 4, `disk: ${text}\n${stamp(from)}`]);
  }
}

/** @param {CanvasRenderingContext2D} pen */
function drawOperations(pen) {
  for (const [lane, from, until, outcome, text] of drawing.operations) {
    if (lane < 0 || !visible(from, until)) continue;
    const top = middle(lane) - (outcome === 'led' ? 14 : 9);
    const width = Math.max(1.5, x(until) - x(from));
    pen.fillStyle = OUTCOMES[outcome] ?? '#000';
    pen.globalAlpha = 0.75;
    pen.fillRect(x(from), top, width, 4);
    pen.globalAlpha = 1;
    spots.push([x(from), top - 1, x(from) + width, top + 5, `${text}\nfrom ${stamp(from)}`]);
  }
}

/** @param {CanvasRenderingContext2D} pen */
function drawMessages(pen) {
  const here = drawing.messages.filter(
    ([, , sent, arrived, label]) => visible(sent, arrived) && shown(kinds[label] ?? ''),
  );
  const every = Math.ceil(here.length / ARROWS_MAX);
  said.textContent =
    every > 1
      ? `${here.length} messages in view: one in ${every} is drawn. Zoom in to see all.`
      : `${here.length} messages in view, all drawn.`;
  for (let at = 0; at < here.length; at += every) {
    const message = here[at];
    if (message !== undefined) drawArrow(pen, message);
  }
}

/** @param {CanvasRenderingContext2D} pen @param {Drawing['messages'][0]} message */
function drawArrow(pen, [from, to, sent, arrived, label]) {
  const [left, right, top, bottom] = [x(sent), x(arrived), middle(from), middle(to)];
  const kind = kinds[label];
  pen.strokeStyle =
    kind === 'chain' || kind === 'pings' || kind === 'registers' ? COLOURS[kind] : COLOURS.clients;
  pen.globalAlpha = 0.7;
  pen.beginPath();
  pen.moveTo(left, top);
  pen.lineTo(right, bottom);
  const angle = Math.atan2(bottom - top, right - left);
  for (const turn of [2.7, -2.7]) {
    pen.moveTo(right, bottom);
    pen.lineTo(right + 6 * Math.cos(angle + turn), bottom + 6 * Math.sin(angle + turn));
  }
  pen.stroke();
  pen.globalAlpha = 1;
  const text = `${drawing.labels[label]}\n${drawing.lanes[from]?.name} ${stamp(sent)} → ${drawing.lanes[to]?.name} ${stamp(arrived)}`;
  spots.push([right - 4, bottom - 4, right + 4, bottom + 4, text]);
}

/** @param {CanvasRenderingContext2D} pen */
function drawNotes(pen) {
  for (const [lane, time, kind, text] of drawing.notes) {
    if (!visible(time, time)) continue;
    const [left, top] = [x(time), middle(lane)];
    pen.fillStyle = NOTES[kind] ?? '#000';
    const sign = { epoch: '◆', process: '●', warn: '▲', error: '▲' }[kind] ?? '·';
    pen.fillText(sign, left - 4, top + 4);
    spots.push([left - 5, top - 5, left + 5, top + 5, `${text}\n${stamp(time)}`]);
  }
}

/** @param {CanvasRenderingContext2D} pen */
function drawViolation(pen) {
  const left = Math.min(area.clientWidth - 2, x(drawing.until));
  pen.fillStyle = '#c0392b';
  if (visible(drawing.until, drawing.until)) pen.fillRect(left, 0, 2, area.clientHeight);
  const text = `violation: ${drawing.violation?.by}`;
  spots.push([
    left - 4,
    0,
    left + 4,
    area.clientHeight,
    `${text}\n${drawing.violation?.sentences.join('\n')}`,
  ]);
}

function drawOverview() {
  const pen = fresh(overview, 46);
  const width = overview.clientWidth;
  /** @param {number} time */
  const at = (time) => ((time - whole.from) / (whole.until - whole.from)) * width;
  const counts = new Uint32Array(Math.max(1, Math.floor(width)));
  for (const [, , , arrived] of drawing.messages) {
    const column = Math.min(counts.length - 1, Math.max(0, Math.floor(at(arrived))));
    counts[column] = (counts[column] ?? 0) + 1;
  }
  const most = counts.reduce((one, other) => Math.max(one, other), 1);
  pen.fillStyle = '#d6dbdf';
  for (const [column, count] of counts.entries()) {
    pen.fillRect(column, 46 - (count / most) * 44, 1, (count / most) * 44);
  }
  pen.fillStyle = 'rgba(231, 76, 60, 0.35)';
  for (const [lane, from, until] of drawing.faults) {
    if (lane >= 0) pen.fillRect(at(from), 2 + (lane % 8) * 5, Math.max(2, at(until) - at(from)), 4);
  }
  pen.strokeStyle = '#1f618d';
  pen.lineWidth = 2;
  pen.strokeRect(at(view.from), 1, Math.max(3, at(view.until) - at(view.from)), 44);
}

/** Shows another stretch, kept within the run and no shorter than 20 microseconds. */
/** @param {number} from @param {number} until */
function show(from, until) {
  const span = Math.min(whole.until - whole.from, Math.max(20, until - from));
  view.from = Math.max(whole.from, Math.min(from, whole.until - span));
  view.until = view.from + span;
  requestAnimationFrame(draw);
}

/** @param {number} factor @param {number} part where in the view stays, from 0 to 1 */
function zoom(factor, part) {
  const span = view.until - view.from;
  const at = view.from + span * part;
  show(at - span * factor * part, at + span * factor * (1 - part));
}

/** @param {number} by in views */
function move(by) {
  const span = view.until - view.from;
  show(view.from + span * by, view.until + span * by);
}

/** @param {MouseEvent} event */
function point(event) {
  const box = area.getBoundingClientRect();
  const [left, top] = [event.clientX - box.left, event.clientY - box.top];
  const found = spots.findLast(
    ([from, high, to, low]) =>
      left >= from - 2 && left <= to + 2 && top >= high - 2 && top <= low + 2,
  );
  tip.style.display = found === undefined ? 'none' : 'block';
  if (found === undefined) return;
  tip.textContent = found[4];
  tip.style.left = `${Math.min(event.clientX + 14, window.innerWidth - 380)}px`;
  tip.style.top = `${event.clientY + 14}px`;
}

function listen() {
  area.addEventListener(
    'wheel',
    (event) => {
      event.preventDefault();
      if (event.shiftKey) move(Math.sign(event.deltaY || event.deltaX) / 6);
      else zoom(event.deltaY > 0 ? 1.25 : 0.8, event.offsetX / area.clientWidth);
    },
    { passive: false },
  );
  let dragged = NaN;
  area.addEventListener('pointerdown', (event) => {
    dragged = event.clientX;
    area.setPointerCapture(event.pointerId);
  });
  area.addEventListener('pointerup', () => {
    dragged = NaN;
  });
  area.addEventListener('pointermove', (event) => {
    if (Number.isNaN(dragged)) return point(event);
    move((dragged - event.clientX) / area.clientWidth);
    dragged = event.clientX;
  });
  area.addEventListener('pointerleave', () => {
    tip.style.display = 'none';
  });
  area.addEventListener('keydown', (event) => {
    const act = {
      ArrowLeft: () => move(-0.2),
      ArrowRight: () => move(0.2),
      '+': () => zoom(0.7, 0.5),
      '-': () => zoom(1.4, 0.5),
    }[event.key];
    if (act === undefined) return;
    event.preventDefault();
    act();
  });
  overview.addEventListener('click', (event) => {
    const at = whole.from + (event.offsetX / overview.clientWidth) * (whole.until - whole.from);
    const half = (view.until - view.from) / 2;
    show(at - half, at + half);
  });
  for (const box of boxes) box.addEventListener('change', draw);
  element('nearer', HTMLButtonElement).addEventListener('click', () => zoom(0.5, 0.5));
  element('farther', HTMLButtonElement).addEventListener('click', () => zoom(2, 0.5));
  element('all', HTMLButtonElement).addEventListener('click', () => show(whole.from, whole.until));
  element('end', HTMLButtonElement).addEventListener('click', () =>
    show(whole.until - 2e6, whole.until),
  );
  window.addEventListener('resize', draw);
}

/** Faults, errors and the violation, each a way to its place. */
function fillList() {
  const list = element('list', HTMLOListElement);
  const rows = drawing.faults.map(([lane, from, , text]) => ({ lane, time: from, text }));
  for (const [lane, time, kind, text] of drawing.notes) {
    if (kind === 'error' || kind === 'epoch') rows.push({ lane, time, text });
  }
  rows.sort((one, other) => one.time - other.time);
  for (const { lane, time, text } of rows.slice(0, 1_000)) {
    const item = document.createElement('li');
    const button = document.createElement('button');
    button.textContent = `${(time / 1e6).toFixed(3)} s ${drawing.lanes[lane]?.name ?? ''}: ${text}`;
    button.addEventListener('click', () => show(time - 250_000, time + 250_000));
    item.append(button);
    list.append(item);
  }
}

listen();
fillList();
if (drawing.violation === null) draw();
else show(whole.until - 3e6, whole.until);
