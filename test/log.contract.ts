// What every Volume must do (log/log.ts): run on the one on a disk and on the reference in memory.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { batchRecords, decodeBatch } from '../log/batch.ts';
import type { JournalLog, Volume } from '../log/log.ts';
import { openTables, snapshotTables, tablesFrom } from '../protocol/chain/tables.ts';
import { DEFAULT_SETTINGS } from '../protocol/configuration.ts';
import { InvariantViolation, JournalError } from '../protocol/errors.ts';
import { epoch, type JournalId, journalId, lastLsn, lsn, micros } from '../protocol/types.ts';
import { append, appendControl, baseOfPeer, batchAfter, readAll } from './log/batches.ts';

export interface VolumeUnderTest {
  readonly name: string;
  /** Gives the body a way to open the same volume again and again, and waits for it. */
  run(body: (open: () => Promise<Volume>) => Promise<void>): Promise<void>;
  /** What was synced is there again after a close. */
  readonly durable: boolean;
}

const ONE: JournalId = journalId('1'.repeat(32));
const TWO: JournalId = journalId('2'.repeat(32));

async function refusedWith(code: string, action: Promise<unknown>): Promise<JournalError> {
  let caught: JournalError | null = null;
  await assert.rejects(action, (error) => {
    if (error instanceof JournalError) caught = error;
    return error instanceof JournalError && error.code === code;
  });
  assert.ok(caught);
  return caught;
}

export function testVolume(under: VolumeUnderTest): void {
  const check = (what: string, body: (open: () => Promise<Volume>) => Promise<void>): void => {
    test(`${under.name}: ${what}`, () => under.run(body));
  };
  testAppends(check);
  testReads(check);
  testChanges(check);
  testCursors(check);
  testBases(check);
  testInstall(check, under.durable);
  testRebase(check, under.durable);
  if (under.durable) testReopen(check);
}

type Check = (what: string, body: (open: () => Promise<Volume>) => Promise<void>) => void;

function testAppends(check: Check): void {
  check('a new log is empty', async (open) => {
    const volume = await open();
    const log = volume.create(ONE);
    assert.deepEqual(log.shape(), { baseLsn: 0, baseEpoch: 0, endLsn: 0, runs: [] });
    assert.equal(log.endCrc, 0);
    assert.equal(log.recoveredTables().lsn, 0);
    assert.deepEqual(await log.read(lsn(1), 100), []);
    assert.equal(volume.find(ONE), log);
    assert.equal(volume.find(TWO), undefined);
    await volume.close();
  });

  check('appends are read at once and durable with the sync', async (open) => {
    const volume = await open();
    const log = volume.create(ONE);
    append(log, 3);
    append(log, 2, { epoch: 4 });
    assert.equal(log.endLsn, 5);
    assert.equal(log.durableLsn, 0);
    assert.equal((await readAll(log)).length, 2);
    await volume.sync();
    assert.equal(log.durableLsn, 5);
    assert.deepEqual(log.shape().runs, [
      { epoch: 1, firstLsn: 1 },
      { epoch: 4, firstLsn: 4 },
    ]);
    await volume.close();
  });

  check('one sync serves all journals', async (open) => {
    const volume = await open();
    const one = volume.create(ONE);
    const two = volume.create(TWO);
    append(one, 1);
    append(two, 7);
    const before = volume.stats.syncs;
    await Promise.all([volume.sync(), volume.sync()]);
    assert.ok(volume.stats.syncs - before <= 2);
    assert.deepEqual([one.durableLsn, two.durableLsn], [1, 7]);
    await volume.close();
  });
}

