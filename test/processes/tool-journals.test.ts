// Everything else that the hand tool does: journals, leases, status, and what it refuses.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { Cluster, isAlive, journal, kill, output, pause, startJournal } from './cluster.ts';
import { isThere, SHELLS } from './shells.ts';
import { json, lines, toolOf } from './tool.ts';

/** What each shell is asked, in its own words: what can follow `journal admin`. */
const COMPLETIONS = {
  bash:
    'source "$1"; COMP_WORDS=(journal admin ""); COMP_CWORD=2; _journal; ' +
    `printf "%s\\n" "\${COMPREPLY[@]}"`,
  // The system of completion needs a terminal: its three words are said in its place.
  zsh:
    'compdef() { : }; _describe() { print -l -- $commands }; _arguments() { : }; ' +
    'words=(journal admin ""); CURRENT=3; source "$1"; _journal',
  fish: 'source $argv[2]; complete -C "journal admin "',
};

let cluster: Cluster;
before(async () => {
  cluster = await Cluster.start();
});
after(() => cluster?.close());

const { done, fails } = toolOf(() => cluster);

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
    const main = join(import.meta.dirname, '..', '..', 'cli', 'journal.js');
    const env = { ...process.env, JOURNAL_ENDPOINTS: cluster.endpoints.join(',') };
    const ended = spawnSync(command, ['-c', script, process.execPath, main], { env });
    assert.equal(ended.status, 7, String(ended.stderr));
    assert.equal(lines(await done('list')).includes('in4'), false);
  });
});

/** Leads with a command whose first line is its pid. */
async function leading(name: string, script: string) {
  const env = { JOURNAL_ENDPOINTS: cluster.endpoints.join(',') };
  const child = startJournal(['lead', name, '--key', 'k', '--', 'sh', '-c', script], env);
  const ended = new Promise((resolve) => child.once('exit', resolve));
  const said = await new Promise<Buffer>((resolve) => child.stdout.once('data', resolve));
  return { child, ended, pid: Number(said.toString('utf8')) };
}

/** A letter of the kernel: T for stopped, Z for one that has ended and was not collected. */
function stateOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)?.[0] ?? '';
  } catch {
    return '';
  }
}

const runs = (pid: number): boolean => !['', 'Z'].includes(stateOf(pid));

async function until(holds: () => boolean, what: string): Promise<void> {
  const end = performance.now() + 10_000;
  while (!holds()) {
    assert.ok(performance.now() < end, `not ${what} in time`);
    await pause(20);
  }
}

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

  test('a second SIGTERM leaves no command behind that nobody watches', async () => {
    await done('create abandoned');
    const stubborn = 'trap "" INT TERM; echo $$; while :; do sleep 0.1; done';
    const { child, pid, ended } = await leading('abandoned', stubborn);
    try {
      child.kill('SIGTERM');
      await pause(500);
      assert.deepEqual([child.exitCode, isAlive(pid)], [null, true], 'it may end its work');
      const until = performance.now() + 20_000;
      while (isAlive(pid) && performance.now() < until) {
        child.kill('SIGTERM');
        await pause(500);
      }
      assert.equal(await ended, 143);
      assert.equal(isAlive(pid), false);
    } finally {
      kill(pid, 'SIGKILL');
    }
  });

  test('a terminal that closes ends the command, then the lead', async () => {
    await done('create closed');
    const { child, pid, ended } = await leading('closed', 'echo $$; exec sleep 60');
    child.kill('SIGHUP');
    assert.equal(await ended, 143);
    assert.equal(isAlive(pid), false);
    const [state] = json(await done('key show closed k --json'));
    assert.equal(state?.leaseMillis, 0, 'the key was given back');
  });

  test('^C that reaches the tool alone is passed on', async () => {
    await done('create interrupted');
    const { child, pid, ended } = await leading('interrupted', 'echo $$; exec sleep 60');
    child.kill('SIGINT');
    assert.equal(await ended, 130);
    assert.equal(runs(pid), false);
  });

  test('what a script has started ends with it', async () => {
    await done('create script');
    const { child, pid, ended } = await leading('script', 'sleep 60 & echo $!; wait');
    child.kill('SIGTERM');
    assert.equal(await ended, 143);
    assert.equal(runs(pid), false);
    const stubborn = 'trap "" TERM; echo $$; while :; do sleep 0.1; done';
    const left = await leading('script', `sh -c '${stubborn}' & sleep 0.5; exit 9`);
    assert.equal(await left.ended, 9);
    assert.equal(runs(left.pid), false);
  });

  test('^Z stops the command as well, and what outlived its lease does not go on', async () => {
    await done('create stopped');
    const { child, pid, ended } = await leading('stopped', 'echo $$; exec sleep 60');
    const states = () => [child.pid ?? 0, pid].map(stateOf).join('');
    child.kill('SIGTSTP');
    await until(() => states() === 'TT', 'both stopped');
    child.kill('SIGCONT');
    await until(() => !states().includes('T'), 'both go on');
    child.kill('SIGTSTP');
    await until(() => states() === 'TT', 'both stopped again');
    await pause(6_000);
    child.kill('SIGCONT');
    assert.equal(await ended, 75);
    assert.equal(runs(pid), false);
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
  before(() => done('create orders'));

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
      'admin',
      'admin member',
      'bench',
      'cursor',
      'key',
      'volume',
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
    const lead = ['lead', 'orders', '--key', 'k', '--endpoints', '127.0.0.1:1', '--timeout', '1s'];
    const { code: led, stderr: said } = await journal([...lead, '--', 'true']);
    assert.equal(led, 5, said);
  });
});

