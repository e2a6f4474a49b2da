// Of two processes on one volume, the later one has all that the earlier one ever answered.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Disk } from '../io/disk.ts';
import { silent } from '../io/logger.ts';
import { nodeRandom } from '../io/node.ts';
import { journalId } from '../protocol/types.ts';
import { append } from '../test/log/batches.ts';
import { DIRECTORY, stillClock } from '../test/log/life.ts';
import { StoppingDisk } from '../test/log/stopping-disk.ts';
import { openMetadata } from './metadata.ts';
import { openVolume } from './volume.ts';

const ONE = journalId('1'.repeat(32));

/** As a replica opens its directory. */
async function open(disk: Disk) {
  const metadata = await openMetadata({ disk, directory: `${DIRECTORY}/metadata`, logger: silent });
  const volume = await openVolume({
    disk,
    directory: `${DIRECTORY}/volume`,
    clock: stillClock,
    logger: silent,
    random: nodeRandom('taken'),
    options: { segmentBytes: 65_536, reserveBytes: 0 },
    isTaken: () => metadata.isTaken(),
  });
  return { metadata, volume, log: volume.find(ONE) ?? volume.create(ONE) };
}

test('whatever was synced while another process opens is there, or was not answered', async () => {
  for (let pause = 0; pause < 60; pause += 3) {
    const machine = new StoppingDisk();
    await machine.live(Number.POSITIVE_INFINITY, async (disk) => {
      const first = await open(disk);
      let answered = 0;
      const working = (async () => {
        for (;;) {
          append(first.log, 1);
          await first.volume.sync();
          answered = first.log.durableLsn;
        }
      })().catch(() => undefined);
      for (let turn = 0; turn < pause; turn += 1) await Promise.resolve();
      const second = await open(disk);
      await working;
      assert.ok(second.log.endLsn >= answered, `${pause} turns: ${second.log.endLsn}, ${answered}`);
      assert.match(String(first.volume.failed), /another process/);
      assert.equal(first.metadata.failed?.code, 'UNAVAILABLE');
      append(second.log, 1);
      await second.volume.sync();
    });
  }
});
