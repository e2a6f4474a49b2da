// What clients of an explored chain asked and were told, held against what was committed: one log,
// each idempotent append once, conditions that held where they were judged, times that rise, trims
// that cursors hold, members that are silent once they were wedged.
//
// It watches the effects of the machines and knows nothing of how they come to them.

import type {
  AppendRequest,
  ChainEffect,
  ChainReply,
  ChainRequest,
  ReadIndex,
} from '../../protocol/chain/messages.ts';
import { openingLsn } from '../../protocol/chain/state.ts';
import { order } from '../../protocol/configuration.ts';
import { invariant } from '../../protocol/errors.ts';
import { type BatchHeader, type Lsn, lastLsn, NO_LSN, type StoreId } from '../../protocol/types.ts';
import { after, type Fact, holds, isSame, NO_KEY, NOTHING } from './chain-facts.ts';
import type { ChainWorldState, Site } from './chain-parts.ts';
import { ChainTrims } from './chain-trims.ts';
import { feed } from './chain-world.ts';

interface Call {
  readonly store: StoreId;
  /** Null for what appends nothing. */
  readonly append: AppendRequest | null;
  /** What a trim is to drop; null for anything else. */
  readonly through: Lsn | null;
  /** Facts that were known when it was asked. */
  readonly from: number;
}

/** Said only after the head has looked whether the append is there already. */
const PROVES_NOTHING_LANDED: ReadonlySet<string> = new Set([
  'CONDITION_FAILED',
  'FENCED',
  'LIMIT_EXCEEDED',
]);

export class ChainTruth {
  readonly #world: ChainWorldState;
  /** After each committed batch, and of the empty log first. */
  readonly facts: Fact[] = [NOTHING];
  /** Whether what was trimmed is gone. */
  readonly trims: ChainTrims;
  readonly #committed = new Map<Lsn, BatchHeader>();
  readonly #calls = new Map<number, Call>();
  /** Every append that was ever asked for, by the checksum that stands for its records. */
  readonly #bodies = new Map<number, AppendRequest>();
  /** The newest request for each. */
  readonly #sent = new Map<number, number>();
  /** Positions of what was appended under each idempotence key. */
  readonly #once = new Map<string, Lsn>();
  /** By name: what was refused for good, and by which head. */
  readonly #refused = new Map<string, string>();
  /** By name: the facts that were known when it was first asked for. */
  readonly #since = new Map<string, number>();
  /** Trims that cursors hold, as batches; and whether one is being asked for just now. */
  readonly #gentle = new Set<BatchHeader>();
  #asksGently = false;
  /** By store: the process and the epoch in which it was told to acknowledge no more. */
  readonly #wedged = new Map<StoreId, { readonly incarnation: number; readonly epoch: number }>();
  /** Refusals that were proven true, answers that were found right, trims held against cursors. */
  readonly looked = { refusals: 0, answers: 0, duplicates: 0, trims: 0, wedges: 0 };
  /** Told of every definite refusal, so that a client does not try the same again. */
  onRefused: (body: AppendRequest, code: string) => void = () => undefined;

  constructor(world: ChainWorldState) {
    this.#world = world;
    this.trims = new ChainTrims(world, this.facts);
    world.observe = (store, effect) => this.#observe(store, effect);
  }

  get newest(): Fact {
    return this.facts.at(-1) ?? NOTHING;
  }

  opening(at: number): Lsn {
    const state = this.#world.sites[at]?.state;
    return state ? openingLsn(state) : this.newest.endLsn;
  }

  append(at: number, body: AppendRequest): void {
    this.#bodies.set(body.bodyCrc, body);
    this.#world.used.appends += 1;
    this.#ask(at, body);
  }

