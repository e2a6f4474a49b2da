// Orders of a chain: who goes to the head, and how to keep two members apart.

import { type Configuration, type Member, sameMember } from '../../../protocol/configuration.ts';
import { epoch } from '../../../protocol/types.ts';
import { byLog } from './situation.ts';
import type { Standing } from './standing.ts';

/** The next configuration with other members; everything else stays. */
export function following(
  configuration: Configuration,
  serving: readonly Member[],
  joining: Member | null,
): Configuration {
  return { ...configuration, epoch: epoch(configuration.epoch + 1), serving, joining };
}

/**
 * Keeps the order, and the head where it is one of them and fit. Else the fittest member with the
 * longest log leads, so that appends which were not yet acknowledged are kept where they can be.
 */
export function arrange(kept: readonly Standing[], head: Member | undefined): readonly Member[] {
  const members = kept.map(({ member }) => member);
  const old = kept.find(({ member }) => member === head);
  if (old !== undefined && isFit(old)) return members;
  const best = [...kept].sort(
    (one, other) => Number(isFit(other)) - Number(isFit(one)) || byLog(one.facts, other.facts),
  )[0];
  return best === undefined ? members : withHead(members, best.member);
}

/** Good for a head: not about to leave, its clock near the others'. A preference only. */
export const isFit = ({ facts, state }: Standing): boolean =>
  state === 'good' && facts !== undefined && facts.leaving === 'no' && !facts.clockOff;

export const withHead = (members: readonly Member[], head: Member): readonly Member[] => [
  head,
  ...members.filter((member) => member !== head),
];

/** As `withHead`, the old head at the end: it shall not be the next one. */
export function handedOver(members: readonly Member[], head: Member): readonly Member[] {
  const [old, ...others] = members;
  const rest = others.filter((member) => member !== head);
  return old === undefined || old === head ? members : [head, ...rest, old];
}

/**
 * An order in which two members are no neighbours, the head kept where that is possible; null
 * where there is none (fewer than three members).
 */
export function apart(
  members: readonly Member[],
  one: Member,
  other: Member,
): readonly Member[] | null {
  const adjacent = (list: readonly Member[]): boolean =>
    Math.abs(list.indexOf(one) - list.indexOf(other)) === 1;
  const tries = [other, one].flatMap((moved) => {
    const rest = members.filter((member) => member !== moved);
    return members.map((_, at) => [...rest.slice(0, at), moved, ...rest.slice(at)]);
  });
  const good = tries.filter((list) => !adjacent(list));
  return good.find((list) => list[0] === members[0]) ?? good[0] ?? null;
}

/** Whether the same members serve, not all of them in the same place. */
export function isReordered(before: Configuration, next: Configuration): boolean {
  const [old, now] = [before.serving, next.serving];
  const stays = (member: Member): boolean => old.some((other) => sameMember(other, member));
  if (old.length !== now.length || !now.every(stays)) return false;
  return now.some((member, at) => {
    const other = old[at];
    return other !== undefined && !sameMember(member, other);
  });
}
