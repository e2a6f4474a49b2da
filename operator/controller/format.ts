// Formatting a controller's directory, once, and opening it ever after.
//
// Formatting writes what the first acceptor set decides from: the set itself and the grants by
// which members may format their volumes. Each controller is formatted with the same, and the id of
// the set is a hash of it: controllers that were told different things refuse each other.

import type { Disk } from '../../io/disk.ts';
import { silent } from '../../io/logger.ts';
import { nodeRandom } from '../../io/node.ts';
import { openDirectory } from '../../log/directory.ts';
import { METADATA_DIRECTORY } from '../../log/layout.ts';
import { openMetadata } from '../../log/metadata.ts';
import { JournalError } from '../../protocol/errors.ts';
import { fields, parse } from '../../protocol/fields.ts';
import type { AcceptorChange } from '../../protocol/paxos/acceptor.ts';
import { ACCEPTORS_KEY, type AcceptorSet, type Ballot } from '../../protocol/paxos/messages.ts';
import { label, memberId, storeId, zone } from '../../protocol/types.ts';
import type { ControllerConfig, ControllerFormat } from './config.ts';
import { encodeChanges } from './register/acceptor.ts';
import {
  checkSeats,
  encode,
  type GrantRecord,
  memberKey,
  RECOVERY_KEY,
  readSet,
} from './register/records.ts';

/** Where the directory keeps whom it was told to ask. */
export const CONTACTS = 'contacts';
/** Every first register has this ballot: below whatever a proposer takes. */
const FORMAT_BALLOT: Ballot = { round: 1, proposer: 'format' };

/**
 * What `journal controller format` does. Rejects with JournalError INVALID_ARGUMENT where the
 * directory is formatted already or is not empty; after a crash the same call carries on.
 */
export async function formatController(
  disk: Disk,
  directory: string,
  format: ControllerFormat,
): Promise<void> {
  const { cluster, id, join = false } = format;
  checkFormat(format);
  const home = await openDirectory({ disk, directory, kind: 'controller', member: id });
  try {
    if (home.identity !== null) {
      const { member, cluster: given } = home.identity;
      if (format.ifAbsent === true && member === id && given === cluster) return;
      const what = `${directory} is formatted already, for controller ${member} of ${given}`;
      throw new JournalError('INVALID_ARGUMENT', what);
    }
    const store = home.store ?? storeId((format.random ?? nodeRandom()).hex(16));
    await home.prepare(store);
    const metadata = await openMetadata({
      disk,
      directory: `${directory}/${METADATA_DIRECTORY}`,
      logger: silent,
    });
    const set = firstSet(format);
    const changes = new Map(join ? [] : encodeChanges(firstChanges(format, set)));
    changes.set(CONTACTS, new TextEncoder().encode(encode(set)));
    await metadata.save(changes);
    await metadata.close();
    await home.format({ kind: 'controller', cluster, store, member: id });
  } finally {
    await home.release();
  }
}

function checkFormat({ cluster, id, set, grants, join, recovery }: ControllerFormat): void {
  storeId(cluster);
  label('id', id);
  checkSeats(set);
  for (const seat of set) label('id of a controller', seat.id);
  if (join !== true && !set.some((seat) => seat.id === id)) {
    const allowed = set.map((seat) => seat.id).join(', ');
    throw new JournalError('INVALID_ARGUMENT', `id is ${id}, allowed is one of ${allowed}`);
  }
  if (join === true && recovery !== undefined) {
    throw new JournalError('INVALID_ARGUMENT', 'join and recovery are given, allowed is one');
  }
  const members = grants.map(({ member }) => memberId(member));
  for (const grant of grants) zone(grant.zone);
  if (new Set(members).size !== members.length) {
    throw new JournalError('INVALID_ARGUMENT', `a member is granted twice: ${members.join(', ')}`);
  }
}

function firstSet({ cluster, set, grants, recovery = '' }: ControllerFormat): AcceptorSet {
  const seats = set
    .map(({ id, address }) => ({ id, store: '', address }))
    .sort((one, other) => (one.id < other.id ? -1 : 1));
  const allowed = grants.map(({ member, zone: place }) => `${member}=${place}`).sort();
  const id = hash(JSON.stringify([cluster, seats, allowed, recovery]));
  return { id, version: 1, seats };
}

function firstChanges(format: ControllerFormat, set: AcceptorSet): readonly AcceptorChange[] {
  const register = (key: string, value: object): AcceptorChange => ({
    kind: 'register',
    version: 1,
    key,
    state: { promised: FORMAT_BALLOT, accepted: FORMAT_BALLOT, value: encode(value) },
  });
  const grants = format.grants.map((grant): GrantRecord => {
    const member = memberId(grant.member);
    return { member, zone: zone(grant.zone), store: null, revision: 1, leaving: null };
  });
  const rebuilt = format.recovery !== undefined;
  return [
    { kind: 'set', record: { set, mode: 'serving', next: null } },
    register(ACCEPTORS_KEY, set),
    ...grants.map((grant) => register(memberKey(grant.member), grant)),
    ...(rebuilt ? [register(RECOVERY_KEY, { state: 'open' })] : []),
  ];
}

/** FNV-1a over 64 bits: tells lists apart that people wrote, no more. */
function hash(text: string): string {
  let value = 0xcbf29ce484222325n;
  for (const byte of new TextEncoder().encode(text)) {
    value = BigInt.asUintN(64, (value ^ BigInt(byte)) * 0x100000001b3n);
  }
  return value.toString(16).padStart(16, '0');
}

/** A controller's directory that this process holds. */
export interface ControllerHome {
  readonly cluster: string;
  readonly id: string;
  readonly store: string;
  release(): Promise<void>;
}

/** Rejects where the directory was not formatted, is another's, or is in use. */
export async function openControllerHome(
  disk: Disk,
  config: ControllerConfig,
): Promise<ControllerHome> {
  const { directory, cluster, id } = config;
  const home = await openDirectory({
    disk,
    directory,
    kind: 'controller',
    cluster,
    member: id,
    formatted: true,
  });
  const { identity } = home;
  if (identity === null) {
    await home.release();
    const advice = '`journal controller format` does that, once for each controller';
    throw new JournalError('NOT_FOUND', `${directory} was not formatted: ${advice}`);
  }
  return {
    cluster: identity.cluster,
    id: identity.member,
    store: identity.store,
    release: () => home.release(),
  };
}

/** Whom a controller was told to ask, before it knows a set of its own. */
export function readContacts(bytes: Uint8Array | undefined): AcceptorSet {
  if (bytes === undefined) {
    throw new JournalError('DAMAGED', 'the directory names no controllers: format a new one');
  }
  const value = fields('contacts', parse('contacts', new TextDecoder().decode(bytes)));
  return readSet('contacts', value);
}
