// A copy of the repository in a temporary folder, in which one mutant at a time lives and is tried.

import { type ChildProcess, spawn } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Run } from './methods.ts';
import { type Edit, edited } from './mutant.ts';

/** Of the folder itself: what is no source, `data` of a cluster that may run meanwhile included. */
const LEFT_OUT = ['node_modules', '.git', 'dist', '.tools', 'docs', 'data', 'coverage'];
const OUTPUT_MAX = 1_000_000;

export interface Outcome {
  readonly failed: boolean;
  readonly timedOut: boolean;
  readonly output: string;
  readonly seconds: number;
}

export class Tree {
  readonly root: string;
  /** What does not change from one mutant to the next is compiled once; it goes with the copy. */
  readonly #compiled: string;
  readonly #before = new Map<string, string>();
  #running: ChildProcess | null = null;

  constructor(from: string) {
    this.root = mkdtempSync(join(tmpdir(), 'journal-mutant-'));
    this.#compiled = join(this.root, '.compiled');
    const out = new Set(LEFT_OUT.map((name) => join(from, name)));
    const filter = (path: string): boolean => !out.has(path);
    cpSync(from, this.root, { recursive: true, filter });
    symlinkSync(join(from, 'node_modules'), join(this.root, 'node_modules'));
  }

  mutate(edits: readonly Edit[]): void {
    for (const edit of edits) {
      const path = join(this.root, edit.file);
      const text = readFileSync(path, 'utf8');
      if (!this.#before.has(path)) this.#before.set(path, text);
      writeFileSync(path, edited(text, edit));
    }
  }

  restore(): void {
    for (const [path, text] of this.#before) writeFileSync(path, text);
    this.#before.clear();
  }

  /** Runs `node` in the copy; what it started ends with it. */
  run({ args, env }: Run, secondsMax: number): Promise<Outcome> {
    const began = performance.now();
    // What this process was told by a test runner above it is not meant for the copy.
    const { NODE_TEST_CONTEXT: _, ...inherited } = process.env;
    const child = spawn(process.execPath, args, {
      cwd: this.root,
      env: { ...inherited, ...env, FORCE_COLOR: '0', NODE_COMPILE_CACHE: this.#compiled },
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#running = child;
    let output = '';
    let timedOut = false;
    const take = (piece: Buffer): void => {
      if (output.length < OUTPUT_MAX) output += piece.toString('utf8');
    };
    child.stdout.on('data', take);
    child.stderr.on('data', take);
    const timer = setTimeout(() => {
      timedOut = true;
      this.stop();
    }, secondsMax * 1_000);
    return new Promise((resolve) => {
      child.on('exit', () => this.stop());
      child.on('close', (code) => {
        clearTimeout(timer);
        this.#running = null;
        const seconds = (performance.now() - began) / 1_000;
        resolve({ failed: code !== 0, timedOut, output, seconds });
      });
    });
  }

  stop(): void {
    const pid = this.#running?.pid;
    if (pid === undefined) return;
    try {
      process.kill(-pid, 'SIGKILL');
    } catch {
      // The group is gone already.
    }
  }

  close(): void {
    this.stop();
    rmSync(this.root, { recursive: true, force: true });
  }
}
