// Wrong manifests against the real API server: each is refused, and says what and what is allowed.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Lab } from '../lab/lab.ts';
import { journalCluster, makeNamespace, type Spec } from './cluster.ts';

const root = join(import.meta.dirname, '..', '..', '..');
const storage = { size: '1Gi' };

interface Wrong {
  readonly what: string;
  readonly spec: Spec;
  readonly name?: string;
  readonly says: RegExp;
}

const NEW: readonly Wrong[] = [
  { what: 'no storage', spec: {}, says: /spec\.storage: Required/ },
  {
    what: 'a field that does not exist',
    spec: { storage, membres: 3 },
    says: /unknown field "spec\.membres"/,
  },
  {
    what: 'no members',
    spec: { storage, members: 0 },
    says: /spec\.members: Invalid value: 0: .*greater than or equal to 1/,
  },
  {
    what: 'too many members',
    spec: { storage, members: 10 },
    says: /spec\.members: Invalid value: 10: .*less than or equal to 9/,
  },
  {
    what: 'members as a word',
    spec: { storage, members: 'three' },
    says: /spec\.members: Invalid value: "string": .*must be of type integer/,
  },
  {
    what: 'a size that is no quantity',
    spec: { storage: { size: 'large' } },
    says: /spec\.storage\.size: Invalid value: "large"/,
  },
  {
    what: 'a volume that is too small',
    spec: { storage: { size: '1Mi' } },
    says: /spec\.storage: .*size is at least 256Mi/,
  },
  {
    what: 'an even number of controllers',
    spec: { storage, controllers: { count: 2 } },
    says: /spec\.controllers\.count: .*count is odd, allowed are 1, 3 and 5/,
  },
  {
    what: 'zones and a number of zones',
    spec: { storage, zones: ['a'], zoneCount: 3 },
    says: /zones and zoneCount exclude each other/,
  },
  {
    what: 'a zone twice',
    spec: { storage, zones: ['a', 'a'] },
    says: /spec\.zones\[1\]: Duplicate value: "a"/,
  },
  { what: 'no zone', spec: { storage, zones: [] }, says: /spec\.zones: .*at least 1 items/ },
  {
    what: 'a zone that can be no label',
    spec: { storage, zones: ['A!'] },
    says: /spec\.zones\[0\]: Invalid value: "A!"/,
  },
  {
    what: 'more copies than members',
    spec: { storage, members: 2, replicationFactor: 3 },
    says: /replicationFactor is at most the number of members/,
  },
  {
    what: 'more needed copies than copies',
    spec: { storage, members: 3, replicationFactor: 2, minReplicas: 3 },
    says: /minReplicas is at most replicationFactor/,
  },
  {
    what: 'a pull policy that does not exist',
    spec: { storage, imagePullPolicy: 'Sometimes' },
    says: /spec\.imagePullPolicy: .*supported values: "Always", "IfNotPresent", "Never"/,
  },
  {
    what: 'a deletion policy that does not exist',
    spec: { storage, deletionPolicy: 'Recycle' },
    says: /spec\.deletionPolicy: .*supported values: "Retain", "Delete"/,
  },
  {
    what: "a label of the operator's own",
    spec: { storage, podTemplate: { labels: { 'journal.dev/cluster': 'x' } } },
    says: /spec\.podTemplate\.labels: .*are the operator's own/,
  },
  {
    what: 'a name that is too long',
    name: 'a'.repeat(37),
    spec: { storage },
    says: /metadata\.name may have at most 36 characters/,
  },
  {
    what: 'a name that can be no Service',
    name: '1st.orders',
    spec: { storage },
    says: /metadata\.name begins with a letter/,
  },
  {
    what: 'a journal twice',
    spec: { storage, journals: [{ name: 'a' }, { name: 'a' }] },
    says: /spec\.journals\[1\]: Duplicate value/,
  },
  {
    what: 'a journal with a wrong name',
    spec: { storage, journals: [{ name: 'Orders' }] },
    says: /spec\.journals\[0\]\.name: Invalid value: "Orders"/,
  },
  {
    what: 'an issuer without TLS',
    spec: { storage, tls: { mode: 'Disabled', issuerSecretName: 'x' } },
    says: /issuerSecretName is of no use while mode is Disabled/,
  },
];

const pods = (podTemplate: Spec): Spec => ({ storage, podTemplate });
const backup = (more: Spec): Spec => ({
  storage,
  backup: { schedule: '0 3 * * *', claimName: 'x', ...more },
});

