// How long appends wait in virtual time when links are cut or processes go: the simulated twin of
// `npm run soak`, without the noise of a machine. Each fault befalls a whole chain, at each place.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { micros } from '../../protocol/types.ts';
import { Cluster } from '../../sim/cluster.ts';
import type { Machine } from '../../sim/machine.ts';
import { World } from '../../sim/world.ts';
import type { JournalStatus } from '../../transport/public.ts';

const SECOND = 1_000_000;
const MINUTE = micros(60 * SECOND);
const WRITERS = 2;
const BETWEEN_APPENDS = micros(10_000);
/** Appends go on within a second: a fifth of it is left to what real machines add. */
const PAUSE_MAX = 0.8 * SECOND;
/** How long a fault lasts, where nothing else is said. */
const LASTS = 1.2 * SECOND;

class Life {
  readonly world: World;
  readonly cluster: Cluster;
  #appendedAt = 0;
  #longest = 0;
  #over = false;

  constructor(seed: string) {
    this.world = new World(seed);
    this.cluster = new Cluster(this.world, { replicas: 3, controllers: 3, clients: 0 });
  }

  /** Turns the world until the task is done, a minute of its time at most. */
  async turn<Result>(task: () => Promise<Result>): Promise<Result> {
    const done = task();
    let over = false;
    const end = (): void => {
      over = true;
    };
    done.then(end, end);
    assert.equal(await this.world.run(() => over, micros(this.world.now + MINUTE)), 'done');
    return await done;
  }

  async begin(): Promise<void> {
    const { cluster, world } = this;
    await cluster.start();
    while (cluster.status === null) await world.sleep(micros(50_000));
    await cluster.client.createJournal('orders');
    for (let at = 0; at < WRITERS; at += 1) void this.#write();
  }

  async #write(): Promise<void> {
    const journal = this.cluster.client.journal('orders');
    while (!this.#over) {
      await journal.append('something', { timeoutMillis: 20_000 });
      const { now } = this.world;
      this.#longest = Math.max(this.#longest, now - this.#appendedAt);
      this.#appendedAt = now;
      await this.world.sleep(BETWEEN_APPENDS);
    }
  }

  end(): void {
    this.#over = true;
  }

  #status(): JournalStatus | undefined {
    return this.cluster.status?.journals.find(({ name }) => name === 'orders');
  }

  get epoch(): number {
    return this.#status()?.epoch ?? 0;
  }

  /** The machines of the chain in its order, once all serve. */
  async whole(): Promise<readonly Machine[]> {
    const { cluster, world } = this;
    const since = world.now;
    while (!cluster.whole(since)) await world.sleep(micros(50_000));
    const serving = this.#status()?.members.filter(({ live, synced }) => live && synced) ?? [];
    return serving.flatMap(({ id }) => cluster.replicas.filter(({ name }) => name === id));
  }

  /** The longest wait between two appends from the fault until all is whole again. */
  async pauseOf(fault: () => () => void, lasts = LASTS): Promise<number> {
    this.#appendedAt = this.world.now;
    this.#longest = 0;
    const end = fault();
    await this.world.sleep(micros(lasts));
    end();
    await this.whole();
    return this.#longest;
  }

  cut(pairs: readonly (readonly [Machine, Machine])[]): () => void {
    const { fabric } = this.cluster;
    for (const [from, to] of pairs) fabric.cut(from.name, to.name);
    return () => {
      for (const [from, to] of pairs) fabric.heal(from.name, to.name);
    };
  }
}

// A second cut link within 5 s: there is no order left, so the one that lags goes.
test('what does not reach its neighbour for 10 s is not tried again and again', async (context) => {
  const life = new Life('lasting');
  await life.turn(() => life.begin());
  const [a, b, c] = await life.turn(() => life.whole());
  assert.ok(a !== undefined && b !== undefined && c !== undefined);
  const both = (one: Machine, other: Machine) => () =>
    life.cut([
      [one, other],
      [other, one],
    ]);
  await life.turn(() => life.pauseOf(both(a, b)));
  const before = life.epoch;
  const pause = await life.turn(() => life.pauseOf(both(b, c), 10 * SECOND));
  const changes = life.epoch - before;
  life.end();
  context.diagnostic(`${Math.round(pause / 1_000)} ms, ${changes} changes`);
  assert.ok(pause < PAUSE_MAX, `appends waited for ${pause} µs`);
  assert.ok(changes <= 6, `the chain was changed ${changes} times`);
});

type Harm = (life: Life, victim: Machine, next: Machine, others: readonly Machine[]) => () => void;

const faults: Readonly<Record<string, Harm>> = {
  'a link cut one way': (life, victim, next) => life.cut([[victim, next]]),
  'a link cut the other way': (life, victim, next) => life.cut([[next, victim]]),
  'a link cut both ways': (life, victim, next) =>
    life.cut([
      [victim, next],
      [next, victim],
    ]),
  'a member cut off from all': (life, victim, _next, others) =>
    life.cut(others.flatMap((other) => [[victim, other] as const, [other, victim] as const])),
  'a process killed': (_life, victim) => {
    victim.kill();
    return () => victim.start();
  },
  'a process paused': (_life, victim) => {
    victim.pause();
    return () => victim.resume();
  },
};

for (const [name, harm] of Object.entries(faults)) {
  test(`${name} stops appends for less than 0.8 s, at every place`, async (context) => {
    const life = new Life(name);
    await life.turn(() => life.begin());
    const pauses: number[] = [];
    for (let place = 0; place < 3; place += 1) {
      const chain = await life.turn(() => life.whole());
      assert.equal(chain.length, 3);
      const [victim, next] = [chain[place], chain[(place + 1) % 3]];
      assert.ok(victim !== undefined && next !== undefined);
      const { replicas, controllers } = life.cluster;
      const others = [...replicas, ...controllers].filter((machine) => machine !== victim);
      pauses.push(await life.turn(() => life.pauseOf(() => harm(life, victim, next, others))));
    }
    life.end();
    context.diagnostic(`${pauses.map((pause) => Math.round(pause / 1_000)).join(', ')} ms`);
    for (const pause of pauses) assert.ok(pause < PAUSE_MAX, `appends waited for ${pause} µs`);
  });
}
