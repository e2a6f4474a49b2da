// Records through the hand tool: in, out, under conditions, followed.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { DEFAULT_SETTINGS } from '../../protocol/configuration.ts';
import { Cluster, type Ended, kill, output, pause, startJournal } from './cluster.ts';
import { json, lines, toolOf } from './tool.ts';

let cluster: Cluster;
before(async () => {
  cluster = await Cluster.start();
});
after(() => cluster?.close());

const { done, fails } = toolOf(() => cluster);

describe('append, read, tail', () => {
  test('each line is a record, acknowledged in order with LSN and time', async () => {
    await done('create orders');
    const acks = lines(await done('append orders', 'one\ntwo\n\nfour'));
    assert.equal(acks.length, 4);
    for (const [at, ack] of acks.entries()) {
      assert.match(
        ack,
        new RegExp(`^${at + 1}\\t\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d\\.\\d{6}Z$`),
      );
    }
    assert.equal(await done('tail orders'), '4\n');
    assert.equal(await done('read orders --raw'), 'one\ntwo\n\nfour\n');
    assert.equal(await done('read orders --raw0 --from 2 --limit 2'), 'two\0\0');
    const last = json(await done('read orders --last 1 --json'));
    assert.equal(last[0]?.lsn, 4);
    assert.equal(last[0]?.data, 'four');
    assert.equal(typeof last[0]?.timestampMicros, 'number');
  });

  test('JSON goes in as it comes out, bytes and keys included', async () => {
    await done('create json');
    const input = '{"key":"k","data":"text"}\n{"dataBase64":"/wA="}\n';
    assert.equal(json(await done('append json --json', input)).length, 2);
    const out = json(await done('read json --json'));
    assert.equal(out[0]?.key, 'k');
    assert.equal(out[1]?.dataBase64, '/wA=');
    assert.equal('data' in (out[1] ?? {}), false);
    await done('create json2');
    await done('append json2 --json', await done('read json --json'));
    assert.equal(await done('read json2 --raw'), await done('read json --raw'));
  });

  test('-q says it once, and an empty input is nothing', async () => {
    await done('create quiet');
    assert.equal(await done('append quiet -q', 'a\nb\n'), 'appended 2 records, LSN 1 to 2\n');
    const summary = json(await done('append quiet -q --json', '{"data":"c"}'));
    assert.deepEqual(summary, [{ records: 1, firstLsn: 3, lastLsn: 3 }]);
    assert.equal(await done('append quiet', ''), '');
    await fails('append nowhere', 6, /nowhere/, '');
    assert.equal(await done('tail quiet'), '3\n');
  });

  test('-q says what is there where ^C ends it between two batches', async () => {
    await done('create stopped');
    const env = { JOURNAL_ENDPOINTS: cluster.endpoints.join(',') };
    const child = startJournal(['append', 'stopped', '-q'], env);
    const ended = output(child);
    child.stdin.write('a\nb\n');
    while ((await done('tail stopped')) !== '2\n') await pause(50);
    // It is acknowledged to a reader before it is to the writer, who says nothing of it.
    await pause(3_000);
    child.kill('SIGINT');
    const { code, stdout } = await ended;
    assert.deepEqual([code, stdout], [130, 'appended 2 records, LSN 1 to 2\n']);
  });

  test('a large input passes in order', async () => {
    await done('create large');
    const input = Array.from({ length: 20_000 }, (_, at) => `line ${at}`).join('\n');
    assert.equal(lines(await done('append large', `${input}\n`)).length, 20_000);
    assert.equal(await done('read large --raw'), `${input}\n`);
  });

  test('a slow input is acknowledged while it is still open', async () => {
    await done('create slow');
    const env = { JOURNAL_ENDPOINTS: cluster.endpoints.join(',') };
    const child = startJournal(['append', 'slow'], env);
    const ended = output(child);
    child.stdin.write('first\n');
    const [ack] = await new Promise<Buffer[]>((resolve) =>
      child.stdout.once('data', (piece: Buffer) => resolve([piece])),
    );
    assert.match(String(ack), /^1\t/);
    child.stdin.end('second\n');
    assert.match((await ended).stdout, /\n2\t/);
  });
});

