// The one loop of a volume: take all that waits, step every journal, append and send, sync once for
// all of them, answer.
//
// A turn is synchronous. It runs as soon as something was posted, so that messages go out while a
// sync runs; whatever is appended meanwhile shares the next sync. There is one sync at a time and
// no timer before it: at low load an append waits for nothing, at high load many share one.

import type { Clock } from '../io/clock.ts';
import type { Logger } from '../io/logger.ts';
import { encodeBatch, encodeControlBody } from '../log/batch.ts';
import type { EncodedBody, Volume } from '../log/log.ts';
import type { Metadata } from '../log/metadata.ts';
import { turn } from '../protocol/chain/machine.ts';
import type {
  ChainEffect,
  ChainInput,
  ChainReply,
  ChainRequest,
  RequestId,
} from '../protocol/chain/messages.ts';
import { outstanding } from '../protocol/chain/state.ts';
import { type Member, MIB } from '../protocol/configuration.ts';
import { InvariantViolation, JournalError, refusal } from '../protocol/errors.ts';
import { type Batch, type BatchHeader, higher, micros, NO_LSN } from '../protocol/types.ts';
import type { Host, Pending } from './host.ts';
import type { ReplicaMetrics, SyncMeter } from './metrics.ts';
import type { Outbox } from './outbox.ts';
import { Bell, type Queue } from './wait.ts';

const TICK = micros(50_000);
/** Bytes from peers that may wait for the disk. */
const UNSYNCED_BYTES_MAX = 64 * MIB;
const UNSYNCED_PATIENCE = micros(1_000_000);

export interface DriverParts {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly volume: Volume;
  readonly metadata: Metadata;
  readonly meter: SyncMeter;
  readonly metrics: ReplicaMetrics;
  readonly queue: Queue;
  /** What is said to a peer of a journal; made when first needed. */
  outbox(host: Host, to: Member): Outbox;
  /** What the controllers should hear of at once changed. */
  moved(host: Host): void;
  /** The machine saw that the control plane knows more than it does. */
  inquire(host: Host): void;
  /** A rule was broken or the code threw: nothing may go on. */
  crash(error: unknown): void;
}

export class Driver {
  readonly #parts: DriverParts;
  readonly #hosts = new Set<Host>();
  #inputs = new Map<Host, ChainInput[]>();
  #scheduled = false;
  #syncing = false;
  /** Journals with something appended that no sync under way covers. */
  #unsynced = new Set<Host>();
  /** Appends whose batch waits for a sync to begin. */
  #unsyncedAppends: Pending[] = [];
  #unsyncedBytes = 0;
  /** Journals that are ticked. */
  readonly #active = new Set<Host>();
  #ticking = false;
  #nextRequest: RequestId = 1;
  /** Rings after every sync of the volume. */
  readonly syncBell = new Bell();
  /** Why nothing is written any more; null while all is well. */
  #halted: string | null = null;

  constructor(parts: DriverParts) {
    this.#parts = parts;
  }

  get halted(): string | null {
    return this.#halted;
  }

