// The image of the project: two builds of the same sources are one image, byte for byte.

import assert from 'node:assert/strict';
import {
  chmodSync,
  cpSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { digestOf } from './lab/images.ts';
import { installPackages, obstacle } from './lab/packages.ts';

const root = join(import.meta.dirname, '..', '..');
const MOMENT_SECONDS = 1_767_225_600;
const say = (line: string): void => void process.stderr.write(`${line}\n`);

/** What a build may read, and how it is told so. */
function copyOfSources(folder: string): void {
  const allowed = readFileSync(join(root, '.dockerignore'), 'utf8').matchAll(/^!(.+)$/gm);
  const names = ['Dockerfile', '.dockerignore', ...[...allowed].map(([, name = '']) => name)];
  for (const name of names) cpSync(join(root, name), join(folder, name), { recursive: true });
}

/** As another machine's checkout may have it: of another day, by a stricter umask. */
function disguise(folder: string): void {
  for (const name of readdirSync(folder, { recursive: true, encoding: 'utf8' })) {
    const path = join(folder, name);
    chmodSync(path, statSync(path).mode & ~0o027);
    utimesSync(path, 1_000_000_000, 1_000_000_000);
  }
}

test('two builds of the same sources have the same digest', {
  skip: obstacle() ?? false,
  timeout: 1_200_000,
}, async (context) => {
  await installPackages(say);
  const folders = ['one', 'other'].map((name) =>
    mkdtempSync(join(tmpdir(), `journal-image-${name}-`)),
  );
  const [one = '', other = ''] = folders;
  try {
    for (const folder of folders) copyOfSources(folder);
    disguise(other);
    const digest = await digestOf(one, MOMENT_SECONDS, say);
    assert.match(digest, /^sha256:[0-9a-f]{64}/);
    context.diagnostic(digest.trim());
    assert.equal(await digestOf(other, MOMENT_SECONDS, say), digest);
  } finally {
    for (const folder of folders) rmSync(folder, { recursive: true, force: true });
  }
});
