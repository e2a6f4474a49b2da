// The SDK against real replicas in this process: real disks, real gRPC, configurations by hand.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { type Client, type From, type Journal, JournalError } from '../../client/index.ts';
import { House, type Housed } from '../replica/house.ts';
import { until } from '../replica/shepherd.ts';
import { journalOf, mutable, open, refused, text } from './kit.ts';

describe('with one replica', () => {
  let house: House;
  let a: Housed;
  let client: Client;
  let count = 0;

  before(async () => {
    house = await House.open();
    a = await house.start('a');
    client = open([a.replica.address]);
  });
  after(async () => {
    await client?.close();
    await house?.close();
  });

  function journal(): Promise<Journal> {
    count += 1;
    return journalOf(house, a, `journal-${count}`, client);
  }

  test('a thousand appends at once each learn their own position', async () => {
    const orders = await journal();
    const answers = await Promise.all(
      Array.from({ length: 1_000 }, (_, at) => orders.append([`${at}`, `${at}!`])),
    );
    const { records } = await orders.read({ limit: 5_000 });
    assert.equal(records.length, 2_000);
    for (const [at, { firstLsn, lastLsn, timestampMicros }] of answers.entries()) {
      assert.equal(lastLsn, firstLsn + 1);
      const record = records[firstLsn - 1];
      assert.ok(record !== undefined);
      assert.equal(text(record), `${at}`);
      assert.equal(record.timestampMicros, timestampMicros);
    }
    const order = answers.map(({ firstLsn }) => firstLsn);
    assert.deepEqual(
      order,
      order.toSorted((one, other) => one - other),
      'as they were called',
    );
    assert.ok(new Set(answers.map(({ epoch }) => epoch)).size === 1);
  });

  test('a process ends once its client is closed, whatever was left in the middle', async () => {
    const orders = await journal();
    await orders.append(['one', 'two']);
    const index = join(import.meta.dirname, '../../client/index.ts');
    const program = `
      import { connect } from ${JSON.stringify(index)};
      await using client = connect({ endpoints: [process.argv[1]] });
      const left = client.journal(process.argv[2]).subscribe({ from: 1 })[Symbol.asyncIterator]();
      const { value } = await left.next();
      const waiting = client.journal(process.argv[2]).subscribe({ from: 'next' });
      await waiting.ready();
      waiting[Symbol.asyncIterator]().next().catch(() => undefined);
      process.stdout.write(String(value.lsn));
    `;
    const flags = ['--input-type=module', '-e', program, a.replica.address, orders.name];
    const child = spawn(process.execPath, flags, { stdio: ['ignore', 'pipe', 'inherit'] });
    let said = '';
    child.stdout.on('data', (piece: Buffer) => {
      said += piece.toString('utf8');
    });
    const late = setTimeout(() => child.kill('SIGKILL'), 30_000);
    const [code] = await once(child, 'close');
    clearTimeout(late);
    assert.equal(said, '1');
    assert.equal(code, 0);
  });

  test('sixteen that compare and append have one winner a round', async () => {
    const orders = await journal();
    for (let round = 0; round < 5; round += 1) {
      const results = await Promise.allSettled(
        Array.from({ length: 16 }, (_, who) => orders.append(`${who}`, { expectTail: round })),
      );
      const won = results.filter(({ status }) => status === 'fulfilled');
      assert.equal(won.length, 1);
      for (const result of results) {
        if (result.status === 'fulfilled') continue;
        const holds = refused('CONDITION_FAILED', 'none');
        assert.ok(holds(result.reason), String(result.reason));
        assert.equal(result.reason.details.tailLsn, round + 1);
      }
    }
    assert.equal((await orders.tail()).tailLsn, 5);
  });

  test('one record that is too large does not fail those beside it', async () => {
    const orders = await journal();
    const [small, large, other] = await Promise.allSettled([
      orders.append('small'),
      orders.append(new Uint8Array(2 ** 20 + 1)),
      orders.append('other'),
    ]);
    assert.equal(small.status, 'fulfilled');
    assert.equal(other.status, 'fulfilled');
    assert.ok(large.status === 'rejected' && refused('INVALID_ARGUMENT', 'none')(large.reason));
    assert.equal((await orders.append('later')).firstLsn, 3);
  });

  test('the same append under a chosen key is there once, whoever sends it', async () => {
    const orders = await journal();
    const first = await orders.append(['x', 'y'], { idempotencyKey: 'monday' });
    const other = open([a.replica.address]);
    const again = await other.journal(orders.name).append(['x', 'y'], { idempotencyKey: 'monday' });
    await other.close();
    assert.deepEqual([again.firstLsn, again.lastLsn, again.duplicate], [1, 2, true]);
    assert.equal(first.duplicate, false);
    await assert.rejects(
      orders.append(['z'], { idempotencyKey: 'monday' }),
      refused('IDEMPOTENCY_MISMATCH', 'none'),
    );
    const next = await orders.append(['z'], { idempotencyKey: 'monday', idempotencyBatch: 2 });
    assert.equal(next.firstLsn, 3);
  });

  test('an append whose outcome is unknown is settled by another client', async () => {
    const orders = await journal();
    const muted = new Set([a.replica.address]);
    const deaf = open([a.replica.address], { network: mutable(muted) });
    let error: unknown;
    muted.clear();
    const lost = deaf.journal(orders.name);
    await lost.append('0');
    muted.add(a.replica.address);
    await lost.append(['x', 'y'], { timeoutMillis: 500 }).catch((caught: unknown) => {
      error = caught;
    });
    await deaf.close();
    assert.ok(refused('DEADLINE_EXCEEDED', 'unknown')(error) && error instanceof JournalError);
    const { sentAs } = error.details;
    assert.equal(sentAs?.sequence, 2);
    for (let time = 0; time < 2; time += 1) {
      const again = await orders.append(['x', 'y'], { sentAs });
      assert.deepEqual([again.firstLsn, again.lastLsn, again.duplicate], [2, 3, true]);
    }
    await assert.rejects(orders.append(['z'], { sentAs }), refused('IDEMPOTENCY_MISMATCH', 'none'));
    // One that did not arrive is made now, once.
    const next = { writer: sentAs?.writer ?? '', sequence: 3 };
    assert.equal((await orders.append('z', { sentAs: next })).duplicate, false);
    assert.equal((await orders.append('z', { sentAs: next })).firstLsn, 4);
  });

  test('a subscription gives what is there and what comes, and ends as it is told', async () => {
    const orders = await journal();
    await orders.append(['1', '2', '3']);
    const controller = new AbortController();
    const seen: string[] = [];
    const loop = (async () => {
      for await (const record of orders.subscribe({ from: 2, signal: controller.signal })) {
        seen.push(text(record));
      }
    })();
    await until('it caught up', () => seen.length === 2);
    await orders.append('4');
    await until('it follows', () => seen.length === 3);
    controller.abort();
    await loop;
    assert.deepEqual(seen, ['2', '3', '4']);

    const all = orders.subscribe({ from: 'first', untilEnd: true });
    const taken: number[] = [];
    for await (const { lsn } of all) taken.push(lsn);
    assert.deepEqual(taken, [1, 2, 3, 4]);
    assert.equal(all.position?.nextLsn, 5);
    await assert.rejects(all[Symbol.asyncIterator]().next(), refused('INVALID_ARGUMENT', 'none'));

    const last: string[] = [];
    for await (const record of orders.subscribe({ from: { last: 3 }, limit: 2 })) {
      last.push(text(record));
    }
    assert.deepEqual(last, ['2', '3']);
  });

  test('from the next one means after the subscription was ready', async () => {
    const orders = await journal();
    await orders.append('before');
    const subscription = orders.subscribe({ limit: 1 });
    await subscription.ready();
    await orders.append('after');
    for await (const record of subscription) assert.equal(text(record), 'after');
  });

  test('a named cursor goes on where its subscription came to, and holds trims', async () => {
    const orders = await journal();
    await orders.append(['1', '2', '3', '4']);
    const take = async (limit: number): Promise<string[]> => {
      const seen: string[] = [];
      for await (const record of orders.subscribe({ from: 'first', cursor: 'billing', limit })) {
        seen.push(text(record));
      }
      return seen;
    };
    assert.deepEqual(await take(2), ['1', '2']);
    assert.equal((await orders.cursors())[0]?.lsn, 2);
    for await (const record of orders.subscribe({ cursor: 'billing' })) {
      assert.equal(text(record), '3');
      break;
    }
    assert.deepEqual(await take(1), ['3'], 'a record at which the loop broke comes again');
    await assert.rejects(orders.trim(4), refused('CURSOR_HOLDS', 'none'));
    assert.equal(await orders.trim(4, { force: true }), 5);
    await assert.rejects(
      async () => {
        for await (const _ of orders.subscribe({ from: 1 }));
      },
      refused('TRIMMED', 'none'),
    );
    await orders.setCursor('billing', null);
    assert.deepEqual(await orders.cursors(), []);
  });

  test('a cursor is registered at the start, also where nothing is consumed', async () => {
    const orders = await journal();
    const taken = async (cursor: string, from?: From): Promise<string[]> => {
      const seen: string[] = [];
      const options = { cursor, untilEnd: true, ...(from === undefined ? {} : { from }) };
      for await (const record of orders.subscribe(options)) seen.push(text(record));
      return seen;
    };
    const empty = { first: 'first', last: { last: 2 }, time: { timeMicros: 0 } } as const;
    for (const [name, from] of Object.entries(empty)) assert.deepEqual(await taken(name, from), []);
    assert.deepEqual((await orders.cursors()).map(({ name }) => name).sort(), [
      'first',
      'last',
      'time',
    ]);
    const { firstLsn, timestampMicros } = await orders.append(['1', '2', '3']);
    await assert.rejects(orders.trim(firstLsn), refused('CURSOR_HOLDS', 'none'));
    for (const name of Object.keys(empty)) assert.deepEqual(await taken(name), ['1', '2', '3']);

    const some = { last: { last: 1 }, time: { timeMicros: timestampMicros + 1 } } as const;
    for (const [name, from] of Object.entries(some)) {
      await orders.subscribe({ cursor: `${name}-2`, from }).ready();
    }
    assert.deepEqual(await taken('last-2'), ['3']);
    assert.deepEqual(await taken('time-2'), ['2', '3']);
  });

  test('a cursor is the last record consumed, whatever control entries come after it', async () => {
    const orders = await journal();
    await orders.append(['1', '2']);
    await orders.setCursor('other', 1);
    for await (const _ of orders.subscribe({ from: 1, cursor: 'billing', untilEnd: true }));
    const saved = (await orders.cursors()).find(({ name }) => name === 'billing');
    assert.equal(saved?.lsn, 2);
    // Saving writes an entry: were that consumed too, an idle subscription would save for ever.
    const { endLsn } = await orders.tail();
    for await (const _ of orders.subscribe({ cursor: 'billing', untilEnd: true }));
    assert.equal((await orders.tail()).endLsn, endLsn);
  });

  test('what is not there, or not answered, is said with its outcome', async () => {
    const missing = client.journal('missing');
    await assert.rejects(missing.append('x'), refused('NOT_FOUND', 'none'));
    await assert.rejects(missing.tail(), refused('NOT_FOUND', 'none'));
    await assert.rejects(missing.append('x', { timeoutMillis: 0 }), /timeoutMillis is 0, allowed/);
    const nobody = open(['127.0.0.1:1'], { timeoutMillis: 300 });
    const begun = performance.now();
    await assert.rejects(nobody.journal('orders').append('x'), refused('UNAVAILABLE', 'none'));
    assert.ok(performance.now() - begun < 1_500);
    await assert.rejects(nobody.status(), refused('UNAVAILABLE', 'none'));
    await nobody.close();
    assert.throws(() => open(['nowhere']), /endpoints\[0\] is "nowhere", allowed is host:port/);
    assert.throws(() => open([]), /endpoints/);
    assert.throws(() => client.journal('No'), /journal name is "No"/);
  });

  test('a signal ends an append, a closed client every one', async () => {
    const orders = await journal();
    const controller = new AbortController();
    controller.abort();
    await assert.rejects(
      orders.append('x', { signal: controller.signal }),
      refused('CANCELLED', 'none'),
    );
    const other = open([a.replica.address]);
    const append = other.journal(orders.name).append('y');
    await other.close();
    await assert.rejects(append, (error) => error instanceof JournalError);
    await assert.rejects(other.journal(orders.name).append('z'), refused('CANCELLED', 'none'));
  });
});

