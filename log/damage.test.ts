// Bad bytes are found, named and mended, nothing after them is dropped; failures are final.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Disk, DiskFile } from '../io/disk.ts';
import { DiskError } from '../io/disk.ts';
import { silent } from '../io/logger.ts';
import { nodeRandom } from '../io/node.ts';
import { epochAt, filled } from '../protocol/chain/shape.ts';
import { JournalError } from '../protocol/errors.ts';
import { type Batch, type JournalId, journalId, lastLsn, lsn } from '../protocol/types.ts';
import { append, readAll } from '../test/log/batches.ts';
import { DIRECTORY, stillClock } from '../test/log/life.ts';
import { StoppingDisk } from '../test/log/stopping-disk.ts';
import type { JournalLog, Volume } from './log.ts';
import { openVolume, type VolumeOptions } from './volume.ts';

const ONE: JournalId = journalId('1'.repeat(32));
const TWO: JournalId = journalId('2'.repeat(32));

const open = (disk: Disk, options: VolumeOptions = {}): Promise<Volume> =>
  openVolume({
    disk,
    directory: DIRECTORY,
    clock: stillClock,
    logger: silent,
    random: nodeRandom('damage'),
    options: { segmentBytes: 65_536, reserveBytes: 0, cacheBytes: 0, placeBytes: 0, ...options },
  });

/** Runs on a disk that never stops. */
async function onDisk(body: (disk: Disk, machine: StoppingDisk) => Promise<void>): Promise<void> {
  const machine = new StoppingDisk();
  await machine.live(Number.POSITIVE_INFINITY, (disk) => body(disk, machine));
}

/** Two journals in turn, 40 batches each, a sync every fourth; the batches of the first. */
async function fill(volume: Volume): Promise<Batch[]> {
  const one = volume.create(ONE);
  const two = volume.create(TWO);
  const batches: Batch[] = [];
  for (let round = 1; round <= 40; round += 1) {
    batches.push(append(one, 5, { recordBytes: 300 }));
    append(two, 2);
    if (round % 4 === 0) await volume.sync();
  }
  return batches;
}

function found(volume: Volume, journal: JournalId): JournalLog {
  const log = volume.find(journal);
  assert.ok(log);
  return log;
}

async function damagedRead(log: JournalLog, at: number): Promise<void> {
  await assert.rejects(
    log.read(lsn(at), 1),
    (error) => error instanceof JournalError && error.code === 'DAMAGED',
  );
}

/** Flips a bit of the batch at `at`: in its body, or in its header. */
async function flip(
  machine: StoppingDisk,
  batch: Batch,
  part: 'body' | 'header' | 'envelope',
): Promise<void> {
  for (const [path, file] of machine.image.files()) {
    if (!path.endsWith('.segment')) continue;
    const bytes = Buffer.from(file.read(0, file.size));
    const place = bytes.indexOf(Buffer.from(batch.bytes));
    if (place < 0) continue;
    const offset = part === 'body' ? place + 90 : part === 'header' ? place + 30 : place - 40;
    assert.ok(file.rot(offset, 3), `nothing to flip at ${offset}`);
    return;
  }
  assert.fail('the batch is in no segment');
}

/** Which batch is hit: one of the last segment, where recovery must read every envelope. */
const VICTIM = 34;

for (const part of ['body', 'header', 'envelope'] as const) {
  for (const closed of [true, false]) {
    // The index of a closed segment finds a batch whose envelope is bad: it is as good as ever.
    if (closed && part === 'envelope') continue;
    test(`a bit flipped in the ${part} of a batch, ${closed ? 'closed' : 'killed'}`, async () => {
      await onDisk(async (disk, machine) => {
        let volume = await open(disk);
        const batches = await fill(volume);
        const end = found(volume, ONE).endLsn;
        if (closed) await volume.close();
        const victim = batches[VICTIM];
        assert.ok(victim);
        await flip(machine, victim, part);
        volume = await open(disk);
        const log = found(volume, ONE);
        assert.equal(log.endLsn, end, 'nothing after it is dropped');
        const { firstLsn } = victim.header;
        await damagedRead(log, firstLsn + 2);
        const [damage] = log.damages();
        assert.deepEqual(
          [damage?.journal, damage?.firstLsn, damage?.lastLsn],
          [ONE, firstLsn, lastLsn(victim.header)],
        );
        assert.equal((await log.read(lsn(firstLsn + 5), 1))[0]?.header.firstLsn, firstLsn + 5);
        assert.equal((await readAll(found(volume, TWO))).length, 40);
        await log.repair([victim]);
        assert.deepEqual(volume.damages(), []);
        assert.equal((await readAll(log)).length, 40);
        assert.equal(log.recoveredTables().lsn, end);
        append(log, 1);
        await volume.close();
        volume = await open(disk);
        assert.deepEqual(volume.damages(), []);
        assert.equal((await readAll(found(volume, ONE))).length, 41);
        await volume.close();
      });
    });
  }
}

