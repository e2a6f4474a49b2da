// A data directory is taken by whom it belongs to; all others are refused with what to do.

import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { nodeDisk as disk } from '../io/node.ts';
import { JournalError } from '../protocol/errors.ts';
import { storeId } from '../protocol/types.ts';
import { formatDirectory, type Identity, openDirectory, readIdentity } from './directory.ts';

const STORE = storeId('5'.repeat(32));
const IDENTITY: Identity = { kind: 'member', cluster: 'c1', store: STORE, member: 'a' };

async function inDirectory(body: (directory: string) => Promise<void>): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'journal-directory-'));
  try {
    await body(directory);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

async function refused(action: Promise<unknown>, code: string, words: RegExp): Promise<void> {
  await assert.rejects(action, (error) => {
    assert.ok(error instanceof JournalError, String(error));
    assert.equal(error.code, code);
    assert.match(error.message, words);
    return true;
  });
}

test('a directory is prepared, formatted and opened under one store id', async () => {
  await inDirectory(async (directory) => {
    const parts = { disk, directory, kind: 'member', cluster: 'c1', member: 'a' } as const;
    const first = await openDirectory(parts);
    assert.deepEqual([first.identity, first.store], [null, null]);
    await first.prepare(STORE);
    await first.release();
    // The process ended before it was granted: the next one asks under the same id.
    const second = await openDirectory(parts);
    assert.deepEqual([second.identity, second.store], [null, STORE]);
    const other = { ...IDENTITY, store: storeId('6'.repeat(32)) };
    await refused(second.format(other), 'INVALID_ARGUMENT', /store id/);
    await second.format(IDENTITY);
    assert.deepEqual(second.identity, IDENTITY);
    await refused(second.prepare(STORE), 'INVALID_ARGUMENT', /formatted already/);
    await second.release();
    assert.deepEqual(await readIdentity(disk, directory), IDENTITY);
    const third = await openDirectory({ ...parts, formatted: true });
    assert.deepEqual(third.identity, IDENTITY);
    await third.release();
  });
});

test('what is no directory is refused by name', async () => {
  await inDirectory(async (folder) => {
    const file = join(folder, 'file');
    await writeFile(file, '');
    for (const directory of [file, join(file, 'below')]) {
      const opened = openDirectory({ disk, directory, kind: 'member' });
      const words = new RegExp(`data directory is ${directory}, allowed is a directory that`);
      await refused(opened, 'INVALID_ARGUMENT', words);
    }
  });
});

test('whoever is not meant is refused, by field, given and allowed', async () => {
  await inDirectory(async (directory) => {
    await formatDirectory(disk, directory, IDENTITY);
    const open = (parts: { kind?: 'member' | 'controller'; cluster?: string; member?: string }) =>
      openDirectory({ disk, directory, kind: 'member', ...parts });
    await refused(open({ cluster: 'c2' }), 'INVALID_ARGUMENT', /cluster c1.*c2/);
    await refused(open({ member: 'b' }), 'INVALID_ARGUMENT', /member a.*b/);
    await refused(open({ kind: 'controller' }), 'INVALID_ARGUMENT', /member.*controller/);
    await refused(
      formatDirectory(disk, directory, IDENTITY),
      'INVALID_ARGUMENT',
      /formatted already/,
    );
    const held = await open({});
    await refused(open({}), 'UNAVAILABLE', /in use.*stop that process/);
    await held.release();
    await (await open({})).release();
  });
});

test('what is not ours, newer, broken or missing is refused', async () => {
  await inDirectory(async (directory) => {
    const open = (formatted = false) =>
      openDirectory({ disk, directory, kind: 'member', formatted });
    await refused(open(true), 'NOT_FOUND', /empty.*right volume is mounted/);
    await writeFile(join(directory, 'photo.jpg'), 'x');
    await refused(open(), 'INVALID_ARGUMENT', /not empty \(it has photo.jpg\)/);
    for (const newer of [{ format: 2 }, { format: 2, ...IDENTITY, checksum: 7 }]) {
      await writeFile(join(directory, 'identity.json'), JSON.stringify(newer));
      await refused(open(), 'INCOMPATIBLE', /format 2, allowed is 1/);
    }
    await writeFile(join(directory, 'identity.json'), '{');
    await refused(open(), 'DAMAGED', /cannot be read/);
  });
});

test('an identity with any one bit changed is no identity', async () => {
  await inDirectory(async (directory) => {
    await formatDirectory(disk, directory, IDENTITY);
    const path = join(directory, 'identity.json');
    const good = await readFile(path);
    for (let bit = 0; bit < good.length * 8; bit += 1) {
      const bad = Buffer.from(good);
      bad[bit >> 3] = (bad[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      await writeFile(path, bad);
      const found = await readIdentity(disk, directory).catch((error: unknown) => {
        assert.ok(error instanceof JournalError, String(error));
        const asNewer = error.code === 'INCOMPATIBLE' && bit >> 3 === good.indexOf(':1') + 1;
        assert.ok(asNewer || error.code === 'DAMAGED', error.message);
        return null;
      });
      // Where the last character is no end of line, nothing of the identity is touched.
      if (bit < (good.length - 1) * 8) assert.equal(found, null, bad.toString());
    }
  });
});

test('an identity of an early version, without a checksum, is read', async () => {
  await inDirectory(async (directory) => {
    const line = JSON.stringify({ format: 1, ...IDENTITY });
    await writeFile(join(directory, 'identity.json'), `${line}\n`);
    assert.deepEqual(await readIdentity(disk, directory), IDENTITY);
  });
});
