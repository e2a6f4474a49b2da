// Keeps the processes of a local cluster running: starts, restarts with back-off, stops.

import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { note } from '../output.ts';
import type { PlannedProcess } from './plan.ts';

const BACKOFF_MILLIS_MIN = 200;
const BACKOFF_MILLIS_MAX = 5_000;
/** A process that ran this long was well: its next death starts over with the shortest wait. */
const WELL_MILLIS = 10_000;
const STOP_MILLIS_MAX = 5_000;

const main = join(import.meta.dirname, '..', 'journal.js');

export class Supervised {
  #child: ChildProcess | null = null;
  #timer: NodeJS.Timeout | null = null;
  #stopping = false;
  #backoffMillis = BACKOFF_MILLIS_MIN;
  #startedAt = 0;
  readonly #process: PlannedProcess;
  readonly #restart: boolean;

  constructor(process: PlannedProcess, restart: boolean) {
    this.#process = process;
    this.#restart = restart;
  }

  start(): void {
    const log = openSync(this.#process.log, 'a');
    // In a group of its own ^C of the terminal does not reach it; the channel tells it when this
    // process is gone, however it went.
    const child = spawn(process.execPath, [main, ...this.#process.args], {
      detached: true,
      env: cleanEnvironment(process.env),
      stdio: ['ignore', log, log, 'ipc'],
    });
    closeSync(log);
    this.#child = child;
    this.#startedAt = Date.now();
    child.on('error', (error) => note(`journal dev: ${this.#process.name}: ${error.message}`));
    child.on('exit', (code, signal) => this.#died(child, code, signal));
  }

  /** Asks it to end, and ends it after 5 s; resolves when it is gone. */
  async stop(): Promise<void> {
    this.#stopping = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    const child = this.#child;
    if (child === null) return;
    const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()));
    const timer = setTimeout(() => child.kill('SIGKILL'), STOP_MILLIS_MAX);
    child.kill('SIGTERM');
    // A process that is paused cannot end before it goes on.
    child.kill('SIGCONT');
    await gone;
    clearTimeout(timer);
  }

  kill(): void {
    this.#stopping = true;
    this.#child?.kill('SIGKILL');
  }

  #died(child: ChildProcess, code: number | null, signal: NodeJS.Signals | null): void {
    this.#child = null;
    if (this.#stopping) return;
    const { name, log } = this.#process;
    const how = signal === null ? `ended with code ${code}` : `was killed by ${signal}`;
    const died = `journal dev: ${name} (pid ${child.pid}) ${how}, see ${log}`;
    if (!this.#restart) {
      note(`${died}; it stays dead, since --no-restart was given`);
      return;
    }
    if (Date.now() - this.#startedAt > WELL_MILLIS) this.#backoffMillis = BACKOFF_MILLIS_MIN;
    // Jitter keeps processes that fall together from rising together.
    const millis = Math.round(this.#backoffMillis * (0.75 + 0.5 * Math.random()));
    this.#backoffMillis = Math.min(2 * this.#backoffMillis, BACKOFF_MILLIS_MAX);
    note(`${died}; starting it again in ${(millis / 1000).toFixed(1)} s`);
    this.#timer = setTimeout(() => this.start(), millis);
  }
}

/** Settings of the hand tool are none of the processes': each gets its own by flags. */
function cleanEnvironment(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !name.startsWith('JOURNAL_')));
}
