// What the page shows: the cluster as its controllers see it, how fast journals grow, what changed.
//
// Many pages cost the controllers as much as one: a status is asked for at most twice a second, and
// only while somebody looks. Every answer is bounded.

import type { Clock } from '../../io/clock.ts';
import type { Configuration } from '../../protocol/configuration.ts';
import { JournalError } from '../../protocol/errors.ts';
import { type Micros, micros } from '../../protocol/types.ts';
import type { ClusterStatus, JournalStatus, ProcessStatus } from '../../transport/public.ts';
import { deadline } from '../wait.ts';
import { Changes, viewOfConfiguration, viewOfStatus } from './changes.ts';
import { Pace } from './pace.ts';
import { type RecordsAnswer, recordsAnswer, recordsRequest } from './records.ts';
import type { ConsoleSource } from './source.ts';

const REFRESH = 500_000;
const STATUS_WAIT = micros(3_000_000);
const READ_WAIT = micros(5_000_000);
const READS_AT_ONCE_MAX = 4;
const JOURNALS_MAX = 100;
const PROCESSES_MAX = 200;
const CHANGES_MAX = 50;
const FILTER_MAX = 63;

export interface DataAnswer {
  readonly servedBy: string;
  /** Wall time of the one who answers. */
  readonly atMicros: Micros;
  /** Why there is no newer status; empty while there is. */
  readonly trouble: string;
  /** Age of the status; null where there never was one. */
  readonly ageMillis: number | null;
  readonly cluster: string;
  readonly ready: boolean;
  /** By name; processes of a zone by kind and id. */
  readonly zones: readonly {
    readonly zone: string;
    readonly processes: readonly ProcessStatus[];
  }[];
  readonly processesTotal: number;
  /** By name, those whose name holds the filter, at most 100. */
  readonly journals: readonly ShownJournal[];
  readonly journalsTotal: number;
  /** Newest first, at most 50. */
  readonly changes: ReturnType<Changes['last']>;
  readonly records: { readonly shown: boolean; readonly why: string };
}

export type ShownJournal = JournalStatus & {
  readonly committedLsn: number;
  /** Committed positions a second, control entries included, oldest first. */
  readonly history: readonly number[];
};

interface Known {
  readonly status: ClusterStatus;
  readonly at: Micros;
}

export class Console {
  readonly source: ConsoleSource;
  readonly #clock: Clock;
  readonly #changes = new Changes();
  readonly #pace = new Pace();
  #known: Known | null = null;
  #trouble = '';
  #asking: Promise<void> | null = null;
  #reads = 0;

  constructor(clock: Clock, source: ConsoleSource) {
    this.#clock = clock;
    this.source = source;
  }

  /** A configuration came, whether somebody looks or not. */
  heard(configuration: Configuration): void {
    this.#changes.heard(this.#clock.wall(), viewOfConfiguration(configuration));
  }

  /** Everything but records. Throws INVALID_ARGUMENT for a filter that no name can hold. */
  async data(query: URLSearchParams): Promise<DataAnswer> {
    const filter = query.get('journals') ?? '';
    if (filter.length > FILTER_MAX) {
      throw new JournalError(
        'INVALID_ARGUMENT',
        `journals has ${filter.length} characters, allowed are at most ${FILTER_MAX}`,
      );
    }
    await this.#refresh();
    const { servedBy, recordsHidden: why } = this.source;
    const status = this.#known?.status;
    const all = status?.journals ?? [];
    const found = all.filter(({ name }) => name.includes(filter));
    const at = this.#known?.at;
    return {
      servedBy,
      atMicros: this.#clock.wall(),
      trouble: this.#trouble,
      ageMillis: at === undefined ? null : Math.round((this.#clock.now() - at) / 1_000),
      cluster: status?.cluster ?? '',
      ready: status?.ready ?? false,
      zones: zonesOf(status?.processes ?? []),
      processesTotal: status?.processes.length ?? 0,
      journals: found.slice(0, JOURNALS_MAX).map((journal) => this.#shown(journal)),
      journalsTotal: found.length,
      changes: this.#changes.last(CHANGES_MAX),
      records: { shown: why === '', why },
    };
  }

  #shown(journal: JournalStatus): ShownJournal {
    return {
      ...journal,
      committedLsn: committed(journal),
      history: this.#pace.history(journal.id),
    };
  }

  /** Rejects with the refusal of the read, or OVERLOADED where several are under way already. */
  async records(query: URLSearchParams): Promise<RecordsAnswer> {
    const { recordsHidden: why } = this.source;
    if (why !== '') throw new JournalError('PERMISSION_DENIED', why);
    const request = recordsRequest(query);
    if (this.#reads >= READS_AT_ONCE_MAX) {
      throw new JournalError('OVERLOADED', `${this.#reads} reads of this page are under way`);
    }
    this.#reads += 1;
    const limit = deadline(this.#clock, READ_WAIT, new AbortController().signal);
    try {
      return recordsAnswer(request.journal, await this.source.read(request, limit.signal));
    } finally {
      limit.done();
      this.#reads -= 1;
    }
  }

  async #refresh(): Promise<void> {
    const now = this.#clock.now();
    if (this.#known !== null && this.#trouble === '' && now - this.#known.at < REFRESH) return;
    this.#asking ??= this.#ask().finally(() => {
      this.#asking = null;
    });
    await this.#asking;
  }

  async #ask(): Promise<void> {
    const limit = deadline(this.#clock, STATUS_WAIT, new AbortController().signal);
    try {
      const status = await this.source.status(limit.signal);
      const at = this.#clock.now();
      const first = this.#known === null;
      for (const journal of status.journals) {
        this.#changes.heard(this.#clock.wall(), viewOfStatus(journal), first);
      }
      this.#pace.take(at, new Map(status.journals.map((one) => [one.id, committed(one)])));
      this.#known = { status, at };
      this.#trouble = '';
    } catch (error) {
      this.#trouble = error instanceof Error ? error.message : String(error);
    } finally {
      limit.done();
    }
  }
}

const committed = ({ members }: JournalStatus): number =>
  members.reduce((most, { committedLsn }) => Math.max(most, committedLsn), 0);

function zonesOf(processes: readonly ProcessStatus[]): DataAnswer['zones'] {
  const shown = processes.slice(0, PROCESSES_MAX);
  const names = [...new Set(shown.map(({ zone }) => zone))].sort();
  return names.map((zone) => ({ zone, processes: shown.filter((one) => one.zone === zone) }));
}
