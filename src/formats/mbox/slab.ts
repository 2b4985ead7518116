// Room for many small buffers, taken from few large ones: a buffer of its own costs more than the octets of most mail.

/** Takes a buffer out of a block of `size` octets, which stays in memory as long as one of its parts does. */
export function slab(size: number): (length: number) => Buffer {
  let block = Buffer.alloc(0);
  let used = 0;
  return (length) => {
    // A large one would leave half a block unused.
    if (length > size / 4) return Buffer.allocUnsafeSlow(length);
    if (used + length > block.length) {
      block = Buffer.allocUnsafeSlow(size);
      used = 0;
    }
    const part = block.subarray(used, used + length);
    used += length;
    return part;
  };
}
