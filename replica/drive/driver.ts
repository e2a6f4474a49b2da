// The one loop of a volume: take all that waits, step every journal, append and send, sync once for
// all of them, answer.
//
// A turn is synchronous. It runs as soon as something was posted, so that messages go out while a
// sync runs; whatever is appended meanwhile shares the next sync. There is one sync at a time and
// no timer before it: at low load an append waits for nothing, at high load many share one.

import type { Clock } from '../../io/clock.ts';
import type { Logger } from '../../io/logger.ts';
import { encodeBatch, encodeControlBody } from '../../log/batch.ts';
import type { EncodedBody, Volume } from '../../log/log.ts';
import type { Metadata } from '../../log/metadata.ts';
import { checkMember } from '../../protocol/chain/invariants.ts';
import { turn } from '../../protocol/chain/machine.ts';
import type {
  ChainEffect,
  ChainInput,
  ChainReply,
  ChainRequest,
} from '../../protocol/chain/messages.ts';
import { type ChainState, outstanding } from '../../protocol/chain/state.ts';
import { type Member, MIB } from '../../protocol/configuration.ts';
import { deleted, InvariantViolation, JournalError, type Refusal } from '../../protocol/errors.ts';
import {
  type Batch,
  type BatchHeader,
  type Lsn,
  type Micros,
  micros,
} from '../../protocol/types.ts';
import type { ReplicaMetrics, SyncMeter } from '../metrics.ts';
import { Bell, type Queue } from '../wait.ts';
import { Durable } from './durable.ts';
import type { Host, Pending } from './host.ts';
import type { Outbox } from './outbox.ts';
import { Requests } from './requests.ts';

const TICK = micros(50_000);
/** Bytes from peers that may wait for the disk. */
const UNSYNCED_BYTES_MAX = 64 * MIB;
const UNSYNCED_PATIENCE = micros(1_000_000);

/** What a machine took and said, both empty when it was just opened. */
export interface ChainTurn {
  readonly inputs: readonly ChainInput[];
  readonly effects: readonly ChainEffect[];
  /** Last position that the log has on its disk. */
  readonly durableLsn: Lsn;
}

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
  /** Runs what reads a log, and mends what is damaged on the way. */
  mending<Result>(task: () => Promise<Result>): Promise<Result>;
  /** A rule was broken or the code threw: nothing may go on. */
  crash(error: unknown): void;
  /** Told of each machine and of each turn of it; the simulator looks at all members together. */
  readonly turned?: ((state: ChainState, turn: ChainTurn) => void) | undefined;
}

export class Driver {
  readonly #parts: DriverParts;
  readonly #requests: Requests;
  readonly #durable: Durable;
  readonly #hosts = new Set<Host>();
  #inputs = new Map<Host, ChainInput[]>();
  #scheduled = false;
  #syncing = false;
  /** Journals with something appended that no sync under way covers. */
  #unsynced = new Set<Host>();
  #unsyncedBytes = 0;
  /** Journals that are ticked. */
  readonly #active = new Set<Host>();
  #ticking = false;
  /** Rings after every sync of the volume. */
  readonly syncBell = new Bell();
  /** Why nothing is written any more; null while all is well. */
  #halted: string | null = null;
  #failed: string | null = null;

