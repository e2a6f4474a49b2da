// One run: a cluster is born from a seed, works, suffers, is left in peace, and is judged.

import { DEFAULT_SETTINGS, head, order } from '../protocol/configuration.ts';
import { InvariantViolation, JournalError } from '../protocol/errors.ts';
import { micros } from '../protocol/types.ts';
import { checkers } from './checkers/all.ts';
import type { FinalLog, History } from './checkers/history.ts';
import { withoutLosses } from './checkers/losses.ts';
import { Cluster } from './cluster.ts';
import { Faults } from './faults/faults.ts';
import type { Budget } from './faults/scene.ts';
import { type AtRest, readFinals, unexplained } from './finals.ts';
import { isReason } from './fleet/programs.ts';
import { insist } from './insist.ts';
import { Recorder } from './recorder.ts';
import { type Evidence, evidenceOf } from './report/evidence.ts';
import { Follower } from './workload/follower.ts';
import { drawMix, workerProgram } from './workload/loops.ts';
import { NOTHING, type Omitted } from './workload/omitted.ts';
import type { Task } from './workload/worker.ts';
import { type Tracer, World } from './world.ts';

export interface RunOptions {
  readonly seed: string;
  /** So many happen at least; before the last of them the faults stop (`SUFFERING`). */
  readonly events: number;
  /** Null: drawn. */
  readonly budget: Budget | null;
  /** Kinds of faults to draw from; null: drawn. */
  readonly faults: readonly string[] | null;
  /** All disks lie about their syncs: such a run must fail, or the checkers are blind. */
  readonly lyingDisks?: boolean;
  readonly tracer?: Tracer | undefined;
  /** Left out of the run: faults, and turns of clients. */
  readonly omitted?: Omitted;
}

export interface RunResult {
  readonly seed: string;
  readonly budget: Budget;
  readonly hash: string;
  readonly events: number;
  /** Virtual seconds. */
  readonly seconds: number;
  readonly operations: number;
  readonly acknowledged: number;
  readonly kinds: readonly string[];
  /** How often each kind of fault was carried out. */
  readonly struck: Readonly<Record<string, number>>;
  /** After harm to the disks of an `anything` run the cluster refused to go on, and said so. */
  readonly refused: boolean;
  /** What each checker looked at. */
  readonly checked: Readonly<Record<string, number>>;
  /** Null where all is well. */
  readonly failure: Failure | null;
  /** Everything that the verdict was made from, for who wants to see it. */
  readonly evidence: () => Evidence;
}

export interface Failure {
  /** Name of the first checker that complained, or `start`, `progress`, `invariants`, `surprises`, … */
  readonly by: string;
  readonly sentences: readonly string[];
}

/** Bounds in virtual time: until a new cluster works, and until one in peace is whole again. */
const START_MICROS = 60_000_000;
const PEACE_MICROS = 90_000_000;
/** Whoever may refuse for good is given up sooner: an idle cluster has thousands of events. */
const REFUSAL_MICROS = 45_000_000;
/** Share of the events of a run before the faults stop: peace takes about the rest. */
const SUFFERING = 0.85;
/**
 * Clients go on after the last fault until the cluster is whole and the run long enough, or for as
 * long as this; and longer, to the second bound, while the run is too short.
 */
const WORK_IN_PEACE_MICROS: readonly [number, number] = [1_500_000, 30_000_000];
const SUFFER_MICROS_MAX = 600_000_000;
/** Clients end what they began; an idle cluster has a thousand events a second. */
const AFTERMATH_MICROS = 300_000;
/** Events that come at least once the work is over: the aftermath, and reading what there is. */
const AFTERMATH_EVENTS = 300;

const CROWDED = { ...DEFAULT_SETTINGS.limits, writers: 3 };

/** Thrown by the parts of a run to end it with this failure. */
class RunFailed extends Error {
  readonly failure: Failure;

  constructor(by: string, ...sentences: readonly string[]) {
    super(`${by}: ${sentences.join('; ')}`);
    this.failure = { by, sentences };
  }
}

export async function run(options: RunOptions): Promise<RunResult> {
  const life = new Life(options);
  return life.run();
}

/** Kinds of faults that a run of these options would draw from; nothing runs. */
export const kindsOf = (options: RunOptions): readonly string[] => new Life(options).kinds;

class Life {
  readonly #options: RunOptions;
  readonly #world: World;
  readonly #cluster: Cluster;
  readonly #recorder: Recorder;
  readonly #faults: Faults;
  readonly #journals: readonly string[];
  readonly #followers: Follower[] = [];
  /** Fewer writers are remembered than there are: they are evicted, and begin anew. */
  readonly #crowded: boolean;
  #failure: Failure | null = null;
  #checked: Record<string, number> = {};
  #over = false;
  #refused = false;
  #tries = 0;