describe('status and bench', () => {
  test('status says of every process where it is and what it is', async () => {
    await done('create seen --min-replicas 3');
    const [status] = json(await done('status --wait --json'));
    assert.ok(Array.isArray(status?.journals));
    assert.equal(status.journals.find(({ name }) => name === 'seen')?.minReplicas, 3);
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
    await fails('bench append --journal bench --outstanding 65537', 2, /65537.*from 1 to 65536/);
  });

  test('bench that is interrupted shows what it measured, and no failure', async () => {
    await done('create short');
    const env = { JOURNAL_ENDPOINTS: cluster.endpoints.join(',') };
    const words = 'bench append --journal short --size 64 --outstanding 16 --seconds 60 --json';
    const child = startJournal(words.split(' '), env);
    const ended = output(child);
    while ((await done('tail short')) === '0\n') await pause(50);
    child.kill('SIGINT');
    const { code, stdout } = await ended;
    const [result] = json(stdout);
    assert.deepEqual([code, result?.failed], [130, 0]);
    assert.ok(Number(result?.appends) > 0);
  });

  test('a volume in use is not verified, by whichever name it is given', async () => {
    const directory = join(cluster.data, 'replicas', 'replica-1');
    const volume = join(directory, 'volume');
    for (const name of [directory, volume]) {
      await fails(`volume verify ${name}`, 2, /which a process uses: stop that one/);
    }
    assert.equal(readdirSync(volume).includes('lock'), false);
  });

  test('completion is made for three shells', async () => {
    for (const shell of SHELLS) {
      assert.match(await done(`completion ${shell}`), /recover-controllers/);
    }
    await fails('completion tcsh', 2, /bash, zsh, fish/);
  });

  for (const [shell, asks] of Object.entries(COMPLETIONS)) {
    const skip =
      !isThere(shell) && `${shell} is not installed: test/processes/prepare.ts installs it`;
    test(`${shell} takes its completion, and completes`, { skip }, async () => {
      const folder = mkdtempSync(join(tmpdir(), 'journal-completion-'));
      const file = join(folder, '_journal');
      writeFileSync(file, await done(`completion ${shell}`));
      const { status, stdout, stderr } = spawnSync(shell, ['-c', asks, shell, file], {
        encoding: 'utf8',
        env: { ...process.env, HOME: folder },
      });
      rmSync(folder, { recursive: true });
      assert.equal(status, 0, stderr);
      assert.match(stdout, /recover-controllers/);
    });
  }
});
