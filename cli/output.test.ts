// Every failure has the exit code and words that scripts rely on, and no output is lost in silence.

import assert from 'node:assert/strict';
import { Writable } from 'node:stream';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { ERROR_CODES, type ErrorCode, JournalError } from '../protocol/errors.ts';
import { lsn, RangeViolation } from '../protocol/types.ts';
import {
  AppendStopped,
  EXIT,
  exitCodeOf,
  failureOf,
  Interrupted,
  Output,
  UsageError,
} from './output.ts';

const codes = Object.keys(ERROR_CODES).filter((code): code is ErrorCode => code in ERROR_CODES);

test('each code of the protocol ends with the exit code of the manual', () => {
  const by = (exit: number): string =>
    codes
      .filter((code) => exitCodeOf(new JournalError(code, 'x')) === exit)
      .sort()
      .join(' ');
  assert.equal(by(EXIT.usage), 'INVALID_ARGUMENT OUT_OF_RANGE');
  assert.equal(by(EXIT.conditionNotMet), 'CONDITION_FAILED FENCED');
  assert.equal(by(EXIT.outcomeUnknown), 'STALE_WRITER');
  assert.equal(by(EXIT.notFound), 'NOT_FOUND TRIMMED');
  assert.equal(by(EXIT.damaged), 'DAMAGED');
  assert.equal(
    by(EXIT.unavailable),
    'CANCELLED DEADLINE_EXCEEDED DISK_FULL NOT_HEAD NO_SURVIVOR OVERLOADED SEQUENCE_GAP ' +
      'STALE_EPOCH UNAVAILABLE UNDER_REPLICATED',
  );
});

test('an unknown outcome outweighs every code', () => {
  for (const code of codes) {
    assert.equal(exitCodeOf(new JournalError(code, 'x', {}, 'unknown')), EXIT.outcomeUnknown);
  }
});

test('a refusal shows its facts, but no configuration', () => {
  const error = new JournalError('TRIMMED', 'gone', { firstLsn: lsn(7) });
  const { details, message, exitCode } = failureOf(error);
  assert.deepEqual([details, message, exitCode], [{ outcome: 'none', firstLsn: 7 }, 'gone', 6]);
});

test('wrong usage is code 2, whoever noticed it', () => {
  for (const error of [new UsageError('x'), new RangeViolation('lsn', -1, '1 or more')]) {
    const { exitCode, code } = failureOf(error);
    assert.deepEqual([exitCode, code], [EXIT.usage, 'INVALID_ARGUMENT']);
  }
  assert.equal(failureOf(new Error('x')).exitCode, EXIT.failed);
});

test('an append that stopped says its key and what is there', () => {
  const reason = new JournalError('UNAVAILABLE', 'nobody answered', {}, 'unknown');
  const acknowledged = { records: 3, lastLsn: 9 };
  const facts = { exitCode: EXIT.outcomeUnknown, idempotencyKey: 'job', acknowledged };
  const failure = failureOf(new AppendStopped(reason.message, reason, facts));
  assert.equal(failure.exitCode, 4);
  assert.deepEqual(failure.details, { outcome: 'unknown', acknowledged, idempotencyKey: 'job' });
});

/** A stream whose reader takes each write only when `take` is called, or fails it. */
function reader() {
  const seen: string[] = [];
  let take: (error?: Error) => void = () => {};
  const stream = new Writable({
    write(piece: Buffer, _encoding, done) {
      seen.push(piece.toString());
      take = done;
    },
  });
  return { stream, seen, take: (error?: Error): void => take(error) };
}

/** Whether a promise is settled once the event loop has turned. */
async function settled(promise: Promise<unknown>): Promise<boolean> {
  let is = false;
  const now = (): void => {
    is = true;
  };
  promise.then(now, now);
  await turn();
  return is;
}

test('a flush waits for the write that is under way, and so does whoever writes more', async () => {
  const { stream, seen, take } = reader();
  const output = new Output(undefined, stream);
  await output.write('a');
  await turn();
  assert.deepEqual(seen, ['a']);
  const flushed = output.flush();
  assert.equal(await settled(flushed), false);
  const more = [output.write('b'), output.write('c')];
  assert.equal(await settled(Promise.race(more)), false);
  take();
  await turn();
  assert.deepEqual(seen, ['a', 'bc'], 'what gathers meanwhile goes out together');
  assert.equal(await settled(Promise.race(more)), false);
  take();
  await Promise.all([flushed, ...more]);
});

test('a reader that goes away is seen by the flush that meets it, and is no error', async () => {
  const { stream, take } = reader();
  const output = new Output(undefined, stream);
  await output.write('a');
  const flushed = output.flush();
  take(Object.assign(new Error('write EPIPE'), { code: 'EPIPE' }));
  await flushed;
  assert.deepEqual([output.open, output.closed.aborted], [false, true]);
  await output.write('b');
  await output.flush();
});

test('a disk that is full is told by every write and flush from then on', async () => {
  const { stream, take } = reader();
  const output = new Output(undefined, stream);
  await output.write('a');
  await turn();
  take(Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' }));
  await turn();
  const words = /^stdout cannot be written: ENOSPC: no space left/;
  await assert.rejects(output.write('b'), { message: words });
  await assert.rejects(output.flush(), { message: words });
  assert.deepEqual([output.open, output.closed.aborted], [false, true]);
});

test('a reader that is stuck holds nobody who was told to end', async () => {
  const { stream } = reader();
  const stop = new AbortController();
  const output = new Output(stop.signal, stream);
  await output.write('a');
  const flushed = output.flush();
  stop.abort(new Interrupted('SIGTERM'));
  await assert.rejects(flushed, Interrupted);
  assert.equal(output.open, false);
});

test('a reader that takes what there is gets the rest after ^C', async () => {
  const { stream, seen, take } = reader();
  const stop = new AbortController();
  const output = new Output(stop.signal, stream);
  stop.abort(new Interrupted('SIGINT'));
  await output.write('the rest');
  const flushed = output.flush();
  take();
  await flushed;
  assert.deepEqual([seen, output.open], [['the rest'], true]);
});
