// What a caller passes in wrong is refused before anything is sent, by name.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hash128 } from '../io/node-hash.ts';
import { NO_CONDITION } from '../protocol/chain/messages.ts';
import { JournalError } from '../protocol/errors.ts';
import { connect } from './connect.ts';
import { type AppendOptions, checkAppend, checked, checkFrom, checkName } from './input.ts';

const append = (records: unknown, options: AppendOptions = {}) =>
  // cast: what JavaScript passes may be anything.
  checked(() => checkAppend(records as never, options, hash128));

function refuses(task: () => unknown, ...parts: string[]): void {
  assert.throws(task, (error) => {
    assert.ok(error instanceof JournalError);
    assert.equal(error.code, 'INVALID_ARGUMENT');
    assert.equal(error.outcome, 'none');
    for (const part of [...parts, 'allowed'])
      assert.ok(error.message.includes(part), error.message);
    return true;
  });
}

test('records come as text, bytes or with a key, one or many', () => {
  const { records, condition } = append(['ä', new Uint8Array([1]), { key: 'k', data: 'x' }]);
  assert.deepEqual(records, [
    { data: new Uint8Array([0xc3, 0xa4]) },
    { data: new Uint8Array([1]) },
    { key: 'k', data: new Uint8Array([120]) },
  ]);
  assert.equal(condition, NO_CONDITION);
  assert.equal(append('one').records.length, 1);
});

test('records that are none, too large or of another kind are refused', () => {
  refuses(() => append([]), 'records', '0 of them');
  refuses(() => append([7]), 'records[0].data', 'undefined');
  refuses(() => append(['a', { data: 7 }]), 'records[1].data', 'number');
  refuses(() => append(null), 'records[0].data');
  refuses(() => append(new Uint8Array(2 ** 24 + 1)), 'records[0].data', `${2 ** 24 + 1} bytes`);
  refuses(() => append([new Uint8Array(2 ** 24), 'a']), 'records', `${2 ** 24 + 1} bytes`);
  refuses(() => append([{ key: '', data: 'a' }]), 'records[0].key');
  refuses(() => append([{ key: 'ä'.repeat(513), data: 'a' }]), 'records[0].key', '1026 bytes');
  refuses(() => append([{ key: 5, data: 'a' }]), 'records[0].key', '5');
});

test('text that UTF-8 has no bytes for is refused, and not stored as something else', () => {
  refuses(() => append(['a', 'b\ud800']), 'records[1].data is "b\\ud800"', 'surrogates');
  refuses(() => append([{ key: '\udc00', data: 'a' }]), 'records[0].key is "\\udc00"', 'UTF-8');
  refuses(() => append('a', { expectKey: { key: '\ud800', lsn: 0 } }), 'expectKey.key');
  assert.deepEqual(append('\u{1f600}').records[0]?.data, Uint8Array.of(0xf0, 0x9f, 0x98, 0x80));
});

test('what no type allows is refused by name, too, and said as it is', () => {
  // cast: what JavaScript passes may be anything.
  const options = (value: unknown) => value as AppendOptions;
  for (const [wrong, says] of [
    [null, 'null'],
    ['3', '"3"'],
    [3n, '3n'],
    [Number.NaN, 'NaN'],
    [{}, 'of type object'],
  ] as const) {
    refuses(() => append('a', options({ expectTail: wrong })), `expectTail is ${says}`);
    const expectKey = { key: 'k', lsn: wrong };
    refuses(() => append('a', options({ expectKey })), `expectKey.lsn is ${says}`);
  }
  for (const field of ['expectKey', 'fence']) {
    refuses(() => append('a', options({ [field]: null })), `${field}.key is undefined`);
    refuses(() => append('a', options({ [field]: {} })), `${field}.key is undefined`);
  }
  refuses(() => append('a', options({ sentAs: null })), 'sentAs.sequence is undefined');
});

test('what a call is refused for is told by its promise, like every other refusal', async () => {
  await using client = connect({ endpoints: ['127.0.0.1:1'] });
  const orders = client.journal('orders');
  const calls = {
    limit: () => orders.read({ limit: 0 }),
    lsn: () => orders.setCursor('billing', -1),
    key: () => orders.key(''),
    leaseMillis: () => orders.lead('worker', { leaseMillis: 1 }),
    through: () => orders.trim(0),
  };
  for (const [field, call] of Object.entries(calls)) {
    await assert.rejects(call, ({ code, message }: JournalError) => {
      assert.deepEqual([code, message.startsWith(`${field} is `)], ['INVALID_ARGUMENT', true]);
      return true;
    });
  }
});

