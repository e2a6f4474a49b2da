// The segments of a volume: opened, written one at a time, closed, indexed, removed.

import type { Disk } from '../../io/disk.ts';
import type { Logger } from '../../io/logger.ts';
import type { Random } from '../../io/random.ts';
import type { JournalId } from '../../protocol/types.ts';
import { hasCode, readFully, replaceFile } from '../files.ts';
import { indexName, type VolumeLayout } from '../layout.ts';
import { Places, SegmentIndex } from './entries.ts';
import { ENVELOPE_BYTES, type OutgoingFrame } from './envelope.ts';
import {
  decodeIndexHead,
  decodePlaces,
  decodeSummary,
  encodeIndex,
  INDEX_HEAD_BYTES,
  type ReadIndex,
} from './index-file.ts';
import { type ReadAt, type Scan, scanSegment } from './scan.ts';
import { encodeHeader, HEADER_BYTES, Segment, type SegmentHeader } from './segment.ts';

export interface StoreOptions {
  readonly disk: Disk;
  readonly layout: VolumeLayout;
  readonly random: Random;
  readonly logger: Logger;
  readonly segmentBytes: number;
  /** Most bytes of places of closed segments that are kept loaded. */
  readonly placeBytesMax: number;
}

const SPARE_CHUNK_BYTES = 1024 * 1024;
/** A segment that was not filled with zeros before is worth a spare from here on. */
const SPARE_AFTER = 1024 * 1024;
const NOTHING = new Uint8Array(0);

export class SegmentStore {
  readonly options: StoreOptions;
  /** By number, rising. */
  readonly segments = new Map<number, Segment>();
  /** The one that is written; null before the first write and after each close of a segment. */
  active: Segment | null = null;
  /** Position at which the next segment starts, while none is active. */
  #nextStart = 0;
  #nextNumber = 1;
  #spare: Promise<boolean> | null = null;
  #spareReady = false;
  #stopped = false;
  /** Closed segments whose places are loaded, the longest unused one first. */
  readonly #loaded = new Map<number, number>();
  readonly #loading = new Map<number, Promise<void>>();

  constructor(options: StoreOptions) {
    this.options = options;
  }

  /** Takes in a segment that recovery found; in rising order of number. */
  adopt(segment: Segment): void {
    this.segments.set(segment.number, segment);
    this.#nextNumber = segment.number + 1;
    this.#nextStart = segment.position(segment.end);
  }

  /** A number that was seen is not used again, even where its file could not be read. */
  skipNumber(number: number): void {
    this.#nextNumber = Math.max(this.#nextNumber, number + 1);
  }

  get lastNumber(): number {
    return this.#nextNumber - 1;
  }

  /** Whether `bytes` more and an end frame fit; one frame always goes into an empty segment. */
  fits(bytes: number): boolean {
    const { active } = this;
    if (active === null) return false;
    const room = this.options.segmentBytes - active.end - ENVELOPE_BYTES;
    return bytes <= room || active.end === HEADER_BYTES;
  }

  /** The active segment grows with every write, which makes each sync dear, and a better waits. */
  get isOutgrown(): boolean {
    return this.#spareReady && this.active !== null && !this.active.prepared;
  }

