// One soak: a load, faults beside it, and the histories judged, stretch by stretch.

import { type Draw, drawer } from '../../test/draw.ts';
import { type Cluster, pause } from '../../test/processes/cluster.ts';
import { type Fault, processFaults } from '../../test/processes/faults.ts';
import { fullLoad, Load, type Looked, sumOf, together } from '../../test/processes/load.ts';
import type { Plan } from './plan.ts';
import { type CalmRun, pausesOf, type Sample, type SoakResult, type Suffered } from './report.ts';

const SAMPLE_MILLIS = 500;
const QUIET_MILLIS = 500;
const PAUSE_MILLIS_MAX = 10_000;
/** Longer ones are told of, with what was decided. */
const PAUSE_MILLIS_AIM = 1_000;
const CALM_RETAINED = 64 * 1024 * 1024;
/** Between two faults at random moments at most. */
const RANDOM_MILLIS = 1_000;
/**
 * After so long a history is judged, and goes on on another journal: the general checker gives up a
 * history of a few hundred thousand operations.
 */
const STRETCH_MILLIS = 120_000;
/** Of the victims that are drawn one in so many is a controller. */
const CONTROLLER_ONE_IN = 3;
/** The whole soak does the faults of processes so many times less often at controllers. */
const CONTROLLER_ROUNDS_PART = 5;

const say = (line: string): void => void process.stdout.write(`${line}\n`);

/** Who suffers, and a replica at the other end of a link that is cut. */
export interface Victim {
  readonly name: string;
  readonly next: string;
}

/** A replica, or one time in three a controller. */
export function anyVictim(
  draw: Draw,
  replicas: readonly string[],
  controllers: readonly string[],
): Victim {
  const name = drawn(draw, draw(CONTROLLER_ONE_IN) === 0 ? controllers : replicas);
  const others = replicas.filter((one) => one !== name);
  return { name, next: drawn(draw, others) };
}

function drawn<Value>(draw: Draw, values: readonly Value[]): Value {
  const value = values[draw(values.length)];
  if (value === undefined) throw new Error('there is nothing to draw from');
  return value;
}

const idsOf = (members: readonly { readonly id: string }[]): string[] =>
  members.map(({ id }) => id);

/** From the members of a chain, its head first. */
type Choice = (members: readonly { readonly id: string }[]) => Victim;

/** What is done on a journal beside its load. */
type Work = (load: Load, journal: string) => Promise<void>;

export class Soak {
  readonly #plan: Plan;
  readonly #cluster: Cluster;
  /** The same seed draws the same faults, though not the same moments. */
  readonly #draw: Draw;
  readonly #began = performance.now();
  readonly #samples: Sample[] = [];
  readonly #faults: Suffered[] = [];
  readonly #wrong: string[] = [];
  #looked: Looked = {};
  #appended = 0;
  #calmRun: CalmRun | null = null;
  /** Not whole in time: what would come next would show nothing more. */
  #broken = false;

  constructor(plan: Plan, cluster: Cluster) {
    this.#plan = plan;
    this.#cluster = cluster;
    this.#draw = drawer(plan.seed);
  }

