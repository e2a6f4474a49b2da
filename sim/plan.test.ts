// The command line of the simulator: what it asks for, and what it refuses with a sentence.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Plan, parsePlan, WrongUse } from './plan.ts';

const parse = (...args: readonly string[]) => parsePlan(args, () => 7);

/** The plan for many seeds; throws for any other. */
function many(...args: readonly string[]): Extract<Plan, { kind: 'many' }> {
  const plan = parse(...args);
  if (plan?.kind !== 'many') throw new Error(`${args.join(' ')} is a plan of kind ${plan?.kind}`);
  return plan;
}

test('one seed is run twice', () => {
  const plan = parse('--seed', '42', '--faults', 'kill,wipe');
  assert.deepEqual(plan?.options.faults, ['kill', 'wipe']);
  assert.equal(plan?.again, '--faults kill,wipe');
  assert.ok(plan?.kind === 'twice' && plan.seed === '42');
  const brutal = parse('--seed', '42', '--kind', 'anything', '--faults', 'rotAll');
  assert.deepEqual(brutal?.options.faults, ['rotAll']);
});

test('many seeds count up from a drawn one, which is said', () => {
  const plan = many('--seeds=2', '--budget=3m');
  const drawn = [1, 2, 3].map(() => plan.seeds.next().value);
  assert.deepEqual(drawn, ['7', '8', undefined]);
  assert.equal(plan.budgetMillis, 180_000);
  assert.equal(plan.about, 'seeds 7 to 8, newly drawn');
  assert.equal(many('--swarm', '90s').budgetMillis, 90_000);
  assert.equal(many('--seconds', '5', '--from', '100').seeds.next().value, '100');
});

test('one seed is minimized or shown', () => {
  const small = parse('--minimize', '3', '--events', '8000', '--budget', '2m');
  assert.ok(small?.kind === 'minimize' && small.seed === '3' && small.budgetMillis === 120_000);
  const shown = parse('--show', '3');
  assert.ok(shown?.kind === 'show' && shown.out === 'sim-3.html');
});

for (const [args, sentence] of [
  [[], /one of --seeds.*none is given/],
  [['--seed', '1', '--swarm', '1m'], /one of --seeds.*--seed and --swarm is given/],
  [['--seed', 'x'], /--seed is "x", allowed is a whole number/],
  [['--minimize', '-1'], /--minimize is "-1", allowed is a whole number/],
  [['--show', ''], /--show is "", allowed is a whole number/],
  [['--seeds', '0'], /--seeds is "0"/],
  [['--seeds'], /--seeds needs a value/],
  [['--swarm', '10'], /--swarm is "10", allowed is a whole number .* with s, m or h/],
  [['--seeds', '1', '--budget', '0s'], /--budget is "0s", allowed is a whole number from 1 on/],
  [['--minimize', '1', '--budget', 'x'], /--budget is "x", allowed is/],
  [['--seconds', 'x'], /--seconds is "x", allowed is a whole number from 1 on/],
  [['--seed', '1', '--kind', 'some'], /--kind is "some"/],
  [['--seed', '1', '--faults', 'fire'], /--faults has "fire"/],
  [['--seed', '1', '--faults', 'kill,rotAll'], /--faults has "rotAll", allowed with --kind any/],
  [['--seed', '1', '--kind', 'available', '--faults', 'misdirect'], /--faults has "misdirect"/],
  [['--seed', '1', '--from', '1'], /--from means nothing with --seed/],
  [['--seeds', '1', '--out', 'x'], /--out means nothing with --seeds/],
  [['--sede', '1'], /"--sede" is no flag/],
] as const) {
  test(`refused: ${args.join(' ') || 'nothing'}`, () => {
    assert.throws(
      () => parse(...args),
      (error) => {
        assert.ok(error instanceof WrongUse);
        assert.match(error.message, sentence);
        assert.doesNotMatch(error.message, /\n/);
        return true;
      },
    );
  });
}
