// The one log of a journal, put together from everything that anybody saw of it. Where two
// sightings disagree, that is the finding.

import type { AppendOperation, History, SeenRecord } from './history.ts';

/** One record, and what became of the append that it came from. */
export interface Known {
  readonly lsn: number;
  readonly data: string;
  readonly key: string | undefined;
  /** 0 where nobody told it. */
  readonly timestamp: number;
  readonly append: AppendOperation | undefined;
  /** When the first call with this record began; undefined where none is known. */
  readonly begun: number | undefined;
}

export interface Truth {
  /** By position, rising. */
  readonly records: readonly Known[];
  readonly byLsn: ReadonlyMap<number, Known>;
  readonly byData: ReadonlyMap<string, Known>;
  readonly appends: readonly AppendOperation[];
  /** Calls under each chosen key that may have had an effect. */
  readonly chosen: ReadonlyMap<string, readonly AppendOperation[]>;
  /** Sightings that contradict each other. */
  readonly conflicts: readonly string[];
  /** Records that were seen at two positions. */
  readonly twins: readonly string[];
  /** How many sightings went in. */
  readonly sightings: number;
  /** Positions of the claims that a disk told of, or a refusal where none did. */
  readonly claims: ReadonlySet<number>;
  /** Up to here everything may have been dropped unseen. */
  readonly trimmedLsn: number;
  /** A disk told in the end what it holds: without it a record that was answered to nobody is seen
   * by nobody. */
  readonly whole: boolean;
}

interface Building {
  readonly byLsn: Map<number, Known>;
  readonly byData: Map<string, Known>;
  readonly writers: Map<string, AppendOperation>;
  readonly begun: Map<string, number>;
  readonly conflicts: string[];
  readonly twins: string[];
  sightings: number;
}

/** Put together once for all checkers of a history. */
const known = new WeakMap<History, Map<string, Truth>>();

export function truthOf(history: History, journal: string): Truth {
  const truths = known.get(history) ?? new Map<string, Truth>();
  known.set(history, truths);
  const truth = truths.get(journal) ?? build(history, journal);
  truths.set(journal, truth);
  return truth;
}

function build(history: History, journal: string): Truth {
  const appends: AppendOperation[] = [];
  const building: Building = {
    byLsn: new Map(),
    byData: new Map(),
    writers: new Map(),
    begun: new Map(),
    conflicts: [],
    twins: [],
    sightings: 0,
  };
  for (const operation of history.operations) {
    if (operation.kind !== 'append' || operation.journal !== journal) continue;
    appends.push(operation);
    for (const { data } of operation.records) {
      const { called } = operation;
      building.begun.set(data, Math.min(called, building.begun.get(data) ?? called));
      const other = building.writers.get(data);
      if (other === undefined || weight(operation) > weight(other)) {
        building.writers.set(data, operation);
      }
    }
  }
  for (const [record, who] of sightings(history, journal)) see(building, record, who);
  const records = [...building.byLsn.values()].sort((one, other) => one.lsn - other.lsn);
  const { byLsn, byData, conflicts, twins } = building;
  const { sightings: seen } = building;
  const chosen = chosenOf(appends);
  const claims = claimsOf(history, journal);
  const trimmedLsn = trimmedOf(history, journal);
  return {
    records,
    byLsn,
    byData,
    appends,
    conflicts,
    twins,
    sightings: seen,
    claims,
    chosen,
    trimmedLsn,
    whole: history.finals.some((final) => final.journal === journal),
  };
}

/** Every record that anybody saw, with who that was. */
function* sightings(history: History, journal: string): Generator<readonly [SeenRecord, string]> {
  for (const operation of history.operations) {
    if (operation.journal !== journal) continue;
    const who = `${operation.process} ${operation.kind}`;
    if (operation.kind === 'append' && operation.answer.kind === 'appended') {
      const { firstLsn, timestamp } = operation.answer;
      for (const [at, { key, data }] of operation.records.entries()) {
        const time = timestamp === 0 ? 0 : timestamp + at;
        yield [{ lsn: firstLsn + at, timestamp: time, key, data }, who];
      }
    }
    if (operation.kind === 'subscribe') {
      for (const record of operation.records) yield [record, who];
    }
    if (operation.kind === 'read' && operation.answer.kind === 'records') {
      for (const record of operation.answer.records) yield [record, who];
    }
  }
  for (const final of history.finals) {
    if (final.journal !== journal) continue;
    for (const batch of final.batches) {
      if (batch.lastLsn > final.committedLsn) continue;
      for (const record of batch.records) yield [record, `disk of ${final.member}`];
    }
  }
}

