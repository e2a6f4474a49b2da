// One file of a simulated disk, at sector grain: what is read now, and what a crash may leave.
//
// Every write remembers what each sector held before it, until a sync covers it. A crash then picks
// for each sector, by itself, one of the contents that it had since its last sync, and one of the
// sizes that the file had: so writes are torn, reordered, lost, and lengths are not updated. A
// sector is never torn.

import type { Dice } from '../random.ts';

/** A call that changed a file; `done` once its promise has resolved. */
export interface FileOperation {
  done: boolean;
}

interface Earlier {
  /** Content before the operation; null for all zero. */
  readonly content: Uint8Array | null;
  readonly by: FileOperation;
}

interface EarlierSize {
  readonly size: number;
  readonly by: FileOperation;
}

/** What a crash makes of the unsynced part of a file. */
export type CrashMode = 'all' | 'none' | 'some';

export class FileImage {
  readonly sectorBytes: number;
  size = 0;
  #bytes = new Uint8Array(0);
  readonly #earlier = new Map<number, Earlier[]>();
  #earlierSizes: EarlierSize[] = [];
  /** Sectors that a failed sync marked clean although the disk holds something else. */
  readonly #lost = new Map<number, Uint8Array | null>();

  constructor(sectorBytes: number) {
    this.sectorBytes = sectorBytes;
  }

  /** Whether a crash now could lose something. */
  get dirty(): boolean {
    return this.#earlier.size > 0 || this.#earlierSizes.length > 0 || this.#lost.size > 0;
  }

  read(position: number, length: number): Uint8Array {
    const end = Math.min(this.size, position + length);
    return position >= end ? new Uint8Array(0) : this.#bytes.slice(position, end);
  }

  write(position: number, bytes: Uint8Array, by: FileOperation): void {
    if (bytes.length === 0) return;
    const end = position + bytes.length;
    const first = Math.floor(position / this.sectorBytes);
    const last = Math.floor((end - 1) / this.sectorBytes);
    for (let sector = first; sector <= last; sector += 1) this.#remember(sector, by);
    this.#reserve(end);
    if (end > this.size) {
      this.#earlierSizes.push({ size: this.size, by });
      this.size = end;
    }
    this.#bytes.set(bytes, position);
  }

  truncate(size: number, by: FileOperation): void {
    if (size === this.size) return;
    this.#earlierSizes.push({ size: this.size, by });
    if (size < this.size) {
      const first = Math.floor(size / this.sectorBytes);
      const last = Math.floor((this.size - 1) / this.sectorBytes);
      for (let sector = first; sector <= last; sector += 1) this.#remember(sector, by);
      this.#bytes.fill(0, size, this.size);
    }
    this.#reserve(size);
    this.size = size;
  }

  /** Operations that a sync which begins now must make durable. */
  resolved(): ReadonlySet<FileOperation> {
    const covered = new Set<FileOperation>();
    for (const list of this.#earlier.values()) {
      for (const { by } of list) if (by.done) covered.add(by);
    }
    for (const { by } of this.#earlierSizes) if (by.done) covered.add(by);
    return covered;
  }

  synced(covered: ReadonlySet<FileOperation>): void {
    for (const [sector, list] of this.#earlier) {
      const left = list.slice(list.findLastIndex(({ by }) => covered.has(by)) + 1);
      if (left.length === 0) this.#earlier.delete(sector);
      else this.#earlier.set(sector, left);
    }
    const at = this.#earlierSizes.findLastIndex(({ by }) => covered.has(by));
    this.#earlierSizes = this.#earlierSizes.slice(at + 1);
  }

  /** The sync failed: the pages count as clean, whatever reached the disk. */
  failedSync(covered: ReadonlySet<FileOperation>, dice: Dice): void {
    for (const [sector, list] of this.#earlier) {
      const at = list.findLastIndex(({ by }) => covered.has(by));
      if (at < 0) continue;
      this.#earlier.delete(sector);
      const pick = list[dice.below(at + 2)];
      // Beyond the list is the present content: that one sector made it.
      if (pick !== undefined) this.#lost.set(sector, pick.content);
    }
    const at = this.#earlierSizes.findLastIndex(({ by }) => covered.has(by));
    this.#earlierSizes = this.#earlierSizes.slice(at + 1);
    if (dice.chance(0.5)) this.#evict();
  }

  /** The machine lost power: decides what the disk holds; that is what is read from now on. */
  crash(dice: Dice, mode: CrashMode): void {
    const keep = dice.fraction();
    for (const [sector, list] of this.#earlier) {
      if (mode === 'all' || (mode === 'some' && dice.chance(keep))) continue;
      const version = mode === 'none' ? 0 : dice.below(list.length);
      this.#put(sector, list[version]?.content ?? null);
    }
    this.#earlier.clear();
    this.#evict();
    const sizes = [...this.#earlierSizes.map(({ size }) => size), this.size];
    this.#earlierSizes = [];
    const size = mode === 'all' ? this.size : mode === 'none' ? sizes[0] : dice.pick(sizes);
    if (size !== undefined) this.#setSize(size);
  }

  /** Flips one bit of what is on the disk; false where the place is not settled. */
  rot(position: number, bit: number): boolean {
    const byte = this.#bytes[position];
    const sector = Math.floor(position / this.sectorBytes);
    if (position >= this.size || byte === undefined || this.#earlier.has(sector)) return false;
    this.#bytes[position] = byte ^ (1 << (bit & 7));
    return true;
  }

  copy(): FileImage {
    const twin = new FileImage(this.sectorBytes);
    twin.size = this.size;
    twin.#bytes = this.#bytes.slice();
    return twin;
  }

  #remember(sector: number, by: FileOperation): void {
    const list = this.#earlier.get(sector);
    const lost = this.#lost.get(sector);
    this.#lost.delete(sector);
    const content = list === undefined && lost !== undefined ? lost : this.#sector(sector);
    if (list === undefined) this.#earlier.set(sector, [{ content, by }]);
    else list.push({ content, by });
  }

  #sector(sector: number): Uint8Array | null {
    const from = sector * this.sectorBytes;
    return from >= this.size ? null : this.#bytes.slice(from, from + this.sectorBytes);
  }

  #put(sector: number, content: Uint8Array | null): void {
    const from = sector * this.sectorBytes;
    this.#reserve(from + this.sectorBytes);
    this.#bytes.fill(0, from, from + this.sectorBytes);
    if (content !== null) this.#bytes.set(content, from);
  }

  #evict(): void {
    for (const [sector, content] of this.#lost) this.#put(sector, content);
    this.#lost.clear();
  }

  #setSize(size: number): void {
    this.#reserve(size);
    if (size < this.size) this.#bytes.fill(0, size, this.#bytes.length);
    this.size = size;
  }

  #reserve(bytes: number): void {
    const whole = Math.ceil(bytes / this.sectorBytes) * this.sectorBytes;
    if (whole <= this.#bytes.length) return;
    const grown = new Uint8Array(Math.max(whole, this.#bytes.length * 2));
    grown.set(this.#bytes);
    this.#bytes = grown;
  }
}
