// ChainReconfig.tla in short: the same variables, the same actions under the same names, each as a
// guard and a change. A step that its guard does not allow throws with the action's name.
//
// Where the code does in parts what the model does at once, an action takes the part as argument:
// FsyncAck here syncs or acknowledges up to a position. LearnerFetch, SyncPart and LearnCommit are
// no actions of the model: what a learner copies, a sync that stopped half way, and what others
// than heads believe to be committed; their guards keep them from doing what the model forbids.

import { InvariantViolation } from '../../protocol/errors.ts';
import { countTo, type Entry, isPrefix, type Log, len, upTo } from './chain-log.ts';

export interface SpecConfiguration {
  readonly order: readonly string[];
  readonly serving: readonly string[];
  readonly inc: ReadonlyMap<string, number>;
}

/** What a start finds, and the incarnation that it has. */
export interface SpecVolume {
  readonly inc: number;
  readonly ep: number;
  readonly mark: number;
  readonly disk: Log;
}

export interface SpecNode {
  ep: number;
  live: boolean;
  synced: boolean;
  log: Log;
  disk: Log;
  mark: number;
  inc: number;
  /** Earlier starts: a decision about one may be heard of only after the next. */
  readonly starts: SpecVolume[];
}

export interface SpecState {
  /** Of epoch i + 1 at i. */
  readonly cfgs: SpecConfiguration[];
  readonly nodes: Map<string, SpecNode>;
  readonly start: Map<number, number>;
  /** By epoch and node: the longest log put on the wire, and the highest acknowledgement. */
  readonly hist: Map<string, Log>;
  readonly ackd: Map<string, { readonly lsn: number; readonly epoch: number }>;
  readonly committed: Map<number, string>;
  /** By epoch and node: the greatest barrier that it answered. */
  readonly got: Map<string, number>;
}

/** A step that the model has not: a broken rule, which ends the process and fails the run. */
export class SpecViolation extends InvariantViolation {
  readonly action: string;

  constructor(action: string, why: string) {
    super(`the spec does not allow ${action}`, why);
    this.name = 'SpecViolation';
    this.action = action;
  }
}

function guard(holds: boolean, action: string, why: string): void {
  if (!holds) throw new SpecViolation(action, why);
}

const key = (e: number, n: string): string => `${e} ${n}`;

function nodeOf(state: SpecState, n: string): SpecNode {
  const node = state.nodes.get(n);
  if (node === undefined) throw new SpecViolation('Init', `there is no node ${n}`);
  return node;
}

function configurationOf(state: SpecState, e: number, action: string): SpecConfiguration {
  const found = state.cfgs[e - 1];
  if (found === undefined) throw new SpecViolation(action, `epoch ${e} was not decided`);
  return found;
}

const latest = (state: SpecState): number => state.cfgs.length;
const headOf = (state: SpecState, e: number): string | undefined => state.cfgs[e - 1]?.order[0];
const ackedLsn = (state: SpecState, e: number, n: string): number =>
  state.ackd.get(key(e, n))?.lsn ?? 0;

// ── The control plane ─────────────────────────────────────────────────────────────────────────

function syncEvidence(state: SpecState, j: string): boolean {
  const e = latest(state);
  const start = state.start.get(e);
  if (start === undefined || !state.ackd.has(key(e, j))) return false;
  const lsn = ackedLsn(state, e, j);
  return lsn >= start && (lsn > 0 || nodeOf(state, j).ep >= e);
}

function aboveFloor(state: SpecState, n: string, { disk, ep, mark }: SpecVolume): boolean {
  if (len(disk) < mark) return false;
  for (let e = 1; e <= latest(state); e += 1) {
    const floor = state.ackd.get(key(e, n));
    if (floor === undefined || floor.lsn === 0 || ep > e) continue;
    const held = disk.find(({ lsn }) => lsn === floor.lsn);
    if (ep !== e || held?.epoch !== floor.epoch) return false;
  }
  return true;
}

function reconfig(state: SpecState, next: SpecConfiguration): void {
  const cur = configurationOf(state, latest(state), 'Reconfig');
  const members = new Set(next.order);
  const joining = next.order.slice(next.serving.length);
  guard(members.size === next.order.length, 'Reconfig', 'a node is named twice');
  guard(next.serving.length > 0 && joining.length <= 1, 'Reconfig', 'nobody serves, or two join');
  const kept = next.serving.every((n) => {
    const same = next.inc.get(n) === cur.inc.get(n);
    if (cur.serving.includes(n)) return same;
    return cur.order.includes(n) && same && syncEvidence(state, n);
  });
  const [only = ''] = next.serving;
  const node = nodeOf(state, only);
  const volume = [...node.starts, node].find(({ inc }) => inc === next.inc.get(only));
  const cold =
    next.serving.length === 1 &&
    cur.serving.includes(only) &&
    volume !== undefined &&
    volume.inc > (cur.inc.get(only) ?? 0) &&
    aboveFloor(state, only, volume);
  guard(
    kept || cold,
    'Reconfig',
    `${next.serving.join()} are no survivors of ${cur.serving.join()}`,
  );
  state.cfgs.push(next);
}

