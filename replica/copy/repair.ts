// Mends a range of the log whose bytes are bad with the same range of a peer. Batches are identical
// on all members and chained by checksum, so what fits between its neighbours is the right one.
// What the peers have trimmed is not mended but dropped: the log begins where theirs do. Where no
// peer is left that could help, a replica that was put out of the chain may still have the range.

import type { Clock } from '../../io/clock.ts';
import type { Logger } from '../../io/logger.ts';
import type { Network } from '../../io/network.ts';
import { decodeBatch } from '../../log/batch.ts';
import type { Base, Damage } from '../../log/log.ts';
import { EMPTY_SHAPE } from '../../protocol/chain/shape.ts';
import { MIB, order } from '../../protocol/configuration.ts';
import { JournalError } from '../../protocol/errors.ts';
import { type Batch, type JournalId, type Micros, micros, NO_LSN } from '../../protocol/types.ts';
import type { FetchAnswer, FetchRequest } from '../../transport/control.ts';
import { peerMethods } from '../../transport/methods.ts';
import type { ProcessStatus } from '../../transport/public.ts';
import type { RepairTarget } from '../journals.ts';
import type { ReplicaMetrics } from '../metrics.ts';
import { Pieces } from './pieces.ts';

const FIRST_ANSWER = micros(2_000_000);
const WHOLE = micros(30_000_000);
const RANGE_BYTES_MAX = 128 * MIB;
/** What cannot be mended is tried again every second, and told of again only after this. */
const TOLD_EVERY = 60_000_000;
const TOLD_MAX = 10_000;
/** Bad places that one task may meet. */
const REPAIRS_MAX = 3;

/** Who may have the range: a member, or a replica that the controllers tell of. */
type Peer = Pick<ProcessStatus, 'id' | 'store' | 'address'>;

type Mend = (peer: Peer) => Promise<void>;

export interface RepairParts {
  readonly clock: Clock;
  readonly network: Network;
  readonly logger: Logger;
  readonly metrics: ReplicaMetrics;
  readonly store: string;
  find(journal: JournalId): RepairTarget | undefined;
  /** All replicas of the cluster; none where no controller tells of them. */
  replicas(): Promise<readonly Peer[]>;
  /** The log of a journal is better than before, and may know epochs that it did not. */
  mended(journal: JournalId): void;
}

export class Repair {
  readonly #parts: RepairParts;
  /** Repairs under way: many readers may meet the same bad bytes. */
  readonly #running = new Map<string, Promise<boolean>>();
  /** When the log told last of a damage that is not mended. */
  readonly #told = new Map<string, Micros>();

  constructor(parts: RepairParts) {
    this.#parts = parts;
  }

  /** What `task` gives, once the bad bytes are mended that it meets. */
  async mending<Result>(task: () => Promise<Result>): Promise<Result> {
    for (let repairs = 0; ; repairs += 1) {
      try {
        return await task();
      } catch (error) {
        const damaged = error instanceof JournalError && error.code === 'DAMAGED';
        if (!damaged || repairs >= REPAIRS_MAX || !(await this.mend(error))) throw error;
      }
    }
  }

  /** What a read of the log rejected with; true once the range is whole again. */
  mend(error: JournalError): Promise<boolean> {
    const damage = damageOf(error.cause);
    return damage === null ? Promise.resolve(false) : this.take(damage);
  }

