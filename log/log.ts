// The durable log of a volume: the contract in prose. volume.ts keeps it on a disk, memory.ts in
// memory (the reference); test/log.contract.ts runs on both.
//
// A volume is one sequence of segments shared by all its journals, so that one sync serves them
// all. Positions of one journal:
//
//     trimmed        base            durable          end
//   ─────────────────┤■■■■■■■■■■■■■■■■■■■■■│□□□□□□□□□□□│
//     gone for good  baseLsn         durableLsn       endLsn     ■ on disk  □ appended, not synced
//
// - `append` takes effect in memory at once, in order, and must extend: firstLsn = endLsn + 1, and
//   the batch's own `previousCrc` must be the checksum of the batch before it.
// - `Volume.sync` writes all that was appended before it was called, of all journals, and syncs
//   once; when it resolves, durableLsn has risen to the end as it was at the call. One at a time:
//   a second call waits for the first and then serves all that came meanwhile.
// - After a sync that failed the volume is `failed`: its segment is given up for good, every
//   append and sync rejects with DAMAGED, reads of what was durable go on.
// - When the disk is full, appends are refused by `admit` (DISK_FULL) before they are made; a
//   reserve stays for control entries, trims, metadata.
// - Batches are never split: reads, cuts and bases are at batch borders.

import type { LogShape, TablesSnapshot } from '../protocol/chain/messages.ts';
import type { Batch, BatchHeader, Epoch, JournalId, Lsn, Micros } from '../protocol/types.ts';

export interface Volume {
  /** Journals that have a log here, in order of creation. */
  journals(): readonly JournalLog[];
  find(journal: JournalId): JournalLog | undefined;
  /**
   * A new log that starts after `base` (its limits, and for an import its position), empty without
   * one. Durable with the next sync.
   */
  create(journal: JournalId, base?: Base): JournalLog;
  /**
   * Forgets a journal and frees its segments; durable when it resolves. Who still reads its log
   * then is refused with NOT_FOUND.
   */
  drop(journal: JournalId): Promise<void>;
  sync(): Promise<void>;
  /** Refusal DISK_FULL where `bytes` more of users' records would eat into the reserve. */
  admit(bytes: number): { readonly code: 'DISK_FULL'; readonly message: string } | null;
  /** What recovery, reads or the scrub found bad, and no repair has mended since. */
  damages(): readonly Damage[];
  /** Set once a write or sync failed. */
  readonly failed: Error | null;
  readonly stats: VolumeStats;
  /** Reads older data and checks it, at most `bytesPerSecond`, until `signal`; names what is bad. */
  scrub(
    bytesPerSecond: number,
    signal: AbortSignal,
    onDamage: (damage: Damage) => void,
  ): Promise<void>;
  /** Syncs, checkpoints the tables so that the next open reads little, closes. */
  close(): Promise<void>;
}

export interface JournalLog {
  readonly journal: JournalId;
  /** Where the log starts and ends, and the runs of epochs between. */
  shape(): LogShape;
  readonly endLsn: Lsn;
  readonly endEpoch: Epoch;
  /** Checksum of the last batch, or of the base; what the next batch's `previousCrc` must be. */
  readonly endCrc: number;
  readonly durableLsn: Lsn;
  /** Bytes that its batches above the base take on the disk. */
  readonly bytes: number;
  /** What is known to be bad of this log, in rising order of position. */
  damages(): readonly Damage[];
  /**
   * Tables folded up to `endLsn` by recovery; only right after open, then the machine keeps them.
   * Throws DAMAGED while a damaged batch stands in the way: `repair` folds them then.
   */
  recoveredTables(): TablesSnapshot;
  /** Tables folded up to `at`, a batch border: from the newest checkpoint below it, or the base. */
  tablesAt(at: Lsn): Promise<TablesSnapshot>;

  append(batch: Batch): void;
  /**
   * Batches from the one that holds `from` on, not yet synced ones included, at least one and at
   * most about `bytesMax`; empty where `from` is above the end. Rejects with JournalError TRIMMED
   * at or below the base, DAMAGED where bytes are bad (`Damage` as cause).
   */
  read(from: Lsn, bytesMax: number): Promise<readonly Batch[]>;
  /** First position whose record is not before `time`; the next one where all are older. */
  find(time: Micros): Promise<Lsn>;
  /** Drops everything after `endLsn`, a batch border; durable when it resolves. */
  cut(endLsn: Lsn): Promise<void>;
  /**
   * Cuts a new base at the last batch border at or below `through`: folds the tables from the old
   * base up to there, makes the new base durable as one unit, only then drops the prefix.
   */
  trim(through: Lsn): Promise<Base>;
  /**
   * Drops what a peer's base covers, as a trim to there does, and reads nothing of it: bad bytes
   * below it need no repair any more. Rejects with OUT_OF_RANGE a base that ends no later than this
   * one's or above what is durable, INVALID_ARGUMENT one that is not of this very log.
   */
  rebase(base: Base): Promise<void>;
  /** The base: what a learner whose log does not reach it must start from. */
  base(): Promise<Base>;
  /**
   * Replaces the whole log by a source's base: never one older than its own. Trims that were asked
   * for before are carried out first, later ones find what was installed.
   */
  install(base: Base): Promise<void>;
  /** Moves the whole log out of the way, kept until a person drops it, and starts empty. */
  setAside(): Promise<void>;
  /** Writes a good copy of damaged batches, in their place; bytes must match the chain around. */
  repair(batches: readonly Batch[]): Promise<void>;
}

/** One checksummed unit: everything that the entries up to `lsn` meant. */
export interface Base {
  readonly journal: JournalId;
  readonly lsn: Lsn;
  readonly epoch: Epoch;
  /** Checksum of the batch that ends at `lsn`. */
  readonly crc: number;
  readonly trimmedLsn: Lsn;
  readonly tables: TablesSnapshot;
}

export interface Damage {
  readonly journal: JournalId | null;
  readonly file: string;
  readonly position: number;
  /** Positions that are affected, where they are known. */
  readonly firstLsn: Lsn | null;
  readonly lastLsn: Lsn | null;
  readonly what: string;
}

export interface VolumeStats {
  readonly segments: number;
  readonly bytesUsed: number;
  readonly bytesFree: number;
  readonly syncs: number;
  /** Duration of the last sync and of the one under way, monotonic; 0 for none. */
  readonly lastSyncMicros: Micros;
  readonly pendingSyncSince: Micros;
  readonly bytesWritten: number;
}

/** One record as a client sends it, before it has a position. */
export interface RecordInput {
  readonly key?: string | undefined;
  readonly data: Uint8Array;
}

/** One record as it stands in the log. */
export interface LogRecord {
  readonly lsn: Lsn;
  readonly timestamp: Micros;
  readonly key?: string | undefined;
  readonly data: Uint8Array;
}

/** What batch.ts offers; named here since every room above speaks of it. */
export interface BatchCodec {
  /** Body bytes of records, with its checksum and the keys: made once, when a request arrives. */
  encodeBody(records: readonly RecordInput[]): EncodedBody;
  /** The replicated bytes of a batch, chained to the one before. */
  encode(header: BatchHeader, body: Uint8Array, previousCrc: number): Batch;
  /** Checks and reads a header from replicated bytes; throws JournalError DAMAGED. */
  decode(bytes: Uint8Array): Batch & { readonly crc: number; readonly previousCrc: number };
  records(batch: Batch): LogRecord[];
}

export interface EncodedBody {
  readonly bytes: Uint8Array;
  readonly crc: number;
  readonly count: number;
  readonly keys: readonly { readonly key: string; readonly offset: number }[];
}