test('the epoch of what was bad is known where it is mended, or lies within one', async () => {
  for (const at of [0, 3, 4, 5, 7]) {
    await onDisk(async (disk, machine) => {
      const first = await open(disk);
      const written = first.create(ONE);
      const batches: Batch[] = [];
      for (let round = 0; round < 12; round += 1) {
        batches.push(append(written, 5, { recordBytes: 300, epoch: 1 + Math.floor(round / 4) }));
        await first.sync();
      }
      const shape = written.shape();
      assert.equal(shape.runs.length, 3);
      const victim = batches[at];
      assert.ok(victim);
      await flip(machine, victim, 'header');
      const volume = await open(disk);
      const log = found(volume, ONE);
      assert.equal(log.damages().length, 1);
      const guess = epochAt(log.shape(), victim.header.firstLsn);
      assert.equal(guess, at === 5 ? 2 : undefined, 'nothing is guessed');
      for (const other of batches.filter((batch) => batch !== victim)) {
        assert.equal(epochAt(log.shape(), lastLsn(other.header)), other.header.epoch);
      }
      const before = log.shape();
      await log.repair([victim]);
      assert.deepEqual([log.shape(), filled(before, log.shape())], [shape, shape]);
      append(log, 5, { recordBytes: 300, epoch: 4 });
      await volume.sync();
      assert.equal(log.shape().runs.length, 4);
      await volume.close();
    });
  }
});

test('a damaged log gives no tables until it is repaired', async () => {
  await onDisk(async (disk, machine) => {
    const [victim] = (await fill(await open(disk))).slice(20);
    assert.ok(victim);
    await flip(machine, victim, 'body');
    const volume = await open(disk);
    const log = found(volume, ONE);
    assert.throws(() => log.recoveredTables(), JournalError);
    await assert.rejects(log.trim(log.endLsn), JournalError);
    let repaired = false;
    const repair = log.repair([victim]).then(() => {
      repaired = true;
    });
    // Whoever opens the journal while it is repaired finds its damage or its tables.
    let asked = 0;
    for (; !repaired; asked += 1) {
      try {
        log.recoveredTables();
      } catch (error) {
        assert.ok(error instanceof JournalError, String(error));
      }
      if (asked % 50 === 49) await new Promise(setImmediate);
      else await Promise.resolve();
    }
    await repair;
    assert.ok(asked > 1);
    assert.equal((await log.trim(log.endLsn)).lsn, 200);
    await volume.close();
  });
});

/** Spoils the places in the index of a closed segment, whose summary stays good. */
function spoilPlaces(machine: StoppingDisk): void {
  for (const [path, file] of machine.image.files()) {
    if (path.endsWith('.index')) assert.ok(file.rot(file.size - 1, 0));
  }
}

test('bad places that one after the other come to light are mended one after the other', async () => {
  await onDisk(async (disk, machine) => {
    const first = await open(disk);
    const batches = await fill(first);
    const { endLsn } = found(first, ONE);
    await first.close();
    // The index counts them, and without its places only a scan finds that their headers are bad.
    const victims = [batches[6], batches[7], batches[21]].map((victim) => {
      assert.ok(victim);
      return victim;
    });
    for (const victim of victims) await flip(machine, victim, 'header');
    spoilPlaces(machine);
    for (const name of await disk.list(`${DIRECTORY}/tables`)) {
      await disk.remove(`${DIRECTORY}/tables/${name}`);
    }
    const volume = await open(disk);
    const log = found(volume, ONE);
    const ranges = (): unknown =>
      log.damages().map((damage) => [damage.firstLsn, damage.lastLsn, damage.what]);
    const what = 'no segment holds the position';
    assert.deepEqual(ranges(), [[31, 40, what]]);
    await log.repair(victims.slice(0, 2));
    assert.deepEqual(ranges(), [[106, 110, what]]);
    assert.throws(() => log.recoveredTables(), JournalError);
    await log.repair(victims.slice(2));
    assert.deepEqual([ranges(), log.recoveredTables().lsn], [[], endLsn]);
    assert.equal((await readAll(log)).length, 40);
    await volume.close();
  });
});