  /** Hands an input to the machine of a journal; taken with the next turn, in order. */
  post(host: Host, input: ChainInput): void {
    if (this.#halted !== null || host.closed) return;
    const waiting = this.#inputs.get(host);
    if (waiting === undefined) this.#inputs.set(host, [input]);
    else waiting.push(input);
    if (this.#scheduled) return;
    this.#scheduled = true;
    void Promise.resolve().then(() => this.#turn());
  }

  /**
   * Asks the machine, and gives its reply. Rejects with OVERLOADED where the queue is full, and once
   * `signal` aborts, with the outcome unknown for whatever may have been written.
   */
  request(
    host: Host,
    body: ChainRequest,
    payload: EncodedBody | null,
    signal: AbortSignal,
  ): Promise<ChainReply> {
    if (host.closed) throw new JournalError('NOT_FOUND', `journal ${host.name} was deleted`);
    if (this.#halted !== null) throw new JournalError('UNAVAILABLE', this.#halted);
    const bytes = payload?.bytes.length ?? 0;
    this.#parts.queue.enter(bytes);
    const request = this.#nextRequest;
    this.#nextRequest += 1;
    const writes = body.kind !== 'readIndex' && body.kind !== 'key' && body.kind !== 'cursors';
    return new Promise((resolve, reject) => {
      const leave = (): void => {
        const outcome = writes ? 'unknown' : 'none';
        reject(new JournalError('CANCELLED', 'the caller left before an answer', {}, outcome));
        this.post(host, { kind: 'cancel', request });
      };
      const answer = (reply: ChainReply): void => {
        signal.removeEventListener('abort', leave);
        resolve(reply);
      };
      const arrived = this.#parts.clock.now();
      const times = { arrived, stepped: micros(0), syncBegan: micros(0), synced: micros(0) };
      host.requests.set(request, {
        host,
        resolve: answer,
        body: payload?.bytes ?? null,
        bytes,
        ...times,
      });
      this.post(host, { kind: 'request', request, body });
      if (signal.aborted) leave();
      else signal.addEventListener('abort', leave, { once: true });
    });
  }

  /** Resolves once the disk has caught up with what peers send: a slow one slows them down. */
  async roomy(): Promise<void> {
    while (this.#unsyncedBytes > UNSYNCED_BYTES_MAX && this.#halted === null) {
      await this.syncBell.wait(this.#parts.clock, UNSYNCED_PATIENCE);
    }
  }

  /** Stops for good: what waits is refused with the outcome unknown. */
  halt(reason: string): void {
    if (this.#halted !== null) return;
    this.#halted = reason;
    this.#inputs.clear();
    for (const host of this.#hosts) this.#drop(host, reason);
  }

  /** Answers everything that waits in a journal that goes away. */
  #drop(host: Host, reason: string): void {
    const refused = refusal('UNAVAILABLE', reason);
    for (const request of [...host.requests.keys()]) {
      this.#reply(host, request, { kind: 'refused', refusal: refused, outcome: 'unknown' });
    }
    this.#active.delete(host);
    host.version += 1;
    host.bell.ring();
  }

  add(host: Host): void {
    this.#hosts.add(host);
  }

  /** Takes no more steps for a journal that was deleted. */
  remove(host: Host): void {
    host.closed = true;
    this.#hosts.delete(host);
    this.#inputs.delete(host);
    this.#unsynced.delete(host);
    this.#drop(host, `journal ${host.name} left this replica`);
  }

  #turn(): void {
    this.#scheduled = false;
    const inputs = this.#inputs;
    this.#inputs = new Map();
    try {
      for (const [host, waiting] of inputs) this.#turnOf(host, waiting);
    } catch (error) {
      this.#fail(error);
      return;
    }
    this.#sync();
    this.#tick();
  }

  #turnOf(host: Host, waiting: readonly ChainInput[]): void {
    if (host.closed || this.#halted !== null) return;
    const now = this.#parts.clock.now();
    for (const input of waiting) {
      if (input.kind !== 'request') continue;
      const pending = host.requests.get(input.request);
      if (pending !== undefined) pending.stepped = now;
    }
    const effects = turn(host.state, [this.#now(), ...waiting]);
    for (const effect of effects) this.#carryOut(host, effect);
    for (const input of waiting) {
      if (input.kind === 'cancel') this.#forget(host, input.request);
    }
    host.version += 1;
    this.#active.add(host);
    if (host.moved()) this.#parts.moved(host);
  }

  #now(): ChainInput {
    const { clock } = this.#parts;
    return { kind: 'tick', now: clock.now(), wall: clock.wall() };
  }

  #carryOut(host: Host, effect: ChainEffect): void {
    switch (effect.kind) {
      case 'append':
        this.#append(host, effect);
        break;
      case 'write':
        for (const batch of effect.batches) this.#write(host, batch);
        break;
      case 'send':
        this.#send(host, effect);
        break;
      case 'forward':
        this.#parts.outbox(host, effect.to).forward(effect);
        break;
      case 'reply':
        this.#reply(host, effect.request, effect.reply);
        break;
      case 'commit':
        host.bell.ring();
        break;
      case 'trim':
        this.#trim(host, effect.through);
        break;
      case 'inquire':
        this.#parts.inquire(host);
        break;
      default:
        this.#onDisk(host, effect);
    }
  }

  #send(host: Host, { to, body }: Extract<ChainEffect, { kind: 'send' }>): void {
    const outbox = this.#parts.outbox(host, to);
    if (body.kind !== 'replicate') outbox.send(body);
    else outbox.send({ ...body, batches: body.batches.map(({ bytes }) => bytes) });
  }

  #append(host: Host, effect: Extract<ChainEffect, { kind: 'append' }>): void {
    const { header, request } = effect;
    const pending = request === null ? undefined : host.requests.get(request);
    this.#write(host, this.#encode(host, header, pending));
    if (pending === undefined) return;
    pending.body = null;
    this.#unsyncedAppends.push(pending);
    this.#parts.metrics.moved('in', header.count, header.bodyBytes);
  }

  #write(host: Host, batch: Batch): void {
    host.log.append(batch);
    this.#unsynced.add(host);
    this.#unsyncedBytes += batch.bytes.length;
  }

  #encode(host: Host, header: BatchHeader, pending: Pending | undefined): Batch {
    const { endCrc } = host.log;
    if (header.control !== null) {
      const { bytes, crc } = encodeControlBody(header.control);
      return encodeBatch({ ...header, bodyCrc: crc, bodyBytes: bytes.length }, bytes, endCrc);
    }
    const body = pending?.body ?? null;
    if (body === null) throw new InvariantViolation('an append has its records', host.journal);
    return encodeBatch(header, body, endCrc);
  }

  /** What the disk must have before anything else of the machine depends on it, in order. */
  #onDisk(
    host: Host,
    effect: Extract<ChainEffect, { kind: 'save' | 'truncate' | 'setAside' }>,
  ): void {
    const { metadata, meter } = this.#parts;
    const carry = async (): Promise<void> => {
      if (effect.kind === 'setAside') {
        await host.log.setAside();
        return;
      }
      const { save } = effect;
      if (effect.kind === 'save') {
        const bytes = new TextEncoder().encode(JSON.stringify(effect.record));
        await meter.measure(() => metadata.save(new Map([[recordKey(host), bytes]])));
        this.#parts.metrics.adopted(host.name);
        this.post(host, { kind: 'saved', save });
        host.bell.ring();
        return;
      }
      await host.log.cut(effect.endLsn);
      if (!effect.refold) this.post(host, { kind: 'saved', save });
      else {
        const tables = await host.log.tablesAt(effect.endLsn);
        this.post(host, { kind: 'saved', save, tables });
      }
    };
    void this.behind(host, carry);
  }

