// Reads of one log from its segments, and the folding of its tables.

import type { TablesSnapshot } from '../../protocol/chain/messages.ts';
import {
  commitTables,
  foldBatch,
  openTables,
  snapshotTables,
} from '../../protocol/chain/tables.ts';
import { invariant, JournalError } from '../../protocol/errors.ts';
import { after, type Batch, type Lsn, lastLsn } from '../../protocol/types.ts';
import { decodeBase } from '../base.ts';
import { type DecodedBatch, decodeBatch } from '../batch.ts';
import { hasCode, readFile } from '../files.ts';
import { tablesName } from '../layout.ts';
import type { Base, Damage } from '../log.ts';
import type { Place } from '../segments/entries.ts';
import { ENVELOPE_BYTES } from '../segments/envelope.ts';
import { runAt } from '../segments/runs.ts';
import type { Segment } from '../segments/segment.ts';
import type { LogInside } from './inside.ts';

/** Frames of others between two of the journal's that are read along rather than skipped. */
const SKIP_BYTES = 64 * 1024;
/** Read at once when tables are folded. */
export const FOLD_BYTES = 1024 * 1024;

/** Batches from the one that holds `from` on, from one segment; at least one, or DAMAGED. */
export async function readPlaced(log: LogInside, from: Lsn, bytesMax: number): Promise<Batch[]> {
  const { store } = log.writer;
  const run = runAt(log.runs, from);
  if (run === undefined) throw missing(log, from, from);
  const places = await store.places(run.segment, log.journal);
  const wanted: Place[] = [];
  let bytes = 0;
  const start = places.find(from);
  for (let at = start; start >= 0; at += 1) {
    const place = places.at(at);
    if (place === undefined || place.firstLsn > run.lastLsn) break;
    const previous = wanted.at(-1);
    if (previous !== undefined && place.firstLsn !== previous.lastLsn + 1) break;
    if (previous !== undefined && bytes + place.length > bytesMax) break;
    wanted.push(place);
    bytes += place.length;
  }
  const segment = store.segments.get(run.segment);
  if (wanted.length === 0 || segment === undefined) {
    const next = places.above(from);
    throw missing(log, from, next === undefined ? run.lastLsn : after(next.firstLsn, -1));
  }
  return readPlaces(log, segment, wanted);
}

function missing(log: LogInside, from: Lsn, to: Lsn): JournalError {
  const known = log.damaged.find(
    ({ firstLsn, lastLsn }) => firstLsn !== null && firstLsn <= from && from <= (lastLsn ?? from),
  );
  return damagedError(known ?? damageAt(log, '', 0, from, to, 'no segment holds the position'));
}

function damagedError(damage: Damage): JournalError {
  const { journal, firstLsn, lastLsn, what, file, position } = damage;
  const where = file === '' ? '' : ` (${file} at ${position})`;
  const message = `positions ${firstLsn} to ${lastLsn} of ${journal} are damaged: ${what}${where}`;
  return new JournalError('DAMAGED', message, {}, 'none', { cause: damage });
}

function damageAt(
  log: LogInside,
  file: string,
  position: number,
  firstLsn: Lsn,
  last: Lsn,
  what: string,
): Damage {
  return { journal: log.journal, file, position, firstLsn, lastLsn: last, what };
}

async function readPlaces(
  log: LogInside,
  segment: Segment,
  wanted: readonly Place[],
): Promise<Batch[]> {
  const batches: Batch[] = [];
  for (let at = 0; at < wanted.length; ) {
    const group: Place[] = [];
    for (; at < wanted.length; at += 1) {
      const place = wanted[at];
      const last = group.at(-1);
      if (place === undefined) break;
      if (last !== undefined && !isNear(last, place)) break;
      group.push(place);
    }
    for (const batch of await readExtent(log, segment, group, batches.length === 0)) {
      batches.push(batch);
    }
    if (batches.length < at) break; // the rest is behind a bad one: it is the next read's to name
  }
  return batches;
}

function isNear(last: Place, next: Place): boolean {
  const gap = next.offset - (last.offset + ENVELOPE_BYTES + last.length);
  return gap >= 0 && gap <= SKIP_BYTES;
}

