// Wrong versions of what the head does with an append: conditions, fences, retries, times, keys.

import { type Mutant, mutant } from './mutant.ts';

const BY = ['protocol suite', 'chain walks', 'simulation'] as const;
const quick = { quick: true };

export const APPENDS: readonly Mutant[] = [
  mutant(
    'no-from-uncommitted-state',
    'a condition is refused because of what may never be committed',
    BY,
    {
      file: 'protocol/chain/append.ts',
      search: '    deny(state, request, failed.refused, failed.becauseLsn);',
      replace: '    refuse(request, failed.refused, effects);',
    },
    quick,
  ),
  mutant('no-without-its-commit', 'a refusal waits for a barrier, not for its reason', BY, {
    file: 'protocol/chain/append.ts',
    search: '    deny(state, request, failed.refused, failed.becauseLsn);',
    replace: '    deny(state, request, failed.refused, NO_LSN);',
  }),
  mutant('dedupe-after-the-condition', 'a retry is judged as if it were new', BY, {
    file: 'protocol/chain/append.ts',
    search: '  if (body.idempotence !== null) {\n    const known',
    replace:
      '  const early = judge(state, body);\n' +
      '  if (early !== null) {\n' +
      '    deny(state, request, early.refused, early.becauseLsn);\n    return;\n  }\n' +
      '  if (body.idempotence !== null) {\n    const known',
  }),
  mutant(
    'dedupe-lost-on-a-joiner',
    'a member that installed a base remembers no appends',
    BY,
    {
      file: 'protocol/chain/epoch.ts',
      search: '  state.tables = openTables(tables, state.settings.limits);\n  state.durableLsn',
      replace:
        '  state.tables = openTables(tables, state.settings.limits);\n' +
        '  state.tables.writers.clear();\n  state.tables.chosen.clear();\n  state.durableLsn',
    },
    {},
  ),
  mutant('session-opens-at-an-end-that-may-be-cut', 'a writer begins where nothing stays', BY, {
    file: 'protocol/chain/state.ts',
    search: 'openingLsn = ({ committedLsn }: ChainState): Lsn => committedLsn;',
    replace: 'openingLsn = ({ shape }: ChainState): Lsn => shape.endLsn;',
  }),
  mutant(
    'evicted-writer-looks-new',
    'a session that was forgotten begins again',
    BY,
    {
      file: 'protocol/chain/tables.ts',
      search: 'if (lastSequence === 0 && openedAt(at.writer) < tables.scalars.evictionLsn) {',
      replace: 'if (lastSequence === 0 && openedAt(at.writer) < 0) {',
    },
    quick,
  ),
  mutant('busy-writer-is-evicted', 'who began first is forgotten, and not who is idle', BY, {
    file: 'protocol/chain/tables.ts',
    search: '  const memory = entry.window.at(-1);\n  return memory',
    replace: '  const memory = entry.window.at(0);\n  return memory',
  }),
  mutant('window-of-one-less', 'a writer is remembered for one append less than promised', BY, {
    file: 'protocol/chain/tables.ts',
    search: 'entry.window.length > limits.writerWindow ?',
    replace: 'entry.window.length >= limits.writerWindow ?',
  }),
  mutant('one-cursor-more', 'a journal has a cursor more than it may', BY, {
    file: 'protocol/chain/head.ts',
    search: 'state.tables.cursors.size >= limits.cursors',
    replace: 'state.tables.cursors.size > limits.cursors',
  }),
  mutant('old-sequence-looks-new', 'an append older than the window is made again', BY, {
    file: 'protocol/chain/tables.ts',
    search: "  if (at.sequence <= lastSequence) return { kind: 'stale' };\n",
    replace: '',
  }),
  mutant('fence-compares-the-renewal', 'a renewing leader fences itself', BY, {
    file: 'protocol/chain/append.ts',
    search: '    const tokenLsn = entry?.tokenLsn ?? NO_LSN;\n    if (tokenLsn !== fence.token) {',
    replace: '    const tokenLsn = entry?.keyLsn ?? NO_LSN;\n    if (tokenLsn !== fence.token) {',
  }),
  mutant(
    'renewal-moves-the-token',
    'a renewal counts as a claim',
    BY,
    {
      file: 'protocol/chain/tables.ts',
      search: "tokenLsn: operation === 'claim' ? keyLsn",
      replace: "tokenLsn: operation !== 'tag' ? keyLsn",
    },
    quick,
  ),
  mutant('condition-ignored', 'an append whose expected key moved is made', BY, {
    file: 'protocol/chain/append.ts',
    search: '    if (keyLsn !== expectKey.lsn) {',
    replace: '    if (keyLsn < expectKey.lsn) {',
  }),
  mutant(
    'time-falls-at-a-new-head',
    'a head whose clock is behind gives earlier times',
    BY,
    {
      file: 'protocol/chain/entry.ts',
      search: 'micros(Math.max(state.tables.scalars.lastTimestamp + 1, state.wall))',
      replace: 'micros(Math.max(1, state.wall))',
    },
    quick,
  ),
  mutant('undo-forgets-a-key', 'a cut leaves a key as the lost entry made it', BY, {
    file: 'protocol/chain/tables.ts',
    search: '      restore(tables.keys, step.key, step.before);',
    replace: '      if (step.before === undefined) tables.keys.delete(step.key);',
  }),
  mutant('tag-ends-the-lease', 'a record that the leader tags with its key ends its lease', BY, {
    file: 'protocol/chain/tables.ts',
    search: "      leaseMillis: operation === 'tag' ? (before?.leaseMillis ?? 0) : leaseMillis,",
    replace: '      leaseMillis,',
  }),
  mutant('forget-ignores-the-lease', 'a key is forgotten while somebody leads under it', BY, {
    file: 'protocol/chain/head.ts',
    search: '  } else if (entry.timestamp + entry.leaseMillis * 1000 > state.wall) {',
    replace: '  } else if (entry.timestamp > state.wall) {',
  }),
  mutant('cursors-before-their-commit', 'cursors are told that may still be cut away', BY, {
    file: 'protocol/chain/head.ts',
    search: "      prove(state, request, state.shape.endLsn, { kind: 'cursors', cursors });",
    replace: "      prove(state, request, NO_LSN, { kind: 'cursors', cursors });",
  }),
  mutant('dedupe-ignores-the-body', 'other records under a chosen key are taken for a retry', BY, {
    file: 'protocol/chain/tables.ts',
    search: '      memory.bodyCrc === body.bodyCrc &&\n',
    replace: '',
  }),
  mutant(
    'mismatch-from-uncommitted-state',
    'a key counts as used by what may never be committed',
    BY,
    {
      file: 'protocol/chain/append.ts',
      search: '      deny(state, request, refused, after(firstLsn, count - 1));',
      replace: '      refuse(request, refused, effects);',
    },
  ),
  mutant('refused-number-is-judged-anew', 'a late copy of what was refused is appended', BY, {
    file: 'protocol/chain/append.ts',
    search: '  const failed = judge(state, body) ?? refusedBefore(state, body.idempotence);',
    replace: '  const failed = judge(state, body);',
  }),
  mutant('right-retry-is-a-mismatch', 'a retry under a chosen key counts as other records', BY, {
    file: 'protocol/chain/tables.ts',
    search: "return { kind: same ? 'same' : 'mismatch', memory };",
    replace: "return { kind: same && !at.chosen ? 'same' : 'mismatch', memory };",
  }),
  mutant('undo-forgets-a-chosen-key', 'a cut leaves a chosen key of a lost append', BY, {
    file: 'protocol/chain/tables.ts',
    search: '      restore(tables.chosen, step.key, step.before);',
    replace: '      if (step.before !== undefined) tables.chosen.set(step.key, step.before);',
  }),
  mutant('the-newest-chosen-key-goes', 'of too many chosen keys the newest is forgotten', BY, {
    file: 'protocol/chain/tables.ts',
    search: '    if (firstLsn < oldestLsn) [oldest',
    replace: '    if (firstLsn > oldestLsn) [oldest',
  }),
  mutant('undo-forgets-an-append', 'a cut leaves a lost append remembered', BY, {
    file: 'protocol/chain/tables.ts',
    search: '  window?.pop();\n',
    replace: '',
  }),
  mutant('condition-of-another-lineage', 'a fence of a lineage that was given up holds', BY, {
    file: 'protocol/chain/append.ts',
    search: 'condition.lineage !== undefined && condition.lineage < lineage',
    replace: 'condition.lineage !== undefined && condition.lineage < 0',
  }),
  mutant(
    'leader-of-a-deleted-journal',
    'a leader goes on in the journal that took the name',
    ['client suite', 'simulation'],
    {
      file: 'client/lead.ts',
      search: '      journal: this.#home?.journal,\n',
      replace: '',
    },
  ),
  mutant('undo-in-the-order-of-the-fold', 'a cut leaves a key where its batch had it first', BY, {
    file: 'protocol/chain/tables.ts',
    search: 'of undo.steps.reverse()',
    replace: 'of undo.steps',
  }),
  mutant('one-key-more', 'a journal takes a key above its limit', BY, {
    file: 'protocol/chain/append.ts',
    search: 'size + added > limits.keys)',
    replace: 'size + added > limits.keys + 1)',
  }),
  mutant('floor-of-the-wrong-epoch', 'an idle chain has no survivor after a loss of power', BY, {
    file: 'protocol/chain/state.ts',
    search: 'lsn: acknowledged, entryEpoch };',
    replace: 'lsn: acknowledged, entryEpoch: state.record.epoch };',
  }),
  mutant('duplicate-ends-at-its-first', 'a retry is told that its first record is its last', BY, {
    file: 'protocol/chain/append.ts',
    search: '  const untilLsn = after(memory.firstLsn, memory.count - 1);\n  const reply',
    replace: '  const untilLsn = memory.firstLsn;\n  const reply',
  }),
  mutant('key-of-the-first-of-its-batch', 'a key is held to be of a record that lacks it', BY, {
    file: 'protocol/chain/append.ts',
    search: '    lsn: after(firstLsn, offset),',
    replace: '    lsn: after(firstLsn, 0 * offset),',
  }),
  mutant('passed-over-number-is-taken', 'what a refused number has passed is appended', BY, {
    file: 'protocol/chain/append.ts',
    search: '  return idempotence.sequence < burnedSequence(state, idempotence.writer);',
    replace: '  return idempotence.sequence < 0 * burnedSequence(state, idempotence.writer);',
  }),
];
