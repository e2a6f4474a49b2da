// A load in a pod, seen from the test: its start, the pauses in its acknowledgements, its history.

import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { hrtime } from 'node:process';
import { checkers } from '../../../sim/checkers/all.ts';
import type { History, Operation, SeenRecord } from '../../../sim/checkers/history.ts';
import { record } from '../lab/api.ts';
import { until } from '../lab/commands.ts';
import { PROJECT_IMAGE } from '../lab/images.ts';
import type { Lab } from '../lab/lab.ts';
import { HOST_LABEL } from '../lab/volumes.ts';

const START_MILLIS_MAX = 60_000;
const END_MILLIS_MAX = 120_000;
const USER = 65_532;

export interface LoadOptions {
  readonly namespace: string;
  /** Name of the JournalCluster, which is that of its Service. */
  readonly cluster: string;
  readonly journal: string;
  /** Name of the node that the pod runs on: one that the test leaves alone. */
  readonly node: string;
  readonly writers?: number;
  readonly subscribers?: number;
}

/** A pause in the acknowledgements. */
export interface Gap {
  readonly seenMillis: number;
  /** How much of it the load itself ran: the rest the machine gave to others. */
  readonly givenMillis: number;
}

/** The pause between two beats of main.ts. */
const BEAT_MILLIS = 50;

export const nowMicros = (): number => Number(hrtime.bigint() / 1_000n);

export class PodLoad {
  readonly #lab: Lab;
  readonly #options: LoadOptions;
  readonly #name: string;
  /** New in each run, so that no history has the records of another one in it. */
  readonly #journal: string;
  #out = '';

  private constructor(lab: Lab, options: LoadOptions) {
    this.#lab = lab;
    this.#options = options;
    this.#name = `load-${options.journal}`;
    this.#journal = `${options.journal}-${nowMicros().toString(36)}`;
  }

