// The chain as a scope of the exhaustive search: how its worlds share what a step leaves as it is,
// and who judges them.

import { RESEND_MICROS } from '../../../protocol/chain/state.ts';
import { invariant } from '../../../protocol/errors.ts';
import type { StoreId } from '../../../protocol/types.ts';
import { applyChain, type ChainAction, chainActions, freshRead } from '../chain-actions.ts';
import { checkTogether, checkWorld } from '../chain-checks.ts';
import type { ChainScope, ChainWorldState } from '../chain-parts.ts';
import { noteJoined } from '../chain-rules.ts';
import { boot, checkRead, feed, latest, openChainWorld } from '../chain-world.ts';
import { Marks, Printer } from '../marks.ts';
import type { Scope } from '../search.ts';
import { copyWorld } from './copy.ts';
import { chainPrint } from './print.ts';
import { checkIdle, idleDelivery, receiverText } from './rules.ts';
import { age, INCARNATIONS, type Outcome, PRESENT, type SiteStep, Sites } from './sites.ts';

/** All orders of everything within the bounds of `scope`, every step of every world run anew. */
export function plainChainScope(
  name: string,
  scope: ChainScope,
): Scope<ChainWorldState, ChainAction> {
  return {
    name,
    open: () => openWorld(scope),
    actions: chainActions,
    apply: applyWhole,
    copy: copyWorld,
    print: chainPrint,
    check: checkWorld,
  };
}

/** The same, with each step of a site run once: many times faster. */
export function chainScope(name: string, scope: ChainScope): Scope<ChainWorldState, ChainAction> {
  const sites = new Sites();
  const shared = new SharedWorlds(sites);
  return {
    name,
    open: () => shared.shared(openWorld(scope)),
    actions: chainActions,
    apply: (world, action) => shared.apply(world, action),
    copy: (world) => ({ ...world, sites: [...world.sites], wires: [...world.wires] }),
    print: chainPrint,
    check: (world) => shared.check(world),
  };
}

/** What a process never did is due, as in production; its first relay waits as later ones do. */
function openWorld(scope: ChainScope): ChainWorldState {
  const world = openChainWorld(scope);
  world.clock = PRESENT;
  for (const { state } of world.sites) if (state !== null) state.relayedAt = PRESENT;
  return world;
}

/** An action, and the deliveries after it that change nothing: their order need not be tried. */
function applyWhole(world: ChainWorldState, action: ChainAction): void {
  applyChain(world, action);
  for (;;) {
    const wire = idleDelivery(world);
    if (wire === null) return;
    deliverIdle(world, wire);
  }
}

/** A delivery that is left out of the orders must change nothing. */
function deliverIdle(world: ChainWorldState, wire: number): void {
  const to = world.wires[wire]?.to;
  invariant(to !== undefined, 'a delivery names a wire', () => String(wire));
  const before = receiverText(world, to);
  applyChain(world, { kind: 'deliver', wire });
  checkIdle(before, receiverText(world, to));
}

/** Kinds of steps of one site. */
const STEPS = {
  deliver: 0,
  deliverIdle: 15,
  disk: 1,
  configure: 2,
  tick: 3,
  append: 4,
  trim: 5,
  read: 6,
  learn: 7,
  age: 8,
  crash: 9,
  start: 10,
  linked: 11,
  copy: 12,
  restore: 13,
  loseEnd: 14,
} as const;

const CONFIGURATIONS_MAX = 2 ** 14;
/** Pasts of acknowledgements are few: positions by what lies there. */
const CHECKED_BYTES_MAX = 2 ** 28;

class SharedWorlds {
  readonly #sites: Sites;
  /** Combinations that the invariants of several members were shown. */
  readonly #checked = new Marks(CHECKED_BYTES_MAX);

  constructor(sites: Sites) {
    this.#sites = sites;
  }