function testReads(check: Check): void {
  check('an append that does not extend breaks a rule', async (open) => {
    const volume = await open();
    const log = volume.create(ONE);
    append(log, 3);
    const { batch } = batchAfter(log, 1);
    append(log, 1);
    assert.throws(() => log.append(batch), InvariantViolation);
    const other = batchAfter(
      { journal: ONE, endLsn: log.endLsn, endCrc: (log.endCrc + 1) % 2 ** 32 },
      1,
    );
    assert.throws(() => log.append(other.batch), InvariantViolation);
    const older = batchAfter(log, 1, { epoch: 0 });
    assert.throws(() => log.append(older.batch), InvariantViolation);
    await volume.close();
  });

  check('reads give whole batches from the one that holds a position', async (open) => {
    const volume = await open();
    const log = volume.create(ONE);
    for (let count = 1; count <= 20; count += 1) append(log, count);
    await volume.sync();
    const [batch, ...others] = await log.read(lsn(9), 1);
    assert.equal(others.length, 0);
    assert.ok(batch);
    assert.deepEqual([batch.header.firstLsn, lastLsn(batch.header)], [7, 10]);
    assert.equal(batchRecords(batch).length, 4);
    assert.equal(decodeBatch(batch.bytes).header.count, 4);
    assert.deepEqual(await log.read(lsn(211), 1000), []);
    const read = await readAll(log);
    assert.equal(read.length, 20);
    await volume.close();
  });

  check('time finds positions', async (open) => {
    const volume = await open();
    const log = volume.create(ONE);
    for (const time of [100, 200, 300]) append(log, 10, { timestamp: time });
    const at = async (time: number): Promise<number> => log.find(micros(time));
    assert.deepEqual(
      [await at(0), await at(100), await at(104), await at(110), await at(200), await at(999)],
      [1, 1, 5, 11, 11, 31],
    );
    await volume.close();
  });
}

function testChanges(check: Check): void {
  check('a cut drops the end, at a border only', async (open) => {
    const volume = await open();
    const log = volume.create(ONE);
    for (let round = 0; round < 5; round += 1) append(log, 4);
    await volume.sync();
    append(log, 4, { epoch: 2 });
    await refusedWith('INVALID_ARGUMENT', log.cut(lsn(7)));
    await log.cut(lsn(12));
    assert.deepEqual([log.endLsn, log.durableLsn, log.endEpoch], [12, 12, 1]);
    append(log, 5, { epoch: 3 });
    await volume.sync();
    assert.deepEqual((await readAll(log)).at(-1), { firstLsn: 13, lastLsn: 17, epoch: 3 });
    await log.cut(lsn(0));
    assert.deepEqual([log.endLsn, log.endCrc], [0, 0]);
    append(log, 1, { epoch: 3 });
    await volume.sync();
    await volume.close();
  });

  check('a trim cuts a base at the border below, with its tables', async (open) => {
    const volume = await open();
    const log = volume.create(ONE);
    for (let round = 0; round < 6; round += 1) append(log, 5, { key: `k${round}` });
    await volume.sync();
    const base = await log.trim(lsn(13));
    assert.deepEqual([base.lsn, base.trimmedLsn, base.epoch], [10, 13, 1]);
    assert.equal(base.tables.lsn, 10);
    assert.deepEqual([...openTables(base.tables).keys.keys()], ['k0', 'k1']);
    assert.deepEqual(await log.base(), base);
    const refused = await refusedWith('TRIMMED', log.read(lsn(10), 10));
    assert.equal(refused.details.firstLsn, 11);
    assert.equal((await log.read(lsn(11), 1))[0]?.header.firstLsn, 11);
    assert.deepEqual(await log.trim(lsn(12)), base);
    assert.equal((await log.tablesAt(lsn(30))).lsn, 30);
    const last = await log.trim(lsn(30));
    assert.deepEqual([last.lsn, log.endLsn, log.endCrc], [30, 30, last.crc]);
    append(log, 2);
    await volume.sync();
    await volume.close();
  });
}

function testCursors(check: Check): void {
  check('a base holds the cursors that were set up to it', async (open) => {
    const volume = await open();
    const log = volume.create(ONE);
    append(log, 5);
    appendControl(log, { kind: 'cursor', name: 'reader', lsn: lsn(3) });
    appendControl(log, { kind: 'cursor', name: 'other', lsn: lsn(4) });
    appendControl(log, { kind: 'cursor', name: 'other', lsn: null });
    append(log, 5);
    appendControl(log, { kind: 'cursor', name: 'reader', lsn: lsn(9) });
    await volume.sync();
    const held = { lsn: lsn(3), updatedAt: micros(6_000) };
    const { tables } = await log.trim(lsn(10));
    assert.deepEqual([...openTables(tables).cursors], [['reader', held]]);
    await volume.close();
  });
}

