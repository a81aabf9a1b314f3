/** Who wants to know that there is something new. Listeners only note it; they do their work in a later turn. */
export class Wakes {
  readonly #listeners = new Set<() => void>();

  /** @returns how to stop listening. */
  add(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  wakeAll(): void {
    for (const listener of this.#listeners) listener();
  }
}
