// A thread that is lost costs the run of one seed, not those of all others.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';

const main = join(import.meta.dirname, '../../sim/main.ts');

const DYING = `
import { isMainThread } from 'node:worker_threads';
if (!isMainThread) throw new Error('out of memory, say');
`;

test('seeds whose threads ended are told as failed, and summed up', () => {
  const preload = `data:text/javascript,${encodeURIComponent(DYING)}`;
  const flags = ['--seeds', '9', '--from', '1', '--failures', '2', '--threads', '1'];
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    ['--import', preload, main, ...flags],
    { encoding: 'utf8' },
  );
  assert.match(stdout, /^seed 1: FAILED thread \(it ended: Error: out of memory, say\)$/m);
  assert.match(stdout, /^seed 2: FAILED thread /m);
  assert.match(stdout, /^2 of 9 seeds ran, 2 had failed$/m);
  assert.match(stdout, /^0 passed, 2 failed$/m);
  assert.deepEqual([status, stderr], [1, '']);
});