  constructor(options: RunOptions) {
    this.#options = options;
    const world = new World(options.seed);
    world.tracer = options.tracer ?? null;
    this.#world = world;
    const dice = world.dice.fork('run');
    this.#recorder = new Recorder(world);
    this.#cluster = new Cluster(world, {
      replicas: dice.pick([3, 3, 3, 4]),
      controllers: dice.pick([3, 3, 3, 1]),
      clients: dice.between(2, 5),
    });
    this.#journals = dice.pick([['orders'], ['orders', 'users']]);
    this.#crowded = world.dice.fork('limits').chance(0.3);
    const { omitted = NOTHING } = options;
    // Drawn in any case, so that a seed is the same run whether its kind is asked for or drawn.
    const drawn = dice.chance(0.6) ? 'available' : 'anything';
    const budget = options.budget ?? drawn;
    this.#faults = new Faults(
      this.#cluster,
      dice.fork('faults'),
      budget,
      options.faults,
      omitted.faults,
    );
    this.#watch();
    this.#addClients(dice.between(2, 5), drawMix(dice.fork('mix')), omitted.turns);
  }

  get kinds(): readonly string[] {
    return this.#faults.kinds;
  }

  async run(): Promise<RunResult> {
    await this.#phases();
    const { seed } = this.#options;
    return {
      seed,
      budget: this.#faults.budget,
      hash: this.#world.hash,
      events: this.#world.events,
      seconds: this.#world.now / 1e6,
      operations: this.#recorder.operations.length,
      acknowledged: this.#recorder.acknowledged,
      kinds: this.#faults.kinds,
      struck: this.#faults.counts,
      refused: this.#refused,
      checked: this.#checked,
      failure: this.#failure,
      evidence: () => evidenceOf(this.#cluster, this.#recorder, this.#faults, this.#cluster.told()),
    };
  }

  /** Errors that escape are broken rules; production would have ended that process. */
  #watch(): void {
    this.#world.onEscape = ({ actor, error }) => {
      const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
      this.#fail('invariants', `${actor?.name ?? 'the world'}: ${text}`);
    };
    this.#cluster.onExit = (actor, error) => {
      if (isReason(error)) return;
      const by = error instanceof InvariantViolation ? 'invariants' : 'surprises';
      const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
      this.#fail(by, `${actor.name}: ${text}`);
    };
    this.#cluster.listeners.onInternal = (actor, path, error) => {
      const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
      this.#recorder.surprises.push(`${actor.name} ${path}: ${text}`);
    };
  }

  #addClients(
    count: number,
    mix: Readonly<Record<string, number>>,
    omitted: ReadonlySet<string>,
  ): void {
    const task: Task = {
      recorder: this.#recorder,
      endpoints: () => this.#cluster.endpoints(),
      journals: this.#journals,
      over: () => this.#over,
      mix,
      omitted,
    };
    for (let at = 0; at < count; at += 1) {
      const machine = this.#cluster.addClient((which) => workerProgram(task, which));
      machine.restarts = true;
    }
  }

  #fail(by: string, ...sentences: readonly string[]): void {
    this.#failure ??= { by, sentences };
  }

  async #phases(): Promise<void> {
    try {
      await this.#turn('start', START_MICROS, () => this.#begin());
      await this.#suffer();
      const finals = await this.#rest();
      const { budget, spoiled } = this.#faults;
      const needed = budget === 'anything' ? [] : this.#left();
      for (const sentence of unexplained(finals, spoiled, needed)) this.#fail('damage', sentence);
      this.#judge({ operations: this.#recorder.operations, finals });
    } catch (error) {
      if (error instanceof RunFailed) this.#fail(error.failure.by, ...error.failure.sentences);
      else this.#fail('simulator', String(error instanceof Error ? error.stack : error));
    }
  }

  /** What the disks hold in the end; nothing where the cluster refuses to go on, and may. */
  async #rest(): Promise<readonly FinalLog[]> {
    const { budget, harmed } = this.#faults;
    const mayRefuse = budget === 'anything' && harmed.size > 0;
    const bound = mayRefuse ? REFUSAL_MICROS : PEACE_MICROS;
    try {
      const rest = await this.#turn('progress', bound, () => this.#peace());
      return await this.#turn('finals', PEACE_MICROS, () => readFinals(this.#cluster, rest));
    } catch (error) {
      if (!(error instanceof RunFailed) || error.failure.by !== 'progress' || !mayRefuse)
        throw error;
      this.#refused = true;
      return [];
    }
  }

  /** Turns the world until the task is done; a failure where that takes too long. */
  async #turn<Result>(by: string, within: number, task: () => Promise<Result>): Promise<Result> {
    const box: { value?: Result; error?: unknown; over: boolean } = { over: false };
    task().then(
      (value) => Object.assign(box, { value, over: true }),
      (error: unknown) => Object.assign(box, { error, over: true }),
    );
    const until = micros(this.#world.now + within);
    const why = await this.#world.run(() => box.over || this.#failure !== null, until);
    if (this.#failure !== null) throw new RunFailed(this.#failure.by, ...this.#failure.sentences);
    if ('error' in box) throw box.error;
    if (!('value' in box) || box.value === undefined) {
      throw new RunFailed(
        by,
        `not done within ${within / 1e6} virtual seconds (${why})`,
        this.#cluster.told(),
      );
    }
    return box.value;
  }

  /** The cluster works once every journal is there and served by all. */
  async #begin(): Promise<true> {
    await this.#cluster.start();
    for (const { disk } of this.#cluster.machines()) {
      disk.faults.lies = this.#options.lyingDisks ?? false;
    }
    await this.#until(() => this.#cluster.status !== null);
    for (const name of this.#journals) {
      const settings = this.#crowded ? { limits: CROWDED } : {};
      const options = { ifAbsent: true, settings };
      await this.#insist(() => this.#cluster.client.createJournal(name, options));
    }
    await this.#until(() => this.#cluster.whole());
    for (const name of this.#journals) {
      const follower = new Follower(this.#cluster.client.journal(name), this.#recorder);
      this.#followers.push(follower);
      void follower.follow((time) => this.#world.sleep(time));
    }
    return true;
  }

  async #suffer(): Promise<void> {
    const events = this.#options.events * SUFFERING;
    this.#faults.start();
    const until = micros(this.#world.now + SUFFER_MICROS_MAX);
    await this.#world.run(() => this.#world.events >= events || this.#failure !== null, until);
    this.#faults.stop();
  }

  /** All faults are over: the cluster must be whole, and take appends, within the bound. */
  async #peace(): Promise<AtRest[]> {
    const [short, long] = WORK_IN_PEACE_MICROS;
    const last = this.#world.now + long;
    const longEnough = (): boolean =>
      this.#world.events >= this.#options.events - AFTERMATH_EVENTS || this.#world.now >= last;
    this.#world.schedule(short, null, 'world', 'work may end', () => {
      void this.#until(longEnough).then(() => {
        this.#over = true;
      });
    });
    await this.#until(() => this.#cluster.whole());
    for (const name of this.#left()) {
      const lsn = await this.#insist(() => this.#appendAtRest(name));
      const follower = this.#followers.find((one) => one.name === name);
      await this.#until(() => (follower?.lastLsn ?? 0) >= lsn);
    }
    await this.#until(longEnough);
    this.#over = true;
    for (const follower of this.#followers) follower.leave();
    await this.#world.sleep(AFTERMATH_MICROS);
    for (const machine of this.#cluster.clients) machine.kill();
    const rest: AtRest[] = [];
    for (const name of this.#left()) rest.push(await this.#insist(() => this.#atRest(name)));
    return rest;
  }

  #left(): readonly string[] {
    const { givenUp } = this.#cluster.operator;
    return this.#journals.filter((name) => !givenUp.has(name));
  }

  /** Each try is an append of its own. */
  async #appendAtRest(name: string): Promise<number> {
    this.#tries += 1;
    const data = `peace ${this.#tries}`;
    const pending = this.#recorder.append({
      process: 'doctor',
      journal: name,
      records: [{ data }],
      keyOperation: 'tag',
      condition: {},
    });
    try {
      const answer = await this.#cluster.client.journal(name).append(data);
      pending.appended(answer.firstLsn, answer.lastLsn, answer.timestampMicros);
      return answer.firstLsn;
    } catch (error) {
      pending.refused(error);
      throw error;
    }
  }

  async #atRest(name: string): Promise<AtRest> {
    await this.#until(() => this.#cluster.whole());
    const { client } = this.#cluster;
    const { tailLsn, endLsn, firstLsn } = await client.journal(name).tail();
    const { configuration } = await client.describeJournal(name);
    if (head(configuration) === undefined) throw new JournalError('UNAVAILABLE', 'no head');
    const serving = order(configuration).map(({ id }) => String(id));
    this.#recorder.add({
      kind: 'tail',
      process: 'doctor',
      journal: name,
      called: this.#world.now,
      returned: this.#world.now,
      answer: { kind: 'tail', tailLsn, firstLsn },
    });
    return { id: configuration.journal, name, endLsn, trimmedLsn: firstLsn - 1, serving };
  }

  async #until(holds: () => boolean): Promise<void> {
    while (!holds()) await this.#world.sleep(50_000);
  }

  #insist<Result>(task: () => Promise<Result>): Promise<Result> {
    return insist(task, { crowded: this.#crowded, pause: () => this.#world.sleep(100_000) });
  }

  #judge(history: History): void {
    for (const surprise of this.#recorder.surprises.slice(0, 3)) this.#fail('surprises', surprise);
    const { chain, paxos } = this.#cluster.together.counts;
    this.#checked.invariants = chain + paxos;
    const { spec, registers } = this.#cluster;
    const steps = [...spec.counts().taken.values(), ...registers.taken.values()];
    this.#checked.model = steps.reduce((sum, count) => sum + count, 0);
    const { losses, givenUp } = this.#cluster.operator;
    const operations = history.operations.filter(({ journal }) => !givenUp.has(journal));
    const left = withoutLosses({ ...history, operations }, losses);
    for (const { name, check } of checkers) {
      const { checked, wrong } = check(left);
      this.#checked[name] = checked;
      if (wrong.length > 0) this.#fail(name, ...wrong);
    }
  }
}
