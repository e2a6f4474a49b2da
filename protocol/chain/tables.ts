// What a log means for the next append: idempotence windows, keys with their claims, cursors,
// limits. A deterministic function of the log: tables = fold(base, batches), the same everywhere.
//
// The tables run ahead of what is committed, so every fold leaves an undo behind until its batch is
// committed. An eviction picks the entry with the lowest position, never the order of a map, so
// that a member that cut and refolded evicts the same one.

import { DEFAULT_SETTINGS } from '../configuration.ts';
import { invariant } from '../errors.ts';
import type { BatchHeader, Idempotence, JournalLimits, Lsn, Micros, WriterId } from '../types.ts';
import { lastLsn, lsn, micros, NO_LSN } from '../types.ts';
import type { CursorState, TablesSnapshot } from './messages.ts';

/** What is remembered of one append. */
export interface AppendMemory {
  readonly sequence: number;
  readonly firstLsn: Lsn;
  readonly count: number;
  readonly timestamp: Micros;
  readonly bodyCrc: number;
  readonly bodyBytes: number;
}

interface WriterEntry {
  /** The last appends, by position; at most `limits.writerWindow`. */
  readonly window: AppendMemory[];
}

export interface KeyEntry {
  /** Last record tagged with the key: conditions compare this. */
  readonly keyLsn: Lsn;
  /** Last claim: fences compare this. */
  readonly tokenLsn: Lsn;
  readonly leaseMillis: number;
  readonly timestamp: Micros;
}

interface CursorEntry {
  readonly lsn: Lsn;
  readonly updatedAt: Micros;
}

/** How to take back one batch. */
interface Undo {
  readonly firstLsn: Lsn;
  readonly scalars: Scalars;
  readonly steps: UndoStep[];
}

type UndoStep =
  | { readonly kind: 'key'; readonly key: string; readonly before: KeyEntry | undefined }
  | { readonly kind: 'cursor'; readonly name: string; readonly before: CursorEntry | undefined }
  | { readonly kind: 'chosen'; readonly key: string; readonly before: AppendMemory | undefined }
  /** The window lost its newest again, and gets back what was pushed out. */
  | {
      readonly kind: 'append';
      readonly writer: WriterId;
      readonly shifted: AppendMemory | undefined;
    }
  | { readonly kind: 'evicted'; readonly writer: WriterId; readonly before: WriterEntry };

interface Scalars {
  readonly endLsn: Lsn;
  /** Last record of a user, 0 for none. */
  readonly dataLsn: Lsn;
  readonly lastTimestamp: Micros;
  readonly trimmedLsn: Lsn;
  /** Last position of any writer that was evicted: an older writer cannot be told from it. */
  readonly evictionLsn: Lsn;
  readonly limits: JournalLimits;
}

export interface Tables {
  scalars: Scalars;
  readonly writers: Map<WriterId, WriterEntry>;
  readonly chosen: Map<string, AppendMemory>;
  readonly keys: Map<string, KeyEntry>;
  readonly cursors: Map<string, CursorEntry>;
  /** One for every batch above the committed position, oldest first. */
  readonly undo: Undo[];
}

export function emptyTables(limits: JournalLimits = DEFAULT_SETTINGS.limits): Tables {
  return {
    scalars: {
      endLsn: NO_LSN,
      dataLsn: NO_LSN,
      lastTimestamp: micros(0),
      trimmedLsn: NO_LSN,
      evictionLsn: NO_LSN,
      limits,
    },
    writers: new Map(),
    chosen: new Map(),
    keys: new Map(),
    cursors: new Map(),
    undo: [],
  };
}

const chosenKey = (at: Idempotence): string => `${at.writer}/${at.sequence}`;

