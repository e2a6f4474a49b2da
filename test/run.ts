// Runs the tests tier by tier, from cheap to dear, and ends with one line that sums them up. Tiers
// that wait more than they work run beside another one.
//
//   node test/run.ts [all | TIER…]
//
// Exit code 0 means that every tier ran at least one test and that none failed. With CI=true a
// skipped test fails, since nobody is there to read why it was skipped.

import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { constants, setPriority, tmpdir } from 'node:os';
import { join } from 'node:path';
import { asked, root, type Step, type Tier, tiers } from './tiers.ts';

type Counts = {
  readonly passed: number;
  readonly failed: number;
  /** One sentence each: the test and the reason. */
  readonly skipped: readonly string[];
  /** What failing steps said last, told again at the end of the run. */
  readonly told: readonly string[];
};

type Ending = { readonly code: number; readonly output: string; readonly timedOut: boolean };

/** Hundreds of processes load the same sources: the folder that the product's own use, too. */
const COMPILED = join(root, 'node_modules', '.cache', 'journal');
const TEST_MINUTES_MAX = 5;
const KILL_SECONDS = 5;
const DRAIN_SECONDS = 2;
/** Kept of the end of what a step says. */
const KEPT_CHARS = 32_768;
const TOLD_LINES_MAX = 60;

const none: Counts = { passed: 0, failed: 0, skipped: [], told: [] };
const inCi = process.env.CI === 'true';
const running = new Set<ChildProcess>();

/** Where a tier writes: straight to the terminal, or to what is shown once the tier has ended. */
type Out = (text: string) => void;
const show: Out = (text) => void process.stdout.write(text);
const say = (line: string, out: Out = show): void => out(`${line}\n`);

/** How a tier runs. One beside another takes only what that leaves of the processors. */
type Manner = { readonly out: Out; readonly behind: boolean };

