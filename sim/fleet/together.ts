// The invariants of the protocols over all processes of a run, after every step of any of them.
//
// A process sees its own state alone; here the states of all that live lie side by side. What is
// broken throws inside the step that broke it, and ends that process with the rule's name.

import { type ChainWorld, checkMembers } from '../../protocol/chain/invariants.ts';
import type { ChainState } from '../../protocol/chain/state.ts';
import { type Configuration, compareConfigurations } from '../../protocol/configuration.ts';
import { type AcceptorView, checkAcceptors } from '../../protocol/paxos/invariants.ts';
import type { RegisterState } from '../../protocol/paxos/messages.ts';
import type { JournalId } from '../../protocol/types.ts';
import type { Actor } from '../world.ts';

interface SeenAcceptor {
  readonly view: AcceptorView;
  /** As they were when all acceptors were compared last: by key, of each version. */
  readonly registers: Map<string, readonly Looked[]>;
}

/** Neither is ever changed: another one takes its place. */
interface Looked {
  readonly record: Version['record'];
  readonly register: RegisterState | undefined;
}

export class Together {
  readonly #members = new Map<JournalId, Map<Actor, ChainState>>();
  readonly #acceptors = new Map<Actor, SeenAcceptor>();
  /** Steps after which all were looked at: of chains, of registers. */
  readonly counts = { chain: 0, paxos: 0 };

  /** A machine of a replica has taken a turn. */
  turned(actor: Actor, state: ChainState): void {
    this.counts.chain += 1;
    const { journal } = state;
    const members = this.#members.get(journal) ?? new Map<Actor, ChainState>();
    this.#members.set(journal, members);
    members.set(actor, state);
    const world = chainWorld(members);
    if (world !== null) checkMembers(world);
  }

  /** An acceptor has answered for a register; most answers change nothing. */
  stepped(actor: Actor, key: string, view: AcceptorView): void {
    this.counts.paxos += 1;
    const seen = this.#acceptors.get(actor) ?? { view, registers: new Map() };
    this.#acceptors.set(actor, seen);
    if (!isNews(seen.registers, key, view)) return;
    const views: AcceptorView[] = [];
    for (const [other, { view: theirs }] of this.#acceptors) {
      if (!other.alive) this.#acceptors.delete(other);
      else views.push({ versions: theirs.versions.map((version) => only(key, version)) });
    }
    checkAcceptors(views);
  }
}

type Version = AcceptorView['versions'][number];

/** Whether a register, or a set that it lies in, is not what was looked at; from now on it is. */
function isNews(
  known: Map<string, readonly Looked[]>,
  key: string,
  { versions }: AcceptorView,
): boolean {
  const before = known.get(key);
  const same =
    before?.length === versions.length &&
    versions.every(
      ({ record, registers }, at) =>
        before[at]?.record === record && before[at]?.register === registers.get(key),
    );
  if (same) return false;
  const now = versions.map(({ record, registers }) => ({ record, register: registers.get(key) }));
  known.set(key, now);
  return true;
}

function only(key: string, { record, registers }: Version): Version {
  const register = registers.get(key);
  return { record, registers: new Map(register === undefined ? [] : [[key, register]]) };
}

/** Those that live, of the newest lineage, and the newest configuration that any of them saved. */
function chainWorld(members: Map<Actor, ChainState>): ChainWorld | null {
  let latest: Configuration | null = null;
  for (const [actor, { record }] of members) {
    if (!actor.alive) members.delete(actor);
    else if (record !== null) {
      const { configuration } = record;
      const newer = latest === null || compareConfigurations(configuration, latest) > 0;
      if (newer) latest = configuration;
    }
  }
  if (latest === null) return null;
  const { lineage } = latest;
  const of = ({ record }: ChainState): boolean => record?.configuration.lineage === lineage;
  return { members: [...members.values()].filter(of), latest };
}
