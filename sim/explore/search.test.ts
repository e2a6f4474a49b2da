// The search itself: it counts what is known, agrees with brute force, and finds what is broken.

import { deepStrictEqual, strictEqual } from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { ChainScope, ChainWorldState } from './chain-parts.ts';
import { leanRegisterScope } from './lean/register.ts';
import { chainScope, plainChainScope } from './lean/scope.ts';
import { Marks, printOf } from './marks.ts';
import { type RegisterWorld, registerScope } from './register-scope.ts';
import { type Scope, search } from './search.ts';

const NO_LIMIT = { statesMax: 1_000_000, bytesMax: 2 ** 26, over: (): boolean => false };

/** Processes that each take so many steps: the states are the points of a grid. */
function grid(lengths: readonly number[]): Scope<number[], number> {
  return {
    name: 'grid',
    open: () => lengths.map(() => 0),
    actions: (at) => [...at.keys()].filter((index) => (at[index] ?? 0) < (lengths[index] ?? 0)),
    apply: (at, index) => {
      at[index] = (at[index] ?? 0) + 1;
    },
    copy: (at) => [...at],
    print: (at) => printOf(at.join()),
    check: () => {},
  };
}

test('independent steps have as many states as their grid has points', () => {
  const result = search(grid([3, 4, 5]), NO_LIMIT);
  deepStrictEqual(
    { kind: result.kind, states: result.states, depth: result.depth },
    { kind: 'complete', states: 4 * 5 * 6, depth: 12 },
  );
});

test('n senders to one receiver that remembers the order have every prefix of every order', () => {
  const senders = 4;
  const scope: Scope<number[], number> = {
    name: 'orders',
    open: () => [],
    actions: (got) =>
      Array.from({ length: senders }, (_, at) => at).filter((at) => !got.includes(at)),
    apply: (got, at) => {
      got.push(at);
    },
    copy: (got) => [...got],
    print: (got) => printOf(got.join()),
    check: () => {},
  };
  // 1 + 4 + 12 + 24 + 24: the arrangements of up to four out of four, 4! of them whole.
  strictEqual(search(scope, NO_LIMIT).states, 65);
});

/** A random program: a table of moves between a few states, some of them bad. */
const program = fc.record({
  moves: fc.array(fc.tuple(fc.nat(11), fc.nat(11)), { maxLength: 30 }),
  bad: fc.option(fc.integer({ min: 1, max: 11 })),
});

test('random programs: the same states and the same verdict as brute force', () => {
  fc.assert(
    fc.property(program, ({ moves, bad }) => {
      const reached = new Set([0]);
      for (let round = 0; round < 12; round += 1) {
        for (const [from, to] of moves) if (reached.has(from)) reached.add(to);
      }
      const scope: Scope<{ at: number }, number> = {
        name: 'program',
        open: () => ({ at: 0 }),
        actions: ({ at }) => moves.filter(([from]) => from === at).map(([, to]) => to),
        apply: (world, to) => {
          world.at = to;
        },
        copy: (world) => ({ ...world }),
        print: ({ at }) => printOf(String(at)),
        check: ({ at }) => {
          if (at === bad) throw new Error('bad');
        },
      };
      const result = search(scope, NO_LIMIT);
      const violated = bad !== null && reached.has(bad);
      strictEqual(result.kind, violated ? 'violated' : 'complete');
      if (result.kind === 'complete') strictEqual(result.states, reached.size);
      if (result.kind === 'violated') strictEqual(result.path.at(-1), bad);
    }),
    { numRuns: 500 },
  );
});

test('a search that is stopped says that it is not complete', () => {
  const result = search(grid([200, 200]), { ...NO_LIMIT, statesMax: 10_000 });
  strictEqual(result.kind, 'gaveUp');
});

test('a search whose table may not grow says so', () => {
  const result = search(grid([400, 400]), { ...NO_LIMIT, bytesMax: 2 ** 20 });
  strictEqual(result.kind === 'gaveUp' && result.because, 'memory');
});

test('prints tell as many texts apart as there are', () => {
  const marks = new Marks(2 ** 26);
  for (let one = 0; one < 200_000; one += 1) marks.add(printOf(`|${one % 500}|${one}|`));
  for (let one = 0; one < 200_000; one += 1) {
    strictEqual(marks.add(printOf(`|${one % 500}|${one}|`)), false);
  }
  strictEqual(marks.size, 200_000);
});

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
