// Leading: a campaign for a key by conditional claims, then renewals until the key or the lease is
// lost. Every rule about time is in lease.ts; here are the requests and the waiting.

import type { Method } from '../io/network.ts';
import type { Configuration } from '../protocol/configuration.ts';
import { type ErrorCode, JournalError } from '../protocol/errors.ts';
import { type KeyOperation, type Lsn, micros, NO_LSN } from '../protocol/types.ts';
import { journalMethods } from '../transport/methods.ts';
import type { AppendAnswer, KeyAnswer } from '../transport/public.ts';
import { RECORD_OVERHEAD_BYTES } from './batching.ts';
import { ask, QUICK_MICROS, type World } from './calls.ts';
import {
  type Campaign,
  cancelled,
  type Home,
  type LeadEvent,
  Leadership,
  type LossReason,
} from './campaign.ts';
import {
  foundOwnClaim,
  granted,
  holds,
  type Lease,
  learnKey,
  mayClaimAt,
  openLease,
  renewAt,
} from './lease.ts';
import { learn } from './routing.ts';
import { Session } from './session.ts';
import { asJournalError, backOff, Deadline, sleep } from './waiting.ts';

/** A key that a waiting node asks for is asked for again at least this often. */
const POLL_MICROS = 1_000_000;
const RELEASE_MILLIS = 2_000;

/** Waits until this node leads. CANCELLED; UNAVAILABLE and the like where nobody can be asked. */
export async function campaign(world: World, what: Campaign): Promise<Leadership> {
  const release = world.hold();
  const holder = new Holder(world, what);
  try {
    for (;;) {
      const { token, home } = await holder.win();
      holder.keep();
      try {
        await what.applied?.(token, holder.lost);
      } catch (caught) {
        if (!holder.lost.aborted) throw caught;
      }
      if (!holder.lost.aborted) return new Leadership(what.key, token, home, holder);
      if (what.signal.aborted) throw cancelled(what);
      holder.reset();
    }
  } catch (caught) {
    await holder.release();
    throw what.signal.aborted ? cancelled(what) : caught;
  } finally {
    release();
  }
}

/** The journal of a claim is gone, or its lineage: nothing of it can be renewed. */
const HOME_IS_GONE: ReadonlySet<ErrorCode> = new Set(['NOT_FOUND', 'LINEAGE_CHANGED']);

/** The node of the spec: what it knows, and the requests that it makes. */
class Holder {
  readonly #world: World;
  readonly #what: Campaign;
  #session: Session;
  readonly #nonce: string;
  #lost = new AbortController();
  #lease: Lease;
  #home: Home | null = null;
  /** A claim got no answer: the holder of the key may be this node itself. */
  #claimUnknown = false;
  /** Between winning and losing. */
  #keeping = false;
  #expiry: () => void = () => undefined;
  readonly #ended = (): void => void this.release();

  constructor(world: World, what: Campaign) {
    this.#world = world;
    this.#what = what;
    this.#session = this.#begin();
    this.#nonce = world.random.hex(8);
    this.#lease = openLease(world.clock.now());
  }

  /** What a campaign holds on to, until `#end`. */
  #begin(): Session {
    this.#what.signal.addEventListener('abort', this.#ended, { once: true });
    return new Session(this.#world, this.#what.journal);
  }

