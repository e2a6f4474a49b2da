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
