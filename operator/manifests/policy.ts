// NetworkPolicies: the cluster and the operator reach every process, which rebuilds the registers
// of lost controllers from the replicas; clients reach replicas alone.

import { CLIENT_PORT, CONTROLLER_PORT, PROBE_PORT, type Settled } from '../journal/settle.ts';
import type { KubeObject } from '../kube/api.ts';
import { CLUSTER_LABEL, type Component, MANAGER, made, namesOf, selectorFor } from './common.ts';

const NAMESPACE_LABEL = 'kubernetes.io/metadata.name';
const DNS_PORT = 53;

const tcp = (number: number) => ({ protocol: 'TCP', port: number });

/** `operatorNamespace` is where the operator's pods run. */
export function networkPolicy(
  settled: Settled,
  component: Component,
  operatorNamespace: string,
): KubeObject {
  const names = namesOf(settled.name);
  const name = component === 'replica' ? names.replicas : names.controllers;
  const cluster = { podSelector: { matchLabels: { [CLUSTER_LABEL]: settled.name } } };
  const operator = {
    namespaceSelector: { matchLabels: { [NAMESPACE_LABEL]: operatorNamespace } },
    podSelector: { matchLabels: { 'app.kubernetes.io/name': MANAGER } },
  };
  const from = [cluster, operator, ...(component === 'replica' ? clients(settled) : [])];
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

/** Pods of the own namespace, and of those that are listed. */
function clients({ networkPolicy }: Settled): readonly unknown[] {
  const { clientNamespaces } = networkPolicy;
  if (clientNamespaces.includes('*')) return [{ namespaceSelector: {} }];
  const others = clientNamespaces.map((namespace) => ({
    namespaceSelector: { matchLabels: { [NAMESPACE_LABEL]: namespace } },
  }));
  return [{ podSelector: {} }, ...others];
}
