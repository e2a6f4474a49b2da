// What a local cluster consists of, worked out from its flags: pure, so that a test reads it.

import { join } from 'node:path';

export interface DevFlags {
  readonly data: string;
  readonly port: number;
  readonly zones: readonly string[];
  readonly members: number;
  readonly controllers: number;
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
  /** Every port that the cluster takes. */
  readonly ports: readonly number[];
  /** Where the page of the first replica is. */
  readonly console: string;
}

export const HOST = '127.0.0.1';

/** Replicas first, then controllers, then the probes of both: each takes the next port. */
export function planOf(record: DevRecord, data: string): DevPlan {
  const { port, members, controllers } = record;
  const at = (offset: number): string => `${HOST}:${port + offset}`;
  const zoneOf = (index: number): string => record.zones[index % record.zones.length] ?? 'a';
  const controllerList = range(controllers).map((index) => at(members + index));
  const probes = members + controllers;
  const replica = (index: number): PlannedProcess => {
    const name = `replica-${index + 1}`;
    const address = at(index);
    const directory = join(data, 'replicas', name);
    const args = ['replica', '--member', name, '--zone', zoneOf(index), '--data', directory];
    args.push('--listen', address, '--controllers', controllerList.join(','));
    args.push('--cluster', record.cluster, '--probe-listen', at(probes + index));
    const log = join(data, 'logs', `${name}.log`);
    return { kind: 'replica', name, zone: zoneOf(index), address, directory, log, args };
  };
  const controller = (index: number): PlannedProcess => {
    const name = `controller-${index + 1}`;
    const address = at(members + index);
    const directory = join(data, 'controllers', name);
    const args = ['controller', '--data', directory, '--listen', address];
    args.push('--zone', zoneOf(index), '--probe-listen', at(probes + members + index));
    const log = join(data, 'logs', `${name}.log`);
    return { kind: 'controller', name, zone: zoneOf(index), address, directory, log, args };
  };
  return {
    replicas: range(members).map(replica),
    controllers: range(controllers).map(controller),
    console: `http://${at(probes)}/console`,
    ports: range(2 * (members + controllers)).map((offset) => port + offset),
  };
}

const range = (count: number): number[] => Array.from({ length: count }, (_, index) => index);

/** Why flags that were given do not fit what the directory was made with, or undefined. */
export function mismatch(
  record: DevRecord,
  asked: Partial<Pick<DevFlags, 'port' | 'zones' | 'members' | 'controllers'>>,
  data: string,
): string | undefined {
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
