// A thread that is closed to the outside: what would let it into a run fails loudly, and what the
// platform would keep of a run after its end is kept by nobody.

/**
 * `AbortSignal.any`, whose results Node holds on to while anybody listens. A process that died in a
 * world never stops listening, so every run would stay in memory, of which a thread that ran
 * hundreds had gigabytes.
 */
export function anySignal(signals: Iterable<AbortSignal>): AbortSignal {
  const either = new AbortController();
  for (const signal of signals) {
    if (signal.aborted) either.abort(signal.reason);
    else signal.addEventListener('abort', () => either.abort(signal.reason), { once: true });
  }
  return either.signal;
}

/** For good: nothing of this thread may wait, date or draw by the machine it runs on any more. */
export function closeTheWorld(): void {
  const leak = (name: string) => (): never => {
    throw new Error(`${name} was used inside a simulated world`);
  };
  Math.random = leak('Math.random');
  Date.now = leak('Date.now');
  performance.now = leak('performance.now');
  AbortSignal.timeout = leak('AbortSignal.timeout');
  AbortSignal.any = anySignal;
  for (const name of ['setTimeout', 'setInterval'] as const) {
    Object.defineProperty(globalThis, name, { value: leak(name) });
  }
}
