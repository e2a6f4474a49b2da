// An import that ends at any of its requests is whole when it has run again.

import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { after, describe, test } from 'node:test';
import type { AppendOptions, CreateOptions, ReadOptions, RecordInput } from '../../client/index.ts';
import { DEFAULT_SETTINGS, type JournalSettings } from '../../protocol/configuration.ts';
import { type ErrorCode, JournalError } from '../../protocol/errors.ts';
import { epoch, type Lsn, lsn, micros } from '../../protocol/types.ts';
import type { JournalRecord } from '../../transport/public.ts';
import { ExportWriter } from '../records/exchange.ts';
import { importFile, importStream, type TargetJournal } from './import.ts';
import { restore } from './restore.ts';

/** A journal by its conditions alone: positions, records, and where its one cursor is. */
class MemoryJournal implements TargetJournal {
  readonly name = 'orders';
  readonly firstLsn: Lsn;
  readonly records: JournalRecord[] = [];
  end: number;
  cursor: number | null = null;
  /** Called before and after each request that writes: a process may be killed at either. */
  readonly #step: () => void;
  readonly #batchBytesMax: number;

  constructor(firstLsn: Lsn, batchBytesMax: number, step: () => void) {
    this.firstLsn = firstLsn;
    this.#batchBytesMax = batchBytesMax;
    this.#step = step;
    this.end = firstLsn - 1;
  }

  async tail() {
    const tailLsn = this.records.at(-1)?.lsn ?? lsn(0);
    return { tailLsn, endLsn: lsn(this.end), firstLsn: this.firstLsn, lineage: 1 };
  }

  async read({ from, limit = 1_000 }: ReadOptions = {}) {
    assert.ok(typeof from === 'number');
    const records = this.records.filter((one) => one.lsn >= from).slice(0, limit);
    const last = records.length < limit ? this.end : (records.at(-1)?.lsn ?? 0);
    const nextLsn = lsn(Math.max(from, last + 1));
    return { records, nextLsn, committedLsn: lsn(this.end), lineage: 1 };
  }

  async append(input: RecordInput | readonly RecordInput[], { expectTail }: AppendOptions = {}) {
    this.#step();
    const { tailLsn, endLsn } = await this.tail();
    assert.ok(Array.isArray(input) && typeof expectTail === 'number');
    const bytes = input.reduce((sum, { key = '', data }) => sum + key.length + data.length, 0);
    if (bytes > this.#batchBytesMax) {
      throw new JournalError('INVALID_ARGUMENT', `records is ${bytes} bytes`);
    }
    if (tailLsn > expectTail || expectTail > endLsn) throw notMet();
    const firstLsn = lsn(endLsn + 1);
    for (const { key, data } of input) {
      this.end += 1;
      this.records.push({ lsn: lsn(this.end), timestampMicros: micros(0), key, data });
    }
    this.#step();
    const made = { timestampMicros: micros(0), epoch: epoch(1), duplicate: false };
    return { firstLsn, lastLsn: lsn(this.end), ...made };
  }

  async setCursor(_name: string, at: number | null, options: { expectEnd?: number } = {}) {
    this.#step();
    if (options.expectEnd !== undefined && options.expectEnd !== this.end) throw notMet();
    if (at === null && this.cursor === null) throw new JournalError('NOT_FOUND', 'no cursor');
    this.end += 1;
    this.cursor = at;
    this.#step();
  }
}

const notMet = (): JournalError => new JournalError('CONDITION_FAILED', 'it is not so');

/** A cluster of that one journal; `steps` requests from now the importing process is killed. */
class MemoryCluster {
  made: MemoryJournal | null = null;
  settings: JournalSettings | null = null;
  steps = Infinity;
  /** Names that it makes no journal of, and why. */
  readonly refusals = new Map<string, ErrorCode>();

