// The lab's network: a switch in a namespace of its own, a namespace a node, and cuts in between.
//
//   jl-ID      br0 10.99.0.1: API server, DNS, the tests' clients
//   jl-ID-a …  eth0 10.99.0.11 …, joined by a cable to br0; pods have 10.98.1.0/24 …
//
// A node is called by its zone, one letter, and its number in it where it is not the first: b, b2.
//
// No packet leaves these namespaces, so two labs may use the same addresses side by side.

import { existsSync } from 'node:fs';
import { attempt, run } from './commands.ts';

export const API_ADDRESS = '10.99.0.1';
export const SERVICES = '10.97.0.0/20';
export const KUBERNETES_SERVICE = '10.97.0.1';
export const PODS = '10.98.0.0/16';

/** Zones are the letters a, b and c. */
const ZONES_MAX = 3;

export const zoneOf = (node: string): string => node.slice(0, 1);
export const numberOf = (node: string): number => Number(node.slice(1) || '1');
/** The place of a node among all that there could be: the same whoever came and left meanwhile. */
const placeOf = (node: string): number =>
  (numberOf(node) - 1) * ZONES_MAX + node.charCodeAt(0) - 'a'.charCodeAt(0);

export const nodeAddress = (node: string): string => `10.99.0.${11 + placeOf(node)}`;
export const podRange = (node: string): string => `10.98.${1 + placeOf(node)}.0/24`;

export class Network {
  readonly #lab: string;
  #nodes: readonly string[];

  constructor(lab: string, nodes: readonly string[]) {
    this.#lab = lab;
    this.#nodes = nodes;
  }

  /** Puts a command into the namespace of a node, or into that of the switch. */
  inside(command: readonly string[], node?: string): string[] {
    return ['nsenter', `--net=/run/netns/${this.#name(node)}`, '--', ...command];
  }

  async up(): Promise<void> {
    await ip('netns', 'add', this.#lab);
    const ns = ['-n', this.#lab];
    await ip(...ns, 'link', 'set', 'lo', 'up');
    await ip(...ns, 'link', 'add', 'br0', 'type', 'bridge');
    await ip(...ns, 'addr', 'add', `${API_ADDRESS}/24`, 'dev', 'br0');
    await ip(...ns, 'link', 'set', 'br0', 'up');
    await this.#forward(undefined);
    for (const node of this.#nodes) await this.#join(node);
  }

  /** Joins one more node to those that are there. */
  async add(node: string): Promise<void> {
    const before = this.#nodes;
    this.#nodes = [...before, node];
    await this.#join(node);
    for (const other of before) await this.#route(other, node);
  }

  /** What is left of a node that has ended. */
  async remove(node: string): Promise<void> {
    this.#nodes = this.#nodes.filter((other) => other !== node);
    for (const other of [undefined, ...this.#nodes]) {
      await ip('-n', this.#name(other), 'route', 'delete', podRange(node));
    }
    await ip('netns', 'delete', this.#name(node));
  }

  async #join(node: string): Promise<void> {
    const name = this.#name(node);
    await ip('netns', 'add', name);
    const cable = ['-n', this.#lab, 'link', 'add', cableOf(node), 'type', 'veth'];
    await ip(...cable, 'peer', 'name', 'eth0', 'netns', name);
    await ip('-n', this.#lab, 'link', 'set', cableOf(node), 'master', 'br0', 'up');
    await ip('-n', name, 'link', 'set', 'lo', 'up');
    await ip('-n', name, 'addr', 'add', `${nodeAddress(node)}/24`, 'dev', 'eth0');
    await ip('-n', name, 'link', 'set', 'eth0', 'up');
    await ip('-n', name, 'route', 'add', 'default', 'via', API_ADDRESS);
    await this.#forward(node);
    await this.#route(undefined, node);
    for (const other of this.#nodes) if (other !== node) await this.#route(node, other);
  }

  /** Leads what a node, or the switch, sends to pods of another one to that one. */
  async #route(at: string | undefined, to: string): Promise<void> {
    await ip('-n', this.#name(at), 'route', 'add', podRange(to), 'via', nodeAddress(to));
  }

  async #forward(node: string | undefined): Promise<void> {
    await run(this.inside(['sysctl', '-qw', 'net.ipv4.ip_forward=1'], node));
  }

  /** Pulls a node's cable: nothing goes in or out. */
  async cut(node: string): Promise<void> {
    await ip('-n', this.#lab, 'link', 'set', cableOf(node), 'down');
  }

  /**
   * Lets nothing through from one node, its pods included, to another; the way back stays open.
   * The packets are dropped where they leave.
   */
  async cutOneWay(from: string, to: string): Promise<void> {
    const there = `ip daddr { ${nodeAddress(to)}, ${podRange(to)} } drop`;
    const hook = (name: string): string =>
      `chain ${name} { type filter hook ${name} priority -300; ${there}; }`;
    const table = `table ip cut-${to} {\n${hook('output')}\n${hook('forward')}\n}`;
    await run(this.inside(['nft', '-f', '-'], from), { input: `${table}\n` });
  }

  /** Undoes every cut at a node. */
  async heal(node: string): Promise<void> {
    await ip('-n', this.#lab, 'link', 'set', cableOf(node), 'up');
    for (const other of this.#nodes) {
      for (const [at, to] of [
        [node, other],
        [other, node],
      ] as const) {
        if (at !== to)
          await attempt(this.inside(['nft', 'delete', 'table', 'ip', `cut-${to}`], at));
      }
    }
  }

  async down(): Promise<void> {
    for (const node of [undefined, ...this.#nodes]) {
      const path = `/run/netns/${this.#name(node)}`;
      if (!existsSync(path)) continue;
      // Another process may be removing the same lab.
      const { stderr } = await attempt(['ip', 'netns', 'delete', this.#name(node)]);
      if (existsSync(path)) throw new Error(`${path} stays: ${stderr}`);
    }
  }

  #name(node: string | undefined): string {
    return node === undefined ? this.#lab : `${this.#lab}-${node}`;
  }
}

const cableOf = (node: string): string => `to-${node}`;

const ip = async (...args: readonly string[]): Promise<void> => {
  await run(['ip', ...args]);
};
