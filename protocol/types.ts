// The numbers and names that every other file speaks in: what each one means and where it starts.
//
// Brands keep an LSN from being passed as an epoch. A brand maker checks its range once, at the
// edge where the value enters; inside, a branded value is known to be good.

declare const brand: unique symbol;
type Brand<Value, Name extends string> = Value & { readonly [brand]: Name };

/** Position of a record in one journal: dense, the first is 1, 0 means "none". Below 2^53. */
export type Lsn = Brand<number, 'Lsn'>;
/** Number of a `Configuration`, from 1; 0 means "none yet". A raised lineage adds 2^20. */
export type Epoch = Brand<number, 'Epoch'>;
/** Microseconds: since 1970 for wall time, since an arbitrary start for monotonic time. */
export type Micros = Brand<number, 'Micros'>;
/** 128 random bits as 32 lowercase hex digits: names a journal for ever, a name does not. */
export type JournalId = Brand<string, 'JournalId'>;
/** 128 random bits as 32 lowercase hex digits, written when a data directory is formatted. */
export type StoreId = Brand<string, 'StoreId'>;
/**
 * Identity of an appending session, 32 lowercase hex digits. The first 14 are what was committed
 * when the session opened (`openingLsn`), so that an evicted writer cannot pass for a new one
 * (`openedAt` in chain/tables.ts); the rest is random, or the hash of a key that a person chose.
 */
export type WriterId = Brand<string, 'WriterId'>;
/** Label of a member, chosen by people (`orders-0`): 1..63 of `[a-z0-9-.]`. Never an identity. */
export type MemberId = Brand<string, 'MemberId'>;
/** Failure domain of a member, such as `eu-central-1a`. */
export type Zone = Brand<string, 'Zone'>;

/** The greatest number that any position, epoch or time may take. */
export const NUMBER_MAX = Number.MAX_SAFE_INTEGER;

const HEX_128 = /^[0-9a-f]{32}$/;
const LABEL = /^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/;

/** Thrown by the brand makers: a value from outside that is out of its range. */
export class RangeViolation extends Error {
  readonly field: string;
  readonly allowed: string;

  constructor(field: string, given: unknown, allowed: string) {
    super(`${field} is ${spelled(given)}, allowed is ${allowed}`);
    this.name = 'RangeViolation';
    this.field = field;
    this.allowed = allowed;
  }
}

/** Not as JSON, which has no NaN, and throws at a bigint: callers in JavaScript pass anything. */
function spelled(given: unknown): string {
  if (typeof given === 'string') return JSON.stringify(shortened(given));
  if (typeof given === 'bigint') return `${given}n`;
  if (typeof given === 'function' || (typeof given === 'object' && given !== null)) {
    return `of type ${typeof given}`;
  }
  return String(given);
}

/** What was given may be as long as a message: its beginning says enough. */
function shortened(given: string): string {
  if (given.length <= GIVEN_MAX) return given;
  return `${given.slice(0, GIVEN_MAX)}… (${given.length} characters)`;
}

const GIVEN_MAX = 100;

function whole(field: string, value: number): number {
  if (!Number.isSafeInteger(value) || value < 0) {
    throw new RangeViolation(field, value, `a whole number from 0 to ${NUMBER_MAX}`);
  }
  return value;
}

function matching(field: string, value: string, pattern: RegExp, allowed: string): string {
  if (!pattern.test(value)) throw new RangeViolation(field, value, allowed);
  return value;
}

const HEX_ALLOWED = '32 lowercase hex digits';
const LABEL_ALLOWED = '1 to 63 of a-z, 0-9, "-" and ".", a letter or digit at both ends';

export const lsn = (value: number, field = 'lsn'): Lsn => whole(field, value) as Lsn;
export const epoch = (value: number, field = 'epoch'): Epoch => whole(field, value) as Epoch;
export const micros = (value: number, field = 'micros'): Micros => whole(field, value) as Micros;
export const journalId = (value: string): JournalId =>
  matching('journal id', value, HEX_128, HEX_ALLOWED) as JournalId;
export const storeId = (value: string): StoreId =>
  matching('store id', value, HEX_128, HEX_ALLOWED) as StoreId;
export const writerId = (value: string): WriterId =>
  matching('writer', value, HEX_128, HEX_ALLOWED) as WriterId;
