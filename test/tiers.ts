// The tiers of tests, from cheap to dear: what each runs, what it installs first, how long it may.

import { existsSync, globSync } from 'node:fs';
import { join } from 'node:path';

export const root = join(import.meta.dirname, '..');

/** One command of a tier. A `program` counts as one test, unless its last lines count for it. */
export type Step =
  | { readonly kind: 'program'; readonly name: string; readonly command: readonly string[] }
  | {
      readonly kind: 'tests';
      readonly name: string;
      readonly files: readonly string[];
      /** For one file; five where nothing is said. */
      readonly fileMinutesMax?: number;
      /** Two where nothing is said; one for tests that judge a cluster by how it keeps pace. */
      readonly filesAtOnce?: number;
    };

export type Tier = {
  readonly name: string;
  readonly about: string;
  /** What it installs or builds before its tests, said to the user before it happens. */
  readonly installs: string;
  readonly minutesMax: number;
  /**
   * The tier beside which it runs where both do, with what that leaves of the processors: one that
   * waits more than it works.
   */
  readonly beside?: string;
  /** Empty when the part of the house that it tests is not there. */
  readonly steps: () => readonly Step[];
};

const rooms = 'protocol io log transport client replica operator crossbar backends cli';

const files = (...patterns: readonly string[]): string[] =>
  globSync([...patterns], { cwd: root }).sort();

const tests = (name: string, ...patterns: readonly string[]): Step[] => {
  const found = files(...patterns);
  return found.length === 0 ? [] : [{ kind: 'tests', name, files: found }];
};

const program = (name: string, ...command: readonly string[]): Step => ({
  kind: 'program',
  name,
  command,
});

const tool = (name: string): string => join('node_modules', '.bin', name);

function simulation(name: string, ...flags: readonly string[]): Step[] {
  if (!existsSync(join(root, 'sim/main.ts'))) return [];
  return [program(`simulation: ${name}`, process.execPath, 'sim/main.ts', ...flags)];
}

/**
 * 20,000 events each and a few more: the same ones of both kinds every time, which draw every kind
 * of fault twice at least, and up to 400 that nobody ran before, as many as begin in what is left
 * of six minutes. New ones that may refuse are for the swarm, until more of them have passed than
 * docs/verification.md tells of.
 */
export const FIXED_SEEDS: readonly string[] = '--seeds 24 --from 1'.split(' ');
const NEW_SEEDS = '--seeds 400 --kind available --budget 325s'.split(' ');

/** Network namespaces need root and Linux: others cut the links by proxies. */
const cutsOf = (): readonly string[] =>
  process.platform === 'linux' && process.getuid?.() === 0 ? [] : ['--proxies'];

/** Files of tests with ceilings and leases that a third cluster on two processors could break. */
const JUDGED = 'durability|drain|load|recovery|tool-journals';
/** Files whose pauses have a ceiling: no cluster starts, all at once, beside them. */
const FAULTS = 'faults-*';

const colours = `--colors=${process.stdout.isTTY ? 'force' : 'off'}`;

const check = (): Step[] => [
  program('types', tool('tsc'), '-p', 'tsconfig.json'),
  program('types of the pure protocol', tool('tsc'), '-p', 'protocol/tsconfig.json'),
  program('types of the console', tool('tsc'), '-p', 'replica/console/tsconfig.json'),
  program('types of the page of a run', tool('tsc'), '-p', 'sim/report/tsconfig.json'),
  program('lint and format', tool('biome'), 'ci', '--error-on-warnings', colours, '.'),
];

const kubernetesInstalls =
  'Debian packages by apt-get; Kubernetes, etcd, CoreDNS and Helm built from Go modules into ' +
  '~/.cache/journal, many minutes the first time';

const kubernetes = (...names: readonly string[]): Step[] => [
  program('the lab is made ready', process.execPath, 'test/kubernetes/lab/main.ts', 'prepare'),
  ...names.map((name) => ({
    kind: 'tests' as const,
    name: `kubernetes: ${name}`,
    files: files(`test/kubernetes/${name}.test.ts`),
    fileMinutesMax: 90,
    filesAtOnce: 1,
  })),
];

