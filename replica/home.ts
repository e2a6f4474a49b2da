// placeholder until log/directory.ts: the directory of a replica.
import type { Clock } from '../io/clock.ts';
import type { Disk } from '../io/disk.ts';
import type { Logger } from '../io/logger.ts';
import type { Network } from '../io/network.ts';
import type { Random } from '../io/random.ts';
import { readFile, replaceFile } from '../log/files.ts';
import { micros, type StoreId, storeId } from '../protocol/types.ts';
import { controllerMethods } from '../transport/methods.ts';
import type { ReplicaConfig } from './config.ts';
import type { Controllers } from './controllers.ts';

export interface World {
  readonly clock: Clock;
  readonly random: Random;
  readonly disk: Disk;
  readonly network: Network;
  readonly logger: Logger;
}

export interface Home {
  readonly store: StoreId;
  readonly cluster: string;
  release(): Promise<void>;
}

export async function openHome(
  parts: World & { readonly config: ReplicaConfig; readonly signal?: AbortSignal | undefined },
  controllers: Controllers,
): Promise<Home> {
  const { disk, random, config } = parts;
  await disk.makeDirectory(config.directory);
  const lock = await disk.lock(config.directory);
  const path = `${config.directory}/identity.json`;
  const bytes = await readFile(disk, path);
  if (bytes !== null) {
    const found = JSON.parse(bytes.toString()) as Home;
    return { ...found, release: () => lock.release() };
  }
  const store = storeId(random.hex(16));
  const { member, zone } = config;
  const answer = await controllers.ask(
    controllerMethods.change,
    { kind: 'format', store, member, zone },
    { timeout: micros(5_000_000) },
  );
  if (answer.kind !== 'formatted') throw new Error(JSON.stringify(answer));
  const { cluster } = answer;
  await replaceFile(disk, config.directory, 'identity.json', [
    Buffer.from(JSON.stringify({ store, cluster })),
  ]);
  return { store, cluster, release: () => lock.release() };
}
