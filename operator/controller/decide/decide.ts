// What to do about one journal: a pure function of what is known of it. The rows are tried from
// the top; the first that fits is the answer, and the same lines run again on what it leads to.
//
//   what is seen                                    what follows
//   ──────────────────────────────────────────────  ─────────────────────────────────────────────
//   a member knows a newer configuration            read the register
//   no serving member can survive, and the joining  it goes on alone, after a wedge
//   one has acknowledged the start of the epoch
//   no serving member can survive, for 1 s          COLD: the best restarted one above its floor
//                                                   goes on alone; none: NO_SURVIVOR, wait
//   serving members are bad, others are good        wedge the good ones; those that answer with
//                                                   a sync serve on, the longest log leads where
//                                                   the head is gone; a restarted one that is
//                                                   close behind joins in the same step
//   the joining member is bad                       the same members without it
//   appends or reads wait, no commit for 400 ms     joining member lags: out. Else keep the two
//                                                   apart that accuse each other; again: drop.
//                                                   Not while the disk of the laggard is at work
//   wedged, and nobody carries it on                the same members, next epoch
//   slow or leaving members, enough others          as if they were bad
//   more members than there should be              one goes, of a zone that has two
//   wedged by this controller, for nothing above   the same members, next epoch, at once
//   the head leaves, or its clock is off            another fit member leads
//   the joining member has caught up                it serves
//   fewer members than there should be, or two      a spare close behind joins; else it learns
//   in one zone and a spare in another, for 30 s
//   nothing of these                                nothing
//
// A step that takes no serving member away needs no wedge: all who could survive still can.

import type { ChainReport } from '../../../protocol/chain/messages.ts';
import { type Configuration, head, type Member } from '../../../protocol/configuration.ts';
import type { StoreId } from '../../../protocol/types.ts';
import { TIMING } from '../config.ts';
import { apart, arrange, following, handedOver, isFit } from './chains.ts';
import { goOnCold } from './cold.ts';
import { grow, joinerAmong } from './grow.ts';
import type { Cause, Decision, MemberFacts, Situation } from './situation.ts';
import { isIn, type Standing, standings } from './standing.ts';
import { caughtUp, holdsStart } from './succession.ts';

export function decide(situation: Situation): Decision {
  const { configuration } = situation;
  if (configuration.deleted) return { kind: 'nothing', note: 'deleted' };
  const view = look(situation);
  return (
    newerKnown(situation) ??
    loss(view) ??
    joinerLost(view) ??
    stall(view) ??
    orphan(view) ??
    softLoss(view) ??
    excess(view) ??
    needless(view) ??
    handOver(view) ??
    promote(view) ??
    grow(situation, view.headReport) ?? { kind: 'nothing', note: '' }
  );
}

interface View {
  readonly situation: Situation;
  readonly configuration: Configuration;
  readonly serving: readonly Standing[];
  readonly joining: Standing | null;
  /** The head's report, where it acts in this epoch. */
  readonly headReport: MemberFacts['report'];
}

function look(situation: Situation): View {
  const { configuration } = situation;
  const all = standings(situation);
  const serving = all.slice(0, configuration.serving.length);
  const report = serving[0]?.facts?.report ?? null;
  const headReport = report !== null && isIn(configuration, report) ? report : null;
  const joining = all[configuration.serving.length] ?? null;
  return { situation, configuration, serving, joining, headReport };
}

function newerKnown({ configuration, members }: Situation): Decision | null {
  const { lineage, epoch } = configuration;
  const newer = [...members.values()].find(({ report }) => {
    if (report === null) return false;
    return report.lineage > lineage || (report.lineage === lineage && report.epoch > epoch);
  });
  if (newer === undefined) return null;
  return { kind: 'refresh', note: `${newer.id} knows epoch ${newer.report?.epoch}` };
}

function loss(view: View): Decision | null {
  const bad = view.serving.filter(({ state }) => state === 'bad');
  if (bad.length === 0) return null;
  const kept = view.serving.filter(({ state }) => state !== 'bad');
  if (kept.length > 0) return without(view, kept, bad);
  return joinerGoesOn(view, bad) ?? goOnCold(view.situation, reasons(bad));
}

/** Nobody serves any more; the joining member has acknowledged the start and all since. */
function joinerGoesOn(view: View, lost: readonly Standing[]): Decision | null {
  const { configuration, joining } = view;
  if (joining === null || joining.state !== 'good') return null;
  const { member, facts } = joining;
  if (facts === undefined || facts.incarnation !== member.incarnation) return null;
  if (!holdsStart(configuration, facts.report)) return null;
  return without({ ...view, joining: null }, [joining], lost);
}

