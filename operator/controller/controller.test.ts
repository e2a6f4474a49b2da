// Three controllers of one process, on real disks and real connections: formatted once, started,
// asked for what replicas and operators ask, killed and started again.

import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { silent } from '../../io/logger.ts';
import { nodeClock, nodeDisk, nodeRandom } from '../../io/node.ts';
import { DEFAULT_SETTINGS } from '../../protocol/configuration.ts';
import { JournalError } from '../../protocol/errors.ts';
import { journalId, lsn, memberId, micros, storeId, zone } from '../../protocol/types.ts';
import { freePorts } from '../../test/processes/ports.ts';
import type { RegisterAnswer, RegisterChange } from '../../transport/control.ts';
import { grpcNetwork } from '../../transport/grpc.ts';
import { controllerMethods } from '../../transport/methods.ts';
import type { AdminRequest } from '../../transport/public.ts';
import { type Controller, startController } from './controller.ts';
import { formatController } from './format.ts';

const CLUSTER = 'c'.repeat(32);
const STORE = storeId('a'.repeat(32));
const IDS = ['c1', 'c2', 'c3'];
const root = mkdtempSync(join(tmpdir(), 'journal-controllers-'));
const network = grpcNetwork({ clock: nodeClock, logger: silent });
const running = new Map<string, Controller>();
const timeout = micros(10_000_000);

after(async () => {
  await Promise.all([...running.values()].map((one) => one.close()));
  await network.close();
  rmSync(root, { recursive: true, force: true });
});

const seatOf = async (id: string) => ({ id, address: `127.0.0.1:${await freePorts(1)}` });
const set = await Promise.all(IDS.map(seatOf));
const fourth = await seatOf('c4');
const directoryOf = (id: string): string => join(root, id);
const grants = [{ member: 'a', zone: 'x' }];
const format = (id: string) =>
  formatController(nodeDisk, directoryOf(id), { cluster: CLUSTER, id, set, grants });

async function start(id: string): Promise<Controller> {
  const controller = await startController({
    clock: nodeClock,
    random: nodeRandom(),
    disk: nodeDisk,
    network,
    logger: silent,
    config: {
      directory: directoryOf(id),
      listen: [...set, fourth].find((seat) => seat.id === id)?.address ?? '',
      advertise: '',
      zone: 'x',
      cluster: CLUSTER,
      id,
      pid: 1,
      version: 'test',
    },
  });
  running.set(id, controller);
  return controller;
}

