// The way out when a majority of the controllers is lost for good: new ones, and registers that are
// built again from what lies on the volumes of the replicas. Only by an annotation. Pure.
//
// The old controllers' processes are gone before the new ones are formatted, so that nobody asks
// them; replicas serve on meanwhile with the chains that they have.

import type { ControllerEntry, Ledger, ReplicaEntry } from '../ledger.ts';
import { isOld } from '../roll.ts';
import type { Settled } from '../settle.ts';
import { type Plan, waiting, working } from '../steps.ts';
import {
  ASK,
  claimState,
  isReady,
  isRunning,
  journalsWith,
  podOf,
  podTrouble,
  type World,
} from '../world.ts';
import { endingControllers } from './leave.ts';

/**
 * Null where nobody asks, it was done, or those that are silent may come back by themselves. Where
 * a majority answers all the same the word is used up: it must not be a trap for a later day.
 */
export function beginRecovery(
  world: World,
  ledger: Ledger,
  { hibernate }: Settled,
  add: (ledger: Ledger) => Ledger,
): { readonly ledger: Ledger; readonly why: string } | null {
  const { word } = wishOf(world);
  const open = ledger.recovery !== ledger.recovered;
  const begun = ledger.formatted || open;
  if (word === '' || word === ledger.recovery || hibernate || !begun) return null;
  const known = world.chain.kind === 'known';
  if (known && !open) {
    const why = `${ASK.recover} is not needed: a majority of the controllers answers`;
    return { ledger: { ...ledger, recovery: word, recovered: word }, why };
  }
  const seats = seatsOf(ledger);
  const away = seats.filter((one) => isAway(world, one)).length;
  // One that is under way begins anew only where it cannot end.
  if (open ? known && away === 0 : away * 2 < seats.length) return null;
  const leaving = 'a majority of the controllers is lost';
  const controllers = ledger.controllers.map((one) => ({ ...one, leaving, removing: true }));
  // Who was told to leave is told again: what the old ones were ordered went with them.
  const replicas = ledger.replicas.map((one) => ({ ...one, ordered: one.ordered && one.removing }));
  const next = add({ ...ledger, replicas, controllers, formatted: false, recovery: word });
  const came = next.controllers.filter(({ removing }) => !removing).map(({ id }) => id);
  const why = `${came.join(', ')} are to take over as ${ASK.recover} asks: ${leaving}`;
  return { ledger: next, why };
}

const ACCEPT_LOSS = 'accept-loss';

/** `WORD` or `WORD,accept-loss`: a word that is new for each time, and whether volumes may miss. */
function wishOf({ cluster }: World): { readonly word: string; readonly acceptLoss: boolean } {
  const text = cluster.metadata.annotations?.[ASK.recover] ?? '';
  const [word = '', ...more] = text.split(',').map((part) => part.trim());
  return { word, acceptLoss: more.includes(ACCEPT_LOSS) };
}

/** What to do where a volume that has to be read does not come back. */
export const goOnWithout = (word: string): string =>
  `to go on without it, and without what only it held, annotate with ` +
  `${ASK.recover}=${word},${ACCEPT_LOSS}`;

/** One whose volume is still to be formatted has no seat yet. */
const seatsOf = ({ controllers }: Ledger): readonly ControllerEntry[] =>
  controllers.filter(({ formatted }) => formatted);

/**
 * Nothing says that it comes back by itself: its volume is lost, no pod is made for it, or that has
 * had the time to be ready. In a cluster that has just begun, wakes up or was
 * adopted all are silent, and so are those that merely cannot be asked from here.
 */
function isAway(world: World, entry: ControllerEntry): boolean {
  if (claimState(world, entry) === 'lost') return true;
  const pod = podOf(world, entry.id);
  if (pod === undefined) return podTrouble(world, entry.id) !== '';
  const ending = pod.metadata.deletionTimestamp !== undefined;
  return !ending && !isReady(pod) && isOld(world, pod);
}

