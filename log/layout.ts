// Every name that this room gives to a file, and the tree of a data directory:
//
//   DATA/
//     identity.json                  what this directory is: format, kind, cluster, store, member
//     lock                           a socket: a process that lives holds the directory
//     metadata/
//       0000000007.metadata          small values by key; the highest number counts
//       0000000007.claim             of the process that opened them last
//     volume/
//       segments/
//         0000000001.segment         frames of all journals, in the order they were written
//         0000000001.index           what a closed segment holds; made again where it is lost
//         spare                      zeros, to become the next segment
//       bases/
//         JOURNAL-0000000003.base    a base too big for a frame; a frame names the one that counts
//       tables/
//         JOURNAL.tables             tables folded up to some position; made again where lost
//       aside/
//         JOURNAL-0000000003.aside   a log of a lineage that was given up: a base, then batches
//   anything.tmp                     was being written when the process ended: removed at open
//
// docs/on-disk-format.md says what is in them.

import type { JournalId } from '../protocol/types.ts';

export const IDENTITY_NAME = 'identity.json';
export const LOCK_NAME = 'lock';
export const METADATA_DIRECTORY = 'metadata';
export const VOLUME_DIRECTORY = 'volume';

const padded = (number: number): string => String(number).padStart(10, '0');

function numberOf(name: string, pattern: RegExp): number | undefined {
  const digits = pattern.exec(name)?.[1];
  return digits === undefined ? undefined : Number(digits);
}

export const metadataName = (generation: number): string => `${padded(generation)}.metadata`;
/** Whose the directory is: claim.ts. */
export const claimName = (number: number): string => `${padded(number)}.claim`;
export const claimNumber = (name: string): number | undefined =>
  numberOf(name, /^(\d{10})\.claim$/);
export const metadataNumber = (name: string): number | undefined =>
  numberOf(name, /^(\d{10})\.metadata$/);

/** Folders and files of one volume, under its own directory. */
export class VolumeLayout {
  readonly directory: string;

  constructor(directory: string) {
    this.directory = directory;
  }

  get segments(): string {
    return `${this.directory}/segments`;
  }
  get bases(): string {
    return `${this.directory}/bases`;
  }
  get tables(): string {
    return `${this.directory}/tables`;
  }
  get aside(): string {
    return `${this.directory}/aside`;
  }
  get spare(): string {
    return `${this.segments}/spare`;
  }
  segment(number: number): string {
    return `${this.segments}/${segmentName(number)}`;
  }
  base(journal: JournalId, serial: number): string {
    return `${this.bases}/${baseName(journal, serial)}`;
  }
}

export const segmentName = (number: number): string => `${padded(number)}.segment`;
export const segmentNumber = (name: string): number | undefined =>
  numberOf(name, /^(\d{10})\.segment$/);
export const indexName = (number: number): string => `${padded(number)}.index`;
export const baseName = (journal: JournalId, serial: number): string =>
  `${journal}-${padded(serial)}.base`;
export const tablesName = (journal: JournalId): string => `${journal}.tables`;
export const asideName = (journal: JournalId, serial: number): string =>
  `${journal}-${padded(serial)}.aside`;
