// What changes a log other than by appending: cut, trim, install, set aside, repair.
//
// Each of them makes a new state of the journal durable first (state.ts), and only then acts on it
// in memory and drops what lies on the disk. After a cut the volume goes on in a new segment, so
// that one segment never holds two batches of the same position of which one does not count.

import type { TablesSnapshot } from '../../protocol/chain/messages.ts';
import { emptyTables, openTables, snapshotTables } from '../../protocol/chain/tables.ts';
import { invariant, JournalError } from '../../protocol/errors.ts';
import {
  after,
  type Batch,
  higher,
  type Lsn,
  lastLsn,
  lower,
  NO_EPOCH,
  NO_LSN,
} from '../../protocol/types.ts';
import { encodeBase } from '../base.ts';
import { batchCrc, previousCrc } from '../batch.ts';
import { replaceFile } from '../files.ts';
import { asideName, baseName, tablesName } from '../layout.ts';
import type { Base } from '../log.ts';
import { type Cut, runBytes, within } from '../segments/runs.ts';
import type { LogInside } from './inside.ts';
import { crcAt, FOLD_BYTES, foldFrom, placeOf, readBase, tablesUpTo } from './reader.ts';
import { BASE_INLINE_BYTES, type BaseReference, type LogState } from './state.ts';
import { damageOf } from './upkeep.ts';

const ALL = Number.MAX_SAFE_INTEGER;

// ── Cut ───────────────────────────────────────────────────────────────────────────────────────

export async function cutLog(log: LogInside, endLsn: Lsn): Promise<void> {
  invariant(
    endLsn >= log.baseLsn && endLsn <= log.endLsn,
    'a cut lies within its log',
    () => `${log.journal} ${log.baseLsn} … ${log.endLsn} cut to ${endLsn}`,
  );
  if (endLsn === log.endLsn) return;
  const cached = log.tail.find(endLsn);
  const crc =
    cached !== undefined && lastLsn(cached.header) === endLsn
      ? batchCrc(cached)
      : await log.writer.alone(() => crcAt(log, endLsn));
  if (crc === null) {
    const what = `${endLsn} is inside a batch or damaged`;
    throw new JournalError('INVALID_ARGUMENT', `a cut is at the border of a batch: ${what}`);
  }
  await log.writer.alone(async () => {
    forgetPending(log, endLsn);
    if (log.durableLsn > endLsn) {
      const cut = { segment: log.writer.store.lastNumber, endLsn };
      await log.writer.saveState(log, nextState(log, { cuts: [...log.state.cuts, cut] }));
      log.writer.roll();
    } else {
      // What is given up here was in no segment, unless a full disk has kept a part of it.
      await log.writer.dropTorn();
    }
    log.endLsn = endLsn;
    log.endCrc = crc;
    log.durableLsn = lower(log.durableLsn, endLsn);
    log.epochs = log.epochs.filter(({ firstLsn }) => firstLsn <= endLsn);
    log.tables = null;
    clipRuns(log, log.baseLsn, endLsn);
    await log.writer.collect();
  });
}

function forgetPending(log: LogInside, endLsn: Lsn): void {
  const kept = log.pending.filter(({ header }) => header.firstLsn <= endLsn);
  const gone = log.pending.slice(kept.length);
  log.pending = kept;
  log.tail.cut(endLsn);
  log.writer.forgotten(
    log,
    gone.reduce((sum, { bytes }) => sum + bytes.length, 0),
  );
}

function clipRuns(log: LogInside, baseLsn: Lsn, endLsn: Lsn): void {
  log.runs = within(log.runs, after(baseLsn, 1), endLsn);
  log.bytes = log.runs.reduce((sum, run) => sum + runBytes(run), 0);
  log.damaged = log.damaged.flatMap((damage) => {
    const { firstLsn, lastLsn: last } = damage;
    if (firstLsn === null) return [damage];
    if (firstLsn > endLsn || (last ?? firstLsn) <= baseLsn) return [];
    return [firstLsn > baseLsn ? damage : { ...damage, firstLsn: after(baseLsn, 1) }];
  });
}

