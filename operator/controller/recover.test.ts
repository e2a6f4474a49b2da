// Registers that are built again from volumes: what counts of all that lies on them, whoever is
// read first, and which starts are given out afterwards.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { silent } from '../../io/logger.ts';
import { bidiStream, type Listener } from '../../io/network.ts';
import { nodeClock, nodeDisk, nodeRandom } from '../../io/node.ts';
import type { Floor } from '../../protocol/chain/messages.ts';
import { reportUnopened } from '../../protocol/chain/state.ts';
import {
  type Configuration,
  LINEAGE_EPOCH_STEP,
  type Member,
} from '../../protocol/configuration.ts';
import { JournalError } from '../../protocol/errors.ts';
import {
  epoch,
  type JournalId,
  journalId,
  lsn,
  micros,
  NO_EPOCH,
  zone,
} from '../../protocol/types.ts';
import { chainOf, memberOf } from '../../test/configurations.ts';
import { freePorts } from '../../test/processes/ports.ts';
import type { Pong, RegisterAnswer } from '../../transport/control.ts';
import { grpcNetwork } from '../../transport/grpc.ts';
import { controllerMethods, replicaMethods } from '../../transport/methods.ts';
import { type Controller, startController } from './controller.ts';
import { formatController } from './format.ts';
import { recoverControllers } from './recover.ts';
import { decodeConfiguration, decodeNode, journalKey, nodeKey } from './register/records.ts';
import {
  type ControllerAnswer,
  type ControllerRequest,
  decodeAnswer,
  encodeRequest,
} from './register/wire.ts';

const CLUSTER = 'c'.repeat(32);
const NOW = micros(0);
const EMPTY = { baseLsn: lsn(0), baseEpoch: NO_EPOCH, endLsn: lsn(0), runs: [] };
const timeout = micros(10_000_000);
const LONG = { timeout: 60_000 };

/** What a process that waits for its start tells of its volume. */
interface Volume {
  /** Its label and store; `incarnation` is the last one that was saved there. */
  readonly member: Member;
  readonly configurations: readonly Configuration[];
  readonly floors?: ReadonlyMap<JournalId, Floor>;
}

function pongOf({ member, configurations, floors }: Volume, address: string): Pong {
  const { store, incarnation, id, zone: place } = member;
  const levels = { featureLevelMin: 1, featureLevelMax: 1 };
  const process = { pid: 1, dataDirectory: '', version: 'test', sender: id };
  const micro = { syncAge: NOW, syncMedian: NOW, loopDelay: NOW, wall: NOW };
  const space = { diskFreeBytes: 0, diskTotalBytes: 0, full: '' };
  return {
    sequence: 1,
    hello: {
      ...levels,
      ...process,
      cluster: CLUSTER,
      store,
      incarnation: 0,
      lastIncarnation: incarnation,
      member: id,
      zone: place,
      address,
    },
    health: { ...micro, ...space, syncs: 0, probe: 0, failed: '', draining: false },
    reports: [...(floors ?? [])].map(([journal, floor]) => ({
      ...reportUnopened(journal, null, EMPTY),
      floor,
    })),
    gone: [],
    inventory: configurations,
  };
}

/** A controller that waits to be rebuilt, and volumes that answer whoever rebuilds it alone. */
class Ruin implements AsyncDisposable {
  readonly #root = mkdtempSync(join(tmpdir(), 'journal-recover-'));
  readonly #network = grpcNetwork({ clock: nodeClock, logger: silent });
  readonly #volumes: Listener[] = [];
  readonly #address: string;
  #controller: Controller | null = null;

  private constructor(address: string) {
    this.#address = address;
  }

  static async of(volumes: readonly Volume[], labels = 'xyz'): Promise<Ruin> {
    const ruin = new Ruin(`127.0.0.1:${await freePorts(1)}`);
    for (const volume of volumes) await ruin.#serve(volume);
    await ruin.#begin([...labels]);
    return ruin;
  }

