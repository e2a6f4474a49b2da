// Real processes under faults: every history is checked, and a page is left.
//
//   npm run soak [-- --rounds N] [--calm MINUTES] | [-- --minutes N]
//                [--writers N] [--subscribers N] [--seed N] [--only WORDS] [--report FILE]
//                [--proxies]
//
// With nothing said it is the whole soak, about half an hour: each fault 50 times (--rounds), on a
// chain that is whole, then as many faults at random moments, then ten minutes (--calm) at full
// load without a fault, in which nothing may be reconfigured. With --minutes faults are drawn for
// that long, each on a whole chain. What the controllers decided after a fault whose pause was
// longer than a second is shown.
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
import { fullLoad, judge, Load } from '../../test/processes/load.ts';
import { NamespaceError } from '../../test/processes/namespaces.ts';
import {
  type CalmRun,
  gapsOf,
  page,
  quantile,
  type Sample,
  type SoakResult,
  type Suffered,
} from './report.ts';

const SAMPLE_MILLIS = 500;
const QUIET_MILLIS = 500;
const PAUSE_MILLIS_MAX = 10_000;
/** Longer ones are told of, with what was decided. */
const PAUSE_MILLIS_AIM = 1_000;
const CALM_RETAINED = 64 * 1024 * 1024;
/** Between two faults at random moments at most. */
const RANDOM_MILLIS = 1_000;
const FAULTS: readonly Fault[] = [...processFaults, ...linkFaults];

const USAGE = `npm run soak [-- --rounds N] [--calm MINUTES]   each fault N times, then N at random
                                               moments, then full load without a fault
npm run soak -- --minutes N                    faults drawn for that long
Both: --writers N --subscribers N --seed N --report FILE --proxies
      --only WORDS    the faults whose names contain the words:
                      ${FAULTS.map(({ name }) => name).join(', ')}`;

const say = (line: string): void => void process.stdout.write(`${line}\n`);

class WrongUse extends Error {}

interface Plan {
  /** Null: the whole soak. */
  readonly minutes: number | null;
  readonly rounds: number;
  readonly calm: number;
  readonly writers: number;
  readonly subscribers: number;
  readonly seed: number;
  readonly report: string;
  readonly proxies: boolean;
  readonly faults: readonly Fault[];
}

function number(flag: string, text: string, least: number): number {
  const value = Number(text);
  if (/^\d+(\.\d+)?$/.test(text) && value >= least) return value;
  throw new WrongUse(`--${flag} is "${text}", allowed is a number from ${least}`);
}

