// The simulated network carries calls and streams, and breaks them as real ones break.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bidiStream, type Codec, type Method, serverStream, unary } from '../io/network.ts';
import { JournalError } from '../protocol/errors.ts';
import { micros } from '../protocol/types.ts';
import { Listeners, SimulatedNetwork } from './network.ts';
import { Fabric } from './wires/fabric.ts';
import { type Actor, World } from './world.ts';

const SECOND = micros(1_000_000);

const text: Codec<string> = {
  encode: (message) => new TextEncoder().encode(message),
  decode: (bytes) => new TextDecoder().decode(bytes),
};
const ECHO: Method<string, string, 'unary'> = {
  path: '/t/Echo',
  kind: 'unary',
  request: text,
  response: text,
};
const COUNT: Method<string, string, 'serverStream'> = {
  ...ECHO,
  path: '/t/Count',
  kind: 'serverStream',
};
const TALK: Method<string, string, 'bidiStream'> = { ...ECHO, path: '/t/Talk', kind: 'bidiStream' };

interface Net {
  readonly world: World;
  readonly fabric: Fabric;
  readonly listeners: Listeners;
  readonly a: SimulatedNetwork;
  readonly b: SimulatedNetwork;
  readonly actorA: Actor;
  readonly actorB: Actor;
  run<Result>(task: () => Promise<Result>): Promise<Result>;
}

function net(seed: string): Net {
  const world = new World(seed);
  const fabric = new Fabric(world);
  const listeners = new Listeners();
  const actorA = world.birth('a');
  const actorB = world.birth('b');
  fabric.place('a', actorA);
  fabric.place('b', actorB);
  const a = new SimulatedNetwork(fabric, listeners, actorA, 'a');
  const b = new SimulatedNetwork(fabric, listeners, actorB, 'b');
  const run = async <Result>(task: () => Promise<Result>): Promise<Result> => {
    const outcome: { value?: Result; error?: unknown; over: boolean } = { over: false };
    task().then(
      (value) => Object.assign(outcome, { value, over: true }),
      (error: unknown) => Object.assign(outcome, { error, over: true }),
    );
    await world.run(() => outcome.over, micros(world.now + 600 * SECOND));
    if (!outcome.over) throw new Error('never settled');
    if ('error' in outcome) throw outcome.error;
    return outcome.value as Result;
  };
  return { world, fabric, listeners, a, b, actorA, actorB, run };
}

const echo = unary(ECHO, async (request) => `${request}!`);
const OPTIONS = { timeout: SECOND };

test('a call is answered, a refusal keeps its facts, nobody listening is no outcome', async () => {
  const { a, b, run } = net('call');
  await run(async () => {
    const refusing = unary(TALK as unknown as Method<string, string, 'unary'>, async () => {
      throw new JournalError('FENCED', 'no', { leaseMillis: 7 });
    });
    await b.serve('b:1', [echo, refusing]);
    assert.equal(await a.call('b:1', ECHO, 'hi', OPTIONS), 'hi!');
    const method = TALK as unknown as Method<string, string, 'unary'>;
    await assert.rejects(a.call('b:1', method, '', OPTIONS), (error: JournalError) => {
      return error.code === 'FENCED' && error.details.leaseMillis === 7;
    });
    await assert.rejects(a.call('b:2', ECHO, 'hi', OPTIONS), {
      code: 'UNAVAILABLE',
      outcome: 'none',
    });
  });
});

test('a stream is paced by its reader and ends with it', async () => {
  const { a, b, world, run } = net('stream');
  let made = 0;
  let over = false;
  await run(async () => {
    const count = serverStream(COUNT, async function* () {
      try {
        for (;;) {
          made += 1;
          yield 'x'.repeat(20_000);
        }
      } finally {
        over = true;
      }
    });
    await b.serve('b:1', [count]);
    let taken = 0;
    for await (const piece of a.stream('b:1', COUNT, '', OPTIONS)) {
      assert.equal(piece.length, 20_000);
      taken += 1;
      await world.sleep(50_000);
      assert.ok(made <= taken + 6, `${made} made, ${taken} taken`);
      if (taken === 10) break;
    }
    await world.sleep(100_000);
    assert.ok(over, 'the handler goes on after its reader left');
  });
});

test('a duplex keeps the order both ways and ends half by half', async () => {
  const { a, b, run } = net('duplex');
  await run(async () => {
    const talk = bidiStream(TALK, async (stream) => {
      for await (const message of stream.incoming) stream.send(`${message}.`);
      stream.send('bye');
    });
    await b.serve('b:1', [talk]);
    const stream = a.duplex('b:1', TALK, OPTIONS);
    for (const word of ['one', 'two', 'three']) stream.send(word);
    stream.end();
    const heard: string[] = [];
    for await (const message of stream.incoming) heard.push(message);
    assert.deepEqual(heard, ['one.', 'two.', 'three.', 'bye']);
  });
});

