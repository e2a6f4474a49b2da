// What people change about a cluster that is in use, under load: members, images, certificates,
// places, sizes. No append may fail, and nothing that was acknowledged may be lost.

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { KubeObject } from '../lab/api.ts';
import { pause, until } from '../lab/commands.ts';
import { NEXT_IMAGE, PROJECT_IMAGE } from '../lab/images.ts';
import { storageClass, volumesOf } from '../lab/volumes.ts';
import { conditionOf } from './cluster.ts';
import { small } from './stalls.ts';
import { CHANGE_MILLIS_MAX, type Observed, refusedAppends, Subject } from './subject.ts';
import { CLUSTER } from './user.ts';

const MISSING_IMAGE = 'localhost/missing:1';
const TIMEOUT = { timeout: 900_000 };
/** Twice the pause in which an operator that acted would have acted. */
const IDLE_MILLIS = 10_000;

const imagesOf = (pods: readonly KubeObject[]): readonly string[] =>
  pods.map(({ spec }) => /"image":"([^"]+)"/.exec(JSON.stringify(spec?.containers))?.[1] ?? '');

const uidsOf = (pods: readonly KubeObject[]): readonly string[] =>
  pods.map(({ metadata }) => metadata.uid ?? '');

function tell(context: TestContext, { gapMillis, history }: Observed): void {
  const appends = history.operations.filter(({ kind }) => kind === 'append').length;
  context.diagnostic(`longest pause ${Math.round(gapMillis)} ms, ${appends} appends`);
  assert.deepEqual(refusedAppends(history), []);
}

export function lifeCases(theSubject: () => Subject): void {
  members(theSubject);
  rollCases(theSubject);
  restarts(theSubject);
  brokenRoll(theSubject);
  certificates(theSubject);
  places(theSubject);
  nodes(theSubject);
  growthCases(theSubject);
  fixedSize(theSubject);
  repairCases(theSubject);
  rests(theSubject);
}

function members(theSubject: () => Subject): void {
  test('members are scaled from 3 to 5 and back', TIMEOUT, async (context) => {
    const subject = theSubject();
    const scale = (count: number): Promise<string> =>
      subject.kubectl('scale', `journalcluster/${CLUSTER}`, `--replicas=${count}`);
    const seen = await subject.underLoad('scaled', async () => {
      await scale(5);
      await subject.wholeWith(5);
      await scale(3);
      await subject.wholeWith(3);
    });
    // Who has left and ended is missed by nobody: an alert would tell of it for ever.
    await until('the controllers know of three replicas', CHANGE_MILLIS_MAX, async () => {
      const status = await subject.operatorTool(['status', '--json']);
      return status.match(/"kind":\s*"replica"/g)?.length === 3 ? true : undefined;
    });
    tell(context, seen);
  });

  test('controllers are scaled from 3 to 5 and back', TIMEOUT, async (context) => {
    const subject = theSubject();
    const seats = async (count: number): Promise<void> => {
      await subject.change({ controllers: { count } });
      await until(`${count} controllers are seated`, CHANGE_MILLIS_MAX, async () => {
        const { status } = await subject.found();
        const list = Array.isArray(status?.controllers) ? status.controllers : [];
        const healthy = conditionOf(await subject.found(), 'ControllerHealthy')?.status;
        return list.length === count && healthy === 'True' ? true : undefined;
      });
      await subject.wholeWith(3);
    };
    const seen = await subject.underLoad('seats', async () => {
      await seats(5);
      await seats(3);
    });
    tell(context, seen);
  });
}

export function rollCases(theSubject: () => Subject): void {
  test('an image is rolled and fails no append', TIMEOUT, async (context) => {
    const subject = theSubject();
    await subject.lab.tagImage(PROJECT_IMAGE, NEXT_IMAGE);
    const before = uidsOf(await subject.pods());
    const seen = await subject.underLoad('rolled', async () => {
      await subject.change({ image: NEXT_IMAGE });
      await allRun(subject, NEXT_IMAGE);
    });
    tell(context, seen);
    assert.ok(uidsOf(await subject.pods()).every((uid) => !before.includes(uid)));
  });
}