/** Why a recovery that was asked for is not begun; empty where none was. */
export function heldBack(world: World, ledger: Ledger): string {
  const { word } = wishOf(world);
  if (word === '' || word === ledger.recovery) return '';
  const there = seatsOf(ledger)
    .filter((one) => !isAway(world, one))
    .map(({ id }) => id);
  return `; ${ASK.recover} waits, since ${there.join(', ')} may come back`;
}

/** Null where nothing is to be recovered. `format` plans what formats the new controllers. */
export function recovering(
  world: World,
  ledger: Ledger,
  settled: Settled,
  format: () => Plan | null,
): Plan | null {
  if (ledger.recovery === ledger.recovered) return null;
  const cleared = endingControllers(world, ledger, settled);
  if (cleared !== null) return cleared;
  if (!ledger.formatted) {
    return format() ?? { actions: [], progress: working('Recovering', 'formatting controllers') };
  }
  const done = { ...ledger, recovered: ledger.recovery };
  // Ready they are only with registers: somebody has built them by hand.
  if (world.chain.kind === 'known' && world.chain.status.ready) {
    const why = 'the registers were built again';
    return {
      actions: [{ kind: 'ledger', ledger: done, why }],
      progress: working('Recovering', why),
    };
  }
  const away = ledger.controllers.find(({ id }) => !isRunning(podOf(world, id)));
  if (away !== undefined) {
    return { actions: [], progress: waiting('Recovering', `${away.id} does not run yet`) };
  }
  const { acceptLoss } = wishOf(world);
  const silent = ledger.replicas.find((one) => isAwaited(world, one, acceptLoss));
  if (silent !== undefined) return unread(world, ledger, silent.id);
  const read = ledger.replicas.filter(({ id }) => isRunning(podOf(world, id))).length;
  const why = `building the registers again from ${read} volumes`;
  const order = { kind: 'recover', cluster: ledger.clusterId, acceptLoss } as const;
  return {
    actions: [
      { kind: 'order', order, why },
      { kind: 'ledger', ledger: done, why: '' },
    ],
    progress: working('Recovering', why),
  };
}

/**
 * Members that had left, and that registers built from old volumes name again: they leave
 * once more, where nobody answers for them and no journal has them.
 */
export function leftBefore(world: World, { recovered, replicas }: Ledger): Plan | null {
  if (recovered === '' || world.chain.kind === 'unknown') return null;
  const known: readonly string[] = replicas.map(({ id }) => id);
  const found = world.chain.status.processes.find(
    ({ kind, id, reachable }) =>
      kind === 'replica' &&
      !reachable &&
      !known.includes(id) &&
      journalsWith(world, id).length === 0,
  );
  if (found === undefined) return null;
  const why = `${found.id} had left before the registers were built again`;
  const request = { kind: 'memberRemove', member: found.id } as const;
  return {
    actions: [{ kind: 'order', order: { kind: 'admin', request }, why }],
    progress: working('Leaving', why),
  };
}

/**
 * What is to be read is there, and does not run. One that has no volume any more is not waited for:
 * whoever reads the others says whether it has to be.
 */
function isAwaited(world: World, entry: ReplicaEntry, acceptLoss: boolean): boolean {
  const pod = podOf(world, entry.id);
  if (entry.removing || isRunning(pod)) return false;
  if (['unmade', 'lost'].includes(claimState(world, entry))) return false;
  return !acceptLoss || !isStuck(world, entry.id);
}

/** Something keeps its pod from running, and not only at first. */
function isStuck(world: World, id: string): boolean {
  const pod = podOf(world, id);
  return podTrouble(world, id) !== '' && (pod === undefined || isOld(world, pod));
}

function unread(world: World, { recovery }: Ledger, id: string): Plan {
  const message = `${id} does not run, and its volume has to be read`;
  if (!isStuck(world, id)) return { actions: [], progress: waiting('Recovering', message) };
  const stuck = `${message}: ${podTrouble(world, id)}; ${goOnWithout(recovery)}`;
  return { actions: [], progress: { kind: 'stalled', reason: 'PodNotRunning', message: stuck } };
}
