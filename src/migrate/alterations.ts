// What the target was seen to do to messages in this run, over all folders; the words are those of Likeness.

export class Alterations {
  readonly #known = new Set<string>();
  /** Of which messages it was seen that may also be another message than ours. */
  readonly #seen = new Map<string, Set<string>>();

  /** It was done to a message of ours. */
  learn(how: readonly string[]): void {
    for (const what of how) this.#known.add(what);
  }

  /** Something like this message is there, and that would have been done to it. */
  note(message: string, how: readonly string[]): void {
    for (const what of how) {
      if (this.#known.has(what)) continue;
      const messages = this.#seen.get(what) ?? new Set();
      this.#seen.set(what, messages);
      // Two are enough.
      if (messages.size < 2) messages.add(message);
    }
  }

  /** Whether this server does that: to a message of ours, or to two different ones. */
  has(what: string): boolean {
    return this.#known.has(what) || (this.#seen.get(what)?.size ?? 0) > 1;
  }
}
