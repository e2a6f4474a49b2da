// The console over HTTP: bounded answers, refusals that name the field, headers, and who may see
// records. The page itself is tested in a browser: test/browser/console.test.ts.

import assert from 'node:assert/strict';
import { createServer, request } from 'node:http';
import { after, before, describe, test } from 'node:test';
import { nodeClock } from '../../io/node.ts';
import { JournalError } from '../../protocol/errors.ts';
import { epoch, journalId, lsn, micros } from '../../protocol/types.ts';
import type { ClusterStatus, JournalStatus, ReadRequest } from '../../transport/public.ts';
import { readCommandLine } from '../config.ts';
import { Console } from './console.ts';
import { consolePages } from './serve.ts';
import type { ConsoleSource } from './source.ts';

const journal = (number: number): JournalStatus => ({
  id: journalId(number.toString(16).padStart(32, '0')),
  name: `journal-${number}`,
  lineage: 1,
  epoch: epoch(1),
  writable: true,
  note: '',
  members: [],
  reconfigurations: 0,
  minReplicas: 2,
});

const status: ClusterStatus = {
  cluster: '0'.repeat(32),
  featureLevel: 1,
  ready: true,
  partial: false,
  processes: [],
  journals: Array.from({ length: 250 }, (_, at) => journal(at)),
};

interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly body: string;
}

