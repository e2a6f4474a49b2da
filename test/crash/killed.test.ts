// Lives on a real disk are killed at their system calls, and what they leave is recovered there.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { killAt, killMetadataAt, lifeCalls, metadataCalls } from '../log/crash.ts';
import { all } from './at-once.ts';

/** Lives on a real disk are as slow as its syncs: each run takes others of their calls. */
const KILLED_EVERY = 4;

test('a life on a real disk is killed at its calls and loses nothing', async (context) => {
  const first = 1 + Math.floor(Math.random() * KILLED_EVERY);
  context.diagnostic(`killed at every ${KILLED_EVERY}th call from ${first} on`);
  const calls = await lifeCalls();
  let killed = 0;
  const works: (() => Promise<void>)[] = [];
  for (let stop = first; stop <= calls; stop += KILLED_EVERY) {
    works.push(async () => {
      if (await killAt(stop)) killed += 1;
    });
  }
  await all(works);
  assert.equal(killed, works.length, 'each of them was killed');
});

test('metadata on a real disk are killed at every call and lose nothing', async () => {
  const calls = await metadataCalls();
  let killed = 0;
  const works = Array.from({ length: calls }, (_, at) => async () => {
    if (await killMetadataAt(at + 1)) killed += 1;
  });
  await all(works);
  assert.equal(killed, calls, 'each of them was killed');
});
