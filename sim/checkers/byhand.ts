// Histories written by hand, a line an operation: for tests of the checkers.

import type {
  AppendOperation,
  Condition,
  CursorOperation,
  FinalLog,
  LedOperation,
  Operation,
  Refused,
  SeenRecord,
  TrimOperation,
} from './history.ts';

const TIME = 1_000_000;
const J = 'orders';

interface Extra {
  readonly process?: string;
  readonly key?: string;
  readonly keyOperation?: AppendOperation['keyOperation'];
  readonly condition?: Condition;
  readonly idempotencyKey?: string;
  readonly timestamp?: number;
}

/** One record, acknowledged at `lsn`; or what `lsn` says instead. */
export function append(
  data: string,
  span: readonly [number, number | null],
  lsn: number | Refused,
  extra: Extra = {},
): AppendOperation {
  const { process = 'w', key, keyOperation = 'tag', condition = {}, idempotencyKey } = extra;
  const timestamp = extra.timestamp ?? TIME + (typeof lsn === 'number' ? lsn * 10 : 0);
  return {
    kind: 'append',
    process,
    journal: J,
    called: span[0],
    returned: span[1],
    records: [{ key, data }],
    keyOperation,
    condition,
    idempotencyKey,
    answer:
      typeof lsn === 'number' ? { kind: 'appended', firstLsn: lsn, lastLsn: lsn, timestamp } : lsn,
  };
}

export const refused = (code: string, facts: Partial<Refused> = {}): Refused => ({
  kind: 'refused',
  code,
  outcome: 'none',
  ...facts,
});

export const record = (lsn: number, data: string, key?: string): SeenRecord => ({
  lsn,
  data,
  key,
  timestamp: TIME + lsn * 10,
});

export const tail = (
  span: readonly [number, number],
  tailLsn: number,
  firstLsn?: number,
): Operation => ({
  kind: 'tail',
  process: 'r',
  journal: J,
  called: span[0],
  returned: span[1],
  answer: { kind: 'tail', tailLsn, ...(firstLsn === undefined ? {} : { firstLsn }) },
});

export const subscribe = (from: number | null, records: readonly SeenRecord[]): Operation => ({
  kind: 'subscribe',
  process: 's',
  journal: J,
  called: 0,
  returned: 100,
  from,
  records,
  ended: null,
});

export const read = (
  span: readonly [number, number],
  from: number,
  nextLsn: number,
  records: readonly SeenRecord[],
  limit?: number,
): Operation => ({
  kind: 'read',
  process: 'r',
  journal: J,
  called: span[0],
  returned: span[1],
  from,
  linearizable: true,
  ...(limit === undefined ? {} : { limit }),
  answer: { kind: 'records', records, nextLsn },
});

export const trim = (
  span: readonly [number, number | null],
  through: number,
  facts: Partial<Pick<TrimOperation, 'force' | 'answer'>> = {},
): Operation => ({
  kind: 'trim',
  process: 't',
  journal: J,
  called: span[0],
  returned: span[1],
  through,
  force: false,
  answer: { kind: 'trimmed', firstLsn: through + 1 },
  ...facts,
});

export const cursor = (
  span: readonly [number, number | null],
  lsn: number | null,
  answer: CursorOperation['answer'] = { kind: 'moved' },
  name = 'c',
): Operation => ({
  kind: 'cursor',
  process: 'c',
  journal: J,
  called: span[0],
  returned: span[1],
  name,
  lsn,
  answer,
});

export const led = (
  process: string,
  span: readonly [number, number | null],
  token: number,
  facts: Partial<Pick<LedOperation, 'applied'>> = {},
): Operation => ({
  kind: 'led',
  process,
  journal: J,
  called: span[0],
  returned: span[1],
  key: 'k',
  token,
  ...facts,
});

export function final(
  member: string,
  records: readonly SeenRecord[],
  facts: Partial<FinalLog> = {},
) {
  const batches = records.map((one) => ({
    firstLsn: one.lsn,
    lastLsn: one.lsn,
    epoch: 1,
    digest: one.data,
    records: [one],
    keyOperation: 'tag' as const,
  }));
  const committedLsn = records.at(-1)?.lsn ?? 0;
  return { member, journal: J, baseLsn: 0, trimmedLsn: 0, committedLsn, batches, ...facts };
}
