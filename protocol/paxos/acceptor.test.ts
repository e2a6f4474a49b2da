// Which seats an acceptor takes: its own, of its own volume, in the sets that follow its own.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AcceptorDisk } from '../../test/acceptor-disk.ts';
import { stepAcceptor } from './acceptor.ts';
import type { AcceptorSet } from './messages.ts';

const setOf = (id: string, version: number, ...seats: readonly string[]): AcceptorSet => ({
  id,
  version,
  seats: seats.map((seat) => {
    const [name = '', store = ''] = seat.split('@');
    return { id: name, store, address: name };
  }),
});

/** What the acceptor `a`, of the store `a` and a set of the id `s`, says to a set. */
function told(next: AcceptorSet): string {
  const served = setOf('s', 1, 'a', 'b', 'c');
  const state = new AcceptorDisk({ set: served, mode: 'serving', next: null }).open('a');
  const body = { kind: 'install', next, registers: [] } as const;
  const effects = stepAcceptor(state, { kind: 'request', request: 1, body });
  effects.push(...stepAcceptor(state, { kind: 'saved', save: state.issued }));
  const [reply] = effects.filter(({ kind }) => kind === 'reply');
  assert.ok(reply?.kind === 'reply');
  return reply.answer.kind === 'wrongSet' ? reply.answer.reason : reply.answer.kind;
}

test('an acceptor takes its own seat alone, on its own volume, of the set that follows', () => {
  assert.equal(told(setOf('s', 2, 'a', 'd', 'e')), 'installed');
  assert.equal(told(setOf('s', 2, 'a@a', 'd', 'e')), 'installed');
  assert.equal(told(setOf('s', 2, 'b', 'd', 'e')), 'a is not in version 2');
  assert.match(told(setOf('s', 2, 'a@other', 'd', 'e')), /names store other, this is a/);
  assert.match(told(setOf('t', 2, 'a', 'd', 'e')), /set t is given, .* belongs to s/);
});
