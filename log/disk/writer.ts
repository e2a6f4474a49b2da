// The one writer of a volume: groups what all journals appended, writes once, syncs once.
//
// Whatever must be durable goes through `alone`, one thing after the other. A group takes its share
// of bytes from each journal in turn, so that one that appends much does not hold up the others.

import type { Clock } from '../../io/clock.ts';
import { JournalError } from '../../protocol/errors.ts';
import {
  type Batch,
  type JournalId,
  type Lsn,
  lastLsn,
  type Micros,
  micros,
  NO_LSN,
} from '../../protocol/types.ts';
import { hasCode } from '../files.ts';
import type { VolumeStats } from '../log.ts';
import { ENVELOPE_BYTES, frameBytes, type OutgoingFrame } from '../segments/envelope.ts';
import { epochsOf, overlay, type Run, runBytes } from '../segments/runs.ts';
import type { Segment } from '../segments/segment.ts';
import type { SegmentStore } from '../segments/store.ts';
import { addToIndex, addToLog, batchFrame, type Item, takeGroup } from './group.ts';
import type { LogInside, Writer } from './inside.ts';
import { Space } from './space.ts';
import { type LogState, stateFrames } from './state.ts';
import type { CacheMeter } from './tail.ts';

export interface WriterOptions {
  readonly store: SegmentStore;
  readonly clock: Clock;
  /** Bytes that stay free for trims, control entries and metadata. */
  readonly reserveBytes: number;
  /** Most bytes of one write; a single batch may be more. */
  readonly groupBytes: number;
  /** Most bytes of synced batches that are kept in memory, all journals together. */
  readonly cacheBytes: number;
  /** Whether another process has the volume now: then what was synced counts for nothing. */
  readonly isTaken?: (() => Promise<boolean>) | undefined;
  /** Called after each group: bytes of each log have become durable. */
  readonly written: (log: LogInside, bytes: number) => void;
}

const CACHE_KEPT = 7 / 8;

export class VolumeWriter implements Writer {
  readonly store: SegmentStore;
  readonly clock: Clock;
  /** In order of creation. */
  readonly logs = new Map<JournalId, LogInside>();
  /** States of journals that are gone, as long as a segment holds something of theirs. */
  readonly dropped = new Map<JournalId, LogInside>();
  failed: Error | null = null;
  readonly cache: CacheMeter = { bytes: 0 };
  readonly #options: WriterOptions;
  #lane: Promise<unknown> = Promise.resolve();
  #nextSync: Promise<void> | null = null;
  #rollNext = false;
  /** Logs with something to write, the longest unserved first. */
  readonly #waiting = new Set<LogInside>();
  #pendingBytes = 0;
  #syncs = 0;
  #lastSyncMicros = micros(0);
  #pendingSyncSince = micros(0);
  #bytesWritten = 0;
  readonly #space: Space;

  constructor(options: WriterOptions) {
    this.#options = options;
    this.store = options.store;
    this.clock = options.clock;
    this.#space = new Space(options.store.options, options.clock, options.reserveBytes);
  }

  // ── Appends ─────────────────────────────────────────────────────────────────────────────────

  refuseWhenFailed(): void {
    if (this.failed !== null) throw this.#failure();
  }

