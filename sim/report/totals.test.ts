// The last lines of many runs: what was struck, and how many of the seeds that were asked for.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FAULT_NAMES } from '../faults/kinds.ts';
import { type Report, Totals } from './totals.ts';

const report = (struck: Report['struck'], failure: Report['failure'] = null): Report => ({
  seed: '1',
  budget: 'available',
  hash: '',
  events: 100,
  seconds: 1,
  operations: 1,
  acknowledged: 1,
  kinds: ['kill'],
  struck,
  refused: false,
  checked: { order: 1 },
  failure,
  story: '',
  wallMillis: 1,
});
const asked = { count: 3, budgetMillis: 325_000, failuresMax: 5 };

test('fewer runs than were asked for are told of, with the reason', () => {
  const totals = new Totals();
  totals.add(report({}));
  assert.equal(totals.short(asked), '1 of 3 seeds ran, the budget of 325 s was over');
  totals.add(report({}, { by: 'order', sentences: [] }));
  const stopped = totals.short({ ...asked, failuresMax: 1 });
  assert.equal(stopped, '2 of 3 seeds ran, 1 had failed');
  totals.add(report({}));
  assert.equal(totals.short(asked), null);
  assert.equal(totals.short({ ...asked, count: Number.POSITIVE_INFINITY }), null);
});

test('the faults that were carried out are counted, and those that never were are named', () => {
  const totals = new Totals();
  totals.add(report({ kill: 2 }));
  totals.add(report({ kill: 1, rot: 4 }));
  const line = totals.lines(1, 1).find((one) => one.startsWith('faults: '));
  assert.match(line ?? '', /^faults: rot 4, kill 3; never: .*wipeController/);
  const every = new Totals();
  every.add(report(Object.fromEntries(FAULT_NAMES.map((name) => [name, 1]))));
  assert.ok(every.lines(1, 1).every((one) => !one.includes('never')));
});

test('many runs in which a checker looked at nothing show nothing, short ones excepted', () => {
  const blind = (runs: number, events: number): string | null => {
    const totals = new Totals();
    for (let run = 0; run < runs; run += 1) {
      totals.add({ ...report({}), events, checked: { order: 1, cursors: 0 } });
    }
    return totals.blind();
  };
  assert.equal(blind(20, 6_000), 'these checkers looked at nothing: cursors');
  assert.equal(blind(19, 6_000), null);
  assert.equal(blind(24, 1_200), null);
});
