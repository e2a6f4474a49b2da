// A planted bug is found by simulation, and `--minimize` makes a short story of it.

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { MUTANTS } from './table.ts';
import { Tree } from './tree.ts';

const FLAGS = ['--events', '3000', '--kind', 'anything', '--faults', 'powerOff'];
const SECONDS_MAX = 240;

const tree = new Tree(join(import.meta.dirname, '..', '..'));
let seed = '';
let by = '';

const sim = (...flags: readonly string[]) =>
  tree.run({ args: ['sim/main.ts', ...flags, ...FLAGS], env: {} }, SECONDS_MAX);

before(async () => {
  const mutant = MUTANTS.find(({ name }) => name === 'ack-before-sync');
  tree.mutate(mutant?.edits ?? []);
  const { output } = await sim('--seeds', '40', '--from', '1', '--failures', '1');
  [, seed = '', by = ''] = /seed (\d+): FAILED (\S+)/.exec(output) ?? [];
  assert.notEqual(seed, '', output);
});

after(() => tree.close());

test('what is left of the run is small, and fails in the same way', async () => {
  const { failed, output } = await sim('--minimize', seed, '--budget', '90s');
  assert.equal(failed, false, output);
  assert.ok(output.includes(`VIOLATION, found by ${by}:`), output);
  const sizes = [...output.matchAll(/^(?:from|to) +(\d+) events, (\d+) faults, (\d+) op/gm)];
  const [[, events, , turns] = [], [, eventsLeft, faultsLeft, turnsLeft] = []] = sizes;
  assert.ok(Number(eventsLeft) <= Number(events), output);
  assert.ok(Number(turnsLeft) * 2 <= Number(turns), output);
  assert.ok(Number(faultsLeft) <= 3, output);
  assert.match(output, / r\d +the process starts/);
});

test('a seed that passes is not minimized', async () => {
  tree.restore();
  const { failed, output } = await sim('--minimize', seed);
  assert.equal(failed, true);
  assert.match(output, /passes: there is nothing to minimize/);
});
