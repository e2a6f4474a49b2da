// One journal's log on a disk: its positions, its newest batches, and where the others lie.
//
// Appends only touch memory; the volume's writer (writer.ts) brings them to the disk. What changes
// a log other than by appending is in changes.ts.

import type { EpochRun, LogShape, TablesSnapshot } from '../../protocol/chain/messages.ts';
import { deleted, InvariantViolation, invariant, JournalError } from '../../protocol/errors.ts';
import type { Batch, Epoch, JournalId, Lsn, Micros } from '../../protocol/types.ts';
import { after, lastLsn, lsn } from '../../protocol/types.ts';
import { batchCrc, previousCrc } from '../batch.ts';
import type { Base, Damage, JournalLog } from '../log.ts';
import { type Run, runBytes } from '../segments/runs.ts';
import { cutLog, installBase, rebaseLog, repairLog, setLogAside, trimLog } from './changes.ts';
import type { LogInside, Writer } from './inside.ts';
import { readBase, readPlaced, tablesUpTo } from './reader.ts';
import type { LogState } from './state.ts';
import { Tail } from './tail.ts';

/** What recovery found of one journal, or what a new one begins with. */
export interface LogParts {
  readonly state: LogState;
  /** Segment that holds the newest state; null where it was not written yet. */
  readonly stateSegment: number | null;
  readonly runs: readonly Run[];
  readonly epochs: readonly EpochRun[];
  readonly endLsn: Lsn;
  readonly endCrc: number;
  readonly damages: readonly Damage[];
}

/** Reads that meet a trim or a move of segments try again; a log does not change more often. */
const ATTEMPTS_MAX = 3;

export class DiskLog implements JournalLog, LogInside {
  readonly journal: JournalId;
  readonly writer: Writer;
  state: LogState;
  stateSegment: number | null;
  /** The state in memory is newer than the one on the disk. */
  stateDirty: boolean;
  runs: Run[];
  epochs: EpochRun[];
  endLsn: Lsn;
  endCrc: number;
  durableLsn: Lsn;
  readonly tail: Tail;
  /** Appended and not synced, in order. */
  pending: Batch[] = [];
  /** How many of `pending` are being written. */
  taken = 0;
  /** Bytes of frames in the runs. */
  bytes: number;
  /** Set by recovery, until the first append. */
  tables: TablesSnapshot | null = null;
  /** Position and bytes of the newest checkpoint of the tables. */
  checkpointLsn: Lsn;
  bytesSinceCheckpoint = 0;
  damaged: Damage[];
  /** A cut or a new base is on its way: nothing is appended meanwhile. */
  changing = false;
  /** Whatever makes a new base of the one before, one after another. */
  #bases: Promise<unknown> = Promise.resolve();

  constructor(writer: Writer, parts: LogParts) {
    this.writer = writer;
    this.tail = new Tail(writer.cache);
    this.journal = parts.state.journal;
    this.state = parts.state;
    this.stateSegment = parts.stateSegment;
    this.stateDirty = parts.stateSegment === null;
    this.runs = [...parts.runs];
    this.epochs = [...parts.epochs];
    this.endLsn = parts.endLsn;
    this.endCrc = parts.endCrc;
    this.durableLsn = parts.endLsn;
    this.checkpointLsn = parts.state.base.lsn;
    this.damaged = [...parts.damages];
    this.bytes = this.runs.reduce((sum, run) => sum + runBytes(run), 0);
  }

  get baseLsn(): Lsn {
    return this.state.base.lsn;
  }

  get endEpoch(): Epoch {
    return this.epochs.at(-1)?.epoch ?? this.state.base.epoch;
  }

  shape(): LogShape {
    const { lsn: baseLsn, epoch: baseEpoch } = this.state.base;
    return { baseLsn, baseEpoch, endLsn: this.endLsn, runs: [...this.epochs] };
  }

  damages(): readonly Damage[] {
    return this.damaged;
  }

  recoveredTables(): TablesSnapshot {
    if (this.tables !== null) return this.tables;
    const damage = this.damaged[0];
    if (damage !== undefined) {
      const what = `the log of ${this.journal} must be repaired before its tables are known`;
      throw new JournalError('DAMAGED', what, {}, 'none', { cause: damage });
    }
    throw new InvariantViolation('tables are asked for before the first append', this.journal);
  }

  async tablesAt(at: Lsn): Promise<TablesSnapshot> {
    return tablesUpTo(this, at);
  }

