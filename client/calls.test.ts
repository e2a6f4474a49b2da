// What a caller is told when its own deadline or signal cut off a try that was under way.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { silent } from '../io/logger.ts';
import type { Network } from '../io/network.ts';
import { nodeClock, nodeRandom } from '../io/node.ts';
import { JournalError, type Outcome } from '../protocol/errors.ts';
import { lsn, micros, NO_LSN } from '../protocol/types.ts';
import { StillClock } from '../test/client/still-clock.ts';
import { journalMethods } from '../transport/methods.ts';
import { ask, type World } from './calls.ts';
import { openRouting } from './routing.ts';
import { Deadline, sleep } from './waiting.ts';

const never = (): never => {
  throw new Error('nothing but calls');
};

/** Calls get no answer, and break off as those of the real network do when their signal aborts. */
const hanging: Network = {
  call: (_address, _method, _request, { signal }) =>
    new Promise((_, reject) => {
      const cut = (): void =>
        reject(new JournalError('CANCELLED', 'the caller gave up', {}, 'unknown'));
      if (signal?.aborted === true) cut();
      else signal?.addEventListener('abort', cut, { once: true });
    }),
  stream: never,
  duplex: never,
  serve: never,
  forget: () => undefined,
  close: () => Promise.resolve(),
};

const world: World = {
  clock: nodeClock,
  random: nodeRandom(),
  network: hanging,
  logger: silent,
  routing: openRouting(['x:1'], null),
  hold: () => () => undefined,
};

const TAIL = {
  method: journalMethods.tail,
  request: { journal: 'orders' },
  journal: 'orders',
  preference: 'nearest',
  writes: false,
  patience: micros(1_000_000),
} as const;

async function failure(writes: boolean, caller?: AbortSignal): Promise<JournalError> {
  const clock = new StillClock();
  const deadline = new Deadline(clock, 30, caller);
  try {
    const question = { ...TAIL, writes, patience: micros(5_000_000), deadline };
    const asked = ask({ ...world, clock }, question);
    asked.catch(() => undefined);
    if (caller === undefined) await clock.pass(30);
    await asked;
  } catch (error) {
    if (error instanceof JournalError) return error;
    throw error;
  } finally {
    deadline.close();
  }
  throw new Error('it was answered');
}

const told = ({ code, retryable, outcome }: JournalError): [string, boolean, Outcome] => [
  code,
  retryable,
  outcome,
];

test('time that is over is DEADLINE_EXCEEDED, the outcome unknown only for a write', async () => {
  assert.deepEqual(told(await failure(false)), ['DEADLINE_EXCEEDED', true, 'none']);
  assert.deepEqual(told(await failure(true)), ['DEADLINE_EXCEEDED', true, 'unknown']);
});

test('a try that the deadline cut short says less than the refusal before it', async () => {
  let calls = 0;
  const clock = new StillClock();
  const late: Network = {
    ...hanging,
    call: async () => {
      calls += 1;
      if (calls === 1) throw new JournalError('UNAVAILABLE', 'nobody is trusted there');
      await sleep(clock, micros(60_000), new AbortController().signal);
      throw new JournalError('DEADLINE_EXCEEDED', 'no answer in time');
    },
  };
  const deadline = new Deadline(clock, 100);
  const asked = ask(
    { ...world, clock, network: late, routing: openRouting(['x:1'], null) },
    { ...TAIL, deadline },
  );
  asked.catch(() => undefined);
  await clock.pass(300);
  await assert.rejects(asked, /nobody is trusted there/);
  deadline.close();
  assert.ok(calls > 1);
});

test('every replica is asked before one is asked again', async () => {
  const asked: string[] = [];
  const tail = { tailLsn: NO_LSN, endLsn: NO_LSN, firstLsn: lsn(1), lineage: 1 };
  // The last of four answers, whichever that is.
  const silentButOne: Network = {
    ...hanging,
    call: async (address, method) => {
      asked.push(address);
      if (asked.length < 4) throw new JournalError('UNAVAILABLE', 'nobody is there');
      return method.response.decode(journalMethods.tail.response.encode(tail));
    },
  };
  const routing = openRouting(['a:1', 'b:1', 'c:1', 'd:1'], null);
  const deadline = new Deadline(nodeClock, 10_000);
  await ask({ ...world, network: silentButOne, routing }, { ...TAIL, deadline });
  deadline.close();
  assert.equal(new Set(asked).size, 4, asked.join());
});

test('a signal is CANCELLED', async () => {
  const controller = new AbortController();
  const failed = failure(true, controller.signal);
  controller.abort();
  assert.deepEqual(told(await failed), ['CANCELLED', false, 'unknown']);
});
