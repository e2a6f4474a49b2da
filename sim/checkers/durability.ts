// Nothing that was acknowledged, or shown to a reader, is lost; and all serving members hold the
// same bytes as far as they are committed.

import { mayPassLater } from './cursors.ts';
import {
  type FinalLog,
  type History,
  ofEachJournal,
  type Say,
  type TrimOperation,
} from './history.ts';
import { truthOf } from './truth.ts';

export const durability = ofEachJournal('durability', (history, journal, say) => {
  const finals = history.finals.filter((final) => final.journal === journal);
  if (finals.length === 0) return 0;
  const shown = present(history, journal, finals, say);
  const compared = equalBytes(finals, say);
  whole(finals, say);
  lawfulTrims(history, journal, finals, say);
  return shown + compared;
});

/** Every record that anybody was told of is on every serving member, unless it was trimmed. */
function present(history: History, journal: string, finals: readonly FinalLog[], say: Say): number {
  const { records } = truthOf(history, journal);
  let checked = 0;
  for (const { member, trimmedLsn, baseLsn, batches, damaged = [] } of finals) {
    const held = new Map<number, string>();
    for (const batch of batches) for (const { lsn, data } of batch.records) held.set(lsn, data);
    for (const { lsn, data } of records) {
      if (lsn <= Math.max(trimmedLsn, baseLsn)) continue;
      // Refused rather than answered wrongly; the other members are asked for it.
      if (damaged.some((bad) => bad.firstLsn <= lsn && lsn <= bad.lastLsn)) continue;
      checked += 1;
      const found = held.get(lsn);
      if (found === data) continue;
      const instead = found === undefined ? 'nothing' : `"${found}"`;
      say(`"${data}" was seen at ${lsn}, and ${member} holds ${instead} there at the end`);
    }
  }
  return checked;
}

/** A log reaches what it has committed, control entries included. */
function whole(finals: readonly FinalLog[], say: Say): void {
  for (const { member, baseLsn, committedLsn, batches, damaged = [] } of finals) {
    const ends = [...batches, ...damaged].map(({ lastLsn }) => lastLsn);
    const end = Math.max(baseLsn, ...ends);
    if (end < committedLsn) say(`${member} ends at ${end}, and ${committedLsn} is committed`);
  }
}

function equalBytes(finals: readonly FinalLog[], say: Say): number {
  const digests = new Map<number, { readonly digest: string; readonly member: string }>();
  let checked = 0;
  for (const { member, committedLsn, batches } of finals) {
    for (const { firstLsn, lastLsn, digest } of batches) {
      if (lastLsn > committedLsn) continue;
      checked += 1;
      const known = digests.get(firstLsn);
      if (known === undefined) digests.set(firstLsn, { digest, member });
      else if (known.digest !== digest) {
        say(`${member} and ${known.member} hold other bytes at ${firstLsn}..${lastLsn}`);
      }
    }
  }
  return checked;
}

/** A log starts no later than somebody asked for. */
function lawfulTrims(
  history: History,
  journal: string,
  finals: readonly FinalLog[],
  say: Say,
): void {
  let through = 0;
  for (const operation of history.operations) {
    if (operation.kind !== 'trim' || operation.journal !== journal) continue;
    if (operation.through > through && mayTakeEffect(history, operation)) {
      through = operation.through;
    }
  }
  for (const { member, trimmedLsn, baseLsn } of finals) {
    const gone = Math.max(trimmedLsn, baseLsn);
    if (gone > through) say(`${member} has dropped up to ${gone}, asked for was ${through}`);
  }
}

/** What was refused for a cursor, or for the end of the log, may come again when that lets go. */
function mayTakeEffect(history: History, trim: TrimOperation): boolean {
  const { answer } = trim;
  if (answer.kind === 'trimmed' || answer.outcome === 'unknown') return true;
  if (answer.code === 'CURSOR_HOLDS') return mayPassLater(history, trim);
  return answer.code === 'OUT_OF_RANGE';
}
