// The plan as scenarios: what is done in a world of objects, step by step. See testdata/.
//
//     cluster KEY=VALUE …     makes or changes the JournalCluster (JSON values; `-` takes out)
//     annotate KEY=VALUE      an annotation of it
//     pass                    one pass: what is written and ordered, and how far it is
//     run PASSES              passes until nothing is done any more, told as counts
//     format [ID …]           Jobs succeed
//     start [ID …]            pods run their StatefulSet's newest template, controllers hear them
//     break ID WHY            its container waits for that reason
//     silent ID [NOTE…]       the controllers do not hear the process, and say so
//     back ID                 they hear it again
//     chain NAME ID …         the members of a journal, head first; `!ID` is behind
//     blind | see             the controllers cannot be asked, or can
//     lose ID                 its volume is gone
//     remove KIND NAME        somebody deletes an object
//     set KIND NAME|* JSON    what Kubernetes writes there
//     status | show           what the status says; where each process is to be

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { runTranscripts, type Scenario } from '../../test/transcript.ts';
import type { JournalCluster } from '../crd.ts';
import type { KubeObject } from '../kube/api.ts';
import { at, listAt, numberAt, textAt } from '../kube/fields.ts';
import { ledgerMap } from '../manifests/configmap.ts';
import { found } from './found.ts';
import { type Ledger, readLedger } from './ledger.ts';
import { changeMembership } from './members/membership.ts';
import { plan } from './plan.ts';
import { settle } from './settle.ts';
import { statusOf } from './status.ts';
import type { Action, Progress } from './steps.ts';
import { type ChainView, find, type World } from './world.ts';

const NAME = 'orders';
const AUTHORITY = { apiVersion: 'v1', kind: 'Secret', metadata: { name: `${NAME}-ca` } };
/** What no plan looks at. */
const UNTOLD = { store: '', incarnation: 1, zone: '', address: '', pid: 1, version: '' };

class Scene {
  readonly objects = new Map<string, KubeObject>();
  /** And what the controllers say of each. */
  readonly silent = new Map<string, string>();
  readonly journals = new Map<string, readonly string[]>();
  readonly leaving = new Set<string>();
  readonly gone = new Set<string>();
  /** Controllers that came later, until they are let in. */
  readonly unseated = new Set<string>();
  spec: Record<string, unknown> = { storage: { size: '1Gi' } };
  annotations: Record<string, string> = {};
  blind = false;
  /** Numbers up to this one were formatted with the set. */
  seats = 3;
  uids = 0;
  generation = 1;

  world(): World {
    const cluster = {
      apiVersion: 'journal.dev/v1alpha1',
      kind: 'JournalCluster',
      metadata: {
        ...{ name: NAME, namespace: 'n', uid: 'u', resourceVersion: '1' },
        generation: this.generation,
        creationTimestamp: '2026-01-01T00:00:00Z',
        annotations: this.annotations,
      },
      spec: this.spec,
    };
    const objects = [...this.objects.values()];
    const ledger = readLedger(find({ objects }, 'ConfigMap', `${NAME}-ledger`));
    return {
      // cast: scenarios give what the API server would let through.
      cluster: cluster as unknown as JournalCluster,
      nowMillis: Date.parse('2026-01-01T01:00:00Z'),
      defaults: { image: 'journal:1', nodeZones: ['a', 'b', 'c'], podMonitors: null, ipv6: false },
      operatorNamespace: 'journal-system',
      objects: ledger === null ? objects : [...objects, AUTHORITY],
      ledger,
      chain: this.chain(),
    };
  }

