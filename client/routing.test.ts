// Whom the client asks, and for how long it avoids who failed.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Configuration, DEFAULT_SETTINGS } from '../protocol/configuration.ts';
import { epoch, FIRST_LSN, journalId, memberId, micros, storeId, zone } from '../protocol/types.ts';
import {
  answered,
  candidates,
  doubtful,
  failed,
  headAddress,
  hear,
  isFront,
  learn,
  openRouting,
} from './routing.ts';
import { BACKOFF_MICROS_FIRST, BACKOFF_MICROS_MAX, backoffMicros } from './waiting.ts';

function configuration(number: number, names: string, journal = '1'): Configuration {
  return {
    journal: journalId(journal.repeat(32)),
    name: 'orders',
    settings: DEFAULT_SETTINGS,
    firstLsn: FIRST_LSN,
    lineage: 1,
    epoch: epoch(number),
    mode: 'chain',
    serving: [...names].map((name) => ({
      store: storeId('0'.repeat(31) + name.charCodeAt(0).toString(16).slice(-1)),
      incarnation: 1,
      id: memberId(name),
      zone: zone(`zone-${name}`),
      address: `${name}:1`,
    })),
    joining: null,
    deleted: false,
  };
}

const now = micros(1_000_000);

test('before anything is known the endpoints are asked, from a different one each turn', () => {
  const routing = openRouting(['x:1', 'y:1'], null);
  assert.equal(headAddress(routing, 'orders', now), undefined);
  assert.deepEqual(candidates(routing, 'orders', 'head', now, 0), ['x:1', 'y:1']);
  assert.deepEqual(candidates(routing, 'orders', 'head', now, 1), ['y:1', 'x:1']);
});

test('the head comes first for appends, the own zone first for reads', () => {
  const routing = openRouting(['x:1'], 'zone-c');
  assert.equal(learn(routing, configuration(1, 'abc')), true);
  assert.equal(headAddress(routing, 'orders', now), 'a:1');
  assert.deepEqual(candidates(routing, 'orders', 'head', now, 0), ['a:1', 'b:1', 'c:1', 'x:1']);
  assert.equal(candidates(routing, 'orders', 'nearest', now, 0)[0], 'c:1');
});

test('only a newer configuration is news, or one of a journal made anew', () => {
  const routing = openRouting(['x:1'], null);
  learn(routing, configuration(5, 'abc'));
  assert.equal(learn(routing, configuration(4, 'cba')), false);
  assert.equal(learn(routing, configuration(5, 'cba')), false);
  assert.equal(headAddress(routing, 'orders', now), 'a:1');
  assert.equal(learn(routing, { ...configuration(1, 'bca'), lineage: 2 }), true);
  assert.equal(headAddress(routing, 'orders', now), 'b:1');
  assert.equal(learn(routing, configuration(1, 'cab', '2')), true);
  assert.equal(headAddress(routing, 'orders', now), 'c:1');
  assert.equal(learn(routing, { ...configuration(2, 'cab', '2'), deleted: true }), true);
  assert.equal(headAddress(routing, 'orders', now), undefined);
});

test('who failed is asked last for a while that doubles, until it answers', () => {
  const routing = openRouting(['x:1'], null);
  learn(routing, configuration(1, 'ab'));
  failed(routing, 'a:1', now);
  assert.equal(headAddress(routing, 'orders', now), undefined);
  assert.deepEqual(candidates(routing, 'orders', 'head', now, 0), ['b:1', 'x:1', 'a:1']);
  assert.equal(headAddress(routing, 'orders', micros(now + 100_001)), 'a:1');
  failed(routing, 'a:1', now);
  assert.equal(headAddress(routing, 'orders', micros(now + 100_001)), undefined);
  answered(routing, 'a:1');
  assert.equal(headAddress(routing, 'orders', now), 'a:1');
});

test('a client whose endpoints are all gone asks the replicas that it has heard of', () => {
  const routing = openRouting(['x:1'], null);
  learn(routing, configuration(1, 'ab'));
  hear(routing, ['', 'c:1', 'a:1']);
  // The endpoints first, as the person said, and also of journals that nobody has asked of.
  assert.deepEqual(candidates(routing, null, 'nearest', now, 0), ['x:1', 'b:1', 'c:1', 'a:1']);
  assert.deepEqual(candidates(routing, 'bills', 'head', now, 1), ['x:1', 'c:1', 'a:1', 'b:1']);
  failed(routing, 'x:1', now);
  assert.equal(candidates(routing, null, 'nearest', now, 0)[0], 'b:1');
  hear(
    routing,
    Array.from({ length: 100 }, (_, at) => `m${at}:1`),
  );
  assert.ok(candidates(routing, null, 'nearest', now, 0).length < 50);
});

test('members that are slow to fail do not keep the endpoint from being asked', () => {
  for (const preference of ['head', 'nearest'] as const) {
    const routing = openRouting(['x:1'], null);
    learn(routing, configuration(1, 'abc'));
    let at = now;
    const asked: string[] = [];
    // As pods that are gone: three seconds until it is known, longer than any is avoided.
    for (let turn = 0; turn < 8; turn += 1) {
      const [address = ''] = candidates(routing, 'orders', preference, at, turn);
      asked.push(address);
      at = micros(at + 3_000_000);
      if (address !== 'x:1') failed(routing, address, at);
    }
    assert.ok(asked.includes('x:1'), `${preference}: ${asked.join()}`);
    assert.ok(doubtful(routing, 'a:1', at) && !doubtful(routing, 'x:1', at));
    // Long afterwards they have their place again, and at once when they answer.
    assert.ok(!doubtful(routing, 'a:1', micros(at + 60_000_000)));
    answered(routing, 'a:1');
    assert.ok(!doubtful(routing, 'a:1', at));
  }
});

test('an endpoint that no replica is called by may have several behind it', () => {
  const routing = openRouting(['x:1', 'a:1'], null);
  learn(routing, configuration(1, 'ab'));
  const fronts = ['x:1', 'a:1', 'b:1'].filter((address) => isFront(routing, address));
  assert.deepEqual(fronts, ['x:1']);
});

test('when all failed, the one that was quiet longest is asked first', () => {
  const routing = openRouting(['x:1', 'y:1'], null);
  failed(routing, 'x:1', micros(now + 5));
  failed(routing, 'y:1', now);
  assert.deepEqual(candidates(routing, null, 'nearest', now, 0), ['y:1', 'x:1']);
});

test('back-off grows from 25 ms to 1 s, with jitter, and never to nothing', () => {
  assert.equal(backoffMicros(0, 0), BACKOFF_MICROS_FIRST / 2);
  assert.ok(backoffMicros(0, 0.999) <= BACKOFF_MICROS_FIRST);
  for (const attempt of [20, 1_000]) {
    assert.equal(backoffMicros(attempt, 0), BACKOFF_MICROS_MAX / 2);
    assert.ok(backoffMicros(attempt, 0.999) <= BACKOFF_MICROS_MAX);
  }
});
