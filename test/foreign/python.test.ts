// A client in another language: generated from journal.proto by its own tools, it appends, reads,
// and is refused with details that it understands.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { Cluster } from '../processes/cluster.ts';

const run = promisify(execFile);
const transport = join(import.meta.dirname, '..', '..', 'transport');
const PACKAGES = ['grpcio', 'grpcio-tools', 'grpcio-status'];

let folder = '';
let python = '';
let cluster: Cluster;

before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'journal-python-'));
  await run('python3', ['-m', 'venv', join(folder, 'venv')]);
  python = join(folder, 'venv', 'bin', 'python');
  await run(python, ['-m', 'pip', 'install', '--quiet', '--prefer-binary', ...PACKAGES]);
  const out = [`--python_out=${folder}`, `--grpc_python_out=${folder}`];
  const proto = join(transport, 'journal.proto');
  await run(python, ['-m', 'grpc_tools.protoc', '-I', transport, ...out, proto]);
  cluster = await Cluster.start();
});

after(async () => {
  await cluster?.close();
  rmSync(folder, { recursive: true, force: true });
});

test('a Python client appends, reads, and is refused with details', async () => {
  const script = join(import.meta.dirname, 'client.py');
  const env = { ...process.env, PYTHONPATH: folder, PYTHONDONTWRITEBYTECODE: '1' };
  const { stdout } = await run(python, [script, ...cluster.endpoints], { env });
  const { refused, negative, unknown, ...rest } = JSON.parse(stdout);
  assert.deepEqual(rest, {
    ready: true,
    count: 2,
    behind: 4,
    answers: [
      ['appended', 1, ''],
      ['refused', 0, 'CONDITION_FAILED'],
      ['appended', 3, ''],
    ],
    read: ['6f6e65', '00ff', '7468726565', '666f7572'],
    subscribed: ['6f6e65', '00ff', '7468726565', '666f7572'],
  });
  assert.equal(refused.status, 'FAILED_PRECONDITION');
  assert.equal(refused.code, 'CONDITION_FAILED');
  assert.deepEqual([refused.retryable, refused.outcomeUnknown], [false, false]);
  assert.deepEqual([negative.status, negative.code], ['INVALID_ARGUMENT', 'INVALID_ARGUMENT']);
  assert.match(negative.message, /^condition\.expect_tail is -1, allowed is a whole number/);
  assert.deepEqual([unknown.status, unknown.code], ['NOT_FOUND', 'NOT_FOUND']);
});
