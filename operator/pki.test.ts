// Certificates that the operator issues are believed by TLS as it is, over IP addresses too.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { silent } from '../io/logger.ts';
import { type CallContext, unary } from '../io/network.ts';
import { nodeClock } from '../io/node.ts';
import { JournalError } from '../protocol/errors.ts';
import { micros } from '../protocol/types.ts';
import { grpcNetwork } from '../transport/grpc.ts';
import { clusterMethods } from '../transport/methods.ts';
import { createAuthority, isDue, issue, joinPems, readCertificate, renewalMillis } from './pki.ts';

const folder = mkdtempSync(join(tmpdir(), 'journal-pki-'));
after(() => rmSync(folder, { recursive: true, force: true }));

const DAY = 86_400_000;
const issuing = (serial: string, days = 30) => ({ serial, nowMillis: Date.now(), days });
const server = {
  commonName: 'replica-1.replicas.orders',
  dnsNames: ['orders.n.svc'],
  server: true,
};
const client = { commonName: 'client.orders', dnsNames: [], server: false };

function filesOf(name: string, ca: string, pair: { cert: string; key: string }) {
  const paths = { ca: '', cert: '', key: '' };
  for (const [kind, text] of Object.entries({ ca, ...pair })) {
    const path = join(folder, `${name}.${kind}`);
    writeFileSync(path, text);
    Object.assign(paths, { [kind]: path });
  }
  return paths;
}

test('an issued certificate verifies against its authority and no other', async () => {
  const authority = await createAuthority('orders', issuing('01'));
  const other = await createAuthority('orders', issuing('02'));
  const { cert } = await issue(authority, server, issuing('03'));
  const read = new X509Certificate(cert);
  assert.ok(read.verify(new X509Certificate(authority.cert).publicKey));
  assert.ok(!read.verify(new X509Certificate(other.cert).publicKey));
  assert.ok(read.checkHost('orders.n.svc'));
  assert.equal(read.checkHost('other.n.svc'), undefined);
});

test('due: by time, by name, by authority', async () => {
  const old = await createAuthority('orders', issuing('01'));
  const next = await createAuthority('orders', issuing('02'));
  const [was, is] = [await readCertificate(old.cert), await readCertificate(next.cert)];
  const leaf = await readCertificate((await issue(old, server, issuing('03'))).cert);
  assert.ok(was && is && leaf);
  const now = Date.now();
  assert.equal(isDue(leaf, was, server, now), false);
  assert.equal(isDue(leaf, is, server, now), true);
  assert.equal(isDue(leaf, was, { ...server, dnsNames: ['x'] }, now), true);
  assert.equal(isDue(leaf, was, client, now), true);
  assert.equal(isDue(leaf, was, server, renewalMillis(leaf) + 1), true);
  assert.ok(Math.abs(renewalMillis(leaf) - (now + 20 * DAY)) < DAY);
  assert.equal(await readCertificate('nonsense'), null);
});

test('an authority of somebody else: RSA by openssl, with an intermediate', async () => {
  const at = (name: string): string => join(folder, name);
  const openssl = (...args: string[]): void => {
    execFileSync('openssl', args, { stdio: 'ignore' });
  };
  openssl(
    'req',
    '-x509',
    '-newkey',
    'rsa:2048',
    '-nodes',
    '-keyout',
    at('root.key'),
    '-out',
    at('root.crt'),
    '-subj',
    '/CN=root',
    '-days',
    '2',
  );
  openssl(
    'req',
    '-newkey',
    'rsa:2048',
    '-nodes',
    '-keyout',
    at('mid.key'),
    '-out',
    at('mid.csr'),
    '-subj',
    '/O=Example/CN=intermediate',
  );
  writeFileSync(at('mid.ext'), 'basicConstraints=critical,CA:TRUE\nkeyUsage=keyCertSign\n');
  openssl(
    'x509',
    '-req',
    '-in',
    at('mid.csr'),
    '-CA',
    at('root.crt'),
    '-CAkey',
    at('root.key'),
    '-CAcreateserial',
    '-days',
    '2',
    '-out',
    at('mid.crt'),
    '-extfile',
    at('mid.ext'),
  );
  const read = (name: string): string => execFileSync('cat', [at(name)], { encoding: 'utf8' });
  const leaf = await issue({ cert: read('mid.crt'), key: read('mid.key') }, server, issuing('0a'));
  writeFileSync(at('leaf.crt'), leaf.cert);
  openssl('verify', '-CAfile', at('root.crt'), '-untrusted', at('mid.crt'), at('leaf.crt'));
  assert.equal(leaf.cert.match(/BEGIN CERTIFICATE/g)?.length, 2);
});

test('processes prove themselves by IP address, also while the authority changes', async () => {
  const [old, next] = [
    await createAuthority('orders', issuing('01')),
    await createAuthority('orders', issuing('02')),
  ];
  const both = joinPems([old.cert, next.cert, old.cert]);
  assert.equal(both.match(/BEGIN/g)?.length, 2);
  const base = { clock: nodeClock, logger: silent };
  const files = filesOf('server', both, await issue(old, server, issuing('03')));
  const listening = grpcNetwork({ ...base, tls: files });
  const seen: string[] = [];
  const handle = async (_: unknown, { identities }: CallContext) => {
    seen.push(identities[0] ?? '');
    return { cluster: 'c', featureLevel: 1, ready: true, processes: [], journals: [] };
  };
  const listener = await listening.serve('127.0.0.1:0', [unary(clusterMethods.status, handle)]);
  const ask = async (tls: Parameters<typeof grpcNetwork>[0]['tls']): Promise<string> => {
    const network = grpcNetwork({ ...base, tls });
    try {
      const options = { timeout: micros(3_000_000) };
      return (await network.call(listener.address, clusterMethods.status, {}, options)).cluster;
    } catch (error) {
      return error instanceof JournalError ? error.code : String(error);
    } finally {
      await network.close();
    }
  };
  const serverName = 'orders.n.svc';
  const newcomer = filesOf('new', both, await issue(next, client, issuing('04')));
  const stranger = filesOf(
    'strange',
    both,
    await issue(await createAuthority('x', issuing('05')), client, issuing('06')),
  );
  assert.equal(await ask({ ...newcomer, serverName }), 'c');
  assert.deepEqual(seen, ['client.orders']);
  assert.equal(await ask(newcomer), 'UNAVAILABLE');
  assert.equal(await ask({ ...newcomer, serverName: 'other.n.svc' }), 'UNAVAILABLE');
  assert.equal(await ask({ ...stranger, serverName }), 'UNAVAILABLE');
  await listening.close();
});
