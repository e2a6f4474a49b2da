// The serving half of the real network: handlers behind a gRPC server.
//
// Requests are decoded here, not by the library, so that a refusal names the field. An exception
// that is no refusal is logged, and answered with INTERNAL.

import type { Http2Server } from 'node:http2';
import type { Socket } from 'node:net';
import { setImmediate } from 'node:timers/promises';
import {
  type Metadata,
  Server,
  type ServerCredentials,
  type ServerDuplexStream,
  type ServerUnaryCall,
  type ServerWritableStream,
  type sendUnaryData,
  type UntypedHandleCall,
} from '@grpc/grpc-js';
import type { Cancel, Clock } from '../io/clock.ts';
import type { Logger } from '../io/logger.ts';
import type { CallContext, Codec, Duplex, Handler, Listener } from '../io/network.ts';
import { JournalError } from '../protocol/errors.ts';
import type { Micros } from '../protocol/types.ts';
import { bufferOf, bytesOf, chunksOf, Outflow } from './flow.ts';
import type { NetworkLimits } from './limits.ts';
import { type Health, PROTOCOL_KEY, PROTOCOL_VERSION } from './services/health.ts';
import { addServices } from './services/standard.ts';
import { toStatus } from './status.ts';

export interface ListenOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly limits: NetworkLimits;
  readonly credentials: ServerCredentials;
  readonly health: Health;
}

/** What all calls of one server share. */
interface Desk extends ListenOptions {
  readonly open: Set<OpenCall>;
}

interface OpenCall {
  readonly kind: Handler['kind'];
  readonly controller: AbortController;
}

/** What every kind of call of grpc-js can do. */
interface ServerCall {
  readonly metadata: Metadata;
  getPeer(): string;
  getAuthContext(): AuthContext;
  once(event: 'cancelled', listener: () => void): unknown;
}

type AuthContext = ReturnType<ServerUnaryCall<Buffer, Buffer>['getAuthContext']>;

const CLOSING = new JournalError('UNAVAILABLE', 'this process is closing');

/**
 * Serves `handlers` at `address`; a server of the public API also answers health and reflection.
 * Rejects with JournalError UNAVAILABLE where the address cannot be had.
 */
export async function listen(
  address: string,
  handlers: readonly Handler[],
  options: ListenOptions,
): Promise<Listener> {
  const { limits, credentials, health } = options;
  const server = new Server({
    'grpc.max_receive_message_length': limits.messageBytesMax,
    'grpc.max_send_message_length': limits.messageBytesMax,
    'grpc.max_concurrent_streams': limits.streamsPerConnection,
    'grpc.keepalive_time_ms': limits.serverKeepAlive / 1000,
    'grpc.keepalive_timeout_ms': limits.serverKeepAliveTimeout / 1000,
    'grpc.enable_channelz': 0,
  });
  const desk: Desk = { ...options, open: new Set() };
  if (handlers.length > 0) {
    const named = <Value>(value: (handler: Handler) => Value) =>
      Object.fromEntries(handlers.map((handler) => [handler.method.path, value(handler)]));
    server.addService(
      named(definitionOf),
      named((handler) => answering(desk, handler)),
    );
  }
  if (handlers.some(({ method }) => method.path.startsWith('/journal.v1.'))) {
    addServices(server, health, (error) => {
      options.logger.warn({ error: String(error) }, 'this server has no reflection');
    });
  }
  const widen = widenWindows(server, limits.windowBytes);
  const port = await bind(server, address, credentials);
  widen();
  for (const one of innerServers(server)) closeSilent(one, options);
  const host = address.slice(0, address.lastIndexOf(':'));
  return {
    address: `${host}:${port}`,
    close: (grace) => close(server, desk, grace),
  };
}

function bind(server: Server, address: string, credentials: ServerCredentials): Promise<number> {
  return new Promise((resolve, reject) => {
    server.bindAsync(address, credentials, (error, port) => {
      if (error === null) resolve(port);
      else {
        const message = `cannot listen at ${address}: ${error.message}`;
        reject(new JournalError('UNAVAILABLE', message, {}, 'none', { cause: error }));
      }
    });
  });
}

/**
 * Lets `bytes` be under way to a reader instead of 64 KiB, which one round trip across zones would
 * make the limit of a link. The library has an option for this on channels only.
 */
function widenWindows(server: Server, bytes: number): () => void {
  // cast: private, and checked at run time; without it windows stay small.
  const inner = server as unknown as {
    readonly commonServerOptions?: { settings?: { initialWindowSize?: number } };
  };
  if (inner.commonServerOptions !== undefined) {
    const { settings } = inner.commonServerOptions;
    inner.commonServerOptions.settings = { ...settings, initialWindowSize: bytes };
  }
  return () => {
    for (const one of innerServers(server)) {
      one.on('session', (session) => session.setLocalWindowSize(bytes));
    }
  };
}

