// Gossip of two controllers by a clock of the test: how often, and how soon news goes round.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Clock } from '../../io/clock.ts';
import type { AcceptorSet } from '../../protocol/paxos/messages.ts';
import { micros, storeId } from '../../protocol/types.ts';
import { TIMING } from './config.ts';
import { Gossiper } from './gossip.ts';
import type { ControllerAbout, ControllerAnswer, Gossip } from './register/wire.ts';

const SET: AcceptorSet = {
  id: 'set',
  version: 1,
  seats: ['a', 'b'].map((id) => ({ id, store: '', address: `${id}:1` })),
};

const ABOUT: ControllerAbout = {
  store: '',
  address: '',
  zone: 'z',
  pid: 1,
  version: '1',
  dataDirectory: '',
  featureLevelMax: 1,
  note: '',
};

/** Two controllers; every exchange takes `trip` milliseconds and is noted. */
class Pair {
  readonly exchanges: Gossip[] = [];
  readonly both: readonly Gossiper[];
  #now = 1_000_000;
  #due: { readonly at: number; readonly task: () => void }[] = [];

  constructor(trip: number) {
    const clock: Clock = {
      now: () => micros(this.#now),
      wall: () => micros(this.#now),
      after: (delay, task) => {
        const one = { at: this.#now + delay, task };
        this.#due.push(one);
        return () => {
          this.#due = this.#due.filter((other) => other !== one);
        };
      },
    };
    const made = (at: number): Gossiper =>
      new Gossiper({
        clock,
        id: at === 0 ? 'a' : 'b',
        set: () => SET,
        about: () => ABOUT,
        ask: (_, request) =>
          new Promise<ControllerAnswer>((resolve, reject) => {
            assert.ok(request.kind === 'gossip');
            this.exchanges.push(request.gossip);
            const other = this.both[1 - at];
            if (other === undefined) reject(new Error('there are two'));
            else {
              const answer = { kind: 'gossip', gossip: other.take(request.gossip) } as const;
              clock.after(micros(trip * 1_000), () => resolve(answer));
            }
          }),
        onHints: () => undefined,
        onOpinions: () => undefined,
      });
    this.both = [made(0), made(1)];
  }

  async run(millis: number): Promise<void> {
    const end = this.#now + millis * 1_000;
    for (;;) {
      const [next] = this.#due.sort((one, other) => one.at - other.at);
      if (next === undefined || next.at > end) break;
      this.#now = Math.max(this.#now, next.at);
      this.#due.shift();
      next.task();
      await new Promise((resolve) => setImmediate(resolve));
    }
    this.#now = end;
  }

  close(): void {
    for (const one of this.both) one.close();
  }
}

test('one exchange a beat keeps both fresh', async () => {
  const pair = new Pair(1);
  const [a, b] = pair.both;
  a?.start();
  await pair.run(70);
  b?.start();
  await pair.run(10_000);
  const beats = 10_000_000 / TIMING.gossip;
  const { length } = pair.exchanges;
  assert.ok(length >= 0.8 * beats && length <= 1.2 * beats, `${length} in ${beats} beats`);
  assert.deepEqual([a?.about('b')?.alive, b?.about('a')?.alive], [true, true]);
  pair.close();
});

test('an opinion that changes during an exchange is told right after it', async () => {
  const pair = new Pair(20);
  const [a] = pair.both;
  a?.start();
  const store = storeId('1'.repeat(32));
  a?.think(new Map([[store, 'silent']]));
  assert.equal(pair.exchanges.length, 1);
  await pair.run(30);
  assert.deepEqual(
    pair.exchanges.map(({ verdicts }) => verdicts.length),
    [0, 1],
  );
  pair.close();
});
