// The settings of the operator that are more than a word or a number.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readCommandLine } from './config.ts';

const labelsOf = (given: string) => {
  const command = readCommandLine(['--identity=x', `--pod-monitor-labels=${given}`], {});
  assert.ok(command.kind === 'run');
  return command.config.podMonitorLabels;
};

test('labels of PodMonitors are names and values with commas', () => {
  assert.deepEqual(labelsOf(''), {});
  const given = 'release=prometheus,example.com/team=log_2.0,empty=';
  const labels = { release: 'prometheus', 'example.com/team': 'log_2.0', empty: '' };
  assert.deepEqual(labelsOf(given), labels);
});

test('what can be no label is refused with the flag, what was given and what is allowed', () => {
  for (const given of ['release', 'a=b c', '=x', 'a=b=c', '-a=b', `a=${'x'.repeat(64)}`]) {
    assert.throws(() => labelsOf(given), /--pod-monitor-labels .* is ".*", allowed is NAME=VALUE/);
  }
});

test('where the API server has an address of IPv6, so have pods', () => {
  const of = (env: Readonly<Record<string, string>>, ...more: readonly string[]) => {
    const command = readCommandLine(['--identity=x', ...more], env);
    assert.ok(command.kind === 'run');
    return [command.config.ipv6, command.config.probeListen];
  };
  assert.deepEqual(of({}), [false, '0.0.0.0:7480']);
  assert.deepEqual(of({ KUBERNETES_SERVICE_HOST: '10.96.0.1' }), [false, '0.0.0.0:7480']);
  const six = { KUBERNETES_SERVICE_HOST: 'fd00:10:96::1' };
  assert.deepEqual(of(six), [true, '[::]:7480']);
  assert.deepEqual(of(six, '--probe-listen=127.0.0.1:1'), [true, '127.0.0.1:1']);
});
