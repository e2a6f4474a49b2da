// The disk of an acceptor in tests of the machine: what it asked to be saved, and nothing else.

import {
  type AcceptorChange,
  type AcceptorEffect,
  openAcceptor,
  type SetRecord,
} from '../protocol/paxos/acceptor.ts';
import type { RegisterState } from '../protocol/paxos/messages.ts';

interface SavedSet {
  record: SetRecord;
  readonly registers: Map<string, RegisterState>;
}

export class AcceptorDisk {
  readonly #sets = new Map<number, SavedSet>();
  /** What was asked for and is not on the disk yet. */
  #waiting: AcceptorChange[] = [];

  /** `served`: the set that it was formatted with, null for none. */
  constructor(served: SetRecord | null) {
    if (served !== null)
      this.#sets.set(served.set.version, { record: served, registers: new Map() });
  }

  take(effects: readonly AcceptorEffect[]): void {
    for (const effect of effects) if (effect.kind === 'save') this.#waiting.push(...effect.changes);
  }

  /** Everything that was asked for lies on it now. */
  settle(): void {
    for (const change of this.#waiting) this.#apply(change);
    this.#waiting = [];
  }

  #apply(change: AcceptorChange): void {
    if (change.kind === 'set') {
      const { record } = change;
      const { registers } = this.#sets.get(record.set.version) ?? { registers: new Map() };
      this.#sets.set(record.set.version, { record, registers });
      return;
    }
    const saved = this.#sets.get(change.version);
    if (saved === undefined) throw new Error(`a register of version ${change.version}, no set`);
    saved.registers.set(change.key, change.state);
  }

  /** The acceptor as it starts from this, without what was not saved. */
  open(id: string, forget = (state: RegisterState): RegisterState => state) {
    this.#waiting = [];
    const saved = [...this.#sets.values()].map(({ record, registers }) => ({
      record,
      registers: [...registers].map(([key, state]) => ({ key, state: forget(state) })),
    }));
    return openAcceptor(id, id, saved);
  }
}
