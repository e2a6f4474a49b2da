// Reads a segment frame by frame, and tells a torn end from damage.
//
// Pages that were not synced survive a power loss in any subset, so that bad-then-valid is normal
// at the end of a log. Every envelope says up to where all was durable when it was written: what is
// bad below that is damage, named and never cut; the first other bad place is the end.

import type { JournalId } from '../../protocol/types.ts';
import { journalId } from '../../protocol/types.ts';
import type { BatchPeek } from '../batch.ts';
import type { BadRange } from './entries.ts';
import {
  checkPayload,
  ENVELOPE_BYTES,
  type Envelope,
  envelopeAt,
  type FrameKind,
} from './envelope.ts';
import { HEADER_BYTES } from './segment.ts';

export interface ScannedFrame {
  readonly kind: FrameKind;
  readonly offset: number;
  readonly payloadBytes: number;
  readonly journal: JournalId | null;
  /** Present iff it is a batch. */
  readonly batch: BatchPeek | null;
  readonly payloadCrc: number;
  /** False where the header of a batch is good and its body is not. */
  readonly good: boolean;
}

export interface Scan {
  /** In order, the end frame left out; none at or after `end`. */
  readonly frames: readonly ScannedFrame[];
  readonly bad: readonly BadRange[];
  /** Offset after the last good frame. */
  readonly end: number;
  /** Everything below this offset was synced: later frames say so. */
  readonly proven: number;
  /** An end frame closes it. */
  readonly closed: boolean;
}

/** Reads bytes of the segment; fewer only at its end. */
export type ReadAt = (offset: number, length: number) => Promise<Buffer>;

const WINDOW_BYTES = 1024 * 1024;
const NO_JOURNAL = '0'.repeat(32);

/** Bytes of the segment around where the scan is: asks for more only when they are needed. */
class Window {
  #bytes: Buffer = Buffer.alloc(0);
  #from = 0;
  readonly #read: ReadAt;
  readonly #size: number;

  constructor(read: ReadAt, size: number) {
    this.#read = read;
    this.#size = size;
  }

  /** At least `length` bytes from `offset` on, unless the segment ends before. */
  async at(offset: number, length: number): Promise<Buffer> {
    const wanted = Math.min(length, this.#size - offset);
    const inside = offset >= this.#from && offset + wanted <= this.#from + this.#bytes.length;
    if (!inside) {
      this.#bytes = await this.#read(offset, Math.max(wanted, WINDOW_BYTES));
      this.#from = offset;
    }
    return this.#bytes.subarray(offset - this.#from);
  }
}

/**
 * Scans frames from the header block on. `knownEnd` is the end as the next segment's start gives
 * it, for a segment that was not closed; null for the last one, whose end is to be found.
 */
export async function scanSegment(
  read: ReadAt,
  size: number,
  segment: { readonly id: Buffer; readonly start: number },
  knownEnd: number | null,
): Promise<Scan> {
  const limit = Math.min(size, knownEnd ?? size);
  const window = new Window(read, limit);
  const frames: ScannedFrame[] = [];
  const bad: BadRange[] = [];
  let proven = HEADER_BYTES;
  let closed = false;
  let at = HEADER_BYTES;
  while (at < limit && !closed) {
    const found = await frameAt(window, at, segment.id, limit);
    if (found === null) {
      const next = await nextEnvelope(window, at + 1, segment.id, limit);
      if (next === null) break;
      bad.push(unknownRange(at, next));
      at = next;
      continue;
    }
    const { envelope, frame, end } = found;
    proven = Math.max(proven, envelope.durable - segment.start + HEADER_BYTES);
    if (frame === null) bad.push(knownRange(at, end, envelope, 'a payload has another checksum'));
    else if (frame.kind === 'end') closed = true;
    else {
      frames.push(frame);
      if (!frame.good) bad.push(batchRange(at, end, frame));
    }
    if (!closed) at = end;
  }
  if (knownEnd !== null || closed) proven = at;
  return conclude({ frames, bad, end: at, proven: Math.min(proven, limit), closed }, knownEnd);
}

/** Drops what comes after the first bad place that nobody said was durable. */
function conclude(scan: Scan, knownEnd: number | null): Scan {
  const { frames, bad, proven } = scan;
  if (knownEnd !== null && scan.end < knownEnd && !scan.closed) {
    const lost = unknownRange(scan.end, knownEnd);
    return { ...scan, bad: [...bad, lost], end: knownEnd, proven: knownEnd };
  }
  const torn = bad.find(({ offset }) => offset >= proven);
  if (torn === undefined) return scan;
  return {
    ...scan,
    frames: frames.filter(({ offset }) => offset < torn.offset),
    bad: bad.filter(({ offset }) => offset < torn.offset),
    end: torn.offset,
  };
}

interface Found {
  readonly envelope: Envelope;
  /** Null where the envelope is good and nothing can be said of the payload. */
  readonly frame: ScannedFrame | null;
  readonly end: number;
}

async function frameAt(
  window: Window,
  offset: number,
  id: Buffer,
  limit: number,
): Promise<Found | null> {
  const envelope = envelopeAt(await window.at(offset, ENVELOPE_BYTES), 0, id);
  if (envelope === null) return null;
  const whole = ENVELOPE_BYTES + envelope.payloadBytes;
  const end = offset + whole;
  // Cut off by the end of the file: the envelope still proves what it says.
  if (end > limit) return { envelope, frame: null, end: limit };
  const bytes = (await window.at(offset, whole)).subarray(0, whole);
  const payload = checkPayload(envelope, bytes.subarray(ENVELOPE_BYTES));
  if (payload.kind === 'bad' && payload.batch === null) return { envelope, frame: null, end };
  const { kind, payloadBytes, payloadCrc } = envelope;
  const journal = envelope.journal === NO_JOURNAL ? null : journalId(envelope.journal);
  const batch = payload.kind === 'batch' || payload.kind === 'bad' ? payload.batch : null;
  const good = payload.kind !== 'bad';
  return {
    envelope,
    frame: { kind, offset, payloadBytes, journal, batch, payloadCrc, good },
    end,
  };
}

/** Offset of the next envelope of this segment at or after `from`; null where there is none. */
async function nextEnvelope(
  window: Window,
  from: number,
  id: Buffer,
  limit: number,
): Promise<number | null> {
  let at = from;
  while (at + ENVELOPE_BYTES <= limit) {
    const bytes = await window.at(at, WINDOW_BYTES);
    for (let hit = bytes.indexOf(id, 8); hit >= 0; hit = bytes.indexOf(id, hit + 1)) {
      if (hit - 8 + ENVELOPE_BYTES > bytes.length) break;
      if (envelopeAt(bytes, hit - 8, id) !== null) return at + hit - 8;
    }
    at += Math.max(1, bytes.length - ENVELOPE_BYTES + 1);
  }
  return null;
}

const unknownRange = (offset: number, end: number): BadRange => ({
  offset,
  end,
  what: 'no frame can be read',
  journal: null,
  firstLsn: null,
  lastLsn: null,
});

function knownRange(offset: number, end: number, envelope: Envelope, what: string): BadRange {
  const journal = envelope.journal === NO_JOURNAL ? null : journalId(envelope.journal);
  return { offset, end, what, journal, firstLsn: null, lastLsn: null };
}

function batchRange(offset: number, end: number, frame: ScannedFrame): BadRange {
  const { batch } = frame;
  const what = 'the body of a batch has another checksum';
  return {
    offset,
    end,
    what,
    journal: frame.journal,
    firstLsn: batch?.firstLsn ?? null,
    lastLsn: batch?.lastLsn ?? null,
  };
}
