// What is kept of the reports of one member on one journal, and what follows from how they change.

import type { ChainReport } from '../../../protocol/chain/messages.ts';
import type { Micros } from '../../../protocol/types.ts';

const RATE_WINDOW = 1_000_000;
/** A point so often is enough for a rate, and bounds the list. */
const POINT_EVERY = 50_000;

export interface SeenReport {
  readonly report: ChainReport;
  /** When it came, and when its committed position last rose. */
  readonly at: Micros;
  readonly committedAt: Micros;
  /** Since when in this epoch it has had all that it got on disk; null where it has not. */
  readonly restAt: Micros | null;
  /** Where its log ended about a second ago, to know how fast it grows. */
  readonly grown: readonly { readonly at: Micros; readonly endLsn: number }[];
}

/** `report` came behind what was kept before; both of one process. */
export function heard(
  before: SeenReport | undefined,
  report: ChainReport,
  now: Micros,
): SeenReport {
  const rose = before === undefined || report.committedLsn > before.report.committedLsn;
  const grown = (before?.grown ?? []).filter(({ at }) => now - at <= RATE_WINDOW);
  const last = grown.at(-1);
  const point = { at: now, endLsn: report.endLsn };
  return {
    report,
    at: now,
    committedAt: rose ? now : before.committedAt,
    restAt: restAt(before, report, now),
    grown: last !== undefined && now - last.at < POINT_EVERY ? grown : [...grown, point],
  };
}

/** That it rested in an older epoch is no evidence: only now may there be something to get. */
function restAt(before: SeenReport | undefined, report: ChainReport, now: Micros): Micros | null {
  const { epoch, endLsn, durableLsn } = report;
  if (!report.live || durableLsn !== endLsn) return null;
  const same = before?.report.epoch === epoch && before.report.endLsn === endLsn;
  return (same ? before.restAt : null) ?? now;
}

/** Records a second by which the log of a member grew lately. */
export function growthOf(seen: SeenReport | undefined): number {
  const first = seen?.grown[0];
  if (seen === undefined || first === undefined || seen.at <= first.at) return 0;
  const grown = Math.max(0, seen.report.endLsn - first.endLsn);
  return (grown * 1_000_000) / Math.max(POINT_EVERY, seen.at - first.at);
}