  /** Resolves when what was posted to a journal was taken, and the disk has carried it out. */
  async settled(host: Host): Promise<void> {
    await Promise.resolve();
    await Promise.resolve();
    await host.disk;
  }

  /** Runs a task of the disk behind those of the same journal that came before. */
  behind(host: Host, task: () => Promise<void>): Promise<void> {
    host.disk = host.disk.then(async () => {
      if (host.closed || this.#halted !== null) return;
      try {
        await task();
      } catch (error) {
        this.#broken(error);
      }
    });
    return host.disk;
  }

  #trim(host: Host, through: Host['trimDue']): void {
    host.trimmedLsn = higher(host.trimmedLsn, through);
    host.trimDue = higher(host.trimDue, through);
    if (!host.trimming) void this.#trimLog(host);
  }

  async #trimLog(host: Host): Promise<void> {
    host.trimming = true;
    try {
      while (host.trimDue !== NO_LSN && !host.closed && this.#halted === null) {
        const through = host.trimDue;
        host.trimDue = NO_LSN;
        await host.log.trim(through);
        this.post(host, { kind: 'based', shape: host.log.shape(), tables: null });
      }
    } catch (error) {
      // A trim that failed leaves the log as it was: the next one tries again.
      const { logger } = this.#parts;
      logger.error({ journal: host.journal, error: String(error) }, 'a trim was not carried out');
      if (this.#parts.volume.failed !== null) this.#broken(error);
    } finally {
      host.trimming = false;
    }
  }

  #sync(): void {
    if (this.#syncing || this.#unsynced.size === 0 || this.#halted !== null) return;
    this.#syncing = true;
    void this.#syncAll();
  }

  async #syncAll(): Promise<void> {
    const { volume, clock, meter } = this.#parts;
    try {
      while (this.#unsynced.size > 0 && this.#halted === null) {
        const hosts = this.#unsynced;
        const appends = this.#unsyncedAppends;
        this.#unsynced = new Set();
        this.#unsyncedAppends = [];
        const bytes = this.#unsyncedBytes;
        const began = clock.now();
        for (const pending of appends) pending.syncBegan = began;
        await meter.measure(() => volume.sync());
        const synced = clock.now();
        this.#unsyncedBytes -= bytes;
        for (const pending of appends) pending.synced = synced;
        for (const host of hosts) {
          this.post(host, { kind: 'synced', durableLsn: host.log.durableLsn });
        }
        this.syncBell.ring();
        // The turn that was just posted runs before the next sync begins.
        await Promise.resolve();
      }
    } catch (error) {
      this.#broken(error);
    } finally {
      this.#syncing = false;
    }
  }

  #reply(host: Host, request: RequestId, reply: ChainReply): void {
    const pending = this.#forget(host, request);
    if (pending === undefined) return;
    if (reply.kind === 'appended' && !reply.duplicate) this.#measure(pending);
    pending.resolve(reply);
  }

  #forget(host: Host, request: RequestId): Pending | undefined {
    const pending = host.requests.get(request);
    if (pending === undefined) return undefined;
    host.requests.delete(request);
    this.#parts.queue.leave(pending.bytes);
    return pending;
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

  #tick(): void {
    if (this.#ticking || this.#active.size === 0) return;
    this.#ticking = true;
    this.#parts.clock.after(TICK, () => {
      this.#ticking = false;
      for (const host of [...this.#active]) {
        if (host.closed || !outstanding(host.state)) this.#active.delete(host);
        else this.post(host, this.#now());
      }
      this.#tick();
    });
  }

  /** The disk failed: the volume is of no use, and says so; anything else is a broken rule. */
  #broken(error: unknown): void {
    const { volume, logger } = this.#parts;
    if (volume.failed === null && !isDisk(error)) {
      this.#fail(error);
      return;
    }
    logger.error({ error: String(error) }, 'the volume failed: nothing is written any more');
    this.halt(`the volume of this replica failed: ${String(error)}`);
  }

  #fail(error: unknown): void {
    this.halt(`this replica stopped on a broken rule: ${String(error)}`);
    this.#parts.crash(error);
  }
}

const isDisk = (error: unknown): boolean =>
  (error instanceof JournalError && error.code === 'DAMAGED') ||
  (error instanceof Error && error.name === 'DiskError');

/** Where the metadata of a volume keeps what the machine of a journal saved. */
export const recordKey = (host: { readonly journal: string }): string => `journal/${host.journal}`;
