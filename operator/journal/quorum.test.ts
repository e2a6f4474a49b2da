// What a majority of the controllers says: one that is cut off or behind decides nothing.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { journalId, lsn } from '../../protocol/types.ts';
import type { ClusterStatus, JournalStatus, ProcessStatus } from '../../transport/public.ts';
import { type Answer, agree } from './quorum.ts';

const process = (id: string, note = ''): ProcessStatus => ({
  kind: id.startsWith('controller') ? 'controller' : 'replica',
  id,
  store: id,
  incarnation: 1,
  zone: 'a',
  address: '',
  pid: 1,
  dataDirectory: '',
  version: '',
  reachable: note === '',
  note,
});

const SEATS = ['controller-1', 'controller-2', 'controller-3'];

const journal = (epoch: number, durable: number, committed: number): JournalStatus => ({
  id: journalId('0'.repeat(32)),
  name: 'orders',
  lineage: 1,
  // cast: epochs of a test carry no brand.
  epoch: epoch as JournalStatus['epoch'],
  writable: true,
  note: '',
  reconfigurations: 0,
  minReplicas: 2,
  members: ['replica-1', 'replica-2'].map((id) => ({
    id,
    store: id,
    zone: 'a',
    address: '',
    role: id === 'replica-1' ? 'head' : 'tail',
    live: true,
    synced: true,
    endLsn: lsn(durable),
    durableLsn: lsn(durable),
    committedLsn: lsn(committed),
    lag: 0,
  })),
});

const status = (
  notes: Readonly<Record<string, string>> = {},
  journals: readonly JournalStatus[] = [],
  seats: readonly string[] = SEATS,
): ClusterStatus => ({
  cluster: 'c',
  featureLevel: 1,
  ready: true,
  partial: false,
  processes: ['replica-1', 'replica-2', ...seats].map((id) => process(id, notes[id])),
  journals,
});

const said = (...statuses: readonly ClusterStatus[]): readonly Answer[] =>
  statuses.map((one, at) => ({ id: `controller-${at + 1}`, status: one }));

const known = (answers: readonly Answer[]): ClusterStatus => {
  const view = agree(answers, '');
  assert.equal(view.kind, 'known');
  return view.kind === 'known' ? view.status : status();
};

const noteOf = ({ processes }: ClusterStatus, id: string): string | undefined =>
  processes.find((one) => one.id === id)?.note;

describe('a majority of the controllers', () => {
  test('has to answer', () => {
    assert.deepEqual(agree([], 'silence'), {
      kind: 'unknown',
      reason: '0 of the controllers answer: silence',
    });
    assert.deepEqual(agree(said(status()), 'silence'), {
      kind: 'unknown',
      reason: '1 of 3 controllers answer: silence',
    });
    assert.equal(agree(said(status(), status()), '').kind, 'known');
  });

  // Else a member that is to leave would go, with its volume, while a journal still names it.
  test('does not count those that are still reading the registers', () => {
    const empty = { ...status(), partial: true };
    const serving = status({}, [journal(1, 90, 90)]);
    assert.deepEqual(agree(said(empty, empty, serving), ''), {
      kind: 'unknown',
      reason: '3 of 3 controllers answer, 2 of them still read the registers',
    });
    assert.equal(known(said(empty, serving, serving)).journals.length, 1);
  });

  test('knows a journal that one of them has not heard of yet', () => {
    const serving = status({}, [journal(1, 90, 90)]);
    assert.equal(known(said(status(), serving, status())).journals.length, 1);
  });

  test('does not count those that have no seat', () => {
    const stranger = { id: 'controller-9', status: status() };
    assert.equal(agree([...said(status()), stranger], '').kind, 'unknown');
  });

  test('is one of the larger set while the set changes', () => {
    const five = [...SEATS, 'controller-4', 'controller-5'];
    const answers = said(status(), status({}, [], five));
    assert.equal(agree(answers, '').kind, 'unknown');
    assert.equal(agree(said(status(), status({}, [], five), status()), '').kind, 'known');
  });

  test('decides who is well: one that hears nobody changes nothing', () => {
    const deaf = status({ 'replica-1': 'does not answer', 'replica-2': 'does not answer' });
    const view = known(said(deaf, status(), status()));
    assert.equal(noteOf(view, 'replica-1'), '');
    assert.ok(view.processes.every(({ reachable }) => reachable));
  });

  test('decides who is not well: one that is late does not hide it', () => {
    const gone = { 'replica-2': 'does not answer' };
    const view = known(said(status(), status(gone), status(gone)));
    assert.equal(noteOf(view, 'replica-2'), 'does not answer');
    assert.equal(view.processes.find(({ id }) => id === 'replica-2')?.reachable, false);
  });

  test('of two that contradict each other, nobody is called well', () => {
    const view = known(said(status(), status({ 'replica-2': 'is to leave' })));
    assert.equal(noteOf(view, 'replica-2'), 'is to leave');
  });

  test('knows the newest configuration, and the furthest that a disk was seen to hold', () => {
    const answers = said(
      status({}, [journal(1, 90, 90)]),
      status({}, [journal(2, 7, 5)]),
      status({}, [journal(2, 8, 4)]),
    );
    const [found] = known(answers).journals;
    assert.equal(found?.epoch, 2);
    const [member] = found?.members ?? [];
    assert.deepEqual([member?.durableLsn, member?.committedLsn], [8, 5]);
  });
});
