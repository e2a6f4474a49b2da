// What a serving member gives to whoever copies its log while that log moves on under it.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { CallContext } from '../../io/network.ts';
import { nodeClock } from '../../io/node.ts';
import { decodeBatch } from '../../log/batch.ts';
import { memoryVolume } from '../../log/memory.ts';
import { EMPTY_SHAPE } from '../../protocol/chain/shape.ts';
import { epoch, lsn, NO_LSN } from '../../protocol/types.ts';
import { chainOf, memberOf } from '../../test/configurations.ts';
import { append } from '../../test/log/batches.ts';
import type { FetchAnswer, FetchRequest } from '../../transport/control.ts';
import type { Host } from '../drive/host.ts';
import { fetchHandler } from './fetch.ts';

/** A member of lineage 2 with two batches, of which the first is committed. */
function source() {
  const { journal } = chainOf(1, memberOf('a'));
  const log = memoryVolume().create(journal);
  append(log, 5);
  append(log, 3);
  return {
    name: 'orders',
    closed: false,
    readable: true,
    isMember: true,
    lineage: 2,
    committedLsn: lsn(5),
    log,
    state: { shape: log.shape() },
    bell: { wait: async () => {} },
  };
}

/** The copy of a learner that has nothing, or what is asked for else. */
function copied(
  host: ReturnType<typeof source>,
  wanted: Partial<FetchRequest> = {},
): AsyncIterator<FetchAnswer> {
  // cast: a copy asks no more of a host than this.
  const find = () => host as unknown as Host;
  const handler = fetchHandler({ clock: nodeClock, access: () => {}, find });
  assert.ok(handler.kind === 'serverStream');
  const { journal } = host.log;
  const range = { repairFirstLsn: NO_LSN, repairLastLsn: NO_LSN };
  const request = { journal, lineage: 2, shape: EMPTY_SHAPE, ...range, ...wanted };
  const { signal } = new AbortController();
  const context: CallContext = { signal, identities: [], peer: '' };
  // cast: the handler is the one of `fetch`.
  return (handler.handle(request, context) as AsyncIterable<FetchAnswer>)[Symbol.asyncIterator]();
}

function given({ done, value }: IteratorResult<FetchAnswer>): number[] {
  assert.ok(done !== true && value.kind === 'batches');
  return value.batches.map((bytes) => decodeBatch(bytes).header.firstLsn);
}

test('who copies is given what is committed, and the rest once it is', async () => {
  const host = source();
  const answers = copied(host);
  assert.deepEqual(given(await answers.next()), [1]);
  assert.deepEqual(given(await answers.next()), []);
  host.committedLsn = lsn(8);
  assert.deepEqual(given(await answers.next()), [6]);
  await answers.return?.();
});

// It would be taken for a part of the log that took its place.
test('what was read while the lineage changed is given to nobody', async () => {
  const host = source();
  const { log } = host;
  const answers = copied(host);
  assert.deepEqual(given(await answers.next()), [1]);
  host.committedLsn = lsn(8);
  const read = log.read.bind(log);
  log.read = async (...place) => {
    const batches = await read(...place);
    host.lineage = 3;
    return batches;
  };
  await assert.rejects(answers.next(), { code: 'UNAVAILABLE' });
});

test('who is put out gives a range only as far as both logs are the same', async () => {
  const whole = { repairFirstLsn: lsn(1), repairLastLsn: lsn(8) };
  const host = source();
  host.committedLsn = lsn(8);
  const { shape } = host.state;
  const [run] = shape.runs;
  assert.ok(run !== undefined);
  const later = { firstLsn: lsn(6), epoch: epoch(run.epoch + 1) };
  const parted = { ...shape, runs: [run, later] };
  const range = async (wanted: Partial<FetchRequest>): Promise<number[]> => {
    const answer = await copied(host, { ...whole, ...wanted }).next();
    return answer.done === true ? [] : given(answer);
  };
  assert.deepEqual(await range({ shape: parted }), [1, 6], 'a member');
  host.isMember = false;
  assert.deepEqual(await range({ shape: parted }), [1], 'one that was put out');
  assert.deepEqual(await range({ shape }), [1, 6], 'with the same epochs');
  assert.deepEqual(await range({ shape: EMPTY_SHAPE }), [], 'with none');
  host.isMember = true;
  assert.deepEqual(await range({ shape: parted, lineage: 3 }), [1], 'of a lineage that is over');
});
