// Certificates through every change of the authority: whatever pods still hold of them, each
// believes each other at every step, as OpenSSL judges it.

import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { nodeRandom } from '../io/node.ts';
import { type Certified, certify } from './certify.ts';
import { type Ledger, readLedger } from './journal/ledger.ts';
import { settle } from './journal/settle.ts';
import { ASK, type World } from './journal/world.ts';
import type { KubeObject } from './kube/api.ts';
import { textsAt } from './kube/fields.ts';
import { decodedAt } from './manifests/secret.ts';

const SPREAD = 600_000;
const DAY = 86_400_000;
const STEP = SPREAD / 3;

const folder = mkdtempSync(join(tmpdir(), 'journal-certify-'));
after(() => rmSync(folder, { recursive: true, force: true }));
const at = (name: string): string => join(folder, name);
const openssl = (...args: readonly string[]): void => {
  execFileSync('openssl', args, { stdio: 'ignore' });
};

/** A root of somebody else and an intermediate authority below it, of that name. */
function intermediate(name: string): void {
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout'];
  const root = [at(`${name}-root.key`), '-out', at(`${name}-root.crt`)];
  openssl('req', '-x509', '-days', '4000', ...key, ...root, '-subj', `/CN=${name} root`);
  const request = [at(`${name}.key`), '-out', at(`${name}.csr`)];
  openssl('req', ...key, ...request, '-subj', `/CN=${name}`);
  writeFileSync(at('ext'), 'basicConstraints=critical,CA:TRUE\nkeyUsage=keyCertSign\n');
  const signed = ['-CA', at(`${name}-root.crt`), '-CAkey', at(`${name}-root.key`)];
  const files = ['-in', at(`${name}.csr`), '-out', at(`${name}.crt`), '-extfile', at('ext')];
  openssl('x509', '-req', '-days', '4000', '-CAcreateserial', ...signed, ...files);
}

before(() => {
  intermediate('one');
  intermediate('two');
});

const judged = new Map<string, string>();

/** What OpenSSL has against a chain, by those who believe this bundle; empty for nothing. */
function wrongWith(chain: string, bundle: string, nowMillis: number): string {
  const known = judged.get(`${chain}/${bundle}`);
  if (known !== undefined) return known;
  writeFileSync(at('chain'), chain);
  writeFileSync(at('bundle'), bundle);
  const time = ['-attime', String(Math.floor(nowMillis / 1000))];
  const files = ['-CAfile', at('bundle'), '-untrusted', at('chain'), at('chain')];
  const { status, stderr } = spawnSync('openssl', ['verify', '-no-CApath', ...time, ...files], {
    encoding: 'utf8',
  });
  const wrong = status === 0 ? '' : stderr;
  judged.set(`${chain}/${bundle}`, wrong);
  return wrong;
}

interface Held {
  readonly name: string;
  readonly chain: string;
  readonly bundle: string;
  /** When another took its place; that it reached every pod takes until `SPREAD` later. */
  untilMillis: number;
}

class Scene {
  // Later than what was made a moment ago, by whole seconds.
  now = Date.now() + 60_000;
  tls: { issuerSecretName?: string; leafDays?: number; authorityDays?: number } = {};
  suspend = false;
  annotations: Record<string, string> = {};
  replicas = ['replica-1'];
  readonly objects = new Map<string, KubeObject>();
  readonly #held: Held[] = [];

  issuer(name: string): void {
    this.tls = { ...this.tls, issuerSecretName: 'theirs' };
    const file = (part: string): string => readFileSync(at(part)).toString('base64');
    const data = {
      'tls.crt': file(`${name}.crt`),
      'tls.key': file(`${name}.key`),
      'ca.crt': file(`${name}-root.crt`),
    };
    this.objects.set('theirs', {
      ...{ apiVersion: 'v1', kind: 'Secret', metadata: { name: 'theirs', namespace: 'n' } },
      data,
    });
  }

