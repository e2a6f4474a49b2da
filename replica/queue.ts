// The bound of what waits: requests of all journals together, by number and by bytes.

import { JournalError } from '../protocol/errors.ts';

export class Queue {
  readonly #bytesMax: number;
  readonly #requestsMax: number;
  #bytes = 0;
  #requests = 0;

  constructor(limits: { readonly queueBytesMax: number; readonly queueRequestsMax: number }) {
    this.#bytesMax = limits.queueBytesMax;
    this.#requestsMax = limits.queueRequestsMax;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get requests(): number {
    return this.#requests;
  }

  /** Takes a place until `leave`; throws OVERLOADED where there is none. */
  enter(bytes: number): void {
    if (this.#requests >= this.#requestsMax) {
      throw new JournalError(
        'OVERLOADED',
        `${this.#requests} requests wait, allowed is ${this.#requestsMax}`,
      );
    }
    // A single batch is always let in: it may be larger than the bound of a small queue.
    if (this.#bytes > 0 && this.#bytes + bytes > this.#bytesMax) {
      throw new JournalError(
        'OVERLOADED',
        `${this.#bytes} bytes wait and ${bytes} came, allowed is ${this.#bytesMax}`,
      );
    }
    this.#requests += 1;
    this.#bytes += bytes;
  }

  leave(bytes: number): void {
    this.#requests -= 1;
    this.#bytes -= bytes;
  }
}