describe('a reader of what the tool writes', () => {
  const main = join(import.meta.dirname, '..', '..', 'cli', 'journal.js');
  /** Runs the tool with its stdout led on by a shell, as by `| head` or `> file`. */
  const led = (to: string, args: string, input = ''): Promise<Ended> => {
    const words = ['-c', `"$0" "$@" ${to}`, process.execPath, main, ...args.split(' ')];
    const env = { ...process.env, JOURNAL_ENDPOINTS: cluster.endpoints.join(',') };
    const child = spawn('sh', words, { env });
    const ended = output(child);
    child.stdin.on('error', () => {});
    child.stdin.end(input);
    return ended;
  };
  const linesOf = (count: number, bytes: number): string =>
    Array.from({ length: count }, (_, at) => `${String(at).padStart(bytes - 1, '.')}\n`).join('');

  test('that is slow gets everything', async () => {
    await done('create unhurried');
    const input = linesOf(900, 100);
    await done('append unhurried', input);
    const slowly = '| { head -c 4096; sleep 2; cat; }';
    const { stdout } = await led(
      slowly,
      'subscribe unhurried --from 1 --until-end --cursor c --raw',
    );
    assert.equal(stdout, input);
  });

  test('that is stuck does not keep the tool from ending', async () => {
    await done('create stuck');
    await done('append stuck', linesOf(2_000, 1_000));
    const env = { JOURNAL_ENDPOINTS: cluster.endpoints.join(',') };
    for (const args of ['subscribe stuck --from first --raw', 'read stuck --raw']) {
      const child = startJournal(args.split(' '), env);
      const ended = new Promise((resolve) => child.once('exit', resolve));
      while (child.stdout.readableLength === 0 && child.exitCode === null) await pause(20);
      await pause(500);
      child.kill('SIGTERM');
      const late = setTimeout(() => child.kill('SIGKILL'), 10_000);
      const code = await ended;
      clearTimeout(late);
      child.stdout.destroy();
      assert.equal(code, 143, args);
    }
  });

  test('that has no room is told, with what an append has done and its key', async () => {
    await done('create full');
    const input = linesOf(3_000, 10);
    const { code, stderr } = await led('> /dev/full', 'append full', input);
    assert.equal(code, 1, stderr);
    assert.match(stderr, /^journal: stdout cannot be written: ENOSPC.*\n {2}acknowledged: \d+ rec/);
    const [, key = '', there] =
      /--idempotency-key (auto-[0-9a-f]{16}@(\d+)\+0)\n$/.exec(stderr) ?? [];
    const again = lines(await done(`append full --idempotency-key ${key}`, input));
    assert.equal(again.length, 3_000 - Number(there));
    assert.equal(await done('read full --raw'), input);
    const atomic = await led('> /dev/full', 'append full -q --expect-tail 3000', 'a\nb\n');
    assert.match(atomic.stderr, /acknowledged: 2 records, through LSN 3002\n$/);
    // A key that was chosen is told again by the next run.
    const chosen = await led('> /dev/full', 'append full --idempotency-key mine', 'c\n');
    assert.match(chosen.stderr, /--idempotency-key mine\n$/);
    assert.match(await done('append full --idempotency-key mine', 'c\n'), /^3003\t/);
    assert.equal(await done('tail full'), '3003\n');
    for (const args of ['read full --raw', 'version']) {
      const { code, stderr } = await led('> /dev/full', args);
      assert.deepEqual([code, stderr.split('\n').length], [1, 2], stderr);
    }
  });
});

