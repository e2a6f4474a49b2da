// What lies on the disks when a run is over: every volume is opened by its own recovery after the
// power failed everywhere, and read from end to end.

import type { Logger } from '../io/logger.ts';
import { silent } from '../io/logger.ts';
import { batchRecords } from '../log/batch.ts';
import { VOLUME_DIRECTORY } from '../log/layout.ts';
import type { JournalLog } from '../log/log.ts';
import { openVolume } from '../log/volume.ts';
import { openTables } from '../protocol/chain/tables.ts';
import { KIB, MIB } from '../protocol/configuration.ts';
import { JournalError } from '../protocol/errors.ts';
import { after, type Batch, type JournalId, lastLsn, lsn } from '../protocol/types.ts';
import type { FinalBatch, FinalLog } from './checkers/history.ts';
import type { Cluster } from './cluster.ts';
import { DIRECTORY } from './fleet/programs.ts';
import type { Machine } from './machine.ts';
import { seen } from './recorder.ts';

/** What the cluster said of a journal when it had come to rest. */
export interface AtRest {
  readonly id: JournalId;
  readonly name: string;
  /** Last committed entry. */
  readonly endLsn: number;
  readonly trimmedLsn: number;
  /** Names of the machines whose replicas serve it. */
  readonly serving: readonly string[];
}

const READ_BYTES = 256 * KIB;

/** Powers everything off, losing all that was not synced, and reads what is left. */
export async function readFinals(
  cluster: Cluster,
  journals: readonly AtRest[],
  logger: Logger = silent,
): Promise<FinalLog[]> {
  for (const machine of cluster.machines()) {
    machine.restarts = false;
    machine.powerOff('none');
  }
  const finals: FinalLog[] = [];
  for (const machine of cluster.replicas) {
    const wanted = journals.filter(({ serving }) => serving.includes(machine.name));
    if (wanted.length > 0) finals.push(...(await readMachine(cluster, machine, wanted, logger)));
  }
  return finals;
}

/**
 * Damage that nobody did: bad bytes are found only where somebody has spoiled the disk; and of the
 * `needed` journals, where one disk only was spoiled, every position is good on some member.
 */
export function unexplained(
  finals: readonly FinalLog[],
  spoiled: ReadonlySet<string>,
  needed: readonly string[],
): readonly string[] {
  const wrong = finals.flatMap(({ member, journal, damaged = [] }) => {
    if (damaged.length === 0 || spoiled.has(member)) return [];
    const where = damaged.map(({ firstLsn, lastLsn }) => `${firstLsn}..${lastLsn}`).join(', ');
    return [`${journal} on ${member} is damaged at ${where}, and nobody harmed it`];
  });
  const lost = needed.filter((name) =>
    finals
      .filter(({ journal }) => journal === name)
      .every(({ damaged = [] }) => damaged.length > 0),
  );
  return [...wrong, ...lost.map((name) => `no member has a whole copy of ${name}`)];
}

async function readMachine(
  cluster: Cluster,
  machine: Machine,
  wanted: readonly AtRest[],
  logger: Logger,
): Promise<FinalLog[]> {
  const actor = cluster.world.birth(`read ${machine.name}`);
  const { disk, clock, random } = machine.seams(actor);
  const volume = await openVolume({
    disk,
    directory: `${DIRECTORY}/${VOLUME_DIRECTORY}`,
    clock,
    logger,
    random,
    options: { segmentBytes: 256 * KIB, reserveBytes: MIB },
  });
  const finals: FinalLog[] = [];
  for (const { id, name, endLsn, trimmedLsn: told } of wanted) {
    const log = volume.find(id);
    const trimmedLsn = log === undefined ? told : (trimmedIn(log) ?? told);
    const about = { member: machine.name, journal: name, committedLsn: endLsn, trimmedLsn };
    // A log that cannot be opened is named by its volume, and refused as a whole.
    const refused = volume.damages().some(({ journal }) => journal === id);
    const damaged = refused ? [{ firstLsn: 1, lastLsn: Number.MAX_SAFE_INTEGER }] : [];
    if (log === undefined) finals.push({ ...about, baseLsn: 0, batches: [], damaged });
    else finals.push({ ...about, baseLsn: log.shape().baseLsn, ...(await contentOf(log)) });
  }
  cluster.world.kill(actor);
  return finals;
}

/** What the log itself says; null where bad bytes keep it from being known. */
function trimmedIn(log: JournalLog): number | null {
  return log.damages().length > 0 ? null : openTables(log.recoveredTables()).scalars.trimmedLsn;
}

interface Content {
  readonly batches: FinalBatch[];
  readonly damaged: { readonly firstLsn: number; readonly lastLsn: number }[];
}

async function contentOf(log: JournalLog): Promise<Content> {
  const content: Content = { batches: [], damaged: [] };
  let next = after(log.shape().baseLsn, 1);
  while (next <= log.endLsn) {
    try {
      const batches = await log.read(next, READ_BYTES);
      content.batches.push(...batches.map(finalBatch));
      const last = batches.at(-1);
      if (last === undefined) throw new Error(`a log of ${log.endLsn} has nothing at ${next}`);
      next = after(lastLsn(last.header), 1);
    } catch (error) {
      const bad = damagedAt(error);
      if (bad === null || bad.lastLsn < next) throw error;
      content.damaged.push({ firstLsn: next, lastLsn: bad.lastLsn });
      next = lsn(bad.lastLsn + 1);
    }
  }
  return content;
}

function finalBatch(batch: Batch): FinalBatch {
  const { header } = batch;
  const records = header.kind === 'data' ? batchRecords(batch) : [];
  return {
    firstLsn: header.firstLsn,
    lastLsn: lastLsn(header),
    epoch: header.epoch,
    digest: digest(batch.bytes),
    records: records.map((record) => seen({ ...record, timestampMicros: record.timestamp })),
    keyOperation: header.keyOperation,
  };
}

/** What a read that was refused for bad bytes says of where they are. */
function damagedAt(error: unknown): { readonly lastLsn: number } | null {
  if (!(error instanceof JournalError) || error.code !== 'DAMAGED') return null;
  const { cause } = error;
  if (typeof cause !== 'object' || cause === null || !('lastLsn' in cause)) return null;
  return typeof cause.lastLsn === 'number' ? { lastLsn: cause.lastLsn } : null;
}

/** FNV-1a over all bytes, twice with other starts. */
function digest(bytes: Uint8Array): string {
  let [one, other] = [0x811c9dc5, 0x01234567];
  for (const byte of bytes) {
    one = Math.imul(one ^ byte, 0x01000193);
    other = Math.imul(other ^ byte, 0x85ebca6b);
  }
  return `${(one >>> 0).toString(16)}${(other >>> 0).toString(16)}:${bytes.length}`;
}
