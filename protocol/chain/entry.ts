// Making entries at the head: a header at the end of the log, and who waits for its commit.

import { order } from '../configuration.ts';
import type { Refusal } from '../errors.ts';
import { after, type BatchHeader, type Lsn, micros, NO_EPOCH } from '../types.ts';
import { awaitCommit } from './commit.ts';
import type { ChainEffect, ChainReply, RequestId } from './messages.ts';
import { extended } from './shape.ts';
import { awake, type ChainState, place } from './state.ts';
import { foldBatch } from './tables.ts';

export function refuse(request: RequestId, refused: Refusal, effects: ChainEffect[]): void {
  const reply = { kind: 'refused', refusal: refused, outcome: 'none' } as const;
  effects.push({ kind: 'reply', request, reply });
}

/** A reply that is true only if nothing newer exists: after a commit, and behind a barrier. */
export function prove(
  state: ChainState,
  request: RequestId,
  untilLsn: Lsn,
  reply: ChainReply | null,
): void {
  const to = { kind: 'client', request, reply } as const;
  state.reads.push({ to, untilLsn, since: awake(state), barrier: null });
}

/**
 * A "no" that the tables gave: said once what it comes from is committed, all that they hold where
 * nothing else is known, and by a head that leads.
 */
export function deny(
  state: ChainState,
  request: RequestId,
  refused: Refusal,
  becauseLsn: Lsn = state.shape.endLsn,
): void {
  prove(state, request, becauseLsn, { kind: 'refused', refusal: refused, outcome: 'none' });
}

export function tooFew(state: ChainState): boolean {
  const configuration = place(state)?.configuration;
  if (configuration === undefined) return true;
  return order(configuration).length < configuration.settings.minReplicas;
}

/** A header of one plain record at `firstLsn`. Times only rise, whatever clocks do. */
export function blank(state: ChainState, firstLsn: Lsn): BatchHeader {
  const epoch = state.record?.epoch ?? NO_EPOCH;
  return {
    journal: state.journal,
    firstLsn,
    count: 1,
    epoch,
    timestamp: micros(Math.max(state.tables.scalars.lastTimestamp + 1, state.wall)),
    kind: 'data',
    keyOperation: 'tag',
    leaseMillis: 0,
    idempotence: null,
    keys: [],
    control: null,
    bodyCrc: 0,
    bodyBytes: 0,
  };
}

export function write(
  state: ChainState,
  request: RequestId,
  header: BatchHeader,
  effects: ChainEffect[],
  reply: ChainReply,
): void {
  const untilLsn = after(header.firstLsn, header.count - 1);
  state.shape = extended(state.shape, header.epoch, untilLsn);
  foldBatch(state.tables, header);
  effects.push({ kind: 'append', request, header });
  awaitCommit(state, { request, untilLsn, since: awake(state), reply });
}
