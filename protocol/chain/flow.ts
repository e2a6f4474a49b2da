// How entries flow down the chain and acknowledgements back up, and how a log is brought in line
// with its predecessor's before it counts (the sync rule).

import { head, type Member, type MemberKey, sameMember } from '../configuration.ts';
import { invariant } from '../errors.ts';
import type { Batch, Lsn } from '../types.ts';
import { higher, lastLsn, lower, NO_LSN } from '../types.ts';
import { advanceCommit } from './commit.ts';
import { agree, askForSync, cut, putAside } from './epoch.ts';
import type { AckEntry, ChainBody, ChainEffect, ChainInput, LogShape } from './messages.ts';
import { epochAt, extended, matchPoint } from './shape.ts';
import {
  type ChainState,
  isHead,
  type Place,
  place,
  RELAY_MICROS,
  RESEND_MICROS,
  raiseFloor,
  successorHasAll,
  vouchedLsn,
} from './state.ts';
import { foldBatch } from './tables.ts';

type Replicate = Extract<ChainBody, { kind: 'replicate' }>;

/** Entries, or a heartbeat, from the predecessor (spec: RecvReplicate, Sync). */
export function takeReplicate(
  state: ChainState,
  here: Place,
  from: Member,
  body: Replicate,
  effects: ChainEffect[],
): void {
  if (here.predecessor === undefined || !sameMember(from, here.predecessor)) return;
  if (state.cutting !== 0) return;
  state.startLsn = body.startLsn;
  if (epochAt(state.shape, body.previousLsn) !== body.previousEpoch) {
    state.gap = true;
    return;
  }
  const verified = append(state, body.previousLsn, body.batches, effects);
  if (verified === null) return;
  if (!state.synced && body.batches.length === 0 && verified < state.shape.endLsn) {
    // A frame without batches shows where the predecessor's log ends: the rest is not its.
    cutTo(state, verified, effects);
    return;
  }
  state.gap = false;
  state.ackDue = true;
  if (state.synced || verified >= body.startLsn) {
    state.synced = true;
    state.tooOld = false;
    agree(state, effects);
    state.barrier = Math.max(state.barrier, body.barrier);
    advanceCommit(state, lower(body.committedLsn, verified), effects);
  }
}

/**
 * Appends what extends the log and passes over what is there already. Gives the last position that
 * is known to agree with the sender; null once a cut is under way, after which it sends again.
 */
function append(
  state: ChainState,
  previousLsn: Lsn,
  batches: readonly Batch[],
  effects: ChainEffect[],
): Lsn | null {
  const fresh: Batch[] = [];
  let at = previousLsn;
  for (const batch of batches) {
    const { header } = batch;
    const end = lastLsn(header);
    invariant(header.firstLsn === at + 1, 'batches are dense', () => `${header.firstLsn}`);
    if (end > state.shape.endLsn || epochAt(state.shape, header.firstLsn) !== header.epoch) {
      if (at < state.shape.endLsn) {
        cutTo(state, at, effects);
        return null;
      }
      state.shape = extended(state.shape, header.epoch, end);
      foldBatch(state.tables, header);
      if (header.control?.kind === 'trim') {
        state.trims.push({ lsn: end, through: header.control.through });
      }
      fresh.push(batch);
    }
    at = end;
  }
  if (fresh.length > 0) effects.push({ kind: 'write', batches: fresh });
  return at;
}

/**
 * A cut below what is committed means that this epoch is over: ask, cut nothing. Where it would
 * take entries of a lineage that was given up, the log is put aside instead.
 */
function cutTo(state: ChainState, endLsn: Lsn, effects: ChainEffect[]): void {
  const { record } = state;
  if (endLsn < state.committedLsn) effects.push({ kind: 'inquire' });
  else if (record === null || endLsn >= record.elderLsn) cut(state, endLsn, effects);
  else putAside(state, { ...record, markLsn: NO_LSN }, effects);
}

/** A successor says where its log is: send from where both agree. */
export function takeSync(
  state: ChainState,
  here: Place,
  from: Member,
  shape: LogShape,
  effects: ChainEffect[],
): void {
  if (here.successor === undefined || !sameMember(from, here.successor) || !state.synced) return;
  const match = matchPoint(state.shape, shape);
  if (match !== null) {
    state.sentLsn = match;
    state.toldLsn = null;
    state.toldBarrier = 0;
  } else if (shape.baseLsn > state.shape.endLsn) {
    effects.push({ kind: 'inquire' });
  } else {
    const body = { kind: 'tooOld', baseLsn: state.shape.baseLsn } as const;
    effects.push({ kind: 'send', to: here.successor, body });
  }
}

/** Acknowledgements merge by maximum; what members below said is passed on to the predecessor. */
export function takeAck(state: ChainState, entries: readonly AckEntry[]): void {
  for (const entry of entries) {
    const known = state.acked.get(entry.store);
    const merged: AckEntry = {
      store: entry.store,
      durableLsn: higher(entry.durableLsn, known?.durableLsn ?? NO_LSN),
      barrier: Math.max(entry.barrier, known?.barrier ?? 0),
    };
    const news = merged.durableLsn !== known?.durableLsn || merged.barrier !== known?.barrier;
    if (!news) continue;
    state.acked.set(entry.store, merged);
    state.relayDue = !isHead(state);
  }
}