test('positions are whole numbers from 0 to 2^53 - 1', () => {
  for (const wrong of [-1, 1.5, 2 ** 53, Number.NaN]) {
    refuses(() => append('a', { expectTail: wrong }), 'expectTail');
    refuses(() => append('a', { expectKey: { key: 'k', lsn: wrong } }), 'expectKey.lsn');
  }
  refuses(() => append('a', { fence: { key: 'k', token: 0 } }), 'fence.token', '0');
  assert.equal(append('a', { expectTail: 0 }).condition.expectTail, 0);
});

test('a chosen key is the same writer everywhere, and its batches are numbered', () => {
  const first = append('a', { idempotencyKey: 'k' }).chosen;
  assert.deepEqual(first, { writer: hash128('k'), sequence: 1, after: 0, chosen: true });
  assert.equal(append('a', { idempotencyKey: 'k', idempotencyBatch: 7 }).chosen?.sequence, 7);
  refuses(() => append('a', { idempotencyKey: '' }), 'idempotencyKey');
  refuses(() => append('a', { idempotencyBatch: 2 }), 'idempotencyBatch', '2');
  refuses(() => append('a', { idempotencyKey: 'k', idempotencyBatch: 0 }), 'idempotencyBatch');
});

test('a number of before is one, and is no chosen key', () => {
  const writer = 'c'.repeat(32);
  const { chosen } = append('a', { sentAs: { writer, sequence: 7 } });
  assert.deepEqual(chosen, { writer, sequence: 7, after: 0, chosen: false });
  refuses(() => append('a', { sentAs: { writer: 'me', sequence: 7 } }), 'writer', 'me');
  refuses(() => append('a', { sentAs: { writer, sequence: 0 } }), 'sentAs.sequence', '0');
  const both = { idempotencyKey: 'k', sentAs: { writer, sequence: 7 } };
  refuses(() => append('a', both), 'sentAs', 'idempotencyKey');
});

test('a start is a word, a position, a time, a count or a token', () => {
  const start = (from: unknown) =>
    // cast: what JavaScript passes may be anything.
    checked(() => checkFrom(from as never));
  assert.deepEqual(start('first'), { position: { kind: 'first' }, lineage: 0 });
  assert.deepEqual(start(5), { position: { kind: 'lsn', lsn: 5 }, lineage: 0 });
  assert.deepEqual(start(new Date(1_000)).position, { kind: 'time', time: 1_000_000 });
  assert.deepEqual(start({ lineage: 2, nextLsn: 9 }).lineage, 2);
  assert.deepEqual(start({ last: 3 }).position, { kind: 'last', count: 3 });
  refuses(() => start(0), 'from', '0');
  refuses(() => start(-3), 'from');
  refuses(() => start('later'), 'from', 'later');
  refuses(() => start({ last: 1.5 }), 'from.last');
  refuses(() => start(null), 'from');
  refuses(() => start(new Date(Number.NaN)), 'from');
});

test('a journal is named by letters, digits, dots and dashes', () => {
  for (const name of ['a', 'orders-2.eu', 'a'.repeat(63)]) assert.equal(checkName(name), name);
  for (const wrong of ['', 'A', '-a', 'a-', 'a_b', 'a'.repeat(64)]) {
    refuses(() => checked(() => checkName(wrong)), 'journal name');
  }
});

test('settings and endpoints of another kind are refused before anything is sent', async () => {
  // cast: what JavaScript passes may be anything.
  refuses(() => connect({} as never), 'endpoints', 'undefined');
  refuses(() => connect({ endpoints: [7] as never }), 'endpoints[0]', '7');
  await using client = connect({ endpoints: ['127.0.0.1:1'] });
  const cases = [
    [{ replicationFactor: 1.5 }, 'settings.replication_factor is 1.5'],
    [{ minReplicas: 6 }, 'settings.min_replicas is 6'],
    [{ recordBytesMax: 2 ** 25 }, 'settings.record_bytes_max is 33554432'],
    [{ retainMillis: -1 }, 'settings.retain_millis is -1'],
  ] as const;
  for (const [settings, says] of cases) {
    const error: unknown = await client.createJournal('orders', { settings }).catch((e) => e);
    refuses(() => {
      throw error;
    }, says);
  }
});
