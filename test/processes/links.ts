// Links between real processes that a test can cut: one small proxy for each ordered pair.
//
// shim.c leads process i's connections to process j through its own proxy. A direction that is cut
// carries nothing and breaks nothing, as a lost route does: what was sent waits, and arrives when
// the route is back. The proxies run in a thread of their own (proxies.ts): where they shared the
// test's, all that its writers and checkers do at a time held every link of the cluster up.

import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import type { Cuts } from './namespaces.ts';

/** Process i listens at `firstPort + i`; its way to process j begins at `basePort + 16 i + j`. */
export interface LinksPlan {
  readonly firstPort: number;
  readonly basePort: number;
  readonly count: number;
}

/** What the thread is told; it says `ready` once all its ports are open. */
export type LinksWord =
  | { readonly kind: 'cut'; readonly from: number; readonly to: number }
  | { readonly kind: 'heal' };

export class Links implements Cuts {
  readonly #plan: LinksPlan;
  readonly #thread: Worker;

  private constructor(plan: LinksPlan, thread: Worker) {
    this.#plan = plan;
    this.#thread = thread;
  }

  /** Rejects where a port is taken. */
  static async open(plan: LinksPlan): Promise<Links> {
    const thread = new Worker(new URL('./proxies.ts', import.meta.url), { workerData: plan });
    await once(thread, 'message');
    // Whoever forgets to close it is no reason to wait.
    thread.unref();
    return new Links(plan, thread);
  }

  get environment(): NodeJS.ProcessEnv {
    const { firstPort, basePort } = this.#plan;
    return { FAULT_DETOUR: `${firstPort}:${basePort}` };
  }

  /** Nothing passes from one process to the other, on whichever connection, until `heal`. */
  cut(from: number, to: number): void {
    this.#say({ kind: 'cut', from, to });
  }

  heal(): void {
    this.#say({ kind: 'heal' });
  }

  async close(): Promise<void> {
    await this.#thread.terminate();
  }

  #say(word: LinksWord): void {
    this.#thread.postMessage(word);
  }
}
