// The general checker agrees with trying every order, on small random histories right and wrong.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Dice } from '../random.ts';
import { linearizable, type Model, type TimedOperation } from './wgl.ts';

/** A register that is compared and set: small enough to try every order of a history. */
interface Cas {
  readonly expect: number;
  readonly set: number;
  /** null where the answer is not known. */
  readonly done: boolean | null;
}

const model: Model<number, Cas> = {
  start: 0,
  key: String,
  step(state, { expect, set, done }) {
    const does = state === expect;
    if (done !== null && does !== done) return undefined;
    return does ? set : state;
  },
};

type Operations = readonly TimedOperation<Cas>[];

/** Tries every order that respects real time; operations without return may be left out. */
function bruteForce(left: Operations, state: number): boolean {
  if (left.every(({ returned }) => returned === null)) return true;
  return left.some((operation) => {
    const blocked = left.some(
      (other) => other !== operation && (other.returned ?? Infinity) < operation.called,
    );
    const after = blocked ? undefined : model.step(state, operation.input);
    return (
      after !== undefined &&
      bruteForce(
        left.filter((one) => one !== operation),
        after,
      )
    );
  });
}

function randomHistory(dice: Dice): Operations {
  return Array.from({ length: dice.between(1, 6) }, () => {
    const called = dice.below(20);
    const lost = dice.chance(0.15);
    const input = {
      expect: dice.below(3),
      set: dice.below(3),
      done: lost ? null : dice.chance(0.5),
    };
    return { called, returned: lost ? null : called + dice.between(1, 12), input };
  });
}

test('agrees with trying every order on 4,000 random histories', () => {
  const dice = new Dice('wgl');
  let right = 0;
  for (let round = 0; round < 4000; round += 1) {
    const operations = randomHistory(dice);
    const expected = bruteForce(operations, model.start);
    const found = linearizable(model, operations, 1_000_000);
    assert.equal(found.kind, expected ? 'yes' : 'no', JSON.stringify(operations));
    if (expected) right += 1;
  }
  assert.ok(right > 400 && right < 3600, `${right} of 4000 were right`);
});

test('gives up where more states than allowed are visited', () => {
  const wide = Array.from({ length: 12 }, (_, at) => ({
    called: 0,
    returned: 100,
    input: { expect: at, set: (at + 1) % 12, done: at !== 11 },
  }));
  assert.equal(linearizable(model, wide, 5).kind, 'gaveUp');
  assert.equal(linearizable(model, wide, 100_000).kind, 'yes');
});

test('remembers where a long history led without writing it out each time', () => {
  const operations = Array.from({ length: 60_000 }, (_, at) => ({
    called: at,
    returned: at + 4,
    input: { expect: at, set: at + 1, done: true },
  }));
  const before = process.memoryUsage().heapUsed;
  assert.equal(linearizable(model, operations, 100_000).kind, 'yes');
  const grown = (process.memoryUsage().heapUsed - before) / 2 ** 20;
  // Written out it would be 600 MiB; what is kept until the next collection is some tens of them.
  assert.ok(grown < 300, `${grown.toFixed(0)} MiB`);
});
