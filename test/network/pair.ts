// What the parts of the contract of Network share: two processes, three methods, and waits.

import assert from 'node:assert/strict';
import type { Codec, Handler, Method, Network } from '../../io/network.ts';
import { JournalError } from '../../protocol/errors.ts';
import { type Micros, micros } from '../../protocol/types.ts';

/** Two processes that can reach each other. */
export interface NetworkPair {
  readonly caller: Network;
  readonly server: Network;
  /** Where `server` may listen: any free port. */
  readonly address: string;
  /** An address where nobody listens. */
  readonly deserted: string;
  sleep(delay: Micros): Promise<void>;
  /** Runs the test; the simulated world turns meanwhile. */
  run(task: () => Promise<void>): Promise<void>;
  close(): Promise<void>;
}

const text: Codec<string> = {
  encode: (message) => new TextEncoder().encode(message),
  decode: (bytes) => {
    const message = new TextDecoder().decode(bytes);
    if (message !== 'unreadable') return message;
    throw new JournalError('INVALID_ARGUMENT', 'message is "unreadable", allowed is all else');
  },
};
export const method = <Kind extends 'unary' | 'serverStream' | 'bidiStream'>(
  kind: Kind,
  name: string,
): Method<string, string, Kind> => ({
  path: `/test.v1.T/${name}`,
  kind,
  request: text,
  response: text,
});

export const ASK = method('unary', 'Ask');
export const COUNT = method('serverStream', 'Count');
export const TALK = method('bidiStream', 'Talk');

export const SECOND = micros(1_000_000);
export const MILLI = 1_000;
export const SOON = { timeout: micros(200 * MILLI) };
export const LATER = { timeout: micros(5 * SECOND) };

export const code = (expected: string, outcome?: string) => (error: unknown) => {
  assert.ok(error instanceof JournalError, `not a refusal: ${String(error)}`);
  assert.equal(error.code, expected, error.message);
  if (outcome !== undefined) assert.equal(error.outcome, outcome);
  return true;
};

/** Waits for what the other side of an event shows, at most a second. */
export async function until(pair: NetworkPair, holds: () => boolean, what: string): Promise<void> {
  for (let waited = 0; waited < 100 && !holds(); waited += 1) {
    await pair.sleep(micros(10 * MILLI));
  }
  assert.ok(holds(), what);
}

export const aborted = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve());
  });

export async function read<Value>(messages: AsyncIterable<Value>, most: number): Promise<Value[]> {
  const taken: Value[] = [];
  for await (const message of messages) {
    taken.push(message);
    if (taken.length === most) break;
  }
  return taken;
}

export type Check = (what: string, task: (pair: NetworkPair) => Promise<void>) => void;
export type Serve = (pair: NetworkPair, ...handlers: Handler[]) => Promise<string>;
