// The console in the browser: asks once a second, and draws what changed. All text is set as text,
// never as markup, so that no name and no record can become anything else.

/**
 * @typedef {import('./console.ts').DataAnswer} Data
 * @typedef {import('./console.ts').ShownJournal} Journal
 * @typedef {import('./records.ts').RecordsAnswer} Records
 * @typedef {import('./records.ts').ShownRecord} ShownRecord
 * @typedef {{ code: string, message: string, firstLsn?: number }} Refusal
 */

const EVERY_MILLIS = 1_000;
const EVERY_MILLIS_MAX = 10_000;
const PATIENCE_MILLIS = 8_000;
const RECORDS = 20;
const LAG_SHOWN = 1_000;
const CHANGES_MAX = 200;

/** @param {string} id */
function byId(id) {
  const found = document.getElementById(id);
  if (found === null) throw new Error(`the page has no ${id}`);
  return found;
}

/**
 * @param {string} id
 * @returns {HTMLInputElement}
 */
function inputOf(id) {
  const found = byId(id);
  if (found instanceof HTMLInputElement) return found;
  throw new Error(`${id} is no input`);
}

/**
 * @param {string} name
 * @param {string} kind
 * @param {readonly (Node | string)[]} children
 */
function element(name, kind = '', ...children) {
  const made = document.createElement(name);
  if (kind !== '') made.className = kind;
  made.append(...children);
  return made;
}

const number = new Intl.NumberFormat('en');

/** @param {number} micros */
const timeOf = (micros) => new Date(micros / 1_000).toISOString().replace('T', ' ');

/** What was drawn last in each place: the same again is not drawn, so that selections stay. */
const drawn = new Map();

/**
 * @param {string} id
 * @param {unknown} state
 * @param {() => readonly (Node | string)[]} draw
 */
function redraw(id, state, draw) {
  const text = JSON.stringify(state);
  if (drawn.get(id) === text) return;
  drawn.set(id, text);
  byId(id).replaceChildren(...draw());
}

/**
 * @param {string} path
 * @param {Record<string, string>} query
 */
async function ask(path, query) {
  const signal = AbortSignal.timeout(PATIENCE_MILLIS);
  const response = await fetch(`${path}?${new URLSearchParams(query)}`, { signal });
  const answer = await response.json();
  if (response.ok) return answer;
  /** @type {Refusal} */
  const refusal = answer.error;
  throw Object.assign(new Error(refusal.message), { firstLsn: refusal.firstLsn });
}

/** @param {Data} data */
function drawHead(data) {
  const pill = byId('ready');
  const stale = data.trouble !== '';
  pill.textContent = stale ? 'not known' : data.ready ? 'ready' : 'not ready';
  pill.className = `pill ${stale ? 'warn' : data.ready ? 'good' : 'bad'}`;
  byId('cluster').textContent = data.cluster;
  byId('counts').textContent =
    `${data.processesTotal} processes, ${data.journalsTotal} journals, asked at ${data.servedBy}`;
  const age = data.ageMillis ?? 0;
  const old = age > 3_000 ? `, ${Math.round(age / 1_000)} s old` : '';
  byId('asof').textContent = `${timeOf(data.atMicros)} UTC${old}`;
  say(data.trouble === '' ? '' : `No newer state is known: ${data.trouble}`);
}

/** @param {string} text */
function say(text) {
  byId('trouble').textContent = text;
  byId('trouble').hidden = text === '';
}

/** @param {Data['zones'][number]['processes'][number]} process */
function processItem(process) {
  const { kind, id, reachable, note, address, pid, version } = process;
  const dot = element('span', `dot${reachable ? (note === '' ? '' : ' odd') : ' off'}`);
  const about = `${address}${pid === 0 ? '' : `, process ${pid}`}, ${version || 'version not known'}`;
  const name = element('span', '', element('b', '', id), ` ${kind}`);
  name.title = about;
  const wrong = note !== '' ? note : reachable ? '' : 'does not answer';
  const item = element('li', '', dot, name, element('span', 'note soft', wrong));
  item.dataset.process = id;
  item.dataset.reachable = String(reachable);
  return item;
}

