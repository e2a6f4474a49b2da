// Mutual TLS among real processes, set up by hand as docs/operations.md says it: roles by the name
// in a certificate, and an authority that changes under way.

import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { connect } from '../../client/index.ts';
import { type Authority, authority } from '../certificates.ts';
import { type Ended, journal, pause, startLogged } from './cluster.ts';
import { freePorts } from './ports.ts';

const WAIT = { timeout: 180_000 };
const CLUSTER = '0123456789abcdef0123456789abcdef';
const SERVERS = ['controller-1.controllers', 'replica-1.replicas', 'replica-2.replicas'];
const ROLES = `
grants:
  - { names: ["*.replicas", "*.controllers"], roles: [member], journals: ["*"] }
  - { names: [ops], roles: [read, append, admin], journals: ["*"] }
  - { names: [billing], roles: [read, append], journals: [orders] }
  - { names: [audit], roles: [read], journals: ["ord*"] }
`;

describe('mutual TLS', () => {
  const folder = mkdtempSync(join(tmpdir(), 'journal-tls-'));
  const processes: ChildProcess[] = [];
  let endpoints: string[] = [];
  let first: Authority;

  /** Writes who `name` is; each file is replaced in one step, as mounted Secrets are. */
  async function certify(name: string, by: Authority, trusted = by.cert): Promise<void> {
    const { cert, key } = await by.issue(name);
    for (const [kind, text] of Object.entries({ ca: trusted, cert, key })) {
      writeFileSync(join(folder, `${name}.${kind}.new`), text);
      renameSync(join(folder, `${name}.${kind}.new`), join(folder, `${name}.${kind}`));
    }
  }

  const file = (name: string, kind: string): string => join(folder, `${name}.${kind}`);
  const tlsOf = (name: string): string[] =>
    ['ca', 'cert', 'key'].flatMap((kind) => [`--tls-${kind}`, file(name, kind)]);
  const logOf = (name: string): string => readFileSync(file(name, 'log'), 'utf8');

  function start(name: string, args: readonly string[]): void {
    const log = file(name, 'log');
    const roles = ['--authorization', join(folder, 'roles.yaml')];
    const all = [...args, '--data', join(folder, name), ...tlsOf(name), ...roles];
    processes.push(startLogged(all, log));
  }

  function as(name: string, command: string, input = ''): Promise<Ended> {
    const args = [...command.split(' '), '--endpoints', endpoints.join(), ...tlsOf(name)];
    return journal(args, input);
  }

  const sdk = (name: string) =>
    connect({
      endpoints,
      timeoutMillis: 30_000,
      tls: { ca: file(name, 'ca'), cert: file(name, 'cert'), key: file(name, 'key') },
    });

  before(async () => {
    first = await authority('first');
    for (const name of [...SERVERS, 'ops', 'billing', 'audit', 'nobody']) {
      await certify(name, first);
    }
    await certify('stranger', await authority('other'), first.cert);
    writeFileSync(join(folder, 'roles.yaml'), ROLES);
    const port = await freePorts(3);
    const controller = `127.0.0.1:${port}`;
    endpoints = [1, 2].map((at) => `127.0.0.1:${port + at}`);
    const [one = ''] = SERVERS;
    const made = await journal([
      ...['controller', 'format', '--data', join(folder, one), '--id', 'controller-1'],
      ...['--cluster', CLUSTER, '--set', `controller-1=${controller}`],
      ...['--grant', 'replica-1=a,replica-2=b'],
    ]);
    assert.equal(made.code, 0, made.stderr);
    start(one, ['controller', '--listen', controller]);
    for (const [at, zone] of [...'ab'].entries()) {
      const member = ['--member', `replica-${at + 1}`, '--zone', zone];
      const where = ['--listen', endpoints[at] ?? '', '--controllers', controller];
      start(SERVERS[at + 1] ?? '', ['replica', ...member, ...where, '--replication-factor', '2']);
    }
    const ready = await as('ops', 'status --wait --timeout 60s');
    assert.equal(ready.code, 0, ready.stderr + SERVERS.map(logOf).join('\n'));
  }, WAIT);

  after(async () => {
    const gone = processes.map((child) => new Promise((resolve) => child.once('exit', resolve)));
    for (const child of processes) child.kill('SIGTERM');
    await Promise.all(gone);
    rmSync(folder, { recursive: true, force: true });
  });

  test(
    'a name may do what its roles say, on the journals that they say, and no more',
    WAIT,
    async () => {
      const may = async (name: string, command: string, input?: string): Promise<string> => {
        const { code, stdout, stderr } = await as(name, command, input);
        assert.equal(code, 0, `${name}: ${command}: ${stderr}`);
        return stdout;
      };
      const mayNot = async (name: string, command: string, input?: string): Promise<void> => {
        const { code, stderr } = await as(name, command, input);
        assert.equal(code, 1, `${name}: ${command}: ${stderr}`);
        assert.match(stderr, new RegExp(name));
      };
      await mayNot('billing', 'create orders');
      await may('ops', 'create orders');
      await may('ops', 'create other');
      assert.match(await may('billing', 'append orders', 'one\ntwo\n'), /^1\t.*\n2\t/);
      await mayNot('billing', 'append other', 'one\n');
      assert.equal(await may('audit', 'read orders --raw'), 'one\ntwo\n');
      await mayNot('audit', 'append orders', 'three\n');
      await mayNot('audit', 'read other');
      await mayNot('billing', 'delete orders --yes');
      await mayNot('billing', 'admin member add replica-3 --zone c');
      await mayNot('nobody', 'tail orders');
      await may('ops', 'admin member add replica-3 --zone c');
      assert.match(
        SERVERS.map(logOf).join('\n'),
        /"identities":\["ops"\].*an operator gave an order/,
      );
    },
  );

  test('who has no certificate, or one of somebody else, is not served', WAIT, async () => {
    for (const flags of [tlsOf('stranger'), tlsOf('ops').slice(0, 2), []]) {
      const where = ['--endpoints', endpoints.join(), '--timeout', '2s'];
      const { code, stderr } = await journal(['tail', 'orders', ...where, ...flags]);
      assert.equal(code, 5, `${flags}: ${stderr}`);
    }
  });

  test('another authority takes over file by file, and no append fails', WAIT, async () => {
    await using client = sdk('billing');
    const orders = client.journal('orders');
    let over = false;
    let appended = 0;
    const appending = (async () => {
      for (; !over; appended += 1) await orders.append('while it changes');
    })();
    const second = await authority('second');
    const both = `${first.cert}\n${second.cert}`;
    // Trust both, then be of the second, then trust that one alone: as anybody would.
    for (const [by, trusted] of [
      [first, both],
      [second, both],
      [second, second.cert],
    ] as const) {
      for (const name of [...SERVERS, 'ops', 'billing']) await certify(name, by, trusted);
      // The files are looked at every 2 s.
      await pause(5_000);
      const fresh = await as('ops', 'append orders -q', 'from a new connection\n');
      assert.equal(fresh.code, 0, fresh.stderr);
    }
    over = true;
    await appending;
    assert.ok(appended > 0);
    const old = await as('audit', 'tail orders --timeout 2s');
    assert.equal(old.code, 5, old.stderr);
  });
});
