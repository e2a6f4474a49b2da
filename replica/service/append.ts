// Appends: checked at the edge before anything is written, one by one or pipelined on a stream.

import type { CallContext, Duplex } from '../../io/network.ts';
import { encodeBody } from '../../log/batch.ts';
import type { AppendRequest } from '../../protocol/chain/messages.ts';
import { recall } from '../../protocol/chain/tables.ts';
import { type JournalSettings, KEY_BYTES_LIMIT, MIB } from '../../protocol/configuration.ts';
import { JournalError } from '../../protocol/errors.ts';
import { toWireError } from '../../transport/convert/errors.ts';
import type {
  AppendAnswer,
  AppendCall,
  AppendStreamAnswer,
  UnreadableAppend,
} from '../../transport/public.ts';
import type { Host } from '../drive/host.ts';
import type { ReplicaMetrics } from '../metrics.ts';
import type { Room } from '../room.ts';
import { Bell } from '../wait.ts';
import type { Access } from './access.ts';
import type { Asker } from './ask.ts';
import type { Directory } from './directory.ts';

/** What one stream may have under way. */
const STREAM_APPENDS_MAX = 4_096;
const STREAM_BYTES_MAX = 16 * MIB;

export interface AppendParts {
  readonly asker: Asker;
  readonly directory: Directory;
  readonly room: Pick<Room, 'refusing'>;
  readonly metrics: ReplicaMetrics;
  readonly access: Access;
  /** Why a journal takes no append now: it is over its size and a cursor holds it; or null. */
  refusing(host: Host): JournalError | null;
}

export class Appends {
  readonly #parts: AppendParts;

  constructor(parts: AppendParts) {
    this.#parts = parts;
  }

  async one(call: AppendCall, context: CallContext): Promise<AppendAnswer> {
    const { access, directory, metrics } = this.#parts;
    access(context, 'append', call.journal);
    try {
      const { journal, journalId } = call;
      const host = directory.here(journal, journalId) ?? (await directory.host(journal, journalId));
      return await this.#submit(host, call, context.signal);
    } catch (error) {
      if (error instanceof JournalError) metrics.refused(error.code);
      throw error;
    }
  }

  /** Taken in the order sent, answered in the order of completion; a refusal is an answer. */
  async stream(
    stream: Duplex<AppendStreamAnswer, AppendCall | UnreadableAppend>,
    context: CallContext,
  ): Promise<void> {
    const under = new UnderWay();
    for await (const call of stream.incoming) {
      const bytes = 'unreadable' in call ? 0 : bytesOf(call);
      await under.enter(bytes);
      // Only a journal that is not served here is waited for, so the order sent is kept.
      const answering = this.#answer(call, context)
        .then(
          (answer) => stream.send({ kind: 'appended', answer }),
          (error: unknown) => stream.send(refused(call.tag, error)),
        )
        .then((roomy) => (roomy ? undefined : stream.drained()));
      // A stream that broke shows in `incoming`; nobody is left to hear the answer.
      void answering.catch(() => undefined).then(() => under.leave(bytes));
    }
    await under.empty();
    stream.end();
  }

  #answer(call: AppendCall | UnreadableAppend, context: CallContext): Promise<AppendAnswer> {
    if (!('unreadable' in call)) return this.one(call, context);
    this.#parts.metrics.refused(call.unreadable.code);
    return Promise.reject(call.unreadable);
  }

  async #submit(host: Host, call: AppendCall, signal: AbortSignal): Promise<AppendAnswer> {
    const { asker, room, refusing } = this.#parts;
    checkAppend(call, host.state.settings);
    const payload = encodeBody(call.records);
    const body: AppendRequest = {
      kind: 'append',
      count: payload.count,
      bodyCrc: payload.crc,
      bodyBytes: payload.bytes.length,
      keys: payload.keys,
      keyOperation: call.keyOperation,
      leaseMillis: call.leaseMillis,
      idempotence: call.idempotence,
      condition: call.condition,
    };
    const reason = refusing(host) ?? room.refusing(host, payload.bytes.length);
    if (reason !== null && !isThere(host, body)) throw reason;
    const reply = await asker.ask(host, body, 'appended', signal, { payload });
    const { firstLsn, lastLsn, timestamp: timestampMicros, epoch, duplicate } = reply;
    return { tag: call.tag, firstLsn, lastLsn, timestampMicros, epoch, duplicate };
  }
}

/** A retry of what is in the log takes no room: it gets its answer. */
const isThere = ({ state }: Host, body: AppendRequest): boolean =>
  body.idempotence !== null && recall(state.tables, body.idempotence, body).kind === 'same';

/** How much of one stream is under way: its sender is read from only while there is room. */
class UnderWay {
  readonly #bell = new Bell();
  #appends = 0;
  #bytes = 0;

  /** Every append ends, by its deadline at the latest, so a place is certain to come. */
  async enter(bytes: number): Promise<void> {
    while (
      this.#appends >= STREAM_APPENDS_MAX ||
      (this.#appends > 0 && this.#bytes + bytes > STREAM_BYTES_MAX)
    ) {
      await this.#bell.next();
    }
    this.#appends += 1;
    this.#bytes += bytes;
  }

  leave(bytes: number): void {
    this.#appends -= 1;
    this.#bytes -= bytes;
    this.#bell.ring();
  }

  async empty(): Promise<void> {
    while (this.#appends > 0) await this.#bell.next();
  }
}

function refused(tag: number, error: unknown): AppendStreamAnswer {
  const known =
    error instanceof JournalError
      ? error
      : new JournalError('INTERNAL', String(error), {}, 'unknown');
  return { kind: 'refused', tag, error: toWireError(known) };
}

const bytesOf = ({ records }: AppendCall): number =>
  records.reduce((sum, { data, key }) => sum + data.length + (key?.length ?? 0), 0);

/** What contradicts itself, or the journal's own settings, before anything is written. */
function checkAppend(call: AppendCall, settings: JournalSettings): void {
  const { records, keyOperation, leaseMillis } = call;
  if (leaseMillis > 0 && keyOperation !== 'claim' && keyOperation !== 'renew') {
    throw invalid('lease_millis', `${leaseMillis}`, `0 where key_operation is ${keyOperation}`);
  }
  if (keyOperation !== 'tag' && records.every(({ key }) => key === undefined)) {
    throw invalid('key_operation', keyOperation, 'tag where no record has a key');
  }
  if (records.length === 0) throw invalid('records', 'an empty batch', 'at least one record');
  let bytes = 0;
  for (const [at, { data, key }] of records.entries()) {
    bytes += data.length + (key?.length ?? 0);
    if (data.length > settings.recordBytesMax) {
      const allowed = `at most ${settings.recordBytesMax} bytes`;
      throw invalid(`records[${at}].data`, `${data.length} bytes`, allowed);
    }
    const keyBytes = key === undefined || key.length * 3 <= KEY_BYTES_LIMIT ? 0 : utf8(key);
    if (keyBytes > KEY_BYTES_LIMIT) {
      const allowed = `at most ${KEY_BYTES_LIMIT} bytes`;
      throw invalid(`records[${at}].key`, `${keyBytes} bytes`, allowed);
    }
  }
  if (bytes > settings.batchBytesMax) {
    throw invalid('records', `${bytes} bytes`, `at most ${settings.batchBytesMax} bytes a batch`);
  }
}

const utf8 = (text: string): number => new TextEncoder().encode(text).length;

function invalid(field: string, given: string, allowed: string): JournalError {
  return new JournalError('INVALID_ARGUMENT', `${field} is ${given}, allowed is ${allowed}`);
}
