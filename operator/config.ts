// The settings of the operator's process: flags, each also an environment variable.

import { parseArgs } from 'node:util';

export interface OperatorConfig {
  /** Empty: every namespace. */
  readonly namespace: string;
  /** Where its own pods run; its Lease is there. */
  readonly ownNamespace: string;
  /** Unique among all operators that ever run: the name of its pod. */
  readonly identity: string;
  /** What clusters run that name no image. */
  readonly image: string;
  readonly probeListen: string;
  readonly watchNodes: boolean;
  readonly podMonitors: boolean;
  readonly leaderElection: boolean;
  /** Clusters that are worked on at once. */
  readonly workers: number;
  /** How long a changed Secret takes to reach every pod, at most. */
  readonly spreadSeconds: number;
  readonly logLevel: string;
}

interface Flag {
  readonly name: string;
  readonly value: string;
  readonly fallback: string;
  readonly help: string;
}

const flag = (name: string, value: string, fallback: string, help: string): Flag => ({
  name,
  value,
  fallback,
  help,
});

const FLAGS: readonly Flag[] = [
  flag('namespace', 'NAME', '', 'the only namespace whose clusters it keeps; all when left out'),
  flag('own-namespace', 'NAME', 'default', 'where its own pods and its Lease are'),
  flag('identity', 'NAME', '', 'unique name of this process, such as its pod; required'),
  flag('image', 'IMAGE', '', 'what clusters run that name no image'),
  flag('probe-listen', 'HOST:PORT', '0.0.0.0:7480', 'where to serve probes and metrics'),
  flag('watch-nodes', 'BOOLEAN', 'true', 'read nodes, which zoneCount needs'),
  flag('pod-monitors', 'BOOLEAN', 'false', 'watch PodMonitors, where the API server has them'),
  flag('leader-election', 'BOOLEAN', 'true', 'work only while holding the Lease'),
  flag('workers', 'COUNT', '4', 'clusters that are worked on at once, 1 to 64'),
  flag('trust-spread', 'SECONDS', '600', 'until a changed Secret has reached every pod'),
  flag('log-level', 'LEVEL', 'info', 'debug, info, warn or error'),
];

/** A setting that cannot be: the message names the flag, what was given and what is allowed. */
export class ConfigError extends Error {}

export type CommandLine =
  | { readonly kind: 'run'; readonly config: OperatorConfig }
  | { readonly kind: 'print'; readonly text: string };

const envOf = (name: string): string =>
  `JOURNAL_OPERATOR_${name.replaceAll('-', '_').toUpperCase()}`;

/** Reads flags, then the environment, then the defaults. Throws ConfigError. */
export function readCommandLine(
  args: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): CommandLine {
  const options: Record<string, { type: 'string' | 'boolean' }> = {
    help: { type: 'boolean' },
    'print-config': { type: 'boolean' },
  };
  for (const { name } of FLAGS) options[name] = { type: 'string' };
  let given: Record<string, unknown>;
  try {
    ({ values: given } = parseArgs({ args: [...args], options, allowPositionals: false }));
  } catch (cause) {
    const message = cause instanceof Error ? cause.message : String(cause);
    throw new ConfigError(`${message}; journal operator --help lists every flag`, { cause });
  }
  if (given.help === true) return { kind: 'print', text: helpText() };
  const config = build((name) => {
    const value = given[name];
    const fallback = FLAGS.find((one) => one.name === name)?.fallback ?? '';
    return typeof value === 'string' ? value : (env[envOf(name)] ?? fallback);
  });
  if (given['print-config'] !== true) return { kind: 'run', config };
  return { kind: 'print', text: `${JSON.stringify(config, null, 2)}\n` };
}

function build(text: (name: string) => string): OperatorConfig {
  const wrong = (name: string, allowed: string): ConfigError =>
    new ConfigError(
      `--${name} (${envOf(name)}) is ${JSON.stringify(text(name))}, allowed is ${allowed}`,
    );
  const flagOf = (name: string): boolean => {
    if (!['true', 'false'].includes(text(name))) throw wrong(name, 'true or false');
    return text(name) === 'true';
  };
  const count = (name: string, min: number, max: number): number => {
    const value = /^\d+$/.test(text(name)) ? Number(text(name)) : Number.NaN;
    if (!(value >= min && value <= max)) throw wrong(name, `a whole number from ${min} to ${max}`);
    return value;
  };
  if (text('identity') === '') throw wrong('identity', 'anything but nothing: it is required');
  const levels = ['debug', 'info', 'warn', 'error'];
  if (!levels.includes(text('log-level'))) throw wrong('log-level', levels.join(', '));
  if (!/:\d{1,5}$/.test(text('probe-listen'))) throw wrong('probe-listen', 'HOST:PORT');
  return {
    namespace: text('namespace'),
    ownNamespace: text('own-namespace'),
    identity: text('identity'),
    image: text('image'),
    probeListen: text('probe-listen'),
    watchNodes: flagOf('watch-nodes'),
    podMonitors: flagOf('pod-monitors'),
    leaderElection: flagOf('leader-election'),
    workers: count('workers', 1, 64),
    spreadSeconds: count('trust-spread', 1, 86_400),
    logLevel: text('log-level'),
  };
}

function helpText(): string {
  const rows = FLAGS.map(({ name, value, fallback, help }) => {
    const left = `  --${name} ${value}`.padEnd(30);
    const shown = fallback === '' ? '' : ` [${fallback}]`;
    return `${left}${help}${shown}\n${' '.repeat(30)}${envOf(name)}\n`;
  });
  return (
    'Usage: journal operator --identity NAME [flags]\n\n' +
    'Keeps JournalClusters of a Kubernetes cluster as they were asked for.\n' +
    'Each flag may also come from the environment variable below it; the flag wins.\n\n' +
    `${rows.join('')}${'  --print-config'.padEnd(30)}print the settings as JSON and exit\n\n` +
    'Example:\n  journal operator --identity "$HOSTNAME" --own-namespace journal-system\n'
  );
}
