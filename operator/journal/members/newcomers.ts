// Who is new in the ledger, and in which zone.

import type { Ledger } from '../ledger.ts';
import { nextZone, type Settled } from '../settle.ts';

export interface Change {
  readonly ledger: Ledger;
  /** Said as an event; empty for what is mere bookkeeping. */
  readonly why: string;
}

export function newReplica(ledger: Ledger, settled: Settled, granted: boolean): Ledger {
  const number = ledger.nextReplica;
  const staying = ledger.replicas.filter(({ leaving }) => leaving === '');
  const zone = nextZone(settled.zones, staying, number);
  const none = { claimUid: '', leaving: '', by: '', ordered: false, removing: false };
  const entry = { id: `replica-${number}`, zone, granted, ...none };
  return { ...ledger, replicas: [...ledger.replicas, entry], nextReplica: number + 1 };
}

export function newController(ledger: Ledger, settled: Settled, formatted: boolean): Ledger {
  const number = ledger.nextController;
  const staying = ledger.controllers.filter(({ leaving }) => leaving === '');
  const zone = nextZone(settled.zones, staying, number);
  const none = { claimUid: '', leaving: '', by: '', removing: false };
  const entry = { id: `controller-${number}`, zone, formatted, ...none };
  return { ...ledger, controllers: [...ledger.controllers, entry], nextController: number + 1 };
}

/** As many as are asked for, none of them formatted yet. */
export function newControllers(ledger: Ledger, settled: Settled): Ledger {
  let next = ledger;
  for (let count = 0; count < settled.controllers; count += 1) {
    next = newController(next, settled, false);
  }
  return next;
}

export const isUnasked = ({ zones }: Settled, zone: string): boolean =>
  zones.length > 0 && !zones.includes(zone);

export const unaskedReason = (zone: string): string => `zone ${zone} is no longer asked for`;
