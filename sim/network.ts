// The simulated twin of io/network.ts: what one process can say to others over the fabric.
//
// Every message passes the codec of its method on both sides, so nothing is shared by accident.
// Flow control: a sender may be `WINDOW_BYTES` ahead of its reader on a server stream, and its
// bound ahead on a duplex.

import type { CallOptions, Duplex, Handler, Listener, Method, Network } from '../io/network.ts';
import { JournalError } from '../protocol/errors.ts';
import type { Micros } from '../protocol/types.ts';
import { Connection, type End, type Frame } from './wires/connection.ts';
import type { Fabric } from './wires/fabric.ts';
import { Inbox } from './wires/inbox.ts';
import { accept, type OnInternal, type Service } from './wires/serving.ts';
import type { Actor } from './world.ts';

const DUPLEX_BYTES_MAX = 1024 * 1024;

type AnyMethod = Method<unknown, unknown>;

/** Who listens where, for all processes of a world. */
export class Listeners {
  readonly byAddress = new Map<string, Service>();
  /** An exception that is no refusal came out of a handler: production answers INTERNAL. */
  onInternal: OnInternal = () => {};
  #port = 40_000;
  #connection = 0;

  freePort(): number {
    this.#port += 1;
    return this.#port;
  }

  /** The far end of a connection that arrives; null where nobody listens. */
  accept(address: string, connection: Connection, peer: string): End | null {
    const service = this.byAddress.get(address);
    if (service === undefined || !service.open || !service.actor.alive) return null;
    return accept(service, connection, peer, this.onInternal);
  }

  nextConnection(): number {
    this.#connection += 1;
    return this.#connection;
  }
}

export class SimulatedNetwork implements Network {
  readonly #fabric: Fabric;
  readonly #listeners: Listeners;
  readonly #actor: Actor;
  readonly #host: string;
  readonly #mine = new Set<{ readonly address: string; cancel(): void }>();
  readonly #services = new Set<Service>();

  constructor(fabric: Fabric, listeners: Listeners, actor: Actor, host: string) {
    this.#fabric = fabric;
    this.#listeners = listeners;
    this.#actor = actor;
    this.#host = host;
  }

  async call<Q, A>(
    address: string,
    method: Method<Q, A, 'unary'>,
    request: Q,
    options: CallOptions,
  ): Promise<A> {
    const opened = this.#open(address, method, options);
    opened.send({ kind: 'open', bytes: method.request.encode(request) });
    this.#repeat(address, method, request, options);
    const first = await opened.incoming.next();
    if (first.done === true) {
      throw new JournalError('UNAVAILABLE', `${address} ended the call without an answer`);
    }
    return first.value;
  }

