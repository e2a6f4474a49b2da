// The story of a run, to be read: who did what when, which faults, what was found in the end.

import type { Failure, RunResult } from '../run.ts';
import type { Turn } from '../world.ts';
import { type Moment, momentsOf } from './moments.ts';

/** Lines that a reader can bear; the important ones are kept. */
const LINES_MAX = 400;

/** Everything but the verdict. */
export function story(result: RunResult, turns: readonly Turn[] = [], most = LINES_MAX): string {
  const evidence = result.evidence();
  const { shown, left } = chosen(momentsOf(evidence, turns), most);
  const width = Math.max(6, ...shown.map(({ who }) => who.length));
  const lines = shown.map(
    ({ time, who, text }) =>
      `${(time / 1e6).toFixed(6).padStart(11)} s  ${who.padEnd(width)}  ${text}`,
  );
  if (left > 0) lines.unshift(`(${left} less telling lines are left out)`);
  const exits = evidence.exits.map((exit) => `ended by itself: ${exit}`);
  return [...lines, ...exits, evidence.status].join('\n');
}

/** What was found, as the last lines of a story. */
export function verdict({ by, sentences }: Failure): string {
  return [`VIOLATION, found by ${by}:`, ...sentences.map((one) => `  ${one}`)].join('\n');
}

/** The most important ones, in their order; of those that weigh the same the last. */
function chosen(
  moments: readonly Moment[],
  most: number,
): { readonly shown: readonly Moment[]; readonly left: number } {
  const kept = new Set<Moment>();
  for (const weight of [0, 1, 2, 3]) {
    const these = moments.filter((moment) => moment.weight === weight);
    const room = most - kept.size;
    for (const moment of room > 0 ? these.slice(-room) : []) kept.add(moment);
  }
  const shown = moments.filter((moment) => kept.has(moment));
  return { shown, left: moments.length - shown.length };
}
