// The settings of a replica: every flag, its environment variable, its range, and what contradicts
// what. A value that is wrong is refused with the name of its field, what was given and what is
// allowed, before anything is opened.

import {
  type Flag,
  flag,
  flagRows,
  LOG_LEVELS,
  readSettings,
  readTls,
  type Settings,
  switchRow,
  type TlsPaths,
  tlsFlags,
  type Vocabulary,
} from '../io/node-settings.ts';
import { DEFAULT_SETTINGS, type JournalSettings, KIB, MIB } from '../protocol/configuration.ts';
import { type MemberId, memberId, storeId, type Zone, zone } from '../protocol/types.ts';
import { isLocalHost } from './console/local.ts';

/** What startReplica needs: the same in a process and in the simulator. */
export interface ReplicaConfig {
  readonly member: MemberId;
  readonly zone: Zone;
  /** The data directory; made where it is missing. */
  readonly directory: string;
  /** `host:port` to serve at; port 0 takes any free one. */
  readonly listen: string;
  /** `host:port` under which others reach this replica; where it serves, when empty. */
  readonly advertise: string;
  /** Addresses of controllers to begin with; later ones come with their pings. 1..16. */
  readonly controllers: readonly string[];
  /** The cluster that this replica must belong to; empty for the one that its directory names. */
  readonly cluster: string;
  readonly limits: ReplicaLimits;
  /** What journals get that are created without it; protocol/configuration.ts says the rest. */
  readonly defaults?: Pick<JournalSettings, 'replicationFactor' | 'minReplicas'>;
  /** What `status` shows; the process fills them in. */
  readonly pid: number;
  readonly version: string;
  /** Greatest feature level of this version; another version is tried out by another one. */
  readonly featureLevelMax?: number;
}

export interface ReplicaLimits {
  /** Appends that wait, all journals together: bytes of records, and requests. */
  readonly queueBytesMax: number;
  readonly queueRequestsMax: number;
  /** Subscriptions that are open at once. */
  readonly subscriptionsMax: number;
  readonly segmentBytes: number;
  /** Kept free on the disk for trims and control entries when appends are refused. */
  readonly reserveBytes: number;
  /** How fast older data is read again and checked; 0 never. */
  readonly scrubBytesPerSecond: number;
}

export const DEFAULT_LIMITS: ReplicaLimits = {
  queueBytesMax: 64 * MIB,
  queueRequestsMax: 20_000,
  subscriptionsMax: 10_000,
  segmentBytes: 64 * MIB,
  reserveBytes: 64 * MIB,
  scrubBytesPerSecond: 4 * MIB,
};

/** What only a process has: its port for probes, its certificates, its logs. */
export interface ProcessConfig {
  readonly replica: ReplicaConfig;
  /** `host:port` of /livez, /readyz, /metrics and /console; empty for none. */
  readonly probeListen: string;
  /** Whether the page at /console shows records. */
  readonly consoleRecords: boolean;
  /** Paths of PEM files; all empty for plain text. */
  readonly tls: TlsPaths;
  /** Path of the file that maps names of certificates to roles; empty to let everybody in. */
  readonly authorization: string;
  readonly logLevel: string;
}

export type CommandLine =
  | { readonly kind: 'run'; readonly config: ProcessConfig }
  | { readonly kind: 'print'; readonly text: string };

const FLAGS: readonly Flag[] = [
  flag('member', 'ID', '', 'label of this member, such as a; required'),
  flag('zone', 'ZONE', '', 'failure domain of this member, such as eu-central-1a; required'),
  flag('data', 'DIR', 'data', 'data directory'),
  flag('listen', 'HOST:PORT', '127.0.0.1:7401', 'where to serve clients, peers and controllers'),
  flag('advertise', 'HOST:PORT', '', 'how others reach --listen; the same when left out'),
  flag('controllers', 'LIST', '', 'HOST:PORT of chain controllers, with commas; required'),
  flag('cluster', 'ID', '', 'refuse any other cluster than this one'),
  flag('probe-listen', 'HOST:PORT', '', 'where to serve /livez, /readyz, /metrics and /console'),
  flag(
    'console-records',
    'auto|on|off',
    'auto',
    'records at /console; auto: no TLS, loopback only',
  ),
  ...tlsFlags('member'),
  flag('replication-factor', 'COUNT', `${DEFAULT_SETTINGS.replicationFactor}`, 'of new journals'),
  flag('min-replicas', 'COUNT', '', 'of new journals; 2 unless they have fewer copies'),
  flag('log-level', 'LEVEL', 'info', 'debug, info, warn or error'),
  flag('queue-bytes', 'BYTES', `${DEFAULT_LIMITS.queueBytesMax}`, 'appends that may wait'),
  flag('queue-requests', 'COUNT', `${DEFAULT_LIMITS.queueRequestsMax}`, 'requests that may wait'),
  flag('subscriptions', 'COUNT', `${DEFAULT_LIMITS.subscriptionsMax}`, 'subscriptions at once'),
  flag('segment-bytes', 'BYTES', `${DEFAULT_LIMITS.segmentBytes}`, 'size of a log segment'),
  flag('reserve-bytes', 'BYTES', `${DEFAULT_LIMITS.reserveBytes}`, 'disk space kept for trims'),
  flag('scrub-rate', 'BYTES', `${DEFAULT_LIMITS.scrubBytesPerSecond}`, 'bytes checked a second'),
];

