// What members that were cut off, were away, or hold a damaged log answer: never old, never a gap.

import assert from 'node:assert/strict';
import { closeSync, openSync, readdirSync, readFileSync, readSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { type Client, connect, JournalError } from '../../client/index.ts';
import { Cluster, isAlive, kill, pause } from './cluster.ts';

const WAIT = { timeout: 300_000 };

describe('reads', () => {
  let cluster: Cluster;
  let client: Client;
  before(async () => {
    cluster = await Cluster.start({ links: true, restart: false });
    client = cluster.connect();
  });
  after(async () => {
    await client?.close();
    await cluster?.close();
  });

  test(
    'tail and a linearizable read at a member that was cut off are never old',
    WAIT,
    async () => {
      await client.createJournal('cut');
      const journal = client.journal('cut');
      for (let round = 0; round < 3; round += 1) {
        const { members } = await cluster.whole('cut');
        const member = members[round];
        assert.ok(member !== undefined);
        await journal.append(`before ${round}`);
        cluster.cutOff(member.id);
        const others = cluster.connect({ endpoints: others3(members, member.id) });
        const { lastLsn } = await others.journal('cut').append(`after ${round}`);
        await using alone = connect({ endpoints: [member.address], timeoutMillis: 1_500 });
        for (const ask of [
          async () => (await alone.journal('cut').tail()).tailLsn,
          async () => (await alone.journal('cut').read({ linearizable: true })).records.at(-1)?.lsn,
        ]) {
          const answer = await ask().catch((error: unknown) => {
            if (error instanceof JournalError) return 'refused';
            throw error;
          });
          // It may route to the others, but what it answers is never older than what they hold.
          if (answer !== 'refused') assert.equal(answer, lastLsn);
        }
        cluster.links?.heal();
        await others.close();
      }
    },
  );

  test(
    'trim with a member down and a subscriber behind: TRIMMED, and the member is back',
    WAIT,
    async () => {
      await client.createJournal('trimmed');
      const journal = client.journal('trimmed');
      const { members } = await cluster.whole('trimmed');
      const away = members[2]?.id ?? '';
      const pid = await cluster.pidOf(away);
      for (let at = 1; at <= 200; at += 1) await journal.append(`record ${at}`);
      kill(pid, 'SIGSTOP');
      for (let at = 201; at <= 400; at += 1) await journal.append(`record ${at}`);
      assert.equal(await journal.trim(300), 301);
      kill(pid, 'SIGCONT');
      const late = async (): Promise<number> => {
        for await (const record of journal.subscribe({ from: 100 })) return record.lsn;
        return 0;
      };
      const isTrimmed = (error: unknown): boolean => {
        assert.ok(error instanceof JournalError);
        assert.equal(error.code, 'TRIMMED');
        assert.equal(error.details.firstLsn, 301);
        return true;
      };
      // Who was away has not heard of the trim yet, and may show what it has: no gap, in any case.
      const shown = await late().catch((error: unknown) => isTrimmed(error) && 100);
      assert.equal(shown, 100);
      const back = await cluster.whole('trimmed');
      await assert.rejects(late(), isTrimmed);
      const member = back.members.find(({ id }) => id === away);
      await using alone = connect({ endpoints: [member?.address ?? ''] });
      const { records } = await alone.journal('trimmed').read({ from: 301, linearizable: true });
      assert.equal(records.length, 100);
      assert.equal(Buffer.from(records[0]?.data ?? []).toString(), 'record 301');
    },
  );

  test(
    'a bit that flipped in the middle of one log is repaired, and nothing after it lost',
    WAIT,
    async () => {
      await client.createJournal('flipped');
      const journal = client.journal('flipped');
      const marks = Array.from(
        { length: 50 },
        (_, at) => `flip-mark-${String(at).padStart(4, '0')}`,
      );
      for (const mark of marks) await journal.append(mark);
      const { members } = await cluster.whole('flipped');
      const member = members[1];
      assert.ok(member !== undefined);
      // Started anew, so that it reads what the disk holds and not what it remembers.
      const pid = await cluster.pidOf(member.id);
      kill(pid, 'SIGTERM');
      while (isAlive(pid)) await pause(20);
      flip(join(cluster.data, 'replicas', member.id), 'flip-mark-0020');
      await cluster.restart(member.id);
      await cluster.whole('flipped');
      await using alone = connect({ endpoints: [member.address] });
      const found: string[] = [];
      for await (const { data } of alone
        .journal('flipped')
        .subscribe({ from: 1, untilEnd: true })) {
        found.push(Buffer.from(data).toString('utf8'));
      }
      assert.deepEqual(found, marks);
      const log = readFileSync(join(cluster.data, 'logs', `${member.id}.log`), 'utf8');
      assert.match(log, /damage|repair/i, 'its log names the damage');
    },
  );
});

function others3(members: readonly { id: string; address: string }[], but: string): string[] {
  return members.filter(({ id }) => id !== but).map(({ address }) => address);
}

/** Flips one bit of the bytes that follow `text` in whichever segment holds it. */
function flip(directory: string, text: string): void {
  const segments = join(directory, 'volume', 'segments');
  for (const name of readdirSync(segments)) {
    const path = join(segments, name);
    const at = readFileSync(path).indexOf(text);
    if (at < 0) continue;
    const file = openSync(path, 'r+');
    const byte = Buffer.alloc(1);
    readSync(file, byte, 0, 1, at + 5);
    byte[0] = (byte[0] ?? 0) ^ 1;
    writeSync(file, byte, 0, 1, at + 5);
    closeSync(file);
    return;
  }
  throw new Error(`${text} is in no segment of ${directory}`);
}