/** Serving shrinks to some of `kept`: each has answered a wedge with a sync before. */
function without(
  { situation, configuration, joining }: View,
  kept: readonly Standing[],
  dropped: readonly Standing[],
): Decision {
  const { wedgedFor } = situation;
  const cause: Cause = dropped[0]?.cause ?? 'outside';
  const note = reasons(dropped);
  const proved = kept.filter(({ facts }) => facts?.proved === true);
  const late = wedgedFor !== null && wedgedFor >= TIMING.wedge;
  if (wedgedFor !== null && proved.length === 0 && wedgedFor >= TIMING.cold) {
    return goOnCold(situation, `${note}; ${names(kept)} cannot sync`);
  }
  if (wedgedFor === null || (proved.length < kept.length && !(late && proved.length > 0))) {
    return { kind: 'wedge', members: kept.map(({ member }) => member), cause, note };
  }
  const serving = arrange(proved, head(configuration));
  const stays = joining !== null && joining.state === 'good' ? joining.member : null;
  const next = stays ?? joinerAmong(situation, dropped, serving);
  return { kind: 'propose', configuration: following(configuration, serving, next), cause, note };
}

function joinerLost({ situation, configuration, joining }: View): Decision | null {
  if (joining === null || joining.state !== 'bad') return null;
  const { serving } = configuration;
  const next = joinerAmong(situation, [joining], serving);
  const cause: Cause = joining.cause ?? 'outside';
  const note = joining.why;
  return { kind: 'propose', configuration: following(configuration, serving, next), cause, note };
}

/**
 * The chain's own report of a fault that no controller can see, such as a cut link between two
 * members: the one that lags most and the one before it accuse each other.
 */
function stall(view: View): Decision | null {
  const { situation, configuration, serving, joining, headReport } = view;
  const { stalledFor, decidedFor, wedgedFor, reordered } = situation;
  if (headReport === null || stalledFor < TIMING.stall || decidedFor < TIMING.stall) return null;
  // Who was told to stop for a change acknowledges nothing: that is no fault of a link.
  const stopped = ({ facts }: Standing): boolean => facts?.report?.wedged === true;
  if (wedgedFor === null && serving.some(stopped)) return null;
  const lag = ({ member }: Standing): Lag => lagOf(headReport, configuration, member);
  const lags = (standing: Standing): boolean => {
    const { durable, barrier } = lag(standing);
    return durable > 0 || barrier > 0;
  };
  const members = configuration.serving;
  const laggard = serving
    .slice(1)
    .filter(lags)
    .reduce<Standing | undefined>(
      (worst, one) => (worst === undefined || isWorse(lag(one), lag(worst)) ? one : worst),
      undefined,
    );
  const before = laggard === undefined ? undefined : serving[serving.indexOf(laggard) - 1];
  if (laggard === undefined || before === undefined) {
    if (joining === null || !lags(joining)) return null;
    const note = `appends wait for ${joining.member.id}, which joins`;
    const next = following(configuration, members, null);
    return { kind: 'propose', configuration: next, cause: 'stall', note };
  }
  const pair = `${before.member.id} and ${laggard.member.id}`;
  const note = `appends wait, ${pair} do not reach each other`;
  // A slow disk is told from a hung one by the detector; another order would not make it faster.
  const rests = (laggard.facts?.restsFor ?? 0) >= TIMING.stallRest && !stopped(laggard);
  if (!rests && stalledFor < TIMING.stallPatience) return null;
  const reorder = apart(members, before.member, laggard.member);
  if (!reordered && reorder !== null) return proposeOrder(view, reorder, note);
  const others = serving.filter((standing) => standing !== laggard);
  if (canSpare(view, others.length)) {
    return without(view, others, [{ ...laggard, cause: 'stall', why: note }]);
  }
  if (reordered) return null;
  return proposeOrder(view, [...members].reverse(), note);
}

/** What a member has not acknowledged of what the head has: entries, and the barrier of reads. */
interface Lag {
  readonly durable: number;
  readonly barrier: number;
}

function lagOf(
  { acked, durableLsn }: ChainReport,
  configuration: Configuration,
  { store }: Member,
): Lag {
  const of = (wanted: StoreId | undefined) => acked.find((entry) => entry.store === wanted);
  const drawn = of(head(configuration)?.store)?.barrier ?? 0;
  const mine = of(store);
  return {
    durable: durableLsn - (mine?.durableLsn ?? 0),
    barrier: drawn - (mine?.barrier ?? 0),
  };
}

const isWorse = (one: Lag, other: Lag): boolean =>
  one.durable === other.durable ? one.barrier > other.barrier : one.durable > other.durable;

