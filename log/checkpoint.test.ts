// Which checkpoints of the tables are believed.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { after, lsn } from '../protocol/types.ts';
import { append } from '../test/log/batches.ts';
import { found, ONE, onDisk, open } from '../test/log/filled.ts';
import type { JournalLog } from './log.ts';
import { memoryVolume } from './memory.ts';

/** The tables of a log as they are folded from its first batch on. */
async function folded(log: JournalLog, at: number): Promise<unknown> {
  const reference = memoryVolume().create(log.journal);
  while (reference.endLsn < at) {
    for (const batch of await log.read(after(reference.endLsn, 1), 1)) reference.append(batch);
  }
  return reference.tablesAt(lsn(at));
}

// Its tables know writers and keys of what was given up, and not those of what took its place.
test('a checkpoint of what was cut is not believed, though a batch ends there again', async () => {
  await onDisk(async (disk) => {
    let volume = await open(disk);
    const written = volume.create(ONE);
    for (let round = 0; round < 4; round += 1) append(written, 5, { key: `old-${round}` });
    await volume.close();
    volume = await open(disk);
    const log = found(volume, ONE);
    await log.cut(lsn(10));
    for (let round = 0; round < 3; round += 1) append(log, 5, { key: `new-${round}`, epoch: 2 });
    await volume.sync();
    for (const at of [20, 25]) assert.deepEqual(await log.tablesAt(lsn(at)), await folded(log, at));
    await volume.close();
    volume = await open(disk);
    const again = found(volume, ONE);
    assert.deepEqual(again.recoveredTables(), await folded(again, 25));
    await volume.close();
  });
});
