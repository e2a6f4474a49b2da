// A chain of one replica, for real: appends, reads, subscriptions, trims, cursors, and a restart.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { nodeDisk } from '../../io/node.ts';
import { NO_CONDITION } from '../../protocol/chain/messages.ts';
import type { JournalSettings } from '../../protocol/configuration.ts';
import { JournalError } from '../../protocol/errors.ts';
import { journalId, micros, writerId } from '../../protocol/types.ts';
import { journalMethods } from '../../transport/methods.ts';
import type { AppendStreamAnswer, SubscribeAnswer } from '../../transport/public.ts';
import { CALL, call, House, type Housed, position, texts } from './house.ts';
import { CLUSTER, eventually, until } from './shepherd.ts';

const refused = (code: string, says: RegExp) => (error: unknown) =>
  error instanceof JournalError && error.code === code && says.test(error.message);

describe('one replica alone', () => {
  let house: House;
  let a: Housed;

  before(async () => {
    house = await House.open();
    a = await house.start('a');
  });
  after(() => house.close());

  const journal = async (
    name: string,
    settings: Partial<JournalSettings> = {},
  ): Promise<string> => {
    const { journal: id } = house.shepherd.create(name, [a.sheep], settings);
    await until(`${name} has its head`, () => a.sheep.reports.get(id)?.live === true);
    return name;
  };

  test('appends are numbered from 1 and read back', async () => {
    const name = await journal('numbers');
    const first = await house.append(a, name, ['one', 'two']);
    assert.deepEqual([first.firstLsn, first.lastLsn, first.duplicate], [1, 2, false]);
    const second = await house.append(a, name, ['three']);
    assert.equal(second.firstLsn, 3);
    assert.ok(second.timestampMicros > first.timestampMicros);
    const answer = await house.read(a, name, 1, true);
    assert.deepEqual(texts(answer), ['one', 'two', 'three']);
    assert.deepEqual([answer.nextLsn, answer.committedLsn], [4, 3]);
    const tail = await house.network.call(
      a.replica.address,
      journalMethods.tail,
      { journal: name },
      CALL,
    );
    assert.deepEqual([tail.tailLsn, tail.endLsn, tail.firstLsn], [3, 3, 1]);
  });

  test('a condition that does not hold is refused with the tail', async () => {
    const name = await journal('conditions');
    await house.append(a, name, ['one']);
    const condition = { ...NO_CONDITION, expectTail: position(0) };
    await assert.rejects(
      house.append(a, name, ['two'], { condition }),
      (error: unknown) =>
        error instanceof JournalError &&
        error.code === 'CONDITION_FAILED' &&
        error.details.tailLsn === 1,
    );
    const right = { ...NO_CONDITION, expectTail: position(1) };
    assert.equal((await house.append(a, name, ['two'], { condition: right })).firstLsn, 2);
  });

  test('a retry under the same key gives the same position', async () => {
    const name = await journal('retries');
    const writer = writerId('0'.repeat(32));
    const idempotence = { writer, sequence: 1, after: 0, chosen: false };
    const first = await house.append(a, name, ['one'], { idempotence });
    const again = await house.append(a, name, ['one'], { idempotence });
    assert.deepEqual([again.firstLsn, again.duplicate], [first.firstLsn, true]);
    await assert.rejects(
      house.append(a, name, ['other'], { idempotence }),
      refused('IDEMPOTENCY_MISMATCH', /idempotency key/),
    );
  });

  test('what cannot be is refused by field, given and allowed', async () => {
    const name = await journal('limits');
    await assert.rejects(house.append(a, 'nowhere', ['x']), refused('NOT_FOUND', /nowhere/));
    await assert.rejects(house.append(a, name, []), refused('INVALID_ARGUMENT', /record/));
    const large = 'x'.repeat(1024 * 1024 + 1);
    await assert.rejects(
      house.append(a, name, [large]),
      refused(
        'INVALID_ARGUMENT',
        /records\[0\]\.data is 1048577 bytes, allowed is at most 1048576/,
      ),
    );
    await assert.rejects(
      house.append(a, name, ['x'.repeat(600_000), 'x'.repeat(600_000)]),
      refused('INVALID_ARGUMENT', /records is 1200000 bytes, allowed is at most 1048576/),
    );
    await assert.rejects(house.read(a, name, 2), refused('OUT_OF_RANGE', /from is 2, allowed is/));
    const records = [{ key: 'leader', data: Buffer.from('me') }];
    await assert.rejects(
      house.append(a, name, [], { records, leaseMillis: 500 }),
      refused('INVALID_ARGUMENT', /lease_millis is 500, allowed is 0 where key_operation is tag/),
    );
    await assert.rejects(
      house.append(a, name, ['x'], { keyOperation: 'claim' }),
      refused('INVALID_ARGUMENT', /key_operation is claim, allowed is tag where no record has/),
    );
    assert.equal((await house.append(a, name, ['first'])).firstLsn, 1);
  });

  test('a subscription follows from any start, and tells its progress', async () => {
    const name = await journal('subscriptions');
    await house.append(a, name, ['one', 'two']);
    const abort = new AbortController();
    const answers: SubscribeAnswer[] = [];
    const stream = house.network.stream(
      a.replica.address,
      journalMethods.subscribe,
      { journal: name, from: { kind: 'last', count: 1 }, lineage: 1 },
      { ...CALL, signal: abort.signal },
    );
    const reading = (async () => {
      for await (const answer of stream) answers.push(answer);
    })();
    const got = () => answers.flatMap(texts);
    await until('the last record came', () => got().length === 1);
    await house.append(a, name, ['three']);
    await until('the next record came', () => got().length === 2);
    assert.deepEqual(got(), ['two', 'three']);
    const told = answers.length;
    await until('progress came', () => answers.length > told);
    assert.equal(answers.at(-1)?.nextLsn, 4);
    abort.abort();
    await assert.rejects(reading, refused('CANCELLED', /./));
  });

  test('a subscription of another lineage is refused', async () => {
    const name = await journal('lineages');
    const stream = house.network.stream(
      a.replica.address,
      journalMethods.subscribe,
      { journal: name, from: { kind: 'first' }, lineage: 2 },
      CALL,
    );
    await assert.rejects(
      async () => {
        for await (const answer of stream) assert.fail(JSON.stringify(answer));
      },
      refused('LINEAGE_CHANGED', /lineage is 2, allowed is 1/),
    );
  });

  test('a trim hides what it took, and a cursor holds it', async () => {
    const name = await journal('trims');
    await house.append(a, name, ['one', 'two', 'three', 'four']);
    const ask = house.network.call.bind(house.network);
    const { address } = a.replica;
    const cursor = { journal: name, name: 'reader', lsn: position(2), expectEnd: null };
    await ask(address, journalMethods.setCursor, cursor, CALL);
    const trim = { journal: name, through: position(3), force: false };
    await assert.rejects(
      ask(address, journalMethods.trim, trim, CALL),
      refused('CURSOR_HOLDS', /reader/),
    );
    const { cursors } = await ask(address, journalMethods.cursors, { journal: name }, CALL);
    assert.deepEqual(
      cursors.map(({ name: at, lsn }) => [at, lsn]),
      [['reader', 2]],
    );
    const forced = await ask(address, journalMethods.trim, { ...trim, force: true }, CALL);
    assert.equal(forced.firstLsn, 4);
    await assert.rejects(
      house.read(a, name, 3),
      (error: unknown) =>
        error instanceof JournalError && error.code === 'TRIMMED' && error.details.firstLsn === 4,
    );
    assert.deepEqual(texts(await house.read(a, name, 4)), ['four']);
    // Control entries come after the last record, and do not count as records.
    const condition = { ...NO_CONDITION, expectTail: position(4) };
    assert.equal((await house.append(a, name, ['five'], { condition })).firstLsn, 7);
  });

  test('appends on a stream are taken in order, and a refusal does not end it', async () => {
    const name = await journal('streams');
    const stream = house.network.duplex(a.replica.address, journalMethods.appendStream, CALL);
    for (let tag = 1; tag <= 100; tag += 1) stream.send({ ...call(name, [`r${tag}`]), tag });
    stream.send({ ...call(name, ['x'.repeat(1024 * 1024 + 1)]), tag: 101 });
    stream.send({ ...call(name, []), tag: 102 });
    stream.send({ ...call(name, ['last']), tag: 103 });
    stream.end();
    const answers: AppendStreamAnswer[] = [];
    for await (const answer of stream.incoming) answers.push(answer);
    const appended = answers.flatMap((one) => (one.kind === 'appended' ? [one.answer] : []));
    assert.equal(appended.length, 101);
    for (const { tag, firstLsn } of appended.slice(0, 100)) assert.equal(firstLsn, tag);
    const no = answers.flatMap((one) => (one.kind === 'refused' ? [one] : []));
    assert.deepEqual(no.map(({ tag, error }) => [tag, error.code]).sort(), [
      [101, 'INVALID_ARGUMENT'],
      [102, 'INVALID_ARGUMENT'],
    ]);
    assert.match(no.find(({ tag }) => tag === 102)?.error.message ?? '', /records is "empty"/);
  });

  test('keys are claimed, and fence those who came before', async () => {
    const name = await journal('keys');
    const claim = (lsn: number) => ({
      records: [{ key: 'leader', data: Buffer.from('me') }],
      keyOperation: 'claim' as const,
      leaseMillis: 1_000,
      condition: { ...NO_CONDITION, expectKey: { key: 'leader', lsn: position(lsn) } },
    });
    const first = await house.append(a, name, ['x'], claim(0));
    const second = await house.append(a, name, ['x'], claim(first.firstLsn));
    const fenced = { ...NO_CONDITION, fence: { key: 'leader', token: first.firstLsn } };
    await assert.rejects(
      house.append(a, name, ['late'], { condition: fenced }),
      refused('FENCED', /leader/),
    );
    const state = await house.network.call(
      a.replica.address,
      journalMethods.key,
      { journal: name, key: 'leader' },
      CALL,
    );
    assert.deepEqual([state.keyLsn, state.tokenLsn], [second.firstLsn, second.firstLsn]);
  });

  test('a key is forgotten once its lease is over', async () => {
    const name = await journal('forgotten');
    const forget = () => {
      const request = { journal: name, key: 'leader' };
      return house.network.call(a.replica.address, journalMethods.forgetKey, request, CALL);
    };
    await assert.rejects(forget(), refused('NOT_FOUND', /leader/));
    const records = [{ key: 'leader', data: Buffer.from('me') }];
    const leased = { records, keyOperation: 'claim', leaseMillis: 60_000 } as const;
    await house.append(a, name, [], leased);
    await assert.rejects(forget(), refused('CONDITION_FAILED', /leased/));
    await house.append(a, name, [], { records, keyOperation: 'release' });
    await forget();
    await assert.rejects(forget(), refused('NOT_FOUND', /leader/));
  });

  test('an append to a journal that another one has the name of now is refused', async () => {
    const name = await journal('anew');
    const meant = [...a.sheep.reports.keys()].at(-1);
    assert.equal((await house.append(a, name, ['x'], { journalId: meant })).firstLsn, 1);
    const other = { journalId: journalId('0'.repeat(32)) };
    await assert.rejects(house.append(a, name, ['y'], other), refused('NOT_FOUND', /made anew/));
    assert.deepEqual(texts(await house.read(a, name, 1)), ['x']);
  });

  test('a replica of another cluster takes no grant of this one', async () => {
    const more = { cluster: 'elsewhere' };
    const words = /--cluster is elsewhere, and --controllers are of cluster c0/;
    await assert.rejects(house.start('b', {}, nodeDisk, more), refused('INVALID_ARGUMENT', words));
    assert.ok(!house.shepherd.granted.includes('b'));
    await house.stop(await house.start('b', {}, nodeDisk, { cluster: CLUSTER }));
    assert.ok(house.shepherd.granted.includes('b'));
  });

  test('a journal is made, listed and deleted through any replica', async () => {
    const ask = house.network.call.bind(house.network);
    const { address } = a.replica;
    const request = {
      name: 'made',
      ifAbsent: false,
      settings: { replicationFactor: 1 },
      firstLsn: position(1),
    };
    const made = await ask(address, journalMethods.createJournal, request, CALL);
    assert.equal(made.configuration.settings.minReplicas, 1);
    await assert.rejects(
      ask(address, journalMethods.createJournal, request, CALL),
      refused('ALREADY_EXISTS', /made/),
    );
    const same = await ask(
      address,
      journalMethods.createJournal,
      { ...request, ifAbsent: true },
      CALL,
    );
    assert.equal(same.configuration.journal, made.configuration.journal);
    const { names } = await ask(address, journalMethods.listJournals, {}, CALL);
    assert.ok(names.some(({ name }) => name === 'made'));
    await until('it is served', () => a.sheep.reports.has(made.configuration.journal));
    await ask(address, journalMethods.deleteJournal, { journal: 'made' }, CALL);
    await until('it is gone', () => !a.sheep.reports.has(made.configuration.journal));
    // A retry whose answer was lost finds its own journal, another's name is taken.
    const own = {
      ...request,
      name: 'drawn',
      ifAbsent: false,
      journalId: journalId('e'.repeat(32)),
    };
    const drawn = await ask(address, journalMethods.createJournal, own, CALL);
    assert.equal(drawn.configuration.journal, own.journalId);
    const again = await ask(address, journalMethods.createJournal, own, CALL);
    assert.equal(again.configuration.journal, own.journalId);
    const other = { ...own, journalId: journalId('f'.repeat(32)) };
    const taken = ask(address, journalMethods.createJournal, other, CALL);
    await assert.rejects(taken, refused('ALREADY_EXISTS', /drawn/));
    await assert.rejects(house.append(a, 'made', ['x']), refused('NOT_FOUND', /made/));
  });

  test('old records go by size, and a cursor turns the size into a quota', async () => {
    const name = await journal('sizes', { retainBytes: 100_000 });
    const kilobytes = Array.from({ length: 20 }, () => 'x'.repeat(1_000));
    const writer = writerId('5'.repeat(32));
    const last = { sequence: 0, firstLsn: position(0) };
    const write = (sequence: number) => {
      const idempotence = { writer, sequence, after: sequence - 1, chosen: false };
      return house.append(a, name, kilobytes, { idempotence });
    };
    const fill = async (): Promise<void> => {
      for (let n = 0; n < 10; n += 1) {
        const { firstLsn } = await write(last.sequence + 1);
        Object.assign(last, { sequence: last.sequence + 1, firstLsn });
      }
    };
    const ask = house.network.call.bind(house.network);
    const { address } = a.replica;
    const first = async (): Promise<number> =>
      (await ask(address, journalMethods.tail, { journal: name }, CALL)).firstLsn;
    await fill();
    await eventually('old records go', async () => (await first()) > 80);
    const held = await first();
    assert.ok(held < 150, `${held}`);
    const cursor = { journal: name, name: 'slow', lsn: position(held), expectEnd: null };
    await ask(address, journalMethods.setCursor, cursor, CALL);
    await eventually('appends are refused', async () => {
      try {
        await fill();
        return false;
      } catch (error) {
        assert.ok(refused('LIMIT_EXCEEDED', /cursor slow at/)(error), String(error));
        return true;
      }
    });
    // Its answer may have been lost: whoever asks again learns where it is.
    const again = await write(last.sequence);
    assert.deepEqual([again.duplicate, again.firstLsn], [true, last.firstLsn]);
    await eventually('the rest is held', async () => (await first()) === held + 1);
    await ask(address, journalMethods.setCursor, { ...cursor, lsn: null }, CALL);
    await eventually('appends go on', () =>
      house.append(a, name, ['x']).then(
        () => true,
        () => false,
      ),
    );
  });

  test('the numbers of a replica are there to be read', async () => {
    const name = await journal('numbered');
    await house.append(a, name, ['x']);
    a.replica.measure();
    const text = await a.replica.metrics.registry.metrics();
    for (const stage of ['queue', 'write', 'sync', 'replicate', 'ack']) {
      assert.match(text, new RegExp(`append_seconds_count{stage="${stage}"} [1-9]`));
    }
    assert.match(text, /lsn{journal="numbered",position="committed"} 1/);
  });

  test('what is read counts as read, whether it is asked for or followed', async () => {
    const name = await journal('counted');
    await house.append(a, name, ['12', '345']);
    const counted = async (): Promise<readonly number[]> => {
      const { registry } = a.replica.metrics;
      const text = await registry.metrics();
      return ['records', 'bytes'].map((what) =>
        Number(new RegExp(`_${what}_total{direction="out"} (\\d+)`).exec(text)?.[1]),
      );
    };
    const [records = 0, bytes = 0] = await counted();
    await house.read(a, name, 1);
    assert.deepEqual(await counted(), [records + 2, bytes + 5]);
  });

  test('a caller that leaves is not waited for', async () => {
    const name = await journal('deadlines');
    const signal = AbortSignal.abort();
    await assert.rejects(
      house.network.call(a.replica.address, journalMethods.append, call(name, ['x']), {
        timeout: micros(1_000_000),
        signal,
      }),
      refused('CANCELLED', /./),
    );
    assert.ok((await house.append(a, name, ['y'])).firstLsn <= 2);
  });
});
