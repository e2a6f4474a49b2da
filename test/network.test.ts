// The real network, gRPC on the loopback, keeps the contract of Network.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { silent } from '../io/logger.ts';
import { unary } from '../io/network.ts';
import { nodeClock } from '../io/node.ts';
import { grpcNetwork } from '../transport/grpc.ts';
import { cableTo } from './network/cable.ts';
import { ASK, aborted, code, LATER } from './network/pair.ts';
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

describe('a connection that is cut', () => {
  const ask = unary(ASK, async (_request, { signal }) => {
    await aborted(signal);
    return 'too late';
  });

  test('leaves a call that was sent without an outcome, at once', async () => {
    const pair = await open();
    const { address } = await pair.server.serve(pair.address, [ask]);
    const cable = await cableTo(address);
    const call = pair.caller.call(cable.address, ASK, '', LATER);
    const refused = assert.rejects(call, code('UNAVAILABLE', 'unknown'));
    await setTimeout(100);
    const begun = performance.now();
    cable.close();
    await refused;
    assert.ok(performance.now() - begun < 1_000);
    await pair.close();
  });

  test('silently, is noticed within a second, long before the deadline', async () => {
    const pair = await open();
    const { address } = await pair.server.serve(pair.address, [ask]);
    const cable = await cableTo(address);
    const call = pair.caller.call(cable.address, ASK, '', LATER);
    const refused = assert.rejects(call, code('UNAVAILABLE', 'unknown'));
    await setTimeout(100);
    const begun = performance.now();
    cable.silence();
    await refused;
    const took = performance.now() - begun;
    assert.ok(took < 1_500, `it took ${took} ms`);
    cable.close();
    await pair.close();
  });
});
