// Small values by key, durable when `save` resolves: chain records, configurations, acceptors.
//
// One file a generation: records, each with a sequence number; the first is all that was known, the
// others are changes. When the changes outgrow what they change, the next generation is written
// beside, synced and renamed into place; only then the old one goes. Every open begins a new
// generation, since what a failed sync left may be read back without being on the disk.
//
// Each open claims the directory before it reads it (claim.ts), and a save is answered only if the
// claim still stands once it is synced. A generation has the number of a claim, so that no two
// processes write one file.
//
// Every record is written twice, one copy after the other, so that no single bad spot loses one.
// A record that has no good copy is the end of the file, unless a later record says that it was
// durable by then: that is damage, and the store does not open, since a promise may be lost.
//
//   offset bytes
//        0     4  checksum of what follows
//        4     4  length of the changes
//        8     8  sequence, from 1
//       16     8  bytes of the file that were durable when this was written
//       24        changes: key length (2), key, value length (4, 2^32 - 1 deletes), value

import type { Disk, DiskFile } from '../io/disk.ts';
import type { Logger } from '../io/logger.ts';
import { crc32 } from '../io/node-checksum.ts';
import { JournalError } from '../protocol/errors.ts';
import { getWhole, putWhole } from './batch.ts';
import { Claim } from './claim.ts';
import { asBuffer, hasCode, listOrNone, makeDurableDirectory, readFile } from './files.ts';
import { claimName, metadataName, metadataNumber } from './layout.ts';

export type MetadataChanges = ReadonlyMap<string, Uint8Array | null>;

export interface Metadata {
  /** The value as it was saved last; not to be changed by the caller. */
  get(key: string): Uint8Array | undefined;
  /** Keys that begin with `prefix`, sorted. */
  keys(prefix: string): string[];
  /**
   * All the changes or none, durable when it resolves; `null` deletes. Saves that wait share one
   * sync. Keys up to 64 KiB of UTF-8. After a failed sync every save rejects with DAMAGED, and
   * with UNAVAILABLE once another process has opened them.
   */
  save(changes: MetadataChanges): Promise<void>;
  /**
   * Set once a sync failed (DAMAGED) or another process came (UNAVAILABLE): nothing is saved any
   * more, what is known stays readable.
   */
  readonly failed: JournalError | null;
  /** Whether another process has opened them: then what was written since counts for nothing. */
  isTaken(): Promise<boolean>;
  close(): Promise<void>;
}

export interface MetadataOptions {
  readonly disk: Disk;
  /** Of its own; made where it does not exist. */
  readonly directory: string;
  readonly logger: Logger;
}

const HEAD_BYTES = 24;
const DELETED = 2 ** 32 - 1;
const KEY_BYTES_MAX = 65_535;
/** Changes beyond this, and beyond four times what is known, make a new generation. */
const REWRITE_BYTES = 1024 * 1024;
const REWRITE_FACTOR = 4;

export async function openMetadata(options: MetadataOptions): Promise<Metadata> {
  const { disk, directory, logger } = options;
  await makeDurableDirectory(disk, directory);
  const claim = await Claim.take(disk, directory);
  const names = await listOrNone(disk, directory);
  const generations = names.flatMap((name) => metadataNumber(name) ?? []);
  const generation = Math.max(0, ...generations);
  const values = new Map<string, Buffer>();
  if (generation > 0) {
    const path = `${directory}/${metadataName(generation)}`;
    const bytes = (await readFile(disk, path)) ?? Buffer.alloc(0);
    const records = readRecords(bytes, path);
    if (records === 0) throw damaged(path, 'its first record has no good copy');
    for (const changes of records) applyChanges(values, changes);
  }
  const store = new MetadataFile(options, claim, values);
  await store.rewrite();
  const kept = [metadataName(claim.number), claimName(claim.number)];
  const stale = names.filter((name) => !kept.includes(name));
  for (const name of stale) await disk.remove(`${directory}/${name}`);
  logger.debug({ directory, keys: values.size }, 'opened the metadata');
  return store;
}

const damaged = (path: string, what: string): JournalError =>
  new JournalError('DAMAGED', `${path} is damaged: ${what}; restore it, or give this store up`);

// ── Records ───────────────────────────────────────────────────────────────────────────────────

function encodeChanges(changes: Iterable<readonly [string, Uint8Array | null]>): Buffer {
  const parts: Uint8Array[] = [];
  for (const [key, value] of changes) {
    const name = Buffer.from(key);
    if (name.length > KEY_BYTES_MAX) {
      const allowed = `allowed are at most ${KEY_BYTES_MAX}`;
      throw new JournalError('INVALID_ARGUMENT', `a key has ${name.length} bytes, ${allowed}`);
    }
    const head = Buffer.allocUnsafe(6);
    head.writeUInt16LE(name.length, 0);
    head.writeUInt32LE(value?.length ?? DELETED, 2);
    parts.push(head.subarray(0, 2), name, head.subarray(2), value ?? Buffer.alloc(0));
  }
  return Buffer.concat(parts);
}

