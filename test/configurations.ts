// Configurations of one journal by hand, for tests that look at who serves and in which order.

import { type Configuration, DEFAULT_SETTINGS, type Member } from '../protocol/configuration.ts';
import { epoch, FIRST_LSN, journalId, memberId, storeId, zone } from '../protocol/types.ts';

/** `id` is one letter, and the name of its zone and host. */
export const memberOf = (id: string, incarnation = 1): Member => ({
  store: storeId(id.charCodeAt(0).toString(16).padStart(32, '0')),
  incarnation,
  id: memberId(id),
  zone: zone(id),
  address: `${id}:1`,
});

/** The journal `orders` in epoch `at`, headed by the first of `serving`. */
export const chainOf = (at: number, ...serving: readonly Member[]): Configuration => ({
  journal: journalId('f'.repeat(32)),
  name: 'orders',
  settings: DEFAULT_SETTINGS,
  lineage: 1,
  epoch: epoch(at),
  mode: 'chain',
  firstLsn: FIRST_LSN,
  serving,
  joining: null,
  deleted: false,
});
