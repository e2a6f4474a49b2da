// What every Disk must do (io/disk.ts): run on the real one and on its simulated twin alike.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Disk, DiskError, READ_BYTES_MAX } from '../io/disk.ts';

export interface DiskUnderTest {
  readonly name: string;
  /** Gives the body a disk and an empty directory on it, and waits for it. */
  run(body: (disk: Disk, directory: string) => Promise<void>): Promise<void>;
}

const bytes = (...values: number[]): Uint8Array => Uint8Array.from(values);

async function failsWith(code: string, action: Promise<unknown>): Promise<void> {
  await assert.rejects(action, (error) => error instanceof DiskError && error.code === code);
}

export function testDisk(under: DiskUnderTest): void {
  const check = (what: string, body: (disk: Disk, directory: string) => Promise<void>): void => {
    test(`${under.name}: ${what}`, () => under.run(body));
  };

  check('reads back what was written, chunk after chunk', async (disk, directory) => {
    const file = await disk.create(`${directory}/f`);
    await file.write(0, [bytes(1, 2), bytes(), bytes(3)]);
    await file.write(5, [bytes(9)]);
    assert.deepEqual([...(await file.read(0, 100))], [1, 2, 3, 0, 0, 9]);
    assert.deepEqual([...(await file.read(1, 2))], [2, 3]);
    assert.equal((await file.read(6, 10)).length, 0);
    assert.equal(await file.size(), 6);
    await file.sync();
    await file.close();
  });

  check('carries out the calls on a file in the order they were made', async (disk, directory) => {
    const file = await disk.create(`${directory}/f`);
    const calls: Promise<unknown>[] = [];
    for (let round = 0; round < 40; round += 1) {
      calls.push(file.write(0, [bytes(round)]));
      if (round % 7 === 0) calls.push(file.sync());
    }
    const read = file.read(0, 1);
    assert.deepEqual([...(await read)], [39]);
    await Promise.all(calls);
    await file.close();
  });

  check('writes many chunks at once', async (disk, directory) => {
    const file = await disk.create(`${directory}/f`);
    const chunks = Array.from({ length: 3000 }, (_, index) => bytes(index % 251, 7));
    await file.write(3, chunks);
    const read = await file.read(3, 6000);
    assert.equal(read.length, 6000);
    assert.deepEqual([...read.subarray(5998)], [2999 % 251, 7]);
    await file.close();
  });

  check('refuses a read of what no file holds, and allocates nothing', async (disk, directory) => {
    const file = await disk.create(`${directory}/f`);
    await file.write(0, [bytes(1, 2, 3)]);
    for (const length of [-1, 1.5, Number.NaN, READ_BYTES_MAX + 1, 2 ** 31, 2 ** 32 - 1, 2 ** 53]) {
      await failsWith('EINVAL', file.read(0, length));
    }
    for (const position of [-1, -500, 0.5, Number.NaN]) {
      await failsWith('EINVAL', file.read(position, 1));
    }
    assert.equal((await file.read(2 ** 40, 5)).length, 0);
    assert.deepEqual([...(await file.read(1, 9))], [2, 3]);
    await file.close();
  });

  check('cuts and grows a file', async (disk, directory) => {
    const file = await disk.create(`${directory}/f`);
    await file.write(0, [bytes(1, 2, 3, 4)]);
    await file.truncate(2);
    assert.equal(await file.size(), 2);
    await file.truncate(4);
    assert.deepEqual([...(await file.read(0, 4))], [1, 2, 0, 0]);
    await file.close();
  });

  check('refuses by code', async (disk, directory) => {
    const file = await disk.create(`${directory}/f`);
    await failsWith('EEXIST', disk.create(`${directory}/f`));
    await failsWith('ENOENT', disk.open(`${directory}/missing`));
    await failsWith('ENOENT', disk.list(`${directory}/missing`));
    await failsWith('ENOENT', disk.rename(`${directory}/missing`, `${directory}/g`));
    await disk.remove(`${directory}/missing`);
    await file.close();
    await failsWith('EBADF', file.write(0, [bytes(1)]));
  });

  check('lists, renames over and removes', async (disk, directory) => {
    await disk.makeDirectory(`${directory}/a/b`);
    await disk.makeDirectory(`${directory}/a/b`);
    for (const name of ['z', 'c']) await (await disk.create(`${directory}/a/${name}`)).close();
    assert.deepEqual(await disk.list(`${directory}/a`), ['b', 'c', 'z']);
    const file = await disk.open(`${directory}/a/z`);
    await file.write(0, [bytes(5)]);
    await disk.rename(`${directory}/a/z`, `${directory}/a/c`);
    await disk.syncDirectory(`${directory}/a`);
    assert.deepEqual(await disk.list(`${directory}/a`), ['b', 'c']);
    const renamed = await disk.open(`${directory}/a/c`);
    assert.deepEqual([...(await renamed.read(0, 1))], [5]);
    await renamed.close();
    await file.close();
    await disk.remove(`${directory}/a/c`);
    await disk.removeDirectory(`${directory}/a`);
    assert.deepEqual(await disk.list(directory), []);
  });

  check('says how much room there is', async (disk, directory) => {
    const { freeBytes, totalBytes } = await disk.space(directory);
    assert.ok(freeBytes > 0 && totalBytes >= freeBytes);
  });

  check('gives a directory to one process, until it lets go', async (disk, directory) => {
    const held = await disk.lock(directory);
    await failsWith('EBUSY', disk.lock(directory));
    await held.release();
    await (await disk.lock(directory)).release();
  });
}
