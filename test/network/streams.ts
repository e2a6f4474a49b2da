// Streams: order, back-pressure, and ends of every kind.

import assert from 'node:assert/strict';
import { bidiStream, serverStream } from '../../io/network.ts';
import { JournalError } from '../../protocol/errors.ts';
import { lsn, micros } from '../../protocol/types.ts';
import {
  type Check,
  COUNT,
  code,
  LATER,
  MILLI,
  read,
  type Serve,
  SOON,
  TALK,
  until,
} from './pair.ts';

export function streamsArePaced(check: Check, serve: Serve): void {
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

export function duplexesKeepOrder(check: Check, serve: Serve): void {
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
}

export function duplexesHoldBack(check: Check, serve: Serve): void {
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
