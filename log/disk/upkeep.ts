// What a volume does beside its appends: checkpoints of tables, copying segments free, scrubbing.

import type { Clock } from '../../io/clock.ts';
import { DiskError } from '../../io/disk.ts';
import { JournalError } from '../../protocol/errors.ts';
import { after, type Lsn, lastLsn, lsn, type Micros, micros } from '../../protocol/types.ts';
import { encodeBase } from '../base.ts';
import { hasCode, replaceFile } from '../files.ts';
import { tablesName } from '../layout.ts';
import type { Damage } from '../log.ts';
import { runAt, runBytes } from '../segments/runs.ts';
import type { LogInside, Writer } from './inside.ts';
import { crcAt, tablesUpTo } from './reader.ts';

/** A segment of which less than this share is alive is copied free. */
const ALIVE_SHARE = 0.25;
/** Segments that a volume may have before any is copied. */
const SEGMENTS_MIN = 4;
const COPY_BYTES = 256 * 1024;
const SCRUB_BYTES = 256 * 1024;
const MICROS_PER_SECOND = 1_000_000;
/** Between two rounds of a scrub that read little. */
const SCRUB_PAUSE = micros(60 * MICROS_PER_SECOND);

/** Writes the tables of a log at its durable end, so that the next open folds from there. */
export async function checkpoint(log: LogInside): Promise<void> {
  const { disk, layout } = log.writer.store.options;
  const at = log.durableLsn;
  if (at <= log.checkpointLsn || log.damaged.length > 0) return;
  const crc = await crcAt(log, at);
  if (crc === null) return;
  const tables = await tablesUpTo(log, at);
  const { journal } = log;
  const { epoch, trimmedLsn } = log.state.base;
  const bytes = encodeBase({ journal, lsn: at, epoch, crc, trimmedLsn, tables });
  await replaceFile(disk, layout.tables, tablesName(journal), [bytes]);
  log.checkpointLsn = at;
}

// ── Copying segments free ─────────────────────────────────────────────────────────────────────

/** The segment that is worth copying, the emptiest first; undefined where none is. */
export function mostlyDead(writer: Writer, logs: Iterable<LogInside>): number | undefined {
  const { store } = writer;
  if (store.segments.size < SEGMENTS_MIN) return undefined;
  const alive = new Map<number, number>();
  for (const log of logs) {
    for (const run of log.runs) {
      alive.set(run.segment, (alive.get(run.segment) ?? 0) + runBytes(run));
    }
  }
  let best: number | undefined;
  let least = ALIVE_SHARE * store.options.segmentBytes;
  for (const segment of store.segments.values()) {
    const bytes = alive.get(segment.number) ?? 0;
    if (segment === store.active || segment.number === store.lastNumber) continue;
    if (bytes >= least || bytes >= ALIVE_SHARE * segment.end) continue;
    best = segment.number;
    least = bytes;
  }
  return best;
}

/** Copies what is alive in a segment to the end of the volume, at most so fast; then it goes. */
export async function copyFree(
  writer: Writer,
  logs: Iterable<LogInside>,
  segment: number,
  bytesPerSecond: number,
  isStopped: () => boolean,
): Promise<void> {
  for (const log of logs) {
    for (;;) {
      const run = log.runs.find((one) => one.segment === segment);
      if (run === undefined) break;
      const copied = await copyRun(writer, log, segment, run.firstLsn);
      if (copied === 0 || isStopped()) return;
      await pause(writer.clock, copied, bytesPerSecond);
      if (isStopped()) return;
    }
  }
  await writer.alone(() => writer.collect());
}

/** Copies a part of a run; gives its bytes, 0 where it cannot be copied. */
async function copyRun(
  writer: Writer,
  log: LogInside,
  segment: number,
  from: Lsn,
): Promise<number> {
  return writer.alone(async () => {
    const run = runAt(log.runs, from);
    if (run?.segment !== segment) return 1; // trimmed or cut meanwhile: look again
    const read = await log.readDisk(from, COPY_BYTES);
    const batches = read.filter(({ header }) => lastLsn(header) <= run.lastLsn);
    if (batches.length === 0) return 0;
    await writer.rewrite(log, batches);
    return batches.reduce((sum, { bytes }) => sum + bytes.length, 0);
  });
}

function pause(clock: Clock, bytes: number, bytesPerSecond: number): Promise<void> {
  return wait(clock, micros(Math.ceil((bytes / bytesPerSecond) * MICROS_PER_SECOND)));
}

function wait(clock: Clock, delay: Micros, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const cancel = clock.after(delay, resolve);
    signal?.addEventListener(
      'abort',
      () => {
        cancel();
        resolve();
      },
      { once: true },
    );
  });
}

// ── Scrub ─────────────────────────────────────────────────────────────────────────────────────

/** Reads what lies on the disk, round after round, and says what is bad. */
export async function scrubLogs(
  clock: Clock,
  logs: () => readonly LogInside[],
  bytesPerSecond: number,
  signal: AbortSignal,
  onDamage: (damage: Damage) => void,
): Promise<void> {
  while (!signal.aborted) {
    for (const log of logs()) await scrubLog(clock, log, bytesPerSecond, signal, onDamage);
    if (!signal.aborted) await wait(clock, SCRUB_PAUSE, signal);
  }
}

async function scrubLog(
  clock: Clock,
  log: LogInside,
  bytesPerSecond: number,
  signal: AbortSignal,
  onDamage: (damage: Damage) => void,
): Promise<void> {
  let next: number = log.baseLsn + 1;
  while (next <= log.durableLsn && !signal.aborted) {
    let bytes = 0;
    try {
      const batches = await log.readDisk(lsn(next), SCRUB_BYTES);
      const last = batches.at(-1);
      if (last === undefined) return;
      next = after(lastLsn(last.header), 1);
      bytes = batches.reduce((sum, batch) => sum + batch.bytes.length, 0);
    } catch (error) {
      const damage = damageOf(error);
      if (damage !== null) {
        onDamage(damage);
        next = (damage.lastLsn ?? next) + 1;
      } else if (isGone(error)) return;
      else if (isTrimmed(error)) next = log.baseLsn + 1;
      else if (hasCode(error, 'EIO')) next += 1;
      else if (error instanceof DiskError) return leaveForLater(log, next, error);
      else throw error;
    }
    await wait(clock, micros(Math.ceil((bytes / bytesPerSecond) * MICROS_PER_SECOND)), signal);
  }
}

/** A process out of file handles, say: that tells nothing of what lies there. */
function leaveForLater({ journal, writer }: LogInside, from: number, error: DiskError): void {
  const { logger } = writer.store.options;
  logger.warn({ journal, from, error: String(error) }, 'the rest is checked in the next round');
}

const isTrimmed = (error: unknown): boolean =>
  error instanceof JournalError && error.code === 'TRIMMED';

/** The journal was dropped meanwhile. */
const isGone = (error: unknown): boolean =>
  error instanceof JournalError && error.code === 'NOT_FOUND';

/** The damage that a read was refused with. */
export function damageOf(error: unknown): Damage | null {
  if (!(error instanceof JournalError) || error.code !== 'DAMAGED') return null;
  const { cause } = error;
  if (typeof cause !== 'object' || cause === null || !('firstLsn' in cause)) return null;
  // cast: DAMAGED of a read carries a Damage as its cause (log.ts).
  return cause as Damage;
}
