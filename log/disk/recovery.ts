// From segments to logs: which batches count for each journal, and what is bad.

import { crc32 } from '../../io/node-checksum.ts';
import { after, type JournalId, type Lsn } from '../../protocol/types.ts';
import type { Damage } from '../log.ts';
import type { BadRange, Span } from '../segments/entries.ts';
import { ENVELOPE_BYTES, envelopeAt } from '../segments/envelope.ts';
import { epochsOf, fromSpan, gaps, overlay, type Run, runAt, within } from '../segments/runs.ts';
import { HEADER_BYTES, type Segment } from '../segments/segment.ts';
import type { SegmentStore } from '../segments/store.ts';
import type { LogParts } from './journal.ts';
import { decodeState, type LogState } from './state.ts';

export interface RecoveredLogs {
  readonly logs: readonly LogParts[];
  /** Journals that were dropped, of which something is still there. */
  readonly dropped: readonly LogParts[];
  /** Damage that no journal can be named for. */
  readonly damages: readonly Damage[];
}

interface Held {
  readonly segment: Segment;
  readonly span: Span;
}

export async function recoverLogs(store: SegmentStore): Promise<RecoveredLogs> {
  const held = new Map<JournalId, Held[]>();
  const states = new Map<JournalId, { state: LogState; segment: number }>();
  /** Whose newest state is bad: what an older one says was made void by it. */
  const lost = new Map<JournalId, Damage>();
  const damages: Damage[] = [];
  for (const segment of store.segments.values()) {
    for (const [journal, { spans, state }] of segment.index.journals) {
      const list = held.get(journal) ?? [];
      held.set(journal, list);
      for (const span of spans) list.push({ segment, span });
      if (state === null) continue;
      const read = await readState(segment, state.offset, state.length);
      if (read === null) lost.set(journal, stateDamage(segment, journal, state.offset));
      else {
        lost.delete(journal);
        states.set(journal, { state: read, segment: segment.number });
      }
    }
  }
  for (const [journal, damage] of lost) {
    states.delete(journal);
    damages.push(damage);
  }
  const logs: LogParts[] = [];
  const dropped: LogParts[] = [];
  for (const [journal, { state, segment }] of states) {
    const parts = await assemble(store, state, segment, held.get(journal) ?? []);
    (state.dropped ? dropped : logs).push(parts);
  }
  for (const [journal, list] of held) {
    const first = list[0];
    if (states.has(journal) || lost.has(journal) || first === undefined) continue;
    damages.push(stateDamage(first.segment, journal, 0));
  }
  for (const segment of store.segments.values()) {
    for (const bad of segment.index.bad) {
      if (isUnknown(bad) && !isExplained(bad, segment, held)) {
        damages.push(toDamage(bad, segment));
      }
    }
  }
  return { logs, dropped, damages };
}

/** The newest state in a segment: the later of its two copies, or else the earlier. */
async function readState(
  segment: Segment,
  offset: number,
  length: number,
): Promise<LogState | null> {
  for (const at of [offset, offset - ENVELOPE_BYTES - length]) {
    if (at < HEADER_BYTES) break; // the first copy was the one that is known
    const bytes = await segment.read(at, ENVELOPE_BYTES + length);
    const envelope = envelopeAt(bytes, 0, segment.id);
    const payload = bytes.subarray(ENVELOPE_BYTES);
    if (envelope?.kind === 'state' && crc32(payload) === envelope.payloadCrc) {
      const state = decodeState(payload);
      if (state !== null) return state;
    }
  }
  return null;
}

function stateDamage(segment: Segment, journal: JournalId, position: number): Damage {
  const what = 'no copy of the state of the journal is good: its log cannot be opened';
  return { journal, file: segment.path, position, firstLsn: null, lastLsn: null, what };
}

const isUnknown = (bad: BadRange): boolean => bad.firstLsn === null;

const toDamage = ({ offset, what, journal, firstLsn, lastLsn }: BadRange, at: Segment): Damage => ({
  journal,
  file: at.path,
  position: offset,
  firstLsn,
  lastLsn,
  what,
});

