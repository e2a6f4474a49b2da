// Network namespaces for real processes: one for each, joined by a bridge, made and removed here.
//
// shim.c moves a process into its namespace by the port that it listens at, and leads what it dials
// at 127.0.0.1 to the others' addresses. A cut is a rule of the receiver's own routing: what comes
// from the sender is dropped without a word, as on a lost route. Needs root and Linux.

import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { createServer, Socket } from 'node:net';

/** What decides which bytes pass between two processes, by their places among the ports. */
export interface Cuts {
  /** What shim.c reads. */
  readonly environment: NodeJS.ProcessEnv;
  /** Nothing passes from one process to the other until `heal`. */
  cut(from: number, to: number): void;
  heal(): void;
  close(): Promise<void>;
}

/** The system does not let us make one: said with what it answered. */
export class NamespaceError extends Error {}

const PREFERENCE = '1';

export class Namespaces implements Cuts {
  readonly environment: NodeJS.ProcessEnv;
  readonly #name: string;
  readonly #subnet: string;
  readonly #firstPort: number;
  readonly #count: number;
  /** Pairs that are cut, `from>to`. */
  readonly #cut = new Set<string>();
  readonly #servers: ReturnType<typeof createServer>[] = [];

  /** Throws a NamespaceError; what was made until then is removed. */
  static open(firstPort: number, count: number): Namespaces {
    const made = new Namespaces(firstPort, count);
    try {
      made.#make();
    } catch (error) {
      made.#remove();
      const said = error instanceof Error ? error.message.trim().split('\n').at(-1) : String(error);
      throw new NamespaceError(
        `network namespaces cannot be made here (root and Linux are needed): ${said}`,
      );
    }
    return made;
  }

  private constructor(firstPort: number, count: number) {
    const [one = 0, other = 0] = randomBytes(2);
    this.#name = `jsoak${randomBytes(2).toString('hex')}`;
    this.#subnet = `10.${128 + (one % 96)}.${other}`;
    this.#firstPort = firstPort;
    this.#count = count;
    this.environment = { FAULT_NAMESPACES: `${this.#name}:${firstPort}:${this.#subnet}` };
  }

  #place(at: number): string {
    return `${this.#name}-${at}`;
  }

  #address(at: number): string {
    return `${this.#subnet}.${at + 1}`;
  }

  #make(): void {
    ip('link', 'add', this.#name, 'type', 'bridge');
    ip('addr', 'add', `${this.#subnet}.254/24`, 'dev', this.#name);
    ip('link', 'set', this.#name, 'up');
    for (let at = 0; at < this.#count; at += 1) {
      const place = this.#place(at);
      ip('netns', 'add', place);
      ip('link', 'add', place, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', place);
      ip('link', 'set', place, 'master', this.#name, 'up');
      ip('-n', place, 'addr', 'add', `${this.#address(at)}/24`, 'dev', 'eth0');
      ip('-n', place, 'link', 'set', 'lo', 'up');
      ip('-n', place, 'link', 'set', 'eth0', 'up');
      // Local delivery is the first rule of all: a cut must come before it.
      ip('-n', place, 'rule', 'add', 'pref', '10', 'lookup', 'local');
      ip('-n', place, 'rule', 'del', 'pref', '0');
    }
  }

  /** Leads what this process dials at 127.0.0.1 to the others; call once they listen. */
  async serve(): Promise<void> {
    for (let at = 0; at < this.#count; at += 1) {
      const port = this.#firstPort + at;
      const server = createServer((near) => join(near, this.#address(at), port));
      this.#servers.push(server);
      await new Promise<void>((resolve, reject) => {
        server.once('error', reject);
        server.listen(port, '127.0.0.1', resolve);
      });
    }
  }

  cut(from: number, to: number): void {
    const pair = `${from}>${to}`;
    if (this.#cut.has(pair)) return;
    this.#cut.add(pair);
    this.#rule('add', from, to);
  }

  heal(): void {
    for (const pair of this.#cut) {
      const [from = 0, to = 0] = pair.split('>').map(Number);
      this.#rule('del', from, to);
    }
    this.#cut.clear();
  }

  #rule(verb: 'add' | 'del', from: number, to: number): void {
    const source = ['from', this.#address(from), 'blackhole'];
    ip('-n', this.#place(to), 'rule', verb, 'pref', PREFERENCE, ...source);
  }

  async close(): Promise<void> {
    for (const server of this.#servers) server.close();
    this.#remove();
  }

  #remove(): void {
    for (let at = 0; at < this.#count; at += 1) quietly('netns', 'del', this.#place(at));
    quietly('link', 'del', this.#name);
  }
}

function ip(...args: readonly string[]): void {
  execFileSync('ip', [...args], { stdio: ['ignore', 'ignore', 'pipe'] });
}

function quietly(...args: readonly string[]): void {
  try {
    ip(...args);
  } catch {
    // It was never made.
  }
}

function join(near: Socket, address: string, port: number): void {
  const far = new Socket();
  for (const socket of [near, far]) {
    socket.setNoDelay(true);
    socket.on('error', () => {
      near.destroy();
      far.destroy();
    });
  }
  near.pipe(far);
  far.pipe(near);
  far.connect(port, address);
}
