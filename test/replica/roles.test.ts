// Who may do what: each call asks for its role on its journal, and orders are logged.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { Logger } from '../../io/logger.ts';
import { silent } from '../../io/logger.ts';
import { MIB } from '../../protocol/configuration.ts';
import { JournalError } from '../../protocol/errors.ts';
import { decide, parsePolicy } from '../../transport/authorize.ts';
import { clusterMethods, journalMethods } from '../../transport/methods.ts';
import { CALL, House, type Housed, position } from './house.ts';
import { until } from './shepherd.ts';

const POLICY = parsePolicy(`
grants:
  - names: [reader]
    roles: [read]
    journals: [orders]
  - names: [writer]
    roles: [append]
    journals: ["ord*"]
  - names: [boss]
    roles: [append, admin]
    journals: [orders]
  - names: [operator]
    roles: [admin]
    journals: ["*"]
`);

describe('roles', () => {
  let house: House;
  let one: Housed;
  /** Who calls; the shepherd does all that a process of the cluster may. */
  let caller = 'shepherd';
  const logged: string[] = [];
  const logger: Logger = {
    ...silent,
    info: (fields, message) => logged.push(`${message} ${JSON.stringify(fields)}`),
  };

  before(async () => {
    house = await House.open();
    one = await house.start('guarded', {}, undefined, {
      logger,
      access: (_context, role, journal) => {
        if (role === 'member') return;
        const decision = decide(POLICY, [caller], role, journal);
        if (decision.kind === 'allowed') return;
        throw new JournalError('PERMISSION_DENIED', `${caller} is not ${role} of ${journal}`);
      },
    });
    const { journal } = house.shepherd.create('orders', [one.sheep]);
    await until('it serves', () => one.sheep.reports.get(journal)?.live === true);
  });
  after(() => house.close());

  const outcome = async (who: string, work: () => Promise<unknown>): Promise<string> => {
    caller = who;
    try {
      await work();
      return 'done';
    } catch (error) {
      if (error instanceof JournalError) return error.code;
      throw error;
    }
  };

  test('each call needs its own role, and roles do not include each other', async () => {
    const ask = house.network.call.bind(house.network);
    const { address } = one.replica;
    const named = { journal: 'orders' };
    const trim = (through: number, force: boolean) => () =>
      ask(address, journalMethods.trim, { ...named, through: position(through), force }, CALL);
    const cursor = { ...named, name: 'slow', lsn: position(1), expectEnd: null };
    const calls: Record<string, () => Promise<unknown>> = {
      append: () => house.append(one, 'orders', ['a', 'b', 'c']),
      read: () => house.read(one, 'orders', 1),
      tail: () => ask(address, journalMethods.tail, named, CALL),
      cursor: () => ask(address, journalMethods.setCursor, cursor, CALL),
      trim: trim(1, false),
      force: trim(2, true),
      list: () => ask(address, journalMethods.listJournals, {}, CALL),
    };
    const table: Record<string, string> = {};
    for (const who of ['writer', 'reader', 'boss', 'stranger']) {
      const row: string[] = [];
      for (const [name, work] of Object.entries(calls)) {
        if ((await outcome(who, work)) === 'done') row.push(name);
      }
      table[who] = row.join(' ');
    }
    assert.deepEqual(table, {
      writer: 'append trim',
      reader: 'tail cursor',
      boss: 'append trim force',
      stranger: '',
    });
    assert.equal(await outcome('stranger', calls.append ?? (async () => {})), 'PERMISSION_DENIED');
  });

  test('orders are logged with who gave them', async () => {
    const ask = house.network.call.bind(house.network);
    const request = { kind: 'memberRemove', member: 'gone' } as const;
    const order = () => ask(one.replica.address, clusterMethods.admin, request, CALL);
    assert.equal(await outcome('boss', order), 'PERMISSION_DENIED');
    assert.equal(logged.filter((line) => /an operator gave an order/.test(line)).length, 0);
    // Carried out by the controllers, which this house has none of: it is logged before.
    await outcome('operator', order);
    const [line = ''] = logged.filter((one) => /an operator gave an order/.test(one));
    assert.match(line, /identities/);
    assert.match(line, /"kind":"memberRemove","member":"gone"/);
  });

  test('a batch above its limit is refused by name', async () => {
    caller = 'writer';
    const records = Array.from({ length: 3 }, () => 'x'.repeat(MIB / 2));
    await assert.rejects(
      house.append(one, 'orders', records),
      (error: unknown) =>
        error instanceof JournalError &&
        error.code === 'INVALID_ARGUMENT' &&
        /records is 1572864 bytes, allowed is at most 1048576 bytes a batch/.test(error.message),
    );
  });
});
