// A file that passes everything on, for tests to spread and change what they are about, and a disk
// whose files are changed so.

import type { Disk, DiskFile } from '../../io/disk.ts';

export const passing = (file: DiskFile): DiskFile => ({
  path: file.path,
  read: (position, length) => file.read(position, length),
  write: (position, chunks) => file.write(position, chunks),
  size: () => file.size(),
  truncate: (size) => file.truncate(size),
  sync: () => file.sync(),
  close: () => file.close(),
});

/** The same disk, each file of which goes through `wrap`. */
export const wrapping = (disk: Disk, wrap: (file: DiskFile) => DiskFile): Disk => ({
  ...disk,
  create: async (path) => wrap(await disk.create(path)),
  open: async (path) => wrap(await disk.open(path)),
});