  shared(world: ChainWorldState): ChainWorldState {
    return {
      ...world,
      memory: this.#sites,
      sites: world.sites.map((site) => this.#sites.site(site)),
      decided: world.decided.map((one) => this.#sites.configuration(one)),
      wires: world.wires.map((wire) => {
        const messages = wire.messages.map((message) => this.#sites.message(message));
        return { ...wire, messages, prints: [] };
      }),
    };
  }

  check(world: ChainWorldState): void {
    const printer = new Printer();
    for (const site of world.sites) printer.number(this.#sites.view(site));
    printer.number(this.#sites.configurationNumber(latest(world)));
    for (const [at, identity] of world.acknowledged) {
      printer.number(at);
      printer.number(identity);
    }
    if (this.#checked.add(printer.done()) !== false) checkTogether(world);
  }

  apply(world: ChainWorldState, action: ChainAction): void {
    switch (action.kind) {
      case 'deliver':
        this.#deliver(world, action.wire, false);
        break;
      case 'decide':
        world.decided = this.#sites.decided(world.decided, action.next);
        if (action.site !== undefined) this.#configure(world, action.site, undefined);
        break;
      case 'configure':
        this.#configure(world, action.site, action.epoch);
        break;
      case 'tick':
        this.#tick(world, action.site);
        break;
      case 'append':
      case 'trim':
      case 'read':
        this.#request(world, action);
        break;
      case 'learn':
        this.#learn(world, action.site, action.source);
        break;
      case 'disk':
        this.#step(world, action.site, ownStep(STEPS.disk, action));
        break;
      case 'crash':
        this.#step(world, action.site, ownStep(STEPS.crash, action));
        world.used = { ...world.used, crashes: world.used.crashes + 1 };
        loseWires(world, world.sites[action.site]?.store);
        break;
      case 'start':
        this.#start(world, action.site);
        break;
      case 'restore':
      case 'loseEnd':
        world.used = { ...world.used, losses: world.used.losses + 1 };
        this.#step(world, action.site, ownStep(STEPS[action.kind], action));
        break;
      case 'copy':
        this.#step(world, action.site, ownStep(STEPS.copy, action));
        break;
      case 'cut':
        this.#everywhere(world, action);
    }
    if (world.scope.lean !== true) return;
    noteJoined(world);
    for (;;) {
      const wire = idleDelivery(world);
      if (wire === null) return;
      this.#deliver(world, wire, true);
    }
  }

  /** What reaches several sites is rare, and is done as it would be without sharing. */
  #everywhere(world: ChainWorldState, action: ChainAction): void {
    const { memory: _, ...rest } = world;
    const whole = copyWorld(rest);
    applyChain(whole, action);
    Object.assign(world, this.shared(whole));
  }

  /** The process starts, and every other that runs has a new link with it. */
  #start(world: ChainWorldState, at: number): void {
    const run = ({ sites, ...alone }: ChainWorldState): void => {
      const site = sites[at];
      if (site === undefined) return;
      site.incarnation += 1;
      boot({ ...alone, sites }, site);
    };
    this.#step(world, at, { kind: STEPS.start, given: 0, run });
    loseWires(world, world.sites[at]?.store);
    for (const [other, { state }] of world.sites.entries()) {
      if (other === at || state === null) continue;
      this.#linked(world, at, other);
      this.#linked(world, other, at);
    }
  }

  #linked(world: ChainWorldState, at: number, other: number): void {
    const peer = world.sites[other];
    if (peer === undefined) return;
    const { store, incarnation } = peer;
    const given = other * INCARNATIONS + incarnation;
    const run = (alone: ChainWorldState): void =>
      feed(alone, at, { kind: 'linked', peer: { store, incarnation } });
    this.#step(world, at, { kind: STEPS.linked, given, run });
  }

  #deliver(world: ChainWorldState, at: number, idle: boolean): void {
    const wire = world.wires[at];
    const [message, ...left] = wire?.messages ?? [];
    if (wire === undefined || message === undefined) return;
    world.wires[at] = { ...wire, messages: left, prints: [] };
    const site = world.sites.findIndex(({ store }) => store === wire.to);
    this.#step(world, site, {
      kind: idle ? STEPS.deliverIdle : STEPS.deliver,
      given: this.#sites.numberOf(message),
      run: (alone) => {
        alone.wires.push({ ...wire, messages: [message], prints: [] });
        if (idle) deliverIdle(alone, 0);
        else applyChain(alone, { kind: 'deliver', wire: 0 });
      },
    });
  }

