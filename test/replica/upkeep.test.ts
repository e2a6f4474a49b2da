// What a replica does for its journals by itself: drops what was deleted, trims what is old.

import assert from 'node:assert/strict';
import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { nodeClock, nodeDisk } from '../../io/node.ts';
import { inspectVolume } from '../../log/inspect.ts';
import { epoch } from '../../protocol/types.ts';
import { journalMethods } from '../../transport/methods.ts';
import { CALL, House, position } from './house.ts';
import { eventually, until } from './shepherd.ts';

const sleep = (millis: number): Promise<void> =>
  new Promise((resolve) => setTimeout(resolve, millis));

describe('upkeep', () => {
  let house: House;

  before(async () => {
    house = await House.open();
  });
  after(() => house.close());

  test('a journal that waits to be mended is dropped when it was deleted', async () => {
    let one = await house.start('damaged');
    const { directory } = one;
    const made = house.shepherd.create('damaged', [one.sheep]);
    await until('it serves', () => one.sheep.reports.get(made.journal)?.live === true);
    const mark = 'this very text stands in one place of the disk only';
    await house.append(one, 'damaged', [mark]);
    await house.append(one, 'damaged', ['x'.repeat(10_000)]);
    await house.stop(one);
    await flip(join(directory, 'volume', 'segments'), mark);
    // Without the tables that a clean end leaves, a start reads the log.
    await rm(join(directory, 'volume', 'tables'), { recursive: true });
    one = await house.start('damaged');
    assert.equal(one.sheep.reports.has(made.journal), false);
    const held = async (): Promise<number> => {
      const parts = { disk: nodeDisk, clock: nodeClock, directory };
      return (await inspectVolume(parts)).journals.length;
    };
    assert.equal(await held(), 1);
    house.shepherd.decide({ ...made, epoch: epoch(made.epoch + 1), deleted: true });
    // A segment may go while it is read: then it is not dropped yet.
    await eventually('it is dropped', async () => (await held().catch(() => 1)) === 0);
    await house.stop(one);
    one = await house.start('damaged');
    assert.equal(await held(), 0);
  });

  test('a log whose damage all peers have trimmed is put aside, and copied anew', async () => {
    const b = await house.start('whole');
    let a = await house.start('spoiled');
    const { journal } = house.shepherd.create('spoiled', [b.sheep, a.sheep]);
    const report = () => a.sheep.reports.get(journal);
    await until('both serve', () => report()?.synced === true);
    const mark = 'what nobody else will have for long';
    for (const text of [mark, 'x'.repeat(10_000)]) await house.append(b, 'spoiled', [text]);
    await house.stop(a);
    house.shepherd.change('spoiled', [b.sheep]);
    const alone = () => b.sheep.reports.get(journal);
    await until('it goes on alone', () => alone()?.epoch === 2 && alone()?.live === true);
    for (const text of ['three', 'four']) await house.append(b, 'spoiled', [text]);
    const trim = { journal: 'spoiled', through: position(3), force: false };
    await house.network.call(b.replica.address, journalMethods.trim, trim, CALL);
    await until('it is cut', () => alone()?.baseLsn === 3);
    await flip(join(a.directory, 'volume', 'segments'), mark);
    await rm(join(a.directory, 'volume', 'tables'), { recursive: true });
    a = await house.start('spoiled');
    const configuration = house.shepherd.named('spoiled');
    const [source] = configuration.serving;
    assert.ok(source !== undefined);
    a.sheep.directives = [{ kind: 'learn', configuration, source }];
    await until('it has learnt again', () => report()?.baseLsn === 3 && report()?.endLsn === 5);
    a.sheep.directives = [];
  });

  test('old records go, and an idle journal then writes nothing', async () => {
    const one = await house.start('short');
    const { journal } = house.shepherd.create('short', [one.sheep], { retainMillis: 1_000 });
    await until('it serves', () => one.sheep.reports.get(journal)?.live === true);
    await house.append(one, 'short', ['a', 'b', 'c']);
    const end = (): number => one.sheep.reports.get(journal)?.endLsn ?? 0;
    // Three records and the entry of the trim.
    await until('they are trimmed', () => end() === 4);
    await sleep(4_000);
    assert.equal(end(), 4);
  });
});

/** Turns one bit of the only place where `text` stands. */
async function flip(directory: string, text: string): Promise<void> {
  for (const name of await readdir(directory)) {
    const path = join(directory, name);
    const bytes = await readFile(path);
    const at = bytes.indexOf(text);
    if (at < 0) continue;
    bytes[at] = (bytes[at] ?? 0) ^ 1;
    await writeFile(path, bytes);
    return;
  }
  throw new Error('the text is nowhere');
}
