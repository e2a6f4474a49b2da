// The simulated disk loses exactly what a real one may lose.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Disk } from '../io/disk.ts';
import { micros } from '../protocol/types.ts';
import { SimulatedDisk } from './disk.ts';
import type { CrashMode } from './platter/file.ts';
import { type Actor, World } from './world.ts';

const SECTOR = 512;
const BLOCK = 4096;

interface Bench {
  readonly world: World;
  readonly disk: SimulatedDisk;
  readonly actor: Actor;
  readonly files: Disk;
  run<Result>(task: () => Promise<Result>): Promise<Result>;
}

function bench(seed: string): Bench {
  const world = new World(seed);
  const disk = new SimulatedDisk(world, 'a', { sectorBytes: SECTOR, capacityBytes: 1_000_000 });
  const actor = world.birth('a');
  const run = async <Result>(task: () => Promise<Result>): Promise<Result> => {
    let outcome: { readonly value: Result } | { readonly error: unknown } | null = null;
    task().then(
      (value) => {
        outcome = { value };
      },
      (error: unknown) => {
        outcome = { error };
      },
    );
    await world.run(() => outcome !== null, micros(3_600_000_000));
    const settled = outcome as { value: Result } | { error: unknown } | null;
    if (settled === null) throw new Error('never settled');
    if ('error' in settled) throw settled.error;
    return settled.value;
  };
  return { world, disk, actor, files: disk.attach(actor), run };
}

const filled = (value: number, length: number): Uint8Array => new Uint8Array(length).fill(value);

/** Writes two synced sectors, then two more over them and one beyond, and loses power. */
async function contentsAfterCrash(seed: string, mode: CrashMode): Promise<string> {
  const { disk, files, run } = bench(seed);
  await run(async () => {
    const file = await files.create('/f');
    await file.write(0, [filled(1, 2 * SECTOR)]);
    await file.sync();
    await files.syncDirectory('/');
    await file.write(0, [filled(2, SECTOR), filled(2, 2 * SECTOR)]);
  });
  disk.crash(mode);
  return run(async () => {
    const file = await files.open('/f');
    const bytes = await file.read(0, await file.size());
    const at = [0, 1, 2].map((sector) => bytes[sector * SECTOR] ?? '-');
    return `${at.join('')} ${bytes.length}`;
  });
}

test('unsynced sectors survive as any subset, the length too', async () => {
  assert.equal(await contentsAfterCrash('x', 'all'), '222 1536');
  assert.equal(await contentsAfterCrash('x', 'none'), '11- 1024');
  const seen = new Set<string>();
  for (let seed = 0; seed < 80; seed += 1) seen.add(await contentsAfterCrash(`${seed}`, 'some'));
  for (const torn of ['12- 1024', '21- 1024', '120 1536', '112 1536']) {
    assert.ok(seen.has(torn), `${torn} never happened: ${[...seen]}`);
  }
  assert.ok(![...seen].some((found) => found.startsWith('0')), 'a synced sector was lost');
});

test('names are durable only after syncDirectory', async () => {
  const { disk, files, run } = bench('names');
  await run(async () => {
    const file = await files.create('/old');
    await file.sync();
    await files.syncDirectory('/');
    await files.rename('/old', '/new');
    assert.deepEqual(await files.list('/'), ['new']);
  });
  disk.crash('none');
  assert.deepEqual(await run(() => files.list('/')), ['old']);
});

test('a sync of a directory fails as well, and makes no name durable', async () => {
  const { disk, files, run } = bench('names that fail');
  await run(async () => {
    await files.create('/f');
    disk.faults.syncErrorChance = 1;
    await assert.rejects(files.syncDirectory('/'), { code: 'EIO' });
  });
  assert.equal(disk.counts.failedSyncs, 1);
  disk.crash('none');
  assert.deepEqual(await run(() => files.list('/')), []);
});

test('a failed sync marks the pages clean: a second one succeeds and saves nothing', async () => {
  let lost = 0;
  for (let seed = 0; seed < 40; seed += 1) {
    const { disk, files, run } = bench(`sync ${seed}`);
    await run(async () => {
      const file = await files.create('/f');
      await files.syncDirectory('/');
      await file.write(0, [filled(1, SECTOR)]);
      await file.sync();
      await file.write(0, [filled(2, SECTOR)]);
      disk.faults.syncErrorChance = 1;
      await assert.rejects(file.sync(), { code: 'EIO' });
      disk.faults.syncErrorChance = 0;
      await file.sync();
    });
    disk.crash('all');
    const bytes = await run(async () => (await files.open('/f')).read(0, 1));
    if (bytes[0] === 1) lost += 1;
  }
  assert.ok(lost > 5 && lost < 35, `${lost} of 40 lost the write`);
});

