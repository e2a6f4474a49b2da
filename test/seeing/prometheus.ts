// A real Prometheus for the tests: built from its Go module, scraping what it is told to.

import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { dump } from 'js-yaml';
import { build } from '../../tools/build.ts';
import { freePorts } from '../processes/ports.ts';
import { ruleFiles } from './files.ts';

const READY_MILLIS_MAX = 60_000;
const POLL_MILLIS = 200;

const say = (line: string): void => void process.stderr.write(`${line}\n`);

/** What promtool says on stdout and stderr; rejects with it where it ends with another code. */
export async function promtool(...args: readonly string[]): Promise<string> {
  const path = (await build(['promtool'], say)).get('promtool') ?? '';
  const { stdout, stderr } = await promisify(execFile)(path, [...args]);
  return stdout + stderr;
}

export interface Target {
  readonly address: string;
  readonly labels: Readonly<Record<string, string>>;
}

export interface Series {
  readonly metric: Readonly<Record<string, string>>;
  readonly value: readonly [number, string];
}

interface Rule {
  readonly name: string;
  readonly health: string;
  readonly lastError?: string;
  /** Of an alert: `inactive`, `pending` or `firing`. */
  readonly state?: string;
}

export interface PrometheusOptions {
  readonly targets: readonly Target[];
  /** Seconds between scrapes, and between looks at the rules. */
  readonly everySeconds: number;
  /** Put before the command: where its network is, for one. */
  readonly within?: readonly string[];
}

export class Prometheus {
  readonly #folder: string;
  readonly #child: ChildProcess;
  readonly #within: readonly string[];
  readonly #port: number;
  #said = '';

  private constructor(
    folder: string,
    child: ChildProcess,
    port: number,
    within: readonly string[],
  ) {
    this.#folder = folder;
    this.#child = child;
    this.#port = port;
    this.#within = within;
    child.stderr?.on('data', (piece: Buffer) => {
      this.#said = (this.#said + piece.toString('utf8')).slice(-4_096);
    });
  }

  static async start({ targets, everySeconds, within = [] }: PrometheusOptions) {
    const path = (await build(['prometheus'], say)).get('prometheus') ?? '';
    const folder = mkdtempSync(join(tmpdir(), 'journal-prometheus-'));
    const every = `${everySeconds}s`;
    const config = {
      global: { scrape_interval: every, scrape_timeout: every, evaluation_interval: every },
      rule_files: ruleFiles,
      scrape_configs: [
        {
          job_name: 'journal',
          honor_labels: true,
          static_configs: targets.map(({ address, labels }) => ({ targets: [address], labels })),
        },
      ],
    };
    const file = join(folder, 'prometheus.yaml');
    writeFileSync(file, dump(config));
    const port = await freePorts(1);
    const flags = [
      `--config.file=${file}`,
      `--storage.tsdb.path=${join(folder, 'data')}`,
      `--web.listen-address=127.0.0.1:${port}`,
    ];
    const [program = path, ...args] = [...within, path, ...flags];
    const child = spawn(program, args, { stdio: ['ignore', 'ignore', 'pipe'] });
    const made = new Prometheus(folder, child, port, within);
    try {
      await made.until(
        'Prometheus is ready',
        async () => {
          await made.#get('/-/ready');
          return true;
        },
        READY_MILLIS_MAX,
      );
    } catch (error) {
      await made.close();
      throw error;
    }
    return made;
  }

  /** What is left of the query now. Rejects with what Prometheus says of a wrong one. */
  async query(expression: string): Promise<readonly Series[]> {
    const query = new URLSearchParams({ query: expression });
    return this.#data(await this.#get(`/api/v1/query?${query}`)).result;
  }

  /** Values of a label over all series that match. */
  async labelValues(label: string, match: string): Promise<readonly string[]> {
    const query = new URLSearchParams({ 'match[]': match });
    return this.#data(await this.#get(`/api/v1/label/${label}/values?${query}`));
  }

  async rules(): Promise<readonly Rule[]> {
    const { groups } = this.#data(await this.#get('/api/v1/rules'));
    return groups.flatMap(({ rules }: { readonly rules: readonly Rule[] }) => rules);
  }

  async until(
    what: string,
    holds: () => Promise<boolean>,
    millisMax = READY_MILLIS_MAX,
  ): Promise<void> {
    const end = performance.now() + millisMax;
    let failure: unknown = 'it did not hold';
    while (performance.now() < end && this.#child.exitCode === null) {
      try {
        if (await holds()) return;
      } catch (error) {
        failure = error;
      }
      await new Promise((resolve) => setTimeout(resolve, POLL_MILLIS));
    }
    throw new Error(`not within ${millisMax} ms: ${what}: ${failure}\n${this.#said}`);
  }

  async close(): Promise<void> {
    if (this.#child.exitCode === null) {
      const gone = new Promise((resolve) => this.#child.once('exit', resolve));
      this.#child.kill('SIGTERM');
      await gone;
    }
    rmSync(this.#folder, { recursive: true, force: true });
  }

  #data(text: string) {
    const answer = JSON.parse(text);
    if (answer.status !== 'success') throw new Error(`${answer.errorType}: ${answer.error}`);
    return answer.data;
  }

  /** By curl where Prometheus is in another network than this process. */
  async #get(path: string): Promise<string> {
    const url = `http://127.0.0.1:${this.#port}${path}`;
    const [program, ...rest] = this.#within;
    if (program === undefined) return await (await fetch(url)).text();
    const curl = [...rest, 'curl', '--silent', '--show-error', '--max-time', '10', url];
    return (await promisify(execFile)(program, curl, { maxBuffer: 64 * 1024 * 1024 })).stdout;
  }
}
