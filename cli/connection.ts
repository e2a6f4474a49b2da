// What every command that speaks to a cluster shares: its flags, the client, ^C, the deadline.

import { type Command, Option } from 'commander';
import { type Client, type ConnectOptions, connect } from '../client/index.ts';
import { TIMEOUT_MILLIS_MAX } from '../client/input.ts';
import { interruptible } from './line.ts';
import { duration, jsonOption, readNamedFile } from './options.ts';
import { Output, UsageError } from './output.ts';

export const DEFAULT_ENDPOINTS = '127.0.0.1:7401,127.0.0.1:7402,127.0.0.1:7403';
export const TIMEOUT_MILLIS = 10_000;

export interface ConnectionFlags {
  readonly endpoints: readonly string[];
  /** How long one request may take, retries included. */
  readonly timeout?: number;
  readonly tlsCa?: string;
  readonly tlsCert?: string;
  readonly tlsKey?: string;
  readonly tlsServerName?: string;
  readonly json?: boolean;
}

const endpointsOption = (text: string): readonly string[] =>
  addressList('--endpoints (JOURNAL_ENDPOINTS)', text);

/** Adds the flags by which a command finds and trusts a cluster, and `--json`. */
export function connected(made: Command): Command {
  const file = (flag: string, about: string, env: string): Option =>
    new Option(`${flag} <file>`, about).env(env).helpGroup('Connection:');
  return made
    .addOption(jsonOption())
    .addOption(
      new Option('--endpoints <list>', 'replicas, HOST:PORT with commas')
        .env('JOURNAL_ENDPOINTS')
        .argParser(endpointsOption)
        .default(endpointsOption(DEFAULT_ENDPOINTS), DEFAULT_ENDPOINTS)
        .helpGroup('Connection:'),
    )
    .addOption(
      new Option('--timeout <duration>', 'for one request, its retries included (default: 10s)')
        .env('JOURNAL_TIMEOUT')
        .argParser(duration(1, TIMEOUT_MILLIS_MAX))
        .helpGroup('Connection:'),
    )
    .addOption(file('--tls-ca', 'certificates that sign the replicas', 'JOURNAL_TLS_CA'))
    .addOption(file('--tls-cert', 'own certificate, with --tls-key', 'JOURNAL_TLS_CERT'))
    .addOption(file('--tls-key', 'own key, with --tls-cert', 'JOURNAL_TLS_KEY'))
    .addOption(
      new Option('--tls-server-name <name>', 'in certificates of replicas dialled by IP address')
        .env('JOURNAL_TLS_SERVER_NAME')
        .helpGroup('Connection:'),
    );
}

const ADDRESS = /^(?:\[[0-9a-fA-F:.]+\]|[^\s:,[\]]+):(\d{1,5})$/;

/** A list of `HOST:PORT`, for the flag that `name` says. */
export function addresses(name: string): (text: string) => readonly string[] {
  return (text) => addressList(name, text);
}

function addressList(name: string, text: string): readonly string[] {
  const list = text.split(',').map((one) => one.trim());
  const wrong = list.find((one) => {
    const port = Number(ADDRESS.exec(one)?.[1] ?? Number.NaN);
    return !(port >= 1 && port <= 65_535);
  });
  if (wrong === undefined) return list;
  throw new UsageError(
    `${name} has ${JSON.stringify(wrong)}, ` +
      'allowed is HOST:PORT with a port from 1 to 65535, more of them with commas',
  );
}

export interface Connected {
  readonly client: Client;
  readonly output: Output;
  /** Aborted by ^C or SIGTERM, with an Interrupted. */
  readonly signal: AbortSignal;
}

/** Opens a client for the time of `work`; ^C ends the work, a second one the process. */
export async function withClient<Result>(
  flags: ConnectionFlags,
  work: (connected: Connected) => Promise<Result>,
): Promise<Result> {
  const { endpoints, timeout: timeoutMillis = TIMEOUT_MILLIS } = flags;
  await using client = connect({ endpoints, timeoutMillis, tls: tlsOf(flags) });
  return await interruptible(async (signal) => {
    const output = new Output(signal);
    try {
      const result = await work({ client, output, signal });
      await output.flush();
      return result;
    } catch (error) {
      // What was there before is still shown, and what is told is why the work ended.
      await output.flush().catch(() => undefined);
      throw error;
    }
  });
}

/** The files by which a connection is made; undefined for one in the clear. */
export function tlsOf(flags: ConnectionFlags): ConnectOptions['tls'] {
  const { tlsCa, tlsCert, tlsKey, tlsServerName: serverName } = flags;
  if ((tlsCert === undefined) !== (tlsKey === undefined)) {
    const [given, missing] = tlsCert === undefined ? ['key', 'cert'] : ['cert', 'key'];
    throw new UsageError(
      `--tls-${given} is given and --tls-${missing} is not, allowed is both or neither`,
    );
  }
  if (tlsCa === undefined && tlsCert !== undefined) {
    throw new UsageError('--tls-cert is given and --tls-ca is not, allowed is both');
  }
  if (tlsCa === undefined && serverName !== undefined) {
    throw new UsageError(
      '--tls-server-name is given and --tls-ca is not, allowed is both: nothing is encrypted else',
    );
  }
  const named = { '--tls-ca': tlsCa, '--tls-cert': tlsCert, '--tls-key': tlsKey };
  for (const [flag, path] of Object.entries(named)) {
    if (path !== undefined) readNamedFile(flag, path);
  }
  return tlsCa === undefined ? undefined : { ca: tlsCa, cert: tlsCert, key: tlsKey, serverName };
}