const proposeOrder = (
  { configuration }: View,
  serving: readonly Member[],
  note: string,
): Decision => ({
  kind: 'propose',
  configuration: following(configuration, serving, configuration.joining),
  cause: 'stall',
  note,
});

/** Whether dropping a member that still works lets appends go on: enough stay, or one can come. */
function canSpare({ situation, configuration }: View, remaining: number): boolean {
  if (remaining >= configuration.settings.minReplicas) return true;
  return remaining > 0 && grow({ ...situation, missingFor: TIMING.sparePatience }, null) !== null;
}

function orphan(view: View): Decision | null {
  const { orphanFor, wedgedFor } = view.situation;
  const since = wedgedFor ?? orphanFor;
  if (orphanFor === null || since === null || since < TIMING.orphan) return null;
  return goOn(view, 'stopped for a change that nobody made');
}

/** What this controller stopped them for is over: a laggard has caught up, a silent one answers. */
function needless(view: View): Decision | null {
  const { orphanFor, wedgedFor } = view.situation;
  if (orphanFor === null || wedgedFor === null) return null;
  return goOn(view, 'stopped for a change that is not needed any more');
}

/** The same members, whom only a next epoch lets go on. */
function goOn({ configuration, serving }: View, why: string): Decision {
  const wedged = serving.filter(({ facts }) => facts?.report?.wedged === true);
  const { serving: members, joining } = configuration;
  const next = following(configuration, members, joining);
  return { kind: 'propose', configuration: next, cause: 'orphan', note: `${names(wedged)} ${why}` };
}

/** Slow and leaving members go only where the others are enough without them. */
function softLoss(view: View): Decision | null {
  const { situation, configuration, serving, joining } = view;
  const { settings } = configuration;
  const soft = serving.filter(({ state }) => state === 'soft');
  const good = serving.filter(({ state }) => state === 'good');
  const first = soft[0];
  if (first === undefined || good.length === 0) return null;
  const enough = good.length >= settings.minReplicas;
  if (!enough) return null;
  const growing =
    first.facts?.leaving === 'remove' &&
    good.length < settings.replicationFactor &&
    (joining !== null || grow(situation, view.headReport) !== null);
  return growing ? null : without(view, good, soft);
}

/** The chain is longer than it should be: the last one of a zone that has two is too many. */
function excess(view: View): Decision | null {
  const { situation, configuration, serving, joining } = view;
  const { replicationFactor } = configuration.settings;
  if (joining !== null || serving.length <= replicationFactor) return null;
  if (situation.decidedFor < TIMING.stall) return null;
  const zones = serving.map(({ member }) => member.zone);
  const crowded = serving.findLast(
    ({ member: { zone } }) => zones.indexOf(zone) !== zones.lastIndexOf(zone),
  );
  const out = crowded ?? serving.at(-1);
  if (out === undefined) return null;
  const why = `${out.member.id} is one too many`;
  const others = serving.filter((standing) => standing !== out);
  return without(view, others, [{ ...out, cause: 'leaving', why }]);
}

function handOver({ configuration, serving }: View): Decision | null {
  const first = serving[0];
  if (first === undefined || first.facts === undefined || isFit(first)) return null;
  const { leaving, clockOff } = first.facts;
  if (leaving === 'no' && !clockOff) return null;
  const to = serving.find((standing) => standing !== first && isFit(standing));
  if (to === undefined) return null;
  const members = handedOver(configuration.serving, to.member);
  const why = leaving === 'no' ? 'has a clock that is off' : 'leaves';
  return {
    kind: 'propose',
    configuration: following(configuration, members, configuration.joining),
    cause: 'handOver',
    note: `the head ${first.member.id} ${why}, ${to.member.id} leads`,
  };
}

/** Where another member is missing and close behind, it joins in the same step. */
function promote({ situation, configuration, headReport, joining }: View): Decision | null {
  if (joining === null || joining.state === 'bad') return null;
  if (!caughtUp(configuration, headReport)) return null;
  const serving = [...configuration.serving, joining.member];
  const after = { ...situation, configuration: { ...configuration, serving, joining: null } };
  const next = grow(after, headReport);
  const joins = next?.kind === 'propose' ? next.configuration.joining : null;
  return {
    kind: 'propose',
    configuration: following(configuration, serving, joins),
    cause: 'promote',
    note: `${joining.member.id} has caught up${joins === null ? '' : `, ${joins.id} joins`}`,
  };
}

const names = (list: readonly Standing[]): string =>
  list.map(({ member }) => member.id).join(' and ');

const reasons = (list: readonly Standing[]): string => list.map(({ why }) => why).join('; ');
