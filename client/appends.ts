// The appends of one session as a pure machine: queue, cuts, numbers, what to send again, and what
// became of each append. session.ts turns the crank: it owns the stream, the clock and the callers.
//
//   submit ──▶ queue ──cut──▶ batch ──send──▶ in flight ──answered──▶ settled
//                 ▲              ▲                │
//                 │              └── refused for now, or the stream broke: sent again, in order,
//                 │                  under the same number and with the same cuts
//                 └── refused for good as one of several callers' appends: each goes alone
//
// Numbers (protocol.md §1.6): a batch has the session's writer and the next sequence, and says
// `after`, the last sequence that must be in the log before it. A batch that every caller gave up
// is never sent again, so nothing behind it waits for it.
//
// Left out: keeping the order of one caller's appends when one of them is refused and a later one
// was sent already; who needs that awaits each, or asks `expectTail`.

import type { ErrorCode } from '../protocol/errors.ts';
import { JournalError, withOutcome } from '../protocol/errors.ts';
import { after, type JournalId, type Lsn, micros, type WriterId } from '../protocol/types.ts';
import type { AppendAnswer } from '../transport/public.ts';
import {
  type AppendLimits,
  type Appends,
  allGone,
  type Batch,
  bytesOf,
  cut,
  isChosen,
  maySend,
  number,
  type SendEffect,
  type Submission,
  transmit,
} from './batching.ts';

export type AppendsInput =
  | { readonly kind: 'submit'; readonly submission: Submission }
  /** Cuts and sends what it may: apart from `submit`, so that calls of one moment go together. */
  | { readonly kind: 'flush' }
  /** A writer that no log knows yet. */
  | {
      readonly kind: 'opened';
      readonly journal: JournalId;
      readonly writer: WriterId;
      readonly limits: AppendLimits;
    }
  /** `journal` is the one behind the name now, null where that is not known. */
  | { readonly kind: 'connected'; readonly journal: JournalId | null }
  /** `reached`: what was sent may have arrived. */
  | { readonly kind: 'broken'; readonly error: JournalError; readonly reached: boolean }
  | { readonly kind: 'blocked' }
  | { readonly kind: 'drained' }
  | { readonly kind: 'appended'; readonly answer: AppendAnswer }
  | { readonly kind: 'refused'; readonly tag: number; readonly error: JournalError }
  /** The caller's deadline or signal; the machine adds the outcome. */
  | { readonly kind: 'giveUp'; readonly id: number; readonly error: JournalError }
  /** Nothing of this session can succeed: no such journal, not allowed, closed. */
  | { readonly kind: 'failAll'; readonly error: JournalError };

export type AppendsEffect =
  | SendEffect
  | { readonly kind: 'settle'; readonly id: number; readonly answer: AppendAnswer }
  | { readonly kind: 'reject'; readonly id: number; readonly error: JournalError }
  /** Nothing is in flight: wait, find the head, `connected`; `opened` first if `writer` is null. */
  | { readonly kind: 'pause'; readonly error: JournalError };

/**
 * Refusals that are judged only after the head has looked whether the append is there already: a
 * retry that gets one of them proves that no earlier try landed. LIMIT_EXCEEDED is none of them:
 * the size of a journal is judged before, by an old head too.
 */
const PROVES_NOTHING_LANDED: ReadonlySet<ErrorCode> = new Set([
  'CONDITION_FAILED',
  'FENCED',
  'IDEMPOTENCY_MISMATCH',
]);

/**
 * Whether it proves that no earlier try can land later either: the head that refuses a number does
 * so again. A key that a person chose it judges anew, with what a late copy of the first try finds.
 */
function provesNothingLands({ submissions }: Batch, code: ErrorCode): boolean {
  if (!PROVES_NOTHING_LANDED.has(code)) return false;
  return code === 'IDEMPOTENCY_MISMATCH' || submissions[0]?.chosen?.chosen !== true;
}

