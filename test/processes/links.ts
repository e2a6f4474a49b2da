// Links between real processes that a test can cut: one small proxy for each ordered pair.
//
// shim.c leads process i's connections to process j through its own proxy. A direction that is cut
// carries nothing and breaks nothing, as a lost route does: what was sent waits, and arrives when
// the route is back.

import { createServer, type Server, Socket } from 'node:net';
import type { Cuts } from './namespaces.ts';

const WIDTH = 16;

interface Pipe {
  readonly from: number;
  readonly to: number;
  readonly source: Socket;
}

export class Links implements Cuts {
  readonly #servers: Server[] = [];
  /** Every open direction: bytes that `source` brings travel from process `from` to `to`. */
  readonly #pipes = new Set<Pipe>();
  readonly #cut = new Set<string>();
  readonly #firstPort: number;
  readonly #basePort: number;

  private constructor(firstPort: number, basePort: number) {
    this.#firstPort = firstPort;
    this.#basePort = basePort;
  }

  /** Proxies among the `count` processes that listen at `firstPort` and after it. */
  static async open(firstPort: number, basePort: number, count: number): Promise<Links> {
    const links = new Links(firstPort, basePort);
    for (let from = 0; from < count; from += 1) {
      for (let to = 0; to < count; to += 1) {
        if (from !== to) await links.#serve(from, to);
      }
    }
    return links;
  }

  get environment(): NodeJS.ProcessEnv {
    return { FAULT_DETOUR: `${this.#firstPort}:${this.#basePort}` };
  }

  /** Nothing passes from one process to the other, on whichever connection, until `heal`. */
  cut(from: number, to: number): void {
    this.#cut.add(`${from}>${to}`);
    this.#apply();
  }

  heal(): void {
    this.#cut.clear();
    this.#apply();
  }

  async close(): Promise<void> {
    for (const { source } of this.#pipes) source.destroy();
    await Promise.all(
      this.#servers.map((server) => new Promise<void>((resolve) => server.close(() => resolve()))),
    );
  }

  #apply(): void {
    for (const { from, to, source } of this.#pipes) {
      if (this.#cut.has(`${from}>${to}`)) source.pause();
      else source.resume();
    }
  }

  #serve(from: number, to: number): Promise<void> {
    const server = createServer({ pauseOnConnect: true }, (near) => this.#join(near, from, to));
    this.#servers.push(server);
    const port = this.#basePort + WIDTH * from + to;
    return new Promise((resolve, reject) => {
      server.once('error', reject);
      server.listen(port, '127.0.0.1', resolve);
    });
  }

  #join(near: Socket, from: number, to: number): void {
    const far = new Socket();
    near.setNoDelay(true);
    far.setNoDelay(true);
    const there: Pipe = { from, to, source: near };
    const back: Pipe = { from: to, to: from, source: far };
    this.#pipes.add(there).add(back);
    const end = (): void => {
      this.#pipes.delete(there);
      this.#pipes.delete(back);
      near.destroy();
      far.destroy();
    };
    this.#carry(there, far, end);
    this.#carry(back, near, end);
    far.connect(this.#firstPort + to, '127.0.0.1');
    this.#apply();
  }

  #carry({ from, to, source }: Pipe, target: Socket, end: () => void): void {
    source.on('error', end);
    source.on('close', end);
    source.on('data', (bytes: Buffer) => {
      if (target.destroyed) return;
      if (!target.write(bytes)) {
        source.pause();
        target.once('drain', () => {
          if (!this.#cut.has(`${from}>${to}`)) source.resume();
        });
      }
    });
  }
}
