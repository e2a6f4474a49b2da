// Plays the scenarios of testdata/: acceptors and proposers, message by message.
//
// Commands: `set 1 a b c` (the acceptors, all serving) · `change NAME KEY +x by p round R` opens
// an attempt that appends x · `deliver NAME a b` carries its open messages to these and the
// answers back · `lose NAME a` · `save a` makes durable what a has issued · `hold a` stops
// durable saves until then · `read KEY a b` · `show a KEY` · `crash a` forgets what was not saved ·
// `replace NAME 1 2 b c d` opens a replacement of set 1 by 2.

import { join } from 'node:path';
import { AcceptorDisk } from '../../test/acceptor-disk.ts';
import { runTranscripts, type Scenario } from '../../test/transcript.ts';
import { type AcceptorState, stepAcceptor } from './acceptor.ts';
import { openReplacement, stepReplacement } from './acceptor-set.ts';
import {
  type AcceptorAnswer,
  type AcceptorRequest,
  type AcceptorSet,
  type Ballot,
  EMPTY_REGISTER,
  type RegisterState,
} from './messages.ts';
import { judgeRead, openChange, stepChange } from './proposer.ts';

type Sent = { readonly to: string; readonly body: AcceptorRequest };
type Output =
  | { readonly kind: 'send'; readonly to: { readonly id: string }; readonly body: AcceptorRequest }
  | { readonly kind: 'over'; readonly outcome: object };
type Event =
  | { readonly kind: 'start' }
  | { readonly kind: 'answer'; readonly from: string; readonly answer: AcceptorAnswer }
  | { readonly kind: 'lost'; readonly from: string; readonly reason: string };

const ballotText = (ballot: Ballot): string =>
  ballot.round === 0 ? 'none' : `${ballot.round}.${ballot.proposer}`;

function answerText(answer: AcceptorAnswer | null): string {
  switch (answer?.kind) {
    case undefined:
      return 'nothing yet';
    case 'promise':
      return `promise, accepted ${answer.value ?? 'nothing'} at ${ballotText(answer.accepted)}`;
    case 'nack':
      return `nack, promised ${ballotText(answer.promised)}`;
    case 'state':
      return stateText(answer.state);
    case 'wrongSet':
      return `wrong set, newer ${answer.newer?.version ?? 'unknown'}`;
    case 'sealed':
      return `sealed, next ${answer.next.version}, ${answer.registers.length} registers`;
    default:
      return answer?.kind ?? '';
  }
}

const stateText = ({ promised, accepted, value }: RegisterState): string =>
  `${value ?? 'nothing'} at ${ballotText(accepted)}, promised ${ballotText(promised)}`;

interface Kept {
  state: AcceptorState;
  readonly disk: AcceptorDisk;
  holding: boolean;
}

class World {
  #acceptors = new Map<string, Kept>();
  #attempts = new Map<string, { step: (event: Event) => Output[]; open: Sent[] }>();
  #sets = new Map<number, AcceptorSet>();
  #requests = 0;

  readonly run: Scenario = (words) => {
    const [command = '', ...rest] = words;
    switch (command) {
      case 'set':
        return this.#set(Number(rest[0]), rest.slice(1));
      case 'change':
        return this.#change(rest);
      case 'replace':
        return this.#replace(rest);
      case 'deliver':
      case 'lose':
        return this.#carry(rest[0] ?? '', rest.slice(1), command === 'deliver');
      case 'hold':
        this.#at(rest[0]).holding = true;
        return [];
      case 'save':
        return this.#save(rest[0] ?? '');
      case 'crash':
        return this.#crash(rest[0] ?? '');
      case 'show':
        return rest.slice(1).map((id) => `${id}: ${this.#show(id, rest[0] ?? '')}`);
      case 'read':
        return this.#read(rest[0] ?? '', rest.slice(1));
      default:
        throw new Error(`unknown command ${command}`);
    }
  };

