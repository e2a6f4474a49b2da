// A real Prometheus scrapes a real cluster of processes: every query of the dashboard answers with
// numbers, every rule is healthy, no alert is told in peace, and the right ones begin in trouble.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Cluster, kill } from '../processes/cluster.ts';
import { queriesOf, variablesOf } from './dashboards.ts';
import { Prometheus, type Target } from './prometheus.ts';

const WAIT = { timeout: 1_800_000 };
const VALUES = { namespace: 'shop', cluster: 'orders' };
const DASHBOARD = 'dashboard-cluster.json';
/** No operator runs here: alerts of its absence are right. */
const WITHOUT_OPERATOR = ['JournalOperatorWithoutLeader'];

function targetsOf(cluster: Cluster): readonly Target[] {
  const first = cluster.port + cluster.members + cluster.controllers;
  return Array.from({ length: cluster.members + cluster.controllers }, (_, at) => ({
    address: `127.0.0.1:${first + at}`,
    labels: { namespace: VALUES.namespace, journal_dev_cluster: VALUES.cluster },
  }));
}

describe('a Prometheus that scrapes a cluster', () => {
  let cluster: Cluster;
  let prometheus: Prometheus;
  const loads = new AbortController();
  let load: Promise<void> = Promise.resolve();

  before(async () => {
    cluster = await Cluster.start({ restart: false });
    await using client = cluster.connect();
    await client.createJournal('orders');
    prometheus = await Prometheus.start({ targets: targetsOf(cluster), everySeconds: 1 });
    load = appends(cluster, loads.signal);
    // A subscription, and a refusal, so that these have numbers too.
    await assert.rejects(client.journal('orders').append(['x'], { expectTail: 1_000_000 }));
    const end = performance.now() + 15_000;
    for await (const _ of client.journal('orders').subscribe({ from: 'first' })) {
      if (performance.now() > end) break;
    }
  }, WAIT);
  after(async () => {
    loads.abort();
    await load;
    await prometheus?.close();
    await cluster?.close();
  });

  test('every variable of the dashboard has the right values', WAIT, async () => {
    const variables = variablesOf(DASHBOARD, VALUES);
    const found = new Map<string, readonly string[]>();
    for (const { name, match, label } of variables) {
      found.set(name, await prometheus.labelValues(label, match));
    }
    assert.deepEqual(Object.fromEntries(found), { namespace: ['shop'], cluster: ['orders'] });
  });

  for (const { panel, expression } of queriesOf(DASHBOARD, VALUES)) {
    test(`the dashboard's query: ${panel}: ${expression}`, WAIT, async () => {
      await prometheus.until('it has a number', async () => {
        const series = await prometheus.query(expression);
        return series.some(({ value }) => Number.isFinite(Number(value[1])));
      });
    });
  }

  test('every rule is healthy, and no alert is told in peace', WAIT, async () => {
    await prometheus.until('all rules were looked at', async () =>
      (await prometheus.rules()).every(({ health }) => health === 'ok'),
    );
    const rules = await prometheus.rules();
    const told = rules
      .filter(({ state }) => state !== undefined && state !== 'inactive')
      .map(({ name }) => name)
      .filter((name) => !WITHOUT_OPERATOR.includes(name));
    assert.deepEqual(told, []);
  });

  test('what the metrics say is what the cluster says', WAIT, async () => {
    const { journals } = await cluster.status();
    const [orders] = journals;
    const [writable] = await prometheus.query('journal:writable:max{journal="orders"}');
    assert.equal(Number(writable?.value[1]), orders?.writable ? 1 : 0);
    const lacking = await prometheus.query('journal:members_missing:min{journal="orders"}');
    assert.deepEqual(
      lacking.map(({ value }) => value[1]),
      ['0'],
    );
    const known = await prometheus.query('max by (kind) (journal_processes_known)');
    assert.deepEqual(
      known.map(({ value }) => value[1]),
      ['3', '3'],
    );
  });

  test('a replica that is killed begins the alerts that name it', WAIT, async () => {
    kill(await cluster.pidOf('replica-3'), 'SIGKILL');
    const expected = ['JournalProcessAway', 'JournalTargetDown', 'JournalUnderReplicated'];
    await prometheus.until(`pending: ${expected}`, async () => {
      const rules = await prometheus.rules();
      const pending = new Set(rules.filter(({ state }) => state === 'pending').map((r) => r.name));
      return expected.every((name) => pending.has(name)) && !pending.has('JournalNotWritable');
    });
  });
});

/** Appends all the time. What it does in the trouble at the end may fail. */
async function appends(cluster: Cluster, signal: AbortSignal): Promise<void> {
  await using client = cluster.connect();
  for (let at = 0; !signal.aborted; at += 1) {
    // Registers change with each journal that is made or deleted.
    if (at % 400 === 0) await client.createJournal('other').catch(() => undefined);
    if (at % 400 === 200) await client.deleteJournal('other').catch(() => undefined);
    await client
      .journal('orders')
      .append(['x'.repeat(200)])
      .catch(() => undefined);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
