// The Lease under trouble: an API server that resets, answers 410, 429 or 500, or says nothing.
//
// Trouble that lasts runs in virtual time at the lengths that operators use, over many seeds; what
// passes again goes through real HTTP.

import assert from 'node:assert/strict';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, test } from 'node:test';
import { KubeConfig } from '@kubernetes/client-node';
import type { Clock } from '../../io/clock.ts';
import { silent } from '../../io/logger.ts';
import { nodeClock, nodeRandom } from '../../io/node.ts';
import { type Micros, micros } from '../../protocol/types.ts';
import { MemoryKube } from '../../test/kube-api.ts';
import { type KubeApi, KubeError, type KubeRequest } from './api.ts';
import { httpKube } from './http.ts';
import { LeaseHolder } from './lease.ts';

const TROUBLES = ['reset', '410', '429', '500', 'silence'] as const;
type Trouble = (typeof TROUBLES)[number];

const SECOND = 1_000_000;
const DEADLINE = 10 * SECOND;
const LENGTH = 15 * SECOND;
const SEEDS = 40;

/** Time that moves from one timer to the next, and lets all that follows happen in between. */
class VirtualTime implements Clock {
  #now = 0;
  #tasks: { readonly at: number; readonly task: () => void }[] = [];

  now(): Micros {
    return micros(this.#now);
  }

  wall(): Micros {
    return micros(1_767_225_600_000_000 + this.#now);
  }

  after(delay: Micros, task: () => void) {
    const entry = { at: this.#now + delay, task };
    this.#tasks.push(entry);
    return () => {
      this.#tasks = this.#tasks.filter((one) => one !== entry);
    };
  }

  sleep(delay: number): Promise<void> {
    return new Promise((resolve) => this.after(micros(Math.round(delay)), resolve));
  }

  /** `check` is called after everything that happens. */
  async forward(by: number, check: () => void): Promise<void> {
    const end = this.#now + by;
    for (;;) {
      await new Promise((resolve) => setImmediate(resolve));
      check();
      const next = this.#tasks.toSorted((one, other) => one.at - other.at)[0];
      if (next === undefined || next.at > end) break;
      this.#tasks = this.#tasks.filter((one) => one !== next);
      this.#now = Math.max(this.#now, next.at);
      next.task();
    }
    this.#now = end;
  }
}

/** The API server as one operator reaches it: a few milliseconds away, and in trouble or not. */
function way(server: MemoryKube, clock: VirtualTime, seed: string) {
  const random = nodeRandom(seed);
  const state: { trouble: Trouble | null } = { trouble: null };
  const refuse = (status: number, seconds = 0): KubeError =>
    new KubeError(`${status}`, { status, reason: 'x', retryAfter: micros(seconds * SECOND) });
  const answers = async (request: KubeRequest): Promise<unknown> => {
    await clock.sleep(1_000 + random.below(50_000));
    const { trouble } = state;
    if (trouble === null) return await server.request(request);
    if (trouble === '429') throw refuse(429, 1);
    if (trouble === '410' || trouble === '500') throw refuse(Number(trouble));
    // What breaks off or is never answered may have been done.
    if (random.below(2) === 0) await server.request(request);
    if (trouble === 'silence') await clock.sleep(1_000 * SECOND);
    throw refuse(0);
  };
  const api: KubeApi = {
    request: (request) =>
      Promise.race([
        answers(request),
        clock.sleep(request.timeout).then(() => {
          throw refuse(0);
        }),
      ]),
    watch: () => assert.fail('a lease is not watched'),
  };
  return { api, state };
}

function contender(api: KubeApi, clock: Clock, holder: string, more = {}) {
  const events: { readonly what: 'gained' | 'lost'; readonly at: number }[] = [];
  const note = (what: 'gained' | 'lost') => () => events.push({ what, at: clock.now() });
  const lease = new LeaseHolder({
    api,
    clock,
    random: nodeRandom(holder),
    logger: silent,
    namespace: 'n',
    name: 'l',
    holder,
    onGained: note('gained'),
    onLost: note('lost'),
    ...more,
  });
  return { lease, events };
}

async function pairUnderTrouble(seed: string) {
  const [clock, server] = [new VirtualTime(), new MemoryKube()];
  const [wayA, wayB] = [way(server, clock, `a${seed}`), way(server, clock, `b${seed}`)];
  const a = contender(wayA.api, clock, `a${seed}`);
  const b = contender(wayB.api, clock, `b${seed}`);
  const forward = (by: number) =>
    clock.forward(by, () => {
      const when = `at ${clock.now() / SECOND} s`;
      assert.ok(!(a.lease.holds && b.lease.holds), `seed ${seed}: both hold it ${when}`);
      // What is under way ends when it is told to, not when somebody looks.
      const acts = ({ events }: typeof a): boolean => events.at(-1)?.what === 'gained';
      assert.ok(!(acts(a) && acts(b)), `seed ${seed}: both act ${when}`);
    });
  a.lease.start();
  await forward(1 * SECOND);
  b.lease.start();
  await forward(4 * SECOND + 1_000 * nodeRandom(seed).below(4_000));
  assert.deepEqual([a.lease.holds, b.lease.holds], [true, false]);
  return { clock, a, b, wayA, wayB, forward };
}

for (const trouble of TROUBLES) {
  describe(`under ${trouble}`, () => {
    test('a holder that is cut off ends by its deadline, before the other begins', async () => {
      for (let seed = 0; seed < SEEDS; seed += 1) {
        const { clock, a, b, wayA, forward } = await pairUnderTrouble(`${trouble}${seed}`);
        const began = clock.now();
        wayA.state.trouble = trouble;
        await forward(40 * SECOND);
        const lost = a.events.find(({ what }) => what === 'lost')?.at ?? Infinity;
        assert.ok(lost - began <= DEADLINE, `seed ${seed}: lost after ${lost - began} µs`);
        const gained = b.events[0]?.at ?? Infinity;
        assert.ok(gained - began >= LENGTH - 4 * SECOND && gained - began < LENGTH + 9 * SECOND);
      }
    });

    test('both are in it, and one goes on afterwards', async () => {
      for (let seed = 0; seed < SEEDS; seed += 1) {
        const { a, b, wayA, wayB, forward } = await pairUnderTrouble(`both${trouble}${seed}`);
        for (const { state } of [wayA, wayB]) state.trouble = trouble;
        await forward((11 + nodeRandom(`${seed}`).below(9)) * SECOND);
        assert.deepEqual([a.lease.holds, b.lease.holds], [false, false]);
        for (const { state } of [wayA, wayB]) state.trouble = null;
        await forward(30 * SECOND);
        assert.ok(a.lease.holds !== b.lease.holds);
      }
    });

    test('a holder outlives what passes within its deadline', async () => {
      for (let seed = 0; seed < SEEDS; seed += 1) {
        const { a, b, wayA, wayB, forward } = await pairUnderTrouble(`short${trouble}${seed}`);
        for (const { state } of [wayA, wayB]) state.trouble = trouble;
        await forward(3 * SECOND);
        for (const { state } of [wayA, wayB]) state.trouble = null;
        await forward(30 * SECOND);
        assert.deepEqual([a.events.length, b.events.length], [1, 0], `seed ${seed}`);
      }
    });
  });
}

const BAD: Readonly<Record<Trouble, (response: ServerResponse) => void>> = {
  reset: (response) => response.destroy(),
  '410': (response) => response.writeHead(410).end('{"reason":"Expired"}'),
  '429': (response) => response.writeHead(429, { 'retry-after': '1' }).end('{}'),
  '500': (response) => response.writeHead(500).end('it broke'),
  silence: () => undefined,
};

/** An API server over HTTP that does each trouble to so many requests, when told to. */
async function httpServer() {
  const kept = new MemoryKube();
  const state: { trouble: Trouble; left: number } = { trouble: 'reset', left: 0 };
  const server = createServer(async (message, response) => {
    if (state.left > 0) {
      state.left -= 1;
      BAD[state.trouble](response);
      return;
    }
    const pieces: Buffer[] = [];
    for await (const piece of message) pieces.push(piece);
    const text = Buffer.concat(pieces).toString('utf8');
    const path = new URL(message.url ?? '/', 'http://x').pathname;
    const method = message.method === 'PUT' || message.method === 'POST' ? message.method : 'GET';
    const body = text === '' ? {} : { body: JSON.parse(text) };
    try {
      const answer = await kept.request({ method, path, timeout: micros(0), ...body });
      response.writeHead(200).end(JSON.stringify(answer));
    } catch (error) {
      if (!(error instanceof KubeError)) throw error;
      response.writeHead(error.status).end('{}');
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  // cast: a server that listens on TCP has an address of this form.
  const { port } = server.address() as AddressInfo;
  const config = new KubeConfig();
  const at = { name: 'c', server: `http://127.0.0.1:${port}`, skipTLSVerify: true };
  config.loadFromClusterAndUser(at, { name: 'u' });
  const close = (): void => {
    server.closeAllConnections();
    server.close();
  };
  return { api: httpKube(config, nodeClock), state, close };
}

async function until(what: string, condition: () => boolean): Promise<void> {
  const end = Date.now() + 20_000;
  while (!condition()) {
    if (Date.now() > end) assert.fail(`not in time: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

describe('over HTTP', { concurrency: true }, () => {
  for (const trouble of TROUBLES) {
    test(`${trouble}, then well again: it is renewed, and given back`, async () => {
      const { api, state, close } = await httpServer();
      const times = { deadline: micros(6 * SECOND), length: micros(9 * SECOND) };
      const more = { ...times, interval: micros(20_000) };
      const a = contender(api, nodeClock, `a-${trouble}`, more);
      const b = contender(api, nodeClock, `b-${trouble}`, more);
      try {
        a.lease.start();
        await until('a holds', () => a.lease.holds);
        Object.assign(state, { trouble, left: 1 });
        await until('the trouble was met', () => state.left === 0);
        b.lease.start();
        await a.lease.stop();
        await until('b holds', () => b.lease.holds);
        const happened = a.events.map(({ what }) => what);
        assert.deepEqual(happened, ['gained']);
      } finally {
        await Promise.all([a.lease.stop(), b.lease.stop()]);
        close();
      }
    });
  }
});
