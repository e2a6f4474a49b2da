// What is left out of a run: the same seed without it, to see what of it a failure needs.

/** Chance is drawn for each fault and each turn by itself: leaving one out changes no other. */
export interface Omitted {
  /** Faults by their numbers, from 0, in the order in which they were drawn. */
  readonly faults: ReadonlySet<number>;
  /** Loops of clients (`w1/0`: the first of w1), and single turns of them (`w1/0/17`, from 1). */
  readonly turns: ReadonlySet<string>;
}

export const NOTHING: Omitted = { faults: new Set(), turns: new Set() };
