// What a majority of the controllers says, as one view: pure.
//
// One controller alone may be cut off, or be behind. Whether a process is well is decided by more
// than half of the answers; which configuration a journal has, by the newest.

import type {
  ClusterStatus,
  JournalStatus,
  MemberStatus,
  ProcessStatus,
} from '../../transport/public.ts';
import type { ChainView } from './world.ts';

/** What one controller said. */
export interface Answer {
  /** `controller-1`. */
  readonly id: string;
  readonly status: ClusterStatus;
}

/** Unknown where no majority of the seats answered; `failure` is why the others did not. */
export function agree(answers: readonly Answer[], failure: string): ChainView {
  const seats = seatsOf(answers.map(({ status }) => status));
  // One that has left, or is not let in yet, has no say; one that is still reading misses journals,
  // and a member that no journal names may go, with its volume.
  const seated = answers.filter(({ id }) => seats.includes(id)).map(({ status }) => status);
  const heard = seated.filter(({ partial }) => !partial);
  const [first] = heard;
  if (first === undefined || heard.length * 2 <= seats.length) {
    const count = `${seated.length} of ${seats.length === 0 ? 'the' : seats.length} controllers`;
    const reading = seated.length - heard.length;
    const still = reading === 0 ? '' : `, ${reading} of them still read the registers`;
    const why = failure === '' ? '' : `: ${failure}`;
    return { kind: 'unknown', reason: `${count} answer${still}${why}` };
  }
  const most = (holds: (status: ClusterStatus) => boolean): boolean =>
    heard.filter(holds).length * 2 > heard.length;
  const base = heard.find(({ ready }) => ready === most((one) => one.ready)) ?? first;
  const status = {
    ...base,
    featureLevel: Math.min(...heard.map(({ featureLevel }) => featureLevel)),
    ready: most(({ ready }) => ready),
    processes: base.processes.map((process) => processOf(process, heard)),
    journals: journalsOf(base, heard).map((journal) => journalOf(journal, heard)),
  };
  return { kind: 'known', status };
}

/** A journal that one of them knows is there, as is one that another has not heard of yet. */
function journalsOf(
  base: ClusterStatus,
  heard: readonly ClusterStatus[],
): readonly JournalStatus[] {
  const all = [base, ...heard].flatMap(({ journals }) => journals);
  return [...new Map(all.map((journal) => [journal.id, journal])).values()];
}

/** The longest list: the one of a change that not everybody has heard of is the one that counts. */
function seatsOf(statuses: readonly ClusterStatus[]): readonly string[] {
  const lists = statuses.map(({ processes }) =>
    processes.filter(({ kind }) => kind === 'controller').map(({ id }) => id),
  );
  return lists.sort((one, other) => other.length - one.length)[0] ?? [];
}

function processOf(process: ProcessStatus, heard: readonly ClusterStatus[]): ProcessStatus {
  const said = heard.flatMap(({ processes }) => processes.filter(({ id }) => id === process.id));
  const reachable = said.filter((one) => one.reachable).length * 2 > heard.length;
  const well = said.filter(({ note }) => note === '').length * 2 > heard.length;
  // The longest says the most: only the controller that was asked knows why a volume is refused.
  const notes = said
    .map(({ note }) => note)
    .filter((note) => note !== '')
    .sort((one, other) => other.length - one.length);
  const doubt = reachable ? 'not every controller knows it' : 'does not answer';
  return { ...process, reachable, note: well ? '' : (notes[0] ?? doubt) };
}

function journalOf(journal: JournalStatus, heard: readonly ClusterStatus[]): JournalStatus {
  const said = heard.flatMap(({ journals }) => journals.filter(({ id }) => id === journal.id));
  const newest = said.reduce(newer, journal);
  const current = said.filter(({ lineage, epoch }) => {
    return lineage === newest.lineage && epoch === newest.epoch;
  });
  const writable = current.filter((one) => one.writable).length * 2 > current.length;
  const note = writable ? newest.note : (current.find((one) => one.note !== '')?.note ?? '');
  return {
    ...newest,
    writable,
    note,
    members: newest.members.map((member) => memberOf(member, current)),
  };
}

const newer = (one: JournalStatus, other: JournalStatus): JournalStatus =>
  other.lineage > one.lineage || (other.lineage === one.lineage && other.epoch > one.epoch)
    ? other
    : one;

/** What one controller has seen on a disk is there, whoever else has not seen it yet. */
function memberOf(member: MemberStatus, journals: readonly JournalStatus[]): MemberStatus {
  const said = journals.flatMap(({ members }) => {
    return members.filter(({ store }) => store === member.store);
  });
  const most = (holds: (one: MemberStatus) => boolean): boolean =>
    said.filter(holds).length * 2 > journals.length;
  const furthest = said.reduce(
    (one, other) => (other.durableLsn > one.durableLsn ? other : one),
    member,
  );
  const { endLsn, durableLsn, lag } = furthest;
  const committed = said.reduce(
    (one, other) => (other.committedLsn > one.committedLsn ? other : one),
    member,
  );
  return {
    ...member,
    live: most(({ live }) => live),
    synced: most(({ synced }) => synced),
    endLsn,
    durableLsn,
    lag,
    committedLsn: committed.committedLsn,
  };
}
