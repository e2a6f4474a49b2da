// What the exhaustive searches leave out changes no verdict: each is held against the same search
// that leaves out nothing, in scopes that both complete.

import { deepStrictEqual, strictEqual } from 'node:assert/strict';
import { test } from 'node:test';
import type { ChainScope, ChainWorldState } from '../../sim/explore/chain-parts.ts';
import { leanRegisterScope } from '../../sim/explore/lean/register.ts';
import { chainScope, plainChainScope } from '../../sim/explore/lean/scope.ts';
import { type RegisterWorld, registerScope } from '../../sim/explore/register-scope.ts';
import { type Scope, search } from '../../sim/explore/search.ts';

const NO_LIMIT = { statesMax: 1_000_000, bytesMax: 2 ** 26, over: (): boolean => false };

const PAIR: ChainScope = {
  stores: 2,
  initial: 2,
  epochs: 2,
  appends: 0,
  crashes: 0,
  cuts: 0,
  reads: 0,
  trims: 0,
  losses: 0,
  minReplicas: 1,
  patient: true,
};

/** The members of a chain can tell two searches apart by what any of them ever knew. */
function known(scope: ChainScope): string[] {
  const seen = new Set<string>();
  const base = chainScope('known', scope);
  const look = (world: ChainWorldState): void => {
    base.check(world);
    for (const { state } of world.sites) {
      if (state?.live !== true) continue;
      const { record, synced, startLsn, committedLsn, durableLsn, shape } = state;
      const { serving, joining } = record?.configuration ?? {};
      const members = [...(serving ?? []), joining].map((member) => member?.id ?? '-');
      const facts = [members.join(), synced, startLsn, committedLsn, durableLsn, shape.endLsn];
      seen.add(`${state.me.store} ${facts.join(' ')}`);
    }
  };
  const result = search({ ...base, check: look }, NO_LIMIT);
  strictEqual(result.kind, 'complete');
  return [...seen].sort();
}

test('what a lean search leaves out, no member of a chain could tell', () => {
  for (const more of [{ appends: 1 }, { crashes: 1 }, { stores: 3, epochs: 1, appends: 1 }]) {
    const scope = { ...PAIR, ...more };
    deepStrictEqual(known({ ...scope, lean: true }), known(scope));
  }
});

test('remembering what a site did makes the same states, steps and verdict', () => {
  for (const more of [{ appends: 1, crashes: 1 }, { appends: 1, reads: 1 }, { losses: 1 }]) {
    for (const lean of [true, false]) {
      const scope = { ...PAIR, ...more, lean, epochs: lean ? 2 : 1 };
      const [shared, plain] = [chainScope, plainChainScope].map((make) => {
        const { kind, states, steps, depth } = search(make('same', scope), NO_LIMIT);
        return { kind, states, steps, depth };
      });
      deepStrictEqual(shared, plain);
      strictEqual(shared?.kind, 'complete');
    }
  }
});

/** What the disks of a register may hold together with what was reported chosen. */
function outcomes<Action>(scope: Scope<RegisterWorld, Action>): string[] {
  const seen = new Set<string>();
  const check = (world: RegisterWorld): void => {
    scope.check(world);
    const disks = world.acceptors.map(({ disk }) => JSON.stringify([...disk]));
    seen.add(`${disks.sort().join()} ${JSON.stringify([...world.chosen].sort())}`);
  };
  const result = search({ ...scope, check }, NO_LIMIT);
  strictEqual(result.kind, 'complete');
  return [...seen].sort();
}

test('what a lean search of a register leaves out, no disk and no answer shows', () => {
  const least = { acceptors: 3, proposers: 1, ballots: 1, crashes: 0, losses: 0 };
  for (const more of [
    { crashes: 1 },
    { ballots: 2, losses: 1 },
    { acceptors: 2, proposers: 2 },
    { acceptors: 2, proposers: 2, crashes: 1 },
    { acceptors: 1, proposers: 2, ballots: 2, crashes: 1 },
  ]) {
    const bounds = { ...least, ...more };
    const [lean, whole] = [leanRegisterScope('lean', bounds), registerScope('whole', bounds)];
    deepStrictEqual(outcomes(lean), outcomes(whole));
  }
});
