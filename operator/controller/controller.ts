// One chain controller: an acceptor of the registers, and the watch over every journal. It runs
// wholly over io/, so that the simulator runs the same code.
//
//   directory → metadata → acceptor → serve (start nonces first) → registers → watch
//
// The parts are wired here and nowhere else. After a failed save, or where a peer knows this volume
// for an old copy, `ended` rejects and the process must end.

import type { Registry } from 'prom-client';
import type { Cancel, Clock } from '../../io/clock.ts';
import type { Disk } from '../../io/disk.ts';
import type { Logger } from '../../io/logger.ts';
import type { CallContext, Listener, Network } from '../../io/network.ts';
import type { Random } from '../../io/random.ts';
import { METADATA_DIRECTORY } from '../../log/layout.ts';
import { type Metadata, openMetadata } from '../../log/metadata.ts';
import { JournalError } from '../../protocol/errors.ts';
import type { AcceptorView } from '../../protocol/paxos/invariants.ts';
import type { AcceptorSet } from '../../protocol/paxos/messages.ts';
import { type Micros, micros } from '../../protocol/types.ts';
import type { ClusterStatus } from '../../transport/public.ts';
import { type ControllerConfig, FEATURE_LEVEL_MAX } from './config.ts';
import { type ControllerHome, openControllerHome } from './format.ts';
import { Group } from './group.ts';
import { Gauges, type Metrics, openMetrics } from './metrics.ts';
import type { Told } from './register/acceptor.ts';
import { controllerHandlers } from './service.ts';
import { clusterStatus } from './status.ts';
import { Watch } from './watch.ts';

export interface ControllerParts {
  readonly clock: Clock;
  readonly random: Random;
  readonly disk: Disk;
  readonly network: Network;
  readonly logger: Logger;
  readonly config: ControllerConfig;
  /** Throws where the caller is no process of this cluster; everybody may call without it. */
  readonly access?: ((context: CallContext) => void) | undefined;
  /** Told of each step of the acceptor, where somebody looks at all of them together. */
  readonly stepped?: ((key: string, acceptor: AcceptorView) => void) | undefined;
  /** Told of each answer about a register: the ballots that it lets others know of. */
  readonly answered?: ((key: string, told: Told) => void) | undefined;
  /** Told of each peer that has the start of this process on its disk. */
  readonly known?: ((peer: string) => void) | undefined;
}

export interface Controller {
  /** `host:port` as it is reached. */
  readonly address: string;
  readonly id: string;
  readonly cluster: string;
  /** Resolves when the registers were read and journals are watched. */
  readonly started: Promise<void>;
  /** Resolves when it was closed, rejects when it must not go on: the process must end then. */
  readonly ended: Promise<void>;
  readonly registry: Registry;
  /** Why it is not of use yet; empty once it is. */
  unready(): string;
  status(): ClusterStatus;
  /** Brings the gauges up to date. */
  measure(): void;
  close(): Promise<void>;
}

const BEAT = micros(25_000);
/** While all is calm. */
const BEAT_CALM = micros(150_000);
const GRACE = micros(200_000);

/** Rejects where the directory was not formatted, is in use or another's; or the port is taken. */
export async function startController(parts: ControllerParts): Promise<Controller> {
  const { disk, logger, config } = parts;
  const home = await openControllerHome(disk, config);
  try {
    const metadata = await openMetadata({
      disk,
      directory: `${config.directory}/${METADATA_DIRECTORY}`,
      logger,
    });
    const running = new RunningController(parts, home, metadata);
    await running.open();
    return running;
  } catch (error) {
    await home.release();
    throw error;
  }
}

class RunningController implements Controller {
  readonly #parts: ControllerParts;
  readonly #home: ControllerHome;
  readonly #metadata: Metadata;
  readonly #metrics: Metrics = openMetrics();
  readonly #gauges = new Gauges(this.#metrics.registry);
  readonly ended: Promise<void>;
  readonly started: Promise<void>;
  #start: () => void = () => {};
  #end: () => void = () => {};
  #fail: (error: Error) => void = () => {};
  #listener: Listener | null = null;
  #group: Group | null = null;
  #watch: Watch | null = null;
  #beat: Cancel | null = null;
  /** The next beat is far away. */
  #calm = false;
  #note = 'its acceptor is not confirmed by a peer yet';
  #closing: Promise<void> | null = null;

  constructor(parts: ControllerParts, home: ControllerHome, metadata: Metadata) {
    this.#parts = parts;
    this.#home = home;
    this.#metadata = metadata;
    this.started = new Promise((resolve) => {
      this.#start = resolve;
    });
    this.ended = new Promise((resolve, reject) => {
      this.#end = resolve;
      this.#fail = reject;
    });
    // Whoever holds the controller awaits `ended`; a rejection before that is not unhandled.
    this.ended.catch(() => undefined);
  }

