// The way out when a majority of the controllers is lost for good: new ones, and registers that are
// built again from what lies on the volumes of the replicas. Only by an annotation. Pure.
//
// The old controllers' processes are gone before the new ones are formatted, so that nobody asks
// them; replicas serve on meanwhile with the chains that they have.

import { removal } from './leave.ts';
import type { Ledger } from './ledger.ts';
import type { Settled } from './settle.ts';
import { type Plan, waiting, working } from './steps.ts';
import { ASK, isRunning, podOf, type World } from './world.ts';

/** Null where nobody asks, it was done, or a majority of the controllers answers all the same. */
export function beginRecovery(
  { cluster, chain }: World,
  ledger: Ledger,
  add: (ledger: Ledger) => Ledger,
): { readonly ledger: Ledger; readonly why: string } | null {
  const word = cluster.metadata.annotations?.[ASK.recover] ?? '';
  if (word === '' || word === ledger.recovery || chain.kind === 'known') return null;
  const leaving = 'a majority of the controllers is lost';
  const controllers = ledger.controllers.map((one) => ({ ...one, leaving, removing: true }));
  const next = add({ ...ledger, controllers, formatted: false, recovery: word });
  const came = next.controllers.filter(({ removing }) => !removing).map(({ id }) => id);
  const why = `${came.join(', ')} are to take over as ${ASK.recover} asks: ${leaving}`;
  return { ledger: next, why };
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
