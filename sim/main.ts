// The simulator as a program: seeds in, verdicts out.
//
//   node sim/main.ts --seeds 200 [--budget 3m]   so many seeds; none begins after the budget
//   node sim/main.ts --seed 42                   one seed, twice: both traces must be the same
//   node sim/main.ts --swarm 10m                 new seeds until the time is over (--seconds 600)
//   node sim/main.ts --minimize 42               what of a failing run its failure needs
//   node sim/main.ts --show 42                   the run as a page
//
// Exit code 0: all passed, or the run that was asked for was told or drawn, whatever its verdict;
// 1: a seed failed, or nothing was shown; 2: wrong use, or a seed that is to be minimized passes.

import { execFileSync } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { isMainThread, parentPort, Worker } from 'node:worker_threads';
import { obstacleAt } from '../io/node-place.ts';
import { endWithReader } from '../io/node-process.ts';
import { closeTheWorld } from './closed.ts';
import { type Many, type Plan, parsePlan, USAGE, WrongUse } from './plan.ts';
import { minimize, told } from './report/minimize.ts';
import { page } from './report/page.ts';
import { story, verdict } from './report/story.ts';
import { type Report, Totals } from './report/totals.ts';
import { type RunOptions, type RunResult, run } from './run.ts';
import type { Turn } from './world.ts';

const say = (line: string): void => void process.stdout.write(`${line}\n`);
/** Back to the beginning of a line of a terminal, which is then empty. */
const FRESH_LINE = '\r\x1b[K';
/** A run that loops for ever within one event: a hundred times the processor time of one. */
const SEED_CPU_SECONDS_MAX = 300;
/** A run that waits for ever for nothing; long, since others may have the processors. */
const SEED_MILLIS_MAX = 7_200_000;
const LOOK_MILLIS = 15_000;
/** Frames of a stack that a thread keeps. */
const STACK_FRAMES = 4;
/** Most of what a run makes is dead by the next turn: a larger nursery is swept less often. */
const YOUNG_MIB = 64;
const secondsNow = (): number => Number(process.hrtime.bigint()) / 1e9;

// ── In each thread ────────────────────────────────────────────────────────────────────────────

async function runOne(options: RunOptions): Promise<Report> {
  const began = secondsNow();
  const result = await run(options);
  const wallMillis = (secondsNow() - began) * 1e3;
  const { evidence: _, ...rest } = result;
  return { ...rest, story: result.failure === null ? '' : story(result), wallMillis };
}

function serve(): void {
  closeTheWorld();
  // Refusals are many here and each of them takes a stack: `--seed` shows the whole of it.
  Error.stackTraceLimit = STACK_FRAMES;
  parentPort?.on('message', (options: RunOptions) => {
    runOne(options).then(
      (report) => parentPort?.postMessage(report),
      (error: unknown) => {
        throw error;
      },
    );
  });
}

// ── In the first thread ───────────────────────────────────────────────────────────────────────

function commit(): string {
  try {
    const git = (...args: readonly string[]): string =>
      execFileSync('git', args, {
        cwd: import.meta.dirname,
        encoding: 'utf8',
        stdio: ['ignore', 'pipe', 'ignore'],
      }).trim();
    const dirty = git('status', '--porcelain') === '' ? '' : '+';
    return `${git('rev-parse', '--short', 'HEAD')}${dirty}`;
  } catch {
    return 'unknown';
  }
}

function tell(report: Report, plan: Plan): void {
  const { seed, failure, events, seconds, budget, hash, wallMillis, acknowledged } = report;
  if (failure === null && !plan.verbose && plan.kind === 'many') return;
  const rate = Math.round((events / wallMillis) * 1000);
  const facts = `${budget}, ${events} events in ${seconds.toFixed(1)} virtual s, ${rate} events/s`;
  say(`seed ${seed}: ${failure === null ? 'passed' : `FAILED ${failure.by}`} (${facts})`);
  const refused = report.refused ? ', refused in the end' : '';
  const faults = report.kinds.map((name) => `${name} ${report.struck[name] ?? 0}`).join(', ');
  say(`  trace ${hash}, ${acknowledged} acknowledged${refused}, faults: ${faults}`);
  if (failure === null) return;
  for (const sentence of failure.sentences) say(`  ${sentence}`);
  if (plan.verbose || plan.kind === 'twice') say(report.story);
  const flags = `${seed}${plan.again === '' ? '' : ` ${plan.again}`}`;
  say(`  again: node sim/main.ts --seed ${flags} (commit ${commit()})`);
  say(`  smaller: --minimize ${flags}   as a page: --show ${flags}`);
}