/** Takes the next batch in: `header.firstLsn` must be the one after the last. */
export function foldBatch(tables: Tables, header: BatchHeader): void {
  const before = tables.scalars;
  invariant(
    header.firstLsn === before.endLsn + 1,
    'tables fold a dense log',
    () => `after ${before.endLsn} came ${header.firstLsn}`,
  );
  const steps: UndoStep[] = [];
  let { dataLsn, trimmedLsn, evictionLsn, limits } = before;
  if (header.kind === 'data') {
    dataLsn = lastLsn(header);
    foldKeys(tables, header, steps);
    if (header.idempotence !== null) {
      evictionLsn = foldIdempotence(tables, header, header.idempotence, steps);
    }
  } else if (header.control?.kind === 'trim') {
    if (header.control.through > trimmedLsn) trimmedLsn = header.control.through;
  } else if (header.control?.kind === 'config') {
    limits = header.control.limits;
  } else {
    foldNamed(tables, header, steps);
  }
  tables.undo.push({ firstLsn: header.firstLsn, scalars: before, steps });
  tables.scalars = {
    endLsn: lastLsn(header),
    dataLsn,
    lastTimestamp: micros(header.timestamp + header.count - 1),
    trimmedLsn,
    evictionLsn,
    limits,
  };
}

function foldKeys(tables: Tables, header: BatchHeader, steps: UndoStep[]): void {
  for (const { key, lsn: keyLsn } of header.keys) {
    const before = tables.keys.get(key);
    steps.push({ kind: 'key', key, before });
    const { keyOperation: operation, leaseMillis, timestamp } = header;
    tables.keys.set(key, {
      keyLsn,
      tokenLsn: operation === 'claim' ? keyLsn : (before?.tokenLsn ?? NO_LSN),
      leaseMillis: operation === 'tag' ? (before?.leaseMillis ?? 0) : leaseMillis,
      timestamp: operation === 'tag' ? (before?.timestamp ?? timestamp) : timestamp,
    });
  }
}

function foldNamed(tables: Tables, header: BatchHeader, steps: UndoStep[]): void {
  const control = header.control;
  if (control?.kind === 'cursor') {
    const { name } = control;
    steps.push({ kind: 'cursor', name, before: tables.cursors.get(name) });
    if (control.lsn === null) tables.cursors.delete(name);
    else tables.cursors.set(name, { lsn: control.lsn, updatedAt: header.timestamp });
  } else if (control?.kind === 'forget') {
    steps.push({ kind: 'key', key: control.key, before: tables.keys.get(control.key) });
    tables.keys.delete(control.key);
  }
}

/** Remembers the append; gives the eviction position, which rises when a writer had to go. */
function foldIdempotence(
  tables: Tables,
  header: BatchHeader,
  idempotence: Idempotence,
  steps: UndoStep[],
): Lsn {
  const { limits, evictionLsn } = tables.scalars;
  const { firstLsn, count, timestamp, bodyCrc, bodyBytes } = header;
  const { writer, sequence } = idempotence;
  const memory: AppendMemory = { sequence, firstLsn, count, timestamp, bodyCrc, bodyBytes };
  if (idempotence.chosen) {
    rememberChosen(tables, chosenKey(idempotence), memory, steps);
    return evictionLsn;
  }
  const known = tables.writers.get(writer);
  const entry = known ?? { window: [] };
  if (known === undefined) tables.writers.set(writer, entry);
  entry.window.push(memory);
  const shifted = entry.window.length > limits.writerWindow ? entry.window.shift() : undefined;
  steps.push({ kind: 'append', writer, shifted });
  return tables.writers.size > limits.writers ? evictWriter(tables, steps) : evictionLsn;
}

function rememberChosen(
  tables: Tables,
  key: string,
  memory: AppendMemory,
  steps: UndoStep[],
): void {
  steps.push({ kind: 'chosen', key, before: tables.chosen.get(key) });
  tables.chosen.set(key, memory);
  if (tables.chosen.size <= tables.scalars.limits.chosenKeys) return;
  let oldest = key;
  let oldestLsn = memory.firstLsn;
  for (const [candidate, { firstLsn }] of tables.chosen) {
    if (firstLsn < oldestLsn) [oldest, oldestLsn] = [candidate, firstLsn];
  }
  steps.push({ kind: 'chosen', key: oldest, before: tables.chosen.get(oldest) });
  tables.chosen.delete(oldest);
}

