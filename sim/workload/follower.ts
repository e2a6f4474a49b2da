// Somebody who follows a journal from its beginning through all faults, and never leaves: in peace
// it must get on to what was appended last, or a subscription that broke does not go on.

import type { Journal } from '../../client/journal.ts';
import type { Refused, SeenRecord, SubscribeOperation } from '../checkers/history.ts';
import { type Recorder, seen } from '../recorder.ts';

/** Between two subscriptions: the first one was refused, as after a trim. */
const AGAIN_MICROS = 500_000;

export class Follower {
  readonly #journal: Journal;
  readonly #recorder: Recorder;
  readonly #leave = new AbortController();
  #lastLsn = 0;

  constructor(journal: Journal, recorder: Recorder) {
    this.#journal = journal;
    this.#recorder = recorder;
  }

  /** Of the last record that it was given. */
  get lastLsn(): number {
    return this.#lastLsn;
  }

  get name(): string {
    return this.#journal.name;
  }

  leave(): void {
    this.#leave.abort();
  }

  /** `sleep` is of the world: a follower has no clock that goes wrong. */
  async follow(sleep: (micros: number) => Promise<void>): Promise<void> {
    while (!this.#leave.signal.aborted) {
      const ended = await this.#once();
      // Another lineage, or one that is shorter: all of it once more.
      if (ended?.code === 'TRIMMED') this.#lastLsn = (ended.firstLsn ?? 1) - 1;
      else if (ended !== null) this.#lastLsn = 0;
      await sleep(AGAIN_MICROS);
    }
  }

  async #once(): Promise<Refused | null> {
    const { operations } = this.#recorder;
    const records: SeenRecord[] = [];
    const from = this.#lastLsn + 1;
    const called = this.#recorder.now;
    const about = { kind: 'subscribe', process: 'doctor', journal: this.name, from } as const;
    const at = operations.length;
    const put = (returned: number | null, ended: Refused | null): void => {
      const told: SubscribeOperation = { ...about, called, returned, records, ended };
      operations[at] = told;
    };
    put(null, null);
    let ended: Refused | null = null;
    try {
      const { signal } = this.#leave;
      for await (const record of this.#journal.subscribe({ from, signal })) {
        records.push(seen(record));
        this.#lastLsn = record.lsn;
      }
    } catch (error) {
      ended = this.#recorder.refusal(error, 'doctor subscribe');
    }
    put(this.#recorder.now, ended);
    return ended;
  }
}
