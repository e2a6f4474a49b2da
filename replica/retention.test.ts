// The clock by which records are old: set to and fro, it makes none older than it is.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Clock } from '../io/clock.ts';
import { nodeRandom } from '../io/node.ts';
import { type Micros, micros } from '../protocol/types.ts';
import { OldestClock } from './retention.ts';

const SECOND = 1_000_000;
const HOUR = 3_600 * SECOND;
const START = 1_000 * HOUR;

/** A clock that a test moves and sets. */
class Hand implements Clock {
  time = 0;
  ahead = START;

  now(): Micros {
    return micros(this.time);
  }

  wall(): Micros {
    return micros(this.time + this.ahead);
  }

  after(): () => void {
    throw new Error('nothing waits here');
  }
}

test('a step forward makes nothing old, until what was there before it is', () => {
  const hand = new Hand();
  const clock = new OldestClock(hand);
  const age = HOUR;
  assert.equal(clock.before(age), START - HOUR);
  hand.time = 10 * SECOND;
  hand.ahead += 240 * HOUR;
  assert.equal(clock.before(age), START + 10 * SECOND - HOUR);
  // Dated by the clock as it is now, and as old as it says, once all from before the step is older.
  hand.time += HOUR - SECOND;
  assert.equal(clock.before(age), hand.time + START - HOUR);
  hand.time += SECOND;
  assert.equal(clock.before(age), hand.wall() - HOUR);
  assert.equal(clock.before(2 * HOUR), hand.time + START - 2 * HOUR, 'each age for itself');
});

test('a step back is followed at once, the way forward again is not', () => {
  const hand = new Hand();
  const clock = new OldestClock(hand);
  hand.time = 10 * SECOND;
  hand.ahead -= 24 * HOUR;
  assert.equal(clock.before(HOUR), hand.wall() - HOUR);
  hand.time += 10 * SECOND;
  clock.look();
  hand.ahead += 24 * HOUR;
  assert.equal(clock.before(HOUR), hand.wall() - 25 * HOUR);
  // Set forward by mistake and back: nothing is late.
  const other = new OldestClock(hand);
  hand.ahead += 240 * HOUR;
  other.look();
  hand.ahead -= 240 * HOUR;
  assert.equal(other.before(HOUR), hand.wall() - HOUR);
});

test('before 1970 nothing is old', () => {
  const hand = new Hand();
  hand.ahead = 0;
  assert.equal(new OldestClock(hand).before(HOUR), 0);
});

test('however a clock is set, no record is taken for older than it is', () => {
  let steps = 0;
  let trimmed = 0;
  for (let seed = 0; seed < 40; seed += 1) {
    const random = nodeRandom(`oldest-${seed}`);
    const hand = new Hand();
    const clock = new OldestClock(hand);
    const age = random.below(300) * SECOND + SECOND;
    let last = 0;
    const records: { readonly at: number; readonly dated: number }[] = [];
    for (let second = 0; second < 1_500; second += 1) {
      hand.time += SECOND + random.below(1_000);
      if (random.below(20) === 0) {
        hand.ahead += (random.below(2_000) - 1_000) * SECOND;
        steps += 1;
      }
      const before = clock.before(age);
      // As an entry is dated: after the one before it.
      const dated = Math.max(hand.wall(), last + 1);
      last = dated;
      records.push({ at: hand.time, dated });
      while ((records[0]?.dated ?? before) < before) {
        const oldest = records.shift();
        assert.ok(hand.time - (oldest?.at ?? 0) > age, `seed ${seed}, second ${second}`);
        trimmed += 1;
      }
    }
  }
  assert.ok(steps > 1_000 && trimmed > 1_000, `${steps} ${trimmed}`);
});
