// Every kind of fault does something, and what counts it sees that: each of them is carried out on
// a cluster that works, and beside the count that the fault itself is judged by (shows.ts) stands
// a look at the cluster, the machine or the wires.

import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { Bench } from '../../test/sim/bench.ts';
import type { Machine } from '../machine.ts';
import { Dice } from '../random.ts';
import { begin } from './faults.ts';
import { FAULT_NAMES, KINDS } from './kinds.ts';
import type { Kind } from './scene.ts';

interface Row {
  readonly victim?: 'controller';
  readonly lasts?: number;
  /** So often, each time drawn anew. */
  readonly times?: number;
  /** A matter of chance: tried up to so often, until something has come of it. */
  readonly tries?: number;
  /** Controllers write hardly anything unless a journal is made. */
  readonly stirs?: boolean;
  /** Told of before it begins; true as soon as there is something to be seen of it. */
  readonly look?: (victim: Machine) => () => boolean;
}

const CALM = 50_000;
const SHORT = 200_000;
/** What an operator does may take so long after the end of the fault. */
const LATE = 8_000_000;
const bench = new Bench('witness', { replicas: 3, controllers: 3, clients: 0 });
const { cluster, world } = bench;
const { fabric } = cluster;
let journals = 0;

/** Draws the greatest of all probabilities. */
class Likely extends Dice {
  override odds(_low: number, high: number): number {
    return high;
  }
}

const peers = (victim: Machine): string[] =>
  [...cluster.replicas, ...cluster.controllers]
    .map(({ name }) => name)
    .filter((name) => name !== victim.name);

const members = (): { readonly id: string; readonly role: string }[] =>
  cluster.status?.journals.flatMap(({ members: all }) =>
    all.map(({ id, role }) => ({ id: String(id), role })),
  ) ?? [];

const isMember = ({ name }: Machine): boolean => members().some(({ id }) => id === name);
const contents = ({ disk }: Machine): string =>
  disk.image
    .files()
    .map(([path, file]) => `${path} ${Buffer.from(file.read(0, file.size)).toString('base64')}`)
    .join('\n');

/** True from when the value is another one than it was. */
const differs = (value: () => unknown): (() => boolean) => {
  const was = value();
  return () => value() !== was;
};

const lives = (victim: Machine) => differs(() => victim.lives);
const errors = (victim: Machine) => {
  const was = victim.clock.error();
  return () => Math.abs(victim.clock.error() - was) > 900;
};
const cuts = (victim: Machine) => () =>
  peers(victim).some((name) => fabric.isCut(name, victim.name) || fabric.isCut(victim.name, name));
const seats = () => differs(() => bench.controllers.join());
const ghosts =
  ({ name }: Machine) =>
  () =>
    [...cluster.listeners.byAddress.keys()].some((address) => address.startsWith(`${name}-ghost`));
const bytes = (victim: Machine) => differs(() => contents(victim));

