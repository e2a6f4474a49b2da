// Random walks through the world of a chain: every seed has its own mix of what happens, its own
// slow member, its own clients, and some have an adversary that strikes where it hurts.

import { isHead } from '../../protocol/chain/state.ts';
import { type Configuration, findMember } from '../../protocol/configuration.ts';
import { NO_LSN } from '../../protocol/types.ts';
import { ExploredReplay } from '../spec/chain-explored.ts';
import { applyChain, type ChainAction, chainActions } from './chain-actions.ts';
import { checkTables, checkWorld, describeWorld } from './chain-checks.ts';
import { ChainClients } from './chain-clients.ts';
import type { ChainScope, ChainWorldState, Site } from './chain-parts.ts';
import type { ChainTrims } from './chain-trims.ts';
import { ChainTruth } from './chain-truth.ts';
import { latest, openChainWorld } from './chain-world.ts';

const SCOPE: ChainScope = {
  stores: 4,
  initial: 3,
  epochs: 12,
  appends: 60,
  crashes: 6,
  cuts: 6,
  reads: 10,
  trims: 8,
  losses: 3,
  minReplicas: 1,
  patient: false,
  // So small that windows overflow and writers are evicted.
  limits: { keys: 10, writers: 2, writerWindow: 3, chosenKeys: 5, cursors: 2 },
  skewMicros: 400_000,
  lateNews: true,
  savesApart: true,
};

/** What walks do beside: in a search no table holds a cursor, and nobody is wedged. */
type WalkAction =
  | ChainAction
  | { readonly kind: 'cursor'; readonly site: number }
  | { readonly kind: 'wedge'; readonly site: number };

type WalkKind = WalkAction['kind'];

const CURSORS_MAX = 30;
/** A cursor at the beginning would hold every trim. */
const CURSORS_FROM = 4;
const WEDGES_MAX = 3;

/** Steps after which the tables of all members are folded anew. */
const TABLES_EVERY = 20;

