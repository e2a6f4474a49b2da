// How appends are cut into batches, numbered and sent: the state of a session, and what goes out.
//
// Calls of `append` that ask for nothing special and wait together become one batch: no timer, the
// queue is drained whenever the stream has room. What carries a condition always goes alone.

import { type AppendCondition, NO_CONDITION } from '../protocol/chain/messages.ts';
import type { JournalError } from '../protocol/errors.ts';
import type { Idempotence, JournalId, KeyOperation, WriterId } from '../protocol/types.ts';
import type { AppendCall, NewRecord } from '../transport/public.ts';

/** One call of `append`. */
export interface Submission {
  readonly id: number;
  readonly records: readonly NewRecord[];
  /** Of all records, with an allowance for each: what limits compare. */
  readonly bytes: number;
  readonly condition: AppendCondition;
  readonly keyOperation: KeyOperation;
  readonly leaseMillis: number;
  /** Under a key of the caller's, or a number that it was sent under before; null: the session's. */
  readonly chosen: Idempotence | null;
  /** The only journal that it may be appended to; absent: whichever has the name. */
  readonly journal?: JournalId | undefined;
}

export interface Batch {
  /** More than one where callers' small appends were put together. */
  submissions: readonly Submission[];
  /** Callers that gave up after the batch may have landed: its cuts stay as they are. */
  readonly gone: Set<number>;
  /** The journal that it was sent to, null before: a retry must not land in one of the same name. */
  journal: JournalId | null;
  /** Null before it is first sent, and once a fresh one has to be numbered anew. */
  number: { readonly writer: WriterId; readonly sequence: number } | null;
  /** Of its transmission that is in flight, null while there is none. */
  tag: number | null;
  /** A transmission of it got no answer: it may be in the log. */
  maybeLanded: boolean;
  /** How often the head said that what comes before it is missing. */
  gaps: number;
}

export interface AppendLimits {
  /** Records of several callers are put together up to this many bytes. */
  readonly mergedBytesMax: number;
  /** A record above this is left to the server to refuse, alone. */
  readonly recordBytesMax: number;
}

/** The limits that the settings of a journal ask for. */
export function limitsOf(settings: {
  readonly recordBytesMax: number;
  readonly batchBytesMax: number;
}): AppendLimits {
  return { recordBytesMax: settings.recordBytesMax, mergedBytesMax: settings.batchBytesMax };
}

export interface Appends {
  /** The journal behind the name, null before it is known. */
  journal: JournalId | null;
  writer: WriterId | null;
  limits: AppendLimits;
  nextSequence: number;
  /** Highest sequence of `writer` that is known to be in the log. */
  ackedSequence: number;
  nextTag: number;
  readonly queue: Submission[];
  /** Of the queue: these were refused as a part of a merged batch. */
  readonly alone: Set<number>;
  /** Cut and not yet settled, in the order of their sequences. */
  readonly batches: Batch[];
  readonly inFlight: Map<number, Batch>;
  inFlightBytes: number;
  /** A stream to the head is up and nothing stands in the way. */
  ready: boolean;
  /** The stream takes no more for now. */
  blocked: boolean;
  /** A refusal for now: what else is in flight is awaited, then all is sent again. */
  pausing: JournalError | null;
}

/** Batches in flight at most. The head remembers 256 of a writer by default. */
export const IN_FLIGHT_MAX = 64;
/** From here on small appends wait for an answer, so that more of them go together. */
const IN_FLIGHT_MERGE = 8;
const IN_FLIGHT_BYTES_MAX = 16 * 2 ** 20;
const MERGED_RECORDS_MAX = 4_096;
/** What a record costs beside its key and data, roughly, when limits are compared. */
export const RECORD_OVERHEAD_BYTES = 32;

export function openAppends(limits: AppendLimits): Appends {
  return {
    journal: null,
    writer: null,
    limits,
    nextSequence: 1,
    ackedSequence: 0,
    nextTag: 1,
    queue: [],
    alone: new Set(),
    batches: [],
    inFlight: new Map(),
    inFlightBytes: 0,
    ready: false,
    blocked: false,
    pausing: null,
  };
}

export const hasWork = (state: Appends): boolean =>
  state.queue.length > 0 || state.batches.length > 0;

/** Something that waits needs the session's own numbers. */
export const needsWriter = (state: Appends): boolean =>
  state.writer === null &&
  (state.queue.some(({ chosen }) => chosen === null) ||
    state.batches.some(({ number, submissions }) => number === null && !isChosen(submissions)));

