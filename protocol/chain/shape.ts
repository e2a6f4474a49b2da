// Arithmetic on the shape of logs: which epoch wrote a position, and where two logs part.
//
// An epoch has one head and a process never acts twice in one, so two logs that hold the same
// epoch at a position hold the same entries up to there. Cuts and ends are batch borders, and so
// is every match point: the shorter of two runs of one epoch ends at a border of both.

import { invariant } from '../errors.ts';
import type { Epoch, Lsn } from '../types.ts';
import { after, lower, NO_EPOCH, NO_LSN } from '../types.ts';
import type { EpochRun, LogShape } from './messages.ts';

export const EMPTY_SHAPE: LogShape = {
  baseLsn: NO_LSN,
  baseEpoch: NO_EPOCH,
  endLsn: NO_LSN,
  runs: [],
};

/** Epoch of the entry at `at`; undefined below the base, above the end, and if not known. */
export function epochAt(shape: LogShape, at: Lsn): Epoch | undefined {
  if (at === shape.baseLsn) return shape.baseEpoch;
  if (at < shape.baseLsn || at > shape.endLsn) return undefined;
  // Most questions are about the end.
  const last = shape.runs.at(-1);
  if (last !== undefined && last.firstLsn <= at) return last.epoch;
  const epoch = runAt(shape, at)?.epoch;
  return epoch === NO_EPOCH ? undefined : epoch;
}

/** Epoch of the last entry. */
export function endEpoch(shape: LogShape): Epoch {
  return shape.runs.at(-1)?.epoch ?? shape.baseEpoch;
}

/** The log with entries of `epoch` from its end up to `endLsn`. */
export function extended(shape: LogShape, epoch: Epoch, endLsn: Lsn): LogShape {
  const last = endEpoch(shape);
  invariant(epoch >= last, 'epochs never fall along a log', () => `${epoch} after ${last}`);
  const grows = shape.runs.at(-1)?.epoch === epoch;
  const runs = grows ? shape.runs : [...shape.runs, { epoch, firstLsn: after(shape.endLsn, 1) }];
  return { ...shape, endLsn, runs };
}

/** The log without what comes after `endLsn`. */
export function cutShape(shape: LogShape, endLsn: Lsn): LogShape {
  invariant(endLsn >= shape.baseLsn, 'a cut stays above the base', () => `cut to ${endLsn}`);
  return { ...shape, endLsn, runs: shape.runs.filter((run) => run.firstLsn <= endLsn) };
}

/** The log with what lies at or below `baseLsn` dropped. */
export function rebased(shape: LogShape, baseLsn: Lsn, baseEpoch: Epoch): LogShape {
  const runs = shape.runs.flatMap((run, at) => {
    const next = shape.runs[at + 1]?.firstLsn ?? shape.endLsn + 1;
    if (next <= baseLsn + 1) return [];
    return run.firstLsn > baseLsn ? [run] : [{ ...run, firstLsn: after(baseLsn, 1) }];
  });
  return { baseLsn, baseEpoch, endLsn: shape.endLsn, runs };
}

/**
 * Last position up to which both logs are the same. Null where that cannot be told: one log ends
 * below the other's base, or they part below it.
 */
export function matchPoint(mine: LogShape, theirs: LogShape): Lsn | null {
  let at = lower(mine.endLsn, theirs.endLsn);
  while (at >= mine.baseLsn && at >= theirs.baseLsn) {
    const one = epochAt(mine, at);
    const other = epochAt(theirs, at);
    if (one === other && one !== undefined) return at;
    if (one === undefined || other === undefined) return null;
    // The higher of two epochs starts above any agreement: step before its run in that log.
    const run = one > other ? runAt(mine, at) : runAt(theirs, at);
    if (run === undefined) return null;
    at = after(run.firstLsn, -1);
  }
  return null;
}

/** The log with what `mended`, the same log once its bytes are whole, knows of its epochs. */
export function filled(shape: LogShape, mended: LogShape): LogShape {
  if (shape.runs.every(({ epoch }) => epoch !== NO_EPOCH)) return shape;
  const runs = shape.runs.flatMap((run, at) => {
    if (run.epoch !== NO_EPOCH) return [run];
    const end = shape.runs[at + 1]?.firstLsn ?? after(shape.endLsn, 1);
    const within = mended.runs.filter(({ firstLsn }) => firstLsn > run.firstLsn && firstLsn < end);
    return [{ ...run, epoch: runAt(mended, run.firstLsn)?.epoch ?? NO_EPOCH }, ...within];
  });
  return { ...shape, runs: runs.filter(({ epoch }, at) => epoch !== runs[at - 1]?.epoch) };
}

function runAt(shape: LogShape, at: Lsn): EpochRun | undefined {
  return shape.runs.findLast((run) => run.firstLsn <= at);
}
