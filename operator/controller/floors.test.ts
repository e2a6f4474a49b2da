// What a controller was told of disks outlives its process: half a second after it was told, or
// once it says so.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { silent } from '../../io/logger.ts';
import { nodeClock, nodeDisk } from '../../io/node.ts';
import { type Metadata, openMetadata } from '../../log/metadata.ts';
import { epoch, journalId, lsn, storeId } from '../../protocol/types.ts';
import { Floors, mergeFloors } from './floors.ts';

const JOURNAL = journalId('a'.repeat(32));
const STORE = storeId('b'.repeat(32));
const floorAt = (end: number) => ({ epoch: epoch(3), lsn: lsn(end), entryEpoch: epoch(2) });

const ENTRY = { journal: JOURNAL, store: STORE, floor: floorAt(7) };
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

/** Saves end when they are told to. */
class Held implements Metadata {
  readonly saves: { readonly done: () => void; readonly fail: (error: Error) => void }[] = [];
  readonly failed = null;
  get = () => undefined;
  keys = () => [];
  isTaken = () => Promise.resolve(false);
  close = () => Promise.resolve();
  save = () =>
    new Promise<void>((resolve, reject) => {
      this.saves.push({ done: resolve, fail: reject });
    });
}

/** What a promise has come to by now. */
async function stateOf(promise: Promise<void>): Promise<string> {
  const settled = promise.then(
    () => 'kept',
    () => 'refused',
  );
  await new Promise(setImmediate);
  return await Promise.race([settled, 'open']);
}

test('a floor is kept once the save that holds it is done, whoever asked for that', async () => {
  const metadata = new Held();
  const floors = floorsOf(metadata);
  const first = floors.keep([ENTRY]);
  const again = floors.keep([ENTRY]);
  assert.deepEqual([await stateOf(first), await stateOf(again)], ['open', 'open']);
  metadata.saves[0]?.done();
  assert.deepEqual([await stateOf(first), await stateOf(again)], ['kept', 'kept']);
  assert.equal(metadata.saves.length, 1);
  assert.equal(await stateOf(floors.keep([ENTRY])), 'kept', 'it is there already');
});

test('a floor whose save failed is not kept, however often it is asked for', async () => {
  const metadata = new Held();
  const failures: string[] = [];
  const floors = new Floors(metadata, nodeClock, ({ message }) => failures.push(message));
  const asked = Promise.allSettled([floors.keep([ENTRY]), floors.keep([ENTRY])]);
  await new Promise(setImmediate);
  metadata.saves[0]?.fail(new Error('EIO'));
  for (const { status } of await asked) assert.equal(status, 'rejected');
  assert.equal(await stateOf(floors.keep([ENTRY])), 'refused');
  await floors.close();
  assert.deepEqual(failures, ['EIO'], 'it is told once');
});

test('of what several controllers know of a disk the highest counts, in whichever order', () => {
  const lists = [[ENTRY], [{ ...ENTRY, floor: LAST }], [{ ...ENTRY, floor: floorAt(9) }]];
  for (const told of [lists, lists.toReversed()]) {
    assert.deepEqual([...mergeFloors(told)], [[STORE, LAST]]);
  }
});
