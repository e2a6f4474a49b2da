// When a leader is told that its lease is over: by its own clock, whoever is silent meanwhile.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { silent } from '../io/logger.ts';
import type { Duplex, Method, Network } from '../io/network.ts';
import { nodeRandom } from '../io/node.ts';
import { DEFAULT_SETTINGS } from '../protocol/configuration.ts';
import { JournalError } from '../protocol/errors.ts';
import { epoch, lsn, micros, NO_LSN } from '../protocol/types.ts';
import { StillClock } from '../test/client/still-clock.ts';
import { chainOf, memberOf } from '../test/configurations.ts';
import { journalMethods } from '../transport/methods.ts';
import type {
  AppendCall,
  AppendStreamAnswer,
  JournalRecord,
  KeyAnswer,
} from '../transport/public.ts';
import { campaign } from './lead.ts';
import { learn, openRouting } from './routing.ts';

const LEASE_MILLIS = 3_000;
const head = memberOf('a');

/** One replica that takes every append at once, until nothing comes back from it any more. */
class Replica {
  readonly clock = new StillClock();
  readonly told: string[] = [];
  readonly sent: AppendCall[] = [];
  answers = true;
  /** What it says of the key: that nobody holds it. */
  key: Omit<KeyAnswer, 'key'> = { keyLsn: NO_LSN, tokenLsn: NO_LSN, leaseMillis: 0 };
  /** What it reads, whatever it is asked for. */
  record: JournalRecord | null = null;
  /** Appends are taken, and the answers lost. */
  mute = false;
  #lastLsn = 0;

  /** A campaign for a key that nobody holds, won at once. */
  async lead(marginMillis: number, signal: AbortSignal) {
    const routing = openRouting([head.address], null);
    learn(routing, chainOf(1, head));
    const { clock, network } = this;
    const seams = { clock, network, random: nodeRandom('lead'), logger: silent, routing };
    const won = campaign(
      { ...seams, hold: () => () => undefined },
      {
        journal: 'orders',
        key: 'worker',
        node: 'one',
        leaseMillis: LEASE_MILLIS,
        slackMillis: 0,
        timeoutMillis: 60_000,
        marginMillis,
        signal,
        applied: undefined,
        onEvent: (event) => this.told.push(event.kind === 'lost' ? event.reason : event.kind),
      },
    );
    await clock.pass(0);
    return won;
  }

  readonly network: Network = {
    call: (_address, method, _request, { timeout }) => {
      if (this.answers) return Promise.resolve(this.#answer(method));
      return new Promise((_, reject) => {
        const late = new JournalError('DEADLINE_EXCEEDED', 'nothing came');
        this.clock.after(timeout, () => reject(late));
      });
    },
    // cast: the only stream of a campaign is that of its appends.
    duplex: () => this.#duplex() as unknown as Duplex<never, never>,
    stream: () => {
      throw new Error('a campaign follows nothing');
    },
    serve: () => Promise.reject(new Error('a client serves nothing')),
    forget: () => undefined,
    close: () => Promise.resolve(),
  };

  #answer<Q, A>({ path, response }: Method<Q, A, 'unary'>): A {
    const { session, key, read } = journalMethods;
    if (path === read.path) {
      const records = this.record === null ? [] : [this.record];
      const about = { nextLsn: lsn(99), committedLsn: lsn(98), lineage: 1 };
      return response.decode(read.response.encode({ records, ...about }));
    }
    if (path === session.path) {
      const configuration = chainOf(1, head);
      const opened = { endLsn: NO_LSN, lineage: 1, settings: DEFAULT_SETTINGS, configuration };
      return response.decode(session.response.encode(opened));
    }
    return response.decode(key.response.encode({ key: 'worker', ...this.key }));
  }