  #failure(): JournalError {
    const what = `the volume is given up: ${this.failed?.message}; only reads go on`;
    return new JournalError('DAMAGED', what, {}, 'unknown', { cause: this.failed });
  }

  appended(log: LogInside, batch: Batch): void {
    this.#waiting.add(log);
    this.#pendingBytes += batch.bytes.length;
  }

  forgotten(log: LogInside, bytes: number): void {
    this.#pendingBytes -= bytes;
    if (log.pending.length === 0 && !log.stateDirty) this.#waiting.delete(log);
  }

  /** The journal is gone: what it had to write is not written. */
  removed(log: LogInside): void {
    this.logs.delete(log.journal);
    this.#waiting.delete(log);
    for (const { bytes } of log.pending) this.#pendingBytes -= bytes.length;
    log.pending = [];
    while (log.tail.oldest !== undefined) log.tail.shift();
  }

  /** A log that was just made: its state goes with the next sync. */
  created(log: LogInside): void {
    this.logs.set(log.journal, log);
    this.#waiting.add(log);
  }

  admit(bytes: number): { readonly code: 'DISK_FULL'; readonly message: string } | null {
    return this.#space.admit(bytes + this.#pendingBytes);
  }

  /** Asks the disk how much is free; never rejects. */
  askSpace(): Promise<void> {
    return this.#space.ask();
  }

  get stats(): VolumeStats {
    let bytesUsed = 0;
    for (const segment of this.store.segments.values()) bytesUsed += segment.end;
    return {
      segments: this.store.segments.size,
      bytesUsed,
      bytesFree: Math.max(0, this.#space.freeBytes),
      syncs: this.#syncs,
      lastSyncMicros: this.#lastSyncMicros,
      pendingSyncSince: this.#pendingSyncSince,
      bytesWritten: this.#bytesWritten,
    };
  }

  // ── One thing after the other ───────────────────────────────────────────────────────────────

  alone<Result>(task: () => Promise<Result>): Promise<Result> {
    const done = this.#lane.then(() => {
      this.refuseWhenFailed();
      return task();
    });
    this.#lane = done.catch(() => undefined);
    return done;
  }

  sync(): Promise<void> {
    if (this.#nextSync !== null) return this.#nextSync;
    const next = this.alone(async () => {
      this.#nextSync = null;
      await this.#writeWaiting();
    });
    this.#nextSync = next;
    next.catch(() => {
      if (this.#nextSync === next) this.#nextSync = null;
    });
    return next;
  }

  /** Writes what waits now, group after group; what comes meanwhile is the next sync's. */
  async #writeWaiting(): Promise<void> {
    const goals = [...this.#waiting].map((log) => [log, log.endLsn] as const);
    const open = ([log, goal]: readonly [LogInside, Lsn]): boolean =>
      this.#waiting.has(log) && (log.stateDirty || log.durableLsn < goal);
    while (goals.some(open)) {
      const items = takeGroup([...this.#waiting], this.#options.groupBytes);
      try {
        const placed = await this.#writeFrames(items.map(({ frame }) => frame));
        this.#settle(items, placed.segment, placed.offset);
      } finally {
        for (const { log } of items) log.taken = 0;
      }
    }
    this.#space.refresh();
  }

  /** What was written is durable: it counts. */
  #settle(items: readonly Item[], segment: Segment, start: number): void {
    let offset = start;
    const written = new Map<LogInside, number>();
    for (const { log, batch, frame } of items) {
      const bytes = frameBytes(frame);
      if (batch === null) this.#placeState(log, segment, offset, frame);
      else {
        addToLog(log, segment, offset, batch);
        written.set(log, (written.get(log) ?? 0) + bytes);
        this.#pendingBytes -= batch.bytes.length;
      }
      offset += bytes;
    }
    for (const { log } of items) {
      if (log.taken > 0) log.pending = log.pending.slice(log.taken);
      log.taken = 0;
      // To the end of the turn, where anything is left.
      this.#waiting.delete(log);
      if (log.pending.length > 0) this.#waiting.add(log);
    }
    this.#evict();
    for (const [log, bytes] of written) this.#options.written(log, bytes);
  }

  #placeState(log: LogInside, segment: Segment, offset: number, frame: OutgoingFrame): void {
    segment.index.addState(log.journal, { offset, length: frame.payload.length });
    log.stateSegment = segment.number;
    log.stateDirty = false;
  }

  /** Forgets the oldest synced batches of the logs that have most of them in memory. */
  #evict(): void {
    if (this.cache.bytes <= this.#options.cacheBytes) return;
    // A little more than needed, so that not every group does this.
    const goal = this.#options.cacheBytes * CACHE_KEPT;
    const logs = [...this.logs.values()].sort((one, other) => other.tail.bytes - one.tail.bytes);
    for (const [place, log] of logs.entries()) {
      const next = logs[place + 1]?.tail.bytes ?? 0;
      const enough = Math.min(next, log.tail.bytes) / 2;
      for (let { oldest } = log.tail; this.cache.bytes > goal; oldest = log.tail.oldest) {
        if (oldest === undefined || lastLsn(oldest.header) > log.durableLsn) break;
        if (log.tail.bytes <= enough) break;
        log.tail.shift();
      }
      if (this.cache.bytes <= goal) break;
    }
  }

  // ── The disk ────────────────────────────────────────────────────────────────────────────────

  /** Writes frames one after another into one segment and syncs them. */
  async #writeFrames(
    frames: readonly OutgoingFrame[],
  ): Promise<{ readonly segment: Segment; readonly offset: number }> {
    const { store } = this;
    const bytes = frames.reduce((sum, frame) => sum + frameBytes(frame), 0);
    this.#pendingSyncSince = this.clock.now();
    try {
      if (this.#rollNext || store.isOutgrown || !store.fits(bytes)) await store.closeActive();
      this.#rollNext = false;
      const segment = store.active ?? (await store.openNext());
      const offset = segment.end;
      const end = await segment.write(frames);
      await store.sync(segment);
      if (await this.#options.isTaken?.()) throw new Error('another process has opened it');
      segment.moveTo(end);
      this.#wrote(bytes);
      const twoSegments = 2 * store.options.segmentBytes;
      if (store.wantsSpare && this.#space.hasRoom(twoSegments)) store.prepareSpare();
      return { segment, offset };
    } catch (error) {
      // Nothing of what is written counts yet, and the same place is written again later.
      if (hasCode(error, 'ENOSPC')) {
        // What a part of this write left behind must not be taken for a frame: a new segment.
        this.#rollNext = true;
        void this.askSpace();
        throw new JournalError('DISK_FULL', 'the disk is full', {}, 'none', { cause: error });
      }
      throw this.#fail(error);
    } finally {
      this.#pendingSyncSince = micros(0);
    }
  }

  #wrote(bytes: number): void {
    const now: Micros = this.clock.now();
    this.#syncs += 1;
    this.#lastSyncMicros = micros(Math.max(0, now - this.#pendingSyncSince));
    this.#bytesWritten += bytes;
    this.#space.wrote(bytes);
  }

  #fail(error: unknown): Error {
    if (this.failed === null) {
      this.failed = error instanceof Error ? error : new Error(String(error));
      const { logger, layout } = this.store.options;
      logger.error(
        { volume: layout.directory, error: this.failed.message },
        'the volume failed: nothing is written any more',
      );
    }
    return this.#failure();
  }

  async saveState(log: LogInside, state: LogState): Promise<void> {
    const frames = stateFrames(state);
    const { segment, offset } = await this.#writeFrames(frames);
    log.state = state;
    let at = offset;
    for (const frame of frames) {
      this.#placeState(log, segment, at, frame);
      at += frameBytes(frame);
    }
    if (log.pending.length === 0) this.#waiting.delete(log);
  }

  async rewrite(log: LogInside, batches: readonly Batch[]): Promise<void> {
    const { segment, offset } = await this.#writeFrames(batches.map(batchFrame));
    let at = offset;
    const { spans } = segment.index.of(log.journal);
    for (const batch of batches) {
      addToIndex(segment, at, batch);
      at += ENVELOPE_BYTES + batch.bytes.length;
    }
    const span = spans.at(-1);
    const first = batches[0];
    const last = batches.at(-1);
    if (span === undefined || first === undefined || last === undefined) return;
    const run: Run = {
      segment: segment.number,
      span,
      firstLsn: first.header.firstLsn,
      lastLsn: lastLsn(last.header),
    };
    log.runs = overlay(log.runs, run);
    // Where what was bad lay between two epochs, the log was opened without knowing whose it was.
    const end = log.runs.at(-1)?.lastLsn ?? NO_LSN;
    const later = log.epochs.filter(({ firstLsn }) => firstLsn > end);
    log.epochs = [...epochsOf(log.state.base, log.runs), ...later];
    log.bytes = log.runs.reduce((sum, one) => sum + runBytes(one), 0);
  }

  roll(): void {
    this.#rollNext = true;
  }

  async dropTorn(): Promise<void> {
    const { active } = this.store;
    if (!this.#rollNext || active === null) return;
    try {
      // Takes no room, unlike the end frame that lies in its place once the segment is closed.
      await active.cutBack();
    } catch (error) {
      throw this.#fail(error);
    }
  }

  async collect(): Promise<void> {
    const { store } = this;
    const used = new Set<number>();
    for (const log of this.logs.values()) for (const run of log.runs) used.add(run.segment);
    const dead = [...store.segments.values()].filter(
      (segment) =>
        segment !== store.active &&
        segment.number !== store.lastNumber &&
        !used.has(segment.number),
    );
    if (dead.length === 0) return;
    const gone = new Set(dead.map(({ number }) => number));
    for (const log of [...this.logs.values(), ...this.dropped.values()]) {
      if (log.stateSegment !== null && gone.has(log.stateSegment)) {
        await this.saveState(log, log.state);
      }
    }
    await store.remove(gone);
    this.#forgetDropped();
  }

  /**
   * A dropped journal of which no segment holds anything needs no state any more: no batch, and no
   * older state, which would be the newest once the segment that holds this one goes.
   */
  #forgetDropped(): void {
    for (const [journal, log] of this.dropped) {
      const left = [...this.store.segments.values()].some(({ number, index }) => {
        const held = index.journals.get(journal);
        if (held === undefined) return false;
        return held.spans.length > 0 || (held.state !== null && number !== log.stateSegment);
      });
      if (!left) this.dropped.delete(journal);
    }
  }
}