  #configure(world: ChainWorldState, site: number, epoch: number | undefined): void {
    const next = world.decided.find((one) => one.epoch === epoch) ?? latest(world);
    const action = { kind: 'configure', site, ...(epoch === undefined ? {} : { epoch }) } as const;
    const given = this.#sites.configurationNumber(next);
    this.#step(world, site, { ...ownStep(STEPS.configure, action), given });
  }

  #tick(world: ChainWorldState, site: number): void {
    for (const at of world.sites.keys()) {
      const run = ({ sites }: ChainWorldState): void => {
        const one = sites[at];
        if (one !== undefined) age(one);
      };
      this.#step(world, at, { kind: STEPS.age, given: 0, run });
    }
    const run = (alone: ChainWorldState): void => {
      // A tick sets the clock forward, which has let time pass already.
      alone.clock = PRESENT - RESEND_MICROS;
      applyChain(alone, { kind: 'tick', site });
    };
    this.#step(world, site, { kind: STEPS.tick, given: 0, run });
  }

  #request(world: ChainWorldState, action: Extract<ChainAction, { kind: Requested }>): void {
    const { kind, site } = action;
    const store = world.sites[site]?.store;
    const request = world.nextRequest;
    if (kind === 'read' && store !== undefined) {
      world.asked = [...world.asked, freshRead(world, store, request)];
    }
    world.nextRequest += 1;
    world.used = { ...world.used, [USED_BY[kind]]: world.used[USED_BY[kind]] + 1 };
    const run = (alone: ChainWorldState): void => {
      alone.nextRequest = request;
      applyChain(alone, action);
    };
    this.#step(world, site, { kind: STEPS[kind], given: request, run });
  }

  #learn(world: ChainWorldState, site: number, source: number): void {
    const from = world.sites[source];
    if (from === undefined) return;
    const configuration = this.#sites.configurationNumber(latest(world));
    const given = this.#sites.siteNumber(from) * CONFIGURATIONS_MAX + configuration;
    this.#step(world, site, { ...ownStep(STEPS.learn, { kind: 'learn', site, source }), given });
  }

  #step(world: ChainWorldState, at: number, step: SiteStep): void {
    const before = world.sites[at];
    if (before === undefined) return;
    const outcome = this.#sites.outcome(world, at, step);
    world.sites[at] = outcome.site;
    send(world, before.store, outcome.sent);
    if (outcome.acknowledged.length > 0) {
      world.acknowledged = new Map([...world.acknowledged, ...outcome.acknowledged]);
    }
    if (outcome.reads.length === 0) return;
    world.asked = [...world.asked];
    for (const { request, committedLsn } of outcome.reads) {
      checkRead(world, outcome.site, request, committedLsn);
    }
  }
}

type Requested = 'append' | 'trim' | 'read';
const USED_BY = { append: 'appends', trim: 'trims', read: 'reads' } as const;

const ownStep = (kind: number, action: ChainAction): SiteStep => ({
  kind,
  given: 0,
  run: (alone) => applyChain(alone, action),
});

function send(world: ChainWorldState, from: StoreId, sent: Outcome['sent']): void {
  for (const { to, message } of sent) {
    const at = world.wires.findIndex((wire) => wire.from === from && wire.to === to);
    const wire = world.wires[at];
    if (wire === undefined) {
      const incarnation = world.sites.find(({ store }) => store === to)?.incarnation ?? 0;
      world.wires.push({ from, to, incarnation, messages: [message], prints: [] });
    } else {
      world.wires[at] = { ...wire, messages: [...wire.messages, message], prints: [] };
    }
  }
}

function loseWires(world: ChainWorldState, store: StoreId | undefined): void {
  for (const [at, wire] of world.wires.entries()) {
    if (wire.messages.length === 0 || (wire.from !== store && wire.to !== store)) continue;
    world.wires[at] = { ...wire, messages: [], prints: [] };
  }
}
