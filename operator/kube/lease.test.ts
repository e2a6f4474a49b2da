// Two operators and one Lease, over an API server that keeps resource versions.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { silent } from '../../io/logger.ts';
import { nodeClock, nodeRandom } from '../../io/node.ts';
import { micros } from '../../protocol/types.ts';
import { type KubeApi, KubeError, type KubeRequest } from './api.ts';
import { at, isObject, textAt } from './fields.ts';
import { LeaseHolder } from './lease.ts';

const refuse = (status: number): KubeError =>
  new KubeError(`${status}`, { status, reason: 'x', retryAfter: micros(0) });

/** One object under optimistic locking: what a Lease needs of an API server. */
function oneObjectServer() {
  let stored: object | null = null;
  let version = 0;
  const state = { down: false };
  const api: KubeApi = {
    async request({ method, body }: KubeRequest) {
      await new Promise((resolve) => setTimeout(resolve, 1));
      if (state.down) throw refuse(0);
      if (method === 'GET') {
        if (stored === null) throw refuse(404);
        return stored;
      }
      const sent = textAt(body, 'metadata', 'resourceVersion');
      const kept = textAt(stored, 'metadata', 'resourceVersion');
      if (method === 'POST' ? stored !== null : sent !== kept) throw refuse(409);
      version += 1;
      const metadata = at(body, 'metadata');
      stored = {
        ...body,
        metadata: { ...(isObject(metadata) ? metadata : {}), resourceVersion: `${version}` },
      };
      return stored;
    },
    watch: () => assert.fail('a lease is not watched'),
  };
  return { api, state, holder: () => textAt(stored, 'spec', 'holderIdentity') };
}

const LENGTH = 300_000;

function contender(api: KubeApi, holder: string, length = LENGTH) {
  const events: string[] = [];
  const lease = new LeaseHolder({
    api,
    clock: nodeClock,
    random: nodeRandom(holder),
    logger: silent,
    namespace: 'n',
    name: 'l',
    holder,
    length: micros(length),
    deadline: micros(length / 2),
    interval: micros(20_000),
    onGained: () => events.push('gained'),
    onLost: () => events.push('lost'),
  });
  return { lease, events };
}

async function until(what: string, condition: () => boolean): Promise<void> {
  const end = Date.now() + 5_000;
  while (!condition()) {
    if (Date.now() > end) assert.fail(`not in time: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

test('one of two holds it, and the other takes over when it is given back', async () => {
  const { api, holder } = oneObjectServer();
  // Longer than this process stands still on a busy machine: only who gives it back loses it.
  const [a, b] = [contender(api, 'a', 10 * LENGTH), contender(api, 'b', 10 * LENGTH)];
  a.lease.start();
  await until('a holds', () => a.lease.holds);
  b.lease.start();
  await new Promise((resolve) => setTimeout(resolve, 500));
  assert.equal(b.lease.holds, false);
  assert.equal(holder(), 'a');
  await a.lease.stop();
  await until('b holds', () => b.lease.holds);
  await b.lease.stop();
  assert.equal(holder(), '');
});

test('a holder that cannot renew stops by its deadline, before the other may begin', async () => {
  const server = oneObjectServer();
  const a = contender(server.api, 'a');
  a.lease.start();
  await until('a holds', () => a.lease.holds);
  server.state.down = true;
  await until('a lost it', () => a.events.includes('lost'));
  assert.equal(a.lease.holds, false);
  server.state.down = false;
  const b = contender(server.api, 'b');
  const began = Date.now();
  b.lease.start();
  // The record names a: b waits a whole length from when it first saw it, unless a renews.
  await until('somebody holds', () => a.lease.holds || b.lease.holds);
  if (b.lease.holds) assert.ok(Date.now() - began >= 300);
  await Promise.all([a.lease.stop(), b.lease.stop()]);
});

test('two that begin at once do not both hold it', async () => {
  const { api } = oneObjectServer();
  const all = ['a', 'b', 'c'].map((name) => contender(api, name));
  for (const { lease } of all) lease.start();
  await until('somebody holds', () => all.some(({ lease }) => lease.holds));
  for (let round = 0; round < 20; round += 1) {
    // Whoever is late to renew holds it no more: for a moment it may be nobody.
    assert.ok(all.filter(({ lease }) => lease.holds).length <= 1);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  await Promise.all(all.map(({ lease }) => lease.stop()));
});

test('who found no lease takes none that another one has made meanwhile', async () => {
  const { api, holder } = oneObjectServer();
  const a = contender(api, 'a');
  let asked = false;
  const late: KubeApi = {
    ...api,
    async request(request) {
      if (asked) return await api.request(request);
      asked = true;
      const none = await api.request(request).catch((error: unknown) => error);
      a.lease.start();
      await until('a holds', () => a.lease.holds);
      throw none;
    },
  };
  const b = contender(late, 'b');
  b.lease.start();
  await until('a holds', () => a.lease.holds);
  await new Promise((resolve) => setTimeout(resolve, 100));
  assert.deepEqual([a.events, b.events, holder()], [['gained'], [], 'a']);
  await Promise.all([a.lease.stop(), b.lease.stop()]);
});

test('who stops takes no lease from somebody who has it by now', async () => {
  const { api, holder } = oneObjectServer();
  let stops = false;
  const taken: KubeApi = {
    ...api,
    async request(request) {
      if (stops) {
        stops = false;
        const seen = await api.request({ ...request, method: 'GET' });
        const body = { ...(isObject(seen) ? seen : {}), spec: { holderIdentity: 'b' } };
        await api.request({ ...request, method: 'PUT', body });
      }
      return await api.request(request);
    },
  };
  const a = contender(taken, 'a');
  a.lease.start();
  await until('a holds', () => a.lease.holds);
  const stopped = a.lease.stop();
  stops = true;
  await stopped;
  assert.deepEqual([stops, holder()], [false, 'b']);
});