/** Runs a command in a process group of its own, so that nothing it started outlives it. */
function execute(
  command: readonly string[],
  until: number,
  { out, behind }: Manner,
): Promise<Ending> {
  const [file = '', ...args] = command;
  const stdio: ['ignore', 'pipe', 'inherit'] = ['ignore', 'pipe', 'inherit'];
  const colour = process.stdout.isTTY ? { FORCE_COLOR: '1' } : {};
  const env = { ...process.env, NODE_COMPILE_CACHE: COMPILED, ...colour };
  const child = spawn(file, args, { cwd: root, env, detached: true, stdio });
  running.add(child);
  if (behind) stepBack(child);
  let output = '';
  let timedOut = false;
  child.stdout.on('data', (piece: Buffer) => {
    out(piece.toString('utf8'));
    output = (output + piece.toString('utf8')).slice(-KEPT_CHARS);
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
      running.delete(child);
      resolve({ code, output, timedOut });
    };
    child.on('error', (error) => {
      say(`${file}: ${error.message}`, out);
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

function stepBack({ pid }: ChildProcess): void {
  if (pid === undefined) return;
  try {
    setPriority(pid, constants.priority.PRIORITY_LOW);
    // Linux may weigh sessions first, and priorities only within one: sched(7), autogroup.
    if (existsSync('/proc/self/autogroup')) writeFileSync(`/proc/${pid}/autogroup`, '19');
  } catch {
    // It has ended, or nobody may do so here: it runs like any other.
  }
}

function killGroup(child: ChildProcess, signal: NodeJS.Signals): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, signal);
  } catch {
    // The group is gone, which is what was wanted.
  }
}

async function runProgram(
  command: readonly string[],
  until: number,
  manner: Manner,
): Promise<[Counts, Ending]> {
  const ending = await execute(command, until, manner);
  const own = /^(\d+) passed, (\d+) failed/m.exec(ending.output);
  const failed = Number(own?.[2] ?? 0);
  const passed = own === null ? Number(ending.code === 0) : Number(own[1]);
  const counts = { passed, failed: ending.code === 0 ? failed : Math.max(1, failed) };
  return [{ ...none, ...counts }, ending];
}

async function runTests(
  { files, fileMinutesMax = TEST_MINUTES_MAX, filesAtOnce = 2 }: Extract<Step, { kind: 'tests' }>,
  until: number,
  manner: Manner,
): Promise<[Counts, Ending]> {
  const folder = mkdtempSync(join(tmpdir(), 'journal-tests-'));
  const tap = join(folder, 'tap');
  const command = [process.execPath, '--test', `--test-concurrency=${filesAtOnce}`];
  command.push(`--test-timeout=${fileMinutesMax * 60_000}`);
  command.push('--test-reporter=spec', '--test-reporter-destination=stdout');
  command.push('--test-reporter=tap', `--test-reporter-destination=${tap}`);
  try {
    const ending = await execute([...command, ...files], until, manner);
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
    ...none,
    passed: count('pass'),
    failed: ending.code === 0 ? failed : Math.max(1, failed),
    skipped,
  };
}

/** Of a test run its own list of what failed, of a program its last lines. */
function lastWords(output: string): string {
  const list = output.lastIndexOf('failing tests:');
  const lines = (list < 0 ? output : output.slice(list)).trim().split('\n');
  const kept = list < 0 ? lines.slice(-TOLD_LINES_MAX) : lines.slice(1, TOLD_LINES_MAX);
  return kept.join('\n').trim();
}

async function runTier(tier: Tier, steps: readonly Step[], manner: Manner): Promise<Counts> {
  const { out } = manner;
  const { name, about, installs, minutesMax } = tier;
  say(`\n=== ${name}: ${about} (installs ${installs}; ${minutesMax} min at most)`, out);
  const begun = Date.now();
  const until = begun + minutesMax * 60_000;
  let total = none;
  for (const step of steps) {
    say(`--- ${step.name}`, out);
    const stepBegun = Date.now();
    const isProgram = step.kind === 'program';
    const run = isProgram ? runProgram(step.command, until, manner) : runTests(step, until, manner);
    const [counts, ending] = await run;
    total = add(total, counts);
    if (counts.failed > 0) {
      const words = `failed: ${name}, ${step.name}\n${lastWords(ending.output)}`;
      total = { ...total, told: [...total.told, words] };
    }
    const seconds = ((Date.now() - stepBegun) / 1000).toFixed(1);
    const outcome = ending.timedOut
      ? 'stopped at the time limit'
      : counts.failed > 0
        ? 'FAILED'
        : 'ok';
    say(`--- ${step.name}: ${outcome} (${seconds} s)`, out);
  }
  if (total.passed + total.failed === 0) {
    say(`${name} ran no test, which counts as a failure.`, out);
    total = { ...total, failed: 1, told: [`failed: ${name} ran no test`] };
  }
  for (const line of total.skipped) say(`skipped: ${line}`, out);
  say(`=== ${name}: ${summary(total)} (${((Date.now() - begun) / 1000).toFixed(1)} s)`, out);
  return total;
}

type Planned = readonly [Tier, readonly Step[]];

/** One tier after another; each with those that may run beside it, shown when they have ended. */
async function runAll(plan: readonly Planned[]): Promise<Counts> {
  const main = plan.filter(([{ beside }]) => !plan.some(([{ name }]) => name === beside));
  let total = none;
  for (const [tier, steps] of main) {
    const others = plan.filter(([{ beside }]) => beside === tier.name);
    if (others.length > 0) {
      const named = others.map(([{ name, installs }]) => `${name} (installs ${installs})`);
      say(`\nBeside the next, shown when they have ended: ${named.join(', ')}.`);
    }
    const counts = await Promise.all([
      runTier(tier, steps, { out: show, behind: false }),
      runBehind(others),
    ]);
    total = counts.reduce(add, total);
  }
  return total;
}

async function runBehind(plan: readonly Planned[]): Promise<Counts> {
  let total = none;
  for (const [tier, steps] of plan) {
    let shown = '';
    const keep: Out = (text) => {
      shown += text;
    };
    total = add(total, await runTier(tier, steps, { out: keep, behind: true }));
    show(shown);
  }
  return total;
}

const add = (a: Counts, b: Counts): Counts => ({
  passed: a.passed + b.passed,
  failed: a.failed + b.failed,
  skipped: [...a.skipped, ...b.skipped],
  told: [...a.told, ...b.told],
});

const summary = ({ passed, failed, skipped }: Counts): string =>
  `${passed} passed, ${failed} failed, ${skipped.length} skipped`;

/** The tiers that the arguments name, with their steps; undefined, and said, if there is none. */
function chosen(given: readonly string[]): readonly Planned[] | undefined {
  // `npm test -- sim` comes as `all sim`.
  const names = given[0] === 'all' ? given.slice(1) : given;
  if (names.length === 0) {
    const all = tiers.map((tier) => [tier, tier.steps()] as const);
    const absent = all.filter(([, steps]) => steps.length === 0).map(([tier]) => tier.name);
    if (absent.length > 0) say(`Nothing is there yet to run for: ${absent.join(', ')}.`);
    return all.filter(([, steps]) => steps.length > 0);
  }
  const found: Planned[] = [];
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
    for (const child of running) killGroup(child, 'SIGKILL');
    process.exit(1);
  });
}

const plan = chosen(process.argv.slice(2));
if (plan === undefined) process.exit(2);
let total = await runAll(plan);
// Whoever reads a long log begins at its end.
for (const words of total.told) say(`\n${words}`);
if (inCi && total.skipped.length > 0) {
  say(`\nCI=true, so the ${total.skipped.length} skipped above count as failed.`);
  total = { ...total, failed: total.failed + total.skipped.length, skipped: [] };
}
say(`\n${summary(total)}`);
process.exitCode = total.failed > 0 || total.passed === 0 ? 1 : 0;
