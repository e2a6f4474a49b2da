// The real clock, chance and disk: with the network, the only place where they are touched.

import { createHash, randomBytes } from 'node:crypto';
import type { Stats } from 'node:fs';
import {
  type FileHandle,
  mkdir,
  open,
  readdir,
  rename,
  rm,
  statfs,
  unlink,
} from 'node:fs/promises';
import type { Micros } from '../protocol/types.ts';
import { micros } from '../protocol/types.ts';
import type { Clock } from './clock.ts';
import { checkRead, type Disk, DiskError, type DiskFile } from './disk.ts';
import { lockDirectory } from './node-lock.ts';
import type { Random } from './random.ts';

const MICROS_PER_MILLI = 1000;
/** Longest delay that a timer of Node.js takes, in milliseconds. */
const TIMER_MILLIS_MAX = 2 ** 31 - 1;

export const nodeClock: Clock = {
  now: () => micros(Math.floor(performance.now() * MICROS_PER_MILLI)),
  wall: () => micros(Date.now() * MICROS_PER_MILLI),
  after(delay: Micros, task: () => void) {
    const due = nodeClock.now() + delay;
    let timer: NodeJS.Timeout;
    // Timers of Node.js count whole milliseconds from the start of a turn of its loop: one may fire
    // a little early, and none takes a longer delay than this. What is left is waited for again.
    const arm = (): void => {
      const left = Math.max(0, Math.ceil((due - nodeClock.now()) / MICROS_PER_MILLI));
      timer = setTimeout(fire, Math.min(TIMER_MILLIS_MAX, left));
      timer.unref();
    };
    const fire = (): void => {
      if (nodeClock.now() < due) arm();
      else task();
    };
    arm();
    return () => clearTimeout(timer);
  },
};

/** Chance of the operating system; with a seed the same stream each time, for tests. */
export function nodeRandom(seed?: string): Random {
  let count = 0;
  const bytes = (length: number): Buffer => {
    if (seed === undefined) return randomBytes(length);
    const blocks: Buffer[] = [];
    for (let have = 0; have < length; have += 32) {
      blocks.push(createHash('sha256').update(`${count}/${seed}`).digest());
      count += 1;
    }
    return Buffer.concat(blocks).subarray(0, length);
  };
  // 53 bits, as many as a number holds.
  const fraction = (): number => {
    const drawn = bytes(8);
    return ((drawn.readUInt32LE(0) >>> 5) * 2 ** 26 + (drawn.readUInt32LE(4) >>> 6)) / 2 ** 53;
  };
  return {
    below(below: number): number {
      if (!Number.isInteger(below) || below < 1 || below > 2 ** 32) {
        throw new RangeError(`below is ${below}, allowed is a whole number from 1 to 2^32`);
      }
      return Math.floor(fraction() * below);
    },
    fraction,
    hex: (length: number) => bytes(length).toString('hex'),
  };
}

/** Error of the operating system as the rest of the house sees it: a code and a path. */
function toDiskError(path: string, error: unknown): DiskError {
  if (error instanceof DiskError) return error;
  const code =
    error instanceof Error && 'code' in error && typeof error.code === 'string'
      ? error.code
      : 'EIO';
  return new DiskError(code, path, { cause: error });
}

async function attempt<Result>(path: string, action: () => Promise<Result>): Promise<Result> {
  try {
    return await action();
  } catch (error) {
    throw toDiskError(path, error);
  }
}

/** Awaits a promise whose failure its own caller sees. */
const settled = (promise: Promise<unknown>): Promise<void> =>
  promise.then(
    () => undefined,
    () => undefined,
  );

class NodeFile implements DiskFile {
  readonly path: string;
  readonly #handle: FileHandle;
  /** The thread pool keeps no order, so that writes, cuts and syncs wait for one another here. */
  #last: Promise<void> = Promise.resolve();
  /** Reads wait for the changes made before, but for no sync. */
  #lastChange: Promise<void> = Promise.resolve();

