// What a journal remembers is bounded: a key too many is refused, and nothing else is.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DEFAULT_SETTINGS } from '../../protocol/configuration.ts';
import { House } from '../replica/house.ts';
import { journalOf, open, refused } from './kit.ts';

const { keys: KEYS_MAX } = DEFAULT_SETTINGS.limits;
const BATCH = 1_000;

test('a key too many is refused with the limit, the keys that are there are not', async () => {
  const house = await House.open();
  const a = await house.start('a');
  const client = open([a.replica.address]);
  try {
    const orders = await journalOf(house, a, 'orders', client);
    for (let at = 0; at < KEYS_MAX; at += BATCH) {
      await orders.append(
        Array.from({ length: BATCH }, (_, n) => ({ key: `k${at + n}`, data: '' })),
      );
    }
    const tooMany = orders.append([{ key: 'one-more', data: '' }]);
    await assert.rejects(tooMany, (error: Error) => {
      assert.match(error.message, new RegExp(`${KEYS_MAX} keys`));
      return refused('LIMIT_EXCEEDED', 'none')(error);
    });
    const { lastLsn } = await orders.append([{ key: 'k0', data: 'again' }, { data: 'no key' }]);
    assert.equal(lastLsn, KEYS_MAX + 2);
    // One that is forgotten makes room.
    await orders.forgetKey('k1');
    assert.equal((await orders.append([{ key: 'one-more', data: '' }])).firstLsn > lastLsn, true);
  } finally {
    await client.close();
    await house.close();
  }
});
