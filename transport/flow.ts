// Bytes on their way: views of one class as the other, and a count of what was not taken yet.

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

/** The same bytes without the class of Node: what is equal compares as equal. */
export const bytesOf = ({ buffer, byteOffset, length }: Uint8Array): Uint8Array =>
  new Uint8Array(buffer, byteOffset, length);

export const bufferOf = ({ buffer, byteOffset, length }: Uint8Array): Buffer =>
  Buffer.from(buffer, byteOffset, length);
