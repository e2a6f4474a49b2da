// A real Kubernetes of three nodes in three zones on this machine, with the means to hurt it.
// A zone may be given more nodes.

import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { build } from '../../../tools/build.ts';
import { Api, type KubeObject, record } from './api.ts';
import { freeze, makeGroups } from './cgroups.ts';
import { attempt, type Ended, type Running, run, until } from './commands.ts';
import { ControlPlane, type ControlPlaneParts } from './control-plane.ts';
import { pauseImage, type Say } from './images.ts';
import { Network, numberOf } from './network.ts';
import { LabNode } from './node.ts';
import { installPackages } from './packages.ts';
import { addNodePki, makePki } from './pki.ts';
import { Processes } from './processes.ts';
import { changeNodes, type LabState, newState, removeLab, removeStale } from './state.ts';
import { HOST_LABEL, storageClass, volumesOf } from './volumes.ts';

export interface LabOptions {
  readonly say: Say;
  /** It outlives the process that makes it, until somebody takes it down. */
  readonly kept?: boolean;
  /** How many volumes each node has; 24 unless told. */
  readonly volumes?: number;
}

const PLUGINS = join(import.meta.dirname, '../../../bin');
const ZONES = ['a', 'b', 'c'];
const READY_MILLIS_MAX = 120_000;
const VOLUME_SIZE = '10Gi';
export const TOOLS = [
  'etcd',
  'kube-apiserver',
  'kube-controller-manager',
  'kube-scheduler',
  'kube-proxy',
  'kubelet',
  'kubectl',
  'coredns',
  'pause',
];

export class Lab {
  readonly network: Network;
  readonly processes: Processes;
  readonly api: Api;
  readonly controlPlane: ControlPlane;
  readonly #parts: ControlPlaneParts;
  #state: LabState;
  #nodes: readonly LabNode[];

  private constructor(state: LabState, tools: ReadonlyMap<string, string>) {
    const { lab, folder, nodes } = state;
    this.#state = state;
    this.network = new Network(lab, nodes);
    this.processes = new Processes(folder, makeGroups(lab, nodes));
    const { network, processes } = this;
    this.#parts = { folder, tools, network, processes };
    this.controlPlane = new ControlPlane(this.#parts);
    this.#nodes = nodes.map((name) => new LabNode(lab, name, this.#parts));
    this.api = new Api(join(folder, 'api.sock'));
  }

  /** Makes one and waits until its nodes are ready. What it made is removed where it fails. */
  static async up({ say, kept = false, volumes = 24 }: LabOptions): Promise<Lab> {
    await installPackages(say);
    const tools = await build(TOOLS, say);
    await removeStale(say);
    const state = newState(ZONES, kept);
    if (!kept) keep(state);
    try {
      const lab = new Lab(state, tools);
      await lab.#start(volumes);
      return lab;
    } catch (error) {
      await removeLab(state);
      throw error;
    }
  }

  /** One that is up already. */
  static async open(state: LabState, say: Say): Promise<Lab> {
    return new Lab(state, await build(TOOLS, say));
  }

  async #start(volumes: number): Promise<void> {
    const { folder, nodes } = this.state;
    await Promise.all([this.network.up(), makePki(join(folder, 'pki'), nodes)]);
    const pause = await pauseImage(this.tool('pause'));
    const runtimes = this.nodes.map(async (node) => {
      await node.startRuntime();
      await node.importImage(pause);
    });
    await Promise.all([this.controlPlane.startApi(), ...runtimes]);
    this.controlPlane.startControllers();
    for (const node of this.nodes) {
      node.startKubelet();
      node.startProxy();
    }
    const objects = this.nodes.flatMap((node) => volumesOf(node, volumes, VOLUME_SIZE));
    await this.apply(storageClass, ...objects);
    await this.ready();
  }

  get state(): LabState {
    return this.#state;
  }

  /** The first of each zone, then those that were added. */
  get nodes(): readonly LabNode[] {
    return this.#nodes;
  }

  /** Throws where there is no such zone. */
  nodesOf(zone: string): readonly [LabNode, ...LabNode[]] {
    const [first, ...more] = this.nodes.filter((node) => node.zone === zone);
    if (first === undefined) throw new Error(`no zone ${zone}; there are: ${ZONES}`);
    return [first, ...more];
  }

  /** One more node in a zone, with images as the others have them and volumes of its own. */
  async addNode(zone: string, volumes = 8): Promise<LabNode> {
    const there = this.nodesOf(zone);
    const [first] = there;
    const { lab, folder, nodes } = this.state;
    const name = `${zone}${Math.max(...there.map((node) => numberOf(node.name))) + 1}`;
    this.#state = changeNodes(this.state, [...nodes, name]);
    const node = new LabNode(lab, name, this.#parts);
    makeGroups(lab, [name]);
    await Promise.all([this.network.add(name), addNodePki(join(folder, 'pki'), name)]);
    await node.startRuntime();
    await node.importImagesOf(first);
    node.startKubelet();
    node.startProxy();
    this.#nodes = [...this.nodes, node];
    await this.apply(...volumesOf(node, volumes, VOLUME_SIZE));
    await this.ready();
    return node;
  }

  /** Ends a node that was added, for good: its volumes go with it. */
  async removeNode(name: string): Promise<void> {
    const node = this.node(name);
    if (numberOf(name) === 1) throw new Error(`node ${name} stays: it is the first of its zone`);
    await node.remove();
    this.#nodes = this.nodes.filter((other) => other !== node);
    this.#state = changeNodes(
      this.state,
      this.state.nodes.filter((other) => other !== name),
    );
    await this.kubectl(['delete', 'node', `node-${name}`, '--wait=false']);
    const ours = `--selector=${HOST_LABEL}=node-${name}`;
    await this.kubectl(['delete', 'persistentvolumes', ours, '--wait=false']);
  }