test('a bit flipped in a header of a segment is mended by its copy', async () => {
  for (const at of [0, 9, 17, 33]) {
    await onDisk(async (disk, machine) => {
      await fill(await open(disk));
      for (const [path, file] of machine.image.files()) {
        if (path.endsWith('.segment')) file.rot(at, 1);
      }
      const volume = await open(disk);
      assert.deepEqual(volume.damages(), []);
      assert.equal((await readAll(found(volume, ONE))).length, 40);
      await volume.close();
    });
  }
});

test('any single flipped bit in a closed volume loses nothing in silence', async () => {
  await onDisk(async (disk, machine) => {
    const first = await open(disk);
    await fill(first);
    await found(first, ONE).trim(lsn(22));
    await first.close();
    const image = machine.image.copy();
    for (let round = 0; round < 60; round += 1) {
      machine.image.restore(image);
      const random = nodeRandom(`flip ${round}`);
      const files = machine.image.files().filter(([, file]) => file.size > 0);
      const [path, file] = files[random.below(files.length)] ?? [];
      file?.rot(random.below(file.size), random.below(8));
      const volume = await open(disk);
      const where = `round ${round}, ${path}`;
      for (const journal of [ONE, TWO]) {
        const log = found(volume, journal);
        assert.equal(log.endLsn, journal === ONE ? 200 : 80, where);
        await readOrNamed(log);
      }
      await volume.close();
    }
  });
});

/** Every batch is read, or is named as damaged. */
async function readOrNamed(log: JournalLog): Promise<void> {
  for (let next: number = log.shape().baseLsn + 1; next <= log.endLsn; ) {
    try {
      for (const { header } of await log.read(lsn(next), 1)) next = lastLsn(header) + 1;
    } catch (error) {
      assert.ok(error instanceof JournalError && error.code === 'DAMAGED', String(error));
      const named = log.damages().find(({ firstLsn }) => firstLsn !== null && firstLsn <= next);
      assert.ok(named);
      next += 1;
    }
  }
}

test('the scrub finds what no read has met', async () => {
  await onDisk(async (disk, machine) => {
    const volume = await open(disk);
    const batches = await fill(volume);
    const victim = batches[7];
    assert.ok(victim);
    await flip(machine, victim, 'body');
    const stop = new AbortController();
    const seen: unknown[] = [];
    await volume.scrub(1_000_000_000, stop.signal, (damage) => {
      seen.push([damage.journal, damage.firstLsn, damage.lastLsn]);
      stop.abort();
    });
    assert.deepEqual(seen, [[ONE, 36, 40]]);
    assert.equal(volume.damages().length, 1);
    await volume.close();
  });
});

// ── Failures ──────────────────────────────────────────────────────────────────────────────────

interface Faults {
  write: string | null;
  sync: string | null;
  /** A header of a segment is not read; where it is null, one byte of it at a time. */
  header?: string | null;
}

/** The same disk, whose segments fail by these codes. */
function faulty(disk: Disk, faults: Faults): Disk {
  const wrap = (file: DiskFile): DiskFile => {
    if (!file.path.endsWith('.segment')) return file;
    const fail = (code: string | null): void => {
      if (code !== null) throw new DiskError(code, file.path);
    };
    return {
      path: file.path,
      read: async (position, length) => {
        if (position > 0 || faults.header === undefined) return file.read(position, length);
        fail(faults.header);
        return file.read(position, 1);
      },
      write: async (position, chunks) => {
        // A part of it reaches the disk.
        if (faults.write !== null) await file.write(position, chunks.slice(0, -1));
        fail(faults.write);
        return file.write(position, chunks);
      },
      size: () => file.size(),
      truncate: (size) => file.truncate(size),
      sync: async () => {
        fail(faults.sync);
        return file.sync();
      },
      close: () => file.close(),
    };
  };
  return {
    ...disk,
    create: async (path) => wrap(await disk.create(path)),
    open: async (path) => wrap(await disk.open(path)),
  };
}

