// What each member holds, read from that member alone, as the checkers want it.

import { connect, type JournalRecord } from '../../client/index.ts';
import type { FinalBatch, FinalLog } from '../../sim/checkers/history.ts';
import { isOfLease, seen } from '../../sim/recorder.ts';
import { type Cluster, pause } from './cluster.ts';

const text = new TextDecoder();

const AT_REST_MILLIS_MAX = 30_000;

/**
 * Every serving member's copy of a journal, as far as it knows it to be committed. What a client
 * gave up, or a lease that it gives back at its end, may still come: read again until nothing came
 * meanwhile and every member knows all of it. Who is out of the chain for a moment comes back: its
 * copy is waited for too. Where that takes too long, the last copies.
 */
export async function finalsOf(cluster: Cluster, journal: string): Promise<FinalLog[]> {
  const end = performance.now() + AT_REST_MILLIS_MAX;
  await using client = cluster.connect();
  const tail = () => client.journal(journal).tail();
  for (;;) {
    const before = (await tail()).endLsn;
    const finals = await copiesOf(cluster, journal);
    const known = finals.map(({ committedLsn }) => committedLsn);
    const all = finals.length >= cluster.members;
    const same = [(await tail()).endLsn, ...known].every((one) => one === before);
    if ((all && same) || performance.now() > end) return finals;
    await pause(100);
  }
}

async function copiesOf(cluster: Cluster, journal: string): Promise<FinalLog[]> {
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
  const isClaim = claimsOf();
  let from: number = firstLsn;
  let committedLsn = 0;
  for (;;) {
    const answer = await client.journal(journal).read({ from, limit: 10_000 });
    committedLsn = answer.committedLsn;
    for (const record of answer.records) {
      const { lsn } = record;
      const keyOperation = isClaim(record) ? 'claim' : 'tag';
      const digest = JSON.stringify({ ...record, data: text.decode(record.data) });
      const place = { firstLsn: lsn, lastLsn: lsn, epoch: 0, keyOperation } as const;
      batches.push({ ...place, digest, records: [seen(record)] });
    }
    if (answer.nextLsn > committedLsn || answer.nextLsn === from) break;
    from = answer.nextLsn;
  }
  const trimmedLsn = firstLsn - 1;
  return { member, journal, baseLsn: trimmedLsn, trimmedLsn, committedLsn, batches };
}

/**
 * Tells the claims among the records of leases, given in order. What a record did to its key is not
 * read back, but every campaign writes its own nonce: the first record with another one than before
 * is a claim, those that follow renew it or give it back. So the answers to clients need not be
 * believed, nor a claim be answered at all.
 */
export function claimsOf(): (record: Pick<JournalRecord, 'key' | 'data'>) => boolean {
  const last = new Map<string, string>();
  return ({ key, data: bytes }) => {
    const data = text.decode(bytes);
    if (key === undefined || !isOfLease({ key, data })) return false;
    const nonce = nonceOf(data);
    const claims = last.get(key) !== nonce;
    last.set(key, nonce);
    return claims;
  };
}

function nonceOf(data: string): string {
  const { nonce }: { readonly nonce?: unknown } = JSON.parse(data);
  if (typeof nonce === 'string') return nonce;
  throw new Error(`a record of a lease has no nonce: ${data}`);
}