/** What listens, once it is bound. */
function innerServers(server: Server): readonly Http2Server[] {
  // cast: private, and checked at run time; tests show what is done with them.
  const inner = server as unknown as {
    readonly http2Servers?: ReadonlyMap<Http2Server, unknown>;
  };
  return [...(inner.http2Servers?.keys() ?? [])];
}

/**
 * Closes what connects and does not greet in time: nothing at all, half a handshake, or a preface
 * whose settings never come. The library asks only after it has begun to speak, and leaves the
 * handshake of TLS two minutes.
 */
function closeSilent(server: Http2Server, { clock, limits }: ListenOptions): void {
  const waiting = new Map<string, Cancel>();
  const heard = (peer: string): void => {
    waiting.get(peer)?.();
    waiting.delete(peer);
  };
  // The socket below TLS and the session above it have nothing in common but the peer.
  const peerOf = ({ remoteAddress, remotePort }: Socket): string =>
    `${remoteAddress}:${remotePort}`;
  server.on('connection', (socket: Socket) => {
    const peer = peerOf(socket);
    waiting.set(
      peer,
      clock.after(limits.greeting, () => socket.destroy()),
    );
    socket.once('close', () => heard(peer));
  });
  server.on('session', (session) => {
    const { socket } = session;
    if (socket === undefined) return;
    const peer = peerOf(socket);
    session.once('remoteSettings', () => heard(peer));
  });
}

/** Streams end at once, calls may end within `grace`. */
async function close(server: Server, desk: Desk, grace: Micros): Promise<void> {
  const closed = new Promise<void>((resolve) => server.tryShutdown(() => resolve()));
  for (const { kind, controller } of desk.open) {
    if (kind !== 'unary') controller.abort(CLOSING);
  }
  const stop = desk.clock.after(grace, () => {
    for (const { controller } of desk.open) controller.abort(CLOSING);
    server.forceShutdown();
  });
  await closed;
  stop();
}

const identity = (bytes: Buffer): Buffer => bytes;

function definitionOf({ kind, method }: Handler) {
  return {
    path: method.path,
    requestStream: kind === 'bidiStream',
    responseStream: kind !== 'unary',
    requestSerialize: identity,
    requestDeserialize: identity,
    responseSerialize: identity,
    responseDeserialize: identity,
  };
}

function answering(desk: Desk, handler: Handler): UntypedHandleCall {
  switch (handler.kind) {
    case 'unary':
      return (call: ServerUnaryCall<Buffer, Buffer>, callback: sendUnaryData<Buffer>): void => {
        const { request, response } = handler.method;
        const answer = takeCall(desk, handler, call, async (context) => {
          const message = request.decode(bytesOf(call.request));
          return bufferOf(response.encode(await handler.handle(message, context)));
        });
        answer.then(
          (bytes) => callback(null, bytes),
          (error) => callback(statusOf(error)),
        );
      };
    case 'serverStream':
      return (call: ServerWritableStream<Buffer, Buffer>): void => {
        const { request, response } = handler.method;
        const outflow = outflowOf(call, desk);
        const work = takeCall(desk, handler, call, (context) => {
          const message = request.decode(bytesOf(call.request));
          return pump(handler.handle(message, context), response, outflow, context);
        });
        finish(call, outflow, work);
      };
    case 'bidiStream':
      return (call: ServerDuplexStream<Buffer, Buffer>): void => {
        const { request, response } = handler.method;
        const outflow = outflowOf(call, desk);
        const work = takeCall(desk, handler, call, async (context, cancel) => {
          const stream = duplexOf(call, outflow, request, response, context, cancel);
          await handler.handle(stream, context);
        });
        finish(call, outflow, work);
      };
  }
}

