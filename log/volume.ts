// A volume on a disk: opens what the last process left, and serves the contract of log.ts.

import type { Clock } from '../io/clock.ts';
import type { Disk } from '../io/disk.ts';
import type { Logger } from '../io/logger.ts';
import { nodeRandom } from '../io/node.ts';
import type { Random } from '../io/random.ts';
import { emptyTables, snapshotTables } from '../protocol/chain/tables.ts';
import { invariant, JournalError } from '../protocol/errors.ts';
import { type JournalId, lsn, NO_EPOCH, NO_LSN } from '../protocol/types.ts';
import { encodeBase } from './base.ts';
import type { LogInside } from './disk/inside.ts';
import { DiskLog } from './disk/journal.ts';
import { tablesUpTo } from './disk/reader.ts';
import { recoverLogs } from './disk/recovery.ts';
import type { LogState } from './disk/state.ts';
import { checkpoint, copyFree, damageOf, mostlyDead, scrubLogs } from './disk/upkeep.ts';
import { VolumeWriter } from './disk/writer.ts';
import { listOrNone, makeDurableDirectory } from './files.ts';
import { baseName, tablesName, VolumeLayout } from './layout.ts';
import type { Base, Damage, JournalLog, Volume, VolumeStats } from './log.ts';
import { recoverSegments, removeStrayIndexes } from './segments/recover.ts';
import type { Cut } from './segments/runs.ts';
import { SegmentStore } from './segments/store.ts';

const MIB = 1024 * 1024;

export interface VolumeOptions {
  /** Size of a segment; 64 MiB by default, at least 64 KiB. A batch may be bigger. */
  readonly segmentBytes?: number;
  /** Bytes of the disk that users' records leave free; 64 MiB by default. */
  readonly reserveBytes?: number;
  /** Most bytes written at once; 8 MiB by default. */
  readonly groupBytes?: number;
  /** Most bytes of synced batches kept in memory; 64 MiB by default. */
  readonly cacheBytes?: number;
  /** Most bytes of loaded places of closed segments; 32 MiB by default. */
  readonly placeBytes?: number;
  /** Bytes of a journal after which its tables are written beside it; 64 MiB by default. */
  readonly checkpointBytes?: number;
  /** How fast mostly dead segments are copied; 16 MiB a second by default. */
  readonly copyBytesPerSecond?: number;
}

export interface VolumeParts {
  readonly disk: Disk;
  /** Of its own; made where it does not exist. */
  readonly directory: string;
  readonly clock: Clock;
  readonly logger: Logger;
  /** For the ids of segments; chance of the operating system where none is given. */
  readonly random?: Random;
  readonly options?: VolumeOptions;
  /** Whether another process has come (claim.ts): asked after each sync, before it counts. */
  readonly isTaken?: () => Promise<boolean>;
}

const DEFAULTS: Required<VolumeOptions> = {
  segmentBytes: 64 * MIB,
  reserveBytes: 64 * MIB,
  groupBytes: 8 * MIB,
  cacheBytes: 64 * MIB,
  placeBytes: 32 * MIB,
  checkpointBytes: 64 * MIB,
  copyBytesPerSecond: 16 * MIB,
};

/** Opens or makes a volume. The caller holds the lock of the data directory (directory.ts). */
export async function openVolume(parts: VolumeParts): Promise<Volume> {
  const { disk, clock, logger } = parts;
  const options = { ...DEFAULTS, ...parts.options };
  const layout = new VolumeLayout(parts.directory);
  await makeDirectories(disk, layout);
  const store = new SegmentStore({
    disk,
    layout,
    logger,
    random: parts.random ?? nodeRandom(),
    segmentBytes: options.segmentBytes,
    placeBytesMax: options.placeBytes,
  });
  const lost = await recoverSegments(store);
  await removeStrayIndexes(store);
  const found = await recoverLogs(store);
  const damages: Damage[] = [
    ...lost.map((one) => ({ ...one, journal: null, position: 0, firstLsn: null, lastLsn: null })),
    ...found.damages,
  ];
  const volume = new DiskVolume(store, clock, options, damages, parts.isTaken);
  for (const log of found.logs) volume.adopt(log);
  for (const log of found.dropped) volume.adoptDropped(log);
  await volume.begin();
  for (const damage of volume.damages()) logger.error({ ...damage }, 'the volume is damaged');
  const { segments } = volume.stats;
  logger.info({ directory: layout.directory, journals: found.logs.length, segments }, 'opened');
  return volume;
}

