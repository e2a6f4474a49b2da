// Bad bytes are found, named and mended, and nothing after them is dropped.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nodeRandom } from '../io/node.ts';
import { epochAt, filled } from '../protocol/chain/shape.ts';
import { JournalError } from '../protocol/errors.ts';
import { type Batch, lastLsn, lsn } from '../protocol/types.ts';
import { append, baseOfPeer, readAll } from '../test/log/batches.ts';
import { fill, found, ONE, onDisk, open, TWO } from '../test/log/filled.ts';
import { DIRECTORY } from '../test/log/life.ts';
import type { StoppingDisk } from '../test/log/stopping-disk.ts';
import type { JournalLog } from './log.ts';

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

test('bad bytes that a base of a peer covers stand in the way of nothing any more', async () => {
  await onDisk(async (disk, machine) => {
    const first = await open(disk);
    const batches = await fill(first);
    const base = await baseOfPeer(found(first, ONE), 120);
    for (const victim of [batches[20], batches[23]]) {
      assert.ok(victim);
      await flip(machine, victim, 'body');
    }
    let volume = await open(disk);
    const log = found(volume, ONE);
    const ranges = () => log.damages().map((one) => [one.firstLsn, one.lastLsn]);
    const bad = [101, 105, 116, 120];
    assert.deepEqual(ranges().flat(), bad);
    await assert.rejects(log.trim(lsn(120)), JournalError);
    await log.rebase(base);
    assert.deepEqual([ranges(), log.shape().baseLsn], [[], 120]);
    assert.equal(log.recoveredTables().lsn, 200);
    assert.equal((await log.trim(lsn(150))).lsn, 150);
    await volume.close();
    volume = await open(disk);
    assert.deepEqual(found(volume, ONE).damages(), []);
    assert.equal((await readAll(found(volume, ONE))).length, 10);
    await volume.close();
  });
});

/** Spoils the places in the index of a closed segment, whose summary stays good. */
function spoilPlaces(machine: StoppingDisk): void {
  for (const [path, file] of machine.image.files()) {
    if (path.endsWith('.index')) assert.ok(file.rot(file.size - 1, 0));
  }
}

test('bad places that come to light one by one are mended one by one', async () => {
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

test('a repair that nothing good vouches for on either side is refused', async () => {
  await onDisk(async (disk, machine) => {
    const first = await open(disk);
    const batches = await fill(first);
    await first.close();
    const victims = batches.slice(6, 9);
    for (const victim of victims) await flip(machine, victim, 'header');
    spoilPlaces(machine);
    const volume = await open(disk);
    const log = found(volume, ONE);
    const before = log.damages();
    await assert.rejects(log.repair(victims.slice(1, 2)), /nothing good is beside it/);
    assert.deepEqual(log.damages(), before);
    await log.repair(victims);
    assert.deepEqual(log.damages(), []);
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
