// What the searches refuse with a sentence, before any of them begins; and how one ends that stops.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';

const main = join(import.meta.dirname, '../../sim/explore/main.ts');

for (const [args, sentence] of [
  [['chain-mystery'], /^no scope chain-mystery; there are\n\* chain-pair: /],
  // A name that every object has.
  [['constructor'], /^no scope constructor; there are\n/],
  [['--memory', '0', 'lease'], /^--memory is 0, allowed is a whole number from 1\n$/],
] as const) {
  test(`refused: ${args.join(' ')}`, () => {
    const { status, stdout, stderr } = spawnSync(process.execPath, [main, ...args], {
      encoding: 'utf8',
    });
    assert.match(stderr, sentence);
    assert.deepEqual([status, stdout], [2, '']);
  });
}

test('a search that had to stop says why, and the sum comes last', () => {
  const args = [main, '--states', '1000', 'chain-pair', 'lease'];
  const { status, stdout } = spawnSync(process.execPath, args, { encoding: 'utf8' });
  const [sum, ...others] = stdout.trimEnd().split('\n').reverse();
  assert.equal(sum, '0 passed, 2 failed');
  assert.equal(others.filter((line) => line.startsWith('  stopped by --states')).length, 2);
  assert.equal(status, 1);
});
