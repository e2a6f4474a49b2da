// What a plan consists of: steps in order, how far the change is, and what an object needs.

import type { JournalSettings } from '../../protocol/configuration.ts';
import type { AdminRequest } from '../../transport/public.ts';
import { KIND } from '../crd.ts';
import type { KubeObject } from '../kube/api.ts';
import { difference } from '../kube/covers.ts';
import { INPUTS_ANNOTATION as JOB_INPUTS } from '../manifests/job.ts';
import { INPUTS_ANNOTATION as TEMPLATE_INPUTS } from '../manifests/statefulset.ts';
import { isOwn, type Ledger } from './ledger.ts';
import { type Settled, unmet } from './settle.ts';
import { find, unknownAsked, type World } from './world.ts';

/** What is to be done, in order; see `act` for what ends the pass. */
export type Action =
  | {
      readonly kind: 'apply';
      readonly object: KubeObject;
      /** What is there now; null for a new one. */
      readonly before: KubeObject | null;
      readonly why: string;
      /** Another one is asked for than what is there was made for: nobody has edited it. */
      readonly asked?: boolean;
    }
  | {
      readonly kind: 'delete';
      readonly object: KubeObject;
      readonly why: string;
      /** Only as it was seen: what somebody wrote since stays. */
      readonly unchanged?: boolean;
    }
  | { readonly kind: 'order'; readonly order: Order; readonly why: string }
  | { readonly kind: 'ledger'; readonly ledger: Ledger; readonly why: string };

/** What the controllers are asked for. */
export type Order =
  | { readonly kind: 'admin'; readonly request: AdminRequest }
  | {
      readonly kind: 'createJournal';
      readonly name: string;
      readonly settings: Partial<JournalSettings>;
    }
  /** The registers are built again from the volumes of the replicas: of all that served, or not. */
  | { readonly kind: 'recover'; readonly cluster: string; readonly acceptLoss: boolean };

/** How far a change is. */
export type Progress =
  | { readonly kind: 'steady' }
  | {
      /** `suspended`: nothing is done, on purpose, whatever there is to do. */
      readonly kind: 'working' | 'waiting' | 'stalled' | 'suspended';
      readonly reason: string;
      readonly message: string;
    };

export interface Plan {
  readonly actions: readonly Action[];
  readonly progress: Progress;
}

/** Reason of a pass that writes objects and has nothing else to do. */
export const APPLYING = 'Applying';

export const working = (reason: string, message: string): Progress => ({
  kind: 'working',
  reason,
  message,
});

export const waiting = (reason: string, message: string): Progress => ({
  kind: 'waiting',
  reason,
  message,
});

export const stalled = (reason: string, message: string): Progress => ({
  kind: 'stalled',
  reason,
  message,
});

/** What was asked for and cannot be had, where everything else is as it should be. */
export function leftOut(world: World, ledger: Ledger, settled: Settled): Progress {
  const left = unmet(world.cluster, settled, world.defaults);
  if (left !== null) return { kind: 'stalled', ...left };
  const message = unknownAsked(world, ledger);
  return message === '' ? { kind: 'steady' } : stalled('NoSuchProcess', message);
}

const INPUTS: readonly string[] = [JOB_INPUTS, TEMPLATE_INPUTS].map(
  (name) => `metadata.annotations.${name}`,
);

/** The write that is needed, if any. */
export function ensure(world: World, wanted: KubeObject): readonly Action[] {
  const { kind, metadata } = wanted;
  const present = find(world, kind, metadata.name);
  if (present === undefined) {
    const why = `${kind} ${metadata.name} is missing`;
    return [{ kind: 'apply', object: wanted, before: null, why }];
  }
  if (present.metadata.deletionTimestamp !== undefined) return [];
  const wrong = difference(wanted, present) ?? ownerDifference(wanted, present);
  if (wrong === null) return [];
  const asked = INPUTS.includes(wrong);
  const what = asked ? 'another template is asked for' : `${wrong} is not as it should be`;
  const why = `${kind} ${metadata.name}: ${what}`;
  return [{ kind: 'apply', object: wanted, before: present, why, asked }];
}

export const isAsWanted = (world: World, wanted: KubeObject): boolean =>
  ensure(world, wanted).length === 0;

/** An owner that should be there no more: what is kept must not go with the JournalCluster. */
const ownerDifference = (wanted: KubeObject, present: KubeObject): string | null =>
  isOwned(present) && !isOwned(wanted) ? 'metadata.ownerReferences' : null;

/**
 * Whether it is to go with the JournalCluster and does not, or the other way. Nothing of an older
 * one of the name that was not adopted is.
 */
export function changesOwner(world: World, ledger: Ledger, wanted: KubeObject): boolean {
  const present = find(world, wanted.kind, wanted.metadata.name);
  return isOwn(world, ledger) && present !== undefined && isOwned(present) !== isOwned(wanted);
}

/** Whether it goes with a JournalCluster. */
const isOwned = ({ metadata }: KubeObject): boolean =>
  (metadata.ownerReferences ?? []).some(({ kind }) => kind === KIND);
