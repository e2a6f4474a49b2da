// What the soak refuses before it starts anything, whom it draws as victims, and what it leaves.

import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { planOf } from '../../bench/soak/plan.ts';
import { page, pausesOf, type SoakResult, type Suffered } from '../../bench/soak/report.ts';
import { anyVictim } from '../../bench/soak/soak.ts';
import { drawer } from '../draw.ts';
import { pause } from './cluster.ts';

const main = join(import.meta.dirname, '..', '..', 'bench', 'soak', 'main.ts');

/** Runs it with a folder of its own for temporary files, of which nothing may be left. */
function soak(args: readonly string[], env: NodeJS.ProcessEnv = {}) {
  const temporary = mkdtempSync(join(tmpdir(), 'journal-soak-'));
  try {
    const options = {
      encoding: 'utf8',
      env: { ...process.env, TMPDIR: temporary, ...env },
    } as const;
    const { status, stderr } = spawnSync(process.execPath, [main, ...args], options);
    return { status, stderr, left: readdirSync(temporary) };
  } finally {
    rmSync(temporary, { recursive: true });
  }
}

test('without a C compiler it says so in a sentence, and leaves nothing behind', () => {
  const { status, stderr, left } = soak(['--minutes', '0.1'], { PATH: '' });
  assert.match(stderr, /^the library .* no C compiler is here: none of gcc, .* was found\n$/);
  assert.equal(status, 3);
  assert.deepEqual(left, []);
});

test('ended while it starts it leaves nothing behind', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'journal-soak-'));
  const [bin, temporary] = ['bin-', 'tmp-'].map((name) => mkdtempSync(join(folder, name)));
  assert.ok(bin !== undefined && temporary !== undefined);
  const compiler = join(bin, 'gcc');
  writeFileSync(compiler, '#!/bin/sh\n: > "$0.began"\n/bin/sleep 0.5\nexit 1\n');
  chmodSync(compiler, 0o755);
  try {
    const env = { ...process.env, TMPDIR: temporary, PATH: bin };
    const child = spawn(process.execPath, [main, '--minutes', '0.1'], { env, stdio: 'ignore' });
    const ended = once(child, 'exit');
    while (!existsSync(`${compiler}.began`)) await pause(10);
    child.kill('SIGINT');
    assert.notDeepEqual(await ended, [0, null]);
    assert.deepEqual(readdirSync(temporary), []);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('a report that cannot be written is refused before anything is started', () => {
  const asked = (report: string) => soak(['--minutes', '0.1', '--report', report], { PATH: '' });
  const nowhere = asked(join(tmpdir(), 'no', 'such', 'folder', 'page.html'));
  assert.match(nowhere.stderr, /^--report is ".*page\.html", allowed is .*: .* is no folder\n$/);
  assert.equal(nowhere.status, 2);
  const folder = asked(tmpdir());
  assert.match(folder.stderr, /^--report is ".*", allowed is .*: .* is a folder\n$/);
  assert.equal(folder.status, 2);
});

test('the command that a page shows is what was asked for, to be asked for again', () => {
  const asked = ['--minutes', '3', '--only', 'kill -9', '--writers', '2', '--proxies'];
  const { command } = planOf([...asked, '--seed', '7', '--report', join(tmpdir(), 'page.html')]);
  assert.equal(
    command,
    'npm run soak -- --minutes 3 --only "kill -9" --writers 2 --proxies --seed 7',
  );
  assert.match(planOf([]).command, /^npm run soak -- --seed \d+$/);
});

test('about one victim in three is a controller, and no link leads to itself', () => {
  const draw = drawer(1);
  const replicas = ['replica-1', 'replica-2', 'replica-3'];
  const controllers = ['controller-1', 'controller-2', 'controller-3'];
  const victims = Array.from({ length: 600 }, () => anyVictim(draw, replicas, controllers));
  const hit = victims.filter(({ name }) => controllers.includes(name)).length;
  assert.ok(hit > 150 && hit < 250, `${hit} of 600 were controllers`);
  assert.equal(new Set(victims.map(({ name }) => name)).size, 6, 'everybody is drawn');
  for (const { name, next } of victims) assert.notEqual(name, next);
});

const suffered = (victim: string, gapMillis: number | null): Suffered => ({
  ...{ name: 'kill -9', from: 1, until: 2 },
  ...{ victim, gapMillis },
});

const result: SoakResult = {
  ...{ command: 'npm run soak', seed: 1, seconds: 10, samples: [], calm: null, appended: 5 },
  looked: { order: 12, leases: 3 },
  faults: [
    suffered('replica-1', 600),
    suffered('controller-2', 20),
    suffered('controller-1', null),
  ],
  wrong: [],
};

test('pauses after faults at controllers are told apart from those in the chain', () => {
  assert.deepEqual(pausesOf(result.faults), [
    'longest pauses of 1 times kill -9 in the chain in ms: median, p99, worst: 600, 600, 600',
    'longest pauses of 1 times kill -9 at controllers in ms: median, p99, worst: 20, 20, 20',
  ]);
});

test('the page tells what each checker looked at, and the faults at controllers in a row', () => {
  const text = page(result);
  assert.match(text, /<td>order<\/td><td>12<\/td>/);
  assert.match(text, /<td>leases<\/td><td>3<\/td>/);
  assert.match(text, /15 checks, 3 faults/);
  assert.match(text, /■ kill -9<\/td><td>1<\/td><td>600<\/td>/);
  assert.match(text, /■ kill -9, at a controller<\/td><td>1<\/td><td>20<\/td>/);
});
