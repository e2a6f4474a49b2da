// Sessions at random against the real idempotence tables: streams break, answers are lost, requests
// come late, heads change and lose what was not committed, callers give up. Nothing that was
// answered is lost or doubled, and nothing that was refused for good is there.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nodeRandom } from '../io/node.ts';
import type { Random } from '../io/random.ts';
import { NO_CONDITION } from '../protocol/chain/messages.ts';
import { cutTables, foldBatch, openTables, recall } from '../protocol/chain/tables.ts';
import { DEFAULT_SETTINGS } from '../protocol/configuration.ts';
import { type ErrorCode, JournalError } from '../protocol/errors.ts';
import { epoch, journalId, lsn, micros, writerId } from '../protocol/types.ts';
import type { AppendAnswer, AppendCall } from '../transport/public.ts';
import { type AppendsEffect, type AppendsInput, stepAppends } from './appends.ts';
import { hasWork, needsWriter, openAppends } from './batching.ts';

type Call = Omit<AppendCall, 'journal'>;
type Answer = AppendsInput & { readonly kind: 'appended' | 'refused' };

const LIMITS = { mergedBytesMax: 200, recordBytesMax: 100 };

/** A head with real tables: a log of ids, of which a part is committed. */
class Head {
  readonly log: number[] = [];
  readonly #tables = openTables(null, { ...DEFAULT_SETTINGS.limits, writers: 2, writerWindow: 70 });
  #borders: number[] = [0];
  #committed = 0;
  #crowd = 0;
  #burned = new Map<string, number>();
  readonly #waiting: { readonly until: number; readonly answer: Answer }[] = [];

  take(call: Call, readonly = false): Answer | null {
    const { tag, records, idempotence, condition } = call;
    assert.ok(idempotence !== null);
    const ids = records.map(({ data }) => idOf(data));
    const [first = 0] = ids;
    const body = { bodyCrc: first, bodyBytes: ids.length, count: ids.length };
    const known = recall(this.#tables, idempotence, body);
    const burned = this.#burned.get(idempotence.writer) ?? 0;
    if (known.kind === 'same') return this.#answer(tag, known.memory.firstLsn, ids.length, true);
    if (known.kind === 'mismatch') return refused(tag, 'IDEMPOTENCY_MISMATCH');
    if (known.kind === 'stale') return refused(tag, 'STALE_WRITER');
    if (known.kind === 'gap' && idempotence.after > burned) return refused(tag, 'SEQUENCE_GAP');
    if (idempotence.sequence < burned) return refused(tag, 'STALE_WRITER');
    if (readonly) return refused(tag, 'UNDER_REPLICATED');
    const end = this.log.length;
    if (condition.expectTail !== null && condition.expectTail < end) {
      this.#burned.set(idempotence.writer, idempotence.sequence);
      return refused(tag, 'CONDITION_FAILED');
    }
    foldBatch(this.#tables, {
      journal: journalId('0'.repeat(32)),
      firstLsn: lsn(end + 1),
      epoch: epoch(1),
      timestamp: micros(end + 1),
      kind: 'data',
      keyOperation: 'tag',
      leaseMillis: 0,
      idempotence,
      keys: [],
      control: null,
      ...body,
    });
    this.log.push(...ids);
    this.#borders.push(this.log.length);
    return this.#answer(tag, end + 1, ids.length, false);
  }

