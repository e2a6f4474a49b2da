// Each checker passes a right history and finds what is wrong in each of these wrong ones.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkers } from './all.ts';
import {
  append,
  cursor,
  final,
  led,
  read,
  record,
  refused,
  subscribe,
  tail,
  trim,
} from './byhand.ts';
import type { FinalLog, History, Operation } from './history.ts';
import { linear } from './linear.ts';

/** Names of the checkers that complain. */
function complaints(operations: readonly Operation[], finals: readonly FinalLog[] = []): string[] {
  const history: History = { operations, finals };
  return checkers
    .filter((checker) => checker.check(history).wrong.length > 0)
    .map(({ name }) => name);
}

const [a, b, c] = [record(1, 'a'), record(2, 'b'), record(3, 'c')];

const RIGHT: readonly Operation[] = [
  append('a', [0, 10], 1),
  append('b', [20, 30], 2, { condition: { expectTail: 1 } }),
  append('lost', [21, null], refused('UNAVAILABLE', { outcome: 'unknown' })),
  append('no', [31, 40], refused('CONDITION_FAILED', { tailLsn: 2 }), {
    condition: { expectTail: 1 },
  }),
  append('c', [41, 50], 3, { idempotencyKey: 'once' }),
  append('c', [60, 70], 3, { idempotencyKey: 'once' }),
  append('d', [71, 72], refused('IDEMPOTENCY_MISMATCH'), { idempotencyKey: 'once' }),
  tail([51, 55], 3),
  subscribe(1, [a, b, c]),
  subscribe(null, [b]),
  read([55, 60], 2, 4, [b, c], 9),
  led('one', [0, 50], 1),
  led('two', [51, null], 2),
  cursor([60, 61], 1),
  trim([62, 63], 1),
  trim([64, 65], 2, { answer: refused('CURSOR_HOLDS') }),
];

test('a right history passes all', () => {
  const disk = (member: string): FinalLog => final(member, [a, b, c], { trimmedLsn: 1 });
  assert.deepEqual(complaints(RIGHT, [disk('x'), disk('y')]), []);
  for (const { name, check } of checkers) {
    const { checked } = check({ operations: RIGHT, finals: [disk('x')] });
    assert.ok(checked > 0, `${name} looked at nothing`);
  }
});

test('a batch without an answer whose first record was trimmed unseen is in the order', () => {
  const batch = append('lost', [0, 5], refused('UNAVAILABLE', { outcome: 'unknown' }));
  const operations = [
    { ...batch, records: ['gone', 'seen'].map((data) => ({ data })) },
    append('after', [6, 9], 3),
    subscribe(2, [record(2, 'seen'), record(3, 'after')]),
  ];
  assert.deepEqual(linear.check({ operations, finals: [] }).wrong, []);
});

test('a claim that was answered to nobody is known by the refusal that names it', () => {
  const fenced = (tokenLsn: number) => {
    const fence = { key: 'k', token: 1 };
    const answer = refused('FENCED', { tokenLsn });
    const operations = [
      append('first', [0, 1], 1, { key: 'k', keyOperation: 'claim' }),
      append('stale', [4, 5], answer, { condition: { fence } }),
      subscribe(1, [record(1, 'first', 'k'), record(2, 'lease@2', 'k'), record(3, 'plain')]),
      append('plain', [2, 3], 3),
    ];
    return linear.check({ operations, finals: [] }).wrong.length;
  };
  assert.equal(fenced(2), 0);
  // A token that no record of that key has is still wrong.
  assert.ok(fenced(3) > 0);
});

const LONG = 100_000_000;

/** A wrong history, and the checkers that must find it; others may as well. */
type Wrong = readonly [
  what: string,
  by: readonly string[],
  operations: readonly Operation[],
  finals?: readonly FinalLog[],
];

