// Secrets: the authority, and one pair for each who has to prove who he is.

import type { Settled } from '../journal/settle.ts';
import type { KubeObject } from '../kube/api.ts';
import { at, textAt } from '../kube/fields.ts';
import type { Authority, Pair, Subject } from '../pki.ts';
import { dnsNames, made, namesOf, serverName } from './common.ts';
import { commonNames } from './configmap.ts';
import type { Process } from './pod.ts';

/** A pair that somebody needs: where it is kept, and for whom it is. */
export interface Leaf {
  readonly secretName: string;
  readonly subject: Subject;
}

export function processLeaf(settled: Settled, { component, id }: Process): Leaf {
  const names = namesOf(settled.name);
  const services =
    component === 'replica' ? [names.process(id)] : [names.process(id), names.controllers];
  return {
    secretName: names.leaf(id),
    subject: {
      commonName: commonNames(settled.name)[component](id),
      // Whoever is dialled by an IP address is asked for the name of the cluster.
      dnsNames: [
        ...(component === 'replica'
          ? dnsNames(settled.name, settled.namespace)
          : [serverName(settled)]),
        ...services.flatMap((service) => dnsNames(service, settled.namespace)),
      ],
      server: true,
    },
  };
}

export function ownLeaves(settled: Settled): readonly [operator: Leaf, client: Leaf] {
  const names = namesOf(settled.name);
  const { operator, client } = commonNames(settled.name);
  return [
    { secretName: names.operatorSecret, subject: outgoing(operator) },
    { secretName: names.clientSecret, subject: outgoing(client) },
  ];
}

const outgoing = (commonName: string): Subject => ({ commonName, dnsNames: [], server: false });

export function leafSecret(settled: Settled, leaf: Leaf, pair: Pair, bundle: string): KubeObject {
  return made(settled, 'Secret', leaf.secretName, {
    type: 'kubernetes.io/tls',
    data: {
      'ca.crt': encoded(bundle),
      'tls.crt': encoded(pair.cert),
      'tls.key': encoded(pair.key),
    },
  });
}

/** Everything that is known of the authority: the present pair, and who else is believed. */
export interface AuthorityState {
  /** Its key is empty where the Secret was lost: what it issued holds on, and it issues no more. */
  readonly current: Authority;
  /** Already believed, not yet issuing; null for none. */
  readonly next: (Authority & { readonly sinceMillis: number }) | null;
  /** Still believed, with what it stands below, not issuing any more. */
  readonly previous: readonly { readonly cert: string; readonly untilMillis: number }[];
  /** The wish for a rotation that was carried out last. */
  readonly rotation: string;
}

const STATE_KEY = 'authority.json';

export function authoritySecret(
  settled: Settled,
  state: AuthorityState,
  bundle: string,
): KubeObject {
  const data = {
    'ca.crt': encoded(bundle),
    'tls.crt': encoded(state.current.cert),
    'tls.key': encoded(state.current.key),
    [STATE_KEY]: encoded(JSON.stringify(state)),
  };
  const body = { type: 'Opaque', data };
  return made(settled, 'Secret', namesOf(settled.name).authority, body, { kept: true });
}

/** Null where there is none, or it cannot be read. */
export function readAuthority(secret: KubeObject | undefined): AuthorityState | null {
  const text = decodedAt(secret, STATE_KEY);
  if (text === '') return null;
  try {
    const value: unknown = JSON.parse(text);
    const cert = textAt(value, 'current', 'cert');
    if (cert === undefined || textAt(value, 'current', 'key') === undefined) return null;
    if (!Array.isArray(at(value, 'previous'))) return null;
    // cast: written by authoritySecret alone, and its main parts were looked at.
    return value as AuthorityState;
  } catch {
    return null;
  }
}

export function readPair(secret: KubeObject | undefined): Pair {
  return { cert: decodedAt(secret, 'tls.crt'), key: decodedAt(secret, 'tls.key') };
}

export const decodedAt = (secret: KubeObject | undefined, key: string): string =>
  Buffer.from(textAt(secret, 'data', key) ?? '', 'base64').toString('utf8');

const encoded = (text: string): string => Buffer.from(text, 'utf8').toString('base64');
