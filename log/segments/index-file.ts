// What a closed segment holds, kept beside it so that an open reads no frames: NUMBER.index.
//
//   offset bytes
//        0     8  "JOURNALI"
//        8     4  format, 1
//       12     4  length of the summary
//       16     4  checksum of the summary
//       20     4  length of the places
//       24     4  checksum of the places
//       28        the summary as JSON, then the places: 24 bytes each, journal after journal, as
//                 first LSN (8), count, offset, length of the payload, checksum of the batch
//
// The head has no checksum: its lengths must make up the size of the file, and only then is so much
// read. It is derived: where it is missing or bad, the segment is scanned and it is written again.

import { crc32 } from '../../io/node-checksum.ts';
import type { EpochRun } from '../../protocol/chain/messages.ts';
import { fields, list, nullable, parse, text, whole } from '../../protocol/fields.ts';
import {
  epoch,
  type JournalId,
  journalId,
  lsn,
  micros,
  NUMBER_MAX,
  RangeViolation,
} from '../../protocol/types.ts';
import { getWhole, putWhole } from '../batch.ts';
import {
  type BadRange,
  PLACE_BYTES,
  Places,
  SegmentIndex,
  type Span,
  type StatePlace,
} from './entries.ts';

const MAGIC = 'JOURNALI';
const FORMAT = 1;
export const INDEX_HEAD_BYTES = 28;

interface JournalSummary {
  readonly journal: JournalId;
  readonly spans: readonly Span[];
  readonly state: StatePlace | null;
  readonly count: number;
}

interface Summary {
  readonly id: string;
  readonly end: number;
  readonly bad: readonly BadRange[];
  readonly journals: readonly JournalSummary[];
}

/** All places must be loaded. */
export function encodeIndex(id: Buffer, end: number, index: SegmentIndex): Buffer {
  const journals: JournalSummary[] = [];
  const parts: Buffer[] = [];
  for (const [journal, { spans, state, places }] of index.journals) {
    journals.push({ journal, spans, state, count: places?.count ?? 0 });
    if (places !== null) parts.push(encodePlaces(places));
  }
  const summary: Summary = { id: id.toString('hex'), end, bad: index.bad, journals };
  const json = Buffer.from(JSON.stringify(summary));
  const places = Buffer.concat(parts);
  const head = Buffer.alloc(INDEX_HEAD_BYTES);
  head.write(MAGIC, 0, 'latin1');
  head.writeUInt32LE(FORMAT, 8);
  head.writeUInt32LE(json.length, 12);
  head.writeUInt32LE(crc32(json), 16);
  head.writeUInt32LE(places.length, 20);
  head.writeUInt32LE(crc32(places), 24);
  return Buffer.concat([head, json, places]);
}

function encodePlaces(places: Places): Buffer {
  const bytes = Buffer.allocUnsafe(places.count * PLACE_BYTES);
  for (let index = 0; index < places.count; index += 1) {
    const place = places.at(index);
    if (place === undefined) break;
    const at = index * PLACE_BYTES;
    putWhole(bytes, place.firstLsn, at);
    bytes.writeUInt32LE(place.lastLsn - place.firstLsn + 1, at + 8);
    bytes.writeUInt32LE(place.offset, at + 12);
    bytes.writeUInt32LE(place.length, at + 16);
    bytes.writeUInt32LE(place.crc, at + 20);
  }
  return bytes;
}

export interface IndexHead {
  readonly summaryBytes: number;
  readonly summaryCrc: number;
  readonly placesBytes: number;
  readonly placesCrc: number;
}

/** Null where a file of `fileBytes` that begins so is no whole index of a format that is known. */
export function decodeIndexHead(head: Buffer, fileBytes: number): IndexHead | null {
  if (head.length < INDEX_HEAD_BYTES || head.toString('latin1', 0, 8) !== MAGIC) return null;
  if (head.readUInt32LE(8) !== FORMAT) return null;
  const summaryBytes = head.readUInt32LE(12);
  const placesBytes = head.readUInt32LE(20);
  if (INDEX_HEAD_BYTES + summaryBytes + placesBytes !== fileBytes) return null;
  return {
    summaryBytes,
    summaryCrc: head.readUInt32LE(16),
    placesBytes,
    placesCrc: head.readUInt32LE(24),
  };
}

export interface ReadIndex {
  readonly index: SegmentIndex;
  readonly end: number;
  /** Places of each journal, in the order in which they lie in the file. */
  readonly counts: readonly (readonly [JournalId, number])[];
}

