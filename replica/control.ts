// What the controllers hear from this replica, and what it does at their word.
//
// A controller dials and pings; each ping is answered at once with the health of the disk and of
// the loop, and with the reports that changed. Directives are repeated until the reports show that
// they were carried out, so one that comes while the last ones are carried out is passed over.

import type { Clock } from '../io/clock.ts';
import type { Disk } from '../io/disk.ts';
import type { Logger } from '../io/logger.ts';
import { bidiStream, type Duplex, type Handler } from '../io/network.ts';
import type { Metadata } from '../log/metadata.ts';
import type { ChainReport } from '../protocol/chain/messages.ts';
import { report } from '../protocol/chain/state.ts';
import { JournalError } from '../protocol/errors.ts';
import { type JournalId, micros } from '../protocol/types.ts';
import type {
  Directive,
  Hello,
  Ping,
  Pong,
  ReplicaHealth,
  ReplicaHello,
} from '../transport/control.ts';
import { replicaMethods } from '../transport/methods.ts';
import type { Controllers } from './controllers.ts';
import type { Driver } from './drive/driver.ts';
import type { Host } from './drive/host.ts';
import type { Journals } from './journals.ts';
import type { LoopMeter, SyncMeter } from './metrics.ts';
import type { Access } from './service/access.ts';

/** Feature levels of the wire between processes of one cluster that this code understands. */
export const FEATURE_LEVEL_MIN = 1;
export const FEATURE_LEVEL_MAX = 1;

const PROBE_AGAIN = micros(500_000);
const SPACE_EVERY = micros(1_000_000);

export interface ControlParts {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly disk: Disk;
  readonly directory: string;
  readonly metadata: Metadata;
  readonly driver: Driver;
  readonly journals: Journals;
  readonly controllers: Controllers;
  readonly meter: SyncMeter;
  readonly loop: LoopMeter;
  readonly access: Access;
  /** Why the volume takes no records; empty where it does. */
  readonly full: () => string;
  /** As it is now: the incarnation comes later than the first ping. */
  hello(): ReplicaHello;
}

/** The report of a journal, also as text, and the version of the journal that it is of. */
interface Said {
  readonly version: number;
  readonly report: ChainReport;
  readonly text: string;
}

/** One controller that observes this replica. */
interface Observer {
  readonly stream: Duplex<Pong, Ping>;
  /** What it was last told of each journal. */
  readonly told: Map<JournalId, Said>;
  greeted: boolean;
  /** Incarnation in the last hello: a start that came later is told with the next pong. */
  incarnation: number;
  sequence: number;
  probing: number;
  probed: number;
  carrying: boolean;
  full: boolean;
}

export class Control {
  readonly #parts: ControlParts;
  readonly #observers = new Set<Observer>();
  readonly #said = new WeakMap<Host, Said>();
  #pushing = false;
  #space = { freeBytes: 0, totalBytes: 0 };
  #spaceAt = micros(0);
  #draining = false;
  #superseded = false;

  constructor(parts: ControlParts) {
    this.#parts = parts;
  }

  get draining(): boolean {
    return this.#draining;
  }

  /** How many controllers observe this replica now. */
  get observers(): number {
    return this.#observers.size;
  }

  /** Asks the controllers to move heads away: this process is about to end. */
  drain(): void {
    this.#draining = true;
    this.changed();
  }

  handler(): Handler {
    return bidiStream(replicaMethods.observe, (stream, context) => {
      this.#parts.access(context, 'member', null);
      return this.#observe(stream);
    });
  }