/** The next state: cuts that can no longer matter are left out. */
function nextState(log: LogInside, change: Partial<LogState>): LogState {
  const next = { ...log.state, ...change, serial: log.state.serial + 1 };
  return { ...next, cuts: next.cuts.filter((cut, at) => cutMatters(log, next, cut, at)) };
}

function cutMatters(log: LogInside, next: LogState, cut: Cut, at: number): boolean {
  const covered = next.cuts.slice(at + 1).some(({ endLsn }) => endLsn <= cut.endLsn);
  if (covered) return false;
  for (const { number, index } of log.writer.store.segments.values()) {
    if (number > cut.segment) break;
    const spans = index.journals.get(log.journal)?.spans ?? [];
    if (spans.some((span) => span.lastLsn > higher(cut.endLsn, next.base.lsn))) return true;
  }
  return false;
}

// ── Bases ─────────────────────────────────────────────────────────────────────────────────────

export async function trimLog(log: LogInside, through: Lsn): Promise<Base> {
  const old = await readBase(log);
  const target = lower(through, log.endLsn);
  if (target <= old.trimmedLsn) return old;
  if (target > log.durableLsn) await log.writer.sync();
  const base = await baseAt(log, old, target);
  await beginAt(log, base);
  return base;
}

export async function rebaseLog(log: LogInside, base: Base): Promise<void> {
  const { baseLsn, durableLsn } = log;
  if (base.lsn <= baseLsn || base.lsn > durableLsn) {
    const what = `a base at ${base.lsn}, allowed are ${baseLsn + 1} to ${durableLsn}`;
    throw new JournalError('OUT_OF_RANGE', what);
  }
  // Checksums are chained: the same one means the same log up to there.
  const crc = await crcBehind(log, base.lsn);
  if (base.journal !== log.journal || crc !== base.crc) {
    const what = `the batch at ${base.lsn} is another one, or nothing good is beside it`;
    throw new JournalError('INVALID_ARGUMENT', `a base must be of this log: ${what}`);
  }
  const bad = log.damaged.some(({ lastLsn: last }) => (last ?? ALL) > base.lsn);
  const fold = () => foldFrom(log, base.tables, log.endLsn);
  const tables = bad ? null : await foldAgain(log, fold);
  await beginAt(log, base);
  log.tables ??= tables;
}

/** Makes the base durable, and then drops what it covers. */
async function beginAt(log: LogInside, base: Base): Promise<void> {
  await log.writer.alone(async () => {
    invariant(base.lsn <= log.durableLsn, 'only what is committed is trimmed', () => log.journal);
    const state = nextState(log, { base: await saveBase(log, base) });
    const previous = log.state.base;
    await log.writer.saveState(log, state);
    dropPrefix(log, base.lsn);
    await log.writer.collect();
    await removeBase(log, previous);
  });
}

/** The base of a trim through `target`: at the last border at or below it. */
async function baseAt(log: LogInside, old: Base, target: Lsn): Promise<Base> {
  const trimmed = { ...old, trimmedLsn: target };
  if (target <= old.lsn) return trimmed;
  const [holding] = await log.read(target, 1);
  if (holding === undefined) return trimmed;
  const { header } = holding;
  const at = lastLsn(header) === target ? target : after(header.firstLsn, -1);
  if (at <= old.lsn) return trimmed;
  const [last] = at === target ? [holding] : await log.read(at, 1);
  if (last === undefined) return trimmed;
  const tables = await tablesUpTo(log, at);
  const { epoch } = last.header;
  return { journal: log.journal, lsn: at, epoch, crc: batchCrc(last), trimmedLsn: target, tables };
}

/** Writes a base that is too big for a frame to its file; a frame must name it before it counts. */
async function saveBase(log: LogInside, base: Base): Promise<BaseReference> {
  const bytes = encodeBase(base);
  const serial = log.state.base.serial + 1;
  const inline = bytes.length <= BASE_INLINE_BYTES ? bytes : null;
  if (inline === null) {
    const { disk, layout } = log.writer.store.options;
    await replaceFile(disk, layout.bases, baseName(log.journal, serial), [bytes]);
  }
  const { lsn, epoch, crc, trimmedLsn } = base;
  return { lsn, epoch, crc, trimmedLsn, serial, inline };
}

