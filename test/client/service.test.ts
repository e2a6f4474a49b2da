// A client that knows one address for all replicas, as of a Service, and meets one behind it that
// cannot help: it asks the others, too.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { after, before, beforeEach, describe, test } from 'node:test';
import { type Client, JournalError } from '../../client/index.ts';
import { House, type Housed } from '../replica/house.ts';
import { until } from '../replica/shepherd.ts';
import { open, text } from './kit.ts';

const TIMEOUT_MILLIS = 30_000;

/** Leads each new connection to the next of the addresses, from the first on. */
class Service {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #next = 0;

  private constructor(addresses: readonly string[]) {
    this.#server = createServer((near) => {
      const [host = '', port = ''] = (addresses[this.#next % addresses.length] ?? '').split(':');
      this.#next += 1;
      const far = connect(Number(port), host);
      for (const socket of [near, far]) {
        this.#sockets.add(socket);
        socket.on('error', () => socket.destroy());
        socket.on('close', () => {
          this.#sockets.delete(socket);
          (socket === near ? far : near).destroy();
        });
      }
      near.pipe(far).pipe(near);
    });
  }

  static async open(addresses: readonly string[]): Promise<Service> {
    const service = new Service(addresses);
    service.#server.listen(0, '127.0.0.1');
    await once(service.#server, 'listening');
    return service;
  }

  get address(): string {
    const bound = this.#server.address();
    return typeof bound === 'object' && bound !== null ? `127.0.0.1:${bound.port}` : '';
  }

  /** The next connection is the first one again. */
  rewind(): void {
    this.#next = 0;
  }

  close(): void {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
  }
}

describe('a Service whose first replica is no member, and no controller is left', () => {
  let house: House;
  let service: Service;
  let member: Housed;
  let stranger: Housed;

  before(async () => {
    house = await House.open();
    [member, stranger] = await Promise.all([house.start('a'), house.start('b')]);
    const { journal } = house.shepherd.create('orders', [member.sheep]);
    await until('it is served', () => member.sheep.reports.get(journal)?.synced === true);
    await house.append(member, 'orders', ['one']);
    await house.shepherd.close();
    service = await Service.open([stranger.replica.address, member.replica.address]);
  });
  after(async () => {
    service?.close();
    await house?.close();
  });
  beforeEach(() => service.rewind());

  async function asked<T>(ask: (client: Client) => Promise<T>): Promise<T> {
    await using client = open([service.address], { timeoutMillis: TIMEOUT_MILLIS });
    return await ask(client);
  }

  test('an append is taken', async () => {
    const { lastLsn } = await asked((client) => client.journal('orders').append('two'));
    assert.ok(lastLsn > 1);
  });

  test('the tail is told', async () => {
    const { tailLsn } = await asked((client) => client.journal('orders').tail());
    assert.ok(tailLsn > 0);
  });

  test('a subscription brings the records', async () => {
    const first = await asked(async (client) => {
      const options = { from: 1, limit: 1, timeoutMillis: TIMEOUT_MILLIS };
      for await (const record of client.journal('orders').subscribe(options)) return text(record);
      return undefined;
    });
    assert.equal(first, 'one');
  });

  test('a journal that nobody has heard of is not said to be missing', async () => {
    const soon = { timeoutMillis: 4_000 };
    const asking = asked((client) => client.journal('nobodys').tail(soon));
    await assert.rejects(asking, (error) => {
      assert.ok(error instanceof JournalError);
      assert.match(error.code, /^(?:UNAVAILABLE|DEADLINE_EXCEEDED)$/);
      return true;
    });
  });
});
