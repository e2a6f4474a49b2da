// The process of a replica: its probes, its refusals, its end.

import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { silent } from '../../io/logger.ts';
import type { Network } from '../../io/network.ts';
import { nodeClock } from '../../io/node.ts';
import { tooOld } from '../../io/node-process.ts';
import { grpcNetwork } from '../../transport/grpc.ts';
import { journalMethods } from '../../transport/methods.ts';
import { CALL, call, PATIENT } from '../replica/house.ts';
import { eventually, Shepherd, until } from '../replica/shepherd.ts';
import { freePorts } from './ports.ts';

const root = join(import.meta.dirname, '..', '..');

interface Run {
  readonly child: ChildProcess;
  readonly said: string[];
  /** Resolves to the exit code, or to the signal that ended it. */
  readonly ended: Promise<number | string>;
}

function run(args: readonly string[], env: Record<string, string> = {}): Run {
  const command = [join(root, 'cli', 'journal.js'), 'replica', ...args];
  const stdio = ['ignore', 'pipe', 'pipe'] as ['ignore', 'pipe', 'pipe'];
  const child = spawn(process.execPath, command, { stdio, env: { ...process.env, ...env } });
  const said: string[] = [];
  child.stdout?.on('data', (chunk) => said.push(String(chunk)));
  child.stderr?.on('data', (chunk) => said.push(String(chunk)));
  const ended = once(child, 'exit').then(([code, signal]) => code ?? signal);
  return { child, said, ended };
}

describe('the process of a replica', () => {
  let directory: string;
  let network: Network;
  let shepherd: Shepherd;
  let controllers: string;

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'journal-process-'));
    network = grpcNetwork({ clock: nodeClock, logger: silent, limits: PATIENT });
    shepherd = new Shepherd(network);
    controllers = await shepherd.serve();
  });
  after(async () => {
    await shepherd.close();
    await network.close();
    await rm(directory, { recursive: true, force: true, maxRetries: 20 });
  });

  const flags = (name: string, listen: string): string[] => [
    ...['--member', name, '--zone', 'z', '--data', join(directory, name)],
    ...['--listen', listen, '--controllers', controllers],
  ];

  test('answers its probes, outlives garbage, and ends in time when told to', async () => {
    const port = await freePorts(2);
    const probe = port + 1;
    const listen = `127.0.0.1:${port}`;
    const one = run([...flags('p', listen), '--probe-listen', `127.0.0.1:${probe}`]);
    const get = (path: string) => fetch(`http://127.0.0.1:${probe}${path}`);
    const status = (path: string) =>
      get(path).then(
        (answer) => answer.status,
        () => 0,
      );
    await eventually('it is ready', async () => (await status('/readyz')) === 200, 60_000);
    assert.equal(await status('/livez'), 200);
    assert.equal(await status('/nothing'), 404);

    const garbage = connect(port, '127.0.0.1');
    garbage.on('error', () => undefined);
    garbage.end('this is no gRPC\r\n\r\n'.repeat(100));
    const sheep = shepherd.watch(listen);
    await until('it greets', () => (sheep.hello?.incarnation ?? 0) > 0);
    const { journal } = shepherd.create('processes', [sheep]);
    await until('it serves', () => sheep.reports.get(journal)?.live === true);
    await network.call(listen, journalMethods.append, call('processes', ['x']), CALL);
    const metrics = await (await get('/metrics')).text();
    assert.match(metrics, /lsn{journal="processes",position="committed"} 1/);

    const second = run(flags('p', `127.0.0.1:${await freePorts(1)}`));
    assert.equal(await second.ended, 1);
    assert.match(second.said.join(''), /is in use by another process: stop that process/);

    sheep.close();
    const begun = Date.now();
    one.child.kill('SIGTERM');
    assert.equal(await one.ended, 0, one.said.join(''));
    // A second, and what a busy machine adds to it.
    assert.ok(Date.now() - begun < 5_000, `${Date.now() - begun} ms`);
  });

  test('a taken port and a directory of another member are refused by name', async () => {
    const taken = createServer().listen(0, '127.0.0.1');
    await once(taken, 'listening');
    const address = taken.address();
    assert.ok(typeof address === 'object' && address !== null);
    const busy = run(flags('q', `127.0.0.1:${address.port}`));
    assert.equal(await busy.ended, 1);
    assert.match(busy.said.join(''), new RegExp(`127.0.0.1:${address.port}`));
    taken.close();
    const other = run(['--member', 'r', ...flags('q', '127.0.0.1:0').slice(2)]);
    assert.equal(await other.ended, 1);
    assert.match(other.said.join(''), /is of member q, and r was given/);
  });

  test('flags that cannot be are wrong usage, and --print-config starts nothing', async () => {
    const wrong = run(['--member', 'A_']);
    assert.equal(await wrong.ended, 2);
    assert.match(wrong.said.join(''), /allowed is/);
    const tls = ['--tls-cert', '/nowhere/cert.pem', '--tls-key', '/nowhere/key.pem'];
    const unreadable = run([...flags('s', '127.0.0.1:0'), ...tls]);
    assert.equal(await unreadable.ended, 1);
    assert.match(unreadable.said.join(''), /^journal replica: tls .*no such file.*\n$/);
    const printed = run([...flags('s', '127.0.0.1:0'), '--print-config'], { JOURNAL_ZONE: 'no' });
    assert.equal(await printed.ended, 0);
    assert.match(printed.said.join(''), /"zone": "z"/);
  });

  test('one that waits to be let in goes on waiting, and ends when told to', async () => {
    const alone = run([...flags('w', '127.0.0.1:0'), '--controllers', '127.0.0.1:1']);
    await until('it waits', () => /waiting to be let in/.test(alone.said.join('')));
    const early = await Promise.race([
      alone.ended,
      new Promise<null>((resolve) => setTimeout(resolve, 6_000, null)),
    ]);
    assert.equal(early, null, alone.said.join(''));
    alone.child.kill('SIGTERM');
    assert.equal(await alone.ended, 0);
  });

  test('an older Node.js than the code needs is told so', () => {
    assert.equal(tooOld('24.0.0'), null);
    assert.match(tooOld('22.18.0') ?? '', /Node.js is 22.18.0, allowed is 24.0 or newer/);
    assert.match(tooOld('20.19.4') ?? '', /Node.js is 20.19.4, allowed is 24.0 or newer/);
  });
});
