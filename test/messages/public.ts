// Any message of the public API, for fast-check.

import fc from 'fast-check';
import type { KeyState } from '../../protocol/chain/messages.ts';
import { ERROR_CODES, type ErrorCode } from '../../protocol/errors.ts';
import { type Idempotence, writerId } from '../../protocol/types.ts';
import type * as open from '../../transport/public.ts';
import {
  type Any,
  bytes,
  configuration,
  cursor,
  era,
  hex,
  journal,
  key,
  kind,
  label,
  list,
  maybe,
  number,
  orNull,
  plain,
  position,
  record,
  small,
  text,
  time,
  yes,
} from './values.ts';

export const description = record<open.JournalDescription>({
  configuration,
  firstLsn: position,
  tailLsn: position,
  committedLsn: position,
  bytes: number,
  cursors: list(cursor),
});
export const idempotence = record<Idempotence>({
  writer: hex.map(writerId),
  sequence: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
  after: number,
  chosen: yes,
});
export const append = record<open.AppendCall>({
  journal: label,
  records: list(record<open.NewRecord>({ key: maybe(key), data: bytes }), 1),
  condition: record<open.AppendCall['condition']>({
    expectTail: orNull(position),
    expectKey: orNull(plain({ key, lsn: position })),
    fence: orNull(plain({ key, token: position })),
    lineage: maybe(fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER })),
  }),
  keyOperation: fc.constantFrom('tag', 'claim', 'renew', 'release'),
  leaseMillis: fc.nat(86_400_000),
  idempotence: orNull(idempotence),
  tag: number,
  journalId: maybe(journal),
});
export const appended = record<open.AppendAnswer>({
  tag: number,
  firstLsn: position,
  lastLsn: position,
  timestampMicros: time,
  epoch: era,
  duplicate: yes,
});
export const codes = Object.keys(ERROR_CODES) as ErrorCode[];
export const wireError = record<open.WireError>({
  code: fc.constantFrom(...codes),
  message: text,
  retryable: yes,
  outcome: fc.constantFrom('none', 'unknown'),
  firstLsn: maybe(position),
  tailLsn: maybe(position),
  keyLsn: maybe(position),
  tokenLsn: maybe(position),
  leaseMillis: maybe(number),
  configuration: maybe(configuration),
});
export const streamAnswer: Any<open.AppendStreamAnswer> = fc.oneof(
  plain({ kind: kind('appended'), answer: appended }),
  plain({ kind: kind('refused'), tag: number, error: wireError }),
);
export const start: Any<open.StartPosition> = fc.oneof(
  plain({ kind: kind('lsn'), lsn: position }),
  plain({ kind: fc.constantFrom('first' as const, 'next' as const) }),
  plain({ kind: kind('time'), time }),
  plain({ kind: kind('last'), count: number }),
);
export const stored = record<open.JournalRecord>({
  lsn: position,
  timestampMicros: time,
  key: maybe(key),
  data: bytes,
});
export const records = record<open.ReadAnswer & open.SubscribeAnswer>({
  records: list(stored),
  nextLsn: position,
  committedLsn: position,
  lineage: number,
});
export const named = record<open.Named>({ journal: label });
export const nothing = fc.constant<open.Nothing>({});
export const status = record<open.ClusterStatus>({
  cluster: text,
  featureLevel: small,
  ready: yes,
  partial: yes,
  processes: list(
    record<open.ProcessStatus>({
      kind: fc.constantFrom('replica', 'controller'),
      id: text,
      store: text,
      incarnation: number,
      zone: text,
      address: text,
      pid: number,
      dataDirectory: text,
      version: text,
      reachable: yes,
      note: text,
    }),
  ),
  journals: list(
    record<open.JournalStatus>({
      id: journal,
      name: label,
      lineage: number,
      epoch: era,
      writable: yes,
      note: text,
      members: list(
        record<open.MemberStatus>({
          id: text,
          store: text,
          zone: text,
          address: text,
          role: text,
          live: yes,
          synced: yes,
          endLsn: position,
          durableLsn: position,
          committedLsn: position,
          lag: number,
        }),
      ),
      reconfigurations: number,
      minReplicas: fc.nat(9),
    }),
  ),
});
export const admin: Any<open.AdminRequest> = fc.oneof(
  plain({ kind: kind('memberAdd'), member: label, zone: label }),
  plain({ kind: kind('memberRemove'), member: label }),
  plain({ kind: kind('memberAdd'), member: label, zone: label, requestId: label }),
  plain({ kind: kind('memberRemove'), member: label, requestId: label }),
  plain({ kind: kind('memberReplace'), member: label, by: label }),
  plain({ kind: kind('memberReplace'), member: label, by: label, requestId: label }),
  plain({ kind: kind('forceLoss'), journal: label, member: label, reason: label }),
  plain({
    kind: kind('forceLoss'),
    journal: label,
    member: label,
    reason: label,
    requestId: label,
  }),
  plain({ kind: kind('moveHead'), journal: label, member: label }),
  plain({ kind: kind('controllerReplace'), remove: key, add: key }),
);
export const adminAnswer = record<open.AdminAnswer>({ done: list(text) });

export const keyState = record<KeyState>({
  key,
  keyLsn: position,
  tokenLsn: position,
  leaseMillis: number,
});
