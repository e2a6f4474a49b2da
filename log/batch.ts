// The replicated bytes of a batch: the same on every member, chained by checksums.
//
//   offset bytes
//        0     4  checksum of the header that follows it (4 … header length)
//        4     4  header length, 72 or 104
//        8     4  body length
//       12     4  checksum of the body
//       16     4  checksum of the batch before: that is the chain
//       20     1  format, 1
//       21     1  kind             (place in KINDS)
//       22     1  key operation    (place in KEY_OPERATIONS)
//       23     1  flags            1 idempotence key present, 2 a person chose it
//       24     8  first LSN
//       32     8  epoch
//       40     8  timestamp
//       48    16  journal
//       64     4  count
//       68     4  lease, milliseconds
//      (72    16  writer, 8 sequence, 8 after)
//   then the body: key count; for each key its last offset in the batch, its length (2) and its
//   bytes; then for each record the number of its key (0 for none), its length and its bytes.
//
// All numbers are little-endian, 4 bytes where nothing else is said. The checksum of a batch is
// that of its header: the header holds the body's. So the body is summed once when it is encoded,
// and once on each member that takes the batch in.

import { crc32 } from '../io/node-checksum.ts';
import { JournalError } from '../protocol/errors.ts';
import {
  after,
  type Batch,
  type BatchHeader,
  type BatchKind,
  type Control,
  type Epoch,
  epoch,
  type Idempotence,
  type JournalId,
  journalId,
  type KeyOperation,
  type KeyPosition,
  type Lsn,
  lsn,
  type Micros,
  micros,
  RangeViolation,
  writerId,
} from '../protocol/types.ts';
import type { EncodedBody, LogRecord, RecordInput } from './log.ts';

const FORMAT = 1;
const HEADER_BYTES = 72;
const HEADER_BYTES_MAX = 104;
const FLAG_IDEMPOTENT = 1;
const FLAG_CHOSEN = 2;

/** Their places are what lies on disks: only ever added to, at the end. */
const KINDS: readonly BatchKind[] = [
  'data',
  'noop',
  'heartbeat',
  'trim',
  'cursor',
  'forget',
  'config',
];
const KEY_OPERATIONS: readonly KeyOperation[] = ['tag', 'claim', 'renew', 'release'];

/** Bodies that have room in front for a header: it is used once, then the body is a batch. */
const roomy = new WeakSet<Uint8Array>();

const text = new TextDecoder('utf-8', { fatal: true });

const buffer = (bytes: Uint8Array): Buffer =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** Writes a whole number below 2^53 as 8 bytes. */
export function putWhole(into: Buffer, value: number, at: number): void {
  into.writeUInt32LE(value % 2 ** 32, at);
  into.writeUInt32LE(Math.floor(value / 2 ** 32), at + 4);
}

export function getWhole(from: Buffer, at: number): number {
  return from.readUInt32LE(at) + from.readUInt32LE(at + 4) * 2 ** 32;
}

const damaged = (what: string): JournalError =>
  new JournalError('DAMAGED', `a batch cannot be read: ${what}`);

// ── Bodies ────────────────────────────────────────────────────────────────────────────────────

interface NumberedKey {
  readonly bytes: Buffer;
  number: number;
  offset: number;
}

