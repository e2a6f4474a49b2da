// Walks among members that were left behind: one of three goes on alone and acknowledges records,
// while the other two have heard of nothing, and are asked for reads. For an answer that is old the
// head of the old epoch and who asks it must both be late: walks of whole lives hardly come there.

import { invariant } from '../../protocol/errors.ts';
import { NO_LSN } from '../../protocol/types.ts';
import { applyChain, type ChainAction, chainActions } from './chain-actions.ts';
import { checkWorld } from './chain-checks.ts';
import type { ChainScope, ChainWorldState } from './chain-parts.ts';
import { generator } from './chain-walk.ts';
import { openChainWorld } from './chain-world.ts';

const SCOPE: ChainScope = {
  stores: 3,
  initial: 3,
  epochs: 2,
  appends: 8,
  crashes: 0,
  cuts: 0,
  reads: 30,
  trims: 0,
  losses: 0,
  minReplicas: 1,
  patient: false,
};
/** Of the first configuration, by its place. */
const HEAD = 0;
const STEPS = 200;
const ROUNDS = 20;

/** Reads that were asked where an old answer would have been possible; throws where one came. */
export function walkBehind(seed: number): number {
  const random = generator(seed);
  const world = openChainWorld(SCOPE);
  comeUp(world);
  // Not the head, which would hear of it.
  const alone = random() < 0.5 ? 1 : 2;
  let asked = 0;
  for (let at = 1; at <= STEPS; at += 1) {
    const possible = chainActions(world).filter((action) => mayBe(world, action, alone));
    const kinds = [...new Set(possible.map(({ kind }) => kind))];
    const kind = kinds[Math.floor(random() * kinds.length)];
    const same = possible.filter((action) => action.kind === kind);
    const action = same[Math.floor(random() * same.length)];
    if (action === undefined) break;
    if (action.kind === 'read' && action.site !== alone && isAhead(world, alone)) asked += 1;
    try {
      applyChain(world, action);
      checkWorld(world);
    } catch (error) {
      const what = `seed ${seed}, step ${at}: ${String(error)}`;
      throw new Error(`left behind: ${what} at ${JSON.stringify(action)}`, { cause: error });
    }
  }
  return asked;
}

/** All three are in the first epoch, with a record that all of them have. */
function comeUp(world: ChainWorldState): void {
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const [site, { operations }] of world.sites.entries()) {
      if (round === 0) applyChain(world, { kind: 'configure', site });
      if (round === 2 && site === HEAD) applyChain(world, { kind: 'append', site });
      while (operations.length > 0) applyChain(world, { kind: 'disk', site });
      // What came to one that was not in the epoch yet is asked for again.
      applyChain(world, { kind: 'tick', site });
    }
    for (const [wire, { messages }] of world.wires.entries()) {
      while (messages.length > 0) applyChain(world, { kind: 'deliver', wire });
    }
  }
  invariant(world.acknowledged.size === 1, 'a chain comes up', () => `${world.acknowledged.size}`);
}

/** It goes on once it has heard of a barrier; nobody else hears of that, or appends any more. */
function mayBe({ sites }: ChainWorldState, action: ChainAction, alone: number): boolean {
  if (action.kind === 'configure' || action.kind === 'append') return action.site === alone;
  if (action.kind !== 'decide') return true;
  const [first, ...others] = action.next.serving;
  const { store, state } = sites[alone] ?? {};
  const leaves = first?.store === store && others.length === 0 && action.next.joining === null;
  return leaves && (state?.barrier ?? 0) > 0;
}

/** The one has acknowledged more than the head of the others knows to be committed. */
function isAhead({ acknowledged, sites, decided }: ChainWorldState, alone: number): boolean {
  const known = sites[HEAD]?.state?.committedLsn ?? NO_LSN;
  const goesOn = decided.length > 1 && sites[alone]?.state?.live === true;
  return goesOn && Math.max(...acknowledged.keys()) > known;
}
