// The lab's own processes: started in the background, recorded, told from others, ended.

import { spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { signal } from './cgroups.ts';
import { pause, until } from './commands.ts';

const STOP_MILLIS_MAX = 10_000;

/** A pid alone may have gone to another process since; with its start it names one. */
export interface ProcessId {
  readonly pid: number;
  /** Ticks after boot, as the kernel counts them. */
  readonly started: number;
}

/** Undefined where no such process runs; one that only waits to be reaped does not. */
export function processOf(pid: number): ProcessId | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' ? undefined : { pid, started: Number(fields[19]) };
  } catch {
    return undefined;
  }
}

export const runs = ({ pid, started }: ProcessId): boolean => processOf(pid)?.started === started;

export class Processes {
  readonly #folder: string;
  /** Files that take the pid of each new process: its control groups. */
  readonly #groups: readonly string[];

  constructor(folder: string, groups: readonly string[]) {
    this.#folder = folder;
    this.#groups = groups;
    for (const name of ['pid', 'log']) mkdirSync(join(folder, name), { recursive: true });
  }

  log(name: string): string {
    return join(this.#folder, 'log', `${name}.log`);
  }

  logEnd(name: string, characters = 2_000): string {
    try {
      return readFileSync(this.log(name), 'utf8').slice(-characters);
    } catch {
      return '';
    }
  }

  /** Starts a command that outlives this process; its words go to a log of its name. */
  start(name: string, command: readonly string[], env: NodeJS.ProcessEnv = {}): ProcessId {
    const log = openSync(this.log(name), 'a');
    const joined = this.#groups.map((file) => `echo $$ > ${file} && `).join('');
    const child = spawn('sh', ['-c', `${joined}exec "$@"`, 'sh', ...command], {
      detached: true,
      stdio: ['ignore', log, log],
      env: { ...process.env, ...env },
    });
    closeSync(log);
    child.unref();
    child.on('error', () => {}); // The pid is undefined then, too.
    const id = child.pid === undefined ? undefined : processOf(child.pid);
    if (id === undefined) throw new Error(`${name} did not start:\n${this.logEnd(name)}`);
    writeFileSync(this.#record(name), JSON.stringify(id));
    return id;
  }

  /** What was started under a name, where it runs. */
  find(name: string): ProcessId | undefined {
    try {
      const { pid, started } = JSON.parse(readFileSync(this.#record(name), 'utf8'));
      const id = { pid: Number(pid), started: Number(started) };
      return runs(id) ? id : undefined;
    } catch {
      return undefined;
    }
  }

  /** Asks it to end, and insists after a while. */
  async stop(name: string, by: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    const id = this.find(name);
    if (id !== undefined) {
      signal(id.pid, by);
      const end = performance.now() + STOP_MILLIS_MAX;
      while (runs(id) && performance.now() < end) await pause(50);
      if (runs(id)) signal(id.pid, 'SIGKILL');
      await until(`${name} ends`, STOP_MILLIS_MAX, async () => (runs(id) ? undefined : true));
    }
    rmSync(this.#record(name), { force: true });
  }

  /** Throws what it said where it has ended on its own. */
  check(name: string): void {
    if (this.find(name) === undefined) {
      throw new Error(`${name} has ended:\n${this.logEnd(name)}`);
    }
  }

  #record(name: string): string {
    return join(this.#folder, 'pid', name);
  }
}