/** What folding the tables met counts like what recovery met: it waits to be mended. */
function met({ journal }: DiskLog, error: JournalError): Damage {
  const unknown = { file: '', position: 0, firstLsn: null, lastLsn: null };
  return damageOf(error) ?? { ...unknown, journal, what: error.message };
}

async function makeDirectories(disk: Disk, layout: VolumeLayout): Promise<void> {
  await makeDurableDirectory(disk, layout.directory);
  const folders = [layout.segments, layout.bases, layout.tables, layout.aside];
  for (const path of folders) await disk.makeDirectory(path);
  await disk.syncDirectory(layout.directory);
  // Names that a process made and did not sync before it was killed.
  for (const path of folders) await disk.syncDirectory(path);
}

class DiskVolume implements Volume {
  readonly #writer: VolumeWriter;
  readonly #options: Required<VolumeOptions>;
  #damages: readonly Damage[];
  readonly #logs = new Map<JournalId, DiskLog>();
  #closed = false;
  /** Work beside the appends, one thing after the other. */
  #background: Promise<void> = Promise.resolve();
  #copying = false;

  constructor(
    store: SegmentStore,
    clock: Clock,
    options: Required<VolumeOptions>,
    damages: readonly Damage[],
    isTaken?: () => Promise<boolean>,
  ) {
    const { segmentBytes, groupBytes, reserveBytes, cacheBytes } = options;
    this.#options = options;
    this.#damages = damages;
    this.#writer = new VolumeWriter({
      store,
      clock,
      reserveBytes,
      cacheBytes,
      isTaken,
      groupBytes: Math.min(groupBytes, Math.floor(segmentBytes / 2)),
      written: (log, bytes) => this.#written(log, bytes),
    });
  }

  adopt(parts: ConstructorParameters<typeof DiskLog>[1]): void {
    const log = new DiskLog(this.#writer, parts);
    this.#logs.set(log.journal, log);
    this.#writer.logs.set(log.journal, log);
  }

  adoptDropped(parts: ConstructorParameters<typeof DiskLog>[1]): void {
    this.#writer.dropped.set(parts.state.journal, new DiskLog(this.#writer, parts));
  }

  /** Folds the tables of all logs, and drops what a crash left half removed. */
  async begin(): Promise<void> {
    await this.#writer.askSpace();
    for (const log of this.#logs.values()) {
      try {
        log.tables = await tablesUpTo(log, log.endLsn);
      } catch (error) {
        if (error instanceof JournalError && error.code === 'DAMAGED') log.note(met(log, error));
        else if (log.damaged.length === 0) throw error;
      }
    }
    await this.#removeStrays();
    await this.#writer.alone(() => this.#writer.collect());
  }

  async #removeStrays(): Promise<void> {
    const { disk, layout } = this.#writer.store.options;
    const bases = new Set<string>();
    const tables = new Set<string>();
    for (const { journal, state } of this.#logs.values()) {
      tables.add(tablesName(journal));
      if (state.base.inline === null) bases.add(baseName(journal, state.base.serial));
    }
    // Where a journal's state could not be read, its files may still be of use to a person.
    if (this.#damages.length > 0) return;
    for (const [folder, kept] of [
      [layout.bases, bases],
      [layout.tables, tables],
    ] as const) {
      for (const name of await listOrNone(disk, folder)) {
        if (!kept.has(name)) await disk.remove(`${folder}/${name}`);
      }
    }
  }

  journals(): readonly JournalLog[] {
    return [...this.#logs.values()];
  }

  find(journal: JournalId): JournalLog | undefined {
    return this.#logs.get(journal);
  }

  create(journal: JournalId, given?: Base): JournalLog {
    this.#writer.refuseWhenFailed();
    invariant(!this.#logs.has(journal), 'a journal has one log', () => journal);
    const base = given ?? emptyBase(journal);
    const before = this.#writer.dropped.get(journal)?.state;
    this.#writer.dropped.delete(journal);
    const { lsn: at, epoch, crc, trimmedLsn } = base;
    const state: LogState = {
      journal,
      serial: (before?.serial ?? 0) + 1,
      dropped: false,
      cuts: before?.cuts ?? this.#cutStrays(journal),
      base: {
        lsn: at,
        epoch,
        crc,
        trimmedLsn,
        serial: (before?.base.serial ?? 0) + 1,
        inline: encodeBase(base),
      },
    };
    const log = new DiskLog(this.#writer, {
      state,
      stateSegment: null,
      runs: [],
      epochs: [],
      endLsn: at,
      endCrc: crc,
      damages: [],
    });
    log.tables = base.tables;
    this.#logs.set(journal, log);
    this.#writer.created(log);
    return log;
  }

  /**
   * Batches of a journal whose state cannot be read: nobody knows any more which of them were cut,
   * so none of them may count in the log that takes their place.
   */
  #cutStrays(journal: JournalId): readonly Cut[] {
    const { store } = this.#writer;
    this.#damages = this.#damages.filter((damage) => damage.journal !== journal);
    const strays = [...store.segments.values()].some(
      ({ index }) => (index.journals.get(journal)?.spans.length ?? 0) > 0,
    );
    if (!strays) return [];
    store.options.logger.error({ journal }, 'the state of a journal is lost: its log begins anew');
    this.#writer.roll();
    return [{ segment: store.lastNumber, endLsn: NO_LSN }];
  }

  async drop(journal: JournalId): Promise<void> {
    const log = this.#logs.get(journal);
    if (log === undefined) return;
    const { store } = this.#writer;
    await this.#writer.alone(async () => {
      const cuts = [{ segment: store.lastNumber, endLsn: lsn(0) }];
      const { base } = log.state;
      const serial = log.state.serial + 1;
      const last = { ...base, inline: encodeBase(emptyBase(journal)) };
      await this.#writer.saveState(log, { journal, serial, dropped: true, cuts, base: last });
      // Not before: where the disk is full all is as it was, and is done again once there is room.
      this.#logs.delete(journal);
      this.#writer.removed(log);
      this.#writer.roll();
      log.runs = [];
      this.#writer.dropped.set(journal, log);
      await this.#writer.collect();
      const { disk, layout } = store.options;
      await disk.remove(layout.base(journal, base.serial));
      await disk.remove(`${layout.tables}/${tablesName(journal)}`);
    });
  }

  sync(): Promise<void> {
    return this.#writer.sync();
  }

  admit(bytes: number): { readonly code: 'DISK_FULL'; readonly message: string } | null {
    return this.#writer.admit(bytes);
  }

  damages(): readonly Damage[] {
    return [...this.#damages, ...[...this.#logs.values()].flatMap((log) => log.damaged)];
  }

  get failed(): Error | null {
    return this.#writer.failed;
  }

  get stats(): VolumeStats {
    return this.#writer.stats;
  }

  scrub(
    bytesPerSecond: number,
    signal: AbortSignal,
    onDamage: (damage: Damage) => void,
  ): Promise<void> {
    const logs = (): DiskLog[] => [...this.#logs.values()];
    return scrubLogs(this.#writer.clock, logs, bytesPerSecond, signal, onDamage);
  }

  #written(log: LogInside, bytes: number): void {
    log.bytesSinceCheckpoint += bytes;
    if (log.bytesSinceCheckpoint >= this.#options.checkpointBytes) {
      log.bytesSinceCheckpoint = 0;
      this.#beside(() => checkpoint(log));
    }
    this.#copyWhatIsMostlyDead();
  }

  #copyWhatIsMostlyDead(): void {
    if (this.#copying) return;
    const logs = [...this.#logs.values()];
    const segment = mostlyDead(this.#writer, logs);
    if (segment === undefined) return;
    this.#copying = true;
    const { copyBytesPerSecond } = this.#options;
    this.#beside(async () => {
      try {
        const isStopped = (): boolean => this.#closed;
        await copyFree(this.#writer, logs, segment, copyBytesPerSecond, isStopped);
      } finally {
        this.#copying = false;
      }
    });
  }

  #beside(task: () => Promise<void>): void {
    this.#background = this.#background.then(async () => {
      if (this.#closed || this.failed !== null) return;
      try {
        await task();
      } catch (error) {
        const { logger } = this.#writer.store.options;
        logger.warn({ error: String(error) }, 'work beside the appends was not done');
      }
    });
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    const { store } = this.#writer;
    if (this.failed === null) await this.#writer.sync();
    this.#closed = true;
    await this.#background;
    if (this.failed === null) {
      for (const log of this.#logs.values()) await this.#checkpointLast(log);
      await this.#writer.alone(() => store.closeActive());
    }
    this.#writer.failed ??= new JournalError('UNAVAILABLE', 'the volume is closed');
    await store.close();
  }

  /** Derived: the next open folds more where it is missing. */
  async #checkpointLast(log: DiskLog): Promise<void> {
    try {
      await checkpoint(log);
    } catch (error) {
      const { logger } = this.#writer.store.options;
      logger.warn({ journal: log.journal, error: String(error) }, 'no tables were written');
    }
  }
}

function emptyBase(journal: JournalId): Base {
  const tables = snapshotTables(emptyTables());
  return { journal, lsn: NO_LSN, epoch: NO_EPOCH, crc: 0, trimmedLsn: NO_LSN, tables };
}
