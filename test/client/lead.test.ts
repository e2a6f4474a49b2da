// Leadership of the SDK, by a real replica and the real clock.

import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { after, before, describe, test } from 'node:test';
import type { Leadership } from '../../client/campaign.ts';
import type { Client, Journal } from '../../client/index.ts';
import { campaign } from '../../client/lead.ts';
import { openRouting } from '../../client/routing.ts';
import { silent } from '../../io/logger.ts';
import type { Network } from '../../io/network.ts';
import { nodeClock, nodeRandom } from '../../io/node.ts';
import { grpcNetwork } from '../../transport/grpc.ts';
import { House, type Housed } from '../replica/house.ts';
import { eventually, until } from '../replica/shepherd.ts';
import { counted, delayed, journalOf, mutable, open, refused } from './kit.ts';

/** Long enough for a machine that is busy with other things. */
const LEASE_MILLIS = 2_000;

describe('with one replica', () => {
  let house: House;
  let a: Housed;
  let client: Client;
  let count = 0;

  before(async () => {
    house = await House.open();
    a = await house.start('a');
    client = open([a.replica.address]);
  });
  after(async () => {
    await client?.close();
    await house?.close();
  });

  function journal(): Promise<Journal> {
    count += 1;
    return journalOf(house, a, `journal-${count}`, client);
  }

  /** A campaign of the key `worker` without the client around it. */
  function campaigned(
    { name }: Journal,
    network: Network,
    signal: AbortSignal,
    marginMillis = 0,
  ): Promise<Leadership> {
    const routing = openRouting([a.replica.address], null);
    const seams = { clock: nodeClock, random: nodeRandom(), network, logger: silent };
    return campaign(
      { ...seams, routing, hold: () => () => undefined },
      {
        journal: name,
        key: 'worker',
        node: 'one',
        leaseMillis: LEASE_MILLIS,
        slackMillis: 0,
        marginMillis,
        timeoutMillis: 20_000,
        signal,
        applied: undefined,
        onEvent: undefined,
      },
    );
  }

  test('leadership: one at a time, fenced, given back, taken over', async () => {
    const orders = await journal();
    const lease = { leaseMillis: LEASE_MILLIS, slackMillis: 20 };
    const one = await orders.lead('worker', { ...lease, node: 'one' });
    // Right after the claim, or after a renewal where this process was slow.
    assert.ok((await orders.append('of one', { fence: one.fence })).firstLsn > one.token);
    let second = 0;
    const waiting = orders.lead('worker', lease).then((leadership) => {
      second = leadership.token;
      return leadership;
    });
    // Renewals keep it well beyond its lease.
    await new Promise((resolve) => setTimeout(resolve, 1.5 * LEASE_MILLIS));
    assert.equal(second, 0);
    assert.equal(one.lost.aborted, false);
    await one.release();
    assert.equal(one.lost.aborted, true);
    const two = await waiting;
    assert.ok(two.token > one.token);
    await assert.rejects(orders.append('of one', { fence: one.fence }), (error) =>
      refused('FENCED', 'none')(error),
    );
    assert.ok(two.remainingMillis() > 0 && two.remainingMillis() <= LEASE_MILLIS);
    await two.release();
    const key = await orders.key('worker');
    assert.deepEqual([key.tokenLsn, key.leaseMillis], [two.token, 0]);
  });

  test('a leader whose key was claimed loses it, and may campaign again', async () => {
    const orders = await journal();
    const events: string[] = [];
    const leadership = await orders.lead('worker', {
      leaseMillis: LEASE_MILLIS,
      onEvent: ({ kind }) => events.push(kind),
    });
    const { keyLsn } = await orders.key('worker');
    const usurper = await orders.append([{ key: 'worker', data: 'mine' }], {
      keyOperation: 'claim',
      leaseMillis: 500,
      expectKey: { key: 'worker', lsn: keyLsn },
    });
    await until('the leader notices', () => leadership.lost.aborted, 3 * LEASE_MILLIS);
    assert.equal(leadership.remainingMillis(), 0);
    assert.deepEqual(
      events.filter((kind) => kind === 'claimed' || kind === 'lost'),
      ['claimed', 'lost'],
    );
    await leadership.release();
    const again = await orders.lead('worker', { leaseMillis: LEASE_MILLIS, slackMillis: 10 });
    assert.ok(again.token > usurper.firstLsn);
    await again.release();
  });

  test('what was lost holds on to nothing, though nobody releases it', async () => {
    const orders = await journal();
    const streams = { open: 0 };
    const network = counted(streams);
    const { signal } = new AbortController();
    const leadership = await campaigned(orders, network, signal);
    assert.equal(streams.open, 1);
    const { firstLsn } = await orders.append([{ key: 'worker', data: 'mine' }], {
      keyOperation: 'claim',
      leaseMillis: 500,
    });
    assert.ok(firstLsn > leadership.token);
    await until('the leader notices', () => leadership.lost.aborted, 3 * LEASE_MILLIS);
    assert.equal(streams.open, 0);
    await until('nobody listens', () => getEventListeners(signal, 'abort').length === 0);
    await leadership.release();
    await network.close();
  });

  // Work may still be on its way to its end, and whoever is told of a release waits for nothing.
  test('what was lost is not given back, though its lease still runs', async () => {
    const orders = await journal();
    const network = grpcNetwork({ clock: nodeClock, logger: silent });
    const { signal } = new AbortController();
    // Lost long before its first renewal.
    const leadership = await campaigned(orders, network, signal, 0.9 * LEASE_MILLIS);
    await until('it counts as lost', () => leadership.lost.aborted);
    await leadership.release();
    const { tokenLsn, leaseMillis } = await orders.key('worker');
    assert.deepEqual([tokenLsn, leaseMillis], [leadership.token, LEASE_MILLIS]);
    await network.close();
  });

  // The claim in the new journal has the very position of the one in the old.
  test('who led a journal that was deleted does not lead the one that has its name', async () => {
    const orders = await journal();
    const lease = { leaseMillis: LEASE_MILLIS, slackMillis: 10 };
    const other = open([a.replica.address]);
    const one = await other.journal(orders.name).lead('worker', lease);
    const { journal: old } = house.shepherd.named(orders.name);
    await client.deleteJournal(orders.name);
    await journalOf(house, a, orders.name, client);
    const two = await orders.lead('worker', lease);
    assert.equal(two.token, one.token);
    await until('the first has lost it', () => one.lost.aborted, 3 * LEASE_MILLIS);
    assert.deepEqual([one.fence.journalId, two.fence.journalId === old], [old, false]);
    await assert.rejects(
      other.journal(orders.name).append('of one', { fence: one.fence }),
      refused('NOT_FOUND', 'none'),
    );
    // Well beyond its lease.
    await new Promise((resolve) => setTimeout(resolve, 1.5 * LEASE_MILLIS));
    assert.equal(two.lost.aborted, false);
    await orders.append('of two', { fence: two.fence });
    await two.release();
    await other.close();
  });

  test('a claim whose answer was lost is found, and leads from its next renewal on', async () => {
    const orders = await journal();
    const muted = new Set<string>();
    const claims: unknown[] = [];
    const network = mutable(muted, (message) => {
      if (!JSON.stringify(message).includes('"claim"')) return;
      claims.push(message);
      if (claims.length > 1) return;
      // Longer than the lease: by then nobody waits for the answer any more.
      muted.add(a.replica.address);
      setTimeout(() => muted.clear(), 1_200);
    });
    const other = open([a.replica.address], { network });
    const leadership = await other.journal(orders.name).lead('worker', { leaseMillis: 500 });
    const { tokenLsn, keyLsn } = await orders.key('worker');
    assert.equal(leadership.token, tokenLsn);
    assert.equal(leadership.token, 1, 'it is the first claim');
    assert.ok(keyLsn > tokenLsn, 'and was renewed');
    await leadership.release();
    await other.close();
  });

  test('who gives a lease back has stopped leading before anybody is told', async () => {
    const orders = await journal();
    const muted = new Set<string>();
    const network = mutable(muted, (message) => {
      if (JSON.stringify(message).includes('"release"')) muted.add(a.replica.address);
    });
    const other = open([a.replica.address], { network });
    const events: string[] = [];
    const leadership = await other.journal(orders.name).lead('worker', {
      leaseMillis: 60_000,
      onEvent: ({ kind }) => events.push(kind),
    });
    const release = leadership.release();
    const given = async () => (await orders.key('worker')).leaseMillis === 0;
    await eventually('the key is free', given);
    // The answer is held back, and anybody may lead by now.
    assert.equal(leadership.lost.aborted, true);
    assert.equal(leadership.remainingMillis(), 0);
    assert.deepEqual(events, ['claimed', 'lost']);
    await release;
    await other.close();
  });

  test('a lease runs from when it was asked for, however late the answer is', async () => {
    const orders = await journal();
    const other = open([a.replica.address], { network: delayed(600) });
    const leadership = await other.journal(orders.name).lead('worker', {
      leaseMillis: LEASE_MILLIS,
    });
    assert.ok(leadership.remainingMillis() <= LEASE_MILLIS - 600);
    await leadership.release();
    await other.close();
  });

  test('nobody leads before what follows from the claim is applied', async () => {
    const orders = await journal();
    const order: string[] = [];
    const leadership = await orders.lead('worker', {
      leaseMillis: LEASE_MILLIS,
      applied: async (token) => {
        await new Promise((resolve) => setTimeout(resolve, 100));
        order.push(`applied ${token}`);
      },
    });
    order.push('leads');
    assert.deepEqual(order, [`applied ${leadership.token}`, 'leads']);
    await leadership.release();
  });

  test('who loses the key before all is applied campaigns on', async () => {
    const orders = await journal();
    const tokens: number[] = [];
    const leadership = await orders.lead('worker', {
      leaseMillis: LEASE_MILLIS,
      slackMillis: 10,
      applied: async (token, lost) => {
        tokens.push(token);
        if (tokens.length > 1) return;
        await orders.append([{ key: 'worker', data: 'mine' }], { keyOperation: 'claim' });
        await until('it is lost', () => lost.aborted, 3 * LEASE_MILLIS);
      },
    });
    assert.equal(tokens.length, 2);
    assert.equal(leadership.token, tokens[1]);
    assert.equal(leadership.lost.aborted, false);
    await leadership.release();
    assert.equal((await orders.key('worker')).leaseMillis, 0);
  });

  test('who waits for a key that is forgotten meanwhile claims it', async () => {
    const orders = await journal();
    const one = await orders.lead('worker', { leaseMillis: 60_000 });
    const waits = Promise.withResolvers<void>();
    const campaign = orders.lead('worker', {
      signal: AbortSignal.timeout(20_000),
      onEvent: ({ kind }) => {
        if (kind === 'waiting') waits.resolve();
      },
    });
    await Promise.race([waits.promise, campaign]);
    await one.release();
    await orders.forgetKey('worker');
    const two = await campaign;
    assert.ok(two.token > one.token);
    await two.release();
  });

  test('a campaign ends where nobody answers for as long as it was told', async () => {
    const nobody = open(['127.0.0.1:1']);
    await assert.rejects(
      nobody.journal('orders').lead('worker', { timeoutMillis: 200 }),
      refused('UNAVAILABLE', 'none'),
    );
    await nobody.close();
    // Another leader is an answer, however long it leads.
    const orders = await journal();
    const leadership = await orders.lead('worker', { leaseMillis: 60_000 });
    const controller = new AbortController();
    const patient = { timeoutMillis: 300, signal: controller.signal };
    const campaign = orders.lead('worker', patient).catch((error: unknown) => error);
    await new Promise((resolve) => setTimeout(resolve, 900));
    controller.abort(new Error('enough'));
    assert.ok(refused('CANCELLED', 'none')(await campaign));
    await leadership.release();
  });

  test('a campaign ends with its signal', async () => {
    const orders = await journal();
    const leadership = await orders.lead('worker', { leaseMillis: 60_000 });
    const controller = new AbortController();
    const campaign = orders.lead('worker', { signal: controller.signal });
    controller.abort(new Error('enough'));
    await assert.rejects(campaign, refused('CANCELLED', 'none'));
    await leadership.release();
  });
});
