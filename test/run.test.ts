// The tier runner must never call a run good that was not: tried on small repositories of its own.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test } from 'node:test';

type Outcome = { readonly code: number | null; readonly last: string };

const run = (...args: Parameters<typeof outputOf>): Outcome => {
  const { code, stdout } = outputOf(...args);
  return { code, last: stdout.trimEnd().split('\n').at(-1) ?? '' };
};

/** Runs tiers over the given files, in a folder with a copy of the runner. */
function outputOf(tiers: readonly string[], files: Record<string, string>, ci = 'false') {
  const folder = mkdtempSync(join(tmpdir(), 'journal-run-'));
  try {
    mkdirSync(join(folder, 'test'));
    for (const name of ['run.ts', 'tiers.ts']) {
      cpSync(join(import.meta.dirname, name), join(folder, 'test', name));
    }
    for (const [name, text] of Object.entries({ 'package.json': '{"type":"module"}', ...files })) {
      mkdirSync(dirname(join(folder, name)), { recursive: true });
      writeFileSync(join(folder, name), text);
    }
    // The child is no part of this test run, whatever this process was told.
    const { NODE_TEST_CONTEXT: _, ...env } = process.env;
    const { status, stdout } = spawnSync(process.execPath, ['test/run.ts', ...tiers], {
      cwd: folder,
      encoding: 'utf8',
      env: { ...env, CI: ci },
    });
    return { code: status, stdout };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const head = "import { test } from 'node:test';\n";
const passing = `${head}test('a', () => {});\ntest('b', () => {});\n`;
const failing = `${head}test('a', () => {});\ntest('b', () => { throw new Error('no'); });\n`;
const skipping = `${head}test('a', () => {});\ntest('b', { skip: 'no root' }, () => {});\n`;

// The tier `sim` runs its program twice: for a fixed set, and for new seeds.
test('sums the tests of several tiers', () => {
  const sim = "process.stdout.write('7 passed, 0 failed\\n');\n";
  const files = { 'test/crash/a.test.ts': passing, 'sim/main.ts': sim };
  assert.deepEqual(run(['sim', 'crash'], files), {
    code: 0,
    last: '16 passed, 0 failed, 0 skipped',
  });
});

test('fails when a test fails', () => {
  const files = { 'test/crash/a.test.ts': failing };
  assert.deepEqual(run(['crash'], files), { code: 1, last: '1 passed, 1 failed, 0 skipped' });
});

test('fails when a program ends badly, whatever it counted', () => {
  const sim = "process.stdout.write('7 passed, 0 failed\\n');\nprocess.exitCode = 3;\n";
  const wanted = { code: 1, last: '14 passed, 2 failed, 0 skipped' };
  assert.deepEqual(run(['sim'], { 'sim/main.ts': sim }), wanted);
});

test('the end tells again what failed', () => {
  const sim = "console.log('seed 42 went wrong'); process.exitCode = 1;\n";
  const files = { 'test/crash/a.test.ts': failing, 'sim/main.ts': sim };
  const { stdout } = outputOf(['sim', 'crash'], files);
  const end = stdout.slice(stdout.indexOf('failed: '));
  assert.match(end, /^failed: sim, simulation: new seeds\nseed 42 went wrong$/m);
  assert.match(end, /^failed: crash, crash points\ntest at test.crash.a\.test\.ts:3:1\n✖ b/m);
  assert.match(end, /Error: no\n/);
});

test('a skip passes for a person and fails in continuous integration', () => {
  const files = { 'test/crash/a.test.ts': skipping };
  assert.deepEqual(run(['crash'], files), { code: 0, last: '1 passed, 0 failed, 1 skipped' });
  assert.deepEqual(run(['crash'], files, 'true'), {
    code: 1,
    last: '1 passed, 1 failed, 0 skipped',
  });
});

test('a tier that ran no test fails', () => {
  assert.deepEqual(run(['crash'], {}), { code: 1, last: '0 passed, 1 failed, 0 skipped' });
});

test('`npm test -- TIER`, which comes as `all TIER`, runs that tier alone', () => {
  const files = { 'test/crash/one.test.ts': passing };
  assert.deepEqual(run(['all', 'crash'], files), {
    code: 0,
    last: '2 passed, 0 failed, 0 skipped',
  });
});

test('a tier beside another one counts as well, whether it passes or fails', () => {
  const soak = "process.stdout.write('1 passed, 0 failed\\n');\n";
  const files = { 'bench/soak/main.ts': soak, 'test/foreign/one.test.ts': passing };
  const tiers = ['soak', 'foreign'];
  assert.deepEqual(run(tiers, files), { code: 0, last: '3 passed, 0 failed, 0 skipped' });
  const bad = { ...files, 'test/foreign/two.test.ts': failing };
  assert.deepEqual(run(tiers, bad), { code: 1, last: '4 passed, 1 failed, 0 skipped' });
});

test('a name that is no tier is refused', () => {
  assert.equal(run(['crush'], {}).code, 2);
});
