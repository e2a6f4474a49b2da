// Watches every replica that ever started: dials it, pings it every 50 ms (less often while nothing
// is written there), keeps what it says.
//
// What is kept of a replica stays when it falls silent: whether that matters is judged elsewhere
// (decide/detector.ts). A pong counts as a sign of life only where it answers a newer ping, so
// that a replica which cannot hear us does not pass for one that can.

import type { Cancel, Clock } from '../../../io/clock.ts';
import type { Logger } from '../../../io/logger.ts';
import type { Duplex, Network } from '../../../io/network.ts';
import type { Random } from '../../../io/random.ts';
import type { ChainReport } from '../../../protocol/chain/messages.ts';
import { type JournalId, type Micros, micros, type StoreId } from '../../../protocol/types.ts';
import type {
  Directive,
  Hello,
  Ping,
  Pong,
  ReplicaHealth,
  ReplicaHello,
} from '../../../transport/control.ts';
import { replicaMethods } from '../../../transport/methods.ts';
import { TIMING } from '../config.ts';
import type { NodeRecord } from '../register/records.ts';
import { heard, type SeenReport } from './reports.ts';

const DIAL_MIN = 50_000;
const DIAL_MAX = 1_000_000;
/** A stream without a pong for this long is dialled again. */
const STREAM_DEAD = micros(1_000_000);

/** What is known of the process on one store. */
export interface Seen {
  node: NodeRecord;
  hello: ReplicaHello | null;
  health: ReplicaHealth | null;
  /** Last sign of life, or when we began to look. */
  lastPong: Micros;
  /** When its disk is last known to have completed a sync; 0 for never. */
  lastSync: Micros;
  readonly peaks: Pick<Peaks, 'longest' | 'note'>;
  /** Its wall clock less ours. */
  offset: number;
  readonly reports: Map<JournalId, SeenReport>;
}

export interface ObserverParts {
  readonly clock: Clock;
  readonly random: Random;
  readonly network: Network;
  readonly logger: Logger;
  readonly hello: () => Hello;
  readonly controllers: () => readonly string[];
  readonly featureLevel: () => number;
  readonly directives: (seen: Seen) => readonly Directive[];
  /** Something that decisions are made from has changed; `null`: all journals of the store. */
  readonly onChange: (store: StoreId, journals: readonly JournalId[] | null) => void;
}

export class Observer {
  readonly #parts: ObserverParts;
  readonly #links = new Map<StoreId, Link>();

  constructor(parts: ObserverParts) {
    this.#parts = parts;
  }

  /** Begins to watch, or goes on at another address. */
  watch(node: NodeRecord): void {
    const link = this.#links.get(node.store);
    if (link === undefined) this.#links.set(node.store, new Link(this.#parts, node));
    else link.move(node);
  }

  forget(store: StoreId): void {
    this.#links.get(store)?.close();
    this.#links.delete(store);
  }

  find(store: StoreId): Seen | undefined {
    return this.#links.get(store)?.seen;
  }

