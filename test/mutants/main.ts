// Breaks the code on purpose, one rule at a time, and shows which method notices.
//
// Exit code 0: every mutant was caught and the code as it is was not; 1: a hole; 2: wrong use.

import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { endWithReader } from '../../io/node-process.ts';
import { type Effort, FULL, METHODS, QUICK, type Run } from './methods.ts';
import { METHOD_NAMES, type MethodName, type Mutant } from './mutant.ts';
import { MUTANTS } from './table.ts';
import { type Outcome, Tree } from './tree.ts';

const USAGE = `npm run mutants [-- NAME…]        all mutants, or these; control is the code as it is
npm run mutants -- --quick        the ones that are caught in seconds, as CI runs them
npm run mutants -- --no-control   without the code as it is: where other tests have just tried it
npm run mutants -- --search       without the tests that were written for a rule by hand
npm run mutants -- --by 'chain walks' …   by this method alone
npm run mutants -- --list         what there is
`;

/** What a patch that does not even run looks like: that is nobody's success. */
const BROKEN = /\b(?:SyntaxError|ReferenceError|ERR_MODULE_NOT_FOUND|ERR_INVALID_TYPESCRIPT)\b/;

/** The code as it is, before every method that somebody is caught by: none may complain. */
const CONTROL: Mutant = {
  name: 'control',
  about: 'the code as it is',
  edits: [],
  by: METHOD_NAMES,
};

const say = (line: string): void => void process.stdout.write(`${line}\n`);

interface Plan {
  readonly mutants: readonly Mutant[];
  readonly effort: Effort;
  /** What may be tried; each mutant names its own among them. */
  readonly methods: readonly MethodName[];
}

type Verdict =
  | { readonly kind: 'caught'; readonly method: MethodName; readonly by: string }
  | { readonly kind: 'missed'; readonly by: string }
  | { readonly kind: 'broken'; readonly output: string };

async function attempt(tree: Tree, mutant: Mutant, plan: Plan): Promise<Verdict> {
  const tried: string[] = [];
  for (const name of plan.methods.filter((one) => mutant.by.includes(one))) {
    const method = METHODS[name];
    let seconds = 0;
    let before = '';
    for (const run of method.runs(plan.effort, mutant, tree.root)) {
      const outcome = await tryOut(tree, mutant, method, run, plan.effort.secondsMax);
      seconds += outcome.seconds;
      if (BROKEN.test(outcome.output)) return { kind: 'broken', output: outcome.output };
      if (outcome.timedOut) tried.push(`${name} (stopped after ${plan.effort.secondsMax} s)`);
      else if (outcome.failed) {
        const after = method.count(outcome.output, before);
        const where = after === '' ? '' : `, ${after}`;
        return { kind: 'caught', method: name, by: `${name}${where}, ${seconds.toFixed(1)} s` };
      }
      before += outcome.output;
    }
    if (seconds > 0) tried.push(`${name} ${seconds.toFixed(0)} s`);
  }
  return { kind: 'missed', by: tried.join(', ') || 'nothing was run' };
}

/** Runs a method; what the code as it is fails at as well is not counted against the mutant. */
async function tryOut(
  tree: Tree,
  mutant: Mutant,
  { doubt }: (typeof METHODS)[MethodName],
  first: Run,
  secondsMax: number,
): Promise<Outcome> {
  const began = performance.now();
  let run = first;
  for (;;) {
    const outcome = await tree.run(run, secondsMax);
    const seconds = (performance.now() - began) / 1_000;
    const asked = outcome.failed && !outcome.timedOut ? doubt?.(outcome.output, run) : null;
    if (asked === null || asked === undefined || mutant.edits.length === 0) {
      return { ...outcome, seconds };
    }
    tree.restore();
    const same = await tree.run(asked.same, secondsMax);
    tree.mutate(mutant.edits);
    if (!same.failed) return { ...outcome, seconds };
    say(`        (the code as it is fails too: ${asked.same.args.join(' ')})`);
    if (seconds > secondsMax) return { ...outcome, failed: false, seconds };
    run = asked.next;
  }
}

/** How many mutants each method caught. */
type Caught = Map<MethodName, number>;

/** True where all is as it must be. */
async function judge(tree: Tree, mutant: Mutant, plan: Plan, caught: Caught): Promise<boolean> {
  tree.mutate(mutant.edits);
  try {
    const verdict = await attempt(tree, mutant, plan);
    const isControl = mutant.edits.length === 0;
    if (verdict.kind === 'broken') {
      say(`BROKEN  ${mutant.name}: the patched code does not run`);
      say(verdict.output.split('\n').slice(0, 20).join('\n'));
      return false;
    }
    if (verdict.kind === 'caught') {
      say(`${isControl ? 'WRONG ' : 'caught'}  ${mutant.name}: ${verdict.by}`);
      if (!isControl) caught.set(verdict.method, (caught.get(verdict.method) ?? 0) + 1);
      return !isControl;
    }
    const word = isControl ? 'sound ' : 'MISSED';
    say(`${word}  ${mutant.name} (${mutant.about}): ${verdict.by}`);
    return isControl;
  } finally {
    tree.restore();
  }
}