  /** A copy of what this head refused comes once its condition holds; nobody awaits its answer. */
  late(at: number, refused: readonly AppendRequest[]): AppendRequest | undefined {
    const site = this.#world.sites[at];
    const by = site === undefined ? '' : headOf(site);
    const mine = refused.filter((one) => this.#refused.get(nameOf(one) ?? '') === by);
    const body = mine.find((one) => holds(one, this.newest));
    if (body === undefined) return undefined;
    this.#world.used.appends += 1;
    this.#control(at, body);
    return body;
  }

  key(at: number, key: string): void {
    this.#ask(at, { kind: 'key', key });
  }

  cursors(at: number): void {
    this.#ask(at, { kind: 'cursors' });
  }

  forget(at: number, key: string): void {
    this.#control(at, { kind: 'forget', key });
  }

  cursor(at: number, name: string, position: Lsn | null): void {
    this.#control(at, { kind: 'cursor', name, lsn: position, expectEnd: null });
  }

  trim(at: number, through: Lsn, force: boolean): void {
    this.#world.used.trims += 1;
    this.#asksGently = !force;
    this.trims.asked(this.#world.nextRequest, through);
    this.#ask(at, { kind: 'trim', through, force });
    this.#asksGently = false;
  }

  #control(at: number, body: ChainRequest): void {
    const request = this.#world.nextRequest;
    this.#world.nextRequest += 1;
    feed(this.#world, at, { kind: 'request', request, body });
  }

  /** As a controller does before it decides: from now on there is no more than it will be told. */
  wedge(at: number): void {
    const site = this.#world.sites[at];
    const record = site?.state?.record;
    if (site === undefined || record === null || record === undefined) return;
    const { store, incarnation } = site;
    this.#wedged.set(store, { incarnation, epoch: record.epoch });
    this.looked.wedges += 1;
    feed(this.#world, at, { kind: 'wedge', epoch: record.epoch });
  }

  #isWedged({ store, incarnation, state }: Site): boolean {
    const wedged = this.#wedged.get(store);
    return wedged?.incarnation === incarnation && wedged.epoch === state?.record?.epoch;
  }

  #ask(at: number, body: ChainRequest): void {
    const world = this.#world;
    const store = world.sites[at]?.store;
    if (store === undefined) return;
    const request = world.nextRequest;
    world.nextRequest += 1;
    const append = body.kind === 'append' ? body : null;
    if (append !== null) this.#sent.set(append.bodyCrc, request);
    const through = body.kind === 'trim' ? body.through : null;
    const from = append === null ? this.facts.length - 1 : this.#from(append);
    this.#calls.set(request, { store, append, through, from });
    feed(world, at, { kind: 'request', request, body });
  }

  /** A session's number that comes again may be told what was said of it before. */
  #from(append: AppendRequest): number {
    const now = this.facts.length - 1;
    const name = append.idempotence?.chosen === false ? nameOf(append) : null;
    if (name === null) return now;
    const from = this.#since.get(name) ?? now;
    this.#since.set(name, from);
    return from;
  }

  #observe(store: StoreId, effect: ChainEffect): void {
    const site = this.#world.sites.find((one) => one.store === store);
    if (site === undefined) return;
    if (this.#isWedged(site)) this.#checkSilent(site, effect);
    if (effect.kind === 'append' && effect.header.control?.kind === 'trim' && this.#asksGently) {
      this.#gentle.add(effect.header);
    }
    if (effect.kind === 'append') this.#checkLate(site, effect.header);
    if (effect.kind === 'commit') this.#commit(site, effect.committedLsn);
    this.trims.observe(site, effect);
    if (effect.kind === 'trim') {
      const { trimmedLsn } = this.newest;
      const rule = 'a trim is carried out once it is committed';
      invariant(effect.through <= trimmedLsn, rule, () => `${effect.through} of ${trimmedLsn}`);
    }
    if (effect.kind === 'reply') this.#reply(site, effect.request, effect.reply);
  }

