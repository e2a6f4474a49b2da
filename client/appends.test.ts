// Transcripts of a session: what goes out, what comes back, and what each caller is told.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type AppendCondition, NO_CONDITION } from '../protocol/chain/messages.ts';
import { type ErrorCode, JournalError } from '../protocol/errors.ts';
import { epoch, journalId, lsn, micros, writerId } from '../protocol/types.ts';
import { type AppendsEffect, type AppendsInput, stepAppends } from './appends.ts';
import { hasWork, needsWriter, openAppends, type Submission, transmit } from './batching.ts';

const LIMITS = { mergedBytesMax: 1_000, recordBytesMax: 500 };

/** A session at work: every effect becomes a line of text. */
class Desk {
  readonly state = openAppends(LIMITS);
  readonly lines: string[] = [];
  /** Of every batch that went out, in order. */
  readonly conditions: AppendCondition[] = [];
  /** By tag: which journal each batch was sent to. */
  readonly sentTo = new Map<number, string | undefined>();

  apply(input: AppendsInput): this {
    for (const effect of stepAppends(this.state, input)) {
      this.lines.push(line(effect));
      if (effect.kind !== 'send') continue;
      this.conditions.push(effect.call.condition);
      this.sentTo.set(effect.call.tag, effect.call.journalId);
    }
    return this;
  }

  /** What happened since the last look. */
  look(): string {
    return this.lines.splice(0).join('\n');
  }

  opened(digit: string, journal = 'e'): this {
    const writer = writerId(digit.repeat(32));
    const id = journalId(journal.repeat(32));
    return this.apply({ kind: 'opened', journal: id, writer, limits: LIMITS });
  }

  connected(journal = 'e'): this {
    return this.apply({ kind: 'connected', journal: journalId(journal.repeat(32)) });
  }

  submit(id: number, more: Partial<Submission> = {}): this {
    return this.apply({ kind: 'submit', submission: { ...submission(id), ...more } });
  }

  flush(): this {
    return this.apply({ kind: 'flush' });
  }

  appended(tag: number, firstLsn: number, count = 1): this {
    const answer = {
      tag,
      firstLsn: lsn(firstLsn),
      lastLsn: lsn(firstLsn + count - 1),
      timestampMicros: micros(firstLsn * 10),
      epoch: epoch(1),
      duplicate: false,
    };
    return this.apply({ kind: 'appended', answer });
  }

  refused(tag: number, code: ErrorCode, outcome: 'none' | 'unknown' = 'none'): this {
    return this.apply({ kind: 'refused', tag, error: refusalOf(code, outcome) });
  }

  broken(reached = true): this {
    return this.apply({ kind: 'broken', error: refusalOf('UNAVAILABLE'), reached });
  }

  giveUp(id: number): this {
    return this.apply({ kind: 'giveUp', id, error: refusalOf('DEADLINE_EXCEEDED') });
  }
}

const refusalOf = (code: ErrorCode, outcome: 'none' | 'unknown' = 'none'): JournalError =>
  new JournalError(code, 'said the test', {}, outcome);

const submission = (id: number): Submission => ({
  id,
  records: [{ data: new Uint8Array([id]) }],
  bytes: 33,
  condition: NO_CONDITION,
  keyOperation: 'tag',
  leaseMillis: 0,
  chosen: null,
});

const conditional = { condition: { ...NO_CONDITION, expectTail: lsn(0) } };

function line(effect: AppendsEffect): string {
  switch (effect.kind) {
    case 'send': {
      const { tag, records, idempotence } = effect.call;
      const { writer = '-', sequence = 0, after = 0 } = idempotence ?? {};
      const ids = records.map(({ data }) => data[0]).join(' ');
      return `send ${tag}: ${ids} as ${writer[0]}${sequence} after ${after}`;
    }
    case 'settle':
      return `${effect.id} is at ${effect.answer.firstLsn}..${effect.answer.lastLsn}`;
    case 'reject':
      return `${effect.id} failed: ${effect.error.code}, ${effect.error.outcome}`;
    case 'pause':
      return `pause: ${effect.error.code}`;
  }
}

