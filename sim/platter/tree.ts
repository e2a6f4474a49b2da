// The names on a simulated disk: which are there now, and which a crash may take back.
//
// Names change in the order they were made, directory by directory: a crash keeps a random number
// of each directory's changes since its last `syncDirectory`, and takes the rest back.

import { DiskError } from '../../io/disk.ts';
import type { Dice } from '../random.ts';
import { type CrashMode, FileImage } from './file.ts';

type Entry = FileImage | 'directory';

/** One change of names: what each of them was before. */
interface NameChange {
  readonly before: readonly (readonly [path: string, entry: Entry | undefined])[];
}

export const parentOf = (path: string): string => {
  const slash = path.lastIndexOf('/');
  return slash <= 0 ? '/' : path.slice(0, slash);
};

const clean = (path: string): string => {
  const parts: string[] = [];
  for (const part of path.split('/')) {
    if (part === '..') parts.pop();
    else if (part !== '' && part !== '.') parts.push(part);
  }
  return `/${parts.join('/')}`;
};

export class DiskImage {
  readonly sectorBytes: number;
  /** All bytes that files may take together. */
  capacityBytes: number;
  /** How often all of it was taken away at once, or replaced by a copy. */
  replaced = 0;
  readonly #entries = new Map<string, Entry>([['/', 'directory']]);
  readonly #unsynced = new Map<string, NameChange[]>();

  constructor(sectorBytes: number, capacityBytes: number) {
    this.sectorBytes = sectorBytes;
    this.capacityBytes = capacityBytes;
  }

  usedBytes(): number {
    let bytes = 0;
    for (const entry of this.#entries.values()) if (entry !== 'directory') bytes += entry.size;
    return bytes;
  }

  create(path: string): FileImage {
    const name = clean(path);
    if (this.#entries.has(name)) throw new DiskError('EEXIST', path);
    this.#parent(path);
    const file = new FileImage(this.sectorBytes);
    this.#change(parentOf(name), [[name, file]]);
    return file;
  }

  open(path: string): FileImage {
    const entry = this.#entries.get(clean(path));
    if (entry === undefined) throw new DiskError('ENOENT', path);
    if (entry === 'directory') throw new DiskError('EISDIR', path);
    return entry;
  }

  list(path: string): string[] {
    const directory = this.#directory(path);
    const inside = [...this.#entries.keys()].filter(
      (name) => name !== '/' && parentOf(name) === directory,
    );
    return inside.map((name) => name.slice(name.lastIndexOf('/') + 1)).sort();
  }

  makeDirectory(path: string): void {
    const name = clean(path);
    const entry = this.#entries.get(name);
    if (entry === 'directory') return;
    if (entry !== undefined) throw new DiskError('EEXIST', path);
    this.makeDirectory(parentOf(name));
    this.#change(parentOf(name), [[name, 'directory']]);
  }

  rename(from: string, to: string): void {
    const [source, target] = [clean(from), clean(to)];
    const entry = this.#entries.get(source);
    if (entry === undefined) throw new DiskError('ENOENT', from);
    this.#parent(to);
    if (source === target) return;
    if (entry === 'directory') {
      const moved = this.#under(source);
      this.#change(parentOf(target), [
        ...moved.map(([name]) => [name, undefined] as const),
        ...moved.map(([name, what]) => [target + name.slice(source.length), what] as const),
      ]);
      return;
    }
    if (this.#entries.get(target) === 'directory') throw new DiskError('EISDIR', to);
    this.#change(parentOf(target), [
      [source, undefined],
      [target, entry],
    ]);
  }

  remove(path: string): void {
    const name = clean(path);
    const entry = this.#entries.get(name);
    if (entry === undefined) return;
    if (entry === 'directory') throw new DiskError('EISDIR', path);
    this.#change(parentOf(name), [[name, undefined]]);
  }

  removeDirectory(path: string): void {
    const name = clean(path);
    this.#change(
      parentOf(name),
      this.#under(name).map(([inside]) => [inside, undefined] as const),
    );
  }

  /** Changes of names that a `syncDirectory` which begins now must make durable. */
  unsynced(path: string): ReadonlySet<NameChange> {
    return new Set(this.#unsynced.get(this.#directory(path)) ?? []);
  }

  synced(path: string, covered: ReadonlySet<NameChange>): void {
    const name = clean(path);
    const left = (this.#unsynced.get(name) ?? []).filter((change) => !covered.has(change));
    this.#unsynced.set(name, left);
  }

  /** The machine lost power. `mode` for what was not synced; `some` draws for each file anew. */
  crash(dice: Dice, mode: CrashMode): void {
    for (const changes of this.#unsynced.values()) {
      const kept =
        mode === 'all' ? changes.length : mode === 'none' ? 0 : dice.below(changes.length + 1);
      for (const { before } of changes.splice(kept).reverse()) {
        for (const [name, entry] of before) this.#set(name, entry);
      }
    }
    this.#unsynced.clear();
    for (const name of [...this.#entries.keys()]) {
      if (name !== '/' && this.#entries.get(parentOf(name)) !== 'directory')
        this.#set(name, undefined);
    }
    for (const file of this.#files()) file.crash(dice, mode);
  }

  /** Every byte gone, as with a new disk. */
  wipe(): void {
    this.replaced += 1;
    for (const name of [...this.#entries.keys()]) if (name !== '/') this.#entries.delete(name);
    this.#unsynced.clear();
  }

  /** What `cp -a` would take now. */
  copy(): DiskImage {
    const twin = new DiskImage(this.sectorBytes, this.capacityBytes);
    for (const [name, entry] of this.#entries) {
      twin.#entries.set(name, entry === 'directory' ? entry : entry.copy());
    }
    return twin;
  }

  /** Puts a copy in the place of everything that is here. */
  restore(copy: DiskImage): void {
    this.wipe();
    for (const [name, entry] of copy.copy().#entries) this.#entries.set(name, entry);
  }

  /** Files with their paths, in order of path. */
  files(): readonly (readonly [path: string, file: FileImage])[] {
    return [...this.#entries]
      .flatMap(([name, entry]) => (entry === 'directory' ? [] : [[name, entry] as const]))
      .sort(([one], [other]) => (one < other ? -1 : 1));
  }

  #files(): FileImage[] {
    return this.files().map(([, file]) => file);
  }

  #directory(path: string): string {
    const name = clean(path);
    const entry = this.#entries.get(name);
    if (entry === undefined) throw new DiskError('ENOENT', path);
    if (entry !== 'directory') throw new DiskError('ENOTDIR', path);
    return name;
  }

  #parent(path: string): void {
    if (this.#entries.get(parentOf(clean(path))) !== 'directory') {
      throw new DiskError('ENOENT', path);
    }
  }

  #under(name: string): (readonly [string, Entry])[] {
    return [...this.#entries].filter(([path]) => path === name || path.startsWith(`${name}/`));
  }

  #change(
    directory: string,
    changes: readonly (readonly [path: string, entry: Entry | undefined])[],
  ): void {
    const before = changes.map(([name]) => [name, this.#entries.get(name)] as const);
    const list = this.#unsynced.get(directory) ?? [];
    list.push({ before });
    this.#unsynced.set(directory, list);
    for (const [name, entry] of changes) this.#set(name, entry);
  }

  #set(name: string, entry: Entry | undefined): void {
    if (entry === undefined) this.#entries.delete(name);
    else this.#entries.set(name, entry);
  }
}
