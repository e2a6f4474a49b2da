// A run as one HTML page that needs nothing else: what is drawn, put into its template.

import type { Operation } from '../checkers/history.ts';
import type { LogLine } from '../machine.ts';
import type { Failure, RunResult } from '../run.ts';
import type { Turn } from '../world.ts';
import type { Evidence } from './evidence.ts';
import { asked, momentsOf, outcomeOf, seconds } from './moments.ts';

/** Messages and disk operations that are drawn; of more, the last ones. */
export const MARKS_MAX = 40_000;

/** Times are virtual microseconds; a lane is an index into `lanes`, a label one into `labels`. */
export interface Drawing {
  readonly lanes: readonly { readonly name: string; readonly role: Role }[];
  readonly labels: readonly string[];
  readonly from: number;
  readonly until: number;
  /** from, to, sent, arrived, label. */
  readonly messages: readonly (readonly [number, number, number, number, number])[];
  /** lane, begun, done, label. */
  readonly disks: readonly (readonly [number, number, number, number])[];
  /** lane, from, until, text. */
  readonly faults: readonly (readonly [number, number, number, string])[];
  /** lane, called, returned, outcome, text. */
  readonly operations: readonly (readonly [number, number, number, string, string])[];
  /** lane, time, kind, text. */
  readonly notes: readonly (readonly [number, number, NoteKind, string])[];
  readonly violation: Failure | null;
  /** Messages and disk operations at the beginning that are not drawn. */
  readonly left: number;
}

type Role = 'controller' | 'replica' | 'client' | 'other';
type NoteKind = 'process' | 'epoch' | 'warn' | 'error' | 'info';

export interface Parts {
  /** Comments of one word are filled in: title, heading, facts, lanes, data, script. */
  readonly template: string;
  readonly script: string;
}

/** The page of a run, whose turns were kept by a tracer. */
export function page(result: RunResult, turns: readonly Turn[], parts: Parts): string {
  const drawing = drawingOf(result, turns);
  const lanes = drawing.lanes.map(
    ({ name, role }) =>
      `<li class="lane ${role}" data-lane="${escaped(name)}"><b>${escaped(name)}</b> ${role}</li>`,
  );
  // In a script element only `</` and `<!--` could be taken for something else.
  const data = JSON.stringify(drawing).replaceAll('<', '\\u003c');
  const title = `Journal, simulation of seed ${escaped(result.seed)}`;
  const fills: Readonly<Record<string, string>> = {
    title,
    heading: `<h1>${title}</h1>`,
    facts: factsOf(result, drawing),
    lanes: lanes.join('\n'),
    data: `<script type="application/json" id="data">${data}</script>`,
    script: `<script>\n${parts.script}</script>`,
  };
  return parts.template.replace(/<!--([a-z]+)-->/g, (all, name: string) => fills[name] ?? all);
}

function factsOf(result: RunResult, { left, messages, disks }: Drawing): string {
  const { seed, budget, events, seconds: virtual, hash, failure, kinds, acknowledged } = result;
  const lines = [
    `Seed ${seed}, ${budget}: ${events} events in ${virtual.toFixed(1)} virtual seconds, ` +
      `${acknowledged} appends acknowledged, trace ${hash}. Faults drawn from: ${kinds.join(' ')}.`,
    `${messages.length} messages and ${disks.length} disk operations are drawn` +
      `${left === 0 ? '' : `, the last ones; ${left} before them are left out`}. Where too many ` +
      'are in view, some are passed over, and it says so: zoom in.',
  ];
  const verdict =
    failure === null
      ? '<p class="good">All checkers passed.</p>'
      : `<div class="bad"><p>Violation, found by <b>${escaped(failure.by)}</b>:</p><ul>` +
        `${failure.sentences.map((one) => `<li>${escaped(one)}</li>`).join('')}</ul></div>`;
  return `${verdict}${lines.map((line) => `<p>${escaped(line)}</p>`).join('')}`;
}

