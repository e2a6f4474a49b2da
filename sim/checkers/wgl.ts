// A general linearizability checker: the algorithm of Wing, Gong and Lowe with Lowe's memory of
// visited states, as in Porcupine (MIT, github.com/anishathalye/porcupine).
//
// It walks a list of calls and returns in order of time, takes an operation out where the model
// allows it as the next one, and steps back where an operation returns that was not taken. An
// operation without return may take effect at any time after its call; `step` then judges it with
// whatever output the operation says it may have had.

export interface TimedOperation<Input> {
  readonly called: number;
  /** null where no answer came. */
  readonly returned: number | null;
  /** Input and output together: the model judges both. */
  readonly input: Input;
}

export interface Model<State, Input> {
  readonly start: State;
  /** The state after the operation; undefined where it could not have answered so. */
  step(state: State, input: Input): State | undefined;
  /** Equal texts for equal states. */
  key(state: State): string;
}

export type Linearizable =
  | { readonly kind: 'yes' }
  | { readonly kind: 'no'; readonly deepest: readonly number[] }
  /** More states than allowed were visited. */
  | { readonly kind: 'gaveUp'; readonly visited: number };

interface Entry {
  readonly operation: number;
  readonly time: number;
  /** The entry of the return, for a call; null for a return. */
  readonly match: Entry | null;
  previous: Entry | null;
  next: Entry | null;
}

export function linearizable<State, Input>(
  model: Model<State, Input>,
  operations: readonly TimedOperation<Input>[],
  visitedMax: number,
): Linearizable {
  const head = listOf(operations);
  const taken = new Uint32Array(Math.ceil(operations.length / 32));
  const seen = new Set<string>();
  const stack: { readonly entry: Entry; readonly state: State }[] = [];
  const open = operations.filter(({ returned }) => returned !== null).length;
  let [state, closed] = [model.start, 0];
  let deepest: readonly number[] = [];
  let entry = head.next;
  while (closed < open) {
    if (entry?.match != null) {
      const input = operations[entry.operation]?.input;
      const after = input === undefined ? undefined : model.step(state, input);
      if (after !== undefined && remember(seen, taken, entry.operation, model.key(after))) {
        if (seen.size > visitedMax) return { kind: 'gaveUp', visited: seen.size };
        stack.push({ entry, state });
        state = after;
        if (operations[entry.operation]?.returned !== null) closed += 1;
        flip(taken, entry.operation);
        lift(entry);
        entry = head.next;
        continue;
      }
      entry = entry.next;
      continue;
    }
    // A return of something that was not taken, or the end: the last choice was wrong.
    if (stack.length > deepest.length) deepest = stack.map((choice) => choice.entry.operation);
    const choice = stack.pop();
    if (choice === undefined) return { kind: 'no', deepest };
    state = choice.state;
    if (operations[choice.entry.operation]?.returned !== null) closed -= 1;
    flip(taken, choice.entry.operation);
    unlift(choice.entry);
    entry = choice.entry.next;
  }
  return { kind: 'yes' };
}

/** Calls and returns by time; a call comes before a return of the same time. */
function listOf<Input>(operations: readonly TimedOperation<Input>[]): Entry {
  const entries: Entry[] = [];
  for (const [operation, { called, returned }] of operations.entries()) {
    const match: Entry = entryOf(operation, returned ?? Infinity, null);
    entries.push({ ...entryOf(operation, called, match) }, match);
  }
  const rank = (entry: Entry): number => (entry.match === null ? 1 : 0);
  entries.sort((one, other) =>
    one.time === other.time ? rank(one) - rank(other) : one.time - other.time,
  );
  const head = entryOf(-1, -Infinity, null);
  let last = head;
  for (const entry of entries) {
    last.next = entry;
    entry.previous = last;
    last = entry;
  }
  return head;
}

const entryOf = (operation: number, time: number, match: Entry | null): Entry => ({
  operation,
  time,
  match,
  previous: null,
  next: null,
});

function lift(call: Entry): void {
  for (const entry of [call, call.match]) {
    if (entry === null) continue;
    if (entry.previous !== null) entry.previous.next = entry.next;
    if (entry.next !== null) entry.next.previous = entry.previous;
  }
}

function unlift(call: Entry): void {
  for (const entry of [call.match, call]) {
    if (entry === null) continue;
    if (entry.previous !== null) entry.previous.next = entry;
    if (entry.next !== null) entry.next.previous = entry;
  }
}

function flip(taken: Uint32Array, operation: number): void {
  const word = operation >> 5;
  taken[word] = (taken[word] ?? 0) ^ (1 << (operation & 31));
}

/** False where this set of operations has led to this state before. */
function remember(
  seen: Set<string>,
  taken: Uint32Array,
  operation: number,
  state: string,
): boolean {
  flip(taken, operation);
  const key = `${textOf(taken)}|${state}`;
  flip(taken, operation);
  if (seen.has(key)) return false;
  seen.add(key);
  return true;
}

const ALL = 0xffffffff;

/**
 * The set as a short text, one for one: the words that are full from the start on are counted, of
 * the others those that are not empty are named. Written out in full, the sets that a history of
 * 50,000 operations leads through would take half a gigabyte.
 */
function textOf(taken: Uint32Array): string {
  let full = 0;
  while (taken[full] === ALL) full += 1;
  let text = `${full}`;
  for (let at = full; at < taken.length; at += 1) {
    if (taken[at] !== 0) text += `,${at}:${taken[at]}`;
  }
  return text;
}
