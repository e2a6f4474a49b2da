// One stream between two processes of the simulated world: two FIFO pipes that break as a whole.
//
// Each side learns of the break in its own time: frames that were in flight still arrive at a side
// that has not heard of it yet, also when the other side has long opened a new connection.

import { JournalError } from '../../protocol/errors.ts';
import type { Dice } from '../random.ts';
import type { Actor, World } from '../world.ts';

/** What a connection needs of the network that carries it (fabric.ts). */
export interface Carrier {
  readonly world: World;
  readonly dice: Dice;
  readonly faults: { readonly breakChance: number };
  readonly connections: { delete(connection: Connection): boolean };
  isDown(host: string): boolean;
  isCut(from: string, to: string): boolean;
  count(what: 'held', from: string, to: string): void;
  latency(from: string, to: string): number;
  delay(from: string, to: string, bytes: number): number;
  deliver(delay: number, to: Actor | null, label: string, detail: number, task: () => void): void;
  breakConnection(connection: Connection): void;
}

export type Frame =
  | { readonly kind: 'open' | 'message'; readonly bytes: Uint8Array }
  | { readonly kind: 'end' }
  | { readonly kind: 'error'; readonly error: JournalError }
  /** The other side is gone or gave up; nothing more follows. */
  | { readonly kind: 'reset'; readonly code: 'CANCELLED' | 'UNAVAILABLE' };

/** One end of a connection. */
export interface End {
  readonly host: string;
  readonly actor: Actor;
  receive(frame: Frame): void;
  /** The connection is broken as far as this end knows. */
  broken(error: JournalError): void;
  closed: boolean;
}

interface Pipe {
  /** When the last frame arrives: none overtakes another. */
  arrival: number;
  /** Frames that a cut holds back. */
  readonly held: Frame[];
  /** Bytes sent that the reader has not taken. */
  waitingBytes: number;
  /** Called once the reader has taken enough. */
  onRoom: (() => void) | null;
}

const pipe = (): Pipe => ({ arrival: 0, held: [], waitingBytes: 0, onRoom: null });

export class Connection {
  readonly number: number;
  readonly path: string;
  readonly near: End;
  /** Null until the request has reached a listener. */
  far: End | null = null;
  readonly farHost: string;
  /** Whether any byte of it was on the wire. */
  sent = false;
  readonly #fabric: Carrier;
  readonly #out = pipe();
  readonly #back = pipe();
  readonly #accept: () => End | null;

  /** `accept` is asked when the connection reaches the far host: null where nobody listens. */
  constructor(
    fabric: Carrier,
    number: number,
    path: string,
    near: End,
    farHost: string,
    accept: () => End | null,
  ) {
    this.#fabric = fabric;
    this.number = number;
    this.path = path;
    this.near = near;
    this.farHost = farHost;
    this.#accept = accept;
  }

  get over(): boolean {
    return this.near.closed && (this.far === null || this.far.closed);
  }

  /** Sends towards the side that is not `from`. */
  send(from: End, frame: Frame): void {
    if (from.closed) return;
    this.#transmit(from === this.near, frame);
  }

  /** Bytes that `from` sent and the other side has not read. */
  waitingBytes(from: End): number {
    return (from === this.near ? this.#out : this.#back).waitingBytes;
  }

  /** The reader `at` has taken bytes: the sender hears of it a while later, if it waits. */
  taken(at: End, bytes: number): void {
    const way = at === this.near ? this.#back : this.#out;
    const sender = at === this.near ? this.far : this.near;
    way.waitingBytes -= bytes;
    const room = way.onRoom;
    if (room === null || sender === null) return;
    way.onRoom = null;
    const delay = this.#fabric.latency(at.host, sender.host);
    this.#fabric.deliver(delay, sender.actor, `room #${this.number}`, 0, room);
  }

  /** Settles once the other side has read something, or the connection is over. */
  room(from: End): Promise<void> {
    if (from.closed) return Promise.resolve();
    const way = from === this.near ? this.#out : this.#back;
    return new Promise((resolve) => {
      const before = way.onRoom;
      way.onRoom = () => {
        before?.();
        resolve();
      };
    });
  }

  /** This end takes the connection for broken, and tells the other `resetDelay` later. */
  break(end: End, error: JournalError, resetDelay: number): void {
    if (end.closed) return;
    this.close(end);
    this.#fabric.deliver(0, end.actor, `broken ${this.path} #${this.number}`, 0, () =>
      end.broken(error),
    );
    this.reset(end, error.code === 'CANCELLED' ? 'CANCELLED' : 'UNAVAILABLE', resetDelay);
  }

