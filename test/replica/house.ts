// Real replicas in this process: real disk in a temporary directory, real gRPC on loopback, and a
// shepherd in place of the controllers.

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Clock } from '../../io/clock.ts';
import type { Disk } from '../../io/disk.ts';
import { type Logger, silent } from '../../io/logger.ts';
import type { Network } from '../../io/network.ts';
import { nodeClock, nodeDisk, nodeRandom } from '../../io/node.ts';
import { NO_CONDITION } from '../../protocol/chain/messages.ts';
import { KIB, MIB } from '../../protocol/configuration.ts';
import { lsn, memberId, micros, zone } from '../../protocol/types.ts';
import { DEFAULT_LIMITS, type ReplicaLimits } from '../../replica/config.ts';
import { type Replica, startReplica } from '../../replica/replica.ts';
import type { Access } from '../../replica/service/access.ts';
import { grpcNetwork } from '../../transport/grpc.ts';
import { journalMethods } from '../../transport/methods.ts';
import type { AppendAnswer, AppendCall, ReadAnswer } from '../../transport/public.ts';
import { type Sheep, Shepherd, until } from './shepherd.ts';

export const CALL = { timeout: micros(30_000_000) };
/** On a busy machine a connection that is slow to answer is not dead. */
export const PATIENT = { keepAliveTimeout: micros(20_000_000) };

export interface Housed {
  readonly name: string;
  readonly directory: string;
  readonly replica: Replica;
  readonly sheep: Sheep;
  readonly network: Network;
}

interface More {
  readonly access?: Access;
  readonly logger?: Logger;
  readonly clock?: Clock;
  /** Which the controllers must be of. */
  readonly cluster?: string;
}

export class House {
  readonly directory: string;
  readonly network: Network;
  readonly shepherd: Shepherd;
  readonly #controllers: readonly string[];
  readonly housed = new Map<string, Housed>();

  private constructor(directory: string, network: Network, shepherd: Shepherd, at: string) {
    this.directory = directory;
    this.network = network;
    this.shepherd = shepherd;
    this.#controllers = [at];
  }

  static async open(): Promise<House> {
    const directory = await mkdtemp(join(tmpdir(), 'journal-replica-'));
    const network = grpcNetwork({ clock: nodeClock, logger: silent, limits: PATIENT });
    const shepherd = new Shepherd(network);
    const at = await shepherd.serve();
    return new House(directory, network, shepherd, at);
  }

  /** Starts a replica on its own directory, new or not, and waits for its incarnation. */
  async start(
    name: string,
    limits: Partial<ReplicaLimits> = {},
    disk: Disk = nodeDisk,
    { access, logger = silent, clock = nodeClock, cluster = '' }: More = {},
  ): Promise<Housed> {
    const directory = join(this.directory, name);
    const network = grpcNetwork({ clock: nodeClock, logger: silent, limits: PATIENT });
    const replica = await startReplica({
      clock,
      random: nodeRandom(),
      disk,
      network,
      logger,
      access,
      config: {
        member: memberId(name),
        zone: zone('z'),
        directory,
        listen: '127.0.0.1:0',
        advertise: '',
        controllers: this.#controllers,
        cluster,
        limits: {
          ...DEFAULT_LIMITS,
          segmentBytes: 256 * KIB,
          reserveBytes: MIB,
          scrubBytesPerSecond: 0,
          ...limits,
        },
        pid: process.pid,
        version: 'test',
      },
    });
    await replica.started;
    const sheep = this.shepherd.watch(replica.address);
    await until(`${name} greets`, () => (sheep.hello?.incarnation ?? 0) > 0);
    const housed = { name, directory, replica, sheep, network };
    this.housed.set(name, housed);
    return housed;
  }

  /** As a process that is told to stop. */
  async stop({ name, replica, sheep, network }: Housed): Promise<void> {
    sheep.close();
    this.shepherd.flock.delete(replica.address);
    await replica.close();
    await network.close();
    this.housed.delete(name);
  }

  async close(): Promise<void> {
    for (const housed of [...this.housed.values()]) await this.stop(housed);
    await this.shepherd.close();
    await this.network.close();
    // What a replica still writes when its time to stop is over is not waited for there.
    await rm(this.directory, { recursive: true, force: true, maxRetries: 20 });
  }

  append(
    { replica }: Housed,
    journal: string,
    texts: readonly string[],
    more: Partial<AppendCall> = {},
  ): Promise<AppendAnswer> {
    return this.network.call(
      replica.address,
      journalMethods.append,
      { ...call(journal, texts), ...more },
      CALL,
    );
  }

  read(
    { replica }: Housed,
    journal: string,
    from: number,
    linearizable = false,
  ): Promise<ReadAnswer> {
    const start = { kind: 'lsn', lsn: position(from) } as const;
    return this.network.call(
      replica.address,
      journalMethods.read,
      { journal, from: start, limit: 1_000, bytesMax: 8 * MIB, linearizable },
      CALL,
    );
  }
}

export const call = (journal: string, texts: readonly string[]): AppendCall => ({
  journal,
  records: texts.map((text) => ({ data: Buffer.from(text) })),
  condition: NO_CONDITION,
  keyOperation: 'tag',
  leaseMillis: 0,
  idempotence: null,
  tag: 0,
});

export const position = (value: number) => lsn(value);

export const texts = ({ records }: Pick<ReadAnswer, 'records'>): string[] =>
  records.map(({ data }) => Buffer.from(data).toString());
