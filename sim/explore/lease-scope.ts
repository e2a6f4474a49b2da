// Leases as a scope of the exhaustive search: nodes that run client/lease.ts by their own clocks,
// requests and answers in any order or lost, and a journal that decides each at one instant.
//
// It follows specs/LeaseKey.tla, with the holder's release added. A landed record is committed.

import {
  foundOwnClaim,
  granted,
  holds,
  type Lease,
  learnKey,
  mayClaimAt,
  openLease,
} from '../../client/lease.ts';
import { invariant } from '../../protocol/errors.ts';
import { type Lsn, lsn, type Micros, micros, NO_LSN } from '../../protocol/types.ts';
import { printOf } from './marks.ts';
import type { Scope } from './search.ts';

export interface LeaseScope {
  readonly nodes: number;
  /** Length of a lease in ticks; a tick is a millisecond. */
  readonly lease: number;
  readonly slack: number;
  /** How far two clocks may be apart, in ticks. */
  readonly skew: number;
  readonly records: number;
  /** Requests and answers under way, of each node. */
  readonly flying: number;
}

type Operation = 'claim' | 'renew' | 'data' | 'release';

interface Entry {
  readonly node: number;
  readonly operation: Operation;
  readonly token: Lsn;
}

interface Packet {
  readonly kind: 'request' | 'answer';
  readonly node: number;
  readonly operation: Operation;
  readonly expectKey: Lsn;
  readonly token: Lsn;
  /** By the node's own clock. */
  readonly sentAt: Micros;
  /** Where it landed; 0 for a request. */
  readonly at: Lsn;
}

interface Node {
  readonly lease: Lease;
  readonly ticks: number;
  /** How much of the log it has applied. */
  readonly seen: number;
  /** A claim of its own may have landed above this, unknown to it; null where none can have. */
  readonly claimedAbove: number | null;
}

export interface LeaseWorld {
  readonly scope: LeaseScope;
  readonly nodes: Node[];
  readonly log: Entry[];
  readonly net: Packet[];
}

export type LeaseAction =
  | { readonly kind: 'tick'; readonly nodes: readonly number[] }
  | { readonly kind: 'send'; readonly node: number; readonly operation: Operation }
  | { readonly kind: 'land'; readonly packet: number; readonly answered: boolean }
  | { readonly kind: 'answer'; readonly packet: number }
  | { readonly kind: 'observe'; readonly node: number }
  | { readonly kind: 'ask'; readonly node: number };

const TICK = 1_000;

export function leaseScope(name: string, scope: LeaseScope): Scope<LeaseWorld, LeaseAction> {
  return {
    name,
    open: () => openWorld(scope),
    actions,
    apply,
    copy: (world) => ({
      ...world,
      nodes: [...world.nodes],
      log: [...world.log],
      net: [...world.net],
    }),
    print: (world) => printOf(canonical(world)),
    check,
  };
}

function openWorld(scope: LeaseScope): LeaseWorld {
  const zero = micros(0);
  const lease = learnKey(
    openLease(zero),
    { keyLsn: NO_LSN, tokenLsn: NO_LSN, leaseMillis: 0 },
    zero,
    NO_LSN,
  );
  const node: Node = { lease, ticks: 0, seen: 0, claimedAbove: null };
  return { scope, nodes: Array.from({ length: scope.nodes }, () => node), log: [], net: [] };
}

const now = ({ ticks }: Node): Micros => micros(ticks * TICK);

const last = (log: readonly Entry[], wanted: readonly Operation[]): Lsn =>
  lsn(log.findLastIndex(({ operation }) => wanted.includes(operation)) + 1);

const tokenOf = (log: readonly Entry[]): Lsn => last(log, ['claim']);
const keyOf = (log: readonly Entry[]): Lsn => last(log, ['claim', 'renew', 'release']);

/** What the journal says of the key. */
function keyState({ log, scope }: LeaseWorld): Parameters<typeof learnKey>[1] {
  const keyLsn = keyOf(log);
  const operation = log[keyLsn - 1]?.operation ?? 'release';
  const leaseMillis = operation === 'release' ? 0 : scope.lease;
  return { keyLsn, tokenLsn: tokenOf(log), leaseMillis };
}

function lands({ operation, expectKey, token }: Packet, log: readonly Entry[]): boolean {
  const conditional = operation === 'claim' || operation === 'renew';
  if (conditional && expectKey !== keyOf(log)) return false;
  return operation === 'claim' || token === tokenOf(log);
}