/** The summary, places left out; null where it is bad or of another segment. */
export function decodeSummary(head: IndexHead, json: Buffer, id: Buffer): ReadIndex | null {
  if (json.length !== head.summaryBytes || crc32(json) !== head.summaryCrc) return null;
  const summary = readSummary(json.toString());
  if (summary === null || summary.id !== id.toString('hex')) return null;
  const index = new SegmentIndex();
  index.bad.push(...summary.bad);
  const counts: [JournalId, number][] = [];
  for (const { journal, spans, state, count } of summary.journals) {
    index.journals.set(journal, { spans: [...spans], state, places: null });
    counts.push([journal, count]);
  }
  return { index, end: summary.end, counts };
}

/** Null where a right checksum covers what no version of this program writes. */
function readSummary(json: string): Summary | null {
  try {
    const all = fields('summary', parse('summary', json));
    return {
      id: text('id', all.id),
      end: whole('end', all.end),
      bad: list('bad', all.bad, readBad),
      journals: list('journals', all.journals, readJournal),
    };
  } catch (error) {
    if (error instanceof RangeViolation) return null;
    throw error;
  }
}

function readJournal(name: string, value: unknown): JournalSummary {
  const all = fields(name, value);
  return {
    journal: journalId(text(`${name}.journal`, all.journal)),
    spans: list(`${name}.spans`, all.spans, readSpan),
    state: nullable(all.state, (place) => readStatePlace(`${name}.state`, place)),
    count: whole(`${name}.count`, all.count),
  };
}

function readStatePlace(name: string, value: unknown): StatePlace {
  const all = fields(name, value);
  return { offset: whole(`${name}.offset`, all.offset), length: uint32(name, all.length) };
}

function readSpan(name: string, value: unknown): Span {
  const all = fields(name, value);
  return {
    firstLsn: lsn(whole(`${name}.firstLsn`, all.firstLsn)),
    lastLsn: lsn(whole(`${name}.lastLsn`, all.lastLsn)),
    bytes: whole(`${name}.bytes`, all.bytes),
    previousCrc: uint32(`${name}.previousCrc`, all.previousCrc),
    lastCrc: uint32(`${name}.lastCrc`, all.lastCrc),
    firstTimestamp: micros(whole(`${name}.firstTimestamp`, all.firstTimestamp)),
    epochs: list(`${name}.epochs`, all.epochs, readEpoch).slice(),
  };
}

function readEpoch(name: string, value: unknown): EpochRun {
  const all = fields(name, value);
  return {
    epoch: epoch(whole(`${name}.epoch`, all.epoch)),
    firstLsn: lsn(whole(`${name}.firstLsn`, all.firstLsn)),
  };
}

function readBad(name: string, value: unknown): BadRange {
  const all = fields(name, value);
  return {
    offset: whole(`${name}.offset`, all.offset),
    end: whole(`${name}.end`, all.end),
    what: text(`${name}.what`, all.what),
    journal: nullable(all.journal, (id) => journalId(text(`${name}.journal`, id))),
    firstLsn: nullable(all.firstLsn, (at) => lsn(whole(`${name}.firstLsn`, at))),
    lastLsn: nullable(all.lastLsn, (at) => lsn(whole(`${name}.lastLsn`, at))),
  };
}

function uint32(name: string, value: unknown): number {
  const number = whole(name, value);
  if (number > 0xffffffff) throw new RangeViolation(name, number, 'at most 2^32 - 1');
  return number;
}

/** Fills the places of an index; false where they are bad. */
export function decodePlaces(
  head: IndexHead,
  bytes: Buffer,
  counts: ReadIndex['counts'],
  index: SegmentIndex,
): boolean {
  if (bytes.length !== head.placesBytes || crc32(bytes) !== head.placesCrc) return false;
  const places = counts.reduce((sum, [, count]) => sum + count, 0);
  if (places * PLACE_BYTES !== bytes.length) return false;
  let at = 0;
  for (const [journal, count] of counts) {
    const places = new Places();
    for (let left = count; left > 0; left -= 1) {
      const firstLsn = getWhole(bytes, at);
      const lastLsn = firstLsn + bytes.readUInt32LE(at + 8) - 1;
      if (firstLsn < 1 || lastLsn < firstLsn || lastLsn > NUMBER_MAX) return false;
      places.add({
        firstLsn: lsn(firstLsn),
        lastLsn: lsn(lastLsn),
        offset: bytes.readUInt32LE(at + 12),
        length: bytes.readUInt32LE(at + 16),
        crc: bytes.readUInt32LE(at + 20),
      });
      at += PLACE_BYTES;
    }
    index.of(journal).places = places;
  }
  return true;
}