function restarts(theSubject: () => Subject): void {
  test('kubectl rollout restart restarts every process, one by one', TIMEOUT, async (context) => {
    const subject = theSubject();
    const ofAll = `--selector=journal.dev/cluster=${CLUSTER},journal.dev/member`;
    const uids = async (): Promise<readonly string[]> => {
      const path = '--output=jsonpath={.items[*].metadata.uid}';
      const text = await subject.kubectl('get', 'pods', ofAll, path);
      return text.split(' ').filter((uid) => uid !== '');
    };
    const before = await uids();
    assert.equal(before.length, 6);
    const seen = await subject.underLoad('restarted', async () => {
      await subject.kubectl('rollout', 'restart', 'statefulset', ofAll);
      await until('every process is another one', CHANGE_MILLIS_MAX * 2, async () => {
        const now = await uids();
        return now.length === 6 && now.every((uid) => !before.includes(uid)) ? true : undefined;
      });
      await subject.wholeWith(3);
    });
    tell(context, seen);
  });
}

function brokenRoll(theSubject: () => Subject): void {
  test(
    'a wrong change in mid-roll stops it, by name, and a fixed spec resumes it',
    TIMEOUT,
    async (context) => {
      const subject = theSubject();
      const before = uidsOf(await subject.pods());
      const seen = await subject.underLoad('broken', async () => {
        await subject.change({ image: null });
        await until('the first pod is another one', CHANGE_MILLIS_MAX, async () =>
          uidsOf(await subject.pods()).some((uid) => !before.includes(uid)) ? true : undefined,
        );
        await subject.change({ image: MISSING_IMAGE });
        const says = await subject.says(
          'Stalled',
          'True',
          /PodNotRunning: replica-\d does not run: Pod orders-replica-\d-0: ErrImageNeverPull/,
        );
        context.diagnostic(says);
        const wrong = imagesOf(await subject.pods()).filter((image) => image === MISSING_IMAGE);
        assert.equal(wrong.length, 1, 'the roll stopped at the first pod');
        await subject.change({ image: NEXT_IMAGE });
        await allRun(subject, NEXT_IMAGE);
      });
      tell(context, seen);
    },
  );
}

async function allRun(subject: Subject, image: string): Promise<void> {
  await until(`every replica runs ${image}`, CHANGE_MILLIS_MAX * 2, async () =>
    imagesOf(await subject.pods()).every((one) => one === image) ? true : undefined,
  );
  await subject.wholeWith(3);
}

function certificates(theSubject: () => Subject): void {
  type Way = readonly [string, string, (subject: Subject) => Promise<unknown>];
  const ways: readonly Way[] = [
    ['on demand', 'rotated', (subject) => subject.annotate('rotate-authority', `${Date.now()}`)],
    [
      'where the Secret is lost',
      'reissued',
      (subject) => subject.kubectl('delete', 'secret', 'orders-ca'),
    ],
  ];
  for (const [when, journal, begin] of ways) {
    test(`authority and certificates are made anew ${when}`, TIMEOUT, async (context) => {
      const subject = theSubject();
      const field = ['--output=jsonpath={.data.tls\\.crt}'];
      const pairOf = async (secret: string): Promise<string> =>
        await subject.kubectl('get', 'secret', secret, '--ignore-not-found', ...field);
      const leaves = (await subject.members()).map((id) => `orders-${id}-tls`);
      const before = await Promise.all(['orders-ca', 'orders-client', ...leaves].map(pairOf));
      const seen = await subject.underLoad(journal, async () => {
        await begin(subject);
        await until('every certificate is another one', CHANGE_MILLIS_MAX, async () => {
          const now = await Promise.all(['orders-ca', 'orders-client', ...leaves].map(pairOf));
          return now.every((pair, at) => pair !== before[at]) ? true : undefined;
        });
        // Until every pod has read them, and some more.
        await pause(60_000);
        await subject.wholeWith(3);
      });
      tell(context, seen);
      await subject.says('CertificatesValid', 'True', /AllHold/);
    });
  }
}

