// One attempt of one change: prepare, f(value of the highest accepted ballot), accept.
//
// An attempt ends in one outcome. Whether an attempt that did not end in `chosen` took effect is
// not known: the next one finds out, since it reads what may have been chosen before it proposes
// (ConfigRegister.tla: ignore is what happens otherwise). So f must tell a change that is already
// there from one that is still to be made: ours compare epochs, start ids and journal ids.
//
// Left out, and why: skipping the first round for the same proposer (two controllers would duel
// for it, and a change takes milliseconds); a leader (none is needed, a duel costs a retry).

import type { Step } from '../machine.ts';
import {
  type AcceptorAnswer,
  type AcceptorRequest,
  type AcceptorSet,
  type Ballot,
  compareBallots,
  higherBallot,
  majorityOf,
  NO_BALLOT,
  type Seat,
} from './messages.ts';

/** Pure. Gives back its argument to change nothing: the value is then confirmed as it is. */
export type Update = (value: string | null) => string | null;

/**
 * `proposed`, wherever it did not end well: an acceptor may have accepted the value, and whoever
 * prepares there next carries it on. No later attempt can rule that out before it is chosen itself.
 */
export type ChangeOutcome =
  /** `value` is what the register holds; it was `before` just before. */
  | { readonly kind: 'chosen'; readonly before: string | null; readonly value: string | null }
  /** Another proposer was ahead: try again above this ballot, after a random wait. */
  | { readonly kind: 'outbid'; readonly above: Ballot; readonly proposed: boolean }
  /** Too few acceptors answered. */
  | {
      readonly kind: 'unreached';
      readonly proposed: boolean;
      /** Some seat does not serve this set yet: its replacement was left half done. */
      readonly absent: boolean;
      readonly reasons: readonly string[];
    }
  /** The set is being replaced: go on with this one. */
  | { readonly kind: 'moved'; readonly set: AcceptorSet; readonly proposed: boolean };

export interface ProposerState {
  readonly key: string;
  readonly set: AcceptorSet;
  readonly ballot: Ballot;
  readonly update: Update;
  phase: 'prepare' | 'accept' | 'over';
  /** Seats that answered the present phase well, and those that did not. */
  readonly good: Set<string>;
  readonly bad: Map<string, string>;
  /** Highest accepted ballot among the promises, with its value. */
  found: { readonly accepted: Ballot; readonly value: string | null };
  proposed: string | null;
  above: Ballot;
  newer: AcceptorSet | null;
  absent: boolean;
}

export type ProposerInput =
  | { readonly kind: 'start' }
  | { readonly kind: 'answer'; readonly from: string; readonly answer: AcceptorAnswer }
  /** No answer will come: broken connection or deadline. */
  | { readonly kind: 'lost'; readonly from: string; readonly reason: string };

export type ProposerEffect =
  | { readonly kind: 'send'; readonly to: Seat; readonly body: AcceptorRequest }
  | { readonly kind: 'over'; readonly outcome: ChangeOutcome };

export function openChange(
  key: string,
  set: AcceptorSet,
  ballot: Ballot,
  update: Update,
): ProposerState {
  return {
    key,
    set,
    ballot,
    update,
    phase: 'prepare',
    good: new Set(),
    bad: new Map(),
    found: { accepted: NO_BALLOT, value: null },
    proposed: null,
    above: ballot,
    newer: null,
    absent: false,
  };
}

export const stepChange: Step<ProposerState, ProposerInput, ProposerEffect> = (state, input) => {
  if (state.phase === 'over') return [];
  if (input.kind === 'start') {
    const { set, key, ballot } = state;
    return broadcast(state, { kind: 'prepare', set: nameOf(set), key, ballot });
  }
  if (!state.set.seats.some(({ id }) => id === input.from)) return [];
  if (input.kind === 'lost') state.bad.set(input.from, input.reason);
  else take(state, input.from, input.answer);
  return judge(state);
};