function testBases(check: Check): void {
  check('an installed base replaces the log, never by an older one', async (open) => {
    const volume = await open();
    const source = volume.create(ONE);
    for (let round = 0; round < 6; round += 1) append(source, 5);
    const base = { ...(await source.trim(lsn(20))), journal: TWO };
    const log = volume.create(TWO);
    append(log, 3);
    await volume.sync();
    await log.install(base);
    const { lsn: baseLsn, epoch: baseEpoch } = base;
    assert.deepEqual(log.shape(), { baseLsn, baseEpoch, endLsn: 20, runs: [] });
    assert.deepEqual(log.recoveredTables(), base.tables);
    append(log, 2, { epoch: 9 });
    await volume.sync();
    await refusedWith('INVALID_ARGUMENT', log.install({ ...base, lsn: lsn(15) }));
    assert.equal((await readAll(log)).length, 1);
    await volume.close();
  });

  check('a log that is set aside starts empty, under its limits', async (open) => {
    const volume = await open();
    const limits = { ...DEFAULT_SETTINGS.limits, keys: 17 };
    const tables = snapshotTables(tablesFrom(lsn(9), limits));
    const first = {
      journal: ONE,
      lsn: lsn(9),
      epoch: epoch(0),
      crc: 0,
      trimmedLsn: lsn(9),
      tables,
    };
    const log = volume.create(ONE, first);
    append(log, 3);
    assert.equal(log.endLsn, 12);
    await volume.sync();
    await log.setAside();
    assert.deepEqual(log.shape(), { baseLsn: 0, baseEpoch: 0, endLsn: 0, runs: [] });
    assert.equal(openTables(log.recoveredTables()).scalars.limits.keys, 17);
    append(log, 1, { epoch: 1 });
    await volume.sync();
    await volume.close();
  });

  check('a repair takes the very bytes that were there, and no others', async (open) => {
    const volume = await open();
    const log = volume.create(ONE);
    for (let round = 0; round < 4; round += 1) append(log, 2);
    await volume.sync();
    const good = await log.read(lsn(3), 1);
    await log.repair(good);
    const crc = good[0] === undefined ? 0 : decodeBatch(good[0].bytes).previousCrc;
    const { batch } = batchAfter({ journal: ONE, endLsn: lsn(2), endCrc: crc }, 2, { epoch: 7 });
    await refusedWith('INVALID_ARGUMENT', log.repair([batch]));
    assert.equal((await readAll(log)).length, 4);
    await volume.close();
  });
}

function testInstall(check: Check, durable: boolean): void {
  check('a base that is installed while a trim is under way stays', async (open) => {
    const volume = await open();
    const source = volume.create(ONE);
    // So many long keys that the base has a file of its own.
    for (let round = 0; round < 25; round += 1) {
      append(source, 5, { key: `${round}`.padStart(900, 'k') });
    }
    const base = { ...(await source.trim(lsn(120))), journal: TWO };
    const log = volume.create(TWO);
    for (let round = 0; round < 5; round += 1) append(log, 5);
    await volume.sync();
    const trims = [log.trim(lsn(10)), log.trim(lsn(20))];
    await log.install(base);
    await Promise.all([...trims, log.trim(lsn(30))]);
    assert.deepEqual(await log.base(), base);
    const { lsn: baseLsn, epoch: baseEpoch } = base;
    assert.deepEqual(log.shape(), { baseLsn, baseEpoch, endLsn: 120, runs: [] });
    append(log, 2, { epoch: 9 });
    await volume.sync();
    await volume.close();
    if (!durable) return;
    const again = await open();
    const found = again.find(TWO);
    assert.deepEqual(await found?.base(), base);
    assert.deepEqual([found?.shape().baseLsn, found?.endLsn], [120, 122]);
    await again.close();
  });
}

