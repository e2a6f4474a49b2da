// One question to whoever can answer it: the next replica where one fails, until the deadline.

import type { Cancel, Clock } from '../io/clock.ts';
import type { Logger } from '../io/logger.ts';
import type { Method, Network } from '../io/network.ts';
import type { Random } from '../io/random.ts';
import { head } from '../protocol/configuration.ts';
import { type JournalError, withOutcome } from '../protocol/errors.ts';
import { type Micros, micros } from '../protocol/types.ts';
import {
  answered,
  candidates,
  doubtful,
  failed,
  isFront,
  learn,
  type Preference,
  type Routing,
} from './routing.ts';
import { asJournalError, backOff, type Deadline, moreTelling } from './waiting.ts';

/** What a client is made of: the seams, and what it believes. */
export interface World {
  readonly clock: Clock;
  readonly random: Random;
  readonly network: Network;
  readonly logger: Logger;
  readonly routing: Routing;
  /** Keeps the process running while something is outstanding; the result lets it go. */
  readonly hold: () => Cancel;
}

export interface Question<Q, A> {
  readonly method: Method<Q, A, 'unary'>;
  readonly request: Q;
  /** Whose members to ask; null: any endpoint will do. */
  readonly journal: string | null;
  readonly preference: Preference;
  /** Whether it may leave something behind: what only asks always fails with `outcome: 'none'`. */
  readonly writes: boolean;
  /** The first try's timeout; each further one has twice as long. */
  readonly patience: Micros;
  readonly deadline: Deadline;
}

/** A replica that is alive answers a plain question well within this. */
export const QUICK_MICROS = micros(500_000);
/** What goes through the controllers: a register, then every member. */
export const SLOW_MICROS = micros(5_000_000);

/**
 * Asks until somebody answers. Rejects with what cannot be mended by asking again, or at the
 * deadline with the last refusal; `outcome` is `unknown` where a try may have had an effect. The
 * request must mean the same when it is carried out twice.
 */
export async function ask<Q, A>(world: World, question: Question<Q, A>): Promise<A> {
  const release = world.hold();
  try {
    return await askOn(world, question);
  } finally {
    release();
  }
}

async function askOn<Q, A>(world: World, question: Question<Q, A>): Promise<A> {
  const { routing, random } = world;
  const { journal, deadline, method } = question;
  const turn = random.below(2 ** 16);
  let last: JournalError | undefined;
  let unknown = false;
  let backOffs = 0;
  // By address, since the order changes with every failure: a place in it would come back to
  // replicas that are silent, and pass over the one that is not.
  const asked = new Set<string>();
  for (let attempt = 0; ; attempt += 1) {
    if (deadline.over()) throw deadline.error(method.path, last, unknown ? 'unknown' : 'none');
    const order = candidates(routing, journal, question.preference, world.clock.now(), turn);
    // The head first; each refusal without news moves on to the next that might know better.
    if (order.every((one) => asked.has(one))) asked.clear();
    const address = order.find((one) => !asked.has(one)) ?? '';
    asked.add(address);
    const patience = micros(question.patience * 2 ** Math.min(attempt, 10));
    // A try with less time than that may be cut short by the deadline, which says nothing of it.
    const hurried = deadline.remaining() < patience;
    try {
      return await askAt(world, question, address, patience);
    } catch (caught) {
      const error = asJournalError(caught);
      unknown ||= question.writes && error.outcome === 'unknown';
      const cutOff = error.code === 'CANCELLED' && deadline.over();
      if (!error.retryable && !cutOff) throw withOutcome(error, outcomeOf(error, unknown));
      if (hurried && error.code === 'DEADLINE_EXCEEDED') last ??= error;
      else if (!cutOff) last = moreTelling(last, error);
      if (noteRefusal(world, address, error, journal)) {
        asked.clear();
        continue;
      }
    }
    await backOff(world, backOffs, deadline.signal);
    backOffs += 1;
  }
}

/** A definite refusal of a later try says nothing of an earlier one that got no answer. */
const outcomeOf = (error: JournalError, unknown: boolean): 'none' | 'unknown' =>
  unknown && error.code !== 'INVALID_ARGUMENT' ? 'unknown' : 'none';

/** One try at one address. */
async function askAt<Q, A>(
  { network, routing }: World,
  { method, request, deadline }: Question<Q, A>,
  address: string,
  patience: Micros,
): Promise<A> {
  const timeout = micros(Math.min(deadline.remaining(), patience));
  const answer = await network.call(address, method, request, { timeout, signal: deadline.signal });
  answered(routing, address);
  return answer;
}

/** Takes in what a refusal says of the world; true where it says whom to ask instead. */
export function noteRefusal(
  world: World,
  address: string,
  error: JournalError,
  journal: string | null,
): boolean {
  const { routing, clock, network } = world;
  if (learn(routing, error.details.configuration)) return true;
  const silent = error.code === 'UNAVAILABLE' || error.code === 'DEADLINE_EXCEEDED';
  // It says that it is not the head, but not who is: somebody else may know.
  const known = journal === null ? undefined : routing.configurations.get(journal);
  const deposed =
    (error.code === 'NOT_HEAD' || error.code === 'STALE_EPOCH') &&
    known !== undefined &&
    head(known)?.address === address;
  if (silent || deposed) failed(routing, address, clock.now());
  // A connection stays with one of those behind it: who cannot help would be asked for ever.
  if (silent && isFront(routing, address) && doubtful(routing, address, clock.now())) {
    network.forget(address);
  }
  return false;
}
