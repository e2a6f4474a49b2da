// The reference: a volume in memory, as short as the contract of log.ts allows.
//
// What is synced counts as durable and is gone with the process. The same suite runs on it and on
// the volume on a disk; where they differ, one of them is wrong.

import type { EpochRun, LogShape, TablesSnapshot } from '../protocol/chain/messages.ts';
import {
  commitTables,
  emptyTables,
  foldBatch,
  openTables,
  snapshotTables,
} from '../protocol/chain/tables.ts';
import { deleted, InvariantViolation, invariant, JournalError } from '../protocol/errors.ts';
import {
  after,
  type Batch,
  type Epoch,
  type JournalId,
  type Lsn,
  lastLsn,
  lower,
  lsn,
  type Micros,
  micros,
  NO_EPOCH,
  NO_LSN,
} from '../protocol/types.ts';
import { batchCrc, decodeBatch, previousCrc } from './batch.ts';
import type { Base, Damage, JournalLog, Volume, VolumeStats } from './log.ts';

export function memoryVolume(): Volume {
  return new MemoryVolume();
}

class MemoryVolume implements Volume {
  readonly #logs = new Map<JournalId, MemoryLog>();
  readonly failed = null;
  #syncs = 0;

  journals(): readonly JournalLog[] {
    return [...this.#logs.values()];
  }

  find(journal: JournalId): JournalLog | undefined {
    return this.#logs.get(journal);
  }

  create(journal: JournalId, base?: Base): JournalLog {
    invariant(!this.#logs.has(journal), 'a journal has one log', () => journal);
    const log = new MemoryLog(base ?? emptyBase(journal, snapshotTables(emptyTables())));
    this.#logs.set(journal, log);
    return log;
  }

  async drop(journal: JournalId): Promise<void> {
    const log = this.#logs.get(journal);
    if (log !== undefined) log.dropped = true;
    this.#logs.delete(journal);
  }

  async sync(): Promise<void> {
    this.#syncs += 1;
    for (const log of this.#logs.values()) log.durableLsn = log.endLsn;
  }

  admit(): null {
    return null;
  }

  damages(): readonly Damage[] {
    return [];
  }

  get stats(): VolumeStats {
    let bytesUsed = 0;
    for (const log of this.#logs.values()) bytesUsed += log.bytes;
    return {
      segments: 0,
      bytesUsed,
      bytesFree: Number.MAX_SAFE_INTEGER,
      syncs: this.#syncs,
      lastSyncMicros: micros(0),
      pendingSyncSince: micros(0),
      bytesWritten: bytesUsed,
    };
  }

  async scrub(): Promise<void> {}

  async close(): Promise<void> {}
}

function emptyBase(journal: JournalId, tables: TablesSnapshot): Base {
  return { journal, lsn: NO_LSN, epoch: NO_EPOCH, crc: 0, trimmedLsn: NO_LSN, tables };
}

class MemoryLog implements JournalLog {
  readonly journal: JournalId;
  durableLsn: Lsn;
  dropped = false;
  #base: Base;
  #batches: Batch[] = [];
  #fresh = true;

  constructor(base: Base) {
    this.journal = base.journal;
    this.#base = base;
    this.durableLsn = base.lsn;
  }

  get endLsn(): Lsn {
    const last = this.#batches.at(-1);
    return last === undefined ? this.#base.lsn : lastLsn(last.header);
  }

  get endEpoch(): Epoch {
    return this.#batches.at(-1)?.header.epoch ?? this.#base.epoch;
  }

  get endCrc(): number {
    const last = this.#batches.at(-1);
    return last === undefined ? this.#base.crc : batchCrc(last);
  }

  get bytes(): number {
    return this.#batches.reduce((sum, { bytes }) => sum + bytes.length, 0);
  }

  shape(): LogShape {
    const runs: EpochRun[] = [];
    for (const { header } of this.#batches) {
      const { epoch, firstLsn } = header;
      if (runs.at(-1)?.epoch !== epoch) runs.push({ epoch, firstLsn });
    }
    return { baseLsn: this.#base.lsn, baseEpoch: this.#base.epoch, endLsn: this.endLsn, runs };
  }

  damages(): readonly Damage[] {
    return [];
  }

  recoveredTables(): TablesSnapshot {
    if (this.#fresh) return this.#base.tables;
    throw new InvariantViolation('tables are asked for before the first append', this.journal);
  }

  async tablesAt(at: Lsn): Promise<TablesSnapshot> {
    return this.#tablesAt(at);
  }

  #tablesAt(at: Lsn): TablesSnapshot {
    const tables = openTables(this.#base.tables);
    for (const { header } of this.#batches) {
      if (header.firstLsn > at) break;
      foldBatch(tables, header);
      commitTables(tables, lastLsn(header));
    }
    const snapshot = snapshotTables(tables);
    invariant(snapshot.lsn === at, 'tables are folded up to a border', () => `${at}`);
    return snapshot;
  }

  append(batch: Batch): void {
    const { header } = batch;
    invariant(
      header.journal === this.journal && header.firstLsn === this.endLsn + 1,
      'an append extends its log',
      () => `${header.firstLsn} after ${this.endLsn}`,
    );
    const chained = previousCrc(batch) === this.endCrc;
    invariant(chained, 'a batch is chained to the one before', () => `${header.firstLsn}`);
    const rises = header.epoch >= this.endEpoch;
    invariant(rises, 'epochs never fall along a log', () => `${header.epoch}`);
    this.#fresh = false;
    this.#batches.push(batch);
  }

  #place(position: Lsn): number {
    return this.#batches.findIndex(({ header }) => lastLsn(header) >= position);
  }

  async read(from: Lsn, bytesMax: number): Promise<readonly Batch[]> {
    if (this.dropped) throw deleted(this.journal);
    if (from > this.endLsn) return [];
    if (from <= this.#base.lsn) {
      const firstLsn = after(this.#base.lsn, 1);
      throw new JournalError('TRIMMED', `position ${from} was trimmed`, { firstLsn });
    }
    const found: Batch[] = [];
    let bytes = 0;
    for (const batch of this.#batches.slice(this.#place(from))) {
      if (found.length > 0 && bytes + batch.bytes.length > bytesMax) break;
      found.push(batch);
      bytes += batch.bytes.length;
    }
    return found;
  }

  async find(time: Micros): Promise<Lsn> {
    for (const { header } of this.#batches) {
      const { firstLsn, timestamp, count } = header;
      if (timestamp + count - 1 < time) continue;
      return timestamp >= time ? firstLsn : lsn(firstLsn + (time - timestamp));
    }
    return after(this.endLsn, 1);
  }

  #isBorder(at: Lsn): boolean {
    return at === this.#base.lsn || this.#batches.some(({ header }) => lastLsn(header) === at);
  }

  async cut(endLsn: Lsn): Promise<void> {
    const inside = endLsn >= this.#base.lsn && endLsn <= this.endLsn;
    invariant(inside, 'a cut lies within its log', () => `${endLsn}`);
    if (!this.#isBorder(endLsn)) {
      throw new JournalError('INVALID_ARGUMENT', 'a cut is at the border of a batch');
    }
    this.#batches = this.#batches.filter(({ header }) => header.firstLsn <= endLsn);
    this.durableLsn = lower(this.durableLsn, endLsn);
  }

  async trim(through: Lsn): Promise<Base> {
    const trimmedLsn = lower(through, this.endLsn);
    if (trimmedLsn <= this.#base.trimmedLsn) return this.#base;
    this.durableLsn = this.endLsn;
    const last = this.#batches.findLast(({ header }) => lastLsn(header) <= trimmedLsn);
    if (last === undefined) {
      this.#base = { ...this.#base, trimmedLsn };
      return this.#base;
    }
    const at = lastLsn(last.header);
    const tables = this.#tablesAt(at);
    const { epoch } = last.header;
    const { journal } = this;
    this.#base = { journal, lsn: at, epoch, crc: batchCrc(last), trimmedLsn, tables };
    this.#batches = this.#batches.filter(({ header }) => header.firstLsn > at);
    return this.#base;
  }

  async rebase(base: Base): Promise<void> {
    if (base.lsn <= this.#base.lsn || base.lsn > this.durableLsn) {
      throw new JournalError('OUT_OF_RANGE', `a base at ${base.lsn}`);
    }
    const last = this.#batches.find(({ header }) => lastLsn(header) === base.lsn);
    const crc = last === undefined ? this.#base.crc : batchCrc(last);
    if (base.journal !== this.journal || crc !== base.crc) {
      throw new JournalError('INVALID_ARGUMENT', 'a base must be of this log');
    }
    this.#base = base;
    this.#batches = this.#batches.filter(({ header }) => header.firstLsn > base.lsn);
  }

  async base(): Promise<Base> {
    return this.#base;
  }

  async install(base: Base): Promise<void> {
    if (base.journal !== this.journal || base.lsn < this.#base.lsn) {
      throw new JournalError('INVALID_ARGUMENT', `the base is older: ${base.lsn}`);
    }
    this.#begin(base);
  }

  async setAside(): Promise<void> {
    const { limits } = openTables(this.#base.tables).scalars;
    this.#begin(emptyBase(this.journal, snapshotTables(emptyTables(limits))));
  }

  #begin(base: Base): void {
    this.#base = base;
    this.#batches = [];
    this.#fresh = true;
    this.durableLsn = base.lsn;
  }

  async repair(batches: readonly Batch[]): Promise<void> {
    for (const batch of batches) {
      const place = this.#place(batch.header.firstLsn);
      const known = this.#batches[place];
      const { crc } = decodeBatch(batch.bytes);
      if (known === undefined || batchCrc(known) !== crc) {
        throw new JournalError('INVALID_ARGUMENT', 'a repair must fit the log');
      }
      this.#batches[place] = batch;
    }
  }
}
