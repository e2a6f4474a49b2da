// A disk in memory that stops with its process after so many calls: what a crash leaves is drawn.
//
// Built on the platters of the simulator, at once and without time, so that thousands of lives run
// in seconds. A call that the stop hits has begun: it may be done in any part or not at all.

import { checkRead, type Disk, DiskError, type DiskFile } from '../../io/disk.ts';
import type { CrashMode, FileImage, FileOperation } from '../../sim/platter/file.ts';
import { DiskImage } from '../../sim/platter/tree.ts';
import { Dice } from '../../sim/random.ts';

const SECTOR_BYTES = 512;

export class StoppingDisk {
  readonly image: DiskImage;
  /** Calls that change something or make it durable, since the start. */
  calls = 0;
  /** Names of those calls, the last ones, for whoever looks into a failure. */
  readonly trail: string[] = [];
  #stopAt = Number.POSITIVE_INFINITY;
  #life = 0;
  #stopped: () => void = () => {};

  constructor(capacityBytes = 64 * 1024 * 1024, image?: DiskImage) {
    this.image = image ?? new DiskImage(SECTOR_BYTES, capacityBytes);
  }

  /** Runs a life until it ends by itself or the call `stopAt` is made; true where it was stopped. */
  async live(stopAt: number, life: (disk: Disk) => Promise<void>): Promise<boolean> {
    this.calls = 0;
    this.#stopAt = stopAt;
    this.#life += 1;
    const stopped = new Promise<true>((resolve) => {
      this.#stopped = () => resolve(true);
    });
    const ended = life(this.#disk(this.#life)).then(() => false);
    const result = await Promise.race([stopped, ended]);
    this.#life += 1;
    return result;
  }

  /** The power fails. */
  crash(seed: string, mode: CrashMode): void {
    this.image.crash(new Dice(seed), mode);
  }

  /** The process is gone and the machine is not: nothing is lost. */
  kill(): void {
    this.#life += 1;
  }

  #call<Result>(life: number, name: string, act: () => Result): Promise<Result> {
    if (life !== this.#life) return new Promise(() => {});
    this.calls += 1;
    this.trail.push(`${this.calls} ${name}`);
    if (this.trail.length > 12) this.trail.shift();
    const outcome = attempted(act);
    if (this.calls < this.#stopAt) return outcome;
    this.#life += 1;
    this.#stopped();
    return new Promise(() => {});
  }

  #free<Result>(life: number, act: () => Result): Promise<Result> {
    return life === this.#life ? attempted(act) : new Promise(() => {});
  }

  #disk(life: number): Disk {
    const { image } = this;
    const file = (path: string, found: FileImage): DiskFile => this.#file(life, path, found);
    const change = (name: string, act: () => void): Promise<void> => this.#call(life, name, act);
    return {
      create: (path) => this.#call(life, `create ${path}`, () => file(path, image.create(path))),
      open: (path) => this.#free(life, () => file(path, image.open(path))),
      list: (path) => this.#free(life, () => image.list(path)),
      makeDirectory: (path) => change(`mkdir ${path}`, () => image.makeDirectory(path)),
      rename: (from, to) => change(`rename ${from} ${to}`, () => image.rename(from, to)),
      remove: (path) => change(`remove ${path}`, () => image.remove(path)),
      removeDirectory: (path) => change(`rmdir ${path}`, () => image.removeDirectory(path)),
      syncDirectory: async (path) => {
        const covered = image.unsynced(path);
        await change(`sync ${path}`, () => undefined);
        image.synced(path, covered);
      },
      space: () =>
        this.#free(life, () => ({
          freeBytes: image.capacityBytes - image.usedBytes(),
          totalBytes: image.capacityBytes,
        })),
      lock: async () => ({ release: async () => {} }),
    };
  }

  #file(life: number, path: string, found: FileImage): DiskFile {
    const changed = async (name: string, act: (by: FileOperation) => void): Promise<void> => {
      const operation: FileOperation = { done: false };
      await this.#call(life, `${name} ${path}`, () => act(operation));
      operation.done = true;
    };
    return {
      path,
      read: (position, length) =>
        this.#free(life, () => {
          checkRead(path, position, length);
          return found.read(position, length);
        }),
      write: (position, chunks) =>
        changed(`write ${position}`, (by) => {
          const bytes = Buffer.concat(chunks);
          const free = Math.max(0, this.image.capacityBytes - this.image.usedBytes());
          const room = Math.max(0, found.size + free - position);
          found.write(position, bytes.subarray(0, room), by);
          if (bytes.length <= room) return;
          // What there was room for is written like anything else: the next sync covers it.
          by.done = true;
          throw new DiskError('ENOSPC', path);
        }),
      size: () => this.#free(life, () => found.size),
      truncate: (size) => changed(`truncate ${size}`, (by) => found.truncate(size, by)),
      sync: async () => {
        const covered = found.resolved();
        await this.#call(life, `sync ${path}`, () => undefined);
        found.synced(covered);
      },
      close: async () => {},
    };
  }
}

function attempted<Result>(act: () => Result): Promise<Result> {
  try {
    return Promise.resolve(act());
  } catch (error) {
    return Promise.reject(error);
  }
}
