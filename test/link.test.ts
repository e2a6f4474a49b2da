// Links over the real network: order, what breaks them, and how they come back.

import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { silent } from '../io/logger.ts';
import { bidiStream, type Listener, type Network } from '../io/network.ts';
import { nodeClock, nodeRandom } from '../io/node.ts';
import type { JournalError } from '../protocol/errors.ts';
import { epoch, journalId, lsn, micros, storeId } from '../protocol/types.ts';
import { grpcNetwork } from '../transport/grpc.ts';
import {
  acceptLinks,
  type ChainFrame,
  type Link,
  openLink,
  type PeerHello,
} from '../transport/link.ts';
import { peerMethods } from '../transport/methods.ts';
import { cableTo } from './network/cable.ts';
import { freePorts } from './processes/ports.ts';

const networks: Network[] = [];
const links: Link[] = [];

after(async () => {
  for (const link of links) link.close();
  await Promise.all(networks.map((network) => network.close()));
});

function network(): Network {
  const made = grpcNetwork({ clock: nodeClock, logger: silent });
  networks.push(made);
  return made;
}

const hello = (store: string, incarnation = 1, cluster = 'c'): PeerHello => ({
  kind: 'hello',
  cluster,
  featureLevelMin: 1,
  featureLevelMax: 2,
  from: { store: storeId(store.repeat(32)), incarnation },
  address: '127.0.0.1:1',
});

const frame = (number: number, bytes = 0): ChainFrame => ({
  kind: 'chain',
  message: {
    journal: journalId('0'.repeat(32)),
    lineage: 1,
    epoch: epoch(1),
    from: { store: storeId('a'.repeat(32)), incarnation: 1 },
    body: {
      kind: 'replicate',
      startLsn: lsn(1),
      previousLsn: lsn(number),
      previousEpoch: epoch(1),
      batches: bytes === 0 ? [] : [new Uint8Array(bytes)],
      committedLsn: lsn(0),
      barrier: 0,
    },
  },
});

const numberOf = ({ message: { body } }: ChainFrame): number =>
  body.kind === 'replicate' ? body.previousLsn : -1;

interface Acceptor {
  readonly address: string;
  readonly listener: Listener;
  /** Numbers of the frames that came, one list a link. */
  readonly heard: number[][];
  readonly ups: PeerHello[];
  readonly downs: PeerHello[];
}

async function acceptor(options: {
  readonly at?: string;
  readonly mine?: PeerHello;
  readonly hold?: Promise<void>;
}): Promise<Acceptor> {
  const heard: number[][] = [];
  const ups: PeerHello[] = [];
  const downs: PeerHello[] = [];
  const handle = acceptLinks({
    clock: nodeClock,
    hello: () => options.mine ?? hello('b'),
    onUp: (peer) => {
      ups.push(peer);
      heard.push([]);
    },
    onDown: (peer) => downs.push(peer),
    onFrame: async (frame) => {
      await options.hold;
      if (frame.kind === 'chain') heard.at(-1)?.push(numberOf(frame));
    },
  });
  const handlers = [bidiStream(peerMethods.link, handle)];
  const listener = await network().serve(options.at ?? '127.0.0.1:0', handlers);
  return { address: listener.address, listener, heard, ups, downs };
}

interface Dialler {
  readonly link: Link;
  readonly ups: PeerHello[];
  readonly downs: JournalError[];
}

function dial(address: string, mine = hello('a'), bytesBound = 1_000_000): Dialler {
  const ups: PeerHello[] = [];
  const downs: JournalError[] = [];
  const link = openLink({
    network: network(),
    clock: nodeClock,
    random: nodeRandom('link'),
    logger: silent,
    address,
    hello: () => mine,
    onUp: (peer) => ups.push(peer),
    onDown: (reason) => downs.push(reason),
    bytesBound,
  });
  links.push(link);
  return { link, ups, downs };
}

async function until(holds: () => boolean, what: string, millis = 3_000): Promise<number> {
  const begun = performance.now();
  while (!holds()) {
    assert.ok(performance.now() - begun < millis, `not within ${millis} ms: ${what}`);
    await setTimeout(5);
  }
  return performance.now() - begun;
}