test('a failed sync ends all writing at once, reads go on', async () => {
  await onDisk(async (disk) => {
    const faults: Faults = { write: null, sync: null };
    const volume = await open(faulty(disk, faults));
    await fill(volume);
    const log = found(volume, ONE);
    append(log, 3);
    faults.sync = 'EIO';
    await assert.rejects(volume.sync(), JournalError);
    faults.sync = null;
    assert.ok(volume.failed);
    await assert.rejects(volume.sync(), JournalError);
    assert.throws(() => append(log, 1), JournalError);
    await assert.rejects(log.cut(lsn(0)), JournalError);
    assert.equal(log.durableLsn, 200);
    assert.equal((await log.read(lsn(100), 1)).length, 1);
    await volume.close();
  });
});

test('what a failed sync left is not trusted by the next process', async () => {
  await onDisk(async (disk, machine) => {
    const faults: Faults = { write: null, sync: null };
    const volume = await open(faulty(disk, faults));
    await fill(volume);
    append(found(volume, ONE), 3);
    faults.sync = 'EIO';
    await assert.rejects(volume.sync(), JournalError);
    // It is read back from memory that the system holds for clean, and is copied and synced anew.
    const again = await open(disk);
    assert.equal(found(again, ONE).endLsn, 203);
    machine.crash('after', 'none');
    const last = await open(disk);
    assert.equal(found(last, ONE).endLsn, 203);
    await last.close();
  });
});

test('a segment whose header is not read now is no segment that was being made', async () => {
  await onDisk(async (disk, machine) => {
    const written = await open(disk);
    append(written.create(ONE), 3);
    append(written.create(TWO), 2);
    await written.sync();
    machine.crash('after', 'none');
    const faults: Faults = { write: null, sync: null, header: 'EIO' };
    await assert.rejects(open(faulty(disk, faults)), DiskError);
    faults.header = null;
    const volume = await open(faulty(disk, faults));
    assert.deepEqual([found(volume, ONE).endLsn, found(volume, TWO).endLsn], [3, 2]);
    await volume.close();
  });
});

test('a full disk refuses and loses nothing, and goes on when there is room', async () => {
  await onDisk(async (disk) => {
    const faults: Faults = { write: null, sync: null };
    const volume = await open(faulty(disk, faults));
    await fill(volume);
    const log = found(volume, ONE);
    append(log, 3);
    append(log, 4);
    faults.write = 'ENOSPC';
    const full = (error: unknown): boolean =>
      error instanceof JournalError && error.code === 'DISK_FULL';
    await assert.rejects(volume.sync(), full);
    await assert.rejects(volume.sync(), full);
    assert.equal(volume.failed, null);
    assert.equal(log.durableLsn, 200);
    await log.cut(lsn(203));
    faults.write = null;
    await volume.sync();
    assert.equal(log.durableLsn, 203);
    const again = await open(disk);
    assert.equal(found(again, ONE).endLsn, 203);
    await again.close();
  });
});

test('the reserve is kept from records of users', async () => {
  const machine = new StoppingDisk(1_000_000);
  await machine.live(Number.POSITIVE_INFINITY, async (disk) => {
    const volume = await open(disk, { reserveBytes: 300_000 });
    assert.equal(volume.admit(100_000), null);
    assert.equal(volume.admit(800_000)?.code, 'DISK_FULL');
    await volume.close();
  });
});

test('a segment that is mostly dead is copied free', async () => {
  await onDisk(async (disk) => {
    const volume = await open(disk, { copyBytesPerSecond: 1e9 });
    const one = volume.create(ONE);
    const two = volume.create(TWO);
    append(two, 1);
    for (let round = 0; round < 400; round += 1) {
      append(one, 5, { recordBytes: 300 });
      if (round % 10 === 0) await volume.sync();
    }
    await volume.sync();
    assert.ok(volume.stats.segments >= 8);
    await one.trim(lsn(1990));
    append(one, 1);
    await volume.sync();
    for (let wait = 0; wait < 200 && volume.stats.segments > 3; wait += 1) {
      await new Promise((resolve) => setImmediate(resolve));
    }
    assert.ok(volume.stats.segments <= 3, `${volume.stats.segments} segments are left`);
    assert.equal((await readAll(two)).length, 1);
    await volume.close();
    const again = await open(disk);
    assert.equal((await readAll(found(again, TWO))).length, 1);
    await again.close();
  });
});
