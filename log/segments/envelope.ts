// What each member writes around what it keeps: a frame is an envelope and its payload.
//
//   offset bytes
//        0     4  checksum of the 44 bytes that follow
//        4     4  length of the payload
//        8     8  id of the segment, random: frames of another id are none
//       16     8  position in the volume up to which all was durable when this was written
//       24    16  journal
//       40     4  checksum of the payload; of a batch its own, which covers its header
//       44     1  kind: 1 batch, 2 state of a journal, 3 end of the segment
//       45     3  zero
//       48        payload
//
// Envelopes are not replicated and not compared: members agree on batches.

import { crc32 } from '../../io/node-checksum.ts';
import type { JournalId } from '../../protocol/types.ts';
import { type BatchPeek, getWhole, peekBatch, putWhole } from '../batch.ts';

export const ENVELOPE_BYTES = 48;
const NO_JOURNAL = '0'.repeat(32);

export type FrameKind = 'batch' | 'state' | 'end';
const KINDS: Readonly<Record<FrameKind, number>> = { batch: 1, state: 2, end: 3 };
const KIND_OF: readonly (FrameKind | undefined)[] = [undefined, 'batch', 'state', 'end'];

export interface Envelope {
  readonly kind: FrameKind;
  readonly payloadBytes: number;
  readonly durable: number;
  /** 32 zeros where the frame belongs to none. */
  readonly journal: string;
  readonly payloadCrc: number;
}

/** A frame on its way to a segment. */
export interface OutgoingFrame {
  readonly kind: FrameKind;
  readonly journal: JournalId | null;
  readonly payload: Uint8Array;
  readonly payloadCrc: number;
}

export const frameBytes = (frame: OutgoingFrame): number => ENVELOPE_BYTES + frame.payload.length;

/** Envelopes and payloads in turn, ready to be written; payloads are not copied. */
export function encodeFrames(
  frames: readonly OutgoingFrame[],
  segmentId: Uint8Array,
  durable: number,
): Uint8Array[] {
  const all = Buffer.alloc(frames.length * ENVELOPE_BYTES);
  const chunks: Uint8Array[] = [];
  for (const [index, { kind, journal, payload, payloadCrc }] of frames.entries()) {
    const head = all.subarray(index * ENVELOPE_BYTES, (index + 1) * ENVELOPE_BYTES);
    head.writeUInt32LE(payload.length, 4);
    head.set(segmentId, 8);
    putWhole(head, durable, 16);
    head.write(journal ?? NO_JOURNAL, 24, 16, 'hex');
    head.writeUInt32LE(payloadCrc, 40);
    head[44] = KINDS[kind];
    head.writeUInt32LE(crc32(head.subarray(4)), 0);
    chunks.push(head, payload);
  }
  return chunks;
}

/** The envelope at `at`; null where there is none of this segment. */
export function envelopeAt(bytes: Buffer, at: number, segmentId: Uint8Array): Envelope | null {
  if (at < 0 || at + ENVELOPE_BYTES > bytes.length) return null;
  const head = bytes.subarray(at, at + ENVELOPE_BYTES);
  if (head.compare(segmentId, 0, 8, 8, 16) !== 0) return null;
  if (crc32(head.subarray(4)) !== head.readUInt32LE(0)) return null;
  const kind = KIND_OF[head[44] ?? 0];
  if (kind === undefined) return null;
  return {
    kind,
    payloadBytes: head.readUInt32LE(4),
    durable: getWhole(head, 16),
    journal: head.toString('hex', 24, 40),
    payloadCrc: head.readUInt32LE(40),
  };
}

export type Payload =
  | { readonly kind: 'batch'; readonly batch: BatchPeek }
  | { readonly kind: 'state' | 'end' }
  /** `batch` where its header is good and only its body is not. */
  | { readonly kind: 'bad'; readonly what: string; readonly batch: BatchPeek | null };

/** Whether a payload is what its envelope says. */
export function checkPayload(envelope: Envelope, payload: Buffer): Payload {
  const { kind, payloadCrc, journal } = envelope;
  if (kind !== 'batch') {
    if (crc32(payload) === payloadCrc) return { kind };
    return { kind: 'bad', what: 'a state has another checksum', batch: null };
  }
  const batch = peekBatch(payload);
  if (batch === null || batch.crc !== payloadCrc || batch.journal !== journal) {
    return { kind: 'bad', what: 'the header of a batch has another checksum', batch: null };
  }
  if (crc32(payload.subarray(batch.headerBytes)) !== batch.bodyCrc) {
    return { kind: 'bad', what: 'the body of a batch has another checksum', batch };
  }
  return { kind, batch };
}
