// What callers pass in, checked once at the edge: errors name the field, what was given, what is
// allowed. What only the journal's settings can tell is left to the server.

import { type AppendCondition, NO_CONDITION } from '../protocol/chain/messages.ts';
import {
  BATCH_RECORDS_LIMIT,
  LEASE_MILLIS_LIMIT,
  RECORD_BYTES_LIMIT,
} from '../protocol/configuration.ts';
import type { AppendNumber } from '../protocol/errors.ts';
import {
  type Idempotence,
  journalId,
  journalName,
  type KeyOperation,
  type Lsn,
  lsn,
  micros,
  NUMBER_MAX,
  RangeViolation,
  writerId,
} from '../protocol/types.ts';
import { checkKey, refusing } from '../transport/convert/codec.ts';
import type { NewRecord, StartPosition } from '../transport/public.ts';
import { RECORD_OVERHEAD_BYTES, type Submission } from './batching.ts';

/** A record on its way in: its data alone, or with a key. Text is stored as UTF-8. */
export type RecordInput =
  | string
  | Uint8Array
  | { readonly data: string | Uint8Array; readonly key?: string | undefined };

export interface CallOptions {
  /** Ends the wait: the call rejects with CANCELLED. */
  readonly signal?: AbortSignal | undefined;
  /** Milliseconds until the call gives up, 1 to 86,400,000; by default what `connect` was told. */
  readonly timeoutMillis?: number | undefined;
}

/** All that is given must hold for the append to be made; judged at the moment it is placed. */
/** A claim: what `leadership.fence` gives, or key and token alone, of whatever journal it is. */
export interface Fence {
  readonly key: string;
  readonly token: number;
  /** In which the claim was made. LINEAGE_CHANGED, after a forced loss, where it is another. */
  readonly lineage?: number | undefined;
  /** In which the claim was made. NOT_FOUND where the name is another journal's by now. */
  readonly journalId?: string | undefined;
}

export interface AppendOptions extends CallOptions {
  /** No record is after this position; 0: the journal has none at all. */
  readonly expectTail?: number | undefined;
  /** The last record with this key is at `lsn`, 0 for none. */
  readonly expectKey?: { readonly key: string; readonly lsn: number } | undefined;
  /** The last claim of `key` is at `token`: nobody else has won the key since. */
  readonly fence?: Fence | undefined;
  /**
   * A name for this append, chosen by you, 1 to 1,024 characters: the same append under the same
   * name is there once, whoever sends it. The journal remembers the last 10,000 by default.
   */
  readonly idempotencyKey?: string | undefined;
  /** Which append of several under one `idempotencyKey`, from 1; 1 by default. */
  readonly idempotencyBatch?: number | undefined;
  /**
   * `details.sentAs` of the error that this same append ended with, here or in another process: it
   * is there once. STALE_WRITER, `outcome: 'unknown'`, where the journal remembers too little.
   */
  readonly sentAs?: AppendNumber | undefined;
  /** What the append does to the keys of its records; `tag` by default. Leases: see `lead`. */
  readonly keyOperation?: KeyOperation | undefined;
  /** For `claim` and `renew`: how long the lease lasts, milliseconds. */
  readonly leaseMillis?: number | undefined;
}

/** Where to go on after what was delivered; of no use to a journal whose lineage changed. */
export interface ResumeToken {
  readonly lineage: number;
  readonly nextLsn: number;
}

/**
 * Where to start: the first record left, what comes next, a position, the first record that is not
 * before a time, the last few records, or where another subscription ended.
 */
export type From =
  | 'first'
  | 'next'
  | number
  | Date
  | { readonly timeMicros: number }
  | { readonly last: number }
  | ResumeToken
  | StartPosition;

/** For which a call may go on: a day. */
export const TIMEOUT_MILLIS_MAX = 86_400_000;
/** Of a lease that is led under: half a second to an hour. */
export const LEASE_MILLIS_MIN = 500;
export const LEASE_MILLIS_MAX = 3_600_000;
const CHOSEN_KEY_LENGTH_MAX = 1_024;
const KEY_OPERATIONS: readonly KeyOperation[] = ['tag', 'claim', 'renew', 'release'];

const encoder = new TextEncoder();

/** Runs checks; what is out of its range is refused with INVALID_ARGUMENT. */
export const checked = refusing;

export function whole(field: string, value: number, least: number, most: number): number {
  if (!Number.isSafeInteger(value) || value < least || value > most) {
    throw new RangeViolation(field, value, `a whole number from ${least} to ${most}`);
  }
  return value;
}

export const checkTimeout = (millis: number): number =>
  whole('timeoutMillis', millis, 1, TIMEOUT_MILLIS_MAX);

export const checkName = (name: string): string => {
  if (typeof name !== 'string') throw new RangeViolation('journal name', String(name), 'a string');
  return journalName(name);
};