/** Copies the records, once, to where they stay; `records` holds at least one. */
export function encodeBody(records: readonly RecordInput[]): EncodedBody {
  const byKey = new Map<string, NumberedKey>();
  let length = 4;
  for (const [offset, { key, data }] of records.entries()) {
    length += 8 + data.length;
    if (key === undefined) continue;
    const known = byKey.get(key);
    if (known !== undefined) known.offset = offset;
    else {
      const bytes = Buffer.from(key);
      length += 6 + bytes.length;
      byKey.set(key, { bytes, number: 0, offset });
    }
  }
  const whole = Buffer.allocUnsafeSlow(HEADER_BYTES_MAX + length);
  const body = whole.subarray(HEADER_BYTES_MAX);
  const ordered = [...byKey].sort(([, one], [, other]) => one.offset - other.offset);
  let at = body.writeUInt32LE(ordered.length, 0);
  for (const [index, [, entry]] of ordered.entries()) {
    entry.number = index + 1;
    at = body.writeUInt32LE(entry.offset, at);
    at = body.writeUInt16LE(entry.bytes.length, at);
    at += entry.bytes.copy(body, at);
  }
  for (const { key, data } of records) {
    at = body.writeUInt32LE(key === undefined ? 0 : (byKey.get(key)?.number ?? 0), at);
    at = body.writeUInt32LE(data.length, at);
    body.set(data, at);
    at += data.length;
  }
  roomy.add(body);
  const keys = ordered.map(([key, { offset }]) => ({ key, offset }));
  return { bytes: body, crc: crc32(body), count: records.length, keys };
}

/** The body of a control entry: one small record that says it as JSON. */
export function encodeControlBody(control: Control): EncodedBody {
  return encodeBody([{ data: Buffer.from(JSON.stringify(control)) }]);
}

interface BodyKeys {
  readonly keys: readonly { readonly key: string; readonly offset: number }[];
  /** Where the records begin. */
  readonly at: number;
}

function bodyKeys(body: Buffer): BodyKeys {
  if (body.length < 4) throw damaged('its body is too short');
  const count = body.readUInt32LE(0);
  let at = 4;
  const keys = [];
  for (let index = 0; index < count; index += 1) {
    if (at + 6 > body.length) throw damaged('its keys are cut off');
    const offset = body.readUInt32LE(at);
    const end = at + 6 + body.readUInt16LE(at + 4);
    if (end > body.length) throw damaged('its keys are cut off');
    keys.push({ key: text.decode(body.subarray(at + 6, end)), offset });
    at = end;
  }
  return { keys, at };
}

/**
 * The records of a batch, as views into its bytes; at most `most` of them from position `from` on,
 * so that who takes a large batch in pieces pays for each record once.
 */
export function batchRecords(
  batch: Batch,
  from: number = batch.header.firstLsn,
  most: number = Number.POSITIVE_INFINITY,
): LogRecord[] {
  const { header } = batch;
  const body = bodyOf(batch);
  const { keys, at: start } = bodyKeys(body);
  const records: LogRecord[] = [];
  let at = start;
  for (let index = 0; index < header.count; index += 1) {
    if (at + 8 > body.length) throw damaged('its records are cut off');
    const number = body.readUInt32LE(at);
    const end = at + 8 + body.readUInt32LE(at + 4);
    const key = keys[number - 1]?.key;
    if (end > body.length || (number > 0 && key === undefined)) {
      throw damaged('its records are cut off');
    }
    if (header.firstLsn + index >= from) {
      if (records.length >= most) return records;
      const position = after(header.firstLsn, index);
      const timestamp = micros(header.timestamp + index);
      const data = body.subarray(at + 8, end);
      records.push({ lsn: position, timestamp, data, ...(key === undefined ? {} : { key }) });
    }
    at = end;
  }
  if (at !== body.length) throw damaged('bytes are left after its last record');
  return records;
}

function bodyOf(batch: Batch): Buffer {
  return buffer(batch.bytes).subarray(batch.bytes.length - batch.header.bodyBytes);
}

// ── Batches ───────────────────────────────────────────────────────────────────────────────────

/**
 * The bytes of a batch under `header`, whose `bodyCrc` and `bodyBytes` must be those of `body`.
 * A body that `encodeBody` gave is not copied: the header goes in front of it, the first time.
 */