/** @param {Data['zones'][number]} zone */
function zoneCard({ zone, processes }) {
  const list = element('ul', '', ...processes.map(processItem));
  return element('div', 'zone', element('h3', '', zone === '' ? 'no zone known' : zone), list);
}

/** @param {Journal['members'][number]} member */
function memberCard(member) {
  const { id, role, zone, live, synced, lag, committedLsn, durableLsn } = member;
  const state = !live ? 'away' : !synced || lag > LAG_SHOWN ? 'behind' : '';
  const behind = lag === 0 ? 'in step' : `${number.format(lag)} behind`;
  const card = element(
    'li',
    `member ${role === 'head' ? 'head' : ''} ${state}`,
    element('b', '', id),
    element('span', 'soft', `${role}, zone ${zone}`),
    element('br'),
    element('span', '', live ? (synced ? behind : `catches up, ${behind}`) : 'away'),
  );
  card.title = `durable ${durableLsn}, committed ${committedLsn}`;
  card.dataset.member = id;
  card.dataset.lag = String(lag);
  return card;
}

/** @param {readonly number[]} history */
function spark(history) {
  const space = 'http://www.w3.org/2000/svg';
  const svg = document.createElementNS(space, 'svg');
  svg.setAttribute('class', 'spark');
  svg.setAttribute('viewBox', '0 0 120 24');
  svg.setAttribute('preserveAspectRatio', 'none');
  svg.setAttribute('aria-hidden', 'true');
  const line = document.createElementNS(space, 'polyline');
  const most = Math.max(1, ...history);
  const left = 120 - history.length;
  const points = history.map((rate, at) => `${left + at},${(22 - (20 * rate) / most).toFixed(1)}`);
  line.setAttribute('points', points.join(' '));
  svg.append(line);
  return svg;
}

/** @param {Journal} journal */
function journalCard(journal) {
  const { name, lineage, epoch, writable, note, members, committedLsn, history } = journal;
  const state = element('span', `pill ${writable ? 'good' : 'bad'}`);
  state.textContent = writable ? 'takes appends' : 'takes no appends';
  const rate = history.at(-1);
  const pace = element('span', 'rate', spark(history));
  pace.append(element('span', 'mono', rate === undefined ? '…' : `${number.format(rate)}/s`));
  const about = `epoch ${epoch}, lineage ${lineage}, committed ${number.format(committedLsn)}`;
  const head = element('div', 'head', element('h3', '', name), state, pace);
  const chain = element('ol', 'chain');
  for (const [at, member] of members.entries()) {
    if (at > 0) chain.append(element('li', 'arrow', member.role === 'learner' ? '+' : '→'));
    chain.append(memberCard(member));
  }
  const said = note === '' ? about : `${about}: ${note}`;
  const card = element('div', 'journal', head, element('div', 'soft', said), chain);
  card.dataset.journal = name;
  return card;
}

/** @param {Data['changes'][number]} change */
function changeItem({ atMicros, journal, lineage, epoch, text }) {
  const when = element('span', 'mono soft', `${timeOf(atMicros)} `);
  const which = element('b', '', `${journal} `);
  const where = lineage > 1 ? `epoch ${epoch}, lineage ${lineage}` : `epoch ${epoch}`;
  const item = element('li', '', when, which, element('span', 'soft', `${where}: `), text);
  item.dataset.journal = journal;
  item.dataset.epoch = String(epoch);
  return item;
}

/**
 * What was shown stays, also when the process that told it was started again and forgot it.
 *
 * @type {Map<string, Data['changes'][number]>}
 */
const remembered = new Map();

/** @param {Data['changes']} changes */
function remember(changes) {
  for (const change of changes.toReversed()) {
    const { journal, lineage, epoch, text } = change;
    const name = `${journal} ${lineage} ${epoch} ${text}`;
    if (!remembered.has(name)) remembered.set(name, change);
  }
  for (const name of [...remembered.keys()].slice(0, -CHANGES_MAX)) remembered.delete(name);
  return [...remembered.values()].sort((one, other) => other.atMicros - one.atMicros);
}

