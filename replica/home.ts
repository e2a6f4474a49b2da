// The data directory of a replica, held by this process. An empty one is formatted only under the
// one-time grant that the controllers have for this member, never because it is empty: a volume
// that was wiped must not pass for a new one.

import type { Clock } from '../io/clock.ts';
import type { Disk } from '../io/disk.ts';
import type { Logger } from '../io/logger.ts';
import type { Network } from '../io/network.ts';
import type { Random } from '../io/random.ts';
import { type Directory, type Identity, openDirectory } from '../log/directory.ts';
import type { ChainState } from '../protocol/chain/state.ts';
import { JournalError } from '../protocol/errors.ts';
import { micros, type StoreId, storeId } from '../protocol/types.ts';
import { controllerMethods } from '../transport/methods.ts';
import type { ReplicaConfig } from './config.ts';
import type { Controllers } from './controllers.ts';
import type { ChainTurn } from './drive/driver.ts';
import { pause } from './wait.ts';

/** The seams over which a replica runs. */
export interface World {
  readonly clock: Clock;
  readonly random: Random;
  readonly disk: Disk;
  readonly network: Network;
  readonly logger: Logger;
  /** Told of each turn of a journal's machine, where somebody looks at all members together. */
  readonly turned?: ((state: ChainState, turn: ChainTurn) => void) | undefined;
}

export interface Home {
  readonly store: StoreId;
  readonly cluster: string;
  release(): Promise<void>;
}

export interface HomeParts extends World {
  readonly config: ReplicaConfig;
  /** Gives up waiting for the grant. */
  readonly signal?: AbortSignal | undefined;
}

const ATTEMPT = micros(5_000_000);
const AGAIN_MIN = 300_000;
const AGAIN_SPREAD = 400_000;

/**
 * Takes the directory and, where it is empty, waits until it may be formatted. Rejects with a
 * JournalError that says what to do where it is in use, another's, or of a newer format.
 */
export async function openHome(parts: HomeParts, controllers: Controllers): Promise<Home> {
  const { disk, config } = parts;
  const { directory: path, cluster, member } = config;
  const directory = await openDirectory({ disk, directory: path, kind: 'member', cluster, member });
  try {
    const identity = directory.identity ?? (await format(parts, controllers, directory));
    const { store, cluster: found } = identity;
    return { store, cluster: found, release: () => directory.release() };
  } catch (error) {
    await directory.release();
    throw error;
  }
}

async function format(
  parts: HomeParts,
  controllers: Controllers,
  directory: Directory,
): Promise<Identity> {
  const { random, config, logger } = parts;
  const { member } = config;
  const store = directory.store ?? storeId(random.hex(16));
  // The grant is for this very store: it must be the same one after a crash.
  if (directory.store === null) await directory.prepare(store);
  const cluster = await granted(parts, controllers, store);
  const identity: Identity = { kind: 'member', cluster, store, member };
  await directory.format(identity);
  logger.info({ directory: directory.path, cluster, store }, 'the data directory was formatted');
  return identity;
}

/** The cluster that let this store in; asked for until it is granted. */
async function granted(
  parts: HomeParts,
  controllers: Controllers,
  store: StoreId,
): Promise<string> {
  const { clock, random, logger, config, signal } = parts;
  const { member, zone, cluster } = config;
  const options = { timeout: ATTEMPT, signal };
  let said = '';
  for (;;) {
    const reason = await attempt();
    if (typeof reason === 'object') return reason.cluster;
    if (reason !== said) logger.warn({ member, store, reason }, 'waiting to be let in');
    said = reason;
    await pause(clock, micros(AGAIN_MIN + random.below(AGAIN_SPREAD)), signal);
    if (signal?.aborted === true) throw new JournalError('CANCELLED', 'told to stop');
  }

  async function attempt(): Promise<string | { readonly cluster: string }> {
    const change = { kind: 'format', store, member, zone } as const;
    try {
      // Who they are comes first: a grant of another cluster would be used up.
      if (cluster !== '') {
        check((await controllers.ask(controllerMethods.status, {}, options)).cluster);
      }
      const answer = await controllers.ask(controllerMethods.change, change, options);
      if (answer.kind !== 'formatted') {
        return answer.kind === 'refused' ? answer.message : `a controller said ${answer.kind}`;
      }
      check(answer.cluster);
      return { cluster: answer.cluster };
    } catch (error) {
      if (!(error instanceof JournalError) || error.code === 'INVALID_ARGUMENT') throw error;
      return error.message;
    }
  }

  function check(found: string): void {
    if (cluster === '' || found === cluster) return;
    throw new JournalError(
      'INVALID_ARGUMENT',
      `--cluster is ${cluster}, and --controllers are of cluster ${found}`,
    );
  }
}
