// Calls: answers, refusals, deadlines and callers that give up.

import assert from 'node:assert/strict';
import { bidiStream, serverStream, unary } from '../../io/network.ts';
import { JournalError } from '../../protocol/errors.ts';
import { lsn, micros } from '../../protocol/types.ts';
import {
  ASK,
  aborted,
  type Check,
  COUNT,
  code,
  LATER,
  MILLI,
  method,
  read,
  type Serve,
  SOON,
  TALK,
  until,
} from './pair.ts';

export function callsAreAnswered(check: Check, serve: Serve): void {
  check('a call is answered, also many at a time', async (pair) => {
    const address = await serve(
      pair,
      unary(ASK, async (request) => `${request}!`),
    );
    const words = Array.from({ length: 50 }, (_, index) => `word ${index}`);
    const answers = await Promise.all(words.map((w) => pair.caller.call(address, ASK, w, LATER)));
    assert.deepEqual(
      answers,
      words.map((word) => `${word}!`),
    );
  });

  check('a refusal keeps its code, message, facts and outcome', async (pair) => {
    const refuse = unary(ASK, async () => {
      const facts = { tokenLsn: lsn(7), leaseMillis: 900 };
      throw new JournalError('FENCED', 'claimed since', facts, 'unknown');
    });
    const address = await serve(pair, refuse);
    await assert.rejects(pair.caller.call(address, ASK, '', LATER), (error) => {
      assert.ok(error instanceof JournalError);
      const { code: given, message, details, outcome, retryable } = error;
      assert.deepEqual(
        { given, message, details, outcome, retryable },
        {
          given: 'FENCED',
          message: 'claimed since',
          details: { tokenLsn: 7, leaseMillis: 900 },
          outcome: 'unknown',
          retryable: false,
        },
      );
      return true;
    });
  });
}

export function callsFail(check: Check, serve: Serve): void {
  check('an exception that is no refusal is INTERNAL, and serving goes on', async (pair) => {
    const fail = unary(ASK, async (request) => {
      if (request === 'fail') throw new TypeError('secret');
      return request;
    });
    const address = await serve(pair, fail);
    await assert.rejects(
      pair.caller.call(address, ASK, 'fail', LATER),
      code('INTERNAL', 'unknown'),
    );
    assert.equal(await pair.caller.call(address, ASK, 'on', LATER), 'on');
  });

  check('a request that cannot be read is refused before the handler sees it', async (pair) => {
    let seen = 0;
    const handler = unary(ASK, async (request) => {
      seen += 1;
      return request;
    });
    const address = await serve(pair, handler);
    const call = pair.caller.call(address, ASK, 'unreadable', LATER);
    await assert.rejects(call, code('INVALID_ARGUMENT', 'none'));
    assert.equal(seen, 0);
  });

  check('nobody listens: UNAVAILABLE, and surely nothing happened', async (pair) => {
    const call = pair.caller.call(pair.deserted, ASK, '', LATER);
    await assert.rejects(call, code('UNAVAILABLE', 'none'));
    const stream = read(pair.caller.stream(pair.deserted, COUNT, '', LATER), 1);
    await assert.rejects(stream, code('UNAVAILABLE'));
    const duplex = pair.caller.duplex(pair.deserted, TALK, LATER);
    duplex.send('hello');
    await assert.rejects(read(duplex.incoming, 1), code('UNAVAILABLE'));
    await duplex.drained();
  });

  check('a method that is not served is INCOMPATIBLE', async (pair) => {
    const address = await serve(
      pair,
      unary(ASK, async (request) => request),
    );
    const call = pair.caller.call(address, method('unary', 'Other'), '', LATER);
    await assert.rejects(call, code('INCOMPATIBLE', 'none'));
  });
}

export function callsEnd(check: Check, serve: Serve): void {
  check('a deadline ends the wait of both sides', async (pair) => {
    let ended = false;
    const hang = unary(ASK, async (_request, { signal }) => {
      await aborted(signal);
      ended = true;
      return 'too late';
    });
    const address = await serve(pair, hang);
    const call = pair.caller.call(address, ASK, '', SOON);
    await assert.rejects(call, code('DEADLINE_EXCEEDED', 'unknown'));
    await until(pair, () => ended, 'the handler waits on');
  });

  check('who gives up is told CANCELLED, and the handler learns of it', async (pair) => {
    let begun = false;
    let ended = false;
    const hang = unary(ASK, async (_request, { signal }) => {
      begun = true;
      await aborted(signal);
      ended = true;
      return 'too late';
    });
    const address = await serve(pair, hang);
    const controller = new AbortController();
    const call = pair.caller.call(address, ASK, '', { ...LATER, signal: controller.signal });
    const refused = assert.rejects(call, code('CANCELLED', 'unknown'));
    await until(pair, () => begun, 'the call does not arrive');
    controller.abort();
    await refused;
    await until(pair, () => ended, 'the handler waits on');
  });

  check('who gave up before the call asks for nothing', async (pair) => {
    let seen = 0;
    const handler = unary(ASK, async (request) => {
      seen += 1;
      return request;
    });
    const address = await serve(pair, handler);
    const options = { ...LATER, signal: AbortSignal.abort() };
    await assert.rejects(pair.caller.call(address, ASK, '', options), code('CANCELLED', 'none'));
    await pair.sleep(micros(50 * MILLI));
    assert.equal(seen, 0);
  });

  check('a stream without a first message in time is given up', async (pair) => {
    const silent = serverStream(COUNT, async function* (_request, { signal }) {
      await aborted(signal);
      yield 'too late';
    });
    const mute = bidiStream(TALK, async (_stream, { signal }) => aborted(signal));
    const address = await serve(pair, silent, mute);
    const stream = read(pair.caller.stream(address, COUNT, '', SOON), 1);
    await assert.rejects(stream, code('DEADLINE_EXCEEDED'));
    const { incoming } = pair.caller.duplex(address, TALK, SOON);
    await assert.rejects(read(incoming, 1), code('DEADLINE_EXCEEDED'));
  });
}
