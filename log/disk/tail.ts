// The newest batches of one journal, in memory: all that is not synced, and what fits before it.

import type { Batch, Lsn } from '../../protocol/types.ts';
import { lastLsn } from '../../protocol/types.ts';

/** Dead places at the front of the array are given back when they are this many. */
const SHIFT_MAX = 1024;

/** Bytes of all tails of a volume together. */
export interface CacheMeter {
  bytes: number;
}

export class Tail {
  #batches: Batch[] = [];
  #first = 0;
  #bytes = 0;
  readonly #meter: CacheMeter;

  constructor(meter: CacheMeter) {
    this.#meter = meter;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get oldest(): Batch | undefined {
    return this.#batches[this.#first];
  }

  push(batch: Batch): void {
    this.#batches.push(batch);
    this.#count(batch.bytes.length);
  }

  /** Forgets the oldest. */
  shift(): void {
    const { oldest } = this;
    if (oldest === undefined) return;
    this.#count(-oldest.bytes.length);
    this.#first += 1;
    if (this.#first < SHIFT_MAX && this.#first < this.#batches.length) return;
    this.#batches = this.#batches.slice(this.#first);
    this.#first = 0;
  }

  /** Forgets every batch after `endLsn`. */
  cut(endLsn: Lsn): void {
    while (this.#batches.length > this.#first) {
      const last = this.#batches.at(-1);
      if (last === undefined || last.header.firstLsn <= endLsn) break;
      this.#count(-last.bytes.length);
      this.#batches.pop();
    }
  }

  #count(bytes: number): void {
    this.#bytes += bytes;
    this.#meter.bytes += bytes;
  }

  /** The batch that holds `position`; undefined where it is not here. */
  find(position: Lsn): Batch | undefined {
    const batch = this.#batches[this.#place(position)];
    return batch !== undefined && batch.header.firstLsn <= position ? batch : undefined;
  }

  /** Batches from the one that holds `position` on, at least one; none where it is not here. */
  from(position: Lsn, bytesMax: number): Batch[] {
    const found: Batch[] = [];
    if (this.find(position) === undefined) return found;
    let bytes = 0;
    for (let at = this.#place(position); at < this.#batches.length; at += 1) {
      const batch = this.#batches[at];
      if (batch === undefined || (found.length > 0 && bytes + batch.bytes.length > bytesMax)) break;
      found.push(batch);
      bytes += batch.bytes.length;
    }
    return found;
  }

  /** Index of the first batch whose last position is at or above `position`. */
  #place(position: Lsn): number {
    let low = this.#first;
    let high = this.#batches.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const batch = this.#batches[middle];
      if (batch !== undefined && lastLsn(batch.header) < position) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
