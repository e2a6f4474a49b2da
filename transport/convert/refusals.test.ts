// What a client of any language can send wrong, and how the refusal names it.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { BinaryReader, BinaryWriter } from '@bufbuild/protobuf/wire';
import type { Codec } from '../../io/network.ts';
import { JournalError } from '../../protocol/errors.ts';
import * as wire from '../gen/journal.ts';
import { clusterMethods, journalMethods } from '../methods.ts';

const { append, createJournal, read, setCursor, trim, key, tail } = journalMethods;

/** Bytes of a message as a foreign client makes them, checked by nobody. */
function bytesOf<Message>(
  fns: { encode(message: Message): BinaryWriter; decode(input: BinaryReader): Message },
  fields: object,
): Uint8Array {
  const empty = fns.decode(new BinaryReader(new Uint8Array(0)));
  return fns.encode({ ...empty, ...fields }).finish();
}

function refused(codec: Codec<unknown>, bytes: Uint8Array, says: RegExp): void {
  assert.throws(
    () => codec.decode(bytes),
    (error) => {
      assert.ok(error instanceof JournalError, String(error));
      assert.equal(error.code, 'INVALID_ARGUMENT');
      assert.match(error.message, says);
      assert.ok(error.message.length < 500, `message of ${error.message.length} characters`);
      return true;
    },
  );
}

const record = (data: Uint8Array, name?: string) => ({ key: name, data });
const good = { journal: 'orders', records: [record(new Uint8Array(3))] };
const appendOf = (fields: object) => bytesOf(wire.AppendRequest, { ...good, ...fields });
const MIB = 1024 * 1024;

describe('numbers', () => {
  const through = (value: string) =>
    bytesOf(wire.TrimRequest, { journal: 'orders', through: value });
  test('negative', () => {
    refused(
      trim.request,
      through('-1'),
      /^through is -1, allowed is a whole number from 0 to 9007/,
    );
  });
  test('over 2^53 - 1, to the last digit', () => {
    refused(trim.request, through('9007199254740993'), /^through is "9007199254740993", allowed/);
    refused(trim.request, through('-9223372036854775808'), /^through is "-9223372036854775808"/);
  });
  test('the greatest is taken', () => {
    const { through: taken } = trim.request.decode(through('9007199254740991'));
    assert.equal(taken, Number.MAX_SAFE_INTEGER);
  });
  test('in conditions, starts and cursors', () => {
    const tailOf = { condition: { expectTail: '-5' } };
    refused(append.request, appendOf(tailOf), /^condition\.expect_tail is -5, allowed/);
    const keyOf = { condition: { expectKey: { key: 'k', lsn: '-5' } } };
    refused(append.request, appendOf(keyOf), /^condition\.expect_key\.lsn is -5, allowed/);
    const fence = { condition: { fence: { key: 'k', token: '-5' } } };
    refused(append.request, appendOf(fence), /^condition\.fence\.token is -5, allowed/);
    const from = { position: { $case: 'lsn', value: '-5' } };
    refused(read.request, bytesOf(wire.ReadRequest, { journal: 'a', from }), /^from\.lsn is -5/);
    const cursor = bytesOf(wire.SetCursorRequest, { journal: 'a', name: 'c', lsn: '-5' });
    refused(setCursor.request, cursor, /^lsn is -5, allowed/);
  });
});

describe('names and keys', () => {
  test('a journal outside the pattern, or too long', () => {
    const named = (journal: string) => bytesOf(wire.TailRequest, { journal });
    for (const name of ['', 'Orders', '-a', 'a-', 'a_b', 'a/b', '.', 'ö']) {
      refused(tail.request, named(name), /^journal name is ".*", allowed is 1 to 63 of a-z/);
    }
    refused(tail.request, named('a'.repeat(64)), /^journal name is ".*", allowed is 1 to 63/);
    refused(
      tail.request,
      named('a'.repeat(1_000_000)),
      /^journal name is ".*", allowed is 1 to 63/,
    );
    assert.equal(tail.request.decode(named('a'.repeat(63))).journal.length, 63);
  });
  test('a key over 1 KiB, counted in bytes of UTF-8', () => {
    const keyed = (name: string) => appendOf({ records: [record(new Uint8Array(1), name)] });
    refused(
      append.request,
      keyed('ö'.repeat(513)),
      /^records\[0\]\.key is ".*1026 bytes.*", allowed/,
    );
    refused(append.request, keyed('x'.repeat(5_000)), /allowed is 1 to 1024 bytes of UTF-8$/);
    refused(append.request, keyed(''), /^records\[0\]\.key is "", allowed is 1 to 1024/);
    append.request.decode(keyed('ö'.repeat(512)));
    const asked = bytesOf(wire.KeyRequest, { journal: 'a', key: 'x'.repeat(1_025) });
    refused(key.request, asked, /^key is ".*", allowed/);
  });
  test('a key that is no UTF-8', () => {
    const inner = new BinaryWriter().uint32(10).bytes(Uint8Array.of(0xff, 0xfe)).finish();
    const bytes = new BinaryWriter().uint32(10).string('a').uint32(18).bytes(inner).finish();
    refused(append.request, bytes, /is no AppendRequest/);
  });
});

