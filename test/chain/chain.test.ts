// Plays the scenarios beside this file: the chain machines of a few members, input by input.
//
// Members are 1, 2, 3 …; the first configuration names the first ones in this order. Commands:
// `open STORES MEMBERS MIN [WRITERS WINDOW [CURSORS [KEYS]]]` · `append N [count= key=K[+K…] op=
// lease= writer= seq= after= chosen body= tail= expect=K:LSN fence=K:TOKEN lineage=]` · `trim N
// THROUGH [force]` · `cursor N NAME LSN|none [END]` · `forget N KEY` · `key N KEY` · `cursors N` ·
// `read N` · `deliver A B` one message · `disk N` one operation · `tick N` · `crash N` · `start N`
// · `unlink A B` loses what is under way · `decide 2,3 [joining 1]` · `force 2` the same in a new
// lineage · `configure N` · `wedge N EPOCH` · `learn N from M` · `settle [without disk2 link1-2 …]`
// does all that can be done but what is named · `show` · `floor N` · `rest` says who may do without
// ticks.

import { join } from 'node:path';
import { checkMember, checkMembers } from '../../protocol/chain/invariants.ts';
import type {
  AppendRequest,
  ChainEffect,
  ChainReply,
  ChainRequest,
} from '../../protocol/chain/messages.ts';
import { outstanding } from '../../protocol/chain/state.ts';
import { DEFAULT_SETTINGS } from '../../protocol/configuration.ts';
import { type Epoch, epoch, type Idempotence, lsn, writerId } from '../../protocol/types.ts';
import { applyChain, type ChainAction } from '../../sim/explore/chain-actions.ts';
import { chainStates } from '../../sim/explore/chain-checks.ts';
import type { ChainWorldState } from '../../sim/explore/chain-parts.ts';
import { feed, latest, memberOf, openChainWorld } from '../../sim/explore/chain-world.ts';
import { runTranscripts, type Scenario } from '../transcript.ts';

/** What is held back makes members ask again for ever: then this is where a settle ends. */
const ROUNDS = 12;

const NOTHING = {
  epochs: 0,
  appends: 0,
  crashes: 0,
  cuts: 0,
  reads: 0,
  trims: 0,
  losses: 0,
  patient: false,
};

class Chain {
  #world: ChainWorldState | null = null;
  #said: string[] = [];

  readonly run: Scenario = (words) => {
    const [command = '', ...rest] = words;
    this.#said = [];
    if (command === 'open') this.#open(rest.map(Number));
    else if (command === 'show') return this.#show();
    else if (command === 'floor') return this.#floor(Number(rest[0]) - 1);
    else if (command === 'rest') return this.#rest();
    else this.#step(command, rest);
    this.#check();
    return this.#said;
  };

  get world(): ChainWorldState {
    if (this.#world === null) throw new Error('the first command is open');
    return this.#world;
  }

  #open([stores = 3, initial = 3, minReplicas = 2, ...given]: readonly number[]): void {
    const { limits: usual } = DEFAULT_SETTINGS;
    const [writers = usual.writers, writerWindow = usual.writerWindow, ...more] = given;
    const [cursors = usual.cursors, keys = usual.keys] = more;
    const limits = { ...usual, writers, writerWindow, cursors, keys };
    const world = openChainWorld({ ...NOTHING, stores, initial, minReplicas, limits });
    world.observe = (store, effect) => this.#observe(Number(store), effect);
    this.#world = world;
  }

