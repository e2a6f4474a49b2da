// Wrong versions of the chain: who acknowledges, who commits, which epoch counts, what survives.

import { type Mutant, mutant } from './mutant.ts';

const BY = ['protocol suite', 'chain walks', 'chain search', 'simulation'] as const;
/** Searches wedge nobody, and their tables hold no cursors. */
const WALKED = ['protocol suite', 'chain walks'] as const;
const CURSORS = ['protocol suite', 'chain walks', 'simulation'] as const;
const LOST = ['protocol suite', 'chain search', 'simulation'] as const;
const BASES = ['protocol suite', 'log suite', 'chain walks'] as const;
const quick = { quick: true };

export const CHAIN: readonly Mutant[] = [
  mutant(
    'ack-before-sync',
    'what was appended is acknowledged before it is on the disk',
    BY,
    {
      file: 'protocol/chain/state.ts',
      search: '!state.wedged ? state.durableLsn : NO_LSN',
      replace: '!state.wedged ? state.shape.endLsn : NO_LSN',
    },
    quick,
  ),
  {
    name: 'forward-before-synced',
    about: 'a member that is not in line with its predecessor yet sends on',
    by: BY,
    edits: [
      {
        file: 'protocol/chain/flow.ts',
        search: 'if (here === null || !state.synced || state.cutting !== 0) return;',
        replace: 'if (here === null || state.cutting !== 0) return;',
      },
      {
        file: 'protocol/chain/flow.ts',
        search: '!sameMember(from, here.successor) || !state.synced) return;',
        replace: '!sameMember(from, here.successor)) return;',
      },
      {
        file: 'protocol/chain/epoch.ts',
        search: '  state.startLsn = state.synced ? state.shape.endLsn : null;',
        replace: '  state.startLsn = state.shape.endLsn;',
      },
    ],
  },
  mutant(
    'commit-on-the-tails-word',
    'the tail alone commits, although others may not have it on disk',
    BY,
    {
      file: 'protocol/chain/commit.ts',
      search: 'for (const { store } of order(configuration)) {\n    const entry',
      replace: 'for (const { store } of order(configuration).slice(-1)) {\n    const entry',
    },
    quick,
  ),
  {
    name: 'restart-within-the-epoch',
    about: 'a process that restarted acts on in its old epoch',
    by: BY,
    edits: [
      {
        file: 'protocol/configuration.ts',
        search: 'return one.store === other.store && one.incarnation === other.incarnation;',
        replace: 'return one.store === other.store;',
      },
      {
        file: 'protocol/chain/state.ts',
        search: '    live: false,\n    wedged: false,\n    synced: false,\n    startLsn: null,',
        replace:
          '    live: record !== null && !record.retired,\n    wedged: false,\n' +
          '    synced: record?.configuration.serving[0]?.store === start.me.store,\n' +
          '    startLsn: shape.endLsn,',
      },
    ],
  },
  mutant(
    'read-at-a-new-head-at-once',
    'a new head answers reads before it committed what it began with',
    BY,
    {
      file: 'protocol/chain/commit.ts',
      search: 'const started = state.startLsn !== null && state.committedLsn >= state.startLsn;',
      replace: 'const started = state.startLsn !== null;',
    },
  ),
  mutant('barrier-from-a-majority', 'a read counts as proven once most members are', BY, {
    file: 'protocol/chain/commit.ts',
    search: '  answerReads(state, agreed.barrier, effects);',
    replace:
      '  const seen = order(here.configuration).map(\n' +
      '    ({ store }) => state.acked.get(store)?.barrier ?? 0,\n  );\n' +
      '  seen.sort((one, other) => other - one);\n' +
      '  answerReads(state, seen[Math.floor(seen.length / 2)] ?? 0, effects);',
  }),
  mutant(
    'barrier-outlives-its-epoch',
    'what answered a read of an old epoch answers a new one',
    BY,
    {
      file: 'protocol/chain/epoch.ts',
      search: '  state.barrier = 0;\n',
      replace: '',
    },
  ),
  mutant(
    'stale-epoch-accepted',
    'messages of an epoch that is over are taken',
    BY,
    {
      file: 'protocol/chain/machine.ts',
      search: 'if (here === null || compareConfigurations(message, known) < 0) return;',
      replace: 'if (here === null) return;',
    },
    quick,
  ),
  mutant('no-mark', 'a log that lost its end after it adopted an epoch counts as whole', BY, {
    file: 'protocol/chain/state.ts',
    search: 'return record !== null && !state.live && state.durableLsn < record.markLsn;',
    replace: 'return record !== null && !state.live && false;',
  }),
  // Walks hardly come there: none of 3,000 did.
  mutant('mark-by-the-commit', 'a lost end counts only where it was known to be committed', LOST, {
    file: 'protocol/chain/epoch.ts',
    search: '    markLsn: state.durableLsn,\n',
    replace: '    markLsn: lower(state.durableLsn, state.committedLsn),\n',
  }),
  mutant('loose-retire', 'a restarted member retires in the epoch of its old incarnation', BY, {
    file: 'protocol/chain/epoch.ts',
    search: '  if (!named && namesStore(next, state.me.store) && !next.deleted) return;\n',
    replace: '  namesStore(next, state.me.store);\n',
  }),
  mutant('cut-below-the-commit', 'the sync rule cuts what is committed', BY, {
    file: 'protocol/chain/flow.ts',
    search: "if (endLsn < state.committedLsn) effects.push({ kind: 'inquire' });\n  else if (",
    replace: 'if (endLsn < 0) return;\n  else if (',
  }),
  mutant(
    'act-before-saved',
    'a member acts in an epoch that its disk does not know yet',
    BY,
    {
      file: 'protocol/chain/epoch.ts',
      search: '  state.adopting = save(state, state.record, effects);',
      replace:
        '  state.adopting = save(state, state.record, effects);\n' +
        '  if (named) enter(state, state.record, effects);',
    },
    quick,
  ),
  mutant('synced-too-early', 'a member counts as in line below the start of the epoch', BY, {
    file: 'protocol/chain/flow.ts',
    search: 'if (state.synced || verified >= body.startLsn) {',
    replace: 'if (state.synced || verified >= 0) {',
  }),
  // The bound by what was verified alone can go unseen: in an epoch the head commits only what this
  // member has acknowledged in it, and below the epoch's start it takes no commit before it is in
  // line. Without the second guard the first is what is left.
  mutant('commit-what-is-not-there', 'a member takes for committed what it does not hold yet', BY, {
    file: 'protocol/chain/flow.ts',
    search:
      '    state.barrier = Math.max(state.barrier, body.barrier);\n' +
      '    advanceCommit(state, lower(body.committedLsn, verified), effects);\n' +
      '  }',
    replace:
      '    state.barrier = Math.max(state.barrier, body.barrier);\n' +
      '  }\n' +
      '  advanceCommit(state, body.committedLsn, effects);',
  }),
  mutant('trim-before-commit', 'a trim is carried out before it is committed', BY, {
    file: 'protocol/chain/commit.ts',
    search: 'while (state.trims[0] !== undefined && state.trims[0].lsn <= state.committedLsn) {',
    replace: 'while (state.trims[0] !== undefined) {',
  }),
  mutant('trim-forgotten-by-a-restart', 'a process drops nothing that its log says to', WALKED, {
    file: 'protocol/chain/state.ts',
    search: '  pendTrim(state);\n  return state;',
    replace: '  return state;',
  }),
  mutant(
    'trimmed-before-the-commit',
    'who asks for a trim again is told that it is done before it is committed',
    WALKED,
    {
      file: 'protocol/chain/head.ts',
      search: "prove(state, request, endLsn, { kind: 'applied', lsn: NO_LSN, firstLsn });",
      replace: "prove(state, request, NO_LSN, { kind: 'applied', lsn: NO_LSN, firstLsn });",
    },
  ),
  mutant('one-trim-a-commit', 'of two trims in one commit the second waits for another', WALKED, {
    file: 'protocol/chain/commit.ts',
    search: 'while (state.trims[0] !== undefined && state.trims[0].lsn <= state.committedLsn) {',
    replace: 'if (state.trims[0] !== undefined && state.trims[0].lsn <= state.committedLsn) {',
  }),
  mutant('wedged-acknowledges', 'a wedged member goes on acknowledging', WALKED, {
    file: 'protocol/chain/flow.ts',
    search:
      'if (state.wedged || here.predecessor === undefined) return;\n' +
      '  const durableLsn = vouchedLsn(state);',
    replace: 'if (here.predecessor === undefined) return;\n  const { durableLsn } = state;',
  }),
  mutant(
    'solo-survivor-acknowledges',
    'a member alone acknowledges what only it holds',
    BY,
    {
      file: 'protocol/chain/commit.ts',
      search: 'if (order(configuration).length < configuration.settings.minReplicas) {\n    refuse',
      replace: 'if (order(configuration).length < 1) {\n    refuse',
    },
    quick,
  ),
  mutant('solo-survivor-answers-retries', 'a member alone confirms an append that came again', BY, {
    file: 'protocol/chain/append.ts',
    search: '  if (here !== null && tooFew(state)) {',
    replace: '  if (here !== null && here.configuration.serving.length === 0) {',
  }),
  mutant('cursor-does-not-hold', 'a trim passes a registered cursor', CURSORS, {
    file: 'protocol/chain/head.ts',
    search: '} else if (!force && holding !== undefined && through > holding.lsn) {',
    replace: '} else if (!force && holding !== undefined && through < 0) {',
  }),
  mutant('trim-bound-by-a-lagging-commit', 'a new head refuses to trim what counts', WALKED, {
    file: 'protocol/chain/head.ts',
    search: '  if (through > endLsn) {',
    replace: '  if (through > state.committedLsn) {',
  }),
  mutant('cursors-hold-nothing', 'neither trims nor old age look at cursors', CURSORS, {
    file: 'protocol/chain/tables.ts',
    search: '(lowest === undefined || cursor.lsn < lowest.lsn ? cursor : lowest),',
    replace: '(lowest === undefined || cursor.lsn < lowest.lsn ? lowest : lowest),',
  }),
  mutant('cursors-lost-in-a-base', 'a base that others start from has no cursors', BASES, {
    file: 'protocol/chain/tables.ts',
    search: '    cursors: [...tables.cursors],\n',
    replace: '    cursors: [],\n',
  }),
  mutant('sync-during-a-cut-is-lost', 'a sync that ends while a cut waits is forgotten', WALKED, {
    file: 'protocol/chain/machine.ts',
    search: '  const reached = lower(durableLsn, state.shape.endLsn);',
    replace:
      '  if (state.cutting !== 0) return;\n' +
      '  const reached = lower(durableLsn, state.shape.endLsn);',
  }),
  mutant('read-joins-the-barrier-under-way', 'a read takes a barrier older than itself', WALKED, {
    file: 'protocol/chain/commit.ts',
    search: '  state.reads.push({ to, untilLsn: NO_LSN, since: awake(state), barrier: null });',
    replace:
      '  const barrier = state.barrier > 0 ? state.barrier : null;\n' +
      '  state.reads.push({ to, untilLsn: NO_LSN, since: awake(state), barrier });',
  }),
  mutant('cut-keeps-its-mark', 'after a cut and a restart a whole log counts as damaged', WALKED, {
    file: 'protocol/chain/epoch.ts',
    search: '  lowerMark(state, endLsn, effects);\n  const refold',
    replace: '  const refold',
  }),
  mutant('base-keeps-its-mark', 'a log that a base has replaced counts as damaged', WALKED, {
    file: 'protocol/chain/machine.ts',
    search: "      if (state.standing === 'learner') lowerMark(state, input.baseLsn, effects);\n",
    replace: '',
  }),
  mutant('trim-of-a-cut-waits', 'a trim that a cut leaves waits for the next append', WALKED, {
    file: 'protocol/chain/epoch.ts',
    search: '    carryOutTrims(state, effects);\n',
    replace: '',
  }),
  mutant('tail-of-what-may-be-cut', 'a tail names a record that is not committed yet', CURSORS, {
    file: 'protocol/chain/tables.ts',
    search: '  return tables.undo[0]?.scalars.dataLsn ?? tables.scalars.dataLsn;',
    replace: '  return tables.scalars.dataLsn;',
  }),
  mutant('read-before-it-is-here', 'a member answers before it has what was proven', WALKED, {
    file: 'protocol/chain/commit.ts',
    search: 'if (answer === null || answer.committedLsn > state.committedLsn) continue;',
    replace: 'if (answer === null) continue;',
  }),
];