const nameOf = ({ id, version }: AcceptorSet): { id: string; version: number } => ({ id, version });

function take(state: ProposerState, from: string, answer: AcceptorAnswer): void {
  if (answer.kind === 'nack') {
    state.above = higherBallot(state.above, answer.promised);
    state.bad.set(from, 'outbid');
  } else if (answer.kind === 'wrongSet') {
    const { newer } = answer;
    if (newer !== null && newer.version > (state.newer?.version ?? state.set.version)) {
      state.newer = newer;
    }
    state.absent ||= newer === null;
    state.bad.set(from, answer.reason);
  } else if (answer.kind === 'promise' && state.phase === 'prepare') {
    state.good.add(from);
    if (compareBallots(answer.accepted, state.found.accepted) > 0) {
      state.found = { accepted: answer.accepted, value: answer.value };
    }
  } else if (answer.kind === 'accepted' && state.phase === 'accept') {
    state.good.add(from);
  }
}

/** ConfigRegister.tla: Propose, Choose_. */
function judge(state: ProposerState): ProposerEffect[] {
  const { set, key, ballot } = state;
  const needed = majorityOf(set.seats.length);
  if (state.good.size >= needed && state.phase === 'prepare') {
    state.phase = 'accept';
    state.good.clear();
    state.bad.clear();
    state.proposed = state.update(state.found.value);
    return broadcast(state, {
      kind: 'accept',
      set: nameOf(set),
      key,
      ballot,
      value: state.proposed,
    });
  }
  if (state.good.size >= needed) {
    return over(state, { kind: 'chosen', before: state.found.value, value: state.proposed });
  }
  if (set.seats.length - state.bad.size >= needed) return [];
  const proposed = state.phase === 'accept';
  if (state.newer !== null) return over(state, { kind: 'moved', set: state.newer, proposed });
  if (compareBallots(state.above, ballot) > 0) {
    return over(state, { kind: 'outbid', above: state.above, proposed });
  }
  const reasons = [...state.bad].map(([seat, reason]) => `${seat}: ${reason}`);
  return over(state, { kind: 'unreached', proposed, absent: state.absent, reasons });
}

function over(state: ProposerState, outcome: ChangeOutcome): ProposerEffect[] {
  state.phase = 'over';
  return [{ kind: 'over', outcome }];
}

const broadcast = (state: ProposerState, body: AcceptorRequest): ProposerEffect[] =>
  state.set.seats.map((to) => ({ kind: 'send', to, body }));

/** What the answers to `read` say so far. */
export type ReadJudgement =
  | { readonly kind: 'value'; readonly value: string | null }
  | { readonly kind: 'wait' }
  /** A proposal is under way or was left behind: only change(identity) tells the value. */
  | { readonly kind: 'change' };

/**
 * AcceptorSet.tla: Readable. A majority shows one accepted ballot and no higher promise: whatever
 * was chosen before the read began is that value, and nothing else can be chosen without them.
 */
export function judgeRead(
  set: AcceptorSet,
  answers: ReadonlyMap<string, AcceptorAnswer | null>,
): ReadJudgement {
  const needed = majorityOf(set.seats.length);
  const groups = new Map<string, { count: number; readonly value: string | null }>();
  for (const answer of answers.values()) {
    if (answer === null || answer.kind !== 'state') continue;
    const { promised, accepted, value } = answer.state;
    if (compareBallots(promised, accepted) > 0) continue;
    const name = `${accepted.round} ${accepted.proposer}`;
    const group = groups.get(name) ?? { count: 0, value };
    group.count += 1;
    groups.set(name, group);
    if (group.count >= needed) return { kind: 'value', value };
  }
  const open = set.seats.length - answers.size;
  const best = Math.max(0, ...[...groups.values()].map(({ count }) => count));
  return best + open >= needed ? { kind: 'wait' } : { kind: 'change' };
}
