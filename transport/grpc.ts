// The real network: io/network.ts carried by gRPC.
//
// One channel an address, kept until it is forgotten; it reconnects by itself, from 50 ms on. Every
// refusal is a JournalError (status.ts); `outcome` is `none` only where the request surely never
// left. The server half is server.ts.

import { type ChannelOptions, Client } from '@grpc/grpc-js';
import type { Clock } from '../io/clock.ts';
import type { Logger } from '../io/logger.ts';
import type {
  CallOptions,
  Codec,
  Duplex,
  Handler,
  Listener,
  Method,
  Network,
} from '../io/network.ts';
import { JournalError } from '../protocol/errors.ts';
import { type Micros, micros } from '../protocol/types.ts';
import { bufferOf, Outflow } from './flow.ts';
import { DEFAULT_LIMITS, type NetworkLimits } from './limits.ts';
import { Outgoing } from './outgoing.ts';
import { Health } from './services/health.ts';
import { Credentials, type TlsFiles } from './tls.ts';

export interface GrpcNetworkOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  /** Without it everything is in the clear. */
  readonly tls?: TlsFiles | undefined;
  readonly limits?: Partial<NetworkLimits> | undefined;
}

/** A network, and what the standard health service of its servers says. */
export interface GrpcNetwork extends Network {
  readonly health: Health;
}

/** Throws JournalError INVALID_ARGUMENT where a file of `tls` cannot be used. */
export function grpcNetwork(options: GrpcNetworkOptions): GrpcNetwork {
  return new RealNetwork(options);
}

const identity = (bytes: Buffer): Buffer => bytes;

class RealNetwork implements GrpcNetwork {
  readonly health = new Health();
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #limits: NetworkLimits;
  readonly #credentials: Credentials;
  readonly #serverName: string | undefined;
  readonly #channels = new Map<string, Channel>();
  readonly #listeners = new Set<Listener>();
  #closed = false;

  constructor({ clock, logger, tls, limits }: GrpcNetworkOptions) {
    this.#clock = clock;
    this.#logger = logger;
    this.#limits = { ...DEFAULT_LIMITS, ...limits };
    this.#credentials = new Credentials(tls, clock, logger);
    this.#serverName = tls?.serverName;
  }

