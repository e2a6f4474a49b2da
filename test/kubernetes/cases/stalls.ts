// What only the world can refuse: the status names the object, since when and why, nothing crashes
// or is lost, and the cluster goes on as soon as the spec or the world is put right.

import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { createAuthority } from '../../../operator/pki.ts';
import { until } from '../lab/commands.ts';
import { PAUSE_IMAGE } from '../lab/images.ts';
import type { Lab } from '../lab/lab.ts';
import { storageClass, volumePath, volumesOf } from '../lab/volumes.ts';
import { conditionOf, type Spec } from './cluster.ts';
import { CHANGE_MILLIS_MAX, Subject } from './subject.ts';

const NAMESPACE = 'stalls';
const TIMEOUT = { timeout: 420_000 };

/** As little as there can be: the cheapest cluster that takes appends. */
export const small: Spec = {
  members: 1,
  zones: ['a'],
  controllers: { count: 1 },
  storage: { size: '256Mi' },
};

interface Stall {
  readonly what: string;
  readonly name: string;
  /** Is done to the world before the cluster comes. */
  readonly before?: (subject: Subject) => Promise<void>;
  readonly spec: Spec;
  /** Reason and message of the condition `Stalled`. */
  readonly says: RegExp;
  /** Puts it right. */
  readonly cure: (subject: Subject) => Promise<void>;
}

/** Refuses StatefulSets of replicas of this cluster whose pods say nothing of a team. */
async function wantTeams({ lab, name }: Subject): Promise<void> {
  const apiVersion = 'admissionregistration.k8s.io/v1';
  const metadata = { name: 'teams' };
  const rule = {
    apiGroups: ['apps'],
    apiVersions: ['v1'],
    operations: ['CREATE', 'UPDATE'],
    resources: ['statefulsets'],
  };
  const policy = {
    matchConstraints: { resourceRules: [rule] },
    matchConditions: [{ name: 'its', expression: `request.name.startsWith('${name}-replica-')` }],
    validations: [
      {
        expression: "'team' in object.spec.template.metadata.labels",
        message: 'pods say whose they are by a label',
      },
    ],
  };
  await lab.apply(
    { apiVersion, kind: 'ValidatingAdmissionPolicy', metadata, spec: policy },
    {
      apiVersion,
      kind: 'ValidatingAdmissionPolicyBinding',
      metadata,
      spec: { policyName: 'teams', validationActions: ['Deny'] },
    },
  );
}

