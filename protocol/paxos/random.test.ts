// Registers under drops, duplicates, late messages, crashes and set changes, by seed: whatever is
// chosen or read stays one history. And the same world with a rule broken must show it.
//
// SEEDS and SEED in the environment run more worlds, or one again.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AcceptorDisk } from '../../test/acceptor-disk.ts';
import { type AcceptorState, servedSet, stepAcceptor } from './acceptor.ts';
import { openReplacement, type ReplacementState, stepReplacement } from './acceptor-set.ts';
import { checkAcceptors, checkOneHistory } from './invariants.ts';
import {
  type AcceptorAnswer,
  type AcceptorRequest,
  type AcceptorSet,
  NO_BALLOT,
} from './messages.ts';
import { judgeRead, openChange, type ProposerState, stepChange } from './proposer.ts';

type Mutation = 'none' | 'amnesia' | 'ignore' | 'assume' | 'early' | 'minority';

/** A small generator: the same seed draws the same world (mulberry32). */
function generator(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

interface Attempt {
  readonly set: AcceptorSet;
  readonly machine:
    | { readonly kind: 'change'; readonly state: ProposerState }
    | { readonly kind: 'replace'; readonly state: ReplacementState }
    | { readonly kind: 'read'; readonly answers: Map<string, AcceptorAnswer> };
  over: boolean;
}

type Packet =
  | { readonly to: string; readonly attempt: Attempt; readonly body: AcceptorRequest }
  | { readonly from: string; readonly attempt: Attempt; readonly answer: AcceptorAnswer };

const IDS = ['a', 'b', 'c', 'd', 'e'];
const KEY = 'x';
const changes = (value: string | null): string[] => (value === null ? [] : JSON.parse(value));

class World {
  readonly chosen: string[][] = [];
  readonly #draw: (below: number) => number;
  readonly #mutation: Mutation;
  readonly #acceptors = new Map<string, { state: AcceptorState; readonly disk: AcceptorDisk }>();
  readonly #asked = new Map<number, Attempt>();
  readonly #sets: AcceptorSet[] = [];
  #packets: Packet[] = [];
  #round = 0;
  #requests = 0;
  #tokens = 0;

  constructor(seed: number, mutation: Mutation) {
    this.#draw = generator(seed);
    this.#mutation = mutation;
    const first = this.#makeSet(1, ['a', 'b', 'c']);
    for (const id of IDS) {
      const isIn = first.seats.some((seat) => seat.id === id);
      const disk = new AcceptorDisk(isIn ? { set: first, mode: 'serving', next: null } : null);
      this.#acceptors.set(id, { state: disk.open(id), disk });
    }
  }

  run(steps: number): void {
    for (let step = 0; step < steps; step += 1) {
      this.#step();
      if (step % 20 !== 0) continue;
      checkAcceptors([...this.#acceptors.values()].map(({ state }) => state));
      checkOneHistory(this.chosen);
    }
  }

  #makeSet(version: number, ids: readonly string[]): AcceptorSet {
    const set = { id: 's', version, seats: ids.map((id) => ({ id, store: '', address: id })) };
    this.#sets.push(set);
    return set;
  }

  #step(): void {
    const dice = this.#draw(300);
    if (dice < 8) this.#open(this.#change());
    else if (dice < 12) this.#open(this.#read());
    else if (dice < 13) this.#open(this.#replace());
    else if (dice < 17) this.#crash(IDS[this.#draw(IDS.length)] ?? 'a');
    else if (dice < 80) this.#settle(IDS[this.#draw(IDS.length)] ?? 'a');
    else this.#deliver();
  }

  /** A proposer knows some set, maybe an old one. */
  #someSet(): AcceptorSet {
    const set = this.#sets[this.#draw(2) === 0 ? this.#sets.length - 1 : 0];
    assert.ok(set);
    return set;
  }

  #change(): Attempt {
    this.#round += this.#draw(3);
    this.#tokens += 1;
    const token = `${this.#tokens}`;
    const set = this.#someSet();
    const ballot = { round: this.#round + 1, proposer: `p${this.#tokens}` };
    const append = (value: string | null) => JSON.stringify([...changes(value), token]);
    const update = this.#draw(4) === 0 ? (value: string | null) => value : append;
    return attempt(set, { kind: 'change', state: openChange(KEY, set, ballot, update) });
  }

  #read(): Attempt {
    return attempt(this.#someSet(), { kind: 'read', answers: new Map() });
  }

  /** What the register `acceptors` decides is taken for granted here: one successor a version. */
  #replace(): Attempt {
    const version = 1 + this.#draw(this.#sets.length);
    const from = this.#sets[version - 1];
    assert.ok(from);
    const ids = version % 2 === 1 ? ['b', 'c', 'd'] : ['a', 'd', 'e', 'b', 'c'];
    const known = this.#sets[version];
    if (known === undefined && version >= 4) return this.#read();
    const to = known ?? this.#makeSet(version + 1, ids);
    return attempt(from, { kind: 'replace', state: openReplacement(from, to) });
  }

  #open(opened: Attempt): void {
    const { machine, set } = opened;
    if (machine.kind === 'read') {
      const body: AcceptorRequest = { kind: 'read', set, key: KEY };
      for (const { id } of set.seats) this.#packets.push({ to: id, attempt: opened, body });
    } else this.#advance(opened, { kind: 'start' });
  }

  #advance(
    opened: Attempt,
    input:
      | { readonly kind: 'start' }
      | { readonly kind: 'answer'; readonly from: string; readonly answer: AcceptorAnswer }
      | { readonly kind: 'lost'; readonly from: string; readonly reason: string },
  ): void {
    const { machine } = opened;
    if (opened.over || machine.kind === 'read') return;
    const effects =
      machine.kind === 'change'
        ? stepChange(machine.state, input)
        : this.#stepReplacement(machine.state, input);
    for (const effect of effects) {
      if (effect.kind === 'send') {
        this.#packets.push({ to: effect.to.id, attempt: opened, body: effect.body });
        continue;
      }
      opened.over = true;
      const { outcome } = effect;
      if (outcome.kind === 'chosen') this.chosen.push(changes(outcome.value));
      if (outcome.kind === 'unreached' && 'proposed' in outcome && outcome.proposed) {
        if (this.#mutation === 'assume' && machine.kind === 'change') {
          this.chosen.push(changes(machine.state.proposed));
        }
      }
    }
  }

  #stepReplacement(state: ReplacementState, input: Parameters<typeof stepReplacement>[1]) {
    const first =
      input.kind === 'answer' && input.answer.kind === 'sealed' && state.dumps.size === 0;
    if (first && this.#mutation === 'minority' && input.kind === 'answer') {
      for (const { id } of state.from.seats.slice(0, 1)) state.dumps.set(`${id}?`, []);
    }
    return stepReplacement(state, input);
  }

  #deliver(): void {
    if (this.#packets.length === 0) return;
    const at = this.#draw(this.#packets.length);
    const packet = this.#packets[at];
    assert.ok(packet);
    if (this.#draw(8) !== 0) this.#packets.splice(at, 1);
    if (this.#draw(15) === 0) this.#lose(packet);
    else if ('to' in packet) this.#ask(packet.to, packet.attempt, packet.body);
    else this.#answer(packet.from, packet.attempt, packet.answer);
  }

  #lose(packet: Packet): void {
    const seat = 'to' in packet ? packet.to : packet.from;
    this.#advance(packet.attempt, { kind: 'lost', from: seat, reason: 'lost' });
  }

  #ask(id: string, from: Attempt, body: AcceptorRequest): void {
    const acceptor = this.#acceptors.get(id);
    assert.ok(acceptor);
    this.#requests += 1;
    this.#asked.set(this.#requests, from);
    const input = { kind: 'request', request: this.#requests, body } as const;
    const effects = stepAcceptor(acceptor.state, input);
    acceptor.disk.take(effects);
    this.#replies(id, effects);
    if (this.#mutation === 'early') {
      const { issued } = acceptor.state;
      this.#replies(id, stepAcceptor(acceptor.state, { kind: 'saved', save: issued }));
    }
  }

  #settle(id: string): void {
    const acceptor = this.#acceptors.get(id);
    assert.ok(acceptor);
    acceptor.disk.settle();
    const save = acceptor.state.issued;
    this.#replies(id, stepAcceptor(acceptor.state, { kind: 'saved', save }));
  }

  #replies(id: string, effects: ReturnType<typeof stepAcceptor>): void {
    for (const effect of effects) {
      const attempt_ = effect.kind === 'reply' ? this.#asked.get(effect.request) : undefined;
      if (effect.kind === 'reply' && attempt_ !== undefined) {
        this.#packets.push({ from: id, attempt: attempt_, answer: effect.answer });
      }
    }
  }

  #answer(from: string, to: Attempt, given: AcceptorAnswer): void {
    const forget = this.#mutation === 'ignore' && given.kind === 'promise' && this.#draw(2) === 0;
    const answer: AcceptorAnswer = forget
      ? { kind: 'promise', accepted: NO_BALLOT, value: null }
      : given;
    if (to.machine.kind !== 'read') {
      this.#advance(to, { kind: 'answer', from, answer });
      return;
    }
    if (to.over) return;
    to.machine.answers.set(from, answer);
    const judged = judgeRead(to.set, to.machine.answers);
    if (judged.kind === 'wait') return;
    to.over = true;
    if (judged.kind === 'value') this.chosen.push(changes(judged.value));
  }

  /** What was not saved is gone, and so are the answers that waited for it. */
  #crash(id: string): void {
    const acceptor = this.#acceptors.get(id);
    assert.ok(acceptor);
    const { disk } = acceptor;
    const forgets = this.#mutation === 'amnesia';
    acceptor.state = disk.open(id, (state) =>
      forgets ? { ...state, promised: state.accepted } : state,
    );
  }

  get version(): number {
    const served = [...this.#acceptors.values()].map(({ state }) => servedSet(state)?.version ?? 0);
    return Math.max(...served);
  }
}

