// Wrong versions of the register and of what the controllers decide with it.

import { type Mutant, mutant } from './mutant.ts';

const BY = ['protocol suite', 'register walks', 'register search', 'simulation'] as const;
const DECIDE = ['controller suite', 'simulation'] as const;
/** An old copy comes back in simulation only while the controllers live that know of it. */
const SAVED = ['controller suite'] as const;
/** No walk and no simulation rebuilds registers, or orders a loss while others may go on. */
const BY_HAND = ['controller suite'] as const;
/** The scopes of walks and searches are too small for it: three acceptors, two sets. */
const UNIT = ['protocol suite'] as const;
const quick = { quick: true };

export const REGISTER: readonly Mutant[] = [
  mutant(
    'answer-before-saved',
    'an acceptor promises what its disk may forget',
    BY,
    {
      file: 'protocol/paxos/acceptor.ts',
      search: 'state.held.push({ save: state.issued, request: input.request, answer });',
      replace: 'state.held.push({ save: 0, request: input.request, answer });',
    },
    quick,
  ),
  mutant('promise-not-saved', 'an acceptor forgets its promises at a restart', BY, {
    file: 'protocol/paxos/acceptor.ts',
    search:
      "  save([{ kind: 'register', version: version.record.set.version, key, state: after }]);",
    replace:
      '  const { version: number } = version.record.set;\n' +
      "  const kept = body.kind === 'accept' ? after : { ...after, promised: before.promised };\n" +
      "  save([{ kind: 'register', version: number, key, state: kept }]);",
  }),
  mutant('lower-ballot-accepted', 'an acceptor breaks its promise', BY, {
    file: 'protocol/paxos/acceptor.ts',
    search: "if (order < 0 || (order === 0 && body.kind === 'prepare')) {",
    replace: "if (order === 0 && body.kind === 'prepare') {",
  }),
  mutant(
    'accepted-value-ignored',
    'a proposer overwrites what may have been chosen',
    BY,
    {
      file: 'protocol/paxos/proposer.ts',
      search: 'if (compareBallots(answer.accepted, state.found.accepted) > 0) {',
      replace: 'if (compareBallots(answer.accepted, state.found.accepted) > 1e9) {',
    },
    quick,
  ),
  mutant('value-guessed-after-a-timeout', 'silence after a proposal counts as success', BY, {
    file: 'protocol/paxos/proposer.ts',
    search: '  const reasons = [...state.bad].map',
    replace:
      '  if (proposed) {\n    const { value: before } = state.found;\n' +
      "    return over(state, { kind: 'chosen', before, value: state.proposed });\n  }\n" +
      '  const reasons = [...state.bad].map',
  }),
  mutant('less-than-a-majority', 'half of the acceptors decide', BY, {
    file: 'protocol/paxos/messages.ts',
    search: 'Math.floor(count / 2) + 1',
    replace: 'Math.floor(count / 2)',
  }),
  mutant('sealed-set-serves', 'a set that was replaced goes on deciding', BY, {
    file: 'protocol/paxos/acceptor.ts',
    search: "  if (version.record.mode === 'sealed') return wrongSet(state, body.set);\n",
    replace: '',
  }),
  mutant('read-under-a-promise', 'a read believes a value that is being replaced', BY, {
    file: 'protocol/paxos/proposer.ts',
    search: '    if (compareBallots(promised, accepted) > 0) continue;\n',
    replace: '    compareBallots(promised, accepted);\n',
  }),
  mutant(
    'joiner-promoted-early',
    'a joining member serves before it has what the epoch began with',
    DECIDE,
    {
      file: 'operator/controller/decide/succession.ts',
      search: 'return entry !== undefined && entry.durableLsn >= headReport.startLsn;',
      replace: 'return entry !== undefined || configuration.joining !== null;',
    },
  ),
  {
    name: 'survivor-by-name',
    about: 'a member survives by its name, on a volume that was wiped',
    by: DECIDE,
    sim: ['--kind', 'anything', '--faults', 'wipe,kill'],
    edits: [
      {
        file: 'operator/controller/decide/succession.ts',
        search: '(member) => !latest.serving.some((known) => sameMember(known, member)),',
        replace: '(member) => !latest.serving.some((known) => known.id === member.id),',
      },
      {
        file: 'operator/controller/decide/standing.ts',
        search: 'if (Math.max(facts.incarnation, facts.generation) > member.incarnation) {',
        replace: 'if (facts.id !== member.id) {',
      },
    ],
  },
  mutant(
    'old-copy-accepted',
    'a volume that is older than what its disk acknowledged goes on alone',
    DECIDE,
    {
      file: 'operator/controller/decide/succession.ts',
      search: '  if (floor === null || report.epoch > floor.epoch) return true;',
      replace: '  if (floor === null || report.epoch > -1) return true;',
    },
    quick,
  ),
  mutant('floors-not-saved', 'what a controller was told of disks ends with its process', SAVED, {
    file: 'operator/controller/floors.ts',
    search: '    this.#dirty.set(keyOf(journal, store), { ...entry, floor: after });\n',
    replace: '',
  }),
  mutant('floor-met-before-its-sync', 'a copy that is not on the disk yet counts', DECIDE, {
    file: 'operator/controller/decide/succession.ts',
    search: '  if (report.durableLsn < floor.lsn) return false;',
    replace: '  if (report.endLsn < floor.lsn) return false;',
  }),
  mutant('shrink-without-proof', 'members that never answered a wedge serve on', DECIDE, {
    file: 'operator/controller/decide/decide.ts',
    search:
      '  if (wedgedFor === null || ' +
      '(proved.length < kept.length && !(late && proved.length > 0))) {',
    replace: '  if (late && proved.length < 0) {',
  }),
  mutant(
    'recover-takes-the-first-configuration',
    'rebuilt registers have an epoch that is over, by the volume that was read first',
    BY_HAND,
    {
      file: 'operator/controller/recover.ts',
      search: '    if (before === undefined || compareConfigurations(configuration, before) > 0) {',
      replace: '    if (before === undefined || configuration.lineage > before.lineage) {',
    },
  ),
  mutant(
    'recover-without-floors',
    'new controllers do not know what disks have acknowledged',
    BY_HAND,
    {
      file: 'operator/controller/recover.ts',
      search: '  await keepFloors(parts, cluster, set, volumes);\n',
      replace: '',
    },
  ),
  mutant(
    'recover-without-a-generation-margin',
    'a start that only the lost controllers knew of is given out once more',
    BY_HAND,
    {
      file: 'operator/controller/recover.ts',
      search: 'const GENERATION_MARGIN = 1_000;',
      replace: 'const GENERATION_MARGIN = 0;',
    },
  ),
  mutant(
    'force-loss-of-a-configuration-that-moved-on',
    'a loss takes effect although it was judged on an epoch that is over',
    BY_HAND,
    {
      file: 'operator/controller/register/loss.ts',
      search: '    return replace(current);',
      replace:
        '    const known = current === null ? null : JSON.parse(current);\n' +
        '    return known?.lineage === latest.lineage ? encode(next) : current;',
    },
  ),
  mutant('propose-without-compare', 'an epoch that another one decided is decided again', BY_HAND, {
    file: 'operator/controller/register/records.ts',
    search: 'compareConfigurations(known, latest) === 0 ? encode(next) : current;',
    replace: 'compareConfigurations(known, next) <= 0 ? encode(next) : current;',
  }),
  mutant('floors-by-position', 'a floor of an epoch that was cut hides the newer one', BY_HAND, {
    file: 'operator/controller/decide/succession.ts',
    search: '  if (one.epoch !== other.epoch) return one.epoch > other.epoch ? one : other;\n',
    replace: '  if (one.lsn !== other.lsn) return one.lsn > other.lsn ? one : other;\n',
  }),
  mutant(
    'outcome-by-the-last-attempt',
    'a change that was outbid is told as nothing, although an acceptor has accepted it',
    SAVED,
    {
      file: 'operator/controller/register/register.ts',
      search: '      sent ||= outcome.proposed;\n',
      replace: "      sent ||= outcome.kind === 'unreached' && outcome.proposed;\n",
    },
  ),
  mutant('floors-of-the-first-answer', 'a disk is judged by the lower of two floors', SAVED, {
    file: 'operator/controller/floors.ts',
    search: 'merged.set(store, before === undefined ? floor : higherFloor(before, floor));',
    replace: 'merged.set(store, before ?? floor);',
  }),
  mutant('floors-kept-before-saved', 'floors count as kept while another save holds them', SAVED, {
    file: 'operator/controller/floors.ts',
    search: '    this.#flushed = this.#flushed.then(save, save);',
    replace: '    this.#flushed = save();',
  }),
  mutant('wedge-answered-before-it-was-told', 'a sync of long ago counts as an answer', SAVED, {
    file: 'operator/controller/reconfigure/situate.ts',
    search: '(seen?.lastSync ?? 0) > wedge.at;',
    replace: '(seen?.lastSync ?? 0) > 0;',
  }),
  mutant('overtaken-process-counts', 'a process is named that a newer start has overtaken', SAVED, {
    file: 'operator/controller/reconfigure/situate.ts',
    search: '  return superseded ? 0 : incarnation;',
    replace: '  return superseded ? incarnation : incarnation;',
  }),
  mutant('caught-up-in-another-epoch', 'an older epoch proves that a member caught up', SAVED, {
    file: 'operator/controller/decide/succession.ts',
    search: '  if (!headReport.live || headReport.epoch !== epoch ||',
    replace: '  if (!headReport.live || headReport.epoch > epoch ||',
  }),
  mutant('joiner-serves-unasked', 'a proposal from outside promotes who has not caught up', SAVED, {
    file: 'operator/controller/decide/succession.ts',
    search: 'return joinerCaughtUp ? null :',
    replace: 'return joinerCaughtUp || joining.incarnation > 0 ? null :',
  }),
  mutant('keys-of-one-acceptor', 'the catalog is read from whoever answers first', SAVED, {
    file: 'operator/controller/register/register.ts',
    search: 'await enough(asked, majorityOf(set.seats.length))',
    replace: 'await enough(asked, 1)',
  }),
  mutant(
    'name-taken-twice',
    'of two that make a journal at once the second takes the name',
    SAVED,
    {
      file: 'operator/controller/register/records.ts',
      search: '    if (current !== null && before?.deleted === false) return current;\n',
      replace: '',
    },
  ),
  mutant('older-set-installed', 'an acceptor goes back to a set that is over', UNIT, {
    file: 'protocol/paxos/acceptor.ts',
    search: '  if (newest !== undefined && newest.version > next.version) {',
    replace: '  if (newest !== undefined && newest.version > next.version + 1_000) {',
  }),
  mutant('read-by-value', 'a read believes equal values of ballots that nobody chose', UNIT, {
    file: 'protocol/paxos/proposer.ts',
    search: '    const group = groups.get(name) ?? { count: 0, value };',
    replace:
      '    const same = [...groups.values()].find((one) => one.value === value);\n' +
      '    const group = same ?? { count: 0, value };',
  }),
  mutant('outcome-of-the-second-step', 'a journal that has its name is told as nothing', SAVED, {
    file: 'operator/controller/changes.ts',
    search: 'await followUp(this.finish(record));',
    replace: 'await this.finish(record);',
  }),
  mutant('seal-not-saved', 'a set that was sealed serves again after a restart', BY, {
    file: 'protocol/paxos/acceptor.ts',
    search: "    save([{ kind: 'set', record: version.record }]);\n    return { kind: 'sealed'",
    replace: "    return { kind: 'sealed'",
  }),
  mutant('registers-of-a-set-not-saved', 'a new set forgets what the old one chose', BY, {
    file: 'protocol/paxos/acceptor.ts',
    search:
      "    changes.push({ kind: 'register', version: next.version, key, state: register });\n",
    replace: '    key.concat(String(register.value));\n',
  }),
  mutant('seat-of-another-volume', 'an acceptor takes the seat of another store', UNIT, {
    file: 'protocol/paxos/acceptor.ts',
    search: "  if (seat.store !== '' && seat.store !== state.store) {",
    replace: "  if (seat.store !== '' && seat.store === '') {",
  }),
  mutant('restarted-members-serve', 'a restarted member serves beside others', BY_HAND, {
    file: 'operator/controller/decide/succession.ts',
    search: '  if (restarted && next.serving.length === 1) {',
    replace: '  if (restarted && next.serving.length > 0) {',
  }),
  mutant('floor-of-another-start', 'a start that nobody has looked at goes on alone', BY_HAND, {
    file: 'operator/controller/decide/succession.ts',
    search: 'aboveFloor.get(stranger.store) === stranger.incarnation;',
    replace: 'aboveFloor.has(stranger.store);',
  }),
];