/** One field each, whose value its schema alone can judge. */
const FIELDS: readonly (readonly [field: string, spec: Spec, says: RegExp])[] = [
  ['zoneCount', { storage, zoneCount: 0 }, /spec\.zoneCount: .*greater than or equal to 1/],
  ['minReplicas', { storage, minReplicas: 0 }, /spec\.minReplicas: .*greater than or equal to 1/],
  ['image', { storage, image: 'Not An Image' }, /spec\.image: Invalid value: "Not An Image"/],
  [
    'className',
    { storage: { size: '1Gi', className: 'A b' } },
    /spec\.storage\.className: .*"A b"/,
  ],
  ['a label', pods({ labels: { 'a b': 'x' } }), /spec\.podTemplate\.labels: .*at most 63 letters/],
  ['the value of a label', pods({ labels: { a: 'x y' } }), /podTemplate\.labels\.a: .*"x y"/],
  ['an annotation', pods({ annotations: { 'a b': 'x' } }), /podTemplate\.annotations: .*each name/],
  [
    'nodeSelector',
    pods({ nodeSelector: { 'a b': 'x' } }),
    /podTemplate\.nodeSelector: .*each name/,
  ],
  ['affinity', pods({ affinity: { a: 1 } }), /unknown field "spec\.podTemplate\.affinity\.a"/],
  ['priorityClassName', pods({ priorityClassName: 'A!' }), /\.priorityClassName: .*"A!"/],
  ['logLevel', pods({ logLevel: 'loud' }), /\.logLevel: .*"debug", "info", "warn", "error"/],
  [
    'terminationGracePeriodSeconds',
    pods({ terminationGracePeriodSeconds: 1 }),
    /\.terminationGracePeriodSeconds: .*greater than or equal to 5/,
  ],
  [
    'a quantity',
    pods({ resources: { requests: { cpu: 'lots' } } }),
    /resources\.requests\.cpu: Invalid value: "lots"/,
  ],
  [
    'the name of a resource',
    pods({ resources: { requests: { gold: '1' } } }),
    /resources\.requests: .*names are cpu, memory, ephemeral-storage/,
  ],
  [
    'a request above its limit',
    pods({ resources: { requests: { cpu: 2 }, limits: { cpu: '1500m' } } }),
    /resources: .*each request is at most its limit/,
  ],
  [
    'the effect of a toleration',
    pods({ tolerations: [{ key: 'a', effect: 'Maybe' }] }),
    /tolerations\[0\]\.effect: .*"NoSchedule", "PreferNoSchedule", "NoExecute"/,
  ],
  ['leafDays', { storage, tls: { leafDays: 0 } }, /spec\.tls\.leafDays: .*equal to 1/],
  [
    'leafDays above authorityDays',
    { storage, tls: { authorityDays: 30 } },
    /spec\.tls: .*leafDays \(90 when left out\) is less than authorityDays/,
  ],
  [
    'clientNamespaces',
    { storage, networkPolicy: { clientNamespaces: ['A_b'] } },
    /spec\.networkPolicy\.clientNamespaces\[0\]: Invalid value: "A_b"/,
  ],
  ['retainSeconds', { storage, journals: [{ name: 'a', retainSeconds: -1 }] }, /equal to 0/],
  ['schedule', backup({ schedule: 'every night' }), /backup\.schedule: .*five fields of cron/],
  ['an hour', backup({ schedule: '0 24 * * *' }), /backup\.schedule: .*five fields of cron/],
  ['a month', backup({ schedule: '0 3 * ABC *' }), /backup\.schedule: .*five fields of cron/],
  ['a step', backup({ schedule: '*/0 3 * * *' }), /backup\.schedule: .*five fields of cron/],
  ['a word for a time', backup({ schedule: '@nightly' }), /backup\.schedule: .*such as @daily/],
  [
    'a request of a backup',
    backup({ resources: { requests: { cpu: 'lots' } } }),
    /backup\.resources\.requests\.cpu: Invalid value: "lots"/,
  ],
  ['claimName', backup({ claimName: 'A b' }), /spec\.backup\.claimName: Invalid value: "A b"/],
  ['keep', backup({ keep: 0 }), /spec\.backup\.keep: .*equal to 1/],
  [
    'a path off the volume',
    { storage, restore: { claimName: 'x', path: 'a/../../b' } },
    /spec\.restore\.path: .*stays on the volume/,
  ],
  [
    'progressDeadlineSeconds',
    { storage, progressDeadlineSeconds: 1 },
    /spec\.progressDeadlineSeconds: .*equal to 10/,
  ],
];

