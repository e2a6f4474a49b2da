// A life of a volume, step by step, with a model of what must be there if it ends at any moment.
//
// Of each journal the model keeps the states that are allowed: one between steps, the one before
// and the one after while a step is under way. A recovered log must be one of them.

import assert from 'node:assert/strict';
import type { Clock } from '../../io/clock.ts';
import type { Disk } from '../../io/disk.ts';
import { silent } from '../../io/logger.ts';
import { nodeRandom } from '../../io/node.ts';
import { batchCrc } from '../../log/batch.ts';
import type { JournalLog, Volume } from '../../log/log.ts';
import { openVolume } from '../../log/volume.ts';
import {
  commitTables,
  emptyTables,
  foldBatch,
  openTables,
  snapshotTables,
} from '../../protocol/chain/tables.ts';
import {
  after,
  type Batch,
  type JournalId,
  journalId,
  lastLsn,
  lsn,
  micros,
} from '../../protocol/types.ts';
import { baseOfPeer, batchAfter } from './batches.ts';

/** What a log may be: these batches above the base, or fewer at the end, down to `endMin`. */
export interface Allowed {
  readonly baseLsn: number;
  readonly batches: readonly Batch[];
  readonly endMin: number;
}

/** `null`: there is no such journal. */
export type Model = Map<JournalId, readonly (Allowed | null)[]>;

export const DIRECTORY = '/data/volume';
export const JOURNALS: readonly [JournalId, JournalId] = [
  journalId('a'.repeat(32)),
  journalId('b'.repeat(32)),
];

/** Time that stands still, since a life has no timers of its own. */
export const stillClock: Clock = {
  now: () => micros(1),
  wall: () => micros(1),
  after: (_delay, task) => {
    const timer = setImmediate(task);
    return () => clearImmediate(timer);
  },
};

export function openLife(disk: Disk, directory: string = DIRECTORY): Promise<Volume> {
  return openVolume({
    disk,
    directory,
    clock: stillClock,
    logger: silent,
    random: nodeRandom('life'),
    options: {
      segmentBytes: 65_536,
      groupBytes: 16_384,
      reserveBytes: 0,
      cacheBytes: 8_192,
      checkpointBytes: 30_000,
    },
  });
}

export class Life {
  readonly model: Model = new Map();
  /** Batches as they were appended, of all journals, for the tables. */
  readonly #all = new Map<JournalId, Batch[]>();
  /** Of each log that was set aside, or is about to be. */
  readonly asides = new Map<JournalId, readonly Batch[]>();
  volume: Volume;

  constructor(volume: Volume) {
    this.volume = volume;
    for (const journal of JOURNALS) this.model.set(journal, [null]);
  }

  log(journal: JournalId): JournalLog {
    const log = this.volume.find(journal);
    assert.ok(log);
    return log;
  }

