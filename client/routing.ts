// Whom to ask: what the client believes about journals' heads and replicas' health, as a value.
//
// Nothing here waits. Beliefs come from answers and refusals alone; a stale one costs a refusal
// that carries the newer configuration, never a wrong result.

import {
  type Configuration,
  compareConfigurations,
  head,
  type Member,
  order,
} from '../protocol/configuration.ts';
import type { Micros } from '../protocol/types.ts';

export interface Routing {
  /** Where the user said that replicas are, `host:port`, at least one. */
  readonly endpoints: readonly string[];
  /** Where this client runs; reads go to a replica of the same zone if there is one. */
  readonly zone: string | null;
  /** The newest configuration that was seen, by the journal's name. */
  readonly configurations: Map<string, Configuration>;
  /**
   * Addresses of replicas that anybody spoke of, those last heard of at the end: they are asked
   * where the endpoints fail, which may all have been replaced while this client ran.
   */
  readonly others: Set<string>;
  readonly health: Map<string, Health>;
}

/** An address that failed is asked last for a while; the while doubles with each failure. */
export interface Health {
  readonly failures: number;
  readonly avoidUntil: number;
}

const AVOID_MICROS_FIRST = 100_000;
const AVOID_MICROS_MAX = 2_000_000;
/**
 * An address that failed twice in a row comes after all that did not, for so long: to find out
 * that nobody is there may take longer than it is avoided, and the rest would never be asked.
 */
const DOUBT_MICROS = 30_000_000;
const JOURNALS_MAX = 10_000;
const ADDRESSES_MAX = 1_000;
const OTHERS_MAX = 32;

export function openRouting(endpoints: readonly string[], zone: string | null): Routing {
  return { endpoints, zone, configurations: new Map(), others: new Set(), health: new Map() };
}

/** Replicas that are said to be there; empty addresses are of those that nobody has reached. */
export function hear({ others }: Routing, addresses: readonly string[]): void {
  for (const address of addresses) {
    if (address === '') continue;
    others.delete(address);
    others.add(address);
  }
  dropOldest(others, OTHERS_MAX);
}

/**
 * Takes a configuration in; true where it is news. One of another journal of the same name is
 * always news: the name was deleted and created again.
 */
export function learn(routing: Routing, configuration: Configuration | undefined): boolean {
  if (configuration === undefined) return false;
  const { configurations } = routing;
  const known = configurations.get(configuration.name);
  if (known !== undefined && known.journal === configuration.journal) {
    if (compareConfigurations(configuration, known) <= 0) return false;
  }
  configurations.delete(configuration.name);
  if (configuration.deleted) return true;
  configurations.set(configuration.name, configuration);
  hear(routing, order(configuration).map(addressOf));
  dropOldest(configurations, JOURNALS_MAX);
  return true;
}

/** Nobody answers there: ask others first for a while. */
export function failed(routing: Routing, address: string, now: Micros): void {
  const failures = (routing.health.get(address)?.failures ?? 0) + 1;
  const avoid = Math.min(AVOID_MICROS_FIRST * 2 ** (failures - 1), AVOID_MICROS_MAX);
  routing.health.delete(address);
  routing.health.set(address, { failures, avoidUntil: now + avoid });
  dropOldest(routing.health, ADDRESSES_MAX);
}

export function answered(routing: Routing, address: string): void {
  routing.health.delete(address);
}

/** Whether it failed more than once since it last answered, and not long ago. */
export function doubtful({ health }: Routing, address: string, now: Micros): boolean {
  const { failures, avoidUntil: until } = health.get(address) ?? { failures: 0, avoidUntil: 0 };
  return failures > 1 && now < until + DOUBT_MICROS;
}

/**
 * Whether several replicas may be behind an address, as behind a Service: the user gave it, and no
 * replica calls itself so.
 */
export const isFront = ({ endpoints, others }: Routing, address: string): boolean =>
  endpoints.includes(address) && !others.has(address);

/** Where appends of the journal go; undefined where nobody knows yet, or it just failed. */
export function headAddress(routing: Routing, journal: string, now: Micros): string | undefined {
  const configuration = routing.configurations.get(journal);
  const address = configuration === undefined ? undefined : head(configuration)?.address;
  return address === undefined || avoided(routing, address, now) ? undefined : address;
}

export type Preference = 'head' | 'nearest';

/**
 * Every address that may answer for the journal, the best first. `turn` rotates what is equally
 * good, so that many clients, and many tries of one, spread.
 */
export function candidates(
  routing: Routing,
  journal: string | null,
  preference: Preference,
  now: Micros,
  turn: number,
): readonly string[] {
  const configuration = journal === null ? undefined : routing.configurations.get(journal);
  const members = configuration === undefined ? [] : order(configuration);
  const near = members.filter((member) => routing.zone !== null && member.zone === routing.zone);
  const headFirst = preference === 'head' ? members.slice(0, 1) : near;
  const rest = members.filter((member) => !headFirst.includes(member));
  const ordered = [
    ...headFirst.map(addressOf),
    ...rotate(rest.map(addressOf), turn),
    ...rotate(routing.endpoints, turn),
    ...rotate([...routing.others], turn),
  ];
  const unique = [...new Set(ordered)];
  const isFine = (address: string): boolean =>
    !avoided(routing, address, now) && !doubtful(routing, address, now);
  const fine = unique.filter(isFine);
  // The one that has been quiet longest goes first among those that failed.
  const poor = unique
    .filter((address) => !isFine(address))
    .sort((one, other) => avoidUntil(routing, one) - avoidUntil(routing, other));
  return [...fine, ...poor];
}

const addressOf = (member: Member): string => member.address;

const avoidUntil = (routing: Routing, address: string): number =>
  routing.health.get(address)?.avoidUntil ?? 0;

const avoided = (routing: Routing, address: string, now: Micros): boolean =>
  avoidUntil(routing, address) > now;

function rotate<Item>(items: readonly Item[], turn: number): readonly Item[] {
  const at = items.length === 0 ? 0 : turn % items.length;
  return [...items.slice(at), ...items.slice(0, at)];
}

function dropOldest(map: Map<string, unknown> | Set<string>, most: number): void {
  for (const key of map.keys()) {
    if (map.size <= most) return;
    map.delete(key);
  }
}
