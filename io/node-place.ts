// Where a page goes that is written after minutes of work: that it can be is found out before.

import { accessSync, constants, statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';

const isFolder = (path: string): boolean =>
  statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;

/** Why no page can be written to `path`, in words that follow what was given; null where it can. */
export function obstacleAt(path: string): string | null {
  const file = resolve(path);
  const folder = dirname(file);
  const allowed = 'allowed is a file in a folder that is there';
  if (isFolder(file)) return `${allowed}: ${file} is a folder`;
  if (!isFolder(folder)) return `${allowed}: ${folder} is no folder`;
  try {
    accessSync(folder, constants.W_OK);
  } catch {
    return `${allowed}: ${folder} cannot be written to`;
  }
  return null;
}
