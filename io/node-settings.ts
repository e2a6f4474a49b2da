// The settings of a process: flags, each also an environment variable. One that is wrong is refused
// with its field, what was given and what is allowed, before anything is opened.

import { parseArgs } from 'node:util';
import { RangeViolation } from '../protocol/types.ts';

/** One flag that takes a value; an empty `fallback` shows none in the help. */
export interface Flag {
  readonly name: string;
  /** What the help calls the value, such as `HOST:PORT`. */
  readonly value: string;
  readonly fallback: string;
  readonly help: string;
}

export const flag = (name: string, value: string, fallback: string, help: string): Flag => ({
  name,
  value,
  fallback,
  help,
});

/** What a process may be told. */
export interface Vocabulary {
  /** As a user types it, such as `journal replica`. */
  readonly command: string;
  /** Of its environment variables, such as `JOURNAL_`. */
  readonly prefix: string;
  readonly flags: readonly Flag[];
  /** Flags without a value; `help` is one always. */
  readonly switches: readonly string[];
}

/** A setting that cannot be: the message names the field, what was given and what is allowed. */
export class SettingError extends Error {
  override readonly name = 'SettingError';
}

/** What was given, by name of the flag. Each reader throws SettingError on what it cannot take. */
export interface Settings {
  /** The flag, else the environment variable, else the fallback. */
  text(name: string): string;
  /** Whether a flag without a value is there. */
  on(name: string): boolean;
  required(name: string): string;
  /** Digits only, both ends included. */
  count(name: string, min: number, max: number): number;
  oneOf(name: string, allowed: readonly string[]): string;
  /** `HOST:PORT`, the port 0 to 65535. */
  address(name: string): string;
  /** The same, or nothing. */
  addressOrNone(name: string): string;
  /** One to `max` addresses with commas. */
  addresses(name: string, max: number): readonly string[];
  /** Whatever `make` takes of the text; its RangeViolation becomes a SettingError. */
  made<Value>(name: string, make: (given: string) => Value): Value;
  /** The same, or nothing. */
  madeOrNone(name: string, make: (given: string) => string): string;
  /** The error of a value that this reader has no rule for. */
  wrong(name: string, allowed: string): SettingError;
}

export const LOG_LEVELS = ['debug', 'info', 'warn', 'error'] as const;

/** The name of the environment variable of a flag. */
export function environmentName(prefix: string, name: string): string {
  return `${prefix}${name.replaceAll('-', '_').toUpperCase()}`;
}

/** Reads flags, then the environment, then the fallbacks. Throws SettingError. */
export function readSettings(
  words: Vocabulary,
  args: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): Settings {
  const given = parse(words, args);
  const envOf = (name: string): string => environmentName(words.prefix, name);
  const text = (name: string): string => {
    const known = words.flags.find((one) => one.name === name);
    if (known === undefined) throw new SettingError(`no flag is called --${name}`);
    const value = given[name];
    return typeof value === 'string' ? value : (env[envOf(name)] ?? known.fallback);
  };
  const refused = (name: string, value: string, allowed: string): SettingError =>
    new SettingError(
      `--${name} (${envOf(name)}) is ${JSON.stringify(value)}, allowed is ${allowed}`,
    );
  const wrong = (name: string, allowed: string): SettingError => refused(name, text(name), allowed);
  const address = (name: string, value: string): string => {
    if (isAddress(value)) return value;
    throw refused(name, value, 'HOST:PORT with a port from 0 to 65535');
  };
  const made = <Value>(name: string, make: (value: string) => Value): Value => {
    try {
      return make(text(name));
    } catch (error) {
      if (error instanceof RangeViolation) throw wrong(name, error.allowed);
      throw error;
    }
  };
  return {
    text,
    wrong,
    made,
    on: (name) => given[name] === true,
    required: (name) => {
      if (text(name) === '') throw wrong(name, 'anything but nothing: it is required');
      return text(name);
    },
    count: (name, min, max) => {
      const value = /^\d+$/.test(text(name)) ? Number(text(name)) : Number.NaN;
      if (value >= min && value <= max) return value;
      throw wrong(name, `a whole number from ${min} to ${max}`);
    },
    oneOf: (name, allowed) => {
      if (!allowed.includes(text(name))) throw wrong(name, allowed.join(', '));
      return text(name);
    },
    address: (name) => address(name, text(name)),
    addressOrNone: (name) => (text(name) === '' ? '' : address(name, text(name))),
    addresses: (name, max) => {
      const list = text(name).split(',');
      if (list.length > max) throw wrong(name, `1 to ${max} addresses with commas`);
      return list.map((one) => address(name, one.trim()));
    },
    madeOrNone: (name, make) => (text(name) === '' ? '' : made(name, make)),
  };
}

