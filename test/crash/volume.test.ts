// Power fails after every single call of a whole life of a volume: nothing acknowledged is lost.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { crashAt, lifeCalls } from '../log/crash.ts';

const SEEDS = 4;

test('a volume survives a stop after every call, whatever was not synced', async () => {
  const calls = await lifeCalls();
  assert.ok(calls > 100, `a life makes ${calls} calls`);
  for (let stop = 1; stop <= calls; stop += 1) {
    await crashAt(stop, 'none', 'x');
    await crashAt(stop, 'all', 'x');
    for (let seed = 0; seed < SEEDS; seed += 1) await crashAt(stop, 'some', `${stop}/${seed}`);
  }
});

test('a second stop during the recovery changes nothing', async () => {
  const calls = await lifeCalls();
  for (let stop = 3; stop <= calls; stop += 5) {
    for (let second = 1; second <= 40; second += 3) {
      const done = await crashAt(stop, 'some', `${stop}/${second}`, second);
      if (!done) break; // the recovery made fewer calls than this
    }
  }
});
