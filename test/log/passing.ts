// A file that passes everything on, for tests to spread and change what they are about.

import type { DiskFile } from '../../io/disk.ts';

export const passing = (file: DiskFile): DiskFile => ({
  path: file.path,
  read: (position, length) => file.read(position, length),
  write: (position, chunks) => file.write(position, chunks),
  size: () => file.size(),
  truncate: (size) => file.truncate(size),
  sync: () => file.sync(),
  close: () => file.close(),
});
