// The real network, gRPC on the loopback, keeps the contract of Network.

import { setTimeout } from 'node:timers/promises';
import { silent } from '../io/logger.ts';
import { nodeClock } from '../io/node.ts';
import { grpcNetwork } from '../transport/grpc.ts';
import { type NetworkPair, networkContract } from './network.contract.ts';

async function open(): Promise<NetworkPair> {
  const caller = grpcNetwork({ clock: nodeClock, logger: silent });
  const server = grpcNetwork({ clock: nodeClock, logger: silent });
  return {
    caller,
    server,
    address: '127.0.0.1:0',
    deserted: '127.0.0.1:1',
    sleep: (delay) => setTimeout(delay / 1000),
    run: (task) => task(),
    close: async () => {
      await caller.close();
      await server.close();
    },
  };
}

networkContract('gRPC', open);
