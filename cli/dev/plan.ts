// What a local cluster consists of, worked out from its flags: pure, so that a test reads it.

import { join } from 'node:path';

export interface DevFlags {
  readonly data: string;
  readonly port: number;
  readonly zones: readonly string[];
  readonly members: number;
  readonly controllers: number;
  /** Where clients, and readers of the console, get to; not kept with the directory. */
  readonly host: string;
  /** False leaves a process that died dead. */
  readonly restart: boolean;
}

/** What a data directory was made with: it holds for as long as the directory does. */
export interface DevRecord {
  readonly version: 1;
  /** 32 hex digits, drawn once. */
  readonly cluster: string;
  readonly port: number;
  readonly zones: readonly string[];
  readonly members: number;
  readonly controllers: number;
  /** False until all controllers are formatted: what is there before may be made again. */
  readonly formatted: boolean;
}

export interface PlannedProcess {
  readonly kind: 'replica' | 'controller';
  readonly name: string;
  readonly zone: string;
  readonly address: string;
  readonly directory: string;
  readonly log: string;
  /** After `journal`. */
  readonly args: readonly string[];
}

export interface DevPlan {
  readonly replicas: readonly PlannedProcess[];
  readonly controllers: readonly PlannedProcess[];
  /** Every port that the cluster takes, and where it listens there. */
  readonly ports: readonly { readonly port: number; readonly host: string }[];
  /** Where the page of the first replica is. */
  readonly console: string;
}

/** Where nobody but this machine gets to: also where controllers are, which no client asks. */
export const LOOPBACK = '127.0.0.1';

/** Every address of this machine, and under which of them others are told to ask. */
const EVERYWHERE: ReadonlyMap<string, string> = new Map([
  ['0.0.0.0', LOOPBACK],
  ['::', '::1'],
]);

/** Whether nobody else can reach what listens there. */
export const isLoopback = (host: string): boolean =>
  /^127\.\d+\.\d+\.\d+$/.test(host) || host === '::1' || host === 'localhost';

const addressOf = (host: string, port: number): string =>
  `${host.includes(':') ? `[${host}]` : host}:${port}`;

/**
 * Replicas first, then controllers, then the probes of both: each takes the next port. Replicas and
 * their probes, with the console, listen at `host`, an address or a name of this machine, and say
 * that they are there; with `0.0.0.0` or `::` they listen everywhere and say that they are at the
 * loopback address. Controllers stay there whatever `host` is.
 */
export function planOf(record: DevRecord, data: string, host: string = LOOPBACK): DevPlan {
  const { port, members, controllers } = record;
  const told = EVERYWHERE.get(host) ?? host;
  const own = (offset: number): string => addressOf(LOOPBACK, port + offset);
  const shown = (offset: number): string => addressOf(told, port + offset);
  const open = (offset: number): string => addressOf(host, port + offset);
  const zoneOf = (index: number): string => record.zones[index % record.zones.length] ?? 'a';
  const controllerList = range(controllers).map((index) => own(members + index));
  const probes = members + controllers;
  const replica = (index: number): PlannedProcess => {
    const name = `replica-${index + 1}`;
    const address = shown(index);
    const directory = join(data, 'replicas', name);
    const args = ['replica', '--member', name, '--zone', zoneOf(index), '--data', directory];
    args.push('--listen', open(index), '--controllers', controllerList.join(','));
    if (told !== host) args.push('--advertise', address);
    args.push('--cluster', record.cluster, '--probe-listen', open(probes + index));
    const log = join(data, 'logs', `${name}.log`);
    return { kind: 'replica', name, zone: zoneOf(index), address, directory, log, args };
  };
  const controller = (index: number): PlannedProcess => {
    const name = `controller-${index + 1}`;
    const address = own(members + index);
    const directory = join(data, 'controllers', name);
    const args = ['controller', '--data', directory, '--listen', address];
    args.push('--zone', zoneOf(index), '--probe-listen', own(probes + members + index));
    const log = join(data, 'logs', `${name}.log`);
    return { kind: 'controller', name, zone: zoneOf(index), address, directory, log, args };
  };
  const isOfReplica = (offset: number): boolean =>
    offset < members || (offset >= probes && offset < probes + members);
  return {
    replicas: range(members).map(replica),
    controllers: range(controllers).map(controller),
    console: `http://${shown(probes)}/console`,
    ports: range(2 * (members + controllers)).map((offset) => ({
      port: port + offset,
      host: isOfReplica(offset) ? host : LOOPBACK,
    })),
  };
}

const range = (count: number): number[] => Array.from({ length: count }, (_, index) => index);

/** What of a directory's record flags may say. */
type Asked = Partial<Pick<DevFlags, 'port' | 'zones' | 'members' | 'controllers'>>;

const DEFAULTS = { port: 7401, zones: ['a', 'b', 'c'], members: 3, controllers: 3 } as const;

/**
 * What a directory is to be made with. A start that came to nothing binds nobody: its record
 * `before`, null for none, counts only where a flag says nothing.
 */
export function newRecord(asked: Asked, before: DevRecord | null, cluster: string): DevRecord {
  const otherwise = before ?? DEFAULTS;
  const { port = otherwise.port, zones = otherwise.zones } = asked;
  const { members = otherwise.members, controllers = otherwise.controllers } = asked;
  return { version: 1, cluster, port, zones, members, controllers, formatted: false };
}

/** Why flags that were given do not fit what the directory was made with, or undefined. */
export function mismatch(record: DevRecord, asked: Asked, data: string): string | undefined {
  const wrong: string[] = [];
  const compare = (flag: string, given: unknown, kept: unknown): void => {
    if (given !== undefined && String(given) !== String(kept)) {
      wrong.push(`--${flag} is ${String(given)}, and ${data} was made with ${String(kept)}`);
    }
  };
  compare('port', asked.port, record.port);
  compare('zones', asked.zones, record.zones);
  compare('members', asked.members, record.members);
  compare('controllers', asked.controllers, record.controllers);
  if (wrong.length === 0) return undefined;
  return `${wrong.join('; ')}: leave the flag out, or choose another directory with --data`;
}

/** Reads what `dev.json` holds; undefined where it is not such a record. */
export function parseRecord(text: string): DevRecord | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof value !== 'object' || value === null) return undefined;
  const fields: Readonly<Record<string, unknown>> = { ...value };
  const { version, cluster, port, zones, members, controllers, formatted } = fields;
  if (version !== 1 || typeof cluster !== 'string' || typeof formatted !== 'boolean') {
    return undefined;
  }
  if (typeof port !== 'number' || typeof members !== 'number' || typeof controllers !== 'number') {
    return undefined;
  }
  if (!Array.isArray(zones) || !zones.every((zone) => typeof zone === 'string')) return undefined;
  return { version, cluster, port, zones, members, controllers, formatted };
}