  chain(): ChainView {
    const controllers = this.running('controller').filter((id) => !this.silent.has(id));
    if (this.blind || controllers.length === 0) return { kind: 'unknown', reason: 'silence' };
    const ids = [...this.running('controller'), ...this.running('replica'), ...this.silent.keys()];
    const processes = [...new Set(ids)]
      .sort()
      .filter((id) => !this.gone.has(id) && !this.unseated.has(id))
      .map((id) => ({
        kind: id.startsWith('controller') ? ('controller' as const) : ('replica' as const),
        id,
        ...UNTOLD,
        reachable: !this.silent.has(id),
        note: this.silent.get(id) ?? (this.leaving.has(id) ? 'is to leave' : ''),
      }));
    const journals = [...this.journals].map(([name, members]) => ({
      ...{ id: '0'.repeat(32), name, lineage: 1, epoch: 1, reconfigurations: 0 },
      ...{ writable: true, note: '', minReplicas: 2 },
      members: members.map((text, index) => {
        const id = text.replace(/^[!+]/, '');
        const lsn = text.startsWith('!') ? 5 : 10;
        const role = text.startsWith('+') ? 'learner' : index === 0 ? 'head' : 'tail';
        const live = !this.silent.has(id);
        const lsns = { endLsn: lsn, durableLsn: lsn, committedLsn: lsn, lag: 10 - lsn };
        return { id, store: '', zone: '', address: '', role, live, synced: live, ...lsns };
      }),
    }));
    const ready = processes.some(({ kind, reachable }) => kind === 'replica' && reachable);
    const status = { cluster: '', featureLevel: 1, ready, partial: false, processes, journals };
    // cast: numbers of a scenario carry no brand.
    return { kind: 'known', status } as unknown as ChainView;
  }

  /** Ids of a component whose pod runs. */
  running(component: string): readonly string[] {
    return [...this.objects.values()].flatMap((one) => {
      const { labels = {} } = one.metadata;
      if (one.kind !== 'Pod' || labels['app.kubernetes.io/component'] !== component) return [];
      const [status] = listAt(one, 'status', 'containerStatuses');
      const runs = textAt(status, 'state', 'running', 'since') !== undefined;
      return runs ? [labels['journal.dev/member'] ?? ''] : [];
    });
  }

  put(object: KubeObject): void {
    const key = `${object.kind}/${object.metadata.name}`;
    const before = this.objects.get(key);
    this.uids += 1;
    const metadata = {
      ...object.metadata,
      uid: before?.metadata.uid ?? `uid-${this.uids}`,
      generation: 1,
    };
    const status =
      object.kind === 'StatefulSet'
        ? { observedGeneration: 1, updateRevision: revisionOf(object) }
        : (object.status ?? before?.status);
    this.objects.set(key, { ...object, metadata, status });
  }

  /** A pod of the process is scheduled: its claim gets a volume. */
  bind(id: string): void {
    const claim = this.objects.get(`PersistentVolumeClaim/${NAME}-${id}-data`);
    if (claim !== undefined) this.put({ ...claim, status: { phase: 'Bound' } });
  }

  start(id: string, waiting = ''): void {
    const set = this.objects.get(`StatefulSet/${NAME}-${id}`);
    if (set === undefined || numberAt(set, 'spec', 'replicas') === 0) return;
    const { labels = {} } = set.metadata;
    const running = waiting === '';
    this.bind(id);
    const pod: KubeObject = {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: {
        name: `${NAME}-${id}-0`,
        creationTimestamp: '2026-01-01T00:00:00Z',
        labels: { ...labels, 'controller-revision-hash': revisionOf(set) },
        ownerReferences: [],
      },
      spec: { nodeName: `node-${labels['journal.dev/zone']}` },
      status: {
        conditions: [{ type: 'Ready', status: running ? 'True' : 'False' }],
        containerStatuses: [
          { state: running ? { running: { since: 'now' } } : { waiting: { reason: waiting } } },
        ],
      },
    };
    if (id.startsWith('controller') && Number(id.split('-')[1]) > this.seats) this.unseated.add(id);
    this.put(pod);
  }
}

const revisionOf = (set: KubeObject): string => {
  const text = JSON.stringify(at(set, 'spec', 'template') ?? '');
  let sum = 0;
  for (const character of text) sum = (sum * 31 + (character.codePointAt(0) ?? 0)) % 1_000_003;
  return `${sum}`;
};