function places(theSubject: () => Subject): void {
  test('a member moves to another node', TIMEOUT, async (context) => {
    const subject = theSubject();
    const { lab } = subject;
    const [pod] = (await subject.pods()).filter(({ spec }) => spec?.nodeName !== 'node-a');
    const id = pod?.metadata.labels?.['journal.dev/member'] ?? '';
    const from = String(pod?.spec?.nodeName);
    await lab.kubectl(['cordon', from]);
    try {
      const seen = await subject.underLoad('moved', async () => {
        await subject.annotate('replace', id);
        await until(`${id} has a successor`, CHANGE_MILLIS_MAX, async () =>
          (await subject.members()).includes(id) ? undefined : true,
        );
        await subject.wholeWith(3);
      });
      tell(context, seen);
    } finally {
      await lab.kubectl(['uncordon', from]);
      await subject.annotate('replace', null);
    }
    const nodes = (await subject.pods()).map(({ spec }) => spec?.nodeName);
    assert.ok(!nodes.includes(from), `nobody runs on ${from}: ${nodes}`);
  });
}

function nodes(theSubject: () => Subject): void {
  test('a member and a controller move to another node of their zone', TIMEOUT, async (context) => {
    const { lab } = theSubject();
    const subject = new Subject(lab, 'moved', 'moved');
    const zones = ['a', 'b', 'c'];
    await subject.make({ zones, storage: { size: '256Mi' }, deletionPolicy: 'Delete' });
    await subject.wholeWith(3);
    const from = 'node-c';
    const to = await lab.addNode('c');
    await lab.kubectl(['cordon', from]);
    try {
      const seen = await subject.underLoad('moved', async () => {
        await subject.annotate('replace', 'replica-3,controller-3');
        await until('both have successors', CHANGE_MILLIS_MAX, async () => {
          const { status } = await subject.found();
          const ids = JSON.stringify([status?.replicas, status?.controllers]);
          return /(?:replica|controller)-3"/.test(ids) ? undefined : true;
        });
        await subject.wholeWith(3);
        await lab.kubectl([...DRAIN, from]);
      });
      tell(context, seen);
      const ran = await nodesOf(subject);
      assert.deepEqual(ran.sort(), ['node-a', 'node-b', `node-${to.name}`]);
      const { status } = await subject.found();
      assert.match(JSON.stringify(status?.replicas), /"id":"replica-4"[^}]*"zone":"c"/);
      assert.match(JSON.stringify(status?.controllers), /"id":"controller-4"[^}]*"zone":"c"/);
    } finally {
      await lab.kubectl(['uncordon', from]);
    }
    // As many as there are zones are in them already: the others are spread over their nodes.
    await subject.kubectl('scale', 'journalcluster/moved', '--replicas=6');
    await subject.wholeWith(6);
    const inZone = (await nodesOf(subject)).filter((name) => name.startsWith('node-c'));
    assert.deepEqual(inZone.sort(), [from, `node-${to.name}`]);
    await subject.remove();
    await lab.removeNode(to.name);
  });
}

const DRAIN = [
  'drain',
  '--ignore-daemonsets',
  '--delete-emptydir-data',
  '--force',
  '--timeout=60s',
  '--pod-selector=journal.dev/cluster=moved',
];

const nodesOf = async (subject: Subject): Promise<string[]> =>
  (await subject.pods()).map(({ spec }) => String(spec?.nodeName));

export function growthCases(theSubject: () => Subject): void {
  test('volumes are expanded at the API, and the status says how far it is', TIMEOUT, async () => {
    const subject = theSubject();
    await subject.change({ storage: { size: '20Gi' } });
    await subject.says('StorageResizing', 'True', /Growing: orders-replica-\d+-data grows to/);
    for (const id of await subject.members()) {
      const claim = await subject.object('', 'persistentvolumeclaims', `orders-${id}-data`);
      assert.match(JSON.stringify(claim?.spec?.resources), /"storage":"20Gi"/);
    }
    await subject.says('Ready', 'True', /./);
  });
}

