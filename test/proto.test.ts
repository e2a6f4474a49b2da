// The .proto files: well made, without a breaking change, and what transport/gen was made from.
//
// `journal.baseline.binpb` is the public API as it was released last. After a release, and only
// then: `cd transport && buf build --path journal.proto -o journal.baseline.binpb`.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { root } from './tiers.ts';

const run = promisify(execFile);
const transport = join(root, 'transport');
const bin = join(root, 'node_modules', '.bin');

/** Runs buf without a network: a proxy that nobody serves makes sure of that. */
async function buf(folder: string, ...args: string[]): Promise<string> {
  const env = {
    ...process.env,
    PATH: `${bin}${delimiter}${process.env.PATH ?? ''}`,
    HTTPS_PROXY: 'http://127.0.0.1:1',
  };
  const { stdout } = await run(join(bin, 'buf'), args, { cwd: folder, env });
  return stdout;
}

describe('the .proto files', () => {
  let folder = '';
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'journal-proto-'));
  });
  after(async () => {
    await rm(folder, { recursive: true, force: true });
  });

  const against = [
    '--against',
    join(transport, 'journal.baseline.binpb'),
    '--limit-to-input-files',
  ];

  test('pass the linter', async () => {
    await buf(transport, 'lint');
  });

  test('break no client of the last release', async () => {
    await buf(transport, 'breaking', '--path', 'journal.proto', ...against);
  });

  test('and a change that would is found', async () => {
    const text = await readFile(join(transport, 'journal.proto'), 'utf8');
    const broken = text.replace('int64 first_lsn = 2;', 'string first_lsn = 2;');
    assert.notEqual(broken, text);
    await writeFile(join(folder, 'journal.proto'), broken);
    await writeFile(join(folder, 'buf.yaml'), 'version: v2\n');
    const wrong = buf(folder, 'breaking', ...against);
    await assert.rejects(wrong, (error: { stdout: string }) => /first_lsn/.test(error.stdout));
  });

  test('are what transport/gen was made from', async () => {
    await buf(transport, 'generate', '-o', folder);
    const made = join(folder, 'gen');
    const names = (await readdir(made)).sort();
    assert.deepEqual((await readdir(join(transport, 'gen'))).sort(), names);
    for (const name of names) {
      const [one, other] = await Promise.all(
        [made, join(transport, 'gen')].map((place) => readFile(join(place, name), 'utf8')),
      );
      assert.equal(one, other, `transport/gen/${name} is out of date: npm run gen`);
    }
  });
});
