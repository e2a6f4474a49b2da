// `journal dev`: ready soon, stopped well, and clear about why it does not start.

import assert from 'node:assert/strict';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { Cluster, isAlive, journal, kill, output, pause, startJournal } from './cluster.ts';
import { freePorts } from './ports.ts';

const WAIT = { timeout: 300_000 };

describe('dev', () => {
  let cluster: Cluster;
  before(async () => {
    cluster = await Cluster.start();
  });
  after(() => cluster?.close());

  const dev = (...flags: string[]) => journal(['dev', ...flags]);

  test('refuses a directory in use, with the process that has it', WAIT, async () => {
    const { code, stdout, stderr } = await dev('--data', cluster.data, '--port', '19001');
    assert.equal(code, 2);
    assert.equal(stdout, '');
    assert.match(stderr, /in use by process \d+.*--data/s);
  });

  test('refuses a busy port, and says what to do', WAIT, async () => {
    const other = join(cluster.directory, 'other');
    const { code, stderr } = await dev('--data', other, '--port', String(cluster.port));
    assert.equal(code, 2);
    assert.match(stderr, new RegExp(`port ${cluster.port} .*in use.*--port`));
    // What it advises can be done, and once a cluster was made the advice is another.
    const port = String(await freePorts(4));
    const small = ['dev', '--data', other, '--members', '1', '--controllers', '1'];
    const started = startJournal([...small, '--port', port]);
    const ended = output(started);
    await new Promise((resolve) => started.stdout.once('data', resolve).once('end', resolve));
    started.kill('SIGTERM');
    const { stdout, stderr: said } = await ended;
    assert.equal(stdout, `ready 127.0.0.1:${port}\n`, said);
    const listener = createServer();
    await new Promise<void>((resolve) => listener.listen(Number(port), '127.0.0.1', resolve));
    const again = await dev('--data', other);
    await new Promise((resolve) => listener.close(resolve));
    assert.equal(again.code, 2);
    assert.match(again.stderr, new RegExp(`in use: stop .* was made with ports ${port} to `));
  });

  test('of two that start at once on the same ports one is refused', WAIT, async () => {
    const port = String(await freePorts(4));
    const begin = (name: string) => {
      const data = join(cluster.directory, name);
      const small = ['--members', '1', '--controllers', '1', '--port', port];
      return startJournal(['dev', '--data', data, ...small]);
    };
    const both = [begin('left'), begin('right')];
    const ends = both.map(output);
    const first = await Promise.race(ends);
    for (const one of both) one.kill('SIGTERM');
    assert.equal(first.code, 2, first.stderr);
    assert.match(first.stderr, new RegExp(`port ${port} .*in use.*--port`));
    assert.equal(first.stdout, '');
    await Promise.all(ends);
  });

  test('refuses a directory of something else', WAIT, async () => {
    const other = join(cluster.directory, 'else');
    mkdirSync(other);
    writeFileSync(join(other, 'thesis.txt'), 'mine');
    const { code, stderr } = await dev('--data', other, '--port', '19001');
    assert.equal(code, 2);
    assert.match(stderr, /thesis\.txt.*--data/);
    const file = await dev('--data', join(other, 'thesis.txt'), '--port', '19001');
    assert.equal(file.code, 2);
    assert.match(file.stderr, /--data is ".*thesis\.txt", allowed is a directory that/);
  });

  test('a process that died is started again', WAIT, async () => {
    const before = await cluster.pidOf('replica-2');
    kill(before, 'SIGKILL');
    const end = performance.now() + 15_000;
    for (;;) {
      const found = (await cluster.status()).processes.find(({ id }) => id === 'replica-2');
      if (found?.reachable && found.pid !== before) break;
      assert.ok(performance.now() < end, 'it was not started again');
      await pause(50);
    }
    assert.match(cluster.said, /replica-2 \(pid \d+\) was killed by SIGKILL/);
  });

  test('stops everything, and finds its data again', WAIT, async () => {
    await cluster.journal(['create', 'kept']);
    await cluster.journal(['append', 'kept'], 'a\nb\n');
    const pids = await cluster.pids();
    await cluster.down();
    assert.deepEqual(pids.filter(isAlive), []);
    const wrong = await dev('--data', cluster.data, '--members', '5');
    assert.equal(wrong.code, 2);
    assert.match(wrong.stderr, /--members is 5.*made with 3/);
    await cluster.up();
    assert.equal((await cluster.journal(['read', 'kept', '--raw'])).stdout, 'a\nb\n');
  });

  test('when dev itself is killed, its processes end', WAIT, async () => {
    const pids = await cluster.pids();
    await cluster.killDev();
    const end = performance.now() + 10_000;
    while (pids.some(isAlive) && performance.now() < end) await pause(50);
    assert.deepEqual(pids.filter(isAlive), []);
    await cluster.up();
    assert.equal((await cluster.journal(['tail', 'kept'])).stdout, '2\n');
  });
});

test('one member and one controller make a cluster too', WAIT, async () => {
  const cluster = await Cluster.start({ members: 1, controllers: 1 });
  try {
    const made = await cluster.journal(['create', 'solo', '--replicas', '1', '--allow-solo']);
    assert.equal(made.code, 0, made.stderr);
    const appended = await cluster.journal(['append', 'solo'], 'a\n');
    assert.equal(appended.code, 0, appended.stderr);
  } finally {
    await cluster.close();
    rmSync(cluster.directory, { recursive: true, force: true });
  }
});

test('with a host it is reached from elsewhere, and says that anybody can', WAIT, async () => {
  const cluster = await Cluster.start({ members: 1, controllers: 1, host: '0.0.0.0' });
  try {
    assert.match(cluster.said, /whoever reaches this machine reads and writes: there is no TLS/);
    const made = await cluster.journal(['create', 'open', '--replicas', '1', '--allow-solo']);
    assert.equal(made.code, 0, made.stderr);
    // Another address of this machine, at which nothing answers that listens at 127.0.0.1 alone.
    const elsewhere = `127.0.0.2:${cluster.port}`;
    const appended = await journal(['append', 'open', '--endpoints', elsewhere], 'a\n');
    assert.equal(appended.code, 0, appended.stderr);
    const page = await fetch(`http://127.0.0.2:${cluster.port + 2}/console`);
    assert.equal(page.status, 200);
    assert.match(cluster.said, new RegExp(`console http://127.0.0.1:${cluster.port + 2}/console`));
  } finally {
    await cluster.close();
  }
});

test('a host that this machine does not have is refused, by its flag', WAIT, async () => {
  for (const [host, says] of [
    ['192.0.2.1', /--host is 192\.0\.2\.1, allowed is an address or a name of this machine/],
    ['127.0.0.1:80', /--host \(JOURNAL_HOST\) is "127\.0\.0\.1:80", allowed is an IP address/],
    ['1.2.3', /--host \(JOURNAL_HOST\) is "1\.2\.3"/],
  ] as const) {
    const data = join(tmpdir(), `journal-host-${process.pid}`);
    const env = { JOURNAL_HOST: host };
    const { code, stderr } = await journal(['dev', '--data', data, '--port', '19001'], '', env);
    rmSync(data, { recursive: true, force: true });
    assert.equal(code, 2, stderr);
    assert.match(stderr, says);
  }
});
