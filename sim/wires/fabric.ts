// The wires of the simulated world: who reaches whom, how fast, and what happens to the rest.
//
// A cut holds frames back, as a network that drops packets does to TCP; a side that has heard
// nothing for a while takes the connection for broken (keepalive), and what was held is released
// when the cut heals first. Hosts are names; the part of an address before the colon.

import { JournalError } from '../../protocol/errors.ts';
import type { Dice } from '../random.ts';
import type { Actor, World } from '../world.ts';
import type { Connection } from './connection.ts';

/** Set and cleared by faults/ while the world runs. */
export interface NetworkFaults {
  /** Multiplies every delay. */
  slowFactor: number;
  /** Probability, for each frame, that it and all behind it wait for 50 ms to 1 s. */
  stallChance: number;
  /** Probability, for each frame, that its connection breaks, the other side hearing of it late. */
  breakChance: number;
  /** Probability that a call is sent once more, by a proxy, after 1 ms to 5 s. */
  repeatChance: number;
}

/** What came of faults at the wires of one host, to it and from it. */
interface HostCounts {
  /** Frames that a cut held back. */
  held: number;
  /** Frames that took longer, since the link was slow. */
  slowed: number;
  /** Connections that were broken between two hosts. */
  broken: number;
}

/** One-way delay between hosts, in microseconds. */
const NEAR_DELAY: readonly [number, number] = [150, 900];
const JITTER_MICROS = 250;
/** How long a side waits for a sign of life: who called asks more often than who was called. */
const KEEPALIVE_MICROS: Readonly<Record<'near' | 'far', readonly [number, number]>> = {
  near: [300_000, 2_500_000],
  far: [1_000_000, 10_000_000],
};
const BYTES_PER_MICRO = 400;
/**
 * Calls that may arrive twice, and late: those that only read, or that say where a log begins or a
 * cursor is, and those of the registers. Orders are not among them. Appends go by streams, which a
 * connection never repeats: late copies of them come in the walks of sim/explore.
 */
const REPEATED =
  /(\/Session|\/Tail|\/Read|\/Key|\/Trim|\/SetCursor|\/Change|\/Acceptor|\/Journals)$/;

export class Fabric {
  readonly world: World;
  readonly dice: Dice;
  readonly faults: NetworkFaults = {
    slowFactor: 1,
    stallChance: 0,
    breakChance: 0,
    repeatChance: 0,
  };
  /** What came of faults that strike everybody. */
  readonly counts = { stalled: 0, broken: 0, repeated: 0 };
  readonly connections = new Set<Connection>();
  readonly #countsAt = new Map<string, HostCounts>();
  readonly #actors = new Map<string, Actor>();
  readonly #down = new Set<string>();
  readonly #delays = new Map<string, number>();
  readonly #slow = new Map<string, number>();
  /** Directed cuts, with a number of their own: a new cut is not the old one. */
  readonly #cuts = new Map<string, number>();
  #cutNumber = 0;

  constructor(world: World) {
    this.world = world;
    this.dice = world.dice.fork('network');
  }

  /** The process that now runs at a host, whose machine is on. */
  place(host: string, actor: Actor): void {
    this.#actors.set(host, actor);
    this.#down.delete(host);
  }

  /** The machine is off: nobody even refuses there. */
  isDown(host: string): boolean {
    return this.#down.has(host);
  }

  actorAt(host: string): Actor | null {
    return this.#actors.get(host) ?? null;
  }

  isCut(from: string, to: string): boolean {
    return this.#cuts.size > 0 && from !== to && this.#cuts.has(`${from}>${to}`);
  }

