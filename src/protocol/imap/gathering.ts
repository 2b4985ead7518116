// Octets that come in chunks and are wanted in one piece: a server that sends single octets costs no more than they do.

/** A small chunk costs some hundred octets beside its own: so many of them are joined. */
const JOINED = 1024;

export class Gathering {
  #joined: Buffer[] = [];
  #chunks: Buffer[] = [];
  #length = 0;

  get length(): number {
    return this.#length;
  }

  push(chunk: Buffer): void {
    this.#length += chunk.length;
    if (this.#chunks.push(chunk) < JOINED) return;
    this.#joined.push(Buffer.concat(this.#chunks));
    this.#chunks = [];
  }

  /** All of it, without a copy where it came in one chunk; empty from then on. */
  take(): Buffer {
    const [only] = this.#chunks;
    const isOne = this.#joined.length === 0 && this.#chunks.length === 1 && only !== undefined;
    const whole = isOne ? only : Buffer.concat([...this.#joined, ...this.#chunks]);
    this.#joined = [];
    this.#chunks = [];
    this.#length = 0;
    return whole;
  }
}
