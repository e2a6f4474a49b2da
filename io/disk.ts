// A directory on a disk, and what is durable when. The contract that the real disk and the
// simulated one both keep:
//
// - What was written is read back at once, but is durable only after `sync` of that file resolved.
//   A crash keeps any subset of what was not synced, torn at any sector.
// - `create`, `rename` and `remove` are durable only after `syncDirectory` resolved.
// - A `sync` that failed says nothing about what is on the disk, and the pages may be marked clean:
//   it is never retried (the caller gives the file up and writes elsewhere).
// - Calls on one file are carried out in the order they were made; `sync` covers every write whose
//   promise had resolved when it was called.

export interface Disk {
  /** Creates a new file; rejects with code EEXIST where the name is taken. */
  create(path: string): Promise<DiskFile>;
  /** Opens a file for reading and writing; rejects with code ENOENT. */
  open(path: string): Promise<DiskFile>;
  /** Names in a directory, sorted; rejects with code ENOENT. */
  list(path: string): Promise<string[]>;
  /** Makes a directory and those above it; no error where it exists. */
  makeDirectory(path: string): Promise<void>;
  /** Atomic, replaces what is there. */
  rename(from: string, to: string): Promise<void>;
  /** No error where there is no such file. */
  remove(path: string): Promise<void>;
  /** Removes a directory and everything in it. */
  removeDirectory(path: string): Promise<void>;
  syncDirectory(path: string): Promise<void>;
  /** Bytes that can still be written, and all there are. */
  space(path: string): Promise<{ readonly freeBytes: number; readonly totalBytes: number }>;
  /**
   * Takes the directory for this process until `release`; rejects with code EBUSY while another
   * process holds it. The hold ends with the process, however it ends.
   */
  lock(path: string): Promise<{ release(): Promise<void> }>;
}

export interface DiskFile {
  readonly path: string;
  /**
   * Reads up to `length` bytes at `position`; fewer only at the end of the file. Rejects with code
   * EINVAL where `checkRead` does: a length that came from bad bytes is refused, and nothing is
   * allocated for it.
   */
  read(position: number, length: number): Promise<Uint8Array>;
  /** Writes all the chunks one after another from `position` on; rejects with code ENOSPC. */
  write(position: number, chunks: readonly Uint8Array[]): Promise<void>;
  size(): Promise<number>;
  truncate(size: number): Promise<void>;
  /** Makes the data and the length of the file durable. */
  sync(): Promise<void>;
  close(): Promise<void>;
}

/** What a disk operation failed with: `code` is the POSIX name (ENOSPC, EIO, ENOENT, …). */
export class DiskError extends Error {
  readonly code: string;
  readonly path: string;

  constructor(code: string, path: string, options?: { readonly cause?: unknown }) {
    super(`${code}: ${path}`, options);
    this.name = 'DiskError';
    this.code = code;
    this.path = path;
  }
}

/** Most bytes of one read: the biggest segment that a replica may be told to write. */
export const READ_BYTES_MAX = 1024 * 1024 * 1024;

/**
 * What every `DiskFile.read` asks first: whole numbers from 0, `length` at most READ_BYTES_MAX.
 * Throws DiskError EINVAL. Node.js ends the whole process where a length does not fit into 31 bits.
 */
export function checkRead(path: string, position: number, length: number): void {
  const isWhole = (value: number): boolean => Number.isSafeInteger(value) && value >= 0;
  if (isWhole(position) && isWhole(length) && length <= READ_BYTES_MAX) return;
  const given = `a read of ${length} bytes at ${position}`;
  const allowed = `0 to ${READ_BYTES_MAX} bytes at a whole number from 0`;
  throw new DiskError('EINVAL', path, {
    cause: new RangeError(`${given}, allowed are ${allowed}`),
  });
}
