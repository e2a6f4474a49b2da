// A session whose head falls silent: how soon it hears from others who leads now.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { silent } from '../io/logger.ts';
import type { Duplex, Method, Network } from '../io/network.ts';
import { nodeRandom } from '../io/node.ts';
import { NO_CONDITION } from '../protocol/chain/messages.ts';
import { DEFAULT_SETTINGS } from '../protocol/configuration.ts';
import { JournalError } from '../protocol/errors.ts';
import { epoch, lsn, micros, NO_LSN } from '../protocol/types.ts';
import { StillClock } from '../test/client/still-clock.ts';
import { chainOf, memberOf } from '../test/configurations.ts';
import { journalMethods } from '../transport/methods.ts';
import type { AppendCall, AppendStreamAnswer, SessionAnswer } from '../transport/public.ts';
import { learn, openRouting } from './routing.ts';
import { Session } from './session.ts';
import { Deadline } from './waiting.ts';

const [a, b, c] = [memberOf('a'), memberOf('b'), memberOf('c')];
const before = chainOf(1, a, b, c);
const then = chainOf(2, b, c);

/** Of a nothing comes back once it is silent; the others say who leads, and b answers appends. */
class World {
  readonly clock = new StillClock();
  now = before;
  aIsSilent = false;

  readonly network: Network = {
    call: (address, method, _request, { timeout }) => {
      if (address !== a.address || !this.aIsSilent) return Promise.resolve(this.#session(method));
      return new Promise((_, reject) => {
        const late = new JournalError('DEADLINE_EXCEEDED', 'nothing came');
        this.clock.after(timeout, () => reject(late));
      });
    },
    // cast: the only stream of a session is that of its appends.
    duplex: (address) => this.#duplex(address) as unknown as Duplex<never, never>,
    stream: () => {
      throw new Error('a session reads nothing');
    },
    serve: () => Promise.reject(new Error('a client serves nothing')),
    forget: () => undefined,
    close: () => Promise.resolve(),
  };

  #session<Q, A>(method: Method<Q, A, 'unary'>): A {
    const answer: SessionAnswer = {
      endLsn: NO_LSN,
      lineage: 1,
      settings: DEFAULT_SETTINGS,
      configuration: this.now,
    };
    return method.response.decode(journalMethods.session.response.encode(answer));
  }

  #duplex(address: string): Duplex<AppendCall, AppendStreamAnswer> {
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
      send: ({ tag }) => {
        const [firstLsn, timestampMicros] = [lsn(1), micros(1)];
        const rest = { epoch: epoch(2), duplicate: false };
        const answer = { tag, firstLsn, lastLsn: firstLsn, timestampMicros, ...rest };
        if (address === b.address) answers.push({ kind: 'appended', answer });
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

test('a head that is silent delays nobody in hearing of the next one', async () => {
  const world = new World();
  const { clock, network } = world;
  const routing = openRouting(
    [a, b, c].map(({ address }) => address),
    null,
  );
  learn(routing, before);
  const seams = { clock, network, random: nodeRandom('watch'), logger: silent };
  const session = new Session({ ...seams, routing, hold: () => () => undefined }, 'orders');
  let landed = false;
  const submission = {
    records: [{ data: new Uint8Array([1]) }],
    bytes: 33,
    condition: NO_CONDITION,
    keyOperation: 'tag',
    leaseMillis: 0,
    chosen: null,
  } as const;
  const deadline = new Deadline(clock, 60_000);
  void session.append(submission, deadline).then(() => {
    landed = true;
  });
  await clock.pass(1);
  world.aIsSilent = true;
  await clock.pass(600);
  assert.equal(landed, false);
  world.now = then;
  await clock.pass(300);
  assert.equal(landed, true, 'another member knew, and was not asked in 300 ms');
  deadline.close();
  session.close();
});
