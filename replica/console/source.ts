// What the console asks of whoever serves it: a replica, or the hand tool on somebody's machine.

import type { ClusterStatus, ReadAnswer, ReadRequest } from '../../transport/public.ts';

export interface ConsoleSource {
  /** Shown on the page: who answers. */
  readonly servedBy: string;
  /** Why records are not shown, in a sentence; empty while they are. */
  readonly recordsHidden: string;
  /** Only a host name that means this machine may ask for records: see `isLocalHost`. */
  readonly recordsLocalOnly: boolean;
  /** The cluster as its controllers see it. Rejects where none answers. */
  status(signal: AbortSignal): Promise<ClusterStatus>;
  /** Committed records of a journal. Rejects with the refusal of a read. */
  read(request: ReadRequest, signal: AbortSignal): Promise<ReadAnswer>;
}
