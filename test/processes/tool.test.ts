// The hand tool against a real cluster: every command, its output, its exit code.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { Cluster, type Ended, journal, output, pause, startJournal } from './cluster.ts';

let cluster: Cluster;
before(async () => {
  cluster = await Cluster.start();
});
after(() => cluster?.close());

const run = (args: string, input: string | Buffer = ''): Promise<Ended> =>
  cluster.journal(args.split(' '), input);

async function done(args: string, input: string | Buffer = ''): Promise<string> {
  const { code, stdout, stderr } = await run(args, input);
  assert.equal(code, 0, `journal ${args}: ${stderr}`);
  return stdout;
}

async function fails(args: string, code: number, words: RegExp, input = ''): Promise<Ended> {
  const ended = await run(args, input);
  assert.equal(ended.code, code, `journal ${args}: ${ended.stderr}`);
  assert.match(ended.stderr, words);
  assert.equal(ended.stderr.includes('    at '), false, `a stack trace: ${ended.stderr}`);
  return ended;
}

const lines = (text: string): string[] => text.split('\n').filter((line) => line !== '');
const json = (text: string): Record<string, unknown>[] =>
  lines(text).map((line): Record<string, unknown> => JSON.parse(line));

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
    assert.equal(await done('tail quiet'), '3\n');
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

describe('journals', () => {
  test('create, list, describe, delete', async () => {
    await done('create life.1 --retain 7d --retain 100GiB');
    await fails('create life.1', 1, /life\.1/);
    await done('create life.1 --if-absent');
    assert.ok(lines(await done('list')).includes('life.1'));
    const [described] = json(await done('describe life.1 --json'));
    assert.ok(JSON.stringify(described).includes('"retainMillis":604800000'));
    assert.match(await done('describe life.1'), /last record +0/);
    await fails('delete life.1', 2, /--yes/);
    await done('delete life.1 --yes');
    assert.equal(lines(await done('list')).includes('life.1'), false);
    await fails('tail life.1 --timeout 5s', 6, /life\.1/);
    await fails('append life.1 --timeout 5s', 6, /life\.1/, 'a\n');
  });

  test('a trim drops a prefix for every reader', async () => {
    await done('create cut');
    await done('append cut', 'a\nb\nc\n');
    assert.equal(await done('trim cut --through 2'), '3\n');
    await fails('read cut --from 1', 6, /3/);
    await fails('subscribe cut --from 2', 6, /3/);
    assert.equal(await done('read cut --raw'), 'c\n');
  });

  test('export and import keep LSNs, keys and gaps, and refuse damage', async () => {
    await done('create out');
    await done('append out --key k', 'a\nb\nc\n');
    await done('trim out --through 1');
    await done('append out', 'd\ne\n');
    const file = await done('export out');
    await done('import in', file);
    const records = (text: string): unknown[] =>
      json(text).map(({ lsn, key, data }) => [lsn, key, data]);
    assert.deepEqual(records(await done('read in --json')), records(await done('read out --json')));
    assert.equal(await done('tail in'), await done('tail out'));
    await fails('import in', 1, /in/, file);
    const damaged = file.replace('"data":"d"', '"data":"x"');
    await fails('import in2', 7, /sha256/, damaged);
    const cut = lines(file).slice(0, -1).join('\n');
    await fails('import in3', 7, /cut short/, `${cut}\n`);
    // From a file the whole is checked before anything is made.
    const path = join(cluster.directory, 'damaged');
    writeFileSync(path, damaged);
    const [command, script] = ['sh', `"$0" "$1" import in4 < "${path}"`];
    const main = join(import.meta.dirname, '..', '..', 'cli', 'main.ts');
    const env = { ...process.env, JOURNAL_ENDPOINTS: cluster.endpoints.join(',') };
    const ended = spawnSync(command, ['-c', script, process.execPath, main], { env });
    assert.equal(ended.status, 7, String(ended.stderr));
    assert.equal(lines(await done('list')).includes('in4'), false);
  });
});

