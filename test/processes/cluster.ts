// A cluster of real processes in a temporary directory, as `journal dev` runs it, for one test.

import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseRecord, planOf } from '../../cli/dev/plan.ts';
import { type Client, connect } from '../../client/index.ts';
import type { ClusterStatus, JournalStatus } from '../../transport/public.ts';
import { Links } from './links.ts';
import { type Cuts, Namespaces } from './namespaces.ts';
import { freePorts } from './ports.ts';
import { compileShim } from './shim.ts';
import { isAlive, kill } from './signals.ts';

export { isAlive, kill };

const root = join(import.meta.dirname, '..', '..');
const main = join(root, 'cli', 'journal.js');
const READY_MILLIS_MAX = 60_000;
const HEARD_MILLIS_MAX = 30_000;
const POLL_MILLIS = 20;
const SHIM = 'shim.so';

export interface ClusterOptions {
  readonly members?: number;
  readonly controllers?: number;
  /** Where `dev` is told to listen. */
  readonly host?: string;
  /** False: a process that died stays dead until the test starts it. */
  readonly restart?: boolean;
  /** Preload the shim, so that syncs can be held. */
  readonly faults?: boolean;
  /** Lead all connections among the processes through links that can be cut. */
  readonly links?: boolean;
  /** Instead of links: each process in a network namespace of its own. */
  readonly namespaces?: boolean;
}

export interface Ended {
  readonly code: number | null;
  readonly signal: string | null;
  readonly stdout: string;
  readonly stderr: string;
}

export class Cluster {
  readonly directory: string;
  readonly port: number;
  readonly members: number;
  readonly controllers: number;
  readonly #options: ClusterOptions;
  #dev: ChildProcess | null = null;
  #stderr = '';
  readonly #restarted: ChildProcess[] = [];
  links: Cuts | null = null;
  /** What the first start took, until it was ready. */
  startMillis = 0;

  private constructor(directory: string, port: number, options: ClusterOptions) {
    this.directory = directory;
    this.port = port;
    this.members = options.members ?? 3;
    this.controllers = options.controllers ?? 3;
    this.#options = options;
  }

  static async start(options: ClusterOptions = {}): Promise<Cluster> {
    const directory = mkdtempSync(join(tmpdir(), 'journal-'));
    const port = await freePorts(32);
    const cluster = new Cluster(directory, port, options);
    try {
      const { faults, links, namespaces } = options;
      if (faults || links || namespaces) compileShim(join(directory, SHIM));
      const count = cluster.members + cluster.controllers;
      const spaces = namespaces ? Namespaces.open(port, count) : null;
      if (spaces !== null) cluster.links = spaces;
      else if (links) {
        const basePort = await freePorts(16 * count);
        cluster.links = await Links.open({ firstPort: port, basePort, count });
      }
      cluster.startMillis = await cluster.up();
      await spaces?.serve();
      return cluster;
    } catch (error) {
      await cluster.close();
      throw error;
    }
  }

  get data(): string {
    return join(this.directory, 'data');
  }

  get endpoints(): string[] {
    return Array.from({ length: this.members }, (_, at) => `127.0.0.1:${this.port + at}`);
  }

  /** What `dev` said on stderr so far. */
  get said(): string {
    return this.#stderr;
  }

