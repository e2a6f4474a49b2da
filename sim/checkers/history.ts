// What happened, as the outside saw it: the only thing that checkers look at.
//
// Times are microseconds of one true clock. `returned` is null where no answer came: then the
// operation may take effect at any time after `called`, or never. Data is text, and every record
// that a run appends is unique in it, so that a record tells which append it came from.

/** A record as somebody saw it. */
export interface SeenRecord {
  readonly lsn: number;
  readonly timestamp: number;
  readonly key?: string | undefined;
  readonly data: string;
}

export interface Condition {
  readonly expectTail?: number | undefined;
  readonly expectKey?: { readonly key: string; readonly lsn: number } | undefined;
  readonly fence?: { readonly key: string; readonly token: number } | undefined;
}

/** What a refusal said. `none`: it had no effect; `unknown`: it may have one, now or later. */
export interface Refused {
  readonly kind: 'refused';
  readonly code: string;
  readonly outcome: 'none' | 'unknown';
  readonly tailLsn?: number | undefined;
  readonly keyLsn?: number | undefined;
  readonly tokenLsn?: number | undefined;
  readonly firstLsn?: number | undefined;
}

export interface Appended {
  readonly kind: 'appended';
  readonly firstLsn: number;
  readonly lastLsn: number;
  readonly timestamp: number;
}

interface Timed {
  /** Who asked: one process, or one client within it. */
  readonly process: string;
  readonly journal: string;
  readonly called: number;
  readonly returned: number | null;
}

export interface AppendOperation extends Timed {
  readonly kind: 'append';
  readonly records: readonly { readonly key?: string | undefined; readonly data: string }[];
  readonly keyOperation: 'tag' | 'claim' | 'renew' | 'release';
  readonly condition: Condition;
  /** The key that a person chose; retries within one call are no operations of their own. */
  readonly idempotencyKey?: string | undefined;
  readonly answer: Appended | Refused;
}

export interface TailOperation extends Timed {
  readonly kind: 'tail';
  readonly answer:
    | {
        readonly kind: 'tail';
        readonly tailLsn: number;
        /** First position that is left; left out where nobody wrote it down. */
        readonly firstLsn?: number;
      }
    | Refused;
}

/** A read of consecutive records from `from` on; `from` is what the reader asked for. */
export interface ReadOperation extends Timed {
  readonly kind: 'read';
  readonly from: number;
  readonly linearizable: boolean;
  /** Most records that were asked for; left out where there was no such bound. */
  readonly limit?: number;
  readonly answer:
    | {
        readonly kind: 'records';
        readonly records: readonly SeenRecord[];
        /** Everything below was answered. */
        readonly nextLsn: number;
      }
    | Refused;
}

/** All that one subscription delivered, in order, up to its end. */
export interface SubscribeOperation extends Timed {
  readonly kind: 'subscribe';
  /** Where it started; null where it asked for the next record, whatever that is. */
  readonly from: number | null;
  readonly records: readonly SeenRecord[];
  readonly ended: Refused | null;
}

export interface TrimOperation extends Timed {
  readonly kind: 'trim';
  readonly through: number;
  /** Whether it may pass cursors. */
  readonly force: boolean;
  readonly answer: { readonly kind: 'trimmed'; readonly firstLsn: number } | Refused;
}

/** A cursor that is set, moved or, with null, deleted. */
export interface CursorOperation extends Timed {
  readonly kind: 'cursor';
  readonly name: string;
  readonly lsn: number | null;
  readonly answer: { readonly kind: 'moved' } | Refused;
}

/** From when to when a process believed that it was the leader of `key`, on the true clock. */
export interface LedOperation extends Timed {
  readonly kind: 'led';
  readonly key: string;
  readonly token: number;
  /** Whether it had applied all up to its claim by then; left out where it was not asked to. */
  readonly applied?: boolean;
}

export type Operation =
  | AppendOperation
  | TailOperation
  | ReadOperation
  | SubscribeOperation
  | TrimOperation
  | CursorOperation
  | LedOperation;

/** A batch as it lies on a member's disk. */
export interface FinalBatch {
  readonly firstLsn: number;
  readonly lastLsn: number;
  readonly epoch: number;
  /** A checksum over the replicated bytes. */
  readonly digest: string;
  /** Empty for control entries. */
  readonly records: readonly SeenRecord[];
  readonly keyOperation: 'tag' | 'claim' | 'renew' | 'release';
}

/** What one serving member holds when everything has come to rest. */
export interface FinalLog {
  readonly member: string;
  readonly journal: string;
  /** Batches end above this one. */
  readonly baseLsn: number;
  /** What its own log says, and where its bytes are bad, what the cluster said. */
  readonly trimmedLsn: number;
  readonly committedLsn: number;
  readonly batches: readonly FinalBatch[];
  /** Positions whose bytes were found bad and are refused, on a disk that was harmed. */
  readonly damaged?: readonly { readonly firstLsn: number; readonly lastLsn: number }[];
}

export interface History {
  readonly operations: readonly Operation[];
  readonly finals: readonly FinalLog[];
}

/** `checked` counts what was looked at: a checker that looked at nothing has shown nothing. */
export interface Verdict {
  readonly checked: number;
  /** Sentences, at most a few; empty where all is well. */
  readonly wrong: readonly string[];
}

export interface Checker {
  readonly name: string;
  check(history: History): Verdict;
}

export const COMPLAINTS_MAX = 5;

/** A verdict from all complaints, the first few kept. */
export function verdict(checked: number, wrong: readonly string[]): Verdict {
  return { checked, wrong: wrong.slice(0, COMPLAINTS_MAX) };
}

/** Says what is wrong in a journal. */
export type Say = (sentence: string) => void;

/** A checker of one journal after the other; `look` answers how much it looked at. */
export const ofEachJournal = (
  name: string,
  look: (history: History, journal: string, say: Say) => number,
): Checker => ({
  name,
  check(history) {
    const wrong: string[] = [];
    let checked = 0;
    for (const journal of journalsOf(history)) {
      checked += look(history, journal, (sentence) => void wrong.push(`${journal}: ${sentence}`));
    }
    return verdict(checked, wrong);
  },
});

export const isAppend = (operation: Operation): operation is AppendOperation =>
  operation.kind === 'append';

/** Names of the journals that anything happened to. */
export function journalsOf(history: History): string[] {
  const names = new Set(history.operations.map(({ journal }) => journal));
  for (const { journal } of history.finals) names.add(journal);
  return [...names];
}
