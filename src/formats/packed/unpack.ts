// A packed message file as the message that it was, held against the size that its name tells.

import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createGunzip } from "node:zlib";
import { unpackBzip2 } from "./bzip2.ts";
import type { Packing } from "./kinds.ts";
import { unpackLz4 } from "./lz4.ts";

/** What is unpacked at the most of a file whose name does not say how much is in it. */
const MOST_UNTOLD = 2 ** 28;
/** Formats that end in a mark: of the others nobody can say whether all is there but the name. */
const SAYS_ITS_END: ReadonlySet<Packing> = new Set(["gzip", "bzip2", "xz", "zstd"]);

/**
 * Reads `content`, which begins with the packing's mark, to its end. `size`: the octets that must come of it. Throws Error in words that
 * go on after the name of the file: damage, another size, or no way to know that all is there. Closes `content` in any case.
 */
export async function* unpack(
  packing: Packing,
  content: AsyncGenerator<Uint8Array>,
  size: number | undefined,
): AsyncGenerator<Uint8Array> {
  try {
    if (size === undefined && !SAYS_ITS_END.has(packing)) throw new Error("its name does not say how much is in it");
    const most = size ?? MOST_UNTOLD;
    let got = 0;
    for await (const chunk of await opened(packing, content)) {
      got += chunk.length;
      if (got > most) throw new Error(`more than ${most} octets are in it`);
      yield chunk;
    }
    if (size !== undefined && got !== size) throw new Error(`${got} octets are in it where its name says ${size}`);
  } finally {
    await content.return(undefined);
  }
}

/** Decoders that few need are loaded when they are needed. */
async function opened(packing: Packing, content: AsyncGenerator<Uint8Array>): Promise<AsyncIterable<Uint8Array>> {
  switch (packing) {
    case "gzip":
      return gunzip(content);
    case "bzip2":
      return unpackBzip2(content);
    case "lz4":
      return unpackLz4(content);
    case "zstd":
      return (await import("./zstd.ts")).unpackZstd(content);
    case "xz":
      return (await import("./xz.ts")).unpackXz(content);
  }
}

function gunzip(content: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> {
  const unpacker = createGunzip();
  // What fails is told to whoever reads.
  pipeline(Readable.from(content), unpacker).catch(() => undefined);
  return unpacker;
}
