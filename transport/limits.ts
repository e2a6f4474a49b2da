// How much one process lets others ask of it at a time.

import { MIB } from '../protocol/configuration.ts';
import { type Micros, micros } from '../protocol/types.ts';

export interface NetworkLimits {
  /** Largest message, both ways, bytes. Above all batches and pieces that the house sends. */
  readonly messageBytesMax: number;
  /** Bytes of a stream that wait to be taken before its sender must wait. */
  readonly streamBytesBound: number;
  /** Bytes that may be under way on one connection before its reader has taken them. */
  readonly windowBytes: number;
  /** Open streams of one connection; more wait at the caller. */
  readonly streamsPerConnection: number;
  /** Open calls of one server; more are refused with OVERLOADED. */
  readonly callsMax: number;
  /** A channel in use asks after its peer this often, and gives it up after the timeout. */
  readonly keepAlive: Micros;
  readonly keepAliveTimeout: Micros;
  /** The same for the connections of a server, idle ones included. */
  readonly serverKeepAlive: Micros;
  readonly serverKeepAliveTimeout: Micros;
  /** A connection that has not said within this that it speaks HTTP/2 is closed. */
  readonly greeting: Micros;
  /**
   * Back-off between attempts to connect: the first and the longest. Short, since callers back off
   * by themselves: a call meanwhile fails at once, and the two waits add up.
   */
  readonly reconnectMin: Micros;
  readonly reconnectMax: Micros;
}

const millis = (value: number): Micros => micros(value * 1000);

export const DEFAULT_LIMITS: NetworkLimits = {
  messageBytesMax: 48 * MIB,
  streamBytesBound: MIB,
  windowBytes: MIB,
  streamsPerConnection: 1_000,
  callsMax: 20_000,
  // A dead peer is noticed within the sum; a busy event loop is forgiven the timeout.
  keepAlive: millis(200),
  keepAliveTimeout: millis(600),
  serverKeepAlive: millis(5_000),
  serverKeepAliveTimeout: millis(5_000),
  greeting: millis(10_000),
  reconnectMin: millis(50),
  reconnectMax: millis(250),
};

/**
 * Of the processes of a cluster among themselves. Who is dead or hangs is told by the controllers'
 * pings, so a connection is given up later than a client does it: on a starved machine a process
 * that is late would lose all of its connections at once, and the work of joining them again
 * would make it later still.
 */
export const CLUSTER_LIMITS = {
  keepAlive: millis(500),
  keepAliveTimeout: millis(1_500),
} as const satisfies Partial<NetworkLimits>;