const STALLS: readonly Stall[] = [
  {
    what: 'an image that is not there',
    name: 'image',
    spec: { image: 'localhost/missing:1' },
    says: /PodNotRunning: .*image-controller-1-format.*ErrImageNeverPull.*localhost\/missing:1/,
    cure: (subject) => subject.change({ image: null }),
  },
  {
    what: 'an image that runs and never answers',
    name: 'mute',
    spec: { image: PAUSE_IMAGE },
    says: /PodNotRunning: controller-1 .*Pod mute-controller-1-format.*got nowhere in two minutes/,
    cure: (subject) => subject.change({ image: null }),
  },
  {
    what: 'pods that fit no node',
    name: 'nodes',
    spec: {
      podTemplate: { nodeSelector: { disk: 'none' } },
      controllers: { count: 1, podTemplate: { nodeSelector: { disk: 'none' } } },
    },
    says: /PodNotRunning: controller-1 .*Pod nodes-controller-1-format.*node affinity\/selector/,
    cure: (subject) =>
      subject.change({ podTemplate: null, controllers: { count: 1, podTemplate: null } }),
  },
  {
    what: 'a zone without nodes',
    name: 'zone',
    spec: { zones: ['a', 'nowhere'], members: 2 },
    says: /PodNotRunning: replica-2 .*Pod zone-replica-2-0.*node affinity\/selector/,
    cure: (subject) => subject.change({ zones: ['a', 'b'] }),
  },
  {
    what: 'a zone without nodes for a controller',
    name: 'zones',
    spec: { zones: ['a', 'b', 'nowhere'], members: 3, controllers: { count: 3 } },
    says: /PodNotRunning: controller-3 .*Pod zones-controller-3-format.*node affinity\/selector/,
    cure: (subject) => subject.change({ zones: ['a', 'b', 'c'] }),
  },
  {
    what: 'more zones than the nodes have',
    name: 'count',
    spec: { zones: null, zoneCount: 4, members: 1 },
    says: /ZonesMissing: zoneCount is 4, and zones of nodes are: a, b, c/,
    cure: (subject) => subject.change({ zoneCount: 1 }),
  },
  {
    what: 'a StorageClass that is not there',
    name: 'class',
    spec: {
      storage: { size: '256Mi', className: 'late' },
      controllers: { count: 1, storage: { size: '256Mi', className: 'late' } },
    },
    says: /PodNotRunning: .*claim class-controller-1-data of .* late is not bound: make the class/,
    cure: async ({ lab }) => {
      const metadata = { name: 'late' };
      const volumes = volumesOf(lab.node('a'), 2, '256Mi', 'late');
      await lab.apply({ ...storageClass, metadata }, ...volumes);
    },
  },
  {
    what: 'a StorageClass that is mistyped',
    name: 'typo',
    spec: {
      storage: { size: '256Mi', className: 'typo' },
      controllers: { count: 1, storage: { size: '256Mi', className: 'typo' } },
    },
    says: /PodNotRunning: .*StorageClass typo is not bound: make the class, or delete .* className/,
    // Its claims are still there, of the wrong class, and no volumes.
    cure: async (subject) => {
      await subject.kubectl('delete', 'journalcluster', 'typo');
      await subject.make(small);
    },
  },
  {
    what: 'a StorageClass of replicas alone that is not there',
    name: 'data',
    spec: { storage: { size: '256Mi', className: 'later' } },
    says: /PodNotRunning: replica-1 .*claim data-replica-1-data of .* later is not bound/,
    cure: async ({ lab }) => {
      await lab.apply({ ...storageClass, metadata: { name: 'later' } });
      await lab.apply(...volumesOf(lab.node('a'), 1, '256Mi', 'later'));
    },
  },
  {
    what: 'a policy of the cluster that wants a label',
    name: 'policy',
    before: wantTeams,
    spec: {},
    says: /ObjectRefused: .*\/policy-replica-1: 422 .*'teams'.* pods say whose they are by a label/,
    cure: (subject) => subject.change({ podTemplate: { labels: { team: 'payments' } } }),
  },
  {
    what: 'a backup that is not there',
    name: 'restore',
    spec: { restore: { claimName: 'old', path: 'orders' } },
    says: /PodNotRunning: Job restore-restore does not get on: .*"old" not found/,
    cure: async (subject) => {
      const { lab } = subject;
      const size = { requests: { storage: '256Mi' } };
      const spec = { accessModes: ['ReadWriteOnce'], resources: size };
      const metadata = { name: 'old', namespace: NAMESPACE };
      await lab.apply({ apiVersion: 'v1', kind: 'PersistentVolumeClaim', metadata, spec });
      await subject.says('Stalled', 'True', /PodNotRunning: .*orders is no complete backup/);
      const claim = await subject.object('', 'persistentvolumeclaims', 'old');
      const volume = String(claim?.spec?.volumeName);
      const folder = join(volumePath(lab.node(volume.split('-')[0] ?? ''), volume), 'orders');
      mkdirSync(folder);
      writeFileSync(join(folder, 'complete'), '0\n');
    },
  },
  {
    what: 'the Secret of an issuer that is not there',
    name: 'issuer',
    spec: { tls: { issuerSecretName: 'theirs' } },
    says: /CertificateTrouble: Secret theirs is not there/,
    cure: async ({ lab }) => {
      const nowMillis = Date.now();
      const pair = await createAuthority('theirs', { serial: '1a', nowMillis, days: 30 });
      const data = { 'tls.crt': pair.cert, 'tls.key': pair.key, 'ca.crt': pair.cert };
      const metadata = { name: 'theirs', namespace: NAMESPACE };
      await lab.apply({ apiVersion: 'v1', kind: 'Secret', metadata, stringData: data });
    },
  },
];

