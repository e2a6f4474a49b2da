// Makes the golden directory of the present format: the same bytes each time.
//
//   node test/golden/make.ts DIRECTORY
//
// A format that was released is never made again: its directory stays as it is, and every later
// version must open it. A new format gets a directory of its own.

import { silent } from '../../io/logger.ts';
import { nodeDisk, nodeRandom } from '../../io/node.ts';
import { formatDirectory } from '../../log/directory.ts';
import { METADATA_DIRECTORY, VOLUME_DIRECTORY } from '../../log/layout.ts';
import { openMetadata } from '../../log/metadata.ts';
import { openVolume } from '../../log/volume.ts';
import { journalId, lsn, storeId } from '../../protocol/types.ts';
import { append, appendControl } from '../log/batches.ts';
import { stillClock } from '../log/life.ts';

export const ORDERS = journalId('0a'.repeat(16));
export const EVENTS = journalId('0b'.repeat(16));
export const IDENTITY = {
  kind: 'member',
  cluster: 'golden',
  store: storeId('0c'.repeat(16)),
  member: 'a',
} as const;

export async function makeGolden(directory: string): Promise<void> {
  await formatDirectory(nodeDisk, directory, IDENTITY);
  const metadata = await openMetadata({
    disk: nodeDisk,
    directory: `${directory}/${METADATA_DIRECTORY}`,
    logger: silent,
  });
  await metadata.save(new Map([['journal/orders', Buffer.from('saved')]]));
  await metadata.save(new Map([['incarnation', Buffer.from('7')]]));
  await metadata.close();
  const volume = await openVolume({
    disk: nodeDisk,
    directory: `${directory}/${VOLUME_DIRECTORY}`,
    clock: stillClock,
    logger: silent,
    random: nodeRandom('golden'),
    options: { segmentBytes: 65_536, reserveBytes: 0 },
  });
  const orders = volume.create(ORDERS);
  const events = volume.create(EVENTS);
  for (let round = 0; round < 8; round += 1) append(orders, 3, { key: `k${round % 3}` });
  append(events, 2);
  await volume.sync();
  await orders.cut(lsn(21));
  append(orders, 4, { epoch: 2 });
  appendControl(orders, { kind: 'cursor', name: 'reader', lsn: lsn(5) }, 3);
  appendControl(orders, { kind: 'trim', through: lsn(10) }, 3);
  await volume.sync();
  await orders.trim(lsn(10));
  await events.setAside();
  append(events, 1);
  await volume.close();
}

const [, program, directory] = process.argv;
if (program === import.meta.filename && directory !== undefined) await makeGolden(directory);
