// Whole reads and whole replacements of files, on top of the disk.

import { type Disk, DiskError, type DiskFile } from '../io/disk.ts';

export const hasCode = (error: unknown, code: string): boolean =>
  error instanceof DiskError && error.code === code;

/** Reads until `length` bytes are there or the file ends: a disk may give fewer at a time. */
export async function readFully(file: DiskFile, position: number, length: number): Promise<Buffer> {
  const first = await file.read(position, length);
  if (first.length === length) return asBuffer(first);
  const parts = [first];
  let have = first.length;
  while (have < length) {
    const part = await file.read(position + have, length - have);
    if (part.length === 0) break;
    parts.push(part);
    have += part.length;
  }
  return Buffer.concat(parts);
}

export const asBuffer = (bytes: Uint8Array): Buffer =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** The whole file; null where there is none. */
export async function readFile(disk: Disk, path: string): Promise<Buffer | null> {
  let file: DiskFile;
  try {
    file = await disk.open(path);
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return null;
    throw error;
  }
  try {
    return await readFully(file, 0, await file.size());
  } finally {
    await file.close();
  }
}

/** Names in a directory; none where it does not exist. */
export async function listOrNone(disk: Disk, directory: string): Promise<string[]> {
  try {
    return await disk.list(directory);
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return [];
    throw error;
  }
}

/** Makes a directory and those above it, so that a power loss does not take them back. */
export async function makeDurableDirectory(disk: Disk, path: string): Promise<void> {
  const fresh = [path];
  for (let up = parentOf(path); up !== null; up = parentOf(up)) {
    if (await exists(disk, up)) break;
    fresh.push(up);
  }
  await disk.makeDirectory(path);
  // The directory itself may be there from a process that ended before it was durable.
  for (const made of fresh) {
    const parent = parentOf(made);
    if (parent !== null) await syncIfAllowed(disk, parent);
  }
}

/** Null for the top, and for what is relative to the working directory alone. */
function parentOf(path: string): string | null {
  const slash = path.replace(/\/+$/, '').lastIndexOf('/');
  if (slash < 0) return null;
  return slash === 0 ? '/' : path.slice(0, slash);
}

async function exists(disk: Disk, path: string): Promise<boolean> {
  try {
    await disk.list(path);
    return true;
  } catch (error) {
    return !hasCode(error, 'ENOENT');
  }
}

/** A directory that this process may not open was not made by it. */
async function syncIfAllowed(disk: Disk, path: string): Promise<void> {
  try {
    await disk.syncDirectory(path);
  } catch (error) {
    if (!hasCode(error, 'EACCES') && !hasCode(error, 'EPERM')) throw error;
  }
}

/** Replaces a file: a crash leaves the old content or the new one. Durable when it resolves. */
export async function replaceFile(
  disk: Disk,
  directory: string,
  name: string,
  chunks: readonly Uint8Array[],
): Promise<void> {
  const path = `${directory}/${name}`;
  const temporary = `${path}.tmp`;
  await disk.remove(temporary);
  const file = await disk.create(temporary);
  try {
    await file.write(0, chunks);
    await file.sync();
  } finally {
    await file.close();
  }
  await disk.rename(temporary, path);
  await disk.syncDirectory(directory);
}
