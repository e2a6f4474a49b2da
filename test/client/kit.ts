// What the tests of the SDK share: clients, and networks from which nothing comes back.

import {
  type Client,
  type ClientSeams,
  connectWith,
  type Journal,
  JournalError,
} from '../../client/index.ts';
import { silent } from '../../io/logger.ts';
import type { Network } from '../../io/network.ts';
import { nodeClock, nodeRandom } from '../../io/node.ts';
import { grpcNetwork } from '../../transport/grpc.ts';
import type { House, Housed } from '../replica/house.ts';
import { until } from '../replica/shepherd.ts';

export const text = ({ data }: { readonly data: Uint8Array }): string =>
  new TextDecoder().decode(data);

export const refused = (code: string, outcome: 'none' | 'unknown') => (error: unknown) =>
  error instanceof JournalError && error.code === code && error.outcome === outcome;

/** A network on which nothing comes back from some addresses, though all that is sent arrives. */
export function mutable(
  muted: ReadonlySet<string>,
  sent: (message: unknown) => void = () => {},
): Network {
  const network = grpcNetwork({ clock: nodeClock, logger: silent });
  async function* heard<A>(address: string, answers: AsyncIterable<A>): AsyncIterable<A> {
    for await (const answer of answers) if (!muted.has(address)) yield answer;
  }
  return {
    async call(address, method, request, options) {
      const answer = await network.call(address, method, request, options);
      if (!muted.has(address)) return answer;
      await new Promise((resolve) => setTimeout(resolve, options.timeout / 1_000));
      throw new JournalError('DEADLINE_EXCEEDED', 'nothing came', {}, 'unknown');
    },
    stream: (address, ...rest) => heard(address, network.stream(address, ...rest)),
    duplex(address, ...rest) {
      const duplex = network.duplex(address, ...rest);
      return {
        send(message) {
          sent(message);
          return duplex.send(message);
        },
        drained: () => duplex.drained(),
        incoming: heard(address, duplex.incoming),
        end: () => duplex.end(),
        cancel: () => duplex.cancel(),
      };
    },
    serve: (...rest) => network.serve(...rest),
    forget: (address) => network.forget(address),
    close: () => network.close(),
  };
}

/** A network that counts the streams that nobody has given up. */
export function counted(streams: { open: number }): Network {
  const network = grpcNetwork({ clock: nodeClock, logger: silent });
  return {
    call: (...rest) => network.call(...rest),
    stream: (...rest) => network.stream(...rest),
    duplex(...args) {
      const duplex = network.duplex(...args);
      streams.open += 1;
      const cancel = (): void => {
        streams.open -= 1;
        duplex.cancel();
      };
      return { ...duplex, cancel };
    },
    serve: (...rest) => network.serve(...rest),
    forget: (address) => network.forget(address),
    close: () => network.close(),
  };
}

/** A network whose streams bring every answer late. */
export function delayed(millis: number): Network {
  const network = grpcNetwork({ clock: nodeClock, logger: silent });
  async function* late<A>(answers: AsyncIterable<A>): AsyncIterable<A> {
    for await (const answer of answers) {
      await new Promise((resolve) => setTimeout(resolve, millis));
      yield answer;
    }
  }
  return {
    call: (...rest) => network.call(...rest),
    stream: (...rest) => network.stream(...rest),
    duplex(...args) {
      const duplex = network.duplex(...args);
      return {
        send: (message) => duplex.send(message),
        drained: () => duplex.drained(),
        incoming: late(duplex.incoming),
        end: () => duplex.end(),
        cancel: () => duplex.cancel(),
      };
    },
    serve: (...rest) => network.serve(...rest),
    forget: (address) => network.forget(address),
    close: () => network.close(),
  };
}

export function open(endpoints: readonly string[], more: Partial<ClientSeams> = {}): Client {
  return connectWith({
    clock: nodeClock,
    random: nodeRandom(),
    network: grpcNetwork({ clock: nodeClock, logger: silent }),
    endpoints,
    ...more,
  });
}

/** A new journal of one replica, once that is its head. */
export async function journalOf(
  { shepherd }: House,
  { sheep }: Housed,
  name: string,
  client: Client,
): Promise<Journal> {
  const { journal: id } = shepherd.create(name, [sheep]);
  await until(`${name} has its head`, () => sheep.reports.get(id)?.live === true);
  return client.journal(name);
}