export function stepAppends(state: Appends, input: AppendsInput): AppendsEffect[] {
  switch (input.kind) {
    case 'submit':
      state.queue.push(input.submission);
      return [];
    case 'flush':
      return flush(state);
    case 'opened':
      state.journal = input.journal;
      state.writer = input.writer;
      state.limits = input.limits;
      state.nextSequence = 1;
      state.ackedSequence = 0;
      return [];
    case 'connected':
      return connected(state, input.journal);
    case 'broken':
      return broken(state, input.error, input.reached);
    case 'blocked':
      state.blocked = true;
      return [];
    case 'drained':
      state.blocked = false;
      return flush(state);
    case 'appended':
      return appended(state, input.answer);
    case 'refused':
      return refused(state, input.tag, input.error);
    case 'giveUp':
      return giveUp(state, input.id, input.error);
    case 'failAll':
      return failAll(state, input.error);
  }
}

function connected(state: Appends, journal: JournalId | null): AppendsEffect[] {
  state.ready = true;
  state.blocked = false;
  state.pausing = null;
  if (state.journal !== null && state.journal !== journal) forgetWriter(state);
  state.journal = journal;
  return flush(state);
}

// ── Cutting and sending ───────────────────────────────────────────────────────────────────────

function flush(state: Appends): AppendsEffect[] {
  const effects: AppendsEffect[] = [];
  while (maySend(state)) {
    const batch = state.batches.find(({ tag }) => tag === null) ?? cut(state);
    if (batch === undefined) break;
    if (batch.number === null && !number(state, batch)) {
      effects.push(...pause(state, new JournalError('STALE_WRITER', 'the session has no writer')));
      break;
    }
    effects.push(transmit(state, batch));
  }
  return effects;
}

// ── Answers ───────────────────────────────────────────────────────────────────────────────────

function landed(state: Appends, tag: number): Batch | undefined {
  const batch = state.inFlight.get(tag);
  if (batch === undefined) return undefined;
  state.inFlight.delete(tag);
  state.inFlightBytes -= bytesOf(batch);
  batch.tag = null;
  return batch;
}

function remove(state: Appends, batch: Batch): void {
  const at = state.batches.indexOf(batch);
  if (at >= 0) state.batches.splice(at, 1);
}

function appended(state: Appends, answer: AppendAnswer): AppendsEffect[] {
  const batch = landed(state, answer.tag);
  if (batch === undefined) return [];
  remove(state, batch);
  if (batch.number !== null && batch.number.writer === state.writer) {
    state.ackedSequence = Math.max(state.ackedSequence, batch.number.sequence);
  }
  const effects: AppendsEffect[] = [];
  let offset = 0;
  for (const { id, records } of batch.submissions) {
    const firstLsn: Lsn = after(answer.firstLsn, offset);
    offset += records.length;
    if (batch.gone.has(id)) continue;
    const lastLsn = after(answer.firstLsn, offset - 1);
    const timestampMicros = micros(answer.timestampMicros + offset - records.length);
    effects.push({ kind: 'settle', id, answer: { ...answer, firstLsn, lastLsn, timestampMicros } });
  }
  return [...effects, ...proceed(state)];
}

function refused(state: Appends, tag: number, error: JournalError): AppendsEffect[] {
  const batch = landed(state, tag);
  if (batch === undefined) return [];
  const effects: AppendsEffect[] = [];
  if (error.code === 'STALE_WRITER' && !isChosen(batch.submissions) && !batch.maybeLanded) {
    forgetWriter(state, batch);
    state.pausing ??= error;
  } else if (error.code === 'NOT_FOUND' && mayMove(batch) && !batch.maybeLanded) {
    // Deleted, or made anew under the same name: whoever is asked where appends go now says which.
    batch.journal = null;
    forgetWriter(state, batch);
    state.pausing ??= error;
    dropIfGone(state, batch);
  } else if (error.retryable) {
    if (error.code === 'SEQUENCE_GAP') missing(state, batch);
    batch.maybeLanded ||= error.outcome === 'unknown';
    state.pausing ??= error;
    dropIfGone(state, batch);
  } else {
    remove(state, batch);
    effects.push(...refusedForGood(state, batch, error));
  }
  return [...effects, ...proceed(state)];
}

/** To the journal that has the name by now; what is of one journal goes to that one alone. */
const mayMove = ({ journal, submissions }: Batch): boolean =>
  journal !== null && submissions[0]?.journal === undefined;

