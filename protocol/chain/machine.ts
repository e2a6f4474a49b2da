// Chain replication as one pure machine: everything one member does for one journal.
//
// Write-all inside an epoch: the head commits what every member of its configuration has on disk;
// any one serving member therefore holds every committed entry, and is enough to go on from. The
// control plane decides configurations; this machine adopts them (epoch.ts), replicates (flow.ts),
// commits and reads (commit.ts), answers clients at the head (head.ts).
//
// Source: our specs ChainReconfig and TrimJoin; chain replication (van Renesse, Schneider 2004),
// Vertical Paxos (Lamport, Malkhi, Zhou 2009), apportioned queries (CRAQ 2009).
//
// Left out, and why: read leases (they bring clocks into safety); a sealing round before a change
// (adopting a newer epoch seals the old one, since commits need every member).

import { compareConfigurations, findMember } from '../configuration.ts';
import { lower, micros } from '../types.ts';
import { answerFromHead, settle, takeReadIndex, takeReadIndexAnswer } from './commit.ts';
import { learn, lowerMark, rebase, takeConfiguration, takeSaved, wedge } from './epoch.ts';
import {
  flushMember,
  learned,
  resend,
  takeAck,
  takeLinked,
  takeReplicate,
  takeSync,
} from './flow.ts';
import { cancelRequest, takeRequest } from './head.ts';
import type { ChainEffect, ChainInput, ChainMessage } from './messages.ts';
import { type ChainState, isHead, LATE_MICROS, place, RESEND_MICROS } from './state.ts';

/**
 * One turn of the driver: takes the inputs in order, then says once what is due to the peers, so
 * that many appends share one message. The first input of a turn is a `tick` with the time.
 */
export function turn(state: ChainState, inputs: readonly ChainInput[]): ChainEffect[] {
  const effects: ChainEffect[] = [];
  for (const input of inputs) take(state, input, effects);
  settle(state, effects);
  flushMember(state, effects);
  return effects;
}

/** A turn of one input. */
export function step(state: ChainState, input: ChainInput): ChainEffect[] {
  return turn(state, [input]);
}

function take(state: ChainState, input: ChainInput, effects: ChainEffect[]): void {
  switch (input.kind) {
    case 'request':
      takeRequest(state, input.request, input.body, effects);
      break;
    case 'message':
      takeMessage(state, input.message, effects);
      break;
    case 'synced':
      takeSynced(state, input.durableLsn);
      break;
    case 'saved':
      takeSaved(state, input.save, input.tables, effects);
      break;
    case 'linked':
      takeLinked(state, input.peer, effects);
      break;
    case 'configure':
      takeConfiguration(state, input.configuration, effects);
      break;
    case 'wedge':
      wedge(state, input.epoch);
      break;
    case 'learn':
      learn(state, input.configuration, effects);
      break;
    case 'learned':
      learned(state, input, effects);
      break;
    case 'basing':
      if (state.standing === 'learner') lowerMark(state, input.baseLsn, effects);
      break;
    case 'based':
      rebase(state, input.shape, input.tables);
      break;
    case 'cancel':
      cancelRequest(state, input.request);
      break;
    case 'tick':
      if (input.now - state.now > LATE_MICROS) {
        state.missed = micros(state.missed + input.now - state.now);
      }
      state.now = input.now;
      state.wall = input.wall;
      resend(state, effects);
  }
}

/**
 * A sync of the disk: what was appended up to here may now be vouched for. One that ends while a
 * cut waits counts as far as the log is kept: nothing tells of it again before the next append.
 */
function takeSynced(state: ChainState, durableLsn: ChainState['durableLsn']): void {
  const reached = lower(durableLsn, state.shape.endLsn);
  if (reached <= state.durableLsn) return;
  state.durableLsn = reached;
  state.ackDue = true;
}

/** Drops what the member's own configuration does not name: an old epoch, a stranger. */
function takeMessage(state: ChainState, message: ChainMessage, effects: ChainEffect[]): void {
  const mine = state.record;
  if (message.journal !== state.journal) return;
  const known = mine === null ? null : { lineage: mine.configuration.lineage, epoch: mine.epoch };
  if (known === null || compareConfigurations(message, known) > 0) {
    inquire(state, effects);
    return;
  }
  const here = place(state);
  if (here === null || compareConfigurations(message, known) < 0) return;
  const from = findMember(here.configuration, message.from);
  if (from === undefined) return;
  const { body } = message;
  switch (body.kind) {
    case 'replicate':
      takeReplicate(state, here, from, body, effects);
      break;
    case 'ack':
      takeAck(state, body.entries);
      break;
    case 'sync':
      takeSync(state, here, from, body.shape, effects);
      break;
    case 'tooOld':
      if (!state.synced) state.tooOld = true;
      break;
    case 'readIndex':
      if (isHead(state)) takeReadIndex(state, from, body.read);
      else answerFromHead(state, from, body.read, effects);
      break;
    case 'readIndexAnswer':
      takeReadIndexAnswer(state, body.read, body.answer, effects);
  }
}

/** A peer is ahead: the control plane is asked, the peer is not believed. */
function inquire(state: ChainState, effects: ChainEffect[]): void {
  if (state.inquiredAt !== 0 && state.now - state.inquiredAt < RESEND_MICROS) return;
  state.inquiredAt = micros(Math.max(state.now, 1));
  effects.push({ kind: 'inquire' });
}
