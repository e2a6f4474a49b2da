// What a failing disk costs: a failed sync is final, a full disk is not, and no error loses a file.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Disk, DiskFile } from '../io/disk.ts';
import { DiskError } from '../io/disk.ts';
import { JournalError } from '../protocol/errors.ts';
import { lsn } from '../protocol/types.ts';
import { append, readAll } from '../test/log/batches.ts';
import { fill, found, ONE, onDisk, open, TWO } from '../test/log/filled.ts';
import { passing } from '../test/log/passing.ts';
import { StoppingDisk } from '../test/log/stopping-disk.ts';
import type { Volume } from './log.ts';

interface Faults {
  write: string | null;
  sync: string | null;
  /** A header of a segment is not read; where it is null, one byte of it at a time. */
  header?: string | null;
  /** No segment can be opened. */
  open?: string | null;
  /** How often one was. */
  opened?: number;
}

/** The same disk, whose segments fail by these codes. */
function faulty(disk: Disk, faults: Faults): Disk {
  const wrap = (file: DiskFile): DiskFile => {
    if (!file.path.endsWith('.segment')) return file;
    const fail = (code: string | null): void => {
      if (code !== null) throw new DiskError(code, file.path);
    };
    return {
      ...passing(file),
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
      sync: async () => {
        fail(faults.sync);
        return file.sync();
      },
    };
  };
  return {
    ...disk,
    create: async (path) => wrap(await disk.create(path)),
    open: async (path) => {
      const code = path.endsWith('.segment') ? (faults.open ?? null) : null;
      if (code !== null) throw new DiskError(code, path);
      if (path.endsWith('.segment')) faults.opened = (faults.opened ?? 0) + 1;
      return wrap(await disk.open(path));
    },
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

/** A journal of several segments, of which most have not been opened yet. */
async function reopened(disk: Disk, faults: Faults): Promise<Volume> {
  const written = await open(disk);
  const log = written.create(ONE);
  for (let round = 0; round < 80; round += 1) {
    append(log, 5, { recordBytes: 1_000 });
    if (round % 4 === 0) await written.sync();
  }
  await written.close();
  return open(faulty(disk, faults));
}

test('a process that was out of file handles for a moment reads and trims again', async () => {
  await onDisk(async (disk) => {
    const faults: Faults = { write: null, sync: null, open: null };
    const volume = await reopened(disk, faults);
    const log = found(volume, ONE);
    faults.open = 'EMFILE';
    await assert.rejects(log.read(lsn(200), 1), { code: 'EMFILE' });
    faults.open = null;
    assert.equal((await readAll(log)).length, 80);
    await log.trim(lsn(350));
    await volume.close();
  });
});

test('the scrub looks again at what it could not open', async () => {
  await onDisk(async (disk) => {
    const faults: Faults = { write: null, sync: null, open: null, opened: 0 };
    const volume = await reopened(disk, faults);
    faults.open = 'EMFILE';
    const before = faults.opened;
    const stop = new AbortController();
    const scrub = volume.scrub(1_000_000_000, stop.signal, () => assert.fail());
    // Each wait of this clock ends at once: rounds go by.
    for (let turn = 0; turn < 50; turn += 1) await new Promise((then) => setImmediate(then));
    assert.equal(faults.opened, before);
    faults.open = null;
    for (let turn = 0; turn < 50; turn += 1) await new Promise((then) => setImmediate(then));
    assert.notEqual(faults.opened, before);
    stop.abort();
    await scrub;
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
