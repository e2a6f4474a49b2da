// One segment file: a header block, then frames, then an end frame once it is closed.
//
// The header stands twice in its block, in sectors of their own:
//
//   offset bytes
//        0     8  "JOURNALS"
//        8     4  format, 1
//       12     4  checksum of the 24 bytes that follow
//       16     8  number, as in the name
//       24     8  id, random
//       32     8  start: position in the volume of the first byte of this file's frames
//
// The volume counts frames only: the frame at offset `o` has position start + o - HEADER_BYTES.

import type { Disk, DiskFile } from '../../io/disk.ts';
import { crc32 } from '../../io/node-checksum.ts';
import { getWhole, putWhole } from '../batch.ts';
import { readFully } from '../files.ts';
import type { SegmentIndex } from './entries.ts';
import { encodeFrames, frameBytes, type OutgoingFrame } from './envelope.ts';

export const HEADER_BYTES = 4096;
const HEADER_COPY = 2048;
const HEADER_USED = 40;
const MAGIC = 'JOURNALS';
const FORMAT = 1;

export interface SegmentHeader {
  readonly number: number;
  readonly id: Buffer;
  readonly start: number;
}

export function encodeHeader({ number, id, start }: SegmentHeader): Buffer {
  const block = Buffer.alloc(HEADER_BYTES);
  block.write(MAGIC, 0, 'latin1');
  block.writeUInt32LE(FORMAT, 8);
  putWhole(block, number, 16);
  id.copy(block, 24);
  putWhole(block, start, 32);
  block.writeUInt32LE(crc32(block.subarray(16, HEADER_USED)), 12);
  block.copy(block, HEADER_COPY, 0, HEADER_USED);
  return block;
}

/** The header of a segment; null where neither copy is good. */
export function decodeHeader(block: Buffer): SegmentHeader | null {
  for (const at of [0, HEADER_COPY]) {
    const head = block.subarray(at, at + HEADER_USED);
    if (head.length < HEADER_USED || head.toString('latin1', 0, 8) !== MAGIC) continue;
    if (crc32(head.subarray(16)) !== head.readUInt32LE(12)) continue;
    if (head.readUInt32LE(8) !== FORMAT) continue;
    const id = Buffer.from(head.subarray(24, 32));
    return { number: getWhole(head, 16), id, start: getWhole(head, 32) };
  }
  return null;
}

/** A segment that is read, and maybe written: one at a time is, the one with the highest number. */
export class Segment {
  readonly number: number;
  readonly id: Buffer;
  readonly start: number;
  readonly path: string;
  readonly index: SegmentIndex;
  /** Offset at which the next frame goes. */
  end: number;
  /** All before is on the disk; HEADER_BYTES while nothing is. */
  durableEnd: number;
  /** Its name is not durable yet. */
  fresh: boolean;
  /** Filled with zeros before: a sync has no length to keep. */
  prepared = false;
  readonly #disk: Disk;
  #file: Promise<DiskFile> | null = null;

  constructor(
    disk: Disk,
    path: string,
    header: SegmentHeader,
    index: SegmentIndex,
    end: number,
    fresh = false,
  ) {
    this.#disk = disk;
    this.path = path;
    this.number = header.number;
    this.id = header.id;
    this.start = header.start;
    this.index = index;
    this.end = end;
    this.durableEnd = fresh ? HEADER_BYTES : end;
    this.fresh = fresh;
  }

  /** Position in the volume of an offset in this file. */
  position(offset: number): number {
    return this.start + offset - HEADER_BYTES;
  }

  /** Opened at the first use, kept open until `close`. A refusal is not kept: the next use asks. */
  file(): Promise<DiskFile> {
    if (this.#file !== null) return this.#file;
    const opening = this.#disk.open(this.path);
    this.#file = opening;
    opening.catch(() => {
      if (this.#file === opening) this.#file = null;
    });
    return opening;
  }

  async read(offset: number, length: number): Promise<Buffer> {
    return readFully(await this.file(), offset, length);
  }

  /** Writes frames at the end, which moves only by `moveTo` once all went well. */
  async write(frames: readonly OutgoingFrame[]): Promise<number> {
    const chunks = encodeFrames(frames, this.id, this.position(this.durableEnd));
    const file = await this.file();
    await file.write(this.end, chunks);
    return frames.reduce((at, frame) => at + frameBytes(frame), this.end);
  }

  async sync(): Promise<void> {
    const file = await this.file();
    await file.sync();
  }

  /** Nothing lies behind the end any more; durable when it resolves. */
  async cutBack(): Promise<void> {
    const file = await this.file();
    await file.truncate(this.end);
    await file.sync();
  }

  moveTo(end: number): void {
    this.end = end;
    this.durableEnd = end;
  }

  async close(): Promise<void> {
    const opening = this.#file;
    this.#file = null;
    // What is refused while it opens is as good as closed.
    const file = await opening?.catch(() => null);
    await file?.close();
  }
}