  async #serve(volume: Volume): Promise<void> {
    const listener: Listener = await this.#network.serve('127.0.0.1:0', [
      bidiStream(replicaMethods.observe, async (stream) => {
        for await (const { hello, directives } of stream.incoming) {
          // With what a controller is told it would go on deciding.
          if (hello?.sender !== 'recover-controllers') return;
          assert.deepEqual(directives, [{ kind: 'inventory' }]);
          stream.send(pongOf(volume, listener.address));
        }
      }),
    ]);
    this.#volumes.push(listener);
  }

  async #begin(labels: readonly string[]): Promise<void> {
    const directory = join(this.#root, 'c1');
    const set = [{ id: 'c1', address: this.#address }];
    const grants = labels.map((label) => ({ member: label, zone: label }));
    const format = { cluster: CLUSTER, id: 'c1', set, grants, recovery: 'again' };
    await formatController(nodeDisk, directory, format);
    const config = { directory, listen: this.#address, advertise: '', zone: 'x', cluster: CLUSTER };
    this.#controller = await startController({
      clock: nodeClock,
      random: nodeRandom(),
      disk: nodeDisk,
      network: this.#network,
      logger: silent,
      config: { ...config, id: 'c1', pid: 1, version: 'test' },
    });
    await this.#controller.started;
  }

  rebuild(acceptLoss = false): Promise<readonly string[]> {
    const seams = { clock: nodeClock, random: nodeRandom(), network: this.#network };
    const members = this.#volumes.map(({ address }) => address);
    const request = { cluster: CLUSTER, controllers: [this.#address], members, acceptLoss };
    return recoverControllers({ ...seams, logger: silent }, request);
  }

  async ask(request: ControllerRequest): Promise<ControllerAnswer> {
    const message = { json: encodeRequest(CLUSTER, request) };
    const options = { timeout };
    const method = controllerMethods.acceptor;
    const { json } = await this.#network.call(this.#address, method, message, options);
    return decodeAnswer(json);
  }

  /** One acceptor is all of them: what it accepted is what was chosen. */
  async read(key: string): Promise<string> {
    const hello = await this.ask({ kind: 'hello' });
    assert.ok(hello.kind === 'hello' && hello.set !== null);
    const answer = await this.ask({
      kind: 'paxos',
      requests: [{ kind: 'read', set: hello.set, key }],
    });
    const [found] = answer.kind === 'paxos' ? answer.answers : [];
    assert.ok(found?.kind === 'state' && found.state.value !== null, `${key} is empty`);
    return found.state.value;
  }

  /** As a replica does it: after the start that it remembers, then after the one that is told. */
  async start(member: Member): Promise<RegisterAnswer> {
    const { store, id, zone: place, address } = member;
    const ask = (after: number) => {
      const body = { store, startId: 'mine', after, member: id, zone: place, address };
      const change = { kind: 'start', ...body } as const;
      return this.#network.call(this.#address, controllerMethods.change, change, { timeout });
    };
    const first = await this.#whenRebuilt(() => ask(member.incarnation));
    return first.kind === 'started' && first.startId !== 'mine'
      ? await ask(first.incarnation)
      : first;
  }

  /** It looks for what was rebuilt every now and then. */
  async #whenRebuilt<Answer>(ask: () => Promise<Answer>): Promise<Answer> {
    for (;;) {
      try {
        return await ask();
      } catch (error) {
        if (!(error instanceof JournalError) || error.code !== 'UNAVAILABLE') throw error;
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#controller?.close();
    await Promise.all(this.#volumes.map((one) => one.close(micros(0))));
    await this.#network.close();
    rmSync(this.#root, { recursive: true, force: true });
  }
}

const [x, y, z] = [memberOf('x', 4), memberOf('y', 4), memberOf('z', 4)];

/** The journal `letter` in a lineage and an epoch. */
const at = (
  letter: string,
  lineage: number,
  era: number,
  ...serving: readonly Member[]
): Configuration => ({
  ...chainOf(era, ...serving),
  journal: journalId(letter.repeat(32)),
  name: `journal-${letter}`,
  lineage,
});

test('of what lies on the volumes the newest counts, in whichever order', LONG, async () => {
  const later = (letter: string) => [at(letter, 1, 7, x, y), at(letter, 1, 9, y)] as const;
  // A loss was forced: the lineage counts, however far went what was given up.
  const forced = (letter: string) => [at(letter, 1, 900, x, y), at(letter, 2, 30, y)] as const;
  const [a, b, c, d] = [later('a'), later('b'), forced('c'), forced('d')];
  const onX = [a[0], b[1], c[0], d[1]];
  const onY = [a[1], b[0], c[1], d[0]];
  await using ruin = await Ruin.of([
    { member: x, configurations: onX },
    { member: y, configurations: onY },
  ]);
  assert.match((await ruin.rebuild()).join('\n'), /from 4 journals and 2 volumes/);
  for (const [, newest] of [a, b, c, d]) {
    const rebuilt = decodeConfiguration(await ruin.read(journalKey(newest.journal)));
    const raised = { lineage: newest.lineage + 1, epoch: newest.epoch + LINEAGE_EPOCH_STEP };
    assert.deepEqual(rebuilt, { ...newest, ...raised });
  }
  await assert.rejects(ruin.rebuild(), { code: 'ALREADY_EXISTS' });
});

test('what each disk acknowledged is known to the new controllers', LONG, async () => {
  const [a, b] = [at('a', 1, 9, x, y), at('b', 1, 7, x)];
  const floorOf = (era: number, end: number): Floor => ({
    epoch: epoch(era),
    lsn: lsn(end),
    entryEpoch: epoch(era - 1),
  });
  const [first, second, third] = [floorOf(9, 12), floorOf(7, 3), floorOf(9, 11)];
  await using ruin = await Ruin.of([
    {
      member: x,
      configurations: [a, b],
      floors: new Map([
        [a.journal, first],
        [b.journal, second],
      ]),
    },
    { member: y, configurations: [a], floors: new Map([[a.journal, third]]) },
  ]);
  await ruin.rebuild();
  const known = await ruin.ask({ kind: 'floors', journal: null });
  assert.deepEqual(known, {
    kind: 'floors',
    floors: [
      { journal: a.journal, store: x.store, floor: first },
      { journal: a.journal, store: y.store, floor: third },
      { journal: b.journal, store: x.store, floor: second },
    ],
  });
});

/** The old controllers, or a process that nobody read, may have taken as many. */
const UNKNOWN_STARTS = 1_000;

test('a start that nobody remembers is not given out once more', LONG, async () => {
  // The volume has started since the chain named it; of y only what the chain names is known.
  const onVolume = { ...x, incarnation: x.incarnation + 3 };
  const chain = at('a', 1, 9, x, y);
  await using ruin = await Ruin.of([{ member: onVolume, configurations: [chain] }]);
  await assert.rejects(ruin.rebuild(), { code: 'NO_SURVIVOR' });
  await ruin.rebuild(true);
  for (const last of [onVolume, y]) {
    const answer = await ruin.start(last);
    assert.ok(answer.kind === 'started' && answer.startId === 'mine', JSON.stringify(answer));
    const { incarnation } = answer;
    assert.ok(incarnation > last.incarnation + UNKNOWN_STARTS, `${last.id} is ${incarnation}`);
  }
});

test('of a store that was not read the newest word counts, too', LONG, async () => {
  // The volume of x was replaced, and y moved, while z was away: z has heard of neither.
  const replaced = { ...memberOf('w', 1), id: x.id, zone: zone('x') };
  const moved = { ...y, incarnation: y.incarnation + 1, address: '127.0.0.1:2' };
  const old = at('a', 1, 7, x, { ...y, address: '127.0.0.1:1' }, z);
  const newest = { ...at('a', 1, 9, memberOf('v', 1)), joining: replaced };
  const other = at('b', 1, 5, memberOf('v', 1), moved);
  await using ruin = await Ruin.of(
    [
      { member: memberOf('v', 1), configurations: [newest, other] },
      { member: z, configurations: [old] },
    ],
    'vxyz',
  );
  await ruin.rebuild(true);
  assert.equal(decodeNode(await ruin.read(nodeKey(y.store))).address, moved.address);
  const answer = await ruin.start(replaced);
  assert.equal(answer.kind, 'started', JSON.stringify(answer));
});
