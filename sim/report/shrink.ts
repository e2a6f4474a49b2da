// Delta debugging: the smallest part of a list that still fails, found by leaving parts out.

/** Says whether a run with only these fails in the same way. */
export type StillFails<Item> = (kept: readonly Item[]) => Promise<boolean>;

/**
 * Leaves out ever smaller pieces (halves, quarters, … single items) for as long as what is left
 * still fails, so that in the end no single item can be left out; or until `enough` says so. The
 * whole list must fail: that is not tried. (Zeller's ddmin, without its subset step: one piece of a
 * schedule alone hardly ever fails.)
 */
export async function shrink<Item>(
  items: readonly Item[],
  stillFails: StillFails<Item>,
  enough: () => boolean = () => false,
): Promise<readonly Item[]> {
  let kept = items;
  // Most often nothing of it is needed.
  if (kept.length > 1 && !enough() && (await stillFails([]))) return [];
  let pieces = 2;
  while (kept.length > 0 && !enough()) {
    const size = Math.ceil(kept.length / pieces);
    let left = false;
    for (let at = 0; at < kept.length && !enough(); ) {
      const rest = [...kept.slice(0, at), ...kept.slice(at + size)];
      if (await stillFails(rest)) {
        kept = rest;
        left = true;
      } else at += size;
    }
    if (size === 1 && !left) break;
    pieces = size === 1 ? kept.length : Math.min(kept.length, left ? pieces : pieces * 2);
  }
  return kept;
}

/**
 * The smallest number from 1 to `most` that still fails, to within a twentieth, taking it that
 * larger ones fail as well. `most` must fail: that is not tried.
 */
export async function least(
  most: number,
  stillFails: (number: number) => Promise<boolean>,
  enough: () => boolean = () => false,
): Promise<number> {
  let [low, high] = [0, most];
  while (high - low > Math.max(1, high / 20) && !enough()) {
    const middle = Math.ceil((low + high) / 2);
    if (await stillFails(middle)) high = middle;
    else low = middle;
  }
  return high;
}
