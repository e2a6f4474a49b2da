// What a full disk keeps of a write that it refuses takes the place of nothing: not after a cut,
// not after other frames were written there, not after a crash.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Disk, DiskFile } from '../io/disk.ts';
import { JournalError } from '../protocol/errors.ts';
import { type JournalId, lsn } from '../protocol/types.ts';
import { append, readAll } from '../test/log/batches.ts';
import { found, ONE, onDisk, open, TWO } from '../test/log/filled.ts';
import { passing } from '../test/log/passing.ts';
import type { StoppingDisk } from '../test/log/stopping-disk.ts';
import { Claim } from './claim.ts';
import type { Volume } from './log.ts';
import { ENVELOPE_BYTES } from './segments/envelope.ts';

const ROOMY = 64 * 1024 * 1024;
/** Of a frame that is not whole any more, and whose envelope is. */
const PART = ENVELOPE_BYTES + 10;

const isFull = (error: unknown): boolean =>
  error instanceof JournalError && error.code === 'DISK_FULL';

/** Syncs on a disk that has room for so many bytes, and then for all again. */
async function refused(volume: Volume, machine: StoppingDisk, bytes: number): Promise<void> {
  machine.image.capacityBytes = machine.image.usedBytes() + bytes;
  await assert.rejects(volume.sync(), isFull);
  machine.image.capacityBytes = ROOMY;
}

/** Bytes of the frames that were appended. */
const frames = (...batches: readonly { readonly bytes: Uint8Array }[]): number =>
  batches.reduce((sum, { bytes }) => sum + ENVELOPE_BYTES + bytes.length, 0);

async function began(disk: Disk): Promise<Volume> {
  const volume = await open(disk);
  append(volume.create(TWO), 1);
  append(volume.create(ONE), 1);
  await volume.sync();
  return volume;
}

const held = async (volume: Volume, journal: JournalId): Promise<number[]> =>
  (await readAll(found(volume, journal))).map(({ epoch }) => epoch);

for (const mode of ['none', 'all'] as const) {
  test(`a batch that was given up does not come back, with ${mode} of what was not synced`, () =>
    onDisk(async (disk, machine) => {
      const volume = await began(disk);
      const [two, one] = [found(volume, TWO), found(volume, ONE)];
      const written = frames(append(two, 1), append(one, 1));
      append(one, 1);
      await refused(volume, machine, written + PART);
      await one.cut(lsn(1));
      machine.crash('given up', mode);
      const again = await open(disk);
      assert.deepEqual(await held(again, ONE), [1]);
      await again.close();
    }));
}

test('a cut of what was never written works on a disk without any room', async () => {
  await onDisk(async (disk, machine) => {
    const volume = await began(disk);
    const one = found(volume, ONE);
    append(one, 1);
    machine.image.capacityBytes = machine.image.usedBytes() + PART;
    await assert.rejects(volume.sync(), isFull);
    await one.cut(lsn(1));
    assert.equal(volume.failed, null);
    machine.image.capacityBytes = ROOMY;
    append(one, 2, { epoch: 2 });
    await volume.sync();
    machine.crash('no room', 'none');
    const again = await open(disk);
    assert.deepEqual(await held(again, ONE), [1, 2]);
    await again.close();
  });
});

test('what was acknowledged is not covered by an older batch of its position', async () => {
  await onDisk(async (disk, machine) => {
    const volume = await began(disk);
    const [two, one] = [found(volume, TWO), found(volume, ONE)];
    const written = frames(append(two, 1), append(one, 1));
    append(one, 1);
    await refused(volume, machine, written + PART);
    await two.cut(lsn(1));
    await one.cut(lsn(1));
    // As long as what lay there of the other journal: behind it a frame of its own length begins.
    append(one, 1, { epoch: 2 });
    await volume.sync();
    assert.equal(one.durableLsn, 2);
    machine.crash('covered', 'none');
    const again = await open(disk);
    assert.deepEqual(await held(again, ONE), [1, 2]);
    assert.deepEqual([await held(again, TWO), again.damages()], [[1], []]);
    await again.close();
  });
});

/** The same disk; `files.open` counts what was opened and not closed. */
function counted(disk: Disk, files: { open: number }): Disk {
  const count = (file: DiskFile): DiskFile => {
    files.open += 1;
    return {
      ...passing(file),
      close: () => {
        files.open -= 1;
        return file.close();
      },
    };
  };
  return {
    ...disk,
    create: async (path) => count(await disk.create(path)),
    open: async (path) => count(await disk.open(path)),
  };
}

test('a segment that a full disk has no room for leaves no file open, however often', async () => {
  await onDisk(async (disk, machine) => {
    const files = { open: 0 };
    const volume = await open(counted(disk, files));
    const one = volume.create(ONE);
    append(one, 1);
    const before = files.open;
    machine.image.capacityBytes = machine.image.usedBytes();
    for (let attempt = 0; attempt < 3; attempt += 1) await assert.rejects(volume.sync(), isFull);
    assert.equal(files.open, before);
    machine.image.capacityBytes = ROOMY;
    await volume.sync();
    assert.equal(one.durableLsn, 1);
    await volume.close();
    assert.equal(files.open, 0);
  });
});

test('a claim that a full disk left empty is not taken for that of another process', async () => {
  await onDisk(async (disk, machine) => {
    await disk.makeDirectory('/claimed');
    const claim = await Claim.take(disk, '/claimed');
    machine.image.capacityBytes = machine.image.usedBytes();
    await assert.rejects(claim.next(), { code: 'ENOSPC' });
    machine.image.capacityBytes = ROOMY;
    assert.equal((await claim.next())?.number, claim.number + 1);
    assert.equal(await claim.isLost(), false);
  });
});
