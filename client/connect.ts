// A client over the real clock, chance and network.

import { silent } from '../io/logger.ts';
import { nodeClock, nodeRandom } from '../io/node.ts';
import { nodeHold } from '../io/node-hold.ts';
import { micros } from '../protocol/types.ts';
import { grpcNetwork } from '../transport/grpc.ts';
import { type Client, type ClientOptions, connectWith } from './client.ts';

const KEEP_ALIVE_TIMEOUT = micros(2_000_000);

export interface ConnectOptions extends ClientOptions {
  /** Paths of PEM files, read again when they change; without them nothing is encrypted. */
  readonly tls?:
    | {
        /** Whom to trust. */
        readonly ca?: string | undefined;
        /** The own certificate and its key, both or neither. */
        readonly cert?: string | undefined;
        readonly key?: string | undefined;
        /**
         * Name in the certificates of replicas that are dialled by an IP address. Left out, it is
         * the host of the endpoints, where they share one that is a name.
         */
        readonly serverName?: string | undefined;
      }
    | undefined;
}

/** Opens a client; nothing is sent before the first call. INVALID_ARGUMENT names what is wrong. */
export function connect(options: ConnectOptions): Client {
  const { tls: files, endpoints, logger = silent } = options;
  const serverName = files?.serverName ?? sharedName(endpoints);
  const tls = files === undefined ? undefined : { ...files, serverName };
  // Every wait of the client has its own end: a connection is given up later, since on a starved
  // machine a process that is late would lose all of them at once.
  const limits = { keepAliveTimeout: KEEP_ALIVE_TIMEOUT };
  const network = grpcNetwork({ clock: nodeClock, logger, tls, limits });
  return connectWith({
    ...options,
    clock: nodeClock,
    random: nodeRandom(),
    network,
    hold: nodeHold,
  });
}

/** The one host name of all endpoints; undefined where they differ or are IP addresses. */
function sharedName(endpoints: readonly string[]): string | undefined {
  // What JavaScript passes may be anything: it is refused by name further on.
  const texts = Array.isArray(endpoints) ? endpoints.map(String) : [];
  const hosts = new Set(texts.map((one) => one.slice(0, one.lastIndexOf(':'))));
  const [host = ''] = hosts;
  const isName = /[a-z]/i.test(host) && !host.includes(':') && host !== 'localhost';
  return hosts.size === 1 && isName ? host : undefined;
}