function adopt(state: SpecState, n: string, e: number, mark: number): void {
  const action = `Adopt(${n}, ${e})`;
  const node = nodeOf(state, n);
  const cfg = configurationOf(state, e, action);
  guard(e > node.ep, action, `it is in epoch ${node.ep}`);
  guard(
    cfg.order.includes(n) && cfg.inc.get(n) === node.inc,
    action,
    'its incarnation is not named',
  );
  guard(mark <= len(node.disk), action, `its mark is ${mark}, its disk ends at ${len(node.disk)}`);
  const leads = headOf(state, e) === n;
  Object.assign(node, { ep: e, live: true, synced: leads, mark });
  if (!leads) return;
  state.start.set(e, len(node.log));
  state.hist.set(key(e, n), node.log);
}

function retire(state: SpecState, n: string, e: number, mark: number): void {
  const action = `Retire(${n}, ${e})`;
  const node = nodeOf(state, n);
  guard(node.ep > 0 && e > node.ep, action, `it is in epoch ${node.ep}`);
  const named = configurationOf(state, e, action).order.includes(n);
  guard(!named, action, 'its disk is named');
  Object.assign(node, { ep: e, mark, live: false, synced: false });
}

// ── The data ──────────────────────────────────────────────────────────────────────────────────

function append(state: SpecState, n: string, entry: Entry): void {
  const action = `Append_(${n})`;
  const node = nodeOf(state, n);
  guard(node.live && headOf(state, node.ep) === n, action, 'it is no head');
  guard(entry.epoch === node.ep, action, `an entry of epoch ${entry.epoch} in ${node.ep}`);
  node.log = [...node.log, entry];
  state.hist.set(key(node.ep, n), node.log);
}

function predecessorHist(state: SpecState, n: string, e: number): Log | undefined {
  const order = state.cfgs[e - 1]?.order ?? [];
  const p = order[order.indexOf(n) - 1];
  return p === undefined ? undefined : state.hist.get(key(e, p));
}

/** Its log is now `log`, which came from its predecessor in epoch e. */
function recv(state: SpecState, n: string, e: number, log: Log): void {
  const action = `Recv(${n}, ${e})`;
  const node = nodeOf(state, n);
  const start = state.start.get(e);
  guard(node.live && node.ep === e, action, `it is in epoch ${node.ep}`);
  guard(start !== undefined, action, 'the epoch has not started');
  guard(len(log) >= (start ?? 0), action, `it ends at ${len(log)}, the epoch starts at ${start}`);
  const sent = predecessorHist(state, n, e);
  guard(sent !== undefined && isPrefix(log, sent), action, 'its predecessor never sent this');
  if (node.synced) guard(isPrefix(node.log, log), action, 'a synced log only grows');
  Object.assign(node, { log, synced: true });
  state.hist.set(key(e, n), log);
}

/** The disk now holds `disk`: more of the log, or less of what it held. */
function fsync(state: SpecState, n: string, disk: Log): void {
  const node = nodeOf(state, n);
  const cut = isPrefix(disk, node.disk);
  guard(cut || isPrefix(disk, node.log), `FsyncAck(${n})`, 'its disk holds what its log does not');
  node.disk = disk;
}

/** Acknowledged up to `lsn`, by a message of epoch e. */
function ack(state: SpecState, n: string, e: number, lsn: number): void {
  const action = `FsyncAck(${n})`;
  const node = nodeOf(state, n);
  guard(node.live && node.ep === e, action, `it says so in epoch ${e}, and is in ${node.ep}`);
  guard(node.synced || lsn === 0, action, 'it is not synced');
  const last = node.log[countTo(node.log, lsn) - 1];
  const onDisk = node.disk[countTo(node.disk, lsn) - 1];
  const durable = (last?.lsn ?? 0) === lsn && last?.id === onDisk?.id;
  guard(durable, action, `${lsn} is not on its disk, which ends at ${len(node.disk)}`);
  if (lsn < ackedLsn(state, e, n)) return;
  state.ackd.set(key(e, n), { lsn, epoch: last?.epoch ?? 0 });
}

