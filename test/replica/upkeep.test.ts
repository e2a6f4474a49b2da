// What a replica does for its journals by itself: drops what was deleted, trims what is old.

import assert from 'node:assert/strict';
import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { nodeClock, nodeDisk } from '../../io/node.ts';
import { inspectVolume } from '../../log/inspect.ts';
import { epoch, micros } from '../../protocol/types.ts';
import { journalMethods } from '../../transport/methods.ts';
import { CALL, House, type Housed, position, texts } from './house.ts';
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
    const { role, damaged } = one.sheep.reports.get(made.journal) ?? {};
    assert.deepEqual([role, damaged], ['none', true], 'it is there, and not open');
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

  // Its own trim met the bad bytes, and failed again and again: the disk filled up.
  test('a member whose bad bytes all peers have trimmed begins where they do', async () => {
    const b = await house.start('good');
    let a = await house.start('bad');
    const { journal } = house.shepherd.create('trims', [b.sheep, a.sheep]);
    const report = () => a.sheep.reports.get(journal);
    const alone = () => b.sheep.reports.get(journal);
    await until('both serve', () => report()?.synced === true && alone()?.live === true);
    const mark = 'what will be bad in one place';
    for (const text of [mark, 'two', 'three', 'four']) await house.append(b, 'trims', [text]);
    await house.stop(a);
    house.shepherd.change('trims', [b.sheep]);
    await until('it goes on alone', () => alone()?.epoch === 2 && alone()?.live === true);
    const trim = { journal: 'trims', through: position(2), force: false };
    await house.network.call(b.replica.address, journalMethods.trim, trim, CALL);
    await until('it is cut', () => alone()?.baseLsn === 2);
    await flip(join(a.directory, 'volume', 'segments'), mark);
    a = await house.start('bad');
    house.shepherd.change('trims', [b.sheep], a.sheep);
    await until('its log begins there too', () => report()?.baseLsn === 2);
    await until('it serves again', () => report()?.synced === true);
    assert.equal(report()?.damaged, false);
    assert.deepEqual(texts(await house.read(a, 'trims', 3, true)), ['three', 'four']);
  });

  test('old records go, an idle journal then writes nothing, a clock makes none old', async () => {
    const hour = 3_600_000;
    let set = 0;
    const clock = { ...nodeClock, wall: () => micros(nodeClock.wall() + set * 1_000) };
    const one = await house.start('short', {}, nodeDisk, { clock });
    const of = (name: string, retainMillis: number): (() => number) => {
      const { journal } = house.shepherd.create(name, [one.sheep], { retainMillis });
      return () => {
        const report = one.sheep.reports.get(journal);
        return report?.live === true ? report.endLsn : -1;
      };
    };
    const [short, long] = [of('short', 1_000), of('long', hour)];
    await until('they serve', () => short() === 0 && long() === 0);
    for (const name of ['short', 'long']) await house.append(one, name, ['a', 'b', 'c']);
    // Three records and the entry of the trim.
    await until('they are trimmed', () => short() === 4);
    await sleep(4_000);
    assert.equal(short(), 4);
    set = 10 * hour;
    await house.append(one, 'long', ['d']);
    await sleep(2_000);
    await house.append(one, 'short', ['d']);
    await until('what is old goes, whatever the clock says', () => short() === 6);
    assert.equal(long(), 4, 'an hour has not passed');
    assert.deepEqual(texts(await house.read(one, 'long', 1)), ['a', 'b', 'c', 'd']);
  });

  test('a head whose clock was wrong at its start trims nothing for a while', async () => {
    const hour = 3_600_000;
    const clock = { ...nodeClock, wall: () => micros(nodeClock.wall() + 10 * hour * 1_000) };
    const right = await house.start('right');
    const wrong = await house.start('wrong', {}, nodeDisk, { clock });
    const { journal } = house.shepherd.create('two', [right.sheep, wrong.sheep], {
      retainMillis: hour,
    });
    const serves = ({ sheep }: Housed, at: number) =>
      until('it serves', () => {
        const report = sheep.reports.get(journal);
        return report?.epoch === at && report.live && report.synced;
      });
    await serves(right, 1);
    await house.append(right, 'two', ['a', 'b']);
    house.shepherd.change('two', [wrong.sheep, right.sheep]);
    await serves(wrong, 2);
    await eventually('it leads', async () => (await house.append(wrong, 'two', ['c'])).epoch === 2);
    await sleep(3_000);
    house.shepherd.change('two', [right.sheep, wrong.sheep]);
    await serves(right, 3);
    assert.deepEqual(texts(await house.read(right, 'two', 1, true)), ['a', 'b', 'c']);
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
