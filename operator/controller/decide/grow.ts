// Who comes into a chain that is too short, and when: first as a learner, then as joining.

import type { ChainReport } from '../../../protocol/chain/messages.ts';
import { type Configuration, type Member, MIB, order } from '../../../protocol/configuration.ts';
import { TIMING } from '../config.ts';
import { following } from './chains.ts';
import type { Decision, MemberFacts, Situation } from './situation.ts';
import { type Standing, standings } from './standing.ts';

/** Bytes that a joining member may lack at most, by the longest record, before it learns first. */
const LAG_BYTES_MAX = 64 * MIB;
/** A learner joins when what it lacks takes it about this long. */
const LAG_SECONDS_MAX = 0.25;
const LAG_RECORDS_MIN = 64;

/** The next member, where the chain is shorter than it should be and nobody joins already. */
export function grow(situation: Situation, headReport: ChainReport | null): Decision | null {
  const { configuration, missingFor } = situation;
  const { joining, settings } = configuration;
  const staying = standings(situation).filter(({ facts }) => facts?.leaving !== 'remove');
  if (joining !== null || staying.length > settings.replicationFactor) return null;
  // Of members that leave none can go before enough others are there.
  const urgent = staying.length < settings.minReplicas;
  const best = candidates(situation, urgent)[0];
  if (best === undefined) return null;
  if (staying.length === settings.replicationFactor) {
    if (!improvesZones(situation, best)) return null;
  } else if (!urgent && usableEnd(situation, best) === 0 && missingFor < TIMING.sparePatience) {
    return null;
  }
  if (isClose(situation, best, headReport)) return join(situation, best);
  const source = sourceFor(situation, best);
  if (source === undefined) return null;
  const note = `${best.id} copies from ${source.id}`;
  return { kind: 'learn', learner: best.store, source, note };
}

/**
 * Two members share a zone and this one has a zone of its own: it comes in, then one of the two
 * goes (decide.ts: excess). Only when all has been calm for long: each step costs a little.
 */
function improvesZones({ configuration, decidedFor }: Situation, { zone }: MemberFacts): boolean {
  const zones = configuration.serving.map((member) => member.zone);
  return decidedFor >= TIMING.calm && new Set(zones).size < zones.length && !zones.includes(zone);
}

/**
 * Where its log ends, as far as that is of use: one of a lineage that was given up, and one that
 * must learn first for another reason, begin anew.
 */
function usableEnd({ configuration }: Situation, { report }: MemberFacts): number {
  return report === null || mustLearn(configuration, report) ? 0 : report.endLsn;
}

function mustLearn({ lineage }: Configuration, report: ChainReport): boolean {
  const older = report.endLsn > 0 && report.lineage > 0 && report.lineage < lineage;
  return report.role !== 'learner' && (report.tooOld || older);
}

function join({ configuration }: Situation, best: MemberFacts): Decision {
  if (!best.syncs) return { kind: 'probe', stores: [best.store], note: `${best.id} is to join` };
  const { store, incarnation, id, zone, address } = best;
  const member = { store, incarnation, id, zone, address };
  return {
    kind: 'propose',
    configuration: following(configuration, configuration.serving, member),
    cause: 'join',
    note: `${id} joins`,
  };
}

/** Best first: who has the log, in a zone without a member, with the longest log, least loaded. */
function candidates(situation: Situation, urgent: boolean): readonly MemberFacts[] {
  const { configuration, members } = situation;
  const inside = order(configuration);
  const zones = new Set(inside.map(({ zone }) => zone));
  const outside = [...members.values()].filter(
    (facts) =>
      inside.every(({ store }) => store !== facts.store) &&
      facts.leaving === 'no' &&
      mayJoin(facts, urgent),
  );
  const fresh = ({ zone }: MemberFacts): number => (zones.has(zone) ? 0 : 1);
  const end = (facts: MemberFacts): number => usableEnd(situation, facts);
  return outside.sort(
    (one, other) =>
      fresh(other) - fresh(one) ||
      end(other) - end(one) ||
      one.load - other.load ||
      (one.id < other.id ? -1 : 1),
  );
}

/**
 * Whether the process can be named at all, and may come back now. While fewer than `minReplicas`
 * stay, neither damping nor quarantine holds a member back whose syncs are not slow now.
 */
function mayJoin(facts: MemberFacts, urgent: boolean): boolean {
  if (!facts.admissible || facts.verdict !== 'fine' || facts.incarnation === 0) return false;
  if (facts.heldBack === '') return true;
  return urgent && !facts.slowNow;
}

/** Whether the pause that its sync costs is short. Unknown is no. */
function isClose(
  { configuration }: Situation,
  facts: MemberFacts,
  source: ChainReport | null,
): boolean {
  if (source === null) return false;
  const { report, learnedPerSecond } = facts;
  const learner = report?.role === 'learner';
  if (report !== null && mustLearn(configuration, report)) return false;
  const start = Math.max(0, configuration.firstLsn - 1);
  const end = Math.max(start, report?.endLsn ?? 0);
  if (end < source.baseLsn) return false;
  const lag = Math.max(0, source.endLsn - end);
  if (lag * configuration.settings.recordBytesMax <= LAG_BYTES_MAX) return true;
  return learner && lag <= Math.max(LAG_RECORDS_MIN, learnedPerSecond * LAG_SECONDS_MAX);
}

/** A serving member in its zone, else the one furthest from the head. */
function sourceFor(situation: Situation, learner: MemberFacts): Member | undefined {
  const { serving } = situation.configuration;
  const good = standings(situation)
    .filter(({ member, state }) => state !== 'bad' && serving.includes(member))
    .map(({ member }) => member);
  return good.find(({ zone }) => zone === learner.zone) ?? good.at(-1);
}

/**
 * Of members that go out, one whose new process is close behind and may come back at once: it is
 * dropped and joins in the same step. Null where there is none.
 */
export function joinerAmong(
  situation: Situation,
  dropped: readonly Standing[],
  serving: readonly Member[],
  source: ChainReport | null = reportOf(situation, serving[0]),
): Member | null {
  const urgent = serving.length < situation.configuration.settings.minReplicas;
  for (const { member, facts } of dropped) {
    if (facts === undefined || facts.leaving !== 'no' || !facts.syncs) continue;
    if (facts.incarnation <= member.incarnation || !mayJoin(facts, urgent)) continue;
    if (!isClose(situation, facts, source)) continue;
    const { store, incarnation, id, zone, address } = facts;
    return { store, incarnation, id, zone, address };
  }
  return null;
}

const reportOf = ({ members }: Situation, member: Member | undefined): ChainReport | null =>
  member === undefined ? null : (members.get(member.store)?.report ?? null);
