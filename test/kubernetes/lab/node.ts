// One node of the lab: a mount namespace over its network namespace, containerd, kubelet, proxy.

import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pidsOf, signal } from './cgroups.ts';
import { run, until } from './commands.ts';
import type { ControlPlaneParts } from './control-plane.ts';
import { API_ADDRESS, nodeAddress, PODS, podRange, zoneOf } from './network.ts';

const READY_MILLIS_MAX = 60_000;

/**
 * Folders of the machine that programs write to wherever they are told to: each node has its own.
 * They are in memory, like the node's images, which are unpacked three times and thrown away soon.
 */
const OWN = ['/run/netns', '/run/containerd', '/var/lib/cni', '/var/log/containers'];

/** What runs on it, in the order in which it ends. */
const PROGRAMS = ['kubelet', 'kube-proxy', 'containerd'];

export class LabNode {
  readonly name: string;
  readonly zone: string;
  readonly address: string;
  readonly #lab: string;
  readonly #parts: ControlPlaneParts;

  /** Kubernetes knows it as `node-` and its name. */
  constructor(lab: string, name: string, parts: ControlPlaneParts) {
    this.name = name;
    this.zone = zoneOf(name);
    this.address = nodeAddress(name);
    this.#lab = lab;
    this.#parts = parts;
  }

  get folder(): string {
    return join(this.#parts.folder, this.name);
  }

  get #socket(): string {
    return join(this.folder, 'containerd.sock');
  }

  /** Makes the namespaces and starts containerd, which needs no API server. */
  async startRuntime(): Promise<void> {
    for (const name of ['kubelet', 'volumes', 'cni', 'pods']) {
      mkdirSync(join(this.folder, name), { recursive: true });
    }
    this.#write('containerd.toml', this.#containerdSettings());
    this.#write('cni/10-lab.conflist', JSON.stringify(this.#podNetwork(), null, 1));
    this.#write('resolv.conf', `nameserver ${API_ADDRESS}\n`);
    await this.#hold();
    await this.#startContainerd();
  }