/** One pass as the reconciler does it: ledger, plan, act. */
function pass(scene: Scene): { said: string[]; progress: Progress; done: number } {
  const said: string[] = [];
  const write = (ledger: Ledger, why: string): void => {
    scene.put(ledgerMap(settle(scene.world().cluster, ledger), ledger));
    if (why !== '') said.push(`members: ${why}`);
  };
  const begun = found(scene.world(), scene.world().ledger, () => 'f'.repeat(32));
  if (begun !== null && begun.kind !== 'ledger') return { said, progress: begun, done: 0 };
  if (begun !== null) write(begun.ledger, begun.why);
  for (let round = 0; round < 4; round += 1) {
    const world = scene.world();
    assert.ok(world.ledger);
    const change = changeMembership(world, world.ledger, settle(world.cluster, world.ledger));
    if (change === null) break;
    write(change.ledger, change.why);
  }
  const world = scene.world();
  assert.ok(world.ledger);
  const { actions, progress } = plan(world, world.ledger, settle(world.cluster, world.ledger));
  for (const action of actions) said.push(...carryOut(scene, action, write));
  return { said, progress, done: actions.length };
}

function carryOut(
  scene: Scene,
  action: Action,
  write: (ledger: Ledger, why: string) => void,
): readonly string[] {
  switch (action.kind) {
    case 'apply': {
      const { object, before, why } = action;
      scene.put(object);
      const told = `${object.kind} ${object.metadata.name}`;
      return [before === null ? `create ${told}` : `change ${told} (${why.split(': ').at(-1)})`];
    }
    case 'delete': {
      scene.objects.delete(`${action.object.kind}/${action.object.metadata.name}`);
      const pod = `Pod/${action.object.metadata.name}-0`;
      if (!scene.objects.get(pod)?.metadata.deletionTimestamp) scene.objects.delete(pod);
      return [`delete ${action.object.kind} ${action.object.metadata.name} (${action.why})`];
    }
    case 'ledger':
      write(action.ledger, '');
      return [];
    case 'order':
      return [order(scene, action)];
  }
}

function order(scene: Scene, { order: asked }: Extract<Action, { kind: 'order' }>): string {
  if (asked.kind === 'createJournal') {
    scene.journals.set(asked.name, scene.running('replica').slice(0, 3));
    return `order createJournal ${asked.name}`;
  }
  if (asked.kind === 'recover') {
    scene.blind = false;
    scene.unseated.clear();
    return `order recover ${asked.cluster.length} digits${asked.acceptLoss ? ', accept loss' : ''}`;
  }
  const { request } = asked;
  const { kind, ...rest } = request;
  if (request.kind === 'memberAdd') scene.leaving.delete(request.member);
  const goes = request.kind === 'memberRemove' || request.kind === 'memberReplace';
  if (goes) scene.leaving.add(request.member);
  if (request.kind === 'controllerReplace') {
    for (const id of request.remove.split(',')) scene.gone.add(id);
    for (const one of request.add.split(',')) scene.unseated.delete(one.split('=')[0] ?? '');
  }
  if (request.kind === 'moveHead') {
    const { journal, member } = request;
    const others = (scene.journals.get(journal) ?? []).filter((one) => one !== member);
    scene.journals.set(journal, [member, ...others]);
  }
  return `order ${kind} ${Object.values(rest).join(' ')}`;
}

const sayProgress = (one: Progress): string =>
  one.kind === 'steady' ? '= steady' : `= ${one.kind} ${one.reason}: ${one.message}`;

