// What is made of the answers of several controllers, and of errors that come after one of them.

import { JournalError, withOutcome } from '../../../protocol/errors.ts';

/** The first `needed` results that are not null; rejects with UNAVAILABLE where too few come. */
export async function enough<Value>(
  asked: readonly Promise<Value | null>[],
  needed: number,
): Promise<readonly Value[]> {
  return await new Promise((resolve, reject) => {
    const good: Value[] = [];
    let open = asked.length;
    const take = (value: Value | null): void => {
      open -= 1;
      if (value !== null) good.push(value);
      if (good.length === needed) resolve([...good]);
      else if (good.length + open < needed) {
        const message = `${good.length} of ${asked.length} controllers answer, ${needed} must`;
        reject(new JournalError('UNAVAILABLE', message));
      }
    };
    for (const one of asked) one.then(take, () => take(null));
  });
}

/** What follows a step that took effect: where it fails, not everything came to nothing. */
export async function followUp<Value>(work: Promise<Value>): Promise<Value> {
  return await work.catch((error: unknown) => {
    throw unsettled(error);
  });
}

/** The same error, of something that may have taken effect. */
export function unsettled(error: unknown): unknown {
  return error instanceof JournalError ? withOutcome(error, 'unknown') : error;
}