describe('batches', () => {
  test('empty', () => {
    refused(
      append.request,
      appendOf({ records: [] }),
      /^records is "empty", allowed is at least one/,
    );
  });
  test('a record, or all of them together, over 16 MiB', () => {
    const large = appendOf({ records: [record(new Uint8Array(16 * MIB + 1))] });
    refused(
      append.request,
      large,
      /^records\[0\]\.data is "16777217 bytes", allowed is at most 1677/,
    );
    const half = new Uint8Array(8 * MIB + 1);
    const both = appendOf({ records: [record(half), record(half)] });
    refused(append.request, both, /^batch is "16777218 bytes", allowed is at most 16777216 bytes/);
  });
  test('of too many records, before memory is spent on them', () => {
    const empty = new BinaryWriter().uint32(18).uint32(0).finish();
    const bytes = new Uint8Array(empty.length * 2_000_000);
    for (let at = 0; at < bytes.length; at += empty.length) bytes.set(empty, at);
    refused(append.request, bytes, /^records is 2000000 records, allowed is 1 to 65536 in a batch/);
  });
  test('an operation that nobody knows', () => {
    refused(append.request, appendOf({ keyOperation: 9 }), /^key_operation is 9, allowed/);
    const many = (count: number) =>
      appendOf({ records: Array.from({ length: count }, () => record(new Uint8Array(0))) });
    refused(append.request, many(65_537), /^records is 65537 records, allowed is 1 to 65536/);
    assert.equal(append.request.decode(many(65_536)).records.length, 65_536);
    refused(
      append.request,
      appendOf({ leaseMillis: '4294967296' }),
      /^lease_millis is 4294967296, allowed is a whole number from 0 to 86400000$/,
    );
  });
  test('an identity that is none', () => {
    const given = { writer: 'me', sequence: '1', after: '0', chosen: false };
    refused(append.request, appendOf({ idempotence: given }), /^writer is "me", allowed is 32 low/);
    const zero = { writer: '0'.repeat(32), sequence: '0', after: '0', chosen: false };
    refused(
      append.request,
      appendOf({ idempotence: zero }),
      /^idempotence\.sequence is 0, allowed/,
    );
  });
});

describe('choices and settings', () => {
  test('a start that is not said', () => {
    const bytes = bytesOf(wire.ReadRequest, { journal: 'orders' });
    refused(read.request, bytes, /^from is "not set", allowed is one of lsn, first, next, time/);
  });
  test('an action that this version does not know', () => {
    const bytes = new BinaryWriter()
      .uint32((15 << 3) | 2)
      .bytes(new Uint8Array(2))
      .finish();
    refused(
      clusterMethods.admin.request,
      bytes,
      /^action is "not set", allowed is one of member_add/,
    );
  });
  test('settings out of range', () => {
    const of = (settings: object) => {
      const none = wire.JournalSettings.decode(new BinaryReader(new Uint8Array(0)));
      return bytesOf(wire.CreateJournalRequest, { name: 'a', settings: { ...none, ...settings } });
    };
    const { request } = createJournal;
    refused(
      request,
      of({ replicationFactor: 6 }),
      /^settings\.replication_factor is 6, allowed.*1 to 5/,
    );
    refused(request, of({ recordBytesMax: 16 * MIB + 1 }), /^settings\.record_bytes_max is 1677/);
    refused(request, of({ retainMillis: '-1' }), /^settings\.retain_millis is -1, allowed/);
    assert.deepEqual(request.decode(of({ retainBytes: '7' })).settings, { retainBytes: 7 });
  });
});

test('a field that a newer client adds is passed over', () => {
  const tag = ((1_000 << 3) | 2) >>> 0;
  const more = new BinaryWriter().uint32(tag).bytes(new Uint8Array(9)).finish();
  const bytes = Buffer.concat([appendOf({}), more]);
  assert.equal(append.request.decode(bytes).journal, 'orders');
});
