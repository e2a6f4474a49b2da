// One replica: a process that hosts the copies of many journals on one volume. It runs wholly over
// io/, so that the simulator runs the same code.
//
// Order of a start: the directory (an empty one is formatted only once the controllers granted it),
// the volume, serving (hello, reports and inventories, nothing more), the next incarnation from the
// register, then the machines. Nothing is taken part in before the incarnation is durable.

import type { Listener } from '../io/network.ts';
import { METADATA_DIRECTORY, VOLUME_DIRECTORY } from '../log/layout.ts';
import type { Volume } from '../log/log.ts';
import { type Metadata, openMetadata } from '../log/metadata.ts';
import { openVolume } from '../log/volume.ts';
import { type Configuration, order } from '../protocol/configuration.ts';
import { JournalError } from '../protocol/errors.ts';
import { type Micros, micros, type StoreId } from '../protocol/types.ts';
import type { ReplicaHello } from '../transport/control.ts';
import { controllerMethods } from '../transport/methods.ts';
import type { ClusterStatus, ReadAnswer, ReadRequest } from '../transport/public.ts';
import type { ReplicaConfig } from './config.ts';
import { Controllers } from './controllers.ts';
import { Engine } from './engine.ts';
import { type Home, openHome, type World } from './home.ts';
import type { ReplicaMetrics } from './metrics.ts';
import { type Access, openAccess } from './service/access.ts';
import { pause } from './wait.ts';

export interface ReplicaParts extends World {
  readonly config: ReplicaConfig;
  /** Who may do what; everybody everything without it. */
  readonly access?: Access | undefined;
  /** Gives up a start that waits: for its grant, or for its incarnation. */
  readonly signal?: AbortSignal | undefined;
  /** A newer configuration of a journal came: for whoever shows it. */
  readonly heard?: ((configuration: Configuration) => void) | undefined;
}

export interface Replica {
  /** `host:port` under which others reach it. */
  readonly address: string;
  readonly store: StoreId;
  /** 0 until `started`. */
  readonly incarnation: number;
  /** Resolves when it has its incarnation and takes part in what the controllers decide. */
  readonly started: Promise<void>;
  /** Resolves when it was closed, rejects when a rule was broken: the process must end then. */
  readonly ended: Promise<void>;
  readonly metrics: ReplicaMetrics;
  /** For this process's own page; see Engine. */
  read(request: ReadRequest, signal: AbortSignal): Promise<ReadAnswer>;
  status(timeout: Micros, signal: AbortSignal): Promise<ClusterStatus>;
  /** Brings the gauges up to date. */
  measure(): void;
  /** Why it is of no use any more, and why it should get no traffic now; empty while all is well. */
  dead(): string;
  unready(): string;
  /** Hands heads over, drains, stops: within a second. */
  close(): Promise<void>;
}

const START_ATTEMPT = micros(5_000_000);
const HANDOVER = 500_000;
const GRACE = micros(100_000);
const FLUSH = micros(200_000);
const STEP = micros(10_000);

/** Rejects where the directory is not this replica's, or is in use; or the port is taken. */
export async function startReplica(parts: ReplicaParts): Promise<Replica> {
  const { clock, random, disk, logger, config } = parts;
  const controllers = new Controllers(parts, config.controllers);
  const home = await openHome(parts, controllers);
  try {
    const { directory } = config;
    const metadata = await openMetadata({
      disk,
      directory: `${directory}/${METADATA_DIRECTORY}`,
      logger,
    });
    controllers.learn([...config.controllers, ...savedControllers(metadata)]);
    const { segmentBytes, reserveBytes } = config.limits;
    const volume = await openVolume({
      disk,
      directory: `${directory}/${VOLUME_DIRECTORY}`,
      clock,
      logger,
      random,
      options: { segmentBytes, reserveBytes },
      isTaken: () => metadata.isTaken(),
    });
    const running = new RunningReplica(parts, { home, metadata, volume, controllers });
    await running.open();
    return running;
  } catch (error) {
    await home.release();
    throw error;
  }
}

/** Where controllers were last known to be: a flag may be out of date. */
function savedControllers(metadata: Metadata): readonly string[] {
  const bytes = metadata.get('controllers');
  if (bytes === undefined) return [];
  const saved: unknown = JSON.parse(new TextDecoder().decode(bytes));
  return Array.isArray(saved) ? saved.filter((one) => typeof one === 'string') : [];
}

interface Opened {
  readonly home: Home;
  readonly metadata: Metadata;
  readonly volume: Volume;
  readonly controllers: Controllers;
}

class RunningReplica implements Replica {
  readonly #parts: ReplicaParts;
  readonly #opened: Opened;
  readonly #engine: Engine;
  readonly #abort = new AbortController();
  readonly ended: Promise<void>;
  #end: () => void = () => {};
  #crash: (error: unknown) => void = () => {};
  #listener: Listener | null = null;
  #incarnation = 0;
  #lastIncarnation: number;
  #closing: Promise<void> | null = null;
  started: Promise<void> = Promise.resolve();

