// The Cluster service between the wire and the plain values of ../public.ts.

import type { Codec } from '../../io/network.ts';
import { epoch, journalId, journalName, label, lsn, RangeViolation } from '../../protocol/types.ts';
import * as wire from '../gen/journal.ts';
import type * as plain from '../public.ts';
import { codec, count, noChoice, oneOf } from './codec.ts';
import { nothing } from './public.ts';

export const statusCodec: Codec<plain.Nothing> = nothing('StatusRequest', wire.StatusRequest);

export const statusAnswerCodec: Codec<plain.ClusterStatus> = codec(
  'StatusResponse',
  wire.StatusResponse,
  (status) => ({
    ...status,
    processes: [...status.processes],
    journals: status.journals.map((journal) => ({ ...journal, members: [...journal.members] })),
  }),
  ({ cluster, featureLevel, ready, partial, processes, journals }) => ({
    cluster,
    featureLevel: count('feature_level', featureLevel),
    ready,
    partial,
    processes: processes.map(processIn),
    journals: journals.map(journalIn),
  }),
);

function processIn(status: wire.ProcessStatus): plain.ProcessStatus {
  return {
    ...status,
    kind: oneOf('process.kind', status.kind, ['replica', 'controller']),
    incarnation: count('process.incarnation', status.incarnation),
    pid: count('process.pid', status.pid),
  };
}

function journalIn(status: wire.JournalStatus): plain.JournalStatus {
  return {
    ...status,
    id: journalId(status.id),
    name: journalName(status.name),
    lineage: count('journal.lineage', status.lineage),
    epoch: epoch(status.epoch),
    members: status.members.map(memberIn),
    reconfigurations: count('journal.reconfigurations', status.reconfigurations),
    minReplicas: count('journal.min_replicas', status.minReplicas),
  };
}

function memberIn(status: wire.MemberStatus): plain.MemberStatus {
  return {
    ...status,
    endLsn: lsn(status.endLsn, 'member.end_lsn'),
    durableLsn: lsn(status.durableLsn, 'member.durable_lsn'),
    committedLsn: lsn(status.committedLsn, 'member.committed_lsn'),
    lag: count('member.lag', status.lag),
  };
}

export const adminCodec: Codec<plain.AdminRequest> = codec(
  'AdminRequest',
  wire.AdminRequest,
  (request) => ({ action: actionOut(request) }),
  ({ action }) => actionIn(action),
);

type Action = NonNullable<wire.AdminRequest['action']>;

function actionOut(request: plain.AdminRequest): Action {
  switch (request.kind) {
    case 'memberAdd':
      return { $case: 'memberAdd', value: numberOut(request) };
    case 'memberRemove':
      return { $case: 'memberRemove', value: numberOut(request) };
    case 'memberReplace':
      return { $case: 'memberReplace', value: numberOut(request) };
    case 'forceLoss':
      return { $case: 'forceLoss', value: numberOut(request) };
    case 'moveHead':
      return { $case: 'moveHead', value: request };
    case 'controllerReplace':
      return { $case: 'controllerReplace', value: request };
  }
}

const REASON_MAX = 1_000;
const ORDER_ID_MAX = 64;

/** Empty on the wire where there is none. */
const numberOut = <Order extends plain.Numbered>(order: Order) => ({
  ...order,
  requestId: order.requestId ?? '',
});

function numberIn(given: string): plain.Numbered {
  if (given === '') return {};
  if (given.length <= ORDER_ID_MAX) return { requestId: given };
  throw new RangeViolation('request_id', given, `at most ${ORDER_ID_MAX} characters`);
}

function actionIn(action: Action | undefined): plain.AdminRequest {
  const member = (value: string, field = 'member'): string => label(field, value);
  switch (action?.$case) {
    case 'memberAdd': {
      const { value } = action;
      const order = numberIn(value.requestId);
      const place = label('zone', value.zone);
      return { kind: 'memberAdd', member: member(value.member), zone: place, ...order };
    }
    case 'memberRemove': {
      const { value } = action;
      const order = numberIn(value.requestId);
      return { kind: 'memberRemove', member: member(value.member), ...order };
    }
    case 'memberReplace': {
      const { value } = action;
      const order = numberIn(value.requestId);
      const by = member(value.by, 'by');
      return { kind: 'memberReplace', member: member(value.member), by, ...order };
    }
    case 'forceLoss': {
      const { journal, member: survivor, reason, requestId } = action.value;
      if (reason.trim() === '' || reason.length > REASON_MAX) {
        const allowed = `why the loss is accepted, in at most ${REASON_MAX} characters`;
        throw new RangeViolation('reason', reason, allowed);
      }
      const what = { journal: journalName(journal), member: member(survivor), reason };
      return { kind: 'forceLoss', ...what, ...numberIn(requestId) };
    }
    case 'moveHead': {
      const { journal, member: head } = action.value;
      return { kind: 'moveHead', journal: journalName(journal), member: member(head) };
    }
    case 'controllerReplace': {
      const { remove, add } = action.value;
      if (remove === '' && add === '') {
        throw new RangeViolation('remove and add', '', 'at least one controller');
      }
      return { kind: 'controllerReplace', remove, add };
    }
    default:
      throw noChoice(
        'action',
        'member_add, member_remove, member_replace, force_loss, move_head, controller_replace',
      );
  }
}

export const adminAnswerCodec: Codec<plain.AdminAnswer> = codec(
  'AdminResponse',
  wire.AdminResponse,
  ({ done }) => ({ done: [...done] }),
  ({ done }) => ({ done }),
);
