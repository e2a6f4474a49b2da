// A subscription and its consumer: who takes its time is not cut off, who goes on misses nothing.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Clock } from '../io/clock.ts';
import { silent } from '../io/logger.ts';
import type { Method, Network } from '../io/network.ts';
import { nodeRandom } from '../io/node.ts';
import { JournalError } from '../protocol/errors.ts';
import { lsn, micros } from '../protocol/types.ts';
import { journalMethods } from '../transport/methods.ts';
import { Cursor } from './cursor.ts';
import { openRouting } from './routing.ts';
import { openSubscription } from './subscription.ts';

const SECOND = 1_000_000;

/** Time in which only waiting and the consumer pass; nobody waits for as long as a silence is. */
class Time implements Clock {
  #now = 0;
  now = () => micros(this.#now);
  wall = () => micros(this.#now);

  pass(seconds: number): void {
    this.#now += seconds * SECOND;
  }

  after = (delay: number, task: () => void) => {
    if (delay > 2 * SECOND) return () => undefined;
    const timer = setImmediate(() => {
      this.#now += delay;
      task();
    });
    return () => clearImmediate(timer);
  };
}

interface Breaking extends Network {
  readonly asked: readonly unknown[];
  /** Where the named cursor was set, in order. */
  readonly saved: readonly (number | null)[];
}

/**
 * Each read or stream gives the next of these lists of records, of the next of these lineages; then
 * a stream breaks.
 */
function breaking(messages: number[][], lineages: number[] = []): Breaking {
  const asked: unknown[] = [];
  const saved: (number | null)[] = [];
  const never = (): never => {
    throw new Error('a subscription only reads');
  };
  const answer = () => {
    const lsns = (messages.shift() ?? []).map((at) => lsn(at));
    const last = lsns.at(-1);
    if (last === undefined) throw new JournalError('UNAVAILABLE', 'the replica was stopped');
    const lineage = lineages.shift() ?? 1;
    const rest = { key: undefined, timestampMicros: micros(1), data: new Uint8Array(1) };
    const records = lsns.map((at) => ({ lsn: at, ...rest }));
    return { records, nextLsn: lsn(last + 1), committedLsn: last, lineage };
  };
  async function* stream<Q, A>(
    _address: string,
    method: Method<Q, A, 'serverStream'>,
    request: Q,
  ): AsyncIterable<A> {
    asked.push(request);
    yield method.response.decode(journalMethods.subscribe.response.encode(answer()));
    throw new JournalError('UNAVAILABLE', 'the replica was stopped');
  }
  async function call<Q, A>(
    _address: string,
    method: Method<Q, A, 'unary'>,
    request: Q,
  ): Promise<A> {
    asked.push(request);
    if (method.path === journalMethods.setCursor.path) {
      saved.push(journalMethods.setCursor.request.decode(method.request.encode(request)).lsn);
      return method.response.decode(journalMethods.setCursor.response.encode({}));
    }
    if (method.path === journalMethods.cursors.path) {
      return method.response.decode(journalMethods.cursors.response.encode({ cursors: [] }));
    }
    return method.response.decode(journalMethods.read.response.encode(answer()));
  }
  const close = (): Promise<void> => Promise.resolve();
  return {
    asked,
    saved,
    call,
    stream,
    duplex: never,
    serve: never,
    forget: () => undefined,
    close,
  };
}

const worldOf = (clock: Clock, messages: number[][], lineages?: number[]) => ({
  clock,
  random: nodeRandom('cursor'),
  network: breaking(messages, lineages),
  logger: silent,
  routing: openRouting(['a:1', 'b:1'], null),
  hold: () => () => undefined,
});

const { signal } = new AbortController();
const TIMEOUT_SECONDS = 60;

const cursorOf = (clock: Clock, messages: number[][], limit: number): Cursor =>
  cursorIn(worldOf(clock, messages), limit);

const cursorIn = (world: ReturnType<typeof worldOf>, limit: number): Cursor =>
  new Cursor(world, {
    journal: 'orders',
    position: { kind: 'lsn', lsn: lsn(1) },
    lineage: 0,
    limit,
    untilEnd: false,
    timeoutMillis: TIMEOUT_SECONDS * 1_000,
    signal,
  });

test('a consumer may take longer than any replica, also before it begins', async () => {
  const clock = new Time();
  const cursor = cursorOf(clock, [[1], [2], [3]], 3);
  const seen: number[] = [];
  clock.pass(2 * TIMEOUT_SECONDS);
  for await (const { records } of cursor.deliveries()) {
    seen.push(...records.map((record) => record.lsn));
    clock.pass(2 * TIMEOUT_SECONDS);
  }
  assert.deepEqual(seen, [1, 2, 3]);
});

test('it ends once no replica has answered for as long as it may', async () => {
  const clock = new Time();
  const consumed = async (): Promise<void> => {
    for await (const _ of cursorOf(clock, [[1]], 2).deliveries()) clock.pass(100);
  };
  await assert.rejects(consumed, ({ code, message }: JournalError) => {
    assert.deepEqual([code, /for 60000 ms/.test(message)], ['UNAVAILABLE', true]);
    return true;
  });
  const silence = clock.now() / SECOND - 100;
  assert.ok(silence >= TIMEOUT_SECONDS && silence < TIMEOUT_SECONDS + 3, `${silence} s`);
});

// Where records were given up, those at the same positions are others: they follow nothing.
test('it goes on in the lineage that it began in, and takes nothing of another', async () => {
  for (const other of [2, 4]) {
    const world = worldOf(new Time(), [[1], [2], [3]], [3, 3, other]);
    const seen: number[] = [];
    const consumed = async (): Promise<void> => {
      for await (const { records } of cursorIn(world, 3).deliveries()) {
        seen.push(...records.map((record) => record.lsn));
      }
    };
    await assert.rejects(consumed, { code: 'LINEAGE_CHANGED' });
    assert.deepEqual(seen, [1, 2]);
    const { asked } = world.network;
    assert.partialDeepStrictEqual(asked, [{ lineage: 0 }, { lineage: 3 }, { lineage: 3 }]);
  }
});

test('its position is behind the last record that was given, not that came', async () => {
  for (const end of ['break', 'abort'] as const) {
    const controller = new AbortController();
    const world = worldOf(new Time(), [[1, 2, 3]]);
    const options = { from: 1, signal: controller.signal };
    const subscription = openSubscription(world, { closing: signal }, 'orders', options);
    for await (const record of subscription) {
      if (record.lsn < 2) continue;
      if (end === 'break') break;
      controller.abort();
    }
    assert.deepEqual(subscription.position, { lineage: 1, nextLsn: 3 }, end);
  }
  const whole = openSubscription(worldOf(new Time(), [[1, 2]]), { closing: signal }, 'orders', {
    from: 1,
    limit: 2,
  });
  for await (const _ of whole);
  assert.deepEqual(whole.position, { lineage: 1, nextLsn: 3 });
});

test('the last few are those that were the last when it was ready', async () => {
  // What a stream is asked for is what the read before it found, whatever was appended meanwhile.
  const world = worldOf(new Time(), [
    [2, 3],
    [2, 3, 4, 5],
  ]);
  const options = { from: { last: 2 }, limit: 4 };
  const subscription = openSubscription(world, { closing: signal }, 'orders', options);
  await subscription.ready();
  assert.equal(world.network.asked.length, 1);
  for await (const _ of subscription);
  assert.partialDeepStrictEqual(world.network.asked.at(-1), { from: { kind: 'lsn', lsn: 2 } });
});

// What a trim may take is decided by it: one too high loses records, for whoever goes on there.
test('a named cursor stands behind what was consumed, and begins by what is newest', async () => {
  const world = worldOf(new Time(), [[5], [6], [7], [8]]);
  const options = { from: { last: 1 }, cursor: 'mine' };
  const subscription = openSubscription(world, { closing: signal }, 'orders', options);
  for await (const { records } of subscription.batches()) {
    if (records.at(-1)?.lsn === 7) break;
  }
  const read = world.network.asked.find((one) => JSON.stringify(one).includes('"linearizable"'));
  assert.partialDeepStrictEqual(read, { linearizable: true });
  assert.deepEqual([world.network.saved.at(0), world.network.saved.at(-1)], [4, 6]);
});