  /** Whether a spare is worth its bytes now: an idle volume makes none. */
  get wantsSpare(): boolean {
    const { active } = this;
    if (active === null || this.#spare !== null) return false;
    const { segmentBytes } = this.options;
    const enough = active.prepared ? segmentBytes / 2 : Math.min(SPARE_AFTER, segmentBytes / 2);
    return active.end > enough;
  }

  /** A new segment to write to. Its header is not synced, and neither is its name. */
  async openNext(withHeader = true): Promise<Segment> {
    const { disk, layout, random } = this.options;
    const header: SegmentHeader = {
      number: this.#nextNumber,
      id: Buffer.from(random.hex(8), 'hex'),
      start: this.#nextStart,
    };
    const path = layout.segment(header.number);
    const spare = this.#spare;
    this.#spare = null;
    this.#spareReady = false;
    // What is in the way was left by an attempt that found the disk full: no frame counts in it.
    await disk.remove(path);
    const prepared = spare !== null && (await spare);
    if (prepared) await disk.rename(layout.spare, path);
    else await (await disk.create(path)).close();
    const segment = new Segment(disk, path, header, new SegmentIndex(), HEADER_BYTES, true);
    segment.prepared = prepared;
    try {
      if (withHeader) await this.writeHeader(segment);
    } catch (error) {
      // Nobody knows of it: the next attempt makes another, five times a second on a full disk.
      await segment.close();
      throw error;
    }
    this.segments.set(header.number, segment);
    this.#nextNumber += 1;
    this.active = segment;
    return segment;
  }

  async writeHeader(segment: Segment): Promise<void> {
    const file = await segment.file();
    await file.write(0, [encodeHeader(segment)]);
  }

  /** Syncs what was written to the active segment, its name too where that is new. */
  async sync(segment: Segment): Promise<void> {
    const { disk, layout } = this.options;
    if (!segment.fresh) return segment.sync();
    await Promise.all([segment.sync(), disk.syncDirectory(layout.segments)]);
    segment.fresh = false;
  }

  /** Writes the end frame and the index, and gives the unused rest back. */
  async closeActive(): Promise<void> {
    const { active } = this;
    if (active === null) return;
    await this.writeEnd(active);
    this.active = null;
    this.#nextStart = active.position(active.end);
    await this.saveIndex(active);
    this.#touch(active);
  }

  /** Closes a segment for good: durable when it resolves. `active.end` stays before the frame. */
  async writeEnd(segment: Segment): Promise<void> {
    const end: OutgoingFrame = { kind: 'end', journal: null, payload: NOTHING, payloadCrc: 0 };
    const after = await segment.write([end]);
    const file = await segment.file();
    await file.truncate(after);
    await this.sync(segment);
  }

  /** Derived, so that a failure costs the next open a scan and nothing else. */
  async saveIndex(segment: Segment): Promise<void> {
    const { disk, layout, logger } = this.options;
    const bytes = encodeIndex(segment.id, segment.end, segment.index);
    try {
      await replaceFile(disk, layout.segments, indexName(segment.number), [bytes]);
    } catch (error) {
      logger.warn({ segment: segment.path, error: String(error) }, 'no index was written');
    }
  }

  /** Makes the next segment ready in the background, zero-filled, unless one is. */
  prepareSpare(): void {
    if (this.#spare !== null || this.#stopped) return;
    const spare = this.#fillSpare().catch((error: unknown) => {
      const { logger, layout } = this.options;
      logger.warn({ file: layout.spare, error: String(error) }, 'no segment was preallocated');
      return false;
    });
    this.#spare = spare;
    void spare.then((ready) => {
      if (this.#spare === spare) this.#spareReady = ready;
    });
  }

  async #fillSpare(): Promise<boolean> {
    const { disk, layout, segmentBytes } = this.options;
    await disk.remove(layout.spare);
    const file = await disk.create(layout.spare);
    try {
      const zeros = Buffer.alloc(Math.min(SPARE_CHUNK_BYTES, segmentBytes));
      for (let at = 0; at < segmentBytes && !this.#stopped; at += zeros.length) {
        await file.write(at, [zeros.subarray(0, Math.min(zeros.length, segmentBytes - at))]);
      }
      await file.sync();
    } finally {
      await file.close();
    }
    return !this.#stopped;
  }

  /** Durable when it resolves; until then they count as there, since a crash may bring them back. */
  async remove(numbers: ReadonlySet<number>): Promise<void> {
    const { disk, layout } = this.options;
    for (const number of numbers) {
      await this.segments.get(number)?.close();
      await disk.remove(layout.segment(number));
      await disk.remove(`${layout.segments}/${indexName(number)}`);
    }
    await disk.syncDirectory(layout.segments);
    for (const number of numbers) {
      this.segments.delete(number);
      this.#loaded.delete(number);
    }
  }

