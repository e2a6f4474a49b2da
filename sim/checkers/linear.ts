// The journal as one object that takes one operation at a time, judged by the general checker:
// appends with their conditions, tails, and refusals that named a position.

import { type AppendOperation, type Condition, type Operation, ofEachJournal } from './history.ts';
import { type Truth, truthOf, untold } from './truth.ts';
import { linearizable, type Model, type TimedOperation } from './wgl.ts';

export type LogInput =
  | {
      readonly kind: 'append';
      readonly firstLsn: number;
      readonly keys: readonly (string | undefined)[];
      readonly claim: boolean;
      readonly condition: Condition;
    }
  | { readonly kind: 'tail'; readonly tailLsn: number }
  | { readonly kind: 'key'; readonly key: string; readonly keyLsn: number }
  | { readonly kind: 'token'; readonly key: string; readonly tokenLsn: number };

export interface LogState {
  readonly tailLsn: number;
  /** Last tagged record and last claim of each key, names rising. */
  readonly keys: readonly {
    readonly key: string;
    readonly keyLsn: number;
    readonly tokenLsn: number;
  }[];
}

const NEVER = { keyLsn: 0, tokenLsn: 0 };
const keyOf = (state: LogState, key: string): { keyLsn: number; tokenLsn: number } =>
  state.keys.find((entry) => entry.key === key) ?? NEVER;

/**
 * Control entries take positions too, so an append may leave a gap: `following` says which position
 * of a record comes next after one, where that is known.
 */
export const logModel = (
  following: ReadonlyMap<number, number> | null,
): Model<LogState, LogInput> => ({
  start: { tailLsn: 0, keys: [] },
  key: ({ tailLsn, keys }) =>
    `${tailLsn};${keys.map((entry) => `${entry.key}:${entry.keyLsn}:${entry.tokenLsn}`).join(';')}`,
  step(state, input) {
    if (input.kind === 'tail') return input.tailLsn === state.tailLsn ? state : undefined;
    if (input.kind === 'key') {
      return keyOf(state, input.key).keyLsn === input.keyLsn ? state : undefined;
    }
    if (input.kind === 'token') {
      return keyOf(state, input.key).tokenLsn === input.tokenLsn ? state : undefined;
    }
    const { firstLsn, keys, claim, condition } = input;
    if (firstLsn <= state.tailLsn || !holds(state, firstLsn, condition)) return undefined;
    if (following !== null && following.get(state.tailLsn) !== firstLsn) return undefined;
    const table = new Map(state.keys.map((entry) => [entry.key, entry]));
    for (const [at, key] of keys.entries()) {
      if (key === undefined) continue;
      const lsn = firstLsn + at;
      const tokenLsn = claim ? lsn : keyOf(state, key).tokenLsn;
      table.set(key, { key, keyLsn: lsn, tokenLsn });
    }
    const sorted = [...table.values()].sort((one, other) => (one.key < other.key ? -1 : 1));
    return { tailLsn: firstLsn + keys.length - 1, keys: sorted };
  },
});

function holds(state: LogState, firstLsn: number, condition: Condition): boolean {
  const { expectTail, expectKey, fence } = condition;
  if (expectTail !== undefined && (state.tailLsn > expectTail || expectTail >= firstLsn)) {
    return false;
  }
  if (expectKey !== undefined && keyOf(state, expectKey.key).keyLsn !== expectKey.lsn) return false;
  return fence === undefined || keyOf(state, fence.key).tokenLsn === fence.token;
}

const VISITED_MAX = 200_000;

export const linear = ofEachJournal('linearizability', (history, journal, say) => {
  const truth = truthOf(history, journal);
  const operations = history.operations.flatMap((operation) => {
    const timed = operation.journal === journal ? timedOf(operation, truth) : null;
    return timed === null ? [] : [timed];
  });
  operations.push(...unowned(truth));
  const found = linearizable(logModel(followingOf(truth)), operations, VISITED_MAX);
  if (found.kind === 'no') {
    say(`no order of ${operations.length} operations explains their answers`);
    const last = found.deepest.at(-1);
    const entry = last === undefined ? undefined : operations[last];
    if (entry !== undefined) say(`stuck after ${JSON.stringify(entry)}`);
  }
  return found.kind === 'gaveUp' ? 0 : operations.length;
});

