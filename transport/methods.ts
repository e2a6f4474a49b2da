// Every method of every service, typed: who serves it, what it takes, what it answers.
//
// Public, at every replica: `journalMethods`, `clusterMethods`. Between the processes of a cluster:
// `peerMethods` and `replicaMethods` at a replica, `controllerMethods` at a controller.

import type { Codec, Method } from '../io/network.ts';
import * as append from './convert/append.ts';
import * as control from './convert/control.ts';
import * as peer from './convert/peer.ts';
import * as open from './convert/public.ts';
import * as status from './convert/status.ts';

export type { AcceptorMessage } from './convert/control.ts';

const unary = <Q, A>(
  path: string,
  request: Codec<Q>,
  response: Codec<A>,
): Method<Q, A, 'unary'> => ({ path, kind: 'unary', request, response });

const serverStream = <Q, A>(
  path: string,
  request: Codec<Q>,
  response: Codec<A>,
): Method<Q, A, 'serverStream'> => ({ path, kind: 'serverStream', request, response });

const bidiStream = <Q, A>(
  path: string,
  request: Codec<Q>,
  response: Codec<A>,
): Method<Q, A, 'bidiStream'> => ({ path, kind: 'bidiStream', request, response });

const journal = '/journal.v1.Journal';

/** Data: journals, appends, reads, cursors, keys. */
export const journalMethods = {
  createJournal: unary(
    `${journal}/CreateJournal`,
    open.createJournalCodec,
    open.journalCreatedCodec,
  ),
  deleteJournal: unary(
    `${journal}/DeleteJournal`,
    open.deleteJournalCodec,
    open.journalDeletedCodec,
  ),
  listJournals: unary(`${journal}/ListJournals`, open.listJournalsCodec, open.journalsListedCodec),
  describeJournal: unary(
    `${journal}/DescribeJournal`,
    open.describeJournalCodec,
    open.journalDescribedCodec,
  ),
  session: unary(`${journal}/Session`, open.sessionCodec, open.sessionAnswerCodec),
  append: unary(`${journal}/Append`, append.appendCodec, append.appendAnswerCodec),
  appendStream: bidiStream(
    `${journal}/AppendStream`,
    append.streamedAppendCodec,
    append.appendStreamAnswerCodec,
  ),
  read: unary(`${journal}/Read`, open.readCodec, open.readAnswerCodec),
  subscribe: serverStream(`${journal}/Subscribe`, open.subscribeCodec, open.subscribeAnswerCodec),
  tail: unary(`${journal}/Tail`, open.tailCodec, open.tailAnswerCodec),
  trim: unary(`${journal}/Trim`, open.trimCodec, open.trimAnswerCodec),
  setCursor: unary(`${journal}/SetCursor`, open.setCursorCodec, open.cursorSetCodec),
  cursors: unary(`${journal}/Cursors`, open.cursorsCodec, open.cursorsAnswerCodec),
  key: unary(`${journal}/Key`, open.keyCodec, open.keyAnswerCodec),
  forgetKey: unary(`${journal}/ForgetKey`, open.forgetKeyCodec, open.keyForgottenCodec),
} as const;

/** The cluster as operators see it. */
export const clusterMethods = {
  status: unary('/journal.v1.Cluster/Status', status.statusCodec, status.statusAnswerCodec),
  admin: unary('/journal.v1.Cluster/Admin', status.adminCodec, status.adminAnswerCodec),
} as const;

/** Replica to replica: a link of chain messages (link.ts), and catching up. */
export const peerMethods = {
  link: bidiStream('/journal.peer.v1.Peer/Link', peer.peerFrameCodec, peer.peerFrameCodec),
  fetch: serverStream('/journal.peer.v1.Peer/Fetch', peer.fetchCodec, peer.fetchAnswerCodec),
} as const;

/** Controller to replica: the controller dials, pings and directs; the replica answers. */
export const replicaMethods = {
  observe: bidiStream('/journal.control.v1.Replica/Observe', control.pingCodec, control.pongCodec),
} as const;

const controller = '/journal.control.v1.Controller';

/** Replica, operator or controller to controller. */
export const controllerMethods = {
  change: unary(`${controller}/Change`, control.changeCodec, control.changeAnswerCodec),
  journals: unary(`${controller}/Journals`, control.journalsCodec, control.journalsAnswerCodec),
  status: unary(`${controller}/Status`, status.statusCodec, status.statusAnswerCodec),
  admin: unary(`${controller}/Admin`, status.adminCodec, status.adminAnswerCodec),
  /** Paxos and gossip: JSON both ways. */
  acceptor: unary(`${controller}/Acceptor`, control.acceptorCodec, control.acceptorAnswerCodec),
} as const;
