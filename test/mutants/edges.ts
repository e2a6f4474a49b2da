// Wrong versions of the replica's driver and doors, and of the client: leases, retries, fences.

import { type Mutant, mutant } from './mutant.ts';

const REPLICA = ['replica suite', 'simulation'] as const;
const CLIENT = ['client suite', 'simulation'] as const;
const LEASE = ['lease search', 'client suite', 'simulation'] as const;
const quick = { quick: true };
const CLOCKS = ['--faults', 'pause,kill,cutAll'];

export const EDGES: readonly Mutant[] = [
  mutant(
    'any-sync-acknowledges-all',
    'what was appended while a sync ran counts when that sync ends',
    REPLICA,
    {
      file: 'replica/drive/driver.ts',
      search: "this.post(host, { kind: 'synced', durableLsn: host.log.durableLsn });",
      replace: "this.post(host, { kind: 'synced', durableLsn: host.log.endLsn });",
    },
  ),
  {
    name: 'subscriber-sees-uncommitted',
    about: 'a reader is shown what is not committed',
    by: REPLICA,
    edits: [
      {
        file: 'replica/service/reader.ts',
        search: 'while (nextLsn <= host.committedLsn && records.length',
        replace: 'while (nextLsn <= host.log.endLsn && records.length',
      },
      {
        file: 'replica/service/reader.ts',
        search: '      const through = host.committedLsn;\n',
        replace: '      const through = host.log.endLsn;\n',
      },
    ],
  },
  mutant(
    'trim-shown-until-dropped',
    'a reader is shown what a trim took, until its log cuts it',
    REPLICA,
    {
      file: 'replica/drive/durable.ts',
      search: '    host.trimmedLsn = higher(host.trimmedLsn, through);\n',
      replace: '    host.trimmedLsn = higher(host.trimmedLsn, NO_LSN);\n',
    },
  ),
  {
    name: 'catch-up-above-the-commit',
    about: 'a learner is given what is not committed',
    by: REPLICA,
    edits: [
      {
        file: 'replica/copy/fetch.ts',
        search: '  const through = host.committedLsn;\n',
        replace: '  const through = host.log.endLsn;\n',
      },
      {
        file: 'replica/copy/fetch.ts',
        search: '    batches: [],\n    committedLsn: host.committedLsn,',
        replace: '    batches: [],\n    committedLsn: host.log.endLsn,',
      },
    ],
  },
  {
    name: 'lease-counted-from-the-answer',
    about: 'a lease runs from when its answer came',
    by: CLIENT,
    sim: CLOCKS,
    edits: [
      {
        file: 'client/lead.ts',
        search: '  get lost(): AbortSignal {\n    return this.#lost.signal;\n  }\n',
        replace:
          '  get lost(): AbortSignal {\n    return this.#lost.signal;\n  }\n\n' +
          '  late(sentAt: number): ReturnType<typeof micros> {\n' +
          '    return micros(Math.max(sentAt, this.#world.clock.now()));\n  }\n',
      },
      {
        file: 'client/lead.ts',
        search: "granted(this.#lease, { kind: 'claim', sentAt, millis }, firstLsn);",
        replace:
          "granted(this.#lease, { kind: 'claim', sentAt: this.late(sentAt), millis }, firstLsn);",
      },
      {
        file: 'client/lead.ts',
        search: "granted(this.#lease, { kind: 'renew', sentAt, millis }, firstLsn);",
        replace:
          "granted(this.#lease, { kind: 'renew', sentAt: this.late(sentAt), millis }, firstLsn);",
      },
    ],
  },
  mutant(
    'claim-without-waiting',
    'a lease that may still run is claimed over',
    LEASE,
    {
      file: 'client/lease.ts',
      search:
        'return micros(lease.learnedAt + (lease.holderMillis + slackMillis) * MICROS_A_MILLI);',
      replace: 'return micros(lease.learnedAt + 0 * slackMillis);',
    },
    quick,
  ),
  {
    name: 'release-told-before-leading-stops',
    about: 'who gives a lease back leads on until that is answered',
    by: CLIENT,
    edits: [
      {
        file: 'client/lead.ts',
        search:
          "    this.#lose('released');\n" +
          '    this.#lost.abort(cancelled(this.#what));\n' +
          '    this.#lease = { ...this.#lease, token: NO_LSN, endsAt: micros(0) };\n' +
          '    try {\n      if (held)',
        replace: '    try {\n      if (held)',
      },
      {
        file: 'client/lead.ts',
        search: "'a lease was left to run out');\n    } finally {\n",
        replace:
          "'a lease was left to run out');\n    } finally {\n" +
          "      this.#lose('released');\n" +
          '      this.#lost.abort(cancelled(this.#what));\n' +
          '      this.#lease = { ...this.#lease, token: NO_LSN, endsAt: micros(0) };\n',
      },
    ],
  },
  mutant('no-slack', 'nobody waits for the error of the clocks', LEASE, {
    file: 'client/lease.ts',
    search: '(lease.holderMillis + slackMillis) * MICROS_A_MILLI',
    replace: '(lease.holderMillis + 0 * slackMillis) * MICROS_A_MILLI',
  }),
  mutant('learned-when-it-was-written', 'a newer holder does not begin the wait anew', LEASE, {
    file: 'client/lease.ts',
    search: 'learnedAt: known ? lease.learnedAt : now,',
    replace: 'learnedAt: known ? lease.learnedAt : micros(Math.min(now, lease.learnedAt)),',
  }),
  mutant('token-without-renewal-leads', 'a claim found in the log gives a lease at once', LEASE, {
    file: 'client/lease.ts',
    search: '  return { ...lease, token, endsAt: micros(0) };',
    replace:
      '  const endsAt = micros(lease.learnedAt + lease.holderMillis * MICROS_A_MILLI);\n' +
      '  return { ...lease, token, endsAt };',
  }),
  mutant(
    'claimant-serves-at-once',
    'a claimant leads before it has applied its own claim',
    CLIENT,
    {
      file: 'client/lead.ts',
      search: '        await what.applied?.(token, holder.lost);',
      replace: '        void what.applied?.(token, holder.lost);',
    },
  ),
  mutant('expiry-not-told', 'who leads is not told that its lease ran out', CLIENT, {
    file: 'client/lead.ts',
    search: "if (wait <= 0) this.#lose('expired');\n    else this",
    replace: 'if (wait > 0) this',
  }),
  mutant('margin-ignored', 'work is to stop only when the lease is over', CLIENT, {
    file: 'client/lead.ts',
    search: 'this.#lease.endsAt - this.#what.marginMillis * 1_000 - clock.now();',
    replace: 'this.#lease.endsAt - 0 * this.#what.marginMillis - clock.now();',
  }),
  mutant(
    'fence-dropped-on-a-retry',
    'an append that is sent again is sent without its fence',
    CLIENT,
    {
      file: 'client/batching.ts',
      search: '      condition: first?.condition ?? NO_CONDITION,',
      replace: '      condition: (batch.maybeLanded ? null : first?.condition) ?? NO_CONDITION,',
    },
  ),
  mutant('retry-under-a-new-number', 'an append whose answer was lost is made again', CLIENT, {
    file: 'client/appends.ts',
    search: '    batch.maybeLanded ||= reached;\n    dropIfGone',
    replace: '    batch.maybeLanded ||= reached;\n    batch.number = null;\n    dropIfGone',
  }),
  mutant('unknown-outcome-told-as-none', 'what may have landed is said not to have', CLIENT, {
    file: 'client/appends.ts',
    search: 'const unknown = batch.maybeLanded || batch.tag !== null;',
    replace: 'const unknown = batch.maybeLanded && batch.tag !== null;',
  }),
  mutant('broken-subscription-waits', 'who followed a replica that went hears no more', CLIENT, {
    file: 'client/cursor.ts',
    search: '        if (this.#heardAt > heardBefore) attempt = 0;\n',
    replace: '        if (this.#heardAt > heardBefore) await new Promise(() => undefined);\n',
  }),
  mutant('lineage-not-refused', 'records of a later lineage follow those given up', CLIENT, {
    file: 'client/cursor.ts',
    search: '  if (known === 0 || lineage === known) return;',
    replace: '  if (known === 0 || lineage >= known) return;',
  }),
  mutant('resume-in-any-lineage', 'who goes on does not say which lineage it followed', CLIENT, {
    file: 'client/cursor.ts',
    search: 'from: this.#position, lineage: this.#lineage },',
    replace: 'from: this.#position, lineage: 0 },',
  }),
  mutant('retry-to-a-journal-made-anew', 'what may have landed is sent to another log', CLIENT, {
    file: 'client/batching.ts',
    search: '      journalId: batch.journal ?? undefined,',
    replace: '      journalId: undefined,',
  }),
  mutant('linearizable-read-lags', 'a replica reads before it has what was proven', REPLICA, {
    file: 'replica/service/data.ts',
    search: '    await asker.committed(host, proof.committedLsn, signal);\n',
    replace: '',
  }),
  mutant('read-over-a-lineage', 'what was given up meanwhile is shown as of the new one', REPLICA, {
    file: 'replica/service/data.ts',
    search: '  if (host.lineage !== lineage || !host.readable) throw notServed(host);\n',
    replace: '',
  }),
  mutant('subscriber-over-a-lineage', 'a subscriber is given what was read before', REPLICA, {
    file: 'replica/service/subscribe.ts',
    search: '        this.#check(host, lineage);\n        const { records',
    replace: '        const { records',
  }),
  mutant('subscriber-never-doubts', 'a member that is cut off keeps its subscribers', REPLICA, {
    file: 'replica/service/subscribe.ts',
    search: 'if (clock.now() - heardAt < DOUBT) return heardAt;',
    replace: 'if (clock.now() >= heardAt) return heardAt;',
  }),
  mutant('copy-of-another-lineage', 'a learner is given the log of a lineage before', REPLICA, {
    file: 'replica/copy/fetch.ts',
    search: '  if (lineage > host.lineage) {',
    replace: '  if (lineage < 0) {',
  }),
  mutant('copy-over-a-lineage', 'a learner is given what another lineage replaced', REPLICA, {
    file: 'replica/copy/fetch.ts',
    search: '    if (host.lineage !== before) {',
    replace: '    if (host.lineage < before) {',
  }),
  mutant('put-out-member-mends-all', 'a repair takes what its successors gave up', REPLICA, {
    file: 'replica/copy/fetch.ts',
    search: '  if (host.isMember && host.lineage === lineage) return host.committedLsn;',
    replace: '  if (lineage > 0) return host.committedLsn;',
  }),
  mutant('repaired-above-the-commit', 'a base of a peer takes what may yet be cut', REPLICA, {
    file: 'replica/copy/repair.ts',
    search: 'if (base.lsn < lastLsn || base.lsn > allowed) {',
    replace: 'if (base.lsn < lastLsn) {',
  }),
  mutant('shown-as-committed-since', 'a read goes by what is committed after it', REPLICA, {
    file: 'replica/service/reader.ts',
    search: 'lastLsn(header) <= through);',
    replace: 'lastLsn(header) <= host.committedLsn);',
  }),
  mutant('batch-counts-when-given', 'a named cursor passes what is not consumed yet', CLIENT, {
    file: 'client/subscription.ts',
    search:
      '        yield delivery;\n        const last = delivery.records.at(-1);\n' +
      '        if (last !== undefined) saver?.consumed(last.lsn);\n',
    replace:
      '        const last = delivery.records.at(-1);\n' +
      '        if (last !== undefined) saver?.consumed(last.lsn);\n        yield delivery;\n',
  }),
  mutant('cursor-registered-by-old-news', 'a named cursor begins where a lagging one is', CLIENT, {
    file: 'client/subscription.ts',
    search: 'await this.#startLsn(deadline, true)',
    replace: 'await this.#startLsn(deadline, false)',
  }),
  mutant('base-below-its-own', 'a learner installs a base that its log refuses', REPLICA, {
    file: 'replica/copy/catchup.ts',
    search: '      if (base.lsn < host.log.shape().baseLsn) return;\n',
    replace: '',
  }),
  mutant('base-installed-as-a-member', 'a member begins where a base came too late', REPLICA, {
    file: 'replica/copy/catchup.ts',
    search: "      if (host.state.standing !== 'learner') return;\n      if (base",
    replace: '      if (base',
  }),
  mutant('cut-beside-saves', 'a log is cut below the mark that its record still has', REPLICA, {
    file: 'replica/drive/durable.ts',
    search: "else if (effect.kind === 'save') await this.#save(host, effect);",
    replace: "else if (effect.kind === 'save') void this.#save(host, effect);",
  }),
  mutant('old-trim-in-a-new-log', 'what was trimmed of a log hides records of the next', REPLICA, {
    file: 'replica/drive/durable.ts',
    search: '        host.beginAgain();\n',
    replace: '',
  }),
  mutant(
    'readable-before-the-start',
    'a restarted replica shows a log that looks shorter',
    REPLICA,
    {
      file: 'replica/drive/host.ts',
      search: ' && startLsn !== null && committedLsn >= startLsn) this',
      replace: ' && startLsn !== null && committedLsn >= NO_LSN) this',
    },
  ),
  mutant('doubt-ends-with-a-refusal', 'a refusal for now says that no earlier try landed', CLIENT, {
    file: 'client/appends.ts',
    search: "batch.maybeLanded ||= error.outcome === 'unknown';",
    replace: "batch.maybeLanded = error.outcome === 'unknown';",
  }),
  mutant('gap-renumbers-what-landed', 'a gap makes an append anew that may be there', CLIENT, {
    file: 'client/appends.ts',
    search: 'batch.gaps < 2 || batch.maybeLanded || state',
    replace: 'batch.gaps < 2 || state',
  }),
  mutant('gap-renumbers-what-waits', 'what is behind a retry is appended before it', CLIENT, {
    file: 'client/appends.ts',
    search: 'batch.maybeLanded || state.batches[0] !== batch) return;',
    replace: 'batch.maybeLanded) return;',
  }),
  mutant('time-of-the-whole-batch', 'callers are told the time of another one', CLIENT, {
    file: 'client/appends.ts',
    search: 'micros(answer.timestampMicros + offset - records.length)',
    replace: 'micros(answer.timestampMicros + 0 * offset)',
  }),
  mutant('claim-expects-nothing', 'a claim does not say whom it comes after', CLIENT, {
    file: 'client/lead.ts',
    search: 'expectKey: expectKeyLsn === null ? null',
    replace: "expectKey: expectKeyLsn === null || keyOperation === 'claim' ? null",
  }),
  mutant('renewal-without-its-token', 'who lost the key may renew it', CLIENT, {
    file: 'client/lead.ts',
    search: 'fence: token === null ? null',
    replace: "fence: token === null || keyOperation === 'renew' ? null",
  }),
  mutant('claim-of-another-is-its-own', 'a claim of its node counts as its own', CLIENT, {
    file: 'client/lead.ts',
    search: '      return new TextDecoder().decode(record.data) === this.#payload();',
    replace: '      return new TextDecoder().decode(record.data).includes(this.#what.node);',
  }),
];
