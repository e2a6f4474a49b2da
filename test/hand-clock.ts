// A clock for tests that moves when it is told to, and runs what is due then.

import type { Clock } from '../io/clock.ts';
import { micros } from '../protocol/types.ts';

export function handClock() {
  let now = 0;
  const tasks: { at: number; task: () => void }[] = [];
  const clock: Clock = {
    now: () => micros(now),
    wall: () => micros(now),
    after(delay, task) {
      const entry = { at: now + delay, task };
      tasks.push(entry);
      return () => {
        const index = tasks.indexOf(entry);
        if (index >= 0) tasks.splice(index, 1);
      };
    },
  };
  const forward = (by: number): void => {
    now += by;
    for (const entry of [...tasks].sort((one, other) => one.at - other.at)) {
      if (entry.at > now || !tasks.includes(entry)) continue;
      tasks.splice(tasks.indexOf(entry), 1);
      entry.task();
    }
  };
  return { clock, forward };
}
