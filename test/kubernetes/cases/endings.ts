// How clusters end and come back: deletion under each policy, with and without an operator; volumes
// that are adopted; backups that are restored; a node gone for good; two operators by mistake.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { KubeObject } from '../lab/api.ts';
import { pause, until } from '../lab/commands.ts';
import type { Lab } from '../lab/lab.ts';
import { chart, type Helm, imageValues, scaleOperator } from '../lab/operator.ts';
import { podsOf, type Spec } from './cluster.ts';
import { small } from './stalls.ts';
import { CHANGE_MILLIS_MAX, refusedAppends, Subject } from './subject.ts';
import { podName } from './user.ts';

const NAMESPACE = 'endings';
const TIMEOUT = { timeout: 600_000 };
const LABEL = 'labelSelector=journal.dev%2Fcluster%3D';

/** Kinds and names of what belongs to a cluster and outlives it, if anything. */
async function remains({ lab, namespace, name }: Subject): Promise<readonly string[]> {
  const kinds = ['configmaps', 'secrets', 'persistentvolumeclaims', 'services', 'pods'];
  const groups = ['apps/v1/statefulsets', 'batch/v1/jobs', 'policy/v1/poddisruptionbudgets'];
  const paths = [
    ...kinds.map((kind) => `/api/v1/namespaces/${namespace}/${kind}`),
    ...groups.map((path) => {
      const [group, version, kind] = path.split('/');
      return `/apis/${group}/${version}/namespaces/${namespace}/${kind}`;
    }),
  ];
  const lists = await Promise.all(
    paths.map(async (path) => {
      const found: readonly KubeObject[] = await lab.api.list(`${path}?${LABEL}${name}`);
      return found.map(({ metadata }) => `${path.split('/').at(-1)}/${metadata.name}`);
    }),
  );
  return lists.flat().sort();
}

const KEPT = (name: string): readonly string[] =>
  [
    `configmaps/${name}-ledger`,
    `persistentvolumeclaims/${name}-controller-1-data`,
    `persistentvolumeclaims/${name}-replica-1-data`,
    `secrets/${name}-ca`,
  ].sort();

const endsWith = (subject: Subject, left: readonly string[]): Promise<boolean> =>
  until(`${left.length} objects are left`, CHANGE_MILLIS_MAX, async () => {
    const found = await remains(subject);
    if (JSON.stringify(found) === JSON.stringify(left)) return true;
    throw new Error(`there are ${found}`);
  });

export function endingCases(theLab: () => Lab, theHelm: () => Helm): void {
  deletions(theLab);
  adoptionCases(theLab);
  losses(theLab);
  againAtOnce(theLab);
  backups(theLab);
  strandings(theLab);
  doubles(theLab, theHelm);
}

/** All of them unless told which. */
export function deletions(
  theLab: () => Lab,
  policies = ['Retain', 'Delete'],
  more = [true, false],
) {
  for (const policy of policies) {
    for (const operator of more) {
      const whose = operator ? '' : ', the operator gone first';
      test(`a deletion under ${policy} ends${whose}`, TIMEOUT, async () => {
        const name = `${policy.toLowerCase()}-${operator ? 'with' : 'without'}`;
        const subject = new Subject(theLab(), NAMESPACE, name);
        await subject.make({ ...small, deletionPolicy: policy });
        await subject.wholeWith(1);
        try {
          if (!operator) await scaleOperator(subject.lab, 0);
          await subject.remove();
          await endsWith(subject, policy === 'Retain' ? KEPT(name) : []);
        } finally {
          if (!operator) await scaleOperator(subject.lab, 2);
        }
      });
    }
  }
}

export function adoptionCases(theLab: () => Lab): void {
  test('volumes that were kept are adopted, all of them or none', TIMEOUT, async () => {
    const subject = new Subject(theLab(), NAMESPACE, 'adopted');
    await subject.make(small);
    await subject.wholeWith(1);
    await subject.tool(['create', 'kept']);
    await subject.tool(['append', 'kept'], 'one\ntwo\n');
    await subject.remove();
    const authority = await subject.kubectl('get', 'secret', 'adopted-ca', '--output=json');
    await subject.kubectl('delete', 'secret', 'adopted-ca');
    await subject.make(small);
    await subject.says('Stalled', 'True', /AdoptionIncomplete: .*adopted-ca is missing/);
    const { metadata, ...secret } = JSON.parse(authority);
    const { labels, annotations } = metadata;
    const renewed = { name: 'adopted-ca', namespace: NAMESPACE, labels, annotations };
    await subject.lab.apply({ ...secret, metadata: renewed });
    await subject.wholeWith(1);
    assert.equal(await subject.tool(['read', 'kept', '--raw']), 'one\ntwo\n');
    await subject.remove();
  });
}

function losses(theLab: () => Lab): void {
  test(
    'of volumes that were kept a lost one is given up, the others adopted',
    TIMEOUT,
    async () => {
      const subject = new Subject(theLab(), NAMESPACE, 'bereft');
      const spec: Spec = { zones: ['a', 'b', 'c'], storage: { size: '256Mi' } };
      await subject.make(spec);
      await subject.wholeWith(3);
      await subject.tool(['create', 'kept']);
      await subject.tool(['append', 'kept'], 'one\ntwo\n');
      await subject.remove();
      await subject.kubectl('delete', 'persistentvolumeclaim', 'bereft-replica-2-data');
      await subject.make(spec);
      const missing = /AdoptionIncomplete: .*bereft-replica-2-data is missing.*replace=replica-2/;
      await subject.says('Stalled', 'True', missing);
      await subject.annotate('replace', 'replica-2');
      await subject.wholeWith(3);
      assert.equal(await subject.tool(['read', 'kept', '--raw']), 'one\ntwo\n');
      await subject.remove();
    },
  );
}