function parse(words: Vocabulary, args: readonly string[]): Record<string, unknown> {
  const options: Record<string, { type: 'string' | 'boolean' }> = {};
  for (const { name } of words.flags) options[name] = { type: 'string' };
  for (const name of [...words.switches, 'help']) options[name] = { type: 'boolean' };
  try {
    return parseArgs({ args: [...args], options, strict: true, allowPositionals: false }).values;
  } catch (cause) {
    const message = cause instanceof Error ? cause.message : String(cause);
    throw new SettingError(`${message}; ${words.command} --help lists every flag`, { cause });
  }
}

/** `HOST:PORT`, `[::1]:PORT` and the like. */
export function isAddress(given: string): boolean {
  const match = /^(?:\[[0-9a-fA-F:.]+\]|[^\s:,[\]]+):(\d{1,5})$/.exec(given);
  return match !== null && Number(match[1]) <= 65_535;
}

// ── TLS ───────────────────────────────────────────────────────────────────────────────────────

/** Flags of a process that serves others of its cluster; `owner` is what the certificate is of. */
export const tlsFlags = (owner: string): readonly Flag[] => [
  flag('tls-ca', 'FILE', '', 'certificates that sign clients and peers'),
  flag('tls-cert', 'FILE', '', `certificate of this ${owner}`),
  flag('tls-key', 'FILE', '', `key of this ${owner}`),
  flag('tls-server-name', 'NAME', '', 'name in certificates of those dialled by an IP address'),
  flag('authorization', 'FILE', '', 'roles by certificate name; needs --tls-ca'),
];

/** Paths of PEM files; all empty for plain text. */
export interface TlsPaths {
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
  /** Carried by certificates of others that are dialled by an IP address. */
  readonly serverName: string;
}

/** What `tlsFlags` were given; throws SettingError where they contradict each other. */
export function readTls({ text }: Settings): TlsPaths {
  const [ca, cert, key] = [text('tls-ca'), text('tls-cert'), text('tls-key')];
  const spelled = (value: string): string => (value === '' ? 'left out' : JSON.stringify(value));
  if ((cert === '') !== (key === '')) {
    throw new SettingError(
      `--tls-cert is ${spelled(cert)} and --tls-key is ${spelled(key)}, ` +
        'allowed is both or neither',
    );
  }
  if (ca !== '' && cert === '') {
    throw new SettingError(
      `--tls-ca is ${spelled(ca)} and --tls-cert is left out, ` +
        'allowed is --tls-ca together with --tls-cert and --tls-key',
    );
  }
  const serverName = text('tls-server-name');
  if (serverName !== '' && cert === '') {
    throw new SettingError(
      `--tls-server-name is ${spelled(serverName)} and --tls-cert is left out, ` +
        'allowed is --tls-server-name with --tls-cert and --tls-key: nothing is encrypted else',
    );
  }
  if (text('authorization') !== '' && ca === '') {
    throw new SettingError(
      `--authorization is ${spelled(text('authorization'))} and --tls-ca is left out, ` +
        'allowed is --authorization with --tls-ca, since roles go by client certificates',
    );
  }
  return { ca, cert, key, serverName };
}

/** What `grpcNetwork` takes of these; undefined for plain text. */
export function tlsFiles({ ca, cert, key, serverName }: TlsPaths) {
  if (cert === '') return undefined;
  return {
    ca: ca === '' ? undefined : ca,
    cert,
    key,
    serverName: serverName === '' ? undefined : serverName,
  };
}

// ── Help ──────────────────────────────────────────────────────────────────────────────────────

const COLUMN = 30;

/** The rows of a help text: each flag with its fallback, below it the environment variable. */
export function flagRows({ prefix, flags }: Pick<Vocabulary, 'prefix' | 'flags'>): string {
  const rows = flags.map(({ name, value, fallback, help }) => {
    const shown = fallback === '' ? '' : ` [${fallback}]`;
    const variable = `${' '.repeat(COLUMN)}${environmentName(prefix, name)}`;
    return `${switchRow(`${name} ${value}`, `${help}${shown}`)}${variable}\n`;
  });
  return rows.join('');
}

/** The row of a flag that no environment variable sets. */
export function switchRow(left: string, help: string): string {
  return `${`  --${left} `.padEnd(COLUMN)}${help}\n`;
}