  /** A damage that was found, by a read or by the scrub; true once it is mended. */
  take(damage: Damage): Promise<boolean> {
    const { journal, firstLsn, lastLsn, file, position } = damage;
    const key = `${journal}/${firstLsn}/${lastLsn}/${file}/${position}`;
    const running = this.#running.get(key);
    if (running !== undefined) return running;
    const { logger, metrics } = this.#parts;
    const told = this.#isNews(key) ? logger : quietly(logger);
    told.error({ ...damage }, 'damaged bytes were found on the disk');
    metrics.damage('found');
    const repairing = this.#repair(damage, told)
      .then((mended) => {
        metrics.damage(mended ? 'repaired' : 'unrepaired');
        if (mended) {
          this.#told.delete(key);
          logger.info({ ...damage }, 'damaged bytes were repaired from a peer');
        } else {
          told.error({ ...damage }, 'damaged bytes could not be repaired from any peer');
        }
        return mended;
      })
      .finally(() => this.#running.delete(key));
    this.#running.set(key, repairing);
    return repairing;
  }

  #isNews(key: string): boolean {
    const now = this.#parts.clock.now();
    const at = this.#told.get(key);
    if (at !== undefined && now - at < TOLD_EVERY) return false;
    if (this.#told.size >= TOLD_MAX) this.#told.clear();
    this.#told.set(key, now);
    return true;
  }

  async #repair({ journal, firstLsn, lastLsn }: Damage, logger: Logger): Promise<boolean> {
    if (journal === null || firstLsn === null || lastLsn === null) return false;
    const target = this.#parts.find(journal);
    if (target === undefined || target.configuration === null) return false;
    const { log, configuration } = target;
    const { lineage } = configuration;
    const range = { journal, lineage, shape: log.shape() };
    const wanted = { ...range, repairFirstLsn: firstLsn, repairLastLsn: lastLsn };
    const byRange = async (peer: Peer): Promise<void> => {
      await log.repair(await this.#fetchRange(peer, wanted));
    };
    const peers = order(configuration);
    const byPeer = (all: readonly Peer[], mend: Mend): Promise<boolean> =>
      this.#byPeer(journal, all, mend, logger);
    if (await byPeer(peers, byRange)) return true;
    const whole = { ...range, shape: EMPTY_SHAPE, repairFirstLsn: NO_LSN, repairLastLsn: NO_LSN };
    const byBase = async (peer: Peer): Promise<void> => {
      const base = await this.#fetchBase(peer, whole);
      const allowed = target.committedLsn;
      if (base.lsn < lastLsn || base.lsn > allowed) {
        const what = `its base is at ${base.lsn}, allowed are ${lastLsn} to ${allowed}`;
        throw new JournalError('OUT_OF_RANGE', what);
      }
      await log.rebase(base);
    };
    if (await byPeer(peers, byBase)) return true;
    const asked = new Set<string>(peers.map(({ store }) => store));
    const others = (await this.#parts.replicas()).filter(({ store }) => !asked.has(store));
    return await byPeer(others, byRange);
  }

  /** Whether one of the peers mended it. */
  async #byPeer(
    journal: JournalId,
    peers: readonly Peer[],
    mend: Mend,
    logger: Logger,
  ): Promise<boolean> {
    for (const peer of peers) {
      if (peer.store === this.#parts.store) continue;
      try {
        await mend(peer);
        this.#parts.mended(journal);
        return true;
      } catch (error) {
        const about = { journal, peer: peer.id, error: String(error) };
        logger.warn(about, 'a peer could not repair a damaged range');
      }
    }
    return false;
  }

  async #fetchRange(peer: Peer, request: FetchRequest): Promise<readonly Batch[]> {
    const batches: Batch[] = [];
    let bytes = 0;
    for await (const answer of this.#fetch(peer, request)) {
      if (answer.kind !== 'batches') continue;
      for (const one of answer.batches) {
        bytes += one.length;
        batches.push(decodeBatch(one));
      }
      if (bytes > RANGE_BYTES_MAX) {
        throw new JournalError('LIMIT_EXCEEDED', `over ${RANGE_BYTES_MAX} bytes came`);
      }
    }
    if (batches.length === 0) throw new JournalError('NOT_FOUND', 'the peer has not got the range');
    return batches;
  }

  /** What a learner that has nothing would start from. */
  async #fetchBase(peer: Peer, request: FetchRequest): Promise<Base> {
    const pieces = new Pieces();
    for await (const answer of this.#fetch(peer, request)) {
      if (answer.kind !== 'base') break;
      const base = pieces.add(answer);
      if (base !== null) return base;
    }
    throw new JournalError('NOT_FOUND', 'the peer has trimmed nothing');
  }

  async *#fetch({ address }: Peer, request: FetchRequest): AsyncIterable<FetchAnswer> {
    const { network, clock } = this.#parts;
    const abort = new AbortController();
    const cancel = clock.after(WHOLE, () => abort.abort());
    const options = { timeout: FIRST_ANSWER, signal: abort.signal };
    try {
      yield* network.stream(address, peerMethods.fetch, request, options);
    } finally {
      cancel();
      abort.abort();
    }
  }
}

/** For those who look for every try. */
const quietly = (logger: Logger): Logger => {
  const debug = logger.debug.bind(logger);
  return { debug, info: debug, warn: debug, error: debug };
};

function damageOf(cause: unknown): Damage | null {
  if (typeof cause !== 'object' || cause === null) return null;
  if (!('journal' in cause && 'firstLsn' in cause && 'file' in cause)) return null;
  // cast: log.ts says that a read that meets bad bytes rejects with a Damage as its cause.
  return cause as Damage;
}