export function maySend(state: Appends): boolean {
  if (!state.ready || state.blocked || state.pausing !== null) return false;
  return state.inFlight.size < IN_FLIGHT_MAX && state.inFlightBytes < IN_FLIGHT_BYTES_MAX;
}

function mergeable(state: Appends, submission: Submission): boolean {
  return (
    submission.chosen === null &&
    submission.keyOperation === 'tag' &&
    submission.condition === NO_CONDITION &&
    !state.alone.has(submission.id) &&
    submission.records.every(
      ({ data, key }) => data.length + (key?.length ?? 0) <= state.limits.recordBytesMax,
    )
  );
}

/** Takes the next batch off the queue; undefined where it is empty or better waits to fill. */
export function cut(state: Appends): Batch | undefined {
  const first = state.queue[0];
  if (first === undefined) return undefined;
  let taken = 1;
  if (mergeable(state, first)) {
    let { bytes } = first;
    let records = first.records.length;
    let full = bytes >= state.limits.mergedBytesMax || records >= MERGED_RECORDS_MAX;
    while (!full) {
      const next = state.queue[taken];
      if (next === undefined) break;
      full = !mergeable(state, next);
      full ||= bytes + next.bytes > state.limits.mergedBytesMax;
      full ||= records + next.records.length > MERGED_RECORDS_MAX;
      if (full) break;
      bytes += next.bytes;
      records += next.records.length;
      taken += 1;
    }
    if (!full && state.inFlight.size >= IN_FLIGHT_MERGE) return undefined;
  }
  const submissions = state.queue.splice(0, taken);
  for (const { id } of submissions) state.alone.delete(id);
  const batch: Batch = {
    submissions,
    gone: new Set(),
    journal: null,
    number: null,
    tag: null,
    maybeLanded: false,
    gaps: 0,
  };
  state.batches.push(batch);
  return batch;
}

export function number(state: Appends, batch: Batch): boolean {
  const chosen = batch.submissions[0]?.chosen;
  if (chosen !== null && chosen !== undefined) {
    batch.number = { writer: chosen.writer, sequence: chosen.sequence };
    return true;
  }
  if (state.writer === null) return false;
  batch.number = { writer: state.writer, sequence: state.nextSequence };
  state.nextSequence += 1;
  return true;
}

export const isChosen = (submissions: readonly Submission[]): boolean =>
  (submissions[0]?.chosen ?? null) !== null;

/** The last sequence that must be in the log before this batch. */
function expectedBefore(state: Appends, batch: Batch): number {
  const { writer, sequence } = batch.number ?? { writer: null, sequence: 0 };
  let expected = writer === state.writer ? state.ackedSequence : 0;
  for (const other of state.batches) {
    if (other === batch) break;
    // One that all callers gave up while it was in flight may or may not get there.
    if (other.number?.writer !== writer || allGone(other)) continue;
    expected = Math.max(expected, other.number.sequence);
  }
  return Math.min(expected, sequence - 1);
}

export const allGone = ({ submissions, gone }: Batch): boolean =>
  submissions.every(({ id }) => gone.has(id));

export interface SendEffect {
  readonly kind: 'send';
  readonly call: Omit<AppendCall, 'journal'>;
}

export function transmit(state: Appends, batch: Batch): SendEffect {
  const tag = state.nextTag;
  state.nextTag += 1;
  batch.tag = tag;
  batch.journal ??= batch.submissions[0]?.journal ?? state.journal;
  state.inFlight.set(tag, batch);
  state.inFlightBytes += bytesOf(batch);
  const [first] = batch.submissions;
  const idempotence =
    first?.chosen ??
    (batch.number === null
      ? null
      : { ...batch.number, chosen: false, after: expectedBefore(state, batch) });
  return {
    kind: 'send',
    call: {
      tag,
      records: batch.submissions.flatMap(({ records }) => records),
      condition: first?.condition ?? NO_CONDITION,
      keyOperation: first?.keyOperation ?? 'tag',
      leaseMillis: first?.leaseMillis ?? 0,
      idempotence,
      journalId: batch.journal ?? undefined,
    },
  };
}

export const bytesOf = ({ submissions }: Batch): number =>
  submissions.reduce((sum, { bytes }) => sum + bytes, 0);
