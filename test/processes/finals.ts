// What each member holds, read from that member alone, as the checkers want it.

import { connect } from '../../client/index.ts';
import type { FinalBatch, FinalLog } from '../../sim/checkers/history.ts';
import type { Cluster } from './cluster.ts';

const text = new TextDecoder();

/** Every serving member's copy of a journal, as far as it knows it to be committed. */
export async function finalsOf(cluster: Cluster, journal: string): Promise<FinalLog[]> {
  const status = (await cluster.status()).journals.find(({ name }) => name === journal);
  const serving = (status?.members ?? []).filter(({ role }) =>
    ['head', 'middle', 'tail'].includes(role),
  );
  return Promise.all(serving.map(({ id, address }) => finalOf(id, address, journal)));
}

async function finalOf(member: string, address: string, journal: string): Promise<FinalLog> {
  await using client = connect({ endpoints: [address] });
  const { firstLsn } = await client.journal(journal).tail();
  const batches: FinalBatch[] = [];
  let from: number = firstLsn;
  let committedLsn = 0;
  for (;;) {
    const answer = await client.journal(journal).read({ from, limit: 10_000 });
    committedLsn = answer.committedLsn;
    for (const { lsn, timestampMicros, key, data } of answer.records) {
      const record = { lsn, timestamp: timestampMicros, key, data: text.decode(data) };
      const digest = JSON.stringify(record);
      const place = { firstLsn: lsn, lastLsn: lsn, epoch: 0, keyOperation: 'tag' } as const;
      batches.push({ ...place, digest, records: [record] });
    }
    if (answer.nextLsn > committedLsn || answer.nextLsn === from) break;
    from = answer.nextLsn;
  }
  const trimmedLsn = firstLsn - 1;
  return { member, journal, baseLsn: trimmedLsn, trimmedLsn, committedLsn, batches };
}