/** All of them, as a CronJob takes them too. */
const SCHEDULES = [
  ...['*/15 0-6,22-23/2 1,15 jan-jun MON-FRI', '0 0 ? * Sun,wed', '0 3 * * *'],
  ...['@yearly', '@annually', '@monthly', '@weekly', '@daily', '@midnight', '@hourly'],
  '@every 6h30m',
];

/** What looks odd and is right. */
const RIGHT: readonly Spec[] = [
  ...SCHEDULES.map((schedule) => backup({ schedule })),
  { storage, restore: { claimName: 'x', path: 'a', resources: { limits: { memory: '1Gi' } } } },
  { storage, networkPolicy: { clientNamespaces: ['*'] } },
  {
    storage,
    podTemplate: {
      labels: { 'example.com/Team_1': '' },
      resources: { requests: { memory: '1Gi', 'example.com/gpu': 1 }, limits: { memory: 2e9 } },
    },
  },
  { storage, image: 'registry.example.com:5000/a/b_c@sha256:0123456789abcdef' },
];

/** Changes of what is there, which the first spec allows and the second does not. */
const CHANGES: readonly (Omit<Wrong, 'spec'> & { readonly from: Spec; readonly to: Spec })[] = [
  {
    what: 'a volume that shrinks',
    from: { storage },
    to: { storage: { size: '512Mi' } },
    says: /spec\.storage: .*size may grow and never shrink/,
  },
  {
    what: 'another storage class',
    from: { storage: { ...storage, className: 'zonal' } },
    to: { storage: { ...storage, className: 'other' } },
    says: /spec\.storage: .*className is immutable/,
  },
  {
    what: 'TLS switched off',
    from: { storage, tls: { mode: 'Mutual' } },
    to: { storage, tls: { mode: 'Disabled' } },
    says: /spec\.tls: .*mode is immutable/,
  },
  {
    what: 'another backup to restore',
    from: { storage, restore: { claimName: 'x', path: 'a' } },
    to: { storage, restore: { claimName: 'x', path: 'b' } },
    says: /restore is immutable/,
  },
];

const NAMESPACE = 'wrong';

export function manifestCases(theLab: () => Lab): void {
  const dryRun = ['apply', '--dry-run=server', '--validate=strict', '-f', '-'];

  test('the examples are accepted', async () => {
    const lab = theLab();
    await makeNamespace(lab, NAMESPACE);
    for (const name of ['minimal', 'full']) {
      const input = readFileSync(join(root, 'examples', `${name}.yaml`), 'utf8');
      await lab.kubectl(['--namespace', NAMESPACE, ...dryRun], { input });
    }
  });

  test('what looks odd and is right is accepted', async () => {
    for (const spec of RIGHT) {
      const input = JSON.stringify(journalCluster(NAMESPACE, 'orders', spec));
      await theLab().kubectl(dryRun, { input });
    }
  });

  test('a schedule that is accepted is one that a CronJob may have', async () => {
    const template = { spec: { restartPolicy: 'Never', containers: [{ name: 'a', image: 'a' }] } };
    for (const schedule of SCHEDULES) {
      const input = JSON.stringify({
        apiVersion: 'batch/v1',
        kind: 'CronJob',
        metadata: { name: 'a', namespace: NAMESPACE },
        spec: { schedule, jobTemplate: { spec: { template } } },
      });
      await theLab().kubectl(dryRun, { input });
    }
  });

  const fields = FIELDS.map(([field, spec, says]): Wrong => {
    return { what: `wrong ${field}`, spec, says };
  });
  for (const { what, name = 'orders', spec, says } of [...NEW, ...fields]) {
    test(`refused: ${what}`, async () => {
      const input = JSON.stringify(journalCluster(NAMESPACE, name, spec));
      const { code, stderr } = await theLab().tryKubectl(dryRun, { input });
      assert.notEqual(code, 0, 'it was accepted');
      assert.match(stderr.replace(/\s+/g, ' '), says);
    });
  }

  for (const { what, from, to, says } of CHANGES) {
    test(`refused as a change: ${what}`, async () => {
      const lab = theLab();
      // Suspended, so that no operator acts on it.
      const manifest = (spec: Spec): string =>
        JSON.stringify(journalCluster(NAMESPACE, 'changing', { suspend: true, ...spec }));
      await lab.kubectl(['apply', '-f', '-'], { input: manifest(from) });
      try {
        const { code, stderr } = await lab.tryKubectl(dryRun, { input: manifest(to) });
        assert.notEqual(code, 0, 'it was accepted');
        assert.match(stderr.replace(/\s+/g, ' '), says);
      } finally {
        await lab.kubectl(['--namespace', NAMESPACE, 'delete', 'journalcluster', 'changing']);
      }
    });
  }
}
