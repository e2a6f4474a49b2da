// The code's steps are steps of the models, every action is replayed, and what is wrong is named.

import { deepStrictEqual, ok, throws } from 'node:assert/strict';
import { test } from 'node:test';
import { epoch } from '../../protocol/types.ts';
import { generator, openWalk, walk } from '../explore/chain-walk.ts';
import { latest } from '../explore/chain-world.ts';
import {
  CHAIN_ACTIONS,
  type SpecConfiguration,
  type SpecNode,
  type SpecState,
  SpecViolation,
} from './chain.ts';
import { ExploredReplay } from './chain-explored.ts';
import type { Log } from './chain-log.ts';
import { REGISTER_ACTIONS } from './register.ts';
import { walkRegister } from './register-replay.ts';

const CHAIN_WALKS = 25;
const REGISTER_WALKS = Number(process.env.WALKS ?? 300);

test('random walks of the chain replay every action of ChainReconfig', () => {
  const taken = new Set<string>();
  for (let seed = 10_001; seed <= 10_000 + CHAIN_WALKS; seed += 1) {
    for (const action of walk(seed, 1_500).replayed.keys()) taken.add(action);
  }
  // A copy of a volume changes no node.
  const wanted = Object.keys(CHAIN_ACTIONS).filter((action) => action !== 'Snapshot');
  deepStrictEqual(
    wanted.filter((action) => !taken.has(action)),
    [],
  );
});

test('random walks of the register replay every action of ConfigRegister', () => {
  const taken = new Set<string>();
  let chosen = 0;
  for (let seed = 1; seed <= REGISTER_WALKS; seed += 1) {
    const result = walkRegister(seed, generator(seed));
    chosen += result.chosen;
    for (const action of result.taken.keys()) taken.add(action);
  }
  ok(chosen > REGISTER_WALKS, `only ${chosen} values were chosen`);
  deepStrictEqual(
    Object.keys(REGISTER_ACTIONS).filter((action) => !taken.has(action)),
    [],
  );
});

function stepsOf(seed: number, change: (at: number, walker: ReturnType<typeof openWalk>) => void) {
  const walker = openWalk(seed);
  for (let at = 0; at < 400; at += 1) {
    change(at, walker);
    walker.step();
  }
}

const names = (action: string) => (error: unknown) =>
  error instanceof SpecViolation && error.action.startsWith(action);

test('a configuration of strangers is refused by the name of the action', () => {
  throws(
    () =>
      stepsOf(3, (at, { world }) => {
        const stranger = world.sites[3];
        const now = latest(world);
        if (at !== 50 || stranger === undefined) return;
        const [member] = now.serving;
        if (member === undefined) return;
        const serving = [{ ...member, store: stranger.store }];
        world.decided.push({ ...now, epoch: epoch(now.epoch + 1), serving, joining: null });
      }),
    names('Reconfig'),
  );
});

const EMPTY = { ep: 0, live: false, synced: false, log: [], disk: [], mark: 0 };

function stateOf(
  cfg: SpecConfiguration,
  nodes: Readonly<Record<string, SpecNode>>,
  ackd: Readonly<Record<string, { lsn: number; epoch: number }>>,
): SpecState {
  return {
    cfgs: [cfg],
    nodes: new Map(Object.entries(nodes)),
    start: new Map([[1, 0]]),
    hist: new Map(),
    ackd: new Map(Object.entries(ackd)),
    committed: new Map(),
    got: new Map(),
  };
}

test('a start may be decided for that was the newest once, by what its volume held then', () => {
  const of = (inc: number): SpecConfiguration => ({
    order: ['a'],
    serving: ['a'],
    inc: new Map([['a', inc]]),
  });
  const disk = [{ lsn: 1, epoch: 1, id: 'one', print: { high: 0, low: 0 } }];
  const decided = (before: Log, named: number) => {
    const state = stateOf(of(1), { a: { ...EMPTY, inc: 1, starts: [] } }, {});
    state.ackd.set('1 a', { lsn: 1, epoch: 1 });
    CHAIN_ACTIONS.Crash.restart(state, 'a', { inc: 2, ep: 1, mark: 0, disk: before });
    CHAIN_ACTIONS.Crash.restart(state, 'a', { inc: 3, ep: 1, mark: 0, disk });
    CHAIN_ACTIONS.Reconfig(state, of(named));
  };
  decided(disk, 2);
  decided([], 3);
  throws(() => decided([], 2), names('Reconfig'));
  throws(() => decided(disk, 4), names('Reconfig'));
});

test('what a joiner acknowledged is evidence for it, whatever befell its disk since', () => {
  const inc = new Map([
    ['a', 1],
    ['b', 1],
  ]);
  const decided = (lsn: number) => {
    const lost: SpecNode = { ...EMPTY, inc: 2, starts: [] };
    const head: SpecNode = { ...EMPTY, ep: 1, live: true, synced: true, inc: 1, starts: [] };
    const cfg = { order: ['a', 'b'], serving: ['a'], inc };
    const state = stateOf(cfg, { a: head, b: lost }, { '1 b': { lsn, epoch: 1 } });
    CHAIN_ACTIONS.Reconfig(state, { order: ['b'], serving: ['b'], inc });
  };
  decided(1);
  // The model cannot tell a message of 0 from none, but by what its sender is in now.
  throws(() => decided(0), names('Reconfig'));
});

test('a batch that appears on a disk out of nowhere is refused', () => {
  let changed = 0;
  throws(() => {
    for (let seed = 1; seed <= 20 && changed === 0; seed += 1) {
      stepsOf(seed, (at, { world, replay }) => {
        const site = world.sites.find(({ state, durable }) => state !== null && durable.length > 1);
        const last = site?.durable.at(-1);
        if (at < 100 || changed > 0 || site === undefined || last?.kind !== 'data') return;
        changed += 1;
        site.durable[site.durable.length - 1] = { ...last, bodyCrc: 7 };
        // At once: a learner may take it in the next step, and others see it then.
        replay.step();
      });
    }
  }, names('FsyncAck'));
});

test('a replay that was never told anything has taken no action', () => {
  const { world } = openWalk(5);
  deepStrictEqual(new ExploredReplay(world).replay.taken.size, 0);
});