  constructor(parts: DriverParts) {
    this.#parts = parts;
    const post = (host: Host, input: ChainInput): void => this.post(host, input);
    this.#requests = new Requests({ ...parts, post });
    this.#durable = new Durable({
      ...parts,
      post,
      halted: () => this.#halted !== null,
      broken: (error) => this.#broken(error),
    });
  }

  get halted(): string | null {
    return this.#halted;
  }

  /** Why a new start may help: the disk failed, if only under a file that nobody has read yet. */
  get failed(): string | null {
    return this.#failed;
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
   * Asks the machine, and gives its reply. Rejects with OVERLOADED where the queue is full, and
   * once `signal` aborts, with the outcome unknown for whatever may have been written.
   */
  request(
    host: Host,
    body: ChainRequest,
    payload: EncodedBody | null,
    signal: AbortSignal,
  ): Promise<ChainReply> {
    if (host.closed) throw deleted(host.name);
    if (this.#halted !== null) throw new JournalError('UNAVAILABLE', this.#halted);
    return this.#requests.take(host, body, payload, signal);
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
    this.#requests.refuse(host, reason);
    this.#active.delete(host);
    host.version += 1;
    host.bell.ring();
  }

  add(host: Host): void {
    this.#hosts.add(host);
    const { durableLsn } = host.log;
    this.#parts.turned?.(host.state, { inputs: [], effects: [], durableLsn });
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
      if (this.#parts.volume.failed === null) this.#fail(error);
      else this.#broken(error);
      return;
    }
    this.#sync();
    this.#tick();
  }

  #turnOf(host: Host, waiting: readonly ChainInput[]): void {
    if (host.closed || this.#halted !== null) return;
    this.#requests.stepping(host, waiting, this.#parts.clock.now());
    const effects = turn(host.state, [this.#now(), ...waiting]);
    checkMember(host.state);
    const { durableLsn } = host.log;
    this.#parts.turned?.(host.state, { inputs: waiting, effects, durableLsn });
    for (const effect of effects) this.#carryOut(host, effect);
    for (const input of waiting) {
      if (input.kind === 'cancel') this.#requests.forget(host, input.request);
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
        this.#requests.reply(host, effect.request, effect.reply);
        break;
      case 'commit':
        host.bell.ring();
        break;
      case 'trim':
        this.#durable.trim(host, effect.through);
        break;
      case 'inquire':
        this.#parts.inquire(host);
        break;
      default:
        this.#durable.carryOut(host, effect);
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
    this.#requests.appended(pending);
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

  /** A save beside the machines failed: where the disk did, it is as if one of theirs had. */
  unsaved(error: unknown): void {
    if (this.#parts.metadata.failed !== null) this.#broken(error);
  }

  /** Resolves when what was posted to a journal was taken, and the disk has carried it out. */
  async settled(host: Host): Promise<void> {
    await Promise.resolve();
    await Promise.resolve();
    await host.disk;
  }

  /** Runs a task of the disk behind those of the same journal that came before. */
  behind(host: Host, task: () => Promise<void>): Promise<void> {
    return this.#durable.behind(host, task);
  }

  /** Does a task of the disk again while that is full. */
  whenRoom(task: () => Promise<void>): Promise<void> {
    return this.#durable.whenRoom(task);
  }

  /** Whether something waits to be written because the disk is full. */
  get waitsForRoom(): boolean {
    return this.#durable.waitsForRoom;
  }

  /** Answers what would write and came before `before`, its outcome unknown. */
  giveUp(host: Host, before: Micros, refused: Refusal): void {
    this.#requests.giveUp(host, before, refused);
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
        this.#unsynced = new Set();
        const bytes = this.#unsyncedBytes;
        const ended = this.#requests.syncing(clock.now());
        // Waiting for room counts as a sync that takes long: it is no progress.
        await meter.measure(() => this.#durable.whenRoom(() => volume.sync()));
        this.#unsyncedBytes -= bytes;
        ended(clock.now());
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
    const taken = this.#parts.metadata.failed?.code === 'UNAVAILABLE';
    if (volume.failed === null && !isDisk(error) && !taken) {
      this.#fail(error);
      return;
    }
    logger.error({ error: String(error) }, 'the volume failed: nothing is written any more');
    this.#failed ??= `the volume of this replica failed: ${String(error)}`;
    this.halt(this.#failed);
  }

  #fail(error: unknown): void {
    this.halt(`this replica stopped on a broken rule: ${String(error)}`);
    this.#parts.crash(error);
  }
}

const isDisk = (error: unknown): boolean =>
  (error instanceof JournalError && error.code === 'DAMAGED') ||
  (error instanceof Error && error.name === 'DiskError');
