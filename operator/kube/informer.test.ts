// The informer against a real HTTP server that resets, expires, refuses, errs, or is silent.

import assert from 'node:assert/strict';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, test } from 'node:test';
import { KubeConfig } from '@kubernetes/client-node';
import { silent } from '../../io/logger.ts';
import { nodeClock, nodeRandom } from '../../io/node.ts';
import { micros } from '../../protocol/types.ts';
import { type KubeObject, RESOURCES } from './api.ts';
import { httpKube } from './http.ts';
import { type InformerOptions, startInformer } from './informer.ts';

type Answer = (request: URL, response: ServerResponse, message: IncomingMessage) => void;

const cleanups: (() => void)[] = [];
after(() => {
  for (const cleanup of cleanups) cleanup();
});

/** Answers the n-th list and the n-th watch by the n-th of each; the last one again and again. */
async function serve(lists: readonly Answer[], watches: readonly Answer[]) {
  const seen: URL[] = [];
  const count = { list: 0, watch: 0 };
  const server = createServer((message, response) => {
    const url = new URL(message.url ?? '/', 'http://x');
    seen.push(url);
    const kind = url.searchParams.has('watch') ? 'watch' : 'list';
    const answers = kind === 'watch' ? watches : lists;
    const answer = answers[Math.min(count[kind], answers.length - 1)];
    count[kind] += 1;
    answer?.(url, response, message);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  // cast: a server that listens on TCP has an address of this form.
  const { port } = server.address() as AddressInfo;
  const config = new KubeConfig();
  config.loadFromClusterAndUser(
    { name: 'c', server: `http://127.0.0.1:${port}`, skipTLSVerify: true },
    { name: 'u' },
  );
  cleanups.push(() => {
    server.closeAllConnections();
    server.close();
  });
  return { api: httpKube(config, nodeClock), seen, count };
}

const pod = (name: string, uid: string, resourceVersion: string) => ({
  metadata: { name, namespace: 'n', uid, resourceVersion },
});

const json = (response: ServerResponse, status: number, body: object, headers = {}): void => {
  response.writeHead(status, { 'content-type': 'application/json', ...headers });
  response.end(JSON.stringify(body));
};

const list =
  (version: string, ...items: object[]): Answer =>
  (_, response) =>
    json(response, 200, { metadata: { resourceVersion: version }, items });

const event = (type: string, object: object): string => `${JSON.stringify({ type, object })}\n`;

/** Stays open after what it says. */
const say =
  (...lines: string[]): Answer =>
  (_, response) => {
    response.writeHead(200);
    response.write(lines.join(''));
  };

const changes: Answer = say();

function watchPods(
  api: Awaited<ReturnType<typeof serve>>['api'],
  options: Partial<InformerOptions> = {},
) {
  const heard: string[] = [];
  const tell = (now: KubeObject | null, before: KubeObject | null): void => {
    const text = (one: KubeObject | null) => (one === null ? '-' : `${one.metadata.uid}`);
    heard.push(`${text(before)}>${text(now)}`);
  };
  const parts = { api, clock: nodeClock, random: nodeRandom('seed'), logger: silent };
  const informer = startInformer(parts, {
    resource: RESOURCES.Pod,
    backoffMin: micros(5_000),
    backoffMax: micros(20_000),
    onChange: tell,
    ...options,
  });
  cleanups.push(() => informer.stop());
  return { informer, heard };
}

async function until(what: string, condition: () => boolean, millis = 4_000): Promise<void> {
  const end = Date.now() + millis;
  while (!condition()) {
    if (Date.now() > end) assert.fail(`not in time: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

test('pages are put together and a watch goes on from the list', async () => {
  const first: Answer = (_, response) =>
    json(response, 200, {
      metadata: { resourceVersion: '7', continue: 'more' },
      items: [pod('a', 'ua', '1')],
    });
  const { api, seen } = await serve(
    [first, list('7', pod('b', 'ub', '2'))],
    [say(event('ADDED', pod('c', 'uc', '8')), event('DELETED', pod('a', 'ua', '9')))],
  );
  const { informer, heard } = watchPods(api, { pageSize: 1, labelSelector: 'x=y' });
  await until('the watch was heard', () => heard.length === 4);
  assert.deepEqual(heard, ['->ua', '->ub', '->uc', 'ua>-']);
  assert.equal(informer.synced, true);
  assert.equal(seen[1]?.searchParams.get('continue'), 'more');
  assert.equal(seen[2]?.searchParams.get('resourceVersion'), '7');
  assert.equal(seen[2]?.searchParams.get('allowWatchBookmarks'), 'true');
  assert.equal(seen[2]?.searchParams.get('labelSelector'), 'x=y');
  assert.ok(Number(seen[2]?.searchParams.get('timeoutSeconds')) > 0);
});

test('a connection that is reset is made again from where it was', async () => {
  const reset: Answer = (_, response) => {
    response.writeHead(200);
    response.write(event('ADDED', pod('a', 'ua', '11')), () => response.socket?.resetAndDestroy());
  };
  const { api, seen, count } = await serve(
    [list('10')],
    [reset, say(event('MODIFIED', pod('a', 'ua', '12')))],
  );
  const { heard } = watchPods(api);
  await until('the change after the reset', () => heard.includes('ua>ua'));
  assert.equal(count.list, 1);
  assert.equal(seen.at(-1)?.searchParams.get('resourceVersion'), '11');
});

test('410 leads to a new list, and what went meanwhile is told', async () => {
  const expired = say(event('ERROR', { code: 410, reason: 'Expired', message: 'too old' }));
  const { api, count } = await serve(
    [list('10', pod('a', 'ua', '1'), pod('b', 'ub', '2')), list('20', pod('b', 'ub', '2'))],
    [expired, changes],
  );
  const { heard } = watchPods(api);
  await until('the deletion is told', () => heard.includes('ua>-'));
  assert.equal(count.list, 2);
  assert.deepEqual(heard, ['->ua', '->ub', 'ua>-']);
});

test('429 is obeyed: nothing is asked before Retry-After', async () => {
  let refusedAt = 0;
  const refuse: Answer = (_, response) => {
    refusedAt = Date.now();
    json(response, 429, { message: 'too many', reason: 'TooManyRequests' }, { 'retry-after': '1' });
  };
  let askedAt = 0;
  const later: Answer = (url, response, message) => {
    askedAt = Date.now();
    list('1', pod('a', 'ua', '1'))(url, response, message);
  };
  const { api } = await serve([refuse, later], [changes]);
  const { informer } = watchPods(api);
  await until('it is synced', () => informer.synced);
  assert.ok(askedAt - refusedAt >= 990, `asked again after ${askedAt - refusedAt} ms`);
});

test('500 on list and watch is survived', async () => {
  const err: Answer = (_, response) => json(response, 500, { message: 'etcd is away' });
  const { api } = await serve(
    [err, err, list('1')],
    [err, err, say(event('ADDED', pod('a', 'ua', '2')))],
  );
  const { heard } = watchPods(api);
  await until('the object is told', () => heard.includes('->ua'));
});

test('a watch that falls silent is given up and made again', async () => {
  const { api, count } = await serve(
    [list('1')],
    [changes, say(event('ADDED', pod('a', 'ua', '2')))],
  );
  const { heard } = watchPods(api, { silence: micros(100_000) });
  await until('the second watch speaks', () => heard.includes('->ua'));
  assert.ok(count.watch >= 2);
});

test('an object that was made again under its name is a deletion and an addition', async () => {
  const { api } = await serve(
    [list('1', pod('a', 'old', '1'))],
    [say(event('MODIFIED', pod('a', 'new', '2')))],
  );
  const { heard } = watchPods(api);
  await until('both are told', () => heard.length === 3);
  assert.deepEqual(heard, ['->old', 'old>-', '->new']);
});

test('a handler that throws stops nothing', async () => {
  const { api } = await serve(
    [list('1', pod('a', 'ua', '1'))],
    [say(event('ADDED', pod('b', 'ub', '2')))],
  );
  let calls = 0;
  const { informer } = watchPods(api, {
    onChange: () => {
      calls += 1;
      throw new Error('a bug');
    },
  });
  await until('the second object came in', () => informer.get('n', 'b') !== undefined);
  assert.equal(calls, 2);
});
