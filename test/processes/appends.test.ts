// What an append promises beyond its place: conditions, fences, idempotence, all or nothing.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { type Client, JournalError } from '../../client/index.ts';
import { Cluster, kill, output, pause, startJournal } from './cluster.ts';

const WAIT = { timeout: 300_000 };

let cluster: Cluster;
let client: Client;
before(async () => {
  cluster = await Cluster.start();
  client = cluster.connect();
});
after(async () => {
  await client?.close();
  await cluster?.close();
});

const codeOf = (error: unknown): string => {
  if (error instanceof JournalError) return error.code;
  throw error;
};

describe('conditional appends', () => {
  test('16 clients comparing and appending give one winner a round', WAIT, async () => {
    await client.createJournal('race');
    const clients = Array.from({ length: 16 }, () => cluster.connect());
    for (let round = 0; round < 20; round += 1) {
      const { tailLsn } = await client.journal('race').tail();
      // In the middle a fault, since a "no" from uncommitted state would show there.
      if (round === 10) kill(await cluster.pidOf(await headOf('race')), 'SIGKILL');
      const answers = await Promise.all(
        clients.map((one, at) =>
          one
            .journal('race')
            .append(`round ${round} by ${at}`, { expectTail: tailLsn })
            .then(() => 'won', codeOf),
        ),
      );
      const count = (code: string): number => answers.filter((answer) => answer === code).length;
      assert.equal(count('won'), 1, `round ${round}: ${answers.join(' ')}`);
      assert.equal(count('CONDITION_FAILED'), 15, `round ${round}: ${answers.join(' ')}`);
    }
    assert.equal((await client.journal('race').tail()).tailLsn, 20);
    for (const one of clients) await one.close();
  });

  test('control entries after the last record do not make expect-tail fail', WAIT, async () => {
    await client.createJournal('control');
    const journal = client.journal('control');
    const { lastLsn } = await journal.append(['a', 'b', 'c']);
    await journal.setCursor('reader', lastLsn);
    await journal.trim(1);
    await journal.append('d', { expectTail: lastLsn });
    await assert.rejects(journal.append('e', { expectTail: lastLsn }), (error) => {
      assert.equal(codeOf(error), 'CONDITION_FAILED');
      return true;
    });
  });
});

const headOf = async (journal: string): Promise<string> => {
  const { members } = await cluster.whole(journal);
  return members[0]?.id ?? '';
};

describe('leases', () => {
  test('a renewing leader is not fenced, one that was paused past its lease is', WAIT, async () => {
    await client.createJournal('led');
    const script =
      'const { execFileSync } = require("node:child_process");' +
      'process.stdout.write(process.env.JOURNAL_FENCE + "\\n"); setInterval(() => {}, 1000);';
    const args = ['lead', 'led', '--key', 'k', '--lease', '1500ms', '--'];
    const env = { JOURNAL_ENDPOINTS: cluster.endpoints.join(',') };
    const child = startJournal([...args, process.execPath, '-e', script], env);
    const ended = output(child);
    const said = await new Promise<string>((resolve) =>
      child.stdout.once('data', (piece: Buffer) => resolve(piece.toString('utf8').trim())),
    );
    const token = Number(said.split('=').at(-1));
    const fence = { key: 'k', token };
    // Three leases long.
    for (let at = 0; at < 9; at += 1) {
      await client.journal('led').append(`by the leader ${at}`, { fence });
      await pause(500);
    }
    kill(child.pid ?? 0, 'SIGSTOP');
    const next = await client.journal('led').lead('k', { leaseMillis: 1_500 });
    assert.ok(next.token > token);
    await assert.rejects(client.journal('led').append('by the old one', { fence }), (error) => {
      assert.equal(codeOf(error), 'FENCED');
      return true;
    });
    kill(child.pid ?? 0, 'SIGCONT');
    assert.equal((await ended).code, 75);
    await next.release();
  });
});

describe('idempotence', () => {
  test(
    'the same append under the same key gives the same LSN after fail-over and trim',
    WAIT,
    async () => {
      await client.createJournal('once');
      const journal = client.journal('once');
      await journal.append('before');
      const options = { idempotencyKey: 'job-1' };
      const first = await journal.append(['a', 'b'], options);
      const again = async (): Promise<void> => {
        const answer = await cluster.connect().journal('once').append(['a', 'b'], options);
        assert.deepEqual([answer.firstLsn, answer.lastLsn], [first.firstLsn, first.lastLsn]);
        assert.equal(answer.duplicate, true);
      };
      await again();
      kill(await cluster.pidOf(await headOf('once')), 'SIGKILL');
      await again();
      await cluster.whole('once');
      await journal.append('after');
      await journal.trim(first.lastLsn);
      await again();
      // Each member in turn as head: tables that only one of them has would show.
      for (let turn = 0; turn < 3; turn += 1) {
        kill(await cluster.pidOf(await headOf('once')), 'SIGKILL');
        await again();
      }
      await assert.rejects(journal.append('other', options), (error) => {
        assert.equal(codeOf(error), 'IDEMPOTENCY_MISMATCH');
        return true;
      });
    },
  );

  test('batches are there whole or not at all, through kills of the head', WAIT, async () => {
    await client.createJournal('batches');
    const stopped = new AbortController();
    const writer = async (name: string): Promise<void> => {
      await using own = cluster.connect();
      for (let number = 0; !stopped.signal.aborted; number += 1) {
        const batch = Array.from({ length: 10 }, (_, at) => `${name} ${number} ${at}`);
        await own.journal('batches').append(batch).catch(codeOf);
      }
    };
    const writers = ['v', 'w', 'x', 'y'].map(writer);
    for (let round = 0; round < 3; round += 1) {
      await pause(300);
      kill(await cluster.pidOf(await headOf('batches')), 'SIGKILL');
      await cluster.whole('batches');
    }
    stopped.abort();
    await Promise.all(writers);
    const seen: string[] = [];
    for await (const { data } of client.journal('batches').subscribe({ from: 1, untilEnd: true })) {
      seen.push(Buffer.from(data).toString('utf8'));
    }
    assert.ok(seen.length > 100 && seen.length % 10 === 0, `${seen.length} records`);
    for (let at = 0; at < seen.length; at += 10) {
      const name = seen[at]?.replace(/ \d+$/, '');
      const whole = Array.from({ length: 10 }, (_, index) => `${name} ${index}`);
      assert.deepEqual(seen.slice(at, at + 10), whole);
    }
  });
});
