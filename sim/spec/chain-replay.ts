// Replays each step of an explored chain against the transcription of its model.
//
// After a step the sites are compared with what the model last knew of them: each difference must
// be an action that the model allows, and so must every acknowledgement, commit and read answer.

import type { ChainEffect, ChainRecord } from '../../protocol/chain/messages.ts';
import type { ChainState } from '../../protocol/chain/state.ts';
import { type Configuration, order } from '../../protocol/configuration.ts';
import type { StoreId } from '../../protocol/types.ts';
import {
  CHAIN_ACTIONS,
  type SpecConfiguration,
  type SpecNode,
  type SpecState,
  SpecViolation,
  UNMODELLED,
} from './chain.ts';
import { isSame, type Log, len } from './chain-log.ts';

const actions = CHAIN_ACTIONS;
const names = new Map<StoreId, string>();

/** What a store is called here; asked for several times a turn. */
function name(store: StoreId): string {
  const known = names.get(store);
  if (known !== undefined) return known;
  const short = store.replace(/^0+(?=.)/, '');
  // Stores of all the runs of a thread come by: those of the last ones are enough.
  if (names.size >= NAMES_MAX) names.clear();
  names.set(store, short);
  return short;
}

const NAMES_MAX = 1_000;

/** A member as the replay sees it: the machine, and what lies on its disk. */
export interface Member {
  readonly store: StoreId;
  readonly incarnation: number;
  /** Null while the process is down. */
  readonly state: ChainState | null;
  /** Everything appended since the beginning, whatever was trimmed. */
  readonly written: Log;
  readonly durable: Log;
  /** As it was last saved. */
  readonly record: ChainRecord | null;
  /** Number of the next request that it may be asked. */
  readonly nextRequest: number;
}

export interface Step {
  /** In the order of their epochs, from the first that there was. */
  readonly decided: readonly Configuration[];
  /** Whoever may have taken a step. */
  readonly members: readonly Member[];
  readonly effects: readonly { readonly store: StoreId; readonly effect: ChainEffect }[];
}

function configuration(given: Configuration): SpecConfiguration {
  const inc = new Map(order(given).map(({ store, incarnation }) => [name(store), incarnation]));
  return {
    order: order(given).map(({ store }) => name(store)),
    serving: given.serving.map(({ store }) => name(store)),
    inc,
  };
}

