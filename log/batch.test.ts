// Batches and bases come back as they went in, and no changed byte passes unseen.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { emptyTables, snapshotTables } from '../protocol/chain/tables.ts';
import { JournalError } from '../protocol/errors.ts';
import {
  after,
  type BatchHeader,
  type Control,
  epoch,
  journalId,
  lsn,
  micros,
  NUMBER_MAX,
  writerId,
} from '../protocol/types.ts';
import { decodeBase, encodeBase } from './base.ts';
import {
  batchCrc,
  batchRecords,
  decodeBatch,
  encodeBatch,
  encodeBody,
  encodeControlBody,
  peekBatch,
  previousCrc,
} from './batch.ts';
import type { EncodedBody } from './log.ts';

const hex = fc
  .array(fc.integer({ min: 0, max: 15 }), { minLength: 32, maxLength: 32 })
  .map((digits) => digits.map((digit) => digit.toString(16)).join(''));
const position = fc.integer({ min: 1, max: NUMBER_MAX - 1000 });
const record = fc.record(
  { key: fc.string({ unit: 'grapheme', maxLength: 20 }), data: fc.uint8Array({ maxLength: 60 }) },
  { requiredKeys: ['data'] },
);
const records = fc.array(record, { minLength: 1, maxLength: 30 });
const crc = fc.integer({ min: 0, max: 2 ** 32 - 1 });
const outer = fc.record({
  journal: hex,
  firstLsn: position,
  epoch: position,
  timestamp: position,
  keyOperation: fc.constantFrom('tag', 'claim', 'renew', 'release'),
  leaseMillis: crc,
  idempotence: fc.option(
    fc.record({ writer: hex, sequence: position, after: position, chosen: fc.boolean() }),
  ),
});
type Outer = typeof outer extends fc.Arbitrary<infer Value> ? Value : never;

function headerOf(given: Outer, body: EncodedBody): BatchHeader {
  const firstLsn = lsn(given.firstLsn);
  const { idempotence } = given;
  return {
    journal: journalId(given.journal),
    firstLsn,
    count: body.count,
    epoch: epoch(given.epoch),
    timestamp: micros(given.timestamp),
    kind: 'data',
    keyOperation: given.keyOperation as BatchHeader['keyOperation'],
    leaseMillis: given.leaseMillis,
    idempotence: idempotence && { ...idempotence, writer: writerId(idempotence.writer) },
    keys: body.keys.map(({ key, offset }) => ({ key, lsn: after(firstLsn, offset) })),
    control: null,
    bodyCrc: body.crc,
    bodyBytes: body.bytes.length,
  };
}

test('a batch comes back as it went in', () => {
  fc.assert(
    fc.property(outer, records, crc, (given, written, previous) => {
      const body = encodeBody(written);
      const header = headerOf(given, body);
      const batch = encodeBatch(header, body.bytes, previous);
      const read = decodeBatch(batch.bytes);
      assert.deepEqual(read.header, header);
      assert.deepEqual([read.crc, read.previousCrc], [batchCrc(batch), previousCrc(batch)]);
      assert.equal(read.previousCrc, previous);
      const back = batchRecords(read);
      const from = read.header.firstLsn + (back.length >> 1);
      assert.deepEqual(
        batchRecords(read, from, 3),
        back.filter((one) => one.lsn >= from).slice(0, 3),
      );
      assert.deepEqual(
        back.map(({ key, data }) => [key, [...data]]),
        written.map(({ key, data }) => [key, [...data]]),
      );
      assert.deepEqual(back.at(-1)?.lsn, header.firstLsn + written.length - 1);
      assert.deepEqual(back.at(-1)?.timestamp, header.timestamp + written.length - 1);
      const peeked = peekBatch(batch.bytes);
      assert.deepEqual([peeked?.firstLsn, peeked?.crc], [header.firstLsn, read.crc]);
    }),
  );
});

test('keys are listed by their last position, in rising order', () => {
  const data = new Uint8Array(1);
  const given = ['b', undefined, 'a', 'b', 'c', 'a'];
  const body = encodeBody(given.map((key) => ({ data, ...(key === undefined ? {} : { key }) })));
  assert.deepEqual(body.keys, [
    { key: 'b', offset: 3 },
    { key: 'c', offset: 4 },
    { key: 'a', offset: 5 },
  ]);
});

