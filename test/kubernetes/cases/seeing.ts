// What people see of a cluster from outside of it: the plugin `kubectl journal`, the console, and
// dashboards by a Prometheus that scrapes the pods.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { queriesOf } from '../../seeing/dashboards.ts';
import { Prometheus, type Target } from '../../seeing/prometheus.ts';
import { record } from '../lab/api.ts';
import { attempt, type Ended, until } from '../lab/commands.ts';
import type { Lab } from '../lab/lab.ts';
import { operatorPods } from '../lab/operator.ts';
import { clusterPath, journalCluster, makeNamespace, whole } from './cluster.ts';

const NAMESPACE = 'seeing';
const NAME = 'ledger';
const plugin = join(import.meta.dirname, '../../../bin/kubectl-journal');
const SEEN_MILLIS_MAX = 90_000;
const COMMAND = { millisMax: 240_000 };
const WAIT = { timeout: 600_000 };

export function seeingCases(theLab: () => Lab): void {
  const folder = mkdtempSync(join(tmpdir(), 'journal-seeing-'));
  after(async () => {
    rmSync(folder, { recursive: true, force: true });
    await theLab().kubectl(['delete', 'namespace', NAMESPACE, '--wait=false']);
  });

  before(async () => {
    const lab = theLab();
    await makeNamespace(lab, NAMESPACE);
    const journals = [{ name: 'first' }, { name: 'second' }];
    const spec = { zones: ['a', 'b', 'c'], storage: { size: '1Gi' }, journals };
    await lab.apply(journalCluster(NAMESPACE, NAME, spec));
    await whole(lab, NAMESPACE, NAME, 300_000);
    await until('both journals are there', SEEN_MILLIS_MAX, async () =>
      (await lab.api.get(clusterPath(NAMESPACE, NAME)))?.status?.journals === 2 ? true : undefined,
    );
  }, WAIT);

  const plug = plugged(theLab);
  lookingCases(plug);
  doingCases(theLab, plug, folder);
  pageCases(theLab, plug);
  wrongCases(plug);
  dashboardCases(theLab, plug);
}

/** The plugin as kubectl runs it. */
function plugged(theLab: () => Lab) {
  /** As kubectl runs it: a program on the PATH, with the user's kubeconfig. */
  const command = (...args: readonly string[]): string[] =>
    theLab().inside(['env', `KUBECONFIG=${theLab().kubeconfig}`, plugin, ...args]);
  const attempted = (...args: readonly string[]): Promise<Ended> =>
    attempt(command(...args), COMMAND);
  const said = async (...args: readonly string[]): Promise<string> => {
    const { code, stdout, stderr } = await attempted(...args, '--namespace', NAMESPACE);
    assert.equal(code, 0, stderr);
    return stdout;
  };
  const json = async (...args: readonly string[]) => JSON.parse(await said(...args, '--json'));
  /** The head of each journal, by what the processes say. */
  const heads = async (): Promise<readonly string[]> =>
    (await json('status', NAME)).inside.journals.map(
      ({ members }: { readonly members: readonly { readonly id: string }[] }) => members[0]?.id,
    );
  return { command, attempted, said, json, heads };
}

type Plugged = ReturnType<typeof plugged>;

