// Where the page of a run is to go is looked at before the run, which may take minutes.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';

const main = join(import.meta.dirname, '../../sim/main.ts');

for (const [flags, sentence] of [
  [
    ['--show', '1', '--out', '/no/such/page.html'],
    /^--out is "\/no\/such\/page\.html", .* no folder\n$/,
  ],
  [
    ['--minimize', '1', '--out', import.meta.dirname],
    /^--out is ".*", allowed is .* is a folder\n$/,
  ],
] as const) {
  test(`refused: ${flags.join(' ')}`, () => {
    const { status, stdout, stderr } = spawnSync(process.execPath, [main, ...flags], {
      encoding: 'utf8',
    });
    assert.match(stderr, sentence);
    assert.deepEqual([status, stdout], [2, '']);
  });
}
