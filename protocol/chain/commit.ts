// What is committed, and who may be told: acknowledgements become a commit position, waiting
// appends become answers, and reads wait for a barrier of the whole chain.

import { type Configuration, head, type Member, order, sameMember } from '../configuration.ts';
import { invariant, type Refusal, refusal } from '../errors.ts';
import type { Lsn } from '../types.ts';
import { after, lower, NO_LSN } from '../types.ts';
import type { ChainEffect, ChainReply, ReadIndex, RequestId } from './messages.ts';
import {
  awake,
  type ChainState,
  isHead,
  type Place,
  place,
  raiseFloor,
  vouchedLsn,
  type WaitingAppend,
  type WaitingRead,
} from './state.ts';
import { commitTables, committedDataLsn } from './tables.ts';

/** At the end of a turn, head: draws a barrier if one is asked for, commits, answers. */
export function settle(state: ChainState, effects: ChainEffect[]): void {
  const here = place(state);
  if (here === null || !isHead(state)) return;
  drawBarrier(state, here);
  const durableLsn = vouchedLsn(state);
  const barrier = state.wedged ? 0 : state.barrier;
  state.acked.set(state.me.store, { store: state.me.store, durableLsn, barrier });
  if (durableLsn > NO_LSN) raiseFloor(state, durableLsn);
  const agreed = agreement(state, here.configuration);
  advanceCommit(state, lower(agreed.durableLsn, state.shape.endLsn), effects);
  answerAppends(state, here.configuration, effects);
  answerReads(state, agreed.barrier, effects);
}

/** What every member of the epoch, a joining one included, has acknowledged. */
function agreement(
  state: ChainState,
  configuration: Configuration,
): { readonly durableLsn: Lsn; readonly barrier: number } {
  let durableLsn = state.shape.endLsn;
  let barrier = state.barrier;
  for (const { store } of order(configuration)) {
    const entry = state.acked.get(store);
    durableLsn = lower(durableLsn, entry?.durableLsn ?? NO_LSN);
    barrier = Math.min(barrier, entry?.barrier ?? 0);
  }
  return { durableLsn, barrier };
}

/** One barrier serves all reads that came before it; the next is drawn when it came back. */
function drawBarrier(state: ChainState, { configuration }: Place): void {
  const waiting = state.reads.filter((read) => read.barrier === null);
  if (waiting.length === 0) return;
  if (state.barrier > 0 && agreement(state, configuration).barrier < state.barrier) return;
  state.barrier += 1;
  for (const read of waiting) read.barrier = state.barrier;
}

/** The commit position rises (spec: HeadCommit, LearnCommit); it never falls within a lineage. */
export function advanceCommit(state: ChainState, committedLsn: Lsn, effects: ChainEffect[]): void {
  if (committedLsn <= state.committedLsn) return;
  invariant(
    committedLsn <= state.shape.endLsn,
    'only what is in the log is committed',
    () => `${committedLsn} of ${state.shape.endLsn}`,
  );
  state.committedLsn = committedLsn;
  commitTables(state.tables, committedLsn);
  effects.push({ kind: 'commit', committedLsn });
  carryOutTrims(state, effects);
  answerRemoteReads(state, effects);
}

/** Those whose entries are committed: readers see no more of what they took, the log drops it. */
export function carryOutTrims(state: ChainState, effects: ChainEffect[]): void {
  let through: Lsn = NO_LSN;
  while (state.trims[0] !== undefined && state.trims[0].lsn <= state.committedLsn) {
    through = state.trims.shift()?.through ?? through;
  }
  if (through > NO_LSN) effects.push({ kind: 'trim', through });
}

function answerAppends(
  state: ChainState,
  configuration: Configuration,
  effects: ChainEffect[],
): void {
  if (order(configuration).length < configuration.settings.minReplicas) {
    refuseAppends(state, underReplicated(configuration), effects);
    return;
  }
  let answered = 0;
  for (const append of state.appends) {
    if (append.untilLsn > state.committedLsn) break;
    effects.push({ kind: 'reply', request: append.request, reply: append.reply });
    answered += 1;
  }
  if (answered > 0) state.appends.splice(0, answered);
  if (state.duplicates.length === 0) return;
  state.duplicates = state.duplicates.filter(({ untilLsn, request, reply }) => {
    if (untilLsn > state.committedLsn) return true;
    effects.push({ kind: 'reply', request, reply });
    return false;
  });
}

/** Served as committed perhaps, but never acknowledged: too few members hold it. */
export function underReplicated(configuration: Configuration): Refusal {
  const members = order(configuration).length;
  const { minReplicas } = configuration.settings;
  return refusal(
    'UNDER_REPLICATED',
    `${members} of at least ${minReplicas} members hold the journal: appends wait for a member`,
    { configuration },
  );
}

