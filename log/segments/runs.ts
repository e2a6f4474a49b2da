// Which segment holds which positions of one journal: rising runs, each clipped from a span.
//
// A later segment wins over an earlier one (copies, repairs). What a cut made void is clipped away.

import type { EpochRun } from '../../protocol/chain/messages.ts';
import { after, type Epoch, higher, type Lsn, lower, NO_EPOCH } from '../../protocol/types.ts';
import type { Span } from './entries.ts';

export interface Run {
  readonly segment: number;
  readonly span: Span;
  readonly firstLsn: Lsn;
  readonly lastLsn: Lsn;
}

/** Everything of a journal above `endLsn` in segments up to `segment` does not count. */
export interface Cut {
  readonly segment: number;
  readonly endLsn: Lsn;
}

const clipped = (run: Run, firstLsn: Lsn, lastLsn: Lsn): Run[] =>
  firstLsn > lastLsn ? [] : [{ ...run, firstLsn, lastLsn }];

/** The runs with `added` laid over them. */
export function overlay(runs: readonly Run[], added: Run): Run[] {
  const before = runs.flatMap((run) =>
    clipped(run, run.firstLsn, lower(run.lastLsn, after(added.firstLsn, -1))),
  );
  const behind = runs.flatMap((run) =>
    clipped(run, higher(run.firstLsn, after(added.lastLsn, 1)), run.lastLsn),
  );
  return [...before, added, ...behind];
}

/** The runs without what lies outside `firstLsn … lastLsn`. */
export function within(runs: readonly Run[], firstLsn: Lsn, lastLsn: Lsn): Run[] {
  return runs.flatMap((run) =>
    clipped(run, higher(run.firstLsn, firstLsn), lower(run.lastLsn, lastLsn)),
  );
}

/** A span as a run, without what the cuts made void; none where nothing is left. */
export function fromSpan(segment: number, span: Span, cuts: readonly Cut[]): Run[] {
  let lastLsn = span.lastLsn;
  for (const cut of cuts) if (segment <= cut.segment) lastLsn = lower(lastLsn, cut.endLsn);
  const run = { segment, span, firstLsn: span.firstLsn, lastLsn };
  return clipped(run, run.firstLsn, run.lastLsn);
}

/** The run that holds `position`. */
export function runAt(runs: readonly Run[], position: Lsn): Run | undefined {
  let low = 0;
  let high = runs.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const run = runs[middle];
    if (run !== undefined && run.lastLsn < position) low = middle + 1;
    else high = middle;
  }
  const run = runs[low];
  return run !== undefined && run.firstLsn <= position ? run : undefined;
}

/** Bytes of a run; of a clipped one its share of the span, by positions. */
export function runBytes({ span, firstLsn, lastLsn }: Run): number {
  const share = (lastLsn - firstLsn + 1) / (span.lastLsn - span.firstLsn + 1);
  return share >= 1 ? span.bytes : Math.round(span.bytes * share);
}

/**
 * Which epochs wrote the positions above the base. What no run holds is of the epoch around it;
 * between two epochs it is not known, and has `NO_EPOCH`.
 */
export function epochsOf(base: { lsn: Lsn; epoch: Epoch }, runs: readonly Run[]): EpochRun[] {
  const epochs: EpochRun[] = [];
  let next = after(base.lsn, 1);
  let before = base.epoch;
  const add = (epoch: Epoch, firstLsn: Lsn): void => {
    if (epochs.at(-1)?.epoch !== epoch) epochs.push({ epoch, firstLsn });
  };
  for (const run of runs) {
    for (const { epoch, firstLsn, lastLsn } of epochsIn(run)) {
      const missing = firstLsn > next;
      if (missing && epoch !== before) add(NO_EPOCH, next);
      add(epoch, missing && epoch === before ? next : firstLsn);
      before = epoch;
      next = after(lastLsn, 1);
    }
  }
  return epochs;
}

/** The parts of a run, each of one epoch. */
function epochsIn({ span, firstLsn, lastLsn }: Run): (EpochRun & { readonly lastLsn: Lsn })[] {
  return span.epochs.flatMap((part, place) => {
    const end = after(span.epochs[place + 1]?.firstLsn ?? after(span.lastLsn, 1), -1);
    const first = higher(part.firstLsn, firstLsn);
    const last = lower(end, lastLsn);
    return first > last ? [] : [{ epoch: part.epoch, firstLsn: first, lastLsn: last }];
  });
}

/** Positions between `baseLsn` and the end of the runs that no run holds. */
export function gaps(
  runs: readonly Run[],
  baseLsn: Lsn,
): { readonly firstLsn: Lsn; readonly lastLsn: Lsn }[] {
  const missing = [];
  let next = after(baseLsn, 1);
  for (const run of runs) {
    if (run.firstLsn > next) missing.push({ firstLsn: next, lastLsn: after(run.firstLsn, -1) });
    next = after(run.lastLsn, 1);
  }
  return missing;
}