  #check(): void {
    const members = chainStates(this.world);
    for (const state of members) checkMember(state);
    const { lineage } = latest(this.world);
    const heirs = members.filter(({ record }) => record?.configuration.lineage === lineage);
    checkMembers({ members: heirs, latest: latest(this.world) });
  }

  #step(command: string, words: readonly string[]): void {
    const at = Number(words[0]) - 1;
    switch (command) {
      case 'deliver':
        this.#apply({ kind: 'deliver', wire: this.#wire(words[0], words[1]) });
        break;
      case 'unlink':
        this.#apply({ kind: 'cut', wire: this.#wire(words[0], words[1]) });
        break;
      case 'disk':
      case 'tick':
      case 'crash':
      case 'start':
      case 'configure':
        this.#apply({ kind: command, site: at });
        break;
      case 'learn':
        this.#apply({ kind: 'learn', site: at, source: Number(words[2]) - 1 });
        break;
      case 'wedge':
        feed(this.world, at, { kind: 'wedge', epoch: epoch(Number(words[1])) });
        break;
      case 'decide':
        this.#decide(words, 0);
        break;
      case 'force':
        this.#decide(words, 1);
        break;
      case 'settle':
        this.#settle(new Set(words.slice(1)));
        break;
      default:
        this.#request(at, requestOf(command, words.slice(1)));
    }
  }

  #apply(action: ChainAction): void {
    applyChain(this.world, action);
  }

  #wire(from = '', to = ''): number {
    const at = this.world.wires.findIndex(
      (wire) => Number(wire.from) === Number(from) && Number(wire.to) === Number(to),
    );
    if (at < 0) throw new Error(`nothing is under way from ${from} to ${to}`);
    return at;
  }

  #request(at: number, body: ChainRequest): void {
    const request = this.world.nextRequest;
    this.world.nextRequest += 1;
    feed(this.world, at, { kind: 'request', request, body });
  }

  #decide([serving = '', , joining]: readonly string[], lineages: number): void {
    const member = (name: string): ReturnType<typeof memberOf> => {
      const site = this.world.sites[Number(name) - 1];
      if (site === undefined) throw new Error(`no member ${name}`);
      return memberOf(site);
    };
    const now = latest(this.world);
    const next = {
      ...now,
      lineage: now.lineage + lineages,
      epoch: epoch(now.epoch + 1),
      serving: serving.split(',').map(member),
      joining: joining === undefined ? null : member(joining),
    };
    this.#apply({ kind: 'decide', next });
  }

  /** Disks, links and configurations until nothing is left to do, or only the same again. */
  #settle(without: ReadonlySet<string>): void {
    const { sites, wires } = this.world;
    for (let round = 0; round < ROUNDS; round += 1) {
      let quiet = true;
      for (const [site, { state, operations }] of sites.entries()) {
        if (state === null) continue;
        const news = (state.known?.epoch ?? 0) < latest(this.world).epoch || state.record === null;
        if (news && !without.has(`configure${site + 1}`)) {
          this.#apply({ kind: 'configure', site });
          quiet = operations.length === 0 && quiet;
        }
        while (operations.length > 0 && !without.has(`disk${site + 1}`)) {
          this.#apply({ kind: 'disk', site });
          quiet = false;
        }
      }
      for (const [wire, { from, to, messages }] of wires.entries()) {
        if (without.has(`link${Number(from)}-${Number(to)}`)) continue;
        while (messages.length > 0) {
          this.#apply({ kind: 'deliver', wire });
          quiet = false;
        }
      }
      if (quiet && round > 3) return;
      for (const site of sites.keys()) this.#apply({ kind: 'tick', site });
    }
  }

  #observe(member: number, effect: ChainEffect): void {
    const said = effectText(effect);
    if (said !== null) this.#said.push(`${member}: ${said}`);
  }

  /** Who has nothing outstanding, and needs no tick while nothing comes in. */
  #rest(): string[] {
    return chainStates(this.world).map(
      (state) => `${Number(state.me.store)}: ${outstanding(state) ? 'ticks' : 'at rest'}`,
    );
  }

  /** What its disk is known to have acknowledged: no older copy of it may serve. */
  #floor(at: number): readonly string[] {
    const floor = this.world.sites[at]?.state?.floor;
    if (floor == null) return ['none'];
    const { lsn: position, entryEpoch, epoch: acknowledged } = floor;
    return [`${position} of epoch ${entryEpoch}, acknowledged in epoch ${acknowledged}`];
  }

  #show(): readonly string[] {
    return this.world.sites.map(({ store, state, durable, record }) => {
      const name = Number(store);
      if (state === null) return `${name}: down, ${durable.length} batches, epoch ${record?.epoch}`;
      const { shape, committedLsn, durableLsn, standing, live, synced, startLsn } = state;
      const runs = shape.runs.map((run) => `${run.epoch}@${run.firstLsn}`).join(' ');
      const part = live ? `live${synced ? ' synced' : ''} from ${startLsn ?? '?'}` : 'not live';
      return (
        `${name}: ${standing} in epoch ${state.record?.epoch ?? 0}, ${part}, ` +
        `base ${shape.baseLsn}, committed ${committedLsn}, durable ${durableLsn}, ` +
        `end ${shape.endLsn}, runs ${runs || 'none'}`
      );
    });
  }
}