const WRONG: readonly Wrong[] = [
  ['two records at one position', ['order'], [append('a', [0, 1], 1), append('b', [0, 1], 1)]],
  [
    'one record at two',
    ['idempotence'],
    [append('a', [0, 1], 1), subscribe(1, [a, record(2, 'a')])],
  ],
  ['a record that nobody appended', ['order'], [subscribe(1, [a])]],
  [
    'a record that was refused',
    ['order'],
    [append('a', [0, 1], refused('FENCED')), subscribe(1, [a])],
  ],
  [
    'a record of two times',
    ['order'],
    [append('a', [0, 1], 1), subscribe(1, [{ ...a, timestamp: a.timestamp + 1 }])],
  ],
  [
    'a record under two keys',
    ['order'],
    [append('a', [0, 1], 1, { key: 'k' }), subscribe(1, [record(1, 'a', 'l')])],
  ],
  [
    'two records that were given one position',
    ['order'],
    [{ ...append('a', [0, 1], 1), records: [{ data: 'a' }, { data: 'b' }] }],
  ],
  [
    'records of one append that lie apart',
    ['order'],
    [
      {
        ...append('a', [0, null], refused('UNAVAILABLE', { outcome: 'unknown' })),
        records: [{ data: 'a' }, { data: 'c' }],
      },
      append('b', [0, 1], 2),
      subscribe(1, [a, b, c]),
    ],
  ],
  [
    'a linearizable read that sees nothing of what was there',
    ['order'],
    [append('a', [0, 1], 1), read([5, 6], 1, 1, [])],
  ],
  [
    'a linearizable read that ends before what was there',
    ['order'],
    [append('a', [0, 1], 1), append('b', [2, 3], 2), read([5, 6], 1, 2, [a], 9)],
  ],
  [
    'an epoch that falls along a disk',
    ['order'],
    [append('a', [0, 1], 1), append('b', [2, 3], 2)],
    [
      final('x', [a, b], {
        batches: final('x', [a, b]).batches.map((one) => ({ ...one, epoch: 3 - one.firstLsn })),
      }),
    ],
  ],
  [
    'against real time',
    ['order', 'linearizability'],
    [append('b', [0, 1], 2), append('a', [5, 6], 1)],
  ],
  [
    'a tail that is old',
    ['order', 'linearizability'],
    [append('a', [0, 1], 1), append('b', [2, 3], 2), tail([5, 6], 1)],
  ],
  ['a gap on a disk', ['order'], [append('a', [0, 1], 1)], [final('x', [a, record(3, 'z')])]],
  ['an acknowledged record gone', ['durability'], RIGHT, [final('x', [a, b])]],
  [
    'a delivered record gone',
    ['durability'],
    [
      append('a', [0, 1], 1),
      append('b', [0, null], refused('UNAVAILABLE', { outcome: 'unknown' })),
      subscribe(1, [a, b]),
    ],
    [final('x', [a], { committedLsn: 1 })],
  ],
  [
    'members that differ',
    ['durability'],
    [append('a', [0, 1], 1)],
    [
      final('x', [a]),
      final('y', [a], { batches: final('y', [a]).batches.map((one) => ({ ...one, digest: '?' })) }),
    ],
  ],
  [
    'a trim that nobody asked for',
    ['durability'],
    RIGHT.filter(({ kind }) => kind !== 'trim'),
    [final('x', [b, c], { baseLsn: 1 })],
  ],
  ['a trim that passes a cursor', ['cursors'], [cursor([0, 1], 4), trim([2, 3], 5)]],
  [
    'a trim that passes one of two cursors',
    ['cursors'],
    [cursor([0, 1], 4), cursor([0, 1], 9, { kind: 'moved' }, 'd'), trim([2, 3], 5)],
  ],
  [
    'a trim that passes a cursor which comes further later',
    ['cursors'],
    [cursor([0, 1], 1), trim([2, 3], 5), cursor([4, 5], 5)],
  ],
  [
    'a trim that passes a cursor whose deletion was refused',
    ['cursors'],
    [cursor([0, 1], 1), cursor([2, 3], null, refused('NOT_HEAD')), trim([4, 5], 5)],
  ],
  [
    'a trim that passes a cursor set anew long after it was deleted',
    ['cursors'],
    [cursor([0, 1], null), cursor([LONG, LONG + 1], 1), trim([LONG + 2, LONG + 3], 5)],
  ],
  [
    'a trim that was held by nothing',
    ['cursors'],
    [cursor([0, 1], 5), trim([2, 3], 5, { answer: refused('CURSOR_HOLDS') })],
  ],
  [
    'a yes to a tail that had moved',
    ['conditions', 'linearizability'],
    [append('a', [0, 1], 1), append('b', [2, 3], 2, { condition: { expectTail: 0 } })],
  ],
  [
    'a no with a tail that was never',
    ['conditions'],
    [
      append('a', [0, 1], 1),
      append('b', [2, 3], 2),
      append('x', [5, 6], refused('CONDITION_FAILED', { tailLsn: 1 }), {
        condition: { expectTail: 0 },
      }),
    ],
  ],
  [
    'a no that names the tail that was expected, whose append was never answered',
    ['conditions'],
    [
      append('a', [0, null], refused('UNAVAILABLE', { outcome: 'unknown' })),
      append('x', [5, 6], refused('CONDITION_FAILED', { tailLsn: 1 }), {
        condition: { expectTail: 1 },
      }),
      subscribe(1, [a]),
    ],
  ],
  [
    'a no that names the position of the key that was expected',
    ['conditions'],
    [
      append('a', [0, 1], 1, { key: 'k' }),
      append('x', [5, 6], refused('CONDITION_FAILED', { keyLsn: 1 }), {
        condition: { expectKey: { key: 'k', lsn: 1 } },
      }),
    ],
  ],
  [
    'a no that names an older position of the key',
    ['conditions'],
    [
      append('a', [0, 1], 1, { key: 'k' }),
      append('b', [2, 3], 2, { key: 'k' }),
      append('x', [5, 6], refused('CONDITION_FAILED', { keyLsn: 1 }), {
        condition: { expectKey: { key: 'k', lsn: 2 } },
      }),
    ],
  ],
  [
    'a no that names a position that was appended later',
    ['conditions'],
    [
      append('x', [1, 2], refused('CONDITION_FAILED', { tailLsn: 1 }), {
        condition: { expectTail: 0 },
      }),
      append('a', [5, 6], 1),
    ],
  ],
  [
    'a writer that is fenced by its own token',
    ['conditions'],
    [
      append('a', [0, 1], 1, { key: 'k', keyOperation: 'claim' }),
      append('x', [5, 6], refused('FENCED', { tokenLsn: 1 }), {
        condition: { fence: { key: 'k', token: 1 } },
      }),
    ],
  ],
  [
    'a yes to a key that had moved',
    ['conditions', 'linearizability'],
    [
      append('a', [0, 1], 1, { key: 'k' }),
      append('b', [2, 3], 2, { key: 'k' }),
      append('c', [4, 5], 3, { condition: { expectKey: { key: 'k', lsn: 1 } } }),
    ],
  ],
  [
    'a no from a state that was never committed',
    ['conditions', 'order'],
    [
      append('a', [0, 1], 1),
      append('x', [5, 6], refused('CONDITION_FAILED', { tailLsn: 2 }), {
        condition: { expectTail: 1 },
      }),
      append('c', [7, 8], 3),
    ],
    [final('x', [a, record(3, 'c')])],
  ],
  [
    'a yes to a stale token',
    ['conditions', 'linearizability'],
    [
      append('a', [0, 1], 1, { key: 'k', keyOperation: 'claim' }),
      append('b', [2, 3], 2, { key: 'k', keyOperation: 'claim' }),
      append('c', [4, 5], 3, { condition: { fence: { key: 'k', token: 1 } } }),
    ],
  ],
  [
    'a renewal that moved the token',
    ['conditions'],
    [
      append('a', [0, 1], 1, { key: 'k', keyOperation: 'claim' }),
      append('b', [2, 3], 2, { key: 'k', keyOperation: 'renew' }),
      append('c', [4, 5], 3, { condition: { fence: { key: 'k', token: 2 } } }),
    ],
  ],
  [
    'one key, two places',
    ['idempotence'],
    [
      append('a', [0, 1], 1, { idempotencyKey: 'i' }),
      append('a', [2, 3], 2, { idempotencyKey: 'i' }),
    ],
  ],
  [
    'one key, two inputs',
    ['idempotence'],
    [
      append('a', [0, 1], 1, { idempotencyKey: 'i' }),
      append('b', [2, 3], 2, { idempotencyKey: 'i' }),
    ],
  ],
  [
    'one key, and a refusal for other records that nobody appended',
    ['idempotence'],
    [
      append('a', [0, 1], 1, { idempotencyKey: 'i' }),
      append('a', [2, 3], refused('IDEMPOTENCY_MISMATCH'), { idempotencyKey: 'i' }),
      append('b', [2, 3], refused('CONDITION_FAILED'), { idempotencyKey: 'i' }),
    ],
  ],
  [
    'one key, one place, two times',
    ['idempotence'],
    [
      append('a', [0, 1], 1, { idempotencyKey: 'i', timestamp: 50 }),
      append('a', [2, 3], 1, { idempotencyKey: 'i', timestamp: 60 }),
    ],
  ],
  [
    'a record that others saw as another',
    ['subscriptions'],
    [...RIGHT, subscribe(1, [record(1, 'z')])],
  ],
  [
    'a log that ends before what it has committed',
    ['durability'],
    [append('a', [0, 1], 1)],
    [final('one', [a], { committedLsn: 2 })],
  ],
  ['a record left out', ['subscriptions'], [...RIGHT, subscribe(1, [a, c])]],
  ['a record twice', ['subscriptions'], [...RIGHT, subscribe(1, [a, a, b])]],
  ['a late start', ['subscriptions'], [...RIGHT, subscribe(1, [b, c])]],
  ['a read that passes a record over', ['subscriptions'], [...RIGHT, read([55, 60], 2, 4, [b])]],
  ['two leaders', ['leases'], [led('one', [0, 10], 1), led('two', [9, 20], 2)]],
  ['a leader that has not applied', ['leases'], [led('one', [0, 10], 1, { applied: false })]],
  ['a token that falls', ['leases'], [led('one', [0, 10], 2), led('two', [11, 20], 1)]],
  [
    'a time that stands still',
    ['timestamps'],
    [append('a', [0, 1], 1, { timestamp: 50 }), append('b', [2, 3], 2, { timestamp: 50 })],
  ],
];

for (const [what, by, operations, finals] of WRONG) {
  test(`found: ${what}`, () => {
    const found = complaints(operations, finals);
    for (const name of by) assert.ok(found.includes(name), `${name} missed it: ${found}`);
  });
}
