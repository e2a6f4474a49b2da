// Services: one for clients, one for all controllers, and one a process as a fallback address.

import { CLIENT_PORT, CONTROLLER_PORT, PROBE_PORT, type Settled } from '../journal/settle.ts';
import type { KubeObject } from '../kube/api.ts';
import { COMPONENT_LABEL, MEMBER_LABEL, made, namesOf, selectorFor } from './common.ts';
import { type Process, portOf } from './pod.ts';

const port = (name: string, number: number) => ({
  name,
  port: number,
  targetPort: number,
  protocol: 'TCP',
});

/** `<cluster>:7400`: any replica that serves. */
export function clientService(settled: Settled): KubeObject {
  const selector = selectorFor(settled.name, 'replica');
  const spec = { type: 'ClusterIP', selector, ports: [port('journal', CLIENT_PORT)] };
  return made(settled, 'Service', namesOf(settled.name).service, { spec });
}

/** One name for however many controllers there are; also those that are not ready yet. */
export function controllersService(settled: Settled): KubeObject {
  const spec = {
    type: 'ClusterIP',
    clusterIP: 'None',
    publishNotReadyAddresses: true,
    selector: selectorFor(settled.name, 'controller'),
    ports: [port('journal', CONTROLLER_PORT)],
  };
  return made(settled, 'Service', namesOf(settled.name).controllers, { spec });
}

export function processService(settled: Settled, { component, id }: Process): KubeObject {
  const spec = {
    type: 'ClusterIP',
    publishNotReadyAddresses: true,
    selector: { ...selectorFor(settled.name, component), [MEMBER_LABEL]: id },
    ports: [port('journal', portOf(component)), port('probes', PROBE_PORT)],
  };
  const labels = { [COMPONENT_LABEL]: component, [MEMBER_LABEL]: id };
  return made(settled, 'Service', namesOf(settled.name).process(id), { spec }, { labels });
}