describe('the console over HTTP', () => {
  let port = 0;
  let hidden = '';
  let asked: ReadRequest | null = null;
  let statusAsked = 0;
  /** What the next answers of the controllers wait for. */
  let held: Promise<void> = Promise.resolve();
  let onRequest = (): void => {};
  let failure: Error | null = null;
  const large = new Uint8Array(1_000_000).fill(0x61);
  const source: ConsoleSource = {
    servedBy: 'replica-1',
    get recordsHidden() {
      return hidden;
    },
    recordsLocalOnly: true,
    status: async () => {
      statusAsked += 1;
      await held;
      if (failure !== null) throw failure;
      return status;
    },
    read: async (given) => {
      asked = given;
      if (failure !== null) throw failure;
      const record = { lsn: lsn(1), timestampMicros: micros(5), data: large };
      return { records: [record], nextLsn: lsn(2), committedLsn: lsn(1), lineage: 1 };
    },
  };
  const pages = consolePages(new Console(nodeClock, source));
  const server = createServer((incoming, response) => {
    void pages.answer(incoming, response).then((known) => {
      if (!known) response.writeHead(404).end();
    });
    onRequest();
  });
  before(async () => {
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = server.address();
    port = typeof address === 'object' && address !== null ? address.port : 0;
  });
  after(() => server.close());

  const get = (path: string, host = `127.0.0.1:${port}`): Promise<Answer> =>
    new Promise((resolve, reject) => {
      const sent = request({ port, path, headers: { host } }, (answer) => {
        let body = '';
        answer.on('data', (piece) => {
          body += String(piece);
        });
        answer.on('end', () => {
          resolve({ status: answer.statusCode ?? 0, headers: answer.headers, body });
        });
      });
      sent.on('error', reject);
      sent.end();
    });

  test('the page allows nothing but its own script and style', async () => {
    const { headers, body } = await get('/console');
    const policy = String(headers['content-security-policy']);
    assert.match(policy, /^default-src 'none'; script-src 'self'; style-src 'sha256-[\w+/]+=*'; /);
    assert.doesNotMatch(policy, /unsafe|\*|https?:/);
    assert.equal(headers['x-content-type-options'], 'nosniff');
    const outside = body.match(/(?:src|href)="(?!\/console\/|data:)[^"]*"/g);
    assert.equal(outside, null);
    assert.equal((await get('/')).headers.location, '/console');
    assert.equal((await get('/console/other')).status, 404);
    assert.equal((await get('//')).status, 404);
  });

  test('many pages ask the controllers once, and get at most 100 journals', async () => {
    statusAsked = 0;
    // The answer comes once all have asked: a later one would rightly have another.
    const { promise, resolve } = Promise.withResolvers<void>();
    let received = 0;
    held = promise;
    onRequest = () => {
      received += 1;
      if (received === 20) resolve();
    };
    const answers = await Promise.all(Array.from({ length: 20 }, () => get('/console/data')));
    assert.equal(statusAsked, 1);
    for (const { body } of answers) {
      const { journals, journalsTotal } = JSON.parse(body);
      assert.deepEqual([journals.length, journalsTotal], [100, 250]);
    }
    const found = JSON.parse((await get('/console/data?journals=journal-24')).body);
    assert.equal(found.journalsTotal, 11);
    const long = await get(`/console/data?journals=${'x'.repeat(64)}`);
    assert.equal(long.status, 400);
    assert.match(long.body, /journals has 64 characters, allowed are at most 63/);
  });

  test('without an answer of the controllers the last state stays, and why is said', async () => {
    await get('/console/data');
    failure = new JournalError('UNAVAILABLE', 'no controller answered');
    await new Promise((resolve) => setTimeout(resolve, 600));
    const { status: code, body } = await get('/console/data');
    failure = null;
    assert.equal(code, 200);
    const { trouble, journalsTotal, ageMillis } = JSON.parse(body);
    assert.deepEqual([trouble, journalsTotal], ['no controller answered', 250]);
    assert.ok(ageMillis >= 500);
  });

  test('records are bounded', async () => {
    const { body } = await get('/console/records?journal=orders&from=7&limit=3');
    assert.deepEqual(asked?.from, { kind: 'lsn', lsn: 7 });
    assert.equal(asked?.limit, 3);
    const [record] = JSON.parse(body).records;
    assert.deepEqual([record.bytes, record.text.length, record.cut], [1_000_000, 4_096, true]);
  });

  const WRONG: readonly (readonly [string, RegExp])[] = [
    ['', /journal is "", allowed is 1 to 63 of a-z/],
    ['journal=../etc', /journal is "..\/etc", allowed/],
    ['journal=a&limit=101', /limit is "101", allowed is a whole number from 1 to 100/],
    ['journal=a&limit=0', /limit is "0", allowed/],
    ['journal=a&from=-1', /from is "-1", allowed is first, last, an LSN from 1, or a time/],
    ['journal=a&from=2026-13-99T00:00', /from is "2026-13-99T00:00", allowed/],
  ];
  for (const [query, says] of WRONG) {
    test(`refused: ${query}`, async () => {
      const { status: code, body } = await get(`/console/records?${query}`);
      assert.equal(code, 400);
      assert.match(JSON.parse(body).error.message, says);
    });
  }

  test('a refusal of the read is passed on', async () => {
    failure = new JournalError('TRIMMED', 'position 1 was trimmed', { firstLsn: lsn(9) });
    const { status: code, body } = await get('/console/records?journal=orders&from=1');
    failure = null;
    assert.equal(code, 404);
    assert.deepEqual(JSON.parse(body).error, {
      code: 'TRIMMED',
      message: 'position 1 was trimmed',
      firstLsn: 9,
    });
  });

  test('records are for names of this machine, so that no other site can ask', async () => {
    const path = '/console/records?journal=orders';
    for (const host of ['evil.example', '127.0.0.1.evil.example:80', '10.0.0.1']) {
      const { status: code, body } = await get(path, host);
      assert.equal(code, 403, host);
      assert.match(body, /allowed for records is localhost/);
    }
    for (const host of ['localhost:1', '[::1]:1', '127.0.0.2']) {
      assert.equal((await get(path, host)).status, 200, host);
    }
  });

  test('hidden records are not read', async () => {
    hidden = 'Records are not shown here.';
    asked = null;
    const { status: code } = await get('/console/records?journal=orders');
    const { records } = JSON.parse((await get('/console/data')).body);
    hidden = '';
    assert.equal(code, 403);
    assert.equal(asked, null);
    assert.deepEqual(records, { shown: false, why: 'Records are not shown here.' });
  });
});

describe('whether a replica shows records', () => {
  const shown = (flags: string): boolean => {
    const all = `--member a --zone a --controllers 127.0.0.1:1 ${flags}`.trim().split(' ');
    const line = readCommandLine(all, {}, { pid: 1, version: '' });
    return line.kind === 'run' && line.config.consoleRecords;
  };
  const tls = '--tls-ca a --tls-cert b --tls-key c';
  const cases: readonly (readonly [string, boolean])[] = [
    ['--probe-listen 127.0.0.1:1', true],
    ['--probe-listen 0.0.0.0:1', false],
    [`--probe-listen 127.0.0.1:1 ${tls}`, false],
    ['--probe-listen 0.0.0.0:1 --console-records on', true],
    [`--probe-listen 0.0.0.0:1 ${tls} --console-records on`, true],
    ['--probe-listen 127.0.0.1:1 --console-records off', false],
  ];
  for (const [flags, expected] of cases) {
    test(`${flags}: ${expected ? 'yes' : 'no'}`, () => assert.equal(shown(flags), expected));
  }
});