  async call<Q, A>(
    address: string,
    method: Method<Q, A, 'unary'>,
    request: Q,
    options: CallOptions,
  ): Promise<A> {
    const bytes = this.#encode(method.request, request);
    const { client, outgoing } = this.#begin(address, method.path, options);
    const deadline = (this.#clock.wall() + options.timeout) / 1000;
    const answer = await new Promise<Buffer>((resolve, reject) => {
      const call = client.makeUnaryRequest<Buffer, Buffer>(
        method.path,
        identity,
        identity,
        bytes,
        outgoing.metadata,
        { deadline },
        (error, value) => {
          outgoing.finish();
          if (error !== null) reject(outgoing.broken(error));
          else if (value === undefined) reject(outgoing.unreadable('there is none'));
          else resolve(value);
        },
      );
      outgoing.started(call);
    });
    return outgoing.decode(method.response, answer);
  }

  async *stream<Q, A>(
    address: string,
    method: Method<Q, A, 'serverStream'>,
    request: Q,
    options: CallOptions,
  ): AsyncGenerator<A, void, void> {
    const bytes = this.#encode(method.request, request);
    const { client, outgoing } = this.#begin(address, method.path, options);
    const call = client.makeServerStreamRequest<Buffer, Buffer>(
      method.path,
      identity,
      identity,
      bytes,
      outgoing.metadata,
    );
    const ending = outgoing.ending(call);
    outgoing.started(call);
    outgoing.untilFirst(call, this.#clock, options.timeout);
    yield* outgoing.messages(call, method.response, ending);
  }

  duplex<Q, A>(
    address: string,
    method: Method<Q, A, 'bidiStream'>,
    options: CallOptions,
  ): Duplex<Q, A> {
    try {
      return this.#duplex(address, method, options);
    } catch (error) {
      return brokenDuplex(error);
    }
  }

  #duplex<Q, A>(
    address: string,
    method: Method<Q, A, 'bidiStream'>,
    options: CallOptions,
  ): Duplex<Q, A> {
    const { client, outgoing } = this.#begin(address, method.path, options);
    const { metadata } = outgoing;
    const call = client.makeBidiStreamRequest<Buffer, Buffer>(
      method.path,
      identity,
      identity,
      metadata,
    );
    const ending = outgoing.ending(call);
    outgoing.started(call);
    outgoing.untilFirst(call, this.#clock, options.timeout);
    const outflow = new Outflow(
      (bytes, taken) => void call.write(bytes, taken),
      this.#limits.streamBytesBound,
    );
    void ending.then(() => outflow.close());
    return {
      send: (message) => {
        try {
          return outflow.send(this.#encode(method.request, message));
        } catch (error) {
          // A message that cannot be sent breaks the stream: it must not be missing in the middle.
          const why = error instanceof Error ? error.message : String(error);
          outgoing.giveUp({ code: 'INVALID_ARGUMENT', message: why });
          return false;
        }
      },
      drained: () => outflow.drained(),
      reached: () => outgoing.reached,
      incoming: outgoing.messages(call, method.response, ending),
      end: () => {
        outflow.close();
        call.end();
      },
      cancel: () => outgoing.giveUp({ code: 'CANCELLED', message: 'this side gave up' }),
    };
  }

  async serve(address: string, handlers: readonly Handler[]): Promise<Listener> {
    // Loaded by those who serve: a client needs neither the files nor the libraries of a server.
    const { listen } = await import('./server.ts');
    const listener = await listen(address, handlers, {
      clock: this.#clock,
      logger: this.#logger,
      limits: this.#limits,
      credentials: this.#credentials.server(),
      health: this.health,
    });
    this.#listeners.add(listener);
    return {
      address: listener.address,
      close: async (grace) => {
        await listener.close(grace);
        this.#listeners.delete(listener);
      },
    };
  }

  forget(address: string): void {
    const channel = this.#channels.get(address);
    if (channel === undefined) return;
    this.#channels.delete(address);
    for (const outgoing of [...channel.open]) {
      outgoing.giveUp({ code: 'UNAVAILABLE', message: 'the address is of no use any more' });
    }
    channel.client.close();
  }

  async close(): Promise<void> {
    this.#closed = true;
    for (const address of [...this.#channels.keys()]) this.forget(address);
    await Promise.all([...this.#listeners].map((listener) => listener.close(micros(0))));
    this.#credentials.close();
  }

  /** Throws JournalError INVALID_ARGUMENT for what cannot be sent. */
  #encode<Message>(codec: Codec<Message>, message: Message): Buffer {
    const { messageBytesMax } = this.#limits;
    const bytes = encodable(() => codec.encode(message));
    if (bytes.length > messageBytesMax) {
      throw new JournalError(
        'INVALID_ARGUMENT',
        `message is ${bytes.length} bytes, allowed is at most ${messageBytesMax} bytes`,
      );
    }
    return bufferOf(bytes);
  }

  #begin(address: string, path: string, { signal }: CallOptions) {
    if (this.#closed) throw new JournalError('UNAVAILABLE', 'the network is closed');
    if (signal?.aborted === true) {
      throw new JournalError('CANCELLED', `${address}${path}: the caller gave up before the call`);
    }
    const { client, open } = this.#channel(address);
    return { client, outgoing: new Outgoing(client, `${address}${path}`, signal, open) };
  }

  #channel(address: string): Channel {
    const known = this.#channels.get(address);
    if (known !== undefined) return known;
    const options = {
      ...channelOptions(this.#limits),
      ...nameOptions(address, this.#serverName),
    };
    const client = new Client(address, this.#credentials.channel(), options);
    const made = { client, open: new Set<Outgoing>() };
    this.#channels.set(address, made);
    return made;
  }
}

interface Channel {
  readonly client: Client;
  /** Calls under way. */
  readonly open: Set<Outgoing>;
}

const ANY_ADDRESS = JSON.stringify({
  loadBalancingConfig: [{ pick_first: { shuffleAddressList: true } }],
});

function channelOptions(limits: NetworkLimits): ChannelOptions {
  const millis = (value: Micros): number => Math.ceil(value / 1000);
  return {
    'grpc.initial_reconnect_backoff_ms': millis(limits.reconnectMin),
    'grpc.max_reconnect_backoff_ms': millis(limits.reconnectMax),
    // Pods come back under the same name and another address.
    'grpc.dns_min_time_between_resolutions_ms': 1_000,
    'grpc.keepalive_time_ms': millis(limits.keepAlive),
    'grpc.keepalive_timeout_ms': millis(limits.keepAliveTimeout),
    'grpc.max_receive_message_length': limits.messageBytesMax,
    'grpc.max_send_message_length': limits.messageBytesMax,
    'grpc-node.flow_control_window': limits.windowBytes,
    // Who retries is the caller, who knows what may be sent twice.
    'grpc.enable_retries': 0,
    'grpc.service_config_disable_resolution': 1,
    // A name may have many addresses: not every new connection begins with the first. (grpc-js
    // 1.14 never swaps the first two, so this needs three; with fewer the resolver's order counts.)
    'grpc.service_config': ANY_ADDRESS,
    // Processes of a cluster and their clients speak to each other directly.
    'grpc.enable_http_proxy': 0,
    'grpc.use_local_subchannel_pool': 1,
    'grpc.enable_channelz': 0,
  };
}

const IP_ADDRESS = /^(?:\d{1,3}(?:\.\d{1,3}){3}|\[[0-9a-fA-F:.]+\]):\d+$/;

/** An address that is a name is verified as it is. */
const nameOptions = (address: string, serverName: string | undefined): ChannelOptions =>
  serverName === undefined || !IP_ADDRESS.test(address)
    ? {}
    : { 'grpc.ssl_target_name_override': serverName };

function encodable(encode: () => Uint8Array): Uint8Array {
  try {
    return encode();
  } catch (error) {
    if (error instanceof JournalError) throw error;
    const why = error instanceof Error ? error.message : String(error);
    throw new JournalError('INVALID_ARGUMENT', `message cannot be sent: ${why}`, {}, 'none', {
      cause: error,
    });
  }
}

/** A stream that broke before it was one. */
function brokenDuplex<Q, A>(error: unknown): Duplex<Q, A> {
  const incoming: AsyncIterable<A> = {
    [Symbol.asyncIterator]: () => ({ next: () => Promise.reject(error) }),
  };
  const drained = async (): Promise<void> => undefined;
  return { send: () => false, drained, reached: () => false, incoming, end() {}, cancel() {} };
}
