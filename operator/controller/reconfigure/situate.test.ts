// What a controller makes of what it heard of one replica: which process it is, what it has proved.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ChainReport } from '../../../protocol/chain/messages.ts';
import { epoch, lsn, type Micros, micros } from '../../../protocol/types.ts';
import { chainOf, memberOf } from '../../../test/configurations.ts';
import type { MemberFacts } from '../decide/situation.ts';
import type { Seen } from '../observe/observer.ts';
import { heard } from '../observe/reports.ts';
import type { NodeRecord } from '../register/records.ts';
import { freshMemory } from './memory.ts';
import { situate } from './situate.ts';

const { store, id, zone, address } = memberOf('a');
const configuration = chainOf(5, memberOf('a'));
const NODE: NodeRecord = { store, generation: 1, startId: 's1', member: id, zone, address };
const WEDGED_AT = micros(1_000_000);
const NOW = micros(2_000_000);

const WEDGED: ChainReport = {
  journal: configuration.journal,
  lineage: 1,
  epoch: configuration.epoch,
  role: 'head',
  live: true,
  synced: true,
  wedged: true,
  damaged: false,
  tooOld: false,
  endLsn: lsn(10),
  endEpoch: configuration.epoch,
  durableLsn: lsn(10),
  committedLsn: lsn(10),
  baseLsn: lsn(0),
  startLsn: lsn(8),
  waitingMicros: micros(0),
  acked: [],
  floor: null,
};

interface Heard {
  readonly incarnation?: number;
  readonly lastSync?: Micros;
  readonly report?: ChainReport;
}

const seenOf = ({ incarnation = 1, lastSync = NOW, report = WEDGED }: Heard): Seen => ({
  node: NODE,
  hello: {
    cluster: '',
    featureLevelMin: 1,
    featureLevelMax: 1,
    sender: '',
    store,
    incarnation,
    lastIncarnation: incarnation,
    member: id,
    zone,
    address,
    pid: 1,
    dataDirectory: '',
    version: '',
  },
  health: null,
  lastPong: NOW,
  lastSync,
  peaks: { longest: micros(0), note: () => undefined },
  offset: 0,
  reports: new Map([[report.journal, heard(undefined, report, NOW)]]),
});

/** Of the only member, which was told to wedge unless `wedge` says otherwise. */
function factsOf(seen: Seen, node = NODE, wedge = true): MemberFacts {
  const memory = freshMemory(micros(0));
  const { epoch: at, serving } = configuration;
  if (wedge) memory.wedge = { epoch: at, at: WEDGED_AT, members: serving };
  const world = {
    now: NOW,
    catalog: {
      nodes: () => [node],
      grant: () => undefined,
      configuration: () => configuration,
      decidedAt: () => micros(0),
    },
    observer: { find: () => seen },
    verdicts: new Map(),
    damping: new Map(),
    offsets: [],
    loads: new Map(),
  };
  const facts = situate(world, configuration, memory).members.get(store);
  assert.ok(facts);
  return facts;
}

test('a wedge is answered by who stopped in this epoch and has synced since it was told', () => {
  assert.equal(factsOf(seenOf({})).proved, true);
  assert.equal(factsOf(seenOf({ lastSync: WEDGED_AT })).proved, false, 'its disk may hang since');
  assert.equal(factsOf(seenOf({ lastSync: micros(0) })).proved, false);
  assert.equal(factsOf(seenOf({}), NODE, false).proved, false, 'nobody was told');
  const running = { ...WEDGED, wedged: false };
  assert.equal(factsOf(seenOf({ report: running })).proved, false);
  const before = { ...WEDGED, epoch: epoch(4) };
  assert.equal(factsOf(seenOf({ report: before })).proved, false, 'that was another change');
});

test('a process that a newer start of its store overtook counts as gone', () => {
  assert.equal(factsOf(seenOf({})).incarnation, 1);
  const newer = { ...NODE, generation: 2, startId: 's2' };
  assert.equal(factsOf(seenOf({}), newer).incarnation, 0);
  assert.equal(factsOf(seenOf({ incarnation: 2 }), newer).incarnation, 2);
  // A generation that was made up when the registers were rebuilt is no start.
  const rebuilt = { ...newer, startId: '' };
  assert.equal(factsOf(seenOf({}), rebuilt).incarnation, 1);
});