const started = (): Desk => new Desk().opened('a').connected();

test('calls of one moment go together, and each caller gets its own positions', () => {
  const desk = started().submit(1).submit(2).submit(3).flush();
  assert.equal(desk.look(), 'send 1: 1 2 3 as a1 after 0');
  assert.equal(desk.appended(1, 7, 3).look(), '1 is at 7..7\n2 is at 8..8\n3 is at 9..9');
  assert.equal(hasWork(desk.state), false);
});

test('of those that went together each learns the time of its own first record', () => {
  const state = openAppends(LIMITS);
  const step = (input: AppendsInput): AppendsEffect[] => stepAppends(state, input);
  const journal = journalId('e'.repeat(32));
  step({ kind: 'opened', journal, writer: writerId('a'.repeat(32)), limits: LIMITS });
  step({ kind: 'connected', journal });
  for (const id of [1, 2]) step({ kind: 'submit', submission: submission(id) });
  step({ kind: 'flush' });
  const [firstLsn, lastLsn, timestampMicros] = [lsn(1), lsn(2), micros(100)];
  const about = { tag: 1, epoch: epoch(1), duplicate: false };
  const answer = { ...about, firstLsn, lastLsn, timestampMicros };
  const settled = step({ kind: 'appended', answer }).flatMap((effect) =>
    effect.kind === 'settle' ? [effect.answer.timestampMicros] : [],
  );
  assert.deepEqual(settled, [100, 101]);
});

test('an append with a condition goes alone, in its place', () => {
  const desk = started().submit(1).submit(2, conditional).submit(3).submit(4).flush();
  assert.equal(
    desk.look(),
    'send 1: 1 as a1 after 0\nsend 2: 2 as a2 after 1\nsend 3: 3 4 as a3 after 2',
  );
});

test('what is sent again is sent under its fence, whatever became of it before', () => {
  const fenced = { ...NO_CONDITION, fence: { key: 'k', token: lsn(3) } };
  const desk = started().submit(1, { condition: fenced }).flush();
  desk.broken().connected().flush();
  desk.refused(2, 'UNAVAILABLE', 'unknown').connected().flush();
  assert.ok(desk.conditions.length >= 3, desk.look());
  for (const condition of desk.conditions) assert.deepEqual(condition, fenced);
});

test('a merged batch stays below the limit of the journal', () => {
  const desk = started();
  for (let id = 1; id <= 4; id += 1) desk.submit(id, { bytes: 400 });
  assert.equal(desk.flush().look(), 'send 1: 1 2 as a1 after 0\nsend 2: 3 4 as a2 after 1');
});

test('with eight batches in flight, small appends wait for an answer and then go together', () => {
  const desk = started();
  for (let id = 1; id <= 8; id += 1) desk.submit(id).flush();
  assert.equal(desk.look().split('\n').length, 8);
  assert.equal(desk.submit(9).flush().submit(10).flush().look(), '');
  assert.equal(desk.appended(1, 1).look(), '1 is at 1..1\nsend 9: 9 10 as a9 after 8');
});

test('conditional appends are pipelined far deeper', () => {
  const desk = started();
  for (let id = 1; id <= 70; id += 1) desk.submit(id, conditional);
  assert.equal(desk.flush().look().split('\n').length, 64);
  assert.match(desk.appended(1, 1).look(), /send 65: 65 as a65 after 64$/);
});

test('after a break all is sent again in order, with the same cuts and numbers', () => {
  const desk = started().submit(1).submit(2).flush().submit(3).flush();
  assert.equal(desk.look(), 'send 1: 1 2 as a1 after 0\nsend 2: 3 as a2 after 1');
  assert.equal(desk.broken().look(), 'pause: UNAVAILABLE');
  assert.equal(desk.submit(4).flush().look(), '');
  assert.equal(
    desk.connected().look(),
    'send 3: 1 2 as a1 after 0\nsend 4: 3 as a2 after 1\nsend 5: 4 as a3 after 2',
  );
  assert.equal(desk.appended(1, 1, 2).look(), '', 'an answer of the old stream says nothing');
  assert.equal(desk.appended(3, 1, 2).look(), '1 is at 1..1\n2 is at 2..2');
});