/** In the order in which `all` runs them. */
export const tiers: readonly Tier[] = [
  {
    name: 'fast',
    about: 'types, lint, house rules and unit tests',
    installs: 'nothing',
    minutesMax: 10,
    steps: () => [
      ...check(),
      // Many of them wait more than they work: four at a time keep two processors busy.
      ...tests(
        'unit tests',
        // A short share of the fuzzing is for the tier methods.
        'test/{,chain/,client/,replica/}!(fuzz).test.ts',
        `{${rooms.replaceAll(' ', ',')}}/**/*.test.ts`,
        'sim/explore/*.test.ts',
      ).map((step) => ({ ...step, filesAtOnce: 4 })),
    ],
  },
  {
    name: 'sim',
    about: 'the cluster under faults in virtual time, one seed a run',
    installs: 'nothing',
    minutesMax: 10,
    steps: () => [
      ...simulation('a fixed set', ...FIXED_SEEDS),
      ...simulation('new seeds', ...NEW_SEEDS),
    ],
  },
  {
    name: 'explore',
    about: 'all orders of everything in small worlds of the real machines',
    installs: 'nothing',
    minutesMax: 15,
    steps: () => [program('exhaustive search', process.execPath, 'sim/explore/main.ts')],
  },
  {
    name: 'crash',
    about: 'a real disk cut off at every write and sync',
    installs: 'nothing',
    minutesMax: 10,
    beside: 'kubernetes',
    steps: () =>
      tests('crash points', 'test/crash/**/*.test.ts').map((step) => ({
        ...step,
        fileMinutesMax: 8,
      })),
  },
  {
    name: 'methods',
    about: 'the simulator and the searches themselves: what they leave out, keep and make small',
    installs: 'nothing',
    minutesMax: 10,
    beside: 'kubernetes',
    steps: () => [
      ...tests(
        'methods',
        'test/{explore,sim,mutants}/*.test.ts',
        'test/fuzz.test.ts',
        'sim/*.test.ts',
        'sim/!(explore)/**/*.test.ts',
      ).map((step) => ({ ...step, filesAtOnce: 1 })),
      // The first of them are in the tier fast.
      program(
        'walks',
        'env',
        'FROM=51',
        'WALKS=950',
        process.execPath,
        'sim/explore/chain.test.ts',
      ),
    ],
  },
  {
    name: 'processes',
    about: 'real replicas and controllers as processes on this machine, killed and paused',
    installs: 'zsh and fish of Debian by apt-get, where they lack and root runs this',
    minutesMax: 25,
    steps: () => [
      program('shells are made ready', process.execPath, 'test/processes/prepare.ts'),
      ...[
        ...tests('processes: faults', `test/processes/${FAULTS}.test.ts`),
        ...tests('processes: in time', `test/processes/@(${JUDGED}).test.ts`),
        ...tests('processes', `test/processes/!(steady|${FAULTS}|${JUDGED}).test.ts`).map(
          (step) => ({
            ...step,
            filesAtOnce: 3,
          }),
        ),
      ].map((step) => ({ ...step, fileMinutesMax: 8 })),
    ],
  },
  {
    name: 'steady',
    about: 'full load without a fault for three minutes: no reconfiguration, flat memory',
    installs: 'nothing',
    minutesMax: 8,
    steps: () =>
      tests('steady', 'test/processes/steady.test.ts').map((step) => ({
        ...step,
        fileMinutesMax: 8,
      })),
  },
  {
    name: 'browser',
    about: 'the console in a real browser, on a cluster of processes',
    installs: 'chromium-headless-shell of Debian by apt-get, where it lacks and root runs this',
    minutesMax: 10,
    beside: 'soak',
    steps: () => [
      program('the browser is made ready', process.execPath, 'test/browser/prepare.ts'),
      ...tests('browser', 'test/browser/*.test.ts'),
    ],
  },
  {
    name: 'foreign',
    about: 'what strangers do: another language, the packed client, another checker',
    installs:
      'gRPC for Python from PyPI and the packed client, in temporary folders; Porcupine built ' +
      'from Go modules into ~/.cache/journal',
    minutesMax: 15,
    beside: 'soak',
    steps: () => tests('foreign clients', 'test/foreign/**/*.test.ts'),
  },
  {
    name: 'images',
    about: 'what the lab needs is built and packed, before it is waited for',
    installs: kubernetesInstalls,
    minutesMax: 60,
    beside: 'soak',
    steps: () => kubernetes(),
  },
  {
    name: 'mutants',
    about: 'wrong versions of the code, each of which some method must notice',
    installs: 'nothing',
    minutesMax: 10,
    beside: 'kubernetes',
    // What a method says of the code as it is, the other tiers say.
    steps: () => [
      program('mutants', process.execPath, 'test/mutants/main.ts', '--quick', '--no-control'),
    ],
  },
  {
    name: 'soak',
    about: 'real processes under faults for three minutes, their histories checked',
    installs: 'nothing; makes network namespaces, and removes them, where it runs as root',
    minutesMax: 10,
    steps: () => [
      program('soak', process.execPath, 'bench/soak/main.ts', '--minutes', '3', ...cutsOf()),
    ],
  },
  {
    name: 'kubernetes',
    about: 'the operator on a real Kubernetes of three zones; needs root, Linux and Go',
    installs: kubernetesInstalls,
    minutesMax: 60,
    steps: () => kubernetes('state', 'kubernetes'),
  },
];

/** Run by name only. */
export const asked: readonly Tier[] = [
  {
    name: 'seeing',
    about: 'rules by promtool, dashboards by a Prometheus that scrapes a cluster of processes',
    installs: 'Prometheus and promtool built from Go modules into ~/.cache/journal, once',
    minutesMax: 45,
    steps: () => [
      program('Prometheus is built', process.execPath, 'tools/main.ts', 'promtool', 'prometheus'),
      ...tests('seeing', 'test/seeing/*.test.ts'),
    ],
  },
  {
    name: 'operator',
    about: 'charts, faults under load and the life of a cluster on a real Kubernetes',
    installs: kubernetesInstalls,
    minutesMax: 150,
    steps: () => kubernetes('image', 'lab', 'stalls', 'operator'),
  },
  {
    name: 'check',
    about: 'types, lint and house rules',
    installs: 'nothing',
    minutesMax: 5,
    steps: () => [...check(), ...tests('house rules', 'test/tidy.test.ts')],
  },
  {
    name: 'swarm',
    about: 'new seeds for an hour',
    installs: 'nothing',
    minutesMax: 90,
    steps: () => simulation('new seeds', '--swarm', '60m'),
  },
];