function controlOf(mutants: readonly Mutant[]): Mutant {
  const by = METHOD_NAMES.filter((name) => mutants.some((mutant) => mutant.by.includes(name)));
  return { ...CONTROL, by };
}

/** The code as it is goes by every method to its end: method by method, so that all may help. */
function byMethod(one: Mutant, effort: Effort, methods: readonly MethodName[]): readonly Mutant[] {
  if (one.edits.length > 0) return [one];
  const runs = one.by.filter(
    (name) => methods.includes(name) && METHODS[name].runs(effort, one, '.').length > 0,
  );
  return runs.map((name) => ({ ...one, by: [name] }));
}

const isSuite = (name: MethodName): boolean => METHODS[name].suite;

/** Null after help or a list; undefined, and said, where the command is wrong. */
function plan(args: readonly string[]): Plan | null | undefined {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      quick: { type: 'boolean', default: false },
      'no-control': { type: 'boolean', default: false },
      search: { type: 'boolean', default: false },
      by: { type: 'string', multiple: true, default: [] },
      list: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (values.help) {
    process.stdout.write(USAGE);
    return null;
  }
  if (values.list) {
    for (const { name, about, quick } of MUTANTS)
      say(`${name}${quick ? ' (quick)' : ''}: ${about}`);
    return null;
  }
  const known = [...MUTANTS, CONTROL];
  const by = METHOD_NAMES.filter((name) => values.by.includes(name));
  if (by.length < values.by.length) {
    const there = METHOD_NAMES.map((name) => `"${name}"`).join(', ');
    process.stderr.write(`--by is "${values.by.join('", "')}", allowed are ${there}\n`);
    return undefined;
  }
  const unknown = positionals.filter((name) => !known.some((mutant) => mutant.name === name));
  if (unknown.length > 0) {
    const near = known.filter(({ name }) => name.includes(unknown[0]?.split('-')[0] ?? '?'));
    const hint = near.length > 0 ? `; like it: ${near.map(({ name }) => name).join(', ')}` : '';
    process.stderr.write(
      `there is no mutant "${unknown.join('", "')}"${hint} (--list shows all)\n`,
    );
    return undefined;
  }
  const asked =
    positionals.length > 0
      ? positionals.flatMap((name) => known.filter((mutant) => mutant.name === name))
      : MUTANTS.filter(({ quick }) => quick === true || !values.quick);
  const bare = positionals.length > 0 || values['no-control'];
  const all = bare ? asked : [controlOf(asked), ...asked];
  const effort = values.quick ? QUICK : FULL;
  const fit = METHOD_NAMES.filter(
    (name) => !effort.without.includes(name) && !(values.search && isSuite(name)),
  );
  const methods = by.length > 0 ? by : fit;
  return { mutants: all.flatMap((one) => byMethod(one, effort, methods)), effort, methods };
}

async function main(): Promise<number> {
  endWithReader();
  let made: Plan | null | undefined;
  try {
    made = plan(process.argv.slice(2));
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    return 2;
  }
  if (made === null) return 0;
  if (made === undefined) return 2;
  const good = await judgeAll(made);
  say(`${good} passed, ${made.mutants.length - good} failed`);
  return good === made.mutants.length ? 0 : 1;
}

/** As many at a time as there are processors, each in a copy of its own. */
async function judgeAll(made: Plan): Promise<number> {
  const root = join(import.meta.dirname, '../..');
  const trees = Array.from({ length: availableParallelism() }, () => new Tree(root));
  const close = (): void => {
    for (const tree of trees) tree.close();
  };
  process.once('exit', close);
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));
  const waiting = [...made.mutants];
  const caught: Caught = new Map();
  let good = 0;
  const work = async (tree: Tree): Promise<void> => {
    for (let one = waiting.shift(); one !== undefined; one = waiting.shift()) {
      const asItMustBe = await judge(tree, one, made, caught);
      if (asItMustBe) good += 1;
    }
  };
  try {
    await Promise.all(trees.map(work));
  } finally {
    close();
  }
  const counts = METHOD_NAMES.flatMap((name) => {
    const count = caught.get(name);
    return count === undefined ? [] : [`${name} ${count}`];
  });
  if (counts.length > 0) say(`caught by ${counts.join(', ')}`);
  return good;
}

process.exitCode = await main();
