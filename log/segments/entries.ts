// What lies in one segment: for each journal the place of every batch, and the spans they make.
//
// Spans stay in memory; places are 24 bytes a batch, in typed arrays, and those of closed segments
// are dropped when too many are loaded: index-file.ts keeps them beside the segment.

import type { EpochRun } from '../../protocol/chain/messages.ts';
import { after, type JournalId, type Lsn, lsn, type Micros } from '../../protocol/types.ts';
import type { BatchPeek } from '../batch.ts';

/** A row of batches of one journal without a gap, each chained to the one before. */
export interface Span {
  readonly firstLsn: Lsn;
  lastLsn: Lsn;
  /** Bytes of its frames. */
  bytes: number;
  readonly previousCrc: number;
  lastCrc: number;
  readonly firstTimestamp: Micros;
  /** Where epochs begin in it; the first at its first batch. */
  readonly epochs: EpochRun[];
}

export interface Place {
  readonly firstLsn: Lsn;
  readonly lastLsn: Lsn;
  /** Offset of the envelope in the segment. */
  readonly offset: number;
  /** Length of the payload. */
  readonly length: number;
  readonly crc: number;
}

export const PLACE_BYTES = 24;

/** Places of one journal in one segment, sorted by position. */
export class Places {
  count = 0;
  #lsns = new Float64Array(8);
  #counts = new Uint32Array(8);
  #offsets = new Uint32Array(8);
  #lengths = new Uint32Array(8);
  #crcs = new Uint32Array(8);

  get bytes(): number {
    return this.#lsns.length * PLACE_BYTES;
  }

  add(place: Place): void {
    if (this.count === this.#lsns.length) this.#grow();
    let at = this.count;
    const before = at === 0 ? 0 : (this.#lsns[at - 1] ?? 0);
    if (before >= place.firstLsn) {
      at = this.#firstAtOrAbove(place.firstLsn);
      if (this.#lsns[at] !== place.firstLsn) this.#makeRoom(at);
      else this.count -= 1; // a later copy takes the place of an earlier one
    }
    this.#lsns[at] = place.firstLsn;
    this.#counts[at] = place.lastLsn - place.firstLsn + 1;
    this.#offsets[at] = place.offset;
    this.#lengths[at] = place.length;
    this.#crcs[at] = place.crc;
    this.count += 1;
  }

  at(index: number): Place | undefined {
    const first = this.#lsns[index];
    if (first === undefined || index >= this.count) return undefined;
    const firstLsn = lsn(first);
    return {
      firstLsn,
      lastLsn: after(firstLsn, (this.#counts[index] ?? 1) - 1),
      offset: this.#offsets[index] ?? 0,
      length: this.#lengths[index] ?? 0,
      crc: this.#crcs[index] ?? 0,
    };
  }

  /** Index of the place that holds `position`; -1 where none does. */
  find(position: Lsn): number {
    const above = this.#firstAtOrAbove(position + 0.5);
    const place = this.at(above - 1);
    return place !== undefined && place.lastLsn >= position ? above - 1 : -1;
  }

  /** The first place that begins above `position`. */
  above(position: Lsn): Place | undefined {
    return this.at(this.#firstAtOrAbove(position + 0.5));
  }

  #firstAtOrAbove(position: number): number {
    let low = 0;
    let high = this.count;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#lsns[middle] ?? 0) < position) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #makeRoom(at: number): void {
    for (const column of this.#columns()) column.copyWithin(at + 1, at, this.count);
  }

  #columns(): readonly (Float64Array | Uint32Array)[] {
    return [this.#lsns, this.#counts, this.#offsets, this.#lengths, this.#crcs];
  }

  #grow(): void {
    const grow = <Column extends Float64Array | Uint32Array>(old: Column, wide: Column): Column => {
      wide.set(old);
      return wide;
    };
    const size = this.#lsns.length * 2;
    this.#lsns = grow(this.#lsns, new Float64Array(size));
    this.#counts = grow(this.#counts, new Uint32Array(size));
    this.#offsets = grow(this.#offsets, new Uint32Array(size));
    this.#lengths = grow(this.#lengths, new Uint32Array(size));
    this.#crcs = grow(this.#crcs, new Uint32Array(size));
  }
}

/** Where the newest state of a journal lies in a segment. */
export interface StatePlace {
  readonly offset: number;
  readonly length: number;
}

/** Bytes of a segment that are bad although they were durable. */
export interface BadRange {
  readonly offset: number;
  readonly end: number;
  readonly what: string;
  /** Known where an envelope or a header is good. */
  readonly journal: JournalId | null;
  readonly firstLsn: Lsn | null;
  readonly lastLsn: Lsn | null;
}

export interface JournalInSegment {
  readonly spans: Span[];
  state: StatePlace | null;
  /** Null while only index-file.ts has them. */
  places: Places | null;
}

/** What an index keeps of a batch. */
export type PlacedBatch = Omit<BatchPeek, 'headerBytes' | 'bodyCrc'>;

export class SegmentIndex {
  readonly journals = new Map<JournalId, JournalInSegment>();
  readonly bad: BadRange[] = [];

  of(journal: JournalId): JournalInSegment {
    const known = this.journals.get(journal);
    if (known !== undefined) return known;
    const made: JournalInSegment = { spans: [], state: null, places: new Places() };
    this.journals.set(journal, made);
    return made;
  }

  addState(journal: JournalId, place: StatePlace): void {
    this.of(journal).state = place;
  }

  addBatch(batch: PlacedBatch, offset: number, frameBytes: number, payloadBytes: number): void {
    const inSegment = this.of(batch.journal);
    const { firstLsn, lastLsn, epoch, crc } = batch;
    inSegment.places?.add({ firstLsn, lastLsn, offset, length: payloadBytes, crc });
    const last = inSegment.spans.at(-1);
    if (last?.lastLsn === firstLsn - 1 && last.lastCrc === batch.previousCrc) {
      last.lastLsn = lastLsn;
      last.lastCrc = crc;
      last.bytes += frameBytes;
      if (last.epochs.at(-1)?.epoch !== epoch) last.epochs.push({ epoch, firstLsn });
      return;
    }
    inSegment.spans.push({
      firstLsn,
      lastLsn,
      bytes: frameBytes,
      previousCrc: batch.previousCrc,
      lastCrc: crc,
      firstTimestamp: batch.timestamp,
      epochs: [{ epoch, firstLsn }],
    });
  }

  /** Bytes that the loaded places take. */
  get placeBytes(): number {
    let bytes = 0;
    for (const { places } of this.journals.values()) bytes += places?.bytes ?? 0;
    return bytes;
  }
}