  all(): readonly Seen[] {
    return [...this.#links.values()].map(({ seen }) => seen);
  }

  /** There is something to say to this store that should not wait for the next ping. */
  hasten(store: StoreId): void {
    this.#links.get(store)?.ping();
  }

  /** Our own loop was late: the time that we missed is no evidence against anybody. */
  excuse(late: Micros): void {
    const now = this.#parts.clock.now();
    for (const { seen } of this.#links.values()) {
      seen.lastPong = micros(Math.min(now, seen.lastPong + late));
    }
  }

  close(): void {
    for (const link of this.#links.values()) link.close();
  }
}

class Link {
  readonly #parts: ObserverParts;
  readonly seen: Seen;
  #stream: Duplex<Ping, Pong> | null = null;
  #timer: Cancel | null = null;
  #redial: Cancel | null = null;
  #wait = DIAL_MIN;
  #sequence = 0;
  #answered = 0;
  #streamPong: Micros;
  #sentAt = new Map<number, Micros>();
  #syncs = 0;
  #full = false;
  #hastened = false;
  #closed = false;

  constructor(parts: ObserverParts, node: NodeRecord) {
    this.#parts = parts;
    const now = parts.clock.now();
    this.#streamPong = now;
    this.seen = {
      node,
      hello: null,
      health: null,
      lastPong: now,
      lastSync: micros(0),
      peaks: new Peaks(),
      offset: 0,
      reports: new Map(),
    };
    this.#dial();
  }

  move(node: NodeRecord): void {
    const before = this.seen.node;
    this.seen.node = node;
    if (before.address !== node.address) {
      this.#wait = DIAL_MIN;
      this.#stream?.cancel();
    }
    if (this.#redial !== null && before.generation !== node.generation) {
      // It has just started: no need to wait out the pauses that its absence brought.
      this.#redial();
      this.#redial = null;
      this.#dial();
    }
  }

  close(): void {
    this.#closed = true;
    this.#timer?.();
    this.#redial?.();
    this.#stream?.cancel();
  }

  ping(): void {
    if (this.#hastened || this.#stream === null) return;
    this.#hastened = true;
    void Promise.resolve().then(() => {
      this.#hastened = false;
      this.#send();
    });
  }

  #dial(): void {
    if (this.#closed) return;
    const { network, clock } = this.#parts;
    const stream = network.duplex(this.seen.node.address, replicaMethods.observe, {
      timeout: STREAM_DEAD,
    });
    this.#stream = stream;
    this.#streamPong = clock.now();
    this.#full = false;
    this.#sentAt.clear();
    this.#answered = this.#sequence;
    this.#sendHello(stream);
    this.#beat();
    void this.#listen(stream);
  }

  async #listen(stream: Duplex<Ping, Pong>): Promise<void> {
    let first = true;
    let reason = 'the stream ended';
    try {
      for await (const pong of stream.incoming) {
        if (this.#stream !== stream) break;
        if (!this.#take(pong, first)) {
          reason = `another store answers at ${this.seen.node.address}`;
          break;
        }
        if (first) this.#wait = DIAL_MIN;
        first = false;
      }
    } catch (error) {
      reason = error instanceof Error ? error.message : String(error);
    }
    stream.cancel();
    if (this.#stream !== stream || this.#closed) return;
    this.#stream = null;
    this.#timer?.();
    const { clock, random, logger } = this.#parts;
    logger.debug({ store: this.seen.node.store, reason }, 'lost sight of a replica');
    const wait = micros(Math.round(this.#wait / 2 + random.below(this.#wait)));
    this.#wait = Math.min(DIAL_MAX, this.#wait * 2);
    this.#redial = clock.after(wait, () => {
      this.#redial = null;
      this.#dial();
    });
  }

  #beat(): void {
    const { clock } = this.#parts;
    this.#timer?.();
    this.#timer = clock.after(this.#isIdle() ? TIMING.pingIdle : TIMING.ping, () => {
      if (this.#stream === null || this.#closed) return;
      if (clock.now() - this.#streamPong > STREAM_DEAD) {
        this.#stream.cancel();
        return;
      }
      this.#send();
      this.#beat();
    });
  }

  /** Nothing is written there, and what we know of it is whole and fresh. */
  #isIdle(): boolean {
    const { health, hello, lastPong, lastSync } = this.seen;
    const now = this.#parts.clock.now();
    return (
      health !== null &&
      hello !== null &&
      hello.incarnation > 0 &&
      health.syncAge === 0 &&
      now - lastSync > TIMING.idle &&
      now - lastPong < 2 * TIMING.pingIdle
    );
  }

  #sendHello(stream: Duplex<Ping, Pong>): void {
    this.#post(stream, this.#parts.hello(), []);
  }