describe('conditions', () => {
  test('one atomic batch, only where the tail is as expected', async () => {
    await done('create cond');
    await done('append cond --expect-tail 0', 'a\nb\n');
    await fails('append cond --expect-tail 1', 3, /tail/i, 'c\n');
    assert.equal(await done('tail cond'), '2\n');
    await fails('append cond --expect-tail 2', 2, /at least 1/, '');
    const { stderr } = await fails(
      'append cond --expect-tail 7 --json',
      3,
      /CONDITION/,
      '{"data":"c"}',
    );
    const [error] = json(stderr);
    assert.deepEqual(Object.keys(error ?? {}), ['error']);
  });

  test('by key, and by fence', async () => {
    await done('create keys');
    await done('append keys --key k', 'a\n');
    await done('append keys --key k --expect-key k=1', 'b\n');
    await fails('append keys --key k --expect-key k=1', 3, /./, 'c\n');
    await done('append keys --expect-key other=0', 'd\n');
    await fails('append keys --fence k=99', 3, /./, 'e\n');
    assert.equal(await done('read keys --raw'), 'a\nb\nd\n');
  });

  test('the same command under an idempotency key appends nothing twice', async () => {
    await done('create once');
    const input = Array.from({ length: 2_500 }, (_, at) => `line ${at}\n`).join('');
    const first = await done('append once --idempotency-key job-7', input);
    assert.equal(await done('append once --idempotency-key job-7', input), first);
    assert.equal(await done('tail once'), '2500\n');
    await fails('append once --idempotency-key job-7', 1, /idempotency|other/i, 'something else\n');
  });

  test('appends without a key take no place among the keys that people chose', async () => {
    const { limits } = DEFAULT_SETTINGS;
    await using client = cluster.connect();
    await client.createJournal('places', { settings: { limits: { ...limits, chosenKeys: 2 } } });
    const first = await done('append places --idempotency-key nightly', 'a\nb\n');
    for (const word of ['c', 'd', 'e']) await done('append places', `${word}\n`);
    await done('append places --expect-tail 5', 'f\n');
    assert.equal(await done('append places --idempotency-key nightly', 'a\nb\n'), first);
    assert.equal(await done('tail places'), '6\n');
  });

  test('batches are no larger than the journal allows, under a key as well', async () => {
    await done('create small --batch-max 64KiB');
    const input = `${'x'.repeat(100)}\n`.repeat(5_000);
    assert.equal(lines(await done('append small', input)).length, 5_000);
    const named = await done('append small --idempotency-key job', input);
    assert.equal(await done('append small --idempotency-key job', input), named);
    assert.equal(await done('tail small'), '10000\n');
    await done('import small-copy', await done('export small'));
    assert.equal(await done('read small-copy --raw'), input + input);
  });
});

describe('an outcome that nobody knows', () => {
  test('is exit code 4, and the same command with its key duplicates nothing', async () => {
    await done('create unknown');
    await cluster.whole('unknown');
    const env = { JOURNAL_ENDPOINTS: cluster.endpoints.join(',') };
    const child = startJournal(['append', 'unknown', '--timeout', '2s', '--json'], env);
    const ended = output(child);
    const record = (data: string): string => `${JSON.stringify({ data })}\n`;
    child.stdin.write(record('one'));
    await new Promise((resolve) => child.stdout.once('data', resolve));
    // Two of three stop: what the head takes it cannot acknowledge.
    const { members } = await cluster.whole('unknown');
    const pids = await Promise.all(members.map(({ id }) => cluster.pidOf(id)));
    const everybody = await cluster.pids();
    const others = everybody.filter((pid) => pid !== pids[0]);
    for (const pid of others) kill(pid, 'SIGSTOP');
    child.stdin.end(record('two') + record('three'));
    const { code, stdout, stderr } = await ended;
    for (const pid of others) kill(pid, 'SIGCONT');
    assert.equal(code, 4, stderr);
    assert.equal(json(stdout).length, 1);
    const [shown] = json(stderr);
    const error = shown?.error;
    assert.ok(typeof error === 'object' && error !== null && 'idempotencyKey' in error);
    const key = String(error.idempotencyKey);
    assert.match(key, /^auto-[0-9a-f]{32}\.2@1\+[12]$/);
    const input = record('one') + record('two') + record('three');
    await done(`append unknown --json --timeout 30s --idempotency-key ${key}`, input);
    await done(`append unknown --json --timeout 30s --idempotency-key ${key}`, input);
    assert.equal(await done('read unknown --raw --timeout 30s'), 'one\ntwo\nthree\n');
  });
});

