// Of a run that is over nothing stays in memory.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';
import { anySignal } from '../../sim/closed.ts';

/** In a process of its own: the test runner holds on to what a test awaited. */
const RUNS = `
import { queryObjects } from 'node:v8';
import { anySignal } from './closed.ts';
import { run } from './run.ts';
import { World } from './world.ts';
if (process.env.CLOSED === 'yes') AbortSignal.any = anySignal;
for (const seed of ['1', '2', '3', '4']) {
  const { failure } = await run({ seed, events: 3_000, budget: 'available', faults: null });
  if (failure !== null) throw new Error(failure.by);
}
for (let turns = 0; turns < 10; turns += 1) await new Promise((go) => void setImmediate(go));
console.log(queryObjects(World, { format: 'count' }));
`;

function worldsLeft(closed: string): number {
  const flags = ['--no-warnings', '--input-type=module-typescript', '--eval', RUNS];
  const cwd = join(import.meta.dirname, '../../sim');
  const options = { cwd, env: { ...process.env, CLOSED: closed } };
  return Number(execFileSync(process.execPath, flags, { ...options, encoding: 'utf8' }));
}

test('a joined signal is aborted by the first of its sources, for its reason', () => {
  const [one, other] = [new AbortController(), new AbortController()];
  const either = anySignal([one.signal, other.signal]);
  assert.equal(either.aborted, false);
  other.abort('left');
  one.abort('late');
  assert.equal(either.reason, 'left');
  assert.equal(anySignal([new AbortController().signal, other.signal]).reason, 'left');
});

test('the worlds of runs that are over are gone', () => {
  assert.equal(worldsLeft('yes'), 0);
  // Else this test would show nothing.
  assert.ok(worldsLeft('no') > 0);
});
