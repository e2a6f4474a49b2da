// Batches for tests of the log: the next one of a log, and what a log holds.

import { encodeBatch, encodeBody, encodeControlBody } from '../../log/batch.ts';
import type { Base, JournalLog } from '../../log/log.ts';
import { memoryVolume } from '../../log/memory.ts';
import {
  after,
  type Batch,
  type BatchHeader,
  type Control,
  epoch,
  type JournalId,
  type Lsn,
  lastLsn,
  lsn,
  micros,
} from '../../protocol/types.ts';

export interface BatchChoices {
  readonly epoch?: number;
  readonly timestamp?: number;
  /** Of the first record. */
  readonly key?: string;
  /** Length of each record. */
  readonly recordBytes?: number;
}

/** The end that a batch is to follow; a log is one. */
export interface End {
  readonly journal: JournalId;
  readonly endLsn: Lsn;
  readonly endCrc: number;
  readonly endEpoch?: number;
}

/** The base that a peer with the same batches has after a trim. */
export async function baseOfPeer(log: JournalLog, through: number): Promise<Base> {
  const base = await log.base();
  const peer = memoryVolume().create(log.journal, base);
  while (peer.endLsn < log.endLsn) {
    for (const batch of await log.read(after(peer.endLsn, 1), 1_000_000)) peer.append(batch);
  }
  return await peer.trim(lsn(through));
}

/** A batch of `count` records for the end of a log; its content follows from its place. */
export function batchAfter(
  end: End,
  count: number,
  choices: BatchChoices = {},
): { readonly batch: Batch } {
  const firstLsn = after(end.endLsn, 1);
  const { key, recordBytes = 100 } = choices;
  const records = Array.from({ length: count }, (_, index) => ({
    data: Buffer.alloc(recordBytes, `${firstLsn + index}.`),
    ...(index === 0 && key !== undefined ? { key } : {}),
  }));
  const body = encodeBody(records);
  const header: BatchHeader = {
    journal: end.journal,
    firstLsn,
    count,
    epoch: epoch(choices.epoch ?? Math.max(1, end.endEpoch ?? 1)),
    timestamp: micros(choices.timestamp ?? firstLsn * 1000),
    kind: 'data',
    keyOperation: 'tag',
    leaseMillis: 0,
    idempotence: null,
    keys: body.keys.map((one) => ({ key: one.key, lsn: after(firstLsn, one.offset) })),
    control: null,
    bodyCrc: body.crc,
    bodyBytes: body.bytes.length,
  };
  return { batch: encodeBatch(header, body.bytes, end.endCrc) };
}

export function append(log: JournalLog, count: number, choices: BatchChoices = {}): Batch {
  const { batch } = batchAfter(log, count, choices);
  log.append(batch);
  return batch;
}

/** A control entry, in the epoch that is given. */
export function appendControl(log: JournalLog, control: Control, at = 1): void {
  const { bytes, crc } = encodeControlBody(control);
  const firstLsn = after(log.endLsn, 1);
  const header = {
    journal: log.journal,
    firstLsn,
    count: 1,
    epoch: epoch(at),
    timestamp: micros(firstLsn * 1000),
    kind: control.kind,
    keyOperation: 'tag',
    leaseMillis: 0,
    idempotence: null,
    keys: [],
    control,
    bodyCrc: crc,
    bodyBytes: bytes.length,
  } as const;
  log.append(encodeBatch(header, bytes, log.endCrc));
}

export interface ReadBack {
  readonly firstLsn: number;
  readonly lastLsn: number;
  readonly epoch: number;
}

/** Every batch above the base, each checked to follow the one before. */
export async function readAll(log: JournalLog): Promise<ReadBack[]> {
  const found: ReadBack[] = [];
  let next = after(log.shape().baseLsn, 1);
  while (next <= log.endLsn) {
    const batches = await log.read(next, 4096);
    if (batches.length === 0) throw new Error(`nothing was read at ${next}`);
    for (const { header } of batches) {
      if (header.firstLsn !== next) throw new Error(`read ${header.firstLsn} instead of ${next}`);
      next = after(lastLsn(header), 1);
      const { firstLsn, epoch: at } = header;
      found.push({ firstLsn, lastLsn: lastLsn(header), epoch: at });
    }
  }
  return found;
}
