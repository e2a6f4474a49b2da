// The world runs one event at a time, in virtual time, and twice the same for the same seed.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { micros } from '../protocol/types.ts';
import { MachineClock, simulatedClock, WALL_START } from './clock.ts';
import { Heap } from './heap.ts';
import { Dice } from './random.ts';
import { World } from './world.ts';

const HOUR = micros(3_600_000_000);

test('a heap gives back its items in order', () => {
  const dice = new Dice('heap');
  const heap = new Heap<number>((one, other) => one - other);
  const items = Array.from({ length: 500 }, () => dice.below(100));
  for (const item of items) heap.push(item);
  const out = items.map(() => heap.pop());
  assert.deepEqual(
    out,
    items.toSorted((one, other) => one - other),
  );
  assert.equal(heap.pop(), undefined);
});

test('odds are probabilities, small ones too, and a spread is of whole numbers', () => {
  const dice = new Dice('odds');
  const odds = Array.from({ length: 200 }, () => dice.odds(0.001, 0.5));
  assert.ok(odds.every((one) => one >= 0.001 && one <= 0.5));
  const small = odds.filter((one) => one < 0.02).length;
  assert.ok(small > 50 && small < 150, `${small} of 200 are below 0.02`);
  const spread = Array.from({ length: 200 }, () => dice.spread(1, 1_000));
  assert.ok(spread.every((one) => Number.isInteger(one) && one >= 1 && one <= 1_000));
});

test('dice of the same seed agree, and a fork does not depend on what was drawn before', () => {
  const one = new Dice('7');
  const other = new Dice('7');
  other.word();
  assert.equal(one.fork('disk').hex(8), other.fork('disk').hex(8));
  assert.notEqual(one.fork('disk').hex(8), one.fork('network').hex(8));
  const seen = new Set(Array.from({ length: 200 }, () => one.below(6)));
  assert.deepEqual([...seen].sort(), [0, 1, 2, 3, 4, 5]);
});

test('events run by time, and all that one sets off is done before the next', async () => {
  const world = new World('order');
  const seen: string[] = [];
  const actor = world.birth('a');
  world.schedule(20, actor, 'timer', 'late', () => seen.push('late'));
  world.schedule(10, actor, 'timer', 'early', () => {
    let chain = Promise.resolve();
    for (let hop = 0; hop < 50; hop += 1) chain = chain.then(() => {});
    chain.then(() => seen.push('chained'));
  });
  world.schedule(11, actor, 'timer', 'next', () => seen.push('next'));
  assert.equal(await world.run(() => false, HOUR), 'idle');
  assert.deepEqual(seen, ['chained', 'next', 'late']);
});

test('a dead actor gets nothing, a paused one gets it later and in order', async () => {
  const world = new World('lives');
  const seen: string[] = [];
  const dead = world.birth('dead');
  const paused = world.birth('paused');
  world.schedule(10, dead, 'timer', 'x', () => seen.push('dead'));
  for (const at of [5, 6, 7, 30, 31]) {
    world.schedule(at, paused, 'timer', 'x', () => seen.push(`${at} at ${world.now}`));
  }
  world.schedule(1, null, 'world', 'x', () => {
    world.kill(dead);
    world.pause(paused);
  });
  world.schedule(20, null, 'world', 'x', () => world.resume(paused));
  await world.run(() => false, HOUR);
  assert.deepEqual(seen, ['5 at 20', '6 at 20', '7 at 20', '30 at 30', '31 at 31']);
});

test('the hash is the same for the same seed and another for another', async () => {
  const hashOf = async (seed: string): Promise<string> => {
    const world = new World(seed);
    const actor = world.birth('a');
    const again = (left: number): void => {
      if (left === 0) return;
      world.schedule(world.dice.below(100), actor, 'timer', 'again', () => again(left - 1));
    };
    again(100);
    await world.run(() => false, HOUR);
    return world.hash;
  };
  assert.equal(await hashOf('1'), await hashOf('1'));
  assert.notEqual(await hashOf('1'), await hashOf('2'));
});

test('what escapes is charged to whose code it was', async () => {
  const world = new World('escape');
  const names: string[] = [];
  world.onEscape = ({ actor }) => names.push(actor?.name ?? 'world');
  const [one, other] = [world.birth('one'), world.birth('other')];
  world.schedule(1, one, 'timer', 'x', () => {
    throw new Error('at once');
  });
  world.schedule(2, other, 'timer', 'x', () => {
    throw new Error('at once as well');
  });
  await world.run(() => false, HOUR);
  assert.deepEqual(names, ['one', 'other']);
});

test('a clock is off and drifts; a jump moves wall time alone', async () => {
  const world = new World('clock');
  const actor = world.birth('a');
  const machine = new MachineClock(world, { offset: 5000, driftPpm: 250_000, booted: 77 });
  const clock = simulatedClock(world, actor, machine);
  assert.equal(clock.now(), 77);
  assert.equal(clock.wall(), WALL_START + 5000);
  const seen: number[] = [];
  clock.after(micros(1_250_000), () => seen.push(world.now));
  await world.run(() => false, HOUR);
  assert.deepEqual(seen, [1_000_000]);
  assert.equal(clock.now(), 77 + 1_250_000);
  machine.jump(-2_000_000);
  assert.equal(clock.now(), 77 + 1_250_000);
  assert.equal(clock.wall(), WALL_START + 5000 + 1_250_000 - 2_000_000);
});
