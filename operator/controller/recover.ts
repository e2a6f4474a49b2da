// The way out when a majority of controllers is lost for good: the registers are built again from
// what lies on the volumes of the members. The data plane keeps running meanwhile.
//
// The new controllers were formatted with `--recovery WORD`: another acceptor set, which decides
// nothing until this is done. Every journal gets a higher lineage, and an epoch 2^20 above, so that
// the old controllers, which may only be cut off, cannot lead anybody astray. The next incarnation
// of every store is put above all that any peer has seen, reserved: it is no start.

import type { Clock } from '../../io/clock.ts';
import type { Logger } from '../../io/logger.ts';
import type { Network } from '../../io/network.ts';
import type { Random } from '../../io/random.ts';
import {
  type Configuration,
  compareConfigurations,
  LINEAGE_EPOCH_STEP,
  type Member,
  order,
} from '../../protocol/configuration.ts';
import { JournalError } from '../../protocol/errors.ts';
import type { AcceptorSet, Seat } from '../../protocol/paxos/messages.ts';
import {
  epoch,
  type JournalId,
  type Micros,
  memberId,
  micros,
  type StoreId,
  zone,
} from '../../protocol/types.ts';
import type { Pong, ReplicaHello } from '../../transport/control.ts';
import { controllerMethods, replicaMethods } from '../../transport/methods.ts';
import { FEATURE_LEVEL_MAX, FEATURE_LEVEL_MIN, TIMING } from './config.ts';
import {
  decodeGrant,
  decodeName,
  encode,
  type GrantRecord,
  isRebuilding,
  journalKey,
  memberKey,
  type NameRecord,
  type NodeRecord,
  nameKey,
  nodeKey,
  RECOVERY_KEY,
} from './register/records.ts';
import { Register } from './register/register.ts';
import {
  type ControllerAnswer,
  type ControllerRequest,
  decodeAnswer,
  encodeRequest,
  type FloorEntry,
} from './register/wire.ts';

export interface RecoverParts {
  readonly clock: Clock;
  readonly random: Random;
  readonly network: Network;
  readonly logger: Logger;
}

export interface RecoverRequest {
  readonly cluster: string;
  /** `host:port` of the new controllers, all of them. */
  readonly controllers: readonly string[];
  /** `host:port` of every member whose volume is to be read. */
  readonly members: readonly string[];
  /** Go on although a store that served in the newest configuration was not read. */
  readonly acceptLoss: boolean;
}

/** What lies on one volume. */
interface Inventory {
  readonly hello: ReplicaHello;
  readonly configurations: readonly Configuration[];
  readonly floors: readonly FloorEntry[];
}

/** Starts that nobody remembers may have been taken: the next incarnation leaves room for them. */
const GENERATION_MARGIN = 1_000;
const READ_TIMEOUT = micros(5_000_000);
/** For one register: nothing else goes on meanwhile, and half of it done helps nobody. */
const PATIENCE = micros(30_000_000);

/**
 * Gives back what was done, a sentence a line. Rejects with JournalError: UNAVAILABLE where a
 * controller does not answer, or no volume could be read, ALREADY_EXISTS where the controllers do
 * not wait to be rebuilt, any more or at all, INVALID_ARGUMENT where they are not of one set,
 * NO_SURVIVOR where a store that served was not read and the loss is not accepted.
 */
