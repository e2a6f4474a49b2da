// Which states a search has seen: a fingerprint of 64 bits a state, in a flat table.
//
// Two states that share a fingerprint would be taken for one. Of n states that happens with a
// probability below n² / 2⁶⁵: one in 37,000 for 30 million of them.

/** A fingerprint: two whole numbers of 32 bits. */
export interface Print {
  readonly high: number;
  readonly low: number;
}

/** MurmurHash3 finalizer: each bit of the input turns about half of those that come out. */
function avalanche(value: number): number {
  let mixed = value ^ (value >>> 16);
  mixed = Math.imul(mixed, 0x85ebca6b);
  mixed ^= mixed >>> 13;
  mixed = Math.imul(mixed, 0xc2b2ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}

/** One round of MurmurHash3 with constants of the caller's own. */
function round(hash: number, word: number, first: number, second: number): number {
  let mixed = Math.imul(word, first);
  mixed = (mixed << 15) | (mixed >>> 17);
  const next = hash ^ Math.imul(mixed, second);
  return (Math.imul((next << 13) | (next >>> 19), 5) + 0xe6546b64) | 0;
}

/** Fingerprint of a text. */
export function printOf(text: string): Print {
  const { length } = text;
  let high = length;
  let low = ~length;
  for (let at = 0; at < length; at += 2) {
    // Past the end there is NaN, which counts as 0.
    const word = text.charCodeAt(at) | (text.charCodeAt(at + 1) << 16);
    high = round(high, word, 0xcc9e2d51, 0x1b873593);
    low = round(low, word, 0x239b961b, 0xab0e9789);
  }
  return { high: avalanche(high), low: avalanche(low ^ Math.imul(high, 0x38b34ae5)) };
}

/** Fingerprint of a sequence of prints and small numbers. */
export class Printer {
  #high = 0x9747b28c;
  #low = 0x5bd1e995;

  number(value: number): void {
    this.#high = round(this.#high, value, 0xcc9e2d51, 0x1b873593);
    this.#low = round(this.#low, value, 0x239b961b, 0xab0e9789);
  }

  print({ high, low }: Print): void {
    this.#high = round(round(this.#high, high, 0xcc9e2d51, 0x1b873593), low, 0x2127599b, 5);
    this.#low = round(round(this.#low, low, 0x239b961b, 0xab0e9789), high, 0x52dce729, 3);
  }

  done(): Print {
    const high = avalanche(this.#high);
    return { high, low: avalanche(this.#low ^ Math.imul(this.#high, 0x38b34ae5)) };
  }
}

const FIRST_SLOTS = 1 << 16;
const BYTES_A_SLOT = 8;

/** A set of prints by open addressing; at most three of four slots are taken. */
export class Marks {
  #slots: Uint32Array;
  #mask = FIRST_SLOTS - 1;
  #size = 0;
  readonly #bytesMax: number;

  /** `bytesMax` is how large the table may grow; while it grows the old one is there as well. */
  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
    this.#slots = new Uint32Array(FIRST_SLOTS * 2);
  }

  get size(): number {
    return this.#size;
  }

  /** True where the print was not there before; `full` where the table may not grow any more. */
  add({ high, low }: Print): boolean | 'full' {
    // Both words 0 is an empty slot.
    const second = high === 0 && low === 0 ? 1 : low;
    let at = (second & this.#mask) * 2;
    while (this.#slots[at] !== 0 || this.#slots[at + 1] !== 0) {
      if (this.#slots[at] === high && this.#slots[at + 1] === second) return false;
      at = (at + 2) & (this.#mask * 2 + 1);
    }
    if ((this.#size + 1) * 4 > (this.#mask + 1) * 3) {
      if (!this.#grow()) return 'full';
      return this.add({ high, low });
    }
    this.#slots[at] = high;
    this.#slots[at + 1] = second;
    this.#size += 1;
    return true;
  }

  #grow(): boolean {
    const slots = (this.#mask + 1) * 2;
    if (slots * BYTES_A_SLOT * 1.5 > this.#bytesMax) return false;
    const old = this.#slots;
    this.#slots = new Uint32Array(slots * 2);
    this.#mask = slots - 1;
    for (let from = 0; from < old.length; from += 2) {
      const high = old[from] ?? 0;
      const low = old[from + 1] ?? 0;
      if (high === 0 && low === 0) continue;
      let at = (low & this.#mask) * 2;
      while (this.#slots[at] !== 0 || this.#slots[at + 1] !== 0) {
        at = (at + 2) & (this.#mask * 2 + 1);
      }
      this.#slots[at] = high;
      this.#slots[at + 1] = low;
    }
    return true;
  }
}
