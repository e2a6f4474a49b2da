// Each fault in turn, under writers and subscribers, on real processes: whatever happens, nothing
// that was acknowledged is lost or doubled, everybody sees one order, and appends go on.
//
// FAULT_ROUNDS of each (10 by default, 50 in a soak). The history is judged always, the pause only
// against a generous ceiling here: FAULT_PAUSE_MILLIS says another one.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Cluster, kill, pause } from './cluster.ts';
import { finalsOf } from './finals.ts';
import { judge, Load } from './load.ts';

const ROUNDS = Number(process.env.FAULT_ROUNDS ?? 10);
const PAUSE_MILLIS_MAX = Number(process.env.FAULT_PAUSE_MILLIS ?? 5_000);
const FAULT_MILLIS = 2_000;

/** Does harm to one member and answers how to end it. */
type Fault = (cluster: Cluster, member: string, next: string) => Promise<() => void>;

const faults: Readonly<Record<string, Fault>> = {
  'kill -9': async (cluster, member) => {
    kill(await cluster.pidOf(member), 'SIGKILL');
    return () => {};
  },
  SIGSTOP: async (cluster, member) => {
    const pid = await cluster.pidOf(member);
    kill(pid, 'SIGSTOP');
    return () => kill(pid, 'SIGCONT');
  },
  'a disk that holds every sync for 2 s': async (cluster, member) => {
    const pid = await cluster.pidOf(member);
    cluster.hold(pid, 2_000);
    return () => cluster.release(pid);
  },
  'a link cut one way': async (cluster, member, next) => {
    cluster.links?.cut(cluster.indexOf(member), cluster.indexOf(next));
    return () => cluster.links?.heal();
  },
  'a link cut both ways': async (cluster, member, next) => {
    cluster.links?.cut(cluster.indexOf(member), cluster.indexOf(next));
    cluster.links?.cut(cluster.indexOf(next), cluster.indexOf(member));
    return () => cluster.links?.heal();
  },
  'a member cut off from all': async (cluster, member) => {
    const self = cluster.indexOf(member);
    for (let other = 0; other < cluster.members + cluster.controllers; other += 1) {
      if (other === self) continue;
      cluster.links?.cut(self, other);
      cluster.links?.cut(other, self);
    }
    return () => cluster.links?.heal();
  },
};

describe('faults under load', () => {
  let cluster: Cluster;
  before(async () => {
    cluster = await Cluster.start({ faults: true, links: true });
  });
  after(() => cluster.close());

  for (const [at, [name, fault]] of Object.entries(faults).entries()) {
    test(name, { timeout: 600_000 }, async (context) => {
      const journal = `faults-${at}`;
      await using client = cluster.connect();
      await client.createJournal(journal);
      await cluster.whole(journal);
      const load = Load.start(cluster, journal, { writers: 8, subscribers: 3, pauseMillis: 10 });
      const gaps: number[] = [];
      for (let round = 0; round < ROUNDS; round += 1) {
        const { members } = await cluster.whole(journal);
        const member = members[round % members.length]?.id ?? '';
        const next = members[(round + 1) % members.length]?.id ?? '';
        load.mark();
        const end = await fault(cluster, member, next);
        await pause(FAULT_MILLIS);
        end();
        await cluster.whole(journal);
        gaps.push(load.longestGapMillis);
      }
      const history = await load.stop(cluster);
      const finals = await finalsOf(cluster, journal);
      const { wrong, checked } = judge({ ...history, finals });
      const worst = Math.max(...gaps);
      context.diagnostic(
        `${load.appended} appends, ${checked} checks; longest pause of each fault in ms: ` +
          gaps.map(Math.round).join(' '),
      );
      assert.deepEqual(wrong, []);
      assert.ok(finals.length === 3, `${finals.length} members were read at the end`);
      assert.ok(load.appended > 100 * ROUNDS, `only ${load.appended} appends were acknowledged`);
      assert.ok(worst < PAUSE_MILLIS_MAX, `appends paused for ${worst} ms\n${cluster.logs()}`);
    });
  }
});