/** The channel to one that did not serve a moment ago waits, or drops, before it connects again. */
async function change(id: string, request: RegisterChange): Promise<RegisterAnswer> {
  const address = set.find((seat) => seat.id === id)?.address ?? '';
  for (let attempt = 0; ; attempt += 1) {
    try {
      return await network.call(address, controllerMethods.change, request, { timeout });
    } catch (error) {
      if (attempt === 40 || !/No connection established|Connection dropped/.test(String(error)))
        throw error;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

const startOf = (startId: string, after = 0): RegisterChange => ({
  kind: 'start',
  store: STORE,
  startId,
  after,
  member: 'a',
  zone: 'x',
  address: '127.0.0.1:1',
});

const is = (code: string) => (error: unknown) =>
  error instanceof JournalError && error.code === code;

test('a directory that was not formatted is refused', async () => {
  mkdirSync(directoryOf('empty'));
  await assert.rejects(start('empty'), is('NOT_FOUND'));
});

test('a directory is formatted once', async () => {
  for (const id of IDS) await format(id);
  await assert.rejects(format('c1'), is('INVALID_ARGUMENT'));
});

test('no controller serves alone, two do, and the third joins them', async () => {
  const first = await start('c1');
  await assert.rejects(change('c1', startOf('s')), is('UNAVAILABLE'));
  assert.notEqual(first.unready(), '');
  const second = await start('c2');
  await Promise.all([first.started, second.started]);
  assert.equal(first.unready(), '');
  await (await start('c3')).started;
});

test('only a granted volume is formatted and started, each start has its own number', async () => {
  const early = await change('c1', startOf('early'));
  assert.equal(early.kind === 'refused' && early.code, 'PERMISSION_DENIED');
  const grant = { kind: 'format', store: STORE, member: memberId('a'), zone: zone('x') } as const;
  assert.deepEqual(await change('c2', grant), { kind: 'formatted', cluster: CLUSTER });
  assert.deepEqual(await change('c3', grant), { kind: 'formatted', cluster: CLUSTER });
  const other = await change('c1', { ...grant, store: storeId('b'.repeat(32)) });
  assert.equal(other.kind === 'refused' && other.code, 'PERMISSION_DENIED');
  const one = { kind: 'started', incarnation: 1, startId: 's1' };
  assert.deepEqual(await change('c1', startOf('s1')), one);
  assert.deepEqual(await change('c2', startOf('s1')), one, 'a lost answer is asked for again');
  const two = { kind: 'started', incarnation: 2, startId: 's2' };
  assert.deepEqual(await change('c3', startOf('s2', 1)), two);
  assert.deepEqual(await change('c1', startOf('late', 1)), two, 'who asks too late gets nothing');
});

test('a journal needs members that answer, and settings within their ranges', async () => {
  const create = {
    kind: 'createJournal',
    journal: journalId('d'.repeat(32)),
    name: 'orders',
    settings: DEFAULT_SETTINGS,
    firstLsn: lsn(1),
  } as const;
  const refused = await change('c1', create);
  assert.equal(refused.kind === 'refused' && refused.code, 'UNDER_REPLICATED');
  const settings = { ...DEFAULT_SETTINGS, minReplicas: 4 };
  await assert.rejects(change('c1', { ...create, settings }), (error: Error) =>
    /minReplicas is 4, allowed is a whole number from 1 to 3/.test(error.message),
  );
  const none = await change('c1', { kind: 'deleteJournal', name: 'orders' });
  assert.equal(none.kind === 'refused' && none.code, 'NOT_FOUND');
});

test('a member is let in by an operator', async () => {
  const address = set[0]?.address ?? '';
  const request = { kind: 'memberAdd', member: 'b', zone: 'y' } as const;
  const { done } = await network.call(address, controllerMethods.admin, request, { timeout });
  assert.match(done.join(), /member b is let in, in zone y/);
  const grant = { store: storeId('b'.repeat(32)), member: memberId('b'), zone: zone('y') };
  const formatted = await change('c2', { kind: 'format', ...grant });
  assert.equal(formatted.kind, 'formatted');
});

test('an order to replace a volume that is sent again takes no new volume away', async () => {
  const address = set[0]?.address ?? '';
  const admin = (request: AdminRequest) =>
    network.call(address, controllerMethods.admin, request, { timeout });
  const again = { store: storeId('c'.repeat(32)), member: memberId('b'), zone: zone('y') };
  const order = { kind: 'memberReplace', member: 'b', by: 'b', requestId: 'one' } as const;
  await admin(order);
  assert.equal((await change('c2', { kind: 'format', ...again })).kind, 'formatted');
  await admin(order);
  const third = { ...again, store: storeId('d'.repeat(32)) };
  const refused = await change('c2', { kind: 'format', ...third });
  assert.equal(refused.kind === 'refused' && refused.code, 'PERMISSION_DENIED');
  await admin({ ...order, requestId: 'two' });
  assert.equal((await change('c3', { kind: 'format', ...third })).kind, 'formatted');
});

test('a copy of an order that comes late undoes nothing that was ordered since', async () => {
  const admin = (at: number, request: AdminRequest) =>
    network.call(set[at]?.address ?? '', controllerMethods.admin, request, { timeout });
  const place = { member: memberId('b'), zone: zone('y') };
  const fourthStore = { ...place, store: storeId('4'.repeat(32)) };
  const leave = { kind: 'memberRemove', member: 'b', requestId: 'leave' } as const;
  const replace = { kind: 'memberReplace', member: 'b', by: 'b', requestId: 'three' } as const;
  await admin(0, replace);
  await admin(1, leave);
  const refused = await change('c3', { kind: 'format', ...fourthStore });
  assert.match(refused.kind === 'refused' ? refused.message : '', /member b is to leave/);
  await admin(2, { kind: 'memberAdd', member: 'b', zone: 'y', requestId: 'back' });
  await admin(0, leave);
  assert.equal((await change('c3', { kind: 'format', ...fourthStore })).kind, 'formatted');
  await admin(1, replace);
  const fifth = await change('c1', { kind: 'format', ...place, store: storeId('5'.repeat(32)) });
  assert.equal(fifth.kind === 'refused' && fifth.code, 'PERMISSION_DENIED');
});

test('an order that cannot be names its field, what was given and what is allowed', async () => {
  const address = set[0]?.address ?? '';
  const refused = (request: AdminRequest, says: RegExp) =>
    assert.rejects(
      network.call(address, controllerMethods.admin, request, { timeout }),
      (error: unknown) => is('INVALID_ARGUMENT')(error) && says.test(String(error)),
    );
  const loss = { kind: 'forceLoss', journal: 'orders', member: 'a', reason: 'gone' } as const;
  await refused({ kind: 'memberAdd', member: 'B', zone: 'y' }, /member is "B", allowed .*a-z/);
  await refused(
    { kind: 'memberAdd', member: 'b', zone: '' },
    /zone is .*empty.*allowed|zone is ""/,
  );
  await refused({ kind: 'memberRemove', member: '-' }, /member is "-", allowed/);
  await refused({ kind: 'memberReplace', member: 'b', by: '/' }, /by is "\/", allowed/);
  const long = 'x'.repeat(65);
  const order = { kind: 'memberReplace', member: 'b', by: 'b', requestId: long } as const;
  await refused(order, /request_id is .*allowed is at most 64/);
  await refused({ ...loss, journal: 'Bad!' }, /journal name is "Bad!", allowed/);
  await refused({ ...loss, reason: ' ' }, /reason is .*allowed is why/);
  await refused({ kind: 'controllerReplace', remove: '', add: '' }, /remove and add/);
  await refused({ kind: 'controllerReplace', remove: 'c9', add: '' }, /remove is c9, allowed/);
  await refused({ kind: 'controllerReplace', remove: '', add: 'c9' }, /add is c9, allowed is ID=/);
});

test('everything is there after a restart of all', async () => {
  await Promise.all([...running.values()].map((one) => one.close()));
  running.clear();
  const again = await Promise.all(IDS.map(start));
  await Promise.all(again.map(({ started }) => started));
  const third = await change('c2', startOf('s3', 2));
  assert.deepEqual(third, { kind: 'started', incarnation: 3, startId: 's3' });
  const status = again[0]?.status();
  assert.equal(status?.cluster, CLUSTER);
  assert.deepEqual(
    status?.processes.map(({ kind, id }) => `${kind} ${id}`),
    ['replica a', 'controller c1', 'controller c2', 'controller c3'],
  );
});

test('one that was replaced while it was away says so when it starts again', async () => {
  await running.get('c3')?.close();
  const joining = { cluster: CLUSTER, id: 'c4', set, grants, join: true };
  await formatController(nodeDisk, directoryOf('c4'), joining);
  const newcomer = await start('c4');
  const add = `c4=${fourth.address}`;
  const request = { kind: 'controllerReplace', remove: 'c3', add } as const;
  const { done } = await network.call(set[0]?.address ?? '', controllerMethods.admin, request, {
    timeout,
  });
  assert.match(done.join(), /in: c4, out: c3, set version 2/);
  assert.equal(newcomer.address, fourth.address);
  const old = await start('c3');
  const deadline = performance.now() + 10_000;
  while (!old.unready().includes('replaced') && performance.now() < deadline) {
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  assert.match(old.unready(), /c3 was replaced: the controllers are c1, c2, c4 now \(set 2\)/);
});