function applyChanges(values: Map<string, Buffer>, changes: Buffer): void {
  let at = 0;
  const within = (end: number): void => {
    if (end <= changes.length) return;
    throw new JournalError('DAMAGED', 'a record of the metadata ends inside a value');
  };
  while (at < changes.length) {
    within(at + 2);
    const keyEnd = at + 2 + changes.readUInt16LE(at);
    within(keyEnd + 4);
    const key = changes.toString('utf8', at + 2, keyEnd);
    const length = changes.readUInt32LE(keyEnd);
    at = keyEnd + 4;
    if (length === DELETED) values.delete(key);
    else {
      within(at + length);
      // A copy, so that one value does not keep a whole file in memory.
      values.set(key, Buffer.from(changes.subarray(at, at + length)));
      at += length;
    }
  }
}

function encodeRecord(changes: Buffer, sequence: number, durable: number): Buffer {
  const bytes = Buffer.allocUnsafe(HEAD_BYTES + changes.length);
  bytes.writeUInt32LE(changes.length, 4);
  putWhole(bytes, sequence, 8);
  putWhole(bytes, durable, 16);
  changes.copy(bytes, HEAD_BYTES);
  bytes.writeUInt32LE(crc32(bytes.subarray(4)), 0);
  return bytes;
}

interface ReadRecord {
  readonly sequence: number;
  readonly durable: number;
  readonly changes: Buffer;
  readonly end: number;
}

function recordAt(bytes: Buffer, at: number): ReadRecord | null {
  if (at + HEAD_BYTES > bytes.length) return null;
  const end = at + HEAD_BYTES + bytes.readUInt32LE(at + 4);
  const sequence = getWhole(bytes, at + 8);
  // Zeros, as a crash leaves them, are no record.
  if (end > bytes.length || sequence === 0) return null;
  if (crc32(bytes.subarray(at + 4, end)) !== bytes.readUInt32LE(at)) return null;
  const changes = bytes.subarray(at + HEAD_BYTES, end);
  return { sequence, durable: getWhole(bytes, at + 16), changes, end };
}

/** The next good record at or after `at`, looked for byte by byte. */
function nextRecord(bytes: Buffer, at: number): ReadRecord | null {
  for (let from = at; from + HEAD_BYTES <= bytes.length; from += 1) {
    // A sequence of a record is far below 2^48: two zero bytes skip nearly all places cheaply.
    if (bytes[from + 15] !== 0 || bytes[from + 14] !== 0) continue;
    const record = recordAt(bytes, from);
    if (record !== null) return record;
  }
  return null;
}

/** Changes of all good records, in order; 0 where not even the first is good. */
function readRecords(bytes: Buffer, path: string): Buffer[] | 0 {
  const all: Buffer[] = [];
  let at = 0;
  for (;;) {
    const record = recordAt(bytes, at) ?? nextRecord(bytes, at);
    if (record === null) break;
    if (record.sequence > all.length + 1) {
      if (record.durable > at) throw damaged(path, `record ${all.length + 1} has no good copy`);
      break; // both were being written when the process ended
    }
    if (record.sequence === all.length + 1) all.push(record.changes);
    at = record.end;
  }
  return all.length === 0 ? 0 : all;
}

// ── The store ─────────────────────────────────────────────────────────────────────────────────

interface Waiting {
  readonly changes: MetadataChanges;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

class MetadataFile implements Metadata {
  #generation = 0;
  readonly #options: MetadataOptions;
  #claim: Claim;
  readonly #values: Map<string, Buffer>;
  #file: DiskFile | null = null;
  #sequence = 0;
  #end = 0;
  #durable = 0;
  /** Length of the first record, twice. */
  #wholeBytes = 0;
  #waiting: Waiting[] = [];
  #writing: Promise<void> | null = null;
  #failed: JournalError | null = null;

  constructor(options: MetadataOptions, claim: Claim, values: Map<string, Buffer>) {
    this.#options = options;
    this.#claim = claim;
    this.#values = values;
  }

  get failed(): JournalError | null {
    return this.#failed;
  }

  get(key: string): Uint8Array | undefined {
    return this.#values.get(key);
  }