function commit(state: SpecState, n: string, lsn: number): void {
  const action = `Commit(${n})`;
  const node = nodeOf(state, n);
  guard(node.live && headOf(state, node.ep) === n, action, 'it is no head');
  for (const m of configurationOf(state, node.ep, action).order) {
    const acked = ackedLsn(state, node.ep, m);
    guard(acked >= lsn, action, `${m} has acknowledged ${acked} of ${lsn}`);
  }
  // An id names all before it: down from the end, the first that is known speaks for the rest.
  for (let at = countTo(node.log, lsn) - 1; at >= 0; at -= 1) {
    const entry = node.log[at];
    if (entry === undefined) break;
    const known = state.committed.get(entry.lsn);
    guard(known === undefined || known === entry.id, action, `${entry.lsn} is committed twice`);
    if (known !== undefined) break;
    state.committed.set(entry.lsn, entry.id);
  }
}

/** The process is gone; `disk` is what a crash, or a copy that was put back, left. */
function crash(state: SpecState, n: string): void {
  Object.assign(nodeOf(state, n), { live: false, synced: false });
}

/** It starts again from its volume. */
function restart(state: SpecState, n: string, volume: SpecVolume): void {
  const node = nodeOf(state, n);
  guard(volume.inc > node.inc, `Crash(${n})`, 'a start has an incarnation of its own');
  const { inc, ep, mark, disk } = node;
  node.starts.push({ inc, ep, mark, disk });
  Object.assign(node, { ...volume, log: volume.disk, live: false, synced: false });
}

// ── Reads ─────────────────────────────────────────────────────────────────────────────────────

/** It answers all barriers of epoch e up to `barrier`; the last one that was drawn is `drawn`. */
function rdAck(state: SpecState, n: string, e: number, barrier: number, drawn: number): void {
  const { live, ep } = nodeOf(state, n);
  guard(live && ep === e, `RdAck(${n})`, `it answers a barrier of ${e}, and is in ${ep}`);
  guard(barrier <= drawn, `RdAck(${n})`, `it answers ${barrier}, drawn in ${e} is ${drawn}`);
  const seen = Math.max(barrier, state.got.get(key(e, n)) ?? 0);
  state.got.set(key(e, n), seen);
}

/** The head answers a read with `lsn`: all have answered `barrier`, drawn after it was asked. */
function rdStart(state: SpecState, n: string, lsn: number, barrier: number): void {
  const { ep, live } = nodeOf(state, n);
  const start = state.start.get(ep) ?? Number.POSITIVE_INFINITY;
  guard(live && headOf(state, ep) === n, `RdStart(${n})`, 'it is no head');
  guard(lsn >= start, `RdStart(${n})`, `${lsn} is committed, the epoch starts at ${start}`);
  for (const m of configurationOf(state, ep, 'RdStart').order) {
    const got = state.got.get(key(ep, m)) ?? 0;
    guard(
      m === n || got >= barrier,
      `RdAck(${m})`,
      `the barrier is ${barrier}, it answered ${got}`,
    );
  }
}

// ── Not in the model ──────────────────────────────────────────────────────────────────────────

/** A member that is not synced yet has cut its log, or taken a part of what it lacks. */
function syncPart(state: SpecState, n: string, log: Log): void {
  const node = nodeOf(state, n);
  const sent = predecessorHist(state, n, node.ep);
  const cut = isPrefix(log, node.log);
  const part = sent !== undefined && isPrefix(log, sent);
  guard(cut || part, `SyncPart(${n})`, 'it took what its predecessor never sent');
  node.log = log;
}

/** A learner holds what it had, cut, or what is committed. */
function learnerFetch(state: SpecState, n: string, log: Log): void {
  const node = nodeOf(state, n);
  guard(!node.live, `LearnerFetch(${n})`, 'it is a member');
  const last = log.at(-1);
  const good = isPrefix(log, node.log) || isCommitted(state, last);
  guard(good, `LearnerFetch(${n})`, 'it took what is not committed');
  node.log = log;
}

function learnCommit(state: SpecState, n: string, lsn: number): void {
  const last = upTo(nodeOf(state, n).log, lsn).at(-1);
  const good = last === undefined || isCommitted(state, last);
  guard(good, `LearnCommit(${n})`, `${last?.lsn} was committed by no head`);
}

function isCommitted(state: SpecState, entry: Entry | undefined): boolean {
  return entry !== undefined && state.committed.get(entry.lsn) === entry.id;
}

/** By their names in the model: Snapshot copies a volume and changes nothing here. */
export const CHAIN_ACTIONS = {
  Reconfig: reconfig,
  Adopt: adopt,
  Retire: retire,
  Append_: append,
  Recv: recv,
  FsyncAck: { fsync, ack },
  Commit: commit,
  Crash: { crash, restart },
  Snapshot: () => undefined,
  RdStart: rdStart,
  RdAck: rdAck,
} as const;

/** What the code does and the model leaves out. */
export const UNMODELLED = { syncPart, learnerFetch, learnCommit } as const;
