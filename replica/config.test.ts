// Settings come from flags, then the environment, then defaults; what is wrong is named.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SettingError } from '../io/node-settings.ts';
import { type CommandLine, readCommandLine } from './config.ts';

const about = { pid: 7, version: '1.2.3' };
const least = ['--member', 'a', '--zone', 'z1', '--controllers', '127.0.0.1:7411'];

const read = (
  args: readonly string[],
  env: Readonly<Record<string, string | undefined>> = {},
): CommandLine => readCommandLine(args, env, about);

function config(line: CommandLine) {
  assert.equal(line.kind, 'run');
  return line.kind === 'run' ? line.config : assert.fail();
}

test('defaults fill what is left out', () => {
  const { replica, probeListen, tls } = config(read(least));
  assert.equal(replica.listen, '127.0.0.1:7401');
  assert.equal(replica.directory, 'data');
  assert.equal(replica.pid, 7);
  assert.equal(probeListen, '');
  assert.deepEqual(replica.defaults, { replicationFactor: 3, minReplicas: 2 });
  const one = config(read([...least, '--replication-factor', '1'])).replica.defaults;
  assert.deepEqual(one, { replicationFactor: 1, minReplicas: 1 });
  assert.deepEqual(tls, { ca: '', cert: '', key: '', serverName: '' });
});

test('an environment variable stands for each flag, and the flag wins', () => {
  const env = {
    JOURNAL_MEMBER: 'b',
    JOURNAL_ZONE: 'z2',
    JOURNAL_CONTROLLERS: '[::1]:1, c:2',
    JOURNAL_QUEUE_BYTES: '2097152',
  };
  const { replica } = config(read(['--zone', 'z3'], env));
  assert.equal(replica.member, 'b');
  assert.equal(replica.zone, 'z3');
  assert.deepEqual(replica.controllers, ['[::1]:1', 'c:2']);
  assert.equal(replica.limits.queueBytesMax, 2_097_152);
});

test('what is wrong is refused by its name, what was given and what is allowed', () => {
  const cases: readonly (readonly [readonly string[], RegExp])[] = [
    [[], /--controllers \(JOURNAL_CONTROLLERS\) is "", allowed is/],
    [[...least, '--zone', 'Z_1'], /--zone \(JOURNAL_ZONE\) is "Z_1", allowed is 1 to 63 of a-z/],
    [[...least, '--listen', 'here'], /--listen .* is "here", allowed is HOST:PORT/],
    [[...least, '--listen', 'h:70000'], /--listen .* is "h:70000", allowed is HOST:PORT/],
    [[...least, '--scrub-rate', '-1'], /--scrub-rate/],
    [[...least, '--cluster', 'c1'], /--cluster .* is "c1", allowed is 32 lowercase hex digits/],
    [[...least, '--queue-bytes', '1.5'], /--queue-bytes .* is "1.5", allowed is a whole number/],
    [[...least, '--log-level', 'loud'], /--log-level .* is "loud", allowed is debug, info, warn/],
    [
      [...least, '--replication-factor', '2', '--min-replicas', '3'],
      /--min-replicas .* is "3", allowed is at most --replication-factor, which is 2/,
    ],
    [[...least, '--tls-cert', 'c.pem'], /--tls-cert is "c.pem" and --tls-key is left out/],
    [[...least, '--tls-server-name', 'n'], /--tls-server-name is "n" and --tls-cert is left out/],
    [[...least, '--authorization', 'f'], /--authorization is "f" and --tls-ca is left out/],
    [[...least, '--nothing'], /nothing/],
  ];
  for (const [args, says] of cases) {
    assert.throws(
      () => read(args),
      (error: unknown) => error instanceof SettingError && says.test(error.message),
      args.join(' '),
    );
  }
});

test('--help and --print-config say what there is', () => {
  const help = read(['--help']);
  assert.match(
    help.kind === 'print' ? help.text : '',
    /JOURNAL_ZONE[\s\S]*--probe-listen HOST:PORT/,
  );
  const printed = read([...least, '--print-config']);
  const json: unknown = JSON.parse(printed.kind === 'print' ? printed.text : '');
  assert.partialDeepStrictEqual(json, { replica: { member: 'a', zone: 'z1' }, logLevel: 'info' });
});