test('a cut is silence, then both sides give the stream up; a short one only delays', async () => {
  const { a, b, fabric, world, run } = net('cut');
  await run(async () => {
    const ends: string[] = [];
    const talk = bidiStream(TALK, async (stream) => {
      try {
        for await (const message of stream.incoming) stream.send(message);
      } catch (error) {
        ends.push(error instanceof JournalError ? error.code : 'other');
      }
    });
    await b.serve('b:1', [talk]);
    const stream = a.duplex('b:1', TALK, OPTIONS);
    const incoming = stream.incoming[Symbol.asyncIterator]();
    stream.send('one');
    assert.equal((await incoming.next()).value, 'one');
    fabric.cut('a', 'b');
    stream.send('two');
    await world.sleep(200_000);
    fabric.heal('a', 'b');
    assert.equal((await incoming.next()).value, 'two');
    fabric.cut('b', 'a');
    stream.send('three');
    await assert.rejects(incoming.next(), { code: 'UNAVAILABLE', outcome: 'unknown' });
    await world.sleep(10_000_000);
    assert.deepEqual(ends, ['UNAVAILABLE']);
    assert.equal(fabric.connections.size, 0);
  });
});

test('what was sent before a break arrives late, after a new connection was opened', async () => {
  let late = 0;
  for (let seed = 0; seed < 30; seed += 1) {
    const { a, b, fabric, world, run } = net(`late ${seed}`);
    const heard: string[] = [];
    await run(async () => {
      const talk = bidiStream(TALK, async (stream) => {
        try {
          for await (const message of stream.incoming) heard.push(message);
        } catch {
          heard.push('(broken)');
        }
      });
      await b.serve('b:1', [talk]);
      const old = a.duplex('b:1', TALK, OPTIONS);
      fabric.faults.stallChance = 1;
      old.send('old');
      fabric.faults.stallChance = 0;
      fabric.breakBetween('a', 'b');
      a.duplex('b:1', TALK, OPTIONS).send('new');
      await world.sleep(3_000_000);
    });
    if (heard.indexOf('old') > heard.indexOf('new')) late += 1;
  }
  assert.ok(late > 0, 'an old frame never came late');
});

test('a killed process resets its callers, a paused or dead machine is silent', async () => {
  const { a, b, fabric, actorB, world, run } = net('dead');
  await run(async () => {
    const slow = unary(ECHO, async () => {
      await world.sleep(60_000_000);
      return '';
    });
    await b.serve('b:1', [slow]);
    const began = world.now;
    const pending = a.call('b:1', ECHO, '', { timeout: micros(30 * SECOND) });
    await world.sleep(10_000);
    world.pause(actorB);
    fabric.silenced(actorB);
    await assert.rejects(pending, { code: 'UNAVAILABLE', outcome: 'unknown' });
    assert.ok(world.now - began > 250_000, 'a pause was noticed at once');
    world.resume(actorB);
    const again = a.call('b:1', ECHO, '', { timeout: micros(30 * SECOND) });
    await world.sleep(10_000);
    const killed = world.now;
    world.kill(actorB);
    fabric.ended(actorB, false);
    await assert.rejects(again, { code: 'UNAVAILABLE', outcome: 'unknown' });
    assert.ok(world.now - killed < 10_000, 'a kill was noticed late');
    await assert.rejects(a.call('b:1', ECHO, '', OPTIONS), { outcome: 'none' });
  });
});

test('a deadline and a signal end a call at the caller and at the handler', async () => {
  const { a, b, world, run } = net('deadline');
  await run(async () => {
    let aborted = 0;
    const slow = unary(ECHO, async (_request, { signal }) => {
      signal.addEventListener('abort', () => {
        aborted += 1;
      });
      await world.sleep(60_000_000);
      return '';
    });
    await b.serve('b:1', [slow]);
    const rejected = { code: 'DEADLINE_EXCEEDED', outcome: 'unknown' };
    await assert.rejects(a.call('b:1', ECHO, '', OPTIONS), rejected);
    const gone = new AbortController();
    const call = a.call('b:1', ECHO, '', { timeout: SECOND, signal: gone.signal });
    await world.sleep(5_000);
    gone.abort();
    await assert.rejects(call, { code: 'CANCELLED' });
    await world.sleep(5_000);
    assert.equal(aborted, 2);
  });
});
