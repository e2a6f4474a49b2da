// What a machine wants on the disk beside its batches: saves, cuts, old logs put aside, trims.
// Those of one journal are carried out one after another, in the order of its machine.

import type { Clock } from '../../io/clock.ts';
import { DiskError } from '../../io/disk.ts';
import type { Logger } from '../../io/logger.ts';
import type { Volume } from '../../log/log.ts';
import type { Metadata } from '../../log/metadata.ts';
import type { ChainEffect, ChainInput } from '../../protocol/chain/messages.ts';
import { JournalError } from '../../protocol/errors.ts';
import { higher, type Lsn, micros, NO_LSN } from '../../protocol/types.ts';
import type { ReplicaMetrics, SyncMeter } from '../metrics.ts';
import { pause } from '../wait.ts';
import type { Host } from './host.ts';

export type DiskEffect = Extract<ChainEffect, { kind: 'save' | 'truncate' | 'setAside' }>;

/** How long a full disk is left alone. */
const ROOM_AGAIN = micros(200_000);

export interface DurableParts {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly volume: Volume;
  readonly metadata: Metadata;
  readonly meter: SyncMeter;
  readonly metrics: ReplicaMetrics;
  post(host: Host, input: ChainInput): void;
  /** Runs what reads a log, and mends what is damaged on the way. */
  mending<Result>(task: () => Promise<Result>): Promise<Result>;
  /** Whether nothing may be written any more. */
  halted(): boolean;
  /** Called with what a task threw: the disk or the code is broken. */
  broken(error: unknown): void;
}

export class Durable {
  readonly #parts: DurableParts;
  /** Tasks that the disk had no room for. */
  #waiting = 0;

  constructor(parts: DurableParts) {
    this.#parts = parts;
  }

  carryOut(host: Host, effect: DiskEffect): void {
    void this.behind(host, async () => {
      if (effect.kind === 'setAside') {
        await host.log.setAside();
        host.beginAgain();
      } else if (effect.kind === 'save') await this.#save(host, effect);
      else await this.#cut(host, effect);
    });
  }

  /** Runs a task of the disk behind those of the same journal that came before. */
  behind(host: Host, task: () => Promise<void>): Promise<void> {
    const { halted, broken } = this.#parts;
    host.disk = host.disk.then(async () => {
      if (host.closed || halted()) return;
      try {
        await this.whenRoom(task);
      } catch (error) {
        broken(error);
      }
    });
    return host.disk;
  }

  /** A full disk has taken nothing: the task is done again when there may be room. */
  async whenRoom(task: () => Promise<void>): Promise<void> {
    const { clock, logger, halted } = this.#parts;
    let waits = false;
    try {
      while (!halted()) {
        try {
          await task();
          return;
        } catch (error) {
          if (!isFull(error)) throw error;
          if (!waits) {
            logger.error({ error: String(error) }, 'the disk is full: waiting');
            this.#waiting += 1;
            waits = true;
          }
          await pause(clock, ROOM_AGAIN);
        }
      }
    } finally {
      if (waits) this.#waiting -= 1;
    }
  }

  get waitsForRoom(): boolean {
    return this.#waiting > 0;
  }

  async #save(host: Host, { save, record }: Extract<DiskEffect, { kind: 'save' }>): Promise<void> {
    const { metadata, meter, metrics, post } = this.#parts;
    const bytes = new TextEncoder().encode(JSON.stringify(record));
    await meter.measure(() => metadata.save(new Map([[recordKey(host), bytes]])));
    metrics.adopted(host.name);
    post(host, { kind: 'saved', save });
    host.bell.ring();
  }

  async #cut(
    host: Host,
    { save, endLsn, refold }: Extract<DiskEffect, { kind: 'truncate' }>,
  ): Promise<void> {
    const { post } = this.#parts;
    await host.log.cut(endLsn);
    if (!refold) post(host, { kind: 'saved', save });
    else post(host, { kind: 'saved', save, tables: await host.log.tablesAt(endLsn) });
  }

  /** A committed trim: readers see it at once, the log follows. */
  trim(host: Host, through: Lsn): void {
    host.trimmedLsn = higher(host.trimmedLsn, through);
    host.trimDue = higher(host.trimDue, through);
    if (!host.trimming) void this.#trimLog(host);
  }

  async #trimLog(host: Host): Promise<void> {
    const { halted, post, logger, volume, broken, mending } = this.#parts;
    host.trimming = true;
    try {
      while (host.trimDue !== NO_LSN && !host.closed && !halted()) {
        const through = host.trimDue;
        host.trimDue = NO_LSN;
        // A trim reads what it drops, and may be the first to find bad bytes there.
        await this.whenRoom(async () => {
          await mending(() => host.log.trim(through));
        });
        post(host, { kind: 'based', shape: host.log.shape(), tables: null });
      }
    } catch (error) {
      // A trim that failed leaves the log as it was: the next one tries again.
      logger.error({ journal: host.journal, error: String(error) }, 'a trim was not carried out');
      if (volume.failed !== null) broken(error);
    } finally {
      host.trimming = false;
    }
  }
}

export const isFull = (error: unknown): boolean =>
  (error instanceof JournalError && error.code === 'DISK_FULL') ||
  (error instanceof DiskError && error.code === 'ENOSPC');

/** Where the metadata of a volume keeps what the machine of a journal saved. */
export const recordKey = (host: { readonly journal: string }): string => `journal/${host.journal}`;
