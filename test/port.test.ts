// A port that anybody can reach: garbage, crowds, callers that do not read, other versions; and the
// standard services that tools expect there.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import http2 from 'node:http2';
import { connect, type Socket } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { Client, credentials, Metadata, type ServiceError, status } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { service as healthService } from 'grpc-health-check';
import { silent } from '../io/logger.ts';
import { serverStream, unary } from '../io/network.ts';
import { nodeClock } from '../io/node.ts';
import { JournalError } from '../protocol/errors.ts';
import { lsn, micros } from '../protocol/types.ts';
import { fromWireError, wireErrorCodec } from '../transport/convert/errors.ts';
import { readStatusDetail } from '../transport/convert/status-details.ts';
import { type GrpcNetwork, grpcNetwork } from '../transport/grpc.ts';
import { DEFAULT_LIMITS } from '../transport/limits.ts';
import { journalMethods } from '../transport/methods.ts';
import type { SubscribeAnswer } from '../transport/public.ts';

const OPTIONS = { timeout: micros(5_000_000) };
const PIECE = new Uint8Array(64 * 1024);

let network: GrpcNetwork;
let address = '';
let pieces = 0;
const sockets: Socket[] = [];

before(async () => {
  network = grpcNetwork({
    clock: nodeClock,
    logger: silent,
    limits: { messageBytesMax: 100_000, keepAliveTimeout: micros(10_000_000) },
  });
  const tail = unary(journalMethods.tail, async () => ({
    tailLsn: lsn(5),
    endLsn: lsn(5),
    firstLsn: lsn(1),
    lineage: 1,
  }));
  const subscribe = serverStream(
    journalMethods.subscribe,
    async function* (): AsyncGenerator<SubscribeAnswer> {
      for (;;) {
        pieces += 1;
        yield {
          records: [{ lsn: lsn(pieces), timestampMicros: micros(1), data: PIECE }],
          nextLsn: lsn(pieces + 1),
          committedLsn: lsn(pieces),
          lineage: 1,
        };
      }
    },
  );
  address = (await network.serve('127.0.0.1:0', [tail, subscribe])).address;
});

after(async () => {
  for (const socket of sockets) socket.destroy();
  await network.close();
});

const port = (): number => Number(address.split(':')[1]);

async function open(): Promise<Socket> {
  const socket = connect(port(), '127.0.0.1');
  sockets.push(socket);
  socket.on('error', () => {});
  await new Promise<void>((resolve) => socket.once('connect', () => resolve()));
  return socket;
}

const answers = async (): Promise<void> => {
  const { tailLsn } = await network.call(
    address,
    journalMethods.tail,
    { journal: 'orders' },
    OPTIONS,
  );
  assert.equal(tailLsn, 5);
};

/** One call as a foreign client makes it: bytes to a path, with metadata. */
async function foreign(
  path: string,
  bytes: Uint8Array,
  metadata: Readonly<Record<string, string>> = {},
): Promise<ServiceError | Buffer> {
  const client = new Client(address, credentials.createInsecure());
  const sent = new Metadata();
  for (const [name, value] of Object.entries(metadata)) sent.set(name, value);
  const same = (value: Buffer): Buffer => value;
  try {
    return await new Promise((resolve) => {
      const deadline = Date.now() + 5_000;
      client.makeUnaryRequest(
        path,
        same,
        same,
        Buffer.from(bytes),
        sent,
        { deadline },
        (error, value) => resolve(error ?? value ?? Buffer.alloc(0)),
      );
    });
  } finally {
    client.close();
  }
}

function detailOf(answer: ServiceError | Buffer): JournalError {
  assert.ok(answer instanceof Error, 'the call was not refused');
  const [bytes] = answer.metadata.get('grpc-status-details-bin');
  assert.ok(bytes instanceof Buffer, 'the status has no details');
  const detail = readStatusDetail(bytes);
  assert.ok(detail !== undefined, 'the details hold no ErrorDetail');
  return fromWireError(wireErrorCodec.decode(detail));
}

const TAIL = '/journal.v1.Journal/Tail';
const orders = journalMethods.tail.request.encode({ journal: 'orders' });

describe('a port stays up', () => {
  test('under garbage', async () => {
    const preface = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';
    const noise = Buffer.from(Array.from({ length: 5_000 }, (_, index) => (index * 7919) % 256));
    const junk = [
      Buffer.from('GET / HTTP/1.1\r\nHost: x\r\n\r\n'),
      noise,
      Buffer.concat([Buffer.from(preface), noise]),
      Buffer.from(preface.slice(0, 9)),
    ];
    for (const bytes of junk) {
      const socket = await open();
      socket.write(bytes);
    }
    await setTimeout(200);
    await answers();
  });

  test('under a thousand idle connections', async () => {
    const crowd: Socket[] = [];
    for (let batch = 0; batch < 10; batch += 1) {
      crowd.push(...(await Promise.all(Array.from({ length: 100 }, open))));
    }
    assert.equal(crowd.length, 1_000);
    await answers();
    for (const socket of crowd) socket.destroy();
  });

  test('with callers that do not read, who are not sent more than fits', async () => {
    const before = pieces;
    const readers = Array.from({ length: 10 }, () =>
      network
        .stream(
          address,
          journalMethods.subscribe,
          { journal: 'orders', from: { kind: 'first' }, lineage: 0 },
          OPTIONS,
        )
        [Symbol.asyncIterator](),
    );
    await Promise.all(readers.map((reader) => reader.next()));
    let made = 0;
    for (let waited = 0; pieces - before > made; waited += 1) {
      assert.ok(waited < 20, 'the stalled streams go on');
      made = pieces - before;
      await setTimeout(500);
    }
    // A stream holds its bound, a window and what the reader's side has taken ahead.
    assert.ok(made < 10 * 70, `${made} pieces of 64 KiB were made for 10 stalled readers`);
    await answers();
    await Promise.all(readers.map((reader) => reader.return?.()));
  });
});

