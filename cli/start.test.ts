// How the tool is started: by a shell script that needs no Node.js to say that it is too old.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';

const root = join(import.meta.dirname, '..');
const folder = mkdtempSync(join(tmpdir(), 'journal-start-'));
after(() => rmSync(folder, { recursive: true }));

/** The script in a checkout without dependencies, on a machine with this Node.js. */
function start(version: string) {
  const bin = join(folder, version, 'bin');
  mkdirSync(bin, { recursive: true });
  copyFileSync(join(root, 'bin', 'journal'), join(bin, 'journal'));
  const machine = join(folder, version, 'machine');
  mkdirSync(machine);
  const node = join(machine, 'node');
  const says = `if [ "$1" = --version ]; then echo ${version}; else echo "ran $*"; fi`;
  writeFileSync(node, `#!/bin/sh\n${says}\n`);
  chmodSync(node, 0o755);
  const env = { ...process.env, PATH: `${machine}:/usr/bin:/bin` };
  return spawnSync(join(bin, 'journal'), ['dev', '--port', '1'], { encoding: 'utf8', env });
}

test('a Node.js that is too old, even for TypeScript, gets a sentence and code 2', () => {
  for (const version of ['v18.20.0', 'v22.10.0', 'v22.18.0', 'v23.11.1']) {
    const { status, stdout, stderr } = start(version);
    assert.equal(status, 2, stderr);
    assert.equal(stdout, '');
    assert.match(stderr, /needs Node\.js 24 or newer, and found v/);
    assert.ok(stderr.split('\n').length <= 3, stderr);
  }
});

test('one that is new enough runs the tool; npm start goes the same way', () => {
  for (const version of ['v24.0.0', 'v26.1.0']) {
    const { status, stdout } = start(version);
    assert.equal(status, 0);
    assert.match(stdout, /cli\/journal\.js dev --port 1\n$/);
  }
  const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  assert.equal(scripts.start, 'bin/journal dev');
});