  ledger(): Ledger {
    const replicas = this.replicas.map((id) => ({ id, zone: 'a' }));
    const controllers = [{ id: 'controller-1', zone: 'a' }];
    const text = JSON.stringify({ clusterId: '1'.repeat(32), replicas, controllers });
    const map = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'x' } };
    const ledger = readLedger({ ...map, data: { 'ledger.json': text } });
    assert.ok(ledger);
    return ledger;
  }

  /** One pass; of `only` its Secrets are written, as where the operator ends on the way. */
  async pass(only: RegExp = /./): Promise<Certified> {
    const { annotations, tls, suspend } = this;
    const cluster = {
      metadata: { name: 'orders', namespace: 'n', uid: 'u', annotations },
      spec: { storage: { size: '1Gi' }, tls, suspend },
    };
    const ledger = this.ledger();
    const objects = [...this.objects.values()];
    // cast: what certificates do not depend on is left out.
    const world = { cluster, nowMillis: this.now, ledger, objects } as unknown as World;
    const options = { random: nodeRandom('certify'), spreadMillis: SPREAD };
    const certified = await certify(world, ledger, settle(world.cluster, ledger), options);
    for (const secret of certified.secrets) {
      if (only.test(secret.metadata.name)) this.#write(secret);
    }
    return certified;
  }

  /** Passes until all that a change asks for is done, each of them looked at. */
  async settle(): Promise<void> {
    for (let count = 0; count < 8; count += 1) {
      const { trouble } = await this.pass();
      assert.equal(trouble, '');
      this.check();
      this.now += STEP;
    }
    const last = await this.pass();
    assert.deepEqual(last.secrets, [], 'something is written at every pass');
  }

  /** Whatever any pod may hold now believes all that any may show. */
  check(): void {
    const live = this.#held.filter(({ untilMillis }) => untilMillis > this.now - SPREAD);
    for (const { name, chain } of live) {
      for (const other of live) {
        const wrong = wrongWith(chain, other.bundle, this.now);
        assert.equal(wrong, '', `${other.name} does not believe ${name}: ${wrong}`);
      }
    }
  }

  /** As a version wrote it that took the root from the issuer's Secret at every pass. */
  forgetRoots(): void {
    const secret = this.objects.get('orders-ca');
    assert.ok(secret);
    const text = JSON.stringify(JSON.parse(decodedAt(secret, 'authority.json')), (key, value) =>
      key === 'root' ? undefined : value,
    );
    const data = {
      ...textsAt(secret, 'data'),
      'authority.json': Buffer.from(text).toString('base64'),
    };
    this.objects.set('orders-ca', { ...secret, data });
  }

  remove(name: string): void {
    this.objects.delete(name);
    this.#end(name);
  }

  leaf(name: string): string {
    return decodedAt(this.objects.get(`orders-${name}`), 'tls.crt');
  }

  #write(secret: KubeObject): void {
    const { name } = secret.metadata;
    this.objects.set(name, secret);
    if (name === 'orders-ca') return;
    this.#end(name);
    const [chain, bundle] = [decodedAt(secret, 'tls.crt'), decodedAt(secret, 'ca.crt')];
    this.#held.push({ name, chain, bundle, untilMillis: Number.POSITIVE_INFINITY });
  }

  #end(name: string): void {
    for (const one of this.#held) {
      if (one.name === name && one.untilMillis > this.now) one.untilMillis = this.now;
    }
  }
}

/** Each change, and what it is told as. */
const CHANGES: readonly (readonly [string, (scene: Scene) => void])[] = [
  ['another authority is asked for', ({ annotations }) => (annotations[ASK.rotate] = 'now')],
  ['an intermediate of somebody else issues', (scene) => scene.issuer('one')],
  ['its Secret is lost', (scene) => scene.remove('orders-ca')],
  ['an intermediate of another root issues', (scene) => scene.issuer('two')],
  ['the issuer is left out', (scene) => (scene.tls = {})],
  ['the Secret of the authority is deleted', (scene) => scene.remove('orders-ca')],
];

