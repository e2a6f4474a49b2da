// Authorities of somebody else that can be read, and nobody would believe what they issue.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { troubleOfIssued } from './handshake.ts';
import { createAuthority, type Pair, type Subject, troubleOfIssuer } from './pki.ts';

const folder = mkdtempSync(join(tmpdir(), 'journal-handshake-'));
after(() => rmSync(folder, { recursive: true, force: true }));

const server: Subject = {
  commonName: 'member.orders.replica-1',
  dnsNames: ['orders', 'orders.shop', 'orders.shop.svc', 'orders.shop.svc.cluster.local'],
  server: true,
};
const client: Subject = { commonName: 'operator.orders', dnsNames: [], server: false };
const issuing = (serial: string) => ({ serial, nowMillis: Date.now(), days: 30 });

function madeBy(...args: readonly string[]): Pair {
  const [cert, key] = [join(folder, 'ca.crt'), join(folder, 'ca.key')];
  const request = ['req', '-x509', '-nodes', '-days', '9', '-subj', '/CN=theirs'];
  execFileSync('openssl', [...request, ...args, '-keyout', key, '-out', cert], { stdio: 'ignore' });
  return { cert: readFileSync(cert, 'utf8'), key: readFileSync(key, 'utf8') };
}

const curve = (name: string) => ['-newkey', 'ec', '-pkeyopt', `ec_paramgen_curve:${name}`];
const own = 'permitted;DNS:orders,permitted;DNS:shop,permitted;DNS:svc,permitted;DNS:cluster.local';

const authorities: readonly (readonly [string, readonly string[], RegExp])[] = [
  ['RSA', ['-newkey', 'rsa:2048'], /^$/],
  ['P-384', curve('P-384'), /^$/],
  ['P-521', curve('P-521'), /^$/],
  ['Ed25519', ['-newkey', 'ed25519'], /^$/],
  [
    'constrained to other names',
    [...curve('P-256'), '-addext', 'nameConstraints=critical,permitted;DNS:example.com'],
    /^what it issues is believed by nobody: permitted subtree violation/,
  ],
  [
    'constrained to a suffix that not all names have',
    [...curve('P-256'), '-addext', 'nameConstraints=critical,permitted;DNS:cluster.local'],
    /^what it issues is believed by nobody: permitted subtree violation/,
  ],
  [
    'of servers alone',
    [...curve('P-256'), '-addext', 'extendedKeyUsage=serverAuth'],
    /^what it issues is believed by nobody: /,
  ],
  ['RSA-PSS', ['-newkey', 'rsa-pss'], /^it cannot issue: /],
  ['secp256k1', curve('secp256k1'), /^it cannot issue: /],
  [
    'constrained to names that hold for all',
    [...curve('P-256'), '-addext', `nameConstraints=critical,${own},permitted;DNS:replica-1`],
    /^$/,
  ],
];

for (const [what, args, says] of authorities) {
  test(`an authority: ${what}`, async () => {
    const authority = madeBy(...args);
    assert.equal(troubleOfIssuer(authority, Date.now()), '', 'it looks like one');
    const tried = await troubleOfIssued(authority, server, client, issuing('0a'));
    assert.match(tried, says);
    assert.equal(await troubleOfIssued(authority, server, client, issuing('0b')), tried);
  });
}

test('an authority of our own is believed, whatever the time of this machine', async () => {
  for (const days of [0, -60]) {
    const nowMillis = Date.now() + days * 86_400_000;
    const authority = await createAuthority('orders.shop', { ...issuing('01'), nowMillis });
    const at = { ...issuing('02'), nowMillis };
    assert.equal(await troubleOfIssued(authority, server, client, at), '');
  }
});

test('one that does not hold yet is told', async () => {
  const nowMillis = Date.now() + 10 * 86_400_000;
  const authority = await createAuthority('orders.shop', { ...issuing('01'), nowMillis });
  assert.match(troubleOfIssuer(authority, Date.now()), /^tls\.crt does not hold before /);
});
