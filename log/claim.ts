// Whose a directory is, where two processes may have one volume mounted: two machines do not see
// each other's locks (directory.ts), only each other's files.
//
// Whoever opens the directory makes a claim above all others, empties theirs, and only then reads.
// Whoever has written something looks at its own claim before it answers: while that is not empty,
// whoever comes later will read what was written. So the last one to come has all that was ever
// answered, and the others answer nothing more.
//
//     the later one:    claim 8 made ─▶ claim 7 emptied ─▶ reads
//     the earlier one:  written, synced ─▶ claim 7 looked at ─▶ answered, or not
//
// Left out: file systems that show one machine's changes to another one late.

import type { Disk, DiskFile } from '../io/disk.ts';
import { hasCode, listOrNone } from './files.ts';
import { claimName, claimNumber, metadataNumber } from './layout.ts';

/** What a claim holds while it stands. Emptying it takes no room, so it works on a full disk. */
const STANDS = Uint8Array.of(1);

export class Claim {
  readonly number: number;
  readonly #disk: Disk;
  readonly #directory: string;
  readonly #file: DiskFile;

  private constructor(disk: Disk, directory: string, number: number, file: DiskFile) {
    this.#disk = disk;
    this.#directory = directory;
    this.number = number;
    this.#file = file;
  }

  /** Takes the directory from whoever had it. */
  static async take(disk: Disk, directory: string): Promise<Claim> {
    for (;;) {
      const names = await listOrNone(disk, directory);
      const numbers = names.flatMap((name) => claimNumber(name) ?? metadataNumber(name) ?? []);
      const claim = await Claim.#make(disk, directory, Math.max(0, ...numbers) + 1);
      if (claim === null) continue; // two at once: the other one has this number
      await claim.#emptyOthers();
      return claim;
    }
  }

  static async #make(disk: Disk, directory: string, number: number): Promise<Claim | null> {
    const path = `${directory}/${claimName(number)}`;
    let file: DiskFile;
    try {
      file = await disk.create(path);
    } catch (error) {
      if (hasCode(error, 'EEXIST')) return null;
      throw error;
    }
    try {
      await file.write(0, [STANDS]);
      await disk.syncDirectory(directory);
    } catch (error) {
      // Left behind by a full disk it would pass for that of another process at the next attempt.
      await file.close();
      await disk.remove(path);
      throw error;
    }
    return new Claim(disk, directory, number, file);
  }

  async #emptyOthers(): Promise<void> {
    for (const name of await this.#disk.list(this.#directory)) {
      const number = claimNumber(name);
      if (number === undefined || number === this.number) continue;
      try {
        const file = await this.#disk.open(`${this.#directory}/${name}`);
        await file.truncate(0);
        await file.close();
      } catch (error) {
        if (!hasCode(error, 'ENOENT')) throw error; // its process has just closed
      }
    }
  }

  /** Whether another process has the directory now. */
  async isLost(): Promise<boolean> {
    return (await this.#file.size()) === 0;
  }

  /** The claim of the next number in the place of this one; null where another process came. */
  async next(): Promise<Claim | null> {
    const next = await Claim.#make(this.#disk, this.#directory, this.number + 1);
    const names = await this.#disk.list(this.#directory);
    const highest = Math.max(...names.map((name) => claimNumber(name) ?? 0));
    if (next !== null && highest === next.number && !(await this.isLost())) return next;
    await next?.release();
    return null;
  }

  /** Gives it up. One that a crash leaves behind is of no harm: the next one is higher. */
  async release(): Promise<void> {
    await this.#file.close();
    await this.#disk.remove(`${this.#directory}/${claimName(this.number)}`);
  }
}
