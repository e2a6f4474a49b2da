// The crash points once more with a real disk: the files that a power failure leaves are laid out
// on it and recovered there.

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { CrashMode } from '../../sim/platter/file.ts';
import { crashMetadataOntoDisk, crashOntoDisk, lifeCalls, metadataCalls } from '../log/crash.ts';
import { all } from './at-once.ts';

type Crash = (stop: number, mode: CrashMode, seed: string) => Promise<void>;

/**
 * Of each stop three subsets of what was not synced: nothing of it, some that is the same in every
 * run, and some that no run before had. A failure names its seed.
 */
async function crashAll(context: TestContext, calls: number, crash: Crash): Promise<void> {
  const run = Math.floor(Math.random() * 2 ** 31);
  context.diagnostic(`new subsets are of seed ${run}`);
  const works: (() => Promise<void>)[] = [];
  for (let stop = 1; stop <= calls; stop += 1) {
    works.push(() => crash(stop, 'none', 'x'));
    for (const seed of [`${stop}/real`, `${stop}/${run}`]) {
      works.push(() => crash(stop, 'some', seed));
    }
  }
  await all(works);
  context.diagnostic(`${works.length} recoveries from ${calls} stops`);
}

test('what a power failure leaves after any call is recovered on a real disk', async (context) => {
  const calls = await lifeCalls();
  assert.ok(calls > 100, `a life makes ${calls} calls`);
  await crashAll(context, calls, crashOntoDisk);
});

test('what it leaves of metadata is recovered as well', async (context) => {
  const calls = await metadataCalls();
  assert.ok(calls > 30, `a life makes ${calls} calls`);
  await crashAll(context, calls, crashMetadataOntoDisk);
});