  /** Waits until every node says that it is ready. */
  async ready(): Promise<void> {
    await until('all nodes are ready', READY_MILLIS_MAX, async () => {
      for (const node of this.nodes) node.check();
      const found = await this.api.list('/api/v1/nodes');
      return found.filter(isReady).length === this.nodes.length ? true : undefined;
    });
  }

  async down(): Promise<void> {
    await removeLab(this.state);
  }

  tool(name: string): string {
    const path = this.#parts.tools.get(name);
    if (path === undefined) throw new Error(`the program ${name} was not built`);
    return path;
  }

  /** The first node of a zone has the zone's name. */
  node(name: string): LabNode {
    const found = this.nodes.find((node) => node.name === name);
    if (found === undefined) throw new Error(`no node ${name}; there are: ${this.state.nodes}`);
    return found;
  }

  get kubeconfig(): string {
    return join(this.state.folder, 'pki', 'admin.conf');
  }

  /** A command in the cluster's network, beside the API server. */
  inside(command: readonly string[]): string[] {
    return this.network.inside(command);
  }

  /** A command as a user has it: kubectl, its plugin `kubectl journal`, and a kubeconfig. */
  userCommand(command: readonly string[]): string[] {
    const programs = [dirname(this.tool('kubectl')), PLUGINS, process.env.PATH ?? ''];
    const settings = [`KUBECONFIG=${this.kubeconfig}`, `PATH=${programs.join(':')}`];
    return this.inside(['env', ...settings, ...command]);
  }

  kubectlCommand(args: readonly string[]): string[] {
    return this.inside([this.tool('kubectl'), `--kubeconfig=${this.kubeconfig}`, ...args]);
  }

  kubectl(args: readonly string[], options: Running = {}): Promise<string> {
    return run(this.kubectlCommand(args), options);
  }

  /** The same, answered whatever the exit code. */
  tryKubectl(args: readonly string[], options: Running = {}): Promise<Ended> {
    return attempt(this.kubectlCommand(args), options);
  }

  async apply(...objects: readonly unknown[]): Promise<void> {
    const list = { apiVersion: 'v1', kind: 'List', items: objects };
    await this.kubectl(['apply', '-f', '-'], { input: JSON.stringify(list) });
  }

  /** Brings an archive of images to every node. */
  async importImage(archive: string): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.importImage(archive)));
  }

  /** Gives an image that is there another name, on every node. */
  async tagImage(name: string, other: string): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.ctr('images', 'tag', '--force', name, other)));
  }

  /** The node that a pod runs on. */
  async nodeOf(namespace: string, pod: string): Promise<LabNode> {
    const found = await this.pod(namespace, pod);
    return this.node(String(found.spec?.nodeName).replace(/^node-/, ''));
  }

  async pod(namespace: string, pod: string): Promise<KubeObject> {
    const found = await this.api.get(`/api/v1/namespaces/${namespace}/pods/${pod}`);
    if (found === undefined) throw new Error(`no pod ${namespace}/${pod}`);
    return found;
  }

  /** Stops a container from running, or lets it go on; its connections stay open. */
  async pause(namespace: string, pod: string, paused: boolean): Promise<void> {
    const { status } = await this.pod(namespace, pod);
    const containers = status?.containerStatuses;
    const first = Array.isArray(containers) ? record(containers[0]).containerID : undefined;
    if (typeof first !== 'string') throw new Error(`${namespace}/${pod} has no container`);
    freeze(this.state.lab, first.replace(/^containerd:\/\//, ''), paused);
  }

  /** The ends of its processes' logs, to be shown where a test fails. */
  logs(names: readonly string[], characters = 1_500): string {
    return names
      .map((name) => `--- ${name}\n${this.processes.logEnd(name, characters)}`)
      .join('\n');
  }

  /** A file in its folder, which goes with it. */
  write(name: string, text: string): string {
    const path = join(this.state.folder, name);
    writeFileSync(path, text);
    return path;
  }
}

/** Sees to it that a lab goes when its owner is killed; in no group of the lab, which it ends. */
function keep({ folder }: LabState): void {
  const keeper = join(import.meta.dirname, 'keeper.ts');
  spawn(process.execPath, [keeper, folder], { detached: true, stdio: 'ignore' }).unref();
}

/** Whether the object's condition `Ready` is true. */
export function isReady({ status }: KubeObject): boolean {
  const conditions = status?.conditions;
  if (!Array.isArray(conditions)) return false;
  return conditions.map(record).some(({ type, status: is }) => type === 'Ready' && is === 'True');
}
