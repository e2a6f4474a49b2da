// The decoders of what a person types or hands over as a file: flags, policies, records, exports.

import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { rootCertificates } from 'node:tls';
import type { Command } from 'commander';
import { parseRecord } from '../../cli/dev/plan.ts';
import { buildPlugin } from '../../cli/kube/program.ts';
import { buildProgram } from '../../cli/program.ts';
import { ExportWriter, readExport } from '../../cli/records/exchange.ts';
import { parseRecordJson, recordJson } from '../../cli/records/format.ts';
import { readCommandLine as readOperator } from '../../operator/config.ts';
import { readCommandLine as readController } from '../../operator/controller/config.ts';
import { readCertificate } from '../../operator/pki.ts';
import { lsn, micros } from '../../protocol/types.ts';
import { readCommandLine as readReplica } from '../../replica/config.ts';
import { parsePolicy } from '../../transport/authorize.ts';
import type { JournalRecord } from '../../transport/public.ts';
import { allJson, type Decoder } from './decoder.ts';

const textOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString('utf8');

// ── Flags ─────────────────────────────────────────────────────────────────────────────────────

const LINES = [
  'append orders --expect-tail 41 -q',
  'append orders --key k --expect-key k=3 --fence k=9 --idempotency-key x --json',
  'create orders --if-absent --retain 7d --retain 100GiB',
  'subscribe orders --from 2026-01-02T03:04:05Z --until-end --cursor c --raw0',
  'read orders --from 10 --limit 5',
  'trim orders --through 1000 --force',
  'lead orders --key worker -- ./run.sh --flag',
  'bench append --journal orders --size 256 --outstanding 256 --seconds 10',
  'status --wait --json --endpoints 127.0.0.1:7401,127.0.0.1:7402 --timeout 5s',
  'admin member replace a b',
  'replica --data d --print-config',
  'cursor set orders c 7',
];

const PLUGIN_LINES = [
  'status orders -n shop --json',
  'describe orders --context c --kubeconfig f',
  'promote orders --journal j --member m',
  'drain-check node-1',
  'logs orders -n shop --since 10m',
  'bundle orders -o file.tgz',
  'bench orders --seconds 10',
  'console orders --port 8080',
];

/** Words apart by NULs, as a shell hands them over. */
const wordsOf = (bytes: Uint8Array): string[] => textOf(bytes).split('\0');
const asWords = (line: string): Uint8Array => Buffer.from(line.replaceAll(' ', '\0'));

/** The command tree without what its commands do; errors come out as exceptions, as in the tool. */
function inert(program: Command): Command {
  const still = (command: Command): void => {
    command.exitOverride();
    command.configureOutput({ writeOut: () => {}, writeErr: () => {}, outputError: () => {} });
    if (command.commands.length === 0) command.action(() => {});
    for (const below of command.commands) still(below);
  };
  still(program);
  return program;
}

function tree(name: string, build: () => Command, lines: readonly string[]): Decoder {
  // A command forgets what it parsed before, so one tree is enough.
  let built: Command | null = null;
  return {
    name,
    seeds: () => lines.map(asWords),
    decode: (bytes) => {
      const words = wordsOf(bytes);
      built ??= inert(build());
      built.parse(words, { from: 'user' });
      return words.length;
    },
  };
}

type ReadLine = (
  args: readonly string[],
  env: Readonly<Record<string, string>>,
) => { readonly kind: string };

/** A program that is no command of the tool: a word `JOURNAL_…=` is its environment. */
function settings(name: string, read: ReadLine, lines: readonly string[]): Decoder {
  return {
    name,
    seeds: () => lines.map(asWords),
    decode: (bytes) => {
      const args: string[] = [];
      const env: Record<string, string> = {};
      for (const word of wordsOf(bytes)) {
        const [, variable, value] = /^(JOURNAL_\w*)=(.*)$/s.exec(word) ?? [];
        if (variable === undefined || value === undefined) args.push(word);
        else env[variable] = value;
      }
      return read(args, env);
    },
  };
}

const ABOUT = { pid: 7, version: '1.2.3' };
const TLS = '--tls-ca ca --tls-cert c --tls-key k --authorization f';

const FLAGS: readonly Decoder[] = [
  tree('flags', buildProgram, LINES),
  tree('flags-plugin', buildPlugin, PLUGIN_LINES),
  settings('flags-replica', (args, env) => readReplica(args, env, ABOUT), [
    '--member a --zone z1 --controllers 127.0.0.1:7411,[::1]:7412',
    `--member a --zone z1 --controllers c:1 ${TLS} --min-replicas 2 --replication-factor 3`,
    '--zone z JOURNAL_MEMBER=b JOURNAL_CONTROLLERS=c:2 JOURNAL_QUEUE_BYTES=2097152 --print-config',
    '--member=a --zone=z --controllers=c:1 --console-records on --probe-listen :80 ' +
      `--cluster ${'0f'.repeat(16)}`,
    '--help',
  ]),
  settings('flags-controller', (args, env) => readController(args, env, ABOUT), [
    '--data d --listen 127.0.0.1:7411 --zone a --id c1 --print-config',
    `--advertise c1:7411 ${TLS} --log-level debug --probe-listen 0.0.0.0:7481`,
    `--cluster ${'0f'.repeat(16)} JOURNAL_ZONE=b JOURNAL_DATA=e`,
    `format --cluster ${'0f'.repeat(16)} --id c1 --set c1=127.0.0.1:7411 --grant a=a,b=b`,
    `format --cluster ${'0f'.repeat(16)} --id c1 --set c1=h:1,c2=h:2,c3=h:3 --join --if-absent`,
    'format --help',
  ]),
  settings('flags-operator', readOperator, [
    '--identity o-1 --own-namespace journal-system --watch-nodes false',
    '--identity o-1 --workers 8 --trust-spread 60 --image i:1 --print-config',
    'JOURNAL_OPERATOR_IDENTITY=x JOURNAL_OPERATOR_WORKERS=3 --namespace n --log-level warn',
  ]),
];

