// The thread that fuzzes, and who watches it: an input that has no end is told by the watcher.

import { once } from 'node:events';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { DECODERS } from './decoders.ts';
import { type FuzzOptions, type FuzzResult, fuzz, named } from './fuzz.ts';

type Asked = Omit<FuzzOptions, 'began'> & { readonly name: string };

/** Processor time of one input after which it has no end; half a second is a fault already. */
const ENDLESS_MICROS = 5_000_000;
const LOOK_MILLIS = 500;
/** Number and length of the input, and the beginning of its bytes. */
const HEAD_WORDS = 2;
const INPUT_BYTES = 64 * 1024;

class Shared {
  readonly memory: SharedArrayBuffer;
  readonly #head: Int32Array;
  readonly #bytes: Uint8Array;

  constructor(memory = new SharedArrayBuffer(HEAD_WORDS * 4 + INPUT_BYTES)) {
    this.memory = memory;
    this.#head = new Int32Array(memory, 0, HEAD_WORDS);
    this.#bytes = new Uint8Array(memory, HEAD_WORDS * 4);
  }

  note(number: number, input: Uint8Array): void {
    this.#bytes.set(input.subarray(0, INPUT_BYTES));
    this.#head[1] = Math.min(input.length, INPUT_BYTES);
    Atomics.store(this.#head, 0, number);
  }

  get number(): number {
    return Atomics.load(this.#head, 0);
  }

  get input(): Uint8Array {
    return this.#bytes.slice(0, this.#head[1]);
  }
}

/** Fuzzes one decoder after another in a thread of its own, which it gives up with a decoder. */
export class FuzzThread {
  readonly #shared = new Shared();
  #worker: Worker | null = null;

  async fuzz(asked: Asked): Promise<FuzzResult> {
    this.#worker ??= new Worker(import.meta.filename, { workerData: this.#shared.memory });
    const worker = this.#worker;
    const heard = new AbortController();
    const { signal } = heard;
    const answer = Promise.race([
      once(worker, 'message', { signal }).then(([result]): FuzzResult => result),
      // A thread that ends without an answer would be waited for without an end.
      once(worker, 'exit', { signal }).then((): FuzzResult => {
        throw new Error(`the thread that fuzzes ${asked.name} has ended`);
      }),
    ]);
    worker.postMessage(asked);
    const looking = this.#look(worker);
    try {
      const result = await Promise.race([answer, looking.endless]);
      return result ?? (await this.#endless(asked));
    } finally {
      // All listeners of a Worker are more than ours: without its own it is never heard again.
      heard.abort();
      looking.stop();
    }
  }

  async close(): Promise<void> {
    await this.#worker?.terminate();
    this.#worker = null;
  }

  async #endless({ name, seed }: Asked): Promise<FuzzResult> {
    await this.close();
    const { number, input } = this.#shared;
    const spent = ENDLESS_MICROS / 1e6;
    const fault = `no end after ${spent} s of a processor (${named(number, seed, input)})`;
    return { name, inputs: number, seconds: spent, refused: 0, corpus: new Map(), fault };
  }

  /** Null once the processor has worked for too long on one input. */
  #look(worker: Worker): { readonly endless: Promise<null>; stop(): void } {
    let timer: NodeJS.Timeout | undefined;
    const endless = new Promise<null>((resolve) => {
      let last = { number: -1, micros: 0 };
      const look = async (): Promise<void> => {
        const { user, system } = await worker.cpuUsage();
        const now = { number: this.#shared.number, micros: user + system };
        if (now.number !== last.number) last = now;
        else if (now.micros - last.micros > ENDLESS_MICROS) resolve(null);
      };
      // A thread that is not there yet does not answer.
      timer = setInterval(() => void look().catch(() => undefined), LOOK_MILLIS);
    });
    return { endless, stop: () => clearInterval(timer) };
  }
}

function serve(): void {
  // cast: what FuzzThread gives.
  const shared = new Shared(workerData as SharedArrayBuffer);
  const began: FuzzOptions['began'] = (number, input) => shared.note(number, input);
  parentPort?.on('message', ({ name, ...options }: Asked) => {
    const decoder = DECODERS.find((one) => one.name === name);
    if (decoder === undefined) throw new Error(`there is no decoder ${name}`);
    fuzz(decoder, { ...options, began }).then(
      (result) => parentPort?.postMessage(result),
      (error: unknown) => {
        throw error;
      },
    );
  });
}

if (!isMainThread) serve();
