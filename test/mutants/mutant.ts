// What a mutant is: a wrong version of the code, as small patches, and the methods that see it.

/** Cheapest first; what each of them runs is in methods.ts. */
export const METHOD_NAMES = [
  'protocol suite',
  'lease search',
  'log suite',
  'controller suite',
  'client suite',
  'replica suite',
  'chain walks',
  'register walks',
  'chain search',
  'register search',
  'crash points',
  'simulation',
] as const;

export type MethodName = (typeof METHOD_NAMES)[number];

export interface Edit {
  readonly file: string;
  /** Must be in the file exactly once. */
  readonly search: string;
  readonly replace: string;
}

export interface Mutant {
  readonly name: string;
  /** The rule that is broken, in a few words. */
  readonly about: string;
  readonly edits: readonly Edit[];
  /** Methods that may catch it, tried from the cheapest on. */
  readonly by: readonly MethodName[];
  /** Small and quickly caught: part of every run of the tests. */
  readonly quick?: boolean;
  /** Further flags of the simulator: which faults show it. */
  readonly sim?: readonly string[];
}

/** A mutant of one edit. */
export function mutant(
  name: string,
  about: string,
  by: readonly MethodName[],
  edit: Edit,
  more: Pick<Mutant, 'quick' | 'sim'> = {},
): Mutant {
  return { name, about, by, edits: [edit], ...more };
}

/** The text with the edit made; throws where it does not fit exactly once. */
export function edited(text: string, { file, search, replace }: Edit): string {
  const parts = text.split(search);
  if (parts.length === 2) return parts.join(replace);
  throw new Error(`${file} has ${parts.length - 1} times, not once: ${search.split('\n')[0]}`);
}
