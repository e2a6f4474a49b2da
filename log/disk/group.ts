// What goes to the disk in one write, and how it counts once it is there.

import { type Batch, lastLsn } from '../../protocol/types.ts';
import { batchCrc, previousCrc } from '../batch.ts';
import type { Span } from '../segments/entries.ts';
import { ENVELOPE_BYTES, type OutgoingFrame } from '../segments/envelope.ts';
import type { Segment } from '../segments/segment.ts';
import type { LogInside } from './inside.ts';
import { stateFrames } from './state.ts';

/** A frame of a group: a state where there is no batch. */
export interface Item {
  readonly log: LogInside;
  readonly batch: Batch | null;
  readonly frame: OutgoingFrame;
}

/** States first, then of each log in turn its share of about `bytesMax`. */
export function takeGroup(turn: readonly LogInside[], bytesMax: number): Item[] {
  const items: Item[] = [];
  for (const log of turn) {
    if (!log.stateDirty) continue;
    for (const frame of stateFrames(log.state)) items.push({ log, batch: null, frame });
  }
  let budget = bytesMax;
  const share = Math.ceil(budget / Math.max(1, turn.length));
  for (let took = true; took && budget > 0; ) {
    took = false;
    for (const log of turn) {
      if (budget <= 0) break;
      const bytes = take(log, Math.min(share, budget), items);
      budget -= bytes;
      took ||= bytes > 0;
    }
  }
  return items;
}

/** Moves batches of a log into the group, up to about `bytesMax`; gives their bytes. */
function take(log: LogInside, bytesMax: number, items: Item[]): number {
  let bytes = 0;
  while (bytes < bytesMax) {
    const batch = log.pending[log.taken];
    if (batch === undefined) break;
    items.push({ log, batch, frame: batchFrame(batch) });
    log.taken += 1;
    bytes += ENVELOPE_BYTES + batch.bytes.length;
  }
  return bytes;
}

export function batchFrame(batch: Batch): OutgoingFrame {
  const { header, bytes } = batch;
  const payloadCrc = batchCrc(batch);
  return { kind: 'batch', journal: header.journal, payload: bytes, payloadCrc };
}

export function addToIndex(segment: Segment, offset: number, batch: Batch): void {
  const { journal, firstLsn, epoch, timestamp } = batch.header;
  const placed = {
    journal,
    firstLsn,
    lastLsn: lastLsn(batch.header),
    epoch,
    timestamp,
    crc: batchCrc(batch),
    previousCrc: previousCrc(batch),
  };
  segment.index.addBatch(placed, offset, ENVELOPE_BYTES + batch.bytes.length, batch.bytes.length);
}

/** The batch is the newest durable one of its log. */
export function addToLog(log: LogInside, segment: Segment, offset: number, batch: Batch): void {
  addToIndex(segment, offset, batch);
  const span: Span | undefined = segment.index.of(log.journal).spans.at(-1);
  if (span === undefined) return;
  const end = lastLsn(batch.header);
  const last = log.runs.at(-1);
  if (last?.span === span) log.runs[log.runs.length - 1] = { ...last, lastLsn: end };
  else {
    const run = { segment: segment.number, span, firstLsn: batch.header.firstLsn, lastLsn: end };
    log.runs.push(run);
  }
  log.durableLsn = end;
  log.bytes += ENVELOPE_BYTES + batch.bytes.length;
}
