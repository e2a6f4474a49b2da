// Reading committed records: where to start, one stretch at a time, with damaged bytes mended on
// the way. What is not committed is never shown, control entries are passed over.

import { batchRecords } from '../../log/batch.ts';
import { KIB } from '../../protocol/configuration.ts';
import { JournalError } from '../../protocol/errors.ts';
import {
  after,
  type Batch,
  FIRST_LSN,
  higher,
  type Lsn,
  lastLsn,
  lower,
  lsn,
  micros,
} from '../../protocol/types.ts';
import type { JournalRecord, StartPosition } from '../../transport/public.ts';
import type { Repair } from '../copy/repair.ts';
import type { Host } from '../drive/host.ts';
import type { Asker } from './ask.ts';

const STRETCH_BYTES = 256 * KIB;
/** What a start position waits for the chain to prove how far the journal goes. */
const PROOF = micros(1_000_000);

export interface Stretch {
  readonly records: readonly JournalRecord[];
  /** First position that was not looked at. */
  readonly nextLsn: Lsn;
  readonly bytes: number;
}

export class Reader {
  readonly #asker: Asker;
  readonly #repair: Repair;

  constructor(asker: Asker, repair: Repair) {
    this.#asker = asker;
    this.#repair = repair;
  }

  /**
   * The position to read from. Rejects with TRIMMED below the first one left, OUT_OF_RANGE above
   * the next one.
   */
  async start(host: Host, from: StartPosition, signal: AbortSignal): Promise<Lsn> {
    switch (from.kind) {
      case 'first':
        return host.firstLsn;
      case 'next':
        return after(await this.#newest(host, signal), 1);
      case 'time': {
        const end = await this.#newest(host, signal);
        const found = await host.log.find(from.time);
        return higher(host.firstLsn, lower(found, after(end, 1)));
      }
      case 'last':
        return await this.#last(host, from.count, signal);
      case 'lsn':
        return await this.#at(host, from.lsn, signal);
    }
  }

  async #at(host: Host, at: Lsn, signal: AbortSignal): Promise<Lsn> {
    if (at < FIRST_LSN) {
      throw new JournalError('INVALID_ARGUMENT', `from is ${at}, allowed is at least 1`);
    }
    if (at > host.committedLsn + 1) {
      // This replica may only be behind: the chain knows.
      const { committedLsn } = await this.#asker.ask(
        host,
        { kind: 'readIndex' },
        'readIndex',
        signal,
        { timeout: PROOF },
      );
      if (at > committedLsn + 1) {
        throw new JournalError(
          'OUT_OF_RANGE',
          `from is ${at}, allowed is at most ${committedLsn + 1}, the next position`,
          { tailLsn: committedLsn },
        );
      }
    }
    this.refuseTrimmed(host, at);
    return at;
  }

  refuseTrimmed(host: Host, at: Lsn): void {
    const { firstLsn } = host;
    if (at >= firstLsn) return;
    throw new JournalError(
      'TRIMMED',
      `position ${at} of journal ${host.name} was trimmed, the first one left is ${firstLsn}`,
      { firstLsn },
    );
  }

  /** Proven by the chain where that is quick, else what this replica knows. */
  async #newest(host: Host, signal: AbortSignal): Promise<Lsn> {
    try {
      const body = { kind: 'readIndex' } as const;
      const answer = await this.#asker.ask(host, body, 'readIndex', signal, { timeout: PROOF });
      await this.#asker.committed(host, answer.committedLsn, signal);
      return answer.committedLsn;
    } catch (error) {
      if (error instanceof JournalError && error.retryable) return host.committedLsn;
      throw error;
    }
  }

  /** Control entries lie between records, so the last `count` are found by stepping back. */
  async #last(host: Host, count: number, signal: AbortSignal): Promise<Lsn> {
    if (!Number.isSafeInteger(count) || count < 1) {
      throw new JournalError('INVALID_ARGUMENT', `last is ${count}, allowed is at least 1`);
    }
    const end = await this.#newest(host, signal);
    const { firstLsn } = host;
    let from = higher(firstLsn, lsn(Math.max(1, end - count + 1)));
    let before = end;
    // Where it is the first one anyway there is nothing to count.
    for (let found = 0; from > firstLsn; ) {
      found += await this.#count(host, from, before, signal);
      if (found >= count) break;
      before = after(from, -1);
      from = higher(firstLsn, lsn(Math.max(1, from - (count - found))));
    }
    return from;
  }

  async #count(host: Host, from: Lsn, through: Lsn, signal: AbortSignal): Promise<number> {
    let count = 0;
    for (let at = from; at <= through; ) {
      if (signal.aborted) throw new JournalError('CANCELLED', 'the caller left before an answer');
      const batches = await this.#batches(host, at, STRETCH_BYTES);
      const end = batches.at(-1);
      if (end === undefined) break;
      for (const { header } of batches) {
        if (header.kind !== 'data') continue;
        const first = Math.max(header.firstLsn, at);
        count += Math.max(0, Math.min(lastLsn(header), through) - first + 1);
      }
      at = after(lastLsn(end.header), 1);
    }
    return count;
  }

  /**
   * Committed records from `from` on: at most `limit` and, but for the first, `bytesMax` bytes.
   * Empty at the end. Rejects with TRIMMED, and with DAMAGED what no peer could mend.
   */
  async read(host: Host, from: Lsn, limit: number, bytesMax: number): Promise<Stretch> {
    this.refuseTrimmed(host, from);
    const records: JournalRecord[] = [];
    let bytes = 0;
    let nextLsn = from;
    while (nextLsn <= host.committedLsn && records.length < limit && bytes < bytesMax) {
      const wanted = Math.min(STRETCH_BYTES, bytesMax - bytes);
      for (const batch of await this.#batches(host, nextLsn, wanted)) {
        const end = lastLsn(batch.header);
        // One more than there is room for shows where the next read goes on.
        const most = limit - records.length + 1;
        const taken = batch.header.kind === 'data' ? batchRecords(batch, nextLsn, most) : [];
        for (const record of taken) {
          const size = record.data.length + (record.key?.length ?? 0);
          const full = records.length >= limit || (records.length > 0 && bytes + size > bytesMax);
          if (full) return { records, nextLsn: record.lsn, bytes };
          const { key, data, timestamp: timestampMicros } = record;
          records.push({ lsn: record.lsn, timestampMicros, key, data });
          bytes += size;
        }
        nextLsn = after(end, 1);
      }
    }
    return { records, nextLsn, bytes };
  }

  /** Committed batches from the one that holds `from` on; at least one where it is committed. */
  #batches(host: Host, from: Lsn, bytesMax: number): Promise<readonly Batch[]> {
    return this.#repair.mending(async () => {
      // As known before: what lies above may be cut, and committed anew, while the disk reads.
      const through = host.committedLsn;
      try {
        const batches = await host.log.read(from, bytesMax);
        const known = batches.filter(({ header }) => lastLsn(header) <= through);
        if (known.length > 0 || from > through) return known;
        throw new JournalError('INTERNAL', `journal ${host.name} gave nothing at ${from}`);
      } catch (error) {
        if (error instanceof JournalError && error.code === 'TRIMMED') {
          this.refuseTrimmed(host, from);
        }
        throw error;
      }
    });
  }
}
