// Listeners: what becomes of calls and streams when one closes.

import assert from 'node:assert/strict';
import { serverStream, unary } from '../../io/network.ts';
import { JournalError } from '../../protocol/errors.ts';
import { micros } from '../../protocol/types.ts';
import {
  ASK,
  aborted,
  type Check,
  COUNT,
  code,
  LATER,
  MILLI,
  read,
  SECOND,
  type Serve,
} from './pair.ts';

export function listenersClose(check: Check, serve: Serve): void {
  check('a listener that closes ends streams, then nobody listens', async (pair) => {
    const count = serverStream(COUNT, async function* (_request, { signal }) {
      yield 'one';
      await aborted(signal);
    });
    const listener = await pair.server.serve(pair.address, [count]);
    const words = pair.caller.stream(listener.address, COUNT, '', LATER)[Symbol.asyncIterator]();
    assert.equal((await words.next()).value, 'one');
    const broken = assert.rejects(words.next(), code('UNAVAILABLE'));
    await listener.close(SECOND);
    await broken;
    await assert.rejects(
      read(pair.caller.stream(listener.address, COUNT, '', LATER), 1),
      code('UNAVAILABLE'),
    );
  });

  check('a listener that closes lets calls end within its grace', async (pair) => {
    const slow = unary(ASK, async (request) => {
      await pair.sleep(micros(100 * MILLI));
      return request;
    });
    const listener = await pair.server.serve(pair.address, [slow]);
    const call = pair.caller.call(listener.address, ASK, 'done', LATER);
    await pair.sleep(micros(30 * MILLI));
    await listener.close(SECOND);
    assert.equal(await call, 'done');
  });

  check('an address is served once', async (pair) => {
    const address = await serve(
      pair,
      unary(ASK, async (request) => request),
    );
    await assert.rejects(pair.server.serve(address, []), code('UNAVAILABLE'));
  });

  check('an address that is forgotten drops what is open there', async (pair) => {
    const count = serverStream(COUNT, async function* (_request, { signal }) {
      yield 'one';
      await aborted(signal);
    });
    const address = await serve(pair, count);
    const words = pair.caller.stream(address, COUNT, '', LATER)[Symbol.asyncIterator]();
    await words.next();
    const broken = assert.rejects(words.next(), JournalError);
    pair.caller.forget(address);
    await broken;
    assert.equal((await read(pair.caller.stream(address, COUNT, '', LATER), 1))[0], 'one');
  });
}
