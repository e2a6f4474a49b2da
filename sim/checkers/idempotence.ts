// Exactly one copy of what was appended under a chosen key, however often it was asked for, and
// the same answer each time; refused only where it is used for other records.

import {
  type AppendOperation,
  type Checker,
  type History,
  isAppend,
  journalsOf,
  type Verdict,
  verdict,
} from './history.ts';
import { truthOf } from './truth.ts';

export const idempotence: Checker = {
  name: 'idempotence',
  check(history: History): Verdict {
    const wrong: string[] = [];
    let checked = 0;
    const groups = new Map<string, AppendOperation[]>();
    for (const append of history.operations.filter(isAppend)) {
      if (append.idempotencyKey === undefined) continue;
      const name = `${append.journal} ${append.idempotencyKey}`;
      groups.set(name, [...(groups.get(name) ?? []), append]);
    }
    for (const [name, group] of groups) {
      checked += group.length;
      wrong.push(...oneAnswer(name, group), ...refusedRightly(name, group));
    }
    for (const journal of journalsOf(history)) {
      const { twins, sightings } = truthOf(history, journal);
      checked += sightings;
      wrong.push(...twins.map((found) => `${journal}: ${found}`));
    }
    return verdict(checked, wrong);
  },
};

/** "Used before for other records" names a call with such records, which had begun by then. */
function refusedRightly(name: string, group: readonly AppendOperation[]): string[] {
  return group.flatMap((append) => {
    const { answer, returned } = append;
    if (answer.kind !== 'refused' || answer.code !== 'IDEMPOTENCY_MISMATCH') return [];
    const used = group.some((other) => {
      const began = other.called <= (returned ?? Infinity);
      const none = other.answer.kind === 'refused' && other.answer.outcome === 'none';
      return began && !none && input(other) !== input(append);
    });
    return used ? [] : [`${name}: refused for other records, which nobody appended under it`];
  });
}

const input = (append: AppendOperation): string =>
  append.records.map(({ key, data }) => `${key ?? ''}=${data}`).join('\n');

function oneAnswer(name: string, group: readonly AppendOperation[]): string[] {
  const wrong: string[] = [];
  let first: AppendOperation | null = null;
  for (const append of group) {
    if (append.answer.kind !== 'appended') continue;
    if (first === null || first.answer.kind !== 'appended') {
      first = append;
      continue;
    }
    if (input(first) !== input(append)) {
      wrong.push(`${name}: two different inputs were accepted under one key`);
    } else if (first.answer.firstLsn !== append.answer.firstLsn) {
      const places = `${first.answer.firstLsn} and ${append.answer.firstLsn}`;
      wrong.push(`${name}: the same append was answered as ${places}`);
    } else if (first.answer.timestamp !== append.answer.timestamp) {
      wrong.push(`${name}: the same append was answered with two times`);
    }
  }
  return wrong;
}
