// A life of metadata that changes generations, and the judgement of what is left of it at any stop.

import assert from 'node:assert/strict';
import type { Disk } from '../../io/disk.ts';
import { silent } from '../../io/logger.ts';
import { type Metadata, openMetadata } from '../../log/metadata.ts';

export const METADATA = '/data/metadata';
const SAVES = 8;
/** So long that the changes outgrow their file on the way. */
const PADDING = 'x'.repeat(150_000);

export const openLifeMetadata = (disk: Disk, directory = METADATA): Promise<Metadata> =>
  openMetadata({ disk, directory, logger: silent });

export const metadataText = (metadata: Metadata, key: string): string | undefined => {
  const bytes = metadata.get(key);
  return bytes === undefined ? undefined : Buffer.from(bytes).toString();
};

/** Saves 1, 2, 3 … under two keys at once; `answered` is told of each that was acknowledged. */
export async function metadataLife(
  disk: Disk,
  answered: (count: number) => void,
  directory = METADATA,
): Promise<void> {
  const metadata = await openLifeMetadata(disk, directory);
  for (let count = 1; count <= SAVES; count += 1) {
    const value = Buffer.from(`${count}`);
    await metadata.save(
      new Map([
        ['one', value],
        ['two', value],
        ['padding', Buffer.from(PADDING + count)],
      ]),
    );
    answered(count);
  }
  await metadata.close();
}

/** Nothing that was answered is lost, nothing is half there, and they can be saved to again. */
export async function judgeMetadata(
  disk: Disk,
  answered: number,
  directory = METADATA,
): Promise<void> {
  const metadata = await openLifeMetadata(disk, directory);
  const [one, two] = ['one', 'two'].map((key) => Number(metadataText(metadata, key) ?? 0));
  assert.equal(one, two);
  assert.ok(one === answered || one === answered + 1, `${one} after ${answered}`);
  await metadata.save(new Map([['one', Buffer.from('next')]]));
  await metadata.close();
  const again = await openLifeMetadata(disk, directory);
  assert.equal(metadataText(again, 'one'), 'next');
  await again.close();
}
