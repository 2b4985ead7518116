// The packed octets that a decoder works on: fetched where it may wait, then read without waiting.

const NONE = Buffer.alloc(0);

export class InputWindow {
  readonly #content: AsyncIterator<Uint8Array>;
  #held: Buffer = NONE;
  #at = 0;
  #ended = false;

  constructor(content: AsyncIterable<Uint8Array>) {
    this.#content = content[Symbol.asyncIterator]();
  }

  get left(): number {
    return this.#held.length - this.#at;
  }

  /** Waits until so many octets are there, or all. */
  async fill(octets: number): Promise<void> {
    if (this.left >= octets || this.#ended) return;
    const parts: Uint8Array[] = [this.#held.subarray(this.#at)];
    let size = this.left;
    while (size < octets && !this.#ended) {
      const { done, value } = await this.#content.next();
      if (done === true) this.#ended = true;
      else {
        parts.push(value);
        size += value.length;
      }
    }
    this.#held = Buffer.concat(parts);
    this.#at = 0;
  }

  /** Throws at the end of what is there. */
  octet(): number {
    const octet = this.#held[this.#at++];
    if (octet === undefined) throw new Error("it ends too early");
    return octet;
  }

  /** Exactly so many. Throws when fewer are there. */
  octets(count: number): Buffer {
    if (this.left < count) throw new Error("it ends too early");
    this.#at += count;
    return this.#held.subarray(this.#at - count, this.#at);
  }

  /** Lets go of what it reads from. */
  async close(): Promise<void> {
    this.#ended = true;
    await this.#content.return?.();
  }
}