/** Checks one call of append; `hash` names what a chosen key is known by, 32 hex digits. */
export function checkAppend(
  input: RecordInput | readonly RecordInput[],
  options: AppendOptions,
  hash: (text: string) => string,
): Omit<Submission, 'id'> {
  const list = isList(input) ? input : [input];
  if (list.length === 0 || list.length > BATCH_RECORDS_LIMIT) {
    throw new RangeViolation(
      'records',
      `${list.length} of them`,
      `1 to ${BATCH_RECORDS_LIMIT} of them`,
    );
  }
  const records = list.map(checkRecord);
  let bytes = 0;
  for (const { data, key } of records) {
    bytes += data.length + (key?.length ?? 0) + RECORD_OVERHEAD_BYTES;
  }
  const dataBytes = bytes - records.length * RECORD_OVERHEAD_BYTES;
  if (dataBytes > RECORD_BYTES_LIMIT) {
    const allowed = `at most ${RECORD_BYTES_LIMIT} bytes in one append`;
    throw new RangeViolation('records', `${dataBytes} bytes`, allowed);
  }
  const keyOperation = options.keyOperation ?? 'tag';
  if (!KEY_OPERATIONS.includes(keyOperation)) {
    throw new RangeViolation('keyOperation', String(keyOperation), KEY_OPERATIONS.join(', '));
  }
  const leaseMillis = whole('leaseMillis', options.leaseMillis ?? 0, 0, LEASE_MILLIS_LIMIT);
  const condition = checkCondition(options);
  const own = { keyOperation, leaseMillis, chosen: chosen(options, hash) };
  const id = options.fence?.journalId;
  const journal = id === undefined ? undefined : journalId(id);
  return { records, bytes, condition, ...own, journal };
}

const isList = (input: RecordInput | readonly RecordInput[]): input is readonly RecordInput[] =>
  Array.isArray(input);

function checkRecord(input: RecordInput, index: number): NewRecord {
  const bare = typeof input === 'string' || input instanceof Uint8Array;
  const data: unknown = bare ? input : input?.data;
  const key = bare ? undefined : input?.key;
  const field = `records[${index}]`;
  if (key !== undefined) checkKey(`${field}.key`, key);
  // Half a surrogate pair has no bytes in UTF-8: another character would be stored for it.
  if (typeof data === 'string' && !data.isWellFormed()) {
    throw new RangeViolation(`${field}.data`, data, 'text without lone surrogates');
  }
  const bytes = typeof data === 'string' ? encoder.encode(data) : data;
  if (!(bytes instanceof Uint8Array)) {
    throw new RangeViolation(`${field}.data`, typeof data, 'a string or a Uint8Array');
  }
  if (bytes.length > RECORD_BYTES_LIMIT) {
    const allowed = `at most ${RECORD_BYTES_LIMIT} bytes, and what the journal is set to`;
    throw new RangeViolation(`${field}.data`, `${bytes.length} bytes`, allowed);
  }
  return key === undefined ? { data: bytes } : { key, data: bytes };
}

function checkCondition({ expectTail, expectKey, fence }: AppendOptions): AppendCondition {
  // The one value by which the machine knows that nothing was asked for.
  if (expectTail === undefined && expectKey === undefined && fence === undefined) {
    return NO_CONDITION;
  }
  return {
    expectTail: expectTail === undefined ? null : lsn(expectTail, 'expectTail'),
    expectKey:
      expectKey === undefined
        ? null
        : {
            key: checkKey('expectKey.key', expectKey?.key),
            lsn: lsn(expectKey.lsn, 'expectKey.lsn'),
          },
    fence:
      fence === undefined
        ? null
        : { key: checkKey('fence.key', fence?.key), token: positive('fence.token', fence.token) },
    lineage: fence?.lineage === undefined ? undefined : positive('fence.lineage', fence.lineage),
  };
}

const positive = (field: string, value: number): Lsn => lsn(whole(field, value, 1, NUMBER_MAX));

function chosen(options: AppendOptions, hash: (text: string) => string): Idempotence | null {
  const { idempotencyKey: key, idempotencyBatch, sentAs } = options;
  if (sentAs !== undefined) {
    if (key !== undefined) throw new RangeViolation('sentAs', 'set', 'no idempotencyKey beside it');
    const sequence = whole('sentAs.sequence', sentAs?.sequence, 1, NUMBER_MAX);
    return { writer: writerId(String(sentAs.writer)), sequence, after: 0, chosen: false };
  }
  if (key === undefined) {
    if (idempotencyBatch === undefined) return null;
    throw new RangeViolation('idempotencyBatch', idempotencyBatch, 'set only with idempotencyKey');
  }
  if (typeof key !== 'string' || key.length === 0 || key.length > CHOSEN_KEY_LENGTH_MAX) {
    throw new RangeViolation(
      'idempotencyKey',
      String(key),
      `1 to ${CHOSEN_KEY_LENGTH_MAX} characters`,
    );
  }
  const sequence = whole('idempotencyBatch', idempotencyBatch ?? 1, 1, NUMBER_MAX);
  return { writer: writerId(hash(key)), sequence, after: 0, chosen: true };
}

/** A start as the wire has it, and the lineage that it was learned in, 0 for any. */
export function checkFrom(from: From): {
  readonly position: StartPosition;
  readonly lineage: number;
} {
  const position = (value: StartPosition, lineage = 0) => ({ position: value, lineage });
  if (from === 'first') return position({ kind: 'first' });
  if (from === 'next') return position({ kind: 'next' });
  if (typeof from === 'number') return position({ kind: 'lsn', lsn: positive('from', from) });
  if (from instanceof Date) {
    return position({ kind: 'time', time: micros(from.getTime() * 1_000, 'from') });
  }
  if (typeof from === 'object' && from !== null) {
    if ('kind' in from) return position(from);
    if ('timeMicros' in from) {
      return position({ kind: 'time', time: micros(from.timeMicros, 'from.timeMicros') });
    }
    if ('last' in from) {
      return position({ kind: 'last', count: whole('from.last', from.last, 0, NUMBER_MAX) });
    }
    if ('nextLsn' in from) {
      const lineage = whole('from.lineage', from.lineage, 1, NUMBER_MAX);
      return position({ kind: 'lsn', lsn: positive('from.nextLsn', from.nextLsn) }, lineage);
    }
  }
  throw new RangeViolation('from', String(from), FROM_ALLOWED);
}

const FROM_ALLOWED =
  '"first", "next", a position, a Date, {timeMicros}, {last} or {lineage, nextLsn}';
