// Any message of any method, for fast-check: what the codecs must carry without change.

import fc from 'fast-check';
import type * as control from '../transport/control.ts';
import type * as open from '../transport/public.ts';
import { change, changed, fetched, frame, json, ping, pong, shape } from './messages/internal.ts';
import {
  admin,
  adminAnswer,
  append,
  appended,
  description,
  keyState,
  named,
  nothing,
  records,
  start,
  status,
  streamAnswer,
} from './messages/public.ts';
import {
  type Any,
  configuration,
  cursor,
  journal,
  key,
  label,
  list,
  number,
  orNull,
  plain,
  position,
  record,
  settings,
  someSettings,
  text,
  yes,
} from './messages/values.ts';

/** Request and answer of each method, by its path. */
export const MESSAGES: Readonly<Record<string, readonly [Any<unknown>, Any<unknown>]>> = {
  '/journal.v1.Journal/CreateJournal': [
    plain({
      name: label,
      ifAbsent: yes,
      settings: someSettings,
      firstLsn: fc.integer({ min: 1, max: 2 ** 52 }),
    }),
    description,
  ],
  '/journal.v1.Journal/DeleteJournal': [named, nothing],
  '/journal.v1.Journal/ListJournals': [
    nothing,
    plain({ names: list(plain({ name: label, id: journal })) }),
  ],
  '/journal.v1.Journal/DescribeJournal': [named, description],
  '/journal.v1.Journal/Session': [
    named,
    record<open.SessionAnswer>({ endLsn: position, lineage: number, settings, configuration }),
  ],
  '/journal.v1.Journal/Append': [append, appended],
  '/journal.v1.Journal/AppendStream': [append, streamAnswer],
  '/journal.v1.Journal/Read': [
    record<open.ReadRequest>({
      journal: label,
      from: start,
      limit: number,
      bytesMax: number,
      linearizable: yes,
    }),
    records,
  ],
  '/journal.v1.Journal/Subscribe': [
    record<open.SubscribeRequest>({ journal: label, from: start, lineage: number }),
    records,
  ],
  '/journal.v1.Journal/Tail': [
    named,
    record<open.TailAnswer>({
      tailLsn: position,
      endLsn: position,
      firstLsn: position,
      lineage: number,
    }),
  ],
  '/journal.v1.Journal/Trim': [
    record<open.TrimRequest>({ journal: label, through: position, force: yes }),
    record<open.TrimAnswer>({ firstLsn: position }),
  ],
  '/journal.v1.Journal/SetCursor': [
    record<open.SetCursorRequest>({
      journal: label,
      name: label,
      lsn: orNull(position),
      expectEnd: orNull(position),
    }),
    nothing,
  ],
  '/journal.v1.Journal/Cursors': [named, record<open.CursorsAnswer>({ cursors: list(cursor) })],
  '/journal.v1.Journal/Key': [record<open.KeyRequest>({ journal: label, key }), keyState],
  '/journal.v1.Journal/ForgetKey': [record<open.KeyRequest>({ journal: label, key }), nothing],
  '/journal.v1.Cluster/Status': [nothing, status],
  '/journal.v1.Cluster/Admin': [admin, adminAnswer],
  '/journal.peer.v1.Peer/Link': [frame, frame],
  '/journal.peer.v1.Peer/Fetch': [
    record<control.FetchRequest>({
      journal,
      lineage: number,
      shape,
      repairFirstLsn: position,
      repairLastLsn: position,
    }),
    fetched,
  ],
  '/journal.control.v1.Replica/Observe': [ping, pong],
  '/journal.control.v1.Controller/Change': [change, changed],
  '/journal.control.v1.Controller/Journals': [
    plain({ name: fc.oneof(label, fc.constant('')) }),
    record<control.JournalsAnswer>({
      configurations: list(configuration),
      lost: list(record<control.LostJournal>({ journal, note: text })),
    }),
  ],
  '/journal.control.v1.Controller/Status': [nothing, status],
  '/journal.control.v1.Controller/Admin': [admin, adminAnswer],
  '/journal.control.v1.Controller/Acceptor': [json, json],
};