  keys(prefix: string): string[] {
    return [...this.#values.keys()].filter((key) => key.startsWith(prefix)).sort();
  }

  save(changes: MetadataChanges): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ changes: copied(changes), resolve, reject });
      this.#writing ??= this.#writeAll();
    });
  }

  async close(): Promise<void> {
    await this.#writing;
    this.#failed ??= new JournalError('UNAVAILABLE', 'the metadata are closed');
    await this.#file?.close();
    this.#file = null;
    await this.#claim.release().catch(() => undefined);
  }

  async #writeAll(): Promise<void> {
    // A turn later, so that saves of the same moment share the sync.
    await Promise.resolve();
    while (this.#waiting.length > 0) {
      const group = this.#waiting;
      this.#waiting = [];
      try {
        await this.#write(group);
        for (const { resolve } of group) resolve();
      } catch (error) {
        for (const { reject } of group) reject(error);
      }
    }
    this.#writing = null;
  }

  async #write(group: readonly Waiting[]): Promise<void> {
    const file = this.#file;
    if (this.#failed !== null) throw this.#failed;
    if (file === null) throw new JournalError('UNAVAILABLE', 'the metadata are closed');
    const merged = new Map(group.flatMap(({ changes }) => [...changes]));
    const changes = encodeChanges(merged);
    const record = encodeRecord(changes, this.#sequence + 1, this.#durable);
    try {
      await file.write(this.#end, [record, record]);
    } catch (error) {
      // A full disk says no before anything counts: the same place is written again later.
      if (hasCode(error, 'ENOSPC')) {
        throw new JournalError('DISK_FULL', 'no room for metadata', {}, 'none', { cause: error });
      }
      throw this.#fail(error);
    }
    await file.sync().catch((error: unknown) => {
      throw this.#fail(error);
    });
    if (await this.isTaken().catch((error: unknown) => Promise.reject(this.#fail(error)))) {
      throw this.#failed;
    }
    this.#sequence += 1;
    this.#end += 2 * record.length;
    this.#durable = this.#end;
    applyChanges(this.#values, changes);
    const changed = this.#end - this.#wholeBytes;
    if (changed > REWRITE_BYTES && changed > REWRITE_FACTOR * this.#wholeBytes) {
      await this.#rewriteOrStay();
    }
  }

  async isTaken(): Promise<boolean> {
    if (this.#failed?.code !== 'UNAVAILABLE' && (await this.#claim.isLost())) this.#take();
    return this.#failed?.code === 'UNAVAILABLE';
  }

  #take(): JournalError {
    const { directory, logger } = this.#options;
    const what = `the metadata in ${directory} were opened by another process, which goes on`;
    logger.error({ directory }, 'another process has opened this volume: it has it now');
    this.#failed = new JournalError('UNAVAILABLE', what);
    return this.#failed;
  }

  /** The saves are durable already: a full disk only puts the rewrite off. */
  async #rewriteOrStay(): Promise<void> {
    const { disk, directory } = this.#options;
    const [claim, old] = [this.#claim, this.#generation];
    try {
      const next = await claim.next();
      if (next === null) throw this.#take();
      this.#claim = next;
      await this.rewrite();
      await disk.remove(`${directory}/${metadataName(old)}`);
    } catch (error) {
      if (!hasCode(error, 'ENOSPC') || this.#generation !== old) throw this.#fail(error);
    }
    if (this.#claim !== claim) await claim.release();
  }

  /** Begins the generation of the newest claim with all that is known. */
  async rewrite(): Promise<void> {
    const { disk, directory } = this.#options;
    const next = this.#claim.number;
    const path = `${directory}/${metadataName(next)}`;
    const temporary = `${path}.tmp`;
    await disk.remove(temporary);
    const record = encodeRecord(encodeChanges(this.#values), 1, 0);
    const written = await disk.create(temporary);
    try {
      await written.write(0, [record, record]);
      await written.sync();
    } finally {
      await written.close();
    }
    await disk.rename(temporary, path);
    await disk.syncDirectory(directory);
    const file = await disk.open(path);
    await this.#file?.close();
    this.#file = file;
    this.#generation = next;
    this.#sequence = 1;
    this.#end = 2 * record.length;
    this.#durable = this.#end;
    this.#wholeBytes = this.#end;
  }

  #fail(error: unknown): JournalError {
    const { directory, logger } = this.#options;
    const what = `the metadata in ${directory} could not be synced; nothing is saved any more`;
    this.#failed ??= new JournalError('DAMAGED', what, {}, 'unknown', { cause: error });
    logger.error({ directory, error: String(error) }, 'the metadata failed');
    return this.#failed;
  }
}

function copied(changes: MetadataChanges): MetadataChanges {
  const copy = new Map<string, Uint8Array | null>();
  for (const [key, value] of changes) {
    copy.set(key, value === null ? null : Buffer.from(asBuffer(value)));
  }
  return copy;
}
