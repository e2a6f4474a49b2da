// The command line of the simulator: what it asks for, and what it refuses with a sentence.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parsePlan, WrongUse } from './plan.ts';

const parse = (...args: readonly string[]) => parsePlan(args, () => 7);

test('one seed is run twice', () => {
  const plan = parse('--seed', '42', '--faults', 'kill,wipe');
  assert.equal(plan?.twice, true);
  assert.equal(plan?.seeds.next().value, '42');
  assert.deepEqual(plan?.options.faults, ['kill', 'wipe']);
  assert.equal(plan?.again, '--faults kill,wipe');
});

test('many seeds count up from a drawn one', () => {
  const plan = parse('--seeds=2', '--budget=3m');
  const drawn = [1, 2, 3].map(() => plan?.seeds.next().value);
  assert.deepEqual(drawn, ['7', '8', undefined]);
  assert.equal(plan?.budgetMillis, 180_000);
  assert.equal(parse('--swarm', '90s')?.budgetMillis, 90_000);
  assert.equal(parse('--seconds', '5', '--from', '100')?.seeds.next().value, '100');
});

for (const [args, sentence] of [
  [[], /one of --seeds/],
  [['--seed', '1', '--swarm', '1m'], /one of --seeds/],
  [['--seed', 'x'], /--seed is "x", allowed is a whole number/],
  [['--seeds', '0'], /--seeds is "0"/],
  [['--seeds'], /--seeds needs a value/],
  [['--swarm', '10'], /a time is "10"/],
  [['--seed', '1', '--kind', 'some'], /--kind is "some"/],
  [['--seed', '1', '--faults', 'fire'], /--faults has "fire"/],
  [['--sede', '1'], /"--sede" is no flag/],
] as const) {
  test(`refused: ${args.join(' ') || 'nothing'}`, () => {
    assert.throws(
      () => parse(...args),
      (error) => {
        assert.ok(error instanceof WrongUse);
        assert.match(error.message, sentence);
        return true;
      },
    );
  });
}
