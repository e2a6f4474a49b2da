// Leases: the arithmetic by example, and nodes with bad clocks on a bad network at random.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nodeRandom } from '../io/node.ts';
import { lsn, type Micros, micros } from '../protocol/types.ts';
import {
  defaultSlackMillis,
  foundOwnClaim,
  granted,
  holds,
  type Lease,
  learnKey as learnKeyOf,
  mayClaimAt,
  openLease,
  renewAt,
} from './lease.ts';

const at = (millis: number): Micros => micros(Math.round(millis * 1_000));
const key = (keyLsn: number, tokenLsn: number, leaseMillis: number) => ({
  keyLsn: lsn(keyLsn),
  tokenLsn: lsn(tokenLsn),
  leaseMillis,
});

/** By a query that began with what is known. */
const learnKey = (lease: Lease, answer: ReturnType<typeof key>, now: Micros): Lease =>
  learnKeyOf(lease, answer, now, lease.keyLsn);

test('a free key may be claimed at once, a held one a lease and the slack later', () => {
  const free = learnKey(openLease(at(5)), key(0, 0, 0), at(5));
  assert.equal(mayClaimAt(free, 50), at(5));
  const held = learnKey(free, key(7, 7, 1_000), at(20));
  assert.equal(mayClaimAt(held, 50), at(20 + 1_000 + 50));
  const askedAgain = learnKey(held, key(7, 7, 1_000), at(600));
  assert.equal(mayClaimAt(askedAgain, 50), at(20 + 1_000 + 50), 'no news is no reason to wait');
  const renewed = learnKey(askedAgain, key(9, 7, 1_000), at(700));
  assert.equal(mayClaimAt(renewed, 50), at(700 + 1_000 + 50));
  assert.equal(mayClaimAt(learnKey(renewed, key(10, 7, 0), at(800)), 50), at(800), 'released');
});

test('a lease runs from when its request was first sent', () => {
  const lease = granted(openLease(at(0)), { kind: 'claim', sentAt: at(100), millis: 900 }, lsn(3));
  assert.equal(lease.token, 3);
  assert.equal(holds(lease, at(999)), true);
  assert.equal(holds(lease, at(1_000)), false);
  assert.equal(renewAt(at(100), 900), at(400));
  const renewed = granted(lease, { kind: 'renew', sentAt: at(400), millis: 900 }, lsn(5));
  assert.equal(renewed.token, 3, 'a renewal does not move the token');
  assert.equal(renewed.keyLsn, 5);
  assert.equal(holds(renewed, at(1_299)), true);
});

test('an answer after the end of the lease gives the token and no lease', () => {
  const lease = granted(openLease(at(0)), { kind: 'claim', sentAt: at(0), millis: 900 }, lsn(3));
  assert.equal(lease.token, 3);
  assert.equal(holds(lease, at(901)), false);
});

test('a claim found in the log gives no lease before a renewal is answered', () => {
  const found = foundOwnClaim(learnKey(openLease(at(0)), key(4, 4, 900), at(10)), lsn(4));
  assert.equal(holds(found, at(11)), false);
  const renewed = granted(found, { kind: 'renew', sentAt: at(20), millis: 900 }, lsn(6));
  assert.equal(holds(renewed, at(21)), true);
});

test("somebody else's claim ends a lease, older news does not", () => {
  const lease = granted(openLease(at(0)), { kind: 'claim', sentAt: at(0), millis: 900 }, lsn(8));
  // Asked before the claim landed, answered after it was.
  assert.equal(learnKeyOf(lease, key(7, 5, 900), at(1), lsn(5)), lease);
  assert.equal(holds(learnKey(lease, key(9, 9, 900), at(1)), at(2)), false);
  assert.equal(holds(learnKey(lease, key(9, 8, 900), at(1)), at(2)), true, 'a tag is no claim');
});

test('a key that fell is claimed where it is now, and its holder is waited for anew', () => {
  const known = learnKey(openLease(at(0)), key(100, 90, 900), at(10));
  const fallen = learnKey(known, key(30, 20, 900), at(500));
  assert.equal(fallen.keyLsn, 30, 'what the next claim expects');
  assert.equal(mayClaimAt(fallen, 50), at(500 + 900 + 50));
  const forgotten = learnKey(fallen, key(0, 0, 0), at(600));
  assert.equal(forgotten.keyLsn, 0);
  assert.equal(mayClaimAt(forgotten, 50), at(600));
  // The claim is still there, its renewals are lost: whoever has it renews from there.
  const claimed = granted(openLease(at(0)), { kind: 'claim', sentAt: at(0), millis: 900 }, lsn(30));
  const ahead = granted(claimed, { kind: 'renew', sentAt: at(300), millis: 900 }, lsn(100));
  const back = learnKey(ahead, key(30, 30, 900), at(400));
  assert.deepEqual([back.keyLsn, back.token, holds(back, at(401))], [30, 30, true]);
  const lost = learnKey(ahead, key(30, 20, 900), at(400));
  assert.equal(holds(lost, at(401)), false, 'the claim itself is gone');
});

