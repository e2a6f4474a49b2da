// Our checker and Porcupine agree on random histories of a log, right and wrong: of appends that
// compare the tail, and of leases, which are claims, renewals and fenced appends of a few keys.

import { equal, ok } from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import type { Condition } from '../../sim/checkers/history.ts';
import { type LogInput, type LogState, logModel } from '../../sim/checkers/linear.ts';
import { linearizable, type TimedOperation } from '../../sim/checkers/wgl.ts';
import { Dice } from '../../sim/random.ts';
import { build } from '../../tools/build.ts';

const HISTORIES = 1_200;
const KEYS = ['k', 'l'];
const VISITED_MAX = 5_000_000;

type Timed = TimedOperation<LogInput>;
type Wish = (state: LogState, dice: Dice) => LogInput;

const model = logModel(null);

const positions = (state: LogState, key: string): { keyLsn: number; tokenLsn: number } =>
  state.keys.find((one) => one.key === key) ?? { keyLsn: 0, tokenLsn: 0 };

/** What a client last knew: mostly true, sometimes a little old. */
const recalled = (lsn: number, dice: Dice): number =>
  dice.chance(0.7) ? lsn : Math.max(0, lsn - dice.between(1, 2));

function append(
  state: LogState,
  dice: Dice,
  keys: readonly (string | undefined)[],
  claim: boolean,
  condition: Condition,
): LogInput {
  // Control entries take positions too.
  const firstLsn = state.tailLsn + (dice.chance(0.2) ? 2 : 1);
  return { kind: 'append', firstLsn, keys, claim, condition };
}

const compare: Wish = (state, dice) => {
  if (dice.chance(0.2)) return { kind: 'tail', tailLsn: state.tailLsn };
  const keys = Array.from({ length: dice.between(1, 2) }, () => undefined);
  if (dice.chance(0.3)) return append(state, dice, keys, false, {});
  const expectTail = recalled(state.tailLsn, dice);
  if (expectTail !== state.tailLsn) return { kind: 'tail', tailLsn: state.tailLsn };
  return append(state, dice, keys, false, { expectTail });
};

const lease: Wish = (state, dice) => {
  const key = dice.pick(KEYS);
  const { keyLsn, tokenLsn } = positions(state, key);
  if (dice.chance(0.4)) {
    const token = recalled(tokenLsn, dice);
    if (token !== tokenLsn) return { kind: 'token', key, tokenLsn };
    return append(state, dice, [undefined], false, { fence: { key, token } });
  }
  const lsn = recalled(keyLsn, dice);
  if (lsn !== keyLsn) return { kind: 'key', key, keyLsn };
  return append(state, dice, [key], dice.chance(0.5), { expectKey: { key, lsn } });
};

/** Calls that overlap, each with its effect at one instant between its call and its answer. */
function rightHistory(dice: Dice, wish: Wish): Timed[] {
  const count = dice.between(4, 14);
  const instants = Array.from({ length: count }, () => dice.below(200)).sort((a, b) => a - b);
  let state = model.start;
  return instants.map((at) => {
    const input = wish(state, dice);
    const lost = input.kind === 'append' && dice.chance(0.15);
    // What was never answered may never have happened.
    if (!lost || dice.chance(0.5)) state = model.step(state, input) ?? state;
    const called = at - dice.between(0, 30);
    return { called, returned: lost ? null : at + dice.between(1, 30), input };
  });
}

/** A history in which one answer, or the time of one, is another. */
function spoiled(history: readonly Timed[], dice: Dice): Timed[] {
  const at = dice.below(history.length);
  return history.map((operation, index) => (index === at ? spoil(operation, dice) : operation));
}

function spoil({ called, returned, input }: Timed, dice: Dice): Timed {
  if (returned !== null && dice.chance(0.3)) {
    const shift = dice.between(40, 150) * (dice.chance(0.5) ? 1 : -1);
    return { called: called + shift, returned: returned + shift, input };
  }
  const by = dice.pick([-2, -1, 1, 2]);
  switch (input.kind) {
    case 'append':
      return { called, returned, input: { ...input, firstLsn: Math.max(1, input.firstLsn + by) } };
    case 'tail':
      return { called, returned, input: { ...input, tailLsn: input.tailLsn + by } };
    case 'key':
      return { called, returned, input: { ...input, keyLsn: input.keyLsn + by } };
    case 'token':
      return { called, returned, input: { ...input, tokenLsn: input.tokenLsn + by } };
  }
}

const ours = (history: readonly Timed[]): string => linearizable(model, history, VISITED_MAX).kind;

/** As many right ones as wrong ones: spoiled until no order explains it any more. */
function histories(dice: Dice, wish: Wish): Timed[][] {
  return Array.from({ length: HISTORIES }, (_, at) => {
    let history = rightHistory(dice, wish);
    const wrong = at % 2 === 1;
    for (let tries = 0; wrong && tries < 20 && ours(history) === 'yes'; tries += 1) {
      history = spoiled(history, dice);
    }
    return history;
  });
}

const go = spawnSync('go', ['version']).status === 0;
const skip = go ? false : 'there is no Go tool chain here, which Porcupine is built by';

for (const [name, wish] of [
  ['compare-and-append', compare],
  ['leases', lease],
] as const) {
  test(`${name}: as Porcupine on ${HISTORIES} histories, half of them wrong`, {
    skip,
  }, async () => {
    const built = await build(['porcupine'], (line) => void process.stderr.write(`${line}\n`));
    const path = built.get('porcupine');
    ok(path !== undefined);
    const made = histories(new Dice(`porcupine ${name}`), wish);
    const input = made.map((history) => `${JSON.stringify(history)}\n`).join('');
    const { stdout, stderr, status } = spawnSync(path, { input, encoding: 'utf8' });
    equal(status, 0, stderr);
    const theirs = stdout.trimEnd().split('\n');
    equal(theirs.length, HISTORIES);
    let wrong = 0;
    for (const [at, history] of made.entries()) {
      equal(ours(history), theirs[at], JSON.stringify(history));
      if (theirs[at] === 'no') wrong += 1;
    }
    ok(wrong * 10 >= HISTORIES * 4, `only ${wrong} of ${HISTORIES} were wrong`);
    ok(wrong * 10 <= HISTORIES * 6, `${wrong} of ${HISTORIES} were wrong`);
  });
}
