// The way out when a majority of the controllers is lost for good: new ones, and registers that are
// built again from what lies on the volumes of the replicas. Only by an annotation. Pure.
//
// The old controllers' processes are gone before the new ones are formatted, so that nobody asks
// them; replicas serve on meanwhile with the chains that they have.

import { removal } from './leave.ts';
import type { ControllerEntry, Ledger } from './ledger.ts';
import { isOld } from './roll.ts';
import type { Settled } from './settle.ts';
import { type Plan, waiting, working } from './steps.ts';
import { ASK, claimState, isReady, isRunning, podOf, podTrouble, type World } from './world.ts';

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
  const next = add({ ...ledger, controllers, formatted: false, recovery: word });
  const came = next.controllers.filter(({ removing }) => !removing).map(({ id }) => id);
  const why = `${came.join(', ')} are to take over as ${ASK.recover} asks: ${leaving}`;
  return { ledger: next, why };
}

/** What is asked for: a word that is new for each time. */
function wishOf({ cluster }: World): { readonly word: string } {
  return { word: cluster.metadata.annotations?.[ASK.recover] ?? '' };
}

/** One whose volume is still to be formatted has no seat yet. */
const seatsOf = ({ controllers }: Ledger): readonly ControllerEntry[] =>
  controllers.filter(({ formatted }) => formatted);

/**
 * Nothing says that it comes back by itself: its volume is lost, something keeps its pod from
 * running, or that has had the time to be ready. In a cluster that has just begun, wakes up or was
 * adopted all are silent, and so are those that merely cannot be asked from here.
 */
function isAway(world: World, entry: ControllerEntry): boolean {
  const pod = podOf(world, entry.id);
  if (claimState(world, entry) === 'lost' || podTrouble(world, entry.id) !== '') return true;
  const ending = pod?.metadata.deletionTimestamp !== undefined;
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

/** Controllers that give way to a new set go before that is formatted, so that nobody asks them. */
export function clearing(world: World, ledger: Ledger, settled: Settled): Plan | null {
  const old = ledger.controllers.find(({ removing }) => removing);
  if (old === undefined) return null;
  const controllers = ledger.controllers.filter((one) => one !== old);
  return removal(world, settled, old.id, { ...ledger, controllers });
}

/** Null where nothing is to be recovered. `format` plans what formats the new controllers. */
export function recovering(
  world: World,
  ledger: Ledger,
  settled: Settled,
  format: () => Plan | null,
): Plan | null {
  if (ledger.recovery === ledger.recovered) return null;
  const cleared = clearing(world, ledger, settled);
  if (cleared !== null) return cleared;
  if (!ledger.formatted) {
    return format() ?? { actions: [], progress: working('Recovering', 'formatting controllers') };
  }
  const away = ledger.controllers.find(({ id }) => !isRunning(podOf(world, id)));
  if (away !== undefined) {
    return { actions: [], progress: waiting('Recovering', `${away.id} does not run yet`) };
  }
  const silent = ledger.replicas.find(({ id }) => !isRunning(podOf(world, id)));
  if (silent !== undefined) {
    const message = `${silent.id} does not run, and its volume has to be read`;
    return { actions: [], progress: waiting('Recovering', message) };
  }
  const why = `building the registers again from ${ledger.replicas.length} volumes`;
  return {
    actions: [
      { kind: 'order', order: { kind: 'recover', cluster: ledger.clusterId }, why },
      { kind: 'ledger', ledger: { ...ledger, recovered: ledger.recovery }, why: '' },
    ],
    progress: working('Recovering', why),
  };
}
