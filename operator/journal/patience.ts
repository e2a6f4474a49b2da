// Since when a change is at the same point: what gets no further for too long is called stuck.

import type { Clock } from '../../io/clock.ts';
import type { Micros } from '../../protocol/types.ts';
import type { Progress } from './steps.ts';

interface Point {
  readonly what: string;
  readonly since: Micros;
}

export class Patience {
  readonly #clock: Clock;
  readonly #points = new Map<string, Point>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  isOver(cluster: string, progress: Progress, seconds: number): boolean {
    if (progress.kind === 'steady' || progress.kind === 'suspended') {
      this.#points.delete(cluster);
      return false;
    }
    const what = `${progress.reason}/${progress.message}`;
    const known = this.#points.get(cluster);
    if (known?.what !== what) {
      this.#points.set(cluster, { what, since: this.#clock.now() });
      return false;
    }
    return this.#clock.now() - known.since > seconds * 1_000_000;
  }
}
