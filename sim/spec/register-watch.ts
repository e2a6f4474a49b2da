// The replay beside the controllers of a simulated cluster: steps of acceptors are in the model.
// Each step for the register of a journal must be one that ConfigRegister allows, and what is
// chosen is one history.
//
// Acceptors are seen as they are in memory, and one that starts again as its disk left it: what it
// had promised or accepted and never answered may be gone. A vote counts once it was answered, and
// so does a promise. A register is left alone once its set of acceptors was replaced: no
// transcription is there for that. Of two processes on one disk the later one counts: what the
// earlier one still takes in is on no disk, and nobody is answered by it.

import type { AcceptorView } from '../../protocol/paxos/invariants.ts';
import { EMPTY_REGISTER, type RegisterState } from '../../protocol/paxos/messages.ts';
import { SpecViolation } from './chain.ts';
import { openRegisterSpec, REGISTER_ACTIONS, type RegisterSpec, type Vote } from './register.ts';

const PREFIX = 'journal/';
const NOTHING = '[]';
const NONE: Vote = { round: 0, proposer: '' };
const NOTHING_TOLD: Told = { promised: NONE, accepted: NONE };

/** A process that runs an acceptor. */
interface Process {
  /** Rises with the time of its start. */
  readonly number: number;
}

/** What an acceptor let others know of. */
interface Told {
  readonly promised: Vote;
  readonly accepted: Vote;
}

interface Register {
  readonly spec: RegisterSpec;
  /** Acceptors in the order in which they were first seen, and the process that answers for each. */
  readonly names: string[];
  readonly processes: Map<string, Process>;
  readonly proposed: Set<string>;
  /** The newest ballots that answers of each acceptor told of: its disk must have them. */
  readonly answered: Map<string, Told>;
  /** The newest value that a quorum accepted, and its ballot. */
  chosen: { readonly ballot: Vote; readonly value: string } | null;
  left: boolean;
}

const text = ({ round, proposer }: Vote): string => `${round}.${proposer}`;
const valueIn = ({ value }: RegisterState): string => value ?? NOTHING;

export class RegisterWatch {
  readonly taken = new Map<string, number>();
  readonly #registers = new Map<string, Register>();
  readonly #lost = new Set<string>();

  /** The disk of this acceptor was lost or set back: nothing may count any more that it says. */
  lost(name: string): void {
    this.#lost.add(name);
  }

  /** An acceptor, run by this process, has answered for `key`. Throws a SpecViolation. */
  stepped(name: string, process: Process, key: string, { versions }: AcceptorView): void {
    const version = versions.at(-1);
    if (version === undefined || !key.startsWith(PREFIX)) return;
    const { set } = version.record;
    const register = this.#registers.get(key) ?? opened(set.seats.length);
    this.#registers.set(key, register);
    if (set.version > 1) register.left = true;
    const before = register.processes.get(name);
    // The earlier of two may be the last to be asked.
    const isPast = before !== undefined && before.number > process.number;
    const at = register.left || isPast ? -1 : this.#indexOf(register, name, process);
    if (at < 0) return;
    const now = version.registers.get(key) ?? EMPTY_REGISTER;
    const node = register.spec.acceptors[at];
    if (node === undefined) return;
    if (before !== process) {
      register.processes.set(name, process);
      // Before this step it was what its disk held; nothing that it had answered may be missing.
      const told = register.answered.get(name) ?? NOTHING_TOLD;
      for (const what of ['accepted', 'promised'] as const) {
        if (compare(now[what], told[what]) >= 0) continue;
        throw new SpecViolation(`Crash(${name})`, `it forgets what it ${what}`);
      }
      if (compare(now.accepted, node.ab) < 0) takeBack(register, at, now);
      if (compare(now.promised, node.prom) < 0) node.prom = now.promised;
    }
    this.#step(register, at, now);
  }

  /** An acceptor, run by this process, has told of its promise and vote, or of older ones. */
  answered(name: string, process: Process, key: string, told: Told): void {
    if (this.#lost.has(name)) {
      throw new SpecViolation(`Crash(${name})`, 'it votes, and has forgotten its promises');
    }
    const register = this.#registers.get(key);
    if (register === undefined || register.left) return;
    const at = register.names.indexOf(name);
    // Of a process that another has followed: what it says is of a disk that is not its own.
    if (at < 0 || register.processes.get(name) !== process) return;
    const before = register.answered.get(name) ?? NOTHING_TOLD;
    const promised = later(told.promised, before.promised);
    const accepted = later(told.accepted, before.accepted);
    register.answered.set(name, { promised, accepted });
    if (compare(accepted, before.accepted) > 0) this.#choose(register, accepted);
  }