test('a body may be encoded twice, and the first batch stays as it is', () => {
  const body = encodeBody([{ data: Buffer.from('once') }]);
  const outerOf = (firstLsn: number): BatchHeader =>
    headerOf(
      {
        journal: '3'.repeat(32),
        firstLsn,
        epoch: 1,
        timestamp: 5,
        keyOperation: 'tag',
        leaseMillis: 0,
        idempotence: null,
      },
      body,
    );
  const first = encodeBatch(outerOf(1), body.bytes, 0);
  const second = encodeBatch(outerOf(2), body.bytes, batchCrc(first));
  assert.equal(decodeBatch(first.bytes).header.firstLsn, 1);
  assert.equal(decodeBatch(second.bytes).header.firstLsn, 2);
});

test('no changed, missing or added byte passes', () => {
  const isDamaged = (error: unknown): boolean =>
    error instanceof JournalError && error.code === 'DAMAGED';
  fc.assert(
    fc.property(outer, records, fc.nat(), fc.integer({ min: 1, max: 255 }), (one, two, at, by) => {
      const body = encodeBody(two);
      const { bytes } = encodeBatch(headerOf(one, body), body.bytes, 9);
      const changed = Buffer.from(bytes);
      const place = at % changed.length;
      changed[place] = (changed[place] ?? 0) ^ by;
      assert.throws(() => decodeBatch(changed), isDamaged);
      assert.throws(() => decodeBatch(bytes.subarray(0, place)), isDamaged);
      assert.throws(() => decodeBatch(Buffer.concat([bytes, Buffer.alloc(by)])), isDamaged);
    }),
  );
});

test('control entries say what they said', () => {
  const controls: readonly Control[] = [
    { kind: 'noop' },
    { kind: 'trim', through: lsn(NUMBER_MAX) },
    { kind: 'cursor', name: 'c', lsn: null },
    { kind: 'forget', key: 'schlüssel' },
    { kind: 'config', limits: emptyTables().scalars.limits },
  ];
  for (const control of controls) {
    const body = encodeControlBody(control);
    const { kind } = control;
    const base = headerOf(
      {
        journal: '4'.repeat(32),
        firstLsn: 4,
        epoch: 1,
        timestamp: 5,
        keyOperation: 'tag',
        leaseMillis: 0,
        idempotence: null,
      },
      body,
    );
    const { bytes } = encodeBatch({ ...base, kind, control }, body.bytes, 0);
    assert.deepEqual(decodeBatch(bytes).header.control, control);
  }
});

test('a base comes back as it went in, or not at all', () => {
  const base = {
    journal: journalId('5'.repeat(32)),
    lsn: lsn(12),
    epoch: epoch(3),
    crc: 77,
    trimmedLsn: lsn(14),
    tables: snapshotTables(emptyTables()),
  };
  const bytes = encodeBase(base);
  assert.deepEqual(decodeBase(bytes), base);
  for (let at = 0; at < bytes.length; at += 1) {
    const changed = Buffer.from(bytes);
    changed[at] = (changed[at] ?? 0) ^ 4;
    assert.throws(() => decodeBase(changed), JournalError);
  }
  assert.throws(() => decodeBase(bytes.subarray(0, 30)), JournalError);
  const withSections = (sections: object): Uint8Array =>
    encodeBase({ ...base, tables: { lsn: lsn(12), sections: { ...sections } } });
  const later = { ...base.tables.sections, later: [{ of: 'a newer version' }] };
  assert.deepEqual(decodeBase(withSections(later)).tables.sections, later, 'carried along');
  const { scalars } = base.tables.sections;
  for (const wrong of [
    { scalars: null },
    { scalars: { ...Object(scalars), limits: {} } },
    { writers: [['x', []]] },
    { keys: [['k', { keyLsn: -1, tokenLsn: 0, leaseMillis: 0, timestamp: 0 }]] },
    { cursors: [['c']] },
    { chosen: { a: 1 } },
  ]) {
    assert.throws(() => decodeBase(withSections(wrong)), JournalError, JSON.stringify(wrong));
  }
});