function see(building: Building, record: SeenRecord, who: string): void {
  const { byLsn, byData, writers, conflicts } = building;
  const { lsn, data, key, timestamp } = record;
  building.sightings += 1;
  const before = byLsn.get(lsn);
  if (before !== undefined) {
    const dated = before.timestamp !== 0 && timestamp !== 0;
    if (before.timestamp === 0) replace(building, { ...before, timestamp });
    if (before.data !== data) {
      conflicts.push(`${who} saw "${data}" at ${lsn}, where "${before.data}" was seen before`);
    } else if (dated && before.timestamp !== timestamp) {
      conflicts.push(`${who} saw "${data}" of ${timestamp}, seen before as of ${before.timestamp}`);
    } else if ((before.key ?? '') !== (key ?? '')) {
      conflicts.push(`${who} saw "${data}" with key ${key}, seen before with ${before.key}`);
    }
    return;
  }
  const twin = byData.get(data);
  if (twin !== undefined)
    building.twins.push(`${who} saw "${data}" at ${lsn}, it was at ${twin.lsn}`);
  const begun = building.begun.get(data);
  replace(building, { lsn, data, key, timestamp, append: writers.get(data), begun });
}

function replace(building: Building, known: Known): void {
  building.byLsn.set(known.lsn, known);
  building.byData.set(known.data, known);
}

/** Of several calls with one record, the one that says most of what became of it. */
function weight({ answer }: AppendOperation): number {
  if (answer.kind === 'appended') return 2;
  return answer.outcome === 'unknown' ? 1 : 0;
}

function chosenOf(appends: readonly AppendOperation[]): Map<string, AppendOperation[]> {
  const chosen = new Map<string, AppendOperation[]>();
  for (const append of appends) {
    const { idempotencyKey, answer } = append;
    if (idempotencyKey === undefined) continue;
    if (answer.kind === 'refused' && answer.outcome === 'none') continue;
    const calls = chosen.get(idempotencyKey);
    if (calls === undefined) chosen.set(idempotencyKey, [append]);
    else calls.push(append);
  }
  return chosen;
}

function claimsOf(history: History, journal: string): Set<number> {
  const claims = new Set<number>();
  const finals = history.finals.filter((final) => final.journal === journal);
  // Where no disk told, a refusal that names a token says of it that it is a claim.
  for (const operation of finals.length > 0 ? [] : history.operations) {
    if (operation.kind !== 'append' || operation.journal !== journal) continue;
    const { answer } = operation;
    if (answer.kind === 'refused' && answer.tokenLsn !== undefined) claims.add(answer.tokenLsn);
  }
  for (const final of finals) {
    for (const { keyOperation, records } of final.batches) {
      if (keyOperation === 'claim') for (const { lsn } of records) claims.add(lsn);
    }
  }
  return claims;
}

function trimmedOf(history: History, journal: string): number {
  const gone = history.finals
    .filter((final) => final.journal === journal)
    .map(({ trimmedLsn, baseLsn }) => Math.max(trimmedLsn, baseLsn));
  return Math.max(0, ...gone);
}

/**
 * Whether a record may have been there that was answered to nobody, and told by no disk: all disks
 * are lost, or it was trimmed before.
 */
export function untold({ whole, byLsn, trimmedLsn }: Truth, lsn: number): boolean {
  return lsn !== 0 && !byLsn.has(lsn) && (!whole || lsn <= trimmedLsn);
}

/** Index of the first record at or above `lsn`; the number of records where there is none. */
export function indexAt(records: readonly Known[], lsn: number): number {
  let [low, high] = [0, records.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((records[middle]?.lsn ?? Infinity) < lsn) low = middle + 1;
    else high = middle;
  }
  return low;
}
