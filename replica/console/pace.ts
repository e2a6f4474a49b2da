// How fast each journal grows: committed positions at moments, and what lies between them.

import type { Micros } from '../../protocol/types.ts';

interface Sample {
  readonly at: Micros;
  readonly lsn: number;
}

const SAMPLES_MAX = 121;
const JOURNALS_MAX = 500;
const SPACING = 900_000;
/** After a longer gap nothing is known of the time between. */
const GAP = 10_000_000;

export class Pace {
  #samples = new Map<string, readonly Sample[]>();

  /** Takes the committed positions of all journals by id; those that are gone are forgotten. */
  take(at: Micros, positions: ReadonlyMap<string, number>): void {
    const next = new Map<string, readonly Sample[]>();
    for (const [journal, lsn] of positions) {
      if (next.size >= JOURNALS_MAX) break;
      next.set(journal, extended(this.#samples.get(journal) ?? [], { at, lsn }));
    }
    this.#samples = next;
  }

  /** Positions a second between samples, oldest first, at most 120. */
  history(journal: string): readonly number[] {
    const samples = this.#samples.get(journal) ?? [];
    return samples.slice(1).map(({ at, lsn }, index) => {
      const before = samples[index];
      if (before === undefined) return 0;
      return Math.max(0, Math.round(((lsn - before.lsn) * 1e6) / (at - before.at)));
    });
  }
}

function extended(samples: readonly Sample[], sample: Sample): readonly Sample[] {
  const last = samples.at(-1);
  if (last === undefined || sample.at - last.at > GAP) return [sample];
  if (sample.at - last.at < SPACING) return samples;
  return [...samples.slice(1 - SAMPLES_MAX), sample];
}
