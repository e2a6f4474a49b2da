// The real network, gRPC on the loopback, keeps the contract of Network.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect as connectHttp2 } from 'node:http2';
import { connect } from 'node:net';
import { describe, test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { silent } from '../io/logger.ts';
import { unary } from '../io/network.ts';
import { nodeClock } from '../io/node.ts';
import { micros } from '../protocol/types.ts';
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

test('not every new connection to a name of three addresses begins with the first', async () => {
  const pair = await open();
  const answers = ['one', 'two', 'three'].map((word) => unary(ASK, async () => word));
  const listeners = await Promise.all(
    answers.map((answer) => pair.server.serve(pair.address, [answer])),
  );
  const name = `ipv4:${listeners.map(({ address }) => address).join()}`;
  const seen = new Set<string>();
  for (let turn = 0; turn < 64 && seen.size < 2; turn += 1) {
    seen.add(await pair.caller.call(name, ASK, '', LATER));
    pair.caller.forget(name);
  }
  await pair.close();
  assert.ok(seen.size >= 2, [...seen].join());
});

describe('a connection that is cut', () => {
  /** Answers nobody; `sent` resolves once it is asked. */
  const slow = () => {
    const { promise: sent, resolve } = Promise.withResolvers<void>();
    const ask = unary(ASK, async (_request, { signal }) => {
      resolve();
      await aborted(signal);
      return 'too late';
    });
    return { ask, sent };
  };

  test('leaves a call that was sent without an outcome, at once', async () => {
    const { ask, sent } = slow();
    const pair = await open();
    const { address } = await pair.server.serve(pair.address, [ask]);
    const cable = await cableTo(address);
    const call = pair.caller.call(cable.address, ASK, '', LATER);
    const refused = assert.rejects(call, code('UNAVAILABLE', 'unknown'));
    await sent;
    const begun = performance.now();
    cable.close();
    await refused;
    assert.ok(performance.now() - begun < 1_000);
    await pair.close();
  });

  test('silently, is noticed within a second, long before the deadline', async () => {
    const { ask, sent } = slow();
    const pair = await open();
    const { address } = await pair.server.serve(pair.address, [ask]);
    const cable = await cableTo(address);
    const call = pair.caller.call(cable.address, ASK, '', LATER);
    const refused = assert.rejects(call, code('UNAVAILABLE', 'unknown'));
    await sent;
    const begun = performance.now();
    cable.silence();
    await refused;
    const took = performance.now() - begun;
    assert.ok(took < 1_500, `it took ${took} ms`);
    cable.close();
    await pair.close();
  });
});

describe('a connection that does not greet', () => {
  const PREFACE = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';

  async function open() {
    const network = grpcNetwork({
      clock: nodeClock,
      logger: silent,
      limits: { greeting: micros(2_000_000) },
    });
    const { address } = await network.serve('127.0.0.1:0', [unary(ASK, async () => 'here')]);
    return { network, address, port: Number(address.split(':')[1]) };
  }

  const dial = (port: number, says: string) => {
    const socket = connect(port, '127.0.0.1');
    socket.on('error', () => {});
    socket.resume();
    socket.write(says);
    return { socket, closed: once(socket, 'close') };
  };

  test('is closed, whatever part of a greeting it sends', { timeout: 20_000 }, async () => {
    const { network, port } = await open();
    const begun = performance.now();
    // The last one goes on sending a frame of settings of which one byte comes at a time.
    const dripping = dial(port, PREFACE);
    const drip = setInterval(() => dripping.socket.write('\0'), 100);
    const silentOnes = ['', 'PRI * HTT', PREFACE].map((says) => dial(port, says));
    await Promise.all([...silentOnes, dripping].map(({ closed }) => closed));
    clearInterval(drip);
    // Before the keep-alive of the library would have done it.
    assert.ok(performance.now() - begun < 9_000);
    await network.close();
  });

  test('leaves room for others, and one that greets may be idle', { timeout: 60_000 }, async () => {
    const { network, address, port } = await open();
    const idle = connectHttp2(`http://${address}`);
    let closed = false;
    idle.on('close', () => {
      closed = true;
    });
    const mute = Array.from({ length: 300 }, () => dial(port, ''));
    const limits = { keepAliveTimeout: micros(20_000_000) };
    const caller = grpcNetwork({ clock: nodeClock, logger: silent, limits });
    assert.equal(await caller.call(address, ASK, '', LATER), 'here');
    await Promise.all(mute.map(({ closed: over }) => over));
    await setTimeout(2_500);
    assert.equal(closed, false);
    assert.equal(await caller.call(address, ASK, '', LATER), 'here');
    idle.destroy();
    await caller.close();
    await network.close();
  });
});
