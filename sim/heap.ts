// A binary heap: the least item comes out first.

export class Heap<Item> {
  readonly #before: (one: Item, other: Item) => number;
  readonly #items: Item[] = [];

  constructor(before: (one: Item, other: Item) => number) {
    this.#before = before;
  }

  get size(): number {
    return this.#items.length;
  }

  push(item: Item): void {
    const items = this.#items;
    items.push(item);
    let at = items.length - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const above = items[parent];
      if (above === undefined || this.#before(above, item) <= 0) break;
      items[at] = above;
      at = parent;
    }
    items[at] = item;
  }

  /** The least item, taken out; undefined where there is none. */
  pop(): Item | undefined {
    const items = this.#items;
    const least = items[0];
    const last = items.pop();
    if (last !== undefined && items.length > 0) this.#sink(last);
    return least;
  }

  #sink(item: Item): void {
    const items = this.#items;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      let least = items[child];
      const right = items[child + 1];
      if (least === undefined) break;
      if (right !== undefined && this.#before(right, least) < 0) {
        child += 1;
        least = right;
      }
      if (this.#before(item, least) <= 0) break;
      items[at] = least;
      at = child;
    }
    items[at] = item;
  }
}