const WORDS: Vocabulary = {
  command: 'journal replica',
  prefix: 'JOURNAL_',
  flags: FLAGS,
  switches: ['print-config'],
};

/** Reads flags, then the environment, then the defaults. Throws SettingError. */
export function readCommandLine(
  args: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
  about: { readonly pid: number; readonly version: string },
): CommandLine {
  const settings = readSettings(WORDS, args, env);
  if (settings.on('help')) return { kind: 'print', text: helpText() };
  const config = build(settings, about);
  if (settings.on('print-config')) {
    const { pid: _, version: __, ...replica } = config.replica;
    return { kind: 'print', text: `${JSON.stringify({ ...config, replica }, null, 2)}\n` };
  }
  return { kind: 'run', config };
}

function build(
  settings: Settings,
  about: { readonly pid: number; readonly version: string },
): ProcessConfig {
  const tls = readTls(settings);
  const probeListen = settings.addressOrNone('probe-listen');
  const limits: ReplicaLimits = {
    queueBytesMax: settings.count('queue-bytes', MIB, 64 * 1024 * MIB),
    queueRequestsMax: settings.count('queue-requests', 1, 10_000_000),
    subscriptionsMax: settings.count('subscriptions', 1, 1_000_000),
    segmentBytes: settings.count('segment-bytes', 64 * KIB, 1024 * MIB),
    reserveBytes: settings.count('reserve-bytes', MIB, 1024 * 1024 * MIB),
    scrubBytesPerSecond: settings.count('scrub-rate', 0, 1024 * MIB),
  };
  settings.required('controllers');
  settings.required('member');
  settings.required('zone');
  return {
    replica: {
      member: settings.made('member', memberId),
      zone: settings.made('zone', zone),
      directory: settings.required('data'),
      listen: settings.address('listen'),
      advertise: settings.addressOrNone('advertise'),
      controllers: settings.addresses('controllers', 16),
      cluster: settings.madeOrNone('cluster', storeId),
      limits,
      defaults: defaultsOf(settings),
      ...about,
    },
    probeListen,
    consoleRecords: consoleRecords(settings, probeListen, tls.ca),
    tls,
    authorization: settings.text('authorization'),
    logLevel: settings.oneOf('log-level', LOG_LEVELS),
  };
}

/**
 * The probe port asks nobody for a certificate. So by itself it shows records only where whoever
 * reaches it may read them anyway: no certificate is asked for, and only this machine gets there.
 */
function consoleRecords(settings: Settings, probeListen: string, ca: string): boolean {
  const asked = settings.oneOf('console-records', ['auto', 'on', 'off']);
  return asked === 'auto' ? ca === '' && isLocalHost(probeListen) : asked === 'on';
}

function defaultsOf(settings: Settings) {
  const replicationFactor = settings.count('replication-factor', 1, 5);
  if (settings.text('min-replicas') === '') {
    const minReplicas = Math.min(DEFAULT_SETTINGS.minReplicas, replicationFactor);
    return { replicationFactor, minReplicas };
  }
  const minReplicas = settings.count('min-replicas', 1, 5);
  if (minReplicas <= replicationFactor) return { replicationFactor, minReplicas };
  throw settings.wrong(
    'min-replicas',
    `at most --replication-factor, which is ${replicationFactor}`,
  );
}

function helpText(): string {
  return (
    'Usage: journal replica --member ID --zone ZONE --controllers LIST [flags]\n\n' +
    'Runs one replica: a process that hosts the copies of many journals on one volume.\n' +
    'Each flag may also come from the environment variable below it; the flag wins.\n\n' +
    `${flagRows(WORDS)}` +
    `${switchRow('print-config', 'print the settings as JSON and exit')}\n` +
    'Example:\n  journal replica --member a --zone a --data data/a --listen 127.0.0.1:7401 \\\n' +
    '    --controllers 127.0.0.1:7411,127.0.0.1:7412,127.0.0.1:7413\n'
  );
}
