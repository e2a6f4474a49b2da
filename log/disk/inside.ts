// What the parts of a volume on a disk see of one another: a log's insides, and the one writer.

import type { Clock } from '../../io/clock.ts';
import type { EpochRun, TablesSnapshot } from '../../protocol/chain/messages.ts';
import type { Batch, JournalId, Lsn } from '../../protocol/types.ts';
import type { Damage } from '../log.ts';
import type { Run } from '../segments/runs.ts';
import type { SegmentStore } from '../segments/store.ts';
import type { LogState } from './state.ts';
import type { CacheMeter, Tail } from './tail.ts';

/** One journal's log, as the files beside it change it. */
export interface LogInside {
  readonly journal: JournalId;
  readonly writer: Writer;
  state: LogState;
  /** Segment that holds the newest state; null where it was not written yet. */
  stateSegment: number | null;
  /** The state in memory is newer than the one on the disk. */
  stateDirty: boolean;
  /** Replaced as a whole wherever it changes other than at its end. */
  runs: Run[];
  epochs: EpochRun[];
  endLsn: Lsn;
  endCrc: number;
  durableLsn: Lsn;
  readonly baseLsn: Lsn;
  readonly tail: Tail;
  /** Appended and not synced, in order. */
  pending: Batch[];
  /** How many of `pending` are being written. */
  taken: number;
  /** Bytes of frames in the runs. */
  bytes: number;
  /** Set by recovery, until the first append. */
  tables: TablesSnapshot | null;
  /** Position of the newest checkpoint of the tables, and what was appended since. */
  checkpointLsn: Lsn;
  bytesSinceCheckpoint: number;
  damaged: Damage[];
  read(from: Lsn, bytesMax: number): Promise<readonly Batch[]>;
  /** Past the memory where the disk has it. */
  readDisk(from: Lsn, bytesMax: number): Promise<readonly Batch[]>;
  /** Notes damage that a read met, once. */
  note(damage: Damage): void;
}

/** The one who writes: everything durable of a volume goes through here, one thing at a time. */
export interface Writer {
  readonly store: SegmentStore;
  readonly clock: Clock;
  readonly cache: CacheMeter;
  refuseWhenFailed(): void;
  /** A log took a batch in: it is to be written by the next sync. */
  appended(log: LogInside, batch: Batch): void;
  /** Batches of a log that are pending no longer, although nobody wrote them. */
  forgotten(log: LogInside, bytes: number): void;
  sync(): Promise<void>;
  /** Runs alone, behind what was asked for before. */
  alone<Result>(task: () => Promise<Result>): Promise<Result>;
  /** Makes a state durable and takes it over; only within `alone`. */
  saveState(log: LogInside, state: LogState): Promise<void>;
  /** Writes batches that the log has already, to lie where they are now; only within `alone`. */
  rewrite(log: LogInside, batches: readonly Batch[]): Promise<void>;
  /** The next frame goes to a new segment; only within `alone`. */
  roll(): void;
  /** What a full disk kept of a write is gone, durably, when it resolves; only within `alone`. */
  dropTorn(): Promise<void>;
  /** Removes segments that hold nothing any more; only within `alone`. */
  collect(): Promise<void>;
}
