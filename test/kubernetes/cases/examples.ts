// What is there to be tried: the image by itself, and the example with every field, applied as it
// is written but for what names another world: its zones and its share of a processor are the
// lab's, and there is no backup yet to restore.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { createAuthority } from '../../../operator/pki.ts';
import { record } from '../lab/api.ts';
import { until } from '../lab/commands.ts';
import { PROJECT_IMAGE } from '../lab/images.ts';
import type { Lab } from '../lab/lab.ts';
import { storageClass, volumesOf } from '../lab/volumes.ts';
import { makeNamespace } from './cluster.ts';
import { Subject } from './subject.ts';

const NAMESPACE = 'examples';
const NAME = 'orders';
const file = join(import.meta.dirname, '..', '..', '..', 'examples', 'full.yaml');

const REPLACED: readonly (readonly [from: string | RegExp, to: string])[] = [
  ['[eu-central-1a, eu-central-1b, eu-central-1c]', '[a, b, c]'],
  ['requests: { cpu: "2",', 'requests: { cpu: 50m,'],
  [/^ {2}restore:\n(?: {4}.*\n)+/m, ''],
];

const READY_MILLIS_MAX = 120_000;

/** As `docker run IMAGE dev`: with the image's own user, entry point and folder. */
const alone = {
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'alone', namespace: NAMESPACE },
  spec: {
    automountServiceAccountToken: false,
    terminationGracePeriodSeconds: 5,
    securityContext: { runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } },
    containers: [
      {
        name: 'dev',
        image: PROJECT_IMAGE,
        imagePullPolicy: 'Never',
        args: ['dev'],
        securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } },
      },
    ],
  },
} as const;

export function exampleCases(theLab: () => Lab): void {
  test('the image alone is a cluster: dev', { timeout: 300_000 }, async () => {
    const lab = theLab();
    await makeNamespace(lab, NAMESPACE);
    await lab.apply(alone);
    const within = ['--namespace', NAMESPACE];
    await until('it is ready', READY_MILLIS_MAX, async () =>
      /^ready \S+$/m.test(await lab.kubectl([...within, 'logs', 'alone'])) ? true : undefined,
    );
    const journal = (args: readonly string[], input = ''): Promise<string> => {
      const tool = ['exec', '--stdin', 'alone', '--', 'node', '/app/cli/journal.js'];
      return lab.kubectl([...within, ...tool, ...args], { input });
    };
    await journal(['create', 'orders']);
    assert.match(await journal(['append', 'orders'], 'one\ntwo\n'), /^1\t\S+\n2\t\S+\n$/);
    assert.equal(await journal(['read', 'orders', '--raw']), 'one\ntwo\n');
    await lab.kubectl([...within, 'delete', 'pod', 'alone']);
  });

  test('with every field a cluster becomes whole', { timeout: 600_000 }, async () => {
    const subject = new Subject(theLab(), NAMESPACE, NAME);
    await makeWorld(subject);
    let text = readFileSync(file, 'utf8');
    for (const [from, to] of REPLACED) {
      const before = text;
      text = text.replace(from, to);
      assert.notEqual(text, before, `${from} is in the example`);
    }
    const apply = ['--namespace', NAMESPACE, 'apply', '--validate=strict', '--filename', '-'];
    await subject.lab.kubectl(apply, { input: text });
    // This operator is told of no Prometheus operator: all but the PodMonitor is made.
    await subject.says('Stalled', 'True', /PodMonitorsOff: spec\.monitoring\.podMonitor is true/);
    await subject.says('Ready', 'True', /./);
    await subject.change({ monitoring: null });
    const { status } = await subject.wholeWith(4);
    assert.equal(status?.journals, 2);
    await subject.says('CertificatesValid', 'True', /./);
    await subject.tool(['append', 'orders'], 'one\n');
    assert.equal(await subject.tool(['read', 'orders', '--raw']), 'one\n');
    await looksAsAsked(subject);
    await subject.change({ deletionPolicy: 'Delete' });
    await subject.wholeWith(4);
    await subject.remove();
    await subject.lab.kubectl(['delete', 'namespace', NAMESPACE, '--wait=false']);
  });
}

/** What the example takes for granted: a class, an issuer's Secret, a claim for backups. */
async function makeWorld({ lab }: Subject): Promise<void> {
  await makeNamespace(lab, NAMESPACE);
  const volumes = lab.nodes.flatMap((node) => volumesOf(node, 4, '100Gi', 'fast'));
  const plain = { metadata: { name: 'fast' }, allowVolumeExpansion: true };
  await lab.apply({ ...storageClass, ...plain }, ...volumes);
  const nowMillis = Date.now();
  const pair = await createAuthority('theirs', { serial: '1a', nowMillis, days: 30 });
  const data = { 'tls.crt': pair.cert, 'tls.key': pair.key, 'ca.crt': pair.cert };
  const claim = { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } } };
  const named = (name: string) => ({ metadata: { name, namespace: NAMESPACE } });
  await lab.apply(
    { apiVersion: 'v1', kind: 'Secret', ...named('orders-issuer'), stringData: data },
    { apiVersion: 'v1', kind: 'PersistentVolumeClaim', ...named('backups'), spec: claim },
  );
}

async function looksAsAsked(subject: Subject): Promise<void> {
  for (const { metadata, spec } of await subject.pods()) {
    assert.equal(metadata.labels?.team, 'payments');
    assert.equal(metadata.annotations?.['example.com/contact'], 'payments');
    assert.equal(spec?.priorityClassName, 'system-cluster-critical');
    assert.equal(spec?.terminationGracePeriodSeconds, 60);
    assert.match(JSON.stringify(spec?.tolerations), /"key":"dedicated"/);
    assert.match(JSON.stringify(spec?.containers), /"limits":\{"memory":"4Gi"\}/);
  }
  for (const id of await subject.members()) {
    const claim = await subject.object('', 'persistentvolumeclaims', `${NAME}-${id}-data`);
    assert.equal(claim?.spec?.storageClassName, 'fast');
    assert.match(JSON.stringify(claim?.spec?.resources), /"storage":"100Gi"/);
  }
  const schedule = await subject.object('batch/v1', 'cronjobs', `${NAME}-backup`);
  assert.equal(record(schedule?.spec).schedule, '0 3 * * *');
  const policies = await subject.kubectl('get', 'networkpolicies', '--output=json');
  for (const client of ['payments', 'billing']) assert.match(policies, new RegExp(`"${client}"`));
}
