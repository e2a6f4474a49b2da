// The simulator as a program: seeds in, verdicts out.
//
//   node sim/main.ts --seeds 200 [--budget 3m]   so many seeds; none begins after the budget
//   node sim/main.ts --seed 42                   one seed, twice: both traces must be the same
//   node sim/main.ts --swarm 10m                 new seeds until the time is over (--seconds 600)
//
// Exit code 0: all passed; 1: a seed failed, or nothing was shown; 2: wrong use.

import { execFileSync } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { availableParallelism } from 'node:os';
import { isMainThread, parentPort, Worker } from 'node:worker_threads';
import { type Plan, parsePlan, USAGE, WrongUse } from './plan.ts';
import { type RunOptions, type RunResult, run } from './run.ts';

/** A result that can cross threads. */
type Report = Omit<RunResult, 'story'> & { readonly story: string; readonly wallMillis: number };

const say = (line: string): void => void process.stdout.write(`${line}\n`);

// ── In each thread ────────────────────────────────────────────────────────────────────────────

/** What would let the outside into a run: used by mistake, it fails loudly instead. */
function closeTheWorld(): void {
  const leak = (name: string) => (): never => {
    throw new Error(`${name} was used inside a simulated world`);
  };
  Math.random = leak('Math.random');
  Date.now = leak('Date.now');
  performance.now = leak('performance.now');
  AbortSignal.timeout = leak('AbortSignal.timeout');
  for (const name of ['setTimeout', 'setInterval'] as const) {
    Object.defineProperty(globalThis, name, { value: leak(name) });
  }
}

async function runOne(options: RunOptions): Promise<Report> {
  const began = process.hrtime.bigint();
  const { story, ...result } = await run(options);
  const wallMillis = Number(process.hrtime.bigint() - began) / 1e6;
  return { ...result, story: result.failure === null ? '' : story(), wallMillis };
}

function serve(): void {
  closeTheWorld();
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

interface Totals {
  passed: number;
  failed: number;
  events: number;
  acknowledged: number;
  readonly checked: Map<string, number>;
}

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

function tell(report: Report, plan: Plan, totals: Totals): void {
  const { seed, failure, events, seconds, budget, hash, wallMillis, acknowledged, kinds } = report;
  totals.events += events;
  totals.acknowledged += acknowledged;
  for (const [name, count] of Object.entries(report.checked)) {
    totals.checked.set(name, (totals.checked.get(name) ?? 0) + count);
  }
  if (failure === null) totals.passed += 1;
  else totals.failed += 1;
  if (failure === null && !plan.verbose) return;
  const rate = Math.round((events / wallMillis) * 1000);
  const facts = `${budget}, ${events} events in ${seconds.toFixed(1)} virtual s, ${rate} events/s`;
  say(`seed ${seed}: ${failure === null ? 'passed' : `FAILED ${failure.by}`} (${facts})`);
  const refused = report.refused ? ', refused in the end' : '';
  say(`  trace ${hash}, ${acknowledged} acknowledged${refused}, faults ${kinds.join(' ')}`);
  if (failure === null) return;
  for (const sentence of failure.sentences) say(`  ${sentence}`);
  if (plan.verbose) say(report.story);
  say(`  again: node sim/main.ts --seed ${seed} ${plan.again} (commit ${commit()})`);
}

/** Runs seeds on all threads until there are no more or the time is over. */
function runAll(plan: Plan, totals: Totals): Promise<void> {
  const began = Date.now();
  const next = (): string | undefined => {
    if (totals.failed >= plan.failuresMax || Date.now() - began >= plan.budgetMillis)
      return undefined;
    const { value, done } = plan.seeds.next();
    return done === true ? undefined : value;
  };
  return new Promise((resolve, reject) => {
    const count = Math.min(plan.threads, availableParallelism());
    let running = count;
    for (let thread = 0; thread < count; thread += 1) {
      const worker = new Worker(new URL(import.meta.url), { execArgv: process.execArgv });
      const feed = (): void => {
        const seed = next();
        if (seed !== undefined) {
          worker.postMessage({ ...plan.options, seed } satisfies RunOptions);
          return;
        }
        running -= 1;
        void worker.terminate();
        if (running === 0) resolve();
      };
      worker.on('message', (report: Report) => {
        tell(report, plan, totals);
        feed();
      });
      worker.on('error', reject);
      feed();
    }
  });
}

/** The same seed twice, in two worlds one after the other, must leave the same trace. */
async function runTwice(plan: Plan, totals: Totals): Promise<void> {
  closeTheWorld();
  const seed = plan.seeds.next().value ?? '';
  const first = await runOne({ ...plan.options, seed });
  tell(first, plan, totals);
  const second = await runOne({ ...plan.options, seed });
  if (second.hash === first.hash) return;
  totals.failed += 1;
  say(`seed ${seed}: FAILED determinism, trace ${first.hash}, then ${second.hash}`);
}

async function main(): Promise<number> {
  const plan = parsePlan(process.argv.slice(2), () => randomInt(2 ** 31));
  if (plan === null) {
    say(USAGE);
    return 0;
  }
  say(`commit ${commit()}, ${plan.about}`);
  const totals: Totals = { passed: 0, failed: 0, events: 0, acknowledged: 0, checked: new Map() };
  const began = process.hrtime.bigint();
  if (plan.twice) await runTwice(plan, totals);
  else await runAll(plan, totals);
  const seconds = Number(process.hrtime.bigint() - began) / 1e9;
  const rate = Math.round(totals.events / seconds);
  say(`${totals.events} events in ${seconds.toFixed(1)} s: ${rate} events/s`);
  const looked = [...totals.checked].map(([name, count]) => `${name} ${count}`);
  say(`looked at: ${looked.join(', ') || 'nothing'}; ${totals.acknowledged} appends acknowledged`);
  const blind = [...totals.checked].filter(([, count]) => count === 0).map(([name]) => name);
  // One seed may well have no leases; many seeds without any mean that nothing was shown.
  if (totals.passed >= 20 && blind.length > 0) {
    say(`these checkers looked at nothing: ${blind.join(', ')}`);
    totals.failed += 1;
  }
  say(`${totals.passed} passed, ${totals.failed} failed`);
  return totals.failed > 0 || totals.passed === 0 ? 1 : 0;
}

if (isMainThread) {
  try {
    process.exitCode = await main();
  } catch (error) {
    if (!(error instanceof WrongUse)) throw error;
    process.stderr.write(`${error.message}\n`);
    process.exitCode = 2;
  }
} else serve();
