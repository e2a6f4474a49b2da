// Certificates that the operator issues are believed by TLS as it is, over IP addresses too.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
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
import {
  createAuthority,
  isDue,
  issue,
  joinPems,
  readCertificate,
  renewalMillis,
  troubleOfIssuer,
} from './pki.ts';

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
  const [cert, key, root] = [read('mid.crt'), read('mid.key'), read('root.crt')];
  const other = (await createAuthority('root', issuing('0b'))).cert;
  const bad = '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n';
  for (const [given, says] of [
    [{ cert, key, root }, /^$/],
    [{ cert, key, root: other + root }, /^$/],
    [{ cert: cert + root, key }, /^$/],
    [{ cert, key }, /^ca\.crt has not the root of tls\.crt/],
    [{ cert, key, root: cert + other }, /^ca\.crt has not the root of tls\.crt/],
    [{ cert, key, root: bad }, /^ca\.crt is no certificate/],
  ] as const) {
    assert.match(troubleOfIssuer(given, Date.now()), says);
  }
});

test('the key of an issuer may be in the form that cert-manager or openssl writes', async () => {
  const at = (name: string): string => join(folder, name);
  const openssl = (...args: readonly string[]): string =>
    execFileSync('openssl', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
  for (const [kind, ...how] of [
    ['RSA', 'rsa', '-traditional'],
    ['EC', 'ec'],
  ]) {
    const algorithm = kind === 'RSA' ? ['rsa:2048'] : ['ec', '-pkeyopt', 'ec_paramgen_curve:P-256'];
    const files = ['-keyout', at('own.key'), '-out', at('own.crt')];
    const request = ['req', '-x509', '-nodes', '-days', '2', '-subj', '/CN=own'];
    openssl(...request, '-newkey', ...algorithm, ...files);
    const key = openssl(...how, '-in', at('own.key'));
    assert.match(key, new RegExp(`BEGIN ${kind} PRIVATE KEY`));
    const cert = readFileSync(at('own.crt'), 'utf8');
    assert.equal(troubleOfIssuer({ cert, key }, Date.now()), '');
    const leaf = new X509Certificate((await issue({ cert, key }, server, issuing('03'))).cert);
    assert.ok(leaf.verify(new X509Certificate(cert).publicKey));
  }
});

test('a pair that cannot issue is told by what is wrong with it', async () => {
  const authority = await createAuthority('orders', issuing('01'));
  const other = await createAuthority('orders', issuing('02'));
  const leaf = await issue(authority, server, issuing('03'));
  const says = (cert: string, key: string, days = 0): string =>
    troubleOfIssuer({ cert, key }, Date.now() + days * DAY);
  assert.equal(says(authority.cert, authority.key), '');
  assert.equal(says('nothing', authority.key), 'tls.crt is no certificate in PEM');
  assert.match(says(authority.cert, 'nothing'), /^tls\.key is no private key in PEM/);
  assert.match(says(leaf.cert, leaf.key), /^tls\.crt is of no authority/);
  assert.equal(says(authority.cert, other.key), 'tls.key is not the key of tls.crt');
  assert.match(says(authority.cert, authority.key, 31), /^tls\.crt has been over since /);
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
    return {
      cluster: 'c',
      featureLevel: 1,
      ready: true,
      partial: false,
      processes: [],
      journals: [],
    };
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