function againAtOnce(theLab: () => Lab): void {
  test(
    'what is made again at once under Delete takes nothing of the older up',
    TIMEOUT,
    async () => {
      const subject = new Subject(theLab(), NAMESPACE, 'again');
      const spec: Spec = { ...small, deletionPolicy: 'Delete' };
      await subject.make(spec);
      await subject.wholeWith(1);
      await subject.tool(['create', 'older']);
      const before = (await subject.found()).metadata.uid;
      await subject.kubectl('delete', 'journalcluster', 'again', '--wait=false');
      await until('it is gone', CHANGE_MILLIS_MAX, async () => {
        await subject.make(spec);
        return (await subject.found()).metadata.uid !== before;
      });
      await subject.wholeWith(1);
      // It has the Secret of the older one.
      await subject.kubectl('delete', 'pod', podName('again', 'client'), '--now');
      assert.equal(await subject.tool(['list']), '');
      await subject.remove();
    },
  );
}

function backups(theLab: () => Lab): void {
  test('a backup on a schedule is restored into a new cluster', TIMEOUT, async () => {
    const subject = new Subject(theLab(), NAMESPACE, 'saved');
    const { lab } = subject;
    await subject.make({ ...small, backup: { schedule: '0 3 * * *', claimName: 'backups' } });
    const claim = { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '256Mi' } } };
    const metadata = { name: 'backups', namespace: NAMESPACE };
    await lab.apply({ apiVersion: 'v1', kind: 'PersistentVolumeClaim', metadata, spec: claim });
    await subject.wholeWith(1);
    await subject.tool(['create', 'ledger']);
    await subject.tool(['append', 'ledger'], 'one\ntwo\n');
    await subject.kubectl('create', 'job', 'now', '--from=cronjob/saved-backup');
    await subject.kubectl('wait', 'job/now', '--for=condition=Complete', '--timeout=180s');
    const said = await subject.kubectl('logs', 'job/now');
    const path = /saved\/\d{4}-\d\d-\d\dT[\d-]+Z/.exec(said)?.[0];
    assert.ok(path, `the Job names the backup: ${said}`);
    const restored = new Subject(lab, NAMESPACE, 'restored');
    await restored.make({ ...small, restore: { claimName: 'backups', path } });
    await restored.wholeWith(1);
    assert.equal(await restored.tool(['read', 'ledger', '--raw']), 'one\ntwo\n');
    await subject.remove();
    await restored.remove();
  });
}

function strandings(theLab: () => Lab): void {
  test('a node is gone for good, and others take what ran there', TIMEOUT, async (context) => {
    const subject = new Subject(theLab(), NAMESPACE, 'stranded');
    const { lab, namespace, name } = subject;
    await subject.make({ members: 3, storage: { size: '256Mi' }, deletionPolicy: 'Delete' });
    await subject.wholeWith(3);
    const node = lab.node('c');
    const pods = [
      ...(await podsOf(lab, namespace, name, 'replica')),
      ...(await podsOf(lab, namespace, name, 'controller')),
    ];
    const lost = pods
      .filter(({ spec }) => spec?.nodeName === `node-${node.name}`)
      .map(({ metadata }) => metadata.labels?.['journal.dev/member'] ?? '');
    assert.equal(lost.length, 2, `a replica and a controller run there: ${lost}`);
    try {
      const { history, gapMillis } = await subject.underLoad('stranded', async () => {
        await node.powerOff();
        await lab.kubectl(['delete', 'node', `node-${node.name}`]);
        await subject.annotate('replace', lost.join());
        await until('others took their places', CHANGE_MILLIS_MAX, async () => {
          const { status } = await subject.found();
          const text = JSON.stringify([status?.replicas, status?.controllers]);
          return lost.some((id) => text.includes(`"${id}"`)) ? undefined : true;
        });
        await subject.wholeWith(3);
      });
      context.diagnostic(`longest pause ${Math.round(gapMillis)} ms`);
      assert.deepEqual(refusedAppends(history), []);
      await subject.remove();
    } finally {
      await node.powerOn();
      await lab.ready();
    }
  });
}

function doubles(theLab: () => Lab, theHelm: () => Helm): void {
  test('two operators by mistake do no harm', TIMEOUT, async () => {
    const subject = new Subject(theLab(), NAMESPACE, 'doubled');
    const where = ['--namespace', 'second-operator'];
    const values = ['nameOverride=second', 'crds.install=false', 'replicas=1'];
    const more = [...values.flatMap((value) => ['--set', value]), ...imageValues()];
    await theHelm()(['install', 'second', chart, ...where, '--create-namespace', ...more]);
    try {
      const status = ['rollout', 'status', 'deployment/second', '--timeout=120s'];
      await subject.lab.kubectl([...where, ...status]);
      const storage = { size: '256Mi' };
      await subject.make({ zones: ['a', 'b', 'c'], storage, deletionPolicy: 'Delete' });
      await subject.wholeWith(3);
      const { history } = await subject.underLoad('doubled', async () => {
        await subject.change({ podTemplate: { annotations: { 'example.com/rolled': 'yes' } } });
        await pause(5_000);
        await subject.change({ members: 4 });
        await subject.wholeWith(4);
      });
      assert.deepEqual(refusedAppends(history), []);
      const all = await remains(subject);
      const claims = all.filter((one) => /replica-\d+-data/.test(one));
      assert.equal(claims.length, 4, 'nobody was added twice');
      await subject.remove();
    } finally {
      await theHelm()(['uninstall', 'second', ...where, '--wait', '--timeout=2m']);
    }
  });
}
