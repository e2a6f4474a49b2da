// Real processes under faults for some minutes: every history is checked, and a page is left.
//
//   npm run soak [-- --minutes N] [--writers N] [--subscribers N] [--seed N] [--report FILE]
//                [--proxies]
//
// Faults: kill -9, SIGSTOP, a disk that holds every sync, links cut one way, both ways and to
// everybody. Each process has a network namespace of its own, made and removed here, which needs
// root and Linux. With --proxies all are in one, and links are cut by proxies instead. A preloaded
// library leads the processes there; it is compiled, so a C compiler is needed.
// Exit code 0: whole in the end and nothing wrong; 1: a complaint, or nothing shown; 2: wrong use;
// 3: namespaces cannot be made here.

import { writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { type Draw, drawer } from '../../test/draw.ts';
import { Cluster, pause } from '../../test/processes/cluster.ts';
import { type Fault, linkFaults, processFaults } from '../../test/processes/faults.ts';
import { finalsOf } from '../../test/processes/finals.ts';
import { judge, Load } from '../../test/processes/load.ts';
import { NamespaceError } from '../../test/processes/namespaces.ts';
import { page, quantile, type Sample, type SoakResult, type Suffered } from './report.ts';

const JOURNAL = 'soak';
const SAMPLE_MILLIS = 500;
const QUIET_MILLIS = 500;
const PAUSE_MILLIS_MAX = 10_000;
const FAULTS: readonly Fault[] = [...processFaults, ...linkFaults];

const say = (line: string): void => void process.stdout.write(`${line}\n`);

class WrongUse extends Error {}

interface Plan {
  readonly minutes: number;
  readonly writers: number;
  readonly subscribers: number;
  readonly seed: number;
  readonly report: string;
  readonly proxies: boolean;
}

function number(flag: string, text: string, least: number): number {
  const value = Number(text);
  if (/^\d+(\.\d+)?$/.test(text) && value >= least) return value;
  throw new WrongUse(`--${flag} is "${text}", allowed is a number from ${least}`);
}

function parsed(args: readonly string[]): Plan {
  const options = {
    minutes: { type: 'string', default: '3' },
    writers: { type: 'string', default: '8' },
    subscribers: { type: 'string', default: '3' },
    seed: { type: 'string', default: String(Math.floor(Math.random() * 2 ** 31)) },
    report: { type: 'string', default: join(tmpdir(), 'journal-soak.html') },
    proxies: { type: 'boolean', default: false },
  } as const;
  let values: ReturnType<typeof parseArgs<{ options: typeof options }>>['values'];
  try {
    ({ values } = parseArgs({ args: [...args], options }));
  } catch (error) {
    throw new WrongUse(error instanceof Error ? error.message : String(error));
  }
  return {
    minutes: number('minutes', values.minutes, 0.1),
    writers: number('writers', values.writers, 1),
    subscribers: number('subscribers', values.subscribers, 0),
    seed: number('seed', values.seed, 0),
    report: resolve(values.report),
    proxies: values.proxies,
  };
}

class Soak {
  readonly #plan: Plan;
  readonly #cluster: Cluster;
  /** The same seed draws the same faults, though not the same moments. */
  readonly #draw: Draw;
  readonly #began = performance.now();
  readonly #samples: Sample[] = [];
  readonly #faults: Suffered[] = [];
  readonly #wrong: string[] = [];
  #over = false;

  constructor(plan: Plan, cluster: Cluster) {
    this.#plan = plan;
    this.#cluster = cluster;
    this.#draw = drawer(plan.seed);
  }

  #seconds(): number {
    return (performance.now() - this.#began) / 1_000;
  }

  async run(): Promise<SoakResult> {
    const { minutes, writers, subscribers, seed } = this.#plan;
    const cluster = this.#cluster;
    await using client = cluster.connect();
    await client.createJournal(JOURNAL);
    await cluster.whole(JOURNAL);
    const load = Load.start(cluster, JOURNAL, { writers, subscribers, pauseMillis: 10 });
    const sampling = this.#sample(load);
    let judged: { readonly wrong: readonly string[]; readonly checked: number } = {
      wrong: [],
      checked: 0,
    };
    try {
      while (this.#seconds() < minutes * 60) await this.#suffer(load);
    } catch (error) {
      // Not whole in time: what was seen until then is judged all the same.
      this.#wrong.push(String(error));
    }
    cluster.links?.heal();
    const seconds = this.#seconds();
    this.#over = true;
    await sampling;
    try {
      await cluster.whole(JOURNAL);
      const history = await load.stop(cluster);
      judged = judge({ ...history, finals: await finalsOf(cluster, JOURNAL) });
    } catch (error) {
      this.#wrong.push(String(error));
    }
    if (this.#faults.length === 0) this.#wrong.push('no fault was suffered: nothing is shown');
    if (judged.checked === 0) this.#wrong.push('the checkers looked at nothing');
    const wrong = [...this.#wrong, ...judged.wrong];
    const command = `npm run soak -- --minutes ${minutes} --seed ${seed}`;
    const { checked } = judged;
    const common = { command, seed, seconds, wrong, checked, appended: load.appended };
    return { ...common, samples: this.#samples, faults: this.#faults };
  }

  async #sample(load: Load): Promise<void> {
    let before = load.appended;
    let at = this.#seconds();
    while (!this.#over) {
      await pause(SAMPLE_MILLIS);
      const now = this.#seconds();
      this.#samples.push({ at: now, appendsPerSecond: (load.appended - before) / (now - at) });
      [before, at] = [load.appended, now];
    }
  }

  /** One fault on a whole chain, until it is whole again. */
  async #suffer(load: Load): Promise<void> {
    const cluster = this.#cluster;
    const { members } = await cluster.whole(JOURNAL);
    await pause(QUIET_MILLIS + this.#draw(QUIET_MILLIS));
    const fault = FAULTS[this.#draw(FAULTS.length)];
    const place = this.#draw(members.length);
    const member = members[place]?.id ?? '';
    const next = members[(place + 1) % members.length]?.id ?? '';
    if (fault === undefined) return;
    load.mark();
    const from = this.#seconds();
    const end = await fault.begin(cluster, member, next);
    await pause(fault.millis);
    end();
    const until = this.#seconds();
    await cluster.whole(JOURNAL);
    const gapMillis = load.longestGapMillis;
    this.#faults.push({ name: fault.name, member, from, until, gapMillis });
    if (gapMillis > PAUSE_MILLIS_MAX) {
      const bound = `allowed are ${PAUSE_MILLIS_MAX}`;
      const pauseText = `${gapMillis.toFixed(0)} ms, ${bound}`;
      this.#wrong.push(`appends paused for ${pauseText}, after ${fault.name} at ${member}`);
    }
  }
}

async function main(): Promise<number> {
  const plan = parsed(process.argv.slice(2));
  say(`soak of ${plan.minutes} minutes, seed ${plan.seed}`);
  const network = plan.proxies ? { links: true } : { namespaces: true };
  const cluster = await Cluster.start({ faults: true, ...network });
  const stop = (): void => void cluster.close().finally(() => process.exit(1));
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, stop);
  try {
    const result = await new Soak(plan, cluster).run();
    writeFileSync(plan.report, page(result));
    const gaps = result.faults.map(({ gapMillis }) => gapMillis);
    const shown = [0.5, 0.99, 1].map((part) => quantile(gaps, part).toFixed(0)).join(', ');
    say(`${result.appended} appends, ${result.faults.length} faults, ${result.checked} checks`);
    say(`longest pauses in ms: median, p99, worst: ${shown}`);
    for (const complaint of result.wrong.slice(0, 20)) say(`WRONG ${complaint.slice(0, 2_000)}`);
    say(`report: ${plan.report}`);
    const good = result.wrong.length === 0;
    say(good ? '1 passed, 0 failed' : '0 passed, 1 failed');
    return good ? 0 : 1;
  } finally {
    await cluster.close();
  }
}

try {
  process.exitCode = await main();
} catch (error) {
  const unmade = error instanceof NamespaceError;
  if (!(error instanceof WrongUse) && !unmade) throw error;
  const instead = unmade ? '; --proxies needs none' : '';
  process.stderr.write(`${error.message}${instead}\n`);
  process.exitCode = unmade ? 3 : 2;
}
