// The decoders of what lies on disks: batches, frames, segments, bases, metadata, identities.

import type { Disk, DiskFile } from '../../io/disk.ts';
import { DiskError } from '../../io/disk.ts';
import { silent } from '../../io/logger.ts';
import { crc32 } from '../../io/node-checksum.ts';
import { decodeBase, encodeBase } from '../../log/base.ts';
import {
  batchRecords,
  decodeBatch,
  encodeBatch,
  encodeBody,
  encodeControlBody,
  peekBatch,
} from '../../log/batch.ts';
import { readIdentity } from '../../log/directory.ts';
import { decodeState, encodeState } from '../../log/disk/state.ts';
import { openMetadata } from '../../log/metadata.ts';
import { SegmentIndex } from '../../log/segments/entries.ts';
import { checkPayload, encodeFrames, envelopeAt } from '../../log/segments/envelope.ts';
import {
  decodeIndexHead,
  decodePlaces,
  decodeSummary,
  encodeIndex,
  INDEX_HEAD_BYTES,
} from '../../log/segments/index-file.ts';
import { scanSegment } from '../../log/segments/scan.ts';
import { decodeHeader, encodeHeader, HEADER_BYTES } from '../../log/segments/segment.ts';
import { emptyTables, openTables, snapshotTables } from '../../protocol/chain/tables.ts';
import { DEFAULT_SETTINGS } from '../../protocol/configuration.ts';
import {
  type BatchHeader,
  type Control,
  epoch,
  journalId,
  lsn,
  micros,
  writerId,
} from '../../protocol/types.ts';
import { allJson, type Decoder } from './decoder.ts';

const JOURNAL = journalId('ab'.repeat(16));
const OTHER = journalId('cd'.repeat(16));
const SEGMENT = Buffer.from('0123456789abcdef', 'hex');

const plain: BatchHeader = {
  journal: JOURNAL,
  firstLsn: lsn(7),
  count: 1,
  epoch: epoch(2),
  timestamp: micros(1_700_000_000_000_000),
  kind: 'data',
  keyOperation: 'tag',
  leaseMillis: 0,
  idempotence: null,
  keys: [],
  control: null,
  bodyCrc: 0,
  bodyBytes: 0,
};

function dataBatch(count: number, key?: string, chosen = false): Uint8Array {
  const records = Array.from({ length: count }, (_, at) => ({
    data: Buffer.from(`record ${at}`),
    ...(key === undefined ? {} : { key }),
  }));
  const body = encodeBody(records);
  const idempotence = { writer: writerId('2a'.padStart(32, '0')), sequence: 3, after: 2, chosen };
  const header = {
    ...plain,
    count,
    idempotence: chosen ? idempotence : null,
    keys: [],
    bodyCrc: body.crc,
    bodyBytes: body.bytes.length,
  };
  return Buffer.from(encodeBatch(header, body.bytes, 99).bytes);
}

function controlBatch(control: Control): Uint8Array {
  const { bytes, crc } = encodeControlBody(control);
  const header = { ...plain, kind: control.kind, control, bodyCrc: crc, bodyBytes: bytes.length };
  return Buffer.from(encodeBatch(header, bytes, 5).bytes);
}

const batches = (): Uint8Array[] => [
  dataBatch(1),
  dataBatch(5, 'key'),
  dataBatch(2, 'k', true),
  controlBatch({ kind: 'noop' }),
  controlBatch({ kind: 'trim', through: lsn(4) }),
  controlBatch({ kind: 'cursor', name: 'c', lsn: null }),
  controlBatch({ kind: 'forget', key: 'k' }),
  controlBatch({ kind: 'config', limits: DEFAULT_SETTINGS.limits }),
];

function repairBatch(bytes: Buffer): void {
  if (bytes.length < 72) return;
  const length = bytes.readUInt32LE(4) === 104 ? 104 : 72;
  if (bytes.length < length) return;
  bytes.writeUInt32LE(length, 4);
  bytes.writeUInt32LE(bytes.length - length, 8);
  bytes.writeUInt32LE(crc32(bytes.subarray(length)), 12);
  bytes.writeUInt32LE(crc32(bytes.subarray(4, length)), 0);
}

/** The entry of a batch that is no data: one record of JSON behind its length. */
function withControl(bytes: Buffer, change: (json: Buffer) => Buffer): Buffer {
  const at = (bytes.length >= 72 && bytes.readUInt32LE(4) === 104 ? 104 : 72) + 12;
  if (bytes.length < at || bytes[21] === 0) return bytes;
  const json = change(bytes.subarray(at));
  bytes.writeUInt32LE(json.length, at - 4);
  return Buffer.concat([bytes.subarray(0, at), json]);
}

/** Frames one after another, as they lie in a segment behind its header. */
function segmentBytes(): Buffer {
  const frames = batches().map((payload) => ({
    kind: 'batch' as const,
    journal: JOURNAL,
    payload,
    payloadCrc: Buffer.from(payload).readUInt32LE(0),
  }));
  const end = { kind: 'end' as const, journal: null, payload: Buffer.alloc(0), payloadCrc: 0 };
  return Buffer.concat([...encodeFrames(frames, SEGMENT, 0), ...encodeFrames([end], SEGMENT, 900)]);
}