test('a lock is held by one process until it dies; another machine does not see it', async () => {
  const { world, disk, actor, files, run } = bench('lock');
  const other = disk.attach(world.birth('b'));
  await run(async () => {
    await files.lock('/');
    await assert.rejects(other.lock('/'), { code: 'EBUSY' });
    await disk.attach(world.birth('c'), true).lock('/');
    world.kill(actor);
    await other.lock('/');
  });
});

test('a full disk refuses what grows a file and goes on with what does not', async () => {
  const { disk, files, run } = bench('full');
  await run(async () => {
    const file = await files.create('/f');
    await file.write(0, [filled(1, BLOCK)]);
    disk.faults.takenBytes = 1_000_000;
    assert.equal((await files.space('/')).freeBytes, 0);
    await assert.rejects(file.write(BLOCK, [filled(1, 1)]), { code: 'ENOSPC' });
    assert.equal(await file.size(), BLOCK);
    await file.write(0, [filled(2, SECTOR)]);
    assert.equal(disk.counts.refusedWrites, 1);
  });
});

test('a full disk keeps any part of a write that there is room for, and syncs it', async () => {
  const kept = new Set<number>();
  for (let seed = 0; seed < 40; seed += 1) {
    const { disk, files, run } = bench(`part ${seed}`);
    await run(async () => {
      const file = await files.create('/f');
      await files.syncDirectory('/');
      await file.write(0, [filled(1, SECTOR)]);
      disk.faults.takenBytes = 1_000_000 - SECTOR - 100;
      // The rest of its block, which nobody else can have, is more than the 100 bytes.
      await assert.rejects(file.write(SECTOR, [filled(2, BLOCK)]), { code: 'ENOSPC' });
      await file.sync();
    });
    disk.crash('none');
    await run(async () => {
      const bytes = await (await files.open('/f')).read(0, 2 * BLOCK);
      const part = bytes.subarray(SECTOR);
      assert.ok(bytes.length <= BLOCK && part.every((byte) => byte === 2), `${bytes.length}`);
      kept.add(part.length);
    });
  }
  assert.ok(kept.size > 20, `${[...kept]}`);
  assert.ok(Math.min(...kept) < SECTOR && Math.max(...kept) > BLOCK - 2 * SECTOR, `${[...kept]}`);
});

test('bits rot, reads fall short, writes go astray, when they are told to', async () => {
  const { disk, files, run } = bench('rot');
  await run(async () => {
    const file = await files.create('/f');
    await file.write(0, [filled(1, 8 * SECTOR)]);
    await file.sync();
    assert.ok(disk.rot((path) => path === '/f'));
    const rotten = await file.read(0, 8 * SECTOR);
    assert.equal(rotten.filter((byte) => byte !== 1).length, 1);
    disk.faults.shortReadChance = 1;
    assert.ok((await file.read(0, 8 * SECTOR)).length < 8 * SECTOR);
    disk.faults.shortReadChance = 0;
    disk.faults.misdirectChance = 1;
    for (let write = 0; write < 4; write += 1) await file.write(0, [filled(9, SECTOR)]);
    const astray = await file.read(SECTOR, 7 * SECTOR);
    assert.ok(astray.includes(9), 'four writes to the first sector all landed there');
  });
});

test('a copy put back is what was there when it was taken', async () => {
  const { disk, files, run } = bench('copy');
  await run(async () => {
    const file = await files.create('/f');
    await file.write(0, [filled(1, 10)]);
    const copy = disk.image.copy();
    await file.write(0, [filled(2, 10)]);
    await files.create('/g');
    disk.image.restore(copy);
    assert.deepEqual(await files.list('/'), ['f']);
    assert.deepEqual(await (await files.open('/f')).read(0, 2), filled(1, 2));
    disk.image.wipe();
    assert.deepEqual(await files.list('/'), []);
  });
});

test('a sync that is held on a slow disk ends when it is let go', async () => {
  const { world, disk, files, run } = bench('held');
  await run(async () => {
    const file = await files.create('/f');
    disk.faults.slowFactor = 100;
    disk.faults.syncsHeldUntil = world.now + 1_000_000;
    await file.sync();
    assert.ok(world.now >= disk.faults.syncsHeldUntil);
    assert.ok(world.now < disk.faults.syncsHeldUntil + 1_000_000, `${world.now}`);
  });
});
