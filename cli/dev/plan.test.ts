// A local cluster is laid out as its flags say, and keeps to what its directory was made with.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type DevRecord, mismatch, parseRecord, planOf } from './plan.ts';

const record: DevRecord = {
  version: 1,
  cluster: '0'.repeat(32),
  port: 7401,
  zones: ['a', 'b', 'c'],
  members: 3,
  controllers: 3,
  formatted: true,
};

test('replicas take the first ports and go round the zones', () => {
  const { replicas, controllers, ports } = planOf({ ...record, members: 4, controllers: 1 }, 'd');
  assert.deepEqual(
    replicas.map(({ name, zone, address }) => `${name} ${zone} ${address}`),
    [
      'replica-1 a 127.0.0.1:7401',
      'replica-2 b 127.0.0.1:7402',
      'replica-3 c 127.0.0.1:7403',
      'replica-4 a 127.0.0.1:7404',
    ],
  );
  assert.deepEqual(
    controllers.map(({ address }) => address),
    ['127.0.0.1:7405'],
  );
  assert.deepEqual(ports, [7401, 7402, 7403, 7404, 7405, 7406, 7407, 7408, 7409, 7410]);
});

test('the page is at the probes of the first replica', () => {
  assert.equal(planOf(record, 'd').console, 'http://127.0.0.1:7407/console');
});

test('no two processes share a directory, a log or an address', () => {
  const plan = planOf(record, 'd');
  const all = [...plan.replicas, ...plan.controllers];
  for (const field of ['directory', 'log', 'address', 'name'] as const) {
    assert.equal(new Set(all.map((one) => one[field])).size, 6, field);
  }
});

test('other numbers than those of the directory are refused, each by name', () => {
  assert.equal(mismatch(record, { port: 7401, members: 3 }, 'd'), undefined);
  assert.equal(mismatch(record, {}, 'd'), undefined);
  const refusal = mismatch(record, { members: 5, zones: ['a'] }, 'd') ?? '';
  assert.match(refusal, /--members is 5, and d was made with 3/);
  assert.match(refusal, /--zones is a, and d was made with a,b,c/);
  assert.match(refusal, /leave the flag out, or choose another directory/);
});

test('what is not its own record is told from it', () => {
  assert.deepEqual(parseRecord(JSON.stringify(record)), record);
  for (const text of ['', '{', '[]', '{"version":2}', JSON.stringify({ ...record, zones: [1] })]) {
    assert.equal(parseRecord(text), undefined, text);
  }
});