/** Whether some journal misses positions that were written about where the bad bytes are. */
function isExplained(bad: BadRange, at: Segment, held: ReadonlyMap<JournalId, Held[]>): boolean {
  for (const list of held.values()) {
    for (const [place, { segment, span }] of list.entries()) {
      const next = list[place + 1];
      if (next === undefined || segment.number > at.number) break;
      const hole = next.span.firstLsn > span.lastLsn + 1 && next.segment.number >= at.number;
      if (hole && bad.offset >= 0) return true;
    }
  }
  return false;
}

// ── One log ───────────────────────────────────────────────────────────────────────────────────

async function assemble(
  store: SegmentStore,
  state: LogState,
  stateSegment: number,
  held: readonly Held[],
): Promise<LogParts> {
  const { base, journal } = state;
  let runs: Run[] = [];
  for (const { segment, span } of held) {
    for (const run of fromSpan(segment.number, span, state.cuts)) runs = lay(runs, run);
  }
  const last = runs.at(-1);
  runs = last === undefined ? [] : within(runs, after(base.lsn, 1), last.lastLsn);
  const damages = [
    ...gapDamages(store, journal, base.lsn, runs),
    ...badDamages(store, journal, runs),
    ...(await chainDamages(store, journal, base.crc, base.lsn, runs)),
  ].sort((one, other) => (one.firstLsn ?? 0) - (other.firstLsn ?? 0));
  const end = runs.at(-1);
  return {
    state,
    stateSegment,
    runs,
    epochs: epochsOf(base, runs),
    endLsn: end?.lastLsn ?? base.lsn,
    endCrc: end === undefined ? base.crc : await crcOfEnd(store, journal, end),
    damages,
  };
}

function lay(runs: Run[], run: Run): Run[] {
  const last = runs.at(-1);
  if (last !== undefined && run.firstLsn <= last.lastLsn) return overlay(runs, run);
  runs.push(run);
  return runs;
}

async function crcOfEnd(store: SegmentStore, journal: JournalId, run: Run): Promise<number> {
  if (run.lastLsn === run.span.lastLsn) return run.span.lastCrc;
  const places = await store.places(run.segment, journal);
  return places.at(places.find(run.lastLsn))?.crc ?? 0;
}

/** What the first batch of a run says of the one before it; null where only the batch knows. */
function previousOf(run: Run): number | null {
  return run.firstLsn === run.span.firstLsn ? run.span.previousCrc : null;
}

async function chainDamages(
  store: SegmentStore,
  journal: JournalId,
  baseCrc: number,
  baseLsn: Lsn,
  runs: readonly Run[],
): Promise<Damage[]> {
  const damages: Damage[] = [];
  let endLsn: Lsn = baseLsn;
  let crc = baseCrc;
  for (const run of runs) {
    const previous = previousOf(run);
    if (run.firstLsn === endLsn + 1 && previous !== null && previous !== crc) {
      const { firstLsn, lastLsn } = run;
      const file = store.segments.get(run.segment)?.path ?? '';
      const what = 'it is not chained to what lies before it';
      damages.push({ journal, file, position: 0, firstLsn, lastLsn, what });
    }
    endLsn = run.lastLsn;
    crc = await crcOfEnd(store, journal, run);
  }
  return damages;
}

function gapDamages(
  store: SegmentStore,
  journal: JournalId,
  baseLsn: Lsn,
  runs: readonly Run[],
): Damage[] {
  return gaps(runs, baseLsn).map(({ firstLsn, lastLsn }) => {
    const before = runAt(runs, after(firstLsn, -1)) ?? runAt(runs, after(lastLsn, 1));
    const segment = before === undefined ? undefined : store.segments.get(before.segment);
    const bad = segment?.index.bad.find(isUnknown);
    const what = bad?.what ?? 'no segment holds it';
    const file = segment?.path ?? '';
    return { journal, file, position: bad?.offset ?? 0, firstLsn, lastLsn, what };
  });
}

/** Bad batches whose header is good, where no later copy took their place. */
function badDamages(store: SegmentStore, journal: JournalId, runs: readonly Run[]): Damage[] {
  const damages: Damage[] = [];
  for (const segment of store.segments.values()) {
    for (const bad of segment.index.bad) {
      if (bad.journal !== journal || bad.firstLsn === null) continue;
      if (runAt(runs, bad.firstLsn)?.segment !== segment.number) continue;
      damages.push(toDamage(bad, segment));
    }
  }
  return damages;
}