  #duplex(): Duplex<AppendCall, AppendStreamAnswer> {
    const answers: AppendStreamAnswer[] = [];
    let ring = (): void => undefined;
    async function* incoming(): AsyncIterable<AppendStreamAnswer> {
      for (;;) {
        const answer = answers.shift();
        if (answer !== undefined) yield answer;
        else
          await new Promise<void>((resolve) => {
            ring = resolve;
          });
      }
    }
    return {
      send: (call) => {
        const { tag } = call;
        this.sent.push(call);
        if (!this.answers || this.mute) return true;
        this.#lastLsn += 1;
        const at = lsn(this.#lastLsn);
        const place = { firstLsn: at, lastLsn: at, timestampMicros: micros(1), epoch: epoch(1) };
        const answer = { tag, ...place, duplicate: false };
        answers.push({ kind: 'appended', answer });
        ring();
        return true;
      },
      drained: () => Promise.resolve(),
      incoming: incoming(),
      end: () => undefined,
      cancel: () => undefined,
    };
  }
}

// Whoever cannot be reached may lead by then: two would answer reads from what they have applied.
for (const margin of [0, 500]) {
  test(`who hears of nobody is told ${margin} ms before the end of its lease`, async () => {
    const replica = new Replica();
    const leadership = await replica.lead(margin, new AbortController().signal);
    // Renewed when a third of it is gone: it runs from then on.
    await replica.clock.pass(LEASE_MILLIS / 2);
    assert.deepEqual(replica.told, ['claimed', 'renewed']);
    replica.answers = false;
    await replica.clock.pass((LEASE_MILLIS * 5) / 6 - margin - 1);
    assert.deepEqual([leadership.lost.aborted, leadership.remainingMillis()], [false, margin + 1]);
    await replica.clock.pass(1);
    assert.deepEqual([leadership.lost.aborted, leadership.remainingMillis()], [true, margin]);
    assert.equal(leadership.lost.reason.code, 'FENCED');
    assert.deepEqual(replica.told, ['claimed', 'renewed', 'expired']);
  });
}

test('a claim expects the key, what follows carries the token, all of it the lineage', async () => {
  const replica = new Replica();
  const leadership = await replica.lead(0, new AbortController().signal);
  await replica.clock.pass(LEASE_MILLIS / 2);
  const released = leadership.release();
  await replica.clock.pass(0);
  await released;
  const expected = (at: number) => ({ expectKey: { key: 'worker', lsn: lsn(at) }, lineage: 1 });
  const fence = { key: 'worker', token: lsn(1) };
  assert.deepEqual(
    replica.sent.map(({ keyOperation, condition }) => [keyOperation, condition]),
    [
      ['claim', { expectTail: null, ...expected(0), fence: null }],
      ['renew', { expectTail: null, ...expected(1), fence }],
      ['release', { expectTail: null, expectKey: null, fence, lineage: 1 }],
    ],
  );
});

// Who takes another's claim for its own renews it, and both lead.
for (const [whose, at] of [
  ['another campaign of the same node', 5],
  ['this one, at a position that is not the token', 6],
] as const) {
  test(`after a lost answer a record of ${whose} is no claim of its own`, async () => {
    const replica = new Replica();
    replica.mute = true;
    const over = new AbortController();
    const ended = assert.rejects(replica.lead(0, over.signal), { code: 'CANCELLED' });
    await replica.clock.pass(LEASE_MILLIS / 2);
    const [claim] = replica.sent;
    assert.ok(claim !== undefined);
    const own = new TextDecoder().decode(claim.records[0]?.data);
    const text = at === 5 ? JSON.stringify({ ...JSON.parse(own), nonce: 'of another' }) : own;
    const data = new TextEncoder().encode(text);
    replica.record = { lsn: lsn(at), timestampMicros: micros(1), key: 'worker', data };
    replica.key = { keyLsn: lsn(5), tokenLsn: lsn(5), leaseMillis: LEASE_MILLIS };
    await replica.clock.pass(LEASE_MILLIS);
    assert.deepEqual(replica.told, ['waiting', 'waiting']);
    assert.ok(replica.sent.every(({ keyOperation }) => keyOperation === 'claim'));
    over.abort();
    await replica.clock.pass(LEASE_MILLIS);
    await ended;
  });
}
