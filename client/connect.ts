// A client over the real clock, chance and network.

import { silent } from '../io/logger.ts';
import { nodeClock, nodeRandom } from '../io/node.ts';
import { nodeHold } from '../io/node-hold.ts';
import { grpcNetwork } from '../transport/grpc.ts';
import { type Client, type ClientOptions, connectWith } from './client.ts';

export interface ConnectOptions extends ClientOptions {
  /** Paths of PEM files, read again when they change; without them nothing is encrypted. */
  readonly tls?:
    | {
        /** Whom to trust. */
        readonly ca?: string | undefined;
        /** The own certificate and its key, both or neither. */
        readonly cert?: string | undefined;
        readonly key?: string | undefined;
      }
    | undefined;
}

/** Opens a client; nothing is sent before the first call. INVALID_ARGUMENT names what is wrong. */
export function connect(options: ConnectOptions): Client {
  const { tls, logger = silent } = options;
  const network = grpcNetwork({ clock: nodeClock, logger, tls });
  return connectWith({
    ...options,
    clock: nodeClock,
    random: nodeRandom(),
    network,
    hold: nodeHold,
  });
}
