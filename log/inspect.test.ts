// A volume is looked at from outside: every flipped bit of its frames is seen, nothing is changed.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { silent } from '../io/logger.ts';
import { nodeRandom } from '../io/node.ts';
import { type Batch, journalId } from '../protocol/types.ts';
import { append } from '../test/log/batches.ts';
import { DIRECTORY, stillClock } from '../test/log/life.ts';
import { StoppingDisk } from '../test/log/stopping-disk.ts';
import { verifyVolume } from './inspect.ts';
import { HEADER_BYTES } from './segments/segment.ts';
import { openVolume } from './volume.ts';

const JOURNALS = ['1', '2'].map((digit) => journalId(digit.repeat(32)));
/** Every so many bytes of the frames a bit is flipped. */
const STRIDE = 37;

test('verify sees any flipped bit of a frame, and changes nothing', async () => {
  const machine = new StoppingDisk();
  await machine.live(Number.POSITIVE_INFINITY, async (disk) => {
    const volume = await openVolume({
      disk,
      directory: DIRECTORY,
      clock: stillClock,
      logger: silent,
      random: nodeRandom('inspect'),
      options: { segmentBytes: 65_536, reserveBytes: 0, cacheBytes: 0, placeBytes: 0 },
    });
    const logs = JOURNALS.map((journal) => volume.create(journal));
    const written: Batch[] = [];
    for (let round = 0; round < 8; round += 1) {
      for (const log of logs) written.push(append(log, 3, { recordBytes: 60 }));
      await volume.sync();
    }
    await volume.close();

    const parts = { disk, clock: stillClock, directory: DIRECTORY };
    const calls = machine.calls;
    const { whole, batches, journals, segments } = await verifyVolume(parts);
    assert.deepEqual([whole, batches, journals.length], [true, 16, 2]);
    const [segment] = segments;
    assert.ok(segment !== undefined && segment.bytes > 4_000);
    const file = [...machine.image.files()].find(([path]) => path === segment.file)?.[1];
    assert.ok(file);
    let flipped = 0;
    const named = new Set<number | null>();
    for (let at = 0; at < segment.bytes; at += STRIDE, flipped += 1) {
      assert.ok(file.rot(HEADER_BYTES + at, at % 8));
      const found = await verifyVolume(parts);
      assert.ok(!found.whole && found.damages.length > 0, `a flip at ${at} was not seen`);
      for (const { firstLsn } of found.damages) named.add(firstLsn);
      file.rot(HEADER_BYTES + at, at % 8);
    }
    assert.ok(flipped > 100, `${flipped}`);
    assert.ok(
      [1, 4, 7, 10, 13, 16, 19, 22].every((first) => named.has(first)),
      `${[...named]}`,
    );
    assert.ok((await verifyVolume(parts)).whole);
    for (const { bytes, header } of written) {
      const body = Buffer.from(file.read(0, file.size)).indexOf(Buffer.from(bytes)) + 90;
      assert.ok(file.rot(body, 3));
      const { damages } = await verifyVolume(parts);
      assert.deepEqual(
        damages.map(({ journal, firstLsn }) => [journal, firstLsn]),
        [[header.journal, header.firstLsn]],
      );
      file.rot(body, 3);
    }
    assert.equal(machine.calls, calls, 'no call that changes the disk');
  });
});