  async #startContainerd(): Promise<void> {
    this.#startInside('containerd', ['containerd', '--config', this.#file('containerd.toml')]);
    await until(`containerd of ${this.name} answers`, READY_MILLIS_MAX, async () => {
      this.#parts.processes.check(this.#process('containerd'));
      await this.ctr('version');
      return true;
    });
  }

  /** A process that does nothing but keep the namespaces. */
  async #hold(): Promise<void> {
    const mounts = [
      ...[...OWN, this.#file('containerd')].map(
        (path) => `mkdir -p ${path} && mount -t tmpfs -o mode=755 own ${path}`,
      ),
      `mkdir -p /var/lib/kubelet && mount --bind ${this.#file('kubelet')} /var/lib/kubelet`,
      'mount --make-rshared /',
      `touch ${this.#file('held')}`,
      'exec sleep infinity',
    ];
    const script = ['sh', '-ec', mounts.join('\n')];
    const command = ['unshare', '--mount', '--propagation', 'private', '--', ...script];
    const { processes, network } = this.#parts;
    processes.start(this.#process('holder'), network.inside(command, this.name));
    await until(`the mounts of ${this.name}`, READY_MILLIS_MAX, async () => {
      processes.check(this.#process('holder'));
      await run(['test', '-e', this.#file('held')]);
      return true;
    });
  }

  /** Puts a command inside the node. */
  inside(command: readonly string[]): string[] {
    const holder = this.#parts.processes.find(this.#process('holder'));
    if (holder === undefined) throw new Error(`node ${this.name} is not there`);
    return ['nsenter', `--target=${holder.pid}`, '--net', '--mount', '--', ...command];
  }

  ctr(...args: readonly string[]): Promise<string> {
    const command = ['ctr', '--address', this.#socket, '--namespace', 'k8s.io', ...args];
    return run(this.inside(command));
  }

  async importImage(archive: string): Promise<void> {
    await this.ctr('images', 'import', '--snapshotter', 'overlayfs', archive);
  }

  /** Brings all images that another node has, under the names that they have there. */
  async importImagesOf(other: LabNode): Promise<void> {
    const names = (await other.ctr('images', 'list', '--quiet'))
      .split('\n')
      .filter((name) => name !== '' && !name.startsWith('sha256:'));
    const archive = this.#file('images.tar');
    try {
      await other.ctr('images', 'export', archive, ...names);
      await this.importImage(archive);
    } finally {
      rmSync(archive, { force: true });
    }
  }

  startKubelet(): void {
    this.#write('kubelet.json', JSON.stringify(this.#kubeletSettings(), null, 1));
    const zone = `topology.kubernetes.io/zone=${this.zone}`;
    this.#startTool('kubelet', [
      `--config=${this.#file('kubelet.json')}`,
      `--kubeconfig=${this.#pki(`node-${this.name}.conf`)}`,
      `--hostname-override=node-${this.name}`,
      `--node-ip=${this.address}`,
      `--node-labels=${zone},topology.kubernetes.io/region=lab`,
      '--root-dir=/var/lib/kubelet',
    ]);
  }

  startProxy(): void {
    this.#startTool('kube-proxy', [
      `--kubeconfig=${this.#pki('proxy.conf')}`,
      '--proxy-mode=nftables',
      `--cluster-cidr=${PODS}`,
      `--hostname-override=node-${this.name}`,
      '--conntrack-max-per-core=0', // The limit is the machine's, not the namespace's.
    ]);
  }

  /** Everything of it ends at once, as without power; what is on its disks stays. */
  async powerOff(): Promise<void> {
    const { processes, network } = this.#parts;
    await network.cut(this.name);
    for (const name of PROGRAMS) {
      await processes.stop(this.#process(name), 'SIGKILL');
    }
    const containers = pidsOf(`${this.#lab}/${this.name}`);
    // What held the containers belongs to the lab's own processes, and names its containerd.
    const shims = pidsOf(`${this.#lab}/system`).filter((pid) =>
      wordsOf(pid).includes(this.#socket),
    );
    for (const pid of [...shims, ...containers]) signal(pid, 'SIGKILL');
  }

  /** Ends it for good, with its mounts and its disks. */
  async remove(): Promise<void> {
    await this.powerOff();
    await this.#parts.processes.stop(this.#process('holder'), 'SIGKILL');
    await this.#parts.network.remove(this.name);
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 200 });
  }

  async powerOn(): Promise<void> {
    await this.#parts.network.heal(this.name);
    await this.#startContainerd();
    this.startKubelet();
    this.startProxy();
  }

  /** Throws what a process of the node said where one has ended. */
  check(): void {
    for (const name of PROGRAMS) {
      this.#parts.processes.check(this.#process(name));
    }
  }

  #kubeletSettings(): unknown {
    return {
      apiVersion: 'kubelet.config.k8s.io/v1beta1',
      kind: 'KubeletConfiguration',
      address: this.address,
      authentication: {
        anonymous: { enabled: false },
        webhook: { enabled: true },
        x509: { clientCAFile: this.#pki('ca.crt') },
      },
      authorization: { mode: 'Webhook' },
      tlsCertFile: this.#pki(`node-${this.name}.crt`),
      tlsPrivateKeyFile: this.#pki(`node-${this.name}.key`),
      cgroupDriver: 'cgroupfs',
      cgroupRoot: `/${this.#lab}/${this.name}`,
      enforceNodeAllocatable: [],
      failCgroupV1: false,
      failSwapOn: false,
      oomScoreAdj: 0, // Lowering it takes a capability that containers often lack.
      clusterDNS: [API_ADDRESS],
      clusterDomain: 'cluster.local',
      containerRuntimeEndpoint: `unix://${this.#socket}`,
      imageGCHighThresholdPercent: 100, // The machine's disk is not the lab's to clean up.
      evictionHard: {},
      syncFrequency: '10s',
      resolvConf: this.#file('resolv.conf'),
      podLogsDir: this.#file('pods'),
    };
  }

  #podNetwork(): unknown {
    const ipam = {
      type: 'host-local',
      dataDir: this.#file('ipam'),
      ranges: [[{ subnet: podRange(this.name) }]],
      routes: [{ dst: '0.0.0.0/0' }],
    };
    const bridge = { type: 'bridge', bridge: 'cni0', isGateway: true, hairpinMode: true, ipam };
    return { cniVersion: '0.4.0', name: 'lab', plugins: [bridge] };
  }

  #containerdSettings(): string {
    return `version = 2
root = "${this.#file('containerd')}"
state = "${this.#file('state')}"
[grpc]
  address = "${this.#socket}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "localhost/pause:1"
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "${this.#file('cni')}"
`;
  }

  #startTool(name: string, args: readonly string[]): void {
    const path = this.#parts.tools.get(name);
    if (path === undefined) throw new Error(`the program ${name} was not built`);
    this.#startInside(name, [path, ...args]);
  }

  #startInside(name: string, command: readonly string[]): void {
    this.#parts.processes.start(this.#process(name), this.inside(command));
  }

  #process(name: string): string {
    return `${name}-${this.name}`;
  }

  #write(name: string, text: string): void {
    writeFileSync(this.#file(name), text);
  }

  #file(name: string): string {
    return join(this.folder, name);
  }

  #pki(file: string): string {
    return join(this.#parts.folder, 'pki', file);
  }
}

/** The command line of a process; nothing where it has ended. */
function wordsOf(pid: number): readonly string[] {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
  } catch {
    return [];
  }
}
