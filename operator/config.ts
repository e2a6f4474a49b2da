// The settings of the operator's process: flags, each also an environment variable.

import { isIPv6 } from 'node:net';
import {
  type Flag,
  flag,
  flagRows,
  LOG_LEVELS,
  readSettings,
  type Settings,
  switchRow,
  type Vocabulary,
} from '../io/node-settings.ts';
import { RangeViolation } from '../protocol/types.ts';

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
  /** Pods have IPv6 addresses, alone or first, as the Service of the API server has. */
  readonly ipv6: boolean;
  readonly watchNodes: boolean;
  readonly podMonitors: boolean;
  readonly podMonitorLabels: Readonly<Record<string, string>>;
  readonly leaderElection: boolean;
  /** Clusters that are worked on at once. */
  readonly workers: number;
  /** How long a changed Secret takes to reach every pod, at most. */
  readonly spreadSeconds: number;
  readonly logLevel: string;
}

const FLAGS: readonly Flag[] = [
  flag('namespace', 'NAME', '', 'the only namespace whose clusters it keeps; all when left out'),
  flag('own-namespace', 'NAME', 'default', 'where its own pods and its Lease are'),
  flag('identity', 'NAME', '', 'unique name of this process, such as its pod; required'),
  flag('image', 'IMAGE', '', 'what clusters run that name no image'),
  flag('probe-listen', 'HOST:PORT', '', 'where to serve probes; port 7480 of every address'),
  flag('watch-nodes', 'BOOLEAN', 'true', 'read nodes, which zoneCount needs'),
  flag('pod-monitors', 'BOOLEAN', 'false', 'watch PodMonitors, where the API server has them'),
  flag('pod-monitor-labels', 'LABELS', '', 'NAME=VALUE with commas: labels of each PodMonitor'),
  flag('leader-election', 'BOOLEAN', 'true', 'work only while holding the Lease'),
  flag('workers', 'COUNT', '4', 'clusters that are worked on at once, 1 to 64'),
  flag('trust-spread', 'SECONDS', '600', 'until a changed Secret has reached every pod'),
  flag('log-level', 'LEVEL', 'info', 'debug, info, warn or error'),
];

const WORDS: Vocabulary = {
  command: 'journal operator',
  prefix: 'JOURNAL_OPERATOR_',
  flags: FLAGS,
  switches: ['print-config'],
};

export type CommandLine =
  | { readonly kind: 'run'; readonly config: OperatorConfig }
  | { readonly kind: 'print'; readonly text: string };

/** Reads flags, then the environment, then the defaults. Throws SettingError. */
export function readCommandLine(
  args: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): CommandLine {
  const settings = readSettings(WORDS, args, env);
  if (settings.on('help')) return { kind: 'print', text: helpText() };
  const config = build(settings, isIPv6(env.KUBERNETES_SERVICE_HOST ?? ''));
  if (!settings.on('print-config')) return { kind: 'run', config };
  return { kind: 'print', text: `${JSON.stringify(config, null, 2)}\n` };
}

function build(settings: Settings, ipv6: boolean): OperatorConfig {
  const { text } = settings;
  const truth = (name: string): boolean => settings.oneOf(name, ['true', 'false']) === 'true';
  return {
    namespace: text('namespace'),
    ownNamespace: text('own-namespace'),
    identity: settings.required('identity'),
    image: text('image'),
    probeListen: settings.addressOrNone('probe-listen') || (ipv6 ? '[::]:7480' : '0.0.0.0:7480'),
    ipv6,
    watchNodes: truth('watch-nodes'),
    podMonitors: truth('pod-monitors'),
    podMonitorLabels: settings.made('pod-monitor-labels', labels),
    leaderElection: truth('leader-election'),
    workers: settings.count('workers', 1, 64),
    spreadSeconds: settings.count('trust-spread', 1, 86_400),
    logLevel: settings.oneOf('log-level', LOG_LEVELS),
  };
}

const LABEL = /^([a-z0-9][-a-z0-9.]*\/)?[A-Za-z0-9][-\w.]{0,62}=([A-Za-z0-9][-\w.]{0,62})?$/;

function labels(given: string): Readonly<Record<string, string>> {
  const pairs = given.split(',').filter((one) => one !== '');
  if (!pairs.every((one) => LABEL.test(one))) {
    const allowed = 'NAME=VALUE with commas, as labels of Kubernetes are';
    throw new RangeViolation('labels', given, allowed);
  }
  return Object.fromEntries(pairs.map((one) => one.split('=')));
}

function helpText(): string {
  return (
    'Usage: journal operator --identity NAME [flags]\n\n' +
    'Keeps JournalClusters of a Kubernetes cluster as they were asked for.\n' +
    'Each flag may also come from the environment variable below it; the flag wins.\n\n' +
    `${flagRows(WORDS)}` +
    `${switchRow('print-config', 'print the settings as JSON and exit')}\n` +
    'Example:\n  journal operator --identity "$HOSTNAME" --own-namespace journal-system\n'
  );
}
