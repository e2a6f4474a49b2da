// The search itself: it counts what is known, agrees with brute force, and finds what is broken.

import { deepStrictEqual, strictEqual } from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Marks, printOf } from './marks.ts';
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
