// Who may do what: the decision, the file it comes from, and a file that changes.

import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import fc from 'fast-check';
import { silent } from '../io/logger.ts';
import type { CallContext } from '../io/network.ts';
import { nodeClock } from '../io/node.ts';
import { JournalError } from '../protocol/errors.ts';
import { micros, RangeViolation } from '../protocol/types.ts';
import { decide, fileAuthorizer, parsePolicy, ROLES } from './authorize.ts';

const policy = parsePolicy(`
grants:
  - names: [billing, "*.apps.example.com"]
    roles: [read, append]
    journals: [orders, "billing-*"]
  - names: [ops]
    roles: [read, append, admin]
    journals: ["*"]
`);

describe('a decision', () => {
  const table = [
    [['billing'], 'append', 'orders', 'allowed'],
    [['billing'], 'append', 'billing-eu', 'allowed'],
    [['billing'], 'append', 'invoices', 'PERMISSION_DENIED'],
    [['billing'], 'append', 'orders2', 'PERMISSION_DENIED'],
    [['billing'], 'admin', 'orders', 'PERMISSION_DENIED'],
    [['x', 'web.apps.example.com'], 'read', 'orders', 'allowed'],
    [['apps.example.com'], 'read', 'orders', 'PERMISSION_DENIED'],
    [['web.apps.example.com.evil.org'], 'read', 'orders', 'PERMISSION_DENIED'],
    [['ops'], 'admin', 'anything', 'allowed'],
    [['ops'], 'admin', null, 'allowed'],
    [['ops'], 'member', null, 'PERMISSION_DENIED'],
    [['billing'], 'read', null, 'PERMISSION_DENIED'],
    [[], 'read', 'orders', 'UNAUTHENTICATED'],
  ] as const;
  for (const [names, role, journal, expected] of table) {
    test(`${names.join()} as ${role} on ${journal ?? 'the cluster'}: ${expected}`, () => {
      const decision = decide(policy, names, role, journal);
      assert.equal(decision.kind === 'allowed' ? 'allowed' : decision.code, expected);
    });
  }

  test('a star stands for any run, and for nothing else', () => {
    const word = fc.stringMatching(/^[a-z.-]{0,8}$/);
    const parts = fc.array(word, { minLength: 1, maxLength: 4 });
    fc.assert(
      fc.property(parts, word, (pieces, name) => {
        const grants = [{ names: [pieces.join('*')], roles: [...ROLES], journals: ['*'] }];
        const escaped = pieces.map((piece) => piece.replaceAll('.', '\\.'));
        const expected = new RegExp(`^${escaped.join('.*')}$`).test(name);
        const { kind } = decide({ grants }, [name], 'read', 'orders');
        assert.equal(kind === 'allowed', expected);
      }),
      { numRuns: 2_000 },
    );
  });
});

test('a file that is wrong is refused with the field that is', () => {
  const wrong: readonly (readonly [string, RegExp])[] = [
    ['null', /^the policy is "null", allowed is a mapping/],
    ['grants: []', /^grants is /],
    ['grant: []', /^a field of the policy is "grant", allowed is one of grants/],
    ['grants: [{names: [a], roles: [write], journals: [a]}]', /^grants\[0\]\.roles is "write"/],
    ['grants: [{names: [a], roles: [read]}]', /^grants\[0\]\.journals is "nothing"/],
    ['grants: [{names: [1], roles: [read], journals: [a]}]', /^grants\[0\]\.names is "1"/],
    [
      'grants: [{names: [a], roles: [read], journals: [a], x: 1}]',
      /^a field of grants\[0\] is "x"/,
    ],
  ];
  for (const [text, says] of wrong) {
    assert.throws(
      () => parsePolicy(text),
      (error) => {
        assert.ok(error instanceof RangeViolation, String(error));
        assert.match(error.message, says);
        return true;
      },
    );
  }
  assert.throws(() => parsePolicy('grants: [{'));
  assert.equal(
    parsePolicy('{"grants":[{"names":["a"],"roles":["read"],"journals":["*"]}]}').grants.length,
    1,
  );
});

/** Until the task does not throw; after two seconds what it throws. */
async function until(task: () => void): Promise<void> {
  for (let attempt = 0; ; attempt += 1) {
    try {
      return task();
    } catch (error) {
      if (attempt === 20) throw error;
      await setTimeout(100);
    }
  }
}

test('a file that changes counts from then on; one that is broken does not', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'journal-policy-'));
  const path = join(folder, 'policy.yaml');
  const grant = (name: string) => `grants: [{names: [${name}], roles: [read], journals: [a]}]`;
  await writeFile(path, grant('one'));
  const refresh = micros(20_000);
  const authorizer = fileAuthorizer({ path, clock: nodeClock, logger: silent, refresh });
  const context = (name: string): CallContext => ({
    identities: [name],
    peer: 'x',
    signal: new AbortController().signal,
  });
  const denied = { name: 'JournalError', code: 'PERMISSION_DENIED' };
  try {
    authorizer.check(context('one'), 'read', 'a');
    assert.throws(() => authorizer.check(context('two'), 'read', 'a'), denied);
    await writeFile(path, 'grants: 7');
    await setTimeout(150);
    authorizer.check(context('one'), 'read', 'a');
    await writeFile(path, grant('two'));
    await until(() => authorizer.check(context('two'), 'read', 'a'));
    assert.throws(() => authorizer.check(context('one'), 'read', 'a'), denied);
  } finally {
    authorizer.close();
    await rm(folder, { recursive: true });
  }
  assert.throws(() => fileAuthorizer({ path, clock: nodeClock, logger: silent }), JournalError);
});

test('a policy that holds itself many times over is refused, and not written out', () => {
  const levels = Array.from({ length: 40 }, (_, at) => {
    const inside = at === 0 ? 'x' : `*a${at - 1}, *a${at - 1}`;
    return `      k${at}: &a${at} [${inside}]\n`;
  });
  const names = `grants:\n  - names:\n${levels.join('')}`;
  const text = `${names}    roles: [read]\n    journals: ['*']\n`;
  assert.throws(() => parsePolicy(text), /grants\[0\]\.names is .* a list of at least one/);
});
