// Plays the scenarios of testdata/: one journal, what is known of it, what is decided.
//
// `chain a b c + d` is a configuration of epoch 5: a leads, d joins; all are live and well, with 10
// entries. `member x key=value …` changes what is known of one (or adds a spare), `acked x=10/4 …`
// up to which entry and barrier the head has heard of it, `time key=ms …` since when, `lineage 2`
// that one was given up, `settings key=value …` the journal, `zones x=z …` where members are. Then
// `decide`, or `force x` where somebody orders that x goes on alone.

import { join } from 'node:path';
import type { ChainReport } from '../../protocol/chain/messages.ts';
import {
  type Configuration,
  DEFAULT_SETTINGS,
  type Member,
  order,
} from '../../protocol/configuration.ts';
import { JournalError } from '../../protocol/errors.ts';
import {
  epoch,
  journalId,
  lsn,
  type MemberId,
  memberId,
  micros,
  storeId,
  zone,
} from '../../protocol/types.ts';
import { memberOf } from '../../test/configurations.ts';
import { runTranscripts, type Scenario } from '../../test/transcript.ts';
import { decide } from './decide/decide.ts';
import { survivorOf } from './decide/forced.ts';
import type { Decision, MemberFacts, Situation } from './decide/situation.ts';
import { whyNot } from './decide/succession.ts';
import { evidenceOf } from './reconfigure/reconfigure.ts';

const JOURNAL = journalId('f'.repeat(32));
const EPOCH = epoch(5);
const START = lsn(8);
const END = lsn(10);

const storeOf = (id: string) => storeId(id.charCodeAt(0).toString(16).padStart(32, '0'));

function liveReport(role: ChainReport['role']): ChainReport {
  return {
    journal: JOURNAL,
    lineage: 1,
    epoch: EPOCH,
    role,
    live: true,
    synced: true,
    wedged: false,
    damaged: false,
    tooOld: false,
    endLsn: END,
    endEpoch: EPOCH,
    durableLsn: END,
    committedLsn: END,
    baseLsn: lsn(0),
    startLsn: START,
    waitingMicros: micros(0),
    acked: [],
    floor: null,
  };
}

const fine = (id: string, report: ChainReport | null): MemberFacts => ({
  store: storeOf(id),
  id: memberId(id),
  zone: zone(id),
  address: `${id}:1`,
  incarnation: 1,
  generation: 1,
  verdict: 'fine',
  syncs: true,
  syncing: false,
  proved: false,
  leaving: 'no',
  clockOff: false,
  admissible: true,
  heldBack: '',
  slowNow: false,
  report,
  restsFor: micros(60_000_000),
  learnedPerSecond: 0,
  floor: null,
  load: 0,
});