  /** Whoever lost what they led may never say that they are done with it. */
  #end(): void {
    this.#what.signal.removeEventListener('abort', this.#ended);
    this.#session.close();
  }

  get lost(): AbortSignal {
    return this.#lost.signal;
  }

  remainingMillis(): number {
    if (this.#lost.signal.aborted && this.#lease.token === NO_LSN) return 0;
    return Math.max(0, Math.floor((this.#lease.endsAt - this.#world.clock.now()) / 1_000));
  }

  /** Starts over after a loss. */
  reset(): void {
    this.#keeping = false;
    this.#lost = new AbortController();
    this.#lease = { ...this.#lease, token: NO_LSN, endsAt: micros(0) };
    this.#session = this.#begin();
  }

  // ── Winning ─────────────────────────────────────────────────────────────────────────────────

  /** Ask, wait, claim, until a claim is ours and its lease runs. */
  async win(): Promise<{ readonly token: Lsn; readonly home: Home }> {
    const { clock } = this.#world;
    const { signal, slackMillis } = this.#what;
    for (let attempt = 0; ; attempt += 1) {
      if (signal.aborted) throw cancelled(this.#what);
      const home = await this.#learn();
      if (this.#lease.token !== NO_LSN) {
        if (await this.#renew()) return { token: this.#lease.token, home };
        await backOff(this.#world, attempt, signal);
        continue;
      }
      const wait = mayClaimAt(this.#lease, slackMillis) - clock.now();
      if (wait > 0) {
        const { keyLsn, holderMillis } = this.#lease;
        this.#tell({ kind: 'waiting', keyLsn, waitMillis: Math.ceil(wait / 1_000) });
        const poll = Math.min(POLL_MICROS, (holderMillis * 1_000) / 3);
        await sleep(clock, micros(Math.ceil(Math.min(wait, poll))), signal);
        attempt = 0;
        continue;
      }
      if (await this.#claim()) return { token: this.#lease.token, home };
      await backOff(this.#world, attempt, signal);
    }
  }

  /** Ask; and, where a claim of ours may have landed, Observe. */
  async #learn(): Promise<Home> {
    const { timeoutMillis, signal } = this.#what;
    const deadline = new Deadline(this.#world.clock, timeoutMillis, signal);
    try {
      const home = await this.#locate(deadline);
      const { keyLsn, tokenLsn } = await this.#ask(deadline);
      if (!this.#claimUnknown || this.#lease.token !== NO_LSN || keyLsn === NO_LSN) return home;
      if (await this.#isOwn(tokenLsn, deadline)) {
        this.#lease = foundOwnClaim(this.#lease, tokenLsn);
        this.#claimUnknown = false;
      }
      return home;
    } finally {
      deadline.close();
    }
  }

  /** Where the next claim is made; what was known of the key holds there alone. */
  async #locate(deadline: Deadline): Promise<Home> {
    const { routing, clock } = this.#world;
    const known = routing.configurations.get(this.#what.journal) ?? (await this.#find(deadline));
    const { journal, lineage } = known;
    const same = this.#home?.journal === journal && this.#home.lineage === lineage;
    if (same && this.#home !== null) return this.#home;
    this.#lease = openLease(clock.now());
    this.#claimUnknown = false;
    this.#home = { journal, lineage };
    return this.#home;
  }

  async #find(deadline: Deadline): Promise<Configuration> {
    const { journal } = this.#what;
    const { configuration } = await this.#head(journalMethods.session, { journal }, deadline);
    learn(this.#world.routing, configuration);
    return configuration;
  }

  /** Whoever knew where it was is asked again. */
  #leaveHome(): void {
    this.#world.routing.configurations.delete(this.#what.journal);
  }

  async #ask(deadline: Deadline): Promise<KeyAnswer> {
    const { journal, key } = this.#what;
    const known = this.#lease.keyLsn;
    const answer = await this.#head(journalMethods.key, { journal, key }, deadline);
    this.#lease = learnKey(this.#lease, answer, this.#world.clock.now(), known);
    return answer;
  }

  async #isOwn(token: Lsn, deadline: Deadline): Promise<boolean> {
    const { journal } = this.#what;
    const from = { kind: 'lsn', lsn: token } as const;
    try {
      const request = { journal, from, limit: 1, bytesMax: 0, linearizable: true };
      const { records } = await this.#head(journalMethods.read, request, deadline);
      const [record] = records;
      if (record?.lsn !== token) return false;
      return new TextDecoder().decode(record.data) === this.#payload();
    } catch (caught) {
      // Trimmed: nobody can say whose it was, so it counts as another's, and is waited for.
      if (asJournalError(caught).code === 'TRIMMED') return false;
      throw caught;
    }
  }

  /** Send(claim) and its answer. */
  async #claim(): Promise<boolean> {
    const sentAt = this.#world.clock.now();
    const { keyLsn } = this.#lease;
    try {
      const { firstLsn } = await this.#append('claim', { expectKeyLsn: keyLsn, token: null });
      const millis = this.#what.leaseMillis;
      this.#lease = granted(this.#lease, { kind: 'claim', sentAt, millis }, firstLsn);
    } catch (caught) {
      const error = asJournalError(caught);
      if (error.outcome === 'unknown') this.#claimUnknown = true;
      else if (HOME_IS_GONE.has(error.code)) this.#leaveHome();
      else if (!error.retryable && error.code !== 'CONDITION_FAILED') throw error;
      return false;
    }
    this.#tell({ kind: 'claimed', token: this.#lease.token });
    // After a slow answer the token is ours, but no lease: the next renewal gives one.
    return holds(this.#lease, this.#world.clock.now());
  }

  // ── Keeping ─────────────────────────────────────────────────────────────────────────────────

  /** Renews every third of the lease, until it is lost. */
  keep(): void {
    this.#keeping = true;
    this.#armExpiry();
    void this.#keepOn();
  }

  async #keepOn(): Promise<void> {
    const { clock } = this.#world;
    const { leaseMillis } = this.#what;
    const lost = this.#lost.signal;
    for (let attempt = 0; !lost.aborted; attempt += 1) {
      const sentAt = micros(this.#lease.endsAt - leaseMillis * 1_000);
      const wait = renewAt(sentAt, leaseMillis) - clock.now();
      if (wait > 0) await sleep(clock, micros(wait), lost);
      if (lost.aborted) return;
      if (await this.#renew()) {
        attempt = 0;
        this.#armExpiry();
        this.#tell({ kind: 'renewed', remainingMillis: this.remainingMillis() });
      } else {
        await backOff(this.#world, attempt, lost);
      }
    }
  }

  /** Send(renew) and its answer; false where it was not answered, or the token is gone. */
  async #renew(): Promise<boolean> {
    const { clock } = this.#world;
    const sentAt = clock.now();
    const { keyLsn, token } = this.#lease;
    try {
      const { firstLsn } = await this.#append('renew', { expectKeyLsn: keyLsn, token });
      const millis = this.#what.leaseMillis;
      this.#lease = granted(this.#lease, { kind: 'renew', sentAt, millis }, firstLsn);
      return holds(this.#lease, clock.now());
    } catch (caught) {
      const error = asJournalError(caught);
      const gone = HOME_IS_GONE.has(error.code);
      if (gone) this.#leaveHome();
      if (gone || error.code === 'FENCED') this.#lose('fenced');
      else await this.#relearn();
      return false;
    }
  }

  /** A tag, or a renewal whose answer was lost, moved the key: it is ours while the token is. */
  async #relearn(): Promise<void> {
    const { token } = this.#lease;
    const deadline = new Deadline(this.#world.clock, this.#what.leaseMillis, this.#lost.signal);
    try {
      await this.#ask(deadline);
      if (token !== NO_LSN && this.#lease.token === NO_LSN) this.#lose('fenced');
    } catch {
      // The next try asks again, while the lease lasts.
    } finally {
      deadline.close();
    }
  }

  #armExpiry(): void {
    this.#expiry();
    const { clock } = this.#world;
    const wait = this.#lease.endsAt - this.#what.marginMillis * 1_000 - clock.now();
    if (wait <= 0) this.#lose('expired');
    else this.#expiry = clock.after(micros(wait), () => this.#armExpiry());
  }

  #lose(reason: LossReason): void {
    const { token } = this.#lease;
    if (this.#lost.signal.aborted) return;
    if (!this.#keeping) {
      // It never led: there is nothing that anybody could lose.
      this.#lease = { ...this.#lease, token: NO_LSN, endsAt: micros(0) };
      return;
    }
    this.#expiry();
    const message = `leadership of "${this.#what.key}" is over: ${reason}`;
    const code = reason === 'fenced' || reason === 'expired' ? 'FENCED' : 'CANCELLED';
    if (reason === 'fenced') this.#lease = { ...this.#lease, token: NO_LSN, endsAt: micros(0) };
    this.#lost.abort(new JournalError(code, message));
    // Who gives it back says so in the log first.
    if (reason !== 'released') this.#end();
    this.#tell({ kind: 'lost', token, reason });
  }

  /** Stops leading first, then says so in the log; what cannot be said, the lease's end says. */
  async release(): Promise<void> {
    this.#what.signal.removeEventListener('abort', this.#ended);
    const { token } = this.#lease;
    const held = !this.#lost.signal.aborted && holds(this.#lease, this.#world.clock.now());
    this.#lose('released');
    this.#lost.abort(cancelled(this.#what));
    this.#lease = { ...this.#lease, token: NO_LSN, endsAt: micros(0) };
    try {
      if (held) await this.#append('release', { expectKeyLsn: null, token });
    } catch (caught) {
      const { code } = asJournalError(caught);
      this.#world.logger.info({ key: this.#what.key, code }, 'a lease was left to run out');
    } finally {
      this.#end();
    }
  }

  // ── Requests ────────────────────────────────────────────────────────────────────────────────

  #head<Q, A>(method: Method<Q, A, 'unary'>, request: Q, deadline: Deadline): Promise<A> {
    const about = { journal: this.#what.journal, preference: 'head', writes: false } as const;
    return ask(this.#world, { method, request, ...about, patience: QUICK_MICROS, deadline });
  }

  async #append(
    keyOperation: Exclude<KeyOperation, 'tag'>,
    condition: { readonly expectKeyLsn: Lsn | null; readonly token: Lsn | null },
  ): Promise<AppendAnswer> {
    const { key, leaseMillis, signal } = this.#what;
    const releasing = keyOperation === 'release';
    const data = new TextEncoder().encode(this.#payload());
    const { expectKeyLsn, token } = condition;
    // An answer after the end of the lease would be of no use.
    const timeout = releasing ? RELEASE_MILLIS : leaseMillis;
    const deadline = new Deadline(this.#world.clock, timeout, releasing ? undefined : signal);
    const submission = {
      records: [{ key, data }],
      bytes: data.length + key.length + RECORD_OVERHEAD_BYTES,
      condition: {
        expectTail: null,
        expectKey: expectKeyLsn === null ? null : { key, lsn: expectKeyLsn },
        fence: token === null ? null : { key, token },
        lineage: this.#home?.lineage,
      },
      keyOperation,
      leaseMillis: releasing ? 0 : leaseMillis,
      chosen: null,
      journal: this.#home?.journal,
    };
    try {
      return await this.#session.append(submission, deadline);
    } finally {
      deadline.close();
    }
  }

  #payload(): string {
    const { node, leaseMillis } = this.#what;
    return JSON.stringify({ node, leaseMillis, nonce: this.#nonce });
  }

  #tell(event: LeadEvent): void {
    this.#what.onEvent?.(event);
  }
}
