// Carries out the steps of a plan, and says each as an event.

import type { Logger } from '../../io/logger.ts';
import { JournalError } from '../../protocol/errors.ts';
import {
  isKind,
  isStatus,
  type KubeApi,
  KubeError,
  type KubeObject,
  RESOURCES,
} from '../kube/api.ts';
import { difference, quantity } from '../kube/covers.ts';
import type { Events } from '../kube/events.ts';
import { labelsOf, textAt } from '../kube/fields.ts';
import { applyObject, deleteObject, getObject } from '../kube/objects.ts';
import {
  CLUSTER_LABEL,
  MANAGED_LABEL,
  MANAGER,
  MEMBER_LABEL,
  namesOf,
} from '../manifests/common.ts';
import type { Ledger } from './ledger.ts';
import type { Action, Order, Progress } from './steps.ts';
import { ASK, find, type World } from './world.ts';

/** An object of somebody else has the name: it is left alone, and the cluster waits. */
export class ForeignObject extends Error {
  constructor(object: KubeObject) {
    const { kind, metadata } = object;
    super(
      `${kind} ${metadata.name} is there and was not made for this JournalCluster: rename or ` +
        'delete it, or choose another name',
    );
    this.name = 'ForeignObject';
  }
}

export interface Hands {
  readonly api: KubeApi;
  readonly events: Events;
  readonly logger: Logger;
  /** Differences that applying did not remove, so that it is not tried for ever. */
  readonly stubborn: Map<string, string>;
  /** Volumes that could not grow, and why. */
  readonly ungrown: Map<string, { readonly atMillis: number; readonly why: string }>;
  /** UIDs of the claims that the ledger holds. */
  readonly claims: ReadonlySet<string>;
  readonly nowMillis: number;
  carryOut(order: Order): Promise<void>;
  writeLedger(ledger: Ledger): Promise<void>;
}

/** No process leans on these: with one of somebody else in their place the others are as safe. */
const APART: ReadonlySet<string> = new Set(['CronJob', 'PodDisruptionBudget', 'PodMonitor']);

/**
 * Resolves with why volumes could not be grown. Rejects at the first step that fails; but an object
 * that the API server will not take, or one of somebody else in the place of one that no process
 * leans on, leaves none of the others undone, and is thrown at the end.
 */
export async function act(
  cluster: KubeObject,
  actions: readonly Action[],
  hands: Hands,
): Promise<string> {
  let volumes = '';
  let refused: unknown;
  for (const action of actions) {
    const lately = refusedLately(action, hands);
    volumes ||= lately;
    if (lately !== '') continue;
    try {
      await step(cluster, action, hands);
    } catch (error) {
      // A class that does not expand is no reason to leave everything else undone.
      if (isRefusedGrowth(action, error)) {
        const why = noteRefused(action, error, hands);
        volumes ||= why;
      } else if (isApart(action, error)) refused ??= error;
      else throw error;
    }
  }
  if (refused !== undefined) throw refused;
  return volumes;
}

const isApart = (action: Action, error: unknown): boolean =>
  action.kind === 'apply' &&
  (isRefusal(error) || (error instanceof ForeignObject && APART.has(action.object.kind)));

type Apply = Extract<Action, { kind: 'apply' }>;

const isGrowth = (action: Action): action is Apply =>
  action.kind === 'apply' &&
  action.object.kind === 'PersistentVolumeClaim' &&
  (quantity(sizeOf(action.before)) ?? Number.POSITIVE_INFINITY) <
    (quantity(sizeOf(action.object)) ?? 0);

const isRefusedGrowth = (action: Action, error: unknown): action is Apply =>
  isGrowth(action) && error instanceof KubeError && [403, 422].includes(error.status);

/** Nothing is seen to change where a class comes to expand: so it is asked again, at times. */
const GROW_AGAIN_MILLIS = 60_000;

/** Why the same volume could not grow to the same size just now; empty where it may be asked. */
function refusedLately(action: Action, { ungrown, nowMillis }: Hands): string {
  const known = isGrowth(action) ? ungrown.get(growthOf(action)) : undefined;
  return known !== undefined && nowMillis - known.atMillis < GROW_AGAIN_MILLIS ? known.why : '';
}

function noteRefused(action: Apply, error: unknown, { ungrown, nowMillis }: Hands): string {
  const id = labelsOf(action.object.metadata)[MEMBER_LABEL] ?? '';
  const why =
    `${error instanceof Error ? error.message : String(error)}; where its class does not expand, ` +
    `another one with a larger volume takes its place: annotate with ${ASK.replace}=${id}`;
  for (const [growth, { atMillis }] of ungrown) {
    if (nowMillis - atMillis >= GROW_AGAIN_MILLIS) ungrown.delete(growth);
  }
  ungrown.set(growthOf(action), { atMillis: nowMillis, why });
  return why;
}

const growthOf = ({ before, object }: Apply): string => `${before?.metadata.uid}/${sizeOf(object)}`;

const sizeOf = (claim: KubeObject | null): string | undefined =>
  textAt(claim, 'spec', 'resources', 'requests', 'storage');

