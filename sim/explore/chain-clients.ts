// Clients of an explored chain, by chance: sessions with numbers, retries, conditions, claims,
// cursors and trims.

import type { AppendCondition, AppendRequest } from '../../protocol/chain/messages.ts';
import { NO_CONDITION } from '../../protocol/chain/messages.ts';
import {
  type KeyOperation,
  type Lsn,
  lsn,
  NO_LSN,
  type WriterId,
  writerId,
} from '../../protocol/types.ts';
import type { ChainTruth } from './chain-truth.ts';

const KEYS = ['k', 'l'];
const OPERATIONS: readonly KeyOperation[] = ['tag', 'claim', 'renew', 'release'];
const CURSORS = ['c', 'd', 'e'];
const SESSIONS = 4;
/**
 * None of them is forgotten while it may be sent again: behind one of them the two before it may
 * land, sent again, and the two after it, and a log of a walk remembers five.
 */
const CHOSEN = 3;
const REFUSALS = 10;

interface Session {
  readonly writer: WriterId;
  sequence: number;
  /** What may be sent again: nobody said for good that it was not taken. */
  readonly sent: AppendRequest[];
}

export class ChainClients {
  readonly #truth: ChainTruth;
  readonly #random: () => number;
  readonly #sessions: Session[] = [];
  readonly #plain: boolean;
  /** The last that were refused for good: of some a copy is still under way. */
  #refusals: AppendRequest[] = [];
  /** The last ones under chosen keys. */
  #chosen: AppendRequest[] = [];
  #writers = 0;
  #bodies = 0;

  /** With `plain` appends have no condition: some walks should get far. */
  constructor(truth: ChainTruth, random: () => number, plain: boolean) {
    this.#truth = truth;
    this.#random = random;
    this.#plain = plain;
    truth.onRefused = (body, code) => this.#refused(body, code);
  }

  #below(count: number): number {
    return Math.floor(this.#random() * count);
  }

  #pick<Value>(values: readonly Value[]): Value | undefined {
    return values[this.#below(values.length)];
  }

  /** One request to the head at a site: something new, something again, or a question. */
  act(site: number): void {
    const dice = this.#random();
    if (dice < 0.08) this.#truth.key(site, this.#pick(KEYS) ?? 'k');
    else if (dice < 0.1) this.#truth.cursors(site);
    else if (dice < 0.12) this.#truth.forget(site, this.#pick(KEYS) ?? 'k');
    else if (dice < 0.4) this.#again(site);
    else this.#fresh(site);
  }

  /** A cursor that follows the log, a little behind its end, or is removed. */
  cursor(site: number): void {
    const behind = this.#truth.newest.endLsn - this.#below(4);
    const position = this.#random() < 0.2 ? null : lsn(Math.max(0, behind));
    this.#truth.cursor(site, this.#pick(CURSORS) ?? 'c', position);
  }

  /** Of what is committed and the head at a site holds: all, a part, or what cursors let go. */
  trim(site: number, held: Lsn): void {
    const dice = this.#random();
    // More than a new head may know to be committed.
    const endLsn = Math.min(held, this.#truth.newest.endLsn);
    const lowest = Math.min(endLsn, ...this.#truth.newest.cursors.values());
    const near = Math.min(endLsn, lowest + this.#below(2));
    const through = dice < 0.3 ? endLsn : dice < 0.5 ? this.#below(endLsn + 1) : near;
    this.#truth.trim(site, lsn(through), this.#random() < 0.3);
  }

  #fresh(site: number): void {
    const dice = this.#random();
    const session = dice < 0.5 ? this.#session(site) : null;
    const chosen = dice >= 0.5 && dice < 0.7;
    this.#bodies += 1;
    const keyed = this.#random() < 0.5;
    const operation = keyed ? (this.#pick(OPERATIONS) ?? 'tag') : 'tag';
    const count = 1 + this.#below(2);
    if (session !== null) session.sequence += 1;
    const body: AppendRequest = {
      kind: 'append',
      count,
      bodyCrc: 1_000_000 + this.#bodies,
      bodyBytes: count,
      keys: keyed ? [{ key: this.#pick(KEYS) ?? 'k', offset: this.#below(count) }] : [],
      keyOperation: operation,
      leaseMillis: operation === 'claim' || operation === 'renew' ? 1_000 : 0,
      idempotence: chosen
        ? { writer: this.#writer(site), sequence: 1, after: 0, chosen }
        : session && {
            writer: session.writer,
            sequence: session.sequence,
            after: session.sequence - 1,
            chosen,
          },
      condition: this.#plain ? NO_CONDITION : this.#condition(),
    };
    session?.sent.push(body);
    if (chosen) this.#chosen = [...this.#chosen, body].slice(-CHOSEN);
    this.#truth.append(site, body);
  }

  #session(site: number): Session {
    const at = this.#below(SESSIONS);
    const known = this.#sessions[at];
    if (known !== undefined && this.#random() < 0.95) return known;
    const session = { writer: this.#writer(site), sequence: 0, sent: [] };
    this.#sessions[at] = session;
    return session;
  }

  /** Begins where the head says, as sessions do. */
  #writer(site: number): WriterId {
    this.#writers += 1;
    const opened = this.#truth.opening(site).toString(16).padStart(14, '0');
    return writerId(opened + this.#writers.toString(16).padStart(18, '0'));
  }

  #again(site: number): void {
    const late = this.#truth.late(site, this.#refusals);
    this.#refusals = this.#refusals.filter((one) => one !== late);
    if (late !== undefined) return;
    if (this.#random() < 0.3) {
      const body = this.#pick(this.#chosen);
      if (body !== undefined) this.#truth.append(site, this.#other(body));
      return;
    }
    const session = this.#pick(this.#sessions.filter((one) => one !== undefined));
    const body = session && this.#pick(session.sent.slice(-4));
    if (body !== undefined) this.#truth.append(site, body);
  }

  /** Now and then people give other records under a key that they chose before. */
  #other(body: AppendRequest): AppendRequest {
    if (this.#random() < 0.8) return body;
    this.#bodies += 1;
    return { ...body, bodyCrc: 1_000_000 + this.#bodies };
  }

  #refused(body: AppendRequest, code: string): void {
    if (code === 'NOT_HEAD' || code === 'UNDER_REPLICATED' || code === 'SEQUENCE_GAP') return;
    const at = this.#sessions.findIndex((one) => one?.writer === body.idempotence?.writer);
    const session = this.#sessions[at];
    if (session === undefined) return;
    const place = session.sent.indexOf(body);
    if (place < 0) return;
    session.sent.splice(place, 1);
    this.#refusals = [...this.#refusals, body].slice(-REFUSALS);
  }

  /** True of what is committed now, of what was, or of nothing. */
  #condition(): AppendCondition {
    const dice = this.#random();
    if (dice < 0.4) return NO_CONDITION;
    const { facts } = this.#truth;
    const fact = this.#random() < 0.7 ? this.#truth.newest : this.#pick(facts.slice(-4));
    if (fact === undefined) return NO_CONDITION;
    const key = this.#pick(KEYS) ?? 'k';
    const entry = fact.keys.get(key);
    if (dice < 0.6) {
      const tail: Lsn = lsn(Math.max(0, fact.dataLsn + this.#below(3) - 1));
      return { ...NO_CONDITION, expectTail: tail };
    }
    if (dice < 0.8) return { ...NO_CONDITION, expectKey: { key, lsn: entry?.keyLsn ?? NO_LSN } };
    return { ...NO_CONDITION, fence: { key, token: entry?.tokenLsn ?? NO_LSN } };
  }
}
