// ConfigMaps: what the operator remembers, and which certificate may do what.

import { dump } from 'js-yaml';
import { LEDGER_KEY, type Ledger, writeLedger } from '../journal/ledger.ts';
import type { Settled } from '../journal/settle.ts';
import type { KubeObject } from '../kube/api.ts';
import { made, namesOf } from './common.ts';

export const ledgerMap = (settled: Settled, ledger: Ledger): KubeObject =>
  made(
    settled,
    'ConfigMap',
    namesOf(settled.name).ledger,
    { data: { [LEDGER_KEY]: writeLedger(ledger) } },
    { kept: true },
  );

/** Common names in certificates: by them go the roles below. */
export const commonNames = (cluster: string) => ({
  replica: (id: string): string => `${id}.replicas.${cluster}`,
  controller: (id: string): string => `${id}.controllers.${cluster}`,
  operator: `operator.${cluster}`,
  client: `client.${cluster}`,
});

/**
 * Clients read, append, make and delete journals; orders about the cluster itself (`*`, which no
 * name of a journal matches but `**` does not stand for) are the operator's.
 */
export function authorization(settled: Settled): KubeObject {
  const names = commonNames(settled.name);
  const all = ['*'];
  const journals = ['**'];
  const policy = {
    grants: [
      { names: [names.replica('*'), names.controller('*')], roles: ['member'], journals: all },
      { names: [names.operator], roles: ['member', 'read', 'append', 'admin'], journals: all },
      { names: [names.client], roles: ['read'], journals: all },
      { names: [names.client], roles: ['append', 'admin'], journals },
    ],
  };
  const data = { 'policy.yaml': dump(policy) };
  return made(settled, 'ConfigMap', namesOf(settled.name).authorization, { data });
}
