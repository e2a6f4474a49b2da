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
// It is derived: where it is missing or bad, the segment is scanned and it is written again.

import { crc32 } from '../../io/node-checksum.ts';
import { type JournalId, lsn } from '../../protocol/types.ts';
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

/** Null where this is no index of a format that is known. */
export function decodeIndexHead(head: Buffer): IndexHead | null {
  if (head.length < INDEX_HEAD_BYTES || head.toString('latin1', 0, 8) !== MAGIC) return null;
  if (head.readUInt32LE(8) !== FORMAT) return null;
  return {
    summaryBytes: head.readUInt32LE(12),
    summaryCrc: head.readUInt32LE(16),
    placesBytes: head.readUInt32LE(20),
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
  // cast: written by encodeIndex only, under the checksum that was just checked.
  const summary = JSON.parse(json.toString()) as Summary;
  if (summary.id !== id.toString('hex')) return null;
  const index = new SegmentIndex();
  index.bad.push(...summary.bad);
  const counts: [JournalId, number][] = [];
  for (const { journal, spans, state, count } of summary.journals) {
    index.journals.set(journal, { spans: [...spans], state, places: null });
    counts.push([journal, count]);
  }
  return { index, end: summary.end, counts };
}

/** Fills the places of an index; false where they are bad. */
export function decodePlaces(
  head: IndexHead,
  bytes: Buffer,
  counts: ReadIndex['counts'],
  index: SegmentIndex,
): boolean {
  if (bytes.length !== head.placesBytes || crc32(bytes) !== head.placesCrc) return false;
  let at = 0;
  for (const [journal, count] of counts) {
    const places = new Places();
    for (let left = count; left > 0; left -= 1) {
      const firstLsn = lsn(getWhole(bytes, at));
      places.add({
        firstLsn,
        lastLsn: lsn(firstLsn + bytes.readUInt32LE(at + 8) - 1),
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