describe('subscribe', () => {
  test('from a position to the end, and no further', async () => {
    await done('create sub');
    await done('append sub', 'a\nb\nc\n');
    assert.equal(await done('subscribe sub --from 2 --until-end --raw'), 'b\nc\n');
    assert.equal(await done('subscribe sub --last 1 --until-end --raw'), 'c\n');
    assert.equal(await done('subscribe sub --until-end --raw'), '');
    assert.equal(await done('subscribe sub --from first --limit 2 --raw'), 'a\nb\n');
  });

  test('positions above the next one are refused by name', async () => {
    await done('create above');
    await done('append above', 'a\nb\nc\n');
    const allowed = /from is [59], allowed is at most 4, the next position/;
    assert.equal(await done('read above --from 4'), '');
    await fails('read above --from 5', 2, allowed);
    await fails('read above --from 5 --linearizable', 2, allowed);
    await fails('subscribe above --from 9', 2, allowed);
    await fails('subscribe above --from 9 --until-end', 2, allowed);
    const { stderr } = await fails('subscribe above --from 9 --json', 2, allowed);
    const [shown] = json(stderr);
    assert.ok(typeof shown?.error === 'object' && shown.error !== null && 'code' in shown.error);
    assert.equal(shown.error.code, 'OUT_OF_RANGE');
    for (const lsn of [0, 3, 1]) await done(`cursor set above c ${lsn}`);
    await fails('cursor set above c 1000', 2, /lsn is 1000, allowed is at most/);
    assert.match(await done('cursor list above'), /^c\t1\t/);
  });

  test('a key is shown, and forgotten once nobody leases it', async () => {
    await done('create forgotten');
    assert.equal(await done('key show forgotten k'), '0\t0\t0\n');
    await done('append forgotten --key k', 'a\nb\n');
    assert.equal(await done('key show forgotten k'), '2\t0\t0\n');
    await done('key forget forgotten k');
    assert.equal(await done('key show forgotten k'), '0\t0\t0\n');
    await fails('key forget forgotten k', 6, /no record has key k/);
    await done('lead forgotten --key worker --lease 5s -- true');
    const [state] = json(await done('key show forgotten worker --json'));
    assert.ok(Number(state?.tokenLsn) > 2, JSON.stringify(state));
    await done(`append forgotten --expect-key k=0`, 'again\n');
  });

  test('a cursor remembers', async () => {
    await done('create remembered');
    await done('append remembered', 'a\nb\nc\n');
    const args = 'subscribe remembered --cursor c --from first --raw';
    assert.equal(await done(`${args} --limit 2`), 'a\nb\n');
    assert.equal(await done(`${args} --until-end`), 'c\n');
    assert.match(await done('cursor list remembered'), /^c\t[3-9]\t/);
    await done('cursor set remembered c 1');
    assert.equal(await done(`${args} --until-end`), 'b\nc\n');
    await fails('trim remembered --through 1000000', 2, /1000000/);
    await done('cursor set remembered c 1');
    await fails('trim remembered --through 2', 1, /cursor/);
    assert.match(await done('trim remembered --through 2 --force'), /^3\n$/);
    await done('cursor delete remembered c');
    assert.equal(await done('cursor list remembered'), '');
    await fails('cursor delete remembered c', 6, /c/);
  });

  test('a cursor is registered at the start, and stays behind what nobody got', async () => {
    await done('create early');
    assert.equal(await done('subscribe early --from first --cursor c --until-end'), '');
    assert.match(await done('cursor list early'), /^c\t0\t/);
    await done('append early', 'a\n');
    const env = { JOURNAL_ENDPOINTS: cluster.endpoints.join(',') };
    const child = startJournal(['subscribe', 'early', '--cursor', 'c', '--raw'], env);
    const ended = output(child);
    await new Promise((resolve) => child.stdout.once('data', resolve));
    child.stdout.destroy();
    await pause(100);
    await done('append early', 'b\n');
    assert.deepEqual([(await ended).code, (await ended).stderr], [0, '']);
    assert.equal(await done('subscribe early --cursor c --until-end --raw'), 'b\n');
  });

  test('one that was to end by itself says that it was interrupted before', async () => {
    await done('create half');
    await done('append half', 'a\n');
    const env = { JOURNAL_ENDPOINTS: cluster.endpoints.join(',') };
    const args = ['subscribe', 'half', '--from', '1', '--limit', '2', '--raw'];
    const child = startJournal(args, env);
    const ended = output(child);
    await new Promise((resolve) => child.stdout.once('data', resolve));
    child.kill('SIGTERM');
    const { code, stdout, stderr } = await ended;
    assert.deepEqual([code, stdout, stderr], [143, 'a\n', '']);
  });

  test('^C ends it cleanly, and so does a reader that goes away', async () => {
    await done('create followed');
    await done('append followed', 'a\n');
    const env = { JOURNAL_ENDPOINTS: cluster.endpoints.join(',') };
    for (const end of ['SIGINT', 'SIGTERM'] as const) {
      const child = startJournal(['subscribe', 'followed', '--from', '1', '--raw'], env);
      const ended = output(child);
      await new Promise((resolve) => child.stdout.once('data', resolve));
      child.kill(end);
      const { code, stdout, stderr } = await ended;
      assert.deepEqual([code, stdout, stderr], [0, 'a\n', '']);
    }
    const child = startJournal(['subscribe', 'followed', '--from', '1', '--raw'], env);
    const ended = output(child);
    await new Promise((resolve) => child.stdout.once('data', resolve));
    child.stdout.destroy();
    await pause(100);
    await done('append followed', 'b\n');
    assert.deepEqual([(await ended).code, (await ended).stderr], [0, '']);
  });
});
