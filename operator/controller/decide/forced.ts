// Who may go on alone by an order, although others may hold more.

import type { ChainReport } from '../../../protocol/chain/messages.ts';
import { isUnopened } from '../../../protocol/chain/state.ts';
import { type Configuration, compareConfigurations } from '../../../protocol/configuration.ts';
import { JournalError } from '../../../protocol/errors.ts';
import { byLog, type MemberFacts } from './situation.ts';

/**
 * The process labelled `member`, where it answers and holds something of the journal. Throws
 * CONDITION_FAILED where nothing is lost, or where another one that answers holds more: what can be
 * kept is not given up by a slip. UNAVAILABLE where the member does not answer or has nothing.
 */
export function survivorOf(
  latest: Configuration,
  members: readonly MemberFacts[],
  member: string,
): MemberFacts {
  if (isServed(latest, members)) {
    const names = latest.serving.map(({ id }) => id).join(', ');
    throw refused(`journal ${latest.name} has lost nothing: ${names} serve all of it`);
  }
  const chosen = holderOf(members, member);
  const best = members
    .filter((one) => answers(one) && opened(one)?.lineage === latest.lineage)
    .sort(byLog)[0];
  if (best === undefined || byLog(chosen, best) <= 0) return chosen;
  const ends = (one: MemberFacts): string =>
    `${one.report?.endLsn} (epoch ${one.report?.endEpoch})`;
  throw refused(
    `${best.id} has more of journal ${latest.name}: its log ends at LSN ${ends(best)}, that of ` +
      `${member} at ${ends(chosen)}: name ${best.id}, or stop it where its log is not wanted`,
  );
}

const refused = (message: string): JournalError => new JournalError('CONDITION_FAILED', message);

const answers = ({ verdict, incarnation }: MemberFacts): boolean =>
  verdict === 'fine' && incarnation > 0;

const opened = ({ report }: MemberFacts): ChainReport | null =>
  report === null || isUnopened(report) ? null : report;

/** Whether all who serve do so in the newest epoch, with the whole log. */
function isServed(latest: Configuration, members: readonly MemberFacts[]): boolean {
  return latest.serving.every(({ store }) => {
    const { report = null, verdict } = members.find((one) => one.store === store) ?? {};
    if (verdict !== 'fine' || report?.live !== true || !report.synced) return false;
    return compareConfigurations(report, latest) === 0;
  });
}

function holderOf(members: readonly MemberFacts[], member: string): MemberFacts {
  const found = members.filter((one) => one.id === member && answers(one));
  const holder = found.find((one) => opened(one) !== null);
  if (holder !== undefined) return holder;
  const has = found.some(({ report }) => report !== null)
    ? 'a log that is damaged'
    : 'nothing of the journal';
  const why = found.length > 0 ? `has ${has}` : 'does not answer';
  throw new JournalError('UNAVAILABLE', `${member} ${why}`);
}
