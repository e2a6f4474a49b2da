// A data directory: whose it is, who holds it, and why it is refused.
//
// identity.json says what the directory is. It is written in two steps, so that a process that ends
// between them comes back under the same store id: `prepare` keeps the id that was drawn, before
// anybody is asked for the right to format; `format` adds the cluster, once that was granted. A
// store id is drawn once for a directory and never again. The line ends with its own checksum: one
// changed bit would make another store of it, which acts on the records of the first.

import { type Disk, DiskError } from '../io/disk.ts';
import { crc32 } from '../io/node-checksum.ts';
import { JournalError } from '../protocol/errors.ts';
import { type StoreId, storeId } from '../protocol/types.ts';
import { listOrNone, makeDurableDirectory, readFile, replaceFile } from './files.ts';
import { IDENTITY_NAME, LOCK_NAME } from './layout.ts';

/** Format of the directory and of everything in it. */
export const FORMAT = 1;

export type DirectoryKind = 'member' | 'controller';

export interface Identity {
  readonly kind: DirectoryKind;
  readonly cluster: string;
  readonly store: StoreId;
  /** Id of the member or controller: a label. */
  readonly member: string;
}

export interface DirectoryParts {
  readonly disk: Disk;
  readonly directory: string;
  readonly kind: DirectoryKind;
  /** Refuses a directory of another cluster; any where it is empty or left out. */
  readonly cluster?: string | undefined;
  /** Refuses a directory of another member; any where it is empty or left out. */
  readonly member?: string | undefined;
  /** Refuses a directory that was not formatted: it was promised that it is. */
  readonly formatted?: boolean | undefined;
}

/** A directory that this process holds until `release`. */
export interface Directory {
  readonly path: string;
  /** Null where it was not formatted yet. */
  readonly identity: Identity | null;
  /** The store id that was drawn for it; null where none was. */
  readonly store: StoreId | null;
  /** Keeps a store id that was drawn; durable when it resolves. */
  prepare(store: StoreId): Promise<void>;
  /** Makes it a directory of `cluster`; durable when it resolves. */
  format(identity: Identity): Promise<void>;
  release(): Promise<void>;
}

/** As it lies in identity.json; `cluster` is null until it is formatted. */
interface Marker {
  readonly format: number;
  readonly kind: DirectoryKind;
  readonly cluster: string | null;
  readonly store: string;
  readonly member: string;
}

/** Of a marker; its checksum comes behind them. */
const FIELDS = 5;

/**
 * Takes the directory, which is made where it does not exist. Rejects with a JournalError that says
 * what to do: UNAVAILABLE in use, INVALID_ARGUMENT another's or not empty, INCOMPATIBLE a newer
 * format, DAMAGED an identity that cannot be read, NOT_FOUND none where one was promised.
 */
export async function openDirectory(parts: DirectoryParts): Promise<Directory> {
  const { disk, directory } = parts;
  await make(disk, directory);
  const held = await hold(disk, directory);
  try {
    const marker = await readMarker(disk, directory);
    if (marker === null) await refuseUnmarked(parts);
    else refuseForeign(parts, marker);
    return new HeldDirectory(parts, marker, held);
  } catch (error) {
    await held.release();
    throw error;
  }
}

/** Formats an empty directory in one go, and lets it go again. */
export async function formatDirectory(
  disk: Disk,
  directory: string,
  identity: Identity,
): Promise<void> {
  const opened = await openDirectory({ disk, directory, kind: identity.kind });
  try {
    if (opened.identity !== null) {
      const { kind, member, cluster } = opened.identity;
      throw refused(`${directory} is formatted already, for ${kind} ${member} of ${cluster}`);
    }
    await opened.format(identity);
  } finally {
    await opened.release();
  }
}

/** What a directory says of itself, whoever holds it; null where it was not formatted. */
export async function readIdentity(disk: Disk, directory: string): Promise<Identity | null> {
  const marker = await readMarker(disk, directory);
  return marker === null ? null : identityOf(marker);
}

const refused = (what: string): JournalError => new JournalError('INVALID_ARGUMENT', what);

/** What keeps a path from being a directory of ours, whatever is done again. */
const NO_DIRECTORY: ReadonlySet<string> = new Set([
  'EEXIST',
  'ENOTDIR',
  'EACCES',
  'EPERM',
  'EROFS',
]);

async function make(disk: Disk, directory: string): Promise<void> {
  try {
    await makeDurableDirectory(disk, directory);
  } catch (error) {
    if (!(error instanceof DiskError) || !NO_DIRECTORY.has(error.code)) throw error;
    const allowed = 'allowed is a directory that can be written, or made';
    throw refused(`the data directory is ${directory}, ${allowed}: ${error.message}`);
  }
}

async function hold(disk: Disk, directory: string): Promise<Awaited<ReturnType<Disk['lock']>>> {
  try {
    return await disk.lock(directory);
  } catch (error) {
    if (!(error instanceof DiskError) || error.code !== 'EBUSY') throw error;
    const what = `the data directory ${directory} is in use by another process`;
    const advice = 'stop that process, or choose another directory';
    throw new JournalError('UNAVAILABLE', `${what}: ${advice}`, {}, 'none', { cause: error });
  }
}