test('a sender may be a whole window ahead, not the 64 KiB of the library', async () => {
  const session = http2.connect(`http://${address}`);
  const [settings] = await once(session, 'remoteSettings');
  assert.equal(settings.initialWindowSize, DEFAULT_LIMITS.windowBytes);
  // The window of the connection as a whole is told by a frame of its own.
  for (let waited = 0; waited < 100; waited += 1) {
    if ((session.state.remoteWindowSize ?? 0) >= DEFAULT_LIMITS.windowBytes) break;
    await setTimeout(10);
  }
  assert.ok((session.state.remoteWindowSize ?? 0) >= DEFAULT_LIMITS.windowBytes);
  session.destroy();
});

describe('a caller of another kind', () => {
  test('that says no version is served', async () => {
    const answer = await foreign(TAIL, orders);
    assert.ok(answer instanceof Buffer);
    assert.equal(journalMethods.tail.response.decode(answer).tailLsn, 5);
  });

  test('of another version is told which one is spoken here', async () => {
    const answer = await foreign(TAIL, orders, { 'journal-protocol': '2' });
    const { code, message } = detailOf(answer);
    assert.equal(code, 'INCOMPATIBLE');
    assert.equal(message, 'journal-protocol is "2", allowed is "1"');
  });

  test('that sends no message of ours is refused by name', async () => {
    const { code } = detailOf(await foreign(TAIL, Buffer.from('not protobuf at all')));
    assert.equal(code, 'INVALID_ARGUMENT');
    const named = journalMethods.tail.request.encode({ journal: 'No Such Name' });
    const answer = await foreign(TAIL, named);
    assert.equal(answer instanceof Error && answer.code, status.INVALID_ARGUMENT);
    assert.match(detailOf(answer).message, /^journal name is "No Such Name", allowed is 1 to 63/);
  });

  test('that sends too large a message is refused', async () => {
    const answer = await foreign(TAIL, new Uint8Array(200_000));
    assert.equal(answer instanceof Error && answer.code, status.RESOURCE_EXHAUSTED);
    assert.match(String(answer), /200000 vs 100000/);
    const call = network.call(
      address,
      journalMethods.append,
      {
        journal: 'orders',
        records: [{ data: new Uint8Array(200_000) }],
        condition: { expectTail: null, expectKey: null, fence: null },
        keyOperation: 'tag',
        leaseMillis: 0,
        idempotence: null,
        tag: 0,
      },
      OPTIONS,
    );
    await assert.rejects(call, (error) => {
      assert.ok(error instanceof JournalError);
      assert.equal(error.code, 'INVALID_ARGUMENT');
      assert.match(error.message, /^message is 2000\d\d bytes, allowed is at most 100000 bytes/);
      return true;
    });
  });
});

describe('the standard services', () => {
  test('health says whether the process takes work', async () => {
    const { Check } = healthService;
    assert.ok(Check !== undefined);
    const { path, requestSerialize, responseDeserialize } = Check;
    const ask = async (service: string): Promise<unknown> => {
      const answer = await foreign(path, requestSerialize({ service }));
      return answer instanceof Error
        ? status[answer.code]
        : Reflect.get(responseDeserialize(answer), 'status');
    };
    assert.equal(await ask(''), 'SERVING');
    assert.equal(await ask('journal.v1.Journal'), 'SERVING');
    assert.equal(await ask('nobody'), 'NOT_FOUND');
    network.health.set(false);
    assert.equal(await ask('journal.v1.Journal'), 'NOT_SERVING');
    network.health.set(true);
    assert.equal(await ask(''), 'SERVING');
  });

  test('reflection names the services and describes them', async () => {
    const names = await reflected({ listServices: '' });
    assert.match(names, /journal\.v1\.Journal/);
    assert.match(names, /journal\.v1\.Cluster/);
    assert.match(names, /grpc\.health\.v1\.Health/);
    assert.doesNotMatch(names, /peer|control/);
    const file = await reflected({ fileContainingSymbol: 'journal.v1.Journal' });
    assert.match(file, /AppendRequest/);
  });
});

/** One question to the reflection service, and the text of its answer. */
async function reflected(question: object): Promise<string> {
  const folder = new URL('../node_modules/@grpc/reflection/build/proto/', import.meta.url);
  const loaded = loadSync('grpc/reflection/v1/reflection.proto', {
    includeDirs: [folder.pathname],
  });
  const definition = loaded['grpc.reflection.v1.ServerReflection'];
  assert.ok(definition !== undefined && 'ServerReflectionInfo' in definition);
  const { path, requestSerialize, responseDeserialize } =
    definition.ServerReflectionInfo as never as {
      path: string;
      requestSerialize(value: object): Buffer;
      responseDeserialize(bytes: Buffer): object;
    };
  const client = new Client(address, credentials.createInsecure());
  const call = client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize);
  call.write(question);
  call.end();
  let text = '';
  for await (const answer of call) {
    text += JSON.stringify(answer, (_key, value) =>
      value?.type === 'Buffer' ? Buffer.from(value.data).toString('latin1') : value,
    );
  }
  client.close();
  return text;
}