  readonly #step = (): void => {
    this.steps -= 1;
    if (this.steps < 0) throw new Error('killed');
  };

  async createJournal(name: string, { ifAbsent, firstLsn = 1, settings = {} }: CreateOptions) {
    this.#step();
    const refusal = this.refusals.get(name);
    if (refusal !== undefined) throw new JournalError(refusal, 'it is too much');
    if (this.made !== null && !ifAbsent) throw new JournalError('ALREADY_EXISTS', 'it exists');
    this.settings ??= { ...DEFAULT_SETTINGS, ...settings };
    this.made ??= new MemoryJournal(lsn(firstLsn), this.settings.batchBytesMax, this.#step);
    this.#step();
    return { configuration: { settings: this.settings } };
  }

  async listJournals() {
    return this.made === null ? [] : [{ name: this.made.name }];
  }

  journal(_name: string): MemoryJournal {
    return this.made ?? assert.fail('it is not made');
  }
}

const { signal } = new AbortController();

function fileOf(
  firstLsn: number,
  lsns: readonly number[],
  end: number,
  settings: Partial<JournalSettings> = {},
): string {
  const writer = new ExportWriter();
  let text = writer.header({ journal: 'orders', firstLsn: lsn(firstLsn), settings });
  for (const at of lsns) {
    const key = at % 2 === 0 ? { key: `k${at}` } : {};
    const data = Buffer.from(`record ${at}`);
    text += writer.record({ lsn: lsn(at), timestampMicros: micros(at), ...key, data });
  }
  return text + writer.end(lsn(end));
}

const LSNS = [5, 6, 7, 20, 21, 40];
const FILE = fileOf(3, LSNS, 43);

const imports = (client: MemoryCluster, text: string, resume = true, gapMax = 1_000) =>
  importFile({ client, signal }, 'orders', () => Readable.from([Buffer.from(text)]), {
    gapMax,
    resume,
  });

function isWhole({ made }: MemoryCluster): void {
  assert.ok(made !== null);
  const kept = made.records.map(({ lsn: at, key, data }) => [at, key, String(data)]);
  const key = (at: number) => (at % 2 === 0 ? `k${at}` : undefined);
  assert.deepEqual(
    kept,
    LSNS.map((at) => [at, key(at), `record ${at}`]),
  );
  assert.ok(made.end === 43 || made.end === 44, `it ends at ${made.end}`);
  assert.equal(made.cursor, null);
}

