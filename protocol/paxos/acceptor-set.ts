// Replacement of the acceptor set k by k+1, which k has decided in its own register `acceptors`:
// seal a majority of k, merge what it holds, install that on a majority of k+1.
//
// Nothing of it needs a proposer's memory: whoever asks a sealed acceptor learns the successor and
// may run these very lines again, from any state that it finds. Two proposers may install merges
// of different majorities; each holds every value that was chosen in k, and promises at least as
// much as any acceptor of its majority did, so neither forgets anything.

import { invariant } from '../errors.ts';
import type { Step } from '../machine.ts';
import {
  type AcceptorAnswer,
  type AcceptorRequest,
  type AcceptorSet,
  compareBallots,
  type Dump,
  higherBallot,
  majorityOf,
  type RegisterState,
  type Seat,
} from './messages.ts';

/**
 * AcceptorSet.tla: Merged. Of each register the value of the highest accepted ballot; promised is
 * at least every promise in the dumps, not only every accepted ballot (mutation: accfloor).
 */
export function mergeDumps(dumps: readonly Dump[]): Dump {
  const merged = new Map<string, RegisterState>();
  for (const { key, state } of dumps.flat()) {
    const other = merged.get(key);
    if (other === undefined) {
      merged.set(key, state);
      continue;
    }
    const newer = compareBallots(state.accepted, other.accepted) > 0 ? state : other;
    const promised = higherBallot(state.promised, other.promised);
    merged.set(key, { promised, accepted: newer.accepted, value: newer.value });
  }
  return [...merged].map(([key, state]) => ({ key, state }));
}

export interface ReplacementState {
  readonly from: AcceptorSet;
  readonly to: AcceptorSet;
  phase: 'seal' | 'install' | 'over';
  readonly dumps: Map<string, Dump>;
  readonly installed: Set<string>;
  readonly bad: Map<string, string>;
}

export type ReplacementInput =
  | { readonly kind: 'start' }
  | { readonly kind: 'answer'; readonly from: string; readonly answer: AcceptorAnswer }
  | { readonly kind: 'lost'; readonly from: string; readonly reason: string };

export type ReplacementOutcome =
  /** A majority serves the new set; seats left behind may still be copied to. */
  | { readonly kind: 'replaced' }
  /** Too few answered: run it again. */
  | { readonly kind: 'unreached'; readonly reasons: readonly string[] };

export type ReplacementEffect =
  | { readonly kind: 'send'; readonly to: Seat; readonly body: AcceptorRequest }
  | { readonly kind: 'over'; readonly outcome: ReplacementOutcome };

/** `to` must be what `from` decided, or what a sealed acceptor of `from` named. */
export function openReplacement(from: AcceptorSet, to: AcceptorSet): ReplacementState {
  const follows = from.id === to.id && from.version + 1 === to.version;
  invariant(follows, 'a set follows the one before it', () => `${from.version}, ${to.version}`);
  return { from, to, phase: 'seal', dumps: new Map(), installed: new Set(), bad: new Map() };
}

export const stepReplacement: Step<ReplacementState, ReplacementInput, ReplacementEffect> = (
  state,
  input,
) => {
  const { from, to } = state;
  if (state.phase === 'over') return [];
  if (input.kind === 'start') {
    const set = { id: from.id, version: from.version };
    return from.seats.map((seat) => ({
      kind: 'send',
      to: seat,
      body: { kind: 'seal', set, next: to },
    }));
  }
  if (input.kind === 'lost') state.bad.set(input.from, input.reason);
  else if (input.answer.kind === 'sealed' && state.phase === 'seal') {
    const named = JSON.stringify(input.answer.next);
    const rule = 'a set has one successor';
    invariant(named === JSON.stringify(to), rule, () => `${named} and ${JSON.stringify(to)}`);
    state.dumps.set(input.from, input.answer.registers);
  } else if (input.answer.kind === 'installed' && state.phase === 'install') {
    state.installed.add(input.from);
  } else if (input.answer.kind === 'wrongSet') state.bad.set(input.from, input.answer.reason);
  return judge(state);
};

function judge(state: ReplacementState): ReplacementEffect[] {
  const { from, to, phase, dumps, installed, bad } = state;
  const sealing = phase === 'seal';
  const seats = sealing ? from.seats : to.seats;
  const needed = majorityOf(seats.length);
  if (sealing && dumps.size >= needed) {
    state.phase = 'install';
    bad.clear();
    const registers = mergeDumps([...dumps.values()]);
    const body: AcceptorRequest = { kind: 'install', next: to, registers };
    return to.seats.map((seat) => ({ kind: 'send', to: seat, body }));
  }
  if (!sealing && installed.size >= needed) {
    state.phase = 'over';
    return [{ kind: 'over', outcome: { kind: 'replaced' } }];
  }
  if (seats.length - bad.size >= needed) return [];
  state.phase = 'over';
  const reasons = [...bad].map(([seat, reason]) => `${seat}: ${reason}`);
  return [{ kind: 'over', outcome: { kind: 'unreached', reasons } }];
}
