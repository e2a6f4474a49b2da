// What a controller is told at its start, its flags included, and the numbers by which it finds
// faults.
//
// The times are those of the protocol's failure detection (docs/register.md): they shape how soon
// a fault is answered, never whether the answer is right.

import {
  flag,
  flagRows,
  isAddress,
  LOG_LEVELS,
  readSettings,
  readTls,
  type Settings,
  switchRow,
  type TlsPaths,
  tlsFlags,
  type Vocabulary,
} from '../../io/node-settings.ts';
import type { Random } from '../../io/random.ts';
import type { Seat } from '../../protocol/paxos/messages.ts';
import { label, type Micros, micros, storeId, zone } from '../../protocol/types.ts';

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

// ── Flags ─────────────────────────────────────────────────────────────────────────────────────

export interface ControllerFormat {
  /** 32 lowercase hex digits, the same for every process of the cluster, for ever. */
  readonly cluster: string;
  /** Label of this controller. */
  readonly id: string;
  /** All controllers: 1, 3 or 5, the same list at each. */
  readonly set: readonly Pick<Seat, 'id' | 'address'>[];
  /** Members that may format one volume each; more by `journal admin member add`. */
  readonly grants: readonly { readonly member: string; readonly zone: string }[];
  /** Waits to be let into the set in place of another controller; `set` says whom to ask. */
  readonly join?: boolean | undefined;
  /**
   * All controllers were lost: the registers are to be rebuilt by `recover-controllers`. The same
   * new word at each, so that the old ones, which may only be cut off, are another set.
   */
  readonly recovery?: string | undefined;
  /** No error where the directory is this controller's already: a step that may be repeated. */
  readonly ifAbsent?: boolean | undefined;
  /** Where chance comes from, for the store id. */
  readonly random?: Random | undefined;
}

/** What a process has beyond the controller itself. */
export interface ProcessConfig {
  readonly controller: ControllerConfig;
  readonly probeListen: string;
  readonly tls: TlsPaths;
  readonly authorization: string;
  readonly logLevel: string;
}

export type CommandLine =
  | { readonly kind: 'run'; readonly config: ProcessConfig }
  | { readonly kind: 'format'; readonly directory: string; readonly format: ControllerFormat }
  | { readonly kind: 'print'; readonly text: string };

type About = Pick<ControllerConfig, 'pid' | 'version'>;

const RUN: Vocabulary = {
  command: 'journal controller',
  prefix: 'JOURNAL_',
  switches: ['print-config'],
  flags: [
    flag('data', 'DIR', 'data', 'data directory, formatted before'),
    flag('listen', 'HOST:PORT', '127.0.0.1:7411', 'where to serve replicas and controllers'),
    flag('advertise', 'HOST:PORT', '', 'how others reach --listen; the same when left out'),
    flag('zone', 'ZONE', 'a', 'failure domain, shown by status'),
    flag('cluster', 'ID', '', 'refuse a directory of any other cluster'),
    flag('id', 'ID', '', 'refuse a directory of any other controller'),
    flag('probe-listen', 'HOST:PORT', '', 'where to serve /livez, /readyz and /metrics; none'),
    ...tlsFlags('controller'),
    flag('log-level', 'LEVEL', 'info', 'debug, info, warn or error'),
  ],
};

const FORMAT: Vocabulary = {
  command: 'journal controller format',
  prefix: 'JOURNAL_',
  switches: ['join', 'if-absent'],
  flags: [
    flag('data', 'DIR', 'data', 'directory to format: empty, or not there'),
    flag('cluster', 'ID', '', '32 lowercase hex digits, the same for all; required'),
    flag('id', 'ID', '', 'label of this controller; required'),
    flag(
      'set',
      'ID=HOST:PORT,…',
      '',
      'all controllers, 1, 3 or 5, the same list at each; required',
    ),
    flag('grant', 'MEMBER=ZONE,…', '', 'members that may format one volume each'),
    flag('recovery', 'WORD', '', 'all controllers were lost: wait for recover-controllers'),
  ],
};