export function encodeBatch(header: BatchHeader, body: Uint8Array, previousCrc: number): Batch {
  const length = header.idempotence === null ? HEADER_BYTES : HEADER_BYTES_MAX;
  const inPlace = roomy.delete(body);
  const bytes = inPlace
    ? Buffer.from(body.buffer, body.byteOffset - length, length + body.length)
    : Buffer.allocUnsafeSlow(length + body.length);
  if (!inPlace) bytes.set(body, length);
  bytes.writeUInt32LE(length, 4);
  bytes.writeUInt32LE(body.length, 8);
  bytes.writeUInt32LE(header.bodyCrc, 12);
  bytes.writeUInt32LE(previousCrc, 16);
  bytes[20] = FORMAT;
  bytes[21] = KINDS.indexOf(header.kind);
  bytes[22] = KEY_OPERATIONS.indexOf(header.keyOperation);
  bytes[23] = 0;
  putWhole(bytes, header.firstLsn, 24);
  putWhole(bytes, header.epoch, 32);
  putWhole(bytes, header.timestamp, 40);
  bytes.write(header.journal, 48, 16, 'hex');
  bytes.writeUInt32LE(header.count, 64);
  bytes.writeUInt32LE(header.leaseMillis, 68);
  if (header.idempotence !== null) putIdempotence(bytes, header.idempotence);
  bytes.writeUInt32LE(crc32(bytes.subarray(4, length)), 0);
  return { header, bytes };
}

function putIdempotence(bytes: Buffer, idempotence: Idempotence): void {
  bytes[23] = FLAG_IDEMPOTENT | (idempotence.chosen ? FLAG_CHOSEN : 0);
  bytes.write(idempotence.writer, HEADER_BYTES, 16, 'hex');
  putWhole(bytes, idempotence.sequence, HEADER_BYTES + 16);
  putWhole(bytes, idempotence.after, HEADER_BYTES + 24);
}

/** Checksum of a batch: what the next one's `previousCrc` is. */
export const batchCrc = (batch: Batch): number => buffer(batch.bytes).readUInt32LE(0);

/** Checksum of the batch before, as the batch itself states it. */
export const previousCrc = (batch: Batch): number => buffer(batch.bytes).readUInt32LE(16);

export type DecodedBatch = Batch & { readonly crc: number; readonly previousCrc: number };

/**
 * Checks and reads a batch; its bytes are kept, not copied. Throws JournalError DAMAGED. With
 * `bodyTrusted` the body's checksum is not computed again.
 */
export function decodeBatch(given: Uint8Array, bodyTrusted = false): DecodedBatch {
  const bytes = buffer(given);
  const length = checkedLength(bytes);
  const bodyBytes = bytes.readUInt32LE(8);
  const bodyCrc = bytes.readUInt32LE(12);
  const body = bytes.subarray(length);
  if (body.length !== bodyBytes) throw damaged('its body has another length than its header says');
  if (!bodyTrusted && crc32(body) !== bodyCrc) throw damaged('its body has another checksum');
  const kind = KINDS[bytes[21] ?? 255];
  const keyOperation = KEY_OPERATIONS[bytes[22] ?? 255];
  if (kind === undefined || keyOperation === undefined) throw damaged('its kind is unknown');
  const header = readable(() => readHeader(bytes, kind, keyOperation, body));
  return { header, bytes, crc: bytes.readUInt32LE(0), previousCrc: bytes.readUInt32LE(16) };
}

/** What a good checksum stands over and still cannot be read is damaged as well. */
function readable<Value>(read: () => Value): Value {
  try {
    return read();
  } catch (error) {
    if (error instanceof JournalError) throw error;
    throw damaged(`it cannot be read (${String(error)})`);
  }
}

/** Length of the header, whose checksum is right. */
function checkedLength(bytes: Buffer): number {
  if (bytes.length < HEADER_BYTES) throw damaged('it is shorter than a header');
  const length = bytes.readUInt32LE(4);
  if (length !== HEADER_BYTES && length !== HEADER_BYTES_MAX) {
    throw damaged('the length of its header is wrong');
  }
  if (length > bytes.length || crc32(bytes.subarray(4, length)) !== bytes.readUInt32LE(0)) {
    throw damaged('its header has another checksum');
  }
  if (bytes[20] !== FORMAT) throw damaged(`its format is ${bytes[20]}, allowed is ${FORMAT}`);
  return length;
}