  /** Tells the other side that this one is gone; the frames before it arrive first. */
  reset(end: End, code: 'CANCELLED' | 'UNAVAILABLE', delay: number): void {
    this.#transmit(end === this.near, { kind: 'reset', code }, delay);
  }

  /** Done with, as far as this end is concerned. */
  close(end: End): void {
    end.closed = true;
    const way = end === this.near ? this.#out : this.#back;
    const room = way.onRoom;
    way.onRoom = null;
    if (room !== null) room();
    if (this.over) this.#fabric.connections.delete(this);
  }

  /** What a cut has held back goes on its way. */
  release(fromHost: string): void {
    for (const outward of [true, false]) {
      if ((outward ? this.near.host : this.farHost) !== fromHost) continue;
      const { held } = outward ? this.#out : this.#back;
      for (const frame of held.splice(0)) this.#transmit(outward, frame);
    }
  }

  #transmit(outward: boolean, frame: Frame, extra = 0): void {
    const way = outward ? this.#out : this.#back;
    const [from, to] = outward ? [this.near.host, this.farHost] : [this.farHost, this.near.host];
    if (outward) this.sent = true;
    if (this.#fabric.isCut(from, to)) {
      this.#fabric.count('held', from, to);
      way.held.push(frame);
      return;
    }
    const bytes = 'bytes' in frame ? frame.bytes : null;
    if (bytes !== null && extra === 0) way.waitingBytes += bytes.length;
    const now = this.#fabric.world.now;
    const delay = this.#fabric.delay(from, to, bytes?.length ?? 0) + extra;
    way.arrival = Math.max(way.arrival + 1, now + delay);
    const label = `${frame.kind} ${this.path} #${this.number}`;
    const arrive = (): void => this.#arrive(outward, frame);
    if (outward && this.far === null) {
      // Who answers there is known only on arrival.
      this.#fabric.deliver(way.arrival - now, null, label, digest(bytes), arrive);
    } else {
      const target = outward ? (this.far?.actor ?? null) : this.near.actor;
      this.#fabric.deliver(way.arrival - now, target, label, digest(bytes), arrive);
    }
    if (this.#fabric.dice.chance(this.#fabric.faults.breakChance)) {
      this.#fabric.breakConnection(this);
    }
  }

  #arrive(outward: boolean, frame: Frame): void {
    if (!outward) {
      this.#hand(this.near, frame);
      return;
    }
    const known = this.far;
    if (known !== null && this.#fabric.world.current === known.actor) {
      this.#hand(known, frame);
      return;
    }
    if (frame.kind === 'open' && known === null) {
      this.far = this.#accept();
      if (this.far === null) this.#refuse();
    }
    const end = this.far;
    if (end === null) return;
    this.#fabric.deliver(0, end.actor, `${frame.kind} ${this.path} #${this.number}`, 0, () =>
      this.#hand(end, frame),
    );
  }

  /** Nobody listens, and a living machine says so; a dead one says nothing. */
  #refuse(): void {
    if (this.#fabric.isDown(this.farHost)) return;
    const message = `nobody listens for ${this.path} at ${this.farHost}`;
    this.#transmit(false, { kind: 'error', error: new JournalError('UNAVAILABLE', message) });
  }

  #hand(end: End, frame: Frame): void {
    if (end.closed) return;
    if (frame.kind !== 'reset') {
      end.receive(frame);
      return;
    }
    this.close(end);
    end.broken(new JournalError(frame.code, 'the other side closed the connection', {}, 'unknown'));
  }
}

/** A number that tells one message from most others, for the trace. */
function digest(bytes: Uint8Array | null): number {
  if (bytes === null) return 0;
  let sum = bytes.length;
  const step = Math.max(1, bytes.length >> 6);
  for (let at = 0; at < bytes.length; at += step) sum = (Math.imul(sum, 31) + (bytes[at] ?? 0)) | 0;
  return sum;
}