  /** What others say may be passed on, and heard; the member's own word is not given any more. */
  #checkSilent({ store, state }: Site, effect: ChainEffect): void {
    const at = (): string => `${Number(store)} in epoch ${state?.record?.epoch}`;
    if (effect.kind === 'send' && effect.body.kind === 'ack') {
      const own = effect.body.entries.some((entry) => entry.store === store);
      invariant(!own, 'a wedged member acknowledges nothing', at);
    }
    const configuration = state?.record?.configuration;
    if (effect.kind !== 'commit' || configuration === undefined) return;
    invariant(order(configuration)[0]?.store !== store, 'a wedged head commits nothing', at);
  }

  // ── What is committed ───────────────────────────────────────────────────────────────────────

  #commit(site: Site, committedLsn: Lsn): void {
    for (const header of site.written) {
      if (lastLsn(header) > committedLsn) break;
      const known = this.#committed.get(header.firstLsn);
      const at = (): string => `${header.firstLsn} at ${Number(site.store)}`;
      if (known !== undefined) {
        const same = known.bodyCrc === header.bodyCrc && known.epoch === header.epoch;
        invariant(same && known.count === header.count, 'one batch at a committed position', at);
        continue;
      }
      invariant(header.firstLsn === this.newest.endLsn + 1, 'what is committed is dense', at);
      this.#judge(header);
      this.#committed.set(header.firstLsn, header);
      this.facts.push(after(this.newest, header));
    }
  }

  /** A batch is committed: it may lie where it lies. */
  #judge(header: BatchHeader): void {
    const before = this.newest;
    const at = (): string => `${header.firstLsn} of epoch ${header.epoch}`;
    invariant(header.timestamp > before.timestamp, 'times rise along a log', at);
    if (header.control?.kind === 'trim' && this.#gentle.has(header)) {
      const { through } = header.control;
      const held = [...before.cursors.values()].every((position) => through <= position);
      invariant(held, 'a trim that is not forced stops at every cursor', at);
      if (before.cursors.size > 0) this.looked.trims += 1;
    }
    if (header.control?.kind === 'forget') {
      const { leasedAt, leaseMillis } = before.keys.get(header.control.key) ?? NO_KEY;
      const over = leasedAt + leaseMillis * 1_000 <= header.timestamp;
      invariant(over, 'a key is forgotten once its lease is over', at);
    }
    if (header.kind !== 'data') return;
    const body = this.#bodies.get(header.bodyCrc);
    if (body !== undefined) {
      invariant(holds(body, before), 'a condition held where its append lies', at);
      invariant(isKeyed(header, body), 'each key is of the record that was tagged with it', at);
    }
    const name = nameOf(header);
    if (name === null) return;
    invariant(!this.#once.has(name), 'an idempotent append is there once', at);
    this.#once.set(name, header.firstLsn);
  }

  // ── What clients are told ───────────────────────────────────────────────────────────────────

  #reply(site: Site, request: number, reply: ChainReply): void {
    // A trim of what is trimmed already writes nothing, so it says nothing of copies.
    const counts = reply.kind === 'applied' && reply.lsn !== NO_LSN;
    if (reply.kind === 'appended' || counts) this.#checkReplicas(site);
    if (reply.kind === 'readIndex') this.#checkRead(site, reply);
    const call = this.#calls.get(request);
    if (call === undefined || call.store !== site.store) return;
    this.#calls.delete(request);
    const since = this.facts.slice(call.from);
    if (reply.kind === 'appended' && call.append !== null) this.#checkAnswer(call.append, reply);
    if (reply.kind === 'key') {
      const { key, keyLsn, tokenLsn, leaseMillis } = reply;
      const seen = since.some(({ keys }) => {
        const entry = keys.get(key) ?? NO_KEY;
        const same = entry.keyLsn === keyLsn && entry.tokenLsn === tokenLsn;
        return same && entry.leaseMillis === leaseMillis;
      });
      invariant(seen, 'what is said of a key was so meanwhile', () => `${key} ${keyLsn}`);
      this.looked.answers += 1;
    }
    if (reply.kind === 'cursors') {
      const told = new Map(reply.cursors.map(({ name, lsn }) => [name, lsn]));
      const seen = since.some(({ cursors }) => isSame(cursors, told));
      invariant(seen, 'what is said of cursors was so meanwhile', () => [...told].join(' '));
      this.looked.answers += 1;
    }
    if (reply.kind !== 'refused') return;
    const { code } = reply.refusal;
    const { through } = call;
    if (through !== null && code === 'OUT_OF_RANGE') {
      const above = since.some(({ endLsn }) => endLsn < through);
      invariant(above, 'what was acknowledged may be trimmed', () => reply.refusal.message);
    }
    if (call.append === null) return;
    if (reply.outcome === 'none') this.onRefused(call.append, code);
    const { append } = call;
    if (code === 'IDEMPOTENCY_MISMATCH') this.#checkMismatch(append);
    if (!PROVES_NOTHING_LANDED.has(code)) return;
    const name = nameOf(append);
    // Who sends again takes no answer to what was sent before.
    const landed = name !== null && this.#once.has(name);
    const newest = this.#sent.get(append.bodyCrc) === request;
    invariant(!landed || !newest, 'what landed is not refused', () => `${code} ${name}`);
    const numbered = append.idempotence?.chosen === false;
    if (name !== null && numbered) this.#refused.set(name, headOf(site));
    if (code !== 'CONDITION_FAILED' && code !== 'FENCED') return;
    const failed = since.some((fact) => !holds(append, fact));
    invariant(failed, '"no" is said from what is committed', () => reply.refusal.message);
    this.looked.refusals += 1;
  }

  /** What a head refused for good it does not append when a copy comes late. */
  #checkLate(site: Site, header: BatchHeader): void {
    const name = nameOf(header) ?? '';
    const same = this.#refused.get(name) === headOf(site);
    invariant(!same, 'what was refused is not appended later', () => name);
  }

  /** Other records are committed under the name of what is refused for them. */
  #checkMismatch(append: AppendRequest): void {
    const name = nameOf(append) ?? '';
    const other = this.#committed.get(this.#once.get(name) ?? NO_LSN);
    const differs = other !== undefined && other.bodyCrc !== append.bodyCrc;
    invariant(differs, 'a key that is refused was used for other records', () => name);
    this.looked.refusals += 1;
  }

  #checkReplicas(site: Site): void {
    const configuration = site.state?.record?.configuration;
    if (configuration === undefined) return;
    const { minReplicas } = configuration.settings;
    const rule = 'nothing is acknowledged with too few members';
    invariant(order(configuration).length >= minReplicas, rule, () => `${Number(site.store)}`);
  }

  /** Of a read of the tail: nothing above the commit is shown, and the member has all below it. */
  #checkRead({ state, store }: Site, { committedLsn, dataLsn }: ReadIndex): void {
    const at = (): string => `${dataLsn} of ${committedLsn} at ${Number(store)}`;
    const known = state?.committedLsn ?? NO_LSN;
    invariant(known >= committedLsn, 'who answers a read has what was proven', at);
    const fact = this.facts.findLast(({ endLsn }) => endLsn === committedLsn);
    invariant(fact?.dataLsn === dataLsn, 'a read names the last committed record', at);
    this.looked.answers += 1;
  }

  #checkAnswer(body: AppendRequest, reply: Extract<ChainReply, { kind: 'appended' }>): void {
    const held = this.#committed.get(reply.firstLsn);
    const at = (): string => `${reply.firstLsn}, committed is ${held?.bodyCrc}`;
    invariant(held?.bodyCrc === body.bodyCrc, 'an answer names what was appended', at);
    invariant(held?.timestamp === reply.timestamp, 'an answer has the time of the record', at);
    const last = held === undefined ? NO_LSN : lastLsn(held);
    invariant(last === reply.lastLsn, 'an answer names the last record', () => `${reply.lastLsn}`);
    this.looked.answers += 1;
    if (reply.duplicate) this.looked.duplicates += 1;
  }
}

function isKeyed({ firstLsn, keys }: BatchHeader, asked: AppendRequest): boolean {
  const placed = asked.keys.map(({ key, offset }) => `${key} ${firstLsn + offset}`);
  return placed.join() === keys.map(({ key, lsn }) => `${key} ${lsn}`).join();
}

/** A head in one of its epochs. */
const headOf = ({ store, state }: Site): string => `${store} ${state?.record?.epoch}`;

function nameOf({ idempotence }: Pick<BatchHeader, 'idempotence'>): string | null {
  return idempotence === null ? null : `${idempotence.writer}/${idempotence.sequence}`;
}
