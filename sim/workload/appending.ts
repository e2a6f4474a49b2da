// Loops that append: plainly, compared with the tail or a key, once under a chosen key, as leader.

import type { Leadership } from '../../client/campaign.ts';
import type { AppendOptions } from '../../client/input.ts';
import type { Journal } from '../../client/journal.ts';
import { JournalError } from '../../protocol/errors.ts';
import type { AppendOperation, Refused } from '../checkers/history.ts';
import { LEASE_KEY_PREFIX, type Led, leaseData } from '../recorder.ts';
import type { Worker } from './worker.ts';

interface What extends AppendOptions {
  readonly records: AppendOperation['records'];
}

/** Appends and writes it down; a refusal, or null where it was acknowledged. */
async function append(worker: Worker, journal: Journal, what: What): Promise<Refused | null> {
  const { records, ...options } = what;
  const { expectTail, expectKey, fence, idempotencyKey, keyOperation = 'tag' } = options;
  const pending = worker.recorder.append({
    process: worker.name,
    journal: journal.name,
    records,
    keyOperation,
    condition: { expectTail, expectKey, fence },
    idempotencyKey,
  });
  try {
    const answer = await journal.append(records, { timeoutMillis: patience(worker), ...options });
    pending.appended(answer.firstLsn, answer.lastLsn, answer.timestampMicros);
    return null;
  } catch (error) {
    return pending.refused(error);
  }
}

const patience = (worker: Worker): number => worker.dice.spread(200, 20_000);

/** One to a few records, some with a key. */
function records(worker: Worker, key?: string): AppendOperation['records'] {
  const count = worker.dice.chance(0.8) ? 1 : worker.dice.between(2, 6);
  return Array.from({ length: count }, () => {
    const plain = key === undefined && worker.dice.chance(0.8);
    return plain
      ? { data: worker.data() }
      : { key: key ?? `k${worker.dice.below(3)}`, data: worker.data() };
  });
}

/** Some at once, as a busy process does. */
export async function appendLoop(worker: Worker): Promise<void> {
  const journal = worker.anyJournal();
  while (await worker.turn()) {
    const burst = worker.dice.chance(0.2) ? worker.dice.between(2, 12) : 1;
    const sent = Array.from({ length: burst }, () =>
      append(worker, journal, { records: records(worker) }),
    );
    await Promise.all(sent);
    await worker.pause(5_000, 500_000);
  }
}

/** Reads the tail and appends only if nothing came since, as 16 clients racing for a round do. */
export async function compareTailLoop(worker: Worker): Promise<void> {
  const journal = worker.anyJournal();
  while (await worker.turn()) {
    const called = worker.now;
    try {
      const { tailLsn, firstLsn } = await journal.tail({ timeoutMillis: patience(worker) });
      const answer = { kind: 'tail', tailLsn, firstLsn } as const;
      const { name: process, now: returned } = worker;
      worker.recorder.add({
        kind: 'tail',
        process,
        journal: journal.name,
        called,
        returned,
        answer,
      });
      const wrong = worker.dice.chance(0.1) ? worker.dice.between(0, 3) : 0;
      await append(worker, journal, { records: records(worker), expectTail: tailLsn + wrong });
    } catch (error) {
      worker.recorder.refusal(error, `${worker.name} tail`);
    }
    await worker.pause(5_000, 600_000);
  }
}

export async function compareKeyLoop(worker: Worker): Promise<void> {
  const journal = worker.anyJournal();
  const key = `k${worker.dice.below(3)}`;
  let lsn: number | null = null;
  while (await worker.turn()) {
    try {
      if (lsn === null) ({ keyLsn: lsn } = await journal.key(key, { timeoutMillis: 5_000 }));
      const what: What = { records: records(worker, key), expectKey: { key, lsn } };
      lsn = (await append(worker, journal, what))?.keyLsn ?? null;
    } catch (error) {
      worker.recorder.refusal(error, `${worker.name} key`);
    }
    await worker.pause(5_000, 600_000);
  }
}

/** The same append under the same chosen key, until it is there, and then some more. */
export async function onceLoop(worker: Worker): Promise<void> {
  const journal = worker.anyJournal();
  while (await worker.turn()) {
    const idempotencyKey = `once ${worker.unique()}`;
    const what = { records: records(worker), idempotencyKey };
    for (let attempt = 0; attempt < 8 && !worker.task.over(); attempt += 1) {
      const timeoutMillis = worker.dice.spread(20, 5_000);
      const refused = await append(worker, journal, { ...what, timeoutMillis });
      if (refused === null && worker.dice.chance(0.5)) break;
      await worker.pause(1_000, 300_000);
    }
    await worker.pause(10_000, 1_000_000);
  }
}

/** Campaigns, and appends under the fence while it leads and for a while after. */
export async function leadLoop(worker: Worker): Promise<void> {
  const journal = worker.anyJournal();
  const key = `${LEASE_KEY_PREFIX}${worker.dice.below(2)}`;
  while (await worker.turn()) {
    try {
      await term(worker, journal, key);
    } catch (error) {
      if (!(error instanceof JournalError && error.code === 'CANCELLED')) {
        worker.recorder.refusal(error, `${worker.name} lead`);
      }
    }
    await worker.pause(50_000, 1_000_000);
  }
}

async function term(worker: Worker, journal: Journal, key: string): Promise<void> {
  const called = worker.now;
  const stop = new AbortController();
  const held: { led: Led | null; leadership: Leadership | null } = { led: null, leadership: null };
  const until = (millis: number): number => worker.now + worker.machine.trueDelay(millis * 1_000);
  let applied = false;
  const leadership = await journal.lead(key, {
    leaseMillis: worker.dice.spread(600, 6_000),
    signal: stop.signal,
    // As somebody does whose state takes a while to catch up with the log.
    applied: async () => {
      await worker.pause(1_000, 200_000);
      applied = true;
    },
    onEvent: (event) => {
      if (event.kind === 'renewed') held.led?.until(until(event.remainingMillis));
      if (event.kind === 'lost') held.led?.lost();
    },
  });
  const { token, fence } = leadership;
  const about = { process: worker.name, journal: journal.name, key, token, applied };
  held.led = worker.recorder.led(about, until(leadership.remainingMillis()));
  if (leadership.lost.aborted) held.led.lost();
  worker.recorder.add({
    kind: 'append',
    process: worker.name,
    journal: journal.name,
    called,
    returned: worker.now,
    records: [{ key, data: leaseData(token) }],
    keyOperation: 'claim',
    condition: {},
    answer: { kind: 'appended', firstLsn: token, lastLsn: token, timestamp: 0 },
  });
  const appends = worker.dice.between(1, 20);
  for (let at = 0; at < appends && !worker.task.over(); at += 1) {
    // A leader may tag records with its own key: that says nothing of its lease.
    const tagged = worker.dice.chance(0.3) ? key : undefined;
    const refused = await append(worker, journal, { records: records(worker, tagged), fence });
    if (refused?.code === 'FENCED') break;
    await worker.pause(10_000, 1_000_000);
  }
  if (worker.dice.chance(0.5)) await leadership.release();
  else stop.abort();
  held.led.lost();
}
