// Every failure has the exit code and the words that scripts rely on.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ERROR_CODES, type ErrorCode, JournalError } from '../protocol/errors.ts';
import { lsn, RangeViolation } from '../protocol/types.ts';
import { AppendStopped, EXIT, exitCodeOf, failureOf, UsageError } from './output.ts';

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
