// What an explored log means after each of its batches, worked out from the batches alone.

import type { AppendRequest } from '../../protocol/chain/messages.ts';
import { type BatchHeader, higher, type Lsn, lastLsn, NO_LSN } from '../../protocol/types.ts';

interface KeyFact {
  readonly keyLsn: Lsn;
  readonly tokenLsn: Lsn;
  readonly leaseMillis: number;
  /** Time of the last record that said something of the lease. */
  readonly leasedAt: number;
}

/** What a log means up to some batch. */
export interface Fact {
  readonly endLsn: Lsn;
  readonly dataLsn: Lsn;
  readonly timestamp: number;
  readonly trimmedLsn: Lsn;
  readonly keys: ReadonlyMap<string, KeyFact>;
  /** What each has consumed up to. */
  readonly cursors: ReadonlyMap<string, Lsn>;
}

export const NO_KEY: KeyFact = { keyLsn: NO_LSN, tokenLsn: NO_LSN, leaseMillis: 0, leasedAt: 0 };

export const NOTHING: Fact = {
  endLsn: NO_LSN,
  dataLsn: NO_LSN,
  timestamp: 0,
  trimmedLsn: NO_LSN,
  keys: new Map(),
  cursors: new Map(),
};

/** The log with one more batch. */
export function after(before: Fact, header: BatchHeader): Fact {
  const keys = new Map(before.keys);
  for (const { key, lsn } of header.keys) {
    const { keyOperation: operation, timestamp: leasedAt, leaseMillis } = header;
    const known = keys.get(key) ?? { ...NO_KEY, leasedAt };
    // A tag says nothing of the lease.
    const lease = operation === 'tag' ? known : { leasedAt, leaseMillis };
    const { tokenLsn } = known;
    keys.set(key, { ...lease, keyLsn: lsn, tokenLsn: operation === 'claim' ? lsn : tokenLsn });
  }
  if (header.control?.kind === 'forget') keys.delete(header.control.key);
  const endLsn = lastLsn(header);
  const dataLsn = header.kind === 'data' ? endLsn : before.dataLsn;
  const through = header.control?.kind === 'trim' ? header.control.through : NO_LSN;
  const trimmedLsn = higher(before.trimmedLsn, through);
  const timestamp = header.timestamp + header.count - 1;
  const cursors = cursorsAfter(before.cursors, header.control);
  return { endLsn, dataLsn, timestamp, trimmedLsn, keys, cursors };
}

/** The same cursors at the same places. */
export const isSame = (one: ReadonlyMap<string, Lsn>, other: ReadonlyMap<string, Lsn>): boolean =>
  one.size === other.size && [...one].every(([name, position]) => other.get(name) === position);

function cursorsAfter(before: Fact['cursors'], control: BatchHeader['control']): Fact['cursors'] {
  if (control?.kind !== 'cursor') return before;
  const cursors = new Map(before);
  if (control.lsn === null) cursors.delete(control.name);
  else cursors.set(control.name, control.lsn);
  return cursors;
}

/** Whether an append may lie behind this. */
export function holds({ condition }: AppendRequest, { keys, dataLsn, endLsn }: Fact): boolean {
  const { expectTail, expectKey, fence } = condition;
  if (expectTail !== null && (dataLsn > expectTail || expectTail > endLsn)) return false;
  if (fence !== null && (keys.get(fence.key)?.tokenLsn ?? NO_LSN) !== fence.token) return false;
  return expectKey === null || (keys.get(expectKey.key)?.keyLsn ?? NO_LSN) === expectKey.lsn;
}
