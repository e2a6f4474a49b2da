// What one replica is to do, as it follows from the registers and from what it reports: repeated,
// with growing pauses, until its reports show that it was done.

import {
  type Configuration,
  compareConfigurations,
  findMember,
  namesStore,
} from '../../../protocol/configuration.ts';
import { type JournalId, type Micros, micros, type StoreId } from '../../../protocol/types.ts';
import type { Directive } from '../../../transport/control.ts';
import type { Catalog } from '../catalog.ts';
import type { Seen } from '../observe/observer.ts';
import type { Memory } from './memory.ts';

const REPEAT_MIN = 100_000;
const REPEAT_MAX = 2_000_000;
const DIRECTIVES_MAX = 256;

interface Said {
  readonly what: string;
  readonly next: Micros;
  readonly wait: number;
}

export class Directives {
  readonly #catalog: Catalog;
  readonly #memories: ReadonlyMap<JournalId, Memory>;
  readonly #said = new Map<StoreId, Map<string, Said>>();
  readonly #probes = new Map<StoreId, number>();

  constructor(catalog: Catalog, memories: ReadonlyMap<JournalId, Memory>) {
    this.#catalog = catalog;
    this.#memories = memories;
  }

  /** Another process answers, or the stream broke: what was said may not have arrived. */
  forget(store: StoreId): void {
    this.#said.delete(store);
  }

  /** All that is due now, at most a few hundred: the others come with the next ping. */
  due(seen: Seen, wantsProbe: boolean, now: Micros): readonly Directive[] {
    const { node, hello } = seen;
    const due: Directive[] = [];
    if (hello === null || hello.incarnation === 0) return due;
    if (node.startId !== '' && hello.incarnation < node.generation) {
      return [{ kind: 'superseded', incarnation: node.generation }];
    }
    if (wantsProbe) due.push({ kind: 'probe', probe: this.#probe(seen) });
    for (const configuration of this.#catalog.configurations()) {
      if (due.length >= DIRECTIVES_MAX) break;
      const memory = this.#memories.get(configuration.journal);
      for (const directive of wanted(seen, hello.incarnation, configuration, memory)) {
        if (this.#isDue(node.store, configuration, directive, now)) due.push(directive);
      }
    }
    return due;
  }

  /** The probe under way, or the next one once that is done. */
  #probe(seen: Seen): number {
    const { store } = seen.node;
    const last = this.#probes.get(store) ?? 0;
    const probe = (seen.health?.probe ?? 0) >= last ? last + 1 : last;
    this.#probes.set(store, probe);
    return probe;
  }

  #isDue(
    store: StoreId,
    { journal, lineage, epoch }: Configuration,
    directive: Directive,
    now: Micros,
  ): boolean {
    const said = this.#said.get(store) ?? new Map<string, Said>();
    this.#said.set(store, said);
    const source = directive.kind === 'learn' ? directive.source.store : '';
    const what = `${lineage} ${epoch} ${source}`;
    const name = `${directive.kind} ${journal}`;
    const before = said.get(name);
    if (before?.what === what && before.next > now) return false;
    const again = before?.what === what;
    const wait = again ? Math.min(REPEAT_MAX, before.wait * 2) : REPEAT_MIN;
    said.set(name, { what, next: micros(now + wait), wait });
    return true;
  }
}

function wanted(
  seen: Seen,
  incarnation: number,
  configuration: Configuration,
  memory: Memory | undefined,
): readonly Directive[] {
  const { store } = seen.node;
  const { journal, epoch } = configuration;
  const report = seen.reports.get(journal)?.report;
  const member = findMember(configuration, { store, incarnation });
  if (configuration.deleted) {
    return report === undefined ? [] : [{ kind: 'configure', configuration }];
  }
  const current = report !== undefined && compareConfigurations(report, configuration) === 0;
  if (member !== undefined) {
    if (!current || !report.live) return [{ kind: 'configure', configuration }];
    const wedged = memory?.wedge?.epoch === epoch && memory.wedge.members.some(isMine(store));
    return wedged && !report.wedged ? [{ kind: 'wedge', journal, epoch }] : [];
  }
  if (report !== undefined && !namesStore(configuration, store)) {
    const holds = ['head', 'middle', 'tail', 'restarted'].includes(report.role);
    if (holds && !current) return [{ kind: 'configure', configuration }];
  }
  const learn = memory?.learn;
  if (learn?.store !== store) return [];
  return [{ kind: 'learn', configuration, source: learn.source }];
}

const isMine =
  (store: StoreId) =>
  (member: { readonly store: StoreId }): boolean =>
    member.store === store;