/** A second gap with nothing of ours before it: this log does not know the session at all. */
function missing(state: Appends, batch: Batch): void {
  batch.gaps += 1;
  if (batch.gaps < 2 || batch.maybeLanded || state.batches[0] !== batch) return;
  batch.gaps = 0;
  forgetWriter(state, batch);
}

function refusedForGood(state: Appends, batch: Batch, error: JournalError): AppendsEffect[] {
  const proven = !batch.maybeLanded || provesNothingLands(batch, error.code);
  const definite = error.outcome === 'none' && proven && error.code !== 'STALE_WRITER';
  const waiting = batch.submissions.filter(({ id }) => !batch.gone.has(id));
  if (definite && batch.submissions.length > 1) {
    // One caller's append was at fault: the others must not fail with it.
    for (const { id } of waiting) state.alone.add(id);
    state.queue.unshift(...waiting);
    return [];
  }
  const told = definite ? withOutcome(error, 'none') : unsettled(error, batch);
  return waiting.map(({ id }) => ({ kind: 'reject', id, error: told }));
}

/** The writer is no longer known to the log: what surely did not land is numbered anew. */
function forgetWriter(state: Appends, refusedBatch?: Batch): void {
  if (refusedBatch !== undefined) {
    const writer = refusedBatch.number?.writer;
    refusedBatch.number = null;
    if (writer !== state.writer) return;
  }
  state.writer = null;
  for (const batch of state.batches) {
    if (batch.tag !== null || batch.maybeLanded) continue;
    batch.journal = null;
    if (!isChosen(batch.submissions)) batch.number = null;
  }
}

function proceed(state: Appends): AppendsEffect[] {
  if (state.pausing === null) return flush(state);
  return state.inFlight.size > 0 ? [] : pause(state, state.pausing);
}

function pause(state: Appends, error: JournalError): AppendsEffect[] {
  state.ready = false;
  state.pausing = null;
  return [{ kind: 'pause', error }];
}

function broken(state: Appends, error: JournalError, reached: boolean): AppendsEffect[] {
  for (const batch of state.inFlight.values()) {
    batch.tag = null;
    batch.maybeLanded ||= reached;
    dropIfGone(state, batch);
  }
  state.inFlight.clear();
  state.inFlightBytes = 0;
  return pause(state, error);
}

function dropIfGone(state: Appends, batch: Batch): void {
  if (allGone(batch)) remove(state, batch);
}

// ── Callers that leave ────────────────────────────────────────────────────────────────────────

function giveUp(state: Appends, id: number, error: JournalError): AppendsEffect[] {
  const at = state.queue.findIndex((submission) => submission.id === id);
  if (at >= 0) {
    state.queue.splice(at, 1);
    state.alone.delete(id);
    return [{ kind: 'reject', id, error: withOutcome(error, 'none') }];
  }
  const batch = state.batches.find(({ submissions, gone }) =>
    submissions.some((submission) => submission.id === id && !gone.has(id)),
  );
  if (batch === undefined) return [];
  const unknown = batch.maybeLanded || batch.tag !== null;
  if (unknown) batch.gone.add(id);
  else batch.submissions = batch.submissions.filter((submission) => submission.id !== id);
  if (batch.tag === null) dropIfGone(state, batch);
  const told = unknown ? unsettled(error, batch) : withOutcome(error, 'none');
  return [{ kind: 'reject', id, error: told }];
}

function failAll(state: Appends, error: JournalError): AppendsEffect[] {
  const ids = [
    ...state.batches.flatMap(({ submissions, gone }) =>
      submissions.filter(({ id }) => !gone.has(id)),
    ),
    ...state.queue,
  ].map(({ id }) => id);
  return ids.flatMap((id) => giveUp(state, id, error));
}

/** Nobody knows what became of it: with its number, where one caller's append was all of it. */
function unsettled(error: JournalError, { number, submissions }: Batch): JournalError {
  const own = number !== null && submissions.length === 1 && !submissions[0]?.chosen?.chosen;
  const { code, message, details } = error;
  const facts = own ? { ...details, sentAs: number } : details;
  return new JournalError(code, message, facts, 'unknown', { cause: error });
}
