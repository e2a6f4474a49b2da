// Where a new journal goes, and how heads are kept spread. Pure.

import type { Configuration, Member } from '../../../protocol/configuration.ts';
import type { StoreId, Zone } from '../../../protocol/types.ts';

/** A member that may take a journal now. */
export interface Place {
  readonly member: Member;
  /** Journals that it is in, and that it heads. */
  readonly load: number;
  readonly heads: number;
  /** No head if it can be helped: leaving, or its clock is off. */
  readonly unfit: boolean;
}

/**
 * At most `count` members, each next one in a zone that has fewest of them so far, least loaded
 * first. The one that heads fewest journals leads.
 */
export function place(places: readonly Place[], count: number): readonly Member[] {
  const chosen: Place[] = [];
  const rest = [...places];
  while (chosen.length < count && rest.length > 0) {
    const inZone = (zone: Zone): number =>
      chosen.filter(({ member }) => member.zone === zone).length;
    rest.sort(
      (one, other) =>
        inZone(one.member.zone) - inZone(other.member.zone) ||
        one.load - other.load ||
        byName(one, other),
    );
    const next = rest.shift();
    if (next !== undefined) chosen.push(next);
  }
  chosen.sort(
    (one, other) =>
      Number(one.unfit) - Number(other.unfit) || one.heads - other.heads || byName(one, other),
  );
  return chosen.map(({ member }) => member);
}

const byName = (one: Place, other: Place): number => (one.member.id < other.member.id ? -1 : 1);

export interface Spread {
  readonly configuration: Configuration;
  readonly head: Member;
}

/**
 * A journal to hand over so that heads are spread more evenly: from a member that heads at least
 * two more than another of its journal's members. What a person chose stays as it is. Null where
 * they are spread.
 */
export function spread(
  configurations: readonly Configuration[],
  fit: ReadonlySet<StoreId>,
): Spread | null {
  const heads = new Map<StoreId, number>();
  for (const { serving } of configurations) {
    const first = serving[0];
    if (first !== undefined) heads.set(first.store, (heads.get(first.store) ?? 0) + 1);
  }
  const count = ({ store }: Member): number => heads.get(store) ?? 0;
  let best: (Spread & { readonly gain: number }) | null = null;
  for (const configuration of configurations) {
    const [first, ...others] = configuration.serving;
    if (first === undefined || configuration.chosenHead === first.id) continue;
    for (const head of others.filter(({ store }) => fit.has(store))) {
      const gain = count(first) - count(head);
      if (gain >= 2 && gain > (best?.gain ?? 0)) best = { configuration, head, gain };
    }
  }
  return best;
}
