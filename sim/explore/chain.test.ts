// Random walks over the chain machines: every step keeps the invariants, and what was acknowledged
// stays on every serving member whatever crashes, cuts and changes of configuration come.

import { strictEqual } from 'node:assert/strict';
import { test } from 'node:test';
import { checkMember, checkMembers } from '../../protocol/chain/invariants.ts';
import { applyChain, type ChainAction, chainActions } from './chain-actions.ts';
import {
  type ChainScope,
  chainStates,
  checkAcknowledged,
  describeWorld,
  latest,
  openChainWorld,
} from './chain-world.ts';

const SCOPE: ChainScope = {
  stores: 4,
  initial: 3,
  epochs: 12,
  appends: 30,
  crashes: 6,
  cuts: 6,
  reads: 10,
  trims: 3,
  losses: 3,
  minReplicas: 1,
  patient: false,
};

/** mulberry32: small, seeded, enough for a walk. */
function generator(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/** How often each kind is taken, relative to the others that are possible. */
const WEIGHTS: Readonly<Record<ChainAction['kind'], number>> = {
  deliver: 30,
  disk: 30,
  configure: 10,
  tick: 5,
  append: 6,
  trim: 1,
  read: 2,
  crash: 0.5,
  start: 4,
  cut: 0.3,
  copy: 0.3,
  restore: 1,
  loseEnd: 1,
  learn: 2,
  decide: 0.1,
};

type Weights = Readonly<Record<ChainAction['kind'], number>>;

/** Swarm testing: every seed has its own mix, so that rare orders of things come up in some. */
function mix(random: () => number): Weights {
  const factors = [0.05, 0.3, 1, 3];
  const drawn = Object.entries(WEIGHTS).map(
    ([kind, weight]) => [kind, weight * (factors[Math.floor(random() * 4)] ?? 1)] as const,
  );
  return { ...WEIGHTS, ...Object.fromEntries(drawn) };
}

/** One action by weight; the slow site is told of configurations only now and then. */
function pick(
  actions: readonly ChainAction[],
  weights: Weights,
  slow: number,
  random: () => number,
): ChainAction | undefined {
  const weight = (action: ChainAction): number => {
    const held = action.kind === 'configure' && action.site === slow ? 0.002 : 1;
    return weights[action.kind] * held;
  };
  let left = random() * actions.reduce((sum, action) => sum + weight(action), 0);
  for (const action of actions) {
    left -= weight(action);
    if (left <= 0) return action;
  }
  return actions.at(-1);
}

function walk(seed: number, steps: number): { acknowledged: number; epoch: number; reads: number } {
  const random = generator(seed);
  const world = openChainWorld(SCOPE);
  const weights = mix(random);
  // One site hears of new configurations late: a zombie.
  const slow = Math.floor(random() * SCOPE.stores);
  const taken: string[] = [];
  try {
    for (let at = 0; at < steps; at += 1) {
      const action = pick(chainActions(world), weights, slow, random);
      if (action === undefined) break;
      taken.push(JSON.stringify(action));
      applyChain(world, action);
      const members = chainStates(world);
      for (const state of members) checkMember(state);
      checkMembers({ members, latest: latest(world) });
      checkAcknowledged(world);
    }
  } catch (error) {
    const story = taken.slice(-25).join('\n');
    throw new Error(`seed ${seed}:\n${story}\n${describeWorld(world)}`, { cause: error });
  }
  const { size } = world.acknowledged;
  const reads = world.used.reads - world.asked.length;
  return { acknowledged: size, epoch: latest(world).epoch, reads };
}

test('random walks keep every invariant', () => {
  let acknowledged = 0;
  let epochs = 0;
  let reads = 0;
  const seeds = Number(process.env.WALKS ?? 300);
  for (let seed = 1; seed <= seeds; seed += 1) {
    const result = walk(seed, 1_500);
    acknowledged += result.acknowledged;
    epochs += result.epoch;
    reads += result.reads;
  }
  strictEqual(acknowledged > seeds * 5, true, `only ${acknowledged} appends were acknowledged`);
  strictEqual(epochs > seeds * 3, true, `only ${epochs} epochs were entered`);
  strictEqual(reads > seeds, true, `only ${reads} reads were answered`);
});