async function removeBase(log: LogInside, old: BaseReference): Promise<void> {
  if (old.inline !== null) return;
  const { disk, layout } = log.writer.store.options;
  await disk.remove(layout.base(log.journal, old.serial));
}

function dropPrefix(log: LogInside, baseLsn: Lsn): void {
  while ((log.tail.oldest?.header.firstLsn ?? ALL) <= baseLsn) log.tail.shift();
  log.epochs = log.epochs.flatMap((run, at) => {
    const next = log.epochs[at + 1]?.firstLsn ?? log.endLsn + 1;
    if (next <= baseLsn + 1) return [];
    return run.firstLsn > baseLsn ? [run] : [{ ...run, firstLsn: after(baseLsn, 1) }];
  });
  clipRuns(log, baseLsn, log.endLsn);
}

export async function installBase(log: LogInside, base: Base): Promise<void> {
  if (base.journal !== log.journal || base.lsn < log.baseLsn) {
    const allowed = `allowed is one of ${log.journal} at or above ${log.baseLsn}`;
    const what = `the base is of ${base.journal} at ${base.lsn}, ${allowed}`;
    throw new JournalError('INVALID_ARGUMENT', what);
  }
  await log.writer.alone(() => beginAgain(log, base));
}

/** The log becomes what `base` says, and nothing above it. */
async function beginAgain(log: LogInside, base: Base): Promise<void> {
  forgetPending(log, NO_LSN);
  const cut = { segment: log.writer.store.lastNumber, endLsn: NO_LSN };
  const reference = await saveBase(log, base);
  const previous = log.state.base;
  const cuts = [...log.state.cuts, cut];
  await log.writer.saveState(log, nextState(log, { cuts, base: reference }));
  log.writer.roll();
  log.endLsn = base.lsn;
  log.endCrc = base.crc;
  log.durableLsn = base.lsn;
  log.epochs = [];
  log.runs = [];
  log.bytes = 0;
  log.damaged = [];
  log.tables = base.tables;
  log.checkpointLsn = base.lsn;
  await log.writer.collect();
  await removeBase(log, previous);
  const { disk, layout } = log.writer.store.options;
  await disk.remove(`${layout.tables}/${tablesName(log.journal)}`);
}

// ── Set aside ─────────────────────────────────────────────────────────────────────────────────

/** The file: length of the base (4), the base, then each batch behind its length (4). */
export async function setLogAside(log: LogInside): Promise<void> {
  const { disk, layout } = log.writer.store.options;
  await log.writer.sync();
  const base = await readBase(log).catch(orDamaged);
  const name = asideName(log.journal, log.state.serial + 1);
  const path = `${layout.aside}/${name}`;
  await disk.remove(`${path}.tmp`);
  const file = await disk.create(`${path}.tmp`);
  try {
    let at = base === null ? 0 : await writeLengthFirst(file, 0, [encodeBase(base)]);
    for (let next = after(log.baseLsn, 1); next <= log.endLsn; ) {
      const batches = await readable(log, next);
      if (typeof batches === 'number') {
        next = batches;
        continue;
      }
      at = await writeLengthFirst(
        file,
        at,
        batches.map(({ bytes }) => bytes),
      );
      const last = batches.at(-1);
      if (last === undefined) break;
      next = after(lastLsn(last.header), 1);
    }
    await file.sync();
  } finally {
    await file.close();
  }
  await disk.rename(`${path}.tmp`, path);
  await disk.syncDirectory(layout.aside);
  const limits = base === null ? undefined : openTables(base.tables).scalars.limits;
  const empty: Base = {
    journal: log.journal,
    lsn: NO_LSN,
    epoch: NO_EPOCH,
    crc: 0,
    trimmedLsn: NO_LSN,
    tables: snapshotTables(emptyTables(limits)),
  };
  await log.writer.alone(() => beginAgain(log, empty));
}

/** Null for a base whose bytes are bad: what can be read is kept all the same. */
function orDamaged(error: unknown): null {
  if (error instanceof JournalError && error.code === 'DAMAGED') return null;
  throw error;
}

/** Batches from `next` on; or, where bytes are bad, the first position behind them. */
async function readable(log: LogInside, next: Lsn): Promise<readonly Batch[] | Lsn> {
  try {
    return await log.read(next, FOLD_BYTES);
  } catch (error) {
    const end = damageOf(error)?.lastLsn ?? null;
    if (end === null || end < next) throw error;
    return after(end, 1);
  }
}

