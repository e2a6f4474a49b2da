// Becomes a replica, a controller or the operator: their own rooms read their flags. Without the
// rest of the tool, which would cost each process a fifth of its start.

interface Room {
  main(args: readonly string[]): Promise<void>;
}

/** Loaded only to be run: the Kubernetes client is large, and no other process needs it. */
const ROOMS: ReadonlyMap<string, () => Promise<Room>> = new Map([
  ['replica', () => import('../../replica/main.ts')],
  ['controller', () => import('../../operator/controller/main.ts')],
  ['operator', () => import('../../operator/main.ts')],
]);

export const isProcess = (name: string): boolean => ROOMS.has(name);

/** Resolves once the process is to end; its exit code is `process.exitCode`. */
export async function startProcess(name: string, args: readonly string[]): Promise<void> {
  endWithParent();
  const room = await ROOMS.get(name)?.();
  await room?.main(args);
}

/**
 * Under `journal dev` a process neither ends by the ^C that its parent answers, nor outlives it.
 * The channel to the parent keeps nothing running by itself.
 */
function endWithParent(): void {
  if (!process.connected) return;
  process.on('SIGINT', () => {});
  process.on('disconnect', () => process.kill(process.pid, 'SIGTERM'));
  process.channel?.unref();
}
