// Chance as the rest of the house sees it: one generator, handed on, never a global.

export interface Random {
  /** A whole number from 0 to `below - 1`; `below` from 1 to 2^32. */
  below(below: number): number;
  /** A number in [0, 1). */
  fraction(): number;
  /** `count` random bytes as lowercase hex. */
  hex(count: number): string;
}