/** In this order: what may take a member for good comes last. */
const ROWS: Readonly<Record<string, Row>> = {
  cutSome: { look: cuts, lasts: 600_000 },
  cutAll: { look: cuts },
  slowLinks: {
    look: (victim) => () => {
      const [peer = ''] = peers(victim);
      return fabric.delay(victim.name, peer, 0) > 4 * (fabric.latency(victim.name, peer) + 250);
    },
  },
  breakLinks: {
    tries: 8,
    lasts: 50_000,
    look: (victim) => {
      const open = [...fabric.connections].filter(
        ({ near, farHost }) => near.host === victim.name || farHost === victim.name,
      );
      return () => open.some(({ near, far }) => near.closed || far?.closed === true);
    },
  },
  repeatCalls: { lasts: 500_000, tries: 8 },
  badWires: { lasts: 500_000, tries: 8 },
  kill: { look: lives },
  powerOff: { look: lives },
  pause: { look: (victim) => () => victim.paused },
  jump: { look: errors, times: 3 },
  // A clock that is off by as little as any may be is not one that drifts.
  drift: { look: (victim) => () => Math.abs(victim.clock.driftPpm) > 100, times: 3 },
  holdSyncs: {
    look:
      ({ disk }) =>
      () =>
        disk.faults.syncsHeldUntil > world.now + 1_000,
  },
  slowDisk: {
    look:
      ({ disk }) =>
      () =>
        disk.faults.slowFactor >= 5,
  },
  failSyncs: { lasts: 600_000, tries: 4 },
  failReads: { victim: 'controller', tries: 8 },
  fullDisk: { lasts: 1_100_000 },
  restart: { look: lives },
  upgrade: { look: lives },
  downgrade: { look: lives },
  rot: { look: bytes, lasts: 1_000, tries: 8 },
  wipe: {
    look:
      ({ disk }) =>
      () =>
        disk.image.usedBytes() === 0,
  },
  oldCopy: { look: lives, lasts: 1_600_000 },
  leave: { look: (victim) => () => !isMember(victim), lasts: 1_000_000 },
  moveHead: {
    look: (victim) => () => members().some(({ id, role }) => id === victim.name && role === 'head'),
    lasts: 1_000_000,
  },
  mountTwice: { look: ghosts, lasts: 1_500_000 },
  addMember: { look: () => differs(() => cluster.replicas.length) },
  replaceMember: { look: (victim) => () => !cluster.replicas.includes(victim) },
  replaceController: { look: seats, victim: 'controller' },
  wipeController: { look: seats, victim: 'controller' },
  oldController: { look: seats, victim: 'controller', lasts: 500_000 },
  rotController: { look: bytes, victim: 'controller', lasts: 50_000, tries: 8 },
  forceLoss: { look: lives, lasts: 1_600_000 },
  misdirectController: { victim: 'controller', lasts: 200_000, tries: 8, stirs: true },
  resizeControllers: { look: seats, victim: 'controller' },
  misdirect: { lasts: 500_000, tries: 8 },
  rotAll: { look: bytes, lasts: 1_000, tries: 8 },
};

test('the table has every kind', () => {
  assert.deepEqual(Object.keys(ROWS).sort(), [...FAULT_NAMES].sort());
});

before(async () => {
  await bench.turn(async () => {
    await bench.start();
    await cluster.client.createJournal('orders');
    await bench.until(() => cluster.whole());
  });
  const write = (): void => {
    const orders = cluster.client.journal('orders');
    orders.append('x'.repeat(100)).catch(() => undefined);
    orders.tail().catch(() => undefined);
    world.schedule(60_000, null, 'world', 'write', write);
  };
  write();
});

/** The last replica of the chain: an order to move the head to it is none in vain. */
function victimOf({ victim }: Row): Machine {
  const [controller] = cluster.controllers;
  const tail = cluster.replicas.findLast(
    ({ name }) => members().find(({ id }) => id === name)?.role !== 'head',
  );
  const found = victim === 'controller' ? controller : tail;
  assert.ok(found !== undefined);
  return found;
}

for (const [name, row] of Object.entries(ROWS)) {
  test(`something comes of ${name}`, async () => {
    const kind = KINDS.find((one) => one.name === name);
    assert.ok(kind !== undefined);
    const { times = 1, tries = 1 } = row;
    for (let time = 1; time <= times; time += 1) {
      let came = false;
      for (let left = tries; left > 0 && !came; left -= 1) {
        const dice = new Likely(`${name} ${time} ${left}`);
        await bench.turn(async () => {
          came = await struck(kind, row, dice);
        });
      }
      assert.ok(came, 'it does not count');
    }
  });
}

/** Whether it counts as carried out; then there must be something to be seen of it, too. */
async function struck(kind: Kind, row: Row, dice: Dice): Promise<boolean> {
  const victim = victimOf(row);
  const shows = kind.shows(cluster, victim);
  await world.sleep(CALM);
  assert.equal(kind.shows(cluster, victim), shows, 'it shows without the fault');
  const look = row.look?.(victim);
  let seen = look === undefined;
  const begun = begin(kind, cluster, victim, dice);
  if (begun === null) return false;
  if (row.stirs === true) {
    journals += 1;
    cluster.client.createJournal(`more-${journals}`).catch(() => undefined);
  }
  const watch = async (until: number): Promise<void> => {
    for (;;) {
      seen ||= look?.() === true;
      if (world.now >= until || (seen && begun.came())) return;
      await world.sleep(5_000);
    }
  };
  const ends = world.now + (row.lasts ?? SHORT);
  await watch(ends);
  await world.sleep(Math.max(0, ends - world.now));
  begun.end();
  if (row.tries === undefined) await watch(world.now + LATE);
  const ended = world.now;
  if (kind.brutal !== true) await bench.until(() => cluster.whole(ended));
  if (begun.came()) assert.ok(seen, 'nothing is to be seen of it');
  return begun.came();
}
