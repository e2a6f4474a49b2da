// The program of the plugin, as kubectl finds it: it starts, and says what keeps it from going on.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';

describe('the program that kubectl finds', () => {
  const plugin = join(import.meta.dirname, '../../bin/kubectl-journal');
  const run = (path: string, ...args: readonly string[]) =>
    new Promise<{ readonly code: number; readonly stderr: string; readonly stdout: string }>(
      (resolve) => {
        execFile(path, [...args], (error, stdout, stderr) =>
          resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr }),
        );
      },
    );

  test('works through a link in a folder of the PATH', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'journal-plugin-'));
    try {
      symlinkSync(plugin, join(folder, 'kubectl-journal'));
      const { code, stdout } = await run(join(folder, 'kubectl-journal'), '--help');
      assert.equal(code, 0);
      assert.match(stdout, /^Usage: kubectl journal /);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });

  test('says in one sentence why it cannot go on', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'journal-plugin-'));
    try {
      const config = join(folder, 'config');
      const cluster = { name: 'c', cluster: { server: 'https://127.0.0.1:1' } };
      const context = { name: 'x', context: { cluster: 'c', user: 'u' } };
      const users = [{ name: 'u', user: {} }];
      const text = JSON.stringify({
        clusters: [cluster],
        contexts: [context],
        users,
        'current-context': 'x',
      });
      writeFileSync(config, text);
      const cases: readonly (readonly [readonly string[], number, RegExp])[] = [
        [['status', 'a', '--kubeconfig', join(folder, 'none')], 2, /kubeconfig cannot be read: /],
        [['status', 'a', '--kubeconfig', config, '--context', 'y'], 2, /is "y", allowed is x\n/],
        [['status', 'a', '--kubeconfig', config], 1, /API server cannot be reached: .*REFUSED/],
        [['status'], 2, /missing required argument 'cluster'/],
        [['logs', 'a', '--tail', 'x'], 2, /Allowed is a whole number from 1 to 100000/],
      ];
      for (const [args, code, says] of cases) {
        const ended = await run(plugin, ...args);
        assert.equal(ended.code, code, ended.stderr);
        assert.match(ended.stderr, says);
        assert.match(ended.stderr, /^kubectl journal: /);
        assert.equal(ended.stderr.trimEnd().split('\n').length, 1, ended.stderr);
      }
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});