  /** Runs `journal dev` until it is ready; resolves with the milliseconds that this took. */
  async up(): Promise<number> {
    const begun = performance.now();
    const { restart = true, host } = this.#options;
    const args = ['dev', '--data', this.data, '--port', String(this.port)];
    args.push('--members', String(this.members), '--controllers', String(this.controllers));
    if (!restart) args.push('--no-restart');
    if (host !== undefined) args.push('--host', host);
    const dev = spawn(process.execPath, [main, ...args], {
      env: { ...process.env, ...this.#faultEnvironment() },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#dev = dev;
    dev.stderr?.on('data', (piece: Buffer) => {
      this.#stderr += piece.toString('utf8');
    });
    await this.#readyLine(dev);
    return performance.now() - begun;
  }

  #faultEnvironment(): NodeJS.ProcessEnv {
    const { faults, links, namespaces } = this.#options;
    if (!faults && !links && !namespaces) return {};
    const preload = { LD_PRELOAD: join(this.directory, SHIM), FAULT_DIR: this.directory };
    return { ...preload, ...this.links?.environment };
  }

  #readyLine(dev: ChildProcess): Promise<void> {
    return new Promise((resolve, reject) => {
      let stdout = '';
      const failed = (why: string): void => {
        clearTimeout(timer);
        reject(new Error(`dev ${why}:\n${this.#stderr}\n${this.logs()}`));
      };
      const timer = setTimeout(() => failed('was not ready in time'), READY_MILLIS_MAX);
      dev.stdout?.on('data', (piece: Buffer) => {
        stdout += piece.toString('utf8');
        if (!/^ready \S+\n/m.test(stdout)) return;
        clearTimeout(timer);
        resolve();
      });
      dev.once('exit', (code) => failed(`ended with code ${code}`));
    });
  }

  /** Stops all by SIGTERM to `dev`. */
  async down(): Promise<void> {
    const dev = this.#dev;
    this.#dev = null;
    if (dev === null || dev.exitCode !== null) return;
    const gone = new Promise((resolve) => dev.once('exit', resolve));
    dev.kill('SIGTERM');
    await gone;
  }

  /** Kills `dev` alone: nobody tells its processes. */
  async killDev(): Promise<void> {
    const dev = this.#dev;
    this.#dev = null;
    const gone = new Promise((resolve) => dev?.once('exit', resolve));
    dev?.kill('SIGKILL');
    await gone;
  }

  /** Kills `dev` and every process that it started, all at once. */
  async killAll(): Promise<void> {
    const pids = await this.pids();
    const dev = this.#dev;
    this.#dev = null;
    const gone = new Promise((resolve) => dev?.once('exit', resolve));
    dev?.kill('SIGKILL');
    for (const pid of pids) kill(pid, 'SIGKILL');
    await gone;
    while (pids.some(isAlive)) await pause(POLL_MILLIS);
  }

  async close(): Promise<void> {
    await this.down();
    for (const child of this.#restarted) child.kill('SIGKILL');
    await this.links?.close();
    rmSync(this.directory, { recursive: true, force: true });
  }

  connect(
    options: { readonly endpoints?: readonly string[]; timeoutMillis?: number } = {},
  ): Client {
    return connect({ endpoints: this.endpoints, timeoutMillis: 30_000, ...options });
  }

  async status(): Promise<ClusterStatus> {
    await using client = this.connect();
    return await client.status();
  }

  /** The journal's status once `wanted` holds. */
  async until(
    journal: string,
    wanted: (status: JournalStatus) => boolean,
    what: string,
    millisMax = 90_000,
  ): Promise<JournalStatus> {
    const end = performance.now() + millisMax;
    await using client = this.connect({ timeoutMillis: 2_000 });
    let seen: JournalStatus | undefined;
    while (performance.now() < end) {
      const status = await client.status().catch(() => undefined);
      seen = status?.journals.find(({ name }) => name === journal);
      if (seen !== undefined && wanted(seen)) return seen;
      await pause(POLL_MILLIS);
    }
    const found = JSON.stringify(seen, null, 1);
    throw new Error(`not ${what} within ${millisMax} ms:\n${found}\n${this.#stderr}${this.logs()}`);
  }

  /** Starts a process that died under `restart: false` again. */
  async restart(member: string): Promise<void> {
    const record = parseRecord(readFileSync(join(this.data, 'dev.json'), 'utf8'));
    if (record === undefined) throw new Error('dev.json cannot be read');
    const plan = planOf(record, this.data);
    const found = [...plan.replicas, ...plan.controllers].find(({ name }) => name === member);
    if (found === undefined) throw new Error(`no process is called ${member}`);
    this.#restarted.push(startLogged(found.args, found.log, this.#faultEnvironment()));
  }

  /** All members serve and are in step. */
  whole(journal: string, members = this.members): Promise<JournalStatus> {
    return this.until(journal, (status) => isWhole(status, members), 'whole');
  }

  get controllerNames(): readonly string[] {
    return this.#names('controller');
  }

  /** Every controller runs and is heard by the others. */
  async controllersWhole(millisMax = 90_000): Promise<void> {
    const end = performance.now() + millisMax;
    await using client = this.connect({ timeoutMillis: 2_000 });
    while (performance.now() < end) {
      const status = await client.status().catch(() => undefined);
      const seats = status?.processes.filter(({ kind }) => kind === 'controller') ?? [];
      const heard = seats.filter(({ reachable, pid }) => reachable && pid > 0 && isAlive(pid));
      if (heard.length === this.controllers) return;
      await pause(POLL_MILLIS);
    }
    throw new Error(`not all controllers run after ${millisMax} ms:\n${this.logs()}`);
  }

  async pidOf(member: string): Promise<number> {
    const [pid = 0] = await this.#pidsOf([member]);
    return pid;
  }

  /** Of every process, in the order of their names. */
  pids(): Promise<number[]> {
    return this.#pidsOf([...this.#names('replica'), ...this.controllerNames]);
  }

  /** A controller says 0 of whom it has not heard of since it started. */
  async #pidsOf(names: readonly string[]): Promise<number[]> {
    const end = performance.now() + HEARD_MILLIS_MAX;
    for (;;) {
      const { processes } = await this.status();
      const pids = names.map((name) => processes.find(({ id }) => id === name)?.pid ?? 0);
      if (pids.every((pid) => pid > 0)) return pids;
      if (performance.now() > end) throw new Error(`not all are known: ${names} are ${pids}`);
      await pause(POLL_MILLIS);
    }
  }

  /** Holds every sync of a process for `millis`, or until `release` where that is 0. */
  hold(pid: number, millis: number): void {
    writeFileSync(join(this.directory, `hold-${pid}`), String(millis));
  }

  release(pid: number): void {
    rmSync(join(this.directory, `hold-${pid}`), { force: true });
  }

  /** Place of a process among the ports: what `links` counts by. */
  indexOf(member: string): number {
    const number = Number(member.split('-').at(-1)) - 1;
    return member.startsWith('controller') ? this.members + number : number;
  }

  /** Where a replica shows its console and its metrics. */
  httpOf(member: string): string {
    return `http://127.0.0.1:${this.port + this.members + this.controllers + this.indexOf(member)}`;
  }

  /** No bytes between a member and anybody else, until `links.heal`. */
  cutOff(member: string): void {
    const self = this.indexOf(member);
    for (let other = 0; other < this.members + this.controllers; other += 1) {
      if (other === self) continue;
      this.links?.cut(self, other);
      this.links?.cut(other, self);
    }
  }

  journal(args: readonly string[], input: string | Buffer = ''): Promise<Ended> {
    return journal(args, input, { JOURNAL_ENDPOINTS: this.endpoints.join(',') });
  }

  /** The ends of the processes' logs, to be shown where a test fails. */
  logs(): string {
    const names = [...this.#names('replica'), ...this.controllerNames];
    return names.map((name) => `--- ${name}\n${this.logEnd(name)}`).join('\n');
  }

  logEnd(name: string): string {
    return this.#log(name).slice(-1_500);
  }

  /** What the controllers decided of a journal after an epoch, and why: lines of their logs. */
  decided(journal: string, after: number): readonly string[] {
    const lines = this.controllerNames.flatMap((name) => this.#log(name).split('\n'));
    return lines.filter((line) => {
      // Who was killed while it wrote left half a line.
      if (!line.includes('"msg":"decided"') || !line.endsWith('}')) return false;
      const { name, epoch } = JSON.parse(line);
      return name === journal && epoch > after;
    });
  }

  #names(kind: 'replica' | 'controller'): readonly string[] {
    const length = kind === 'replica' ? this.members : this.controllers;
    return Array.from({ length }, (_, at) => `${kind}-${at + 1}`);
  }

  #log(name: string): string {
    try {
      return readFileSync(join(this.data, 'logs', `${name}.log`), 'utf8');
    } catch {
      return '';
    }
  }
}

export function isWhole({ writable, members }: JournalStatus, count: number): boolean {
  const serving = members.filter(({ role }) => ['head', 'middle', 'tail'].includes(role));
  return writable && serving.length === count && serving.every((one) => one.live && one.synced);
}

/** Runs the tool once. */
export function journal(
  args: readonly string[],
  input: string | Buffer = '',
  env: NodeJS.ProcessEnv = {},
): Promise<Ended> {
  const child = spawn(process.execPath, [main, ...args], { env: { ...process.env, ...env } });
  const ended = output(child);
  child.stdin.on('error', () => {});
  child.stdin.end(input);
  return ended;
}

/** Starts the tool and leaves its stdin open. */
export function startJournal(args: readonly string[], env: NodeJS.ProcessEnv = {}) {
  return spawn(process.execPath, [main, ...args], { env: { ...process.env, ...env } });
}

/** Starts the tool as a process that writes to the file `log`. */
export function startLogged(args: readonly string[], log: string, env: NodeJS.ProcessEnv = {}) {
  const to = openSync(log, 'a');
  const options = {
    env: { ...process.env, ...env },
    stdio: ['ignore', to, to],
  } satisfies SpawnOptions;
  const child = spawn(process.execPath, [main, ...args], options);
  closeSync(to);
  return child;
}

export function output(child: ChildProcess): Promise<Ended> {
  const pieces: { stdout: Buffer[]; stderr: Buffer[] } = { stdout: [], stderr: [] };
  child.stdout?.on('data', (piece: Buffer) => pieces.stdout.push(piece));
  child.stderr?.on('data', (piece: Buffer) => pieces.stderr.push(piece));
  return new Promise((resolve) => {
    child.on('close', (code, signal) => {
      const stdout = Buffer.concat(pieces.stdout).toString('utf8');
      const stderr = Buffer.concat(pieces.stderr).toString('utf8');
      resolve({ code, signal, stdout, stderr });
    });
  });
}

export const pause = (millis: number): Promise<void> =>
  new Promise((resolve) => setTimeout(resolve, millis));