/** Records whose append is not in the history: they may have come at any time. */
function unowned(truth: Truth): TimedOperation<LogInput>[] {
  return truth.records.flatMap(({ lsn, key, append }) => {
    if (append !== undefined) return [];
    const claim = truth.claims.has(lsn);
    const input: LogInput = { kind: 'append', firstLsn: lsn, keys: [key], claim, condition: {} };
    return [{ called: 0, returned: null, input }];
  });
}

function followingOf(truth: Truth): ReadonlyMap<number, number> {
  const following = new Map<number, number>();
  let last = 0;
  for (const { lsn } of truth.records) {
    following.set(last, lsn);
    last = lsn;
  }
  return following;
}

/** Null for what the model does not judge. */
function timedOf(operation: Operation, truth: Truth): TimedOperation<LogInput> | null {
  const { called, returned } = operation;
  if (operation.kind === 'tail' && operation.answer.kind === 'tail') {
    const { tailLsn } = operation.answer;
    const known = tailLsn === 0 || truth.byLsn.has(tailLsn);
    return known ? { called, returned, input: { kind: 'tail', tailLsn } } : null;
  }
  if (operation.kind !== 'append') return null;
  const { answer } = operation;
  const first = firstOf(operation, truth);
  // Of a batch without an answer the first records may have been trimmed before anybody saw them.
  const seenFrom = operation.records.findIndex(({ data }) => truth.byData.has(data));
  const found = truth.byData.get(operation.records[seenFrom]?.data ?? '');
  if (answer.kind === 'refused' && found === undefined) return refusedOf(operation, truth);
  // Of all calls under one chosen key one has done it, and nobody knows which.
  if (first.teller !== operation) return null;
  const told = answer.kind === 'appended';
  const firstLsn = told ? answer.firstLsn : (found?.lsn ?? 0);
  const input = inputOf(operation, firstLsn, truth, told ? 0 : seenFrom);
  return { called: first.called, returned: told ? returned : null, input };
}

/** When the append may have begun, and the call whose answer came first, or the first call. */
function firstOf(
  append: AppendOperation,
  truth: Truth,
): { readonly called: number; readonly teller: AppendOperation } {
  const { idempotencyKey } = append;
  if (idempotencyKey === undefined) return { called: append.called, teller: append };
  let [called, teller] = [append.called, append];
  for (const other of truth.chosen.get(idempotencyKey) ?? []) {
    called = Math.min(called, other.called);
    if (rank(other) < rank(teller)) teller = other;
  }
  return { called, teller };
}

const rank = ({ answer, returned, called }: AppendOperation): number =>
  answer.kind === 'appended' ? (returned ?? 0) : Number.MAX_SAFE_INTEGER / 2 + called;

/** What came at `firstLsn`: the records of an append from that place in it on. */
function inputOf(append: AppendOperation, firstLsn: number, truth: Truth, from: number): LogInput {
  const { records, keyOperation } = append;
  const { expectTail, expectKey, fence } = append.condition;
  const keys = records.slice(from).map(({ key }) => key);
  // The model cannot know of a key whose record nobody saw.
  const condition = {
    expectTail,
    expectKey: untold(truth, expectKey?.lsn ?? 0) ? undefined : expectKey,
    fence: untold(truth, fence?.token ?? 0) ? undefined : fence,
  };
  return { kind: 'append', firstLsn, keys, claim: keyOperation === 'claim', condition };
}

function refusedOf(append: AppendOperation, truth: Truth): TimedOperation<LogInput> | null {
  const { called, returned, answer, condition } = append;
  if (answer.kind !== 'refused') return null;
  const { code, tailLsn, keyLsn, tokenLsn } = answer;
  const known = (lsn: number): boolean => lsn === 0 || truth.byLsn.has(lsn);
  if (code === 'CONDITION_FAILED' && condition.expectKey !== undefined && keyLsn !== undefined) {
    const { key } = condition.expectKey;
    return known(keyLsn) ? { called, returned, input: { kind: 'key', key, keyLsn } } : null;
  }
  if (code === 'CONDITION_FAILED' && condition.expectTail !== undefined && tailLsn !== undefined) {
    return known(tailLsn) ? { called, returned, input: { kind: 'tail', tailLsn } } : null;
  }
  if (code === 'FENCED' && condition.fence !== undefined && tokenLsn !== undefined) {
    const { key } = condition.fence;
    return known(tokenLsn) ? { called, returned, input: { kind: 'token', key, tokenLsn } } : null;
  }
  return null;
}