  #send(): void {
    const stream = this.#stream;
    if (stream === null || this.#full) return;
    const { hello } = this.seen;
    // Its incarnation comes after its first word: asked again until it has one.
    const waits = hello === null || hello.incarnation === 0;
    this.#post(stream, waits ? this.#parts.hello() : undefined, this.#parts.directives(this.seen));
  }

  #post(
    stream: Duplex<Ping, Pong>,
    hello: Hello | undefined,
    directives: readonly Directive[],
  ): void {
    const { clock, controllers, featureLevel } = this.#parts;
    this.#sequence += 1;
    this.#sentAt.set(this.#sequence, clock.now());
    this.#sentAt.delete(this.#sequence - 64);
    const sent = stream.send({
      sequence: this.#sequence,
      hello,
      directives,
      featureLevel: featureLevel(),
      controllers: controllers(),
    });
    if (sent) return;
    this.#full = true;
    stream.drained().then(
      () => {
        if (this.#stream === stream) this.#full = false;
      },
      () => undefined,
    );
  }

  /** False where another store speaks: its address was given to somebody else. */
  #take(pong: Pong, first: boolean): boolean {
    const { seen } = this;
    const { clock, onChange } = this.#parts;
    const now = clock.now();
    if (pong.hello !== undefined) {
      if (pong.hello.store !== seen.node.store) return false;
      this.#greet(pong.hello);
    }
    this.#streamPong = now;
    if (pong.sequence > this.#answered) {
      this.#answered = pong.sequence;
      seen.lastPong = now;
      this.#measureClock(pong, now);
    }
    if (pong.health.syncs > this.#syncs && seen.health !== null) seen.lastSync = now;
    this.#syncs = pong.health.syncs;
    seen.peaks.note(pong.health.syncAge, now);
    const before = seen.health;
    seen.health = pong.health;
    if (first) seen.reports.clear();
    for (const report of pong.reports) this.#keep(report, now);
    for (const journal of pong.gone) seen.reports.delete(journal);
    const { store } = seen.node;
    const turned =
      before === null ||
      before.draining !== pong.health.draining ||
      before.failed !== pong.health.failed;
    if (first || turned || pong.hello !== undefined) onChange(store, null);
    else {
      const changed = pong.reports.map(({ journal }) => journal);
      if (changed.length + pong.gone.length > 0) onChange(store, [...changed, ...pong.gone]);
    }
    return true;
  }

  #greet(hello: ReplicaHello): void {
    const { seen } = this;
    const same = seen.hello?.incarnation === hello.incarnation && seen.hello.pid === hello.pid;
    seen.hello = hello;
    if (same) return;
    // Another process: what its predecessor's disk did is no proof for this one.
    seen.lastSync = micros(0);
    seen.health = null;
    this.#syncs = 0;
    const { store, member, incarnation } = hello;
    this.#parts.logger.info({ store, member, incarnation }, 'a replica answers');
  }

  #measureClock(pong: Pong, now: Micros): void {
    const sent = this.#sentAt.get(pong.sequence);
    if (sent === undefined || now - sent > TIMING.lateness) return;
    this.seen.offset = pong.health.wall + (now - sent) / 2 - this.#parts.clock.wall();
  }

  #keep(report: ChainReport, now: Micros): void {
    const { reports } = this.seen;
    reports.set(report.journal, heard(reports.get(report.journal), report, now));
  }
}

/** The oldest syncs that were seen under way in the last seconds, in two halves. */
class Peaks {
  #turned = micros(0);
  #before = micros(0);
  #now = micros(0);

  get longest(): Micros {
    return micros(Math.max(this.#before, this.#now));
  }

  note(syncAge: Micros, now: Micros): void {
    if (now - this.#turned >= TIMING.peaks / 2) {
      this.#turned = now;
      this.#before = this.#now;
      this.#now = micros(0);
    }
    this.#now = micros(Math.max(this.#now, syncAge));
  }
}
