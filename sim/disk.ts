// The simulated twin of io/disk.ts: a machine's disk, with everything that disks do to people.
//
// A call takes effect when it is made, and its promise settles a drawn time later, in order for
// one file. So what a crash finds half done is in the image as unsynced, and any subset of it
// survives (platter/). A process that was killed while its machine lives loses nothing.

import { checkRead, type Disk, DiskError, type DiskFile } from '../io/disk.ts';
import type { CrashMode, FileImage, FileOperation } from './platter/file.ts';
import { DiskImage } from './platter/tree.ts';
import type { Dice } from './random.ts';
import type { Actor, World } from './world.ts';

/** Set and cleared by faults/ while the world runs. Times are virtual microseconds. */
export interface DiskFaults {
  /** Multiplies every duration; 1 for a healthy disk. */
  slowFactor: number;
  /** No sync completes before this time. */
  syncsHeldUntil: number;
  /** Probability that a sync fails: of a file with its pages marked clean, or of a directory. */
  syncErrorChance: number;
  /** Probability that a read fails with EIO. */
  readErrorChance: number;
  /** Probability that a read gives fewer bytes than there are. */
  shortReadChance: number;
  /** Probability that a write lands in another sector of its file, reported as done. */
  misdirectChance: number;
  /** Syncs succeed and do nothing: a disk of which no log can make anything. */
  lies: boolean;
  /** Bytes that something else has taken. */
  takenBytes: number;
}

export const healthy = (): DiskFaults => ({
  slowFactor: 1,
  syncsHeldUntil: 0,
  syncErrorChance: 0,
  readErrorChance: 0,
  shortReadChance: 0,
  misdirectChance: 0,
  lies: false,
  takenBytes: 0,
});

/** Durations of a healthy disk, in microseconds: least and greatest. */
const READ: readonly [number, number] = [40, 200];
const WRITE: readonly [number, number] = [20, 120];
const SYNC: readonly [number, number] = [300, 2500];
const NAME: readonly [number, number] = [20, 100];
const BYTES_PER_MICRO = 500;
/** Room is given to files so: what is left of a file's last block takes none. */
const BLOCK_BYTES = 4096;

export class SimulatedDisk {
  readonly image: DiskImage;
  readonly faults: DiskFaults = healthy();
  readonly #world: World;
  readonly #dice: Dice;
  readonly #name: string;
  readonly #locks = new Map<string, Actor>();
  /** What was done, for those who look at a run. */
  readonly counts = {
    reads: 0,
    /** Short ones included. */
    failedReads: 0,
    writes: 0,
    syncs: 0,
    failedSyncs: 0,
    misdirected: 0,
    /** Writes that found the disk full. */
    refusedWrites: 0,
    /** Answers that there is less room, since something else has taken it. */
    lessRoom: 0,
    /** Calls that took longer since the disk was slow. */
    slowed: 0,
    /** Syncs that waited until they were let go. */
    heldSyncs: 0,
    /** Bits that were flipped. */
    rotten: 0,
    /** Locks that were taken from another machine. */
    locksElsewhere: 0,
  };

  constructor(world: World, name: string, options: { sectorBytes: number; capacityBytes: number }) {
    this.#world = world;
    this.#name = name;
    this.#dice = world.dice.fork(`disk/${name}`);
    this.image = new DiskImage(options.sectorBytes, options.capacityBytes);
  }

  /** The machine lost power; its processes must be dead. */
  crash(mode: CrashMode): void {
    this.image.crash(this.#dice, mode);
    this.#locks.clear();
  }

  /** Flips a bit in some file under `path` whose name `chosen` accepts; false where none was. */
  rot(chosen: (path: string) => boolean): boolean {
    const files = this.image.files().filter(([path, file]) => file.size > 0 && chosen(path));
    if (files.length === 0) return false;
    const [, file] = this.#dice.pick(files);
    const flipped = file.rot(this.#dice.below(file.size), this.#dice.below(8));
    this.counts.rotten += Number(flipped);
    return flipped;
  }

  /**
   * The disk as one process sees it. With `elsewhere` the process is on another machine that has
   * mounted the same volume: locks of the one are not seen by the other.
   */
  attach(actor: Actor, elsewhere = false): Disk {
    const image = this.image;
    const name = (path: string, act: () => void): Promise<void> =>
      this.#after(actor, NAME, `name ${path}`, act);
    return {
      create: (path) => this.#opened(actor, path, () => image.create(path)),
      open: (path) => this.#opened(actor, path, () => image.open(path)),
      list: (path) => this.#after(actor, NAME, 'list', () => image.list(path)),
      makeDirectory: (path) => name(path, () => image.makeDirectory(path)),
      rename: (from, to) => name(from, () => image.rename(from, to)),
      remove: (path) => name(path, () => image.remove(path)),
      removeDirectory: (path) => name(path, () => image.removeDirectory(path)),
      syncDirectory: (path) => this.#syncDirectory(actor, path),
      space: () =>
        this.#after(actor, NAME, 'space', () => {
          if (this.faults.takenBytes > 0) this.counts.lessRoom += 1;
          return { freeBytes: this.#freeBytes(), totalBytes: image.capacityBytes };
        }),
      lock: (path) => this.#lock(actor, path, elsewhere),
    };
  }

  #freeBytes(): number {
    const { capacityBytes } = this.image;
    return Math.max(0, capacityBytes - this.faults.takenBytes - this.image.usedBytes());
  }

