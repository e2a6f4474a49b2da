// How one process of a cluster does, in a word and a sentence: a line of its status.

import type { ProcessState } from '../crd.ts';
import { textAt } from '../kube/fields.ts';
import type { ReplicaEntry } from './ledger.ts';
import type { Settled } from './settle.ts';
import {
  claimState,
  giveUp,
  headedBy,
  podOf,
  podTrouble,
  processOf,
  refusedVolume,
  volumeTrouble,
  type World,
} from './world.ts';

type Entry = Pick<ReplicaEntry, 'id' | 'zone' | 'claimUid' | 'leaving'>;

export function processState(world: World, settled: Settled, entry: Entry): ProcessState {
  const { id, zone } = entry;
  const node = textAt(podOf(world, id), 'spec', 'nodeName');
  const [state, message] = stateOf(world, settled, entry);
  const heads = headedBy(world, id).length;
  return { id, zone, state, ...(node === undefined ? {} : { node }), heads, message };
}

function stateOf(world: World, settled: Settled, entry: Entry): readonly [string, string] {
  const { id, leaving } = entry;
  if (claimState(world, entry) === 'lost') return ['Lost', 'its volume is gone'];
  if (settled.hibernate && podOf(world, id) === undefined) return ['Hibernated', ''];
  if (leaving !== '') return ['Leaving', leaving];
  const trouble = podTrouble(world, id);
  const process = processOf(world, id);
  if (process === undefined) {
    return trouble === '' ? ['Starting', ''] : ['Failed', trouble];
  }
  const refused = refusedVolume(world, id);
  if (refused !== '') return ['Refused', `${refused}; ${giveUp(id)}`];
  if (!process.reachable) {
    return trouble === '' ? ['Unreachable', process.note] : ['Failed', trouble];
  }
  return process.note === '' ? ['Serving', volumeTrouble(world, entry)] : ['Joining', process.note];
}