function effectText(effect: ChainEffect): string | null {
  switch (effect.kind) {
    case 'reply':
      return `reply ${effect.request}: ${replyText(effect.reply)}`;
    case 'truncate':
      return `cuts its log to ${effect.endLsn}${effect.refold ? ', refolds' : ''}`;
    case 'trim':
      return `may drop everything through ${effect.through}`;
    case 'setAside':
      return 'sets its log aside';
    case 'inquire':
      return 'asks the control plane';
    default:
      return null;
  }
}

function replyText(reply: ChainReply): string {
  switch (reply.kind) {
    case 'appended': {
      const { firstLsn, lastLsn, epoch: at, duplicate } = reply;
      const range = firstLsn === lastLsn ? `${firstLsn}` : `${firstLsn} to ${lastLsn}`;
      return `appended ${range} in epoch ${at}${duplicate ? ', before' : ''}`;
    }
    case 'applied':
      return `applied at ${reply.lsn}, first left ${reply.firstLsn}`;
    case 'readIndex':
      return `committed ${reply.committedLsn}, last record ${reply.dataLsn}`;
    case 'key':
      return `key ${reply.key} at ${reply.keyLsn}, token ${reply.tokenLsn}`;
    case 'cursors':
      return `cursors ${reply.cursors.map(({ name, lsn: at }) => `${name}=${at}`).join(' ')}`;
    case 'refused': {
      const { code, message } = reply.refusal;
      return `${code} (${reply.outcome}): ${message}`;
    }
  }
}

function requestOf(command: string, words: readonly string[]): ChainRequest {
  const [first = '', second] = words;
  switch (command) {
    case 'append':
      return appendOf(words);
    case 'trim':
      return { kind: 'trim', through: lsn(Number(first)), force: second === 'force' };
    case 'cursor':
      return {
        kind: 'cursor',
        name: first,
        lsn: second === 'none' ? null : lsn(Number(second)),
        expectEnd: words[2] === undefined ? null : lsn(Number(words[2])),
      };
    case 'forget':
    case 'key':
      return { kind: command, key: first };
    case 'cursors':
      return { kind: 'cursors' };
    case 'read':
      return { kind: 'readIndex' };
    default:
      throw new Error(`unknown command ${command}`);
  }
}

function appendOf(words: readonly string[]): AppendRequest {
  const given = new Map(words.map((word) => [word.split('=')[0] ?? '', word.split('=')[1] ?? '']));
  const number = (name: string, otherwise: number): number => Number(given.get(name) ?? otherwise);
  const pair = (name: string): { key: string; at: Epoch | number } | null => {
    const [key, at] = (given.get(name) ?? '').split(':');
    return key === undefined || at === undefined ? null : { key, at: Number(at) };
  };
  const expect = pair('expect');
  const fence = pair('fence');
  const keys = given.get('key')?.split('+') ?? [];
  const operation = given.get('op');
  return {
    kind: 'append',
    count: number('count', 1),
    bodyCrc: number('body', 1),
    bodyBytes: 1,
    keys: keys.map((key, offset) => ({ key, offset })),
    keyOperation: operation === 'claim' || operation === 'renew' ? operation : 'tag',
    leaseMillis: number('lease', 0),
    idempotence: idempotenceOf(given),
    condition: {
      expectTail: given.has('tail') ? lsn(number('tail', 0)) : null,
      expectKey: expect === null ? null : { key: expect.key, lsn: lsn(expect.at) },
      fence: fence === null ? null : { key: fence.key, token: lsn(fence.at) },
      lineage: given.has('lineage') ? number('lineage', 0) : undefined,
    },
  };
}

function idempotenceOf(given: ReadonlyMap<string, string>): Idempotence | null {
  const writer = given.get('writer');
  if (writer === undefined) return null;
  return {
    writer: writerId(writer.padStart(32, '0')),
    sequence: Number(given.get('seq') ?? 1),
    after: Number(given.get('after') ?? 0),
    chosen: given.has('chosen'),
  };
}

runTranscripts(join(import.meta.dirname, 'testdata'), () => new Chain().run);