test('a refusal for now waits for what else is in flight, then all goes again', () => {
  const desk = started();
  for (let id = 1; id <= 3; id += 1) desk.submit(id).flush();
  desk.look();
  assert.equal(desk.refused(1, 'NOT_HEAD').submit(4).flush().look(), '');
  assert.equal(desk.refused(2, 'SEQUENCE_GAP').look(), '');
  assert.equal(desk.refused(3, 'SEQUENCE_GAP').look(), 'pause: NOT_HEAD');
  assert.equal(
    desk.connected().look(),
    'send 4: 1 as a1 after 0\nsend 5: 2 as a2 after 1\nsend 6: 3 as a3 after 2\n' +
      'send 7: 4 as a4 after 3',
  );
});

test('a refusal for good burns its number: what comes later does not wait for it', () => {
  const desk = started().submit(1).flush().submit(2, conditional).flush().submit(3).flush();
  desk.appended(1, 1).look();
  assert.equal(desk.refused(2, 'CONDITION_FAILED').look(), '2 failed: CONDITION_FAILED, none');
  desk.broken().look();
  assert.equal(desk.connected().look(), 'send 4: 3 as a3 after 1');
});

test('who gives up learns what is known of the outcome', async (t) => {
  await t.test('still queued: none', () => {
    const desk = new Desk().submit(1);
    assert.equal(desk.giveUp(1).look(), '1 failed: DEADLINE_EXCEEDED, none');
    assert.equal(hasWork(desk.state), false);
  });
  await t.test('in flight: unknown, and it is not sent again', () => {
    const desk = started().submit(1).flush();
    desk.look();
    assert.equal(desk.giveUp(1).look(), '1 failed: DEADLINE_EXCEEDED, unknown');
    assert.equal(
      desk.broken().submit(2).connected().look(),
      ['pause: UNAVAILABLE', 'send 2: 2 as a2 after 0'].join('\n'),
    );
  });
  await t.test('every try was refused: none, and its records are left out of the batch', () => {
    const desk = started().submit(1).submit(2).flush().refused(1, 'UNDER_REPLICATED');
    desk.look();
    assert.equal(desk.giveUp(1).look(), '1 failed: DEADLINE_EXCEEDED, none');
    assert.equal(desk.connected().look(), 'send 2: 2 as a1 after 0');
  });
  await t.test('one of a batch that may have landed: its cut stays', () => {
    const desk = started().submit(1).submit(2).flush().broken();
    desk.look();
    assert.equal(desk.giveUp(1).look(), '1 failed: DEADLINE_EXCEEDED, unknown');
    assert.equal(desk.connected().look(), 'send 2: 1 2 as a1 after 0');
    assert.equal(desk.appended(2, 1, 2).look(), '2 is at 2..2');
  });
});

test('one caller at fault does not fail the others of its batch', () => {
  const desk = started().submit(1).submit(2).flush();
  desk.look();
  assert.equal(
    desk.refused(1, 'LIMIT_EXCEEDED').look(),
    'send 2: 1 as a2 after 0\nsend 3: 2 as a3 after 2',
  );
  assert.equal(desk.refused(2, 'LIMIT_EXCEEDED').look(), '1 failed: LIMIT_EXCEEDED, none');
  assert.equal(desk.appended(3, 1).look(), '2 is at 1..1');
});

test('after a lost answer a refusal under a chosen key is proof where records lie under it', () => {
  const chosen = { writer: writerId('c'.repeat(32)), sequence: 1, after: 0 };
  const told = (code: ErrorCode, byPerson: boolean): string => {
    const own = { ...conditional, chosen: { ...chosen, chosen: byPerson } };
    const desk = started().submit(1, own).flush().broken().connected();
    desk.look();
    return desk.refused(2, code).look();
  };
  assert.equal(told('CONDITION_FAILED', true), '1 failed: CONDITION_FAILED, unknown');
  assert.equal(told('IDEMPOTENCY_MISMATCH', true), '1 failed: IDEMPOTENCY_MISMATCH, none');
  // The number that another process sent it under.
  assert.equal(told('CONDITION_FAILED', false), '1 failed: CONDITION_FAILED, none');
});

