// The chain as a scope of the exhaustive search: what of a world a step copies, and who judges it.

import type { ChainState } from '../../protocol/chain/state.ts';
import { applyChain, type ChainAction, chainActions } from './chain-actions.ts';
import { checkWorld } from './chain-checks.ts';
import { checkIdle, idleDelivery, receiverText } from './chain-lean.ts';
import { chainPrint } from './chain-print.ts';
import {
  type ChainScope,
  type ChainWorldState,
  openChainWorld,
  type Site,
  type Wire,
} from './chain-world.ts';
import type { Scope } from './search.ts';

/** All orders of everything within the bounds of `scope`. */
export function chainScope(name: string, scope: ChainScope): Scope<ChainWorldState, ChainAction> {
  return {
    name,
    open: () => openChainWorld(scope),
    actions: chainActions,
    apply,
    copy: copyWorld,
    print: chainPrint,
    check: checkWorld,
  };
}

function apply(world: ChainWorldState, action: ChainAction): void {
  const idle = action.kind === 'deliver' ? idleDelivery(world) : null;
  const before = idle === null ? '' : receiverText(world, idle);
  applyChain(world, action);
  if (idle !== null) checkIdle(before, receiverText(world, idle));
}

/** Batches, records, messages and configurations never change; of the rest, what a step reaches. */
function copyWorld(world: ChainWorldState, action: ChainAction): ChainWorldState {
  const everywhere = action.kind === 'cut' || action.kind === 'start' || action.kind === 'crash';
  const wire = action.kind === 'deliver' ? world.wires[action.wire] : undefined;
  const store = 'site' in action ? world.sites[action.site]?.store : wire?.to;
  return {
    ...world,
    sites: world.sites.map((site) => {
      return everywhere || site.store === store ? copySite(site) : site;
    }),
    wires: world.wires.map((one) => {
      return everywhere || one.from === store || one === wire ? copyWire(one) : one;
    }),
    decided: [...world.decided],
    acknowledged: new Map(world.acknowledged),
    asked: [...world.asked],
    used: { ...world.used },
  };
}

const copyWire = (wire: Wire): Wire => ({ ...wire, messages: [...wire.messages], prints: [] });

function copySite(site: Site): Site {
  return {
    ...site,
    state: site.state === null ? null : copyState(site.state),
    written: [...site.written],
    durable: [...site.durable],
    operations: [...site.operations],
    prints: [],
  };
}

function copyState(state: ChainState): ChainState {
  const { tables } = state;
  return {
    ...state,
    acked: new Map(state.acked),
    burned: new Map(state.burned),
    appends: [...state.appends],
    duplicates: [...state.duplicates],
    reads: state.reads.map((read) => ({ ...read })),
    remoteReads: new Map([...state.remoteReads].map(([read, remote]) => [read, { ...remote }])),
    trims: [...state.trims],
    // The explored appends touch no key, writer or cursor: scalars and undos are all there is.
    tables: { ...tables, undo: [...tables.undo] },
  };
}