async function readMarker(disk: Disk, directory: string): Promise<Marker | null> {
  const path = `${directory}/${IDENTITY_NAME}`;
  const bytes = await readFile(disk, path);
  if (bytes === null) return null;
  const value = parsed(bytes);
  if (typeof value !== 'object' || value === null || !('format' in value)) {
    throw new JournalError('DAMAGED', `${path} cannot be read: restore it, or give the store up`);
  }
  const { format } = value;
  // First: what another format sums up is not known here.
  if (format !== FORMAT) {
    const what = `${directory} has format ${String(format)}, allowed is ${FORMAT}`;
    throw new JournalError(
      'INCOMPATIBLE',
      `${what}: run the version that wrote it, or a newer one`,
    );
  }
  if (!isWhole(value)) {
    const what = `${path} is not what was written`;
    throw new JournalError('DAMAGED', `${what}: restore it, or give the store up`);
  }
  // cast: of this format, written by this file only; people may still have touched it.
  const marker = value as Marker;
  const texts = [marker.kind, marker.store, marker.member, marker.cluster ?? ''];
  if (texts.every((text) => typeof text === 'string')) return marker;
  throw new JournalError('DAMAGED', `${path} lacks a field: restore it, or give the store up`);
}

function parsed(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString());
  } catch {
    return null;
  }
}

const sumOf = (marker: object): number => crc32(Buffer.from(JSON.stringify(marker)));

/** Early versions wrote the fields of a marker and no checksum. */
function isWhole(value: object): boolean {
  if (!('checksum' in value)) return Object.keys(value).length <= FIELDS;
  const { checksum, ...marker } = value;
  return checksum === sumOf(marker);
}

/** Without a marker it must be empty, and nobody may have been promised one. */
async function refuseUnmarked({ disk, directory, formatted }: DirectoryParts): Promise<void> {
  const names = await listOrNone(disk, directory);
  const others = names.filter(
    (name) =>
      name !== LOCK_NAME &&
      !name.startsWith(`${LOCK_NAME}.`) &&
      !name.endsWith('.tmp') &&
      name !== 'lost+found',
  );
  if (others.length > 0) {
    const what = `${directory} is not empty (it has ${others[0]}) and has no ${IDENTITY_NAME}`;
    throw refused(`${what}: choose an empty directory, or the one that was meant`);
  }
  if (formatted === true) {
    const what = `${directory} was to be formatted already, and is empty`;
    const advice = 'check that the right volume is mounted; a lost one is replaced, never reused';
    throw new JournalError('NOT_FOUND', `${what}: ${advice}`);
  }
}

function refuseForeign(parts: DirectoryParts, marker: Marker): void {
  const { directory } = parts;
  const is = (field: string, found: string, given: string): JournalError =>
    refused(
      `${directory} is of ${field} ${found}, and ${given} was given: ` +
        `choose the directory of ${given}, or an empty one`,
    );
  if (marker.kind !== parts.kind) throw is('a', marker.kind, `a ${parts.kind}`);
  const { cluster, member } = parts;
  if (cluster && marker.cluster !== null && marker.cluster !== cluster) {
    throw is('cluster', marker.cluster, cluster);
  }
  if (member && marker.member !== '' && marker.member !== member) {
    throw is(marker.kind, marker.member, member);
  }
  if (marker.cluster === null && parts.formatted === true) {
    const what = `${directory} was to be formatted already, and formatting never ended`;
    throw new JournalError('NOT_FOUND', `${what}: format it again`);
  }
}

const identityOf = ({ kind, cluster, store, member }: Marker): Identity | null =>
  cluster === null ? null : { kind, cluster, store: storeId(store), member };

class HeldDirectory implements Directory {
  readonly path: string;
  readonly #parts: DirectoryParts;
  readonly #held: { release(): Promise<void> };
  #marker: Marker | null;

  constructor(parts: DirectoryParts, marker: Marker | null, held: { release(): Promise<void> }) {
    this.path = parts.directory;
    this.#parts = parts;
    this.#marker = marker;
    this.#held = held;
  }

  get identity(): Identity | null {
    return this.#marker === null ? null : identityOf(this.#marker);
  }

  get store(): StoreId | null {
    return this.#marker === null ? null : storeId(this.#marker.store);
  }

  async prepare(store: StoreId): Promise<void> {
    const { kind, member = '' } = this.#parts;
    await this.#write({ format: FORMAT, kind, cluster: null, store, member });
  }

  async format({ kind, cluster, store, member }: Identity): Promise<void> {
    if (this.store !== null && this.store !== store) {
      throw refused(`${this.path} has store id ${this.store}, and ${store} was given`);
    }
    await this.#write({ format: FORMAT, kind, cluster, store, member });
  }

  async #write(marker: Marker): Promise<void> {
    if (this.identity !== null) throw refused(`${this.path} is formatted already`);
    const { disk } = this.#parts;
    const bytes = Buffer.from(`${JSON.stringify({ ...marker, checksum: sumOf(marker) })}\n`);
    await replaceFile(disk, this.path, IDENTITY_NAME, [bytes]);
    this.#marker = marker;
  }

  release(): Promise<void> {
    return this.#held.release();
  }
}
