// The real disk keeps the contract, and a lock ends with its process, however that ends.

import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { micros } from '../protocol/types.ts';
import { testDisk } from '../test/disk.contract.ts';
import { DiskError } from './disk.ts';
import { nodeClock, nodeDisk, nodeRandom } from './node.ts';

async function inDirectory(body: (directory: string) => Promise<void>): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'journal-io-'));
  try {
    await body(directory);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

testDisk({
  name: 'the real disk',
  run: (body) => inDirectory((directory) => body(nodeDisk, directory)),
});

/** A process that takes the lock and says so. */
async function holder(directory: string): Promise<ChildProcess> {
  const program = `
    import { nodeDisk } from ${JSON.stringify(join(import.meta.dirname, 'node.ts'))};
    await nodeDisk.lock(process.argv[1]);
    process.stdout.write('held');
    setInterval(() => {}, 1000);
  `;
  const child = spawn(process.execPath, ['--input-type=module', '-e', program, directory], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await new Promise((resolve, reject) => {
    child.stdout?.once('data', resolve);
    child.once('exit', () => reject(new Error('the holder ended')));
  });
  return child;
}

const isBusy = (error: unknown): boolean => error instanceof DiskError && error.code === 'EBUSY';

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  await new Promise((resolve) => child.once('exit', resolve));
}

test('a lock of another process holds, stopped or not, and ends with kill -9', async () => {
  await inDirectory(async (directory) => {
    const child = await holder(directory);
    try {
      await assert.rejects(nodeDisk.lock(directory), isBusy);
      child.kill('SIGSTOP');
      await assert.rejects(nodeDisk.lock(directory), isBusy);
    } finally {
      child.kill('SIGKILL');
    }
    await ended(child);
    const held = await nodeDisk.lock(directory);
    await held.release();
  });
});

test('a directory with a long name can be held', async () => {
  await inDirectory(async (directory) => {
    const long = `${directory}/${'a'.repeat(120)}`;
    await nodeDisk.makeDirectory(long);
    const held = await nodeDisk.lock(long);
    await assert.rejects(nodeDisk.lock(long), isBusy);
    await held.release();
    await (await nodeDisk.lock(long)).release();
  });
});

test('time goes on, and a cancelled timer does not fire', async () => {
  const before = nodeClock.now();
  let fired = 0;
  const cancel = nodeClock.after(before, () => {
    fired += 1;
  });
  cancel();
  await new Promise<void>((resolve) => {
    // Holds the process, which a timer of the clock does not.
    const hold = setInterval(() => {}, 1000);
    nodeClock.after(micros(2_000), () => {
      clearInterval(hold);
      resolve();
    });
  });
  assert.equal(fired, 0);
  assert.ok(nodeClock.now() - before >= 2000);
  assert.ok(Math.abs(nodeClock.wall() - Date.now() * 1000) < 1_000_000);
});

test('no timer fires before its delay is over', async () => {
  // Holds the process, which a timer of the clock does not.
  const hold = setInterval(() => {}, 1000);
  const early = await Promise.all(
    Array.from({ length: 2_000 }, async (_, at) => {
      // Begun at odd moments of a turn of the loop, which is where timers are early.
      await new Promise((resolve) => setTimeout(resolve, at % 50));
      const before = nodeClock.now();
      const delay = micros((at % 7) * 700);
      await new Promise<void>((resolve) => void nodeClock.after(delay, resolve));
      return nodeClock.now() - before < delay;
    }),
  );
  clearInterval(hold);
  assert.equal(early.filter((one) => one).length, 0);
});

test('a seed gives the same chance again, and none gives another', () => {
  const draw = (seed?: string): string => {
    const random = nodeRandom(seed);
    return `${random.hex(40)} ${random.below(2 ** 32)} ${random.fraction()}`;
  };
  assert.equal(draw('one'), draw('one'));
  assert.notEqual(draw('one'), draw('other'));
  assert.notEqual(draw(), draw());
  assert.equal(nodeRandom().hex(7).length, 14);
  assert.throws(() => nodeRandom().below(0), RangeError);
});