/** Reads flags, then the environment, then the defaults. Throws SettingError. */
export function readCommandLine(
  args: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
  about: About,
): CommandLine {
  if (args[0] === 'format') return readFormat(readSettings(FORMAT, args.slice(1), env));
  const settings = readSettings(RUN, args, env);
  if (settings.on('help')) return { kind: 'print', text: runHelp() };
  const config = readConfig(settings, about);
  if (!settings.on('print-config')) return { kind: 'run', config };
  const { pid: _pid, version: _version, ...controller } = config.controller;
  return { kind: 'print', text: `${JSON.stringify({ ...config, controller }, null, 2)}\n` };
}

function readConfig(settings: Settings, about: About): ProcessConfig {
  const tls = readTls(settings);
  return {
    controller: {
      directory: settings.required('data'),
      listen: settings.address('listen'),
      advertise: settings.addressOrNone('advertise'),
      zone: settings.made('zone', zone),
      cluster: settings.madeOrNone('cluster', storeId),
      id: settings.madeOrNone('id', (given) => label('id', given)),
      ...about,
    },
    probeListen: settings.addressOrNone('probe-listen'),
    tls,
    authorization: settings.text('authorization'),
    logLevel: settings.oneOf('log-level', LOG_LEVELS),
  };
}

/** `NAME=VALUE,…` as pairs. */
function pairs(
  settings: Settings,
  name: string,
  allowed: string,
): readonly (readonly [string, string])[] {
  const given = settings.text(name);
  if (given === '') return [];
  return given.split(',').map((one) => {
    const at = one.indexOf('=');
    const pair = [one.slice(0, at).trim(), one.slice(at + 1).trim()] as const;
    if (at < 1 || pair[1] === '') throw settings.wrong(name, allowed);
    return pair;
  });
}

function readFormat(settings: Settings): CommandLine {
  if (settings.on('help')) return { kind: 'print', text: formatHelp() };
  const { text } = settings;
  for (const name of ['cluster', 'id', 'set']) settings.required(name);
  const set = pairs(settings, 'set', 'ID=HOST:PORT, with commas');
  if (!set.every(([, at]) => isAddress(at))) {
    throw settings.wrong('set', 'ID=HOST:PORT with a port from 0 to 65535, with commas');
  }
  const grants = pairs(settings, 'grant', 'MEMBER=ZONE, with commas');
  const format: ControllerFormat = {
    cluster: settings.made('cluster', storeId),
    id: text('id'),
    set: set.map(([id, address]) => ({ id, address })),
    grants: grants.map(([member, place]) => ({ member, zone: place })),
    join: settings.on('join'),
    ifAbsent: settings.on('if-absent'),
    recovery: text('recovery') === '' ? undefined : text('recovery'),
  };
  return { kind: 'format', directory: text('data'), format };
}

const runHelp = (): string =>
  'Usage: journal controller --data DIR --listen HOST:PORT [flags]\n' +
  '       journal controller format --data DIR --cluster ID --id ID --set LIST [flags]\n\n' +
  'Runs one chain controller: it keeps the registers and finds and answers faults.\n' +
  'Each flag may also come from the environment variable below it; the flag wins.\n\n' +
  `${flagRows(RUN)}${switchRow('print-config', 'print the settings as JSON and exit')}\n` +
  'Example:\n  journal controller --data data/c1 --listen 127.0.0.1:7411 --zone a\n';

const formatHelp = (): string =>
  'Usage: journal controller format --data DIR --cluster ID --id ID --set LIST [flags]\n\n' +
  'Makes the directory of one controller, once. --set and --grant are the same at each.\n\n' +
  `${flagRows(FORMAT)}${switchRow('join', 'wait to take the place of another controller')}` +
  `${switchRow('if-absent', 'no error where it is formatted so already')}\n` +
  'Example:\n  journal controller format --data data/c1 --id c1 \\\n' +
  '    --cluster 0123456789abcdef0123456789abcdef --set c1=127.0.0.1:7411 --grant a=a\n';
