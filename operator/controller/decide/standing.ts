// How each member of a configuration stands: may it go on into the next one?
//
//   process            report of this epoch         standing
//   ─────────────────  ───────────────────────────  ─────────────────────────────────────────────
//   silent, failed     any                          bad
//   stuck              any                          bad
//   restarted          any                          bad: its incarnation is over
//   waits for a start  any                          good: it may have it by now; then behind
//   answers            none, 400 ms after decided   bad: behind; 2 s while it waits for a sync
//   answers            none yet                     good: it adopts
//   answers            tooOld                       bad: must learn again
//   slow, leaving      live                         soft: out only where enough others are good
//   answers            live                         good

import type { ChainReport } from '../../../protocol/chain/messages.ts';
import { compareConfigurations, type Member, order } from '../../../protocol/configuration.ts';
import { TIMING } from '../config.ts';
import type { Cause, MemberFacts, Situation } from './situation.ts';

export interface Standing {
  readonly member: Member;
  readonly facts: MemberFacts | undefined;
  readonly state: 'good' | 'soft' | 'bad';
  readonly cause: Cause | null;
  readonly why: string;
}

export function standings(situation: Situation): readonly Standing[] {
  return order(situation.configuration).map((member) => {
    const facts = situation.members.get(member.store);
    const [state, cause, why] = judge(situation, member, facts);
    return { member, facts, state, cause, why };
  });
}

type Judgement = readonly [Standing['state'], Cause | null, string];

function judge(
  { configuration, decidedFor }: Situation,
  member: Member,
  facts: MemberFacts | undefined,
): Judgement {
  const { id } = member;
  if (facts === undefined || facts.verdict === 'silent') {
    return ['bad', 'silent', `${id} does not answer`];
  }
  if (facts.verdict === 'failed') return ['bad', 'failed', `the volume of ${id} gave up`];
  if (Math.max(facts.incarnation, facts.generation) > member.incarnation) {
    return ['bad', 'restart', `${id} restarted`];
  }
  if (facts.verdict === 'stuck') return ['bad', 'stuck', `the disk of ${id} hangs`];
  // What is heard of an older process, or of one that waits for its start, may be out of date.
  const report = facts.incarnation === member.incarnation ? facts.report : null;
  if (report === null || !isIn(configuration, report)) {
    const patience = facts.syncing ? TIMING.adoptSyncing : TIMING.adopt;
    if (decidedFor < patience) return ['good', null, `${id} adopts`];
    return ['bad', 'behind', `${id} has not adopted epoch ${configuration.epoch}`];
  }
  if (report.tooOld) return ['bad', 'tooOld', `the log of ${id} ends below the base of the chain`];
  if (facts.leaving !== 'no') return ['soft', 'leaving', `${id} leaves`];
  if (facts.verdict === 'slow') return ['soft', 'slow', `the disk of ${id} is slow`];
  return ['good', null, ''];
}

/** Whether the report is of a member that acts in exactly this epoch. */
export function isIn(configuration: Situation['configuration'], report: ChainReport): boolean {
  return report.live && compareConfigurations(report, configuration) === 0;
}

/** Serving members that may be survivors: some answer in the incarnation that is named. */
export function survivors(situation: Situation): readonly Standing[] {
  const { serving } = situation.configuration;
  return standings(situation).filter(
    ({ member, state }) => state !== 'bad' && serving.includes(member),
  );
}