function parsed(args: readonly string[]): Plan {
  const options = {
    minutes: { type: 'string' },
    rounds: { type: 'string' },
    calm: { type: 'string' },
    writers: { type: 'string', default: '8' },
    subscribers: { type: 'string', default: '3' },
    seed: { type: 'string', default: String(Math.floor(Math.random() * 2 ** 31)) },
    only: { type: 'string', default: '' },
    report: { type: 'string', default: join(tmpdir(), 'journal-soak.html') },
    proxies: { type: 'boolean', default: false },
  } as const;
  let values: ReturnType<typeof parseArgs<{ options: typeof options }>>['values'];
  try {
    ({ values } = parseArgs({ args: [...args], options }));
  } catch (error) {
    throw new WrongUse(error instanceof Error ? error.message : String(error));
  }
  const { minutes, rounds, calm } = values;
  if (minutes !== undefined && (rounds ?? calm) !== undefined) {
    throw new WrongUse(
      '--minutes draws faults for that long: --rounds and --calm do not go with it',
    );
  }
  const faults = FAULTS.filter(({ name }) => name.includes(values.only));
  if (faults.length === 0) {
    const all = FAULTS.map(({ name }) => name).join(', ');
    throw new WrongUse(`--only is "${values.only}", which is in none of: ${all}`);
  }
  return {
    faults,
    minutes: minutes === undefined ? null : number('minutes', minutes, 0.1),
    rounds: number('rounds', rounds ?? '50', 0),
    calm: number('calm', calm ?? '10', 0),
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
  #checked = 0;
  #appended = 0;
  #calmRun: CalmRun | null = null;

  constructor(plan: Plan, cluster: Cluster) {
    this.#plan = plan;
    this.#cluster = cluster;
    this.#draw = drawer(plan.seed);
  }

  #seconds(): number {
    return (performance.now() - this.#began) / 1_000;
  }

  #drawn(): Fault | undefined {
    const { faults } = this.#plan;
    return faults[this.#draw(faults.length)];
  }

  async run(): Promise<SoakResult> {
    const { minutes, rounds, calm, seed } = this.#plan;
    const said = minutes === null ? `--rounds ${rounds} --calm ${calm}` : `--minutes ${minutes}`;
    if (minutes !== null) {
      await this.#loaded('soak', async (load, journal) => {
        while (this.#seconds() < minutes * 60) {
          const fault = this.#drawn();
          if (fault !== undefined) await this.#suffer(load, journal, fault, this.#draw(99));
        }
      });
    } else {
      for (const [at, fault] of this.#plan.faults.entries()) {
        await this.#loaded(`soak-${at}`, async (load, journal) => {
          for (let round = 0; round < rounds; round += 1) {
            await this.#suffer(load, journal, fault, round);
          }
        });
        sayPauses(fault.name, this.#faults);
      }
      await this.#loaded('soak-random', (_load, journal) => this.#atRandom(journal, rounds));
      say(`${rounds} faults at random moments`);
      if (calm > 0) await this.#calm(calm * 60);
    }
    const wrong = this.#wrong;
    if (this.#faults.length === 0) wrong.push('no fault was suffered: nothing is shown');
    if (this.#checked === 0) wrong.push('the checkers looked at nothing');
    const command = `npm run soak -- ${said} --seed ${seed}`;
    const seconds = this.#seconds();
    const counts = { checked: this.#checked, appended: this.#appended };
    return {
      ...{ command, seed, seconds, wrong, ...counts },
      ...{ samples: this.#samples, faults: this.#faults, calm: this.#calmRun },
    };
  }

  /** `work` beside writers and subscribers on a journal of its own, whose history is judged. */
  async #loaded(
    journal: string,
    work: (load: Load, journal: string) => Promise<void>,
  ): Promise<void> {
    const { writers, subscribers } = this.#plan;
    const cluster = this.#cluster;
    await using client = cluster.connect();
    await client.createJournal(journal);
    await cluster.whole(journal);
    const load = Load.start(cluster, journal, { writers, subscribers, pauseMillis: 10 });
    const over = new AbortController();
    const sampling = this.#sample(load, over.signal);
    try {
      await work(load, journal);
    } catch (error) {
      // Not whole in time: what was seen until then is judged all the same.
      this.#wrong.push(String(error));
    }
    cluster.links?.heal();
    over.abort();
    await sampling;
    this.#appended += load.appended;
    try {
      await cluster.whole(journal);
      const history = await load.stop(cluster);
      const judged = judge({ ...history, finals: await finalsOf(cluster, journal) });
      this.#checked += judged.checked;
      this.#wrong.push(...judged.wrong);
    } catch (error) {
      this.#wrong.push(String(error));
    }
  }

  async #sample(load: Load, over: AbortSignal): Promise<void> {
    let before = load.appended;
    let at = this.#seconds();
    while (!over.aborted) {
      await pause(SAMPLE_MILLIS);
      const now = this.#seconds();
      this.#samples.push({ at: now, appendsPerSecond: (load.appended - before) / (now - at) });
      [before, at] = [load.appended, now];
    }
  }

  /** One fault on a whole chain, at a place of it, until it is whole again. */
  async #suffer(load: Load, journal: string, fault: Fault, place: number): Promise<void> {
    const cluster = this.#cluster;
    const { members, epoch } = await cluster.whole(journal);
    await pause(QUIET_MILLIS + this.#draw(QUIET_MILLIS));
    const member = members[place % members.length]?.id ?? '';
    const next = members[(place + 1) % members.length]?.id ?? '';
    load.mark();
    const from = this.#seconds();
    const began = new Date().toISOString();
    const end = await fault.begin(cluster, member, next);
    await pause(fault.millis);
    end();
    const until = this.#seconds();
    await cluster.whole(journal);
    const gapMillis = load.longestGapMillis;
    this.#faults.push({ name: fault.name, member, from, until, gapMillis });
    if (gapMillis > PAUSE_MILLIS_AIM) {
      const text = `a pause of ${gapMillis.toFixed(0)} ms after ${fault.name} at ${member}`;
      say(
        [`${text} at ${began}, what was decided:`, ...cluster.decided(journal, epoch)].join('\n'),
      );
    }
    if (gapMillis > PAUSE_MILLIS_MAX) {
      const bound = `allowed are ${PAUSE_MILLIS_MAX}`;
      const pauseText = `${gapMillis.toFixed(0)} ms, ${bound}`;
      this.#wrong.push(`appends paused for ${pauseText}, after ${fault.name} at ${member}`);
    }
  }

  /** Faults on top of each other: progress is not promised, safety is. */
  async #atRandom(journal: string, count: number): Promise<void> {
    const cluster = this.#cluster;
    const { members } = await cluster.whole(journal);
    const any = (): string => members[this.#draw(members.length)]?.id ?? '';
    const one = async (fault: Fault): Promise<void> => {
      const member = any();
      const from = this.#seconds();
      const end = await fault.begin(cluster, member, any());
      await pause(this.#draw(fault.millis));
      end();
      this.#faults.push({
        name: fault.name,
        member,
        from,
        until: this.#seconds(),
        gapMillis: null,
      });
    };
    const under: Promise<void>[] = [];
    for (let round = 0; round < count; round += 1) {
      const fault = this.#drawn();
      // A process that another fault holds tells nobody its number.
      if (fault !== undefined) under.push(one(fault).catch(() => {}));
      await pause(this.#draw(RANDOM_MILLIS));
    }
    await Promise.all(under);
    cluster.links?.heal();
    await cluster.whole(journal);
  }

  /** As fast as it goes, without a fault: whoever is taken out was taken for dead wrongly. */
  async #calm(seconds: number): Promise<void> {
    const cluster = this.#cluster;
    await using client = cluster.connect();
    await client.createJournal('soak-calm', { settings: { retainBytes: CALM_RETAINED } });
    const { epoch } = await cluster.whole('soak-calm');
    const journal = client.journal('soak-calm');
    const over = AbortSignal.timeout(seconds * 1_000);
    const { records, failed } = await fullLoad(journal, over);
    const after = await cluster.whole('soak-calm');
    const reconfigurations = after.epoch - epoch;
    this.#calmRun = { seconds, records, failed, reconfigurations };
    const rate = (records / seconds).toFixed(0);
    say(
      `${seconds} s without a fault: ${rate} records a second, ${failed} failed appends, ` +
        `${reconfigurations} reconfigurations`,
    );
    if (reconfigurations > 0) {
      const why = cluster.decided('soak-calm', epoch).join('\n');
      this.#wrong.push(`${reconfigurations} reconfigurations without a fault:\n${why}`);
    }
    if (failed > 0) this.#wrong.push(`${failed} appends failed without a fault`);
    if (records === 0) this.#wrong.push('nothing was appended without a fault');
  }
}