const leads = ({ lease, seen }: Node): boolean => lease.token !== NO_LSN && seen >= lease.token;
const serves = (node: Node): boolean => leads(node) && holds(node.lease, now(node));

// ── Actions ───────────────────────────────────────────────────────────────────────────────────

function actions(world: LeaseWorld): LeaseAction[] {
  const { scope, nodes, log, net } = world;
  const possible: LeaseAction[] = [];
  const slowest = Math.min(...nodes.map(({ ticks }) => ticks));
  for (let mask = 1; mask < 1 << nodes.length; mask += 1) {
    const moved = [...nodes.keys()].filter((at) => (mask & (1 << at)) !== 0);
    const everybody = moved.length === nodes.length;
    const apart = moved.some((at) => (nodes[at]?.ticks ?? 0) + 1 - slowest > scope.skew);
    if (everybody || !apart) possible.push({ kind: 'tick', nodes: moved });
  }
  for (const [at, node] of nodes.entries()) {
    for (const operation of sendable(world, at))
      possible.push({ kind: 'send', node: at, operation });
    if (node.seen < log.length) possible.push({ kind: 'observe', node: at });
    if (isNews(world, at)) possible.push({ kind: 'ask', node: at });
  }
  for (const [at, packet] of net.entries()) {
    if (packet.kind === 'answer') possible.push({ kind: 'answer', packet: at });
    else if (log.length < scope.records) {
      possible.push({ kind: 'land', packet: at, answered: false });
      // The answer of data, or of a release, tells its sender nothing.
      const tells = packet.operation === 'claim' || packet.operation === 'renew';
      if (tells) possible.push({ kind: 'land', packet: at, answered: true });
    }
  }
  return possible;
}

function sendable(world: LeaseWorld, at: number): Operation[] {
  const { scope, nodes, log, net } = world;
  const node = nodes[at];
  const flying = net.filter((packet) => packet.node === at).length;
  if (node === undefined || log.length >= scope.records || flying >= scope.flying) return [];
  const { lease } = node;
  if (lease.token === NO_LSN) return mayClaimAt(lease, scope.slack) <= now(node) ? ['claim'] : [];
  const own: Operation[] = leads(node) ? ['renew', 'data'] : ['renew'];
  return holds(lease, now(node)) ? [...own, 'release'] : own;
}

function isNews(world: LeaseWorld, at: number): boolean {
  const node = world.nodes[at];
  return node !== undefined && JSON.stringify(asked(world, at)) !== JSON.stringify(node);
}

/** Ask, and Observe where a claim of its own may have landed unknown to it. */
function asked(world: LeaseWorld, at: number): Node | undefined {
  const node = world.nodes[at];
  if (node === undefined) return undefined;
  const state = keyState(world);
  const lease = learnKey(node.lease, state, now(node), node.lease.keyLsn);
  const { tokenLsn } = state;
  const above = node.claimedAbove;
  const own = tokenLsn !== NO_LSN && world.log[tokenLsn - 1]?.node === at;
  if (lease.token !== NO_LSN || above === null || !own || tokenLsn <= above) {
    return { ...node, lease };
  }
  return { ...node, lease: foundOwnClaim(lease, tokenLsn), claimedAbove: null };
}

function apply(world: LeaseWorld, action: LeaseAction): void {
  carryOut(world, action);
  const { nodes, log, net } = world;
  // Positions only grow: what would be refused now, or is old news, is so for ever.
  const kept = net.filter((packet) =>
    packet.kind === 'request'
      ? lands(packet, log)
      : packet.at >= (nodes[packet.node]?.lease.keyLsn ?? NO_LSN),
  );
  net.splice(0, net.length, ...kept);
}

function carryOut(world: LeaseWorld, action: LeaseAction): void {
  const { nodes, log, net } = world;
  switch (action.kind) {
    case 'tick':
      for (const at of action.nodes) change(world, at, ({ ticks }) => ({ ticks: ticks + 1 }));
      break;
    case 'send':
      send(world, action.node, action.operation);
      break;
    case 'land': {
      const [packet] = net.splice(action.packet, 1);
      if (packet === undefined) return;
      const { node, operation, token } = packet;
      log.push({ node, operation, token });
      if (action.answered) net.push({ ...packet, kind: 'answer', at: lsn(log.length) });
      break;
    }
    case 'answer':
      answer(world, action.packet);
      break;
    case 'observe':
      change(world, action.node, ({ seen }) => ({ seen: seen + 1 }));
      break;
    case 'ask':
      nodes[action.node] = asked(world, action.node) ?? bug();
  }
}

