// What a process says of itself to whoever calls: its protocol version, and whether it takes work.

/** The metadata key in which a caller says which version of the API it speaks. */
export const PROTOCOL_KEY = 'journal-protocol';
/** Version of the public and internal API; a caller that names another one gets INCOMPATIBLE. */
export const PROTOCOL_VERSION = '1';

/** Whether a process takes work; the standard health service of its servers says so. */
export class Health {
  readonly #listeners: ((serving: boolean) => void)[] = [];
  #serving = true;

  /** Load balancers and probes follow this. */
  set(serving: boolean): void {
    if (serving === this.#serving) return;
    this.#serving = serving;
    for (const listener of this.#listeners) listener(serving);
  }

  /** Tells the present state at once, and each later one. */
  follow(listener: (serving: boolean) => void): void {
    this.#listeners.push(listener);
    listener(this.#serving);
  }
}