/** Many lines of one kind are one line. */
function folded(lines: readonly string[]): string[] {
  const counts = new Map<string, number>();
  for (const line of lines) {
    const [verb = '', kind = ''] = line.split(' ');
    const key = verb === 'create' ? `${verb} ${kind}` : line;
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  return [...counts].map(([line, count]) => (count === 1 ? line : `${line} × ${count}`));
}

function open(): Scenario {
  const scene = new Scene();
  return ([name = '', ...args], line) => {
    const [first = ''] = args;
    switch (name) {
      case 'cluster':
        for (const one of args) {
          const [key = '', ...value] = one.split('=');
          if (value.join('=') === '-') delete scene.spec[key];
          else scene.spec[key] = JSON.parse(value.join('='));
        }
        scene.generation += 1;
        return [];
      case 'annotate':
        scene.annotations = Object.fromEntries(args.map((one) => one.split('=')));
        return [];
      case 'pass': {
        const { said, progress } = pass(scene);
        return [...folded(said), sayProgress(progress)];
      }
      case 'run':
        return run(scene, Number(first));
      case 'format':
        return format(scene, args);
      case 'start':
        return start(scene, args);
      case 'break':
        scene.start(first, args[1]);
        return [];
      case 'silent':
        scene.silent.set(first, args.slice(1).join(' ') || 'does not answer');
        return [];
      case 'back':
        scene.silent.delete(first);
        return [];
      case 'chain':
        scene.journals.set(first, args.slice(1));
        return [];
      case 'blind':
      case 'see':
        scene.blind = name === 'blind';
        return [];
      case 'lose':
        scene.objects.delete(`PersistentVolumeClaim/${NAME}-${first}-data`);
        return [];
      case 'remove':
        scene.objects.delete(`${first}/${args[1]}`);
        return [];
      case 'set':
        return set(scene, args);
      case 'status':
        return status(scene);
      case 'show':
        return show(scene);
      default:
        throw new Error(`no command ${line}`);
    }
  };
}

function format(scene: Scene, ids: readonly string[]): readonly string[] {
  const { formatted, recovery, nextController = 1 } = scene.world().ledger ?? {};
  if (formatted === false && recovery === '') scene.seats = nextController - 1;
  for (const one of scene.objects.values()) {
    const id = one.metadata.labels?.['journal.dev/member'] ?? '';
    if (one.kind !== 'Job' || (ids.length > 0 && !ids.includes(id))) continue;
    scene.bind(id);
    scene.put({ ...one, status: { succeeded: 1 } });
  }
  return [];
}

function set({ objects }: Scene, [kind = '', name = '', json = '']: readonly string[]) {
  const { metadata, ...rest } = JSON.parse(json);
  const all = [...objects.keys()].filter((key) => name === '*' && key.startsWith(`${kind}/`));
  for (const key of all.length === 0 ? [`${kind}/${name}`] : all) {
    const one = objects.get(key) ?? { apiVersion: 'v1', kind, metadata: { name } };
    objects.set(key, { ...one, ...rest, metadata: { ...one.metadata, ...metadata } });
  }
  return [];
}

function run(scene: Scene, passes: number): readonly string[] {
  const said: string[] = [];
  for (let count = 0; count < passes; count += 1) {
    const { said: more, progress, done } = pass(scene);
    said.push(...more);
    if (done === 0 && more.length === 0) return [...folded(said), sayProgress(progress)];
  }
  return [...folded(said), '= still at work'];
}

function start(scene: Scene, ids: readonly string[]): readonly string[] {
  for (const set of scene.objects.values()) {
    if (set.kind !== 'StatefulSet') continue;
    const id = set.metadata.name.slice(NAME.length + 1);
    const pod = `Pod/${NAME}-${id}-0`;
    if (ids.length === 0 ? !scene.objects.has(pod) : ids.includes(id)) scene.start(id);
  }
  return [];
}

function show(scene: Scene): readonly string[] {
  const { replicas = [], controllers = [] } = scene.world().ledger ?? {};
  return [...replicas, ...controllers].map(({ id, zone }) => `${id} ${zone}`);
}

function status(scene: Scene): readonly string[] {
  const world = scene.world();
  const { ledger, cluster } = world;
  const settled = ledger === null ? null : settle(cluster, ledger);
  const progress: Progress =
    ledger === null || settled === null
      ? { kind: 'working', reason: 'Pending', message: '' }
      : plan(world, ledger, settled).progress;
  const outcome = { progress, error: '', overdue: false, certificates: '', volumes: '' };
  const { conditions, mode, memberSummary, replicas } = statusOf(world, ledger, settled, outcome);
  return [
    `${mode} ${memberSummary}`,
    ...(conditions ?? []).map((one) =>
      `${one.type} ${one.status} ${one.reason} ${one.message}`.trim(),
    ),
    ...(replicas ?? []).map((one) => `${one.id} ${one.state} ${one.message}`.trim()),
  ];
}

runTranscripts(join(import.meta.dirname, 'testdata'), open);
