// The process of one replica: settings, certificates, logs, signals and probes around startReplica.

import process from 'node:process';
import pino from 'pino';
import type { Logger } from '../io/logger.ts';
import { nodeClock, nodeDisk, nodeRandom } from '../io/node.ts';
import { nodeHold } from '../io/node-hold.ts';
import { type ProbeSource, type Probes, serveProbes } from '../io/node-probes.ts';
import { crashOn, packageVersion, tooOld } from '../io/node-process.ts';
import { SettingError, tlsFiles } from '../io/node-settings.ts';
import { JournalError } from '../protocol/errors.ts';
import { type Authorizer, fileAuthorizer } from '../transport/authorize.ts';
import { grpcNetwork } from '../transport/grpc.ts';
import { CLUSTER_LIMITS } from '../transport/limits.ts';
import { type CommandLine, type ProcessConfig, readCommandLine } from './config.ts';
import { Console } from './console/console.ts';
import { replicaSource } from './console/replica.ts';
import { consolePages } from './console/serve.ts';
import { type Replica, startReplica } from './replica.ts';

/** Wrong usage, a failure, and the longest that stopping may take. */
const EXIT_USAGE = 2;
const EXIT_FAILURE = 1;
const STOP_MILLIS = 1_000;
const READY_MILLIS = 200;

/** Runs a replica until it is told to stop; flags are those of config.ts. */
export async function main(args: readonly string[]): Promise<void> {
  const old = tooOld(process.versions.node);
  if (old !== null) return leave(old, EXIT_USAGE);
  let line: CommandLine;
  try {
    line = readCommandLine(args, process.env, { pid: process.pid, version: packageVersion() });
  } catch (error) {
    if (error instanceof SettingError) return leave(error.message, EXIT_USAGE);
    throw error;
  }
  if (line.kind === 'print') {
    process.stdout.write(line.text);
    return;
  }
  await run(line.config);
}

function leave(message: string, code: number): void {
  process.stderr.write(`journal replica: ${message}\n`);
  process.exitCode = code;
}

async function run(config: ProcessConfig): Promise<void> {
  const { member } = config.replica;
  const destination = pino.destination({ dest: 2, sync: true });
  const logger = pino({ level: config.logLevel, base: { replica: member } }, destination);
  crashOn(logger, 'this replica');
  let around: Surroundings;
  try {
    around = new Surroundings(config, logger);
  } catch (error) {
    // A file that a flag names cannot be read, or holds what cannot be used.
    if (!(error instanceof JournalError)) throw error;
    return leave(error.message, EXIT_FAILURE);
  }
  // Clocks hold nothing, and one that waits to be let in has no socket either.
  nodeHold();
  try {
    await around.open();
    await around.live();
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    if (around.toldToStop) logger.info({ error: message }, 'this replica ends before it served');
    else {
      logger.error({ error: message }, 'this replica ends');
      leave(message, EXIT_FAILURE);
    }
  }
  await around.close();
  // What a hung disk or a half-open connection still holds must not keep the process.
  process.exit();
}

/** Everything about the process that the replica itself does not know. */
class Surroundings {
  readonly #config: ProcessConfig;
  readonly #logger: Logger;
  readonly #abort = new AbortController();
  readonly #network: ReturnType<typeof grpcNetwork>;
  readonly #authorizer: Authorizer | null;
  readonly #console: Console;
  #replica: Replica | null = null;
  #probes: Probes | null = null;

  constructor(config: ProcessConfig, logger: Logger) {
    this.#config = config;
    this.#logger = logger;
    const tls = tlsFiles(config.tls);
    this.#network = grpcNetwork({ clock: nodeClock, logger, tls, limits: CLUSTER_LIMITS });
    this.#network.health.set(false);
    const { authorization: path } = config;
    this.#authorizer = path === '' ? null : fileAuthorizer({ path, clock: nodeClock, logger });
    this.#console = new Console(
      nodeClock,
      replicaSource(config, this.#network, () => this.#replica),
    );
  }

  get toldToStop(): boolean {
    return this.#abort.signal.aborted;
  }

  async open(): Promise<void> {
    const { probeListen, replica: config } = this.#config;
    this.#listen();
    if (probeListen !== '') {
      this.#probes = await serveProbes(probeListen, this.#source(), this.#logger);
    }
    const authorizer = this.#authorizer;
    this.#replica = await startReplica({
      clock: nodeClock,
      random: nodeRandom(),
      disk: nodeDisk,
      network: this.#network,
      logger: this.#logger,
      config,
      signal: this.#abort.signal,
      heard: (configuration) => this.#console.heard(configuration),
      access:
        authorizer === null
          ? undefined
          : (context, role, journal) => authorizer.check(context, role, journal),
    });
    const follow = (): void => this.#network.health.set(this.#replica?.unready() === '');
    setInterval(follow, READY_MILLIS).unref();
  }

  /** Until it was told to stop; rejects where a rule was broken. */
  async live(): Promise<void> {
    await this.#replica?.ended;
  }

  /** Under `journal dev` ^C is for the parent, which then sends SIGTERM. */
  #listen(): void {
    const stop = (signal: string): void => {
      this.#logger.info({ signal }, 'told to stop');
      this.#abort.abort();
      setTimeout(() => process.exit(), STOP_MILLIS).unref();
      void this.#replica?.close();
    };
    process.once('SIGTERM', stop);
    if (!process.connected) process.once('SIGINT', stop);
  }

  #source(): ProbeSource {
    const starting = 'this replica is starting';
    return {
      pages: consolePages(this.#console),
      dead: () => this.#replica?.dead() ?? '',
      unready: () => this.#replica?.unready() ?? starting,
      metrics: async () => {
        const replica = this.#replica;
        if (replica === null) return { type: 'text/plain', text: '' };
        replica.measure();
        const { registry } = replica.metrics;
        return { type: registry.contentType, text: await registry.metrics() };
      },
    };
  }

  async close(): Promise<void> {
    this.#authorizer?.close();
    await this.#probes?.close();
    await this.#network.close();
  }
}
