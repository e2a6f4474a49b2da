// What a controller was told of disks outlives its process, half a second after it was told.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { silent } from '../../io/logger.ts';
import { nodeClock, nodeDisk } from '../../io/node.ts';
import { type Metadata, openMetadata } from '../../log/metadata.ts';
import { epoch, journalId, lsn, storeId } from '../../protocol/types.ts';
import { Floors } from './floors.ts';

const JOURNAL = journalId('a'.repeat(32));
const STORE = storeId('b'.repeat(32));
const floorAt = (end: number) => ({ epoch: epoch(3), lsn: lsn(end), entryEpoch: epoch(2) });

const LAST = { ...floorAt(6), epoch: epoch(4) };

const floorsOf = (metadata: Metadata): Floors =>
  new Floors(metadata, nodeClock, (error) => assert.fail(error));

async function until(isSo: () => boolean): Promise<void> {
  for (const begun = Date.now(); !isSo(); ) {
    assert.ok(Date.now() - begun < 20_000, 'it takes too long');
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

test('a floor outlives its process and goes with its journal', async (context) => {
  const directory = mkdtempSync(join(tmpdir(), 'journal-floors-'));
  context.after(() => rmSync(directory, { recursive: true, force: true }));
  const open = () => openMetadata({ disk: nodeDisk, directory, logger: silent });

  const first = await open();
  const told = floorsOf(first);
  told.note(JOURNAL, STORE, floorAt(7));
  told.note(JOURNAL, STORE, floorAt(9));
  told.note(JOURNAL, STORE, floorAt(8));
  // After a cut: of a later epoch, and lower.
  told.note(JOURNAL, STORE, LAST);
  told.note(JOURNAL, STORE, floorAt(10));
  // Nothing is closed in order: what the disk has is what there is.
  await until(() => first.keys('floor/').length === 1);
  await first.close();

  const second = await open();
  const found = floorsOf(second);
  assert.deepEqual(found.of(null), [{ journal: JOURNAL, store: STORE, floor: LAST }]);
  found.forget(JOURNAL);
  await until(() => second.keys('floor/').length === 0);
  await second.close();

  const third = await open();
  assert.deepEqual(floorsOf(third).of(JOURNAL), []);
  await third.close();
});
