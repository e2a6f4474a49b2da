// One pass over one cluster: observe, remember, certify, plan, act, report. Never sleeps.
//
// Level-triggered: a pass knows only a name, and reads everything else. Status is written on every
// path, also on the failing one, and only when it differs.

import type { Clock } from '../../io/clock.ts';
import type { Logger } from '../../io/logger.ts';
import type { Random } from '../../io/random.ts';
import { certify } from '../certify.ts';
import { addressesOf, Chain, proofOf } from '../chain.ts';
import type { JournalCluster, JournalClusterStatus } from '../crd.ts';
import { type KindName, type KubeApi, KubeError, type KubeObject, RESOURCES } from '../kube/api.ts';
import type { Cache } from '../kube/cache.ts';
import { difference } from '../kube/covers.ts';
import type { Events } from '../kube/events.ts';
import { listAt, textAt } from '../kube/fields.ts';
import { applyObject, createObject, getObject } from '../kube/objects.ts';
import { namesOf } from '../manifests/common.ts';
import { ledgerMap } from '../manifests/configmap.ts';
import { act, type Hands, refusalOf, writeSecrets } from './act.ts';
import { found, type NotMade } from './found.ts';
import { isOwn, type Ledger, readLedger } from './ledger.ts';
import { changeMembership } from './members/membership.ts';
import { Patience } from './patience.ts';
import { disowned, plan } from './plan.ts';
import { type Settled, settle } from './settle.ts';
import { type Outcome, sameLists, statusOf } from './status.ts';
import { changesOwner, isAsWanted, type Progress } from './steps.ts';
import { find, type World } from './world.ts';

export interface ReconcilerParts {
  readonly api: KubeApi;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly cache: Cache;
  readonly events: Events;
  /** Image of the operator: what clusters run that name none. */
  readonly image: string;
  /** Labels of PodMonitors, by which a Prometheus selects them. */
  readonly podMonitorLabels: Readonly<Record<string, string>>;
  /** Whether pods have IPv6 addresses, alone or first. */
  readonly ipv6: boolean;
  readonly operatorNamespace: string;
  /** Folder for the certificates by which controllers are asked. */
  readonly folder: string;
  /** How long a changed Secret takes to reach every pod, at most. */
  readonly spreadMillis: number;
}

/** When to look again, in milliseconds, if nothing changes before. */
const AGAIN = { working: 1_000, steady: 5_000, asleep: 600_000 } as const;

/** Changes of the members in one pass, at most. */
const CHANGES_MAX = 4;

interface Pass {
  readonly progress: Progress;
  readonly certificates: string;
  readonly volumes: string;
  readonly againMillis: number;
}

/** Who the members are, and what is asked for. */
interface State {
  readonly ledger: Ledger;
  readonly settled: Settled;
}

export class Reconciler {
  readonly #parts: ReconcilerParts;
  readonly #chains = new Map<string, Chain>();
  readonly #stubborn = new Map<string, string>();
  readonly #ungrown: Hands['ungrown'] = new Map();
  /** As they were last, so that one that somebody deletes or spoils is written again. */
  readonly #ledgers = new Map<string, Ledger>();
  readonly #patience: Patience;

  constructor(parts: ReconcilerParts) {
    this.#parts = parts;
    this.#patience = new Patience(parts.clock);
  }

  /** Milliseconds until the next look; 0 for none. Rejects with what went wrong. */
  async reconcile(namespace: string, name: string): Promise<number> {
    const object = this.#parts.cache.cluster(namespace, name);
    if (object === undefined || object.metadata.deletionTimestamp !== undefined) {
      await this.#forget(`${namespace}/${name}`);
      return 0;
    }
    // cast: the API server has checked it against the definition that crd.ts is a copy of.
    const cluster = object as unknown as JournalCluster;
    let world = await this.#observe(cluster);
    let outcome: Outcome | undefined;
    let owned = true;
    // A pass that fails at once must not tell of a cluster that runs as of one that was never made.
    let state = standing(world);
    try {
      const founded = await this.#ledger(object, world);
      if (founded.kind !== 'ready') {
        const overdue = this.#isOverdue(cluster, founded);
        outcome = { progress: founded, error: '', overdue, certificates: '', volumes: '' };
        return AGAIN.steady;
      }
      ({ world, state } = founded);
      owned = false;
      await this.#own(object, world, state);
      owned = true;
      const pass = await this.#pass(object, world, state);
      outcome = { ...pass, error: '', overdue: this.#isOverdue(cluster, pass.progress) };
      return pass.againMillis;
    } catch (error) {
      outcome = this.#failure(object, error);
      throw error;
    } finally {
      if (outcome !== undefined) {
        const status = statusOf(world, state?.ledger ?? null, state?.settled ?? null, outcome);
        // Who waits for this generation may delete the JournalCluster next.
        const { observedGeneration = 0 } = owned ? status : (cluster.status ?? {});
        await this.#report(object, { ...status, observedGeneration });
      }
    }
  }

  #isOverdue({ metadata, spec }: JournalCluster, progress: Progress): boolean {
    return this.#patience.isOver(metadata.uid, progress, spec.progressDeadlineSeconds ?? 600);
  }