describe('lead', () => {
  test('the command runs with its fence, and its code is the code', async () => {
    await done('create led');
    const print = 'process.stdout.write(process.env.JOURNAL_FENCE); process.exit(7)';
    const args = ['lead', 'led', '--key', 'worker', '--', process.execPath, '-e', print];
    const { code, stdout } = await cluster.journal(args);
    assert.equal(code, 7);
    assert.match(stdout, /^worker=\d+$/);
    const env = { JOURNAL_ENDPOINTS: cluster.endpoints.join(','), JOURNAL_FENCE: stdout };
    const appended = await journal(['append', 'led'], 'fenced\n', env);
    assert.equal(appended.code, 0, appended.stderr);
    const next = await cluster.journal(args);
    assert.notEqual(next.stdout, stdout);
    const late = await journal(['append', 'led'], 'too late\n', env);
    assert.equal(late.code, 3, late.stderr);
  });

  test('two wait for one another', async () => {
    await done('create turns');
    const script =
      'const say = () => process.stdout.write(Date.now() + " "); say(); setTimeout(say, 300)';
    const args = [
      'lead',
      'turns',
      '--key',
      'k',
      '--lease',
      '2s',
      '--',
      process.execPath,
      '-e',
      script,
    ];
    const both = await Promise.all([cluster.journal(args), cluster.journal(args)]);
    const spans = both
      .map(({ stdout }) => stdout.split(' ').map(Number))
      .sort((a, b) => (a[0] ?? 0) - (b[0] ?? 0));
    assert.ok((spans[0]?.[1] ?? Infinity) <= (spans[1]?.[0] ?? 0), JSON.stringify(spans));
  });
});

describe('wrong usage', () => {
  test('names field, given and allowed, with exit code 2', async () => {
    await fails('nonsense', 2, /nonsense/);
    await fails('read', 2, /journal/);
    await fails('read orders --from -1', 2, /-1.*Allowed/s);
    await fails('read orders --from 1.5', 2, /1\.5.*Allowed/s);
    await fails('read orders --from 9007199254740992', 2, /9007199254740991/);
    await fails('read orders --json --raw', 2, /--json and --raw/);
    await fails('read orders --from 1 --last 1', 2, /--from and --last/);
    await fails('create Orders', 2, /Orders.*a-z/);
    await fails(`create ${'a'.repeat(64)}`, 2, /1 to 63/);
    await fails('read orders --from 1000000', 2, /1000000/);
    await fails('list --endpoints nowhere', 2, /nowhere.*HOST:PORT/);
    await fails('list --timeout soon', 2, /soon.*Allowed/s);
    await fails('append orders --fence k', 2, /KEY=/);
    const { stderr } = await fails('read orders --from x --json', 2, /x/);
    const [shown] = json(stderr);
    const error = shown?.error;
    assert.ok(typeof error === 'object' && error !== null && 'retryable' in error);
  });

  test('a record over the limit is refused, what was before it is not', async () => {
    await done('create limits');
    const input = `small\n${'x'.repeat(1024 * 1024 + 1)}\n`;
    const { stdout } = await fails('append limits', 2, /acknowledged: 1 record/, input);
    assert.match(stdout, /^1\t/);
    await fails('append orders --key', 2, /argument missing/);
  });

  test('every command explains itself with an example', async () => {
    const commands = [
      'append',
      'subscribe',
      'read',
      'tail',
      'trim',
      'create',
      'list',
      'describe',
      'delete',
      'cursor list',
      'cursor set',
      'cursor delete',
      'lead',
      'export',
      'import',
      'status',
      'version',
      'bench append',
      'volume inspect',
      'volume verify',
      'admin member add',
      'admin member remove',
      'admin member replace',
      'admin force-loss',
      'admin recover-controllers',
      'replica',
      'controller',
      'dev',
      'completion',
    ];
    await Promise.all(
      commands.map(async (command) => {
        assert.match(await done(`${command} --help`), /Example/, command);
      }),
    );
  });
});

describe('unavailable', () => {
  test('nobody there is exit code 5, and nothing was written', async () => {
    const { code, stderr } = await journal(
      ['append', 'orders', '--endpoints', '127.0.0.1:1', '--timeout', '1s'],
      'a\n',
    );
    assert.equal(code, 5, stderr);
  });
});

describe('status and bench', () => {
  test('status says of every process where it is and what it is', async () => {
    await done('create seen');
    const [status] = json(await done('status --wait --json'));
    assert.ok(Array.isArray(status?.processes) && status.processes.length === 6);
    for (const one of status.processes) {
      for (const field of ['id', 'zone', 'role', 'address', 'pid', 'dataDirectory']) {
        assert.ok(
          one[field] !== undefined && one[field] !== '',
          `${field}: ${JSON.stringify(one)}`,
        );
      }
      assert.ok(one.pid > 0);
    }
    assert.match(await done('status'), /seen.*epoch/);
  });

  test('bench measures what was acknowledged', async () => {
    await done('create bench');
    const [result] = json(
      await done('bench append --journal bench --size 64 --outstanding 16 --seconds 1 --json'),
    );
    assert.ok(Number(result?.records) > 0);
    assert.equal(await done('tail bench'), `${result?.records}\n`);
  });

  test('completion is made for three shells', async () => {
    for (const shell of ['bash', 'zsh', 'fish']) {
      assert.match(await done(`completion ${shell}`), /recover-controllers/);
    }
    await fails('completion tcsh', 2, /bash, zsh, fish/);
  });
});
