// What a plan consists of: steps in order, and how far the change is.

import type { JournalSettings } from '../../protocol/configuration.ts';
import type { AdminRequest } from '../../transport/public.ts';
import type { KubeObject } from '../kube/api.ts';
import type { Ledger } from './ledger.ts';

/** What is to be done, in order; the first that fails ends the pass. */
export type Action =
  | {
      readonly kind: 'apply';
      readonly object: KubeObject;
      /** What is there now; null for a new one. */
      readonly before: KubeObject | null;
      readonly why: string;
    }
  | { readonly kind: 'delete'; readonly object: KubeObject; readonly why: string }
  | { readonly kind: 'order'; readonly order: Order; readonly why: string }
  | { readonly kind: 'ledger'; readonly ledger: Ledger; readonly why: string };

/** What the controllers are asked for. */
export type Order =
  | { readonly kind: 'admin'; readonly request: AdminRequest }
  | {
      readonly kind: 'createJournal';
      readonly name: string;
      readonly settings: Partial<JournalSettings>;
    };

/** How far a change is. */
export type Progress =
  | { readonly kind: 'steady' }
  | {
      readonly kind: 'working' | 'waiting' | 'stalled';
      readonly reason: string;
      readonly message: string;
    };

export interface Plan {
  readonly actions: readonly Action[];
  readonly progress: Progress;
}

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