describe('a link', () => {
  test('says who is who, then brings every frame in order', async () => {
    const there = await acceptor({});
    const here = dial(there.address);
    assert.equal(here.link.send(frame(1)), false, 'nothing is sent before it is up');
    await until(() => here.link.up, 'up');
    assert.deepEqual(here.ups, [hello('b')]);
    assert.deepEqual(there.ups, [hello('a')]);
    for (let number = 1; number <= 2_000; number += 1) {
      if (!(await here.link.writable())) assert.fail('the link broke');
      assert.ok(here.link.send(frame(number, 1_000)));
    }
    await until(() => there.heard[0]?.length === 2_000, 'all frames');
    assert.deepEqual(
      there.heard[0],
      Array.from({ length: 2_000 }, (_, index) => index + 1),
    );
  });

  test('breaks when too much waits, with a gap only at the end, and comes back', async () => {
    let open = (): void => {};
    const hold = new Promise<void>((resolve) => {
      open = resolve;
    });
    const there = await acceptor({ hold });
    const here = dial(there.address);
    await until(() => here.link.up, 'up');
    let sent = 0;
    while (here.link.send(frame(sent + 1, 100_000))) {
      sent += 1;
      assert.ok(sent < 1_000, 'the bound holds nobody back');
      if (sent % 10 === 0) await setTimeout(1);
    }
    assert.equal(here.downs.length, 1);
    assert.match(here.downs[0]?.message ?? '', /more than 1000000 bytes wait/);
    open();
    await until(() => here.ups.length === 2, 'a new link');
    const [first = []] = there.heard;
    assert.deepEqual(
      first,
      first.map((_, index) => index + 1),
    );
    await until(() => here.link.send(frame(7)), 'a frame on the new link');
    await until(() => there.heard.at(-1)?.at(-1) === 7, 'the new frame');
  });

  test('comes back soon after its peer does', async () => {
    // Nobody else is given it while nobody listens at it.
    const there = await acceptor({ at: `127.0.0.1:${await freePorts(1)}` });
    const here = dial(there.address);
    await until(() => here.link.up, 'up');
    await there.listener.close(micros(0));
    await until(() => here.downs.length === 1, 'down');
    await setTimeout(1_500);
    await acceptor({ at: there.address });
    const took = await until(() => here.ups.length === 2, 'up again');
    assert.ok(took < 1_600, `it took ${took} ms`);
  });

  test('notices soon that its peer went silent', async () => {
    const there = await acceptor({});
    const cable = await cableTo(there.address);
    try {
      const here = dial(cable.address);
      await until(() => here.link.up, 'up');
      cable.silence();
      const took = await until(() => here.downs.length === 1, 'down');
      // Alone on a machine about 0.8 s.
      assert.ok(took < 3_000, `it took ${took} ms`);
    } finally {
      cable.close();
    }
  });

  test('of another cluster, level or an older start is refused', async () => {
    const there = await acceptor({});
    const wrong = dial(there.address, hello('a', 1, 'other'));
    const old = dial(there.address, { ...hello('a'), featureLevelMin: 7, featureLevelMax: 9 });
    await setTimeout(300);
    assert.deepEqual([wrong.ups, old.ups, there.ups], [[], [], []]);
    const newer = dial(there.address, hello('a', 2));
    await until(() => newer.link.up, 'the newer start');
    const older = dial(there.address, hello('a', 1));
    await setTimeout(300);
    assert.deepEqual(older.ups, []);
    assert.ok(newer.link.up);
  });

  test('takes the place of an older one from the same store', async () => {
    const there = await acceptor({});
    const first = dial(there.address, hello('a', 1));
    await until(() => first.link.up, 'the first');
    const second = dial(there.address, hello('a', 2));
    await until(() => second.link.up && first.downs.length === 1, 'the second');
    assert.deepEqual(there.downs, [], 'the peer was linked all the time');
    second.link.close();
    await until(() => there.downs.length === 1, 'the peer is gone');
  });
});
