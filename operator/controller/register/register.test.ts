// Registers over three real acceptors on the disk of this machine: what is chosen stays, whoever
// dies in between; and an old copy of an acceptor is told from the acceptor.

import assert from 'node:assert/strict';
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { silent } from '../../../io/logger.ts';
import { nodeClock, nodeDisk, nodeRandom } from '../../../io/node.ts';
import { type Metadata, openMetadata } from '../../../log/metadata.ts';
import { InvariantViolation, JournalError } from '../../../protocol/errors.ts';
import type {
  AcceptorAnswer,
  AcceptorRequest,
  AcceptorSet,
  Seat,
} from '../../../protocol/paxos/messages.ts';
import { micros } from '../../../protocol/types.ts';
import { chainOf, memberOf } from '../../../test/configurations.ts';
import { Acceptor, encodeChanges } from './acceptor.ts';
import { forceLoss, type LossOrder, wasForced } from './loss.ts';
import { Nonces } from './nonces.ts';
import {
  decodeConfiguration,
  decodeLoss,
  encode,
  journalKey,
  lossKey,
  replacing,
} from './records.ts';
import { Register } from './register.ts';
import { decodeAnswer, decodeRequest, encodeAnswer, encodeRequest } from './wire.ts';

const root = mkdtempSync(join(tmpdir(), 'journal-register-'));
const worlds: World[] = [];
after(async () => {
  for (const world of worlds) await world.close();
  rmSync(root, { recursive: true, force: true });
});

const seatsOf = (ids: readonly string[]): readonly Seat[] =>
  ids.map((id) => ({ id, store: '', address: id }));

const CLUSTER = '0'.repeat(32);

/** Acceptors by label, each with a disk; requests pass through the codec of the wire. */
class World {
  readonly directory = mkdtempSync(join(root, 'world-'));
  readonly set: AcceptorSet;
  readonly down = new Set<string>();
  /** Kinds of requests whose answers are lost. */
  readonly deaf = new Set<AcceptorRequest['kind']>();
  readonly #acceptors = new Map<string, { acceptor: Acceptor; metadata: Metadata }>();
  /** Why acceptors asked for the end of their process. */
  readonly ends: Error[] = [];
  #proposers = 0;

  constructor(ids: readonly string[]) {
    this.set = { id: 's', version: 1, seats: seatsOf(ids) };
  }

  async start(id: string, first = true): Promise<void> {
    const metadata = await openMetadata({
      disk: nodeDisk,
      directory: join(this.directory, id),
      logger: silent,
    });
    if (first && metadata.keys('').length === 0) {
      const record = { set: this.set, mode: 'serving' as const, next: null };
      await metadata.save(encodeChanges([{ kind: 'set', record }]));
    }
    const acceptor = new Acceptor({
      id,
      store: id,
      metadata,
      logger: silent,
      onAccepted: () => undefined,
      onPrepared: () => undefined,
      onFailed: (error) => void this.ends.push(error),
    });
    acceptor.open();
    this.#acceptors.set(id, { acceptor, metadata });
  }

  async stop(id: string): Promise<void> {
    const running = this.#acceptors.get(id);
    this.#acceptors.delete(id);
    running?.acceptor.close('stopped');
    await running?.metadata.close();
  }