  get address(): string {
    const { advertise } = this.#parts.config;
    return advertise === '' ? (this.#listener?.address ?? '') : advertise;
  }

  get id(): string {
    return this.#home.id;
  }

  get cluster(): string {
    return this.#home.cluster;
  }

  get registry(): Registry {
    return this.#metrics.registry;
  }

  unready(): string {
    if (this.#note !== '') return this.#note;
    const { catalog } = this.#opened().watch;
    if (catalog.rebuilding) return 'the registers are to be rebuilt';
    return catalog.complete ? '' : 'the registers were not read yet';
  }

  status(): ClusterStatus {
    const { clock } = this.#parts;
    const { group, watch } = this.#opened();
    const { register } = group;
    const { catalog, observer, gossip, reconfigurer, changes } = watch;
    return clusterStatus({
      now: () => clock.now(),
      cluster: this.cluster,
      id: this.id,
      register,
      catalog,
      observer,
      gossip,
      reconfigurer,
      about: () => this.#about(),
      refusal: (member) => changes.refusal(member),
    });
  }

  measure(): void {
    // Before the registers were read there is nothing to say.
    if (this.#watch?.catalog.complete !== true) return;
    this.#gauges.set(this.status(), this.#watch.catalog.configurations());
  }

  async open(): Promise<void> {
    const { network, config, logger } = this.#parts;
    const group = await Group.open({
      ...this.#parts,
      home: this.#home,
      metadata: this.#metadata,
      onOpen: () => this.#serve(),
      onHint: (key) => this.#watch?.catalog.touch(key),
      onOther: (key) => this.#watch?.reconfigurer.othersAct(key),
      onSet: () => this.#watch?.onSet(),
      changed: (took) => this.#metrics.registerChange(took / 1_000_000),
      onGossip: (gossip) => this.#opened().watch.gossip.take(gossip),
      onReplaced: (set) => this.#replaced(set),
      onFailed: (error) => this.#crash(error),
    });
    this.#group = group;
    this.#watch = new Watch({
      ...this.#parts,
      group,
      metrics: this.#metrics,
      cluster: this.cluster,
      id: this.id,
      about: () => this.#about(),
      onNews: () => this.#hasten(),
    });
    const handlers = controllerHandlers({
      cluster: this.cluster,
      register: () => group.register,
      catalog: () => this.#opened().watch.catalog,
      changes: () => this.#opened().watch.changes,
      admin: () => this.#opened().watch.admin,
      lost: (journal) => this.#opened().watch.reconfigurer.lost(journal),
      status: () => this.status(),
      talk: (request) => group.talk(request),
      starting: () => this.#note,
      access: this.#parts.access ?? (() => undefined),
    });
    this.#listener = await network.serve(config.listen, handlers);
    const { id, cluster, address } = this;
    logger.info({ id, cluster, address }, 'a controller serves');
    group.start();
  }

  /** Peers have confirmed the acceptor: from here on the registers can be used. */
  #serve(): void {
    this.#note = '';
    const { watch } = this.#opened();
    watch.start().then(
      () => this.#start(),
      (error: unknown) => this.#crash(error instanceof Error ? error : new Error(String(error))),
    );
    this.#beatOn(this.#parts.clock.now());
  }

  /** News came: a calm beat may be too far away. */
  #hasten(): void {
    if (!this.#calm || this.#closing !== null) return;
    this.#beat?.();
    this.#calm = false;
    this.#beatOn(this.#parts.clock.now());
  }

  #beatOn(begun: Micros): void {
    const { clock } = this.#parts;
    this.#calm = this.#watch?.calm === true;
    const wait = this.#calm ? BEAT_CALM : BEAT;
    this.#beat = clock.after(wait, () => {
      if (this.#closing !== null) return;
      this.#calm = false;
      const late = micros(Math.max(0, clock.now() - begun - wait));
      this.#metrics.loopLate(late / 1_000_000);
      try {
        this.#opened().watch.beat(late);
      } catch (error) {
        this.#crash(error instanceof Error ? error : new Error(String(error)));
        return;
      }
      this.#beatOn(clock.now());
    });
  }

  #replaced({ version, seats }: AcceptorSet): void {
    const names = seats.map(({ id }) => id).join(', ');
    const note =
      `controller ${this.id} was replaced: the controllers are ${names} now ` +
      `(set ${version}). This process is of no use any more: stop it`;
    if (note !== this.#note) this.#parts.logger.error({ version, seats }, note);
    this.#note = note;
  }

  #about() {
    const { zone, pid, version, directory, featureLevelMax } = this.#parts.config;
    return {
      store: this.#home.store,
      address: this.address,
      zone,
      pid,
      version,
      dataDirectory: directory,
      featureLevelMax: featureLevelMax ?? FEATURE_LEVEL_MAX,
      note: this.#note,
    };
  }

  #opened(): { readonly group: Group; readonly watch: Watch } {
    const group = this.#group;
    const watch = this.#watch;
    if (group === null || watch === null) {
      throw new JournalError('UNAVAILABLE', 'the controller starts');
    }
    return { group, watch };
  }

  #crash(error: Error): void {
    this.#note = error.message;
    this.#parts.logger.error({ error: error.message }, 'the controller cannot go on');
    this.#fail(error);
    void this.close();
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#beat?.();
    this.#watch?.close();
    await this.#listener?.close(GRACE);
    await this.#group?.close();
    await this.#metadata.close();
    await this.#home.release();
    this.#end();
  }
}