  #indexOf(register: Register, name: string, process: Process): number {
    const known = register.names.indexOf(name);
    if (known < 0) {
      register.names.push(name);
      register.processes.set(name, process);
      if (register.names.length > register.spec.acceptors.length) register.left = true;
      return register.left ? -1 : register.names.length - 1;
    }
    return known;
  }

  #step(register: Register, at: number, now: RegisterState): void {
    const { spec } = register;
    const node = spec.acceptors[at];
    if (node === undefined) return;
    const { accepted, promised } = now;
    const value = valueIn(now);
    if (compare(accepted, node.ab) !== 0) {
      if (!register.proposed.has(text(accepted))) {
        register.proposed.add(text(accepted));
        this.#take('Propose', () => REGISTER_ACTIONS.Propose(spec, accepted, value));
      }
      this.#take('Accept', () => REGISTER_ACTIONS.Accept(spec, at, accepted, value));
    }
    if (compare(promised, node.prom) !== 0) {
      this.#take('Promise', () => REGISTER_ACTIONS.Promise(spec, at, promised));
    }
  }

  #choose(register: Register, ballot: Vote): void {
    const { spec, chosen, answered, names } = register;
    const voters = spec.msgs.flatMap((m) => (m.ty === '2b' && m.b === text(ballot) ? [m] : []));
    const told = voters.filter(({ a }) => {
      const { accepted } = answered.get(names[a] ?? '') ?? NOTHING_TOLD;
      return compare(accepted, ballot) >= 0;
    });
    const value = told[0]?.av;
    if (value === undefined || 2 * told.length <= spec.acceptors.length) return;
    this.#take('Choose_', () => REGISTER_ACTIONS.Choose_(spec, ballot, value));
    const [older, newer] =
      chosen === null || compare(chosen.ballot, ballot) < 0
        ? [chosen, { ballot, value }]
        : [{ ballot, value }, chosen];
    if (older !== null && !follows(older.value, newer.value)) {
      throw new SpecViolation(`Choose_(${text(newer.ballot)})`, 'it forgets what was chosen');
    }
    register.chosen = newer;
  }

  #take(action: string, act: () => void): void {
    act();
    this.taken.set(action, (this.taken.get(action) ?? 0) + 1);
  }
}

/** Its vote was never on its disk, and nobody has heard of it. */
function takeBack({ spec }: Register, at: number, now: RegisterState): void {
  const node = spec.acceptors[at];
  if (node === undefined) return;
  Object.assign(node, { ab: now.accepted, av: valueIn(now) });
  const kept = spec.msgs.filter(
    (m) => m.ty !== '2b' || m.a !== at || compare(m.ab, now.accepted) <= 0,
  );
  spec.msgs.splice(0, spec.msgs.length, ...kept);
}

function opened(seats: number): Register {
  return {
    spec: openRegisterSpec(seats, builds),
    names: [],
    processes: new Map(),
    proposed: new Set(),
    answered: new Map(),
    chosen: null,
    left: false,
  };
}

const later = (one: Vote, other: Vote): Vote => (compare(one, other) > 0 ? one : other);

function compare(one: Vote, other: Vote): number {
  if (one.round !== other.round) return one.round - other.round;
  return one.proposer < other.proposer ? -1 : Number(one.proposer > other.proposer);
}

interface Numbers {
  readonly lineage: number;
  readonly epoch: number;
}

function numbersOf(value: string): Numbers {
  const parsed: unknown = JSON.parse(value);
  const fields = typeof parsed === 'object' && parsed !== null ? Object.entries(parsed) : [];
  const numberOf = (name: string): number => {
    const found: unknown = fields.find(([field]) => field === name)?.[1];
    return typeof found === 'number' ? found : 0;
  };
  return { lineage: numberOf('lineage'), epoch: numberOf('epoch') };
}

/** A configuration is decided on top of the one before it, or starts a lineage. */
function builds(base: string, value: string): boolean {
  if (base === NOTHING) return true;
  const [before, after] = [numbersOf(base), numbersOf(value)];
  return before.lineage === after.lineage
    ? after.epoch === before.epoch + 1
    : after.lineage > before.lineage;
}

function follows(base: string, value: string): boolean {
  if (base === value || base === NOTHING) return true;
  const [before, after] = [numbersOf(base), numbersOf(value)];
  return after.lineage - before.lineage > 0 || after.epoch > before.epoch;
}
