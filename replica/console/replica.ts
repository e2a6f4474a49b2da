// The console's source in the process of a replica: the controllers for the state of the cluster,
// the own volume for records, another replica for journals that are not here.

import type { Network } from '../../io/network.ts';
import { order } from '../../protocol/configuration.ts';
import { JournalError } from '../../protocol/errors.ts';
import { micros } from '../../protocol/types.ts';
import { journalMethods } from '../../transport/methods.ts';
import type { ReadAnswer, ReadRequest } from '../../transport/public.ts';
import type { ProcessConfig } from '../config.ts';
import type { Replica } from '../replica.ts';
import { isLocalHost } from './local.ts';
import type { ConsoleSource } from './source.ts';

const STATUS_WAIT = micros(2_500_000);
const READ_WAIT = micros(2_000_000);

const HIDDEN =
  'Records are not shown here, since this port asks nobody for a certificate. ' +
  'Use `journal console` with a client certificate, or start replicas with --console-records on.';

export function replicaSource(
  config: ProcessConfig,
  network: Network,
  replica: () => Replica | null,
): ConsoleSource {
  const running = (): Replica => {
    const found = replica();
    if (found !== null) return found;
    throw new JournalError('UNAVAILABLE', 'this replica is starting');
  };
  return {
    servedBy: config.replica.member,
    recordsHidden: config.consoleRecords ? '' : HIDDEN,
    recordsLocalOnly: isLocalHost(config.probeListen),
    status: (signal) => running().status(STATUS_WAIT, signal),
    read: async (request, signal) => {
      try {
        return await running().read(request, signal);
      } catch (error) {
        if (!(error instanceof JournalError) || error.code !== 'NOT_HEAD') throw error;
        return await readElsewhere(network, request, error, signal);
      }
    },
  };
}

/** From any member of the chain: tail first, which others ask least. */
async function readElsewhere(
  network: Network,
  request: ReadRequest,
  refusal: JournalError,
  signal: AbortSignal,
): Promise<ReadAnswer> {
  const { configuration } = refusal.details;
  let failure = refusal;
  const members = configuration === undefined ? [] : order(configuration);
  for (const { address } of members.toReversed()) {
    try {
      const call = { timeout: READ_WAIT, signal };
      return await network.call(address, journalMethods.read, request, call);
    } catch (error) {
      if (!(error instanceof JournalError)) throw error;
      failure = error;
    }
  }
  throw failure;
}
