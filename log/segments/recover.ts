// Opens the segments of a volume as the last process left them, and mends what a crash may leave.
//
// Closed segments are known by their index files. The last one is scanned (scan.ts): what lies
// above its proven end was written but maybe never synced, so it is copied to a new segment and
// synced there before the old one is closed below it. A file of which not even one frame was proven
// was being made when the process ended.

import type { Disk } from '../../io/disk.ts';
import { listOrNone, readFully } from '../files.ts';
import { indexName, segmentNumber } from '../layout.ts';
import { SegmentIndex } from './entries.ts';
import { ENVELOPE_BYTES, envelopeAt, type OutgoingFrame } from './envelope.ts';
import type { Scan, ScannedFrame } from './scan.ts';
import { decodeHeader, HEADER_BYTES, Segment, type SegmentHeader } from './segment.ts';
import { indexOf, type SegmentStore } from './store.ts';

/** A file that is there and cannot be used: it is named, and left as it is. */
export interface LostSegment {
  readonly file: string;
  readonly what: string;
}

/** Frames that are copied at once, in bytes. */
const COPY_BYTES = 4 * 1024 * 1024;
/**
 * `mend` puts right what a crash left; `look` changes nothing on the disk; nor does `scan`, which
 * reads every frame instead of believing the index files.
 */
export type Manner = 'mend' | 'look' | 'scan';

/** Fills the store. */
export async function recoverSegments(
  store: SegmentStore,
  manner: Manner = 'mend',
): Promise<LostSegment[]> {
  const { disk, layout } = store.options;
  const names = await listOrNone(disk, layout.segments);
  if (manner === 'mend') {
    for (const name of names) {
      if (segmentNumber(name) === undefined && !name.endsWith('.index')) {
        await disk.remove(`${layout.segments}/${name}`);
      }
    }
  }
  const lost: LostSegment[] = [];
  const numbers = names.flatMap((name) => segmentNumber(name) ?? []);
  const headers: SegmentHeader[] = [];
  for (const number of numbers) {
    const header = await readHeader(disk, layout.segment(number), number);
    if (header !== null) headers.push(header);
    else await unusable(store, number, number === numbers.at(-1), manner, lost);
  }
  for (const [place, header] of headers.entries()) {
    const next = headers[place + 1];
    if (next === undefined) await openLast(store, header, manner);
    else await openClosed(store, header, next, manner);
  }
  for (const number of numbers) store.skipNumber(number);
  return lost;
}

async function readHeader(disk: Disk, path: string, number: number): Promise<SegmentHeader | null> {
  const file = await disk.open(path);
  try {
    // What the disk does not give now is no bad header: it may hold all that was promised.
    const header = decodeHeader(await readFully(file, 0, HEADER_BYTES));
    return header?.number === number ? header : null;
  } finally {
    await file.close();
  }
}

/** A file without a header: new and never synced, or damaged. */
async function unusable(
  store: SegmentStore,
  number: number,
  last: boolean,
  manner: Manner,
  lost: LostSegment[],
): Promise<void> {
  const { disk, layout, logger } = store.options;
  const path = layout.segment(number);
  if (last && !(await provesFrames(disk, path))) {
    logger.info({ segment: path }, 'a segment that was being made is dropped');
    if (manner === 'mend') await disk.remove(path);
    return;
  }
  lost.push({ file: path, what: 'neither copy of its header is good' });
}

/** Whether a file without a header holds frames of which one says that another was durable. */
async function provesFrames(disk: Disk, path: string): Promise<boolean> {
  const file = await disk.open(path);
  try {
    const size = await file.size();
    const bytes = await readFully(file, HEADER_BYTES, Math.max(0, size - HEADER_BYTES));
    if (bytes.length < ENVELOPE_BYTES) return false;
    const id = Buffer.from(bytes.subarray(8, 16));
    let first: number | null = null;
    for (let hit = bytes.indexOf(id, 8); hit >= 0; hit = bytes.indexOf(id, hit + 1)) {
      const envelope = envelopeAt(bytes, hit - 8, id);
      if (envelope === null) continue;
      first ??= envelope.durable;
      if (envelope.durable !== first) return true;
    }
    return false;
  } finally {
    await file.close();
  }
}

function open(
  store: SegmentStore,
  header: SegmentHeader,
  index: SegmentIndex,
  end: number,
): Segment {
  const { disk, layout } = store.options;
  const segment = new Segment(disk, layout.segment(header.number), header, index, end);
  store.adopt(segment);
  return segment;
}

