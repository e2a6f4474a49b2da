// Much work on a real disk, a few pieces at a time.

/** Each piece waits for syncs most of the time. */
const AT_ONCE = 4;

/** Does each piece of work, a few of them at a time; the first that fails is what is told. */
export async function all(works: readonly (() => Promise<unknown>)[]): Promise<void> {
  const left = [...works].reverse();
  const worker = async (): Promise<void> => {
    for (let work = left.pop(); work !== undefined; work = left.pop()) await work();
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
}
