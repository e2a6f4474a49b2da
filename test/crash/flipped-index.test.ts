// An index file with any one bit changed costs a scan, never a record and never the process.

import assert from 'node:assert/strict';
import { cp, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Disk } from '../../io/disk.ts';
import { silent } from '../../io/logger.ts';
import { nodeDisk, nodeRandom } from '../../io/node.ts';
import { batchCrc } from '../../log/batch.ts';
import { INDEX_HEAD_BYTES } from '../../log/segments/index-file.ts';
import { openVolume } from '../../log/volume.ts';
import { EVENTS, ORDERS } from '../golden/make.ts';
import { readAll } from '../log/batches.ts';
import { realFolder } from '../log/killed-disk.ts';
import { DIRECTORY, stillClock } from '../log/life.ts';
import { StoppingDisk } from '../log/stopping-disk.ts';

const GOLDEN = join(import.meta.dirname, '../golden/format-1/volume');
/** Where the head says how long the summary and the places are. */
const LENGTHS = [12, 13, 14, 15, 20, 21, 22, 23];
const BITS = [0, 1, 2, 3, 4, 5, 6, 7];

const indexNames = async (): Promise<string[]> =>
  (await readdir(join(GOLDEN, 'segments'))).filter((name) => name.endsWith('.index'));

/** Opens, reads every batch of both journals, closes; what was there as one text. */
async function contents(disk: Disk, directory: string): Promise<string> {
  const volume = await openVolume({
    disk,
    directory,
    clock: stillClock,
    logger: silent,
    random: nodeRandom('flipped'),
    options: { segmentBytes: 65_536, reserveBytes: 0, cacheBytes: 0, placeBytes: 0 },
  });
  assert.deepEqual(volume.damages(), []);
  const said: unknown[] = [];
  for (const journal of [ORDERS, EVENTS]) {
    const log = volume.find(journal);
    assert.ok(log, `${journal} is there`);
    const batches = await readAll(log);
    const [last] = await log.read(log.endLsn, 1);
    said.push(log.shape(), batches, last === undefined ? 0 : batchCrc(last), log.recoveredTables());
  }
  await volume.close();
  return JSON.stringify(said);
}

test('any flipped bit of an index file of the golden volume loses nothing', async () => {
  const machine = new StoppingDisk();
  await machine.live(Number.POSITIVE_INFINITY, async (disk) => {
    for (const folder of ['segments', 'tables', 'aside']) {
      await disk.makeDirectory(`${DIRECTORY}/${folder}`);
      for (const name of await readdir(join(GOLDEN, folder))) {
        const file = await disk.create(`${DIRECTORY}/${folder}/${name}`);
        await file.write(0, [await readFile(join(GOLDEN, folder, name))]);
        await file.sync();
      }
    }
    const whole = machine.image.copy();
    const said = await contents(disk, DIRECTORY);
    let flips = 0;
    const names = await indexNames();
    for (const name of names) {
      const path = `${DIRECTORY}/segments/${name}`;
      const size = (await readFile(join(GOLDEN, 'segments', name))).length;
      // One from end to end, of the others the heads: what follows them is under checksums.
      const end = name === names.at(-1) ? size : INDEX_HEAD_BYTES;
      for (let at = 0; at < end; at += 1) {
        for (const bit of BITS) {
          machine.image.restore(whole);
          assert.ok(machine.image.open(path).rot(at, bit));
          assert.equal(await contents(disk, DIRECTORY), said, `${name}, byte ${at}, bit ${bit}`);
          flips += 1;
        }
      }
    }
    assert.ok(flips > INDEX_HEAD_BYTES * 8 * names.length, `${flips} bits were flipped`);
  });
});

test('on a real disk no length in an index file is believed', async () => {
  await using folder = await realFolder();
  const fresh = join(folder.path, 'fresh');
  const said = await copied(fresh, (directory) => contents(nodeDisk, directory));
  const [name = ''] = await indexNames();
  for (const at of LENGTHS) {
    for (const bit of BITS) {
      const directory = join(folder.path, `${at}-${bit}`);
      const found = await copied(directory, async () => {
        const path = join(directory, 'segments', name);
        const bytes = await readFile(path);
        bytes[at] = (bytes[at] ?? 0) ^ (1 << bit);
        await writeFile(path, bytes);
        return contents(nodeDisk, directory);
      });
      assert.equal(found, said, `${name}, byte ${at}, bit ${bit}`);
    }
  }
});

/** Does something with a copy of the golden volume. */
async function copied(
  directory: string,
  body: (directory: string) => Promise<string>,
): Promise<string> {
  await cp(GOLDEN, directory, { recursive: true });
  return body(directory);
}