  async close(): Promise<void> {
    await Promise.all([...this.#chains.keys()].map((key) => this.#forget(key)));
  }

  /** Whether volumes go with the JournalCluster must hold at once, whatever else is in the way. */
  async #own(cluster: KubeObject, world: World, { ledger, settled }: State): Promise<void> {
    await act(cluster, disowned(world, ledger, settled), this.#hands(cluster, world, settled));
  }

  async #pass(cluster: KubeObject, world: World, { ledger, settled }: State): Promise<Pass> {
    const hands = this.#hands(cluster, world, settled);
    const { random, spreadMillis } = this.#parts;
    const certified = await certify(world, ledger, settled, { random, spreadMillis });
    const failed = await writeSecrets(cluster, certified.secrets, world, hands);
    if (world.cluster.spec.suspend === true) {
      if (failed !== undefined) throw failed;
      const progress = whileSuspended(world, ledger, certified.held);
      const due = this.#again(world, settled, STEADY, 0, certified.dueMillis);
      const againMillis = Math.min(AGAIN.steady, due);
      return { progress, certificates: certified.trouble, volumes: '', againMillis };
    }
    const { actions, progress } = plan(world, ledger, settled);
    const volumes = await act(cluster, actions, hands);
    if (failed !== undefined) throw failed;
    const stalled: Progress = {
      kind: 'stalled',
      reason: 'CertificateTrouble',
      message: certified.trouble,
    };
    return {
      progress: certified.trouble === '' ? progress : stalled,
      certificates: certified.trouble,
      volumes,
      againMillis: this.#again(world, settled, progress, actions.length, certified.dueMillis),
    };
  }

  #again(
    world: World,
    { hibernate }: Settled,
    progress: Progress,
    actions: number,
    dueMillis: number,
  ): number {
    const due = Math.max(1_000, dueMillis - world.nowMillis);
    if (progress.kind !== 'steady' || actions > 0) return Math.min(AGAIN.working, due);
    return Math.min(hibernate ? AGAIN.asleep : AGAIN.steady, due);
  }

