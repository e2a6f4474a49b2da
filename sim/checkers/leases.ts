// One leader a key at a time, by the true clock, each after it has applied what came before, and
// tokens that rise from one to the next.

import { type Checker, type History, type LedOperation, type Verdict, verdict } from './history.ts';

export const leases: Checker = {
  name: 'leases',
  check(history: History): Verdict {
    const wrong: string[] = [];
    const keys = new Map<string, LedOperation[]>();
    let checked = 0;
    for (const operation of history.operations) {
      if (operation.kind !== 'led') continue;
      checked += 1;
      if (operation.applied === false) {
        const { process, token } = operation;
        wrong.push(`${process} led with token ${token} before it had applied what it asked for`);
      }
      const name = `${operation.journal} ${operation.key}`;
      keys.set(name, [...(keys.get(name) ?? []), operation]);
    }
    for (const [name, led] of keys) wrong.push(...oneAtATime(name, led));
    return verdict(checked, wrong);
  },
};

function oneAtATime(name: string, led: readonly LedOperation[]): string[] {
  const wrong: string[] = [];
  const byStart = [...led].sort((one, other) => one.called - other.called);
  let before: LedOperation | null = null;
  for (const now of byStart) {
    if (before !== null && (before.returned ?? Infinity) > now.called) {
      const first = `${before.process} led until ${before.returned}`;
      wrong.push(`${name}: ${first}, ${now.process} from ${now.called}`);
    }
    if (before !== null && now.token <= before.token) {
      wrong.push(`${name}: ${now.process} led with token ${now.token} after ${before.token}`);
    }
    before = now;
  }
  return wrong;
}
