// Directories of every format that was ever released open, and say what they said.

import assert from 'node:assert/strict';
import { cp, glob, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { silent } from '../io/logger.ts';
import { nodeDisk } from '../io/node.ts';
import { openDirectory } from '../log/directory.ts';
import { verifyVolume } from '../log/inspect.ts';
import { METADATA_DIRECTORY, VOLUME_DIRECTORY } from '../log/layout.ts';
import { openMetadata } from '../log/metadata.ts';
import { openVolume } from '../log/volume.ts';
import { openTables } from '../protocol/chain/tables.ts';
import { EVENTS, IDENTITY, makeGolden, ORDERS } from './golden/make.ts';
import { readAll } from './log/batches.ts';
import { stillClock } from './log/life.ts';

const GOLDEN = join(import.meta.dirname, 'golden/format-1');

async function inDirectory(body: (directory: string) => Promise<void>): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'journal-golden-'));
  try {
    await body(join(directory, 'data'));
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

async function filesOf(directory: string): Promise<string[]> {
  const names: string[] = [];
  for await (const entry of glob('**/*', { cwd: directory, withFileTypes: true })) {
    if (entry.isFile()) names.push(join(entry.parentPath, entry.name).slice(directory.length + 1));
  }
  return names.sort();
}

test('the golden directory of format 1 opens and says what it said', async () => {
  await inDirectory(async (directory) => {
    await cp(GOLDEN, directory, { recursive: true });
    const parts = { disk: nodeDisk, clock: stillClock, directory };
    const verified = await verifyVolume(parts);
    assert.deepEqual([verified.whole, verified.identity], [true, IDENTITY]);
    const home = await openDirectory({ disk: nodeDisk, directory, kind: 'member' });
    assert.deepEqual(home.identity, IDENTITY);
    const metadata = await openMetadata({
      disk: nodeDisk,
      directory: `${directory}/${METADATA_DIRECTORY}`,
      logger: silent,
    });
    assert.deepEqual(metadata.keys(''), ['incarnation', 'journal/orders']);
    await metadata.close();
    const volume = await openVolume({
      disk: nodeDisk,
      directory: `${directory}/${VOLUME_DIRECTORY}`,
      clock: stillClock,
      logger: silent,
    });
    const orders = volume.find(ORDERS);
    assert.ok(orders);
    assert.deepEqual(orders.shape(), {
      baseLsn: 9,
      baseEpoch: 1,
      endLsn: 27,
      runs: [
        { epoch: 1, firstLsn: 10 },
        { epoch: 2, firstLsn: 22 },
        { epoch: 3, firstLsn: 26 },
      ],
    });
    assert.equal((await readAll(orders)).length, 7);
    const tables = openTables(orders.recoveredTables());
    assert.deepEqual(
      [tables.keys.size, tables.cursors.get('reader')?.lsn, tables.scalars.trimmedLsn],
      [3, 5, 10],
    );
    assert.equal(volume.find(EVENTS)?.endLsn, 1);
    assert.deepEqual(volume.damages(), []);
    await volume.close();
    await home.release();
  });
});

test('what is written today is still format 1, byte by byte', async () => {
  await inDirectory(async (directory) => {
    await makeGolden(directory);
    assert.deepEqual(await filesOf(directory), await filesOf(GOLDEN));
    for (const name of await filesOf(GOLDEN)) {
      const [now, golden] = await Promise.all([
        readFile(join(directory, name)),
        readFile(join(GOLDEN, name)),
      ]);
      assert.ok(now.equals(golden), `${name} differs: a change of format needs a new number`);
    }
  });
});
