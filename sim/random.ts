// Chance in the simulated world: one seed, split into named streams, so that one more draw in the
// network does not change what the disk draws.

import type { Random } from '../io/random.ts';

/** A seeded generator (xoshiro128**) that can hand on streams of its own. */
export class Dice implements Random {
  readonly #seed: string;
  #a: number;
  #b: number;
  #c: number;
  #d: number;

  /** Any text is a seed; equal texts give equal streams. */
  constructor(seed: string) {
    this.#seed = seed;
    const next = mixer(seed);
    this.#a = next();
    this.#b = next();
    this.#c = next();
    this.#d = next() | 1; // never all zero, which would stay zero for ever
  }

  /** A stream of its own, the same for the same name, whatever was drawn here before. */
  fork(name: string): Dice {
    return new Dice(`${this.#seed}/${name}`);
  }

  below(below: number): number {
    if (!Number.isInteger(below) || below < 1 || below > 2 ** 32) {
      throw new RangeError(`below is ${below}, allowed is a whole number from 1 to 2^32`);
    }
    return Math.floor(this.fraction() * below);
  }

  /** 53 bits, so that `below(2^32)` reaches every value. */
  fraction(): number {
    return ((this.#next() >>> 5) * 2 ** 26 + (this.#next() >>> 6)) / 2 ** 53;
  }

  hex(count: number): string {
    let text = '';
    for (let at = 0; at < count; at += 1) text += this.below(256).toString(16).padStart(2, '0');
    return text;
  }

  /** 32 random bits, not negative. */
  word(): number {
    return this.#next() >>> 0;
  }

  /** True with this probability, from 0 (never) to 1 (always). */
  chance(probability: number): boolean {
    return this.fraction() < probability;
  }

  /** A whole number from `low` to `high`, both included. */
  between(low: number, high: number): number {
    return low + Math.floor(this.fraction() * (high - low + 1));
  }

  /** A whole number so, small ones as likely as large ones of each order of magnitude. */
  spread(low: number, high: number): number {
    return Math.round(low * (high / low) ** this.fraction());
  }

  /** A probability from `low` to `high`, drawn as `spread` draws; `low` is above 0. */
  odds(low: number, high: number): number {
    return low * (high / low) ** this.fraction();
  }

  /** One of these; throws where there is none. */
  pick<Item>(items: readonly Item[]): Item {
    const item = items[this.below(items.length)];
    if (item === undefined) throw new RangeError('pick from nothing');
    return item;
  }

  /** The items in a random order, the given array untouched. */
  shuffle<Item>(items: readonly Item[]): Item[] {
    const left = [...items];
    const out: Item[] = [];
    while (left.length > 0) out.push(...left.splice(this.below(left.length), 1));
    return out;
  }

  #next(): number {
    const product = Math.imul(this.#b, 5);
    const result = Math.imul((product << 7) | (product >>> 25), 9);
    const shifted = this.#b << 9;
    this.#c ^= this.#a;
    this.#d ^= this.#b;
    this.#b ^= this.#c;
    this.#a ^= this.#d;
    this.#c ^= shifted;
    this.#d = (this.#d << 11) | (this.#d >>> 21);
    return result;
  }
}

/** Stretches a text to as many well-mixed words as are asked for (FNV-1a, then murmur's mixer). */
function mixer(text: string): () => number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < text.length; at += 1) {
    hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  }
  return () => {
    hash = (hash + 0x9e3779b9) | 0;
    let word = hash;
    word = Math.imul(word ^ (word >>> 16), 0x85ebca6b);
    word = Math.imul(word ^ (word >>> 13), 0xc2b2ae35);
    return word ^ (word >>> 16);
  };
}
