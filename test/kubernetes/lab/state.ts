// Where labs keep themselves, whose they are, and the removal of those that nobody owns any more.

import { randomBytes } from 'node:crypto';
import {
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { record } from './api.ts';
import { removeGroups } from './cgroups.ts';
import { Network } from './network.ts';
import { type ProcessId, processOf, runs } from './processes.ts';

const PREFIX = 'journal-lab-';
const NAMELESS_MILLIS_MAX = 60_000;

export interface LabState {
  /** Names its network namespaces and control groups: `jl-` and six hexadecimal digits. */
  readonly lab: string;
  readonly folder: string;
  readonly nodes: readonly string[];
  /** The process that ends it; null where a person does. */
  readonly owner: ProcessId | null;
  readonly boot: string;
}

const bootId = (): string => readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();

export function newState(nodes: readonly string[], kept: boolean): LabState {
  const id = randomBytes(3).toString('hex');
  const folder = join(tmpdir(), `${PREFIX}${id}`);
  const owner = kept ? null : (processOf(process.pid) ?? null);
  const state = { lab: `jl-${id}`, folder, nodes, owner, boot: bootId() };
  mkdirSync(folder, { mode: 0o755 });
  writeFileSync(join(folder, 'lab.json'), JSON.stringify(state));
  return state;
}

/** With other nodes: written before they are made and after they are gone, so that none is left. */
export function changeNodes(before: LabState, nodes: readonly string[]): LabState {
  const state = { ...before, nodes };
  const path = join(state.folder, 'lab.json');
  writeFileSync(`${path}.made`, JSON.stringify(state));
  renameSync(`${path}.made`, path);
  return state;
}

/** All labs of this machine whose folders are under the folder for temporary files. */
export function allStates(): readonly LabState[] {
  return folders().flatMap((folder) => {
    const state = readState(folder);
    return state === undefined ? [] : [state];
  });
}

/** The last that a person made and has not taken down. Throws where there is none. */
export function newestKept(): LabState {
  const state = allStates()
    .filter(({ owner }) => owner === null)
    .at(-1);
  if (state === undefined) throw new Error('there is none: make one by `npm run cluster -- up`');
  return state;
}

const folders = (): string[] =>
  readdirSync(tmpdir())
    .filter((name) => name.startsWith(PREFIX))
    .map((name) => join(tmpdir(), name));

function readState(folder: string): LabState | undefined {
  try {
    const read = record(JSON.parse(readFileSync(join(folder, 'lab.json'), 'utf8')));
    const { lab, nodes, owner, boot } = read;
    if (typeof lab !== 'string' || !Array.isArray(nodes)) return undefined;
    const { pid, started } = record(owner);
    const known = owner === null ? null : { pid: Number(pid), started: Number(started) };
    return { lab, folder, nodes: nodes.map(String), owner: known, boot: String(boot) };
  } catch {
    return undefined;
  }
}

/** Removes what runs that died have left behind. */
export async function removeStale(say: (line: string) => void): Promise<void> {
  for (const folder of folders()) {
    const state = readState(folder);
    if (state === undefined) {
      const made = statSync(folder, { throwIfNoEntry: false })?.mtimeMs ?? Date.now();
      // It may be about to be written.
      if (Date.now() - made > NAMELESS_MILLIS_MAX) rmSync(folder, { recursive: true, force: true });
    } else if (isStale(state)) {
      say(`removing the lab ${state.lab}, which a run that ended has left behind`);
      await removeLab(state);
    }
  }
}

const isStale = ({ owner, boot }: LabState): boolean =>
  boot !== bootId() || (owner !== null && !runs(owner));

/** Ends and removes everything of a lab; what is gone already is no error. */
export async function removeLab({ lab, folder, nodes }: LabState): Promise<void> {
  await removeGroups(lab);
  await new Network(lab, nodes).down();
  rmSync(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 200 });
}