/** Of the faults of this name, or of all that waited for a whole chain. */
function sayPauses(name: string | null, faults: readonly Suffered[]): void {
  const gaps = gapsOf(faults.filter((one) => name === null || one.name === name));
  const shown = [0.5, 0.99, 1].map((part) => quantile(gaps, part).toFixed(0)).join(', ');
  const what = name === null ? '' : ` of ${gaps.length} times ${name}`;
  say(`longest pauses${what} in ms: median, p99, worst: ${shown}`);
}

async function main(): Promise<number> {
  if (process.argv.includes('--help')) {
    say(USAGE);
    return 0;
  }
  const plan = parsed(process.argv.slice(2));
  const long = plan.minutes === null ? 'whole soak' : `soak of ${plan.minutes} minutes`;
  say(`${long}, seed ${plan.seed}`);
  const network = plan.proxies ? { links: true } : { namespaces: true };
  const cluster = await Cluster.start({ faults: true, ...network });
  const stop = (): void => void cluster.close().finally(() => process.exit(1));
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, stop);
  try {
    const result = await new Soak(plan, cluster).run();
    writeFileSync(plan.report, page(result));
    say(`${result.appended} appends, ${result.faults.length} faults, ${result.checked} checks`);
    sayPauses(null, result.faults);
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
