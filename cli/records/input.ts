// Records from stdin in bounded memory: lines, pieces between NULs, or JSON lines.
//
// Reading runs ahead of the appends by a bounded number of bytes and then pauses the stream, so
// that a file of any size passes through a few MiB.

import type { Readable } from 'node:stream';
import { KEY_BYTES_LIMIT, RECORD_BYTES_LIMIT } from '../../protocol/configuration.ts';
import type { NewRecord } from '../../transport/public.ts';
import { isKey } from '../options.ts';
import { UsageError } from '../output.ts';
import { parseRecordJson, textOf, wrong } from './format.ts';

export type Framing = 'lines' | 'nul' | 'json';

/** What one batch may hold: it ends at whichever comes first. */
export interface Cut {
  readonly records: number;
  readonly bytes: number;
}

const AHEAD_BYTES = 4 * 1024 * 1024;
/** What a record costs beside its bytes, so that millions of empty ones are bounded as well. */
const RECORD_COST = 64;
/** A JSON line may be longer than its record: base64, escapes, a key. */
const JSON_LINE_BYTES_MAX = 6 * RECORD_BYTES_LIMIT + 16 * 1024;

export const costOf = (record: NewRecord): number =>
  record.data.length + Buffer.byteLength(record.key ?? '') + RECORD_COST;

export class RecordInput {
  #queue: NewRecord[] = [];
  #queuedBytes = 0;
  #ended = false;
  #failure: unknown = null;
  #wake: () => void = () => {};
  #rest: Buffer[] = [];
  #restBytes = 0;
  #count = 0;
  readonly #stream: Readable;
  readonly #framing: Framing;
  readonly #key: string | undefined;

  /** `key` is given to each record that brings none. */
  constructor(stream: Readable, framing: Framing, key?: string | undefined) {
    this.#stream = stream;
    this.#framing = framing;
    this.#key = key;
    stream.on('data', (chunk: Buffer) => this.#guarded(() => this.#accept(chunk)));
    stream.on('end', () => this.#guarded(() => this.#finish()));
    stream.on('error', (error) => this.#fail(error));
  }

  /**
   * The records of the next batch, empty only at the end. `whole` waits until the cut is full or
   * the input ends, so that the batches follow from the input alone; otherwise what is there is
   * taken. A failure of the input shows after the records before it. Rejects where `signal` is
   * aborted.
   */
  async take(cut: Cut, whole: boolean, signal: AbortSignal): Promise<NewRecord[]> {
    while (!this.#ready(cut, whole)) {
      signal.throwIfAborted();
      this.#stream.resume();
      await this.#woken(signal);
    }
    // A batch that stops where the input broke would be another batch once it is mended.
    if (whole && this.#failure !== null && !this.#full(cut)) throw this.#failure;
    const batch = this.#cut(cut);
    if (batch.length === 0 && this.#failure !== null) throw this.#failure;
    if (this.#queuedBytes < AHEAD_BYTES) this.#stream.resume();
    return batch;
  }

  /** Skips records without giving them out. Returns how many there were. */
  async skip(count: number, signal: AbortSignal): Promise<number> {
    let skipped = 0;
    while (skipped < count) {
      const cut = { records: count - skipped, bytes: AHEAD_BYTES };
      const batch = await this.take(cut, false, signal);
      if (batch.length === 0) break;
      skipped += batch.length;
    }
    return skipped;
  }

  /** Lets go of the stream, so that it does not keep the process. */
  close(): void {
    this.#stream.destroy();
  }

  #ready(cut: Cut, whole: boolean): boolean {
    if (this.#ended || this.#failure !== null) return true;
    if (!whole) return this.#queue.length > 0;
    return this.#full(cut);
  }

  #full(cut: Cut): boolean {
    return this.#queue.length >= cut.records || this.#queuedBytes > cut.bytes;
  }

  /** The longest run of records within the cut; a record above it goes alone. */
  #cut(cut: Cut): NewRecord[] {
    let bytes = 0;
    let count = 0;
    for (const record of this.#queue) {
      const cost = costOf(record);
      if (count === cut.records || (count > 0 && bytes + cost > cut.bytes)) break;
      bytes += cost;
      count += 1;
    }
    this.#queuedBytes -= bytes;
    const batch = this.#queue.slice(0, count);
    this.#queue = this.#queue.slice(count);
    return batch;
  }

  #woken(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        signal.removeEventListener('abort', wake);
        resolve();
      };
      this.#wake = wake;
      signal.addEventListener('abort', wake);
    });
  }

  #guarded(work: () => void): void {
    if (this.#failure !== null) return;
    try {
      work();
    } catch (error) {
      this.#fail(error);
    }
    this.#wake();
  }

  #fail(error: unknown): void {
    this.#failure ??= error;
    this.#stream.pause();
    this.#wake();
  }

  #accept(chunk: Buffer): void {
    const separator = this.#framing === 'nul' ? 0 : 10;
    let from = 0;
    for (;;) {
      const at = chunk.indexOf(separator, from);
      if (at < 0) break;
      this.#push(chunk.subarray(from, at));
      from = at + 1;
    }
    if (from < chunk.length) this.#keep(chunk.subarray(from));
    if (this.#queuedBytes >= AHEAD_BYTES) this.#stream.pause();
  }

  #keep(piece: Buffer): void {
    this.#restBytes += piece.length;
    this.#rest.push(piece);
    const limit = this.#framing === 'json' ? JSON_LINE_BYTES_MAX : RECORD_BYTES_LIMIT;
    if (this.#restBytes <= limit) return;
    const place = this.#place(this.#count + 1);
    throw new UsageError(`${place} is over ${limit} bytes, allowed is at most ${limit}`);
  }

  #push(last: Buffer): void {
    const bytes = this.#rest.length === 0 ? last : Buffer.concat([...this.#rest, last]);
    this.#rest = [];
    this.#restBytes = 0;
    this.#count += 1;
    // Empty lines between JSON objects are no records.
    if (this.#framing === 'json' && bytes.toString('latin1').trim() === '') return;
    const record = this.#record(bytes);
    this.#queue.push(record);
    this.#queuedBytes += costOf(record);
  }

  #record(bytes: Buffer): NewRecord {
    const key = this.#key === undefined ? {} : { key: this.#key };
    if (this.#framing !== 'json') return { ...key, data: bytes };
    const place = this.#place(this.#count);
    const text = textOf(bytes);
    if (text !== undefined) return { ...key, ...keyed(parseRecordJson(text, place), place) };
    throw new UsageError(`${place} is no UTF-8, allowed is one JSON object a line in UTF-8`);
  }

  #place(number: number): string {
    return this.#framing === 'nul' ? `record ${number}` : `line ${number}`;
  }

  #finish(): void {
    if (this.#restBytes > 0) this.#push(Buffer.alloc(0));
    this.#ended = true;
  }
}

/** The client would refuse a key by its place in a batch, whose beginning nobody has seen. */
function keyed(record: NewRecord, place: string): NewRecord {
  const { key } = record;
  if (key === undefined) return record;
  if (isKey(key)) return record;
  throw wrong(place, 'key', key, `1 to ${KEY_BYTES_LIMIT} bytes of UTF-8`);
}
