// The parts of a running replica, wired to one another.

import type { Handler } from '../io/network.ts';
import type { JournalLog, Volume } from '../log/log.ts';
import type { Metadata } from '../log/metadata.ts';
import type { Configuration, Member } from '../protocol/configuration.ts';
import { JournalError } from '../protocol/errors.ts';
import { type JournalId, type Micros, micros } from '../protocol/types.ts';
import type { ReplicaHello } from '../transport/control.ts';
import type { PeerHello } from '../transport/link.ts';
import { controllerMethods } from '../transport/methods.ts';
import type { ClusterStatus, ProcessStatus, ReadAnswer, ReadRequest } from '../transport/public.ts';
import type { ReplicaConfig } from './config.ts';
import { Control, FEATURE_LEVEL_MAX, FEATURE_LEVEL_MIN } from './control.ts';
import type { Controllers } from './controllers.ts';
import { Catchup } from './copy/catchup.ts';
import { fetchHandler } from './copy/fetch.ts';
import { Repair } from './copy/repair.ts';
import { Driver } from './drive/driver.ts';
import type { Host } from './drive/host.ts';
import { Outbox } from './drive/outbox.ts';
import type { Home, World } from './home.ts';
import { Journals } from './journals.ts';
import { Links } from './links.ts';
import { LoopMeter, ReplicaMetrics, SyncMeter } from './metrics.ts';
import { Retention } from './retention.ts';
import { Room } from './room.ts';
import type { Access } from './service/access.ts';
import { adminHandlers } from './service/admin.ts';
import { Appends } from './service/append.ts';
import { Asker } from './service/ask.ts';
import { dataHandlers, readRecords } from './service/data.ts';
import { Directory } from './service/directory.ts';
import { Reader } from './service/reader.ts';
import { Subscriptions } from './service/subscribe.ts';
import { pause, Queue } from './wait.ts';

const MEND_EVERY = micros(1_000_000);
const INQUIRY = micros(2_000_000);

/** A disk that does not take as much as this is as good as full to whoever looks. */
const BATCH_BYTES = 2 ** 20;

export interface EngineParts {
  readonly world: World;
  readonly config: ReplicaConfig;
  readonly access: Access;
  readonly home: Home;
  readonly metadata: Metadata;
  readonly volume: Volume;
  readonly controllers: Controllers;
  hello(): ReplicaHello;
  crash(error: unknown): void;
  /** A newer configuration of a journal came. */
  heard(configuration: Configuration): void;
}

const unanswered = (): never => {
  throw new JournalError('UNAVAILABLE', 'this replica is starting');
};

export class Engine {
  readonly metrics = new ReplicaMetrics();
  readonly levels: { readonly featureLevelMin: number; readonly featureLevelMax: number };
  readonly driver: Driver;
  readonly journals: Journals;
  readonly control: Control;
  readonly #parts: EngineParts;
  readonly #queue: Queue;
  readonly #loop: LoopMeter;
  readonly #links: Links;
  readonly #room: Room;
  readonly #repair: Repair;
  readonly #catchup: Catchup;
  readonly #retention: Retention;
  readonly #subscriptions: Subscriptions;
  readonly #handlers: readonly Handler[];
  readonly #abort = new AbortController();
  readonly #inquiring = new Set<Host>();
  #read: (request: ReadRequest, signal: AbortSignal) => Promise<ReadAnswer> = unanswered;