  /** Something changed that the controllers should hear of before their next ping. */
  changed(): void {
    if (this.#pushing || this.#observers.size === 0) return;
    this.#pushing = true;
    void Promise.resolve().then(() => {
      this.#pushing = false;
      for (const observer of this.#observers) {
        if (observer.greeted && !observer.full) this.#answer(observer, []);
      }
    });
  }

  async #observe(stream: Duplex<Pong, Ping>): Promise<void> {
    const observer: Observer = {
      stream,
      told: new Map(),
      greeted: false,
      incarnation: 0,
      sequence: 0,
      probing: 0,
      probed: 0,
      carrying: false,
      full: false,
    };
    this.#observers.add(observer);
    try {
      for await (const ping of stream.incoming) {
        await this.#refreshSpace();
        this.#take(observer, ping);
        if (!observer.full) continue;
        await stream.drained();
        observer.full = false;
      }
    } finally {
      this.#observers.delete(observer);
    }
  }

  #take(observer: Observer, ping: Ping): void {
    if (ping.hello !== undefined) this.#check(ping.hello);
    else if (!observer.greeted) {
      throw new JournalError('INCOMPATIBLE', 'the first ping of a stream carries no hello');
    }
    observer.sequence = ping.sequence;
    this.#outgrown(ping.featureLevel);
    const { controllers, metadata, logger, driver } = this.#parts;
    if (controllers.learn(ping.controllers)) {
      const bytes = new TextEncoder().encode(JSON.stringify(controllers.addresses));
      metadata.save(new Map([['controllers', bytes]])).catch((error: unknown) => {
        logger.warn({ error: String(error) }, 'addresses of controllers were not saved');
        driver.unsaved(error);
      });
    }
    const greeting = ping.hello !== undefined;
    this.#answer(observer, ping.directives, greeting);
    observer.greeted = true;
    if (!observer.carrying && ping.directives.length > 0) {
      void this.#carryOut(observer, ping.directives);
    }
  }

  #check(hello: Hello): void {
    const mine = this.#parts.hello();
    if (hello.cluster !== mine.cluster) {
      throw new JournalError(
        'INCOMPATIBLE',
        `cluster is ${hello.cluster}, allowed is ${mine.cluster}`,
      );
    }
    const { featureLevelMin: low, featureLevelMax: high } = hello;
    if (low <= mine.featureLevelMax && high >= mine.featureLevelMin) return;
    throw new JournalError(
      'INCOMPATIBLE',
      `feature levels are ${low} to ${high}, ` +
        `allowed are ${mine.featureLevelMin} to ${mine.featureLevelMax}`,
    );
  }

  #answer(observer: Observer, directives: readonly Directive[], greeting = false): void {
    const { journals } = this.#parts;
    const unopened = new Map(journals.unopened().map((one) => [one.journal, saidOf(-1, one)]));
    const said = [...journals.all().map((host) => this.#say(host)), ...unopened.values()];
    const reports = said.flatMap((now) => {
      const told = observer.told.get(now.report.journal);
      if (told === now) return [];
      observer.told.set(now.report.journal, now);
      return told?.text === now.text ? [] : [now.report];
    });
    const gone = [...observer.told.keys()].filter(
      (id) => journals.find(id) === undefined && !unopened.has(id),
    );
    for (const journal of gone) observer.told.delete(journal);
    const hello = this.#parts.hello();
    const news = greeting || hello.incarnation !== observer.incarnation;
    observer.incarnation = hello.incarnation;
    const asked = directives.some(({ kind }) => kind === 'inventory');
    const pong: Pong = {
      sequence: observer.sequence,
      hello: news ? hello : undefined,
      health: this.#health(observer),
      reports,
      gone,
      inventory: asked ? journals.inventory() : [],
    };
    observer.full = !observer.stream.send(pong);
  }

  /** The report of a journal as it is now: made once for all who observe. */
  #say(host: Host): Said {
    const before = this.#said.get(host);
    if (before !== undefined && before.version === host.version) return before;
    const said = saidOf(host.version, report(host.state));
    this.#said.set(host, said);
    return said;
  }

  #health(observer: Observer): ReplicaHealth {
    const { meter, loop, clock, driver } = this.#parts;
    return {
      syncAge: meter.age(),
      syncMedian: meter.median(),
      syncs: meter.count,
      probe: observer.probed,
      loopDelay: loop.delay(),
      wall: clock.wall(),
      diskFreeBytes: this.#space.freeBytes,
      diskTotalBytes: this.#space.totalBytes,
      failed: driver.halted ?? '',
      draining: this.#draining,
      full: this.#parts.full(),
    };
  }

  async #refreshSpace(): Promise<void> {
    const { clock, disk, directory } = this.#parts;
    const now = clock.now();
    if (this.#spaceAt !== 0 && now - this.#spaceAt < SPACE_EVERY) return;
    this.#spaceAt = now;
    // Not awaited beyond the first time: a hung disk must not silence the pongs.
    const asking = disk.space(directory).then(
      (space) => {
        this.#space = space;
      },
      () => undefined,
    );
    if (this.#space.totalBytes === 0) await Promise.race([asking, this.#briefly()]);
  }

  #briefly(): Promise<void> {
    return new Promise((resolve) => {
      this.#parts.clock.after(micros(20_000), resolve);
    });
  }

  async #carryOut(observer: Observer, directives: readonly Directive[]): Promise<void> {
    observer.carrying = true;
    try {
      for (const directive of directives) await this.#follow(observer, directive);
    } catch (error) {
      this.#parts.logger.error({ error: String(error) }, 'a directive was not carried out');
    } finally {
      observer.carrying = false;
    }
  }

  async #follow(observer: Observer, directive: Directive): Promise<void> {
    const { journals, driver } = this.#parts;
    if (directive.kind === 'superseded') this.#supersede(directive.incarnation);
    else if (directive.kind === 'inventory' || this.#parts.hello().incarnation === 0) return;
    else if (driver.halted !== null) return;
    else if (directive.kind === 'configure') await journals.configure(directive.configuration);
    else if (directive.kind === 'wedge') journals.wedge(directive.journal, directive.epoch);
    else if (directive.kind === 'learn') {
      await journals.learn(directive.configuration, directive.source);
    } else void this.#probe(observer, directive.probe);
  }

  /** The cluster has begun to use what this version does not know: it takes part no more. */
  #outgrown(level: number): void {
    const { driver, logger, hello } = this.#parts;
    const { featureLevelMax } = hello();
    if (level <= featureLevelMax || driver.halted !== null) return;
    const known = `this version knows up to ${featureLevelMax}`;
    logger.error({ level, featureLevelMax }, 'this version is too old for the cluster');
    driver.halt(`the cluster is at feature level ${level}, ${known}: start a newer one`);
    this.changed();
  }

  /** Two processes on one volume: the later start wins, this one writes nothing any more. */
  #supersede(incarnation: number): void {
    const mine = this.#parts.hello().incarnation;
    if (incarnation <= mine || mine === 0 || this.#superseded) return;
    this.#superseded = true;
    const reason = `superseded: start ${incarnation} of this store is newer than ${mine}`;
    this.#parts.logger.error({ mine, incarnation }, 'superseded by a newer start of this store');
    this.#parts.driver.halt(reason);
    this.changed();
  }

  /** A sync for its own sake, on the disk of the volume: it proves that the disk still syncs. */
  async #probe(observer: Observer, probe: number): Promise<void> {
    if (probe === observer.probing || this.#parts.driver.halted !== null) return;
    observer.probing = probe;
    const { metadata, meter, logger, driver } = this.#parts;
    const bytes = new TextEncoder().encode(String(probe));
    try {
      await meter.measure(() => metadata.save(new Map([['probe', bytes]])));
      observer.probed = probe;
      this.changed();
    } catch (error) {
      logger.error({ error: String(error) }, 'a probe of the disk failed');
      driver.unsaved(error);
      // The same one is asked for until it succeeds: a full disk may have room again.
      this.#parts.clock.after(PROBE_AGAIN, () => {
        if (observer.probing === probe) observer.probing = observer.probed;
      });
    }
  }
}

const saidOf = (version: number, now: ChainReport): Said => ({
  version,
  report: now,
  text: JSON.stringify(now),
});
