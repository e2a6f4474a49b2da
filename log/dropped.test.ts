// A journal that is dropped: who still reads it meets no damage, and a full disk only delays it.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Disk, DiskFile } from '../io/disk.ts';
import { DiskError } from '../io/disk.ts';
import { silent } from '../io/logger.ts';
import { nodeRandom } from '../io/node.ts';
import type { JournalError } from '../protocol/errors.ts';
import { type JournalId, journalId } from '../protocol/types.ts';
import { append } from '../test/log/batches.ts';
import { DIRECTORY, stillClock } from '../test/log/life.ts';
import { passing, wrapping } from '../test/log/passing.ts';
import { StoppingDisk } from '../test/log/stopping-disk.ts';
import type { Volume } from './log.ts';
import { openVolume } from './volume.ts';

const ONE: JournalId = journalId('1'.repeat(32));
const TWO: JournalId = journalId('2'.repeat(32));

const open = (disk: Disk): Promise<Volume> =>
  openVolume({
    disk,
    directory: DIRECTORY,
    clock: stillClock,
    logger: silent,
    random: nodeRandom('dropped'),
    options: { segmentBytes: 65_536, reserveBytes: 0, cacheBytes: 0 },
  });

/** Two journals in turn, over more than one segment. */
async function filled(disk: Disk): Promise<Volume> {
  const volume = await open(disk);
  const one = volume.create(ONE);
  const two = volume.create(TWO);
  for (let round = 0; round < 40; round += 1) {
    append(one, 5, { recordBytes: 300 });
    append(two, 5, { recordBytes: 300 });
    await volume.sync();
  }
  assert.ok(volume.stats.segments > 1);
  return volume;
}

async function onDisk(body: (disk: Disk) => Promise<void>): Promise<void> {
  await new StoppingDisk().live(Number.POSITIVE_INFINITY, body);
}

test('dropped while the scrub reads it', async () => {
  await onDisk(async (disk) => {
    const volume = await filled(disk);
    const stop = new AbortController();
    const seen: unknown[] = [];
    const scrub = volume.scrub(1_000_000_000, stop.signal, (damage) => seen.push(damage));
    await volume.drop(ONE);
    // Time for it to come to the other journal, and to its next round.
    for (let turn = 0; turn < 500; turn += 1) {
      await new Promise((resolve) => setImmediate(resolve));
    }
    stop.abort();
    await scrub;
    assert.deepEqual(seen, []);
    await volume.close();
  });
});

/** The same disk, whose segments take nothing while `full.now`. */
function filling(disk: Disk, full: { now: boolean }): Disk {
  const wrap = (file: DiskFile): DiskFile => ({
    ...passing(file),
    write: async (position, chunks) => {
      if (full.now && file.path.endsWith('.segment')) throw new DiskError('ENOSPC', file.path);
      return file.write(position, chunks);
    },
  });
  return wrapping(disk, wrap);
}

test('dropped on a full disk, and again once there is room', async () => {
  await onDisk(async (disk) => {
    const full = { now: false };
    const volume = await filled(filling(disk, full));
    full.now = true;
    await assert.rejects(volume.drop(ONE), ({ code }: JournalError) => code === 'DISK_FULL');
    full.now = false;
    await volume.drop(ONE);
    await volume.sync();
    const again = await open(disk);
    assert.deepEqual(
      again.journals().map(({ journal }) => journal),
      [TWO],
    );
    await again.close();
  });
});