const attempt = (set: AcceptorSet, machine: Attempt['machine']): Attempt => ({
  set,
  machine,
  over: false,
});

const SEEDS = Number(process.env.SEEDS ?? 300);
const STEPS = 600;

function violations(mutation: Mutation, seeds: number): number {
  let caught = 0;
  for (let seed = 1; seed <= seeds && caught === 0; seed += 1) {
    try {
      new World(seed, mutation).run(STEPS);
    } catch (error) {
      assert.equal(error instanceof Error && error.name, 'InvariantViolation', `seed ${seed}`);
      caught += 1;
    }
  }
  return caught;
}

test('whatever is chosen or read is one history', () => {
  const only = process.env.SEED;
  const from = only === undefined ? 1 : Number(only);
  const to = only === undefined ? SEEDS : from;
  let chosen = 0;
  let replaced = 0;
  for (let seed = from; seed <= to; seed += 1) {
    const world = new World(seed, 'none');
    try {
      world.run(STEPS);
    } catch (error) {
      throw new Error(`SEED=${seed}`, { cause: error });
    }
    chosen += world.chosen.length;
    replaced += world.version > 1 ? 1 : 0;
  }
  if (only !== undefined) return;
  assert.ok(chosen > 2 * SEEDS, `only ${chosen} values chosen in ${SEEDS} worlds`);
  assert.ok(replaced > SEEDS / 10, `only ${replaced} worlds replaced their set`);
});

for (const [mutation, what] of [
  ['amnesia', 'an acceptor that forgets its promises at a crash'],
  ['early', 'an acceptor that answers before its save'],
  ['ignore', 'a proposer that ignores what was accepted'],
  ['assume', 'a proposer that takes silence for success'],
  ['minority', 'a replacement that merges less than a majority'],
] as const) {
  test(`${what} is caught`, () => {
    assert.equal(violations(mutation, 2_000), 1);
  });
}