  #now(journal: JournalId): Allowed {
    const [allowed, ...others] = this.model.get(journal) ?? [];
    assert.ok(allowed && others.length === 0);
    return allowed;
  }

  async #step(
    journal: JournalId,
    next: Allowed | null,
    act: () => Promise<unknown>,
  ): Promise<void> {
    const before = this.model.get(journal) ?? [null];
    this.model.set(journal, [...before, next]);
    await act();
    this.model.set(journal, [next]);
  }

  create(journal: JournalId): void {
    this.volume.create(journal);
    this.#all.set(journal, []);
    // Until the next sync it may be there or not.
    this.model.set(journal, [null, { baseLsn: 0, batches: [], endMin: 0 }]);
  }

  append(journal: JournalId, count: number, epoch = 1, recordBytes = 100, longKey = ''): void {
    const log = this.log(journal);
    const key = longKey || `key-${log.endLsn % 5}`;
    const { batch } = batchAfter(log, count, { epoch, recordBytes, key });
    log.append(batch);
    const grown = (this.model.get(journal) ?? []).map(
      (state) => state && { ...state, batches: [...state.batches, batch] },
    );
    this.model.set(journal, grown);
  }

  async sync(): Promise<void> {
    await this.volume.sync();
    for (const [journal, states] of this.model) {
      const state = states.at(-1);
      const last = state?.batches.at(-1);
      if (!state) continue;
      const endMin = last === undefined ? state.baseLsn : lastLsn(last.header);
      this.model.set(journal, [{ ...state, endMin }]);
    }
  }

  async cut(journal: JournalId, endLsn: number): Promise<void> {
    const now = this.#now(journal);
    const batches = now.batches.filter(({ header }) => header.firstLsn <= endLsn);
    const next = { ...now, batches, endMin: Math.min(now.endMin, endLsn) };
    await this.#step(journal, next, () => this.log(journal).cut(lsn(endLsn)));
  }

  trim(journal: JournalId, through: number): Promise<void> {
    return this.#begin(journal, through, () => this.log(journal).trim(lsn(through)));
  }

  /** Trims by the base of a peer. */
  async rebase(journal: JournalId, through: number): Promise<void> {
    const base = await baseOfPeer(this.log(journal), through);
    await this.#begin(journal, through, () => this.log(journal).rebase(base));
  }

  async #begin(journal: JournalId, through: number, step: () => Promise<unknown>): Promise<void> {
    const now = this.#now(journal);
    const below = now.batches.filter(({ header }) => lastLsn(header) <= through);
    const last = below.at(-1);
    const baseLsn = last === undefined ? now.baseLsn : lastLsn(last.header);
    const batches = now.batches.slice(below.length);
    const next = { baseLsn, batches, endMin: Math.max(now.endMin, baseLsn) };
    await this.#step(journal, next, step);
  }

  async drop(journal: JournalId): Promise<void> {
    await this.#step(journal, null, () => this.volume.drop(journal));
  }

  async setAside(journal: JournalId): Promise<void> {
    const next = { baseLsn: 0, batches: [], endMin: 0 };
    this.asides.set(journal, this.#now(journal).batches);
    await this.#step(journal, next, () => this.log(journal).setAside());
  }

  /** Replaces a log by a base further on, as of a source that trimmed. */
  async install(journal: JournalId, baseLsn: number): Promise<void> {
    const base = await this.log(journal).base();
    const tables = openTables(base.tables);
    tables.scalars = { ...tables.scalars, endLsn: lsn(baseLsn) };
    const installed = {
      ...base,
      lsn: lsn(baseLsn),
      trimmedLsn: lsn(baseLsn),
      crc: 7,
      tables: snapshotTables(tables),
    };
    const next = { baseLsn, batches: [], endMin: baseLsn };
    await this.#step(journal, next, () => this.log(journal).install(installed));
  }

  async repair(journal: JournalId, at: number): Promise<void> {
    const log = this.log(journal);
    await log.repair(await log.read(lsn(at), 1));
  }
}

/** The life itself: every way in which a volume changes, at least once. */
export async function wholeLife(life: Life, reopen: () => Promise<Volume>): Promise<void> {
  const [one, two] = JOURNALS;
  life.create(one);
  for (let round = 0; round < 3; round += 1) life.append(one, 4);
  await life.sync();
  life.create(two);
  for (let round = 0; round < 6; round += 1) {
    life.append(one, 10);
    life.append(two, 3, 1, 900);
    if (round % 2 === 1) await life.sync();
  }
  await life.cut(one, 42);
  life.append(one, 5, 2);
  await life.sync();
  await life.trim(one, 30);
  for (let round = 0; round < 24; round += 1) life.append(two, 5, 2, 700);
  await life.sync();
  await life.trim(two, 66);
  life.append(one, 7, 3);
  life.append(two, 2, 3);
  await life.cut(two, 138);
  await life.sync();
  await life.repair(two, 101);
  await life.volume.close();
  life.volume = await reopen();
  life.append(one, 3, 3);
  life.append(two, 9, 4, 1500);
  await life.sync();
  await life.install(two, 500);
  life.append(two, 4, 5);
  await life.sync();
  await life.setAside(one);
  life.append(one, 6, 5);
  await life.sync();
  // So many keys that the base is too big for a frame: it has a file of its own, and then another.
  for (let at = 0; at < 30; at += 1) life.append(one, 1, 5, 10, `${at}`.padEnd(900, 'k'));
  await life.sync();
  await life.trim(one, 30);
  await life.trim(one, 33);
  await life.drop(two);
  life.append(one, 2, 5);
  await life.sync();
  // Segments of one journal alone: a trim drops whole ones.
  for (let round = 0; round < 30; round += 1) {
    life.append(one, 5, 5, 900);
    if (round % 10 === 9) await life.sync();
  }
  await life.trim(one, 170);
  await life.rebase(one, 190);
  life.create(two);
  life.append(two, 3, 1);
  await life.sync();
  await life.volume.close();
}

