// Whether a process may be taken away for a moment, judged by what the controllers say.
//
// The member acted upon does not count: otherwise a broken one would hold up its own repair.

import type { JournalStatus } from '../../transport/public.ts';
import type { Ledger } from './ledger.ts';
import type { Settled } from './settle.ts';
import { claimState, isFine, journalsWith, podOf, processOf, type World } from './world.ts';

/** Why the process must stay for now, in a sentence; null where it may go. */
export function gate(world: World, ledger: Ledger, id: string): string | null {
  if (world.chain.kind === 'unknown') {
    return `the controllers cannot be asked: ${world.chain.reason}`;
  }
  // One whose volume is still to be formatted has no seat yet: it is nobody's quorum.
  const seated = ledger.controllers.filter(({ formatted }) => formatted);
  const others = [...ledger.replicas, ...seated].filter(
    (one) => one.id !== id && one.leaving === '',
  );
  for (const other of others) {
    if (isFine(world, other.id)) continue;
    const note = processOf(world, other.id)?.note ?? '';
    return `${other.id} is not well${note === '' ? '' : `: ${note}`}`;
  }
  for (const journal of journalsWith(world, id)) {
    const wrong = journalGate(journal, id);
    if (wrong !== null) return wrong;
  }
  return null;
}

/** A cluster does not fall asleep, or wakes up again, while a volume would go with its pod. */
export function awake(world: World, { replicas, controllers }: Ledger, settled: Settled): Settled {
  const goes = [...replicas, ...controllers].some((one) => {
    const pod = podOf(world, one.id);
    const runs = pod !== undefined && pod.metadata.deletionTimestamp === undefined;
    return runs && claimState(world, one) === 'going';
  });
  return goes ? { ...settled, hibernate: false } : settled;
}

/** Everything that is committed must be durable on the others, and they must be whole. */
function journalGate({ name, members, note }: JournalStatus, id: string): string | null {
  const others = members.filter((one) => one.id !== id);
  // The only copy: there is nobody to wait for, and no way around the pause.
  if (others.length === 0) return null;
  const committed = Math.max(...members.map(({ committedLsn }) => committedLsn));
  for (const other of others) {
    if (other.role === 'learner' || other.role === 'joining') {
      return `${other.id} is still joining journal ${name}`;
    }
    if (!other.live || !other.synced) return `${other.id} does not serve journal ${name}`;
    if (other.durableLsn < committed) {
      return `${other.id} is ${committed - other.durableLsn} records behind in journal ${name}`;
    }
  }
  return note === '' || others.length + 1 === members.length ? null : `journal ${name}: ${note}`;
}
