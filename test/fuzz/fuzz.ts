// Feeds a decoder with mutations of its corpus: it reads or refuses, in time and in bounded memory.

import { type Draw, drawer } from '../draw.ts';
import { type Decoder, isRefusal, signature } from './decoder.ts';
import { changedJson } from './json.ts';
import { mutated } from './mutate.ts';

/** Bytes that may be asked for at once: some for each byte of the input, and a floor. */
const ALLOCATION_FLOOR = 4 * 1024 * 1024;
const ALLOCATION_FACTOR = 64;
/** Processor time of one input. */
const MILLIS_MAX = 500;
const CORPUS_MAX = 256;
/** Of ten inputs. */
const REPAIRED = 7;
const OF_JSON = 6;

export interface FuzzResult {
  readonly name: string;
  readonly inputs: number;
  readonly seconds: number;
  readonly refused: number;
  /** The shortest input for each outcome that was seen. */
  readonly corpus: ReadonlyMap<string, Uint8Array>;
  readonly fault: string | null;
}

/** Greatest buffer that was asked for since the last look. */
class Meter {
  largest = 0;
  readonly #kept = {
    alloc: Buffer.alloc,
    unsafe: Buffer.allocUnsafe,
    slow: Buffer.allocUnsafeSlow,
  };

  constructor() {
    const note = (size: number): void => {
      this.largest = Math.max(this.largest, size);
    };
    const { alloc, unsafe, slow } = this.#kept;
    Buffer.alloc = (size: number, ...rest: []) => {
      note(size);
      return alloc(size, ...rest);
    };
    Buffer.allocUnsafe = (size: number) => {
      note(size);
      return unsafe(size);
    };
    Buffer.allocUnsafeSlow = (size: number) => {
      note(size);
      return slow(size);
    };
  }

  take(): number {
    const { largest } = this;
    this.largest = 0;
    return largest;
  }

  close(): void {
    Buffer.alloc = this.#kept.alloc;
    Buffer.allocUnsafe = this.#kept.unsafe;
    Buffer.allocUnsafeSlow = this.#kept.slow;
  }
}

export interface FuzzOptions {
  readonly inputs: number;
  readonly seed: number;
  /** Inputs that an earlier run kept. */
  readonly kept: readonly Uint8Array[];
  readonly secondsMax: number;
  /** Told of each input before it is decoded: of one that has no end nobody is told afterwards. */
  readonly began?: ((number: number, input: Uint8Array) => void) | undefined;
}

export async function fuzz(decoder: Decoder, options: FuzzOptions): Promise<FuzzResult> {
  const meter = new Meter();
  // Most inputs are refused, and a trace is dearer than the refusal: a fault is looked at again.
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 0;
  try {
    return await fed(decoder, options, meter);
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
    meter.close();
  }
}

async function fed(decoder: Decoder, options: FuzzOptions, meter: Meter): Promise<FuzzResult> {
  const { inputs, seed, kept, secondsMax, began: note } = options;
  const draw = drawer(seed);
  const seeds = decoder.seeds();
  const pool = [...seeds, ...kept];
  const corpus = new Map<string, Uint8Array>();
  const began = performance.now();
  const seconds = (): number => (performance.now() - began) / 1_000;
  let refused = 0;
  let done = 0;
  for (; done < inputs; done += 1) {
    if (done % 1_024 === 0 && seconds() > secondsMax) break;
    const input =
      done < pool.length ? (pool[done] ?? new Uint8Array(0)) : next(decoder, seeds, pool, draw);
    note?.(done, input);
    const tried = await attempt(decoder, input, meter);
    if (tried.fault !== null) {
      const fault = `${tried.fault} (${named(done, seed, input)})`;
      return { name: decoder.name, inputs: done, seconds: seconds(), refused, corpus, fault };
    }
    refused += Number(tried.threw);
    const sign = signature(tried.outcome, tried.threw);
    const known = corpus.get(sign);
    if (known === undefined && corpus.size >= CORPUS_MAX) continue;
    if (known !== undefined && known.length <= input.length) continue;
    corpus.set(sign, input);
    if (known === undefined) pool.push(input);
  }
  return { name: decoder.name, inputs: done, seconds: seconds(), refused, corpus, fault: null };
}

/** Which input it was, so that it can be given once more. */
export const named = (number: number, seed: number, input: Uint8Array): string =>
  `input ${number} of seed ${seed}: ${Buffer.from(input).toString('hex')}`;

function next(
  decoder: Decoder,
  seeds: readonly Uint8Array[],
  pool: readonly Uint8Array[],
  draw: Draw,
): Uint8Array {
  const { withJson, repair } = decoder;
  const one = pool[draw(pool.length)] ?? new Uint8Array(0);
  if (withJson !== undefined && draw(10) < OF_JSON) {
    // Most of the pool was refused: half of these begin at what was good.
    const from = draw(2) === 0 ? one : (seeds[draw(seeds.length)] ?? one);
    const bytes = withJson(Buffer.from(from), (json) => changedJson(json, draw));
    repair?.(bytes);
    return bytes;
  }
  const other = pool[draw(pool.length)] ?? one;
  const bytes = mutated(one, other, draw);
  if (repair !== undefined && draw(10) < REPAIRED) repair(bytes);
  return bytes;
}

interface Attempt {
  readonly threw: boolean;
  readonly outcome: unknown;
  readonly fault: string | null;
}

async function attempt(decoder: Decoder, input: Uint8Array, meter: Meter): Promise<Attempt> {
  meter.take();
  const began = performance.now();
  let outcome: unknown;
  let threw = false;
  try {
    const given = decoder.decode(input);
    outcome = given instanceof Promise ? await given : given;
  } catch (error) {
    outcome = error;
    threw = true;
  }
  const millis = performance.now() - began;
  const allowed = ALLOCATION_FLOOR + input.length * ALLOCATION_FACTOR;
  const asked = meter.take();
  if (threw && !isRefusal(outcome)) {
    return { threw, outcome, fault: `${String(outcome)}\n${await traceOf(decoder, input)}` };
  }
  if (asked > allowed) {
    return { threw, outcome, fault: `it asked for ${asked} bytes, allowed are ${allowed}` };
  }
  return { threw, outcome, fault: millis > MILLIS_MAX ? await slowness(decoder, input) : null };
}

/** Where it failed: the same input once more, with a trace. */
async function traceOf(decoder: Decoder, input: Uint8Array): Promise<string> {
  Error.stackTraceLimit = 10;
  try {
    await decoder.decode(input);
  } catch (error) {
    return error instanceof Error ? (error.stack ?? '') : '';
  }
  return 'not the second time';
}

/** By the clock it took long; whether by the processor too, a second time tells. */
async function slowness(decoder: Decoder, input: Uint8Array): Promise<string | null> {
  const before = process.cpuUsage();
  try {
    await decoder.decode(input);
  } catch {
    // Judged before.
  }
  const { user, system } = process.cpuUsage(before);
  const millis = (user + system) / 1_000;
  return millis > MILLIS_MAX ? `it took ${millis.toFixed(0)} ms of processor time` : null;
}