// ── Judgement ─────────────────────────────────────────────────────────────────────────────────

export async function judge(model: Model, volume: Volume): Promise<void> {
  assert.deepEqual(volume.damages(), []);
  for (const [journal, allowed] of model) {
    const log = volume.find(journal);
    const found = log === undefined ? null : await contentOf(log);
    const fits = allowed.some((state) => isOne(found, state));
    assert.ok(
      fits,
      `${journal} is ${describe(found)}, allowed ${allowed.map(describe).join(', ')}`,
    );
    if (log !== undefined) await judgeTables(log);
  }
}

/** What a log was given up with is in a file of its own as soon as it is no longer in the log. */
export async function judgeAsides(
  asides: ReadonlyMap<JournalId, readonly Batch[]>,
  volume: Volume,
  disk: Disk,
  directory: string = DIRECTORY,
): Promise<void> {
  for (const [journal, batches] of asides) {
    const log = volume.find(journal);
    const [first] = log === undefined ? [] : (await contentOf(log)).batches;
    const [given] = batches;
    assert.ok(given);
    if (first !== undefined && batchCrc(first) === batchCrc(given)) continue;
    const folder = `${directory}/aside`;
    const names = (await disk.list(folder)).filter((name) => name.endsWith('.aside'));
    const name = names.find((one) => one.startsWith(journal));
    assert.ok(name, `${journal} was set aside, and no file holds it`);
    const bytes = await wholeFile(disk, `${folder}/${name}`);
    let at = 0;
    for (const batch of batches) {
      const found = bytes.indexOf(batch.bytes, at);
      const { firstLsn } = batch.header;
      assert.ok(found >= at, `${journal} was set aside, and the batch at ${firstLsn} is lost`);
      at = found + batch.bytes.length;
    }
  }
}

async function wholeFile(disk: Disk, path: string): Promise<Buffer> {
  const file = await disk.open(path);
  try {
    return Buffer.from(await file.read(0, await file.size()));
  } finally {
    await file.close();
  }
}

interface Found {
  readonly baseLsn: number;
  readonly batches: readonly Batch[];
}

async function contentOf(log: JournalLog): Promise<Found> {
  const batches: Batch[] = [];
  const { baseLsn } = log.shape();
  let next = after(baseLsn, 1);
  while (next <= log.endLsn) {
    const read = await log.read(next, 5000);
    batches.push(...read);
    const last = read.at(-1);
    assert.ok(last);
    next = after(lastLsn(last.header), 1);
  }
  return { baseLsn, batches };
}

function isOne(found: Found | null, state: Allowed | null): boolean {
  if (found === null || state === null) return found === state;
  const last = found.batches.at(-1);
  const end = last === undefined ? found.baseLsn : lastLsn(last.header);
  return (
    found.baseLsn === state.baseLsn &&
    end >= state.endMin &&
    found.batches.length <= state.batches.length &&
    found.batches.every((batch, at) => {
      const other = state.batches[at];
      return other !== undefined && batchCrc(batch) === batchCrc(other);
    })
  );
}

function describe(state: Found | Allowed | null): string {
  if (state === null) return 'none';
  const last = state.batches.at(-1);
  const end = last === undefined ? state.baseLsn : lastLsn(last.header);
  const least = 'endMin' in state ? ` at least ${state.endMin}` : '';
  return `(${state.baseLsn}, ${end}]${least}`;
}

/** The tables that recovery folded are those of the base and the batches above it. */
async function judgeTables(log: JournalLog): Promise<void> {
  const { tables: base } = await log.base();
  const tables = base.lsn === 0 ? emptyTables() : openTables(base);
  for (const { header } of (await contentOf(log)).batches) {
    foldBatch(tables, header);
    commitTables(tables, lastLsn(header));
  }
  assert.deepEqual(log.recoveredTables(), snapshotTables(tables));
}

/** What was recovered can be lived on with: it grows, closes, opens again. */
export async function goOn(volume: Volume): Promise<void> {
  for (const log of volume.journals()) {
    const { batch } = batchAfter(log, 2, { epoch: 99 });
    log.append(batch);
  }
  await volume.sync();
}