async function openClosed(
  store: SegmentStore,
  header: SegmentHeader,
  next: SegmentHeader,
  manner: Manner,
): Promise<void> {
  const known = manner === 'scan' ? null : await store.readIndex(header.number, header.id, false);
  if (known !== null) {
    open(store, header, known.index, known.end);
    return;
  }
  const { disk, layout } = store.options;
  const probe = new Segment(disk, layout.segment(header.number), header, new SegmentIndex(), 0);
  // The next one started after all of this was synced. Where that one is gone, the size is known,
  // since a segment is only followed by two others once it was closed.
  const size = await (await probe.file()).size();
  const adjacent = next.number === header.number + 1;
  const knownEnd = adjacent ? next.start - header.start + HEADER_BYTES : size;
  const scan = await store.scan(probe, knownEnd);
  await probe.close();
  const segment = open(store, header, indexOf(scan), scan.end);
  if (manner !== 'mend') return;
  if (!scan.closed) await store.writeEnd(segment);
  await store.saveIndex(segment);
}

async function openLast(store: SegmentStore, header: SegmentHeader, manner: Manner): Promise<void> {
  const { disk, layout, logger } = store.options;
  const known = manner === 'scan' ? null : await store.readIndex(header.number, header.id, false);
  if (known !== null) {
    open(store, header, known.index, known.end);
    return;
  }
  const probe = new Segment(disk, layout.segment(header.number), header, new SegmentIndex(), 0);
  const scan = await store.scan(probe, null);
  if (manner !== 'mend') {
    await probe.close();
    open(store, header, indexOf(scan), scan.end);
    return;
  }
  const proven = scan.closed ? scan.end : scan.proven;
  const kept: Scan = {
    ...scan,
    frames: scan.frames.filter(({ offset }) => offset < proven),
    end: proven,
  };
  const unproven = scan.frames.filter(({ offset }) => offset >= proven);
  const segment = open(store, header, indexOf(kept), proven);
  logger.info(
    { segment: segment.path, frames: kept.frames.length, unproven: unproven.length },
    'scanned the last segment',
  );
  if (unproven.length > 0) await copyFrames(store, probe, unproven);
  await probe.close();
  if (!scan.closed) await store.writeEnd(segment);
  await store.saveIndex(segment);
}

/** Copies frames to a new segment: they count there once its header is synced, after them. */
async function copyFrames(
  store: SegmentStore,
  from: Segment,
  frames: readonly ScannedFrame[],
): Promise<void> {
  const segment = await store.openNext(false);
  const starts: { readonly frame: ScannedFrame; readonly offset: number }[] = [];
  let end = segment.end;
  let group: OutgoingFrame[] = [];
  let groupBytes = 0;
  const flush = async (): Promise<void> => {
    if (group.length === 0) return;
    segment.end = await segment.write(group);
    group = [];
    groupBytes = 0;
  };
  for (const frame of frames) {
    const { kind, journal, offset, payloadBytes, payloadCrc } = frame;
    const payload = await from.read(offset + ENVELOPE_BYTES, payloadBytes);
    group.push({ kind, journal, payload, payloadCrc });
    starts.push({ frame, offset: end });
    end += ENVELOPE_BYTES + payloadBytes;
    groupBytes += payloadBytes;
    if (groupBytes >= COPY_BYTES) await flush();
  }
  await flush();
  await store.sync(segment);
  await store.writeHeader(segment);
  await segment.sync();
  segment.moveTo(segment.end);
  for (const { frame, offset } of starts) {
    const { journal, payloadBytes, batch } = frame;
    if (batch !== null) {
      segment.index.addBatch(batch, offset, ENVELOPE_BYTES + payloadBytes, payloadBytes);
    } else if (journal !== null) {
      segment.index.addState(journal, { offset, length: payloadBytes });
    }
  }
}

/** Index files of segments that are gone. */
export async function removeStrayIndexes(store: SegmentStore): Promise<void> {
  const { disk, layout } = store.options;
  const kept = new Set([...store.segments.keys()].map(indexName));
  for (const name of await listOrNone(disk, layout.segments)) {
    if (name.endsWith('.index') && !kept.has(name)) {
      await disk.remove(`${layout.segments}/${name}`);
    }
  }
}
