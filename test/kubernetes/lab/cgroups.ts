// The control groups of a lab: what it starts is inside, so that all of it can be found and ended.
//
//   jl-ID           everything of the lab
//   jl-ID/system    its own processes: etcd, API server, kubelets, containerd
//   jl-ID/a …       the containers of one node, arranged by its kubelet
//
// Knows both hierarchies: one folder a controller (version 1), or one for all (version 2).

import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { pause, until } from './commands.ts';

const BASE = '/sys/fs/cgroup';
const GONE_MILLIS_MAX = 10_000;

const isUnified = (): boolean => existsSync(join(BASE, 'cgroup.controllers'));

/** The folders at which hierarchies begin, named by the kernel's table of mounts. */
function hierarchies(): string[] {
  if (isUnified()) return [BASE];
  return readFileSync('/proc/self/mounts', 'utf8')
    .split('\n')
    .map((line) => line.split(' '))
    .filter(([, , kind]) => kind === 'cgroup')
    .flatMap(([, folder]) => (folder === undefined ? [] : [folder]));
}

/** Makes the groups; whoever writes its pid into one of the files that come back is inside. */
export function makeGroups(lab: string, nodes: readonly string[]): readonly string[] {
  for (const folder of hierarchies()) {
    for (const group of [lab, `${lab}/system`, ...nodes.map((node) => `${lab}/${node}`)]) {
      mkdirSync(join(folder, group), { recursive: true });
      allow(folder, group);
    }
    weigh(folder, lab);
  }
  const inside = isUnified() ? BASE : join(BASE, 'pids');
  return [join(inside, lab, 'system', 'cgroup.procs')];
}

/**
 * A lab is four machines of two processors, not one process among others: a kubelet without time
 * kills what it cannot ask.
 */
function weigh(folder: string, lab: string): void {
  for (const [file, weight] of [
    ['cpu.shares', '8192'],
    ['cpu.weight', '800'],
  ] as const) {
    const path = join(folder, lab, file);
    if (existsSync(path)) writeFileSync(path, weight);
  }
}

/** A new group has no processors and no memory (1), or no controllers for its own groups (2). */
function allow(folder: string, group: string): void {
  for (const file of ['cpuset.cpus', 'cpuset.mems']) {
    const path = join(folder, group, file);
    if (isUnified() || !existsSync(path)) continue;
    writeFileSync(path, readFileSync(join(folder, file)));
  }
  if (!isUnified() || group.endsWith('/system')) return;
  const controllers = readFileSync(join(folder, 'cgroup.controllers'), 'utf8').trim().split(' ');
  for (const parent of [folder, join(folder, group)]) {
    for (const controller of controllers) {
      try {
        writeFileSync(join(parent, 'cgroup.subtree_control'), `+${controller}`);
      } catch {
        // Not every controller can be handed on; the kubelet says which it lacks.
      }
    }
  }
}

/** All groups below one, the deepest first, and itself. */
function below(folder: string): string[] {
  if (!existsSync(folder)) return [];
  const inner = readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .flatMap(({ name }) => below(join(folder, name)));
  return [...inner, folder];
}

const allBelow = (group: string): string[] =>
  hierarchies().flatMap((folder) => below(join(folder, group)));

export function pidsOf(group: string): number[] {
  const found = new Set<number>();
  for (const folder of allBelow(group)) {
    for (const pid of readPids(folder)) found.add(pid);
  }
  return [...found];
}

function readPids(folder: string): number[] {
  try {
    const text = readFileSync(join(folder, 'cgroup.procs'), 'utf8');
    return text.split('\n').flatMap((line) => (Number(line) > 0 ? [Number(line)] : []));
  } catch {
    return []; // The group went away in between.
  }
}

/** Ends every process inside and removes the groups. */
export async function removeGroups(lab: string): Promise<void> {
  for (const folder of allBelow(lab)) thaw(folder);
  await until(`the processes of ${lab} end`, GONE_MILLIS_MAX, async () => {
    const pids = pidsOf(lab);
    for (const pid of pids) signal(pid, 'SIGKILL');
    return pids.length === 0 ? true : undefined;
  });
  for (let attempts = 0; attempts < 20 && allBelow(lab).length > 0; attempts += 1) {
    for (const folder of allBelow(lab)) {
      try {
        rmdirSync(folder);
      } catch {
        // Busy for a moment after its last process.
      }
    }
    if (allBelow(lab).length > 0) await pause(100);
  }
}

/** Stops all processes of a container from running, or lets them go on. */
export function freeze(lab: string, container: string, frozen: boolean): void {
  const root = isUnified() ? BASE : join(BASE, 'freezer');
  const folder = below(join(root, lab)).find((path) => path.endsWith(container));
  if (folder === undefined) throw new Error(`container ${container} has no control group`);
  if (isUnified()) writeFileSync(join(folder, 'cgroup.freeze'), frozen ? '1' : '0');
  else writeFileSync(join(folder, 'freezer.state'), frozen ? 'FROZEN' : 'THAWED');
}

/** A frozen process cannot be killed. */
function thaw(folder: string): void {
  for (const [file, value] of [
    ['freezer.state', 'THAWED'],
    ['cgroup.freeze', '0'],
  ] as const) {
    if (existsSync(join(folder, file))) writeFileSync(join(folder, file), value);
  }
}

export function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // It is gone already.
  }
}