  constructor(parts: ReplicaParts, opened: Opened) {
    this.#parts = parts;
    this.#opened = opened;
    this.ended = new Promise((resolve, reject) => {
      this.#end = resolve;
      this.#crash = reject;
    });
    const saved = opened.metadata.get('incarnation');
    this.#lastIncarnation = saved === undefined ? 0 : Number(new TextDecoder().decode(saved));
    this.#engine = new Engine({
      world: parts,
      config: parts.config,
      access: parts.access ?? openAccess,
      ...opened,
      hello: () => this.#hello(),
      crash: (error) => this.#crash(error),
      heard: parts.heard ?? (() => undefined),
    });
    parts.signal?.addEventListener('abort', () => this.#abort.abort(), { once: true });
  }

  get address(): string {
    const { advertise, listen } = this.#parts.config;
    if (advertise !== '') return advertise;
    return this.#listener?.address ?? listen;
  }

  get store(): StoreId {
    return this.#opened.home.store;
  }

  get incarnation(): number {
    return this.#incarnation;
  }

  get metrics(): ReplicaMetrics {
    return this.#engine.metrics;
  }

  measure(): void {
    this.#engine.measure();
  }

  read(request: ReadRequest, signal: AbortSignal): Promise<ReadAnswer> {
    return this.#engine.read(request, signal);
  }

  status(timeout: Micros, signal: AbortSignal): Promise<ClusterStatus> {
    return this.#engine.status(timeout, signal);
  }

  dead(): string {
    const { volume, metadata } = this.#opened;
    // Where another process has the volume now, a new start would only take it from that one.
    if (metadata.failed?.code === 'UNAVAILABLE') return '';
    const failed = volume.failed ?? metadata.failed;
    if (failed !== null) return `the volume failed: ${failed.message}`;
    return this.#engine.driver.failed ?? '';
  }

  unready(): string {
    if (this.#closing !== null) return 'this replica is stopping';
    if (this.#incarnation === 0) return 'this replica waits for its start to be registered';
    return this.#engine.driver.halted ?? '';
  }

  /** Serves, then asks for the start in the background: members that start wait for nobody. */
  async open(): Promise<void> {
    const { network, config, logger } = this.#parts;
    await this.#engine.open();
    this.#listener = await network.serve(config.listen, this.#engine.handlers());
    logger.info({ address: this.address, store: this.store }, 'serving');
    this.started = this.#start();
    this.started.catch((error: unknown) => this.#crash(error));
  }

  async #start(): Promise<void> {
    const { logger } = this.#parts;
    const incarnation = await this.#nextIncarnation();
    if (incarnation === 0) return;
    const bytes = new TextEncoder().encode(String(incarnation));
    const saving = new Map([['incarnation', bytes]]);
    await this.#engine.driver.whenRoom(() => this.#opened.metadata.save(saving));
    this.#lastIncarnation = incarnation;
    this.#incarnation = incarnation;
    await this.#engine.begin(incarnation);
    logger.info({ store: this.store, incarnation }, 'started');
  }

  /**
   * The number of this start, given by the register; 0 where closing came first. After a lost
   * answer the number is ours only if the start id is, else a copy of this volume has won: again,
   * after that one. What is asked here and comes late, when this process is dead, does nothing.
   */
  async #nextIncarnation(): Promise<number> {
    const { random, logger, config, clock } = this.#parts;
    const { member, zone } = config;
    const { signal } = this.#abort;
    let after = this.#lastIncarnation;
    while (!signal.aborted) {
      const startId = random.hex(16);
      const { store, address } = this;
      const change = { kind: 'start', store, startId, after, member, zone, address } as const;
      try {
        const answer = await this.#opened.controllers.ask(controllerMethods.change, change, {
          timeout: START_ATTEMPT,
          signal,
        });
        if (answer.kind === 'started' && answer.startId === startId) return answer.incarnation;
        logger.warn({ answer }, 'this start was not registered yet');
        if (answer.kind === 'started' && answer.incarnation !== after) {
          after = answer.incarnation;
          continue;
        }
      } catch (error) {
        if (!(error instanceof JournalError)) throw error;
        if (!signal.aborted)
          logger.warn({ error: error.message }, 'waiting to register this start');
      }
      await pause(clock, micros(200_000 + random.below(300_000)), signal);
    }
    return 0;
  }

  #hello(): ReplicaHello {
    const { config } = this.#parts;
    const { home } = this.#opened;
    return {
      ...this.#engine.levels,
      cluster: home.cluster,
      sender: config.member,
      store: home.store,
      incarnation: this.#incarnation,
      lastIncarnation: this.#lastIncarnation,
      member: config.member,
      zone: config.zone,
      address: this.address,
      pid: config.pid,
      dataDirectory: config.directory,
      version: config.version,
    };
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    const { logger } = this.#parts;
    logger.info({}, 'stopping: handing heads over');
    this.#abort.abort();
    await this.#handOver();
    this.#engine.stop('this replica is stopping');
    await this.#listener?.close(GRACE);
    await this.#within(FLUSH, this.#engine.close());
    await this.#within(FLUSH, this.#flush());
    await this.#opened.home.release();
    logger.info({}, 'stopped');
    this.#end();
  }

  /** Until no journal with other members has its head here; the controllers move them. */
  async #handOver(): Promise<void> {
    const { clock } = this.#parts;
    const { control, journals, driver } = this.#engine;
    if (this.#incarnation === 0 || driver.halted !== null || control.observers === 0) return;
    control.drain();
    const until = clock.now() + HANDOVER;
    const leads = (): boolean =>
      journals.all().some((host) => {
        const configuration = host.state.record?.configuration;
        return host.isHead && configuration !== undefined && order(configuration).length > 1;
      });
    while (leads() && clock.now() < until) await pause(clock, STEP);
  }

  async #flush(): Promise<void> {
    const { volume, metadata } = this.#opened;
    await volume.close();
    await metadata.close();
  }

  /** A hung disk must not hold the process: what was acknowledged is on the disk already. */
  async #within(limit: typeof FLUSH, task: Promise<void>): Promise<void> {
    const { clock, logger } = this.#parts;
    const done = task.catch((error: unknown) => {
      logger.warn({ error: String(error) }, 'stopping was not orderly');
    });
    await new Promise<void>((resolve) => {
      const cancel = clock.after(limit, resolve);
      void done.then(() => {
        cancel();
        resolve();
      });
    });
  }
}