function readHeader(
  bytes: Buffer,
  kind: BatchKind,
  keyOperation: KeyOperation,
  body: Buffer,
): BatchHeader {
  const firstLsn = lsn(getWhole(bytes, 24));
  const keys: KeyPosition[] = bodyKeys(body).keys.map(({ key, offset }) => ({
    key,
    lsn: after(firstLsn, offset),
  }));
  return {
    journal: journalId(bytes.toString('hex', 48, 64)),
    firstLsn,
    count: bytes.readUInt32LE(64),
    epoch: epoch(getWhole(bytes, 32)),
    timestamp: micros(getWhole(bytes, 40)),
    kind,
    keyOperation,
    leaseMillis: bytes.readUInt32LE(68),
    idempotence: readIdempotence(bytes),
    keys,
    control: kind === 'data' ? null : readControl(kind, body),
    bodyCrc: bytes.readUInt32LE(12),
    bodyBytes: bytes.readUInt32LE(8),
  };
}

function readIdempotence(bytes: Buffer): Idempotence | null {
  const flags = bytes[23] ?? 0;
  if ((flags & FLAG_IDEMPOTENT) === 0) return null;
  return {
    writer: writerId(bytes.toString('hex', HEADER_BYTES, HEADER_BYTES + 16)),
    sequence: getWhole(bytes, HEADER_BYTES + 16),
    after: getWhole(bytes, HEADER_BYTES + 24),
    chosen: (flags & FLAG_CHOSEN) !== 0,
  };
}

function readControl(kind: BatchKind, body: Buffer): Control {
  // Key count 0, number of the key 0, length of the record, then the record.
  if (body.length < 12) throw damaged('its control entry is cut off');
  // cast: written by encodeControlBody only, under the checksum that was just checked.
  const control = JSON.parse(text.decode(body.subarray(12))) as Control;
  if (control.kind !== kind) throw damaged('its control entry is of another kind');
  checkControl(control);
  return control;
}

/** A peer may have written it: what tables are made of is looked at once. */
function checkControl(control: Control): void {
  const isName = (value: unknown): boolean => typeof value === 'string';
  if (control.kind === 'trim') lsn(control.through);
  if (control.kind === 'cursor' && control.lsn !== null) lsn(control.lsn);
  const named =
    control.kind === 'cursor' ? control.name : control.kind === 'forget' ? control.key : '';
  const limits = control.kind === 'config' ? Object.values(control.limits) : [];
  if (isName(named) && limits.every((limit) => Number.isSafeInteger(limit))) return;
  throw damaged('its control entry has a field of another kind');
}

/** What recovery needs of a batch, from its header alone. */
export interface BatchPeek {
  readonly journal: JournalId;
  readonly firstLsn: Lsn;
  readonly lastLsn: Lsn;
  readonly epoch: Epoch;
  readonly timestamp: Micros;
  readonly crc: number;
  readonly previousCrc: number;
  readonly headerBytes: number;
  readonly bodyCrc: number;
}

/** Reads the header of a batch whose length is right; null where its checksum is wrong. */
export function peekBatch(given: Uint8Array): BatchPeek | null {
  const bytes = buffer(given);
  try {
    const headerBytes = checkedLength(bytes);
    if (bytes.length !== headerBytes + bytes.readUInt32LE(8)) return null;
    const firstLsn = lsn(getWhole(bytes, 24));
    return {
      journal: journalId(bytes.toString('hex', 48, 64)),
      firstLsn,
      lastLsn: after(firstLsn, bytes.readUInt32LE(64) - 1),
      epoch: epoch(getWhole(bytes, 32)),
      timestamp: micros(getWhole(bytes, 40)),
      crc: bytes.readUInt32LE(0),
      previousCrc: bytes.readUInt32LE(16),
      headerBytes,
      bodyCrc: bytes.readUInt32LE(12),
    };
  } catch (error) {
    if (error instanceof JournalError || error instanceof RangeViolation) return null;
    throw error;
  }
}