function repairEnvelope(bytes: Buffer): void {
  if (bytes.length < 48) return;
  SEGMENT.copy(bytes, 8);
  bytes.writeUInt32LE(crc32(bytes.subarray(4, 48)), 0);
}

/** One file under a name, read only in effect. */
function fileDisk(name: string, bytes: Uint8Array): Disk {
  const file = (path: string, content: Uint8Array): DiskFile => ({
    path,
    read: async (position, length) => content.subarray(position, position + length),
    write: async () => undefined,
    size: async () => content.length,
    truncate: async () => undefined,
    sync: async () => undefined,
    close: async () => undefined,
  });
  const nothing = async (): Promise<void> => undefined;
  return {
    create: async (path) => file(path, new Uint8Array(0)),
    open: async (path) => {
      if (path.endsWith('.metadata') && !path.endsWith(name)) return file(path, new Uint8Array(0));
      if (!path.endsWith(name)) throw new DiskError('ENOENT', path);
      return file(path, bytes);
    },
    list: async () => [name],
    makeDirectory: nothing,
    rename: nothing,
    remove: nothing,
    removeDirectory: nothing,
    syncDirectory: nothing,
    space: async () => ({ freeBytes: 1e9, totalBytes: 1e9 }),
    lock: async () => ({ release: nothing }),
  };
}

const METADATA = '0000000001.metadata';

/** A record as openMetadata reads it, twice, with one change in it. */
function metadataBytes(): Uint8Array {
  const changes = Buffer.from([3, 0, 107, 101, 121, 2, 0, 0, 0, 123, 125]);
  const record = Buffer.alloc(24 + changes.length);
  record.writeUInt32LE(changes.length, 4);
  record.writeUInt32LE(1, 8);
  changes.copy(record, 24);
  record.writeUInt32LE(crc32(record.subarray(4)), 0);
  return Buffer.concat([record, record]);
}

function repairRecord(bytes: Buffer): void {
  if (bytes.length < 24) return;
  const end = Math.min(bytes.length, 24 + bytes.readUInt32LE(4));
  bytes.writeUInt32LE(end - 24, 4);
  bytes.writeUInt32LE(crc32(bytes.subarray(4, end)), 0);
}

/** Something in each section. */
function fullTables(): ReturnType<typeof emptyTables> {
  const tables = emptyTables();
  const [at, timestamp] = [lsn(1), micros(9)];
  const appended = { firstLsn: at, count: 2, timestamp, bodyCrc: 7, bodyBytes: 8 };
  const memory = { sequence: 1, ...appended };
  tables.writers.set(writerId('2a'.padStart(32, '0')), { window: [memory] });
  tables.chosen.set('2a/1', memory);
  tables.keys.set('k', { keyLsn: at, tokenLsn: at, leaseMillis: 100, timestamp });
  tables.cursors.set('c', { lsn: at, updatedAt: timestamp });
  return tables;
}

function repairBase(bytes: Buffer): void {
  if (bytes.length < 20) return;
  bytes.write('JOURNALB', 0, 'latin1');
  bytes.writeUInt32LE(bytes.length - 20, 12);
  bytes.writeUInt32LE(crc32(bytes.subarray(20)), 16);
}

const IDENTITY = {
  format: 1,
  cluster: 'ab'.repeat(16),
  store: 'cd'.repeat(16),
  kind: 'replica',
  member: 'a',
};

/** Two journals with batches and states, as the index of a closed segment. */
function indexBytes(): Uint8Array {
  const index = new SegmentIndex();
  for (const [at, journal] of [JOURNAL, OTHER].entries()) {
    let offset = HEADER_BYTES + at * 10_000;
    for (let first = 1; first < 20; first += 5) {
      const header = { ...plain, journal, firstLsn: lsn(first), count: 5, epoch: epoch(1 + at) };
      const { bytes } = encodeBatch(header, encodeBody([]).bytes, first);
      const peek = peekBatch(bytes);
      if (peek !== null) index.addBatch(peek, offset, 48 + bytes.length, bytes.length);
      offset += 200;
    }
    index.addState(journal, { offset, length: 90 });
  }
  const [firstLsn, lastLsn] = [lsn(3), lsn(4)];
  index.bad.push({ offset: 5_000, end: 5_100, what: 'bad', journal: JOURNAL, firstLsn, lastLsn });
  return encodeIndex(SEGMENT, 30_000, index);
}

function repairIndex(bytes: Buffer): void {
  const rest = bytes.subarray(INDEX_HEAD_BYTES);
  if (bytes.length < INDEX_HEAD_BYTES) return;
  const places = Math.min(rest.length, bytes.readUInt32LE(20));
  const summary = rest.length - places;
  bytes.write('JOURNALI', 0, 'latin1');
  bytes.writeUInt32LE(1, 8);
  bytes.writeUInt32LE(summary, 12);
  bytes.writeUInt32LE(crc32(rest.subarray(0, summary)), 16);
  bytes.writeUInt32LE(places, 20);
  bytes.writeUInt32LE(crc32(rest.subarray(summary)), 24);
}

