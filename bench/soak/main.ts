// Real processes under faults: every history is checked, and a page is left.
//
//   npm run soak [-- --rounds N] [--calm MINUTES] | [-- --minutes N]
//                [--writers N] [--subscribers N] [--seed N] [--only WORDS] [--report FILE]
//                [--proxies]
//
// With nothing said it is the whole soak, about three quarters of an hour: each fault 50 times
// (--rounds), on a chain that is whole; each fault of a process a fifth as often at controllers;
// then 50 at random moments, then ten minutes (--calm) at full load without a fault, in which
// nothing may be reconfigured. With --minutes faults are drawn for that long, each on a whole
// chain. Of drawn victims one in three is a controller. What the controllers decided after a fault
// whose pause was longer than a second is shown.
//
// Faults: kill -9, SIGSTOP, a disk that holds every sync, links cut one way, both ways and to
// everybody. Each process has a network namespace of its own, made and removed here, which needs
// root and Linux. With --proxies all are in one, and links are cut by proxies instead. A preloaded
// library leads the processes there; it is compiled, so a C compiler is needed.
// Exit code 0: whole in the end and nothing wrong; 1: a complaint, or nothing shown; 2: wrong use;
// 3: namespaces cannot be made here, or there is no C compiler.

import { writeFileSync } from 'node:fs';
import { Cluster } from '../../test/processes/cluster.ts';
import { lookedAt, sumOf } from '../../test/processes/load.ts';
import { NamespaceError } from '../../test/processes/namespaces.ts';
import { CompilerError } from '../../test/processes/shim.ts';
import { planOf, USAGE, WrongUse } from './plan.ts';
import { page, pausesOf } from './report.ts';
import { Soak } from './soak.ts';

const say = (line: string): void => void process.stdout.write(`${line}\n`);

async function main(): Promise<number> {
  if (process.argv.includes('--help')) {
    say(USAGE);
    return 0;
  }
  const plan = planOf(process.argv.slice(2));
  const long = plan.minutes === null ? 'whole soak' : `soak of ${plan.minutes} minutes`;
  say(`${long}, seed ${plan.seed}`);
  const network = plan.proxies ? { links: true } : { namespaces: true };
  const starting = Cluster.start({ faults: true, ...network });
  // Also while it starts: its namespaces and processes are there before it is ready.
  const stop = (): void =>
    void starting
      .then((cluster) => cluster.close())
      .catch(() => undefined)
      .finally(() => process.exit(1));
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, stop);
  // Nobody reads any more.
  process.stdout.on('error', stop);
  const cluster = await starting;
  try {
    const result = await new Soak(plan, cluster).run();
    writeFileSync(plan.report, page(result));
    const { appended, faults, looked, wrong } = result;
    say(`${appended} appends, ${faults.length} faults, ${sumOf(looked)} checks`);
    say(`looked at: ${lookedAt(looked)}`);
    for (const line of pausesOf(faults)) say(line);
    for (const complaint of wrong.slice(0, 20)) say(`WRONG ${complaint.slice(0, 2_000)}`);
    say(`report: ${plan.report}`);
    const good = wrong.length === 0;
    say(good ? '1 passed, 0 failed' : '0 passed, 1 failed');
    return good ? 0 : 1;
  } finally {
    await cluster.close();
  }
}

/** What a refusal ends with; undefined for what is none. */
function refusalOf(error: unknown): { readonly code: number; readonly text: string } | undefined {
  if (error instanceof WrongUse) return { code: 2, text: error.message };
  if (error instanceof CompilerError) return { code: 3, text: error.message };
  if (!(error instanceof NamespaceError)) return undefined;
  return { code: 3, text: `${error.message}; --proxies needs none` };
}

try {
  process.exitCode = await main();
} catch (error) {
  const refusal = refusalOf(error);
  if (refusal === undefined) throw error;
  process.stderr.write(`${refusal.text}\n`);
  process.exitCode = refusal.code;
}