/** How far it is, over and over on one line; nothing where nobody watches. */
function progress(many: Many, totals: Totals, began: number): void {
  if (!process.stderr.isTTY || totals.runs === 0) return;
  const seconds = secondsNow() - began;
  const rate = Math.round(totals.events / seconds);
  const of = Number.isFinite(many.count) ? ` of ${many.count}` : '';
  const line = `${totals.runs}${of} seeds, ${totals.failed} failed, ${rate} events/s`;
  process.stderr.write(`${FRESH_LINE}${line}, ${seconds.toFixed(0)} s`);
}

/** The thread gave no report, and is of no use any more. */
interface Gone {
  readonly by: 'hang' | 'thread';
  readonly why: string;
}

/** The report of one run, or what became of the thread instead. */
function ask(worker: Worker, options: RunOptions): Promise<Report | Gone> {
  return new Promise((resolve) => {
    const began = secondsNow();
    let before: NodeJS.CpuUsage | undefined;
    const finish = (): void => {
      clearInterval(timer);
      worker.off('message', taken);
      worker.off('error', broken);
    };
    const taken = (report: Report): void => {
      finish();
      resolve(report);
    };
    // Of memory, such as: what goes wrong within a run is in its report.
    const broken = (error: unknown): void => {
      finish();
      resolve({ by: 'thread', why: `it ended: ${String(error)}` });
    };
    const look = async (): Promise<void> => {
      const usage = await worker.cpuUsage();
      before ??= usage;
      const spent = (usage.user + usage.system - before.user - before.system) / 1e6;
      const late = (secondsNow() - began) * 1e3 >= SEED_MILLIS_MAX;
      if (!late && spent < SEED_CPU_SECONDS_MAX) return;
      finish();
      resolve({ by: 'hang', why: `no end after ${SEED_CPU_SECONDS_MAX} s of a processor` });
    };
    // A thread that is not there yet, or no more, does not answer: its own events say so.
    const timer = setInterval(() => void look().catch(() => undefined), LOOK_MILLIS);
    worker.on('message', taken);
    worker.on('error', broken);
    worker.postMessage(options);
  });
}

/** One thread: seed after seed, as `next` gives them. */
async function work(plan: Plan & Many, totals: Totals, next: () => string | undefined) {
  const hire = (): Worker =>
    new Worker(new URL(import.meta.url), {
      execArgv: process.execArgv,
      resourceLimits: { maxYoungGenerationSizeMb: YOUNG_MIB },
    });
  let worker = hire();
  try {
    for (let seed = next(); seed !== undefined; seed = next()) {
      const report = await ask(worker, { ...plan.options, seed });
      if (process.stderr.isTTY) process.stderr.write(FRESH_LINE);
      if (!('why' in report)) {
        totals.add(report);
        tell(report, plan);
        continue;
      }
      totals.failed += 1;
      say(`seed ${seed}: FAILED ${report.by} (${report.why})`);
      await worker.terminate();
      worker = hire();
    }
  } finally {
    await worker.terminate();
  }
}

/** Runs seeds on all threads until there are no more or the time is over. */
async function runAll(plan: Plan & Many, totals: Totals, threads: number): Promise<void> {
  const began = secondsNow();
  const next = (): string | undefined => {
    progress(plan, totals, began);
    const late = (secondsNow() - began) * 1e3 >= plan.budgetMillis;
    if (late || totals.failed >= plan.failuresMax) return undefined;
    const { value, done } = plan.seeds.next();
    return done === true ? undefined : value;
  };
  await Promise.all(Array.from({ length: threads }, () => work(plan, totals, next)));
  if (process.stderr.isTTY) process.stderr.write(FRESH_LINE);
}

