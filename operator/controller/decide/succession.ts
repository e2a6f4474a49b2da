// Which configuration may follow which: the survivor rule and the cold rule, as checks.
//
// Every proposal passes here, whoever makes it. ChainReconfig.tla: Reconfig; the mutations flip,
// promote, restartserves and nofloor are what happens without.

import type { ChainReport, Floor } from '../../../protocol/chain/messages.ts';
import { type Configuration, order, sameMember } from '../../../protocol/configuration.ts';

/** What is known beyond the two configurations. */
export interface SuccessionEvidence {
  /** The joining member has acknowledged the start of the present epoch, in this epoch. */
  readonly joinerCaughtUp: boolean;
  /** Stores whose restarted process is above its floor, and its incarnation. */
  readonly aboveFloor: ReadonlyMap<string, number>;
}

/** Why `next` may not follow `latest`, in a sentence; null where it may. */
export function whyNot(
  latest: Configuration,
  next: Configuration,
  evidence: SuccessionEvidence,
): string | null {
  if (next.journal !== latest.journal || next.name !== latest.name) return 'it is another journal';
  if (latest.deleted) return 'the journal is deleted';
  if (next.lineage !== latest.lineage) return `lineage ${latest.lineage} is not changed this way`;
  if (next.epoch !== latest.epoch + 1) return `epoch ${latest.epoch + 1} is the next`;
  if (next.firstLsn !== latest.firstLsn) return 'the first position never changes';
  if (next.deleted) return next.serving.length === 0 ? null : 'a tombstone names no member';
  if (next.serving.length === 0) return 'at least one member must serve';
  const stores = order(next).map(({ store }) => store);
  if (new Set(stores).size !== stores.length) return 'a store is named twice';
  return whyNotServing(latest, next, evidence);
}

function whyNotServing(
  latest: Configuration,
  next: Configuration,
  { joinerCaughtUp, aboveFloor }: SuccessionEvidence,
): string | null {
  const strangers = next.serving.filter(
    (member) => !latest.serving.some((known) => sameMember(known, member)),
  );
  const stranger = strangers[0];
  if (stranger === undefined) return null;
  const { joining } = latest;
  if (strangers.length === 1 && joining !== null && sameMember(joining, stranger)) {
    return joinerCaughtUp ? null : `${stranger.id} has not caught up, it cannot serve`;
  }
  const named = latest.serving.find(({ store }) => store === stranger.store);
  const restarted = named !== undefined && stranger.incarnation > named.incarnation;
  const cold = aboveFloor.get(stranger.store) === stranger.incarnation;
  if (restarted && next.serving.length === 1) {
    return cold ? null : `${stranger.id} restarted and is not known to be above its floor`;
  }
  return `${stranger.id} does not serve in epoch ${latest.epoch}`;
}

/**
 * Whether the joining member has proved, in this epoch, that it holds everything up to its start.
 * Unknown is no: an acknowledgement of 0 must have come, too.
 */
export function caughtUp(configuration: Configuration, headReport: ChainReport | null): boolean {
  const { joining, epoch, lineage } = configuration;
  if (joining === null || headReport === null || headReport.startLsn === null) return false;
  if (!headReport.live || headReport.epoch !== epoch || headReport.lineage !== lineage)
    return false;
  const entry = headReport.acked.find(({ store }) => store === joining.store);
  return entry !== undefined && entry.durableLsn >= headReport.startLsn;
}

/**
 * The same, from its own word, where no head is left to ask: its log matched that of the chain in
 * this epoch, and its disk has it up to the start.
 */
export function holdsStart(configuration: Configuration, report: ChainReport | null): boolean {
  const { epoch, lineage } = configuration;
  if (report === null || report.startLsn === null) return false;
  if (!report.live || report.epoch !== epoch || report.lineage !== lineage) return false;
  return report.synced && !report.tooOld && report.durableLsn >= report.startLsn;
}

/**
 * Whether a volume is no older than what its disk has acknowledged: its own epoch is higher (a
 * suffix may have been cut lawfully since), or it holds that very entry, or its base is beyond it.
 *
 * The entry at the floor is known from the end of the log alone. In epoch e a member acknowledges
 * from the start of e on, and what follows it there is of epoch e. So a volume of epoch e that
 * holds the floor's entry either ends with an entry of epoch e, or ends right there.
 */
export function isAboveFloor(report: ChainReport, floor: Floor | null): boolean {
  if (report.damaged) return false;
  if (floor === null || report.epoch > floor.epoch) return true;
  if (report.epoch < floor.epoch) return false;
  if (report.baseLsn >= floor.lsn) return true;
  // What was copied since and is not on the disk yet is gone with the next crash, and the epoch
  // that is entered on its word would stand above the floor from then on.
  if (report.durableLsn < floor.lsn) return false;
  return report.endEpoch === floor.entryEpoch || report.endEpoch === floor.epoch;
}

/** The greater of two floors of one disk: a later epoch first, then a later position. */
export function higherFloor(one: Floor, other: Floor): Floor {
  if (one.epoch !== other.epoch) return one.epoch > other.epoch ? one : other;
  return one.lsn >= other.lsn ? one : other;
}