function lookingCases({ attempted, said, heads }: Plugged): void {
  test('status: what is going on and since when, members, zones, chains, lag', WAIT, async () => {
    const text = await said('status', NAME);
    assert.match(text, /^JournalCluster seeing\/ledger: Ready for \d+[smh], chain, members 3\/3/);
    for (const id of [1, 2, 3]) assert.match(text, new RegExp(`^replica-${id} +[abc] +node-`, 'm'));
    assert.match(text, /^journal first, lineage 1, epoch \d+: takes appends\n.*LAG\n.* head .*\n/m);
    assert.match(text, /^journal second, /m);
  });

  test('describe: conditions, pods, volumes, events; and one journal', WAIT, async () => {
    const text = await said('describe', NAME);
    for (const title of ['CONDITION', 'POD', 'VOLUME CLAIM', 'EVENT']) {
      assert.match(text, new RegExp(`^${title} `, 'm'));
    }
    assert.match(text, /^ledger-replica-1-data +replica-1 +Bound /m);
    const journal = await said('describe', NAME, 'first');
    assert.match(journal, /^chain +replica-\d in [abc] at .* → .* → /m);
  });

  test('promote: another member heads all journals, then one of them', WAIT, async () => {
    await said('promote', NAME, 'replica-2');
    await until('replica-2 heads both', SEEN_MILLIS_MAX, async () =>
      (await heads()).join() === 'replica-2,replica-2' ? true : undefined,
    );
    await said('promote', NAME, 'replica-3', '--journal', 'second');
    await until('replica-3 heads one', SEEN_MILLIS_MAX, async () =>
      (await heads()).join() === 'replica-2,replica-3' ? true : undefined,
    );
  });

  test('drain-check: yes for one node of three, and what will happen', WAIT, async () => {
    // Right after a change of heads a member may be catching up.
    const text = await until('nobody is behind', SEEN_MILLIS_MAX, async () => {
      const answer = await attempted('drain-check', 'node-b', '--namespace', NAMESPACE);
      return answer.code === 0 ? answer.stdout : undefined;
    });
    assert.match(text, /^seeing\/ledger: appends go on while node-b is drained\n/);
    assert.match(text, /journal first: replica-2 hands over as it ends/);
  });

  test('logs: of all processes in the order of time, or of one', WAIT, async () => {
    const lines = (await said('logs', NAME, '--tail', '20')).trimEnd().split('\n');
    const names = new Set(lines.map((line) => line.split(' | ')[0]));
    assert.equal(names.size, 6, [...names].join());
    // What Node itself says has no time.
    const times = lines
      .map((line) => Number(/"time":(\d+)/.exec(line)?.[1] ?? Number.NaN))
      .filter(Number.isFinite);
    assert.ok(times.length > names.size, `${times.length} lines have a time`);
    const sorted = times.toSorted((one, other) => one - other);
    assert.deepEqual(times, sorted);
    const one = await said('logs', NAME, '--process', 'controller-1', '--tail', '5');
    assert.match(one, /^(controller-1 \| .*\n)+$/);
  });
}

function doingCases(theLab: () => Lab, { attempted, said, json }: Plugged, folder: string): void {
  test('bundle: everything in one file, and no key of anybody', WAIT, async () => {
    const file = join(folder, 'bundle.tar.gz');
    assert.equal(await said('bundle', NAME, '--output', file), `${file}\n`);
    const tar = gunzipSync(readFileSync(file)).toString('latin1');
    const objects = ['objects/events.json', 'objects/cronjobs.json'];
    const parts = ['status.json', ...objects, 'logs/replica-1.log'];
    for (const part of [...parts, 'metrics/controller-3.txt']) assert.ok(tar.includes(part), part);
    // As text, as a field of a Secret, and in base64: `-----BEGIN PRIVATE`.
    assert.doesNotMatch(tar, /PRIVATE KEY|"tls\.key":|LS0tLS1CRUdJTiBQUklWQVRF/);
    const again = await attempted('bundle', NAME, '-n', NAMESPACE, '--output', file);
    assert.equal(again.code, 2);
    assert.match(again.stderr, /^kubectl journal: --output is .*, allowed is a new file: .*\n$/);
  });

  test('bench: figures of a pod beside the cluster, which leaves nothing', WAIT, async () => {
    const figures = await json('bench', NAME, '--seconds', '3', '--outstanding', '8');
    assert.ok(figures.records > 0);
    assert.equal(figures.failed, 0);
    const pods = await theLab().api.list(`/api/v1/namespaces/${NAMESPACE}/pods`);
    const left = pods.filter(
      ({ metadata }) => metadata.name.includes('bench') && metadata.deletionTimestamp === undefined,
    );
    assert.equal(left.length, 0);
    const { inside } = await json('status', NAME);
    assert.equal(inside.journals.length, 2);
  });
}

