// One order: every position holds one record, every record one position, and what returned before
// something else began lies before it. Exact, in O(n log n).

import {
  type History,
  type Operation,
  ofEachJournal,
  type ReadOperation,
  type Say,
} from './history.ts';
import { type Truth, truthOf } from './truth.ts';

export const order = ofEachJournal('order', (history, journal, say) => {
  const truth = truthOf(history, journal);
  truth.conflicts.forEach(say);
  origins(truth, say);
  wholeBatches(truth, say);
  realTime(bounds(history, journal, truth), say);
  dense(history, journal, say);
  return truth.sightings;
});

/** Nothing is in the log that nobody appended, or that was refused without effect. */
function origins(truth: Truth, say: Say): void {
  for (const { lsn, data, append } of truth.records) {
    // The client's own records of a lease are known by their positions alone.
    if (append === undefined && data === `lease@${lsn}`) continue;
    if (append === undefined) say(`"${data}" at ${lsn} was never appended`);
    else if (append.answer.kind === 'refused' && append.answer.outcome === 'none') {
      say(`"${data}" at ${lsn} was refused with ${append.answer.code} and outcome none`);
    }
  }
}

/** The records of one append lie side by side, all of them or none. */
function wholeBatches(truth: Truth, say: Say): void {
  for (const { records, answer } of truth.appends) {
    if (answer.kind === 'appended' && answer.lastLsn - answer.firstLsn + 1 !== records.length) {
      say(
        `${records.length} records were given the positions ${answer.firstLsn}..${answer.lastLsn}`,
      );
    }
    const places = records.map(({ data }) => truth.byData.get(data)?.lsn);
    const known = places.findIndex((place) => place !== undefined);
    if (known < 0) continue;
    const first = (places[known] ?? 0) - known;
    for (const [at, place] of places.entries()) {
      // A record that nobody saw is no finding here: durability.ts looks for those.
      if (place !== undefined && place !== first + at) {
        say(`"${records[at]?.data}" at ${place} is apart from its batch at ${first}`);
      }
    }
  }
}

/** Positions that an operation proves: all before it lie below `low`, all after it above `high`. */
interface Bound {
  readonly what: string;
  readonly called: number;
  readonly returned: number;
  /** Greatest position that may have been returned before this was called. */
  readonly low: number;
  /** Greatest position that is known to exist once this has returned. */
  readonly high: number;
}

function bounds(history: History, journal: string, truth: Truth): Bound[] {
  const found: Bound[] = [];
  const firstCalls = new Map<string, number>();
  for (const { idempotencyKey, called } of truth.appends) {
    if (idempotencyKey === undefined) continue;
    firstCalls.set(idempotencyKey, Math.min(called, firstCalls.get(idempotencyKey) ?? Infinity));
  }
  for (const operation of history.operations) {
    if (operation.journal !== journal) continue;
    const bound = boundOf(operation, truth, firstCalls);
    if (bound !== null) found.push(bound);
  }
  return found;
}

function boundOf(
  operation: Operation,
  truth: Truth,
  firstCalls: ReadonlyMap<string, number>,
): Bound | null {
  const { called, process } = operation;
  const returned = operation.returned ?? Infinity;
  if (operation.kind === 'append') {
    const { answer, records, idempotencyKey } = operation;
    const found = truth.byData.get(records[0]?.data ?? '')?.lsn;
    const firstLsn = answer.kind === 'appended' ? answer.firstLsn : found;
    if (firstLsn === undefined) return null;
    // Under a chosen key the record may be older than this call, but not than the first with it.
    const begun =
      idempotencyKey === undefined ? called : (firstCalls.get(idempotencyKey) ?? called);
    return {
      what: `the append of "${records[0]?.data}" by ${process} at ${firstLsn}`,
      called: begun,
      returned: answer.kind === 'appended' ? returned : Infinity,
      low: firstLsn - 1,
      high: answer.kind === 'appended' ? answer.lastLsn : 0,
    };
  }
  if (operation.kind === 'tail' && operation.answer.kind === 'tail') {
    const { tailLsn } = operation.answer;
    return {
      what: `the tail ${tailLsn} of ${process}`,
      called,
      returned,
      low: tailLsn,
      high: tailLsn,
    };
  }
  if (operation.kind === 'read' && operation.answer.kind === 'records') {
    const { answer, from, linearizable } = operation;
    const high = answer.records.at(-1)?.lsn ?? 0;
    const low = linearizable && cameToTheEnd(operation) ? answer.nextLsn - 1 : Infinity;
    return { what: `the read of ${process} from ${from}`, called, returned, low, high };
  }
  return null;
}

/** Less than any read is cut off at, which is at 8 MiB. */
const SHORT_CHARACTERS = 1_000_000;

/** Whether there was room left for more: then nothing is said to lie above what was answered. */
function cameToTheEnd({ answer, limit = 1 }: ReadOperation): boolean {
  if (answer.kind !== 'records' || answer.records.length >= limit) return false;
  return answer.records.reduce((sum, { data }) => sum + data.length, 0) < SHORT_CHARACTERS;
}

function realTime(found: readonly Bound[], say: Say): void {
  const byCall = [...found].sort((one, other) => one.called - other.called);
  const byReturn = [...found].sort((one, other) => one.returned - other.returned);
  let next = 0;
  let highest: Bound | null = null;
  for (const bound of byCall) {
    for (;;) {
      const earlier: Bound | undefined = byReturn[next];
      if (earlier === undefined || earlier.returned >= bound.called) break;
      if (highest === null || earlier.high > highest.high) highest = earlier;
      next += 1;
    }
    if (highest === null || bound === highest || highest.high <= bound.low) continue;
    say(`${bound.what} began after ${highest.what} had returned, and does not come after it`);
  }
}

/** Entries of every member follow one another without gap, control entries included. */
function dense(history: History, journal: string, say: Say): void {
  for (const { journal: name, member, baseLsn, batches, damaged = [] } of history.finals) {
    if (name !== journal) continue;
    let end = baseLsn;
    let epoch = 0;
    for (const batch of batches) {
      for (const bad of damaged) if (bad.firstLsn === end + 1) end = bad.lastLsn;
      if (batch.firstLsn !== end + 1) say(`${member} goes on at ${batch.firstLsn} after ${end}`);
      if (batch.epoch < epoch)
        say(`${member} has epoch ${batch.epoch} after ${epoch} at ${end + 1}`);
      epoch = batch.epoch;
      end = batch.lastLsn;
    }
  }
}