export class ChainReplay {
  /** Actions that were replayed, by name. */
  readonly taken = new Map<string, number>();
  readonly #state: SpecState = {
    cfgs: [],
    nodes: new Map(),
    start: new Map(),
    hist: new Map(),
    ackd: new Map(),
    committed: new Map(),
    got: new Map(),
  };
  /** By epoch and node: the number of the next request when each barrier was drawn. */
  readonly #drawn = new Map<string, number[]>();

  /** Reads that a member asked another head for: by node, start and request. */
  readonly #remote = new Set<string>();

  /** Call after each step; throws a SpecViolation where the model does not allow it. */
  step({ decided, members, effects }: Step): void {
    for (const member of members) this.#meet(member);
    const { cfgs } = this.#state;
    for (const next of decided.slice(cfgs.length)) {
      // The first is given, as in the model's Init.
      this.#begun(next);
      if (cfgs.length === 0) cfgs.push(configuration(next));
      else this.#take('Reconfig', () => actions.Reconfig(this.#state, configuration(next)));
    }
    for (const member of members) {
      this.#compare(member);
      this.#noteBarrier(member);
      const { state } = member;
      if (state === null || state.remoteReads.size === 0) continue;
      for (const { request } of state.remoteReads.values()) {
        this.#remote.add(`${name(member.store)} ${member.incarnation} ${request}`);
      }
    }
    for (const { store, effect } of effects) this.#effect(name(store), effect);
  }

  /** Whoever was never seen has an empty disk until it shows one. */
  #meet({ store, incarnation }: Pick<Member, 'store' | 'incarnation'>): void {
    const n = name(store);
    if (this.#state.nodes.has(n)) return;
    const inc = Math.min(1, incarnation);
    const empty = { ep: 0, live: false, synced: false, log: [], disk: [], mark: 0, starts: [] };
    this.#state.nodes.set(n, { ...empty, inc });
  }

  /** A process that never had the journal takes no turn of it, however often it began. */
  #begun(next: Configuration): void {
    for (const member of order(next)) {
      this.#meet(member);
      const node = this.#node(name(member.store));
      const empty = node.ep === 0 && node.log.length === 0 && node.disk.length === 0;
      if (empty && !node.live) node.inc = Math.max(node.inc, member.incarnation);
    }
  }

  #take(action: string, act: () => void): void {
    act();
    this.taken.set(action, (this.taken.get(action) ?? 0) + 1);
  }

  #node(n: string): SpecNode {
    const node = this.#state.nodes.get(n);
    if (node === undefined) throw new Error(`no node ${n}`);
    return node;
  }

  // ── Differences ─────────────────────────────────────────────────────────────────────────────

  #compare(site: Member): void {
    const n = name(site.store);
    const node = this.#node(n);
    const { state, record } = site;
    if (state === null) {
      if (node.live) this.#take('Crash', () => actions.Crash.crash(this.#state, n));
      return;
    }
    if (site.incarnation !== node.inc) {
      const ep = record?.epoch ?? 0;
      const mark = record?.markLsn ?? 0;
      const volume = { inc: site.incarnation, ep, mark, disk: site.durable };
      this.#take('Crash', () => actions.Crash.restart(this.#state, n, volume));
    }
    const epoch = record?.epoch ?? 0;
    const adopts = state.live && (!node.live || node.ep !== epoch);
    // What it wrote before it left the old epoch belongs to that.
    if (!adopts) this.#compareLog(n, node, site);
    this.#compareDisk(n, node, site);
    if (adopts) {
      this.#take('Adopt', () => actions.Adopt(this.#state, n, epoch, record?.markLsn ?? 0));
      this.#compareLog(n, node, site);
    } else if (record?.retired === true && epoch > node.ep) {
      this.#take('Retire', () => actions.Retire(this.#state, n, epoch, record.markLsn));
    } else if (epoch > node.ep) {
      // Adopted on the disk, and left at once for an epoch that is being saved.
      this.#take('Adopt', () => actions.Adopt(this.#state, n, epoch, record?.markLsn ?? 0));
    }
    // It left its epoch for one that its disk does not know yet: to the model it may do nothing.
    if (!state.live) Object.assign(node, { live: false, synced: false });
    if (record !== null && record.epoch === node.ep) node.mark = record.markLsn;
  }

  #compareLog(n: string, node: SpecNode, { state, written: log }: Member): void {
    if (state === null) return;
    const grown = node.live && state.live && state.synced;
    if (isSame(node.log, log) && (!grown || node.synced)) return;
    const leads = this.#state.cfgs[node.ep - 1]?.order[0] === n;
    if (node.live && leads) {
      for (const one of log.slice(node.log.length)) {
        this.#take('Append_', () => actions.Append_(this.#state, n, one));
      }
    } else if (grown || (node.live && node.synced)) {
      this.#take('Recv', () => actions.Recv(this.#state, n, node.ep, log));
    } else if (node.live) {
      this.#take('SyncPart', () => UNMODELLED.syncPart(this.#state, n, log));
    } else {
      this.#take('LearnerFetch', () => UNMODELLED.learnerFetch(this.#state, n, log));
    }
  }

  #compareDisk(n: string, node: SpecNode, { durable }: Member): void {
    if (isSame(node.disk, durable)) return;
    this.#take('FsyncAck', () => actions.FsyncAck.fsync(this.#state, n, durable));
  }

  // ── Effects ─────────────────────────────────────────────────────────────────────────────────

  #effect(n: string, effect: ChainEffect): void {
    const node = this.#node(n);
    const leads = node.live && this.#state.cfgs[node.ep - 1]?.order[0] === n;
    if (effect.kind === 'commit') {
      const lsn = effect.committedLsn;
      if (!leads) {
        this.#take('LearnCommit', () => UNMODELLED.learnCommit(this.#state, n, lsn));
        return;
      }
      // What the head has on its own disk needs no message.
      const own = Math.min(lsn, len(node.disk));
      this.#take('FsyncAck', () => actions.FsyncAck.ack(this.#state, n, node.ep, own));
      this.#take('Commit', () => actions.Commit(this.#state, n, lsn));
    } else if (effect.kind === 'reply' && effect.reply.kind === 'readIndex' && leads) {
      // Asked of the head before it, and answered by that.
      if (this.#remote.has(`${n} ${node.inc} ${effect.request}`)) return;
      const { committedLsn } = effect.reply;
      const barrier = this.#drawnAfter(n, node.ep, effect.request);
      this.#take('RdStart', () => actions.RdStart(this.#state, n, committedLsn, barrier));
    } else if (effect.kind === 'send' && effect.body.kind === 'ack') {
      for (const { store, durableLsn, barrier } of effect.body.entries) {
        const e = node.ep;
        if (name(store) !== n) this.#relayed(name(store), e, durableLsn);
        else this.#take('FsyncAck', () => actions.FsyncAck.ack(this.#state, n, e, durableLsn));
        if (name(store) !== n || barrier === 0) continue;
        const drawn = this.#lastDrawn(e);
        this.#take('RdAck', () => actions.RdAck(this.#state, n, e, barrier, drawn));
      }
    }
  }

  /** The first barrier that the head drew after a request came. */
  #drawnAfter(n: string, e: number, request: number): number {
    const drawn = this.#drawn.get(`${e} ${n}`) ?? [];
    const at = drawn.findIndex((next) => next > request);
    return at < 0 ? Number.POSITIVE_INFINITY : at;
  }

  /** The greatest barrier that the head of an epoch has drawn in it. */
  #lastDrawn(e: number): number {
    const leads = this.#state.cfgs[e - 1]?.order[0] ?? '';
    return (this.#drawn.get(`${e} ${leads}`)?.length ?? 1) - 1;
  }

  #noteBarrier({ store, state, nextRequest }: Member): void {
    if (state === null || !state.live) return;
    const place = `${state.record?.epoch ?? 0} ${name(store)}`;
    let drawn = this.#drawn.get(place);
    if (drawn === undefined) {
      drawn = [0];
      this.#drawn.set(place, drawn);
    }
    while (drawn.length <= state.barrier) drawn.push(nextRequest);
  }

  /** What is passed on was said. */
  #relayed(n: string, e: number, lsn: number): void {
    const said = this.#state.ackd.get(`${e} ${n}`)?.lsn ?? 0;
    if (said >= lsn) return;
    throw new SpecViolation(`FsyncAck(${n})`, `${lsn} was passed on for it, it said ${said}`);
  }
}