export async function recoverControllers(
  parts: RecoverParts,
  request: RecoverRequest,
): Promise<readonly string[]> {
  const { members, cluster } = request;
  const set = await findSet(parts, request);
  const register = openRegister(parts, cluster, set);
  if (!isRebuilding(await register.read(RECOVERY_KEY))) {
    const way = 'format new ones with --recovery WORD';
    throw new JournalError('ALREADY_EXISTS', `these controllers are no new ones: ${way}`);
  }
  const read = await Promise.allSettled(members.map((at) => readVolume(parts, cluster, at)));
  const volumes = read.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
  const done = read.map((one, at) =>
    one.status === 'fulfilled'
      ? `read ${one.value.hello.member}, store ${one.value.hello.store}, at ${members[at]}`
      : `not read: ${members[at]}: ${String(one.reason)}`,
  );
  if (volumes.length === 0) {
    throw new JournalError('UNAVAILABLE', ['no volume of a member is left', ...done].join('; '));
  }
  const journals = newest(volumes);
  const missing = missingStores(journals, volumes);
  if (missing.length > 0 && !request.acceptLoss) {
    const what = missing.join('; ');
    const way = 'start them, name their addresses, or accept the loss';
    throw new JournalError('NO_SURVIVOR', `volumes that served were not read: ${what}: ${way}`);
  }
  await keepFloors(parts, cluster, set, volumes);
  await write(register, volumes, journals);
  await register.change(RECOVERY_KEY, () => encode({ state: 'done' }), PATIENCE);
  const counted = `${journals.length} journals and ${volumes.length} volumes`;
  return [...done, ...missing, `rebuilt the registers from ${counted}`];
}

function asker({ network }: RecoverParts, cluster: string) {
  return async (
    address: string,
    request: ControllerRequest,
    timeout: Micros,
  ): Promise<ControllerAnswer> => {
    const json = encodeRequest(cluster, request);
    const answer = await network.call(address, controllerMethods.acceptor, { json }, { timeout });
    return decodeAnswer(answer.json);
  };
}

async function findSet(parts: RecoverParts, request: RecoverRequest): Promise<AcceptorSet> {
  const ask = asker(parts, request.cluster);
  const answers = await Promise.all(
    request.controllers.map((address) => ask(address, { kind: 'hello' }, TIMING.register)),
  );
  const sets = answers.flatMap((answer) =>
    answer.kind === 'hello' && answer.set !== null ? [answer.set] : [],
  );
  const [first] = sets;
  if (first === undefined || sets.some(({ id }) => id !== first.id)) {
    throw new JournalError('INVALID_ARGUMENT', 'the controllers are not of one set');
  }
  return first;
}

function openRegister(parts: RecoverParts, cluster: string, set: AcceptorSet): Register {
  const ask = asker(parts, cluster);
  return new Register(
    {
      ...parts,
      proposer: `recover.${parts.random.hex(16)}`,
      ask: async (seat, requests) => {
        const answer = await ask(seat.address, { kind: 'paxos', requests }, TIMING.register);
        return answer.kind === 'paxos' ? answer.answers : [];
      },
      prepareSeat: () => Promise.resolve(),
      onSet: () => undefined,
    },
    set,
  );
}

/** A process that waits for its start answers this, too. */
async function readVolume(
  { network }: RecoverParts,
  cluster: string,
  address: string,
): Promise<Inventory> {
  const stream = network.duplex(address, replicaMethods.observe, { timeout: READ_TIMEOUT });
  try {
    stream.send({
      sequence: 1,
      hello: {
        cluster,
        featureLevelMin: FEATURE_LEVEL_MIN,
        featureLevelMax: FEATURE_LEVEL_MAX,
        sender: 'recover-controllers',
      },
      directives: [{ kind: 'inventory' }],
      featureLevel: FEATURE_LEVEL_MIN,
      controllers: [],
    });
    for await (const pong of stream.incoming) {
      if (pong.sequence === 1 && pong.hello !== undefined) return inventoryOf(pong, pong.hello);
    }
  } finally {
    stream.cancel();
  }
  throw new JournalError('UNAVAILABLE', 'the stream ended');
}

function inventoryOf({ inventory, reports }: Pong, hello: ReplicaHello): Inventory {
  const floors = reports.flatMap(({ journal, floor }) =>
    floor === null ? [] : [{ journal, store: hello.store, floor }],
  );
  return { hello, configurations: inventory, floors };
}

/** The highest configuration of each journal on any volume. */
function newest(volumes: readonly Inventory[]): readonly Configuration[] {
  const best = new Map<JournalId, Configuration>();
  for (const configuration of volumes.flatMap(({ configurations }) => configurations)) {
    const before = best.get(configuration.journal);
    if (before === undefined || compareConfigurations(configuration, before) > 0) {
      best.set(configuration.journal, configuration);
    }
  }
  return [...best.values()];
}

