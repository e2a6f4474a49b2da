// A loss that is forced: the record of who ordered it and why, and the configuration that follows.
//
// The record is written first, so that no loss takes effect without a reason. Orders may meet:
// until one of them has won the configuration, each writes its record over the other's. The winner
// writes its own once more, for good, with the ids of those that were passed over: a late copy of
// one of them is no order to lose even more.

import type { Logger } from '../../../io/logger.ts';
import {
  type Configuration,
  LINEAGE_EPOCH_STEP,
  type Member,
} from '../../../protocol/configuration.ts';
import { JournalError } from '../../../protocol/errors.ts';
import { epoch } from '../../../protocol/types.ts';
import { decodeLoss, encode, journalKey, type LossRecord, lossKey, replacing } from './records.ts';
import type { Register } from './register.ts';

/** Ids of orders that are remembered of one loss, and losses that are looked through for an id. */
const ORDERS_KEPT = 8;

export interface LossOrder {
  /** What is given up. */
  readonly latest: Configuration;
  /** Who goes on alone, in its present incarnation. */
  readonly member: Member;
  readonly reason: string;
  readonly requestId?: string | undefined;
  /** Nothing takes effect once it has aborted. */
  readonly signal: AbortSignal;
}

/**
 * Goes on from `member` alone, in the next lineage; answers with the configuration that is decided.
 * Rejects with STALE_EPOCH where another one was ahead, or UNAVAILABLE without a majority.
 */
export async function forceLoss(
  register: Pick<Register, 'change'>,
  { latest, member, reason, requestId, signal }: LossOrder,
  logger: Logger,
): Promise<Configuration> {
  const { journal } = latest;
  const lineage = latest.lineage + 1;
  const order = requestId === undefined ? {} : { order: requestId };
  const loss = { journal, lineage, member: member.id, reason, epoch: latest.epoch, ...order };
  const stale = new JournalError('STALE_EPOCH', 'the configuration changed meanwhile: look again');
  if ((await record(register, loss)).taken === true) throw stale;
  const next: Configuration = {
    ...latest,
    lineage,
    epoch: epoch(latest.epoch + LINEAGE_EPOCH_STEP),
    serving: [member],
    joining: null,
  };
  const replace = replacing(latest, next);
  const { value } = await register.change(journalKey(journal), (current) => {
    signal.throwIfAborted();
    return replace(current);
  });
  if (value !== encode(next)) throw stale;
  try {
    await record(register, { ...loss, taken: true });
  } catch (error) {
    if (!(error instanceof JournalError)) throw error;
    // It is there, unless another order came at the same moment.
    logger.warn({ journal, lineage, error: error.message }, 'a loss was not recorded once more');
  }
  return next;
}

/** Writes the record of a loss, unless one that took effect is there: answers with what is. */
async function record(register: Pick<Register, 'change'>, loss: LossRecord): Promise<LossRecord> {
  const { value } = await register.change(lossKey(loss.journal, loss.lineage), (current) => {
    const known = current === null ? null : decodeLoss(current);
    if (known === null) return encode(loss);
    return encode(known.taken === true ? passing(known, loss) : passing(loss, known));
  });
  return value === null ? loss : decodeLoss(value);
}

/** The record of `kept`, which passes over what `other` ordered. */
function passing(kept: LossRecord, other: LossRecord): LossRecord {
  const own = other.order === undefined ? [] : [other.order];
  const ids = new Set([...(kept.passed ?? []), ...(other.passed ?? []), ...own]);
  if (kept.order !== undefined) ids.delete(kept.order);
  return ids.size === 0 ? kept : { ...kept, passed: [...ids].slice(-ORDERS_KEPT) };
}

/**
 * Whether the order was carried out, maybe with others after it: a second loss is never meant.
 * Rejects with CONDITION_FAILED where another one was carried out in its place.
 */
export async function wasForced(
  register: Pick<Register, 'read'>,
  { journal, name, lineage }: Configuration,
  { requestId, member }: { readonly requestId?: string | undefined; readonly member: string },
): Promise<boolean> {
  if (requestId === undefined) return false;
  for (let at = lineage; at > 1 && at > lineage - ORDERS_KEPT; at -= 1) {
    const value = await register.read(lossKey(journal, at));
    if (value === null) continue;
    const loss = decodeLoss(value);
    if (loss.order === requestId) return true;
    if (loss.passed?.includes(requestId) !== true) continue;
    if (loss.member === member) return true;
    const message = `another order was ahead: journal ${name} went on from ${loss.member}`;
    throw new JournalError('CONDITION_FAILED', `${message} ("${loss.reason}")`);
  }
  return false;
}
