// The control plane of the lab: etcd, API server, controller manager, scheduler, DNS.

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { attempt, until } from './commands.ts';
import { API_ADDRESS, type Network, PODS, SERVICES } from './network.ts';
import type { Processes } from './processes.ts';

/** Generous, since all of a cluster may start on two busy processors. */
const READY_MILLIS_MAX = 120_000;
const ETCD = 'http://127.0.0.1:2379';
const ETCD_PEER = 'http://127.0.0.1:2380';

export interface ControlPlaneParts {
  readonly folder: string;
  /** Paths of programs by name. */
  readonly tools: ReadonlyMap<string, string>;
  readonly network: Network;
  readonly processes: Processes;
}

export class ControlPlane {
  readonly #parts: ControlPlaneParts;

  constructor(parts: ControlPlaneParts) {
    this.#parts = parts;
  }

  /** Starts the store and the API server and waits until it answers. */
  async startApi(): Promise<void> {
    const { folder } = this.#parts;
    this.#start('etcd', 'etcd', [
      `--data-dir=${join(folder, 'etcd')}`,
      `--listen-client-urls=${ETCD}`,
      `--advertise-client-urls=${ETCD}`,
      `--listen-peer-urls=${ETCD_PEER}`,
      `--initial-advertise-peer-urls=${ETCD_PEER}`,
      `--initial-cluster=default=${ETCD_PEER}`,
      // The lab outlives no power failure, and its disk is the tests' own, too.
      '--unsafe-no-fsync',
    ]);
    this.#start('kube-apiserver', 'kube-apiserver', [
      `--etcd-servers=${ETCD}`,
      '--secure-port=6443',
      `--bind-address=${API_ADDRESS}`,
      `--advertise-address=${API_ADDRESS}`,
      `--tls-cert-file=${this.#pki('api.crt')}`,
      `--tls-private-key-file=${this.#pki('api.key')}`,
      `--client-ca-file=${this.#pki('ca.crt')}`,
      `--kubelet-certificate-authority=${this.#pki('ca.crt')}`,
      `--kubelet-client-certificate=${this.#pki('admin.crt')}`,
      `--kubelet-client-key=${this.#pki('admin.key')}`,
      '--kubelet-preferred-address-types=InternalIP',
      '--service-account-issuer=https://kubernetes.default.svc',
      `--service-account-key-file=${this.#pki('sa.pub')}`,
      `--service-account-signing-key-file=${this.#pki('sa.key')}`,
      `--service-cluster-ip-range=${SERVICES}`,
      '--authorization-mode=Node,RBAC',
      '--enable-admission-plugins=NodeRestriction',
      '--allow-privileged=true',
    ]);
    await this.#ready();
  }

  async #ready(): Promise<void> {
    const ask = [this.#tool('kubectl'), `--kubeconfig=${this.#pki('admin.conf')}`];
    ask.push('--request-timeout=5s', 'get', '--raw', '/readyz');
    await until('the API server is ready', READY_MILLIS_MAX, async () => {
      for (const name of ['etcd', 'kube-apiserver']) this.#parts.processes.check(name);
      const { code } = await attempt(this.#parts.network.inside(ask));
      return code === 0 ? true : undefined;
    });
  }

  /** Starts what acts on the API. All of it waits by itself where the API server is away. */
  startControllers(): void {
    const { folder, network } = this.#parts;
    const corefile = join(folder, 'Corefile');
    writeFileSync(
      corefile,
      `.:53 {
  bind ${API_ADDRESS}
  kubernetes cluster.local {
    kubeconfig ${this.#pki('dns.conf')} lab
    ttl 1
  }
}
`,
    );
    this.#start('coredns', 'coredns', ['-conf', corefile]);
    const manager = this.#pki('controller-manager.conf');
    this.#start('kube-controller-manager', 'kube-controller-manager', [
      ...this.#login(manager),
      '--use-service-account-credentials',
      `--service-account-private-key-file=${this.#pki('sa.key')}`,
      `--root-ca-file=${this.#pki('ca.crt')}`,
      `--cluster-cidr=${PODS}`,
      '--allocate-node-cidrs=false',
    ]);
    this.#start('kube-scheduler', 'kube-scheduler', this.#login(this.#pki('scheduler.conf')));
    // Leads the tests, which are outside of the network, to the API server.
    const gate = ['proxy', `--unix-socket=${join(folder, 'api.sock')}`];
    const kubectl = [this.#tool('kubectl'), `--kubeconfig=${this.#pki('admin.conf')}`, ...gate];
    this.#parts.processes.start('gate', network.inside(kubectl));
  }

  async stopApi(): Promise<void> {
    for (const name of ['kube-apiserver', 'etcd']) {
      await this.#parts.processes.stop(name, 'SIGKILL');
    }
  }

  #login(conf: string): string[] {
    return [
      `--kubeconfig=${conf}`,
      `--authentication-kubeconfig=${conf}`,
      `--authorization-kubeconfig=${conf}`,
      '--leader-elect=false',
      '--bind-address=127.0.0.1',
    ];
  }

  #start(name: string, program: string, args: readonly string[]): void {
    const { processes, network } = this.#parts;
    processes.start(name, network.inside([this.#tool(program), ...args]));
  }

  #tool(name: string): string {
    const path = this.#parts.tools.get(name);
    if (path === undefined) throw new Error(`the program ${name} was not built`);
    return path;
  }

  #pki(file: string): string {
    return join(this.#parts.folder, 'pki', file);
  }
}