function testRebase(check: Check, durable: boolean): void {
  check('a log begins where a peer does, by the base of that peer alone', async (open) => {
    const { volume, log } = await grown(open);
    const base = await baseOfPeer(log, 95);
    const later = await baseOfPeer(log, 300);
    await refusedWith('INVALID_ARGUMENT', log.rebase({ ...base, crc: base.crc ^ 1 }));
    await refusedWith('INVALID_ARGUMENT', log.rebase({ ...base, journal: TWO }));
    await refusedWith('OUT_OF_RANGE', log.rebase({ ...base, lsn: lsn(310) }));
    assert.equal(log.shape().baseLsn, 0);
    await log.rebase(base);
    assert.deepEqual([await log.base(), log.shape().baseLsn, log.endLsn], [base, 90, 300]);
    await refusedWith('TRIMMED', log.read(lsn(90), 1));
    await refusedWith('OUT_OF_RANGE', log.rebase({ ...base, lsn: lsn(80) }));
    // One of the same batch may hide less of it than has been trimmed since.
    await refusedWith('OUT_OF_RANGE', log.rebase(base));
    assert.equal((await readAll(log)).length, 21);
    assert.equal((await log.trim(lsn(200))).lsn, 200);
    append(log, 10);
    await volume.sync();
    await volume.close();
    if (!durable) return;
    const again = await open();
    const found = again.find(ONE);
    assert.deepEqual([found?.shape().baseLsn, found?.endLsn], [200, 310]);
    await found?.rebase(later);
    assert.deepEqual(found?.shape().baseLsn, 300);
    await again.close();
  });
}

async function grown(open: () => Promise<Volume>): Promise<{ volume: Volume; log: JournalLog }> {
  const volume = await open();
  const log = volume.create(ONE);
  for (let round = 0; round < 30; round += 1) append(log, 10, { key: `k${round % 7}` });
  await volume.sync();
  return { volume, log };
}

function testReopen(check: Check): void {
  check('a closed volume opens as it was', async (open) => {
    const { volume, log } = await grown(open);
    await log.trim(lsn(95));
    await log.cut(lsn(250));
    append(log, 5, { epoch: 3 });
    const [shape, base, tables] = [log.shape(), await log.base(), await log.tablesAt(lsn(255))];
    const crc = log.endCrc;
    await volume.close();
    const again = await open();
    const found = again.find(ONE);
    assert.ok(found);
    assert.deepEqual(found.shape(), shape);
    assert.deepEqual(await found.base(), base);
    assert.deepEqual(found.recoveredTables(), tables);
    assert.deepEqual([found.endCrc, found.durableLsn], [crc, 255]);
    assert.equal((await readAll(found)).at(0)?.firstLsn, 91);
    append(found, 1, { epoch: 3 });
    await again.sync();
    await again.close();
  });

  check('a dropped journal stays away, and may be made anew', async (open) => {
    const { volume, log } = await grown(open);
    await volume.drop(ONE);
    assert.equal(volume.find(ONE), undefined);
    const read = log.read(lsn(log.shape().endLsn), 1);
    await assert.rejects(read, ({ code }: JournalError) => code === 'NOT_FOUND');
    await volume.close();
    const second = await open();
    assert.equal(second.journals().length, 0);
    append(second.create(ONE), 2);
    await second.sync();
    await second.close();
    const third = await open();
    assert.equal(third.find(ONE)?.endLsn, 2);
    await third.close();
  });

  check('a journal without batches is there again', async (open) => {
    const volume = await open();
    volume.create(ONE);
    await volume.sync();
    await volume.close();
    const again = await open();
    assert.equal(again.find(ONE)?.endLsn, 0);
    await again.close();
  });

  check('nothing is appended once it is closed', async (open) => {
    const { volume, log } = await grown(open);
    await volume.close();
    assert.throws(() => append(log, 1), JournalError);
    await assert.rejects(volume.sync(), JournalError);
  });
}