async function writeLengthFirst(
  file: { write(position: number, chunks: readonly Uint8Array[]): Promise<void> },
  at: number,
  parts: readonly Uint8Array[],
): Promise<number> {
  const chunks: Uint8Array[] = [];
  let end = at;
  for (const part of parts) {
    const length = Buffer.alloc(4);
    length.writeUInt32LE(part.length, 0);
    chunks.push(length, part);
    end += 4 + part.length;
  }
  await file.write(at, chunks);
  return end;
}

// ── Repair ────────────────────────────────────────────────────────────────────────────────────

export async function repairLog(log: LogInside, batches: readonly Batch[]): Promise<void> {
  const first = batches[0];
  const last = batches.at(-1);
  if (first === undefined || last === undefined) return;
  const firstLsn = first.header.firstLsn;
  const end = lastLsn(last.header);
  if (firstLsn <= log.baseLsn || end > log.durableLsn) {
    const allowed = `allowed are ${log.baseLsn + 1} to ${log.durableLsn}`;
    throw new JournalError('OUT_OF_RANGE', `a repair of ${firstLsn} to ${end}, ${allowed}`);
  }
  await log.writer.alone(async () => {
    await checkChain(log, batches, firstLsn, end);
    await log.writer.rewrite(log, batches);
  });
  const left = () =>
    log.damaged.flatMap((damage) => {
      const { firstLsn: from, lastLsn: to } = damage;
      if (from === null || to === null || to < firstLsn || from > end) return [damage];
      const before = from < firstLsn ? [{ ...damage, lastLsn: after(firstLsn, -1) }] : [];
      const behind = to > end ? [{ ...damage, firstLsn: after(end, 1) }] : [];
      return [...before, ...behind];
    });
  // Whoever opens the journal meanwhile finds either its damage or its tables.
  if (left().length === 0) log.tables ??= await foldAgain(log, () => tablesUpTo(log, log.endLsn));
  log.damaged = left();
}

/** Tables of a log that gave none; null where none are wanted, or more bytes are bad. */
async function foldAgain(
  log: LogInside,
  fold: () => Promise<TablesSnapshot>,
): Promise<TablesSnapshot | null> {
  if (log.tables !== null || log.pending.length > 0) return null;
  try {
    return await fold();
  } catch (error) {
    // One bad place is mended, and behind it lies another: until then nobody opens the log.
    const next = damageOf(error);
    if (next === null) throw error;
    log.note(next);
    return null;
  }
}

/** The batches are chained to one another and to what is good on both sides of them. */
async function checkChain(
  log: LogInside,
  batches: readonly Batch[],
  firstLsn: Lsn,
  end: Lsn,
): Promise<void> {
  let next = firstLsn;
  const before = await crcAt(log, after(firstLsn, -1));
  let crc = before;
  for (const batch of batches) {
    const { header } = batch;
    const chained = crc === null || previousCrc(batch) === crc;
    if (header.journal !== log.journal || header.firstLsn !== next || !chained) {
      const what = `batch ${header.firstLsn} does not follow the one before`;
      throw new JournalError('INVALID_ARGUMENT', `a repair must fit the log: ${what}`);
    }
    crc = batchCrc(batch);
    next = after(lastLsn(header), 1);
  }
  const behind = await crcBehind(log, end);
  if ((before === null && behind === null) || (behind !== null && behind !== crc)) {
    const what = `what follows ${end} is chained to another batch, or nothing good is beside it`;
    throw new JournalError('INVALID_ARGUMENT', `a repair must fit the log: ${what}`);
  }
}

/** What the log says that the batch ending at `end` must sum to; null where it does not know. */
async function crcBehind(log: LogInside, end: Lsn): Promise<number | null> {
  if (end === log.endLsn) return log.endCrc;
  const place = await placeOf(log, end);
  if (place?.lastLsn === end) return place.crc;
  try {
    const [next] = await log.readDisk(after(end, 1), 1);
    return next === undefined ? null : previousCrc(next);
  } catch (error) {
    if (error instanceof JournalError && error.code === 'DAMAGED') return null;
    throw error;
  }
}