test('after a lost answer only what is judged after the look for a duplicate is proof', () => {
  const lost = (): Desk => started().submit(1, conditional).flush().broken().connected();
  const told = (code: ErrorCode): string | undefined => {
    const desk = lost();
    desk.look();
    return desk.refused(2, code).look();
  };
  assert.equal(told('CONDITION_FAILED'), '1 failed: CONDITION_FAILED, none');
  assert.equal(told('FENCED'), '1 failed: FENCED, none');
  // A journal over its size is refused at the edge, of a head that was replaced as well.
  assert.equal(told('LIMIT_EXCEEDED'), '1 failed: LIMIT_EXCEEDED, unknown');
  assert.equal(told('PERMISSION_DENIED'), '1 failed: PERMISSION_DENIED, unknown');
  assert.equal(told('NOT_FOUND'), '1 failed: NOT_FOUND, unknown');
  assert.equal(told('STALE_WRITER'), '1 failed: STALE_WRITER, unknown');
});

test('a writer that the log forgot opens a new session for what surely did not land', () => {
  const desk = started().submit(1).flush().submit(2).flush();
  desk.look();
  desk.refused(1, 'STALE_WRITER');
  assert.equal(desk.refused(2, 'STALE_WRITER').look(), 'pause: STALE_WRITER');
  assert.equal(needsWriter(desk.state), true);
  assert.equal(
    desk.opened('b').connected().look(),
    'send 3: 1 as b1 after 0\nsend 4: 2 as b2 after 1',
  );
});

test('a log that knows nothing of the session, such as one made anew, is not waited for', () => {
  const desk = started().submit(1).flush().appended(1, 1).submit(2).flush();
  desk.refused(2, 'SEQUENCE_GAP').look();
  assert.equal(desk.connected().look(), 'send 3: 2 as a2 after 1');
  assert.equal(desk.refused(3, 'SEQUENCE_GAP').look(), 'pause: SEQUENCE_GAP');
  assert.equal(desk.opened('b').connected().look(), 'send 4: 2 as b1 after 0');
});

test('a gap makes nothing new of what may have landed, or of what waits for one before it', () => {
  const unsure = started().submit(1).flush().broken().connected();
  unsure.refused(2, 'SEQUENCE_GAP').connected().refused(3, 'SEQUENCE_GAP').look();
  assert.equal(unsure.connected().look(), 'send 4: 1 as a1 after 0');
  const behind = started().submit(1).flush().submit(2).flush();
  behind.refused(1, 'UNDER_REPLICATED').refused(2, 'SEQUENCE_GAP').connected();
  behind.refused(3, 'UNDER_REPLICATED').refused(4, 'SEQUENCE_GAP').look();
  assert.equal(behind.connected().look(), 'send 5: 1 as a1 after 0\nsend 6: 2 as a2 after 1');
});

test('a chosen key has no order, needs no session and is never merged', () => {
  const chosen = { writer: writerId('c'.repeat(32)), sequence: 5, after: 0, chosen: true };
  const desk = new Desk().submit(1, { chosen }).submit(2, { chosen: { ...chosen, sequence: 6 } });
  assert.equal(needsWriter(desk.state), false);
  assert.equal(desk.connected().look(), 'send 1: 1 as c5 after 0\nsend 2: 2 as c6 after 0');
  assert.equal(desk.refused(1, 'STALE_WRITER').look(), '1 failed: STALE_WRITER, unknown');
});

