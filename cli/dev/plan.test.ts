// A local cluster is laid out as its flags say, and keeps to what its directory was made with.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type DevRecord, isLoopback, mismatch, newRecord, parseRecord, planOf } from './plan.ts';

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
  const taken = ports.map(({ port, host }) => `${host}:${port}`);
  const all = [7401, 7402, 7403, 7404, 7405, 7406, 7407, 7408, 7409, 7410];
  assert.deepEqual(
    taken,
    all.map((port) => `127.0.0.1:${port}`),
  );
});

test('the page is at the probes of the first replica', () => {
  assert.equal(planOf(record, 'd').console, 'http://127.0.0.1:7407/console');
});

/** Values of flags of a planned process. */
const flagsOf = (args: readonly string[], ...names: readonly string[]) =>
  names.map((name) => (args.includes(name) ? args[args.indexOf(name) + 1] : undefined));

test('with a host, replicas and the page are there, and controllers stay where they were', () => {
  const hosts: readonly (readonly [string, string, string | undefined, string])[] = [
    ['0.0.0.0', '0.0.0.0:7401', '127.0.0.1:7401', 'http://127.0.0.1:7407/console'],
    ['::', '[::]:7401', '[::1]:7401', 'http://[::1]:7407/console'],
    ['192.0.2.7', '192.0.2.7:7401', undefined, 'http://192.0.2.7:7407/console'],
    ['2001:db8::7', '[2001:db8::7]:7401', undefined, 'http://[2001:db8::7]:7407/console'],
    ['box', 'box:7401', undefined, 'http://box:7407/console'],
  ];
  for (const [host, listen, advertise, page] of hosts) {
    const { replicas, controllers, ports, console } = planOf(record, 'd', host);
    const [first] = replicas;
    assert.deepEqual(flagsOf(first?.args ?? [], '--listen', '--advertise'), [listen, advertise]);
    assert.equal(first?.address, advertise ?? listen);
    const [probes] = flagsOf(first?.args ?? [], '--probe-listen');
    assert.equal(probes, listen.replace('7401', '7407'));
    assert.equal(console, page);
    assert.deepEqual(controllers, planOf(record, 'd').controllers);
    const open = ports.filter((one) => one.host === host).map(({ port }) => port);
    assert.deepEqual(open, [7401, 7402, 7403, 7407, 7408, 7409]);
  }
});

test('who is alone on its machine is told from who is not', () => {
  assert.deepEqual(['127.0.0.1', '127.1.2.3', '::1', 'localhost'].map(isLoopback), [
    true,
    true,
    true,
    true,
  ]);
  assert.deepEqual(['0.0.0.0', '::', '192.0.2.7', 'box'].map(isLoopback), [
    false,
    false,
    false,
    false,
  ]);
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

test('a start that came to nothing binds no later one', () => {
  const fresh = newRecord({}, null, record.cluster);
  assert.deepEqual(fresh, { ...record, formatted: false });
  const moved = newRecord({ port: 7501, members: 1 }, fresh, record.cluster);
  assert.deepEqual(moved, { ...fresh, port: 7501, members: 1 });
  assert.deepEqual(newRecord({ controllers: 1 }, moved, record.cluster), {
    ...moved,
    controllers: 1,
  });
});

test('what is not its own record is told from it', () => {
  assert.deepEqual(parseRecord(JSON.stringify(record)), record);
  for (const text of ['', '{', '[]', '{"version":2}', JSON.stringify({ ...record, zones: [1] })]) {
    assert.equal(parseRecord(text), undefined, text);
  }
});