function refuseAppends(state: ChainState, refused: Refusal, effects: ChainEffect[]): void {
  for (const { request } of [...state.appends, ...state.duplicates]) {
    reply(request, { kind: 'refused', refusal: refused, outcome: 'unknown' }, effects);
  }
  state.appends = [];
  state.duplicates = [];
}

function reply(request: RequestId, body: ChainReply, effects: ChainEffect[]): void {
  effects.push({ kind: 'reply', request, reply: body });
}

function answerReads(state: ChainState, barrier: number, effects: ChainEffect[]): void {
  const started = state.startLsn !== null && state.committedLsn >= state.startLsn;
  if (!started || state.reads.length === 0) return;
  state.reads = state.reads.filter((read) => {
    const proven = read.barrier !== null && read.barrier <= barrier;
    if (!proven || read.untilLsn > state.committedLsn) return true;
    answerRead(state, read, effects);
    return false;
  });
}

function answerRead(state: ChainState, { to }: WaitingRead, effects: ChainEffect[]): void {
  const answer = readIndex(state);
  if (to.kind === 'client') {
    reply(to.request, to.reply ?? { kind: 'readIndex', ...answer }, effects);
  } else {
    const body = { kind: 'readIndexAnswer', read: to.read, answer } as const;
    effects.push({ kind: 'send', to: to.member, body });
  }
}

function readIndex(state: ChainState): ReadIndex {
  return { committedLsn: state.committedLsn, dataLsn: committedDataLsn(state.tables) };
}

// ── Reads that another member asks the head for ────────────────────────────────────────────────

export function takeReadIndex(state: ChainState, member: Member, read: number): void {
  const again = state.reads.some(
    ({ to }) => to.kind === 'member' && to.read === read && sameMember(to.member, member),
  );
  if (again) return;
  const to = { kind: 'member', member, read } as const;
  state.reads.push({ to, untilLsn: NO_LSN, since: awake(state), barrier: null });
}

/** Asked although it is not the head: the asker finds the head from the refusal. */
export function answerFromHead(
  state: ChainState,
  to: Member,
  read: number,
  effects: ChainEffect[],
): void {
  effects.push({
    kind: 'send',
    to,
    body: { kind: 'readIndexAnswer', read, answer: notHead(state) },
  });
}

export function notHead(state: ChainState): Refusal {
  const configuration = state.known;
  const leads = configuration === null ? undefined : head(configuration);
  const hint = leads === undefined ? 'no head is known' : `the head is ${leads.id}`;
  const details = configuration === null ? {} : { configuration };
  return refusal('NOT_HEAD', `this replica takes no such request now: ${hint}`, details);
}

export function takeReadIndexAnswer(
  state: ChainState,
  read: number,
  answer: ReadIndex | Refusal,
  effects: ChainEffect[],
): void {
  const waiting = state.remoteReads.get(read);
  if (waiting === undefined) return;
  if ('code' in answer) {
    state.remoteReads.delete(read);
    reply(waiting.request, { kind: 'refused', refusal: answer, outcome: 'none' }, effects);
    return;
  }
  waiting.answer = answer;
  answerRemoteReads(state, effects);
}

function answerRemoteReads(state: ChainState, effects: ChainEffect[]): void {
  for (const [read, { request, answer }] of state.remoteReads) {
    if (answer === null || answer.committedLsn > state.committedLsn) continue;
    state.remoteReads.delete(read);
    reply(request, { kind: 'readIndex', ...answer }, effects);
  }
}

/** Not the head any more: who waits is told to go on elsewhere; what is in the log may commit. */
export function refuseWaiting(state: ChainState, effects: ChainEffect[]): void {
  const refused = notHead(state);
  refuseAppends(state, refused, effects);
  for (const { to } of state.reads) {
    if (to.kind !== 'client') continue;
    reply(to.request, { kind: 'refused', refusal: refused, outcome: 'none' }, effects);
  }
  for (const { request } of state.remoteReads.values()) {
    reply(request, { kind: 'refused', refusal: refused, outcome: 'none' }, effects);
  }
  state.reads = [];
  state.remoteReads.clear();
  state.burned.clear();
}

/** An append or control entry of this head: answered when it is committed. */
export function awaitCommit(state: ChainState, append: WaitingAppend): void {
  state.appends.push(append);
}

/** The first position left after everything up to `through` was dropped. */
export const firstAfter = (through: Lsn): Lsn => after(through, 1);
