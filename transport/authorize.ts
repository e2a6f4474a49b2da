// Who may do what: names of client certificates to roles, by journal, from a small file.
//
//     grants:
//       - names: [billing, "*.apps.example.com"]
//         roles: [read, append]
//         journals: [orders, "billing-*"]
//
// A grant holds for every caller one of whose names (common name, DNS names) matches and for every
// journal whose name matches; `*` stands for any run of characters. Roles do not include each
// other. What is about the cluster as a whole needs a grant for the journal pattern `*`.

import { load } from 'js-yaml';
import type { Clock } from '../io/clock.ts';
import type { Logger } from '../io/logger.ts';
import type { CallContext } from '../io/network.ts';
import { JournalError } from '../protocol/errors.ts';
import { shown } from '../protocol/fields.ts';
import { type Micros, RangeViolation } from '../protocol/types.ts';
import { WatchedFiles } from './watch.ts';

/** `member` is for the processes of the cluster themselves: links, control, Paxos. */
export const ROLES = ['read', 'append', 'admin', 'member'] as const;
export type Role = (typeof ROLES)[number];

export interface Grant {
  readonly names: readonly string[];
  readonly roles: readonly Role[];
  readonly journals: readonly string[];
}

export interface Policy {
  readonly grants: readonly Grant[];
}

export type Decision =
  | { readonly kind: 'allowed'; readonly name: string }
  | { readonly kind: 'denied'; readonly code: 'UNAUTHENTICATED' | 'PERMISSION_DENIED' };

/** Whether a caller of these names may act in `role`; `journal` null means the whole cluster. */
export function decide(
  policy: Policy,
  identities: readonly string[],
  role: Role,
  journal: string | null,
): Decision {
  if (identities.length === 0) return { kind: 'denied', code: 'UNAUTHENTICATED' };
  for (const { names, roles, journals } of policy.grants) {
    if (!roles.includes(role)) continue;
    const covers = journals.some((pattern) =>
      journal === null ? pattern === '*' : matches(pattern, journal),
    );
    const name = identities.find((one) => names.some((pattern) => matches(pattern, one)));
    if (covers && name !== undefined) return { kind: 'allowed', name };
  }
  return { kind: 'denied', code: 'PERMISSION_DENIED' };
}

/** Without backtracking, so that no pattern and no name makes it slow. */
function matches(pattern: string, name: string): boolean {
  const [first = '', ...rest] = pattern.split('*');
  const last = rest.pop();
  if (last === undefined) return pattern === name;
  if (!name.startsWith(first) || name.length < first.length + last.length) return false;
  let at = first.length;
  const end = name.length - last.length;
  for (const part of rest) {
    const found = name.indexOf(part, at);
    if (found < 0 || found + part.length > end) return false;
    at = found + part.length;
  }
  return name.endsWith(last);
}

/** Reads a policy from YAML or JSON; throws RangeViolation with the field that is wrong. */
export function parsePolicy(text: string): Policy {
  const document = object('the policy', load(text));
  only('the policy', document, ['grants']);
  const grants = list('grants', document.grants).map((value, at): Grant => {
    const field = `grants[${at}]`;
    const grant = object(field, value);
    only(field, grant, ['names', 'roles', 'journals']);
    const roles = texts(`${field}.roles`, grant.roles).map((role) =>
      roleOf(`${field}.roles`, role),
    );
    return {
      names: texts(`${field}.names`, grant.names),
      roles,
      journals: texts(`${field}.journals`, grant.journals),
    };
  });
  return { grants };
}

function object(field: string, value: unknown): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new RangeViolation(field, said(value), 'a mapping');
  }
  return { ...value };
}

const said = (value: unknown): string => (value === undefined ? 'nothing' : shown(value));

/** A name that is misspelt must not silently grant less, or more, than was meant. */
function only(field: string, value: Record<string, unknown>, names: readonly string[]): void {
  const stranger = Object.keys(value).find((name) => !names.includes(name));
  if (stranger === undefined) return;
  throw new RangeViolation(`a field of ${field}`, stranger, `one of ${names.join(', ')}`);
}

function list(field: string, value: unknown): readonly unknown[] {
  if (Array.isArray(value) && value.length > 0) return value;
  throw new RangeViolation(field, said(value), 'a list of at least one');
}

function texts(field: string, value: unknown): readonly string[] {
  return list(field, value).map((one) => {
    if (typeof one === 'string' && one !== '') return one;
    throw new RangeViolation(field, said(one), 'a list of words');
  });
}

function roleOf(field: string, value: string): Role {
  const role = ROLES.find((one) => one === value);
  if (role === undefined) throw new RangeViolation(field, value, `of ${ROLES.join(', ')}`);
  return role;
}

export interface Authorizer {
  /** Throws JournalError UNAUTHENTICATED or PERMISSION_DENIED; `journal` null: the cluster. */
  check(context: CallContext, role: Role, journal: string | null): void;
  close(): void;
}

/** Decides by the policy in a file, which is read again when it changes. */
export function fileAuthorizer(options: {
  readonly path: string;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly refresh?: Micros | undefined;
}): Authorizer {
  const { path, ...rest } = options;
  const files = new WatchedFiles<Policy>({
    ...rest,
    what: 'authorization',
    paths: [path],
    parse: ([text]) => parsePolicy(text?.toString('utf8') ?? ''),
  });
  return {
    check({ identities }, role, journal) {
      const decision = decide(files.value, identities, role, journal);
      if (decision.kind === 'allowed') return;
      throw denied(decision.code, identities, role, journal);
    },
    close: () => files.close(),
  };
}

function denied(
  code: 'UNAUTHENTICATED' | 'PERMISSION_DENIED',
  identities: readonly string[],
  role: Role,
  journal: string | null,
): JournalError {
  const where = journal === null ? 'the cluster' : `journal ${journal}`;
  if (code === 'UNAUTHENTICATED') {
    const message = `role ${role} on ${where} needs a client certificate, and there is none`;
    return new JournalError(code, message);
  }
  const who = JSON.stringify(identities.join(', '));
  return new JournalError(code, `the certificate of ${who} has no role ${role} on ${where}`);
}