function evictWriter(tables: Tables, steps: UndoStep[]): Lsn {
  let oldest: WriterId | undefined;
  let oldestLsn = Number.POSITIVE_INFINITY;
  for (const [writer, entry] of tables.writers) {
    const at = newest(entry);
    if (at < oldestLsn) [oldest, oldestLsn] = [writer, at];
  }
  const { evictionLsn } = tables.scalars;
  const before = oldest === undefined ? undefined : tables.writers.get(oldest);
  if (oldest === undefined || before === undefined) return evictionLsn;
  steps.push({ kind: 'evicted', writer: oldest, before });
  tables.writers.delete(oldest);
  return lsn(Math.max(evictionLsn, oldestLsn));
}

function newest(entry: WriterEntry): number {
  const memory = entry.window.at(-1);
  return memory === undefined ? 0 : memory.firstLsn + memory.count - 1;
}

/** What was done up to `committed` can no longer be taken back. */
export function commitTables(tables: Tables, committed: Lsn): void {
  let settled = 0;
  for (const undo of tables.undo) {
    if (undo.firstLsn > committed) break;
    settled += 1;
  }
  if (settled > 0) tables.undo.splice(0, settled);
}

/** Whether a cut to `endLsn` can be taken back from what is remembered here. */
export function canCut(tables: Tables, endLsn: Lsn): boolean {
  const oldest = tables.undo[0]?.firstLsn ?? tables.scalars.endLsn + 1;
  return endLsn >= oldest - 1;
}

/** Takes back every batch after `endLsn`, a batch border that is not below the committed one. */
export function cutTables(tables: Tables, endLsn: Lsn): void {
  while (tables.scalars.endLsn > endLsn) {
    const undo = tables.undo.pop();
    invariant(undo !== undefined, 'a cut stays above what is committed', () => `cut to ${endLsn}`);
    for (const step of undo.steps.reverse()) undoStep(tables, step);
    tables.scalars = undo.scalars;
  }
}

function undoStep(tables: Tables, step: UndoStep): void {
  switch (step.kind) {
    case 'key':
      restore(tables.keys, step.key, step.before);
      break;
    case 'cursor':
      restore(tables.cursors, step.name, step.before);
      break;
    case 'chosen':
      restore(tables.chosen, step.key, step.before);
      break;
    case 'evicted':
      restore(tables.writers, step.writer, step.before);
      break;
    case 'append':
      undoAppend(tables, step.writer, step.shifted);
  }
}

function undoAppend(tables: Tables, writer: WriterId, shifted: AppendMemory | undefined): void {
  const window = tables.writers.get(writer)?.window;
  window?.pop();
  if (shifted !== undefined) window?.unshift(shifted);
  if (window?.length === 0) tables.writers.delete(writer);
}

function restore<Key, Value>(map: Map<Key, Value>, key: Key, before: Value | undefined): void {
  if (before === undefined) map.delete(key);
  else map.set(key, before);
}

// ── Questions ─────────────────────────────────────────────────────────────────────────────────

export type Remembered =
  /** Never seen, and may be appended. */
  | { readonly kind: 'new' }
  | { readonly kind: 'same'; readonly memory: AppendMemory }
  | { readonly kind: 'mismatch'; readonly memory: AppendMemory }
  | { readonly kind: 'stale' }
  | { readonly kind: 'gap'; readonly lastSequence: number };

