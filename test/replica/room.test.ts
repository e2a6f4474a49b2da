// A member without room: the head refuses appends, the reserve is for trims, and all goes on by
// itself once there is room. And a journal that nobody can serve, which says so.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { type Disk, DiskError, type DiskFile } from '../../io/disk.ts';
import { nodeDisk } from '../../io/node.ts';
import { JournalError } from '../../protocol/errors.ts';
import { lsn, writerId } from '../../protocol/types.ts';
import { journalMethods } from '../../transport/methods.ts';
import { passing } from '../log/passing.ts';
import { CALL, House, type Housed, texts } from './house.ts';
import { eventually, until } from './shepherd.ts';

/** The real disk, with as much room as it is told. */
class Tight {
  /** What it says is free; null: as it is. */
  freeBytes: number | null = null;
  /** Nothing can be written, whatever it says. */
  full = false;

  disk(): Disk {
    return {
      ...nodeDisk,
      space: async (path) => {
        const space = await nodeDisk.space(path);
        return { ...space, freeBytes: this.freeBytes ?? space.freeBytes };
      },
      create: async (path) => this.#file(await nodeDisk.create(path)),
      open: async (path) => this.#file(await nodeDisk.open(path)),
    };
  }

  #file(file: DiskFile): DiskFile {
    return {
      ...passing(file),
      write: async (at, chunks) => {
        if (this.full) throw new DiskError('ENOSPC', file.path);
        await file.write(at, chunks);
      },
    };
  }
}

const code = (given: string) => (error: unknown) =>
  error instanceof JournalError && error.code === given;

describe('a member without room', () => {
  let house: House;

  before(async () => {
    house = await House.open();
  });
  after(() => house.close());

  /** A journal of two, one of which has the disk. */
  async function two(name: string, tight: Tight, at: 'head' | 'tail') {
    const disks = at === 'head' ? [tight.disk(), nodeDisk] : [nodeDisk, tight.disk()];
    const head = await house.start(`${name}-a`, {}, disks[0]);
    const tail = await house.start(`${name}-b`, {}, disks[1]);
    const { journal } = house.shepherd.create(name, [head.sheep, tail.sheep]);
    await until(`${name} is synced`, () =>
      [head, tail].every(({ sheep }) => sheep.reports.get(journal)?.synced === true),
    );
    return { head, tail };
  }

  const goesOn = (one: Housed, name: string, text: string): Promise<void> =>
    eventually(`${name} goes on by itself`, async () => {
      const answer = await house.append(one, name, [text]).catch((error: unknown) => error);
      return !(answer instanceof JournalError);
    });

  for (const at of ['head', 'tail'] as const) {
    test(`${at}: appends are refused, trims and reads go on`, async () => {
      const tight = new Tight();
      const name = `tight-${at}`;
      const { head, tail } = await two(name, tight, at);
      const key = { writer: writerId('a'.repeat(32)), sequence: 1, after: 0, chosen: false };
      const keyed = { idempotence: key };
      const first = await house.append(head, name, ['a', 'b', 'c'], keyed);
      // Less than the reserve of 1 MiB: what is written now is for trims.
      tight.freeBytes = 500_000;
      let refusal: unknown;
      await eventually('appends are refused', async () => {
        refusal = await house.append(head, name, ['d']).catch((error: unknown) => error);
        return code('DISK_FULL')(refusal);
      });
      assert.match(String(refusal), at === 'tail' ? /member tight-tail-b: .*reserve/ : /reserve/);
      // A retry of what is there takes no room.
      const again = await house.append(head, name, ['a', 'b', 'c'], keyed);
      assert.equal(again.lastLsn, first.lastLsn);
      const { firstLsn } = await house.network.call(
        head.replica.address,
        journalMethods.trim,
        { journal: name, through: lsn(2), force: false },
        CALL,
      );
      assert.equal(firstLsn, 3);
      assert.equal(texts(await house.read(tail, name, 3, true))[0], 'c');
      tight.freeBytes = null;
      await goesOn(head, name, 'e');
    });

    test(`${at}: a disk that takes nothing at all leaves nobody waiting`, async () => {
      const tight = new Tight();
      const name = `full-${at}`;
      const { head, tail } = await two(name, tight, at);
      await house.append(head, name, ['before']);
      tight.full = true;
      await assert.rejects(
        house.append(head, name, ['during']),
        (error: unknown) =>
          error instanceof JournalError &&
          error.code === 'DISK_FULL' &&
          error.outcome === 'unknown',
      );
      await assert.rejects(
        house.append(head, name, ['refused']),
        (error: unknown) =>
          error instanceof JournalError && error.code === 'DISK_FULL' && error.outcome === 'none',
      );
      assert.deepEqual(texts(await house.read(tail, name, 1)), ['before']);
      tight.full = false;
      await goesOn(head, name, 'after');
      assert.deepEqual(texts(await house.read(tail, name, 1, true)), ['before', 'during', 'after']);
    });
  }

  test('a journal without a survivor says so, to whoever asks', async () => {
    const [one, gone] = [await house.start('witness'), await house.start('gone')];
    const { journal } = house.shepherd.create('orphaned', [gone.sheep]);
    await house.stop(gone);
    house.shepherd.lost = [{ journal, note: 'NO_SURVIVOR: a does not answer' }];
    await assert.rejects(house.append(one, 'orphaned', ['x']), code('NO_SURVIVOR'));
    await assert.rejects(house.read(one, 'orphaned', 1), code('NO_SURVIVOR'));
    house.shepherd.lost = [];
    await eventually('it is looked up anew', async () => {
      const error = await house.append(one, 'orphaned', ['x']).catch((e: unknown) => e);
      return code('NOT_HEAD')(error);
    });
  });
});
