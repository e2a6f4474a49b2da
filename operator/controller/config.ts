// What a controller is told at its start, and the numbers by which it finds faults.
//
// The times are those of the protocol's failure detection (docs/register.md): they shape how soon
// a fault is answered, never whether the answer is right.

import { type Micros, micros } from '../../protocol/types.ts';

export interface ControllerConfig {
  /** Formatted before (format.ts): the directory knows the cluster, the id and the first set. */
  readonly directory: string;
  /** `host:port` to serve at; port 0 for any free one. */
  readonly listen: string;
  /** How others reach `listen`; empty: as it is. */
  readonly advertise: string;
  /** Failure domain, shown by `status`. */
  readonly zone: string;
  /** Refuse a directory of another cluster; empty for any. */
  readonly cluster: string;
  /** Refuse a directory of another controller; empty for any. */
  readonly id: string;
  /** What `status` shows of this process. */
  readonly pid: number;
  readonly version: string;
  /** Greatest feature level of this version; another version is tried out by another one. */
  readonly featureLevelMax?: number;
}

/** Wire between the processes of one cluster that this code understands. */
export const FEATURE_LEVEL_MIN = 1;
export const FEATURE_LEVEL_MAX = 1;

const millis = (count: number): Micros => micros(count * 1_000);

export const TIMING = {
  /** Between two pings of a replica. */
  ping: millis(50),
  /**
   * The same while nothing is written: there is no sync that could hang, and who falls silent is
   * suspected as soon, since that is counted from its last pong.
   */
  pingIdle: millis(120),
  /** Without a sync for this long nothing is written. */
  idle: millis(2_000),
  /** Without a pong: suspected. */
  suspect: millis(400),
  /** With a sync under way while others sync: its disk hangs. */
  stuck: millis(500),
  /** The same, however slow the disks of the others are. */
  stuckAnyway: millis(2_000),
  /** The longest syncs of the others by which that is judged are those of so long. */
  peaks: millis(5_000),
  /** This late, our own loop may be what is slow: what it saw meanwhile is void. */
  lateness: millis(100),
  /** A completed sync is proof of a working disk for this long. */
  syncFresh: millis(400),
  /** After a configuration was decided: who has not adopted it by then is out. */
  adopt: millis(400),
  /** The same for a member whose disk is at work meanwhile. */
  adoptSyncing: millis(2_000),
  /** For wedged members to show that they sync. */
  wedge: millis(400),
  /** A wedge that nobody carries on is an orphan. */
  orphan: millis(300),
  /** Appends wait and nothing commits: the chain itself reports a fault. */
  stall: millis(400),
  /** Who lags then is cut off, not slow, once it has had all that it got on disk for this long. */
  stallRest: millis(200),
  /** So long, and it no longer matters why. */
  stallPatience: millis(2_500),
  /** Before a member comes back that was put out because a link to it is cut. */
  cutOff: millis(3_000),
  /** Nobody of the serving members answers: only then may a restarted one go on. */
  cold: millis(1_000),
  /** Before a spare that has nothing of a journal takes the place of a member that is away. */
  sparePatience: millis(5_000),
  /** Nothing was decided for this long: small improvements may be made. */
  calm: millis(30_000),
  /** A second stall within this time after a reorder drops a member. */
  reorderMemory: millis(5_000),
  /** The controllers next in rank wait this long each before they act as well. */
  rank: millis(250),
  /** And this long for one that was seen to act. */
  others: millis(500),
  gossip: millis(500),
  /** A controller that did not gossip for this long does not count. */
  gossipFresh: millis(1_500),
  /** Floors reach the disk at most this late. */
  floors: millis(500),
  /** All registers are read again this often, in case a hint was lost. */
  refresh: millis(10_000),
  /** One call of an acceptor. */
  acceptor: millis(500),
  /** A change or read of a register, with its retries. */
  register: millis(3_000),
  /** Clocks further than this from the controllers' median make a bad head. */
  clockError: millis(250),
  /** A member that was put out for its disk shows good syncs for this long first. */
  quarantine: millis(1_000),
  /** Slow: this long for a sync, and `slowFactor` times the peers. */
  slowSync: millis(50),
} as const;

export const SLOW_FACTOR = 20;
