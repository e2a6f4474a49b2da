// The settings of a replica: every flag, its environment variable, its range, and what contradicts
// what. A value that is wrong is refused with the name of its field, what was given and what is
// allowed, before anything is opened.

import { parseArgs } from 'node:util';
import { DEFAULT_SETTINGS, type JournalSettings, KIB, MIB } from '../protocol/configuration.ts';
import {
  label,
  type MemberId,
  memberId,
  RangeViolation,
  type Zone,
  zone,
} from '../protocol/types.ts';

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
  /** `host:port` of /livez, /readyz and /metrics; empty for none. */
  readonly probeListen: string;
  /** Paths of PEM files; all empty for plain text. */
  readonly tls: {
    readonly ca: string;
    readonly cert: string;
    readonly key: string;
    /** Carried by certificates of peers and controllers that are dialled by an IP address. */
    readonly serverName: string;
  };
  /** Path of the file that maps names of certificates to roles; empty to let everybody in. */
  readonly authorization: string;
  readonly logLevel: string;
}

export type CommandLine =
  | { readonly kind: 'run'; readonly config: ProcessConfig }
  | { readonly kind: 'print'; readonly text: string };

interface Flag {
  readonly name: string;
  readonly env: string;
  readonly value: string;
  readonly fallback: string;
  readonly help: string;
}

const flag = (name: string, value: string, fallback: string, help: string): Flag => ({
  name,
  env: `JOURNAL_${name.replaceAll('-', '_').toUpperCase()}`,
  value,
  fallback,
  help,
});

const FLAGS = [
  flag('member', 'ID', '', 'label of this member, such as a; required'),
  flag('zone', 'ZONE', '', 'failure domain of this member, such as eu-central-1a; required'),
  flag('data', 'DIR', 'data', 'data directory'),
  flag('listen', 'HOST:PORT', '127.0.0.1:7401', 'where to serve clients, peers and controllers'),
  flag('advertise', 'HOST:PORT', '', 'how others reach --listen; the same when left out'),
  flag('controllers', 'LIST', '', 'HOST:PORT of chain controllers, with commas; required'),
  flag('cluster', 'ID', '', 'refuse any other cluster than this one'),
  flag('probe-listen', 'HOST:PORT', '', 'where to serve /livez, /readyz and /metrics; none'),
  flag('tls-ca', 'FILE', '', 'certificates that sign clients and peers'),
  flag('tls-cert', 'FILE', '', 'certificate of this member'),
  flag('tls-key', 'FILE', '', 'key of this member'),
  flag('tls-server-name', 'NAME', '', 'name in certificates of those dialled by an IP address'),
  flag('authorization', 'FILE', '', 'roles by certificate name; needs --tls-ca'),
  flag('replication-factor', 'COUNT', `${DEFAULT_SETTINGS.replicationFactor}`, 'of new journals'),
  flag('min-replicas', 'COUNT', '', 'of new journals; 2 unless they have fewer copies'),
  flag('log-level', 'LEVEL', 'info', 'debug, info, warn or error'),
  flag('queue-bytes', 'BYTES', `${DEFAULT_LIMITS.queueBytesMax}`, 'appends that may wait'),
  flag('queue-requests', 'COUNT', `${DEFAULT_LIMITS.queueRequestsMax}`, 'requests that may wait'),
  flag('subscriptions', 'COUNT', `${DEFAULT_LIMITS.subscriptionsMax}`, 'subscriptions at once'),
  flag('segment-bytes', 'BYTES', `${DEFAULT_LIMITS.segmentBytes}`, 'size of a log segment'),
  flag('reserve-bytes', 'BYTES', `${DEFAULT_LIMITS.reserveBytes}`, 'disk space kept for trims'),
  flag('scrub-rate', 'BYTES', `${DEFAULT_LIMITS.scrubBytesPerSecond}`, 'bytes checked a second'),
] as const;

/** A setting that cannot be: the message names the field, what was given and what is allowed. */
export class ConfigError extends Error {
  constructor(message: string, options?: { readonly cause?: unknown }) {
    super(message, options);
    this.name = 'ConfigError';
  }
}

/** Reads flags, then the environment, then the defaults. Throws ConfigError. */
export function readCommandLine(
  args: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
  about: { readonly pid: number; readonly version: string },
): CommandLine {
  const given = parse(args);
  if (given.help === true) return { kind: 'print', text: helpText() };
  const text = (name: string): string => {
    const known = FLAGS.find((one) => one.name === name);
    if (known === undefined) throw new ConfigError(`no flag is called --${name}`);
    const value = given[name];
    if (typeof value === 'string') return value;
    return env[known.env] ?? known.fallback;
  };
  const config = build(text, about);
  if (given['print-config'] === true) {
    const { pid: _, version: __, ...replica } = config.replica;
    return { kind: 'print', text: `${JSON.stringify({ ...config, replica }, null, 2)}\n` };
  }
  return { kind: 'run', config };
}

function parse(args: readonly string[]): Record<string, unknown> {
  const options: Record<string, { type: 'string' | 'boolean' }> = {
    help: { type: 'boolean' },
    'print-config': { type: 'boolean' },
  };
  for (const { name } of FLAGS) options[name] = { type: 'string' };
  try {
    return parseArgs({ args: [...args], options, strict: true, allowPositionals: false }).values;
  } catch (cause) {
    const message = cause instanceof Error ? cause.message : String(cause);
    throw new ConfigError(`${message}; journal replica --help lists every flag`, { cause });
  }
}