  /** Returns once appends are acknowledged. */
  static async start(lab: Lab, options: LoadOptions): Promise<PodLoad> {
    const load = new PodLoad(lab, options);
    await lab.apply(...load.#objects());
    const { namespace, node } = options;
    const { metadata } = await lab.pod(namespace, load.#name);
    const volume = 'volumes/kubernetes.io~empty-dir/out';
    load.#out = join(lab.node(node).folder, 'kubelet', 'pods', metadata.uid ?? '', volume);
    await until(`the load ${load.#name} appends`, START_MILLIS_MAX, async () => {
      load.#complain();
      return load.acknowledged().length > 10 ? true : undefined;
    });
    return load;
  }

  #objects(): readonly unknown[] {
    const { namespace, cluster, node, writers = 4, subscribers = 2 } = this.#options;
    const program = readFileSync(join(import.meta.dirname, 'main.ts'), 'utf8');
    const metadata = { name: this.#name, namespace };
    const settings = {
      SDK: '/app/client/index.ts',
      OUT: '/out',
      TLS: '/tls',
      ENDPOINTS: `${cluster}.${namespace}.svc:7400`,
      JOURNAL: this.#journal,
      WRITERS: String(writers),
      SUBSCRIBERS: String(subscribers),
    };
    const container = {
      name: 'load',
      image: PROJECT_IMAGE,
      imagePullPolicy: 'Never',
      command: ['node', '/load/main.ts'],
      env: Object.entries(settings).map(([name, value]) => ({ name, value })),
      volumeMounts: ['load', 'out', 'tls'].map((name) => ({ name, mountPath: `/${name}` })),
      resources: { requests: { cpu: '100m' } },
      securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } },
    };
    const volumes = [
      { name: 'load', configMap: { name: this.#name } },
      { name: 'out', emptyDir: {} },
      { name: 'tls', secret: { secretName: `${cluster}-client`, defaultMode: 0o440 } },
    ];
    return [
      { apiVersion: 'v1', kind: 'ConfigMap', metadata, data: { 'main.ts': program } },
      {
        apiVersion: 'v1',
        kind: 'Pod',
        metadata,
        spec: {
          nodeSelector: { [HOST_LABEL]: `node-${node}` },
          automountServiceAccountToken: false,
          restartPolicy: 'Never',
          terminationGracePeriodSeconds: 1,
          securityContext: {
            runAsNonRoot: true,
            runAsUser: USER,
            runAsGroup: USER,
            fsGroup: USER,
            seccompProfile: { type: 'RuntimeDefault' },
          },
          containers: [container],
          volumes,
        },
      },
    ];
  }

  /** When appends were acknowledged since `from`, microseconds, rising. */
  acknowledged(from = 0): readonly number[] {
    return this.#lines()
      .filter(({ kind, answer }) => kind === 'append' && record(answer).kind === 'appended')
      .map(({ returned }) => Number(returned))
      .filter((at) => at >= from)
      .sort((a, b) => a - b);
  }

  /** The longest time without any acknowledgement from `from` until now. */
  longestGap(from: number): Gap {
    const times = [from, ...this.acknowledged(from), nowMicros()];
    const beats = this.#lines()
      .filter(({ kind }) => kind === 'beat')
      .map(({ at }) => Number(at));
    let longest: Gap = { seenMillis: 0, givenMillis: 0 };
    for (const [index, until] of times.entries()) {
      const since = times[index - 1] ?? until;
      const seenMillis = (until - since) / 1_000;
      if (seenMillis <= longest.seenMillis) continue;
      const ran = beats.filter((at) => at > since && at < until).length + 1;
      longest = { seenMillis, givenMillis: Math.min(seenMillis, ran * BEAT_MILLIS) };
    }
    return longest;
  }

  /** Ends it and removes its pod. Throws what it said where it failed. */
  async stop(): Promise<History> {
    writeFileSync(join(this.#out, 'stop'), '');
    await until(`the load ${this.#name} ends`, END_MILLIS_MAX, async () =>
      existsSync(join(this.#out, 'done')) ? true : undefined,
    );
    this.#complain();
    const operations = operationsOf(this.#lines());
    await this.remove();
    return { operations, finals: [] };
  }

  /** Removes its pod, ended or not; one that is gone is no error. */
  async remove(): Promise<void> {
    const pod = ['delete', `pod/${this.#name}`, '--wait=false', '--ignore-not-found'];
    await this.#lab.kubectl(['--namespace', this.#options.namespace, ...pod]);
  }

  #complain(): void {
    const done = join(this.#out, 'done');
    const said = existsSync(done) ? readFileSync(done, 'utf8') : '';
    if (said !== '') throw new Error(`the load ${this.#name} failed: ${said}`);
  }

  #lines(): readonly Readonly<Record<string, unknown>>[] {
    const path = join(this.#out, 'history');
    if (!existsSync(path)) return [];
    const text = readFileSync(path, 'utf8');
    // The last line may be on its way.
    const whole = text.slice(0, text.lastIndexOf('\n') + 1);
    return whole.split('\n').flatMap((line) => (line === '' ? [] : [record(JSON.parse(line))]));
  }
}

function operationsOf(lines: readonly Readonly<Record<string, unknown>>[]): readonly Operation[] {
  const delivered = new Map<string, SeenRecord[]>();
  const operations: Operation[] = [];
  for (const line of lines) {
    const process = String(line.process);
    if (line.kind === 'beat') continue;
    if (line.kind === 'delivered') {
      const records = delivered.get(process) ?? [];
      // cast: written by main.ts beside this file, as a SeenRecord.
      records.push(line.record as SeenRecord);
      delivered.set(process, records);
    } else {
      // cast: written by main.ts beside this file, as an Operation.
      operations.push(line as unknown as Operation);
    }
  }
  return operations.map((one) =>
    one.kind === 'subscribe' ? { ...one, records: delivered.get(one.process) ?? [] } : one,
  );
}

/** Everything that the checkers complain of, and how much they looked at. */
export function judge(history: History): { readonly wrong: string[]; readonly checked: number } {
  const verdicts = checkers.map(({ name, check }) => ({ name, ...check(history) }));
  return {
    wrong: verdicts.flatMap(({ name, wrong }) => wrong.map((one) => `${name}: ${one}`)),
    checked: verdicts.reduce((sum, { checked }) => sum + checked, 0),
  };
}