function pageCases(theLab: () => Lab, { command }: Plugged): void {
  test('console: the page, and records by the rights of the client Secret', WAIT, async () => {
    const [file = '', ...args] = command('console', NAME, '-n', NAMESPACE);
    const child = spawn(file, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    try {
      let line = '';
      child.stdout.on('data', (piece: Buffer) => {
        line += piece.toString('utf8');
      });
      const url = await until(
        'it says where it is',
        SEEN_MILLIS_MAX,
        async () => /^console (http:\S+)\n/.exec(line)?.[1],
      );
      const get = async (path: string): Promise<string> =>
        (await attempt(theLab().inside(['curl', '-s', `${url}${path}`]), COMMAND)).stdout;
      assert.match(await get(''), /<title>Journal<\/title>/);
      const data = JSON.parse(await get('/data'));
      assert.deepEqual(
        data.zones.map(({ zone }: { readonly zone: string }) => zone),
        ['a', 'b', 'c'],
      );
      assert.deepEqual(data.records, { shown: true, why: '' });
      const { committedLsn } = JSON.parse(await get('/records?journal=first'));
      assert.equal(typeof committedLsn, 'number');
    } finally {
      const gone = new Promise((resolve) => child.once('exit', resolve));
      child.kill('SIGINT');
      await gone;
    }
  });

  test('the page of a pod shows the cluster, and no records', WAIT, async () => {
    const lab = theLab();
    const pod = await lab.pod(NAMESPACE, `${NAME}-replica-1-0`);
    const at = `http://${pod.status?.podIP}:7480/console`;
    const get = async (path: string): Promise<string> =>
      (await attempt(lab.inside(['curl', '-s', `${at}${path}`]), COMMAND)).stdout;
    assert.equal(JSON.parse(await get('/data')).journalsTotal, 2);
    const refused = JSON.parse(await get('/records?journal=first'));
    assert.equal(refused.error.code, 'PERMISSION_DENIED');
  });
}

function wrongCases({ attempted }: Plugged): void {
  const WRONG: readonly (readonly [args: readonly string[], says: RegExp])[] = [
    [['status', 'nobody'], /no JournalCluster is called "nobody" in namespace seeing; .*: ledger/],
    [['promote', NAME, 'replica-9'], /replica-9 does not serve any journal, allowed is a member/],
    [
      ['promote', NAME, 'replica-1', '--journal', 'x'],
      /--journal is "x", allowed is first, second/,
    ],
    [['drain-check', 'node-z'], /no node is called "node-z", allowed is node-a, node-b, node-c/],
    [['logs', NAME, '--process', 'x'], /--process is "x", allowed is controller-1, /],
    [['status', NAME, '--context', 'x'], /--context is "x", allowed is /],
  ];
  for (const [args, says] of WRONG) {
    test(`refused in one sentence: ${args.join(' ')}`, WAIT, async () => {
      const { code, stdout, stderr } = await attempted(...args, '--namespace', NAMESPACE);
      assert.equal(code, 2, stderr);
      assert.equal(stdout, '');
      assert.match(stderr, says);
      assert.equal(stderr.split('\n').length, 2, stderr);
    });
  }
}

function dashboardCases(theLab: () => Lab, { said }: Plugged): void {
  test('every query of both dashboards answers with numbers', WAIT, async () => {
    const lab = theLab();
    const targets = [...(await podTargets(lab)), ...(await operatorTargets(lab))];
    const within = lab.inside([]);
    const prometheus = await Prometheus.start({ targets, everySeconds: 2, within });
    try {
      await said('bench', NAME, '--seconds', '20', '--outstanding', '4');
      const values = { namespace: NAMESPACE, cluster: NAME };
      for (const file of ['dashboard-cluster.json', 'dashboard-operator.json']) {
        for (const { panel, expression } of queriesOf(file, values)) {
          // Nobody subscribes and nothing is refused here: these have series only once it happens.
          if (panel === 'Appends refused') continue;
          await prometheus.until(`${panel} has a number: ${expression}`, async () => {
            const series = await prometheus.query(expression);
            return series.some(({ value }) => Number.isFinite(Number(value[1])));
          });
        }
      }
      const rules = await prometheus.rules();
      assert.deepEqual(
        rules.filter(({ health }) => health === 'err').map(({ name }) => name),
        [],
      );
    } finally {
      await prometheus.close();
    }
  });
}

/** With the labels that PodMonitors make. */
async function podTargets(lab: Lab): Promise<readonly Target[]> {
  const pods = await lab.api.list(`/api/v1/namespaces/${NAMESPACE}/pods`);
  return pods.flatMap(({ metadata, status }) => {
    if (record(metadata.labels)['journal.dev/cluster'] !== NAME) return [];
    const labels = { namespace: NAMESPACE, journal_dev_cluster: NAME, pod: metadata.name };
    return [{ address: `${status?.podIP}:7480`, labels }];
  });
}

async function operatorTargets(lab: Lab): Promise<readonly Target[]> {
  const pods = await operatorPods(lab);
  return pods.flatMap(({ metadata, status }) =>
    typeof status?.podIP === 'string'
      ? [{ address: `${status.podIP}:7480`, labels: { pod: metadata.name } }]
      : [],
  );
}
