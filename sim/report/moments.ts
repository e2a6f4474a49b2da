// What happened in a run, one sentence a thing, in the order of time: for stories and pages.

import type {
  Appended,
  AppendOperation,
  Operation,
  Refused,
  SeenRecord,
} from '../checkers/history.ts';
import type { Struck } from '../faults/faults.ts';
import type { LogLine } from '../machine.ts';
import type { Turn } from '../world.ts';
import type { Evidence } from './evidence.ts';

export type MomentKind = 'fault' | 'process' | 'operation' | 'log';

export interface Moment {
  /** Virtual microseconds. */
  readonly time: number;
  /** A machine, or one life of its process: `r1#2`. */
  readonly who: string;
  readonly kind: MomentKind;
  readonly text: string;
  /** What to leave out first where there is too much: 0 is never left out, 3 before all others. */
  readonly weight: 0 | 1 | 2 | 3;
}

const TEXT_MAX = 220;

/** All of it; starts and ends of processes only where the turns of the world were kept. */
export function momentsOf(evidence: Evidence, turns: readonly Turn[] = []): Moment[] {
  const moments = [
    ...evidence.faults.flatMap(ofFault),
    ...turns.flatMap(ofTurn),
    ...evidence.lines.map(ofLine),
    ...evidence.operations.map(ofOperation),
  ];
  // The sort keeps the order of what happened at once: faults before what they cause.
  return moments.sort((one, other) => one.time - other.time);
}

function ofFault({ number, kind, victim, from, until }: Struck): Moment[] {
  const about = { who: victim, kind: 'fault', weight: 0 } as const;
  const lasts = until === null ? '' : ` for ${seconds(until - from)}`;
  const begin: Moment = { ...about, time: from, text: `FAULT ${number}: ${kind}${lasts}` };
  if (until === null || until === from) return [begin];
  return [begin, { ...about, time: until, text: `end of fault ${number}: ${kind}` }];
}

function ofTurn({ time, actor, kind, label }: Turn): Moment[] {
  const [what = '', name = ''] = label.split(' ');
  if (kind !== 'world' || !['start', 'exit'].includes(what)) return [];
  const text = what === 'start' ? 'the process starts' : 'the process ends by itself';
  return [{ time, who: actor === '' ? name : actor, kind: 'process', text, weight: 0 }];
}

function ofLine({ time, process, level, message, fields }: LogLine): Moment {
  const facts = JSON.stringify(fields, (_key, value: unknown) =>
    value instanceof Error ? value.message : value,
  );
  const text = cut(`${level}: ${message}${facts === '{}' ? '' : ` ${facts}`}`);
  return { time, who: process, kind: 'log', text, weight: level === 'info' ? 3 : 1 };
}

function ofOperation(operation: Operation): Moment {
  const { called, process, journal, returned } = operation;
  const took = returned === null ? ', never answered' : `, after ${seconds(returned - called)}`;
  const text = cut(`${journal}: ${asked(operation)}: ${answered(operation)}${took}`);
  const weight = outcomeOf(operation) === 'done' ? 2 : 1;
  return { time: called, who: process, kind: 'operation', text, weight };
}

export type Outcome = 'done' | 'refused' | 'unknown';

/** How it went, as the client knows it. */
export function outcomeOf(operation: Operation): Outcome {
  if (operation.returned === null) return 'unknown';
  const answer =
    operation.kind === 'subscribe'
      ? operation.ended
      : operation.kind === 'led'
        ? null
        : operation.answer;
  if (answer === null || answer.kind !== 'refused') return 'done';
  return answer.outcome === 'unknown' ? 'unknown' : 'refused';
}

/** What was asked, in a few words. */
export function asked(operation: Operation): string {
  switch (operation.kind) {
    case 'append':
      return appendAsked(operation);
    case 'tail':
      return 'tail';
    case 'read':
      return `read from ${operation.from}${operation.linearizable ? ', linearizable' : ''}`;
    case 'subscribe':
      return `subscribe from ${operation.from ?? 'the next record'}`;
    case 'trim':
      return `trim through ${operation.through}${operation.force ? ', forced' : ''}`;
    case 'cursor':
      return operation.lsn === null
        ? `delete cursor ${operation.name}`
        : `cursor ${operation.name} to ${operation.lsn}`;
    case 'led':
      return `leader of ${operation.key}, token ${operation.token}`;
  }
}

function appendAsked({ records, condition, keyOperation, idempotencyKey }: AppendOperation) {
  const { expectTail, expectKey, fence } = condition;
  const [first] = records;
  const data = first === undefined ? '' : ` "${first.data.slice(0, 24)}"`;
  return [
    keyOperation === 'tag' ? `append ${records.length}${data}` : `${keyOperation} ${first?.key}`,
    ...(expectTail === undefined ? [] : [`if the tail is ${expectTail}`]),
    ...(expectKey === undefined ? [] : [`if ${expectKey.key} is at ${expectKey.lsn}`]),
    ...(fence === undefined ? [] : [`fenced by ${fence.key} ${fence.token}`]),
    ...(idempotencyKey === undefined ? [] : [`once as "${idempotencyKey}"`]),
  ].join(' ');
}

function answered(operation: Operation): string {
  if (operation.kind === 'led') return 'led';
  if (operation.kind === 'subscribe') {
    const { records, ended } = operation;
    return `${range(records)}${ended === null ? '' : `, then ${refusal(ended)}`}`;
  }
  const { answer } = operation;
  switch (answer.kind) {
    case 'refused':
      return refusal(answer);
    case 'appended':
      return `at ${positions(answer)}`;
    case 'tail':
      return `${answer.tailLsn}`;
    case 'records':
      return `${range(answer.records)}, next ${answer.nextLsn}`;
    case 'trimmed':
      return `begins at ${answer.firstLsn}`;
    case 'moved':
      return 'done';
  }
}

function refusal({ code, outcome, tailLsn, keyLsn, tokenLsn }: Refused): string {
  const facts = [
    ...(tailLsn === undefined ? [] : [`tail ${tailLsn}`]),
    ...(keyLsn === undefined ? [] : [`key at ${keyLsn}`]),
    ...(tokenLsn === undefined ? [] : [`token ${tokenLsn}`]),
  ];
  const known = outcome === 'unknown' ? 'may have an effect' : 'without effect';
  return `${code} (${[known, ...facts].join(', ')})`;
}

const positions = ({ firstLsn, lastLsn }: Appended): string =>
  firstLsn === lastLsn ? `${firstLsn}` : `${firstLsn}..${lastLsn}`;

function range(records: readonly SeenRecord[]): string {
  const [first, last] = [records[0], records.at(-1)];
  if (first === undefined || last === undefined) return 'no record';
  return first === last
    ? `record ${first.lsn}`
    : `${records.length} records ${first.lsn}..${last.lsn}`;
}

/** Virtual microseconds as seconds, with as many digits as they need. */
export const seconds = (micros: number): string =>
  micros >= 1_000_000 ? `${(micros / 1e6).toFixed(2)} s` : `${(micros / 1e3).toFixed(1)} ms`;

const cut = (text: string): string =>
  text.length <= TEXT_MAX ? text : `${text.slice(0, TEXT_MAX - 1)}…`;