class World {
  #configuration: Configuration = {
    journal: JOURNAL,
    name: 'orders',
    settings: DEFAULT_SETTINGS,
    lineage: 1,
    epoch: EPOCH,
    mode: 'chain',
    firstLsn: lsn(1),
    serving: [],
    joining: null,
    deleted: false,
  };
  readonly #members = new Map<string, MemberFacts>();
  #times = new Map([['decided', '60000']]);
  #flags = new Set<string>();

  readonly run: Scenario = ([command = '', ...words]) => {
    if (command === 'chain') this.#chain(words);
    else if (command === 'member') this.#member(words[0] ?? '', words.slice(1));
    else if (command === 'acked') this.#acked(words);
    else if (command === 'zones') this.#zones(words);
    else if (command === 'settings') this.#settings(words);
    else if (command === 'lineage') this.#lineage(Number(words[0]));
    else if (command === 'time') for (const word of words) this.#time(word);
    else if (command === 'decide') return this.#decide();
    else if (command === 'force') return [this.#force(words[0] ?? '')];
    else throw new Error(`unknown command ${command}`);
    return [];
  };

  #chain(words: readonly string[]): void {
    const at = words.indexOf('+');
    const serving = at < 0 ? words : words.slice(0, at);
    const joining = at < 0 ? undefined : words[at + 1];
    this.#configuration = {
      ...this.#configuration,
      serving: serving.map((id) => memberOf(id)),
      joining: joining === undefined ? null : memberOf(joining),
    };
    const all = order(this.#configuration).map(({ id }) => id);
    for (const [index, id] of all.entries()) {
      const role = index === 0 ? 'head' : index === all.length - 1 ? 'tail' : 'middle';
      this.#members.set(id, fine(id, liveReport(role)));
    }
    this.#acked(all.map((id) => `${id}=${id === joining ? 0 : END}`));
  }

  /** What the head has heard of each member in this epoch. */
  #acked(words: readonly string[]): void {
    const head = this.#configuration.serving[0];
    if (head === undefined) return;
    const acked = pairs(words).map(([id, value]) => {
      const [durable, barrier] = value.split('/');
      const durableLsn = lsn(Number(durable));
      return { store: storeOf(id), durableLsn, barrier: Number(barrier ?? 0) };
    });
    this.#report(head.id, (report) => ({ ...report, acked }));
  }

  #zones(words: readonly string[]): void {
    const zones = new Map(pairs(words));
    const move = (member: Member): Member => ({
      ...member,
      zone: zone(zones.get(member.id) ?? member.zone),
    });
    const { serving, joining } = this.#configuration;
    this.#configuration = {
      ...this.#configuration,
      serving: serving.map(move),
      joining: joining === null ? null : move(joining),
    };
    for (const [id, place] of zones) this.#fact(id, 'zone', place);
  }

  #report(id: string, update: (report: ChainReport) => ChainReport): void {
    const before = this.#members.get(id) ?? fine(id, null);
    const report = before.report ?? {
      ...liveReport('none'),
      live: false,
      synced: false,
      epoch: epoch(0),
      endLsn: lsn(0),
      endEpoch: epoch(0),
    };
    this.#members.set(id, { ...before, report: update(report) });
  }

  #member(id: string, words: readonly string[]): void {
    if (!this.#members.has(id)) this.#members.set(id, fine(id, null));
    for (const [key, value] of pairs(words)) this.#fact(id, key, value);
  }

  #fact(id: string, key: string, value: string): void {
    const facts = this.#members.get(id) ?? fine(id, null);
    const set = (change: Partial<MemberFacts>): void => {
      this.#members.set(id, { ...facts, ...change });
    };
    const report = (change: Partial<ChainReport>): void =>
      this.#report(id, (before) => ({ ...before, ...change }));
    const number = Number(value);
    const yes = value === 'yes' || value === '';
    const [first = '0', second = '0', third = '0'] = value.split('/');
    const changes: Record<string, () => void> = {
      restarted: () => {
        set({ incarnation: facts.incarnation + 1, generation: facts.generation + 1 });
        report({ live: false, synced: false, role: 'restarted', startLsn: null });
      },
      waits: () => set({ incarnation: 0 }),
      heard: () => set({ incarnation: number }),
      silent: () => set({ verdict: value === 'no' ? 'fine' : 'silent' }),
      stuck: () => set({ verdict: 'stuck' }),
      slow: () => set({ verdict: 'slow' }),
      failed: () => set({ verdict: 'failed' }),
      proved: () => {
        set({ proved: true });
        report({ wedged: true });
      },
      syncing: () => set({ syncing: yes }),
      syncs: () => set({ syncs: yes }),
      leaving: () => set({ leaving: value === 'drain' ? 'drain' : 'remove' }),
      clockOff: () => set({ clockOff: yes }),
      admissible: () => set({ admissible: yes }),
      held: () => set({ heldBack: value === 'disk' ? 'disk' : 'damped' }),
      slowNow: () => set({ slowNow: yes }),
      zone: () => set({ zone: zone(value) }),
      rests: () => set({ restsFor: micros(number * 1_000) }),
      learned: () => set({ learnedPerSecond: number }),
      floor: () =>
        set({
          floor: {
            epoch: epoch(Number(first)),
            lsn: lsn(Number(second)),
            entryEpoch: epoch(Number(third)),
          },
        }),
      end: () => report({ endLsn: lsn(number), durableLsn: lsn(number) }),
      durable: () => report({ durableLsn: lsn(number) }),
      endEpoch: () => report({ endEpoch: epoch(number) }),
      base: () => report({ baseLsn: lsn(number) }),
      epoch: () => report({ epoch: epoch(number), live: number === EPOCH }),
      wedged: () => report({ wedged: yes }),
      unsynced: () => report({ synced: false }),
      tooOld: () => report({ tooOld: yes }),
      damaged: () => report({ damaged: yes }),
      unopened: () => report({ damaged: true, tooOld: true, role: 'none', live: false }),
      learner: () => report({ role: 'learner', live: false, epoch: epoch(0) }),
      retired: () => report({ role: 'retired', live: false, epoch: epoch(number) }),
    };
    const change = changes[key];
    if (change === undefined) throw new Error(`unknown fact ${key}`);
    change();
  }

  /** Members have it, spares are still of the one before. */
  #lineage(lineage: number): void {
    this.#configuration = { ...this.#configuration, lineage };
    for (const { id } of order(this.#configuration)) {
      this.#report(id, (report) => ({ ...report, lineage }));
    }
  }

  #settings(words: readonly string[]): void {
    const { settings } = this.#configuration;
    const changed = Object.fromEntries(pairs(words).map(([key, value]) => [key, Number(value)]));
    this.#configuration = { ...this.#configuration, settings: { ...settings, ...changed } };
  }

  #time(word: string): void {
    const [[key, value] = ['', '']] = pairs([word]);
    if (value === '') this.#flags.add(key);
    else this.#times.set(key, value);
  }

  #decide(): string[] {
    const millis = (key: string) => micros(Number(this.#times.get(key) ?? 0) * 1_000);
    const maybe = (key: string) => (this.#times.has(key) ? millis(key) : null);
    const situation: Situation = {
      configuration: this.#configuration,
      members: new Map([...this.#members.values()].map((facts) => [facts.store, facts])),
      decidedFor: millis('decided'),
      wedgedFor: maybe('wedged'),
      orphanFor: maybe('orphan'),
      stalledFor: millis('stalled'),
      silentFor: millis('silent'),
      missingFor: millis('missing'),
      reordered: this.#flags.has('reordered'),
      floorsKnown: this.#flags.has('floors'),
    };
    const decision = decide(situation);
    if (decision.kind === 'propose') {
      const refused = whyNot(this.#configuration, decision.configuration, evidenceOf(situation));
      if (refused !== null) throw new Error(`breaks the survivor rule: ${refused}`);
    }
    return [this.#text(decision)];
  }

  #force(id: string): string {
    try {
      const { report } = survivorOf(this.#configuration, [...this.#members.values()], id);
      return `${id} goes on alone, up to LSN ${report?.endLsn}`;
    } catch (error) {
      if (error instanceof JournalError) return `${error.code}: ${error.message}`;
      throw error;
    }
  }

  #text(decision: Decision): string {
    const name = ({ id, incarnation }: { id: MemberId; incarnation: number }): string =>
      incarnation === 1 ? id : `${id}.${incarnation}`;
    const note = decision.note === '' ? '' : `: ${decision.note}`;
    switch (decision.kind) {
      case 'propose': {
        const { serving, joining } = decision.configuration;
        const tail = joining === null ? '' : ` + ${name(joining)}`;
        return `propose ${serving.map(name).join(' ')}${tail} (${decision.cause})${note}`;
      }
      case 'wedge':
        return `wedge ${decision.members.map(name).join(' ')} (${decision.cause})${note}`;
      case 'learn':
        return `learn${note}`;
      case 'probe':
        return `probe${note}`;
      default:
        return `${decision.kind}${note}`;
    }
  }
}

const pairs = (words: readonly string[]): (readonly [string, string])[] =>
  words.map((word) => {
    const [key = '', value = ''] = word.split('=');
    return [key, value];
  });

runTranscripts(join(import.meta.dirname, 'testdata'), () => new World().run);
