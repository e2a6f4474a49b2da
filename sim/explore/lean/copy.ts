// Copies of what a step of an explored chain changes. Batches, records, messages and
// configurations never change, so copies share them.

import type { ChainState } from '../../../protocol/chain/state.ts';
import type { ChainWorldState, Site, Wire } from '../chain-parts.ts';

/** A world of which everything may be changed. */
export function copyWorld(world: ChainWorldState): ChainWorldState {
  return {
    ...world,
    sites: world.sites.map(copySite),
    wires: world.wires.map(copyWire),
    decided: [...world.decided],
    acknowledged: new Map(world.acknowledged),
    asked: [...world.asked],
    used: { ...world.used },
  };
}

const copyWire = (wire: Wire): Wire => ({ ...wire, messages: [...wire.messages], prints: [] });

export function copySite(site: Site): Site {
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
