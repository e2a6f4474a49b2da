// Changes of a JournalCluster that is there: those that are refused, and some that look like them.

import type { Spec } from '../cases/cluster.ts';
import { storage } from './wrong.ts';

const off = { mode: 'Disabled' };
const classOf = (className: string): Spec => ({ storage: { ...storage, className } });
const own = (more: Spec): Spec => ({ storage, controllers: { storage: { size: '1Gi', ...more } } });
const restore = (path: string): Spec => ({ storage, restore: { claimName: 'x', path } });
const kept = (more: Spec): Spec => ({ storage, journals: [{ name: 'a', ...more }] });
const minimal = { storage };

/**
 * Changes of what is there, which the first spec allows and the second does not. What is left out
 * counts as what it means.
 */
export const CHANGES: readonly (readonly [what: string, from: Spec, to: Spec, says: RegExp])[] = [
  [
    'a volume that shrinks',
    minimal,
    { storage: { size: '512Mi' } },
    /storage\.size: .*never shrink/,
  ],
  ['another class', classOf('zonal'), classOf('other'), /storage\.className: .*is immutable/],
  ['a class', minimal, classOf('zonal'), /storage\.className: .*is immutable/],
  ['no class', classOf('zonal'), minimal, /storage\.className: .*is immutable/],
  [
    'TLS off',
    { storage, tls: { mode: 'Mutual' } },
    { storage, tls: off },
    /tls\.mode: .*immutable/,
  ],
  ['TLS off, never named', minimal, { storage, tls: off }, /spec\.tls\.mode: .*is immutable/],
  ['TLS on', { storage, tls: off }, minimal, /spec\.tls\.mode: .*is immutable/],
  ['TLS on, still named', { storage, tls: off }, { storage, tls: {} }, /tls\.mode: .*immutable/],
  ['a small controller', minimal, own({ size: '512Mi' }), /controllers\.storage\.size: .*shrink/],
  ['a smaller one', own({ size: '2Gi' }), minimal, /controllers\.storage\.size: .*never shrink/],
  ['its class', minimal, own({ className: 'x' }), /controllers\.storage\.className: .*immutable/],
  ['no class of it', own({ className: 'x' }), own({}), /storage\.className: .*immutable/],
  ['another backup', restore('a'), restore('b'), /spec\.restore: .*restore is immutable/],
  [
    'what a journal keeps',
    kept({ retainSeconds: 60 }),
    kept({ retainSeconds: 120 }),
    /spec\.journals\[.*\]\.retainSeconds: .*is immutable, and 0 when left out/,
  ],
  ['less of it', kept({}), kept({ retainBytes: 1 }), /retainBytes: .*of a journal is immutable/],
  ['all of it', kept({ retainBytes: 1 }), kept({}), /retainBytes: .*of a journal is immutable/],
  ['a backup later', minimal, restore('b'), /spec\.restore: .*restore is immutable/],
];

/** Changes that look like those, and are allowed. */
export const GOOD_CHANGES: readonly (readonly [what: string, from: Spec, to: Spec])[] = [
  ['TLS as it was', minimal, { storage, tls: { mode: 'Mutual', leafDays: 30 } }],
  ['the defaults of controllers', minimal, own({})],
  ['larger controllers', minimal, own({ size: '2Gi' })],
  [
    'one journal more, and another order',
    { storage, journals: [{ name: 'a', retainSeconds: 60 }] },
    { storage, journals: [{ name: 'b' }, { name: 'a', retainSeconds: 60, retainBytes: 0 }] },
  ],
  ['a journal less', kept({}), minimal],
  ['no more words on controllers', own({}), minimal],
];