  /** Appends of others, so many that this head forgets every writer that it knew. */
  crowd(): void {
    for (let other = 0; other < 2; other += 1) {
      this.#crowd += 1;
      const writer = writerId(this.#crowd.toString(16).padStart(32, 'f'));
      const idempotence = { writer, sequence: 1, after: 0, chosen: false };
      const records = [{ data: dataOf(60_000 + this.#crowd) }];
      const rest = { condition: NO_CONDITION, keyOperation: 'tag', leaseMillis: 0 } as const;
      this.take({ tag: 0, records, idempotence, ...rest });
    }
  }

  /** What was waiting for its commit and is answered now. */
  commit(): Answer[] {
    this.#committed = this.log.length;
    return this.#waiting.splice(0).map(({ answer }) => answer);
  }

  /** Another head: what was not committed may be gone, what was burned is forgotten. */
  change(random: Random): void {
    const kept = this.#borders.filter((border) => border >= this.#committed);
    const end = kept[random.below(kept.length)] ?? this.#committed;
    cutTables(this.#tables, lsn(end));
    this.log.splice(end);
    this.#borders = this.#borders.filter((border) => border <= end);
    this.#burned = new Map();
    this.#waiting.splice(0);
  }

  #answer(tag: number, first: number, count: number, duplicate: boolean): Answer | null {
    const until = first + count - 1;
    const answer: AppendAnswer = {
      tag,
      firstLsn: lsn(first),
      lastLsn: lsn(until),
      timestampMicros: micros(first),
      epoch: epoch(1),
      duplicate,
    };
    if (until <= this.#committed) return { kind: 'appended', answer };
    this.#waiting.push({ until, answer: { kind: 'appended', answer } });
    return null;
  }
}

function refused(tag: number, code: ErrorCode): Answer {
  return { kind: 'refused', tag, error: new JournalError(code, 'said the test') };
}

const dataOf = (id: number): Uint8Array => new Uint8Array([id >> 8, id & 255]);
const idOf = (data: Uint8Array): number => (data[0] ?? 0) * 256 + (data[1] ?? 0);

/** A client, a network and a head. */
class World {
  readonly random: Random;
  readonly state = openAppends(LIMITS);
  readonly head = new Head();
  readonly settled = new Map<number, number>();
  readonly failed = new Map<number, 'none' | 'unknown'>();
  readonly open = new Set<number>();
  #requests: Call[] = [];
  #answers: Answer[] = [];
  #late: Call[] = [];
  #connected = false;
  #writers = 0;
  lastId = 0;

  constructor(seed: string) {
    this.random = nodeRandom(seed);
  }

  apply(input: AppendsInput): void {
    for (const effect of stepAppends(this.state, input)) this.#act(effect);
  }

  #act(effect: AppendsEffect): void {
    if (effect.kind === 'send') this.#requests.push(effect.call);
    else if (effect.kind === 'pause') this.#connected &&= this.random.below(2) === 0;
    else {
      this.open.delete(effect.id);
      if (effect.kind === 'settle') this.settled.set(effect.id, effect.answer.firstLsn);
      else this.failed.set(effect.id, effect.error.outcome);
    }
  }

  submit(): void {
    this.lastId += 1;
    const id = this.lastId;
    this.open.add(id);
    const tail = this.random.below(4) === 0 ? lsn(this.head.log.length) : null;
    const condition = tail === null ? NO_CONDITION : { ...NO_CONDITION, expectTail: tail };
    const records = [{ data: dataOf(id) }];
    const rest = { condition, keyOperation: 'tag', leaseMillis: 0, chosen: null } as const;
    this.apply({ kind: 'submit', submission: { id, records, bytes: 34, ...rest } });
    if (this.random.below(3) > 0) this.apply({ kind: 'flush' });
  }

  connect(): void {
    if (this.#connected && this.state.ready) return;
    if (this.#requests.length + this.#answers.length > 0) this.break();
    if (needsWriter(this.state)) {
      this.#writers += 1;
      const opened = this.head.log.length.toString(16).padStart(14, '0');
      const writer = writerId(opened + this.#writers.toString(16).padStart(18, '0'));
      const journal = journalId('0'.repeat(32));
      this.apply({ kind: 'opened', journal, writer, limits: LIMITS });
    }
    this.#connected = true;
    this.apply({ kind: 'connected', journal: journalId('0'.repeat(32)) });
  }

  deliver(readonly = false): void {
    const call = this.#requests.shift();
    if (call === undefined) return;
    const answer = this.head.take(call, readonly);
    if (answer !== null) this.#answers.push(answer);
  }

  answer(): void {
    const answer = this.#answers.shift();
    if (answer !== undefined) this.apply(answer);
  }

  commit(): void {
    this.#answers.push(...this.head.commit());
  }

  /** The answers are lost; of the requests some come late, when nobody waits any more. */
  break(): void {
    this.#late.push(...this.#requests.splice(0, this.random.below(this.#requests.length + 1)));
    this.#requests = [];
    this.#answers = [];
    this.#connected = false;
    const error = new JournalError('UNAVAILABLE', 'said the test');
    this.apply({ kind: 'broken', error, reached: true });
  }

  late(): void {
    const call = this.#late.shift();
    if (call !== undefined) this.head.take(call);
  }

  giveUp(): void {
    const ids = [...this.open];
    const id = ids[this.random.below(Math.max(1, ids.length))];
    const error = new JournalError('DEADLINE_EXCEEDED', 'said the test');
    if (id !== undefined) this.apply({ kind: 'giveUp', id, error });
  }

  changeHead(): void {
    this.head.change(this.random);
    this.break();
  }

  check(): void {
    const times = new Map<number, number>();
    for (const id of this.head.log) times.set(id, (times.get(id) ?? 0) + 1);
    for (const [id, count] of times) assert.equal(count, 1, `${id} is there ${count} times`);
    for (const [id, at] of this.settled) {
      assert.equal(this.head.log[at - 1], id, `${id} was said to be at ${at}`);
    }
    for (const [id, outcome] of this.failed) {
      if (outcome === 'none') assert.ok(!times.has(id), `${id} was said not to be there`);
    }
  }
}

function run(seed: string): World {
  const world = new World(seed);
  const actions: readonly (readonly [number, () => void])[] = [
    [12, () => world.submit()],
    [6, () => world.apply({ kind: 'flush' })],
    [20, () => world.deliver()],
    [1, () => world.deliver(true)],
    [20, () => world.answer()],
    [6, () => world.commit()],
    [6, () => world.connect()],
    [1, () => world.break()],
    [1, () => world.late()],
    [1, () => world.giveUp()],
    [1, () => world.changeHead()],
    [0.05, () => world.head.crowd()],
  ];
  const weight = actions.reduce((sum, [share]) => sum + share, 0);
  for (let step = 0; step < 3_000; step += 1) {
    let draw = world.random.fraction() * weight;
    for (const [share, act] of actions) {
      draw -= share;
      if (draw >= 0) continue;
      act();
      break;
    }
  }
  // Healed: everything that waits is answered within a bound.
  for (let round = 0; round < 2_000 && hasWork(world.state); round += 1) {
    world.apply({ kind: 'flush' });
    world.connect();
    world.deliver();
    world.commit();
    world.answer();
  }
  return world;
}

test('nothing answered is lost or doubled, nothing refused is there, and all is answered', () => {
  let settled = 0;
  let unknown = 0;
  for (let seed = 0; seed < 16; seed += 1) {
    const world = run(`session-${seed}`);
    world.check();
    assert.equal(world.open.size, 0, `seed ${seed} leaves ${[...world.open]} unanswered`);
    settled += world.settled.size;
    unknown += [...world.failed.values()].filter((outcome) => outcome === 'unknown').length;
  }
  assert.ok(settled > 16 * 200, `${settled} were answered`);
  assert.ok(unknown > 16, `${unknown} could not be told`);
  assert.ok(unknown < settled / 2, `${unknown} could not be told`);
});
