// The process of the operator: watches, queue, workers, Lease, probes, signals.

import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import pino from 'pino';
import type { Logger } from '../io/logger.ts';
import { nodeClock, nodeRandom } from '../io/node.ts';
import { type ProbeSource, serveProbes } from '../io/node-probes.ts';
import { crashOn } from '../io/node-process.ts';
import { SettingError } from '../io/node-settings.ts';
import { micros } from '../protocol/types.ts';
import { type OperatorConfig, readCommandLine } from './config.ts';
import { Reconciler } from './journal/reconciler.ts';
import { isStatus, type KubeApi } from './kube/api.ts';
import { Cache } from './kube/cache.ts';
import { Events } from './kube/events.ts';
import { type ApiCount, httpKube, loadKubeConfig } from './kube/http.ts';
import { LeaseHolder, OPERATOR_LEASE } from './kube/lease.ts';
import { OperatorMetrics } from './metrics.ts';
import { WorkQueue } from './workqueue.ts';

const EXIT_FAILURE = 1;
const EXIT_USAGE = 2;
const STOP_MILLIS = 5_000;

/** Runs the operator until it is told to stop. */
export async function main(args: readonly string[]): Promise<void> {
  try {
    const command = readCommandLine(args, process.env);
    if (command.kind === 'print') process.stdout.write(command.text);
    else await run(command.config);
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    process.stderr.write(`journal operator: ${message}\n`);
    process.exitCode = error instanceof SettingError ? EXIT_USAGE : EXIT_FAILURE;
  }
}

async function run(config: OperatorConfig): Promise<void> {
  const destination = pino.destination({ dest: 2, sync: true });
  const logger = pino({ level: config.logLevel }, destination);
  crashOn(logger, 'the operator');
  const counts: ApiCount[] = [];
  const api = httpKube(loadKubeConfig(), nodeClock, counts);
  const operator = new Operator(config, api, counts, logger);
  const probes = await serveProbes(config.probeListen, sourceOf(operator), logger);
  await new Promise<void>((resolve) => {
    process.once('SIGTERM', () => resolve());
    process.once('SIGINT', () => resolve());
    operator.start(resolve);
  });
  setTimeout(() => process.exit(EXIT_FAILURE), STOP_MILLIS).unref();
  await operator.stop();
  await probes.close();
  process.exit();
}

class Operator {
  readonly metrics: OperatorMetrics;
  readonly #config: OperatorConfig;
  readonly #logger: Logger;
  readonly #queue: WorkQueue;
  readonly #cache: Cache;
  readonly #reconciler: Reconciler;
  readonly #lease: LeaseHolder | null;
  #leads = false;
  #ended: () => void = () => {};

  constructor(config: OperatorConfig, api: KubeApi, counts: readonly ApiCount[], logger: Logger) {
    this.#config = config;
    this.#logger = logger;
    const parts = { api, clock: nodeClock, random: nodeRandom(), logger };
    this.#queue = new WorkQueue(nodeClock, parts.random);
    this.#cache = new Cache(parts, {
      namespace: config.namespace === '' ? undefined : config.namespace,
      nodes: config.watchNodes,
      podMonitors: config.podMonitors,
      logger,
      onChange: (key) => this.#queue.add(key),
    });
    this.#reconciler = new Reconciler({
      ...parts,
      cache: this.#cache,
      events: new Events(parts, logger, config.identity),
      image: config.image,
      podMonitorLabels: config.podMonitorLabels,
      ipv6: config.ipv6,
      operatorNamespace: config.ownNamespace,
      folder: mkdtempSync(join(tmpdir(), 'journal-operator-')),
      spreadMillis: config.spreadSeconds * 1000,
    });
    this.#lease = config.leaderElection ? this.#makeLease(parts) : null;
    const leads = (): boolean => this.#leads;
    this.metrics = new OperatorMetrics({ cache: this.#cache, queue: this.#queue, counts, leads });
  }

  /** `ended` is called when the Lease is lost: the process ends, and a new one waits for it. */
  start(ended: () => void): void {
    this.#ended = ended;
    if (this.#lease === null) this.#lead();
    else this.#lease.start();
  }

  unready(): string {
    return this.#cache.synced ? '' : 'the objects of the cluster are not read yet';
  }

  async stop(): Promise<void> {
    this.#leads = false;
    this.#queue.close();
    this.#cache.stop();
    await this.#lease?.stop();
    await this.#reconciler.close();
  }

  #makeLease(parts: ConstructorParameters<typeof Events>[0]): LeaseHolder {
    return new LeaseHolder({
      ...parts,
      logger: this.#logger,
      namespace: this.#config.ownNamespace,
      name: OPERATOR_LEASE,
      holder: `${this.#config.identity}_${nodeRandom().hex(4)}`,
      onGained: () => this.#lead(),
      onLost: () => this.#ended(),
    });
  }

  #lead(): void {
    this.#leads = true;
    this.#logger.info({ identity: this.#config.identity }, 'this operator leads');
    for (let worker = 0; worker < this.#config.workers; worker += 1) void this.#work();
  }

  async #work(): Promise<void> {
    while (this.#leads) {
      const key = await this.#queue.take();
      if (key === null) return;
      await this.#one(key);
      this.#queue.done(key);
    }
  }

  async #one(key: string): Promise<void> {
    // Before everything was read once, what is missing might only not have been read.
    if (!this.#cache.synced) {
      this.#queue.addAfter(key, micros(200_000));
      return;
    }
    const began = nodeClock.now();
    const [namespace = '', name = ''] = key.split('/');
    try {
      const againMillis = await this.#reconciler.reconcile(namespace, name);
      this.#queue.forget(key);
      if (againMillis > 0) this.#queue.addAfter(key, micros(Math.round(againMillis * 1000)));
      this.metrics.passed('done', (nodeClock.now() - began) / 1e6);
    } catch (error) {
      if (isStatus(error, 409)) this.#queue.addAfter(key, micros(300_000));
      else this.#queue.addFailed(key);
      const failures = this.#queue.failures(key);
      this.#logger.warn({ cluster: key, failures, error: String(error) }, 'a pass failed');
      this.metrics.passed('failed', (nodeClock.now() - began) / 1e6);
    }
  }
}

function sourceOf(operator: Operator): ProbeSource {
  const { registry } = operator.metrics;
  return {
    dead: () => '',
    unready: () => operator.unready(),
    metrics: async () => ({ type: registry.contentType, text: await registry.metrics() }),
  };
}
