// Random walks over the chain machines: every step keeps the invariants, what was acknowledged
// stays on every serving member, and what clients are told is true, whatever happens meanwhile.
//
// WALKS in the environment is the number of seeds, FROM the first of them.

import { ok } from 'node:assert/strict';
import { test } from 'node:test';
import { walkBehind } from './chain-behind.ts';
import { walk } from './chain-walk.ts';

const STEPS = 1_500;
const seeds = Number(process.env.WALKS ?? 50);
const from = Number(process.env.FROM ?? 1);

test('random walks keep every invariant', () => {
  const sum = { acknowledged: 0, epochs: 0, reads: 0, refusals: 0, answers: 0, duplicates: 0 };
  const held = { trims: 0, carried: 0, answered: 0, wedges: 0 };
  let behind = 0;
  for (let seed = from; seed < from + seeds; seed += 1) {
    behind += walkBehind(seed);
    const { acknowledged, epoch, reads, looked } = walk(seed, STEPS);
    sum.acknowledged += acknowledged;
    sum.epochs += epoch;
    sum.reads += reads;
    sum.refusals += looked.refusals;
    sum.answers += looked.answers;
    sum.duplicates += looked.duplicates;
    held.trims += looked.trims;
    held.carried += looked.carried;
    held.answered += looked.answered;
    held.wedges += looked.wedges;
  }
  const shown = JSON.stringify({ ...sum, ...held, behind });
  ok(sum.acknowledged > seeds * 5, `too few appends were acknowledged: ${shown}`);
  ok(sum.epochs > seeds * 3, `too few epochs were entered: ${shown}`);
  ok(sum.reads > seeds, `too few reads were answered: ${shown}`);
  ok(sum.refusals > seeds, `too few conditions failed: ${shown}`);
  ok(sum.duplicates > seeds, `too few appends came again: ${shown}`);
  ok(held.trims > seeds / 60, `too few trims were held against a cursor: ${shown}`);
  ok(held.carried > seeds, `too few trims were seen to be carried out: ${shown}`);
  ok(held.answered > seeds, `too few trims were answered: ${shown}`);
  ok(behind > seeds, `too few reads were asked where an old answer was possible: ${shown}`);
  ok(held.wedges > seeds / 10, `too few members were wedged: ${shown}`);
  if (process.env.WALKS !== undefined) process.stdout.write(`${shown}\n`);
});