  constructor(parts: EngineParts) {
    this.#parts = parts;
    const { world, config, volume, metadata, controllers, access } = parts;
    const { clock } = world;
    const { featureLevelMax = FEATURE_LEVEL_MAX } = config;
    this.levels = { featureLevelMin: FEATURE_LEVEL_MIN, featureLevelMax };
    const { metrics } = this;
    const meter = new SyncMeter(clock, metrics);
    this.#queue = new Queue(config.limits);
    this.#loop = new LoopMeter(clock);
    this.driver = new Driver({
      ...world,
      volume,
      metadata,
      meter,
      metrics,
      queue: this.#queue,
      outbox: (host, to) => this.#outbox(host, to),
      moved: () => this.control.changed(),
      inquire: (host) => void this.#inquire(host),
      mending: (task) => this.#repair.mending(task),
      crash: parts.crash,
    });
    const { driver } = this;
    this.#catchup = new Catchup({ ...world, driver });
    this.journals = this.#makeJournals();
    const { journals } = this;
    this.#repair = this.#makeRepair();
    this.#room = new Room({
      ...world,
      volume,
      driver,
      hosts: () => journals.all(),
      announce: (full) => this.#links.announce(full),
    });
    this.#links = new Links({
      ...world,
      access,
      room: this.#room,
      driver,
      hello: () => this.#peerHello(),
      find: (journal) => journals.find(journal),
      hosts: () => journals.all(),
    });
    this.control = new Control({
      ...world,
      access,
      directory: config.directory,
      metadata,
      driver,
      journals,
      controllers,
      full: () => volume.admit(BATCH_BYTES)?.message ?? this.#room.full,
      meter,
      loop: this.#loop,
      hello: parts.hello,
    });
    this.#retention = new Retention({ ...world, driver, journals });
    const asker = new Asker(clock, driver);
    const reader = new Reader(asker, this.#repair);
    const { subscriptionsMax } = config.limits;
    this.#subscriptions = new Subscriptions({ clock, asker, reader, metrics, subscriptionsMax });
    this.#handlers = this.#serve(asker, reader);
  }

  #makeJournals(): Journals {
    const { world, volume, metadata, home, heard } = this.#parts;
    return new Journals(
      {
        ...world,
        volume,
        metadata,
        driver: this.driver,
        follow: (host, source) => this.#catchup.follow(host, source),
        mend: (log) => this.#mend(log),
        peersChanged: () => this.#links.retain(this.journals.peers()),
        heard,
      },
      { store: home.store, incarnation: 0 },
    );
  }

  #makeRepair(): Repair {
    const { world, home } = this.#parts;
    return new Repair({
      ...world,
      metrics: this.metrics,
      store: home.store,
      find: (journal) => this.journals.repairable(journal),
      replicas: () => this.#replicas(),
      mended: (journal) => this.#mended(journal),
    });
  }

  #serve(asker: Asker, reader: Reader): readonly Handler[] {
    const { world, access, controllers, config } = this.#parts;
    const { defaults = {} } = config;
    const directory = new Directory(world.clock, controllers, this.journals);
    const { metrics } = this;
    const reading = { asker, reader, directory, metrics };
    this.#read = (request, signal) => readRecords(reading, request, signal);
    const refusing = (host: Host): JournalError | null => this.#retention.refusing(host);
    const appends = new Appends({ asker, directory, room: this.#room, metrics, access, refusing });
    const subscriptions = this.#subscriptions;
    return [
      ...dataHandlers({ ...world, ...reading, access, appends, subscriptions }),
      ...adminHandlers({ ...world, access, controllers, directory, defaults }),
      this.#links.handler(),
      fetchHandler({ ...world, access, find: (journal) => this.journals.find(journal) }),
      this.control.handler(),
    ];
  }

  handlers(): readonly Handler[] {
    return this.#handlers;
  }

  /** Records for this process's own page. NOT_HEAD where other replicas have the journal. */
  read(request: ReadRequest, signal: AbortSignal): Promise<ReadAnswer> {
    return this.#read(request, signal);
  }

  /** The cluster for this process's own page. UNAVAILABLE where no controller answers. */
  status(timeout: Micros, signal: AbortSignal): Promise<ClusterStatus> {
    const { controllers } = this.#parts;
    return controllers.ask(controllerMethods.status, {}, { timeout, signal });
  }

  async #replicas(): Promise<readonly ProcessStatus[]> {
    try {
      const { processes } = await this.status(INQUIRY, this.#abort.signal);
      return processes.filter(({ kind, address }) => kind === 'replica' && address !== '');
    } catch (error) {
      if (!(error instanceof JournalError)) throw error;
      return [];
    }
  }

  /** Opens the journals: they report, and take part in nothing yet. */
  async open(): Promise<void> {
    await this.journals.open();
    this.#links.retain(this.journals.peers());
  }

  /** From here on what the controllers decide is carried out. */
  async begin(incarnation: number): Promise<void> {
    const { home, volume, config } = this.#parts;
    await this.journals.begin({ store: home.store, incarnation });
    this.control.changed();
    this.#run(this.#retention.run());
    this.#run(this.#room.run(this.#abort.signal));
    const { scrubBytesPerSecond } = config.limits;
    if (scrubBytesPerSecond === 0) return;
    const { signal } = this.#abort;
    this.#run(
      volume.scrub(scrubBytesPerSecond, signal, (damage) => void this.#repair.take(damage)),
    );
  }

  /** A task that lasts as long as the replica: what it throws is a broken rule. */
  #run(task: Promise<void>): void {
    task.catch((error: unknown) => {
      const stopped = this.#abort.signal.aborted || this.#parts.volume.failed !== null;
      if (!stopped) this.#parts.crash(error);
    });
  }

  #peerHello(): PeerHello {
    const { cluster, store, incarnation, address } = this.#parts.hello();
    return { kind: 'hello', ...this.levels, cluster, from: { store, incarnation }, address };
  }

  #outbox(host: Host, to: Member): Outbox {
    const known = host.outboxes.get(to.store);
    if (known !== undefined && known.address === to.address) return known;
    const { logger } = this.#parts.world;
    const source = {
      journal: host.journal,
      log: host.log,
      me: host.state.me,
      logger,
      standing: () => host.standing(),
      mend: (error: JournalError) => this.#repair.mend(error),
    };
    const made = new Outbox(source, to, this.#links);
    host.outboxes.set(to.store, made);
    return made;
  }

  /** Bytes of the log are good again: its machine may learn of which epochs they are. */
  #mended(journal: JournalId): void {
    const host = this.journals.find(journal);
    if (host === undefined) return;
    this.driver.post(host, { kind: 'based', shape: host.log.shape(), tables: null });
  }

  /** A peer is in a newer epoch: the controllers say what is true. */
  async #inquire(host: Host): Promise<void> {
    if (this.#inquiring.has(host)) return;
    this.#inquiring.add(host);
    const { controllers } = this.#parts;
    try {
      const { configurations } = await controllers.ask(
        controllerMethods.journals,
        { name: host.known?.name ?? '' },
        { timeout: INQUIRY, signal: this.#abort.signal },
      );
      const newest = configurations.find(({ journal }) => journal === host.journal);
      if (newest !== undefined) await this.journals.configure(newest);
    } catch (error) {
      if (!(error instanceof JournalError)) this.#parts.crash(error);
    } finally {
      this.#inquiring.delete(host);
    }
  }

  async #mend(log: JournalLog): Promise<void> {
    for (const damage of log.damages()) await this.#repair.take(damage);
    if (log.damages().length === 0) return;
    await pause(this.#parts.world.clock, MEND_EVERY, this.#abort.signal);
  }

  measure(): void {
    const { volume } = this.#parts;
    const { bytesUsed, bytesFree, segments } = volume.stats;
    const volumeGauges = {
      bytesUsed,
      bytesFree,
      segments,
      queueBytes: this.#queue.bytes,
      queueRequests: this.#queue.requests,
      loopDelay: this.#loop.delay(),
    };
    const journals = this.journals.all().map((host) => {
      const { state, log, name } = host;
      const { subscriptions, lag } = this.#subscriptions.gauge(host);
      return {
        journal: name,
        epoch: state.record?.epoch ?? 0,
        endLsn: state.shape.endLsn,
        durableLsn: state.durableLsn,
        committedLsn: state.committedLsn,
        baseLsn: state.shape.baseLsn,
        bytes: log.bytes,
        subscriptions,
        subscriberLag: lag,
      };
    });
    this.metrics.gauge(volumeGauges, journals);
  }

  /** Takes no step any more; what waits is refused. */
  stop(reason: string): void {
    this.#abort.abort();
    this.#subscriptions.close();
    this.driver.halt(reason);
  }

  async close(): Promise<void> {
    this.#retention.close();
    this.#catchup.close();
    this.#links.close();
    this.#loop.close();
    await Promise.all(this.journals.all().map((host) => host.disk));
  }
}
