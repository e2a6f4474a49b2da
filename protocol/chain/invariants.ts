// What must hold in every state, as code that throws: in production for one member after each
// turn, in simulation and exploration for all members together (specs: Agreement, Durable).

import { type Configuration, sameMember } from '../configuration.ts';
import { invariant } from '../errors.ts';
import type { Lsn } from '../types.ts';
import { lower, NO_LSN } from '../types.ts';
import type { LogShape } from './messages.ts';
import { epochAt } from './shape.ts';
import type { ChainState } from './state.ts';

/** Holds for one member alone; cheap enough for every turn. */
export function checkMember(state: ChainState): void {
  const { shape, committedLsn, durableLsn, tables } = state;
  const at = (): string =>
    `${state.me.store}: base ${shape.baseLsn}, committed ${committedLsn}, ` +
    `durable ${durableLsn}, end ${shape.endLsn}, tables ${tables.scalars.endLsn}`;
  invariant(durableLsn <= shape.endLsn, 'durable is in the log', at);
  invariant(committedLsn <= shape.endLsn, 'committed is in the log', at);
  invariant(shape.baseLsn <= committedLsn, 'only what is committed is dropped', at);
  const refolding = state.cutting !== 0;
  invariant(refolding || tables.scalars.endLsn === shape.endLsn, 'tables end with the log', at);
  invariant(!state.live || state.adopting === 0, 'an epoch is saved before it is acted in', at);
  invariant(!state.synced || !state.live || state.startLsn !== null, 'a synced member knows', at);
}

/** Every member of a journal, and the newest configuration that was decided for it. */
export interface ChainWorld {
  /** Of running processes; those that are down show as they would restart. */
  readonly members: readonly ChainState[];
  readonly latest: Configuration;
}

/** Holds for all members of one lineage together. */
export function checkMembers(world: ChainWorld): void {
  checkAgreement(world.members);
  checkDurable(world);
}

/** One entry per committed position, whoever is asked (I1). */
function checkAgreement(members: readonly ChainState[]): void {
  for (const [at, one] of members.entries()) {
    for (const other of members.slice(at + 1)) {
      // Most often so, and then every position that both hold is of the same epoch.
      if (sameRuns(one.shape, other.shape)) continue;
      const through = lower(one.committedLsn, other.committedLsn);
      for (const border of borders(one, other, through)) {
        invariant(
          sameEpoch(one.shape, other.shape, border),
          'one entry per committed position',
          () =>
            `${border} is of epoch ${epochAt(one.shape, border)} on ${one.me.store}, ` +
            `${epochAt(other.shape, border)} on ${other.me.store}`,
        );
      }
    }
  }
}

/** Of a position that both logs hold: bad bytes whose epoch is not known contradict nothing. */
function sameEpoch(one: LogShape, other: LogShape, at: Lsn): boolean {
  const mine = epochAt(one, at);
  const theirs = epochAt(other, at);
  return mine === undefined || theirs === undefined || mine === theirs;
}

function sameRuns({ runs: mine }: LogShape, { runs: theirs }: LogShape): boolean {
  if (mine.length !== theirs.length) return false;
  return mine.every(({ epoch, firstLsn }, at) => {
    const run = theirs[at];
    return run?.epoch === epoch && run.firstLsn === firstLsn;
  });
}

/** Positions at which it is enough to compare two logs: borders of runs that both still hold. */
function borders(one: ChainState, other: ChainState, through: Lsn): readonly Lsn[] {
  const starts = [...one.shape.runs, ...other.shape.runs].map((run) => run.firstLsn);
  const floor = Math.max(one.shape.baseLsn, other.shape.baseLsn);
  return [...starts, through].filter((at) => at > floor && at <= through);
}

/** Every committed entry is on the disk of every serving member of the newest epoch (I2). */
function checkDurable({ members, latest }: ChainWorld): void {
  const committed = members.reduce<ChainState | undefined>((most, state) => {
    // What a log of a lineage that was given up has dropped, that lineage had committed.
    const elder = state.record !== null && state.record.elderLsn > NO_LSN;
    if (elder && state.committedLsn <= state.shape.baseLsn) return most;
    return most === undefined || state.committedLsn > most.committedLsn ? state : most;
  }, undefined);
  if (committed === undefined) return;
  for (const member of latest.serving) {
    const state = members.find(({ me }) => sameMember(me, member));
    if (state === undefined) continue;
    const through = committed.committedLsn;
    const holds =
      state.durableLsn >= through &&
      (through <= state.shape.baseLsn ||
        through <= committed.shape.baseLsn ||
        sameEpoch(state.shape, committed.shape, through));
    invariant(
      holds,
      'what is committed is on every serving member',
      () => `${through} is not on ${state.me.store}, whose disk ends at ${state.durableLsn}`,
    );
  }
}
