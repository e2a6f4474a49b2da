// Times rise strictly along a journal, from record to record.

import { ofEachJournal } from './history.ts';
import { truthOf } from './truth.ts';

export const timestamps = ofEachJournal('timestamps', (history, journal, say) => {
  let checked = 0;
  let [lastLsn, last] = [0, 0];
  for (const { lsn, timestamp } of truthOf(history, journal).records) {
    // Nobody told when this one was written.
    if (timestamp === 0) continue;
    checked += 1;
    // Between two records each position takes at least one microsecond.
    if (timestamp - last < lsn - lastLsn) {
      say(`${lsn} is of ${timestamp}, ${lastLsn} of ${last}`);
    }
    [lastLsn, last] = [lsn, timestamp];
  }
  return checked;
});
