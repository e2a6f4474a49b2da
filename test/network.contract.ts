// What every Network keeps, real or simulated: the suite that makes the twin honest.

import { describe, test } from 'node:test';
import type { Handler } from '../io/network.ts';
import { callsAreAnswered, callsEnd, callsFail } from './network/calls.ts';
import { listenersClose } from './network/listeners.ts';
import type { NetworkPair } from './network/pair.ts';
import { duplexesHoldBack, duplexesKeepOrder, streamsArePaced } from './network/streams.ts';

export type { NetworkPair } from './network/pair.ts';

export function networkContract(name: string, open: () => Promise<NetworkPair>): void {
  const check = (what: string, task: (pair: NetworkPair) => Promise<void>): void => {
    test(what, async () => {
      const pair = await open();
      try {
        await pair.run(() => task(pair));
      } finally {
        await pair.close();
      }
    });
  };
  const serve = async (pair: NetworkPair, ...handlers: Handler[]): Promise<string> =>
    (await pair.server.serve(pair.address, handlers)).address;

  describe(`${name} keeps the contract of Network`, () => {
    callsAreAnswered(check, serve);
    callsFail(check, serve);
    callsEnd(check, serve);
    streamsArePaced(check, serve);
    duplexesKeepOrder(check, serve);
    duplexesHoldBack(check, serve);
    listenersClose(check, serve);
  });
}
