// Walks through the register's world at random and replays each step against its model.

import type {
  AcceptorAnswer,
  AcceptorRequest,
  RegisterState,
} from '../../protocol/paxos/messages.ts';
import { EMPTY_REGISTER } from '../../protocol/paxos/messages.ts';
import {
  type RegisterScope,
  type RegisterWorld,
  registerScope,
} from '../explore/register-scope.ts';
import {
  checkAnswer,
  openRegisterSpec,
  REGISTER_ACTIONS,
  type RegisterSpec,
  type Vote,
} from './register.ts';

const SCOPE: RegisterScope = { acceptors: 3, proposers: 3, ballots: 3, crashes: 3, losses: 2 };

const listOf = (value: string | null): string => value ?? '[]';

export interface RegisterWalk {
  readonly steps: number;
  readonly chosen: number;
  readonly taken: ReadonlyMap<string, number>;
}

/** Throws with the seed where a step is none of the model, or breaks an invariant. */
export function walkRegister(seed: number, random: () => number): RegisterWalk {
  const scope = registerScope('walk', SCOPE);
  const world = scope.open();
  const replay = new RegisterReplay(world);
  let steps = 0;
  try {
    for (;;) {
      const actions = scope.actions(world);
      const action = actions[Math.floor(random() * actions.length)];
      if (action === undefined) break;
      steps += 1;
      scope.apply(world, action);
      replay.step();
      scope.check(world);
    }
  } catch (error) {
    throw new Error(`seed ${seed}, step ${steps}: ${String(error)}`, { cause: error });
  }
  return { steps, chosen: world.chosen.length, taken: replay.taken };
}

class RegisterReplay {
  readonly taken = new Map<string, number>();
  readonly #world: RegisterWorld;
  readonly #spec: RegisterSpec;
  readonly #seen = new Set<RegisterWorld['packets'][number]>();
  #chosen = 0;
  #states: RegisterWorld['acceptors'][number]['state'][];

  constructor(world: RegisterWorld) {
    this.#world = world;
    this.#spec = openRegisterSpec(world.acceptors.length);
    this.#states = world.acceptors.map(({ state }) => state);
  }

  step(): void {
    const { acceptors, packets, chosen } = this.#world;
    for (const [a, { disk, state }] of acceptors.entries()) {
      if (state !== this.#states[a]) {
        const now = [...(state.versions[0]?.registers.values() ?? [])][0] ?? EMPTY_REGISTER;
        this.#take('Crash', () => REGISTER_ACTIONS.Crash(this.#spec, a, now.promised));
      }
      for (const register of disk.values()) this.#acceptor(a, register);
    }
    this.#states = acceptors.map(({ state }) => state);
    for (const packet of packets) {
      if (this.#seen.has(packet)) continue;
      this.#seen.add(packet);
      const ballot = this.#world.attempts[packet.attempt]?.state.ballot;
      if (ballot === undefined) continue;
      if (packet.kind === 'request') this.#asked(ballot, packet.body);
      else this.#answered(packet.from, ballot, packet.answer);
    }
    for (const value of chosen.slice(this.#chosen)) this.#isChosen(JSON.stringify(value));
    this.#chosen = chosen.length;
  }

  #take(action: string, act: () => void): void {
    act();
    this.taken.set(action, (this.taken.get(action) ?? 0) + 1);
  }

  #acceptor(a: number, { promised, accepted, value }: RegisterState): void {
    const known = this.#spec.acceptors[a];
    if (known === undefined) return;
    if (!same(accepted, known.ab)) {
      this.#take('Accept', () => REGISTER_ACTIONS.Accept(this.#spec, a, accepted, listOf(value)));
    }
    if (!same(promised, known.prom)) {
      this.#take('Promise', () => REGISTER_ACTIONS.Promise(this.#spec, a, promised));
    }
  }

  #asked(ballot: Vote, body: AcceptorRequest): void {
    if (body.kind !== 'accept') return;
    const proposed = this.#spec.msgs.some(
      (m) => m.ty === '2a' && m.b === `${ballot.round}.${ballot.proposer}`,
    );
    // One proposal is one message to each acceptor.
    if (proposed) return;
    this.#take('Propose', () => REGISTER_ACTIONS.Propose(this.#spec, ballot, listOf(body.value)));
  }

  #answered(a: number, ballot: Vote, answer: AcceptorAnswer): void {
    if (answer.kind === 'promise') checkAnswer(this.#spec, '1b', a, ballot, listOf(answer.value));
    if (answer.kind === 'accepted') checkAnswer(this.#spec, '2b', a, ballot, null);
  }

  #isChosen(value: string): void {
    const wanted = this.#spec.msgs.findLast((m) => m.ty === '2a' && m.av === value);
    const [round = '0', ...proposer] = (wanted?.b ?? '0.').split('.');
    const ballot = { round: Number(round), proposer: proposer.join('.') };
    this.#take('Choose_', () => REGISTER_ACTIONS.Choose_(this.#spec, ballot, value));
  }
}

const same = (one: Vote, other: Vote): boolean =>
  one.round === other.round && one.proposer === other.proposer;
