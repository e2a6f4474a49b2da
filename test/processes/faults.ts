// The faults that real processes suffer here, and how one run of them is judged.
//
// FAULT_ROUNDS of each (10 by default; `npm run soak` does 50). The history is judged always, the
// pause only against a generous ceiling here: FAULT_PAUSE_MILLIS says another one.

import assert from 'node:assert/strict';
import { after, before, describe, type TestContext, test } from 'node:test';
import { Cluster, type ClusterOptions, kill, pause } from './cluster.ts';
import { Load, lookedAt } from './load.ts';

export const ROUNDS = Number(process.env.FAULT_ROUNDS ?? 10);
const PAUSE_MILLIS_MAX = Number(process.env.FAULT_PAUSE_MILLIS ?? 5_000);
const LOAD = { writers: 8, subscribers: 3, pauseMillis: 100, others: 'few' } as const;

export interface Fault {
  readonly name: string;
  /** How long it lasts; a kill is over at once. */
  readonly millis: number;
  /**
   * Does harm to one process, a replica or a controller, and answers how to end it; `next` is
   * another one, at the other end of a link that is cut.
   */
  begin(cluster: Cluster, victim: string, next: string): Promise<() => void>;
}

const nothing = (): void => {};

const killed: Fault = {
  name: 'kill -9',
  millis: 500,
  begin: async (cluster, victim) => {
    kill(await cluster.pidOf(victim), 'SIGKILL');
    return nothing;
  },
};

const stopped: Fault = {
  name: 'SIGSTOP',
  millis: 1_500,
  begin: async (cluster, victim) => {
    const pid = await cluster.pidOf(victim);
    kill(pid, 'SIGSTOP');
    return () => kill(pid, 'SIGCONT');
  },
};

const held: Fault = {
  name: 'a disk that holds every sync for 2 s',
  millis: 2_000,
  begin: async (cluster, victim) => {
    const pid = await cluster.pidOf(victim);
    cluster.hold(pid, 2_000);
    return () => cluster.release(pid);
  },
};

const cutOneWay: Fault = {
  name: 'a link cut one way',
  millis: 1_500,
  begin: async (cluster, victim, next) => {
    cluster.links?.cut(cluster.indexOf(victim), cluster.indexOf(next));
    return () => cluster.links?.heal();
  },
};

const cutBothWays: Fault = {
  name: 'a link cut both ways',
  millis: 1_500,
  begin: async (cluster, victim, next) => {
    cluster.links?.cut(cluster.indexOf(victim), cluster.indexOf(next));
    cluster.links?.cut(cluster.indexOf(next), cluster.indexOf(victim));
    return () => cluster.links?.heal();
  },
};

const cutOff: Fault = {
  name: 'a process cut off from all',
  millis: 1_500,
  begin: async (cluster, victim) => {
    cluster.cutOff(victim);
    return () => cluster.links?.heal();
  },
};

export const processFaults: readonly Fault[] = [killed, stopped, held];
export const linkFaults: readonly Fault[] = [cutOneWay, cutBothWays, cutOff];

const TIMEOUT = { timeout: 1_800_000 };
/** Fewer acknowledged appends than this show nothing. */
const APPENDS_MIN = 10 * ROUNDS;
/** Before the first fault: processes that have just begun are slow, whatever happens to them. */
const WARM_APPENDS = 100;

/**
 * One test for each fault: under load, once the chain is whole again, on each place in turn; on a
 * cluster of `options`, which is what the faults need and no more.
 */
export function testFaults(title: string, faults: readonly Fault[], options: ClusterOptions): void {
  describe(title, TIMEOUT, () => {
    let cluster: Cluster;
    before(async () => {
      cluster = await Cluster.start(options);
    });
    after(() => cluster?.close());
    for (const [at, fault] of faults.entries()) {
      test(fault.name, TIMEOUT, (context) => oneByOne(cluster, `faults-${at}`, fault, context));
    }
  });
}

async function oneByOne(
  cluster: Cluster,
  journal: string,
  fault: Fault,
  context: TestContext,
): Promise<void> {
  await using client = cluster.connect();
  await client.createJournal(journal);
  await cluster.whole(journal);
  await using load = Load.start(cluster, journal, LOAD);
  const gaps: number[] = [];
  await load.reaches(WARM_APPENDS);
  const warm = load.appended;
  for (let round = 0; round < ROUNDS; round += 1) {
    const { members } = await cluster.whole(journal);
    const member = members[round % members.length]?.id ?? '';
    const next = members[(round + 1) % members.length]?.id ?? '';
    load.mark();
    const end = await fault.begin(cluster, member, next);
    await pause(fault.millis);
    end();
    await cluster.whole(journal);
    gaps.push(load.longestGapMillis);
  }
  await judgeRun(cluster, load, context, warm);
  const worst = Math.max(...gaps);
  context.diagnostic(`longest pause of each fault in ms: ${gaps.map(Math.round).join(' ')}`);
  assert.ok(worst < PAUSE_MILLIS_MAX, `appends paused for ${worst} ms\n${cluster.logs()}`);
}

/** All faults at random moments, one on top of the other: judged for safety alone. */
export async function atRandom(cluster: Cluster, context: TestContext): Promise<void> {
  const journal = 'at-random';
  await using client = cluster.connect();
  await client.createJournal(journal);
  const { members } = await cluster.whole(journal);
  await using load = Load.start(cluster, journal, LOAD);
  const all = [...processFaults, ...linkFaults];
  const ends: Promise<void>[] = [];
  const one = async (): Promise<void> => {
    const fault = pick(all);
    const victim = Math.random() < 1 / 3 ? pick(cluster.controllerNames) : pick(members).id;
    const end = await fault.begin(cluster, victim, pick(members).id);
    await pause(fault.millis * Math.random());
    end();
  };
  for (let round = 0; round < ROUNDS; round += 1) {
    ends.push(one().catch(() => {}));
    await pause(1_000 * Math.random());
  }
  await Promise.all(ends);
  cluster.links?.heal();
  await cluster.controllersWhole();
  await cluster.whole(journal);
  // Between faults at random moments hardly any time may be left; once they are over there is.
  await load.reaches(APPENDS_MIN + 1);
  await load.leads();
  await judgeRun(cluster, load, context);
}

function pick<Value>(values: readonly Value[]): Value {
  const value = values[Math.floor(Math.random() * values.length)];
  if (value === undefined) throw new Error('there is nothing to pick from');
  return value;
}

/** `warm` appends were before the first fault, and show nothing. */
async function judgeRun(
  cluster: Cluster,
  load: Load,
  context: TestContext,
  warm = 0,
): Promise<void> {
  const { wrong, looked } = await load.end(cluster);
  context.diagnostic(`${load.appended} plain appends; looked at: ${lookedAt(looked)}`);
  assert.deepEqual(wrong, []);
  const appended = load.appended - warm;
  assert.ok(appended > APPENDS_MIN, `only ${appended} appends were acknowledged`);
}
