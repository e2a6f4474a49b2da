// NetworkPolicies: the cluster and the operator reach every process, which rebuilds the registers
// of lost controllers from the replicas; clients reach replicas alone.

import { CLIENT_PORT, CONTROLLER_PORT, PROBE_PORT, type Settled } from '../journal/settle.ts';
import type { KubeObject } from '../kube/api.ts';
import { listAt, textAt } from '../kube/fields.ts';
import { CLUSTER_LABEL, type Component, groupName, MANAGER, made, selectorFor } from './common.ts';

const NAMESPACE_LABEL = 'kubernetes.io/metadata.name';
const DNS_PORT = 53;
const MANAGED_PODS = ['podSelector', 'matchLabels', 'app.kubernetes.io/name'] as const;
const IN_NAMESPACE = ['namespaceSelector', 'matchLabels', NAMESPACE_LABEL] as const;

const tcp = (number: number) => ({ protocol: 'TCP', port: number });

/** Operators that were ever let in; more than one or two are a mistake of people. */
const OPERATORS_MAX = 8;

/** `operatorNamespace` is where the pods of this operator run. */
export function networkPolicy(
  settled: Settled,
  component: Component,
  operatorNamespace: string,
  present: KubeObject | undefined,
): KubeObject {
  const name = groupName(settled.name, component);
  const cluster = { podSelector: { matchLabels: { [CLUSTER_LABEL]: settled.name } } };
  const operators = operatorsOf(present, operatorNamespace).map((namespace) => ({
    namespaceSelector: { matchLabels: { [NAMESPACE_LABEL]: namespace } },
    podSelector: { matchLabels: { 'app.kubernetes.io/name': MANAGER } },
  }));
  const from = [cluster, ...operators, ...(component === 'replica' ? clients(settled) : [])];
  const port = component === 'replica' ? CLIENT_PORT : CONTROLLER_PORT;
  const spec = {
    podSelector: { matchLabels: selectorFor(settled.name, component) },
    policyTypes: ['Ingress', 'Egress'],
    ingress: [
      { from, ports: [tcp(port)] },
      // Probes of the kubelet and scrapes: read-only, and no secret in them.
      { ports: [tcp(PROBE_PORT)] },
    ],
    egress: [
      { to: [cluster], ports: [tcp(CLIENT_PORT), tcp(CONTROLLER_PORT)] },
      { ports: [{ protocol: 'UDP', port: DNS_PORT }, tcp(DNS_PORT)] },
    ],
  };
  return made(settled, 'NetworkPolicy', name, { spec });
}

/**
 * The namespaces of operators that were let in before, and the own one: two operators by mistake
 * would lock each other out in turn, for ever, if each let in itself alone.
 */
function operatorsOf(present: KubeObject | undefined, own: string): readonly string[] {
  const before = listAt(present, 'spec', 'ingress')
    .flatMap((rule) => listAt(rule, 'from'))
    .filter((peer) => textAt(peer, ...MANAGED_PODS) === MANAGER)
    .map((peer) => textAt(peer, ...IN_NAMESPACE) ?? '')
    .filter((namespace) => namespace !== '' && namespace !== own);
  const others = [...new Set(before)].slice(0, OPERATORS_MAX - 1);
  return [...others, own].sort();
}

/** Pods of the own namespace, and of those that are listed. */
function clients({ networkPolicy }: Settled): readonly unknown[] {
  const { clientNamespaces } = networkPolicy;
  if (clientNamespaces.includes('*')) return [{ namespaceSelector: {} }];
  const others = clientNamespaces.map((namespace) => ({
    namespaceSelector: { matchLabels: { [NAMESPACE_LABEL]: namespace } },
  }));
  return [{ podSelector: {} }, ...others];
}
