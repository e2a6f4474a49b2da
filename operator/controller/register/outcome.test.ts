// What a change that did not come through is told as: `none` only where it surely never will.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { silent } from '../../../io/logger.ts';
import { nodeClock, nodeRandom } from '../../../io/node.ts';
import { JournalError } from '../../../protocol/errors.ts';
import { openAcceptor, stepAcceptor } from '../../../protocol/paxos/acceptor.ts';
import type { AcceptorAnswer, AcceptorRequest, Seat } from '../../../protocol/paxos/messages.ts';
import type { Update } from '../../../protocol/paxos/proposer.ts';
import { micros } from '../../../protocol/types.ts';
import { Register } from './register.ts';

const IDS = ['a', 'b', 'c'] as const;
const set = { id: 's', version: 1, seats: IDS.map((id) => ({ id, store: '', address: id })) };
const next = { ...set, version: 2 };
const SHORT = micros(100_000);

/** Three acceptors in memory, whose disks are always there at once. */
class World {
  readonly #acceptors = new Map(
    IDS.map((id: string) => {
      const record = { set, mode: 'serving', next: null } as const;
      return [id, openAcceptor(id, id, [{ record, registers: [] }])];
    }),
  );
  #round = 100;
  #proposers = 0;

  ask(id: string, body: AcceptorRequest): AcceptorAnswer {
    const state = this.#acceptors.get(id);
    assert.ok(state);
    const effects = stepAcceptor(state, { kind: 'request', request: 1, body });
    effects.push(...stepAcceptor(state, { kind: 'saved', save: state.issued }));
    const reply = effects.find(({ kind }) => kind === 'reply');
    assert.ok(reply?.kind === 'reply');
    return reply.answer;
  }

  /** Another proposer prepares there, above whatever was. */
  overtake(id: string): void {
    this.#round += 100;
    const ballot = { round: this.#round, proposer: 'rival' };
    this.ask(id, { kind: 'prepare', set, key: 'x', ballot });
  }

  register(before: (id: string, body: AcceptorRequest) => void = () => undefined): Register {
    this.#proposers += 1;
    const ask = async (seat: Seat, bodies: readonly AcceptorRequest[]) =>
      bodies.map((body) => {
        before(seat.id, body);
        return this.ask(seat.id, body);
      });
    const parts = {
      clock: nodeClock,
      random: nodeRandom('outcome'),
      logger: silent,
      proposer: `p${this.#proposers}`,
      ask,
      prepareSeat: () => Promise.resolve(),
      onSet: () => undefined,
    };
    return new Register(parts, set);
  }
}

const mine: Update = (value) => value ?? 'mine';

async function errorOf(change: Promise<unknown>): Promise<JournalError> {
  const error = await change.then(
    () => null,
    (caught: unknown) => caught,
  );
  assert.ok(error instanceof JournalError, String(error));
  return error;
}

const told = ({ code, outcome }: JournalError) => [code, outcome];

test('a change that is outbid after an acceptor has accepted it may come yet', async () => {
  const world = new World();
  const register = world.register((id, { kind }) => {
    if (kind === 'accept' && id !== 'a') world.overtake(id);
  });
  const error = await errorOf(register.change('x', mine, SHORT));
  assert.deepEqual(told(error), ['UNAVAILABLE', 'unknown']);
  const carriedOn = await world.register().change('x', (value) => value);
  assert.equal(carriedOn.value, 'mine');
});

test('a change whose set is sealed after an acceptor has accepted it may come yet', async () => {
  const world = new World();
  let sealed = false;
  const register = world.register((id, { kind }) => {
    if (kind === 'accept' && id !== 'a') {
      world.ask(id, { kind: 'seal', set, next });
      sealed = true;
    } else if (sealed) throw new Error('lost');
  });
  const error = await errorOf(register.change('x', mine, SHORT));
  assert.deepEqual(told(error), ['UNAVAILABLE', 'unknown']);
  assert.equal(register.set.version, 2, 'it has seen the next set');
});

test('a change that never came to propose surely changed nothing', async () => {
  const world = new World();
  const register = world.register((id, { kind }) => {
    if (kind === 'prepare') world.overtake(id);
  });
  const error = await errorOf(register.change('x', mine, SHORT));
  assert.deepEqual(told(error), ['UNAVAILABLE', 'none']);
});

test('a later attempt that is given up says nothing of one that proposed', async () => {
  const given = new JournalError('CANCELLED', 'the caller left');
  const giveUp = (after: number): Update => {
    let calls = 0;
    return (value) => {
      calls += 1;
      if (calls > after) throw given;
      return mine(value);
    };
  };
  const world = new World();
  const at = () => {
    let overtaken = 0;
    return world.register((id, { kind }) => {
      if (kind !== 'accept' || id === 'a' || overtaken === 2) return;
      overtaken += 1;
      world.overtake(id);
    });
  };
  assert.equal(await errorOf(at().change('x', giveUp(0))), given);
  const error = await errorOf(at().change('x', giveUp(1)));
  assert.deepEqual(told(error), ['CANCELLED', 'unknown']);
});
