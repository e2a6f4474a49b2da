// A log that is given up while a trim of it is under way: the next one begins at its beginning.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Disk, DiskFile } from '../io/disk.ts';
import { silent } from '../io/logger.ts';
import { nodeRandom } from '../io/node.ts';
import { journalId, lsn } from '../protocol/types.ts';
import { append } from '../test/log/batches.ts';
import { DIRECTORY, stillClock } from '../test/log/life.ts';
import { passing, wrapping } from '../test/log/passing.ts';
import { StoppingDisk } from '../test/log/stopping-disk.ts';
import type { Volume } from './log.ts';
import { openVolume } from './volume.ts';

const JOURNAL = journalId('1'.repeat(32));

const open = (disk: Disk): Promise<Volume> =>
  openVolume({
    disk,
    directory: DIRECTORY,
    clock: stillClock,
    logger: silent,
    random: nodeRandom('aside'),
    options: { segmentBytes: 65_536, reserveBytes: 0, cacheBytes: 0 },
  });

/** The same disk, whose next read ends only once everything else has been done for a while. */
function lingering(disk: Disk, next: { lingers: boolean }): Disk {
  const wrap = (file: DiskFile): DiskFile => ({
    ...passing(file),
    read: async (position, length) => {
      const lingers = next.lingers;
      next.lingers = false;
      for (let turn = 0; lingers && turn < 500; turn += 1) {
        await new Promise((resolve) => setImmediate(resolve));
      }
      return file.read(position, length);
    },
  });
  return wrapping(disk, wrap);
}

test('a trim still reading when its log is given up takes nothing of the next', async () => {
  await new StoppingDisk().live(Number.POSITIVE_INFINITY, async (disk) => {
    const next = { lingers: false };
    const volume = await open(lingering(disk, next));
    const log = volume.create(JOURNAL);
    for (let round = 0; round < 40; round += 1) append(log, 5, { recordBytes: 300 });
    await volume.sync();
    next.lingers = true;
    const trim = log.trim(lsn(100));
    await log.setAside();
    append(log, 5, { epoch: 2 });
    await volume.sync();
    await trim;
    assert.deepEqual([log.shape().baseLsn, log.endLsn], [0, 5]);
    assert.equal((await log.base()).trimmedLsn, 0);
    await volume.close();
    const again = await open(disk);
    assert.deepEqual(again.damages(), []);
    const [batch] = (await again.find(JOURNAL)?.read(lsn(1), 10)) ?? [];
    assert.deepEqual([batch?.header.firstLsn, batch?.header.epoch], [1, 2]);
    await again.close();
  });
});
