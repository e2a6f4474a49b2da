// A journal whose state is lost: an older state is not taken for it, and its log begins anew.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Disk } from '../io/disk.ts';
import { silent } from '../io/logger.ts';
import { nodeRandom } from '../io/node.ts';
import { type JournalId, lsn } from '../protocol/types.ts';
import { append, readAll } from '../test/log/batches.ts';
import { fill, found, ONE, TWO } from '../test/log/filled.ts';
import { DIRECTORY, stillClock } from '../test/log/life.ts';
import { StoppingDisk } from '../test/log/stopping-disk.ts';
import type { Volume } from './log.ts';
import { openVolume } from './volume.ts';

const open = (disk: Disk): Promise<Volume> =>
  openVolume({
    disk,
    directory: DIRECTORY,
    clock: stillClock,
    logger: silent,
    random: nodeRandom('lost state'),
    options: { segmentBytes: 65_536, reserveBytes: 0 },
  });

/** Flips a bit of copies of the newest state of a journal, of every one if nothing is said. */
function loseState(
  machine: StoppingDisk,
  journal: JournalId,
  copies: 'all' | 'first' | 'last' = 'all',
): void {
  const segments = machine.image
    .files()
    .filter(([path]) => path.endsWith('.segment'))
    .reverse();
  for (const [, file] of segments) {
    const bytes = Buffer.from(file.read(0, file.size));
    const text = Buffer.from(`{"journal":"${journal}","serial"`);
    const last = bytes.lastIndexOf(text);
    if (last < 0) continue;
    const before = bytes.lastIndexOf(text, last - 1);
    assert.ok(before >= 0, 'a state is written twice');
    if (copies !== 'last') assert.ok(file.rot(before + 3, 1));
    if (copies !== 'first') assert.ok(file.rot(last + 3, 1));
    return;
  }
  assert.fail('no state of the journal lies in a segment');
}

for (const cut of [false, true]) {
  const about = cut ? 'which had a cut' : 'the only one';
  test(`a log whose newest state is lost, ${about}, begins anew without its old end`, async () => {
    const machine = new StoppingDisk();
    await machine.live(Number.POSITIVE_INFINITY, async (disk) => {
      let volume = await open(disk);
      const batches = await fill(volume);
      if (cut) await found(volume, ONE).cut(lsn(150));
      await volume.close();
      loseState(machine, ONE);
      volume = await open(disk);
      assert.equal(volume.find(ONE), undefined, 'an older state is not taken for it');
      assert.deepEqual(
        volume.damages().map(({ journal }) => journal),
        [ONE],
      );
      assert.equal((await readAll(found(volume, TWO))).length, 40);
      const log = volume.create(ONE);
      assert.deepEqual(volume.damages(), []);
      for (const batch of batches.slice(0, 3)) log.append(batch);
      await volume.sync();
      await volume.close();
      volume = await open(disk);
      assert.equal(found(volume, ONE).endLsn, 15, 'what the lost state told of does not come back');
      assert.equal((await readAll(found(volume, ONE))).length, 3);
      await volume.close();
    });
  });
}

for (const spoiled of ['first', 'last'] as const) {
  test(`a state whose ${spoiled} copy alone is bad is read from the other`, async () => {
    const machine = new StoppingDisk();
    await machine.live(Number.POSITIVE_INFINITY, async (disk) => {
      let volume = await open(disk);
      await fill(volume);
      await found(volume, ONE).cut(lsn(150));
      await volume.close();
      loseState(machine, ONE, spoiled);
      volume = await open(disk);
      assert.equal(found(volume, ONE).endLsn, 150);
      assert.equal((await readAll(found(volume, ONE))).length, 30);
      await volume.close();
    });
  });
}

test('a dropped journal stays gone when the segment that says so goes', async () => {
  const machine = new StoppingDisk();
  await machine.live(Number.POSITIVE_INFINITY, async (disk) => {
    const volume = await open(disk);
    const one = volume.create(ONE);
    volume.create(TWO);
    for (let at = 1; at <= 3; at += 1) append(one, 1);
    await volume.sync();
    // The first segment says that there is a second journal, without a batch of it, and it stays:
    // each cut goes on in a new one.
    await one.cut(lsn(2));
    await volume.drop(TWO);
    for (let round = 0; round < 4; round += 1) {
      append(one, 1);
      await volume.sync();
      // Nothing that the segments between hold counts any more: they go.
      await one.cut(lsn(2));
    }
    await volume.close();
    const again = await open(disk);
    assert.equal(again.find(TWO), undefined);
    assert.equal(found(again, ONE).endLsn, 2);
    await again.close();
  });
});
