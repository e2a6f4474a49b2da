// Cursors hold trims: one that is not forced goes no further than any cursor has come, and is held
// back by nothing else.

import {
  type CursorOperation,
  type History,
  ofEachJournal,
  type Say,
  type TrimOperation,
} from './history.ts';

/**
 * A call that came twice, or waited in a process that was paused, may do again what it did so long
 * after its answer; clients try again as well, and await the first answer.
 */
const AGAIN_MICROS = 60_000_000;

export const cursors = ofEachJournal('cursors', (history, journal, say) => {
  const moves = movesOf(history, journal);
  let checked = 0;
  for (const trim of history.operations) {
    if (trim.kind !== 'trim' || trim.journal !== journal) continue;
    if (trim.answer.kind === 'trimmed') checked += trim.force ? 0 : heeds(trim, moves, say);
    else if (trim.answer.code === 'CURSOR_HOLDS') checked += held(trim, moves, say);
  }
  return checked;
});

type Moves = ReadonlyMap<string, readonly CursorOperation[]>;

/** By cursor, all that may have had an effect. */
function movesOf({ operations }: History, journal: string): Moves {
  const moves = new Map<string, CursorOperation[]>();
  for (const operation of operations) {
    if (operation.kind !== 'cursor' || operation.journal !== journal) continue;
    if (operation.answer.kind === 'refused' && operation.answer.outcome === 'none') continue;
    const known = moves.get(operation.name);
    if (known === undefined) moves.set(operation.name, [operation]);
    else known.push(operation);
  }
  return moves;
}

/** Each cursor that was there before the trim had come that far, or may have, or was gone. */
function heeds(trim: TrimOperation, moves: Moves, say: Say): number {
  let checked = 0;
  for (const [name, all] of moves) {
    const set = all.filter((move) => isSetBefore(move, trim.called));
    if (set.length === 0) continue;
    checked += 1;
    const passed = set.find(
      (move) => !letsGo(move, trim) && !all.some((other) => mayLetGo(other, move, trim)),
    );
    if (passed === undefined) continue;
    const { process, through } = trim;
    say(`the trim of ${process} through ${through} passed cursor ${name}, set to ${passed.lsn}`);
  }
  return checked;
}

/** Whether a copy of a trim that was held, as of a call that came twice, may have been let go. */
export function mayPassLater(history: History, trim: TrimOperation): boolean {
  let passes = true;
  const copy = { ...trim, returned: (trim.returned ?? Infinity) + AGAIN_MICROS };
  heeds(copy, movesOf(history, trim.journal), () => {
    passes = false;
  });
  return passes;
}

const isSetBefore = ({ lsn, answer, returned }: CursorOperation, time: number): boolean =>
  lsn !== null && answer.kind === 'moved' && returned !== null && returned < time;

const letsGo = ({ lsn }: CursorOperation, { through }: TrimOperation): boolean =>
  lsn === null || lsn >= through;

/** Whether some order puts `other` behind `move` and before the trim, and it lets the trim pass. */
function mayLetGo(other: CursorOperation, move: CursorOperation, trim: TrimOperation): boolean {
  if (other === move || !letsGo(other, trim)) return false;
  const known = other.answer.kind === 'moved' && other.returned !== null;
  const last = known ? (other.returned ?? 0) + AGAIN_MICROS : Infinity;
  return last > move.called && other.called < (trim.returned ?? Infinity);
}

/** A trim is held by a cursor that somebody set below it. */
function held(trim: TrimOperation, moves: Moves, say: Say): number {
  const until = trim.returned ?? Infinity;
  const holds = [...moves.values()].some((all) =>
    all.some((move) => !letsGo(move, trim) && move.called < until),
  );
  const { process, through } = trim;
  if (!holds) say(`the trim of ${process} through ${through} was held by no cursor that was set`);
  return 1;
}