/** mulberry32: small, seeded, enough for a walk. */
export function generator(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/** How often each kind is taken, relative to the others that are possible. */
const WEIGHTS: Readonly<Record<WalkKind, number>> = {
  deliver: 30,
  disk: 30,
  save: 15,
  configure: 10,
  tick: 5,
  append: 8,
  trim: 2,
  read: 2,
  crash: 0.5,
  start: 4,
  cut: 0.3,
  copy: 0.3,
  restore: 1,
  loseEnd: 1,
  learn: 2,
  decide: 0.1,
  cursor: 2,
  wedge: 0.1,
};

type Weights = Readonly<Record<WalkKind, number>>;

/** Swarm testing: every seed has its own mix, so that rare orders of things come up in some. */
function mix(random: () => number): Weights {
  const factors = [0.05, 0.3, 1, 3];
  const drawn = Object.entries(WEIGHTS).map(
    ([kind, weight]) => [kind, weight * (factors[Math.floor(random() * 4)] ?? 1)] as const,
  );
  return { ...WEIGHTS, ...Object.fromEntries(drawn) };
}

/**
 * What an adversary likes better: a disk that adopted an epoch and has acknowledged nothing in it
 * fails just then, and is trusted right after (the mark of ChainReconfig.tla is against that).
 */
function spite(world: ChainWorldState, action: WalkAction): number {
  if (action.kind === 'decide') return isCold(world, action.next) ? 30 : 1;
  if (action.kind !== 'crash' && action.kind !== 'loseEnd') return 1;
  const site = world.sites[action.site];
  return site !== undefined && isSilent(site) ? 40 : 1;
}

function isSilent({ record, floor, durable }: Site): boolean {
  return record !== null && durable.length > 0 && record.epoch > (floor?.epoch ?? 0);
}

/** The configuration goes on with a member that restarted. */
function isCold(world: ChainWorldState, next: Configuration): boolean {
  return next.serving.every((member) => findMember(latest(world), member) === undefined);
}

export interface Walker {
  readonly world: ChainWorldState;
  readonly truth: ChainTruth;
  readonly replay: ExploredReplay;
  /** Takes one step; null where nothing can happen any more. */
  step(): WalkAction | null;
}

export function openWalk(seed: number): Walker {
  const random = generator(seed);
  const minReplicas = random() < 0.5 ? 1 : 2;
  const frameBatches = random() < 0.5 ? 1 : 1_000;
  const world = openChainWorld({ ...SCOPE, minReplicas, frameBatches });
  const truth = new ChainTruth(world);
  const replay = new ExploredReplay(world);
  const clients = new ChainClients(truth, random, random() < 0.3);
  const weights = mix(random);
  // Some sites hear of new configurations late: zombies, alone or in company.
  const slow = world.sites.map(() => random() < 0.35);
  const spiteful = random() < 0.25;
  const weight = (action: WalkAction): number => {
    const news = action.kind === 'configure' ? (action.epoch === undefined ? 1 : 0.1) : 1;
    const held = action.kind === 'configure' && slow[action.site] ? 0.002 : news;
    if (action.kind === 'trim' && !hasToTrim(world, action.site)) return 0;
    return weights[action.kind] * held * (spiteful ? spite(world, action) : 1);
  };
  // A journal that is wedged serves nobody before its next epoch: most walks should get far.
  const left = {
    cursor: random() < 0.4 ? CURSORS_MAX : 0,
    wedge: random() < 0.2 ? WEDGES_MAX : 0,
  };
  const step = (): WalkAction | null => {
    const possible = [...chainActions(world), ...walkActions(world, left)];
    const action = pick(possible, weight, random);
    if (action === null) return null;
    if (action.kind === 'cursor' || action.kind === 'wedge') left[action.kind] -= 1;
    take(action, { world, truth, clients });
    truth.trims.check();
    replay.step();
    return action;
  };
  return { world, truth, replay, step };
}

/** What walks do beside the actions of a search, while any of it is left. */
function walkActions(
  world: ChainWorldState,
  left: Readonly<Record<'cursor' | 'wedge', number>>,
): WalkAction[] {
  const actions: WalkAction[] = [];
  for (const [site, { state }] of world.sites.entries()) {
    if (state === null || !state.live) continue;
    const reads = state.committedLsn >= CURSORS_FROM && isHead(state);
    if (left.cursor > 0 && reads) actions.push({ kind: 'cursor', site });
    if (left.wedge > 0 && !state.wedged) actions.push({ kind: 'wedge', site });
  }
  return actions;
}

/** A trim of nothing is no work of the log: few of them are left for where there is some. */
function hasToTrim(world: ChainWorldState, site: number): boolean {
  const state = world.sites[site]?.state ?? null;
  return state !== null && state.shape.endLsn > state.tables.scalars.trimmedLsn;
}

interface Hands {
  readonly world: ChainWorldState;
  readonly truth: ChainTruth;
  readonly clients: ChainClients;
}

function take(action: WalkAction, { world, truth, clients }: Hands): void {
  switch (action.kind) {
    case 'append':
      clients.act(action.site);
      break;
    case 'trim':
      clients.trim(action.site, world.sites[action.site]?.state?.shape.endLsn ?? NO_LSN);
      break;
    case 'cursor':
      clients.cursor(action.site);
      break;
    case 'wedge':
      truth.wedge(action.site);
      break;
    default:
      applyChain(world, action);
  }
}

function pick(
  actions: readonly WalkAction[],
  weight: (action: WalkAction) => number,
  random: () => number,
): WalkAction | null {
  const weights = actions.map(weight);
  let left = random() * weights.reduce((sum, one) => sum + one, 0);
  for (const [at, action] of actions.entries()) {
    left -= weights[at] ?? 0;
    if (left <= 0) return action;
  }
  return actions.at(-1) ?? null;
}

export interface WalkResult {
  readonly acknowledged: number;
  readonly epoch: number;
  readonly reads: number;
  readonly looked: ChainTruth['looked'] & ChainTrims['looked'];
  /** Actions of the model that were replayed. */
  readonly replayed: ReadonlyMap<string, number>;
}

/** Throws with the seed, the last steps and the state where anything is wrong. */
export function walk(seed: number, steps: number): WalkResult {
  const walker = openWalk(seed);
  const { world, truth } = walker;
  const taken: string[] = [];
  try {
    for (let at = 0; at < steps; at += 1) {
      const action = walker.step();
      if (action === null) break;
      taken.push(JSON.stringify(action));
      checkWorld(world);
      if (at % TABLES_EVERY === 0) checkTables(world);
    }
  } catch (error) {
    const story = taken.slice(-25).join('\n');
    const what = `seed ${seed}, step ${taken.length + 1}: ${String(error)}`;
    throw new Error(`${what}\n${story}\n${describeWorld(world)}`, { cause: error });
  }
  const reads = world.used.reads - world.asked.length;
  const looked = { ...truth.looked, ...truth.trims.looked };
  const { epoch } = latest(world);
  const replayed = walker.replay.replay.taken;
  return { acknowledged: world.acknowledged.size, epoch, reads, looked, replayed };
}