describe('an import', () => {
  test('that is killed at any request is whole when it has run again', async () => {
    let kills = 0;
    for (let steps = 0; ; steps += 1) {
      const cluster = new MemoryCluster();
      cluster.steps = steps;
      const died = await imports(cluster, FILE).then(
        () => false,
        () => true,
      );
      if (!died) break;
      kills += 1;
      cluster.steps = Infinity;
      await imports(cluster, FILE);
      isWhole(cluster);
    }
    assert.ok(kills > 60, `it was killed ${kills} times`);
  });

  test('that is killed again and again gets there', async () => {
    const cluster = new MemoryCluster();
    for (let run = 0; run < 40; run += 1) {
      cluster.steps = 4;
      await imports(cluster, FILE).catch(() => undefined);
    }
    cluster.steps = Infinity;
    await imports(cluster, FILE);
    isWhole(cluster);
  });

  test('finds what is whole, also after more was written', async () => {
    const cluster = new MemoryCluster();
    assert.deepEqual(await imports(cluster, FILE), { records: 6, present: 0, lastLsn: 40 });
    assert.deepEqual(await imports(cluster, FILE), { records: 0, present: 6, lastLsn: 40 });
    await cluster.made?.append([{ data: Buffer.from('more') }], { expectTail: 44 });
    const before = cluster.made?.end;
    assert.deepEqual(await imports(cluster, FILE), { records: 0, present: 6, lastLsn: 40 });
    assert.equal(cluster.made?.end, before);
  });

  test('does not touch a journal that is no beginning of the file', async () => {
    const others: readonly (readonly [string, RegExp])[] = [
      [fileOf(3, [5, 6, 8], 43), /differ at LSN 7/],
      [fileOf(3, [5, 6, 7, 19, 20, 21, 40], 43), /differ at LSN 19/],
      [fileOf(3, [5, 6, 7], 43), /differ at LSN 20/],
      [FILE.replace(/(sha256":")[^"]*/, '$1'), /sha256/],
      [fileOf(1, LSNS, 60), /it starts at LSN 3, the export at 1/],
      [fileOf(5, LSNS, 60), /it starts at LSN 3, the export at 5/],
    ];
    for (const [text, says] of others) {
      const cluster = new MemoryCluster();
      await imports(cluster, FILE);
      const before = cluster.made?.end;
      await assert.rejects(imports(cluster, text), says);
      assert.equal(cluster.made?.end, before);
    }
  });

  test('keeps to the batches of the journal, and gives it the limits of the old one', async () => {
    const limits = { ...DEFAULT_SETTINGS.limits, keys: 200_000 };
    const settings = { batchBytesMax: 20, limits };
    const lsns = Array.from({ length: 10 }, (_, at) => at + 1);
    for (const steps of [3, Infinity]) {
      const cluster = new MemoryCluster();
      cluster.steps = steps;
      await imports(cluster, fileOf(1, lsns, 10, settings)).catch(() => undefined);
      cluster.steps = Infinity;
      await imports(cluster, fileOf(1, lsns, 10, settings));
      assert.deepEqual(cluster.settings, { ...DEFAULT_SETTINGS, ...settings });
      assert.equal(cluster.made?.records.length, 10);
    }
  });

  test('from a pipe that says nothing ends with its signal', async () => {
    const controller = new AbortController();
    const silent = new Readable({ read: () => undefined });
    const at = { client: new MemoryCluster(), signal: controller.signal };
    const ended = importStream(at, 'orders', silent, { gapMax: 0, resume: false });
    controller.abort(new Error('enough'));
    await assert.rejects(ended, { name: 'AbortError' });
    assert.equal(silent.destroyed, true);
  });

  test('without --resume goes on nowhere, and says how it would', async () => {
    const cluster = new MemoryCluster();
    await assert.rejects(imports(cluster, FILE, false, 10), /--gap-max.*import --resume goes on/);
    await assert.rejects(imports(cluster, FILE, false), /exists; .*--resume goes on with it/);
    await imports(cluster, FILE);
    isWhole(cluster);
  });
});

describe('a restore', () => {
  const folder = mkdtempSync(join(tmpdir(), 'journal-restore-'));
  after(() => rmSync(folder, { recursive: true }));
  writeFileSync(join(folder, 'complete'), '1\n');

  test('goes on with a journal that is there in part', async () => {
    writeFileSync(join(folder, 'orders.journal'), FILE);
    const cluster = new MemoryCluster();
    cluster.steps = 20;
    await assert.rejects(restore({ client: cluster, signal }, folder), /killed/);
    cluster.steps = Infinity;
    assert.equal(await restore({ client: cluster, signal }, folder), 1);
    isWhole(cluster);
    assert.equal(await restore({ client: cluster, signal }, folder), 0);
  });

  test('brings back the others where one is refused, and stops where nobody answers', async () => {
    const two = join(folder, 'two');
    mkdirSync(two);
    writeFileSync(join(two, 'complete'), '2\na\norders\n');
    for (const name of ['a', 'orders']) writeFileSync(join(two, `${name}.journal`), FILE);
    for (const code of ['INVALID_ARGUMENT', 'LIMIT_EXCEEDED', 'UNAVAILABLE'] as const) {
      const cluster = new MemoryCluster();
      cluster.refusals.set('a', code);
      await assert.rejects(restore({ client: cluster, signal }, two), { code });
      if (code === 'UNAVAILABLE') assert.equal(cluster.made, null);
      else isWhole(cluster);
    }
  });

  test('fills a gap of any width', async () => {
    writeFileSync(join(folder, 'orders.journal'), fileOf(1, [1, 100_100], 100_100));
    const cluster = new MemoryCluster();
    assert.equal(await restore({ client: cluster, signal }, folder), 1);
    assert.deepEqual(
      cluster.made?.records.map((one) => one.lsn),
      [1, 100_100],
    );
  });
});
