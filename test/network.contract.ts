// What every Network keeps, real or simulated: the suite that makes the twin honest.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  bidiStream,
  type Codec,
  type Handler,
  type Method,
  type Network,
  serverStream,
  unary,
} from '../io/network.ts';
import { JournalError } from '../protocol/errors.ts';
import { lsn, type Micros, micros } from '../protocol/types.ts';

/** Two processes that can reach each other. */
export interface NetworkPair {
  readonly caller: Network;
  readonly server: Network;
  /** Where `server` may listen: any free port. */
  readonly address: string;
  /** An address where nobody listens. */
  readonly deserted: string;
  sleep(delay: Micros): Promise<void>;
  /** Runs the test; the simulated world turns meanwhile. */
  run(task: () => Promise<void>): Promise<void>;
  close(): Promise<void>;
}

const text: Codec<string> = {
  encode: (message) => new TextEncoder().encode(message),
  decode: (bytes) => {
    const message = new TextDecoder().decode(bytes);
    if (message !== 'unreadable') return message;
    throw new JournalError('INVALID_ARGUMENT', 'message is "unreadable", allowed is all else');
  },
};
const method = <Kind extends 'unary' | 'serverStream' | 'bidiStream'>(
  kind: Kind,
  name: string,
): Method<string, string, Kind> => ({
  path: `/test.v1.T/${name}`,
  kind,
  request: text,
  response: text,
});

const ASK = method('unary', 'Ask');
const COUNT = method('serverStream', 'Count');
const TALK = method('bidiStream', 'Talk');

const SECOND = micros(1_000_000);
const MILLI = 1_000;
const SOON = { timeout: micros(200 * MILLI) };
const LATER = { timeout: micros(5 * SECOND) };

const code = (expected: string, outcome?: string) => (error: unknown) => {
  assert.ok(error instanceof JournalError, `not a refusal: ${String(error)}`);
  assert.equal(error.code, expected, error.message);
  if (outcome !== undefined) assert.equal(error.outcome, outcome);
  return true;
};

/** Waits for what the other side of an event shows, at most a second. */
async function until(pair: NetworkPair, holds: () => boolean, what: string): Promise<void> {
  for (let waited = 0; waited < 100 && !holds(); waited += 1) {
    await pair.sleep(micros(10 * MILLI));
  }
  assert.ok(holds(), what);
}

const aborted = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve());
  });

async function read<Value>(messages: AsyncIterable<Value>, most: number): Promise<Value[]> {
  const taken: Value[] = [];
  for await (const message of messages) {
    taken.push(message);
    if (taken.length === most) break;
  }
  return taken;
}

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
    callsEnd(check, serve);
    streamsArePaced(check, serve);
    duplexesKeepOrder(check, serve);
    listenersClose(check, serve);
  });
}

type Check = (what: string, task: (pair: NetworkPair) => Promise<void>) => void;
type Serve = (pair: NetworkPair, ...handlers: Handler[]) => Promise<string>;