describe('with three replicas', () => {
  let house: House;
  let all: Housed[] = [];

  before(async () => {
    house = await House.open();
    for (const name of ['a', 'b', 'c']) all.push(await house.start(name));
  });
  after(() => house?.close());

  test('appends and subscriptions go on when the head is gone', async () => {
    const sheep = all.map((one) => one.sheep);
    const { journal: id } = house.shepherd.create('orders', sheep, { minReplicas: 2 });
    await until('all serve', () => sheep.every(({ reports }) => reports.get(id)?.synced === true));
    const client = open(all.map(({ replica }) => replica.address));
    const orders = client.journal('orders');
    const seen: number[] = [];
    const controller = new AbortController();
    const loop = (async () => {
      for await (const record of orders.subscribe({ from: 'first', signal: controller.signal })) {
        seen.push(Number(text(record)));
      }
    })();
    const writers = Array.from({ length: 8 }, async (_, writer) => {
      for (let at = 0; at < 50; at += 1) await orders.append(`${writer * 1_000 + at}`);
    });
    await until('some are there', () => seen.length > 100);
    const [head, ...rest] = all;
    assert.ok(head !== undefined);
    all = rest;
    house.shepherd.change(
      'orders',
      rest.map((one) => one.sheep),
    );
    await house.stop(head);
    const begun = performance.now();
    await Promise.all(writers);
    assert.ok(performance.now() - begun < 5_000);
    await until('all arrived', () => seen.length >= 400);
    controller.abort();
    await loop;
    assert.equal(seen.length, 400);
    assert.equal(new Set(seen).size, 400);
    for (let writer = 0; writer < 8; writer += 1) {
      const own = seen.filter((value) => Math.floor(value / 1_000) === writer);
      assert.deepEqual(
        own,
        own.toSorted((one, other) => one - other),
      );
    }
    await client.close();
  });

  test('a head that hangs is left for the next one, by appends and subscriptions', async () => {
    const [b, c] = all;
    assert.ok(b !== undefined && c !== undefined);
    const { journal: id } = house.shepherd.create('hung', [b.sheep, c.sheep]);
    await until('both serve', () => c.sheep.reports.get(id)?.synced === true);
    const muted = new Set<string>();
    const network = mutable(muted);
    const client = open([b.replica.address, c.replica.address], { network });
    const hung = client.journal('hung');
    await hung.append('0');
    const seen: string[] = [];
    const loop = (async () => {
      for await (const record of hung.subscribe({ from: 'first', limit: 3 }))
        seen.push(text(record));
    })();
    await until('it is subscribed', () => seen.length === 1);
    muted.add(b.replica.address);
    const begun = performance.now();
    const lost = hung.append('1');
    await new Promise((resolve) => setTimeout(resolve, 300));
    house.shepherd.change('hung', [c.sheep]);
    await lost;
    assert.ok(performance.now() - begun < 3_000, `${performance.now() - begun} ms`);
    await hung.append('2');
    await loop;
    assert.deepEqual(seen, ['0', '1', '2']);
    await client.close();
  });

  test('too few members refuse appends, and say that nothing was written', async () => {
    const [b, c] = all;
    assert.ok(b !== undefined && c !== undefined);
    const { journal: id } = house.shepherd.create('few', [b.sheep], { minReplicas: 2 });
    await until('it serves', () => b.sheep.reports.get(id)?.live === true);
    const client = open([b.replica.address, c.replica.address]);
    const few = client.journal('few');
    await assert.rejects(
      few.append('x', { timeoutMillis: 2_000 }),
      refused('UNDER_REPLICATED', 'none'),
    );
    assert.equal((await few.tail()).tailLsn, 0);
    const waiting = few.append('y');
    house.shepherd.change('few', [b.sheep], c.sheep);
    assert.equal((await waiting).firstLsn, 1);
    await client.close();
  });
});