  async close(): Promise<void> {
    const { disk, layout } = this.options;
    this.#stopped = true;
    if (this.#spare !== null) {
      await this.#spare;
      await disk.remove(layout.spare);
    }
    for (const segment of this.segments.values()) await segment.close();
  }

  /** Places of a journal in a segment, read from the index file where they were dropped. */
  async places(number: number, journal: JournalId): Promise<Places> {
    const segment = this.segments.get(number);
    const inSegment = segment?.index.journals.get(journal);
    if (segment === undefined || inSegment === undefined) return new Places();
    if (inSegment.places === null) {
      const loading = this.#loading.get(number) ?? this.#load(segment);
      this.#loading.set(number, loading);
      try {
        await loading;
      } finally {
        this.#loading.delete(number);
      }
    }
    const { places } = inSegment;
    if (segment !== this.active) this.#touch(segment);
    return places ?? new Places();
  }

  async #load(segment: Segment): Promise<void> {
    const read = await this.readIndex(segment.number, segment.id);
    if (read?.placesOk === true) {
      for (const [journal, { places }] of read.index.journals) {
        segment.index.of(journal).places = places;
      }
      return;
    }
    const scan = await this.scan(segment, segment.end);
    const index = indexOf(scan);
    for (const [journal, inSegment] of segment.index.journals) {
      inSegment.places = index.journals.get(journal)?.places ?? new Places();
    }
  }

  scan(
    segment: Pick<Segment, 'id' | 'start' | 'read' | 'file'>,
    end: number | null,
  ): Promise<Scan> {
    const read: ReadAt = (offset, length) => segment.read(offset, length);
    const whole = async (): Promise<Scan> => {
      const size = await (await segment.file()).size();
      return scanSegment(read, size, segment, end);
    };
    return whole();
  }

  /** The index of a segment from its file; null where there is no good one. */
  async readIndex(
    number: number,
    id: Buffer,
    withPlaces = true,
  ): Promise<(ReadIndex & { readonly placesOk: boolean }) | null> {
    const { disk, layout } = this.options;
    const path = `${layout.segments}/${indexName(number)}`;
    try {
      const file = await disk.open(path);
      try {
        const first = await readFully(file, 0, INDEX_HEAD_BYTES);
        const head = decodeIndexHead(first, await file.size());
        if (head === null) return null;
        const json = await readFully(file, INDEX_HEAD_BYTES, head.summaryBytes);
        const read = decodeSummary(head, json, id);
        if (read === null || !withPlaces) return read && { ...read, placesOk: false };
        const bytes = await readFully(file, INDEX_HEAD_BYTES + json.length, head.placesBytes);
        return { ...read, placesOk: decodePlaces(head, bytes, read.counts, read.index) };
      } finally {
        await file.close();
      }
    } catch (error) {
      if (hasCode(error, 'ENOENT') || hasCode(error, 'EIO')) return null;
      throw error;
    }
  }

  /** Notes a use of a closed segment's places, and drops the longest unused ones. */
  #touch(segment: Segment): void {
    this.#loaded.delete(segment.number);
    this.#loaded.set(segment.number, segment.index.placeBytes);
    let bytes = 0;
    for (const size of this.#loaded.values()) bytes += size;
    for (const [number, size] of this.#loaded) {
      if (bytes <= this.options.placeBytesMax || number === segment.number) break;
      bytes -= size;
      this.#loaded.delete(number);
      for (const inSegment of this.segments.get(number)?.index.journals.values() ?? []) {
        inSegment.places = null;
      }
    }
  }
}

/** What a scan found, as an index. */
export function indexOf(scan: Scan): SegmentIndex {
  const index = new SegmentIndex();
  for (const frame of scan.frames) {
    if (frame.kind === 'state' && frame.journal !== null) {
      index.addState(frame.journal, { offset: frame.offset, length: frame.payloadBytes });
    } else if (frame.batch !== null) {
      const bytes = ENVELOPE_BYTES + frame.payloadBytes;
      index.addBatch(frame.batch, frame.offset, bytes, frame.payloadBytes);
    }
  }
  index.bad.push(...scan.bad);
  return index;
}
