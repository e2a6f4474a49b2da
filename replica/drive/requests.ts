// Requests that wait for their machine: who asked, the payload, and when each stage was reached.

import type { Clock } from '../../io/clock.ts';
import type { EncodedBody } from '../../log/log.ts';
import type {
  ChainInput,
  ChainReply,
  ChainRequest,
  RequestId,
} from '../../protocol/chain/messages.ts';
import { JournalError, type Refusal, refusal } from '../../protocol/errors.ts';
import { type Micros, micros } from '../../protocol/types.ts';
import type { ReplicaMetrics } from '../metrics.ts';
import type { Queue } from '../wait.ts';
import type { Host, Pending } from './host.ts';

export interface RequestsParts {
  readonly clock: Clock;
  readonly metrics: ReplicaMetrics;
  readonly queue: Queue;
  post(host: Host, input: ChainInput): void;
}

export class Requests {
  readonly #parts: RequestsParts;
  #next: RequestId = 1;
  /** Appends whose batch waits for a sync to begin. */
  #unsynced: Pending[] = [];

  constructor(parts: RequestsParts) {
    this.#parts = parts;
  }

  /** Takes a place in the queue and posts the request; rejects once `signal` aborts. */
  take(
    host: Host,
    body: ChainRequest,
    payload: EncodedBody | null,
    signal: AbortSignal,
  ): Promise<ChainReply> {
    const { queue, clock, post } = this.#parts;
    const bytes = payload?.bytes.length ?? 0;
    queue.enter(bytes);
    const request = this.#next;
    this.#next += 1;
    return new Promise((resolve, reject) => {
      const leave = (): void => {
        reject(left(body));
        post(host, { kind: 'cancel', request });
      };
      const answer = (reply: ChainReply): void => {
        signal.removeEventListener('abort', leave);
        resolve(reply);
      };
      const times = { stepped: micros(0), syncBegan: micros(0), synced: micros(0) };
      host.requests.set(request, {
        host,
        resolve: answer,
        body: payload?.bytes ?? null,
        writes: writes(body),
        bytes,
        arrived: clock.now(),
        ...times,
      });
      post(host, { kind: 'request', request, body });
      if (signal.aborted) leave();
      else signal.addEventListener('abort', leave, { once: true });
    });
  }

  /** The machine takes these inputs now. */
  stepping(host: Host, inputs: readonly ChainInput[], now: Micros): void {
    for (const input of inputs) {
      if (input.kind !== 'request') continue;
      const pending = host.requests.get(input.request);
      if (pending !== undefined) pending.stepped = now;
    }
  }

  /** Its batch is in the log: the payload is held there. */
  appended(pending: Pending): void {
    pending.body = null;
    this.#unsynced.push(pending);
  }

  /** A sync begins; the result is called when it has ended. */
  syncing(now: Micros): (ended: Micros) => void {
    const covered = this.#unsynced;
    this.#unsynced = [];
    for (const pending of covered) pending.syncBegan = now;
    return (ended) => {
      for (const pending of covered) pending.synced = ended;
    };
  }

  reply(host: Host, request: RequestId, reply: ChainReply): void {
    const pending = this.forget(host, request);
    if (pending === undefined) return;
    if (reply.kind === 'appended' && !reply.duplicate) this.#measure(pending);
    pending.resolve(reply);
  }

  /** Gives its place in the queue back: it was answered, or its caller left. */
  forget(host: Host, request: RequestId): Pending | undefined {
    const pending = host.requests.get(request);
    if (pending === undefined) return undefined;
    host.requests.delete(request);
    this.#parts.queue.leave(pending.bytes);
    return pending;
  }

  /** Answers everything that waits in a journal that goes away: nobody can say what became of it. */
  refuse(host: Host, reason: string): void {
    const refused = refusal('UNAVAILABLE', reason);
    for (const request of [...host.requests.keys()]) {
      this.reply(host, request, { kind: 'refused', refusal: refused, outcome: 'unknown' });
    }
  }

  /** Answers what would write and has waited since before `before`: nobody knows its outcome. */
  giveUp(host: Host, before: Micros, refused: Refusal): void {
    for (const [request, { writes: isWrite, arrived }] of [...host.requests]) {
      if (!isWrite || arrived >= before) continue;
      this.reply(host, request, { kind: 'refused', refusal: refused, outcome: 'unknown' });
      this.#parts.post(host, { kind: 'cancel', request });
    }
  }

  #measure({ arrived, stepped, syncBegan, synced }: Pending): void {
    const { metrics, clock } = this.#parts;
    const now = clock.now();
    metrics.appendStage('queue', arrived, stepped);
    metrics.appendStage('write', stepped, syncBegan);
    metrics.appendStage('sync', syncBegan, synced);
    metrics.appendStage('replicate', synced, now);
    void Promise.resolve().then(() => metrics.appendStage('ack', now, clock.now()));
  }
}

const writes = ({ kind }: ChainRequest): boolean =>
  kind !== 'readIndex' && kind !== 'key' && kind !== 'cursors';

function left(body: ChainRequest): JournalError {
  const outcome = writes(body) ? 'unknown' : 'none';
  return new JournalError('CANCELLED', 'the caller left before an answer', {}, outcome);
}
