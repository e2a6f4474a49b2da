// What the walks hold trims against, in histories of two members that are right, and wrong.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { ChainEffect } from '../../protocol/chain/messages.ts';
import { epoch, lsn, NO_LSN } from '../../protocol/types.ts';
import { applyChain } from './chain-actions.ts';
import type { ChainScope, ChainWorldState, Site } from './chain-parts.ts';
import { ChainTruth } from './chain-truth.ts';
import { latest, memberOf, openChainWorld } from './chain-world.ts';

const SCOPE: ChainScope = {
  stores: 2,
  initial: 2,
  epochs: 3,
  appends: 9,
  crashes: 1,
  cuts: 0,
  reads: 0,
  trims: 9,
  losses: 0,
  minReplicas: 1,
  patient: false,
};
const [HEAD, OTHER] = [0, 1] as const;
const ROUNDS = 12;

interface Scene {
  readonly world: ChainWorldState;
  readonly truth: ChainTruth;
  readonly head: Site;
  readonly other: Site;
}

/** A chain of two with a record that both have. */
function open(): Scene {
  const world = openChainWorld(SCOPE);
  const truth = new ChainTruth(world);
  const [head, other] = world.sites;
  assert.ok(head !== undefined && other !== undefined);
  hear(world);
  settle(world);
  applyChain(world, { kind: 'append', site: HEAD });
  settle(world);
  assert.equal(truth.newest.endLsn, 1);
  return { world, truth, head, other };
}

function hear(world: ChainWorldState): void {
  for (const site of [HEAD, OTHER]) applyChain(world, { kind: 'configure', site });
}

/** Everything happens but what disks are to drop, if that is held. */
function settle(world: ChainWorldState, drops: 'done' | 'held' = 'done'): void {
  const isDue = ({ operations: [next] }: Site): boolean =>
    next !== undefined && (next.kind !== 'trim' || drops === 'done');
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const [site, at] of world.sites.entries()) {
      while (isDue(at)) applyChain(world, { kind: 'disk', site });
      applyChain(world, { kind: 'tick', site });
    }
    for (const [wire, { messages }] of world.wires.entries()) {
      while (messages.length > 0) applyChain(world, { kind: 'deliver', wire });
    }
  }
}

/** The other member starts anew, and the head takes it in again; `wrong` spoils it before. */
function restart({ world, head, other }: Scene, wrong: () => void = () => undefined): void {
  applyChain(world, { kind: 'crash', site: OTHER });
  applyChain(world, { kind: 'start', site: OTHER });
  wrong();
  const now = latest(world);
  const serving = [memberOf(head)];
  for (const [at, joining] of [null, memberOf(other)].entries()) {
    const next = { ...now, epoch: epoch(now.epoch + 1 + at), serving, joining };
    applyChain(world, { kind: 'decide', next });
    hear(world);
    settle(world);
  }
}

/** From here on the walks do not see what a member drops. */
function blind(world: ChainWorldState, to: Site): void {
  const { observe } = world;
  world.observe = (store, effect) => {
    if (store !== to.store || effect.kind !== 'trim') observe?.(store, effect);
  };
}

const reply = (request: number, firstLsn: number): ChainEffect => ({
  kind: 'reply',
  request,
  reply: { kind: 'applied', lsn: NO_LSN, firstLsn: lsn(firstLsn) },
});

describe('trims of a walk', () => {
  test('a trim that every member carries out, and whoever asked is told of', () => {
    const { world, truth } = open();
    truth.trim(HEAD, lsn(1), true);
    settle(world);
    truth.trims.check();
    assert.deepEqual(truth.trims.looked, { carried: 2, answered: 1 });
  });

  test('a trim that a process carries out for the one before it', () => {
    const scene = open();
    scene.truth.trim(HEAD, lsn(1), true);
    settle(scene.world, 'held');
    restart(scene);
    scene.truth.trims.check();
    assert.equal(scene.truth.trims.looked.carried, 2);
    assert.equal(scene.other.baseLsn, 1);
  });

  test('found: a member drops nothing', () => {
    const { world, truth, other } = open();
    blind(world, other);
    truth.trim(HEAD, lsn(1), true);
    settle(world, 'held');
    assert.throws(() => truth.trims.check(), /carries out/);
  });

  test('found: of two trims in one commit a member carries out the first', () => {
    const { world, truth, other } = open();
    applyChain(world, { kind: 'append', site: HEAD });
    settle(world);
    truth.trim(HEAD, lsn(1), true);
    settle(world);
    truth.trims.check();
    blind(world, other);
    truth.trim(HEAD, lsn(2), true);
    settle(world, 'held');
    assert.throws(() => truth.trims.check(), /2 dropped up to 1, trimmed is 2/);
  });

  test('found: a process forgets what the one before it had to drop', () => {
    const scene = open();
    scene.truth.trim(HEAD, lsn(1), true);
    settle(scene.world, 'held');
    restart(scene, () => {
      if (scene.other.state !== null) scene.other.state.trims = [];
    });
    assert.throws(() => scene.truth.trims.check(), /carries out/);
  });

  test('found: a member drops what is not trimmed', () => {
    const { world, truth, head } = open();
    assert.throws(() => {
      world.observe?.(head.store, { kind: 'trim', through: lsn(1) });
      truth.trims.check();
    }, /is carried out once it is committed/);
  });

  test('found: a trim is answered before it is committed', () => {
    const { world, truth, head } = open();
    const request = world.nextRequest;
    truth.trim(HEAD, lsn(1), true);
    const early = (): void => world.observe?.(head.store, reply(request, 2));
    assert.throws(early, /is answered once it is committed/);
  });

  test('found: a trim is answered with positions that were never the first', () => {
    const { world, truth, head } = open();
    applyChain(world, { kind: 'append', site: HEAD });
    settle(world);
    truth.trim(HEAD, lsn(1), true);
    settle(world);
    const request = world.nextRequest;
    truth.trims.asked(request, lsn(1));
    const wrong = (): void => world.observe?.(head.store, reply(request, 3));
    assert.throws(wrong, /was so meanwhile/);
  });
});
