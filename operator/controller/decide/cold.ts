// The cold rule: nobody goes on from the incarnations that the configuration names, so that one
// member that restarted goes on alone, if its volume is no older than what its disk has said.

import { isUnopened } from '../../../protocol/chain/state.ts';
import type { Member } from '../../../protocol/configuration.ts';
import { TIMING } from '../config.ts';
import { following } from './chains.ts';
import { joinerAmong } from './grow.ts';
import { byLog, type Decision, type MemberFacts, type Situation } from './situation.ts';
import { standings } from './standing.ts';
import { isAboveFloor } from './succession.ts';

/** The process on a store, as a member of the next configuration. */
export function memberOf(facts: MemberFacts): Member {
  const { store, incarnation, id, zone, address } = facts;
  return { store, incarnation, id, zone, address };
}

/**
 * ChainReconfig.tla: Reconfig, its second branch. The one with the greatest (epoch of its last
 * entry, end) leads; nobody above its floor is NO_SURVIVOR, never a shorter log.
 */
export function goOnCold(situation: Situation, lost: string): Decision {
  const { configuration, members, silentFor, wedgedFor, floorsKnown } = situation;
  const waited = Math.max(silentFor, wedgedFor ?? 0);
  if (waited < TIMING.cold) return { kind: 'nothing', note: `${lost}; nobody serves` };
  if (!floorsKnown) return { kind: 'floors', note: `${lost}; nobody serves` };
  const stores = configuration.serving.map((named) => ({ named, facts: members.get(named.store) }));
  const back = stores.filter(
    ({ named, facts }) =>
      facts !== undefined && facts.verdict === 'fine' && facts.incarnation > named.incarnation,
  );
  // All of them have answered, or there was time enough to.
  if (back.length < stores.length && waited < 2 * TIMING.cold) {
    return { kind: 'nothing', note: `${lost}; waiting for the others` };
  }
  const fresh = stores.every(({ facts }) => (facts?.floor ?? null) === null);
  const refused: string[] = [];
  const able = back.flatMap(({ facts }) => {
    if (facts === undefined) return [];
    const why = whyNotAble(facts, fresh);
    if (why === null) return [facts];
    refused.push(`${facts.id} ${why}`);
    return [];
  });
  const best = [...able].sort(byLog)[0];
  if (best === undefined) {
    const others = refused.length > 0 ? `; ${refused.join('; ')}` : '';
    return { kind: 'nothing', note: `NO_SURVIVOR: ${lost}${others}`, lost: true };
  }
  if (!best.syncs)
    return { kind: 'probe', stores: [best.store], note: `${lost}; trying ${best.id}` };
  const serving = [memberOf(best)];
  const others = standings(situation).filter(({ member }) => member.store !== best.store);
  const joining = joinerAmong(situation, others, serving, best.report);
  return {
    kind: 'propose',
    configuration: following(configuration, serving, joining),
    cause: 'cold',
    note: `${lost}; ${best.id} has the longest log that is whole`,
  };
}

/** Why this restarted member must not go on alone; null where it may. */
function whyNotAble({ report, floor }: MemberFacts, fresh: boolean): string | null {
  // A disk without the journal: right where nobody has acknowledged anything yet.
  if (report === null) return fresh ? null : 'has nothing of the journal';
  if (isUnopened(report)) return 'has a log that is damaged';
  if (report.damaged) return 'lost the end of its log';
  return isAboveFloor(report, floor) ? null : 'has an older log than it once acknowledged';
}
