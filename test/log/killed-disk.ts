// The real disk below a directory, whose process is killed at one of its system calls: what was
// called before is there, and nothing that comes after.

import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Disk, DiskError, type DiskFile } from '../../io/disk.ts';
import { nodeDisk } from '../../io/node.ts';
import type { DiskImage } from '../../sim/platter/tree.ts';

/** A folder of its own on the real disk, gone when it is disposed of. */
export async function realFolder(): Promise<AsyncDisposable & { readonly path: string }> {
  const path = await mkdtemp(join(tmpdir(), 'journal-crash-'));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

/** Puts what lies on a simulated disk below `target` on the real one. */
export async function layOut(image: DiskImage, target: string, from = '/'): Promise<void> {
  await mkdir(target, { recursive: true });
  for (const name of image.list(from)) {
    const path = from === '/' ? `/${name}` : `${from}/${name}`;
    try {
      const file = image.open(path);
      await writeFile(join(target, name), file.read(0, file.size));
    } catch (error) {
      if (!(error instanceof DiskError) || error.code !== 'EISDIR') throw error;
      await layOut(image, join(target, name), path);
    }
  }
}

export class KilledDisk {
  /** Calls that change something or make it durable. */
  calls = 0;
  readonly #stopAt: number;
  readonly #open = new Set<DiskFile>();
  /** Calls that have begun: a process is gone once they are over. */
  readonly #begun = new Set<Promise<unknown>>();
  #dead = false;
  /** All that was open is closed. */
  #over = false;
  #stopped: () => void = () => {};

  constructor(stopAt: number) {
    this.#stopAt = stopAt;
  }

  /** Runs a life until it ends or is killed; true where it was killed. Its files are closed then. */
  async live(life: (disk: Disk) => Promise<void>): Promise<boolean> {
    const killed = new Promise<true>((resolve) => {
      this.#stopped = () => resolve(true);
    });
    const result = await Promise.race([life(this.#disk()).then(() => false), killed]);
    this.#dead = true;
    await Promise.allSettled(this.#begun);
    this.#over = true;
    for (const file of this.#open) await file.close();
    return result;
  }

  async #call<Result>(act: () => Promise<Result>): Promise<Result> {
    if (this.#dead) return new Promise(() => {});
    this.calls += 1;
    const last = this.calls >= this.#stopAt;
    if (last) this.#dead = true;
    const begun = act();
    this.#begun.add(begun);
    const result = await begun.finally(() => this.#begun.delete(begun));
    if (!last) return result;
    this.#stopped();
    return new Promise(() => {});
  }

  #free<Result>(act: () => Promise<Result>): Promise<Result> {
    return this.#dead ? new Promise(() => {}) : act();
  }

  #disk(): Disk {
    return {
      ...nodeDisk,
      create: (path) => this.#call(() => this.#opened(nodeDisk.create(path))),
      open: (path) => this.#free(() => this.#opened(nodeDisk.open(path))),
      list: (path) => this.#free(() => nodeDisk.list(path)),
      makeDirectory: (path) => this.#call(() => nodeDisk.makeDirectory(path)),
      rename: (from, to) => this.#call(() => nodeDisk.rename(from, to)),
      remove: (path) => this.#call(() => nodeDisk.remove(path)),
      removeDirectory: (path) => this.#call(() => nodeDisk.removeDirectory(path)),
      syncDirectory: (path) => this.#call(() => nodeDisk.syncDirectory(path)),
      // A process that is killed gives up its lock; this one only stops.
      lock: async () => ({ release: async () => {} }),
    };
  }

  async #opened(opening: Promise<DiskFile>): Promise<DiskFile> {
    const file = await opening;
    // Whoever asked may be gone meanwhile.
    if (this.#over) await file.close();
    else this.#open.add(file);
    return this.#file(file);
  }

  #file(file: DiskFile): DiskFile {
    return {
      path: file.path,
      read: (position, length) => this.#free(() => file.read(position, length)),
      write: (position, chunks) => this.#call(() => file.write(position, chunks)),
      size: () => this.#free(() => file.size()),
      truncate: (size) => this.#call(() => file.truncate(size)),
      sync: () => this.#call(() => file.sync()),
      close: async () => {
        if (this.#open.delete(file)) await file.close();
      },
    };
  }
}