test('members believe each other at every step of every change of the authority', async () => {
  const scene = new Scene();
  await scene.settle();
  for (const [what, change] of CHANGES) {
    const old = scene.leaf('client');
    change(scene);
    await scene.settle().catch((error: unknown) => assert.fail(`${what}: ${error}`));
    // Only what issues as before needs no other certificates.
    assert.equal(scene.leaf('client') === old, what === 'its Secret is lost', what);
  }
});

test('they do where the operator ends after its first write, and comes back late', async () => {
  const scene = new Scene();
  await scene.settle();
  for (const [what, change] of CHANGES) {
    change(scene);
    for (let times = 0; times < 3; times += 1) {
      await scene.pass(/^orders-ca$/);
      scene.check();
      scene.now += 2 * SPREAD;
    }
    await scene.settle().catch((error: unknown) => assert.fail(`${what}: ${error}`));
  }
});

test('what an older operator kept gets the root of the issuer', async () => {
  const scene = new Scene();
  await scene.settle();
  for (const [name, phases] of [
    ['one', 1],
    ['two', 8],
  ] as const) {
    scene.issuer(name);
    for (let count = 0; count < phases; count += 1) {
      await scene.pass();
      scene.now += STEP;
    }
    scene.forgetRoots();
    await scene.settle();
  }
});

test('without the Secret of the authority none issues until all believe a new one', async () => {
  const scene = new Scene();
  await scene.settle();
  const old = scene.leaf('client');
  scene.remove('orders-ca');
  scene.replicas = ['replica-1', 'replica-2'];
  await scene.pass();
  assert.equal(scene.leaf('client'), old);
  assert.equal(scene.leaf('replica-2-tls'), '');
  scene.now += SPREAD - 1;
  const { dueMillis } = await scene.pass();
  assert.ok(dueMillis <= scene.now + 1);
  assert.equal(scene.leaf('client'), old);
  scene.now += 1;
  await scene.pass();
  assert.notEqual(scene.leaf('client'), old);
  assert.notEqual(scene.leaf('replica-2-tls'), '');
  await scene.settle();
});

test('what another JournalCluster of the name left is no reason to wait', async () => {
  const scene = new Scene();
  await scene.pass();
  scene.remove('orders-ca');
  for (const [name, secret] of scene.objects) {
    const [owner] = secret.metadata.ownerReferences ?? [];
    assert.ok(owner);
    const ownerReferences = [{ ...owner, uid: 'older' }];
    scene.objects.set(name, { ...secret, metadata: { ...secret.metadata, ownerReferences } });
  }
  const old = scene.leaf('client');
  await scene.pass();
  assert.notEqual(scene.leaf('client'), old);
});

test('a wish for another authority that is taken back asks for none', async () => {
  const scene = new Scene();
  scene.annotations = { [ASK.rotate]: 'now' };
  await scene.settle();
  const old = scene.leaf('client');
  for (const annotations of [{}, { [ASK.rotate]: '' }, { [ASK.rotate]: 'now' }]) {
    scene.annotations = annotations;
    await scene.settle();
    assert.equal(scene.leaf('client'), old);
  }
  scene.annotations = { [ASK.rotate]: 'again' };
  await scene.settle();
  assert.notEqual(scene.leaf('client'), old);
});

