// A sync that failed is never asked for again: pages may be marked clean that are not on the disk.

import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { type Disk, DiskError, type DiskFile } from '../io/disk.ts';
import { silent } from '../io/logger.ts';
import { nodeClock, nodeDisk } from '../io/node.ts';
import { journalId } from '../protocol/types.ts';
import { batchAfter } from '../test/log/batches.ts';
import { passing } from '../test/log/passing.ts';
import { openMetadata } from './metadata.ts';
import { openVolume } from './volume.ts';

const JOURNAL = journalId('5'.repeat(32));

/** The real disk, of which one sync fails and the ones after it say that all is well. */
class OnceFailing {
  failing = false;
  syncsAfter = 0;
  #failed = false;

  readonly disk: Disk = {
    ...nodeDisk,
    open: async (path) => this.#wrapped(await nodeDisk.open(path)),
    create: async (path) => this.#wrapped(await nodeDisk.create(path)),
  };

  #wrapped(file: DiskFile): DiskFile {
    return {
      ...passing(file),
      sync: async () => {
        if (this.#failed) this.syncsAfter += 1;
        if (!this.failing) return file.sync();
        this.failing = false;
        this.#failed = true;
        throw new DiskError('EIO', file.path);
      },
    };
  }
}

async function inFolder(body: (directory: string, once: OnceFailing) => Promise<void>) {
  const directory = await mkdtemp(join(tmpdir(), 'journal-sync-'));
  try {
    await body(directory, new OnceFailing());
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

test('a volume whose sync failed once is given up', async () => {
  await inFolder(async (directory, once) => {
    const parts = { disk: once.disk, directory, clock: nodeClock, logger: silent };
    const volume = await openVolume(parts);
    const log = volume.create(JOURNAL);
    log.append(batchAfter(log, 1).batch);
    await volume.sync();
    once.failing = true;
    log.append(batchAfter(log, 1).batch);
    await assert.rejects(volume.sync(), { code: 'DAMAGED' });
    assert.equal(log.durableLsn, 1);
    assert.notEqual(volume.failed, null);
    assert.throws(() => log.append(batchAfter(log, 1).batch), { code: 'DAMAGED' });
    await assert.rejects(volume.sync(), { code: 'DAMAGED' });
    assert.equal(once.syncsAfter, 0, 'nothing is synced after that');
    await volume.close();
  });
});

test('metadata whose sync failed once are given up', async () => {
  await inFolder(async (directory, once) => {
    const metadata = await openMetadata({ disk: once.disk, directory, logger: silent });
    await metadata.save(new Map([['a', Buffer.from('1')]]));
    once.failing = true;
    await assert.rejects(metadata.save(new Map([['a', Buffer.from('2')]])));
    assert.equal(Buffer.from(metadata.get('a') ?? []).toString(), '1');
    await assert.rejects(metadata.save(new Map([['b', Buffer.from('3')]])));
    assert.equal(once.syncsAfter, 0, 'nothing is synced after that');
    await metadata.close();
  });
});
