// Every reader sees a piece of one sequence: from where it asked, in order, nothing left out,
// nothing twice, nothing that others do not see.

import { type Checker, type History, type SeenRecord, type Verdict, verdict } from './history.ts';
import { indexAt, type Truth, truthOf } from './truth.ts';

export const subscriptions: Checker = {
  name: 'subscriptions',
  check(history: History): Verdict {
    const wrong: string[] = [];
    let checked = 0;
    for (const operation of history.operations) {
      if (operation.kind !== 'subscribe' && operation.kind !== 'read') continue;
      const truth = truthOf(history, operation.journal);
      const who = `${operation.journal}: ${operation.process} ${operation.kind}`;
      if (operation.kind === 'subscribe') {
        checked += operation.records.length;
        wrong.push(...piece(who, operation.from, operation.records, null, truth));
      } else if (operation.answer.kind === 'records') {
        const { records, nextLsn } = operation.answer;
        checked += 1;
        wrong.push(...piece(who, operation.from, records, nextLsn, truth));
      }
    }
    return verdict(checked, wrong);
  },
};

/** `from` is null for "whatever comes next", `nextLsn` null where nothing is said of the end. */
function piece(
  who: string,
  from: number | null,
  records: readonly SeenRecord[],
  nextLsn: number | null,
  truth: Truth,
): string[] {
  const wrong: string[] = [];
  const first = records[0]?.lsn;
  let at = indexAt(truth.records, from ?? first ?? 0);
  let last = (from ?? 1) - 1;
  for (const { lsn, data } of records) {
    if (lsn <= last) wrong.push(`${who} was given ${lsn} after ${last}`);
    const expected = truth.records[at];
    if (expected !== undefined && expected.lsn < lsn) {
      wrong.push(
        `${who} was given ${lsn} after ${last}, and not "${expected.data}" at ${expected.lsn}`,
      );
      at = indexAt(truth.records, lsn);
    }
    const here = truth.byLsn.get(lsn);
    if (here !== undefined && here.data !== data) {
      wrong.push(`${who} was given "${data}" at ${lsn}, others "${here.data}"`);
    }
    at += 1;
    last = lsn;
    if (wrong.length > 0) return wrong;
  }
  const skipped = truth.records[at];
  if (nextLsn !== null && skipped !== undefined && skipped.lsn < nextLsn) {
    wrong.push(`${who} was told to go on at ${nextLsn}, and not given ${skipped.lsn}`);
  }
  return wrong;
}