function missingStores(
  journals: readonly Configuration[],
  volumes: readonly Inventory[],
): readonly string[] {
  const read = new Set(volumes.map(({ hello }) => hello.store));
  return journals.flatMap(({ name, serving }) =>
    serving
      .filter(({ store }) => !read.has(store))
      .map(({ id, store }) => `${id} (store ${store}) served journal ${name}`),
  );
}

async function keepFloors(
  parts: RecoverParts,
  cluster: string,
  { seats }: AcceptorSet,
  volumes: readonly Inventory[],
): Promise<void> {
  const ask = asker(parts, cluster);
  const floors = volumes.flatMap((volume) => volume.floors);
  const keep = async ({ address }: Seat): Promise<void> => {
    await ask(address, { kind: 'keepFloors', floors }, TIMING.register);
  };
  await Promise.all(seats.map(keep));
}

async function write(
  register: Register,
  volumes: readonly Inventory[],
  journals: readonly Configuration[],
): Promise<void> {
  for (const node of nodesOf(volumes, journals)) {
    const key = nodeKey(node.store);
    await register.change(key, (current) => current ?? encode(node), PATIENCE);
    const grantKey = memberKey(node.member);
    await register.change(grantKey, (current) => granted(current, node), PATIENCE);
  }
  for (const found of journals) {
    const next: Configuration = {
      ...found,
      lineage: found.lineage + 1,
      epoch: epoch(found.epoch + LINEAGE_EPOCH_STEP),
    };
    const key = journalKey(found.journal);
    await register.change(key, (current) => current ?? encode(next), PATIENCE);
    await register.change(nameKey(found.name), (current) => named(current, found), PATIENCE);
  }
}

function granted(current: string | null, { member, zone: place, store }: NodeRecord): string {
  const before = current === null ? null : decodeGrant(current);
  if (before !== null && before.store !== null) return current ?? '';
  const revision = (before?.revision ?? 0) + 1;
  const grant: GrantRecord = { member, zone: place, store, revision, leaving: null };
  return encode(grant);
}

/** The living one has the name, where a deleted journal had it before. */
function named(current: string | null, found: Configuration): string {
  const { name, journal, settings, firstLsn, deleted } = found;
  const before = current === null ? null : decodeName(current);
  if (before !== null && (deleted || !before.deleted)) return current ?? '';
  const revision = (before?.revision ?? 0) + 1;
  const record: NameRecord = { name, journal, settings, firstLsn, deleted, revision };
  return encode(record);
}

function nodesOf(
  volumes: readonly Inventory[],
  journals: readonly Configuration[],
): readonly NodeRecord[] {
  // What an older configuration says of a store is overtaken, and so is whose label it had.
  const members = [
    ...volumes.flatMap(({ configurations }) => configurations.flatMap(order)),
    ...journals.flatMap(order),
  ];
  const known = new Map<StoreId, Member>();
  for (const member of members) {
    const before = known.get(member.store);
    const overtaken = before !== undefined && before.incarnation > member.incarnation;
    known.delete(member.store);
    known.set(member.store, overtaken ? before : member);
  }
  // Whoever answers knows best who it is and where, and comes last: its label is its own.
  for (const { hello } of volumes) {
    const { store, member, zone: place, address, lastIncarnation } = hello;
    const before = known.get(store)?.incarnation ?? 0;
    const incarnation = Math.max(before, hello.incarnation, lastIncarnation);
    known.delete(store);
    known.set(store, { store, incarnation, id: memberId(member), zone: zone(place), address });
  }
  // The answering ones first, then the newest, so that they get the grant of their label.
  return [...known.values()].reverse().map(({ store, incarnation, id, zone: place, address }) => ({
    store,
    generation: incarnation + GENERATION_MARGIN,
    startId: '',
    member: id,
    zone: place,
    address,
  }));
}
