// What the target was seen to do to messages in this run, over all folders; the words are those of Likeness.

interface Pair {
  readonly message: string;
  readonly copy: string;
}

/** Of one message with many copies, or of many with one, no more are held. */
const MOST = 16;

export class Alterations {
  readonly #known = new Set<string>();
  /** Of what it was seen that may also be another message than ours: two messages that would be two copies, as soon as there are such. */
  readonly #seen = new Map<string, Pair[]>();

  /** It was done to a message of ours. */
  learn(how: readonly string[]): void {
    for (const what of how) this.#known.add(what);
  }

  /** This copy is like this message, and that would have been done to it. */
  note(message: string, copy: string, how: readonly string[]): void {
    for (const what of how) {
      if (this.#known.has(what)) continue;
      const pairs = this.#seen.get(what) ?? [];
      this.#seen.set(what, pairs);
      if (pairs.some((pair) => pair.message !== message && pair.copy !== copy)) this.#known.add(what);
      else if (pairs.length < MOST) pairs.push({ message, copy });
    }
  }

  /** Whether this server does that: to a message of ours, or to two different ones. */
  has(what: string): boolean {
    return this.#known.has(what);
  }
}