/** Has this append been made? Asked before any condition is judged. */
export function recall(
  tables: Tables,
  at: Idempotence,
  body: { readonly bodyCrc: number; readonly bodyBytes: number; readonly count: number },
): Remembered {
  const window = tables.writers.get(at.writer)?.window;
  const memory = at.chosen
    ? tables.chosen.get(chosenKey(at))
    : window?.findLast((entry) => entry.sequence === at.sequence);
  if (memory !== undefined) {
    const same =
      memory.bodyCrc === body.bodyCrc &&
      memory.bodyBytes === body.bodyBytes &&
      memory.count === body.count;
    return { kind: same ? 'same' : 'mismatch', memory };
  }
  if (at.chosen) return { kind: 'new' };
  const lastSequence = window?.at(-1)?.sequence ?? 0;
  if (lastSequence === 0 && openedAt(at.writer) < tables.scalars.evictionLsn) {
    return { kind: 'stale' };
  }
  if (at.sequence <= lastSequence) return { kind: 'stale' };
  return at.after > lastSequence ? { kind: 'gap', lastSequence } : { kind: 'new' };
}

/** What was committed when the writer's session opened: the first 14 hex digits of its identity. */
export function openedAt(writer: WriterId): number {
  return Number.parseInt(writer.slice(0, 14), 16);
}

/** Last record of a user at or below the committed position, given that undos end there. */
export function committedDataLsn(tables: Tables): Lsn {
  return tables.undo[0]?.scalars.dataLsn ?? tables.scalars.dataLsn;
}

export function cursorStates(tables: Tables): CursorState[] {
  const states = [...tables.cursors].map(([name, entry]) => ({ name, ...entry }));
  return states.sort((one, other) => (one.name < other.name ? -1 : 1));
}

/** Lowest position that a cursor still holds records after; undefined without cursors. */
export function lowestCursor(tables: Tables): CursorState | undefined {
  return cursorStates(tables).reduce<CursorState | undefined>(
    (lowest, cursor) => (lowest === undefined || cursor.lsn < lowest.lsn ? cursor : lowest),
    undefined,
  );
}

// ── As data ───────────────────────────────────────────────────────────────────────────────────

interface Sections {
  readonly scalars: Scalars;
  readonly writers: readonly (readonly [WriterId, readonly AppendMemory[]])[];
  readonly chosen: readonly (readonly [string, AppendMemory])[];
  readonly keys: readonly (readonly [string, KeyEntry])[];
  readonly cursors: readonly (readonly [string, CursorEntry])[];
}

/** The tables at their end, as plain data that JSON carries without loss. */
export function snapshotTables(tables: Tables): TablesSnapshot {
  const sections: Sections = {
    scalars: tables.scalars,
    writers: [...tables.writers].map(([writer, entry]) => [writer, [...entry.window]] as const),
    chosen: [...tables.chosen],
    keys: [...tables.keys],
    cursors: [...tables.cursors],
  };
  return { lsn: tables.scalars.endLsn, sections: { ...sections } };
}

/** Tables as `snapshotTables` gave them; without a snapshot those of an empty log. */
export function openTables(snapshot: TablesSnapshot | null, limits?: JournalLimits): Tables {
  const tables = emptyTables(limits);
  if (snapshot === null) return tables;
  // cast: those of a snapshot, or what checkSections looked at (sections.ts).
  const sections = snapshot.sections as unknown as Partial<Sections>;
  tables.scalars = { ...tables.scalars, ...sections.scalars };
  for (const [writer, window] of sections.writers ?? []) {
    tables.writers.set(writer, { window: [...window] });
  }
  for (const [key, memory] of sections.chosen ?? []) tables.chosen.set(key, memory);
  for (const [key, entry] of sections.keys ?? []) tables.keys.set(key, entry);
  for (const [name, entry] of sections.cursors ?? []) tables.cursors.set(name, entry);
  return tables;
}

/** Tables of a log that starts after `endLsn` with nothing known: an import. */
export function tablesFrom(endLsn: Lsn, limits: JournalLimits): Tables {
  const tables = emptyTables(limits);
  tables.scalars = { ...tables.scalars, endLsn, dataLsn: endLsn, trimmedLsn: endLsn };
  return tables;
}
