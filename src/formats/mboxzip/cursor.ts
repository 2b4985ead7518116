// Octets that stream by, taken and skipped piece by piece.

export interface Cursor extends AsyncDisposable {
  position(): number;
  /** The next octets, fewer at the end. */
  take(length: number): AsyncGenerator<Buffer>;
  /** Returns how many there were. */
  skip(length: number): Promise<number>;
}

export function cursorOver(chunks: AsyncGenerator<Buffer>): Cursor {
  let rest: Buffer = Buffer.alloc(0);
  let position = 0;
  async function* take(length: number): AsyncGenerator<Buffer> {
    for (let left = length; left > 0; ) {
      if (rest.length === 0) {
        const next = await chunks.next();
        if (next.done === true) return;
        rest = next.value;
      }
      const part = rest.subarray(0, left);
      rest = rest.subarray(part.length);
      position += part.length;
      left -= part.length;
      yield part;
    }
  }
  return {
    position: () => position,
    take,
    async skip(length) {
      let count = 0;
      for await (const part of take(length)) count += part.length;
      return count;
    },
    async [Symbol.asyncDispose]() {
      await chunks.return(undefined);
    },
  };
}