/** Runs the work of one call with its context, and turns what it throws into a refusal. */
async function takeCall<Result>(
  desk: Desk,
  handler: Handler,
  call: ServerCall,
  work: (context: CallContext, cancel: () => void) => Promise<Result>,
): Promise<Result> {
  const controller = new AbortController();
  const { signal } = controller;
  let over = false;
  const gone = (): void => {
    // Calls that were answered are told so too, and an error is dear to make.
    if (!over) controller.abort(new JournalError('CANCELLED', 'the caller is gone'));
  };
  call.once('cancelled', gone);
  const entry: OpenCall = { kind: handler.kind, controller };
  try {
    checkVersion(call);
    if (desk.open.size >= desk.limits.callsMax) {
      const { callsMax } = desk.limits;
      throw new JournalError('OVERLOADED', `${callsMax} calls are open, which is the most allowed`);
    }
    desk.open.add(entry);
    const result = await work(contextOf(call, signal), gone);
    // A stream that ended because this side closes must not look as if all had been said.
    if (handler.kind !== 'unary') signal.throwIfAborted();
    return result;
  } catch (error) {
    if (handler.kind === 'unary' && error instanceof JournalError) throw error;
    // Whatever a handler throws when nobody waits any more says nothing.
    signal.throwIfAborted();
    if (error instanceof JournalError) throw error;
    const { path } = handler.method;
    const why = error instanceof Error ? (error.stack ?? error.message) : String(error);
    const about = { path, peer: call.getPeer(), error: why };
    desk.logger.error(about, 'a call failed for no known reason');
    throw new JournalError(
      'INTERNAL',
      `${path} failed; the log of this process says why`,
      {},
      'unknown',
    );
  } finally {
    over = true;
    desk.open.delete(entry);
  }
}

/** Callers that say no version, as those in other languages do, are taken for ours. */
function checkVersion(call: ServerCall): void {
  const [version] = call.metadata.get(PROTOCOL_KEY);
  if (version === undefined || version === PROTOCOL_VERSION) return;
  const message = `${PROTOCOL_KEY} is "${version}", allowed is "${PROTOCOL_VERSION}"`;
  throw new JournalError('INCOMPATIBLE', message);
}

function contextOf(call: ServerCall, signal: AbortSignal): CallContext {
  let identities: readonly string[] | undefined;
  return {
    signal,
    peer: call.getPeer(),
    // Reading a certificate is dear, and most calls never ask.
    get identities() {
      identities ??= identitiesOf(call);
      return identities;
    },
  };
}

/** Common name, then DNS names, of a certificate that was verified. */
function identitiesOf(call: ServerCall): readonly string[] {
  const certificate = call.getAuthContext().sslPeerCertificate;
  if (certificate === undefined) return [];
  const { CN } = certificate.subject;
  // Names that need quotes are no DNS names.
  const names = (certificate.subjectaltname ?? '')
    .split(', ')
    .flatMap((name) => /^DNS:([\w.*-]+)$/.exec(name)?.[1] ?? []);
  return [...new Set([...(CN === undefined ? [] : [CN].flat()), ...names])];
}

function outflowOf(
  call: ServerWritableStream<Buffer, Buffer> | ServerDuplexStream<Buffer, Buffer>,
  desk: Desk,
): Outflow {
  const { streamBytesBound } = desk.limits;
  const outflow = new Outflow((bytes, taken) => void call.write(bytes, taken), streamBytesBound);
  call.once('cancelled', () => outflow.close());
  return outflow;
}

async function pump(
  messages: AsyncIterable<unknown>,
  codec: Codec<unknown>,
  outflow: Outflow,
  { signal }: CallContext,
): Promise<void> {
  for await (const message of messages) {
    if (signal.aborted) return;
    if (!outflow.send(codec.encode(message))) await outflow.drained();
    if (signal.aborted) return;
  }
}

function duplexOf(
  call: ServerDuplexStream<Buffer, Buffer>,
  outflow: Outflow,
  request: Codec<unknown>,
  response: Codec<unknown>,
  { signal }: CallContext,
  cancel: () => void,
): Duplex<unknown, unknown> {
  return {
    send: (message) => outflow.send(response.encode(message)),
    drained: () => outflow.drained(),
    incoming: messagesOf(call, request, signal),
    end: () => outflow.close(),
    cancel,
  };
}

async function* messagesOf(
  call: ServerDuplexStream<Buffer, Buffer>,
  codec: Codec<unknown>,
  signal: AbortSignal,
): AsyncGenerator<unknown, void, void> {
  for await (const bytes of chunksOf(call, signal)) yield codec.decode(bytesOf(bytes));
  // A stream that was reset ends first and is told cancelled a moment later.
  await setImmediate();
  signal.throwIfAborted();
  if (!call.readableEnded) throw new JournalError('CANCELLED', 'the caller is gone', {}, 'unknown');
}

function finish(
  call: ServerWritableStream<Buffer, Buffer> | ServerDuplexStream<Buffer, Buffer>,
  outflow: Outflow,
  work: Promise<void>,
): void {
  work
    .then(
      () => call.end(),
      (error) => {
        if (!call.cancelled) call.emit('error', statusOf(error));
      },
    )
    .finally(() => outflow.close());
}

function statusOf(error: unknown) {
  return toStatus(
    error instanceof JournalError ? error : new JournalError('INTERNAL', String(error)),
  );
}
