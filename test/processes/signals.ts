// Signals to processes, each by its own id.

export function kill(pid: number, signal: NodeJS.Signals): void {
  const one = single(pid);
  try {
    process.kill(one, signal);
  } catch {
    // It is gone already.
  }
}

export function isAlive(pid: number): boolean {
  const one = single(pid);
  try {
    process.kill(one, 0);
    return true;
  } catch {
    return false;
  }
}

/** 0 and what is below it mean a group: 0 that of the test itself, with all who run beside it. */
function single(pid: number): number {
  if (pid > 0) return pid;
  throw new RangeError(`pid is ${pid}, allowed is that of one process`);
}
