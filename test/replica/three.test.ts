// A chain of three real replicas whose configurations a test decides: replication, loss of members,
// restarts, learners, repair.

import assert from 'node:assert/strict';
import { open, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { Configuration, JournalSettings } from '../../protocol/configuration.ts';
import { JournalError } from '../../protocol/errors.ts';
import { writerId } from '../../protocol/types.ts';
import { journalMethods } from '../../transport/methods.ts';
import type { SubscribeAnswer } from '../../transport/public.ts';
import { CALL, House, type Housed, position, texts } from './house.ts';
import { until } from './shepherd.ts';

describe('three replicas', () => {
  let house: House;
  let a: Housed;
  let b: Housed;
  let c: Housed;

  before(async () => {
    house = await House.open();
    [a, b, c] = await Promise.all([house.start('a'), house.start('b'), house.start('c')]);
  });
  after(() => house.close());

  const synced = (configuration: Configuration, ...members: readonly Housed[]) =>
    until(`${configuration.name} is synced in epoch ${configuration.epoch}`, () =>
      members.every(({ sheep }) => {
        const report = sheep.reports.get(configuration.journal);
        return report?.live === true && report.synced && report.epoch === configuration.epoch;
      }),
    );

  const journal = async (
    name: string,
    settings: Partial<JournalSettings> = {},
    members: readonly Housed[] = [a, b, c],
  ): Promise<string> => {
    const sheep = members.map((one) => one.sheep);
    await synced(house.shepherd.create(name, sheep, { minReplicas: 2, ...settings }), ...members);
    return name;
  };

  const all = async (name: string, ...members: readonly Housed[]): Promise<string[][]> =>
    Promise.all(members.map(async (one) => texts(await house.read(one, name, 1, true))));

  test('what is acknowledged is on every member, and any member proves it', async () => {
    const name = await journal('whole');
    await Promise.all(Array.from({ length: 50 }, (_, n) => house.append(a, name, [`r${n}`])));
    const [first, ...others] = await all(name, a, b, c);
    assert.equal(first?.length, 50);
    for (const other of others) assert.deepEqual(other, first);
  });

  test('who is not the head says who is', async () => {
    const name = await journal('routes');
    await assert.rejects(
      house.append(b, name, ['x']),
      (error: unknown) =>
        error instanceof JournalError &&
        error.code === 'NOT_HEAD' &&
        error.details.configuration?.serving[0]?.address === a.replica.address,
    );
  });

  test('a journal is there for who asks once it is made, whoever asked before', async () => {
    const code = async (): Promise<string> => {
      const error = await house.append(c, 'just-made', ['x']).catch((refusal: unknown) => refusal);
      return error instanceof JournalError ? error.code : String(error);
    };
    assert.equal(await code(), 'NOT_FOUND');
    await journal('just-made', {}, [a, b]);
    assert.equal(await code(), 'NOT_HEAD');
  });

  test('a subscriber at the tail gets everything once, over a change of epoch', async () => {
    const name = await journal('followers');
    const abort = new AbortController();
    const answers: SubscribeAnswer[] = [];
    const reading = (async () => {
      for await (const answer of house.network.stream(
        c.replica.address,
        journalMethods.subscribe,
        { journal: name, from: { kind: 'first' }, lineage: 0 },
        { ...CALL, signal: abort.signal },
      )) {
        answers.push(answer);
      }
    })();
    for (let n = 1; n <= 20; n += 1) await house.append(a, name, [`r${n}`]);
    await synced(house.shepherd.change(name, [b.sheep, c.sheep]), b, c);
    for (let n = 21; n <= 40; n += 1) await house.append(b, name, [`r${n}`]);
    await until('all came', () => answers.flatMap(texts).length === 40);
    abort.abort();
    await assert.rejects(reading);
    assert.deepEqual(
      answers.flatMap(texts),
      Array.from({ length: 40 }, (_, n) => `r${n + 1}`),
    );
  });

  test('a stranger learns, joins, and serves', async () => {
    const name = await journal('learners', {}, [a, b]);
    const large = 'x'.repeat(50_000);
    for (let n = 0; n < 40; n += 1) await house.append(a, name, [`${n}${large}`]);
    const configuration = house.shepherd.named(name);
    const source = configuration.serving[1];
    assert.ok(source !== undefined);
    c.sheep.directives = [{ kind: 'learn', configuration, source }];
    const report = () => c.sheep.reports.get(configuration.journal);
    await until('it caught up', () => report()?.committedLsn === 40);
    assert.equal(report()?.role, 'learner');
    c.sheep.directives = [];
    await synced(house.shepherd.change(name, [a.sheep, b.sheep], c.sheep), a, b, c);
    await house.append(a, name, ['with it']);
    await synced(house.shepherd.change(name, [c.sheep, a.sheep, b.sheep]), a, b, c);
    await house.append(c, name, ['from it']);
    const [first, ...others] = await all(name, c, a, b);
    assert.equal(first?.length, 42);
    for (const other of others) assert.deepEqual(other, first);
  });

  test('a retry finds its answer after a trim, and on a member that is new', async () => {
    const name = await journal('retries', {}, [a, b]);
    const ask = house.network.call.bind(house.network);
    const key = { writer: writerId('b'.repeat(32)), sequence: 1, after: 0, chosen: true };
    const idempotence = { idempotence: key };
    const before = await house.append(a, name, ['one', 'two'], idempotence);
    for (let n = 3; n <= 12; n += 1) await house.append(a, name, [`r${n}`]);
    const trim = { journal: name, through: position(12), force: false };
    await ask(a.replica.address, journalMethods.trim, trim, CALL);
    const configuration = house.shepherd.named(name);
    await until('it is cut', () => b.sheep.reports.get(configuration.journal)?.baseLsn === 12);
    const retried = await house.append(a, name, ['one', 'two'], idempotence);
    assert.deepEqual([retried.firstLsn, retried.lastLsn], [before.firstLsn, before.lastLsn]);
    assert.equal(retried.duplicate, true);
    // The base is all that it gets of those records.
    const [, source] = configuration.serving;
    assert.ok(source !== undefined);
    c.sheep.directives = [{ kind: 'learn', configuration, source }];
    const report = () => c.sheep.reports.get(configuration.journal);
    await until('it caught up', () => report()?.committedLsn === 13);
    c.sheep.directives = [];
    await synced(house.shepherd.change(name, [a.sheep, b.sheep], c.sheep), a, b, c);
    await synced(house.shepherd.change(name, [c.sheep, a.sheep, b.sheep]), a, b, c);
    const again = await house.append(c, name, ['one', 'two'], idempotence);
    assert.deepEqual([again.firstLsn, again.duplicate], [before.firstLsn, true]);
    assert.equal(again.timestampMicros, before.timestampMicros);
    await assert.rejects(
      house.append(c, name, ['another'], idempotence),
      (error: unknown) => error instanceof JournalError && error.code === 'IDEMPOTENCY_MISMATCH',
    );
  });

  test('a learner whose log was trimmed away starts from the base', async () => {
    const name = await journal('bases', {}, [a, b]);
    for (let n = 1; n <= 30; n += 1) await house.append(a, name, [`r${n}`]);
    const trim = { journal: name, through: position(20), force: false };
    await house.network.call(a.replica.address, journalMethods.trim, trim, CALL);
    const configuration = house.shepherd.named(name);
    await until('it is cut', () => b.sheep.reports.get(configuration.journal)?.baseLsn === 20);
    const [, source] = configuration.serving;
    assert.ok(source !== undefined);
    c.sheep.directives = [{ kind: 'learn', configuration, source }];
    const report = () => c.sheep.reports.get(configuration.journal);
    await until('it caught up', () => report()?.committedLsn === 31);
    assert.equal(report()?.baseLsn, 20);
    c.sheep.directives = [];
    await synced(house.shepherd.change(name, [a.sheep, b.sheep], c.sheep), a, b, c);
    await house.append(a, name, ['r31']);
    assert.deepEqual(texts(await house.read(c, name, 21, true)).length, 11);
    await assert.rejects(
      house.read(c, name, 20),
      (error: unknown) => error instanceof JournalError && error.code === 'TRIMMED',
    );
  });

  test('a member that restarted joins with the log that it has', async () => {
    const name = await journal('restarts');
    for (let n = 1; n <= 10; n += 1) await house.append(a, name, [`r${n}`]);
    await house.stop(c);
    await synced(house.shepherd.change(name, [a.sheep, b.sheep]), a, b);
    for (let n = 11; n <= 20; n += 1) await house.append(a, name, [`r${n}`]);
    c = await house.start('c');
    const id = house.shepherd.named(name).journal;
    await until('it reports', () => c.sheep.reports.get(id)?.role === 'restarted');
    assert.equal(c.sheep.reports.get(id)?.endLsn, 10);
    await synced(house.shepherd.change(name, [a.sheep, b.sheep], c.sheep), a, b, c);
    await house.append(a, name, ['r21']);
    const [first, ...others] = await all(name, a, b, c);
    assert.equal(first?.length, 21);
    for (const other of others) assert.deepEqual(other, first);
  });

  test('a flipped bit is found by a read and mended by a peer', async () => {
    const name = await journal('flips');
    const mark = 'this very text stands in one place of the disk only';
    for (let n = 0; n < 10; n += 1) await house.append(a, name, [`${mark} ${n}`]);
    // Another segment, and a new process, so that nothing is read from memory.
    for (let n = 0; n < 20; n += 1) await house.append(a, name, ['y'.repeat(30_000)]);
    await house.stop(c);
    await synced(house.shepherd.change(name, [a.sheep, b.sheep]), a, b);
    await flip(join(c.directory, 'volume', 'segments'), `${mark} 5`);
    c = await house.start('c');
    await synced(house.shepherd.change(name, [a.sheep, b.sheep], c.sheep), a, b, c);
    const read = await house.read(c, name, 1, true);
    assert.equal(texts(read)[5], `${mark} 5`);
    assert.equal(read.records.length, 30);
    // It is whole on the disk again, not only for this reader.
    await house.stop(c);
    assert.equal((await count(join(c.directory, 'volume', 'segments'), `${mark} 5`)) > 0, true);
    c = await house.start('c');
  });

  test('the head stops in time and in order', async () => {
    const name = await journal('stops');
    await house.append(a, name, ['one']);
    const begun = Date.now();
    await house.stop(a);
    // A second, and what a busy machine adds to it.
    assert.ok(Date.now() - begun < 5_000, `${Date.now() - begun} ms`);
    a = await house.start('a');
  });
});

async function segments(directory: string): Promise<string[]> {
  const names = await readdir(directory);
  return names.filter((name) => name.endsWith('.segment')).map((name) => join(directory, name));
}

async function bytesOf(path: string): Promise<Buffer> {
  const file = await open(path, 'r');
  try {
    return await file.readFile();
  } finally {
    await file.close();
  }
}

/** Turns one bit of the only place where `text` stands. */
async function flip(directory: string, text: string): Promise<void> {
  for (const path of await segments(directory)) {
    const bytes = await bytesOf(path);
    const at = bytes.indexOf(text);
    if (at < 0) continue;
    const file = await open(path, 'r+');
    await file.write(Buffer.from([(bytes[at] ?? 0) ^ 1]), 0, 1, at);
    await file.close();
    return;
  }
  throw new Error('the text is nowhere');
}

async function count(directory: string, text: string): Promise<number> {
  const all = await Promise.all((await segments(directory)).map(bytesOf));
  return all.filter((bytes) => bytes.includes(text)).length;
}