  async #opened(actor: Actor, path: string, open: () => FileImage): Promise<DiskFile> {
    const file = await this.#after(actor, NAME, `open ${path}`, open);
    return new SimulatedFile(this, actor, path, file);
  }

  async #syncDirectory(actor: Actor, path: string): Promise<void> {
    const covered = this.image.unsynced(path);
    const held = this.heldUntil();
    await this.#after(actor, SYNC, `syncDirectory ${path}`, () => undefined, held);
    // Drawn only where it may fail, so that all other runs are what they were.
    if (this.faults.syncErrorChance > 0) this.#mayFail(path);
    this.image.synced(path, covered);
  }

  /** Throws where a sync that has lasted long enough fails. */
  #mayFail(path: string): void {
    if (!this.#dice.chance(this.faults.syncErrorChance)) return;
    this.counts.failedSyncs += 1;
    throw new DiskError('EIO', path);
  }

  async #lock(actor: Actor, path: string, elsewhere: boolean) {
    const key = `${elsewhere ? actor.name : this.#name} ${path}`;
    await this.#after(actor, NAME, `lock ${path}`, () => {
      const holder = this.#locks.get(key);
      if (holder?.alive === true) throw new DiskError('EBUSY', path);
      this.#locks.set(key, actor);
      this.counts.locksElsewhere += Number(elsewhere);
    });
    const release = async (): Promise<void> => {
      if (this.#locks.get(key) === actor) this.#locks.delete(key);
    };
    return { release };
  }

  // ── What files ask of their disk ──

  /** Carries `act` out now and settles later; an error settles later as well. */
  #after<Result>(
    actor: Actor,
    [least, greatest]: readonly [number, number],
    label: string,
    act: () => Result,
    notBefore = 0,
  ): Promise<Result> {
    return this.settle(actor, label, this.#dice.between(least, greatest), act, notBefore);
  }

  settle<Result>(
    actor: Actor,
    label: string,
    micros: number,
    act: () => Result,
    notBefore: number,
  ): Promise<Result> {
    actor.acts += 1;
    let outcome: { readonly value: Result } | { readonly error: unknown };
    try {
      outcome = { value: act() };
    } catch (error) {
      outcome = { error };
    }
    if (this.faults.slowFactor > 1) this.counts.slowed += 1;
    const delay = Math.max(micros * this.faults.slowFactor, notBefore - this.#world.now);
    return new Promise((resolve, reject) => {
      this.#world.schedule(delay, actor, 'disk', label, () => {
        if ('value' in outcome) resolve(outcome.value);
        else reject(outcome.error);
      });
    });
  }

  now(): number {
    return this.#world.now;
  }

  /** Of a sync that begins now. */
  heldUntil(): number {
    const { syncsHeldUntil } = this.faults;
    if (syncsHeldUntil > this.#world.now) this.counts.heldSyncs += 1;
    return syncsHeldUntil;
  }

  readOutcome(file: FileImage, path: string, position: number, length: number): Uint8Array {
    this.counts.reads += 1;
    if (this.#dice.chance(this.faults.readErrorChance)) {
      this.counts.failedReads += 1;
      throw new DiskError('EIO', path);
    }
    const bytes = file.read(position, length);
    if (bytes.length < 2 || !this.#dice.chance(this.faults.shortReadChance)) return bytes;
    this.counts.failedReads += 1;
    return bytes.subarray(0, this.#dice.between(1, bytes.length - 1));
  }

  write(file: FileImage, path: string, position: number, bytes: Uint8Array): FileOperation {
    this.counts.writes += 1;
    const operation: FileOperation = { done: false };
    const room = this.#room(file, position);
    if (bytes.length <= room) {
      file.write(this.#place(file, position), bytes, operation);
      return operation;
    }
    this.counts.refusedWrites += 1;
    // As a real disk: what there is room for is there, and the rest is not.
    const kept = room > 0 ? this.#dice.between(0, room) : 0;
    file.write(position, bytes.subarray(0, kept), operation);
    // The next sync covers it, whatever the process was told.
    operation.done = true;
    throw new DiskError('ENOSPC', path);
  }

  /** How many bytes can be written at `position`. */
  #room(file: FileImage, position: number): number {
    const free = this.#freeBytes();
    const whole = Math.ceil(file.size / BLOCK_BYTES) * BLOCK_BYTES;
    return Math.max(file.size + free, whole) - position;
  }

  truncate(file: FileImage, path: string, size: number): FileOperation {
    if (size - file.size > this.#freeBytes()) throw new DiskError('ENOSPC', path);
    const operation: FileOperation = { done: false };
    file.truncate(size, operation);
    return operation;
  }

  durations(kind: 'read' | 'write' | 'sync', bytes: number): number {
    const [least, greatest] = kind === 'read' ? READ : kind === 'write' ? WRITE : SYNC;
    return this.#dice.between(least, greatest) + bytes / BYTES_PER_MICRO;
  }

  finishSync(file: FileImage, path: string, covered: ReadonlySet<FileOperation>): void {
    this.counts.syncs += 1;
    try {
      this.#mayFail(path);
    } catch (error) {
      file.failedSync(covered, this.#dice);
      throw error;
    }
    if (!this.faults.lies) file.synced(covered);
  }

  /** Where a write really lands. */
  #place(file: FileImage, position: number): number {
    if (!this.#dice.chance(this.faults.misdirectChance)) return position;
    const sectors = Math.floor(file.size / file.sectorBytes);
    if (sectors < 2) return position;
    this.counts.misdirected += 1;
    return this.#dice.below(sectors) * file.sectorBytes + (position % file.sectorBytes);
  }
}

class SimulatedFile implements DiskFile {
  readonly path: string;
  readonly #disk: SimulatedDisk;
  readonly #actor: Actor;
  readonly #file: FileImage;
  /** When the last call on this file settles: the next one does not overtake it. */
  #busyUntil = 0;
  #closed = false;

  constructor(disk: SimulatedDisk, actor: Actor, path: string, file: FileImage) {
    this.#disk = disk;
    this.#actor = actor;
    this.path = path;
    this.#file = file;
  }

  async read(position: number, length: number): Promise<Uint8Array> {
    checkRead(this.path, position, length);
    return this.#settle(`read ${this.path}`, this.#disk.durations('read', length), () =>
      this.#disk.readOutcome(this.#file, this.path, position, length),
    );
  }

  async write(position: number, chunks: readonly Uint8Array[]): Promise<void> {
    const bytes = joined(chunks);
    const operation = await this.#settle(
      `write ${this.path} ${position}+${bytes.length}`,
      this.#disk.durations('write', bytes.length),
      () => this.#disk.write(this.#file, this.path, position, bytes),
    );
    operation.done = true;
  }

  size(): Promise<number> {
    return this.#settle(`size ${this.path}`, 20, () => this.#file.size);
  }

  async truncate(size: number): Promise<void> {
    const operation = await this.#settle(
      `truncate ${this.path} ${size}`,
      this.#disk.durations('write', 0),
      () => this.#disk.truncate(this.#file, this.path, size),
    );
    operation.done = true;
  }

  async sync(): Promise<void> {
    const covered = this.#file.resolved();
    const length = this.#disk.durations('sync', 0);
    const held = this.#disk.heldUntil();
    await this.#settle(`sync ${this.path}`, length, () => undefined, held);
    this.#disk.finishSync(this.#file, this.path, covered);
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    await this.#settle(`close ${this.path}`, 20, () => undefined);
    this.#closed = true;
  }

  #settle<Result>(
    label: string,
    micros: number,
    act: () => Result,
    notBefore = 0,
  ): Promise<Result> {
    if (this.#closed) return Promise.reject(new DiskError('EBADF', this.path));
    const least = Math.max(this.#busyUntil + 1, notBefore);
    const settled = this.#disk.settle(this.#actor, label, micros, act, least);
    const after = this.#disk.now() + Math.ceil(micros * this.#disk.faults.slowFactor);
    this.#busyUntil = Math.max(least, after);
    return settled;
  }
}

function joined(chunks: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(chunks.reduce((sum, chunk) => sum + chunk.length, 0));
  let at = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, at);
    at += chunk.length;
  }
  return bytes;
}
