// The state of a journal as a frame keeps it: all that its batches do not say by themselves.
//
// The newest state of a journal counts, whole: each base, cut and drop writes a new one, twice, one
// copy after the other, so that no single bad spot loses it. Payload: length of the JSON (4), JSON,
// then the base where it is small enough; a bigger one has a file of its own, written before.

import { crc32 } from '../../io/node-checksum.ts';
import { fields, flag, list, parse, text, whole } from '../../protocol/fields.ts';
import {
  type Epoch,
  epoch,
  type JournalId,
  journalId,
  type Lsn,
  lsn,
  RangeViolation,
} from '../../protocol/types.ts';
import { asBuffer } from '../files.ts';
import type { OutgoingFrame } from '../segments/envelope.ts';
import type { Cut } from '../segments/runs.ts';

/** A base of more bytes than this has a file. */
export const BASE_INLINE_BYTES = 16 * 1024;

export interface BaseReference {
  readonly lsn: Lsn;
  readonly epoch: Epoch;
  readonly crc: number;
  readonly trimmedLsn: Lsn;
  /** Number of the base within its journal: names its file. */
  readonly serial: number;
  /** The base itself; null where it has a file. */
  readonly inline: Uint8Array | null;
}

export interface LogState {
  readonly journal: JournalId;
  /** Number of this state within its journal. */
  readonly serial: number;
  readonly dropped: boolean;
  readonly cuts: readonly Cut[];
  readonly base: BaseReference;
}

export function encodeState(state: LogState): Buffer {
  const { inline, ...base } = state.base;
  const json = Buffer.from(JSON.stringify({ ...state, base }));
  const length = Buffer.alloc(4);
  length.writeUInt32LE(json.length, 0);
  return Buffer.concat([length, json, inline ?? Buffer.alloc(0)]);
}

/**
 * Reads what `encodeState` wrote, whose checksum was found to be right; null where it is none of
 * ours all the same.
 */
export function decodeState(payload: Buffer): LogState | null {
  if (payload.length < 4) return null;
  const end = 4 + payload.readUInt32LE(0);
  if (end > payload.length) return null;
  const inline = end === payload.length ? null : Buffer.from(asBuffer(payload.subarray(end)));
  try {
    const all = fields('state', parse('state', payload.toString('utf8', 4, end)));
    return {
      journal: journalId(text('journal', all.journal)),
      serial: whole('serial', all.serial),
      dropped: flag('dropped', all.dropped),
      cuts: list('cuts', all.cuts, readCut),
      base: readReference('base', all.base, inline),
    };
  } catch (error) {
    if (error instanceof RangeViolation) return null;
    throw error;
  }
}

function readCut(name: string, value: unknown): Cut {
  const all = fields(name, value);
  const endLsn = lsn(whole(`${name}.endLsn`, all.endLsn));
  return { segment: whole(`${name}.segment`, all.segment), endLsn };
}

function readReference(name: string, value: unknown, inline: Buffer | null): BaseReference {
  const all = fields(name, value);
  return {
    lsn: lsn(whole(`${name}.lsn`, all.lsn)),
    epoch: epoch(whole(`${name}.epoch`, all.epoch)),
    crc: whole(`${name}.crc`, all.crc),
    trimmedLsn: lsn(whole(`${name}.trimmedLsn`, all.trimmedLsn)),
    serial: whole(`${name}.serial`, all.serial),
    inline,
  };
}

/** The two copies of a state, as frames. */
export function stateFrames(state: LogState): OutgoingFrame[] {
  const payload = encodeState(state);
  const { journal } = state;
  const frame: OutgoingFrame = { kind: 'state', journal, payload, payloadCrc: crc32(payload) };
  return [frame, frame];
}
