// While no controller answers, replicas serve what they have, and say where the rest is.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { Configuration } from '../../protocol/configuration.ts';
import { JournalError } from '../../protocol/errors.ts';
import { House, type Housed, texts } from './house.ts';
import { until } from './shepherd.ts';

/** Well below the time for which a replica asks controllers that it has to wait for. */
const SAID_MILLIS_MAX = 2_000;

describe('no controller is left', () => {
  let house: House;
  let a: Housed;
  let b: Housed;

  before(async () => {
    house = await House.open();
    [a, b] = await Promise.all([house.start('a'), house.start('b')]);
    await serves(house.shepherd.create('asked-before', [a.sheep]), a);
    await house.append(a, 'asked-before', ['one']);
    assert.equal(await whereTo('asked-before'), a.replica.address);
    await serves(house.shepherd.create('left', [a.sheep, b.sheep]), a, b);
    const { journal, epoch } = house.shepherd.change('left', [a.sheep]);
    await until('both heard that one left', () =>
      [a, b].every(({ sheep }) => (sheep.reports.get(journal)?.epoch ?? 0) >= epoch),
    );
    await house.shepherd.close();
  });
  after(() => house.close());

  const serves = ({ journal, name }: Configuration, ...members: readonly Housed[]) =>
    until(`${name} is served`, () =>
      members.every(({ sheep }) => sheep.reports.get(journal)?.synced === true),
    );

  /** Whom the replica b names as the head of a journal that it does not serve. */
  async function whereTo(name: string): Promise<string | undefined> {
    const begun = performance.now();
    const error = await house.append(b, name, ['x']).catch((refusal: unknown) => refusal);
    assert.ok(error instanceof JournalError && error.code === 'NOT_HEAD', String(error));
    const millis = performance.now() - begun;
    assert.ok(millis < SAID_MILLIS_MAX, `it took ${millis} ms`);
    return error.details.configuration?.serving[0]?.address;
  }

  test('a member serves by the name that it knows', async () => {
    await house.append(a, 'asked-before', ['two']);
    assert.deepEqual(texts(await house.read(a, 'asked-before', 1, true)), ['one', 'two']);
  });

  test('a journal that was asked for before is found', async () => {
    assert.equal(await whereTo('asked-before'), a.replica.address);
  });

  test('a journal that it served once is found', async () => {
    assert.equal(await whereTo('left'), a.replica.address);
  });

  test('of one that it never heard of it does not say that there is none', async () => {
    await assert.rejects(
      house.append(b, 'never-heard-of', ['x']),
      (error: unknown) => error instanceof JournalError && error.code === 'UNAVAILABLE',
    );
  });
});
