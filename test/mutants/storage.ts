// Wrong versions of what is durable when, and of what a recovery believes.

import { type Mutant, mutant } from './mutant.ts';

const BY = ['log suite', 'crash points', 'simulation'] as const;
const quick = { quick: true };

const SAVE_CUT =
  '      await log.writer.saveState' +
  '(log, nextState(log, { cuts: [...log.state.cuts, cut] }));\n';

export const STORAGE: readonly Mutant[] = [
  mutant(
    'half-a-batch-recovered',
    'a batch counts although a part of its bytes never reached the disk',
    BY,
    {
      file: 'log/segments/scan.ts',
      search: '      if (!frame.good) bad.push(batchRange(at, end, frame));\n',
      replace: '      batchRange(at, end, frame);\n',
    },
    quick,
  ),
  mutant(
    'cut-below-what-was-durable',
    'damage in the middle of a log is cut off like a torn end',
    BY,
    {
      file: 'log/segments/scan.ts',
      search: 'const torn = bad.find(({ offset }) => offset >= proven);',
      replace: 'const torn = bad.find(({ offset }) => offset >= 0 || offset >= proven);',
    },
    quick,
  ),
  mutant('torn-end-taken-for-damage', 'what was never synced counts as damaged', BY, {
    file: 'log/segments/scan.ts',
    search: 'const torn = bad.find(({ offset }) => offset >= proven);',
    replace: 'const torn = bad.find(({ offset }) => offset < 0 && offset >= proven);',
  }),
  mutant('no-directory-sync', 'a new segment may lose its name', BY, {
    file: 'log/segments/store.ts',
    search: 'await Promise.all([segment.sync(), disk.syncDirectory(layout.segments)]);',
    replace: 'await Promise.all([segment.sync(), disk.list(layout.segments)]);',
  }),
  mutant('replaced-file-not-synced', 'a name is moved to a file that is not on the disk', BY, {
    file: 'log/files.ts',
    search: '    await file.write(0, chunks);\n    await file.sync();\n',
    replace: '    await file.write(0, chunks);\n',
  }),
  mutant('failed-sync-tried-again', 'a sync that failed is asked for again, and believed', BY, {
    file: 'log/segments/segment.ts',
    search: '    const file = await this.file();\n    await file.sync();\n',
    replace:
      '    const file = await this.file();\n    await file.sync().catch(() => file.sync());\n',
  }),
  mutant('prefix-dropped-before-the-base', 'a trim drops what its base does not hold yet', BY, {
    file: 'log/disk/changes.ts',
    search:
      '    await log.writer.saveState(log, state);\n    dropPrefix(log, base.lsn);\n' +
      '    await log.writer.collect();\n    await removeBase(log, previous);',
    replace:
      '    dropPrefix(log, base.lsn);\n    await log.writer.collect();\n' +
      '    await log.writer.saveState(log, state);\n    await removeBase(log, previous);',
  }),
  mutant('dedupe-lost-at-a-trim', 'a base forgets who appended what', BY, {
    file: 'log/disk/changes.ts',
    search: '  const tables = await tablesUpTo(log, at);\n',
    replace:
      '  const whole = await tablesUpTo(log, at);\n' +
      '  const tables = { ...whole, sections: { ...whole.sections, writers: [], keys: [] } };\n',
  }),
  mutant('tables-of-the-end-in-a-base', 'a base holds tables of what lies above it', BY, {
    file: 'log/disk/changes.ts',
    search: '  const tables = await tablesUpTo(log, at);\n',
    replace:
      '  const live = await tablesUpTo(log, log.endLsn);\n  const tables = { ...live, lsn: at };\n',
  }),
  mutant('same-segment-after-a-cut', 'what was cut lies beside what replaced it', BY, {
    file: 'log/disk/changes.ts',
    search: `${SAVE_CUT}      log.writer.roll();\n`,
    replace: SAVE_CUT,
  }),
  mutant('cut-not-saved', 'what was cut is back after a restart', BY, {
    file: 'log/disk/changes.ts',
    search: SAVE_CUT,
    replace: '      nextState(log, { cuts: [...log.state.cuts, cut] });\n',
  }),
  mutant(
    'torn-write-of-a-full-disk-stays',
    'what a full disk kept of a write lies beside what replaced it',
    BY,
    {
      file: 'log/disk/writer.ts',
      search: '        this.#rollNext = true;\n        void this.askSpace();',
      replace: '        void this.askSpace();',
    },
  ),
  mutant(
    'torn-write-outlives-a-cut',
    'what a full disk kept of a write is back after it was cut',
    BY,
    {
      file: 'log/disk/changes.ts',
      search: '      await log.writer.dropTorn();\n',
      replace: '',
    },
  ),
  mutant(
    'drop-forgotten-too-early',
    'the word that a journal is dropped goes before older ones',
    BY,
    {
      file: 'log/disk/writer.ts',
      search: ' || (held.state !== null && number !== log.stateSegment)',
      replace: ' || (held.state !== null && number < 0)',
    },
  ),
  mutant('metadata-checksum-ignored', 'half a record of the metadata counts', BY, {
    file: 'log/metadata.ts',
    search:
      '  if (crc32(bytes.subarray(at + 4, end)) !== bytes.readUInt32LE(at)) return null;\n' +
      '  const changes',
    replace: '  const changes',
  }),
  mutant('metadata-answered-before-its-sync', 'a save resolves before it is durable', BY, {
    file: 'log/metadata.ts',
    search:
      '    await file.sync().catch((error: unknown) => {\n      throw this.#fail(error);\n    });',
    replace: '    void file.sync().catch((error: unknown) => this.#fail(error));',
  }),
  mutant('checkpoint-of-what-was-cut', 'tables are those of batches that were given up', BY, {
    file: 'log/disk/reader.ts',
    search: 'return (await crcAt(log, saved.lsn)) === saved.crc ? saved.tables : null;',
    replace: 'return (await crcAt(log, saved.lsn)) !== null ? saved.tables : null;',
  }),
  mutant('one-copy-of-a-state-read', 'a single bad spot loses the state of a journal', BY, {
    file: 'log/disk/recovery.ts',
    search: 'for (const at of [offset, offset - ENVELOPE_BYTES - length]) {',
    replace: 'for (const at of [offset]) {',
  }),
  mutant('repair-that-nobody-vouches-for', 'bytes of a peer fit where nothing good is near', BY, {
    file: 'log/disk/changes.ts',
    search: '  if ((before === null && behind === null) || (behind',
    replace: '  if ((behind',
  }),
  mutant('set-aside-without-a-sync', 'a log that is given up is forgotten before it is kept', BY, {
    file: 'log/disk/changes.ts',
    search: '      next = after(lastLsn(last.header), 1);\n    }\n    await file.sync();\n',
    replace: '      next = after(lastLsn(last.header), 1);\n    }\n',
  }),
  mutant('set-aside-beside-a-trim', 'a trim goes on in a log that was given up meanwhile', BY, {
    file: 'log/disk/journal.ts',
    search: 'this.#behind(() => setLogAside(this))',
    replace: 'setLogAside(this)',
  }),
];