test('who is told that the outcome is unknown learns the number of what was all its own', () => {
  const numberOf = (desk: Desk, error = refusalOf('DEADLINE_EXCEEDED')) => {
    const [effect] = stepAppends(desk.state, { kind: 'giveUp', id: 1, error });
    return effect?.kind === 'reject' ? effect.error.details.sentAs : assert.fail('no refusal');
  };
  const writer = 'a'.repeat(32);
  assert.deepEqual(numberOf(started().submit(1).flush()), { writer, sequence: 1 });
  assert.equal(numberOf(started().submit(1)), undefined, 'it was not sent');
  assert.equal(numberOf(started().submit(1).submit(2).flush()), undefined, 'it was merged');
  const chosen = { writer: writerId('c'.repeat(32)), sequence: 5, after: 0, chosen: true };
  assert.equal(numberOf(started().submit(1, { chosen }).flush()), undefined, 'it has a name');
  const again = { chosen: { ...chosen, chosen: false } };
  const desk = started().submit(1, again).submit(2).flush();
  assert.equal(desk.look(), 'send 1: 1 as c5 after 0\nsend 2: 2 as a1 after 0');
  const [sent] = [...desk.state.inFlight.values()].map((batch) => transmit(desk.state, batch));
  assert.equal(sent?.call.idempotence?.chosen, false);
  assert.deepEqual(numberOf(desk), { writer: 'c'.repeat(32), sequence: 5 });
});

test('closing tells everybody', () => {
  const desk = started().submit(1).flush().submit(2);
  desk.look();
  const error = new JournalError('CANCELLED', 'the client was closed');
  assert.equal(
    desk.apply({ kind: 'failAll', error }).look(),
    '1 failed: CANCELLED, unknown\n2 failed: CANCELLED, none',
  );
});

const journals = (desk: Desk): string => {
  const tags = [...desk.state.inFlight.keys()].map(
    (tag) => `${tag} to ${desk.sentTo.get(tag)?.[0]}`,
  );
  return tags.join(', ');
};

test('a journal made anew gets what is fresh, and no retry of what may have landed', () => {
  const desk = started().submit(1, conditional).flush().broken().connected('f');
  assert.equal(desk.look(), 'send 1: 1 as a1 after 0\npause: UNAVAILABLE\nsend 2: 1 as a1 after 0');
  assert.equal(journals(desk), '2 to e');
  assert.equal(desk.refused(2, 'NOT_FOUND').look(), '1 failed: NOT_FOUND, unknown');
  desk.submit(2).flush().opened('b', 'f').connected('f');
  assert.equal(desk.look(), 'pause: STALE_WRITER\nsend 3: 2 as b1 after 0');
  assert.equal(journals(desk), '3 to f');
});

test('an append that surely did not land is sent again when its journal was made anew', () => {
  const desk = started().submit(1).flush();
  desk.look();
  assert.equal(desk.refused(1, 'NOT_FOUND').look(), 'pause: NOT_FOUND');
  assert.equal(needsWriter(desk.state), true);
  assert.equal(desk.opened('b', 'f').connected('f').look(), 'send 2: 1 as b1 after 0');
  assert.equal(journals(desk), '2 to f');
});

test('what was sent to nobody surely did not land, unless an earlier try may have', () => {
  const desk = started().submit(1).submit(2, conditional).flush();
  desk.look();
  assert.equal(desk.broken(false).look(), 'pause: UNAVAILABLE');
  assert.equal(desk.giveUp(1).look(), '1 failed: DEADLINE_EXCEEDED, none');
  desk.connected().broken().connected().broken(false).look();
  assert.equal(desk.giveUp(2).look(), '2 failed: DEADLINE_EXCEEDED, unknown');
});

test('a refusal for now of a later try says nothing of an earlier one that got no answer', () => {
  const desk = started().submit(1).flush().broken().connected().refused(2, 'NOT_HEAD');
  desk.connected().look();
  assert.equal(desk.giveUp(1).look(), '1 failed: DEADLINE_EXCEEDED, unknown');
  const told = started().submit(1).flush().refused(1, 'DISK_FULL', 'unknown').connected();
  told.refused(2, 'NOT_HEAD').look();
  assert.equal(told.giveUp(1).look(), '1 failed: DEADLINE_EXCEEDED, unknown');
});