function build(
  text: (name: string) => string,
  about: { readonly pid: number; readonly version: string },
): ProcessConfig {
  const tls = {
    ca: text('tls-ca'),
    cert: text('tls-cert'),
    key: text('tls-key'),
    serverName: text('tls-server-name'),
  };
  refuseContradictions(tls, text('authorization'));
  const limits: ReplicaLimits = {
    queueBytesMax: count('queue-bytes', text, MIB, 64 * 1024 * MIB),
    queueRequestsMax: count('queue-requests', text, 1, 10_000_000),
    subscriptionsMax: count('subscriptions', text, 1, 1_000_000),
    segmentBytes: count('segment-bytes', text, 64 * KIB, 1024 * MIB),
    reserveBytes: count('reserve-bytes', text, MIB, 1024 * 1024 * MIB),
    scrubBytesPerSecond: count('scrub-rate', text, 0, 1024 * MIB),
  };
  const controllers = addressList(required('controllers', text));
  const cluster = text('cluster');
  return {
    replica: {
      member: checked('member', required('member', text), memberId),
      zone: checked('zone', required('zone', text), zone),
      directory: required('data', text),
      listen: address('listen', text('listen')),
      advertise: text('advertise') === '' ? '' : address('advertise', text('advertise')),
      controllers,
      cluster:
        cluster === '' ? '' : checked('cluster', cluster, (given) => label('cluster', given)),
      limits,
      defaults: defaultsOf(text),
      ...about,
    },
    probeListen: text('probe-listen') === '' ? '' : address('probe-listen', text('probe-listen')),
    tls,
    authorization: text('authorization'),
    logLevel: oneOf('log-level', text('log-level'), ['debug', 'info', 'warn', 'error']),
  };
}

function defaultsOf(text: (name: string) => string) {
  const replicationFactor = count('replication-factor', text, 1, 5);
  const given = text('min-replicas');
  if (given === '') {
    const minReplicas = Math.min(DEFAULT_SETTINGS.minReplicas, replicationFactor);
    return { replicationFactor, minReplicas };
  }
  const minReplicas = count('min-replicas', text, 1, 5);
  if (minReplicas <= replicationFactor) return { replicationFactor, minReplicas };
  throw wrong('min-replicas', given, `at most --replication-factor, which is ${replicationFactor}`);
}

function refuseContradictions(
  tls: { readonly ca: string; readonly cert: string; readonly key: string },
  authorization: string,
): void {
  const spelled = (value: string): string => (value === '' ? 'left out' : JSON.stringify(value));
  if ((tls.cert === '') !== (tls.key === '')) {
    throw new ConfigError(
      `--tls-cert is ${spelled(tls.cert)} and --tls-key is ${spelled(tls.key)}, ` +
        'allowed is both or neither',
    );
  }
  if (tls.ca !== '' && tls.cert === '') {
    throw new ConfigError(
      `--tls-ca is ${spelled(tls.ca)} and --tls-cert is left out, ` +
        'allowed is --tls-ca together with --tls-cert and --tls-key',
    );
  }
  if (authorization !== '' && tls.ca === '') {
    throw new ConfigError(
      `--authorization is ${spelled(authorization)} and --tls-ca is left out, ` +
        'allowed is --authorization with --tls-ca, since roles go by client certificates',
    );
  }
}

function wrong(name: string, given: string, allowed: string): ConfigError {
  const env = `JOURNAL_${name.replaceAll('-', '_').toUpperCase()}`;
  return new ConfigError(`--${name} (${env}) is ${JSON.stringify(given)}, allowed is ${allowed}`);
}

function required(name: string, text: (name: string) => string): string {
  const value = text(name);
  if (value === '') throw wrong(name, value, 'anything but nothing: it is required');
  return value;
}

function checked<Value>(name: string, given: string, make: (value: string) => Value): Value {
  try {
    return make(given);
  } catch (error) {
    if (error instanceof RangeViolation) throw wrong(name, given, error.allowed);
    throw error;
  }
}

function count(name: string, text: (name: string) => string, min: number, max: number): number {
  const given = text(name);
  const value = /^\d+$/.test(given) ? Number(given) : Number.NaN;
  if (!(value >= min && value <= max)) {
    throw wrong(name, given, `a whole number from ${min} to ${max}`);
  }
  return value;
}

function oneOf(name: string, given: string, allowed: readonly string[]): string {
  if (!allowed.includes(given)) throw wrong(name, given, allowed.join(', '));
  return given;
}

function address(name: string, given: string): string {
  const match = /^(?:\[[0-9a-fA-F:.]+\]|[^\s:,[\]]+):(\d{1,5})$/.exec(given);
  if (match === null || Number(match[1]) > 65_535) {
    throw wrong(name, given, 'HOST:PORT with a port from 0 to 65535');
  }
  return given;
}

function addressList(given: string): readonly string[] {
  const list = given.split(',').map((one) => address('controllers', one.trim()));
  if (list.length > 16) throw wrong('controllers', given, '1 to 16 addresses with commas');
  return list;
}

function helpText(): string {
  const rows = FLAGS.map(({ name, env, value, fallback, help }) => {
    const left = `  --${name} ${value}`.padEnd(30);
    return `${left}${help}${fallback === '' ? '' : ` [${fallback}]`}\n${' '.repeat(30)}${env}\n`;
  });
  return (
    'Usage: journal replica --member ID --zone ZONE --controllers LIST [flags]\n\n' +
    'Runs one replica: a process that hosts the copies of many journals on one volume.\n' +
    'Each flag may also come from the environment variable below it; the flag wins.\n\n' +
    `${rows.join('')}` +
    `${'  --print-config'.padEnd(30)}print the settings as JSON and exit\n\n` +
    'Example:\n  journal replica --member a --zone a --data data/a --listen 127.0.0.1:7401 \\\n' +
    '    --controllers 127.0.0.1:7411,127.0.0.1:7412,127.0.0.1:7413\n'
  );
}
