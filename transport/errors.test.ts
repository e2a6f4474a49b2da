// The table of codes: each crosses the wire as itself, has its gRPC status, and is documented.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { Metadata, status } from '@grpc/grpc-js';
import { DEFAULT_SETTINGS } from '../protocol/configuration.ts';
import { ERROR_CODES, type ErrorCode, JournalError } from '../protocol/errors.ts';
import { epoch, journalId, lsn } from '../protocol/types.ts';
import { fromStatus, GRPC_CODES, toStatus } from './status.ts';

// cast: keys of a constant object.
const codes = Object.keys(ERROR_CODES) as ErrorCode[];

test('docs/api.md has one row a code, with its status and whether to retry', () => {
  const page = readFileSync(join(import.meta.dirname, '..', 'docs', 'api.md'), 'utf8');
  const rows = [...page.matchAll(/^\| `([A-Z_]+)` \| ([A-Z_]+) \| (yes|no) \|/gm)].map(
    ([, code, grpc, retry]) => [code, grpc, retry],
  );
  const expected = codes.map((code) => [
    code,
    status[GRPC_CODES[code]],
    ERROR_CODES[code].retryable ? 'yes' : 'no',
  ]);
  assert.deepEqual(rows.sort(), expected.sort());
});

test('every refusal comes out as it went in', () => {
  const details = {
    firstLsn: lsn(1),
    tailLsn: lsn(2),
    keyLsn: lsn(0),
    tokenLsn: lsn(Number.MAX_SAFE_INTEGER),
    leaseMillis: 5,
    configuration: {
      journal: journalId('0'.repeat(32)),
      name: 'orders',
      settings: DEFAULT_SETTINGS,
      lineage: 1,
      epoch: epoch(3),
      mode: 'chain',
      firstLsn: lsn(1),
      serving: [],
      joining: null,
      deleted: true,
    },
  } as const;
  for (const code of codes) {
    for (const outcome of ['none', 'unknown'] as const) {
      const sent = new JournalError(code, 'a "reason" in ünïcode', details, outcome);
      const wire = toStatus(sent);
      assert.equal(wire.code, GRPC_CODES[code]);
      const got = fromStatus(wire, true, 'there');
      assert.deepEqual(
        [got.code, got.message, got.details, got.outcome, got.retryable],
        [code, sent.message, details, outcome, sent.retryable],
      );
    }
  }
});

test('a long message is cut, so that trailers stay small', () => {
  const wire = toStatus(new JournalError('NOT_FOUND', 'x'.repeat(1_000_000)));
  assert.ok(wire.details.length < 3_000);
  assert.ok(fromStatus(wire, true, 'there').message.length < 3_000);
});

test('a status that was made on the way: unknown if it may have been sent, else none', () => {
  const bare = (code: status, details = '') => ({ code, details, metadata: new Metadata() });
  const table: readonly (readonly [status, ErrorCode, 'none' | 'unknown'])[] = [
    [status.UNAVAILABLE, 'UNAVAILABLE', 'unknown'],
    [status.INTERNAL, 'UNAVAILABLE', 'unknown'],
    [status.UNKNOWN, 'UNAVAILABLE', 'unknown'],
    [status.CANCELLED, 'UNAVAILABLE', 'unknown'],
    [status.DEADLINE_EXCEEDED, 'DEADLINE_EXCEEDED', 'unknown'],
    [status.RESOURCE_EXHAUSTED, 'OVERLOADED', 'unknown'],
    [status.UNIMPLEMENTED, 'INCOMPATIBLE', 'none'],
    [status.UNAUTHENTICATED, 'UNAUTHENTICATED', 'none'],
    [status.PERMISSION_DENIED, 'PERMISSION_DENIED', 'none'],
  ];
  for (const [code, expected, outcome] of table) {
    const sent = fromStatus(bare(code), true, 'there');
    assert.deepEqual([sent.code, sent.outcome], [expected, outcome], status[code]);
    assert.equal(fromStatus(bare(code), false, 'there').outcome, 'none');
  }
  const large = 'Received message larger than max (6 vs 5)';
  const refused = fromStatus(bare(status.RESOURCE_EXHAUSTED, large), true, 'there');
  assert.deepEqual([refused.code, refused.outcome], ['INVALID_ARGUMENT', 'none']);
});

test('details that are none of ours leave the bare status', () => {
  const metadata = new Metadata();
  metadata.set('grpc-status-details-bin', Buffer.from([1, 2, 3, 255]));
  const got = fromStatus({ code: status.UNAVAILABLE, details: 'x', metadata }, true, 'there');
  assert.equal(got.code, 'UNAVAILABLE');
});
