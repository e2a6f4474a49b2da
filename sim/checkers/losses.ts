// A forced loss, as a history without what it gave up: the checkers then hold all the rest against
// one another as ever.
//
// When a person forces a loss, one member goes on with what it has, up to `keptLsn`. What was
// answered before, of positions above, is void: those answers are taken out. Whatever began later,
// and whatever lay at or below, must be as if nothing had happened.

import type { History, Operation, Refused } from './history.ts';

export interface Loss {
  readonly journal: string;
  /** End of the log that the journal went on with. */
  readonly keptLsn: number;
  /** When the order had been answered. */
  readonly at: number;
}

const UNKNOWN: Refused = { kind: 'refused', code: 'GIVEN_UP', outcome: 'unknown' };

export function withoutLosses(history: History, losses: readonly Loss[]): History {
  let { operations } = history;
  for (const loss of losses) {
    operations = operations.flatMap((operation) => {
      const before = operation.called < loss.at && operation.journal === loss.journal;
      return before ? kept(operation, loss) : [operation];
    });
  }
  return { ...history, operations };
}

/** What is left to hold an operation to that began before the loss. */
function kept(operation: Operation, { keptLsn, at }: Loss): Operation[] {
  // One who led, or followed, across the loss has seen two logs: both are told apart nowhere.
  if (operation.kind === 'led') return [];
  // The log may have gone on without its entry, and with one that was taken back before.
  if (operation.kind === 'cursor' || operation.kind === 'trim') {
    return [{ ...operation, answer: UNKNOWN }];
  }
  if (operation.kind === 'subscribe') {
    const spans = operation.returned === null || operation.returned >= at;
    const records = operation.records.filter(({ lsn }) => lsn <= keptLsn);
    return spans && (operation.from ?? keptLsn + 1) > keptLsn ? [] : [{ ...operation, records }];
  }
  if (operation.returned === null || operation.returned >= at) return [operation];
  const { answer } = operation;
  if (answer.kind === 'refused') return names(answer, keptLsn) ? [] : [operation];
  if (answer.kind === 'appended') return answer.lastLsn > keptLsn ? [] : [operation];
  if (answer.kind === 'tail') return answer.tailLsn > keptLsn ? [] : [operation];
  if (operation.kind !== 'read' || answer.kind !== 'records') return [operation];
  if (operation.from > keptLsn) return [];
  const records = answer.records.filter(({ lsn }) => lsn <= keptLsn);
  const nextLsn = Math.min(answer.nextLsn, keptLsn + 1);
  return [{ ...operation, answer: { ...answer, records, nextLsn } }];
}

/** Whether a refusal was made from what was given up. */
function names({ tailLsn = 0, keyLsn = 0, tokenLsn = 0 }: Refused, keptLsn: number): boolean {
  return Math.max(tailLsn, keyLsn, tokenLsn) > keptLsn;
}
