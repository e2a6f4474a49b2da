// Asking until it is done, as the doctor does once the faults are over.

import { JournalError } from '../protocol/errors.ts';

/**
 * Asks again while the answer is that it may be asked again.
 *
 * Each try is a call of its own, so one whose outcome cannot be told is no reason to give up where
 * that is to be expected: in a crowded journal the writer whose answer was lost may be evicted by
 * the time that its session asks again. Whoever insists has a bound on how long.
 */
export async function insist<Result>(
  task: () => Promise<Result>,
  { crowded, pause }: { readonly crowded: boolean; readonly pause: () => Promise<unknown> },
): Promise<Result> {
  for (;;) {
    try {
      return await task();
    } catch (error) {
      if (!(error instanceof JournalError)) throw error;
      const evicted = crowded && error.code === 'STALE_WRITER' && error.outcome === 'unknown';
      if (!error.retryable && error.code !== 'ALREADY_EXISTS' && !evicted) throw error;
      await pause();
    }
  }
}
