// `kubectl journal drain-check` as a program: whose pods it looks at, and what it says of the rest.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';

const plugin = join(import.meta.dirname, '../../bin/kubectl-journal');

const pod = {
  metadata: {
    name: 'orders-replica-1-0',
    namespace: 'shop',
    labels: { 'journal.dev/cluster': 'orders', 'journal.dev/member': 'replica-1' },
  },
  spec: { nodeName: 'worker-1' },
};
const orders = { metadata: { name: 'orders', namespace: 'shop' } };

/** An API server that knows a node, a cluster in namespace shop and a pod of it there. */
function apiServer(mayReadAll: () => boolean): Server {
  return createServer(({ url = '/' }, response) => {
    const { pathname } = new URL(url, 'http://x');
    const namespace = /\/namespaces\/([^/]+)\//.exec(pathname)?.[1];
    const isNodes = pathname.endsWith('/nodes');
    if (namespace === undefined && !isNodes && !mayReadAll()) {
      response.writeHead(403).end(JSON.stringify({ message: 'forbidden', reason: 'Forbidden' }));
      return;
    }
    const there = namespace === undefined || namespace === 'shop';
    const all = isNodes ? [{ metadata: { name: 'worker-1' } }] : [];
    if (there && pathname.endsWith('/pods')) all.push(pod);
    if (there && pathname.endsWith('/journalclusters')) all.push(orders);
    response.writeHead(200).end(JSON.stringify({ metadata: {}, items: all }));
  });
}

describe('drain-check', () => {
  const folder = mkdtempSync(join(tmpdir(), 'journal-drain-'));
  const config = join(folder, 'config');
  let readsAll = true;
  const api = apiServer(() => readsAll);
  before(async () => {
    await new Promise<void>((resolve) => api.listen(0, '127.0.0.1', resolve));
    // cast: a server that listens on TCP has an address of this form.
    const { port } = api.address() as AddressInfo;
    const server = `http://127.0.0.1:${port}`;
    const text = JSON.stringify({
      clusters: [{ name: 'c', cluster: { server, 'insecure-skip-tls-verify': true } }],
      contexts: [{ name: 'x', context: { cluster: 'c', user: 'u', namespace: 'default' } }],
      users: [{ name: 'u', user: {} }],
      'current-context': 'x',
    });
    writeFileSync(config, text);
  });
  after(() => {
    api.closeAllConnections();
    api.close();
    rmSync(folder, { recursive: true });
  });

  const check = (...flags: readonly string[]) =>
    new Promise<{ readonly code: number; readonly stdout: string; readonly stderr: string }>(
      (resolve) => {
        const args = ['drain-check', 'worker-1', '--kubeconfig', config, ...flags];
        execFile(plugin, args, (error, stdout, stderr) =>
          resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr }),
        );
      },
    );

  test('looks at every namespace: that of the context may have no pod there', async () => {
    readsAll = true;
    for (const flags of [[], ['-A'], ['-n', 'shop']]) {
      const { code, stdout } = await check(...flags);
      assert.equal(code, 1, stdout);
      assert.match(stdout, /^shop\/orders: not now\n/);
    }
  });

  test('says where it looked when that was not everywhere', async () => {
    readsAll = true;
    const asked = await check('-n', 'default');
    assert.equal(asked.code, 0, asked.stderr);
    const said = 'no pod of a JournalCluster in namespace default is on worker-1; ';
    assert.equal(asked.stdout, `${said}others were not looked at\n`);
    readsAll = false;
    const refused = await check();
    assert.equal(refused.code, 0, refused.stderr);
    assert.equal(refused.stdout, `${said}others were not looked at\n`);
    assert.match(refused.stderr, /you may not look at all namespaces: looking at default alone/);
  });

  test('refuses to pass for all namespaces where it may not see them', async () => {
    readsAll = false;
    const { code, stderr } = await check('-A');
    assert.equal(code, 1);
    assert.match(stderr, /refuses: forbidden/);
    assert.equal((await check('-A', '-n', 'shop')).code, 2);
  });
});
