// Bytes on their way: views of one class as the other, and a count of what was not taken yet.

import type { Readable } from 'node:stream';

/** Writes one message and calls `taken` once it has left for the other side. */
export type Write = (bytes: Buffer, taken: () => void) => void;

export class Outflow {
  readonly #write: Write;
  readonly #bytesBound: number;
  #waiting = 0;
  #closed = false;
  #wake: (() => void)[] = [];

  constructor(write: Write, bytesBound: number) {
    this.#write = write;
    this.#bytesBound = bytesBound;
  }

  /** Bytes that were sent and not taken. */
  get waiting(): number {
    return this.#waiting;
  }

  /** False once more waits than the bound, or the stream is over (then nothing is sent). */
  send(message: Uint8Array): boolean {
    if (this.#closed) return false;
    const { length } = message;
    this.#waiting += length;
    this.#write(bufferOf(message), () => {
      this.#waiting -= length;
      if (this.#waiting <= this.#bytesBound / 2) this.#release();
    });
    return this.#waiting <= this.#bytesBound;
  }

  /** Resolves once half of the bound is free, and at once where the stream is over. */
  drained(): Promise<void> {
    if (this.#closed || this.#waiting <= this.#bytesBound / 2) return Promise.resolve();
    return new Promise((resolve) => this.#wake.push(resolve));
  }

  /** The stream is over: nobody takes anything any more. */
  close(): void {
    this.#closed = true;
    this.#release();
  }

  #release(): void {
    const wake = this.#wake;
    this.#wake = [];
    for (const resolve of wake) resolve();
  }
}

/**
 * The messages of a stream as they come, until it ends, breaks or `stopped`: the caller knows
 * which. Nothing is read ahead of what the stream itself holds, which is the back-pressure.
 */
export async function* chunksOf(
  stream: Readable,
  stopped?: AbortSignal,
): AsyncGenerator<Buffer, void, void> {
  let over = false;
  let wake = (): void => {};
  const more = (): void => wake();
  const end = (): void => {
    over = true;
    wake();
  };
  stream.on('readable', more);
  for (const event of ['end', 'error', 'close'] as const) stream.once(event, end);
  stopped?.addEventListener('abort', end, { once: true });
  try {
    while (stopped?.aborted !== true) {
      const chunk: Buffer | null = stream.read();
      if (chunk !== null) yield chunk;
      else if (over) return;
      else {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    }
  } finally {
    stream.off('readable', more);
    for (const event of ['end', 'error', 'close'] as const) stream.off(event, end);
    stopped?.removeEventListener('abort', end);
  }
}

/** The same bytes without the class of Node: what is equal compares as equal. */
export const bytesOf = ({ buffer, byteOffset, length }: Uint8Array): Uint8Array =>
  new Uint8Array(buffer, byteOffset, length);

export const bufferOf = ({ buffer, byteOffset, length }: Uint8Array): Buffer =>
  Buffer.from(buffer, byteOffset, length);
