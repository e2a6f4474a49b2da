// Messages and runs of the log leave in the order of the machine, whole, or the link is broken.

import assert from 'node:assert/strict';
import { beforeEach, describe, test } from 'node:test';
import { silent } from '../../io/logger.ts';
import { encodeBatch, encodeBody } from '../../log/batch.ts';
import type { JournalLog } from '../../log/log.ts';
import { memoryVolume } from '../../log/memory.ts';
import {
  after,
  type BatchHeader,
  epoch,
  journalId,
  lsn,
  memberId,
  micros,
  storeId,
  zone,
} from '../../protocol/types.ts';
import type { PeerFrame } from '../../transport/peer.ts';
import { type Forward, Outbox, type PeerLinks } from './outbox.ts';

const journal = journalId('1'.repeat(32));
const me = { store: storeId('a'.repeat(32)), incarnation: 1 };
const to = {
  store: storeId('b'.repeat(32)),
  incarnation: 1,
  id: memberId('b'),
  zone: zone('z'),
  address: 'b:1',
};

class Wire implements PeerLinks {
  readonly sent: string[] = [];
  readonly broken: string[] = [];
  up = true;
  open: () => void = () => {};
  #gate: Promise<void> = Promise.resolve();

  send(_: string, frame: PeerFrame): boolean {
    if (!this.up || frame.kind !== 'chain') return false;
    const { body } = frame.message;
    this.sent.push(
      body.kind === 'replicate'
        ? `${body.previousLsn}+${body.batches.length} c${body.committedLsn}`
        : body.kind,
    );
    return true;
  }

  hold(): void {
    this.#gate = new Promise((resolve) => {
      this.open = resolve;
    });
  }

  async writable(): Promise<boolean> {
    await this.#gate;
    return this.up;
  }

  /** Another link: what waits for the old one waits for ever. */
  renew(): void {
    this.#gate = Promise.resolve();
  }

  break(_: string, reason: string): void {
    this.broken.push(reason);
  }
}

const settle = () => new Promise((resolve) => setImmediate(resolve));

describe('an outbox', () => {
  let log: JournalLog;
  let wire: Wire;
  let outbox: Outbox;
  let now: { lineage: number; epoch: ReturnType<typeof epoch> };

  const append = (bytes: number): void => {
    const body = encodeBody([{ data: Buffer.alloc(bytes, 'x') }]);
    const header: BatchHeader = {
      journal,
      firstLsn: after(log.endLsn, 1),
      count: 1,
      epoch: epoch(1),
      timestamp: micros(log.endLsn + 1),
      kind: 'data',
      keyOperation: 'tag',
      leaseMillis: 0,
      idempotence: null,
      keys: [],
      control: null,
      bodyCrc: body.crc,
      bodyBytes: body.bytes.length,
    };
    log.append(encodeBatch(header, body.bytes, log.endCrc));
  };

  const run = (previous: number, through: number, committed = 0): Forward => ({
    kind: 'forward',
    to,
    previousLsn: lsn(previous),
    previousEpoch: epoch(previous === 0 ? 0 : 1),
    throughLsn: lsn(through),
    startLsn: lsn(0),
    committedLsn: lsn(committed),
    barrier: 0,
  });

  beforeEach(() => {
    log = memoryVolume().create(journal);
    wire = new Wire();
    now = { lineage: 1, epoch: epoch(1) };
    const source = {
      journal,
      log,
      me,
      logger: silent,
      standing: () => now,
      mend: async () => false,
    };
    outbox = new Outbox(source, to, wire);
  });

  test('joins runs that follow one another, and keeps messages behind them', async () => {
    for (let n = 0; n < 5; n += 1) append(10);
    wire.hold();
    outbox.forward(run(0, 2));
    outbox.forward(run(2, 4, 1));
    outbox.send({ kind: 'ack', entries: [] });
    outbox.forward(run(4, 5, 2));
    assert.deepEqual(wire.sent, []);
    wire.open();
    await settle();
    assert.deepEqual(wire.sent, ['0+4 c1', 'ack', '4+1 c2']);
  });

  test('cuts a long run into frames, in order, up to its end', async () => {
    for (let n = 0; n < 6; n += 1) append(100_000);
    outbox.forward(run(0, 5));
    await settle();
    assert.deepEqual(
      wire.sent.map((one) => Number(one.split('+')[0])),
      [...wire.sent.keys()].map((at) =>
        wire.sent.slice(0, at).reduce((sum, one) => sum + Number(one.split(/[+ ]/)[1]), 0),
      ),
    );
    const batches = wire.sent.reduce((sum, one) => sum + Number(one.split(/[+ ]/)[1]), 0);
    assert.equal(batches, 5);
    assert.ok(wire.sent.length > 1);
  });

  test('a run of nothing is a heartbeat', async () => {
    append(10);
    outbox.forward(run(1, 1, 1));
    await settle();
    assert.deepEqual(wire.sent, ['1+0 c1']);
  });

  test('what an older epoch or an older link had to say is not said', async () => {
    for (let n = 0; n < 3; n += 1) append(10);
    wire.hold();
    outbox.forward(run(0, 2));
    outbox.reset();
    outbox.forward(run(1, 2));
    now = { lineage: 1, epoch: epoch(2) };
    outbox.forward(run(2, 3));
    wire.open();
    await settle();
    assert.deepEqual(wire.sent, ['2+1 c0']);
  });

  test('a link that closed while it was full holds nothing up on the next one', async () => {
    for (let n = 0; n < 3; n += 1) append(10);
    wire.hold();
    outbox.forward(run(0, 2));
    await settle();
    outbox.reset();
    wire.renew();
    outbox.forward(run(2, 3));
    await settle();
    assert.deepEqual(wire.sent, ['2+1 c0']);
  });

  test('a run that cannot be read breaks the link', async () => {
    for (let n = 0; n < 4; n += 1) append(10);
    await log.trim(lsn(3));
    outbox.forward(run(1, 4));
    await settle();
    assert.deepEqual(wire.sent, []);
    assert.equal(wire.broken.length, 1);
  });
});
