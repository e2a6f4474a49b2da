// Runs the tests tier by tier, from cheap to dear, and ends with one line that sums them up.
//
//   node test/run.ts [all | TIER…]
//
// Exit code 0 means that every tier ran at least one test and that none failed. With CI=true a
// skipped test fails, since nobody is there to read why it was skipped.

import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { asked, root, type Step, type Tier, tiers } from './tiers.ts';

type Counts = {
  readonly passed: number;
  readonly failed: number;
  /** One sentence each: the test and the reason. */
  readonly skipped: readonly string[];
};

type Ending = { readonly code: number; readonly output: string; readonly timedOut: boolean };

const TEST_MINUTES_MAX = 5;
const KILL_SECONDS = 5;
const DRAIN_SECONDS = 2;

const none: Counts = { passed: 0, failed: 0, skipped: [] };
const inCi = process.env.CI === 'true';
let running: ChildProcess | undefined;

const say = (line: string): void => void process.stdout.write(`${line}\n`);

/** Runs a command in a process group of its own, so that nothing it started outlives it. */
function execute(command: readonly string[], until: number): Promise<Ending> {
  const [file = '', ...args] = command;
  const stdio: ['ignore', 'pipe', 'inherit'] = ['ignore', 'pipe', 'inherit'];
  const env = process.stdout.isTTY ? { ...process.env, FORCE_COLOR: '1' } : process.env;
  const child = spawn(file, args, { cwd: root, env, detached: true, stdio });
  running = child;
  let output = '';
  let timedOut = false;
  child.stdout.on('data', (piece: Buffer) => {
    process.stdout.write(piece);
    output = (output + piece.toString('utf8')).slice(-4096);
  });
  const timer = setTimeout(() => {
    timedOut = true;
    killGroup(child, 'SIGTERM');
    setTimeout(() => killGroup(child, 'SIGKILL'), KILL_SECONDS * 1000).unref();
  }, until - Date.now());
  return new Promise((resolve) => {
    let code = 1;
    let drain: NodeJS.Timeout | undefined;
    const end = (): void => {
      clearTimeout(timer);
      clearTimeout(drain);
      resolve({ code, output, timedOut });
    };
    child.on('error', (error) => {
      say(`${file}: ${error.message}`);
      end();
    });
    child.on('exit', (exitCode) => {
      code = exitCode ?? 1;
      // What the command left behind holds its output open: end it, and wait for the rest.
      killGroup(child, 'SIGKILL');
      drain = setTimeout(end, DRAIN_SECONDS * 1000);
    });
    child.on('close', end);
  });
}

function killGroup(child: ChildProcess, signal: NodeJS.Signals): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, signal);
  } catch {
    // The group is gone, which is what was wanted.
  }
}

async function runProgram(command: readonly string[], until: number): Promise<[Counts, Ending]> {
  const ending = await execute(command, until);
  const own = /^(\d+) passed, (\d+) failed/m.exec(ending.output);
  const failed = Number(own?.[2] ?? 0);
  const passed = own === null ? Number(ending.code === 0) : Number(own[1]);
  return [
    { passed, failed: ending.code === 0 ? failed : Math.max(1, failed), skipped: [] },
    ending,
  ];
}

