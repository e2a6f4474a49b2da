// The SDK of Journal, a replicated, totally ordered log: all that users import is named here.

export type { Logger } from '../io/logger.ts';
export type { CursorState, KeyState } from '../protocol/chain/messages.ts';
export type { Configuration, JournalSettings, Member } from '../protocol/configuration.ts';
export {
  type AppendNumber,
  ERROR_CODES,
  type ErrorCode,
  type ErrorDetails,
  JournalError,
} from '../protocol/errors.ts';
export type { Epoch, JournalId, KeyOperation, Lsn, Micros } from '../protocol/types.ts';
export type {
  AdminAnswer,
  AdminRequest,
  ClusterStatus,
  JournalDescription,
  JournalRecord,
  JournalStatus,
  MemberStatus,
  NewRecord,
  ProcessStatus,
  ReadAnswer,
  StartPosition,
  TailAnswer,
} from '../transport/public.ts';
export type { LeadEvent, Leadership, LossReason } from './campaign.ts';
export {
  type Client,
  type ClientOptions,
  type ClientSeams,
  type CreateOptions,
  connectWith,
  type JournalName,
} from './client.ts';
export { type ConnectOptions, connect } from './connect.ts';
export type { Delivery } from './cursor.ts';
export type { AppendOptions, CallOptions, Fence, From, RecordInput, ResumeToken } from './input.ts';
export type { Appended, Journal, LeadOptions, ReadOptions } from './journal.ts';
export type { SubscribeOptions, Subscription } from './subscription.ts';