test('while a cluster is suspended what is there is renewed, and nothing else', async () => {
  const scene = new Scene();
  await scene.settle();
  scene.suspend = true;
  scene.annotations = { [ASK.rotate]: 'now' };
  const old = scene.leaf('client');
  scene.remove('orders-operator');
  const quiet = await scene.pass();
  assert.deepEqual(quiet.secrets, []);
  assert.deepEqual(quiet.held, [
    'another authority is to issue',
    'Secret orders-operator is missing',
  ]);
  for (let days = 0; days < 1095; days += 20) {
    scene.now += 20 * DAY;
    await scene.pass();
    scene.check();
    const { validTo } = new X509Certificate(scene.leaf('client'));
    assert.ok(Date.parse(validTo) > scene.now + 9 * DAY, 'it is renewed in time');
  }
  assert.notEqual(scene.leaf('client'), old);
  assert.equal(scene.leaf('operator'), '');
  // Its own time was two thirds over, so that another issues by now.
  assert.equal((await scene.pass()).held.includes('another authority is to issue'), false);
  scene.suspend = false;
  await scene.settle();
  assert.notEqual(scene.leaf('operator'), '');
});

test('a suspended cluster whose authority is lost says so, and gets none', async () => {
  const scene = new Scene();
  scene.suspend = true;
  scene.replicas = [];
  const before = await scene.pass();
  assert.deepEqual([before.secrets, before.trouble], [[], '']);
  assert.match(before.held.join(), /^Secret orders-ca is missing/);
  scene.suspend = false;
  scene.replicas = ['replica-1'];
  await scene.settle();
  scene.suspend = true;
  scene.remove('orders-ca');
  const { secrets, trouble } = await scene.pass();
  assert.deepEqual(secrets, []);
  assert.match(trouble, /^Secret orders-ca is missing/);
});

test('a Secret whose key or owner somebody changed is made right again', async () => {
  const scene = new Scene();
  await scene.settle();
  const { objects } = scene;
  const of = (name: string): KubeObject => {
    const secret = objects.get(name);
    assert.ok(secret);
    return secret;
  };
  const other = textsAt(of('orders-operator'), 'data')['tls.key'] ?? '';
  for (const key of [other, Buffer.from('nonsense').toString('base64')]) {
    const secret = of('orders-client');
    const data = { ...textsAt(secret, 'data'), 'tls.key': key };
    objects.set('orders-client', { ...secret, data });
    await scene.settle();
    assert.notEqual(textsAt(of('orders-client'), 'data')['tls.key'], key);
  }
  const { ownerReferences: _, ...metadata } = of('orders-client').metadata;
  objects.set('orders-client', { ...of('orders-client'), metadata });
  await scene.settle();
  assert.equal(of('orders-client').metadata.ownerReferences?.length, 1);
});

test('an authority of somebody else that nears its end is told before', async () => {
  const scene = new Scene();
  scene.issuer('one');
  await scene.settle();
  const { validFrom, validTo } = new X509Certificate(readFileSync(at('one.crt')));
  const life = Date.parse(validTo) - Date.parse(validFrom);
  scene.now = Date.parse(validFrom) + life * 0.89;
  assert.equal((await scene.pass()).trouble, '');
  scene.now = Date.parse(validFrom) + life * 0.91;
  const { trouble, secrets } = await scene.pass();
  assert.match(trouble, /^Secret theirs: its authority ends at 20.*renew it$/);
  assert.notDeepEqual(secrets, [], 'what can be issued is');
  scene.tls = { issuerSecretName: 'orders-ca' };
  assert.match((await scene.pass()).trouble, /^issuerSecretName is orders-ca, a name of the op/);
});

test('an old authority is believed until the last that it issued is over', async () => {
  const scene = new Scene();
  await scene.settle();
  const old = decodedAt(scene.objects.get('orders-ca'), 'tls.crt').trim();
  scene.tls = { leafDays: 1 };
  scene.annotations = { [ASK.rotate]: 'now' };
  await scene.settle();
  for (const [days, believed] of [
    [80, true],
    [12, false],
  ] as const) {
    scene.now += days * DAY;
    await scene.pass();
    const bundle = decodedAt(scene.objects.get('orders-client'), 'ca.crt');
    assert.equal(bundle.includes(old), believed, `${days} days later`);
  }
});