  constructor(path: string, handle: FileHandle) {
    this.path = path;
    this.#handle = handle;
  }

  read(position: number, length: number): Promise<Uint8Array> {
    return attempt(this.path, async () => {
      checkRead(this.path, position, length);
      await this.#lastChange;
      // Not from the shared pool: who keeps a part of it would keep all of it.
      const bytes = Buffer.allocUnsafeSlow(length);
      let have = 0;
      while (have < length) {
        const { bytesRead } = await this.#handle.read(bytes, have, length - have, position + have);
        if (bytesRead === 0) break;
        have += bytesRead;
      }
      return have === length ? bytes : bytes.subarray(0, have);
    });
  }

  write(position: number, chunks: readonly Uint8Array[]): Promise<void> {
    return this.#change(() => this.#writeAll(position, chunks));
  }

  async size(): Promise<number> {
    return attempt(this.path, async () => {
      await this.#lastChange;
      const stats: Stats = await this.#handle.stat();
      return stats.size;
    });
  }

  truncate(size: number): Promise<void> {
    return this.#change(() => this.#handle.truncate(size));
  }

  sync(): Promise<void> {
    return this.#inOrder(() => this.#handle.datasync());
  }

  close(): Promise<void> {
    return this.#inOrder(() => this.#handle.close());
  }

  async #writeAll(position: number, chunks: readonly Uint8Array[]): Promise<void> {
    let rest = chunks.filter((chunk) => chunk.length > 0);
    let at = position;
    while (rest.length > 0) {
      const { bytesWritten } = await this.#handle.writev(rest, at);
      at += bytesWritten;
      let written = bytesWritten;
      let whole = 0;
      while (whole < rest.length && written >= (rest[whole]?.length ?? 0)) {
        written -= rest[whole]?.length ?? 0;
        whole += 1;
      }
      rest = rest.slice(whole);
      const torn = rest[0];
      if (torn !== undefined && written > 0) rest[0] = torn.subarray(written);
    }
  }

  #change(action: () => Promise<void>): Promise<void> {
    const done = this.#inOrder(action);
    this.#lastChange = settled(done);
    return done;
  }

  #inOrder(action: () => Promise<void>): Promise<void> {
    const done = this.#last.then(() => attempt(this.path, action));
    this.#last = settled(done);
    return done;
  }
}

async function opened(path: string, flags: string): Promise<DiskFile> {
  return attempt(path, async () => new NodeFile(path, await open(path, flags)));
}

/** Opens for reading where the file may not be written, so that a volume can be inspected. */
async function openExisting(path: string): Promise<DiskFile> {
  try {
    return await opened(path, 'r+');
  } catch (error) {
    if (!(error instanceof DiskError && ['EACCES', 'EROFS', 'EPERM'].includes(error.code))) {
      throw error;
    }
    return opened(path, 'r');
  }
}

async function syncDirectory(path: string): Promise<void> {
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function removeFile(path: string): Promise<void> {
  try {
    await unlink(path);
  } catch (error) {
    if (toDiskError(path, error).code !== 'ENOENT') throw error;
  }
}

export const nodeDisk: Disk = {
  create: (path) => opened(path, 'wx+'),
  open: openExisting,
  list: (path) => attempt(path, async () => (await readdir(path)).sort()),
  makeDirectory: (path) =>
    attempt(path, async () => {
      await mkdir(path, { recursive: true });
    }),
  rename: (from, to) => attempt(from, () => rename(from, to)),
  remove: (path) => attempt(path, () => removeFile(path)),
  removeDirectory: (path) => attempt(path, () => rm(path, { recursive: true, force: true })),
  syncDirectory: (path) => attempt(path, () => syncDirectory(path)),
  space: (path) =>
    attempt(path, async () => {
      const { bavail, blocks, bsize } = await statfs(path);
      return { freeBytes: bavail * bsize, totalBytes: blocks * bsize };
    }),
  lock: (path) => attempt(path, () => lockDirectory(path)),
};