function fixedSize(theSubject: () => Subject): void {
  test('a class that does not expand refuses, and the rest goes on', TIMEOUT, async () => {
    const subject = new Subject(theSubject().lab, 'fixed', 'fixed');
    const metadata = { name: 'fixed' };
    const volumes = volumesOf(subject.lab.node('a'), 1, '256Mi', 'fixed');
    const fixed = { ...storageClass, metadata, allowVolumeExpansion: false };
    await subject.lab.apply(fixed, ...volumes);
    await subject.make({ ...small, storage: { size: '256Mi', className: 'fixed' } });
    await subject.wholeWith(1);
    await subject.change({ storage: { size: '512Mi' }, journals: [{ name: 'more' }] });
    await subject.says('StorageResizing', 'False', /Refused: .*fixed-replica-1-data/);
    await until('the journal is made all the same', CHANGE_MILLIS_MAX, async () =>
      (await subject.found()).status?.journals === 1 ? true : undefined,
    );
    await subject.remove();
  });
}

export function repairCases(theSubject: () => Subject): void {
  const PATH = `orders-replicas`;
  const goneFor = (subject: Subject): Promise<KubeObject | undefined> =>
    subject.object('policy/v1', 'poddisruptionbudgets', PATH);

  test(
    'what somebody deletes or edits is repaired, and left alone while suspended',
    TIMEOUT,
    async () => {
      const subject = theSubject();
      await subject.kubectl('delete', 'poddisruptionbudget', PATH);
      await until('it is made again', CHANGE_MILLIS_MAX, () => goneFor(subject));
      const edit = ['patch', 'service', CLUSTER, '--type=merge', '--patch'];
      await subject.kubectl(...edit, '{"spec":{"selector":{"journal.dev/cluster":"nobody"}}}');
      await until('the edit is taken back', CHANGE_MILLIS_MAX, async () => {
        const service = await subject.object('', 'services', CLUSTER);
        return /"journal\.dev\/cluster":"orders"/.test(JSON.stringify(service?.spec)) || undefined;
      });
      await subject.kubectl(...edit, '{"spec":{"selector":{"theirs":"x"}}}');
      await until('a longer selector is taken back', CHANGE_MILLIS_MAX, async () => {
        const service = await subject.object('', 'services', CLUSTER);
        return /"theirs"/.test(JSON.stringify(service?.spec)) ? undefined : true;
      });
      await subject.change({ suspend: true });
      await until('it is suspended', CHANGE_MILLIS_MAX, async () =>
        (await subject.found()).status?.mode === 'suspended' ? true : undefined,
      );
      await subject.kubectl('delete', 'poddisruptionbudget', PATH);
      await pause(IDLE_MILLIS);
      assert.equal(await goneFor(subject), undefined);
      await subject.change({ suspend: false });
      await until('it is made again', CHANGE_MILLIS_MAX, () => goneFor(subject));
    },
  );

  test(
    'clients of every namespace are let in, and those of the own one alone',
    TIMEOUT,
    async () => {
      const subject = theSubject();
      const open = async (): Promise<boolean> => {
        const policy = await subject.object('networking.k8s.io/v1', 'networkpolicies', PATH);
        return /"namespaceSelector":\{\}/.test(JSON.stringify(policy?.spec));
      };
      for (const [clientNamespaces, wanted] of [
        [['*'], true],
        [[], false],
      ] as const) {
        await subject.change({ networkPolicy: { clientNamespaces } });
        await until(`open to all is ${wanted}`, CHANGE_MILLIS_MAX, async () =>
          (await open()) === wanted ? true : undefined,
        );
      }
    },
  );
}

function rests(theSubject: () => Subject): void {
  test('a cluster hibernates and wakes with its records', TIMEOUT, async () => {
    const subject = theSubject();
    await subject.tool(['create', 'slept']);
    await subject.tool(['append', 'slept'], 'before\n');
    await subject.hibernate();
    assert.deepEqual(await subject.pods(), []);
    await subject.change({ hibernate: false });
    await subject.wholeWith(3);
    assert.equal(await subject.tool(['read', 'slept', '--raw']), 'before\n');
  });
}