  append(batch: Batch): void {
    const { header } = batch;
    this.writer.refuseWhenFailed();
    invariant(!this.changing, 'nothing is appended during a cut', () => this.journal);
    invariant(
      header.journal === this.journal && header.firstLsn === this.endLsn + 1,
      'an append extends its log',
      () => `${header.journal} ${header.firstLsn} after ${this.journal} ${this.endLsn}`,
    );
    invariant(
      previousCrc(batch) === this.endCrc,
      'a batch is chained to the one before',
      () => `${this.journal} ${header.firstLsn}`,
    );
    invariant(
      header.epoch >= this.endEpoch,
      'epochs never fall along a log',
      () => `${this.journal} ${header.epoch} after ${this.endEpoch}`,
    );
    if (this.epochs.at(-1)?.epoch !== header.epoch) {
      this.epochs.push({ epoch: header.epoch, firstLsn: header.firstLsn });
    }
    this.endLsn = lastLsn(header);
    this.endCrc = batchCrc(batch);
    this.tables = null;
    this.tail.push(batch);
    this.pending.push(batch);
    this.writer.appended(this, batch);
  }

  async read(from: Lsn, bytesMax: number): Promise<readonly Batch[]> {
    const cached = from > this.baseLsn ? this.tail.from(from, bytesMax) : [];
    return cached.length > 0 ? cached : this.readDisk(from, bytesMax);
  }

  /** As `read`, past the memory where the disk has it: what a scrub looks at. */
  async readDisk(from: Lsn, bytesMax: number): Promise<readonly Batch[]> {
    for (let attempt = 1; ; attempt += 1) {
      this.#refuseDropped();
      if (from > this.endLsn) return [];
      this.#refuseTrimmed(from);
      const { runs } = this;
      if (from > this.durableLsn) return this.tail.from(from, bytesMax);
      try {
        return await readPlaced(this, from, bytesMax);
      } catch (error) {
        // What was read is gone because the log moved under it: look again.
        if (this.runs === runs || attempt === ATTEMPTS_MAX) throw error;
      }
    }
  }

  /** Who was reading while it was dropped: that no segment has it is no damage. */
  #refuseDropped(): void {
    if (!this.state.dropped) return;
    throw deleted(this.journal);
  }

  #refuseTrimmed(from: Lsn): void {
    if (from > this.baseLsn) return;
    const firstLsn = after(this.baseLsn, 1);
    const what = `position ${from} of the journal was trimmed, the first one left is ${firstLsn}`;
    throw new JournalError('TRIMMED', what, { firstLsn });
  }

  async find(time: Micros): Promise<Lsn> {
    let low: number = this.baseLsn + 1;
    let high: number = this.endLsn + 1;
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      const [batch] = await this.read(lsn(middle), 1);
      if (batch === undefined) {
        high = middle; // the log was cut meanwhile
        continue;
      }
      const { firstLsn, timestamp } = batch.header;
      const last = lastLsn(batch.header);
      if (timestamp + (last - firstLsn) < time) low = last + 1;
      else if (timestamp >= time) high = firstLsn;
      else return lsn(firstLsn + (time - timestamp));
    }
    return lsn(low);
  }

  async cut(endLsn: Lsn): Promise<void> {
    await this.#changed(() => cutLog(this, endLsn));
  }

  trim(through: Lsn): Promise<Base> {
    return this.#behind(() => trimLog(this, through));
  }

  rebase(base: Base): Promise<void> {
    return this.#behind(() => rebaseLog(this, base));
  }

  base(): Promise<Base> {
    return readBase(this);
  }

  async install(base: Base): Promise<void> {
    await this.#changed(() => this.#behind(() => installBase(this, base)));
  }

  async setAside(): Promise<void> {
    await this.#changed(() => this.#behind(() => setLogAside(this)));
  }

  /** A trim reads for long before it writes: nothing replaces meanwhile what it began with. */
  #behind<Result>(change: () => Promise<Result>): Promise<Result> {
    const done = this.#bases.then(change);
    this.#bases = done.catch(() => undefined);
    return done;
  }

  async repair(batches: readonly Batch[]): Promise<void> {
    await repairLog(this, batches);
  }

  async #changed(change: () => Promise<void>): Promise<void> {
    invariant(!this.changing, 'one cut at a time', () => this.journal);
    this.writer.refuseWhenFailed();
    this.changing = true;
    try {
      await change();
    } finally {
      this.changing = false;
    }
  }

  /** Notes damage that a read met, once. */
  note(damage: Damage): void {
    const known = this.damaged.some(
      (one) => one.firstLsn === damage.firstLsn && one.lastLsn === damage.lastLsn,
    );
    if (!known) {
      this.damaged.push(damage);
      this.damaged.sort((one, other) => (one.firstLsn ?? 0) - (other.firstLsn ?? 0));
    }
  }
}
