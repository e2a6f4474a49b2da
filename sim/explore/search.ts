// Exhaustive search of a small world: every order of every choice, each state visited once.
//
// A world is a plain value of which each step changes a copy, and is told apart by a fingerprint:
// what cannot change anything that happens later (absolute times, numbers of requests) is left out
// of it, so that states that behave alike are one.

import { Marks, type Print } from './marks.ts';

/** What is searched: a world, its choices, and what must hold after each of them. */
export interface Scope<World, Action> {
  readonly name: string;
  open(): World;
  actions(world: World): readonly Action[];
  /** Carries out one action on a copy of its own; throws where an invariant breaks. */
  apply(world: World, action: Action): void;
  /** A world in which everything may be changed that `action` changes. */
  copy(world: World, action: Action): World;
  print(world: World): Print;
  check(world: World): void;
}

export interface SearchLimits {
  readonly statesMax: number;
  /** Size of the table of the states seen; one takes 11 to 21 bytes. */
  readonly bytesMax: number;
  /** Gives up when this turns true; asked every thousand steps. */
  readonly over: () => boolean;
  /** Whether what the scope itself remembers has no room any more; asked as often. */
  readonly full?: () => boolean;
  /** Told every thousand steps. */
  readonly progress?: (found: SearchProgress) => void;
}

export interface SearchProgress {
  readonly states: number;
  readonly steps: number;
  /** Most steps from the first state. */
  readonly depth: number;
  /** Choices that were found and are still to be tried. */
  readonly open: number;
}

export type SearchResult<Action> =
  | ({ readonly kind: 'complete' } & SearchProgress)
  | ({ readonly kind: 'gaveUp'; readonly because: 'limit' | 'memory' | 'heap' } & SearchProgress)
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

const STEPS_A_LOOK = 1_024;

/** Depth first, so that memory holds one path and the set of states seen. */
export function search<World, Action>(
  scope: Scope<World, Action>,
  limits: SearchLimits,
): SearchResult<Action> {
  const first = scope.open();
  const seen = new Marks(limits.bytesMax);
  seen.add(scope.print(first));
  const stack: Frame<World, Action>[] = [{ world: first, actions: scope.actions(first), next: 0 }];
  let steps = 0;
  let depth = 0;
  const now = (): SearchProgress => {
    const open = stack.reduce((sum, { actions, next }) => sum + actions.length - next, 0);
    return { states: seen.size, steps, depth, open };
  };
  while (stack.length > 0) {
    const frame = stack[stack.length - 1];
    const action = frame?.actions[frame.next];
    if (frame === undefined || action === undefined) {
      stack.pop();
      continue;
    }
    frame.next += 1;
    steps += 1;
    if (steps % STEPS_A_LOOK === 0) {
      limits.progress?.(now());
      if (limits.over()) return { kind: 'gaveUp', because: 'limit', ...now() };
      if (limits.full?.()) return { kind: 'gaveUp', because: 'heap', ...now() };
    }
    const world = scope.copy(frame.world, action);
    try {
      scope.apply(world, action);
      scope.check(world);
    } catch (error) {
      const path = stack.flatMap(({ actions, next }) => actions.slice(next - 1, next));
      return { kind: 'violated', path, error, ...now() };
    }
    const added = seen.add(scope.print(world));
    if (added === 'full') return { kind: 'gaveUp', because: 'memory', ...now() };
    if (!added) continue;
    depth = Math.max(depth, stack.length);
    stack.push({ world, actions: scope.actions(world), next: 0 });
    if (seen.size >= limits.statesMax) return { kind: 'gaveUp', because: 'limit', ...now() };
  }
  return { kind: 'complete', ...now() };
}
