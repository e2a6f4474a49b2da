// Runs the commands that the lab is made of, each with a deadline and with what it said on failure.

import { type ChildProcess, spawn } from 'node:child_process';

export interface Ended {
  /** Null where a signal ended it. */
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Running {
  readonly input?: string;
  readonly env?: NodeJS.ProcessEnv;
  readonly cwd?: string;
  /** It is killed after this long; two minutes unless told. */
  readonly millisMax?: number;
}

const MILLIS_MAX = 120_000;

/** Runs it to its end, whatever the code. */
export async function attempt(command: readonly string[], options: Running = {}): Promise<Ended> {
  const [file = '', ...args] = command;
  const { input = '', env = process.env, cwd, millisMax = MILLIS_MAX } = options;
  const child = spawn(file, args, { env, ...(cwd === undefined ? {} : { cwd }) });
  child.stdin.on('error', () => {});
  child.stdin.end(input);
  const timer = setTimeout(() => child.kill('SIGKILL'), millisMax);
  try {
    return await output(child);
  } finally {
    clearTimeout(timer);
  }
}

/** Runs it, and throws what it said where it fails. Answers its standard output. */
export async function run(command: readonly string[], options: Running = {}): Promise<string> {
  const { code, stdout, stderr } = await attempt(command, options);
  if (code === 0) return stdout;
  const end = code === null ? 'was killed or took too long' : `ended with code ${code}`;
  throw new Error(`${command.join(' ')} ${end}:\n${stderr.slice(-4_000)}${stdout.slice(-1_000)}`);
}

export function output(child: ChildProcess): Promise<Ended> {
  const out: Buffer[] = [];
  const err: Buffer[] = [];
  child.stdout?.on('data', (piece: Buffer) => out.push(piece));
  child.stderr?.on('data', (piece: Buffer) => err.push(piece));
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => {
      const stdout = Buffer.concat(out).toString('utf8');
      resolve({ code, stdout, stderr: Buffer.concat(err).toString('utf8') });
    });
  });
}

/** Asks again until `ask` answers something, at most `millisMax`; `what` names it in the error. */
export async function until<T>(
  what: string,
  millisMax: number,
  ask: () => Promise<T | undefined>,
): Promise<T> {
  const end = performance.now() + millisMax;
  let last: unknown;
  for (;;) {
    try {
      const found = await ask();
      if (found !== undefined) return found;
      last = undefined;
    } catch (error) {
      last = error;
    }
    if (performance.now() > end) {
      const why = last === undefined ? '' : `: ${last instanceof Error ? last.message : last}`;
      throw new Error(`not within ${millisMax / 1000} s: ${what}${why}`);
    }
    await pause(POLL_MILLIS);
  }
}

const POLL_MILLIS = 150;

export const pause = (millis: number): Promise<void> =>
  new Promise((resolve) => setTimeout(resolve, millis));
