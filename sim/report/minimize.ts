// Shrinks a failing run: what of its faults, of its work and of its length does the failure need?
//
// The same seed is run again and again with parts of it left out. Whatever still fails in the same
// way (by the same checker) is kept. A part that is left out shifts what comes after it, so a try
// may fail to fail by chance: the result is small, not the smallest.

import type { Failure, RunOptions, RunResult } from '../run.ts';
import { least, shrink } from './shrink.ts';

export interface Size {
  readonly events: number;
  readonly faults: number;
  readonly turns: number;
}

export interface Minimal {
  readonly options: RunOptions;
  /** Of the last run with these options. */
  readonly result: RunResult;
  readonly failure: Failure;
  readonly before: Size;
  readonly after: Size;
  /** Runs that were made. */
  readonly tries: number;
}

export interface Means {
  readonly run: (options: RunOptions) => Promise<RunResult>;
  /** No further try, with what was reached so far. */
  readonly enough: () => boolean;
  /** Progress, a sentence each. */
  readonly say: (line: string) => void;
}

/** Null where the run does not fail. */
export async function minimize(options: RunOptions, means: Means): Promise<Minimal | null> {
  const first = await means.run(options);
  if (first.failure === null) return null;
  const shrinking = new Shrinking(options, first, first.failure, means);
  return await shrinking.all();
}

class Shrinking {
  readonly #means: Means;
  readonly #by: string;
  readonly #before: Size;
  #options: RunOptions;
  #result: RunResult;
  #failure: Failure;
  #tries = 1;

  constructor(options: RunOptions, result: RunResult, failure: Failure, means: Means) {
    this.#means = means;
    // What was drawn stays as it was, whatever is left out.
    this.#options = { ...options, budget: result.budget };
    this.#result = result;
    this.#failure = failure;
    this.#by = failure.by;
    this.#before = sizeOf(result);
  }

  async all(): Promise<Minimal> {
    const { say, enough } = this.#means;
    say(`fails by ${this.#by}: ${told(this.#before)}`);
    for (let round = 1; round <= 3 && !enough(); round += 1) {
      const before = sizeOf(this.#result);
      await this.#end();
      await this.#faults();
      await this.#loops();
      await this.#turns();
      const after = sizeOf(this.#result);
      if (after.faults === before.faults && after.turns === before.turns) break;
    }
    if (enough()) say('the budget was over: more might be left out in a longer one, --budget');
    return {
      options: this.#options,
      result: this.#result,
      failure: this.#failure,
      before: this.#before,
      after: sizeOf(this.#result),
      tries: this.#tries,
    };
  }

  /** Fewer events before the faults stop. */
  async #end(): Promise<void> {
    const { events } = this.#options;
    // A run that fails in its middle has ended there by itself.
    const most = Math.min(events, this.#result.events);
    await least(most, (fewer) => this.#try({ ...this.#options, events: fewer }), this.#enough);
    this.#tell('cut the end');
  }

  async #faults(): Promise<void> {
    const all = this.#result.evidence().faults.map(({ number }) => number);
    const was = this.#options.omitted?.faults ?? new Set();
    const without = (kept: readonly number[]): Promise<boolean> => {
      const faults = new Set([...was, ...all.filter((one) => !kept.includes(one))]);
      return this.#try({ ...this.#options, omitted: { ...this.#omitted(), faults } });
    };
    await shrink(all, without, this.#enough);
    this.#tell('dropped faults');
  }

  /** Whole loops first: they are few. */
  async #loops(): Promise<void> {
    const loops = new Set(this.#result.evidence().turns.map((turn) => turn.replace(/\/\d+$/, '')));
    await this.#shrinkTurns([...loops]);
    this.#tell('dropped loops of clients');
  }

  async #turns(): Promise<void> {
    await this.#shrinkTurns(this.#result.evidence().turns);
    this.#tell('dropped operations of clients');
  }

  async #shrinkTurns(all: readonly string[]): Promise<void> {
    const was = this.#omitted().turns;
    const without = (kept: readonly string[]): Promise<boolean> => {
      const stay = new Set(kept);
      const turns = new Set([...was, ...all.filter((one) => !stay.has(one))]);
      return this.#try({ ...this.#options, omitted: { ...this.#omitted(), turns } });
    };
    await shrink(all, without, this.#enough);
  }

  async #try(options: RunOptions): Promise<boolean> {
    this.#tries += 1;
    const result = await this.#means.run(options);
    // One that fails much later, when hardly anything happens, is not easier to read.
    if (result.failure?.by !== this.#by || result.events > this.#before.events) return false;
    this.#options = options;
    this.#result = result;
    this.#failure = result.failure;
    return true;
  }

  #omitted() {
    return this.#options.omitted ?? { faults: new Set<number>(), turns: new Set<string>() };
  }

  #enough = (): boolean => this.#means.enough();

  /** What ended before it began is not told as done. */
  #tell(what: string): void {
    if (this.#enough()) return;
    this.#means.say(`${what}: ${told(sizeOf(this.#result))} (${this.#tries} runs)`);
  }
}

function sizeOf(result: RunResult): Size {
  const { faults, turns } = result.evidence();
  return { events: result.events, faults: faults.length, turns: turns.length };
}

/** A size in words. */
export const told = ({ events, faults, turns }: Size): string =>
  `${events} events, ${faults} faults, ${turns} operations of clients`;
