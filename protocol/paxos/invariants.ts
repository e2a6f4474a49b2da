// What must hold at all times among the acceptors of one cluster, as code that throws.
//
// Production checks what one process can see (`checkStep`); simulation and tests hand in all.

import { invariant } from '../errors.ts';
import { type AcceptorSet, compareBallots, type RegisterState } from './messages.ts';

/** What the checks look at of one acceptor (`AcceptorState` is one). */
export interface AcceptorView {
  readonly versions: readonly {
    readonly record: { readonly set: AcceptorSet };
    readonly registers: ReadonlyMap<string, RegisterState>;
  }[];
}

/** A register never goes back: not its promise, not its accepted ballot. */
export function checkStep(key: string, before: RegisterState, after: RegisterState): void {
  const promise = compareBallots(after.promised, before.promised) >= 0;
  invariant(promise, 'a promise is kept', () => describe(key, before, after));
  const accepted = compareBallots(after.accepted, before.accepted) >= 0;
  invariant(accepted, 'an accepted ballot only rises', () => describe(key, before, after));
  const below = compareBallots(after.accepted, after.promised) <= 0;
  invariant(below, 'nothing is accepted above the promise', () => describe(key, before, after));
}

/** One set a version, one value a ballot and key, no matter which acceptor is asked. */
export function checkAcceptors(acceptors: readonly AcceptorView[]): void {
  const sets = new Map<string, string>();
  const values = new Map<string, string | null>();
  for (const { record, registers } of acceptors.flatMap(({ versions }) => versions)) {
    const name = `${record.set.id}/${record.set.version}`;
    const set = JSON.stringify(record.set);
    invariant((sets.get(name) ?? set) === set, 'one set a version', () => `${name}: ${set}`);
    sets.set(name, set);
    for (const [key, { accepted, value }] of registers) {
      const ballot = `${key} ${accepted.round} ${accepted.proposer}`;
      const other = values.has(ballot) ? values.get(ballot) : value;
      invariant(other === value, 'one value a ballot', () => `${ballot}: ${other} and ${value}`);
      values.set(ballot, value);
    }
  }
}

/**
 * OneHistory: of any two values that were ever chosen or read, one was built on the other. Here a
 * value is the list of all changes that led to it.
 */
export function checkOneHistory(chosen: readonly (readonly string[])[]): void {
  const rising = [...chosen].sort((one, other) => one.length - other.length);
  for (const [at, longer] of rising.entries()) {
    const shorter = rising[at - 1] ?? [];
    const prefix = shorter.every((change, index) => longer[index] === change);
    invariant(prefix, 'one history', () => `${shorter.join(' ')} | ${longer.join(' ')}`);
  }
}

const describe = (key: string, before: RegisterState, after: RegisterState): string =>
  `${key}: ${JSON.stringify(before)} became ${JSON.stringify(after)}`;