/**
 * Resolves with why one could not be written, undefined where all were. It leaves the others none
 * the worse, but of an authority that is not kept nothing goes out.
 */
export async function writeSecrets(
  cluster: KubeObject,
  secrets: readonly KubeObject[],
  world: World,
  hands: Hands,
): Promise<unknown> {
  let failed: unknown;
  for (const secret of secrets) {
    const { name } = secret.metadata;
    try {
      await apply(cluster, secret, find(world, 'Secret', name) ?? null, hands);
    } catch (error) {
      failed ??= error;
      if (name === namesOf(cluster.metadata.name).authority) return failed;
    }
  }
  return failed;
}

/**
 * Whether the API server will not take what was written to it, however often: a field that only
 * it can judge, a quota, a right that is missing. It calls an unknown field an error of its own.
 */
const isRefusal = (error: unknown): boolean =>
  error instanceof KubeError &&
  ([400, 403, 422].includes(error.status) || /\btyped patch object\b/.test(error.message));

/** Why a pass that was refused gets no further; null for what simply failed. */
export function refusalOf(error: unknown): Progress | null {
  const message = error instanceof Error ? error.message : String(error);
  const stalled = (reason: string): Progress => ({ kind: 'stalled', reason, message });
  if (error instanceof ForeignObject) return stalled('ForeignObject');
  // Somebody wrote at the same time: the next pass sees what.
  if (isStatus(error, 409)) return { kind: 'working', reason: 'Reconciling', message };
  if (isRefusal(error)) return stalled('ObjectRefused');
  const gone = error instanceof JournalError && error.code === 'NO_SURVIVOR';
  return gone ? stalled('VolumeLost') : null;
}

async function step(cluster: KubeObject, action: Action, hands: Hands): Promise<void> {
  const { events } = hands;
  const say = (reason: string, note = action.why): void => {
    if (note !== '') events.say(cluster, { type: 'Normal', reason, note });
  };
  switch (action.kind) {
    case 'apply': {
      const written = await apply(cluster, action.object, action.before, hands);
      if (!written) return;
      if (action.before !== null) say(action.asked === true ? 'Updated' : 'Repaired');
      else if (action.object.kind === 'StatefulSet') say('Created');
      return;
    }
    case 'delete':
      belongs(cluster, action.object, hands);
      await deleteObject(hands.api, action.object, { unchanged: action.unchanged === true });
      return action.object.kind === 'Pod' ? say('Restarting') : say('Deleted', deletion(action));
    case 'order':
      await hands.carryOut(action.order);
      return say('Ordered');
    case 'ledger':
      await hands.writeLedger(action.ledger);
      return say('Membership');
  }
}

/** What was deleted, and why, which may name it already. */
function deletion({ object, why }: Extract<Action, { kind: 'delete' }>): string {
  const what = `${object.kind} ${object.metadata.name}`;
  return why.startsWith(what) ? why : `${what}: ${why}`;
}

/** False where the same write was in vain before. */
async function apply(
  cluster: KubeObject,
  object: KubeObject,
  before: KubeObject | null,
  { api, stubborn, logger, claims }: Pick<Hands, 'api' | 'stubborn' | 'logger' | 'claims'>,
): Promise<boolean> {
  const { kind, metadata } = object;
  const { namespace = '', name } = metadata;
  // What is not in the local copy may be there all the same: without our label, or a moment old.
  const present =
    before ?? (isKind(kind) ? await getObject(api, RESOURCES[kind], namespace, name) : null);
  if (present !== null) belongs(cluster, present, { claims });
  const key = `${kind}/${namespace}/${name}`;
  const markOf = ({ uid, resourceVersion }: Partial<KubeObject['metadata']>): string =>
    `${uid}/${resourceVersion}/${JSON.stringify(object)}`;
  if (stubborn.get(key) === markOf(present?.metadata ?? {})) return false;
  const written = await applyObject(api, object, { uid: present?.metadata.uid });
  const left = difference(object, written);
  if (left === null) stubborn.delete(key);
  else {
    stubborn.set(key, markOf(written.metadata));
    logger.warn({ kind, name, field: left }, 'a field does not keep what is written to it');
  }
  return true;
}

/** Throws ForeignObject: made for another JournalCluster, or by somebody else altogether. */
function belongs(cluster: KubeObject, object: KubeObject, { claims }: Pick<Hands, 'claims'>): void {
  const { metadata, kind } = object;
  const owner = metadata.ownerReferences?.find((one) => one.controller === true);
  if (owner !== undefined && owner.uid === cluster.metadata.uid) return;
  // Pods belong to their StatefulSet.
  if (owner !== undefined && kind === 'Pod' && owner.kind === 'StatefulSet') return;
  const labels = labelsOf(metadata);
  const ours = labels[MANAGED_LABEL] === MANAGER && labels[CLUSTER_LABEL] === cluster.metadata.name;
  // Without an owner it was kept on purpose, for the JournalCluster of this name. A claim may have
  // lost its labels: the ledger knows it.
  const known = claims.has(metadata.uid ?? '');
  if (owner === undefined && (ours || known)) return;
  throw new ForeignObject(object);
}
