// Volumes that are lost, or may not serve, where it is for people to say what is given up. Pure.

import type { Ledger } from '../ledger.ts';
import { type Plan, stalled } from '../steps.ts';
import { ASK, claimState, giveUp, refusedVolume, volumeTrouble, type World } from '../world.ts';

export function majorityLost(ids: readonly string[]): Plan {
  const message =
    `the volumes of ${ids.join(', ')} are lost, a majority of the controllers: bring one back, ` +
    `or annotate with ${ASK.recover}=WORD to have new ones take over`;
  return { actions: [], progress: stalled('VolumeLost', message) };
}

/** A lost volume that is not replaced by itself: people decide. */
export function lost(world: World, ledger: Ledger): Plan | null {
  const entry = [...ledger.replicas, ...ledger.controllers].find(
    (one) => one.leaving === '' && volumeTrouble(world, one) !== '',
  );
  if (entry === undefined) return null;
  const { id } = entry;
  const gone = claimState(world, entry) === 'lost';
  const what = gone ? `the volume of ${id} is lost, and` : `${id}: ${volumeTrouble(world, entry)};`;
  const back = gone ? 'bring the volume back; ' : '';
  const message = `${what} too few others serve to replace it by itself: ${back}${giveUp(id)}`;
  return { actions: [], progress: stalled('VolumeLost', message) };
}

/** A volume that is there and may not serve: never given up by itself, since people may swap it. */
export function refused(world: World, ledger: Ledger): Plan | null {
  const entry = ledger.replicas.find(
    ({ id, leaving }) => leaving === '' && refusedVolume(world, id) !== '',
  );
  if (entry === undefined) return null;
  const message = `${entry.id}: ${refusedVolume(world, entry.id)}; ${giveUp(entry.id)}`;
  return { actions: [], progress: stalled('VolumeRefused', message) };
}
