// The crash points once more with a real disk: the files that a power failure leaves are laid out
// on it and recovered there, and lives on it are killed at their system calls.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { crashOntoDisk, killAt, lifeCalls } from '../log/crash.ts';

/** Of the rest some of what was not synced is kept: the cases in memory do all of both. */
const NOTHING_KEPT_EVERY = 8;

test('what a power failure leaves after any call is recovered on a real disk', async () => {
  const calls = await lifeCalls();
  for (let stop = 1; stop <= calls; stop += 1) {
    await crashOntoDisk(stop, stop % NOTHING_KEPT_EVERY === 0 ? 'none' : 'some', `${stop}/real`);
  }
});

/** Lives on a real disk are as slow as its syncs. */
const KILLED_EVERY = 4;

test('a life on a real disk is killed at its calls and loses nothing', async () => {
  let killed = 0;
  for (let stop = 1; await killAt(stop); stop += KILLED_EVERY) killed += 1;
  assert.ok(killed > 25, `killed ${killed} times`);
});