function bug(): never {
  throw new Error('an action names a node');
}

function change(world: LeaseWorld, at: number, by: (node: Node) => Partial<Node>): void {
  const node = world.nodes[at] ?? bug();
  world.nodes[at] = { ...node, ...by(node) };
}

function send(world: LeaseWorld, at: number, operation: Operation): void {
  const node = world.nodes[at] ?? bug();
  const { keyLsn, token } = node.lease;
  const common = { kind: 'request', node: at, operation, sentAt: now(node), at: NO_LSN } as const;
  world.net.push({ ...common, expectKey: keyLsn, token: operation === 'claim' ? NO_LSN : token });
  if (operation === 'claim') {
    const above = node.claimedAbove ?? world.log.length;
    change(world, at, () => ({ claimedAbove: above }));
  }
  if (operation !== 'release') return;
  // Who gives a key back stops first, and takes no answer to what it asked before.
  const kept = world.net.filter((packet) => packet.node !== at || packet.kind === 'request');
  world.net.splice(0, world.net.length, ...kept);
  const lease = { ...node.lease, token: NO_LSN, endsAt: micros(0) };
  change(world, at, () => ({ lease, claimedAbove: null }));
}

function answer(world: LeaseWorld, at: number): void {
  const [packet] = world.net.splice(at, 1);
  if (packet === undefined) return;
  const { operation, sentAt } = packet;
  if (operation !== 'claim' && operation !== 'renew') return;
  const request = { kind: operation, sentAt, millis: world.scope.lease };
  change(world, packet.node, ({ lease }) => ({ lease: granted(lease, request, packet.at) }));
}

// ── Invariants of LeaseKey.tla ────────────────────────────────────────────────────────────────

function check({ nodes, log }: LeaseWorld): void {
  const serving = [...nodes.keys()].filter((at) => serves(nodes[at] ?? bug()));
  const text = (): string => JSON.stringify({ nodes, log });
  invariant(serving.length <= 1, 'OneReader: one node serves at a time', text);
  for (const at of serving) {
    const others = log.slice(nodes[at]?.seen ?? 0).some(({ node }) => node !== at);
    invariant(!others, 'FreshRead: who serves has applied what others wrote', text);
  }
  for (const [at, { node, operation, token }] of log.entries()) {
    if (operation === 'claim') continue;
    const before = log.slice(0, at);
    const own = token === tokenOf(before) && before[token - 1]?.node === node;
    invariant(own, 'Fenced: only the holder of the token writes', text);
  }
}

// ── What tells two worlds apart ───────────────────────────────────────────────────────────────

/** Times only matter from the owner's present; nodes are alike, so the lesser naming counts. */
function canonical(world: LeaseWorld): string {
  const names = [...world.nodes.keys()];
  const texts = permutations(names).map((order) => worldText(world, order));
  return texts.sort()[0] ?? '';
}

function permutations(items: readonly number[]): number[][] {
  if (items.length <= 1) return [[...items]];
  return items.flatMap((first) =>
    permutations(items.filter((item) => item !== first)).map((rest) => [first, ...rest]),
  );
}

function worldText({ scope, nodes, log, net }: LeaseWorld, order: readonly number[]): string {
  const slowest = Math.min(...nodes.map(({ ticks }) => ticks));
  const name = (node: number): number => order.indexOf(node);
  const texts = order.map((at) => nodeText(scope, nodes[at] ?? bug(), slowest));
  const entries = log.map((entry) => `${name(entry.node)}${entry.operation}${entry.token}`);
  const packets = net.map((packet) => {
    const { kind, node, operation, expectKey, token, at } = packet;
    const timed = operation === 'claim' || operation === 'renew';
    const passed = (nodes[node]?.ticks ?? 0) - packet.sentAt / TICK;
    const age = timed ? Math.min(scope.lease, passed) : 0;
    return `${kind}${name(node)}${operation}${expectKey},${token},${at},${age}`;
  });
  return [...texts, entries.join(), packets.sort().join()].join('|');
}

function nodeText(scope: LeaseScope, node: Node, slowest: number): string {
  const { lease, ticks, seen, claimedAbove } = node;
  const waited = Math.min(scope.lease + scope.slack, ticks - lease.learnedAt / TICK);
  const left = Math.max(0, lease.endsAt / TICK - ticks);
  const known = `${lease.keyLsn},${lease.token},${lease.holderMillis},${waited},${left}`;
  return `${ticks - slowest},${seen},${claimedAbove ?? '-'},${known}`;
}