function callsAreAnswered(check: Check, serve: Serve): void {
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

function callsEnd(check: Check, serve: Serve): void {
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

function streamsArePaced(check: Check, serve: Serve): void {
  check('a stream brings all messages in order, and its end', async (pair) => {
    const count = serverStream(COUNT, async function* (request) {
      for (let number = 1; number <= Number(request); number += 1) yield String(number);
    });
    const address = await serve(pair, count);
    const numbers = await read(pair.caller.stream(address, COUNT, '500', LATER), Infinity);
    assert.deepEqual(
      numbers,
      Array.from({ length: 500 }, (_, index) => String(index + 1)),
    );
  });

  check('a stream that outlives the time for its first message goes on', async (pair) => {
    const count = serverStream(COUNT, async function* () {
      yield 'one';
      await pair.sleep(micros(2 * SOON.timeout));
      yield 'two';
    });
    const address = await serve(pair, count);
    const words = await read(pair.caller.stream(address, COUNT, '', SOON), Infinity);
    assert.deepEqual(words, ['one', 'two']);
  });

  check('a stream that is refused in the middle brings what came before', async (pair) => {
    const fail = serverStream(COUNT, async function* () {
      yield 'one';
      throw new JournalError('TRIMMED', 'dropped', { firstLsn: lsn(9) });
    });
    const address = await serve(pair, fail);
    const taken: string[] = [];
    const reading = async (): Promise<void> => {
      for await (const word of pair.caller.stream(address, COUNT, '', LATER)) taken.push(word);
    };
    await assert.rejects(reading(), code('TRIMMED'));
    assert.deepEqual(taken, ['one']);
  });

  check('a reader that is slow holds its sender back; one that leaves ends it', async (pair) => {
    const piece = 'x'.repeat(100_000);
    let made = 0;
    let over = false;
    const flood = serverStream(COUNT, async function* () {
      try {
        for (;;) {
          made += 1;
          yield piece;
        }
      } finally {
        over = true;
      }
    });
    const address = await serve(pair, flood);
    let taken = 0;
    for await (const message of pair.caller.stream(address, COUNT, '', LATER)) {
      assert.equal(message.length, piece.length);
      taken += 1;
      await pair.sleep(micros(20 * MILLI));
      if (taken === 10) break;
    }
    assert.ok(made < 10 + 100, `${made} messages were made for a reader of 10`);
    await until(pair, () => over, 'the sender goes on after its reader left');
  });
}

function duplexesKeepOrder(check: Check, serve: Serve): void {
  check('a duplex keeps the order both ways, and ends half by half', async (pair) => {
    const talk = bidiStream(TALK, async (stream) => {
      let last = '';
      for await (const message of stream.incoming) {
        stream.send(`${message}!`);
        last = message;
      }
      stream.send(`bye ${last}`);
    });
    const address = await serve(pair, talk);
    const stream = pair.caller.duplex(address, TALK, LATER);
    const words = Array.from({ length: 200 }, (_, index) => String(index));
    for (const word of words) stream.send(word);
    stream.end();
    const heard = await read(stream.incoming, Infinity);
    assert.deepEqual(heard, [...words.map((word) => `${word}!`), 'bye 199']);
  });

  check('a duplex that its handler refuses breaks with that refusal', async (pair) => {
    const refuse = bidiStream(TALK, async (stream) => {
      stream.send('hello');
      throw new JournalError('PERMISSION_DENIED', 'not you');
    });
    const address = await serve(pair, refuse);
    const stream = pair.caller.duplex(address, TALK, LATER);
    const heard: string[] = [];
    const reading = async (): Promise<void> => {
      for await (const word of stream.incoming) heard.push(word);
    };
    await assert.rejects(reading(), code('PERMISSION_DENIED'));
    assert.deepEqual(heard, ['hello']);
    await stream.drained();
  });

  check('a duplex whose reader stalls asks its sender to wait, then goes on', async (pair) => {
    let open = (): void => {};
    const gate = new Promise<void>((resolve) => {
      open = resolve;
    });
    let heard = 0;
    const stall = bidiStream(TALK, async (stream) => {
      stream.send('ready');
      await gate;
      for await (const _message of stream.incoming) heard += 1;
    });
    const address = await serve(pair, stall);
    const stream = pair.caller.duplex(address, TALK, LATER);
    const ready = read(stream.incoming, Infinity);
    let sent = 1;
    while (stream.send('x'.repeat(100_000))) {
      sent += 1;
      assert.ok(sent < 200, 'nobody asks the sender to wait');
      await pair.sleep(micros(MILLI));
    }
    const drained = stream.drained();
    open();
    await drained;
    stream.end();
    assert.deepEqual(await ready, ['ready']);
    assert.equal(heard, sent);
  });

  check('a caller that cancels a duplex is gone for the handler, too', async (pair) => {
    let ended = '';
    const listen = bidiStream(TALK, async (stream) => {
      stream.send('ready');
      try {
        for await (const _message of stream.incoming);
        ended = 'in peace';
      } catch {
        ended = 'broken';
      }
    });
    const address = await serve(pair, listen);
    const stream = pair.caller.duplex(address, TALK, LATER);
    stream.send('one');
    const iterator = stream.incoming[Symbol.asyncIterator]();
    await iterator.next();
    stream.cancel();
    await assert.rejects(iterator.next(), code('CANCELLED'));
    await until(pair, () => ended !== '', 'the handler waits on');
    assert.equal(ended, 'broken');
  });
}

function listenersClose(check: Check, serve: Serve): void {
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
