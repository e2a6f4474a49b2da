// Exhaustive search of a small world: every order of every choice, each state visited once.
//
// A world is a plain value that is copied before each step and told apart by a canonical text: what
// cannot change anything that happens later (absolute times, numbers of requests) is left out of
// it, so that states that behave alike are one.

/** What is searched: a world, its choices, and what must hold after each of them. */
export interface Scope<World, Action> {
  readonly name: string;
  open(): World;
  actions(world: World): readonly Action[];
  /** Carries out one action on a copy of its own; throws where an invariant breaks. */
  apply(world: World, action: Action): void;
  copy(world: World): World;
  canonical(world: World): string;
  check(world: World): void;
}

export interface SearchLimits {
  readonly statesMax: number;
  /** Gives up when this turns true; asked every few thousand states. */
  readonly over: () => boolean;
  readonly progress?: (found: SearchProgress) => void;
}

export interface SearchProgress {
  readonly states: number;
  readonly steps: number;
  readonly depth: number;
}

export type SearchResult<Action> =
  | ({ readonly kind: 'complete' | 'gaveUp' } & SearchProgress)
  | ({
      readonly kind: 'violated';
      readonly path: readonly Action[];
      readonly error: unknown;
    } & SearchProgress);

interface Frame<World, Action> {
  readonly world: World;
  readonly actions: readonly Action[];
  next: number;
}

const REPORT_EVERY = 8_192;

/** Depth first, so that memory holds one path and the set of states seen. */
export function search<World, Action>(
  scope: Scope<World, Action>,
  limits: SearchLimits,
  digest: (canonical: string) => string,
): SearchResult<Action> {
  const first = scope.open();
  const seen = new Set<string>([digest(scope.canonical(first))]);
  const stack: Frame<World, Action>[] = [{ world: first, actions: scope.actions(first), next: 0 }];
  let steps = 0;
  let depth = 0;
  const now = (): SearchProgress => ({ states: seen.size, steps, depth });
  while (stack.length > 0) {
    const frame = stack[stack.length - 1];
    const action = frame?.actions[frame.next];
    if (frame === undefined || action === undefined) {
      stack.pop();
      continue;
    }
    frame.next += 1;
    steps += 1;
    const last = frame.next >= frame.actions.length;
    const world = last ? frame.world : scope.copy(frame.world);
    try {
      scope.apply(world, action);
      scope.check(world);
    } catch (error) {
      const path = stack.flatMap(({ actions, next }) => actions.slice(next - 1, next));
      return { kind: 'violated', path, error, ...now() };
    }
    const mark = digest(scope.canonical(world));
    if (seen.has(mark)) continue;
    seen.add(mark);
    depth = Math.max(depth, stack.length);
    stack.push({ world, actions: scope.actions(world), next: 0 });
    if (seen.size % REPORT_EVERY !== 0) continue;
    limits.progress?.(now());
    if (seen.size >= limits.statesMax || limits.over()) return { kind: 'gaveUp', ...now() };
  }
  return { kind: 'complete', ...now() };
}