/** The same seed twice, in two worlds one after the other, must leave the same trace. */
async function runTwice(plan: Plan, seed: string, totals: Totals): Promise<void> {
  closeTheWorld();
  const first = await runOne({ ...plan.options, seed });
  totals.add(first);
  tell(first, plan);
  const second = await runOne({ ...plan.options, seed });
  if (second.hash === first.hash) {
    say(`seed ${seed}, again: the same trace ${second.hash}`);
    return;
  }
  totals.failed += 1;
  say(`seed ${seed}: FAILED determinism, trace ${first.hash}, then ${second.hash}`);
}

async function traced(options: RunOptions): Promise<{ result: RunResult; turns: Turn[] }> {
  const turns: Turn[] = [];
  const result = await run({ ...options, tracer: (turn) => void turns.push(turn) });
  return { result, turns };
}

function draw(result: RunResult, turns: readonly Turn[], out: string): void {
  const read = (name: string): string =>
    readFileSync(join(import.meta.dirname, 'report', name), 'utf8');
  const parts = { template: read('page.html'), script: read('page.js') };
  const html = page(result, turns, parts);
  try {
    writeFileSync(out, html);
  } catch (error) {
    throw new WrongUse(`--out is "${out}", which cannot be written: ${String(error)}`);
  }
  say(`${out}: ${(html.length / 1e6).toFixed(1)} MB, open it in a browser`);
}

async function showOne(plan: Plan & { kind: 'show' }): Promise<number> {
  closeTheWorld();
  const { result, turns } = await traced({ ...plan.options, seed: plan.seed });
  const verdictOf = result.failure === null ? 'passed' : `FAILED ${result.failure.by}`;
  say(`seed ${plan.seed}: ${verdictOf} (${result.budget}, ${result.events} events)`);
  draw(result, turns, plan.out);
  return 0;
}

async function minimizeOne(plan: Plan & { kind: 'minimize' }): Promise<number> {
  closeTheWorld();
  const began = secondsNow();
  const minimal = await minimize(
    { ...plan.options, seed: plan.seed },
    { run, enough: () => (secondsNow() - began) * 1e3 >= plan.budgetMillis, say },
  );
  if (minimal === null) {
    process.stderr.write(`seed ${plan.seed} passes: there is nothing to minimize\n`);
    return 2;
  }
  const { result, turns } = await traced(minimal.options);
  const { before, after, tries, failure } = minimal;
  say(`\nStory of seed ${plan.seed} (${result.budget}), as far as its failure needs it:\n`);
  say(story(result, turns));
  say(verdict(failure));
  say(`\nfrom ${told(before)}\nto   ${told(after)}`);
  say(`in ${tries} runs and ${(secondsNow() - began).toFixed(0)} s`);
  if (plan.out !== null) draw(result, turns, plan.out);
  return 0;
}

/** Runs that only count: exit code 0 where all passed and something was shown. */
async function judge(plan: Plan & { kind: 'many' | 'twice' }): Promise<number> {
  const totals = new Totals();
  const began = secondsNow();
  const threads = plan.kind === 'many' ? Math.min(plan.threads, availableParallelism()) : 1;
  if (plan.kind === 'many') await runAll(plan, totals, threads);
  else await runTwice(plan, plan.seed, totals);
  for (const line of totals.lines(secondsNow() - began, threads)) say(line);
  const short = plan.kind === 'many' ? totals.short(plan) : null;
  if (short !== null) say(short);
  const blind = totals.blind();
  if (blind !== null) {
    say(blind);
    totals.failed += 1;
  }
  say(`${totals.passed} passed, ${totals.failed} failed`);
  return totals.failed > 0 ? 1 : 0;
}

async function main(): Promise<number> {
  const plan = parsePlan(process.argv.slice(2), () => randomInt(2 ** 31));
  if (plan === null) {
    say(USAGE);
    return 0;
  }
  const out = 'out' in plan ? plan.out : null;
  const obstacle = out === null ? null : obstacleAt(out);
  if (obstacle !== null) throw new WrongUse(`--out is "${out}", ${obstacle}`);
  say(`commit ${commit()}, ${plan.about}`);
  if (plan.kind === 'show') return await showOne(plan);
  if (plan.kind === 'minimize') return await minimizeOne(plan);
  return await judge(plan);
}

if (isMainThread) {
  endWithReader();
  try {
    process.exitCode = await main();
  } catch (error) {
    if (!(error instanceof WrongUse)) throw error;
    process.stderr.write(`${error.message}\n`);
    process.exitCode = 2;
  }
} else serve();
