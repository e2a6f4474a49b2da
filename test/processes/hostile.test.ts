// What strangers and bad clients send: each gets an answer or is let go, and the process goes on.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { connect as dial } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { type Client, JournalError } from '../../client/index.ts';
import { Cluster, isAlive, pause } from './cluster.ts';

const WAIT = { timeout: 300_000 };

describe('bad input', () => {
  let cluster: Cluster;
  let client: Client;
  let pids: number[];
  before(async () => {
    cluster = await Cluster.start({ restart: false });
    client = cluster.connect();
    await client.createJournal('orders');
    await cluster.whole('orders');
    pids = await cluster.pids();
  });
  after(async () => {
    await client?.close();
    await cluster?.close();
  });

  /** Everything that ran still runs, and takes an append. */
  const goesOn = async (): Promise<void> => {
    await client.journal('orders').append('still here');
    assert.deepEqual(await cluster.pids(), pids);
    // Of who is gone the controllers still tell the id.
    assert.deepEqual(pids.filter(isAlive), pids);
  };

  const refused = async (work: () => unknown, code: string, words: RegExp): Promise<void> => {
    await assert.rejects(
      async () => await work(),
      (error) => {
        assert.ok(error instanceof JournalError, String(error));
        assert.equal(error.code, code, error.message);
        assert.match(error.message, words);
        assert.equal(error.outcome, 'none');
        return true;
      },
    );
  };

  test('values out of range name the field, what was given, what is allowed', WAIT, async () => {
    const journal = client.journal('orders');
    const { lastLsn } = await journal.append('a');
    const big = Buffer.alloc(1024 * 1024 + 1);
    const timeoutMillis = 5_000;
    await refused(() => client.journal('absent').tail({ timeoutMillis }), 'NOT_FOUND', /absent/);
    await refused(() => client.journal('Bad!').tail(), 'INVALID_ARGUMENT', /Bad!.*a-z/);
    await refused(
      () => journal.append({ data: 'a', key: 'k'.repeat(1_025) }),
      'INVALID_ARGUMENT',
      /1024|1 KiB/,
    );
    await refused(() => journal.append(big), 'INVALID_ARGUMENT', /1048576/);
    await refused(() => journal.append([]), 'INVALID_ARGUMENT', /records/);
    await refused(() => journal.read({ from: -1 }), 'INVALID_ARGUMENT', /-1/);
    await refused(() => journal.read({ from: 1.5 }), 'INVALID_ARGUMENT', /1\.5/);
    await refused(() => journal.read({ from: 2 ** 53 }), 'INVALID_ARGUMENT', /9007199254740992/);
    await refused(() => journal.read({ from: lastLsn + 100 }), 'OUT_OF_RANGE', /./);
    await refused(() => journal.append('a', { fence: { key: 'k', token: 9 } }), 'FENCED', /./);
    await goesOn();
  });

  test('garbage on every port is let go', WAIT, async () => {
    for (let at = 0; at < 12; at += 1) {
      const socket = dial(cluster.port + at, '127.0.0.1');
      socket.on('error', () => {});
      socket.write(randomBytes(64 * 1024));
      await pause(20);
      socket.destroy();
      const half = dial(cluster.port + at, '127.0.0.1');
      half.on('error', () => {});
      half.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
      half.write(randomBytes(1_000));
      await pause(20);
      half.destroy();
    }
    await goesOn();
  });

  test('a thousand idle connections leave room for others, and are closed', WAIT, async () => {
    // Replicas, controllers, and the probe ports of both.
    const ports = Array.from({ length: 12 }, (_, at) => cluster.port + at);
    const sockets = Array.from({ length: 1_200 }, (_, at) => {
      const socket = dial(ports[at % ports.length] ?? 0, '127.0.0.1');
      socket.on('error', () => {});
      socket.resume();
      return socket;
    });
    await pause(500);
    await goesOn();
    for (const port of ports.slice(6)) {
      const { status } = await fetch(`http://127.0.0.1:${port}/livez`);
      assert.equal(status, 200);
    }
    const begun = performance.now();
    while (sockets.some(({ closed }) => !closed)) {
      assert.ok(performance.now() - begun < 40_000, 'they are closed after 10 s');
      await pause(200);
    }
    await goesOn();
  });

  test('a client that stops reading costs bounded memory and nobody else', WAIT, async () => {
    await using other = cluster.connect();
    const stuck = other.journal('orders').subscribe({ from: 1 })[Symbol.asyncIterator]();
    await stuck.next();
    const data = Buffer.alloc(64 * 1024, 'x');
    for (let at = 0; at < 20; at += 1) {
      await Promise.all(Array.from({ length: 20 }, () => client.journal('orders').append(data)));
    }
    await goesOn();
    await stuck.return?.(undefined);
  });
});
