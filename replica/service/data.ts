// The public service of one replica, as far as it concerns the records of a journal. What needs the
// head is refused elsewhere with the configuration, so that the client goes there.

import type { Clock } from '../../io/clock.ts';
import {
  bidiStream,
  type CallContext,
  type Handler,
  serverStream,
  unary,
} from '../../io/network.ts';
import { openingLsn } from '../../protocol/chain/state.ts';
import { MIB } from '../../protocol/configuration.ts';
import { JournalError } from '../../protocol/errors.ts';
import { journalMethods } from '../../transport/methods.ts';
import type {
  CursorsAnswer,
  JournalDescription,
  KeyAnswer,
  KeyRequest,
  Named,
  Nothing,
  ReadAnswer,
  ReadRequest,
  SessionAnswer,
  SetCursorRequest,
  SubscribeAnswer,
  SubscribeRequest,
  TailAnswer,
  TrimAnswer,
  TrimRequest,
} from '../../transport/public.ts';
import type { Host } from '../drive/host.ts';
import type { ReplicaMetrics } from '../metrics.ts';
import type { Access } from './access.ts';
import type { Appends } from './append.ts';
import type { Asker } from './ask.ts';
import type { Directory } from './directory.ts';
import type { Reader } from './reader.ts';
import { notServed, type Subscriptions } from './subscribe.ts';

const READ_RECORDS_MAX = 10_000;
const READ_BYTES_MAX = 8 * MIB;

export interface DataParts {
  readonly clock: Clock;
  readonly access: Access;
  readonly asker: Asker;
  readonly directory: Directory;
  readonly reader: Reader;
  readonly appends: Appends;
  readonly subscriptions: Subscriptions;
  readonly metrics: Pick<ReplicaMetrics, 'moved'>;
}

export function dataHandlers(parts: DataParts): readonly Handler[] {
  const { appends } = parts;
  const service = new DataService(parts);
  return [
    unary(journalMethods.append, (call, context) => appends.one(call, context)),
    bidiStream(journalMethods.appendStream, (stream, context) => appends.stream(stream, context)),
    unary(journalMethods.session, (request, context) => service.session(request, context)),
    unary(journalMethods.read, (request, context) => service.read(request, context)),
    serverStream(journalMethods.subscribe, (request, context) =>
      service.subscribe(request, context),
    ),
    unary(journalMethods.tail, (request, context) => service.tail(request, context)),
    unary(journalMethods.trim, (request, context) => service.trim(request, context)),
    unary(journalMethods.setCursor, (request, context) => service.setCursor(request, context)),
    unary(journalMethods.cursors, (request, context) => service.cursors(request, context)),
    unary(journalMethods.key, (request, context) => service.key(request, context)),
    unary(journalMethods.forgetKey, (request, context) => service.forgetKey(request, context)),
    unary(journalMethods.describeJournal, (request, context) => service.describe(request, context)),
  ];
}

class DataService {
  readonly #parts: DataParts;

  constructor(parts: DataParts) {
    this.#parts = parts;
  }