  /** A proxy on the way may send a call once more; nobody awaits that answer. */
  #repeat<Q, A>(
    address: string,
    method: Method<Q, A, 'unary'>,
    request: Q,
    { timeout }: CallOptions,
  ): void {
    const wait = this.#fabric.repeats(method.path);
    if (wait === null) return;
    const bytes = method.request.encode(request);
    this.#fabric.world.schedule(wait, null, 'world', `repeat ${method.path}`, () => {
      const again = this.#open(address, method, { timeout });
      again.send({ kind: 'open', bytes });
      again.incoming.next().catch(() => undefined);
    });
  }

  stream<Q, A>(
    address: string,
    method: Method<Q, A, 'serverStream'>,
    request: Q,
    options: CallOptions,
  ): AsyncIterable<A> {
    return {
      [Symbol.asyncIterator]: () => {
        const opened = this.#open(address, method, options);
        opened.send({ kind: 'open', bytes: method.request.encode(request) });
        return opened.incoming[Symbol.asyncIterator]();
      },
    };
  }

  duplex<Q, A>(
    address: string,
    method: Method<Q, A, 'bidiStream'>,
    options: CallOptions,
  ): Duplex<Q, A> {
    const opened = this.#open(address, method, options);
    opened.send({ kind: 'open', bytes: new Uint8Array(0) });
    return {
      send: (message) => {
        opened.send({ kind: 'message', bytes: method.request.encode(message) });
        return !opened.closed() && opened.waitingBytes() <= DUPLEX_BYTES_MAX;
      },
      drained: async () => {
        while (!opened.closed() && opened.waitingBytes() > DUPLEX_BYTES_MAX / 2) {
          await opened.room();
        }
      },
      incoming: opened.incoming,
      end: () => opened.send({ kind: 'end' }),
      cancel: opened.cancel,
    };
  }

  async serve(address: string, handlers: readonly Handler[]): Promise<Listener> {
    const [host = '', port = '0'] = address.split(':');
    const name = `${host}:${port === '0' ? this.#listeners.freePort() : port}`;
    if (this.#listeners.byAddress.get(name)?.actor.alive === true) {
      throw new JournalError('UNAVAILABLE', `${name} is in use`);
    }
    const service: Service = {
      actor: this.#actor,
      handlers: new Map(handlers.map((handler) => [handler.method.path, handler])),
      open: true,
      running: new Map(),
      onIdle: null,
    };
    this.#listeners.byAddress.set(name, service);
    this.#services.add(service);
    return {
      address: name,
      close: (grace) => this.#closeService(name, service, grace),
    };
  }

  forget(address: string): void {
    for (const one of [...this.#mine]) if (one.address === address) one.cancel();
  }

  async close(): Promise<void> {
    for (const one of [...this.#mine]) one.cancel();
    for (const [name, service] of [...this.#listeners.byAddress]) {
      if (this.#services.has(service)) await this.#closeService(name, service, null);
    }
  }

  async #closeService(name: string, service: Service, grace: Micros | null): Promise<void> {
    if (this.#listeners.byAddress.get(name) === service) this.#listeners.byAddress.delete(name);
    service.open = false;
    const { world } = this.#fabric;
    if (grace !== null && service.running.size > 0) {
      await new Promise<void>((resolve) => {
        service.onIdle = resolve;
        world.schedule(grace, this.#actor, 'timer', 'grace', resolve);
      });
    }
    for (const stop of [...service.running.values()]) stop();
  }

  /** Opens one connection; all the rest of this file is what goes over it. */
  #open<Q, A>(address: string, method: Method<Q, A>, options: CallOptions): Opened<A> {
    const { world } = this.#fabric;
    const farHost = address.slice(0, address.lastIndexOf(':'));
    const inbox = new Inbox<A>(
      (bytes) => connection.taken(end, bytes),
      () => cancel(),
    );
    const finish = (): void => {
      stopTimer();
      options.signal?.removeEventListener('abort', cancel);
      this.#mine.delete(mine);
    };
    const end: End = {
      host: this.#host,
      actor: this.#actor,
      closed: false,
      receive: (frame) => {
        stopTimer();
        if (!receive(method, frame, inbox)) return;
        connection.close(end);
        finish();
      },
      broken: (error) => {
        finish();
        inbox.fail(error);
      },
    };
    const giveUp = (error: JournalError): void => {
      if (end.closed) return;
      connection.close(end);
      connection.reset(end, 'CANCELLED', 0);
      finish();
      inbox.fail(error);
    };
    const number = this.#listeners.nextConnection();
    const connection: Connection = new Connection(
      this.#fabric,
      number,
      method.path,
      end,
      farHost,
      () => this.#listeners.accept(address, connection, this.#host),
    );
    const cancel = (): void => giveUp(aborted(connection));
    const stopTimer = world.schedule(options.timeout, this.#actor, 'timer', 'deadline', () =>
      giveUp(late(address, method, connection)),
    );
    const mine = { address, cancel };
    this.#mine.add(mine);
    this.#fabric.connections.add(connection);
    this.#fabric.opened(connection);
    if (options.signal?.aborted === true) cancel();
    else options.signal?.addEventListener('abort', cancel);
    return {
      incoming: inbox,
      send: (frame) => connection.send(end, frame),
      waitingBytes: () => connection.waitingBytes(end),
      room: () => connection.room(end),
      closed: () => end.closed,
      cancel,
    };
  }
}

interface Opened<A> {
  readonly incoming: Inbox<A>;
  send(frame: Frame): void;
  waitingBytes(): number;
  room(): Promise<void>;
  closed(): boolean;
  cancel(): void;
}

/** True where the frame was the last one. */
function receive<A>(method: Method<unknown, A>, frame: Frame, inbox: Inbox<A>): boolean {
  if (frame.kind === 'error') {
    inbox.fail(frame.error);
    return true;
  }
  if (frame.kind === 'end') {
    inbox.end();
    return true;
  }
  if (frame.kind === 'reset') return true;
  try {
    inbox.push(method.response.decode(frame.bytes), frame.bytes.length);
    return method.kind === 'unary';
  } catch (error) {
    inbox.fail(error);
    return true;
  }
}

function aborted(connection: Connection): JournalError {
  const outcome = connection.sent ? 'unknown' : 'none';
  return new JournalError('CANCELLED', 'the caller gave up', {}, outcome);
}

function late(address: string, method: AnyMethod, connection: Connection): JournalError {
  const message = `${address} did not answer ${method.path} in time`;
  return new JournalError('DEADLINE_EXCEEDED', message, {}, connection.sent ? 'unknown' : 'none');
}
