// The ways out that only a person takes: going on with a shorter log, and rebuilding the registers.

import assert from 'node:assert/strict';
import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { type Client, JournalError } from '../../client/index.ts';
import { silent } from '../../io/logger.ts';
import { nodeClock, nodeRandom } from '../../io/node.ts';
import { Chain } from '../../operator/chain.ts';
import { Cluster, isAlive, journal, kill, pause } from './cluster.ts';
import { toolOf } from './tool.ts';

const WAIT = { timeout: 300_000 };
const seams = { clock: nodeClock, random: nodeRandom(), logger: silent };

/** A cluster whose dead stay dead, with a journal of 20 records. */
async function withRecords(
  work: (cluster: Cluster, client: Client) => Promise<void>,
): Promise<void> {
  const cluster = await Cluster.start({ restart: false });
  try {
    await using client = cluster.connect();
    await client.createJournal('orders');
    await cluster.whole('orders');
    await append(client, 1, 20);
    await work(cluster, client);
  } catch (error) {
    process.stderr.write(cluster.logs());
    throw error;
  } finally {
    await cluster.close();
  }
}

async function append(client: Client, from: number, count: number): Promise<void> {
  const orders = client.journal('orders');
  for (let at = from; at < from + count; at += 1) await orders.append(`record ${at}`);
}

const expected = (count: number): string[] =>
  Array.from({ length: count }, (_, at) => `record ${at + 1}`);

async function allRecords(client: Client): Promise<string[]> {
  const found: string[] = [];
  for await (const { data } of client.journal('orders').subscribe({ from: 1, untilEnd: true })) {
    found.push(Buffer.from(data).toString('utf8'));
  }
  return found;
}

const codeOf = async (work: Promise<unknown>): Promise<string> => {
  try {
    await work;
    return 'done';
  } catch (error) {
    if (error instanceof JournalError) return error.code;
    throw error;
  }
};

async function killed(cluster: Cluster, names: readonly string[]): Promise<void> {
  const pids = await Promise.all(names.map((name) => cluster.pidOf(name)));
  for (const pid of pids) kill(pid, 'SIGKILL');
  while (pids.some(isAlive)) await pause(20);
}

describe('force-loss', () => {
  test('nobody goes on with a shorter log by itself; a person may order it', WAIT, () =>
    withRecords(async (cluster, client) => {
      const { members, lineage } = await cluster.whole('orders');
      const orders = client.journal('orders');
      const subscription = orders.subscribe({ from: 1, limit: 20 });
      for await (const _ of subscription);
      const token = subscription.position;
      assert.ok(token !== undefined);
      const ids = members.map(({ id }) => id);
      const [first = '', second = '', third = ''] = ids;
      await killed(cluster, [first, second]);
      await cluster.until('orders', ({ members: now }) => now[0]?.id === third, 'on its own');
      await killed(cluster, [third]);
      rmSync(join(cluster.data, 'replicas', third), { recursive: true });
      await Promise.all(ids.map((id) => cluster.restart(id)));
      const { writable } = await cluster.until(
        'orders',
        ({ note }) => /NO_SURVIVOR/.test(note),
        'NO_SURVIVOR',
      );
      assert.equal(writable, false);

      // Whoever asks is told by that name.
      const soon = { timeoutMillis: 5_000 };
      assert.equal(await codeOf(orders.append('no', soon)), 'NO_SURVIVOR');
      assert.equal(await codeOf(orders.tail(soon)), 'NO_SURVIVOR');
      const following = orders.subscribe({ from: 1, ...soon })[Symbol.asyncIterator]();
      assert.equal(await codeOf(following.next()), 'NO_SURVIVOR');
      const tool = toolOf(() => cluster);
      await tool.fails('append orders --timeout 5s', 5, /NO_SURVIVOR/, 'no\n');
      const { stderr } = await tool.run('tail orders --json --timeout 5s');
      assert.equal(JSON.parse(stderr).error.code, 'NO_SURVIVOR');

      const order = ['admin', 'force-loss', 'orders', '--member', first, '--yes'];
      const forced = await cluster.journal([...order, '--reason', 'the last disk is lost']);
      assert.equal(forced.code, 0, forced.stderr);
      await cluster.until('orders', (now) => now.writable, 'writable again');
      await append(client, 21, 5);
      assert.deepEqual(await allRecords(client), expected(25));
      const after = await cluster.until('orders', (now) => now.writable, 'writable');
      assert.ok(after.lineage > lineage);
      const stale = orders.subscribe({ from: token })[Symbol.asyncIterator]();
      assert.equal(await codeOf(stale.next()), 'LINEAGE_CHANGED');
      assert.equal(await codeOf(orders.read({ from: token })), 'LINEAGE_CHANGED');
      await tool.fails(`admin force-loss orders --member nobody --reason x --yes`, 6, /nobody/);
      // By message: where a controller was slow, the outcome of a first try is unknown.
      const needless = await cluster.journal([...order, '--reason', 'once more']);
      assert.match(needless.stderr, /journal orders has lost nothing: .* serve all of it/);
      assert.notEqual(needless.code, 0);
    }),
  );

  test('what only other members had is kept beside when they come back', WAIT, () =>
    withRecords(async (cluster, client) => {
      const { members } = await cluster.whole('orders');
      const [first = '', second = '', third = ''] = members.map(({ id }) => id);
      await killed(cluster, [third]);
      await cluster.until('orders', ({ members: now }) => now.length === 2, 'without the third');
      await append(client, 21, 5);
      // One restarts, one lives on and hears of it: both have five records that the third lacks.
      await killed(cluster, [second]);
      const head = await cluster.pidOf(first);
      kill(head, 'SIGSTOP');
      await cluster.restart(third);
      const order = ['admin', 'force-loss', 'orders', '--member', third, '--yes'];
      // One endpoint is gone, one says nothing, and one has just begun.
      order.push('--timeout', '60s');
      const forced = await cluster.journal([...order, '--reason', 'two zones are gone']);
      assert.equal(forced.code, 0, forced.stderr);
      await cluster.until('orders', ({ members: now }) => now[0]?.id === third, 'on its own');
      kill(head, 'SIGCONT');
      await cluster.until('orders', (now) => now.writable, 'writable with the one that lived on');
      await append(client, 21, 1);
      await cluster.restart(second);
      await cluster.whole('orders');
      assert.deepEqual(await allRecords(client), expected(21));
      for (const name of [first, second]) {
        const aside = readdirSync(join(cluster.data, 'replicas', name, 'volume', 'aside'));
        assert.equal(aside.length, 1, `${name} keeps ${aside.join()}`);
      }
    }),
  );
});

