// What a controller is told, and its formatting: flags, then the environment; errors name the flag.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SettingError } from '../../io/node-settings.ts';
import { type CommandLine, readCommandLine } from './config.ts';

const CLUSTER = '0f'.repeat(16);

const read = (line: string, env: Readonly<Record<string, string>> = {}): CommandLine =>
  readCommandLine(line.split(' '), env, { pid: 7, version: '1.2.3' });

function refused(line: string, says: RegExp): void {
  const isRefusal = (error: unknown): boolean =>
    error instanceof SettingError && says.test(error.message);
  assert.throws(() => read(line), isRefusal, line);
}

test('a controller is told by flags, by the environment, and by defaults', () => {
  const env = { JOURNAL_ZONE: 'z2', JOURNAL_DATA: 'd' };
  const line = read('--zone z3 --id c1', env);
  assert.ok(line.kind === 'run');
  const { controller, logLevel } = line.config;
  assert.deepEqual(controller, {
    directory: 'd',
    listen: '127.0.0.1:7411',
    advertise: '',
    zone: 'z3',
    cluster: '',
    id: 'c1',
    pid: 7,
    version: '1.2.3',
  });
  assert.equal(logLevel, 'info');
  const printed = read('--zone z3 --print-config');
  assert.ok(printed.kind === 'print' && /"zone": "z3"/.test(printed.text));
  refused('--zone A', /^--zone \(JOURNAL_ZONE\) is "A", allowed is/);
  refused('--listen here', /^--listen .* is "here", allowed is HOST:PORT/);
});

test('formatting is told the set and the grants as lists', () => {
  const line = read(`format --cluster ${CLUSTER} --id c1 --set c1=a:1,c2=[::1]:2 --grant a=z,b=z`);
  assert.ok(line.kind === 'format');
  assert.equal(line.directory, 'data');
  assert.deepEqual(line.format, {
    cluster: CLUSTER,
    id: 'c1',
    set: [
      { id: 'c1', address: 'a:1' },
      { id: 'c2', address: '[::1]:2' },
    ],
    grants: [
      { member: 'a', zone: 'z' },
      { member: 'b', zone: 'z' },
    ],
    join: false,
    ifAbsent: false,
    recovery: undefined,
  });
  refused('format --id c1 --set c1=a:1', /^--cluster .* is "", allowed is anything but nothing/);
  refused(`format --cluster x --id c1 --set c1=a:1`, /^--cluster .* is "x", allowed is 32/);
  refused(`format --cluster ${CLUSTER} --id c1 --set c1`, /^--set .* allowed is ID=HOST:PORT/);
  refused(`format --cluster ${CLUSTER} --id c1 --set c1=a`, /^--set .* a port from 0 to 65535/);
});
