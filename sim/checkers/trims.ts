// A trim that was answered has taken effect: whoever asks afterwards is shown nothing of what it
// took, whichever member answers, and each member's log says in the end that it was trimmed.
//
// A plain read or a subscription may be of a member that has not heard of the trim yet.

import {
  type History,
  type Operation,
  ofEachJournal,
  type Say,
  type TrimOperation,
} from './history.ts';

export const trims = ofEachJournal('trims', (history, journal, say) => {
  const operations = history.operations.filter((operation) => operation.journal === journal);
  const done = operations.filter(isDone);
  for (const trim of done) answered(trim, say);
  return shown(operations, done, say) + kept(history, journal, done, say);
});

type Done = TrimOperation & {
  readonly answer: { readonly kind: 'trimmed'; readonly firstLsn: number };
  readonly returned: number;
};

const isDone = (operation: Operation): operation is Done =>
  operation.kind === 'trim' && operation.answer.kind === 'trimmed' && operation.returned !== null;

function answered({ process, through, answer }: Done, say: Say): void {
  if (answer.firstLsn > through) return;
  say(`the trim of ${process} through ${through} was answered with ${answer.firstLsn} as first`);
}

/** What began after a trim was answered, and asks the chain, knows of it. */
function shown(operations: readonly Operation[], done: readonly Done[], say: Say): number {
  const byReturn = [...done].sort((one, other) => one.returned - other.returned);
  const byCall = [...operations].sort((one, other) => one.called - other.called);
  let checked = 0;
  let next = 0;
  let through = 0;
  for (const operation of byCall) {
    for (; (byReturn[next]?.returned ?? Infinity) < operation.called; next += 1) {
      through = Math.max(through, byReturn[next]?.through ?? 0);
    }
    const first = firstOf(operation);
    if (through === 0 || first === undefined) continue;
    checked += 1;
    if (first > through) continue;
    const { process, kind } = operation;
    say(`the ${kind} of ${process} shows ${first}, and was called after a trim through ${through}`);
  }
  return checked;
}

/** The first position that a linearizable answer names as one that is left. */
function firstOf(operation: Operation): number | undefined {
  if (isDone(operation)) return operation.answer.firstLsn;
  if (operation.kind === 'tail') {
    return operation.answer.kind === 'tail' ? operation.answer.firstLsn : undefined;
  }
  if (operation.kind !== 'read' || !operation.linearizable) return undefined;
  return operation.answer.kind === 'records' ? operation.answer.records[0]?.lsn : undefined;
}

/** The log of each serving member has every trim that was answered. */
function kept({ finals }: History, journal: string, done: readonly Done[], say: Say): number {
  const through = Math.max(0, ...done.map((trim) => trim.through));
  const logs = finals.filter((final) => final.journal === journal);
  for (const { member, trimmedLsn } of through === 0 ? [] : logs) {
    if (trimmedLsn >= through) continue;
    say(`${member} is trimmed up to ${trimmedLsn}, a trim through ${through} was answered`);
  }
  return through === 0 ? 0 : logs.length;
}
