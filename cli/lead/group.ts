// A command and all that it starts: one process group, so that a script does not outlive its end
// in what it has started.

import { type ChildProcess, spawn } from 'node:child_process';
import { constants } from 'node:os';
import { EXIT, UsageError } from '../output.ts';

const POLL_MILLIS = 20;
/** Who was killed may still have to be collected by another process: not waited for any longer. */
const KILLED_MILLIS_MAX = 1_000;

export class ProcessGroup {
  /**
   * The exit code once the command itself is gone, as a shell tells it. Rejects with a UsageError
   * where it cannot be run.
   */
  readonly ended: Promise<number>;
  readonly #command: ChildProcess;

  /** Begins it in a session of its own; it reads and writes where this process does. */
  constructor(file: string, args: readonly string[], env: NodeJS.ProcessEnv) {
    const child = spawn(file, args, { stdio: 'inherit', env, detached: true });
    this.#command = child;
    this.ended = new Promise((resolve, reject) => {
      child.on('error', (error) => {
        reject(new UsageError(`the command cannot be run: ${error.message}`));
      });
      child.on('exit', (code, signal) => {
        resolve(signal === null ? (code ?? EXIT.failed) : 128 + constants.signals[signal]);
      });
    });
  }

  /** To all of it, 0 only to look; false where nobody is left. */
  signal(signal: NodeJS.Signals | 0): boolean {
    const { pid } = this.#command;
    if (pid === undefined) return false;
    try {
      process.kill(-pid, signal);
      return true;
    } catch (error) {
      // It runs for somebody else by now, as by sudo.
      return error instanceof Error && 'code' in error && error.code === 'EPERM';
    }
  }

  /** Ends what the command has left behind: SIGTERM, after `graceMillis` SIGKILL. */
  async leave(graceMillis: number): Promise<void> {
    for (const [signal, millis] of [
      ['SIGTERM', graceMillis],
      ['SIGKILL', KILLED_MILLIS_MAX],
    ] as const) {
      const end = performance.now() + millis;
      if (!this.signal(signal)) return;
      while (this.signal(0) && performance.now() <= end) {
        await new Promise((resolve) => setTimeout(resolve, POLL_MILLIS));
      }
    }
  }
}
