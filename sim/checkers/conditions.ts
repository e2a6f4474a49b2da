// Conditional appends: a "yes" only where the condition held at that place of the log, a "no" only
// from committed state and only where it did not hold at some moment of the call.

import { type AppendOperation, ofEachJournal, type Refused, type Say } from './history.ts';
import { indexAt, type Known, type Truth, truthOf, untold } from './truth.ts';

export const conditions = ofEachJournal('conditions', (history, journal, say) => {
  const truth = truthOf(history, journal);
  const keys = keyHistories(truth);
  let checked = 0;
  for (const append of truth.appends) {
    const { expectTail, expectKey, fence } = append.condition;
    if (expectTail === undefined && expectKey === undefined && fence === undefined) continue;
    checked += 1;
    const found = truth.byData.get(append.records[0]?.data ?? '');
    if (found !== undefined) allowed(append, found.lsn, truth, keys, say);
    else if (append.answer.kind === 'refused')
      refusedRightly(append, append.answer, truth, keys, say);
  }
  return checked;
});

interface KeyHistory {
  /** Records tagged with the key, rising. */
  readonly tagged: readonly Known[];
  readonly claims: readonly Known[];
}

function keyHistories(truth: Truth): Map<string, KeyHistory> {
  const found = new Map<string, { tagged: Known[]; claims: Known[] }>();
  for (const record of truth.records) {
    if (record.key === undefined) continue;
    const history = found.get(record.key) ?? { tagged: [], claims: [] };
    found.set(record.key, history);
    history.tagged.push(record);
    if (record.append?.keyOperation === 'claim' || truth.claims.has(record.lsn))
      history.claims.push(record);
  }
  return found;
}

/** The last of these below `lsn`, 0 for none. */
const lastBelow = (records: readonly Known[], lsn: number): number =>
  records[indexAt(records, lsn) - 1]?.lsn ?? 0;

function allowed(
  append: AppendOperation,
  firstLsn: number,
  truth: Truth,
  keys: ReadonlyMap<string, KeyHistory>,
  say: Say,
): void {
  const { expectTail, expectKey, fence } = append.condition;
  const what = `"${append.records[0]?.data}" at ${firstLsn}`;
  if (expectTail !== undefined) {
    const tail = lastBelow(truth.records, firstLsn);
    if (tail > expectTail || expectTail >= firstLsn) {
      say(`${what} expected the tail ${expectTail}, it was ${tail}`);
    }
  }
  if (expectKey !== undefined) {
    const at = lastBelow(keys.get(expectKey.key)?.tagged ?? [], firstLsn);
    if (at > expectKey.lsn || (at < expectKey.lsn && !untold(truth, expectKey.lsn))) {
      say(`${what} expected key ${expectKey.key} at ${expectKey.lsn}, it was at ${at}`);
    }
  }
  if (fence !== undefined) {
    const token = lastBelow(keys.get(fence.key)?.claims ?? [], firstLsn);
    if (token > fence.token || (token < fence.token && !untold(truth, fence.token))) {
      say(`${what} carried the token ${fence.token} of ${fence.key}, claimed at ${token}`);
    }
  }
}

function refusedRightly(
  append: AppendOperation,
  answer: Refused,
  truth: Truth,
  keys: ReadonlyMap<string, KeyHistory>,
  say: Say,
): void {
  const { expectTail, expectKey, fence } = append.condition;
  const what = `"${append.records[0]?.data}"`;
  if (
    answer.code === 'CONDITION_FAILED' &&
    answer.tailLsn !== undefined &&
    expectTail !== undefined
  ) {
    judge(append, `${what}: tail`, answer.tailLsn, truth.records, truth, say);
    if (answer.tailLsn === expectTail && expectKey === undefined) {
      say(`${what} was refused although the tail was ${expectTail} as expected`);
    } else if (answer.tailLsn < expectTail && expectKey === undefined) {
      const { byLsn } = truth;
      // A tail below the expected one is a "no" only where the log ended before it.
      if (
        byLsn.has(expectTail) &&
        (answeredBefore(byLsn.get(expectTail), append.called) ?? false)
      ) {
        say(`${what} was refused with the tail ${answer.tailLsn}, expected ${expectTail}`);
      }
    }
  }
  if (
    answer.code === 'CONDITION_FAILED' &&
    answer.keyLsn !== undefined &&
    expectKey !== undefined
  ) {
    const history = keys.get(expectKey.key)?.tagged ?? [];
    judge(append, `${what}: key ${expectKey.key}`, answer.keyLsn, history, truth, say);
    if (answer.keyLsn === expectKey.lsn && expectTail === undefined) {
      say(`${what} was refused although ${expectKey.key} was at ${expectKey.lsn} as expected`);
    }
  }
  if (answer.code === 'FENCED' && answer.tokenLsn !== undefined && fence !== undefined) {
    const history = keys.get(fence.key)?.claims ?? [];
    judge(append, `${what}: token of ${fence.key}`, answer.tokenLsn, history, truth, say);
    if (answer.tokenLsn === fence.token) say(`${what} was fenced by its own token ${fence.token}`);
  }
}

/** A position that a refusal named must be one that was right at some moment of the call. */
function judge(
  append: AppendOperation,
  what: string,
  named: number,
  records: readonly Known[],
  { trimmedLsn, whole }: Truth,
  say: Say,
): void {
  const at = indexAt(records, named);
  if (named !== 0 && records[at]?.lsn !== named) {
    // What was trimmed may have been dropped before anybody else saw it.
    if (whole && named > trimmedLsn && records[at] !== undefined) {
      say(`${what} was answered as ${named}, which holds no such record`);
    }
    return;
  }
  const next = named === 0 ? records[0] : records[at + 1];
  if (next !== undefined && (answeredBefore(next, append.called) ?? false)) {
    say(`${what} was answered as ${named}, but ${next.lsn} was acknowledged before the call`);
  }
  const begun = records[at]?.begun;
  if (named !== 0 && begun !== undefined && begun > (append.returned ?? Infinity)) {
    say(`${what} was answered as ${named}, whose append began later`);
  }
}

function answeredBefore(record: Known | undefined, time: number): boolean | undefined {
  const append = record?.append;
  if (append === undefined) return undefined;
  return append.answer.kind === 'appended' && (append.returned ?? Infinity) < time;
}
