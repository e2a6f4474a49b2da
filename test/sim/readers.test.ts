// Who reads what a method says may leave, as `head` does: that is no fault, and no stack trace.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { test } from 'node:test';

const root = join(import.meta.dirname, '../..');

for (const args of [
  ['sim/main.ts', '--seed', '1', '--events', '300', '--faults', 'kill'],
  ['test/mutants/main.ts', '--list'],
  ['test/fuzz/main.ts', '--inputs', '10', 'batch'],
] as const) {
  test(`${args.join(' ')}, and nobody reads`, async () => {
    const child = spawn(process.execPath, [...args], {
      cwd: root,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    child.stdout.destroy();
    let said = '';
    child.stderr.on('data', (piece: Buffer) => {
      said += piece.toString('utf8');
    });
    const [code] = await once(child, 'close');
    assert.deepEqual([code, said], [1, '']);
  });
}