export const memberId = (value: string): MemberId => label('member id', value) as MemberId;
export const zone = (value: string): Zone => label('zone', value) as Zone;

/** Checks a label of at most 63 characters and gives it back. */
export function label(field: string, value: string): string {
  if (value.length > 63) throw new RangeViolation(field, value, LABEL_ALLOWED);
  return matching(field, value, LABEL, LABEL_ALLOWED);
}

/** Checks the name of a journal and gives it back. */
export const journalName = (value: string): string => label('journal name', value);

export const NO_LSN = 0 as Lsn;
export const FIRST_LSN = 1 as Lsn;
export const NO_EPOCH = 0 as Epoch;

/** The position `count` records after `from`. */
export const after = (from: Lsn, count: number): Lsn => lsn(from + count);

/** The lower and the higher of two positions. */
export const lower = (one: Lsn, other: Lsn): Lsn => (one <= other ? one : other);
export const higher = (one: Lsn, other: Lsn): Lsn => (one >= other ? one : other);

/** What a batch is: `data` carries records of users, all others are control entries. */
export type BatchKind = 'data' | 'noop' | 'heartbeat' | 'trim' | 'cursor' | 'forget' | 'config';

/** What a data batch does to the keys of its records; only `claim` moves a key's token. */
export type KeyOperation = 'tag' | 'claim' | 'renew' | 'release';

/** What a control entry says. It rides in the batch as one small record. */
export type Control =
  | { readonly kind: 'noop' | 'heartbeat' }
  /** Everything up to and including `through` may be dropped. */
  | { readonly kind: 'trim'; readonly through: Lsn }
  /** Registers, moves (`lsn` = last position consumed) or deletes (`null`) a named cursor. */
  | { readonly kind: 'cursor'; readonly name: string; readonly lsn: Lsn | null }
  /** Forgets a key whose lease is over. */
  | { readonly kind: 'forget'; readonly key: string }
  | { readonly kind: 'config'; readonly limits: JournalLimits };

/** Limits that shape what every member computes. They are part of the log, never a flag. */
export interface JournalLimits {
  /** Distinct keys, 1..1,000,000. */
  readonly keys: number;
  /** Writers that are remembered, by log position, 1..100,000. */
  readonly writers: number;
  /** Appends that are remembered for each writer, 1..1,024. */
  readonly writerWindow: number;
  /** Appends under keys that people chose that are remembered, 1..100,000. */
  readonly chosenKeys: number;
  /** Named cursors, 1..10,000. */
  readonly cursors: number;
}

/**
 * What a machine knows of one batch: everything but the payloads. The same values on every member,
 * since they are read from the same replicated bytes.
 */
export interface BatchHeader {
  readonly journal: JournalId;
  readonly firstLsn: Lsn;
  /** Records in the batch, at least 1: record `i` has LSN `firstLsn + i`, time `timestamp + i`. */
  readonly count: number;
  readonly epoch: Epoch;
  readonly timestamp: Micros;
  readonly kind: BatchKind;
  readonly keyOperation: KeyOperation;
  /** Length of the lease that a claim or renewal asks for, in milliseconds; 0 otherwise. */
  readonly leaseMillis: number;
  /** Idempotence key: `null` for control entries and for appends that ask for none. */
  readonly idempotence: Idempotence | null;
  /** Last position of each key that a record of the batch carries, in order of position. */
  readonly keys: readonly KeyPosition[];
  /** Present iff `kind` is not `data`. */
  readonly control: Control | null;
  /** Checksum and length of the body: together they tell one payload from another. */
  readonly bodyCrc: number;
  readonly bodyBytes: number;
}

export interface KeyPosition {
  readonly key: string;
  readonly lsn: Lsn;
}

export interface Idempotence {
  readonly writer: WriterId;
  /** Number of the append within its writer, from 1. */
  readonly sequence: number;
  /** The last sequence that the writer expects in the log before this one; 0 for none. */
  readonly after: number;
  /** True where a person chose the key: no order among sequences, remembered for the last N. */
  readonly chosen: boolean;
}

/** One batch as it is replicated: its header, read, and the very bytes it was read from. */
export interface Batch {
  readonly header: BatchHeader;
  readonly bytes: Uint8Array;
}

/** The last position of a batch. */
export const lastLsn = (header: BatchHeader): Lsn => after(header.firstLsn, header.count - 1);
