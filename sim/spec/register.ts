// ConfigRegister.tla in short, over ballots that are compared by a function of the code's own kind.
//
// A value is the list of what was ever appended; messages are remembered for good, as in the model.
// Acceptors stand here as their disks do: what is answered must be there before.

import { SpecViolation } from './chain.ts';

export interface Vote {
  readonly round: number;
  readonly proposer: string;
}

interface AcceptorNode {
  prom: Vote;
  ab: Vote;
  av: string;
}

type Message =
  | {
      readonly ty: '1b' | '2b';
      readonly b: string;
      readonly a: number;
      readonly av: string;
      readonly ab: Vote;
    }
  | { readonly ty: '2a'; readonly b: string; readonly av: string };

export interface RegisterSpec {
  readonly acceptors: AcceptorNode[];
  readonly msgs: Message[];
  readonly chosen: string[];
  /** Whether a value is a change of the one that it was made from. */
  readonly builds: (base: string, value: string) => boolean;
}

const NONE: Vote = { round: 0, proposer: '' };
const text = ({ round, proposer }: Vote): string => `${round}.${proposer}`;

function order(one: Vote, other: Vote): number {
  if (one.round !== other.round) return one.round - other.round;
  return one.proposer < other.proposer ? -1 : Number(one.proposer > other.proposer);
}

function guard(holds: boolean, action: string, why: string): void {
  if (!holds) throw new SpecViolation(action, why);
}

/** Values are lists to which something is appended, or what `builds` says. */
export function openRegisterSpec(
  acceptors: number,
  builds: RegisterSpec['builds'] = isAppend,
): RegisterSpec {
  const nodes = Array.from({ length: acceptors }, () => ({ prom: NONE, ab: NONE, av: '[]' }));
  return { acceptors: nodes, msgs: [], chosen: [], builds };
}

const isQuorum = (spec: RegisterSpec, members: ReadonlySet<number>): boolean =>
  2 * members.size > spec.acceptors.length;

function acceptorOf(spec: RegisterSpec, a: number, action: string): AcceptorNode {
  const node = spec.acceptors[a];
  if (node === undefined) throw new SpecViolation(action, 'there is no such acceptor');
  return node;
}

function promise(spec: RegisterSpec, a: number, b: Vote): void {
  const action = `Promise(${a}, ${text(b)})`;
  const node = acceptorOf(spec, a, action);
  guard(order(b, node.prom) > 0, action, `it promised ${text(node.prom)}`);
  node.prom = b;
  spec.msgs.push({ ty: '1b', b: text(b), a, ab: node.ab, av: node.av });
}

/** A proposer that heard a quorum builds on the value of the highest ballot in it. */
function propose(spec: RegisterSpec, b: Vote, value: string): void {
  const action = `Propose(${text(b)})`;
  const twice = spec.msgs.some((m) => m.ty === '2a' && m.b === text(b));
  guard(!twice, action, 'it has proposed already');
  const heard = spec.msgs.filter((m) => m.ty === '1b' && m.b === text(b));
  const bases = new Set<string>();
  // Every quorum among those that promised is one that it may have heard.
  for (let mask = 1; mask < 1 << heard.length; mask += 1) {
    const some = heard.filter((_, at) => (mask & (1 << at)) !== 0);
    const from = new Set(some.flatMap((m) => ('a' in m ? [m.a] : [])));
    if (!isQuorum(spec, from)) continue;
    let best: { ab: Vote; av: string } = { ab: NONE, av: '[]' };
    for (const m of some) if ('ab' in m && order(m.ab, best.ab) > 0) best = m;
    bases.add(best.av);
  }
  guard(bases.size > 0, action, 'no quorum has promised');
  const fits = [...bases].some((base) => value === base || spec.builds(base, value));
  guard(fits, action, `${value} is no change of ${[...bases].join(' or ')}`);
  spec.msgs.push({ ty: '2a', b: text(b), av: value });
}

function isAppend(base: string, value: string): boolean {
  return base === '[]'
    ? /^\["[^"]*"\]$/.test(value)
    : value.startsWith(`${base.slice(0, -1)},`) &&
        value.split(',').length === base.split(',').length + 1;
}

function accept(spec: RegisterSpec, a: number, b: Vote, value: string): void {
  const action = `Accept(${a}, ${text(b)})`;
  const node = acceptorOf(spec, a, action);
  const asked = spec.msgs.some((m) => m.ty === '2a' && m.b === text(b) && m.av === value);
  guard(asked, action, 'nobody proposed this');
  guard(
    order(b, node.prom) >= 0 && order(node.ab, b) < 0,
    action,
    `it promised ${text(node.prom)}`,
  );
  Object.assign(node, { prom: b, ab: b, av: value });
  spec.msgs.push({ ty: '2b', b: text(b), a, ab: b, av: value });
}

function choose(spec: RegisterSpec, b: Vote, value: string): void {
  const from = spec.msgs.flatMap((m) =>
    m.ty === '2b' && m.b === text(b) && m.av === value ? [m.a] : [],
  );
  const action = `Choose_(${text(b)})`;
  guard(isQuorum(spec, new Set(from)), action, `only ${from.length} accepted it`);
  spec.chosen.push(value);
}

/** An answer is on its way: it must say what a message of the model says. */
function answered(
  spec: RegisterSpec,
  ty: '1b' | '2b',
  a: number,
  b: Vote,
  av: string | null,
): void {
  const said = spec.msgs.some(
    (m) => m.ty === ty && m.a === a && m.b === text(b) && (av === null || m.av === av),
  );
  guard(
    said,
    ty === '1b' ? `Promise(${a}, ${text(b)})` : `Accept(${a}, ${text(b)})`,
    'its disk does not know',
  );
}

/** It starts again with what its disk holds: with BUG = "none" it forgets nothing. */
function crash(spec: RegisterSpec, a: number, prom: Vote): void {
  const node = acceptorOf(spec, a, `Crash(${a})`);
  guard(order(prom, node.prom) === 0, `Crash(${a})`, 'it forgets its promise');
}

export const REGISTER_ACTIONS = {
  Promise: promise,
  Propose: propose,
  Accept: accept,
  Choose_: choose,
  Crash: crash,
} as const;

/** How an answer of the code stands to the messages of the model. */
export const checkAnswer = answered;