/** What the page draws. */
export function drawingOf(result: RunResult, turns: readonly Turn[]): Drawing {
  const evidence = result.evidence();
  const lanes = evidence.machines.map((name) => ({ name, role: roleOf(name) }));
  const laneOf = new Map(lanes.map(({ name }, at) => [name, at]));
  const lane = (actor: string): number => laneOf.get(actor.replace(/#\d+$/, '')) ?? -1;
  const marks = turns.filter(({ kind, actor }) => isMark(kind) && lane(actor) >= 0);
  const drawn = marks.slice(-MARKS_MAX);
  const left = marks.length - drawn.length;
  const labels = new Labels();
  const messages = drawn
    .filter(({ kind, by }) => kind === 'delivery' && lane(by) >= 0)
    .map(
      ({ by, actor, since, time, label }) =>
        [lane(by), lane(actor), since, time, labels.of(plain(label))] as const,
    );
  const disks = drawn
    .filter(({ kind }) => kind === 'disk')
    .map(({ actor, since, time, label }) => [lane(actor), since, time, labels.of(label)] as const);
  const until = Math.round(result.seconds * 1e6);
  return {
    lanes,
    labels: labels.all,
    from: left === 0 ? 0 : (drawn[0]?.since ?? 0),
    until,
    messages,
    disks,
    faults: evidence.faults.map(
      ({ victim, from, until: end, kind, number }) =>
        [lane(victim), from, end ?? until, `fault ${number}: ${kind}`] as const,
    ),
    operations: evidence.operations.map((one) => operationOf(one, lane(one.process), until)),
    notes: notesOf(evidence, turns, lane),
    violation: result.failure,
    left,
  };
}

const isMark = (kind: Turn['kind']): boolean => kind === 'delivery' || kind === 'disk';

/** Without the number of the connection: there would be thousands of labels. */
const plain = (label: string): string => label.replace(/ #\d+$/, '');

class Labels {
  readonly all: string[] = [];
  readonly #places = new Map<string, number>();

  of(label: string): number {
    const known = this.#places.get(label);
    if (known !== undefined) return known;
    this.#places.set(label, this.all.length);
    return this.all.push(label) - 1;
  }
}

/** By the names that sim/cluster.ts gives. */
function roleOf(name: string): Role {
  if (/^k\d+$/.test(name)) return 'controller';
  if (/^r\d/.test(name)) return 'replica';
  return /^w\d+$/.test(name) ? 'client' : 'other';
}

function operationOf(operation: Operation, lane: number, end: number): Drawing['operations'][0] {
  const { called, returned, journal } = operation;
  const outcome = outcomeOf(operation);
  const took = returned === null ? 'never answered' : seconds(returned - called);
  const text = `${journal}: ${asked(operation)}: ${outcome}, ${took}`;
  return [lane, called, returned ?? end, operation.kind === 'led' ? 'led' : outcome, text];
}

function notesOf(
  evidence: Evidence,
  turns: readonly Turn[],
  lane: (actor: string) => number,
): Drawing['notes'] {
  const processes = momentsOf({ ...evidence, operations: [], lines: [], faults: [] }, turns).map(
    ({ time, who, text }) => [lane(who), time, 'process', text] as const,
  );
  const lines = evidence.lines.map((line) => noteOf(line, lane(line.process)));
  return [...processes, ...lines].filter(([at]) => at >= 0);
}

function noteOf(line: LogLine, lane: number): Drawing['notes'][0] {
  const { time, level, message, fields } = line;
  const epoch = 'epoch' in fields && typeof fields.epoch === 'number' ? fields.epoch : null;
  const kind = level === 'error' ? 'error' : epoch !== null ? 'epoch' : kindOf(level);
  return [lane, time, kind, `${epoch === null ? '' : `epoch ${epoch}: `}${message}`];
}

const kindOf = (level: string): NoteKind => (level === 'warn' ? 'warn' : 'info');

const escaped = (text: string): string =>
  text.replace(/[&<>"]/g, (one) => `&#${one.charCodeAt(0)};`);
