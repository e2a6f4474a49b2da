// What a disk promises and what it does not: held syncs, everything killed, members gone for good.

import assert from 'node:assert/strict';
import { cpSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { type Client, JournalError } from '../../client/index.ts';
import { Cluster, isAlive, kill, pause } from './cluster.ts';

const WAIT = { timeout: 300_000 };

async function withCluster(
  options: Parameters<typeof Cluster.start>[0],
  work: (cluster: Cluster, client: Client) => Promise<void>,
): Promise<void> {
  const cluster = await Cluster.start(options);
  try {
    await using client = cluster.connect();
    await client.createJournal('orders');
    await cluster.whole('orders');
    await work(cluster, client);
  } catch (error) {
    process.stderr.write(cluster.logs());
    throw error;
  } finally {
    await cluster.close();
  }
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

async function append(client: Client, from: number, count: number): Promise<void> {
  const journal = client.journal('orders');
  for (let at = from; at < from + count; at += 1) await journal.append(`record ${at}`);
}

/** The data of all records, by whichever replica the client finds. */
async function allRecords(client: Client): Promise<string[]> {
  const found: string[] = [];
  const records = client.journal('orders').subscribe({ from: 'first', untilEnd: true });
  for await (const { data } of records) found.push(Buffer.from(data).toString('utf8'));
  return found;
}

const expected = (count: number): string[] =>
  Array.from({ length: count }, (_, at) => `record ${at + 1}`);

/**
 * The newest epoch that a member is in. What a controller says of it may be older: those that did
 * not decide hear of a decision later than the members.
 */
async function epochOf(cluster: Cluster, journal: string): Promise<number> {
  const epochs = ['replica-1', 'replica-2', 'replica-3'].map(async (member) => {
    const answer = await fetch(`${cluster.httpOf(member)}/metrics`, {
      signal: AbortSignal.timeout(10_000),
    });
    const found = new RegExp(`epoch{journal="${journal}"} (\\d+)`).exec(await answer.text());
    return Number(found?.[1] ?? 0);
  });
  return Math.max(...(await Promise.all(epochs)));
}

/** Signals members, and waits until they have ended: so long they may write their directories. */
async function end(
  cluster: Cluster,
  members: readonly string[],
  signal: NodeJS.Signals,
): Promise<void> {
  const pids = await Promise.all(members.map((member) => cluster.pidOf(member)));
  for (const pid of pids) kill(pid, signal);
  while (pids.some(isAlive)) await pause(20);
}

describe('syncs', () => {
  test('while any one member holds its syncs, nothing is acknowledged in that epoch', WAIT, () =>
    withCluster({ faults: true }, async (cluster, client) => {
      for (let place = 0; place < 3; place += 1) {
        const { members } = await cluster.whole('orders');
        const member = members[place]?.id ?? '';
        const before = await epochOf(cluster, 'orders');
        const pid = await cluster.pidOf(member);
        cluster.hold(pid, 0);
        const { lastLsn } = await client
          .journal('orders')
          .append('held', { timeoutMillis: 20_000 });
        const epoch = await epochOf(cluster, 'orders');
        cluster.release(pid);
        assert.ok(
          before > 0 && epoch > before,
          `${member} held its syncs, and epoch ${before} acknowledged LSN ${lastLsn}`,
        );
        await cluster.whole('orders');
      }
    }),
  );
});

describe('everything killed at once', () => {
  test('every acknowledged record is there, and appends go on by themselves', WAIT, (context) =>
    withCluster({}, async (cluster, client) => {
      const writable: number[] = [];
      let count = 0;
      for (let round = 0; round < 3; round += 1) {
        await append(client, count + 1, 50);
        count += 50;
        await cluster.killAll();
        const begun = performance.now();
        await cluster.up();
        const { lastLsn } = await client.journal('orders').append(`record ${count + 1}`);
        count += 1;
        const millis = performance.now() - begun;
        assert.ok(lastLsn >= count);
        writable.push(Math.round(millis));
        // What the same machine needs to start the same processes on empty directories.
        const allowed = 5_000 + cluster.startMillis;
        assert.ok(millis <= allowed, `writable only after ${millis} ms, allowed is ${allowed}`);
        assert.deepEqual(await allRecords(client), expected(count));
      }
      const first = Math.round(cluster.startMillis);
      context.diagnostic(
        `writable after ${writable.join(', ')} ms; the first start took ${first} ms`,
      );
    }),
  );
});

describe('members gone for good', () => {
  test('the last of three refuses appends, serves reads, and goes on with a new member', WAIT, () =>
    withCluster({ restart: false }, async (cluster, client) => {
      await append(client, 1, 20);
      const { members } = await cluster.whole('orders');
      for (const { id } of members.slice(0, 2)) {
        await end(cluster, [id], 'SIGKILL');
        rmSync(join(cluster.data, 'replicas', id), { recursive: true, force: true });
      }
      const last = members[2]?.id ?? '';
      await cluster.until('orders', ({ members: now }) => now[0]?.id === last, 'on its own');
      const refused = client.journal('orders').append('no', { timeoutMillis: 3_000 });
      assert.equal(await codeOf(refused), 'UNDER_REPLICATED');
      assert.deepEqual(await allRecords(client), expected(20));
      const gone = members[0];
      assert.ok(gone !== undefined);
      await client.admin({ kind: 'memberReplace', member: gone.id, by: gone.id });
      await cluster.restart(gone.id);
      await append(client, 21, 5);
      assert.deepEqual(await allRecords(client), expected(25));
    }),
  );

  test('a wiped directory and an old copy never count as survivors', WAIT, () =>
    withCluster({ restart: false }, async (cluster, client) => {
      await append(client, 1, 20);
      const { members } = await cluster.whole('orders');
      const [first = '', second = '', third = ''] = members.map(({ id }) => id);
      const directory = (id: string): string => join(cluster.data, 'replicas', id);
      // An old copy of the first, taken while it is down.
      await end(cluster, [first], 'SIGTERM');
      await cluster.until(
        'orders',
        ({ members: now }) => now[0]?.id !== first,
        'without the first',
      );
      cpSync(directory(first), `${directory(first)}.old`, { recursive: true });
      await cluster.restart(first);
      await append(client, 21, 20);
      await cluster.whole('orders');
      await pause(1_500);
      await end(cluster, [first, second, third], 'SIGKILL');
      rmSync(directory(first), { recursive: true });
      cpSync(`${directory(first)}.old`, directory(first), { recursive: true });
      rmSync(directory(second), { recursive: true });
      await cluster.restart(first);
      await cluster.restart(second);
      await pause(4_000);
      const tried = client.journal('orders').append('no', { timeoutMillis: 2_000 });
      assert.notEqual(await codeOf(tried), 'done');
      await cluster.restart(third);
      await append(client, 41, 1);
      assert.deepEqual(await allRecords(client), expected(41));
    }),
  );
});
