// A queue that one reader awaits: what arrives on a stream, until it ends or breaks.

export class Inbox<Item> implements AsyncIterable<Item> {
  readonly #items: { readonly item: Item; readonly bytes: number }[] = [];
  readonly #taken: (bytes: number) => void;
  readonly #abandoned: () => void;
  #waiting: ((ended: boolean) => void)[] = [];
  #ended = false;
  #error: unknown = null;

  /** `taken` hears of the bytes of each item that was read, `abandoned` of a reader that left. */
  constructor(taken: (bytes: number) => void, abandoned: () => void) {
    this.#taken = taken;
    this.#abandoned = abandoned;
  }

  push(item: Item, bytes: number): void {
    if (this.#ended) return;
    this.#items.push({ item, bytes });
    this.#wake();
  }

  /** What came before is still read. */
  end(): void {
    this.#ended = true;
    this.#wake();
  }

  /** What came and was not read yet is still read; then the reader gets the error. */
  fail(error: unknown): void {
    if (this.#ended) return;
    this.#error = error;
    this.end();
  }

  async next(): Promise<IteratorResult<Item, undefined>> {
    while (this.#items.length === 0 && !this.#ended) {
      await new Promise<boolean>((resolve) => {
        this.#waiting.push(resolve);
      });
    }
    const first = this.#items.shift();
    if (first !== undefined) {
      this.#taken(first.bytes);
      return { done: false, value: first.item };
    }
    const error = this.#error;
    this.#error = null;
    if (error !== null) throw error;
    return { done: true, value: undefined };
  }

  [Symbol.asyncIterator](): AsyncIterator<Item, undefined> {
    return {
      next: () => this.next(),
      return: async () => {
        this.#items.length = 0;
        this.end();
        this.#abandoned();
        return { done: true, value: undefined };
      },
    };
  }

  #wake(): void {
    if (this.#waiting.length === 0) return;
    for (const resolve of this.#waiting.splice(0)) resolve(true);
  }
}
