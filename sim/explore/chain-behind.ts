// Walks among members that were left behind: one of three goes on alone and acknowledges records,
// while the other two have heard of nothing, and are asked for reads. For an answer that is old the
// head of the old epoch and who asks it must both be late: walks of whole lives hardly come there.
// In every other walk the three changed their order before, with a read under way at the old head.

import { invariant } from '../../protocol/errors.ts';
import { epoch, NO_LSN } from '../../protocol/types.ts';
import { applyChain, type ChainAction, chainActions } from './chain-actions.ts';
import { checkWorld } from './chain-checks.ts';
import type { ChainScope, ChainWorldState } from './chain-parts.ts';
import { generator } from './chain-walk.ts';
import { latest, openChainWorld } from './chain-world.ts';

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
/** Of the first configuration, by its place, and of the one after a change of order. */
const HEAD = 0;
const NEXT_HEAD = 1;
const STEPS = 200;
const ROUNDS = 20;

/** Reads that were asked where an old answer would have been possible; throws where one came. */
export function walkBehind(seed: number): number {
  const random = generator(seed);
  const turned = seed % 2 === 0;
  const world = openChainWorld({ ...SCOPE, epochs: turned ? 3 : 2 });
  comeUp(world);
  if (turned) turnAround(world);
  const leads = turned ? NEXT_HEAD : HEAD;
  // Not the head, which would hear of it; the one that led before, where there is one.
  const alone = turned ? HEAD : random() < 0.5 ? 1 : 2;
  let asked = 0;
  for (let at = 1; at <= STEPS; at += 1) {
    const possible = chainActions(world).filter((action) => mayBe(world, action, alone));
    const kinds = [...new Set(possible.map(({ kind }) => kind))];
    const kind = kinds[Math.floor(random() * kinds.length)];
    const same = possible.filter((action) => action.kind === kind);
    const action = same[Math.floor(random() * same.length)];
    if (action === undefined) break;
    if (action.kind === 'read' && action.site !== alone && isAhead(world, leads, alone)) asked += 1;
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
  for (const site of world.sites.keys()) applyChain(world, { kind: 'configure', site });
  settle(world);
  applyChain(world, { kind: 'append', site: HEAD });
  settle(world);
  invariant(world.acknowledged.size === 1, 'a chain comes up', () => `${world.acknowledged.size}`);
}

/** All three are in the next epoch: the old head has drawn a barrier that nobody heard of. */
function turnAround(world: ChainWorldState): void {
  applyChain(world, { kind: 'read', site: HEAD });
  const now = latest(world);
  const serving = [...now.serving];
  serving.unshift(...serving.splice(NEXT_HEAD, 1));
  applyChain(world, { kind: 'decide', next: { ...now, epoch: epoch(now.epoch + 1), serving } });
  for (const site of world.sites.keys()) applyChain(world, { kind: 'configure', site });
  settle(world);
}

/** All that is under way ends. */
function settle(world: ChainWorldState): void {
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const [site, { operations }] of world.sites.entries()) {
      while (operations.length > 0) applyChain(world, { kind: 'disk', site });
      // What came to one that was not in the epoch yet is asked for again.
      applyChain(world, { kind: 'tick', site });
    }
    for (const [wire, { messages }] of world.wires.entries()) {
      while (messages.length > 0) applyChain(world, { kind: 'deliver', wire });
    }
  }
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
function isAhead(world: ChainWorldState, leads: number, alone: number): boolean {
  const { acknowledged, sites, decided, scope } = world;
  const known = sites[leads]?.state?.committedLsn ?? NO_LSN;
  const goesOn = decided.length === scope.epochs && sites[alone]?.state?.live === true;
  return goesOn && Math.max(...acknowledged.keys()) > known;
}
