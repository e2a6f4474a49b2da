// The sum over many runs: what passed, what each checker looked at, and how fast it went.

import { FAULT_NAMES } from '../faults/kinds.ts';
import type { Many } from '../plan.ts';
import type { RunResult } from '../run.ts';

/** A result that can cross threads. */
export type Report = Omit<RunResult, 'evidence'> & {
  /** Empty for a run that passed. */
  readonly story: string;
  readonly wallMillis: number;
};

/**
 * A checker that looked at nothing in so many runs of so many events together shows nothing; one
 * run may have no leases, and many short ones no trim beside a cursor.
 */
const BLIND_RUNS = 20;
const BLIND_EVENTS = 100_000;

export class Totals {
  passed = 0;
  failed = 0;
  refused = 0;
  events = 0;
  acknowledged = 0;
  readonly #checked = new Map<string, number>();
  readonly #kinds = new Map<string, number>();
  readonly #struck = new Map<string, number>();

  add(report: Report): void {
    if (report.failure === null) this.passed += 1;
    else this.failed += 1;
    if (report.refused) this.refused += 1;
    this.events += report.events;
    this.acknowledged += report.acknowledged;
    this.#kinds.set(report.budget, (this.#kinds.get(report.budget) ?? 0) + 1);
    for (const [name, count] of Object.entries(report.checked)) {
      this.#checked.set(name, (this.#checked.get(name) ?? 0) + count);
    }
    for (const [name, count] of Object.entries(report.struck)) {
      this.#struck.set(name, (this.#struck.get(name) ?? 0) + count);
    }
  }

  get runs(): number {
    return this.passed + this.failed;
  }

  /** What was shown, and in how much time; `threads` shared the work. */
  lines(seconds: number, threads: number): readonly string[] {
    const rate = Math.round(this.events / seconds);
    const kinds = [...this.#kinds].map(([kind, count]) => `${count} ${kind}`).sort();
    const struck = [...this.#struck].sort(([, one], [, other]) => other - one);
    const never = FAULT_NAMES.filter((name) => !this.#struck.has(name));
    const looked = [...this.#checked].map(([name, count]) => `${name} ${count}`);
    const share = Math.round(rate / threads);
    const each = threads === 1 ? '' : `, ${share} on each of ${threads} threads`;
    const took = `${seconds.toFixed(1)} s`;
    return [
      `${this.runs} runs (${kinds.join(', ')}): ${this.events} events in ${took}, ` +
        `${rate} events/s${each}`,
      `looked at: ${looked.join(', ') || 'nothing'}; ${this.acknowledged} appends acknowledged` +
        `${this.refused === 0 ? '' : `; ${this.refused} runs refused to go on, and may`}`,
      `faults: ${struck.map(([name, count]) => `${name} ${count}`).join(', ') || 'none'}` +
        `${never.length === 0 ? '' : `; never: ${never.join(', ')}`}`,
    ];
  }

  /** That fewer seeds ran than were asked for, and why; null where all did. */
  short({
    count,
    budgetMillis,
    failuresMax,
  }: Pick<Many, 'count' | 'budgetMillis' | 'failuresMax'>): string | null {
    if (!Number.isFinite(count) || this.runs >= count) return null;
    const why =
      this.failed >= failuresMax
        ? `${this.failed} had failed`
        : `the budget of ${budgetMillis / 1000} s was over`;
    return `${this.runs} of ${count} seeds ran, ${why}`;
  }

  /** Why this shows nothing although nothing failed; null where it does show something. */
  blind(): string | null {
    const counts = [...this.#checked.values()];
    if (this.runs === 0) return 'no run was made';
    if (this.failed === 0 && counts.every((count) => count === 0)) return 'nothing was checked';
    const names = [...this.#checked].filter(([, count]) => count === 0).map(([name]) => name);
    const few = this.passed < BLIND_RUNS || this.events < BLIND_EVENTS;
    if (few || names.length === 0) return null;
    return `these checkers looked at nothing: ${names.join(', ')}`;
  }
}
