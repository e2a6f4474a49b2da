// Certificates in whole passes: kept while nothing else is done, made once, and what is said.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { begin, CLUSTER, pathFor, refuse } from '../../test/reconciling.ts';
import { isObject, textAt, textsAt } from '../kube/fields.ts';
import { readPair } from '../manifests/secret.ts';
import { issue } from '../pki.ts';

test('a suspended cluster gets its certificates renewed in time', async () => {
  const { api, pass, get, condition } = await begin();
  await pass(3);
  const path = pathFor('Secret', 'orders-client');
  const before = api.objects.get(path);
  const [authority, client] = [readPair(get('Secret', 'orders-ca')), readPair(before)];
  const subject = { commonName: 'client.orders', dnsNames: [], server: false };
  const issuing = { serial: '07', nowMillis: Date.now() - 61 * 86_400_000, days: 90 };
  const old = (await issue(authority, subject, issuing)).cert;
  const data = { 'tls.crt': Buffer.from(old).toString('base64') };
  api.put(path, { ...before, data: { ...textsAt(before, 'data'), ...data } });
  const cluster = api.objects.get(CLUSTER);
  assert.ok(cluster && isObject(cluster.spec));
  api.put(CLUSTER, { ...cluster, spec: { ...cluster.spec, suspend: true } });
  api.remove(pathFor('Secret', 'orders-operator'));
  const count = api.writes.length;
  await pass(2);
  const written = api.writes.slice(count).filter((one) => !one.endsWith('/status'));
  assert.deepEqual(written, [`PATCH ${path}`]);
  assert.notEqual(readPair(get('Secret', 'orders-client')).cert, old);
  assert.notEqual(readPair(get('Secret', 'orders-client')).key, client.key);
  const message = textAt(api.objects.get(CLUSTER), 'status', 'message') ?? '';
  assert.match(message, /nothing is changed; .*Secret orders-operator is missing/);
  api.remove(pathFor('Secret', 'orders-ca'));
  await pass();
  assert.equal(condition('CertificatesValid'), 'False CertificateTrouble');
});

test('an authority that is not in the local copy yet is not made again', async () => {
  const { pass, get } = await begin({}, (api) => {
    const watch = api.watch.bind(api);
    // Says nothing of Secrets.
    api.watch = (request) =>
      watch(request.path.endsWith('/secrets') ? { ...request, path: '/nowhere' } : request);
  });
  await pass();
  const { cert } = readPair(get('Secret', 'orders-ca'));
  await pass();
  assert.equal(readPair(get('Secret', 'orders-ca')).cert, cert);
});

test('what was wrong with certificates is told on while something else fails', async () => {
  const { api, pass, condition } = await begin({ tls: { issuerSecretName: 'theirs' } });
  await pass();
  assert.equal(condition('CertificatesValid'), 'False CertificateTrouble');
  refuse(api, /\/services\/orders$/, 'etcd is busy', 500);
  api.remove(pathFor('Service', 'orders'));
  await assert.rejects(pass(), /busy/);
  assert.equal(condition('Progressing'), 'False ReconcileFailed');
  assert.equal(condition('CertificatesValid'), 'False CertificateTrouble');
});

test('nothing is said to hold of a cluster that is suspended from its birth', async () => {
  const { api, pass, condition } = await begin({ suspend: true });
  await pass(3);
  assert.equal(condition('CertificatesValid'), 'Unknown Pending');
  assert.equal(condition('ZoneSpread'), 'Unknown Pending');
  assert.equal(condition('Stalled'), 'False NotStalled');
  const cluster = api.objects.get(CLUSTER);
  assert.ok(isObject(cluster?.spec));
  api.put(CLUSTER, { ...cluster, spec: { ...cluster.spec, suspend: false } });
  await pass(2);
  assert.equal(condition('CertificatesValid'), 'True AllHold');
});