/** All of them unless told which; `foreign` and `backup` are such, too. */
export function stallCases(
  theLab: () => Lab,
  names = [...STALLS.map(({ name }) => name), 'backup', 'foreign'],
): void {
  for (const { what, name, before, spec, says, cure } of STALLS) {
    if (!names.includes(name)) continue;
    test(`stalled by ${what}, and good again`, TIMEOUT, async (context) => {
      const subject = new Subject(theLab(), NAMESPACE, name);
      const { members = 1 } = { ...small, ...spec };
      await before?.(subject);
      await subject.make({ ...small, ...spec });
      context.diagnostic(await subject.says('Stalled', 'True', says));
      const since = conditionOf(await subject.found(), 'Stalled')?.lastTransitionTime;
      assert.ok(Date.now() - Date.parse(String(since)) < CHANGE_MILLIS_MAX, `since ${since}`);
      await cure(subject);
      await subject.wholeWith(Number(members));
      await subject.remove();
    });
  }

  if (names.includes('backup')) {
    test('a backup onto a claim that is not there is told, and runs onto another', TIMEOUT, () =>
      backupElsewhere(new Subject(theLab(), NAMESPACE, 'backup')),
    );
  }
  if (!names.includes('foreign')) return;
  test('a foreign object of the same name is refused and left alone', TIMEOUT, async () => {
    const subject = new Subject(theLab(), NAMESPACE, 'foreign');
    const { lab } = subject;
    const metadata = { name: 'foreign', namespace: NAMESPACE, labels: { mine: 'yes' } };
    const ports = [{ name: 'web', port: 80 }];
    await lab.apply({ apiVersion: 'v1', kind: 'Service', metadata, spec: { ports } });
    await subject.make(small);
    await subject.says('Stalled', 'True', /ForeignObject: Service foreign is there/);
    await until('an event says so', CHANGE_MILLIS_MAX, async () => {
      const events = await subject.kubectl('get', 'events', '--field-selector=type=Warning');
      return /ForeignObject.*Service foreign is there/.test(events) ? true : undefined;
    });
    const service = await subject.object('', 'services', 'foreign');
    assert.equal(service?.metadata.labels?.mine, 'yes');
    assert.match(JSON.stringify(service?.spec?.ports), /"port":80\b/);
    await subject.kubectl('delete', 'service', 'foreign');
    await subject.wholeWith(1);
    await subject.remove();
  });
}

/** The run that waits for the claim would keep all others away for ever. */
async function backupElsewhere(subject: Subject): Promise<void> {
  const { lab } = subject;
  const schedule = '* * * * *';
  await subject.make({ ...small, backup: { schedule, claimName: 'gone' } });
  await subject.says('Degraded', 'True', /^BackupFailing: Pod backup-backup-.*"gone" not found/);
  await subject.says('Ready', 'True', /AppendsAccepted/);
  const metadata = { name: 'there', namespace: NAMESPACE };
  const size = { requests: { storage: '256Mi' } };
  const spec = { accessModes: ['ReadWriteOnce'], resources: size };
  await lab.apply({ apiVersion: 'v1', kind: 'PersistentVolumeClaim', metadata, spec });
  await subject.change({ backup: { schedule, claimName: 'there' } });
  await until('a backup succeeds', CHANGE_MILLIS_MAX, async () => {
    const job = await subject.object('batch/v1', 'cronjobs', 'backup-backup');
    return job?.status?.lastSuccessfulTime === undefined ? undefined : true;
  });
  await subject.says('Degraded', 'False', /AllWell/);
  await subject.remove();
}