  async close(): Promise<void> {
    for (const id of [...this.#acceptors.keys()]) await this.stop(id);
    assert.deepEqual(this.ends, []);
  }

  acceptor(id: string): Acceptor {
    const running = this.#acceptors.get(id);
    assert.ok(running);
    return running.acceptor;
  }

  register(): Register {
    this.#proposers += 1;
    const parts = {
      clock: nodeClock,
      random: nodeRandom('register'),
      logger: silent,
      proposer: `p${this.#proposers}`,
      ask: (seat: Seat, requests: readonly AcceptorRequest[]) => this.#ask(seat, requests),
      prepareSeat: () => Promise.resolve(),
      onSet: () => undefined,
    };
    return new Register(parts, this.set);
  }

  async #ask(seat: Seat, requests: readonly AcceptorRequest[]): Promise<readonly AcceptorAnswer[]> {
    if (this.down.has(seat.id)) throw new JournalError('UNAVAILABLE', `${seat.id} is down`);
    const sent = decodeRequest(encodeRequest(CLUSTER, { kind: 'paxos', requests })).request;
    assert.equal(sent.kind, 'paxos');
    if (sent.kind !== 'paxos') return [];
    const answers = await this.acceptor(seat.id).answer(sent.requests);
    if (requests.some(({ kind }) => this.deaf.has(kind))) {
      throw new JournalError('DEADLINE_EXCEEDED', 'the answer is lost');
    }
    const back = decodeAnswer(encodeAnswer({ kind: 'paxos', answers }));
    return back.kind === 'paxos' ? back.answers : [];
  }
}

async function open(...ids: readonly string[]): Promise<World> {
  const world = new World(ids);
  worlds.push(world);
  for (const id of ids) await world.start(id);
  return world;
}

const add =
  (token: string) =>
  (value: string | null): string =>
    value === null ? token : `${value} ${token}`;

test('what one proposer chose another one reads', async () => {
  const world = await open('a', 'b', 'c');
  const [one, two] = [world.register(), world.register()];
  assert.equal(await two.read('x'), null);
  assert.deepEqual(await one.change('x', add('1')), {
    kind: 'chosen',
    before: null,
    value: '1',
  });
  assert.equal(await two.read('x'), '1');
  assert.equal((await two.change('x', add('2'))).value, '1 2');
  assert.deepEqual(await one.keys('x'), ['x']);
});

test('one acceptor of three may be away, two may not', async () => {
  const world = await open('a', 'b', 'c');
  const register = world.register();
  world.down.add('a');
  assert.equal((await register.change('x', add('1'))).value, '1');
  world.down.add('b');
  await assert.rejects(
    register.change('x', add('2'), micros(200_000)),
    (error) => error instanceof JournalError && error.code === 'UNAVAILABLE',
  );
  world.down.clear();
  assert.equal(await register.read('x'), '1');
});

test('a lost answer is an unknown outcome, and the next one finds what became of it', async () => {
  const world = await open('a', 'b', 'c');
  const register = world.register();
  world.deaf.add('accept');
  await assert.rejects(
    register.change('x', add('1'), micros(100_000)),
    (error) => error instanceof JournalError && error.outcome === 'unknown',
  );
  world.deaf.clear();
  const value = await world.register().read('x');
  assert.match(value ?? '', /^1/, 'every acceptor had accepted it');
});

test('many proposers at once make one history', async () => {
  const world = await open('a', 'b', 'c');
  const registers = [world.register(), world.register(), world.register()];
  const tokens = Array.from({ length: 12 }, (_, at) => `t${at}`);
  await Promise.all(
    tokens.map((token, at) => registers[at % 3]?.change('x', add(token), micros(20_000_000))),
  );
  const value = (await world.register().read('x'))?.split(' ') ?? [];
  // An attempt whose outcome was not known is made again: at least once, in one order.
  for (const token of tokens) assert.ok(value.includes(token), `${token} is missing`);
});

test('the keys are those of a majority: who answers first may have missed some', async () => {
  const world = await open('a', 'b', 'c');
  world.down.add('a');
  await world.register().change('x', add('1'));
  world.down.clear();
  // a is asked first.
  assert.deepEqual(await world.register().keys(''), ['x']);
});

test('a restarted acceptor has every promise that it gave', async () => {
  const world = await open('a', 'b', 'c');
  const register = world.register();
  await register.change('x', add('1'));
  for (const id of ['a', 'b', 'c']) {
    await world.stop(id);
    await world.start(id);
  }
  const ballot = { round: 1, proposer: 'p0' };
  const prepare = { kind: 'prepare', set: world.set, key: 'x', ballot } as const;
  const [answer] = await world.acceptor('a').answer([prepare]);
  assert.equal(answer?.kind, 'nack');
  assert.equal(await world.register().read('x'), '1');
});

test('a set is replaced with one of its acceptors dead', async () => {
  const world = await open('a', 'b', 'c');
  await world.start('d', false);
  const register = world.register();
  await register.change('x', add('1'));
  world.down.add('a');
  const decided = await register.replace(seatsOf(['b', 'c', 'd']));
  assert.equal(decided.version, 2);
  assert.equal(await register.read('x'), '1');
  world.down.clear();
  world.down.add('b');
  assert.equal((await register.change('x', add('2'))).value, '1 2', 'd has taken its place');
  // Who knows the old set only is told the new one.
  world.down.clear();
  const late = world.register();
  assert.equal((await late.change('x', add('3'))).value, '1 2 3');
  assert.equal(late.set.version, 2);
});

async function nonces(directory: string, nonce: string, peers: readonly string[]) {
  const metadata = await openMetadata({ disk: nodeDisk, directory, logger: silent });
  return { book: await Nonces.draw(metadata, nonce, peers), close: () => metadata.close() };
}

test('an old copy of an acceptor is refused, the acceptor itself is not', async () => {
  const at = (name: string): string => join(root, `nonces-${name}`);
  const peer = await nonces(at('b'), 'b1', ['a']);
  const first = await nonces(at('a'), 'a1', ['b']);
  assert.equal(await peer.book.take('a', '', 'A', await first.book.offers('b')), true);
  await first.book.confirmed('b');
  await first.close();
  cpSync(at('a'), at('copy'), { recursive: true });

  // The peer was away at the second start, and is told at the third.
  const second = await nonces(at('a'), 'a2', ['b']);
  await second.close();
  const third = await nonces(at('a'), 'a3', ['b']);
  assert.deepEqual(await third.book.offers('b'), ['a1', 'a2', 'a3']);
  assert.equal(await peer.book.take('a', '', 'A', await third.book.offers('b')), true);
  await third.book.confirmed('b');
  assert.deepEqual(await third.book.offers('b'), ['a3']);
  await third.close();

  // The copy offers what it knew, and its second start offers no more.
  for (const nonce of ['x1', 'x2']) {
    const copy = await nonces(at('copy'), nonce, ['b']);
    assert.equal(await peer.book.take('a', '', 'A', await copy.book.offers('b')), false);
    await copy.close();
  }
  const fourth = await nonces(at('a'), 'a4', ['b']);
  assert.equal(await peer.book.take('a', '', 'A', await fourth.book.offers('b')), true);
  await fourth.close();
  await peer.close();
});

test('a wiped acceptor is refused until the set gives its seat to the new store', async () => {
  const peer = await nonces(join(root, 'nonces-peer'), 'p1', ['a']);
  assert.equal(await peer.book.take('a', '', 'A', ['a1']), true);
  assert.equal(await peer.book.take('a', '', 'B', ['n1']), false, 'another store');
  assert.equal(await peer.book.take('a', '', 'A', ['n1']), false, 'the same store, wiped');
  assert.equal(await peer.book.take('a', 'B', 'A', ['a1']), false, 'the seat is of B');
  assert.equal(await peer.book.take('a', 'B', 'B', ['n1']), true);
  await peer.close();
});

test('an acceptor at which a rule is broken answers nothing any more, and ends', async () => {
  const world = await open('a');
  const acceptor = world.acceptor('a');
  const { id, version } = world.set;
  const accept = (value: string): AcceptorRequest => ({
    kind: 'accept',
    set: { id, version },
    key: 'x',
    ballot: { round: 1, proposer: 'p' },
    value,
  });
  const [first] = await acceptor.answer([accept('one')]);
  assert.equal(first?.kind, 'accepted');
  const damaged = (error: unknown): boolean =>
    error instanceof JournalError && error.code === 'DAMAGED';
  await assert.rejects(acceptor.answer([accept('two')]), damaged, 'one ballot, two values');
  await assert.rejects(acceptor.answer([accept('one')]), damaged);
  const ended = world.ends.splice(0);
  assert.equal(ended.length, 1);
  assert.ok(ended[0] instanceof InvariantViolation, String(ended[0]));
});

test('of two losses that are ordered at once the record names the one that won', async () => {
  const world = await open('a', 'b', 'c');
  const [one, two] = [world.register(), world.register()];
  const latest = chainOf(7, memberOf('x'), memberOf('y'));
  const { journal } = latest;
  const lost = { latest, signal: new AbortController().signal };
  const first: LossOrder = { ...lost, member: memberOf('x'), reason: 'R1', requestId: 'one' };
  const second: LossOrder = { ...lost, member: memberOf('y'), reason: 'R2', requestId: 'two' };
  const stands = async () => {
    const loss = await two.read(lossKey(journal, 2));
    const decided = decodeConfiguration((await two.read(journalKey(journal))) ?? '');
    assert.ok(loss !== null);
    assert.deepEqual([decided.lineage, decided.serving], [2, [memberOf('y')]]);
    const { member, reason, order, taken, passed } = decodeLoss(loss);
    assert.deepEqual([member, reason, order, taken, passed], ['y', 'R2', 'two', true, ['one']]);
    const asked = ({ member: { id }, requestId }: LossOrder) =>
      wasForced(two, decided, { member: id, requestId });
    assert.equal(await asked(second), true, 'its answer was lost: it is not done twice');
    await assert.rejects(asked(first), /another order was ahead: .* went on from y \("R2"\)/);
    assert.equal(await asked({ ...second, requestId: 'three' }), false);
  };
  const stale = { code: 'STALE_EPOCH' };
  /** The first order, with `meanwhile` before it changes a register of this kind. */
  const firstWith = (kind: 'loss/' | 'journal/', meanwhile: () => Promise<unknown>) => {
    const change: typeof one.change = async (key, update) => {
      if (key.startsWith(kind)) await meanwhile();
      return await one.change(key, update);
    };
    return forceLoss({ change }, first, silent);
  };
  const undecided = async (): Promise<void> => {
    await two.change(journalKey(journal), () => encode(latest));
    await two.change(lossKey(journal, 2), () => null);
  };
  const other = () => forceLoss(two, second, silent);

  await undecided();
  await assert.rejects(firstWith('journal/', other), stale);
  await stands();
  await undecided();
  await assert.rejects(firstWith('loss/', other), stale);
  await stands();
  // Given up before it took effect, and so no order that was carried out.
  await undecided();
  const gone = { ...first, signal: AbortSignal.abort(new Error('the caller left')) };
  await assert.rejects(forceLoss(one, gone, silent), /the caller left/);
  assert.equal(await wasForced(one, latest, { member: 'x', requestId: 'one' }), false);
  await other();
  await stands();
});

test('a loss that was judged on an epoch that is over is refused', async () => {
  const world = await open('a', 'b', 'c');
  const register = world.register();
  const judged = chainOf(7, memberOf('x'), memberOf('y'));
  const key = journalKey(judged.journal);
  await register.change(key, () => encode(judged));
  // Looked at before y went on alone: what it has acknowledged since x does not have.
  const moved = chainOf(8, memberOf('y'));
  const change: typeof register.change = async (changed, update) => {
    if (changed === key) await world.register().change(key, () => encode(moved));
    return await register.change(changed, update);
  };
  const { signal } = new AbortController();
  const order: LossOrder = { latest: judged, member: memberOf('x'), reason: 'R1', signal };
  await assert.rejects(forceLoss({ change }, order, silent), { code: 'STALE_EPOCH' });
  assert.deepEqual(decodeConfiguration((await register.read(key)) ?? ''), moved);
  const loss = decodeLoss((await register.read(lossKey(judged.journal, 2))) ?? '');
  assert.equal(loss.taken, undefined, 'it is not told as one that took effect');
  // Whoever looks again may order it.
  await forceLoss(register, { ...order, latest: moved, reason: 'R2' }, silent);
  const { lineage, serving } = decodeConfiguration((await register.read(key)) ?? '');
  assert.deepEqual([lineage, serving], [2, [memberOf('x')]]);
});

test('an epoch is decided once, whoever comes second', () => {
  const [x, y, z] = [memberOf('x'), memberOf('y'), memberOf('z')];
  const latest = chainOf(4, x, y, z);
  const [mine, theirs] = [chainOf(5, x, y), chainOf(5, y, z)];
  const replace = replacing(latest, mine);
  assert.equal(replace(encode(latest)), encode(mine));
  for (const ahead of [theirs, chainOf(6, y), { ...latest, lineage: 2 }, mine]) {
    assert.equal(replace(encode(ahead)), encode(ahead));
  }
  assert.equal(replace(encode(chainOf(3, x))), encode(chainOf(3, x)), 'it was not seen yet');
  assert.equal(replace(null), null);
});
