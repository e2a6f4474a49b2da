// A volume on a disk that can be stopped, with two journals of many batches, for tests of the log.

import assert from 'node:assert/strict';
import type { Disk } from '../../io/disk.ts';
import { silent } from '../../io/logger.ts';
import { nodeRandom } from '../../io/node.ts';
import type { JournalLog, Volume } from '../../log/log.ts';
import { openVolume, type VolumeOptions } from '../../log/volume.ts';
import { type Batch, type JournalId, journalId } from '../../protocol/types.ts';
import { append } from './batches.ts';
import { DIRECTORY, stillClock } from './life.ts';
import { StoppingDisk } from './stopping-disk.ts';

export const ONE: JournalId = journalId('1'.repeat(32));
export const TWO: JournalId = journalId('2'.repeat(32));

export const open = (disk: Disk, options: VolumeOptions = {}): Promise<Volume> =>
  openVolume({
    disk,
    directory: DIRECTORY,
    clock: stillClock,
    logger: silent,
    random: nodeRandom('damage'),
    options: { segmentBytes: 65_536, reserveBytes: 0, cacheBytes: 0, placeBytes: 0, ...options },
  });

/** Runs on a disk that never stops. */
export async function onDisk(
  body: (disk: Disk, machine: StoppingDisk) => Promise<void>,
): Promise<void> {
  const machine = new StoppingDisk();
  await machine.live(Number.POSITIVE_INFINITY, (disk) => body(disk, machine));
}

/** Two journals in turn, 40 batches each, a sync every fourth; the batches of the first. */
export async function fill(volume: Volume): Promise<Batch[]> {
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

export function found(volume: Volume, journal: JournalId): JournalLog {
  const log = volume.find(journal);
  assert.ok(log);
  return log;
}