async function runTests(
  { files, fileMinutesMax = TEST_MINUTES_MAX, filesAtOnce = 2 }: Extract<Step, { kind: 'tests' }>,
  until: number,
): Promise<[Counts, Ending]> {
  const folder = mkdtempSync(join(tmpdir(), 'journal-tests-'));
  const tap = join(folder, 'tap');
  const command = [process.execPath, '--test', `--test-concurrency=${filesAtOnce}`];
  command.push(`--test-timeout=${fileMinutesMax * 60_000}`);
  command.push('--test-reporter=spec', '--test-reporter-destination=stdout');
  command.push('--test-reporter=tap', `--test-reporter-destination=${tap}`);
  try {
    const ending = await execute([...command, ...files], until);
    return [readTap(readFileSync(tap, 'utf8'), ending), ending];
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Counts from the machine-readable report; a run that was cut short has no closing lines. */
function readTap(tap: string, ending: Ending): Counts {
  const count = (word: string): number =>
    Number(new RegExp(`^# ${word} (\\d+)$`, 'm').exec(tap)?.[1] ?? 0);
  const skipped = [...tap.matchAll(/^ *(?:not )?ok \d+ - (.*) # (?:SKIP|TODO)(.*)$/gm)].map(
    ([, name, reason]) => `${name}: ${reason?.trim() || 'no reason given'}`,
  );
  const failed = count('fail') + count('cancelled');
  return {
    passed: count('pass'),
    failed: ending.code === 0 ? failed : Math.max(1, failed),
    skipped,
  };
}

async function runTier(tier: Tier, steps: readonly Step[]): Promise<Counts> {
  say(
    `\n=== ${tier.name}: ${tier.about} (installs ${tier.installs}; ${tier.minutesMax} min at most)`,
  );
  const begun = Date.now();
  const until = begun + tier.minutesMax * 60_000;
  let total = none;
  for (const step of steps) {
    say(`--- ${step.name}`);
    const stepBegun = Date.now();
    const run = step.kind === 'tests' ? runTests(step, until) : runProgram(step.command, until);
    const [counts, ending] = await run;
    total = add(total, counts);
    const seconds = ((Date.now() - stepBegun) / 1000).toFixed(1);
    const outcome = ending.timedOut
      ? 'stopped at the time limit'
      : counts.failed > 0
        ? 'FAILED'
        : 'ok';
    say(`--- ${step.name}: ${outcome} (${seconds} s)`);
  }
  if (total.passed + total.failed === 0) {
    say(`${tier.name} ran no test, which counts as a failure.`);
    total = { ...total, failed: 1 };
  }
  for (const line of total.skipped) say(`skipped: ${line}`);
  say(`=== ${tier.name}: ${summary(total)} (${((Date.now() - begun) / 1000).toFixed(1)} s)`);
  return total;
}

const add = (a: Counts, b: Counts): Counts => ({
  passed: a.passed + b.passed,
  failed: a.failed + b.failed,
  skipped: [...a.skipped, ...b.skipped],
});

const summary = ({ passed, failed, skipped }: Counts): string =>
  `${passed} passed, ${failed} failed, ${skipped.length} skipped`;

/** The tiers that the arguments name, with their steps; undefined, and said, if there is none. */
function chosen(given: readonly string[]): (readonly [Tier, readonly Step[]])[] | undefined {
  // `npm test -- sim` comes as `all sim`.
  const names = given[0] === 'all' ? given.slice(1) : given;
  if (names.length === 0) {
    const all = tiers.map((tier) => [tier, tier.steps()] as const);
    const absent = all.filter(([, steps]) => steps.length === 0).map(([tier]) => tier.name);
    if (absent.length > 0) say(`Nothing is there yet to run for: ${absent.join(', ')}.`);
    return all.filter(([, steps]) => steps.length > 0);
  }
  const found: (readonly [Tier, readonly Step[]])[] = [];
  for (const name of names) {
    const tier = [...tiers, ...asked].find((candidate) => candidate.name === name);
    if (tier === undefined) {
      const known = ['all', ...tiers, ...asked].map((t) => (typeof t === 'string' ? t : t.name));
      process.stderr.write(`There is no tier "${name}". There are: ${known.join(', ')}.\n`);
      return undefined;
    }
    found.push([tier, tier.steps()]);
  }
  return found;
}

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.once(signal, () => {
    if (running !== undefined) killGroup(running, 'SIGKILL');
    process.exit(1);
  });
}

const plan = chosen(process.argv.slice(2));
if (plan === undefined) process.exit(2);
let total = none;
for (const [tier, steps] of plan) total = add(total, await runTier(tier, steps));
if (inCi && total.skipped.length > 0) {
  say(`\nCI=true, so the ${total.skipped.length} skipped above count as failed.`);
  total = { ...total, failed: total.failed + total.skipped.length, skipped: [] };
}
say(`\n${summary(total)}`);
process.exitCode = total.failed > 0 || total.passed === 0 ? 1 : 0;