  /** Nothing that `from` sends reaches `to` any more. */
  cut(from: string, to: string): void {
    if (from === to) return;
    this.#cutNumber += 1;
    this.#cuts.set(`${from}>${to}`, this.#cutNumber);
    for (const connection of this.#between(from, to)) this.#watch(connection);
  }

  heal(from: string, to: string): void {
    if (!this.#cuts.delete(`${from}>${to}`)) return;
    for (const connection of this.#between(from, to)) connection.release(from);
  }

  healAll(): void {
    for (const pair of [...this.#cuts.keys()]) {
      const [from = '', to = ''] = pair.split('>');
      this.heal(from, to);
    }
    this.#slow.clear();
  }

  countsAt(host: string): Readonly<HostCounts> {
    return this.#countsAt.get(host) ?? { held: 0, slowed: 0, broken: 0 };
  }

  count(what: keyof HostCounts, from: string, to: string): void {
    for (const host of [from, to]) {
      const before = this.countsAt(host);
      this.#countsAt.set(host, { ...before, [what]: before[what] + 1 });
    }
  }

  /** Everything from one host to another takes this many times as long; 1 is as before. */
  slow(from: string, to: string, factor: number): void {
    this.#slow.set(`${from}>${to}`, factor);
  }

  /** Breaks what is open between two hosts; each side hears of it in its own time. */
  breakBetween(one: string, other: string): void {
    for (const connection of this.#between(one, other)) {
      this.count('broken', one, other);
      this.#break(connection);
    }
  }

  /** It breaks by itself. */
  breakConnection(connection: Connection): void {
    this.counts.broken += 1;
    this.#break(connection);
  }

  /** One side takes the connection for broken now, the other up to a second later. */
  #break(connection: Connection): void {
    const { near, far } = connection;
    const end = far !== null && !far.closed && this.dice.chance(0.5) ? far : near;
    const late = this.dice.chance(0.5) ? this.dice.spread(1_000, 1_000_000) : 0;
    connection.break(end, lost(connection), late);
  }

  /** A process stopped answering: its peers find out by themselves. */
  silenced(actor: Actor): void {
    for (const connection of [...this.connections]) {
      if (connection.near.actor === actor || connection.far?.actor === actor) {
        this.#watch(connection);
      }
    }
  }

  /** A process was killed: its kernel closes its connections, unless the machine died with it. */
  ended(actor: Actor, machineToo: boolean): void {
    for (const [host, at] of this.#actors) if (at === actor && machineToo) this.#down.add(host);
    if (machineToo) this.silenced(actor);
    for (const connection of [...this.connections]) {
      for (const end of [connection.near, connection.far]) {
        if (end === null || end.actor !== actor || end.closed) continue;
        if (machineToo) connection.close(end);
        else connection.break(end, lost(connection), 0);
      }
    }
  }

  /** A connection that is opened over a cut, or to a process that does not answer. */
  opened(connection: Connection): void {
    const { near, farHost } = connection;
    const unreachable = this.isCut(near.host, farHost) || this.isCut(farHost, near.host);
    const peer = this.actorAt(farHost);
    if (unreachable || peer?.paused === true || this.isDown(farHost)) this.#watch(connection);
  }

  /** Undisturbed one-way delay of this pair, drawn once. */
  latency(from: string, to: string): number {
    const pair = `${from}>${to}`;
    const known = this.#delays.get(pair);
    if (known !== undefined) return known;
    const drawn = from === to ? 30 : this.dice.fork(`delay/${pair}`).between(...NEAR_DELAY);
    this.#delays.set(pair, drawn);
    return drawn;
  }

  /** How long after a call a proxy sends it once more; null where it does not. */
  repeats(path: string): number | null {
    if (!REPEATED.test(path) || !this.dice.chance(this.faults.repeatChance)) return null;
    this.counts.repeated += 1;
    return this.dice.spread(1_000, 5_000_000);
  }

  /** How long this frame takes. */
  delay(from: string, to: string, bytes: number): number {
    const slowed = this.#slow.size === 0 ? 1 : (this.#slow.get(`${from}>${to}`) ?? 1);
    const slow = this.faults.slowFactor * slowed;
    if (slowed > 1) this.count('slowed', from, to);
    const stalled = this.dice.chance(this.faults.stallChance);
    if (stalled) this.counts.stalled += 1;
    const stall = stalled ? this.dice.spread(50_000, 1_000_000) : 0;
    const flight = this.latency(from, to) + this.dice.below(JITTER_MICROS);
    return flight * slow + bytes / BYTES_PER_MICRO + stall;
  }

  deliver(delay: number, to: Actor | null, label: string, detail: number, task: () => void): void {
    const from = this.world.current;
    if (from !== null) from.acts += 1;
    this.world.schedule(delay, to, 'delivery', label, task, detail);
  }

  /** Checks later whether each side has heard of the other meanwhile, and breaks what is dead. */
  #watch(connection: Connection): void {
    for (const side of ['near', 'far'] as const) {
      const wait = this.dice.between(...KEEPALIVE_MICROS[side]);
      const before = this.#silence(connection);
      this.world.schedule(wait, null, 'world', 'keepalive', () => {
        const end = connection[side];
        if (end === null || end.closed || !end.actor.alive) return;
        const now = this.#silence(connection);
        if (now === null) return;
        // A dead process does not come back; anything else may just have begun anew.
        const dead = [connection.near, connection.far].some((one) => one?.actor.alive === false);
        if (dead || now === before) connection.break(end, lost(connection), 0);
        else this.#watch(connection);
      });
    }
  }

  /** What keeps the sides of a connection from hearing each other; null while they do. */
  #silence(connection: Connection): string | null {
    const { near, farHost } = connection;
    const out = this.isCut(near.host, farHost) ? this.#cuts.get(`${near.host}>${farHost}`) : 0;
    const back = this.isCut(farHost, near.host) ? this.#cuts.get(`${farHost}>${near.host}`) : 0;
    const far = connection.far?.actor ?? this.actorAt(farHost);
    const still = [near.actor, far].map((actor) =>
      actor === null ? '' : actor.alive ? (actor.paused ? 'paused' : '') : 'dead',
    );
    const off = this.isDown(farHost) ? 'off' : '';
    const silence = `${out}/${back}/${still.join('/')}/${off}`;
    return silence === '0/0///' ? null : silence;
  }

  #between(one: string, other: string): Connection[] {
    return [...this.connections].filter(
      ({ near, farHost }) =>
        (near.host === one && farHost === other) || (near.host === other && farHost === one),
    );
  }
}

function lost(connection: Connection): JournalError {
  return new JournalError(
    'UNAVAILABLE',
    `the connection to ${connection.farHost} was lost`,
    {},
    connection.sent ? 'unknown' : 'none',
  );
}
