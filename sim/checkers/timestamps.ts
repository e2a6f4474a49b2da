// Times rise strictly along a journal, from record to record.

import { type Checker, type History, journalsOf, type Verdict, verdict } from './history.ts';
import { truthOf } from './truth.ts';

export const timestamps: Checker = {
  name: 'timestamps',
  check(history: History): Verdict {
    const wrong: string[] = [];
    let checked = 0;
    for (const journal of journalsOf(history)) {
      let [lastLsn, last] = [0, 0];
      for (const { lsn, timestamp } of truthOf(history, journal).records) {
        // Nobody told when this one was written.
        if (timestamp === 0) continue;
        checked += 1;
        // Between two records each position takes at least one microsecond.
        if (timestamp - last < lsn - lastLsn) {
          wrong.push(`${journal}: ${lsn} is of ${timestamp}, ${lastLsn} of ${last}`);
        }
        [lastLsn, last] = [lsn, timestamp];
      }
    }
    return verdict(checked, wrong);
  },
};