/** @param {Data} data */
function draw(data) {
  drawHead(data);
  redraw('zones', data.zones, () => data.zones.map(zoneCard));
  redraw('journals', data.journals, () =>
    data.journals.length === 0
      ? [element('p', 'soft', 'None. Make one: journal create orders')]
      : data.journals.map(journalCard),
  );
  const shown = data.journals.length;
  const filtered = inputOf('filter').value !== '';
  byId('journals-count').textContent = `${shown} of ${data.journalsTotal}`;
  byId('filter-label').hidden = !filtered && data.journalsTotal <= 10;
  const changes = remember(data.changes);
  redraw('changes', changes, () => changes.map(changeItem));
  byId('changes-none').hidden = changes.length > 0;
  byId('browse').hidden = !data.records.shown || shown === 0;
  byId('records-hidden').hidden = data.records.shown;
  byId('records-hidden').textContent = data.records.why;
  const names = data.journals.map(({ name }) => name);
  const select = journalSelect();
  const chosen = select.value;
  redraw('journal', names, () => names.map((name) => element('option', '', name)));
  if (names.includes(chosen)) select.value = chosen;
}

function journalSelect() {
  const found = byId('journal');
  if (found instanceof HTMLSelectElement) return found;
  throw new Error('journal is no choice');
}

/** @param {ShownRecord} record */
function recordRow(record) {
  const { lsn, timestampMicros, key, bytes, text, hex, cut } = record;
  const data = element('pre', 'mono', text ?? `${hex ?? ''} (hexadecimal)`);
  if (cut) data.append(element('span', 'soft', ' … the rest is not shown'));
  const cell = (/** @type {string} */ value) => element('td', 'mono', value);
  const row = element('tr', '', cell(String(lsn)), cell(timeOf(timestampMicros)), cell(key ?? ''));
  row.append(cell(number.format(bytes)), element('td', '', data));
  row.dataset.lsn = String(lsn);
  return row;
}

/** Where the page of records begins and the next one would; null before the first was shown. */
/** @type {{ first: number, next: number } | null} */
let position = null;

/** @param {string} from */
async function browse(from) {
  const said = byId('records-said');
  try {
    const query = { journal: journalSelect().value, from, limit: String(RECORDS) };
    /** @type {Records} */
    const answer = await ask('/console/records', query);
    const { records, nextLsn, committedLsn } = answer;
    const [first] = records;
    position = { first: first?.lsn ?? nextLsn, next: nextLsn };
    byId('rows').replaceChildren(...records.map(recordRow));
    byId('records').hidden = records.length === 0;
    said.textContent =
      records.length === 0
        ? `There is no record from there on; the last position is ${committedLsn}.`
        : `${records.length} records; the last position is ${number.format(committedLsn)}.`;
    toggle(position.first > 1, nextLsn <= committedLsn);
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    said.textContent = message;
    byId('records').hidden = true;
    toggle(false, false);
  }
}

/**
 * @param {boolean} earlier
 * @param {boolean} later
 */
function toggle(earlier, later) {
  byId('earlier').toggleAttribute('disabled', !earlier);
  byId('later').toggleAttribute('disabled', !later);
}

byId('browse').addEventListener('submit', (event) => {
  event.preventDefault();
  void browse(inputOf('from').value.trim());
});
byId('earlier').addEventListener('click', () => {
  if (position !== null) void browse(String(Math.max(1, position.first - RECORDS)));
});
byId('later').addEventListener('click', () => {
  if (position !== null) void browse(String(position.next));
});

let wait = EVERY_MILLIS;

async function look() {
  // A page that nobody sees asks for nothing.
  if (!document.hidden) {
    try {
      draw(await ask('/console/data', { journals: inputOf('filter').value.trim() }));
      wait = EVERY_MILLIS;
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      byId('ready').textContent = 'not known';
      byId('ready').className = 'pill warn';
      say(`This page cannot reach its process: ${message}`);
      wait = Math.min(EVERY_MILLIS_MAX, wait * 1.5);
    }
  }
  setTimeout(look, wait * (0.9 + 0.2 * Math.random()));
}

void look();