/** Batches of one stretch up to the first bad one; throws where not even the first is good. */
async function readExtent(
  log: LogInside,
  segment: Segment,
  group: readonly Place[],
  isFirst: boolean,
): Promise<Batch[]> {
  const first = group[0];
  const last = group.at(-1);
  if (first === undefined || last === undefined) return [];
  const start = first.offset;
  const bytes = await readOrDamage(log, segment, start, last, first);
  const batches: Batch[] = [];
  for (const place of group) {
    const from = place.offset - start + ENVELOPE_BYTES;
    try {
      batches.push(checked(log, place, bytes.subarray(from, from + place.length)));
    } catch (error) {
      if (!(error instanceof JournalError)) throw error;
      const { path } = segment;
      const damage = damageAt(
        log,
        path,
        place.offset,
        place.firstLsn,
        place.lastLsn,
        error.message,
      );
      log.note(damage);
      if (isFirst && batches.length === 0) throw damagedError(damage);
      break;
    }
  }
  return batches;
}

async function readOrDamage(
  log: LogInside,
  segment: Segment,
  start: number,
  last: Place,
  first: Place,
): Promise<Buffer> {
  try {
    return await segment.read(start, last.offset + ENVELOPE_BYTES + last.length - start);
  } catch (error) {
    if (!hasCode(error, 'EIO')) throw error;
    const what = 'the disk cannot read it';
    throw damagedError(damageAt(log, segment.path, start, first.firstLsn, last.lastLsn, what));
  }
}

/** A batch whose bytes are good and are those that the index names. */
function checked(log: LogInside, place: Place, bytes: Buffer): Batch {
  const { header, crc, bytes: kept }: DecodedBatch = decodeBatch(bytes);
  const same = crc === place.crc && header.journal === log.journal;
  if (!same || header.firstLsn !== place.firstLsn) {
    throw new JournalError('DAMAGED', 'another batch lies where this one was written');
  }
  return { header, bytes: kept };
}

// ── Bases and tables ──────────────────────────────────────────────────────────────────────────

export async function readBase(log: LogInside): Promise<Base> {
  const { inline, serial } = log.state.base;
  if (inline !== null) return decodeBase(inline);
  const { disk, layout } = log.writer.store.options;
  const path = layout.base(log.journal, serial);
  const bytes = await readFile(disk, path);
  if (bytes === null) throw new JournalError('DAMAGED', `the base ${path} is gone`);
  return decodeBase(bytes);
}

/** Tables folded up to `at`, a border: from the newest checkpoint that fits, or from the base. */
export async function tablesUpTo(log: LogInside, at: Lsn): Promise<TablesSnapshot> {
  const checkpoint = await readCheckpoint(log, at);
  return foldFrom(log, checkpoint ?? (await readBase(log)).tables, at);
}

/** Tables folded from `start` up to `at`, both borders. */
export async function foldFrom(
  log: LogInside,
  start: TablesSnapshot,
  at: Lsn,
): Promise<TablesSnapshot> {
  const tables = openTables(start);
  let next = after(start.lsn, 1);
  while (next <= at) {
    const batches = await log.read(next, FOLD_BYTES);
    for (const { header } of batches) {
      if (header.firstLsn > at) break;
      foldBatch(tables, header);
      commitTables(tables, lastLsn(header));
      next = after(lastLsn(header), 1);
    }
    invariant(batches.length > 0, 'tables are folded within the log', () => `${at}`);
  }
  invariant(next === at + 1, 'tables are folded up to a border', () => `${at}`);
  return snapshotTables(tables);
}

/** The checkpoint, where it lies in this log, between its base and `at`. */
async function readCheckpoint(log: LogInside, at: Lsn): Promise<TablesSnapshot | null> {
  const { disk, layout, logger } = log.writer.store.options;
  const path = `${layout.tables}/${tablesName(log.journal)}`;
  try {
    const bytes = await readFile(disk, path);
    if (bytes === null) return null;
    const saved = decodeBase(bytes);
    if (saved.journal !== log.journal || saved.lsn <= log.baseLsn || saved.lsn > at) return null;
    return (await crcAt(log, saved.lsn)) === saved.crc ? saved.tables : null;
  } catch (error) {
    if (!(error instanceof JournalError) && !hasCode(error, 'EIO')) throw error;
    logger.warn({ file: path, error: String(error) }, 'a checkpoint of tables is not used');
    return null;
  }
}

/** Checksum of the batch that ends at `at`; null where none does. Reads no batch. */
export async function crcAt(log: LogInside, at: Lsn): Promise<number | null> {
  const { base } = log.state;
  if (at === base.lsn) return base.crc;
  if (at === log.endLsn) return log.endCrc;
  const place = await placeOf(log, at);
  return place?.lastLsn === at ? place.crc : null;
}

/** Place of the batch that holds `at`, among what is on the disk. */
export async function placeOf(log: LogInside, at: Lsn): Promise<Place | undefined> {
  const run = runAt(log.runs, at);
  if (run === undefined) return undefined;
  const places = await log.writer.store.places(run.segment, log.journal);
  return places.at(places.find(at));
}