describe('recover-controllers', () => {
  test('all controllers lost: appends go on, and new ones are made from the volumes', WAIT, () =>
    withRecords(async (cluster, client) => {
      const status = await cluster.status();
      const controllers = status.processes.filter(({ kind }) => kind === 'controller');
      const names = controllers.map(({ id }) => id);
      await killed(cluster, names);
      for (const { dataDirectory } of controllers) rmSync(dataDirectory, { recursive: true });
      await append(client, 21, 5);
      // Who is new finds it all the same, through whichever member.
      for (const [at, endpoint] of cluster.endpoints.entries()) {
        await using stranger = cluster.connect({ endpoints: [endpoint] });
        await append(stranger, 26 + at, 1);
        assert.deepEqual(await allRecords(stranger), expected(26 + at));
      }

      // The volumes know the cluster.
      const replicas = status.processes.filter(({ kind }) => kind === 'replica');
      const inspect = ['volume', 'inspect', replicas[0]?.dataDirectory ?? '', '--json'];
      const { identity } = JSON.parse((await journal(inspect)).stdout);
      assert.equal(identity.cluster, status.cluster);
      const format = ['controller', 'format', '--cluster', status.cluster];
      format.push('--set', controllers.map(({ id: name, address }) => `${name}=${address}`).join());
      format.push('--grant', replicas.map(({ id: name, zone }) => `${name}=${zone}`).join());
      format.push('--recovery', 'again');
      for (const { id: name, dataDirectory } of controllers) {
        const made = await journal([...format, '--data', dataDirectory, '--id', name]);
        assert.equal(made.code, 0, made.stderr);
      }
      for (const name of names) await cluster.restart(name);

      const order = ['admin', 'recover-controllers', '--cluster', status.cluster, '--yes'];
      order.push('--controllers', controllers.map(({ address }) => address).join());
      // Not without every volume that served.
      const begun = performance.now();
      for (let said = ''; !/were not read/.test(said); await pause(200)) {
        const some = await journal([...order, '--endpoints', cluster.endpoints[0] ?? '']);
        assert.notEqual(some.code, 0);
        said = some.stderr;
        assert.ok(performance.now() - begun < 60_000, said);
      }
      const chain = new Chain({ ...seams, folder: join(cluster.data, 'chain'), serverName: '' });
      const recover = (members: typeof replicas): Promise<void> =>
        chain.carryOut({ controllers, replicas: members }, null, {
          kind: 'recover',
          cluster: status.cluster,
          acceptLoss: false,
        });
      await assert.rejects(recover(replicas.slice(1)), /not read.*=WORD,accept-loss/);
      const done = await cluster.journal(order);
      assert.equal(done.code, 0, done.stderr);
      assert.match(done.stdout, /rebuilt the registers from 1 journals and 3 volumes/);

      const whole = await cluster.whole('orders');
      await append(client, 29, 5);
      assert.deepEqual(await allRecords(client), expected(33));
      // The new ones do their work: a head that dies is replaced.
      await killed(cluster, [whole.members[0]?.id ?? '']);
      await append(client, 34, 5);
      assert.deepEqual(await allRecords(client), expected(38));
      const again = await cluster.journal(order);
      assert.notEqual(again.code, 0);
      assert.match(again.stderr, /no new ones/);
      // The operator, which may end before it has noted that it is done, takes that for done.
      await recover(replicas);
      await chain.close();
    }),
  );
});