function readIndex(bytes: Uint8Array): { readonly kind: string } {
  const all = Buffer.from(bytes);
  const head = decodeIndexHead(all, all.length);
  if (head === null) return { kind: 'no head' };
  const end = INDEX_HEAD_BYTES + head.summaryBytes;
  const read = decodeSummary(head, all.subarray(INDEX_HEAD_BYTES, end), SEGMENT);
  if (read === null) return { kind: 'no summary' };
  const whole = decodePlaces(head, all.subarray(end), read.counts, read.index);
  return { kind: whole ? 'whole' : 'no places' };
}

const BASE = { lsn: lsn(8), epoch: epoch(2), crc: 7, trimmedLsn: lsn(8), serial: 2 };

const states = (): Uint8Array[] =>
  [null, Buffer.from('a base')].map((inline) =>
    encodeState({
      journal: JOURNAL,
      serial: 4,
      dropped: inline === null,
      cuts: [{ segment: 2, endLsn: lsn(5) }],
      base: { ...BASE, inline },
    }),
  );

export const STORAGE: readonly Decoder[] = [
  {
    name: 'batch',
    seeds: batches,
    decode: (bytes) => batchRecords(decodeBatch(bytes)).length,
    repair: repairBatch,
    withJson: withControl,
  },
  {
    name: 'envelope',
    seeds: () => [segmentBytes().subarray(0, 400)],
    decode: (given) => {
      const bytes = Buffer.from(given);
      const envelope = envelopeAt(bytes, 0, SEGMENT);
      return envelope && checkPayload(envelope, bytes.subarray(48)).kind;
    },
    repair: repairEnvelope,
  },
  { name: 'batch-peek', seeds: batches, decode: (bytes) => peekBatch(bytes)?.firstLsn },
  {
    name: 'segment-header',
    seeds: () => [encodeHeader({ number: 3, id: SEGMENT, start: 9_000 })],
    decode: (bytes) => decodeHeader(Buffer.from(bytes))?.number,
  },
  {
    name: 'segment',
    seeds: () => [segmentBytes()],
    decode: async (given) => {
      const file = Buffer.concat([Buffer.alloc(HEADER_BYTES), given]);
      const read = async (at: number, length: number) => file.subarray(at, at + length);
      const scan = await scanSegment(read, file.length, { id: SEGMENT, start: 0 }, null);
      const { bad, frames, closed } = scan;
      return { kind: `${bad.length} bad, ${frames.length} good, ${closed ? 'closed' : 'open'}` };
    },
    repair: repairEnvelope,
  },
  {
    name: 'segment-index',
    seeds: () => [indexBytes()],
    decode: readIndex,
    repair: repairIndex,
    withJson: (bytes, change) => {
      if (bytes.length < INDEX_HEAD_BYTES) return bytes;
      const places = Math.max(INDEX_HEAD_BYTES, bytes.length - bytes.readUInt32LE(20));
      const json = change(bytes.subarray(INDEX_HEAD_BYTES, places));
      return Buffer.concat([bytes.subarray(0, INDEX_HEAD_BYTES), json, bytes.subarray(places)]);
    },
  },
  {
    name: 'state',
    seeds: states,
    decode: (bytes) => decodeState(Buffer.from(bytes))?.base,
    withJson: (bytes, change) => {
      if (bytes.length < 4) return bytes;
      const end = Math.min(bytes.length, 4 + bytes.readUInt32LE(0));
      const json = change(bytes.subarray(4, end));
      const length = Buffer.alloc(4);
      length.writeUInt32LE(json.length, 0);
      return Buffer.concat([length, json, bytes.subarray(end)]);
    },
  },
  {
    name: 'base',
    seeds: () => {
      const at = { lsn: lsn(8), epoch: epoch(2), crc: 7, trimmedLsn: lsn(8) };
      const all = [emptyTables(), fullTables()].map(snapshotTables);
      return all.map((tables) => encodeBase({ journal: JOURNAL, ...at, tables }));
    },
    decode: (bytes) => openTables(decodeBase(bytes).tables).scalars.endLsn,
    repair: repairBase,
    withJson: (bytes, change) => Buffer.concat([bytes.subarray(0, 20), change(bytes.subarray(20))]),
  },
  {
    name: 'metadata',
    seeds: () => [metadataBytes()],
    decode: async (bytes) => {
      const disk = fileDisk(METADATA, bytes);
      const metadata = await openMetadata({ disk, directory: '/m', logger: silent });
      const keys = metadata.keys('');
      await metadata.close();
      return keys.length;
    },
    repair: repairRecord,
  },
  {
    name: 'identity',
    seeds: () => [Buffer.from(JSON.stringify(IDENTITY))],
    decode: (bytes) => readIdentity(fileDisk('identity.json', bytes), '/d'),
    withJson: allJson,
  },
];