  async run(): Promise<SoakResult> {
    const { minutes, seed, command } = this.#plan;
    if (minutes === null) await this.#whole();
    else await this.#drawnFaults(minutes);
    const wrong = this.#wrong;
    if (this.#faults.length === 0) wrong.push('no fault was suffered: nothing is shown');
    if (sumOf(this.#looked) === 0) wrong.push('the checkers looked at nothing');
    const seconds = this.#seconds();
    const counts = { looked: this.#looked, appended: this.#appended };
    return {
      ...{ command, seed, seconds, wrong, ...counts },
      ...{ samples: this.#samples, faults: this.#faults, calm: this.#calmRun },
    };
  }

  #seconds(): number {
    return (performance.now() - this.#began) / 1_000;
  }

  async #drawnFaults(minutes: number): Promise<void> {
    const more = (): boolean => this.#seconds() < minutes * 60;
    await this.#stretches('soak', more, async (load, journal) => {
      const fault = drawn(this.#draw, this.#plan.faults);
      await this.#suffer(load, journal, fault, (members) =>
        anyVictim(this.#draw, idsOf(members), this.#cluster.controllerNames),
      );
    });
  }

  async #whole(): Promise<void> {
    const { rounds, calm, faults } = this.#plan;
    for (const [at, fault] of faults.entries()) {
      await this.#oneByOne(`soak-${at}`, fault, rounds, (round) => (members) => ({
        name: members[round % members.length]?.id ?? '',
        next: members[(round + 1) % members.length]?.id ?? '',
      }));
    }
    const few = Math.ceil(rounds / CONTROLLER_ROUNDS_PART);
    for (const [at, fault] of faults.filter((one) => processFaults.includes(one)).entries()) {
      await this.#oneByOne(`soak-controllers-${at}`, fault, few, (round) => ([member]) => {
        const { controllerNames: all } = this.#cluster;
        return { name: all[round % all.length] ?? '', next: member?.id ?? '' };
      });
    }
    if (this.#broken) return;
    await this.#loaded('soak-random', (_load, journal) => this.#atRandom(journal, rounds));
    say(`${rounds} faults at random moments`);
    if (calm > 0) await this.#calm(calm * 60);
  }

  /** One fault again and again, each time on a whole chain beside whole controllers. */
  async #oneByOne(
    name: string,
    fault: Fault,
    rounds: number,
    choice: (round: number) => Choice,
  ): Promise<void> {
    let round = 0;
    const before = this.#faults.length;
    await this.#stretches(
      name,
      () => round < rounds,
      async (load, journal) => {
        const victim = choice(round);
        round += 1;
        await this.#suffer(load, journal, fault, victim);
      },
    );
    for (const line of pausesOf(this.#faults.slice(before))) say(line);
  }

  /** Rounds while there are more, so many on one journal as fit into a stretch. */
  async #stretches(name: string, more: () => boolean, round: Work): Promise<void> {
    for (let at = 1; more() && !this.#broken; at += 1) {
      await this.#loaded(`${name}-${at}`, async (load, journal) => {
        const until = performance.now() + STRETCH_MILLIS;
        while (more() && performance.now() < until) await round(load, journal);
      });
    }
  }

  /** `work` beside clients on a journal of its own, whose history is judged. */
  async #loaded(journal: string, work: Work): Promise<void> {
    try {
      await this.#judged(journal, work);
    } catch (error) {
      this.#fails(error);
    }
  }

  async #judged(journal: string, work: Work): Promise<void> {
    const { writers, subscribers, seed } = this.#plan;
    const cluster = this.#cluster;
    await using client = cluster.connect();
    await client.createJournal(journal);
    await cluster.whole(journal);
    const options = { writers, subscribers, pauseMillis: 10, seed: String(seed) };
    await using load = Load.start(cluster, journal, options);
    const over = new AbortController();
    const sampling = this.#sample(load, over.signal);
    try {
      await work(load, journal);
    } catch (error) {
      // Not whole in time: what was seen until then is judged all the same.
      this.#fails(error);
    }
    cluster.links?.heal();
    over.abort();
    await sampling;
    this.#appended += load.appended;
    await cluster.whole(journal);
    const { looked, wrong } = await load.end(cluster);
    this.#looked = together(this.#looked, looked);
    this.#wrong.push(...wrong.map((complaint) => `${journal}: ${complaint}`));
    // The next stretch finds the cluster as this one did.
    await client.deleteJournal(journal);
  }

  #fails(error: unknown): void {
    this.#broken = true;
    this.#wrong.push(String(error));
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

  /** One fault on a whole chain beside whole controllers, until they are whole again. */
  async #suffer(load: Load, journal: string, fault: Fault, choice: Choice): Promise<void> {
    const cluster = this.#cluster;
    await cluster.controllersWhole();
    const { members, epoch } = await cluster.whole(journal);
    await pause(QUIET_MILLIS + this.#draw(QUIET_MILLIS));
    const { name: victim, next } = choice(members);
    load.mark();
    const from = this.#seconds();
    const began = new Date().toISOString();
    const end = await fault.begin(cluster, victim, next);
    await pause(fault.millis);
    end();
    const until = this.#seconds();
    await cluster.controllersWhole();
    await cluster.whole(journal);
    const gapMillis = load.longestGapMillis;
    this.#faults.push({ name: fault.name, victim, from, until, gapMillis });
    this.#tell(gapMillis, `${fault.name} at ${victim}`, began, () =>
      cluster.decided(journal, epoch),
    );
  }

  #tell(gapMillis: number, what: string, began: string, why: () => readonly string[]): void {
    const millis = gapMillis.toFixed(0);
    if (gapMillis > PAUSE_MILLIS_AIM) {
      const text = `a pause of ${millis} ms after ${what}`;
      say([`${text} at ${began}, what was decided:`, ...why()].join('\n'));
    }
    if (gapMillis > PAUSE_MILLIS_MAX) {
      const bound = `allowed are ${PAUSE_MILLIS_MAX}`;
      this.#wrong.push(`appends paused for ${millis} ms, ${bound}, after ${what}`);
    }
  }

  /** Faults on top of each other: progress is not promised, safety is. */
  async #atRandom(journal: string, count: number): Promise<void> {
    const cluster = this.#cluster;
    const { members } = await cluster.whole(journal);
    const one = async (fault: Fault): Promise<void> => {
      const { name: victim, next } = anyVictim(this.#draw, idsOf(members), cluster.controllerNames);
      const from = this.#seconds();
      const end = await fault.begin(cluster, victim, next);
      await pause(this.#draw(fault.millis));
      end();
      const until = this.#seconds();
      this.#faults.push({ name: fault.name, victim, from, until, gapMillis: null });
    };
    const under: Promise<void>[] = [];
    for (let round = 0; round < count; round += 1) {
      // A process that another fault holds tells nobody its number.
      under.push(one(drawn(this.#draw, this.#plan.faults)).catch(() => {}));
      await pause(this.#draw(RANDOM_MILLIS));
    }
    await Promise.all(under);
    cluster.links?.heal();
    await cluster.controllersWhole();
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
