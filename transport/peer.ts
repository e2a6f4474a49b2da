// What replicas say to each other on their links, as plain values; peer.proto on the wire.
//
// Batches travel as the replicated bytes they are: this room does not know what is in them, the
// driver of the replica reads them with log/batch.ts.

import type { ChainBody, Envelope } from '../protocol/chain/messages.ts';
import type { MemberKey } from '../protocol/configuration.ts';

type ReplicateBody = Extract<ChainBody, { kind: 'replicate' }>;

/** As `replicate` in the machine, its batches still closed. */
export type WireReplicate = Omit<ReplicateBody, 'batches'> & {
  readonly batches: readonly Uint8Array[];
};

export type WireChainBody = Exclude<ChainBody, { kind: 'replicate' }> | WireReplicate;

export type PeerFrame =
  /** First frame of a link, both ways: who speaks, and for which cluster. */
  | {
      readonly kind: 'hello';
      readonly cluster: string;
      readonly featureLevelMin: number;
      readonly featureLevelMax: number;
      readonly from: MemberKey;
      /** Where the sender is reached, so that answers need no second lookup. */
      readonly address: string;
    }
  | { readonly kind: 'chain'; readonly message: Envelope<WireChainBody> }
  /**
   * Whether the volume of the sender takes records of users: why not, in words, empty where it
   * does. Sent when that changes, and on a new link where it is full.
   */
  | { readonly kind: 'room'; readonly full: string };