  /** The journal, where this replica is a member of it and the caller may do so. */
  #host(name: string, context: CallContext, role: 'read' | 'append' | 'admin'): Promise<Host> {
    this.#parts.access(context, role, name);
    return this.#parts.directory.host(name);
  }

  async session({ journal }: Named, context: CallContext): Promise<SessionAnswer> {
    const host = await this.#host(journal, context, 'append');
    const { state, lineage } = host;
    const configuration = host.known ?? state.record?.configuration;
    if (configuration === undefined) throw notServed(host);
    return { endLsn: openingLsn(state), lineage, settings: state.settings, configuration };
  }

  async read(request: ReadRequest, context: CallContext): Promise<ReadAnswer> {
    this.#parts.access(context, 'read', request.journal);
    return await readRecords(this.#parts, request, context.signal);
  }

  async *subscribe(
    request: SubscribeRequest,
    context: CallContext,
  ): AsyncIterable<SubscribeAnswer> {
    const host = await this.#host(request.journal, context, 'read');
    if (!host.readable) throw notServed(host);
    yield* this.#parts.subscriptions.follow(host, request, context.signal);
  }

  async tail({ journal }: Named, context: CallContext): Promise<TailAnswer> {
    const host = await this.#host(journal, context, 'read');
    const body = { kind: 'readIndex' } as const;
    const proof = await this.#parts.asker.ask(host, body, 'readIndex', context.signal);
    return {
      tailLsn: proof.dataLsn,
      endLsn: proof.committedLsn,
      firstLsn: host.firstLsn,
      lineage: host.lineage,
    };
  }

  async trim({ journal, through, force }: TrimRequest, context: CallContext): Promise<TrimAnswer> {
    // What a cursor holds is still wanted by somebody else.
    if (force) this.#parts.access(context, 'admin', journal);
    const host = await this.#host(journal, context, 'append');
    const body = { kind: 'trim', through, force } as const;
    const { firstLsn } = await this.#parts.asker.ask(host, body, 'applied', context.signal);
    return { firstLsn };
  }

  async setCursor(request: SetCursorRequest, context: CallContext): Promise<Nothing> {
    const { journal, ...cursor } = request;
    const host = await this.#host(journal, context, 'read');
    await this.#parts.asker.ask(host, { kind: 'cursor', ...cursor }, 'applied', context.signal);
    return {};
  }

  async cursors({ journal }: Named, context: CallContext): Promise<CursorsAnswer> {
    const host = await this.#host(journal, context, 'read');
    const body = { kind: 'cursors' } as const;
    const { cursors } = await this.#parts.asker.ask(host, body, 'cursors', context.signal);
    return { cursors };
  }

  async key({ journal, key }: KeyRequest, context: CallContext): Promise<KeyAnswer> {
    const host = await this.#host(journal, context, 'read');
    const { kind: _, ...state } = await this.#parts.asker.ask(
      host,
      { kind: 'key', key },
      'key',
      context.signal,
    );
    return state;
  }

  async forgetKey({ journal, key }: KeyRequest, context: CallContext): Promise<Nothing> {
    const host = await this.#host(journal, context, 'append');
    await this.#parts.asker.ask(host, { kind: 'forget', key }, 'applied', context.signal);
    return {};
  }

  async describe({ journal }: Named, context: CallContext): Promise<JournalDescription> {
    const { asker } = this.#parts;
    const { signal } = context;
    const host = await this.#host(journal, context, 'read');
    const configuration = host.state.record?.configuration ?? host.known;
    if (configuration === null) throw notServed(host);
    const { cursors } = await asker.ask(host, { kind: 'cursors' }, 'cursors', signal);
    const proof = await asker.ask(host, { kind: 'readIndex' }, 'readIndex', signal);
    return {
      configuration,
      firstLsn: host.firstLsn,
      tailLsn: proof.dataLsn,
      committedLsn: proof.committedLsn,
      bytes: host.log.bytes,
      cursors,
    };
  }
}

type ReadParts = Pick<DataParts, 'asker' | 'reader' | 'directory' | 'metrics'>;

/** A read for somebody whose right to it was looked at before. */
export async function readRecords(
  { asker, reader, directory, metrics }: ReadParts,
  request: ReadRequest,
  signal: AbortSignal,
): Promise<ReadAnswer> {
  const limit = within('limit', request.limit, 1, READ_RECORDS_MAX);
  const bytesMax = within('bytesMax', request.bytesMax, 1, READ_BYTES_MAX);
  const host = await directory.host(request.journal);
  if (request.linearizable) {
    const proof = await asker.ask(host, { kind: 'readIndex' }, 'readIndex', signal);
    await asker.committed(host, proof.committedLsn, signal);
  }
  if (!host.readable) throw notServed(host);
  const { lineage } = host;
  const from = await reader.start(host, request.from, signal);
  const { records, nextLsn, bytes } = await reader.read(host, from, limit, bytesMax);
  // A lineage that changed while this was read may have replaced what was read.
  if (host.lineage !== lineage || !host.readable) throw notServed(host);
  metrics.moved('out', records.length, bytes);
  return { records, nextLsn, committedLsn: host.committedLsn, lineage };
}

/** Zero asks for as much as is allowed. */
function within(field: string, given: number, min: number, max: number): number {
  if (given === 0) return max;
  if (Number.isSafeInteger(given) && given >= min) return Math.min(given, max);
  throw new JournalError(
    'INVALID_ARGUMENT',
    `${field} is ${given}, allowed is a whole number from ${min}`,
  );
}