  #makeSet(version: number, ids: readonly string[]): AcceptorSet {
    const seats = ids.map((id) => ({ id, store: '', address: id }));
    const set = { id: 's', version, seats };
    this.#sets.set(version, set);
    return set;
  }

  #set(version: number, ids: readonly string[]): string[] {
    const set = this.#makeSet(version, ids);
    for (const id of ids) {
      const disk = new AcceptorDisk({ set, mode: 'serving', next: null });
      this.#acceptors.set(id, { state: disk.open(id), disk, holding: false });
    }
    return [];
  }

  #change([name = '', key = '', added = '', , proposer = '', , round = '']: readonly string[]) {
    const set = this.#sets.get(Math.max(...this.#sets.keys()));
    if (set === undefined) throw new Error('no set');
    const update = (value: string | null) => (added === '+' ? value : `${value ?? ''}${added[1]}`);
    const state = openChange(key, set, { round: Number(round), proposer }, update);
    return this.#open(name, (event) => stepChange(state, event));
  }

  #replace([name = '', from = '', to = '', ...ids]: readonly string[]): string[] {
    const old = this.#sets.get(Number(from));
    if (old === undefined) throw new Error(`no set ${from}`);
    const state = openReplacement(old, this.#makeSet(Number(to), ids));
    for (const id of ids.filter((other) => !this.#acceptors.has(other))) {
      const disk = new AcceptorDisk(null);
      this.#acceptors.set(id, { state: disk.open(id), disk, holding: false });
    }
    return this.#open(name, (event) => stepReplacement(state, event));
  }

  #open(name: string, step: (event: Event) => Output[]): string[] {
    this.#attempts.set(name, { step, open: [] });
    return this.#take(name, step({ kind: 'start' }));
  }

  #take(name: string, outputs: readonly Output[]): string[] {
    const attempt = this.#attempts.get(name);
    const lines = new Set<string>();
    for (const output of outputs) {
      if (output.kind === 'send') {
        attempt?.open.push({ to: output.to.id, body: output.body });
        const value = output.body.kind === 'accept' ? ` ${output.body.value}` : '';
        lines.add(`${name} sends ${output.body.kind}${value}`);
      } else lines.add(`${name} ends: ${JSON.stringify(output.outcome)}`);
    }
    return [...lines];
  }

  #carry(name: string, ids: readonly string[], deliver: boolean): string[] {
    const attempt = this.#attempts.get(name);
    if (attempt === undefined) throw new Error(`no attempt ${name}`);
    const lines: string[] = [];
    const going = attempt.open.filter(({ to }) => ids.includes(to));
    attempt.open = attempt.open.filter((sent) => !going.includes(sent));
    for (const { to, body } of going) {
      const answer = deliver ? this.#ask(to, body) : null;
      if (deliver) lines.push(`${to}: ${answerText(answer)}`);
      const event: Event =
        answer === null
          ? { kind: 'lost', from: to, reason: deliver ? 'no answer' : 'lost' }
          : { kind: 'answer', from: to, answer };
      lines.push(...this.#take(name, attempt.step(event)));
    }
    return lines;
  }

  #at(id = '') {
    const acceptor = this.#acceptors.get(id);
    if (acceptor === undefined) throw new Error(`no acceptor ${id}`);
    return acceptor;
  }

  /** The answer, or null while it waits for a save. */
  #ask(id: string, body: AcceptorRequest): AcceptorAnswer | null {
    const acceptor = this.#at(id);
    this.#requests += 1;
    const effects = stepAcceptor(acceptor.state, {
      kind: 'request',
      request: this.#requests,
      body,
    });
    acceptor.disk.take(effects);
    if (!acceptor.holding) effects.push(...this.#settle(id));
    const mine = effects.find((e) => e.kind === 'reply' && e.request === this.#requests);
    return mine?.kind === 'reply' ? mine.answer : null;
  }

  #settle(id: string) {
    const acceptor = this.#at(id);
    acceptor.disk.settle();
    return stepAcceptor(acceptor.state, { kind: 'saved', save: acceptor.state.issued });
  }

  #save(id: string): string[] {
    this.#at(id).holding = false;
    return this.#settle(id).map((e) =>
      e.kind === 'reply' ? `${id}: ${answerText(e.answer)}` : '',
    );
  }

  #crash(id: string): string[] {
    const acceptor = this.#at(id);
    acceptor.state = acceptor.disk.open(id);
    acceptor.holding = false;
    return [];
  }

  #show(id: string, key: string): string {
    const versions = this.#at(id).state.versions.map(({ record, registers }) => {
      const register = registers.get(key) ?? EMPTY_REGISTER;
      return `set ${record.set.version} ${record.mode}, ${stateText(register)}`;
    });
    return versions.join(' | ') || 'no set';
  }

  #read(key: string, ids: readonly string[]): string[] {
    const set = this.#sets.get(Math.max(...this.#sets.keys()));
    if (set === undefined) throw new Error('no set');
    const answers = new Map(
      ids.map((id) => [id, this.#ask(id, { kind: 'read', set, key })] as const),
    );
    return [JSON.stringify(judgeRead(set, answers))];
  }
}

runTranscripts(join(import.meta.dirname, 'testdata'), () => new World().run);
