// The answering side of the simulated network: runs a handler for each connection that arrives.

import type { CallContext, Duplex, Handler } from '../../io/network.ts';
import { JournalError } from '../../protocol/errors.ts';
import type { Actor } from '../world.ts';
import type { Connection, End, Frame } from './connection.ts';
import { Inbox } from './inbox.ts';

const WINDOW_BYTES = 64 * 1024;
const DUPLEX_BYTES_MAX = 1024 * 1024;

/** What runs for the callers of one address; each is stopped by its entry. */
export interface Service {
  readonly actor: Actor;
  readonly handlers: ReadonlyMap<string, Handler>;
  readonly running: Map<Connection, () => void>;
  open: boolean;
  /** Called whenever the last of them is done. */
  onIdle: (() => void) | null;
}

/** An exception that is no refusal came out of a handler: production answers INTERNAL. */
export type OnInternal = (actor: Actor, path: string, error: unknown) => void;

/** The far end of `connection` at `service`; its handler starts with the opening frame. */
export function accept(
  service: Service,
  connection: Connection,
  peer: string,
  onInternal: OnInternal,
): End {
  const gone = new AbortController();
  const handler = service.handlers.get(connection.path);
  const inbox = new Inbox<unknown>(
    (bytes) => connection.taken(end, bytes),
    () => {},
  );
  const over = (): void => {
    if (!service.running.delete(connection)) return;
    if (service.running.size === 0) service.onIdle?.();
  };
  const finish = (frame: Frame): void => {
    over();
    if (end.closed) return;
    connection.send(end, frame);
    connection.close(end);
  };
  const stop = (error: JournalError): void => {
    over();
    inbox.fail(error);
    gone.abort(error);
  };
  const fail = (error: unknown): void => {
    if (!(error instanceof JournalError)) onInternal(service.actor, connection.path, error);
    finish({ kind: 'error', error: travelled(error) });
  };
  const end: End = {
    host: connection.farHost,
    actor: service.actor,
    closed: false,
    receive: (frame) => {
      if (frame.kind === 'end') inbox.end();
      if (frame.kind !== 'open' && frame.kind !== 'message') return;
      if (handler === undefined) {
        const message = `${connection.path} is not served here`;
        finish({ kind: 'error', error: new JournalError('INCOMPATIBLE', message) });
        return;
      }
      try {
        if (frame.kind === 'message') {
          inbox.push(handler.method.request.decode(frame.bytes), frame.bytes.length);
        } else {
          const context: CallContext = { signal: gone.signal, identities: [], peer };
          run(handler, frame.bytes, context, { connection, end, inbox }).then(finish, fail);
        }
      } catch (error) {
        fail(error);
        stop(travelled(error));
      }
    },
    broken: stop,
  };
  service.running.set(connection, () => {
    if (end.closed) return;
    connection.close(end);
    connection.reset(end, 'UNAVAILABLE', 0);
    stop(new JournalError('UNAVAILABLE', 'this server is closing', {}, 'unknown'));
  });
  return end;
}

interface Wire {
  readonly connection: Connection;
  readonly end: End;
  readonly inbox: Inbox<unknown>;
}

/** Runs a handler to its end; the answer is the last frame of the connection. */
async function run(
  handler: Handler,
  request: Uint8Array,
  context: CallContext,
  wire: Wire,
): Promise<Frame> {
  const { connection, end } = wire;
  if (handler.kind === 'unary') {
    const question = handler.method.request.decode(request);
    connection.taken(end, request.length);
    const answer = await handler.handle(question, context);
    return { kind: 'message', bytes: handler.method.response.encode(answer) };
  }
  if (handler.kind === 'serverStream') {
    const answers = handler.handle(handler.method.request.decode(request), context);
    connection.taken(end, request.length);
    for await (const answer of answers) {
      connection.send(end, { kind: 'message', bytes: handler.method.response.encode(answer) });
      while (!end.closed && connection.waitingBytes(end) > WINDOW_BYTES) {
        await connection.room(end);
      }
      if (end.closed) break;
    }
    return { kind: 'end' };
  }
  const stream: Duplex<unknown, unknown> = {
    send: (message) => {
      connection.send(end, { kind: 'message', bytes: handler.method.response.encode(message) });
      return !end.closed && connection.waitingBytes(end) <= DUPLEX_BYTES_MAX;
    },
    drained: async () => {
      while (!end.closed && connection.waitingBytes(end) > DUPLEX_BYTES_MAX / 2) {
        await connection.room(end);
      }
    },
    incoming: wire.inbox,
    end: () => connection.send(end, { kind: 'end' }),
    cancel: () => {
      if (end.closed) return;
      connection.close(end);
      connection.reset(end, 'UNAVAILABLE', 0);
      wire.inbox.fail(new JournalError('CANCELLED', 'given up here', {}, 'unknown'));
    },
  };
  await handler.handle(stream, context);
  return { kind: 'end' };
}

/** An error as it comes out of the other side of a wire: the same facts, nothing shared. */
function travelled(error: unknown): JournalError {
  if (!(error instanceof JournalError)) {
    return new JournalError('INTERNAL', `something broke: ${String(error)}`, {}, 'unknown');
  }
  const details = structuredClone(error.details);
  return new JournalError(error.code, error.message, details, error.outcome);
}