  async #observe(cluster: JournalCluster): Promise<World> {
    const { cache, clock, image, podMonitorLabels, ipv6, operatorNamespace, api } = this.#parts;
    const { namespace, name } = cluster.metadata;
    const objects = [...cache.objects(namespace, name)];
    const names = namesOf(name);
    const add = async (kind: KindName, known: string, uid?: string): Promise<void> => {
      if (find({ objects }, kind, known) !== undefined) return;
      const object = await getObject(api, RESOURCES[kind], namespace, known);
      if (object !== null && object.metadata.uid === (uid ?? object.metadata.uid)) {
        objects.push(object);
      }
    };
    // A moment after they were written the local copy may not have them, and then volumes would
    // look like those of an older cluster, and another authority be made.
    await add('ConfigMap', names.ledger);
    const { mode, issuerSecretName } = cluster.spec.tls ?? {};
    if (mode !== 'Disabled') await add('Secret', names.authority);
    if (issuerSecretName !== undefined) await add('Secret', issuerSecretName);
    const world = {
      cluster,
      nowMillis: clock.wall() / 1000,
      defaults: {
        ...{ image, ipv6, nodeZones: cache.nodeZones() },
        podMonitors: cache.podMonitors ? podMonitorLabels : null,
      },
      operatorNamespace,
      objects,
    };
    const ledger = ledgerIn(world) ?? this.#remembered(cluster);
    // One that lost its label is there all the same: nobody takes its place.
    for (const { id, claimUid } of processesIn(ledger)) {
      if (claimUid !== '') await add('PersistentVolumeClaim', names.claim(id), claimUid);
    }
    const addresses = addressesOf(objects, 'controller');
    const chain =
      addresses.length === 0
        ? ({ kind: 'unknown', reason: 'no controller runs yet' } as const)
        : await this.#chain(cluster).view(addresses, proofOf(cluster, objects));
    return { ...world, ledger, chain };
  }

  /** The ledger as it is to be, written where it changed. */
  async #ledger(
    object: KubeObject,
    seen: World,
  ): Promise<NotMade | { readonly kind: 'ready'; readonly world: World; readonly state: State }> {
    let world = seen;
    let { ledger } = seen;
    const suspended = seen.cluster.spec.suspend === true;
    const begun = found(world, ledger, () => this.#parts.random.hex(16));
    if (begun !== null && begun.kind !== 'ledger') return begun;
    if (begun !== null && !(suspended && ledger !== null)) {
      ledger = begun.ledger;
      world = await this.#writeLedger(object, world, ledger, begun.why);
    }
    if (ledger === null) throw new Error('there is no ledger');
    for (let round = 0; round < CHANGES_MAX && !suspended; round += 1) {
      const change = changeMembership(world, ledger, settle(world.cluster, ledger));
      if (change === null) break;
      ledger = change.ledger;
      world = await this.#writeLedger(object, world, ledger, change.why);
    }
    const settled = settle(world.cluster, ledger);
    // Whether it goes with the JournalCluster is for the spec to say, which may have changed.
    const wanted = ledgerMap(settled, ledger);
    if (suspended ? changesOwner(world, ledger, wanted) : !isAsWanted(world, wanted)) {
      const why =
        ledgerIn(world) === null ? 'the ledger was gone or spoilt, and is there again' : '';
      world = await this.#writeLedger(object, world, ledger, why);
    }
    this.#ledgers.set(keyOf(world.cluster), ledger);
    return { kind: 'ready', world, state: { ledger, settled } };
  }

  async #writeLedger(
    object: KubeObject,
    world: World,
    ledger: Ledger,
    why: string,
  ): Promise<World> {
    const wanted = ledgerMap(settle(world.cluster, ledger), ledger);
    const { api } = this.#parts;
    const present = find(world, 'ConfigMap', wanted.metadata.name);
    // The first is made, not applied: of two operators that found none one is refused. Without
    // owners, since what is applied later takes out only what was applied before.
    const { ownerReferences: _, ...metadata } = wanted.metadata;
    const before = present ?? (await createObject(api, { ...wanted, metadata }));
    const { uid, resourceVersion } = before.metadata;
    const written = await applyObject(api, wanted, { uid, resourceVersion });
    this.#ledgers.set(keyOf(world.cluster), ledger);
    if (why !== '')
      this.#parts.events.say(object, { type: 'Normal', reason: 'Membership', note: why });
    const others = world.objects.filter((one) => one !== present);
    return { ...world, ledger, objects: [...others, written] };
  }

  #hands(cluster: KubeObject, world: World, settled: Settled): Hands {
    const { api, events, logger } = this.#parts;
    return {
      api,
      events,
      logger,
      stubborn: this.#stubborn,
      claims: new Set(processesIn(world.ledger).flatMap(({ claimUid: uid }) => uid || [])),
      ungrown: this.#ungrown,
      nowMillis: world.nowMillis,
      carryOut: async (order) => {
        const controllers = addressesOf(world.objects, 'controller');
        const replicas = addressesOf(world.objects, 'replica');
        const proof = proofOf(world.cluster, world.objects);
        await this.#chain(world.cluster).carryOut({ controllers, replicas }, proof, order);
      },
      writeLedger: async (ledger) => {
        await this.#writeLedger(cluster, { ...world, ledger: world.ledger }, ledger, '');
        logger.info({ cluster: settled.name }, 'the ledger was written');
      },
    };
  }

  /** Null where it was of an older JournalCluster of the name. */
  #remembered(cluster: JournalCluster): Ledger | null {
    const known = this.#ledgers.get(keyOf(cluster));
    return known?.ownerUid === cluster.metadata.uid ? known : null;
  }

  #chain(cluster: JournalCluster): Chain {
    const { clock, random, logger, folder } = this.#parts;
    const { namespace, name, uid } = cluster.metadata;
    const key = keyOf(cluster);
    const known = this.#chains.get(key);
    if (known !== undefined) return known;
    const serverName = `${name}.${namespace}.svc`;
    const chain = new Chain({ clock, random, logger, folder: `${folder}/${uid}`, serverName });
    this.#chains.set(key, chain);
    return chain;
  }

  async #forget(key: string): Promise<void> {
    const chain = this.#chains.get(key);
    this.#chains.delete(key);
    this.#ledgers.delete(key);
    await chain?.close();
  }

  #failure(object: KubeObject, error: unknown): Outcome {
    const message = error instanceof Error ? error.message : String(error);
    // They may not have been looked at: what was said of them last stands.
    const before = listAt(object, 'status', 'conditions').find(
      (one) => textAt(one, 'type') === 'CertificatesValid' && textAt(one, 'status') === 'False',
    );
    const certificates = textAt(before, 'message') ?? '';
    const none = { certificates, volumes: '', overdue: false };
    const refused = refusalOf(error);
    if (refused !== null) return { progress: refused, error: '', ...none };
    if (!(error instanceof KubeError) || error.status !== 0) {
      const note = message;
      this.#parts.events.say(object, { type: 'Warning', reason: 'ReconcileFailed', note });
    }
    const progress: Progress = { kind: 'working', reason: 'Reconciling', message };
    return { progress, error: message, ...none };
  }

  /** Failing to report must not hide why the pass failed. */
  async #report(object: KubeObject, status: JournalClusterStatus): Promise<void> {
    const present = object.status;
    if (difference(status, present) === null && sameLists(status, present)) return;
    const stuck = status.conditions?.find(({ type }) => type === 'Stalled');
    if (stuck?.status === 'True') {
      const { reason, message } = stuck;
      this.#parts.events.say(object, { type: 'Warning', reason, note: message });
    }
    const { apiVersion, kind, metadata } = object;
    const { name, namespace } = metadata;
    const body: KubeObject = {
      apiVersion,
      kind,
      metadata: { name, ...(namespace === undefined ? {} : { namespace }) },
      status,
    };
    try {
      await applyObject(this.#parts.api, body, { uid: metadata.uid, subresource: 'status' });
    } catch (error) {
      this.#parts.logger.warn({ name, error: String(error) }, 'the status could not be written');
    }
  }
}