// ── Files ─────────────────────────────────────────────────────────────────────────────────────

const POLICIES = [
  'grants:\n  - names: [billing, "*.apps"]\n    roles: [read, append]\n    journals: [orders]\n',
  '{"grants":[{"names":["a"],"roles":["admin","member"],"journals":["*"]}]}',
  'grants:\n  - &g {names: &a [x, x], roles: [read], journals: *a}\n  - <<: *g\n',
];

const DEV = {
  version: 1,
  cluster: '0f'.repeat(16),
  port: 7401,
  zones: ['a', 'b', 'c'],
  members: 3,
  controllers: 3,
  formatted: true,
};

const record = (at: number, data: Uint8Array): JournalRecord => ({
  lsn: lsn(at),
  timestampMicros: micros(1_767_225_600_000_000 + at),
  data,
  ...(at % 2 === 0 ? { key: 'k' } : {}),
});

const RECORDS = [
  record(1, Buffer.from('hello')),
  record(2, Buffer.from([0xff, 0, 1])),
  record(3, Buffer.from('é "quoted" \u2028')),
];

function exported(): Uint8Array {
  const writer = new ExportWriter();
  const settings = { recordBytesMax: 1_000, replicationFactor: 3 };
  const lines = [writer.header({ journal: 'orders', firstLsn: lsn(1), settings })];
  for (const one of RECORDS) lines.push(writer.record(one));
  lines.push(writer.end(lsn(4)));
  return Buffer.from(lines.join(''));
}

const SUM = /^\{"(?:check|end)":(\{.*),"sha256":"[0-9a-f]{64}"\}\}$/;

/** Sums made right again, as far as a line still looks like one of them; in the same bytes. */
function repairExport(bytes: Buffer): void {
  const hash = createHash('sha256');
  let from = 0;
  for (let at = bytes.indexOf(10); at >= 0; at = bytes.indexOf(10, from)) {
    const line = bytes.subarray(from, at);
    const [, said] = SUM.exec(line.toString('latin1')) ?? [];
    if (said !== undefined) {
      const sum = hash.copy().update(`${said}}`).digest('hex');
      line.write(sum, line.length - 2 - 1 - sum.length, 'latin1');
    }
    hash.update(bytes.subarray(from, at + 1));
    from = at + 1;
  }
}

/** Any of the lines is changed: which, its length decides. */
function withLine(bytes: Buffer, change: (json: Buffer) => Buffer): Buffer {
  const lines = bytes.toString('latin1').split('\n');
  const at = bytes.length % lines.length;
  const line = change(Buffer.from(lines[at] ?? '', 'latin1')).toString('latin1');
  return Buffer.from(lines.with(at, line).join('\n'), 'latin1');
}

const PEMS = 3;

const FILES: readonly Decoder[] = [
  {
    name: 'policy',
    seeds: () => POLICIES.map((text) => Buffer.from(text)),
    decode: (bytes) => parsePolicy(textOf(bytes)).grants,
    withJson: allJson,
  },
  {
    name: 'dev-record',
    seeds: () => [Buffer.from(JSON.stringify(DEV))],
    decode: (bytes) => parseRecord(textOf(bytes)),
    withJson: allJson,
  },
  {
    name: 'record-json',
    seeds: () => RECORDS.map((one) => Buffer.from(JSON.stringify(recordJson(one)))),
    decode: (bytes) => parseRecordJson(textOf(bytes), 'line 1'),
    withJson: allJson,
  },
  {
    name: 'export',
    seeds: () => [exported()],
    decode: async (bytes) => {
      const kinds: string[] = [];
      // A copy: whoever reads may keep parts of it.
      for await (const part of readExport(Readable.from([Buffer.from(bytes)]))) {
        kinds.push(part.kind);
      }
      return { kind: kinds.join() };
    },
    repair: repairExport,
    withJson: withLine,
  },
];

const CERTIFICATE: Decoder = {
  name: 'certificate',
  seeds: () => rootCertificates.slice(0, PEMS).map((pem) => Buffer.from(pem)),
  decode: (bytes) => readCertificate(textOf(bytes)),
};

export const WORDS: readonly Decoder[] = [...FLAGS, ...FILES, CERTIFICATE];