// ── At random ─────────────────────────────────────────────────────────────────────────────────

const LEASE_MILLIS = 100;
const STEP_MILLIS = 1;

interface Request {
  readonly kind: 'claim' | 'renew';
  readonly sentAt: Micros;
  readonly expect: number;
  readonly token: number;
  /** True time at which the journal decides it, and at which its answer arrives; never: lost. */
  readonly landsAt: number;
  readonly answersAt: number;
  landed: number;
}

interface Node {
  readonly rate: number;
  lease: Lease;
  request: Request | null;
  nextAsk: number;
}

interface Rules {
  readonly slackMillis: number;
  readonly fromFirstSend: boolean;
}

/** Runs three nodes and counts the moments at which two of them hold the key, and the claims. */
function run(seed: string, clockError: number, rules: Rules) {
  const random = nodeRandom(seed);
  const record = { key: 0, token: 0, millis: 0, end: 0 };
  const nodes: Node[] = [0, 1, 2].map((index) => ({
    rate: 1 + clockError * (index - 1),
    lease: openLease(at(0)),
    request: null,
    nextAsk: 0,
  }));
  let overlaps = 0;
  let claims = 0;
  for (let time = 0; time < 5_000; time += STEP_MILLIS) {
    for (const node of nodes) {
      const now = at(time * node.rate);
      const { request } = node;
      if (request !== null && request.landed === 0 && time >= request.landsAt) {
        const fenced = request.kind === 'renew' && request.token !== record.token;
        if (record.key !== request.expect || fenced) request.landed = -1;
        else {
          record.end += 1 + random.below(3);
          record.key = record.end;
          record.millis = LEASE_MILLIS;
          if (request.kind === 'claim') record.token = record.key;
          if (request.kind === 'claim') claims += 1;
          request.landed = record.key;
        }
      }
      if (request !== null && time >= request.answersAt) {
        node.request = null;
        const { landed, kind } = request;
        const sentAt = rules.fromFirstSend ? request.sentAt : now;
        const grant = { kind, sentAt, millis: LEASE_MILLIS };
        if (landed > 0 && random.below(5) > 0) node.lease = granted(node.lease, grant, lsn(landed));
      }
      if (time >= node.nextAsk) {
        // Also a holder asks now and then: after a lost answer it finds its own record.
        node.nextAsk = time + 1 + random.below(30);
        const { key: keyLsn, token, millis } = record;
        node.lease = learnKey(node.lease, key(keyLsn, token, millis), now);
      }
      if (node.request === null) node.request = next(node, now, time, random.below, rules);
    }
    const holders = nodes.filter((node) => holds(node.lease, at(time * node.rate)));
    if (holders.length > 1) overlaps += 1;
  }
  return { overlaps, claims };
}

function next(
  { lease }: Node,
  now: Micros,
  time: number,
  below: (most: number) => number,
  { slackMillis }: Rules,
): Request | null {
  const own = lease.token !== 0;
  // A holder renews now and then and pauses at times, so that the others get their turn.
  if (own ? below(100) > 0 : now < mayClaimAt(lease, slackMillis)) return null;
  const landsAt = time + below(LEASE_MILLIS / 5);
  return {
    kind: own ? 'renew' : 'claim',
    sentAt: now,
    expect: lease.keyLsn,
    token: lease.token,
    landsAt,
    // Most answers are quick, some come when the lease is nearly over.
    answersAt: landsAt + below(below(4) === 0 ? LEASE_MILLIS : 3),
    landed: 0,
  };
}

const SEEDS = Array.from({ length: 25 }, (_, index) => `lease-${index}`);
const runAll = (clockError: number, rules: Rules) =>
  SEEDS.map((seed) => run(seed, clockError, rules));

test('two nodes never hold a key at once, with clocks as bad as the slack allows', () => {
  // Two clocks, each off by 1 %, measure one lease up to 2 % apart.
  const slackMillis = LEASE_MILLIS * 0.02 + STEP_MILLIS;
  const runs = runAll(0.01, { slackMillis, fromFirstSend: true });
  assert.equal(
    runs.reduce((sum, { overlaps }) => sum + overlaps, 0),
    0,
  );
  assert.ok(runs.every(({ claims }) => claims >= 1));
  assert.ok(
    runs.reduce((sum, { claims }) => sum + claims, 0) > 5 * SEEDS.length,
    'it changes hands',
  );
});

test('the runs do find what the rules are there for', () => {
  const counted = (clockError: number, rules: Rules): number =>
    runAll(clockError, rules).reduce((sum, { overlaps }) => sum + overlaps, 0);
  assert.ok(counted(0.3, { slackMillis: 0, fromFirstSend: true }) > 0, 'no slack');
  assert.ok(counted(0, { slackMillis: 2, fromFirstSend: false }) > 0, 'counted from the answer');
});

test('slack by default covers two clocks that are off by 1 %', () => {
  assert.equal(defaultSlackMillis(10_000), 200);
  assert.equal(defaultSlackMillis(500), 50);
});