const keyOf = ({ metadata }: JournalCluster): string => `${metadata.namespace}/${metadata.name}`;

const ledgerIn = ({ cluster, objects }: Pick<World, 'cluster' | 'objects'>): Ledger | null =>
  readLedger(find({ objects }, 'ConfigMap', namesOf(cluster.metadata.name).ledger));

const processesIn = (ledger: Ledger | null) =>
  ledger === null ? [] : [...ledger.replicas, ...ledger.controllers];

/** As the ledger had it before the pass; null where there is none of this JournalCluster. */
function standing({ cluster, ledger }: World): State | null {
  if (ledger === null || !isOwn({ cluster }, ledger)) return null;
  return { ledger, settled: settle(cluster, ledger) };
}

const STEADY: Progress = { kind: 'steady' };

const TOLD_MAX = 3;

/** What a pass would do if the spec did not forbid it. */
function whileSuspended(world: World, ledger: Ledger, held: readonly string[]): Progress {
  const { cluster } = world;
  const told = [...held];
  let next = ledger;
  for (let round = 0; round < CHANGES_MAX; round += 1) {
    const change = changeMembership(world, next, settle(cluster, next));
    if (change === null) break;
    next = change.ledger;
    told.push(change.why);
  }
  told.push(...plan(world, next, settle(cluster, next)).actions.map(({ why }) => why));
  const open = told.filter((why) => why !== '');
  const more = open.length > TOLD_MAX ? `; and ${open.length - TOLD_MAX} more` : '';
  const would = open.length === 0 ? 'nothing' : `${open.slice(0, TOLD_MAX).join('; ')}${more}`;
  const message = `spec.suspend is true, so nothing is changed; to be done without it: ${would}`;
  return { kind: 'suspended', reason: 'Suspended', message };
}
