// What a volume holds and whether it is whole: offline, and nothing on the disk is changed.
//
// `inspect` opens what a process would open; `verify` reads every byte and checks it as well.

import type { Clock } from '../io/clock.ts';
import type { Disk } from '../io/disk.ts';
import { silent } from '../io/logger.ts';
import { JournalError } from '../protocol/errors.ts';
import type { Epoch, JournalId, Lsn } from '../protocol/types.ts';
import { lsn } from '../protocol/types.ts';
import { type Identity, readIdentity } from './directory.ts';
import { DiskLog } from './disk/journal.ts';
import { readBase } from './disk/reader.ts';
import { recoverLogs } from './disk/recovery.ts';
import { damageOf } from './disk/upkeep.ts';
import { VolumeWriter } from './disk/writer.ts';
import { hasCode } from './files.ts';
import { VOLUME_DIRECTORY, VolumeLayout } from './layout.ts';
import type { Damage } from './log.ts';
import { type Manner, recoverSegments } from './segments/recover.ts';
import { SegmentStore } from './segments/store.ts';

export interface InspectParts {
  readonly disk: Disk;
  readonly clock: Clock;
  /** The data directory, or the volume's own. */
  readonly directory: string;
}

export interface InspectedSegment {
  readonly file: string;
  readonly number: number;
  /** Bytes of frames. */
  readonly bytes: number;
  readonly journals: number;
  readonly batches: number;
}

export interface InspectedJournal {
  readonly journal: JournalId;
  readonly baseLsn: Lsn;
  readonly trimmedLsn: Lsn;
  readonly endLsn: Lsn;
  readonly endEpoch: Epoch;
  readonly runs: readonly { readonly epoch: Epoch; readonly firstLsn: Lsn }[];
  readonly bytes: number;
}

export interface Inspection {
  /** Null where the directory is a volume's own, or was not formatted. */
  readonly identity: Identity | null;
  readonly segments: readonly InspectedSegment[];
  readonly journals: readonly InspectedJournal[];
  /** What recovery sees: of bodies only those that it had to read. */
  readonly damages: readonly Damage[];
}

export interface Verification extends Inspection {
  readonly batches: number;
  readonly bytes: number;
  /** Nothing is bad. */
  readonly whole: boolean;
}

const READ_BYTES = 1024 * 1024;

interface Opened {
  readonly store: SegmentStore;
  readonly logs: readonly DiskLog[];
  readonly inspection: Inspection;
}

export async function inspectVolume(parts: InspectParts): Promise<Inspection> {
  const { store, inspection } = await open(parts, 'look');
  await store.close();
  return inspection;
}

/** Rejects with NOT_FOUND where the directory holds no volume. */
export async function verifyVolume(parts: InspectParts): Promise<Verification> {
  const { store, logs, inspection } = await open(parts, 'scan');
  try {
    let batches = 0;
    let bytes = 0;
    const damages: Damage[] = [...inspection.damages];
    for (const log of logs) {
      const found = await verifyLog(log);
      batches += found.batches;
      bytes += found.bytes;
      for (const damage of found.damages) if (!isKnown(damages, damage)) damages.push(damage);
    }
    return { ...inspection, damages, batches, bytes, whole: damages.length === 0 };
  } finally {
    await store.close();
  }
}

const isKnown = (damages: readonly Damage[], { journal, firstLsn }: Damage): boolean =>
  damages.some((one) => one.journal === journal && one.firstLsn === firstLsn);

async function verifyLog(
  log: DiskLog,
): Promise<{ batches: number; bytes: number; damages: readonly Damage[] }> {
  const damages: Damage[] = [];
  let batches = 0;
  let bytes = 0;
  try {
    await readBase(log);
  } catch (error) {
    if (!(error instanceof JournalError)) throw error;
    const { journal, state } = log;
    const file = `base ${state.base.serial}`;
    const what = error.message;
    damages.push({ journal, file, position: 0, firstLsn: null, lastLsn: null, what });
  }
  for (let next: number = log.baseLsn + 1; next <= log.endLsn; ) {
    try {
      for (const { header, bytes: read } of await log.readDisk(lsn(next), READ_BYTES)) {
        batches += 1;
        bytes += read.length;
        next = header.firstLsn + header.count;
      }
    } catch (error) {
      const damage = damageOf(error);
      if (damage === null) throw error;
      damages.push(damage);
      next = (damage.lastLsn ?? next) + 1;
    }
  }
  return { batches, bytes, damages };
}

async function open(parts: InspectParts, manner: Manner): Promise<Opened> {
  const { disk, clock } = parts;
  const layout = await findVolume(parts);
  const store = new SegmentStore({
    disk,
    layout,
    // Nothing is written, so that no segment needs an id.
    random: { below: () => 0, fraction: () => 0, hex: (count) => '00'.repeat(count) },
    logger: silent,
    segmentBytes: 0,
    placeBytesMax: 64 * READ_BYTES,
  });
  const lost = await recoverSegments(store, manner);
  const found = await recoverLogs(store);
  const limits = { reserveBytes: 0, groupBytes: 0, cacheBytes: 0 };
  const writer = new VolumeWriter({ store, clock, ...limits, written: () => undefined });
  const logs = found.logs.map((log) => new DiskLog(writer, log));
  const damages = [
    ...lost.map((one) => ({ ...one, journal: null, position: 0, firstLsn: null, lastLsn: null })),
    ...found.damages,
    ...logs.flatMap((log) => log.damaged),
  ];
  const segments: InspectedSegment[] = [];
  for (const segment of store.segments.values()) {
    const { path, number } = segment;
    const held = [...segment.index.journals].filter(([, { spans }]) => spans.length > 0);
    let batches = 0;
    for (const [journal] of held) batches += (await store.places(number, journal)).count;
    const bytes = segment.position(segment.end) - segment.start;
    segments.push({ file: path, number, bytes, journals: held.length, batches });
  }
  const identity = await readIdentity(disk, parts.directory);
  const journals = logs.map(describe);
  return { store, logs, inspection: { identity, segments, journals, damages } };
}

function describe(log: DiskLog): InspectedJournal {
  const { journal, baseLsn, endLsn, endEpoch, bytes } = log;
  const { trimmedLsn } = log.state.base;
  return { journal, baseLsn, trimmedLsn, endLsn, endEpoch, runs: log.shape().runs, bytes };
}

async function findVolume({ disk, directory }: InspectParts): Promise<VolumeLayout> {
  for (const path of [`${directory}/${VOLUME_DIRECTORY}`, directory]) {
    const layout = new VolumeLayout(path);
    try {
      await disk.list(layout.segments);
      return layout;
    } catch (error) {
      if (!hasCode(error, 'ENOENT') && !hasCode(error, 'ENOTDIR')) throw error;
    }
  }
  throw new JournalError('NOT_FOUND', `${directory} holds no volume: give a data directory`);
}