/** A link was made anew: what was under way on the old one may be lost. */
export function takeLinked(state: ChainState, peer: MemberKey, effects: ChainEffect[]): void {
  const here = place(state);
  if (here === null) return;
  if (here.successor !== undefined && sameMember(here.successor, peer)) {
    state.toldLsn = null;
    state.toldBarrier = 0;
  }
  if (here.predecessor !== undefined && sameMember(here.predecessor, peer)) {
    askForSync(state, effects);
    state.relayDue = true;
  }
  if (sameMember(here.head, peer)) {
    state.ackDue = true;
    for (const read of state.remoteReads.values()) read.sentAt = state.now;
    resendReads(state, effects);
  }
}

/** At the end of a turn: acknowledge what is due, and bring the successor up to date. */
export function flushMember(state: ChainState, effects: ChainEffect[]): void {
  const here = place(state);
  if (here === null || !state.synced || state.cutting !== 0) return;
  if (!isHead(state)) acknowledge(state, here, effects);
  if (here.successor !== undefined) forward(state, here.successor, effects);
}

function acknowledge(state: ChainState, here: Place, effects: ChainEffect[]): void {
  if (state.wedged || here.predecessor === undefined) return;
  const durableLsn = vouchedLsn(state);
  const own: AckEntry = { store: state.me.store, durableLsn, barrier: state.barrier };
  if (state.ackDue) {
    state.ackDue = false;
    state.relayDue = true;
    raiseFloor(state, durableLsn);
    effects.push({ kind: 'send', to: here.head, body: { kind: 'ack', entries: [own] } });
  }
  if (sameMember(here.predecessor, here.head)) {
    relayToHead(state, here, effects);
  } else if (state.relayDue && state.now - state.relayedAt >= RELAY_MICROS) {
    relay(state, here.predecessor, [own, ...state.acked.values()], effects);
  }
}

/** The members below send to the head themselves; this is for when their path there is cut. */
function relayToHead(state: ChainState, here: Place, effects: ChainEffect[]): void {
  if (here.successor === undefined) {
    state.relayDue = false;
  } else if (state.relayDue && state.now - state.relayedAt >= RELAY_MICROS) {
    relay(state, here.head, [...state.acked.values()], effects);
  }
}

function relay(
  state: ChainState,
  to: Member,
  entries: readonly AckEntry[],
  effects: ChainEffect[],
): void {
  state.relayDue = false;
  state.relayedAt = state.now;
  if (entries.length > 0) effects.push({ kind: 'send', to, body: { kind: 'ack', entries } });
}

/** What the successor lacks: entries, the commit position, a barrier; or again, if it is silent. */
function forward(state: ChainState, to: Member, effects: ChainEffect[]): void {
  const { sentLsn: previousLsn, startLsn, committedLsn, barrier } = state;
  if (previousLsn === null || startLsn === null) return;
  const news =
    previousLsn < state.shape.endLsn ||
    state.toldLsn === null ||
    state.toldLsn < committedLsn ||
    state.toldBarrier < barrier;
  const silent = state.now - state.forwardedAt >= RESEND_MICROS && !successorHasAll(state, to);
  if (!news && !silent) return;
  const previousEpoch = epochAt(state.shape, previousLsn);
  if (previousEpoch === undefined) {
    state.sentLsn = null;
    return;
  }
  const throughLsn = state.shape.endLsn;
  effects.push({
    kind: 'forward',
    to,
    previousLsn,
    previousEpoch,
    throughLsn,
    startLsn,
    committedLsn,
    barrier,
  });
  state.sentLsn = throughLsn;
  state.toldLsn = committedLsn;
  state.toldBarrier = barrier;
  state.forwardedAt = state.now;
}

/** On a tick: asks again for what did not come. */
export function resend(state: ChainState, effects: ChainEffect[]): void {
  if (place(state) === null) return;
  const waits = !state.synced || state.gap;
  if (waits && state.now - state.syncSentAt >= RESEND_MICROS) askForSync(state, effects);
  resendReads(state, effects);
}

function resendReads(state: ChainState, effects: ChainEffect[]): void {
  const here = place(state);
  const to = here === null ? undefined : head(here.configuration);
  if (to === undefined) return;
  for (const [read, waiting] of state.remoteReads) {
    if (waiting.answer !== null || state.now - waiting.sentAt < RESEND_MICROS) continue;
    waiting.sentAt = state.now;
    effects.push({ kind: 'send', to, body: { kind: 'readIndex', read } });
  }
}

/** Committed entries that a learner fetched (spec: LearnerFetch). */
export function learned(
  state: ChainState,
  input: Extract<ChainInput, { kind: 'learned' }>,
  effects: ChainEffect[],
): void {
  if (state.standing !== 'learner' || state.cutting !== 0 || state.adopting !== 0) return;
  if (epochAt(state.shape, input.previousLsn) !== input.previousEpoch) return;
  const verified = append(state, input.previousLsn, input.batches, effects);
  if (verified === null) return;
  advanceCommit(state, lower(input.committedLsn, verified), effects);
}
