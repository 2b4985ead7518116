// What a mail server may have made of a message file to save room, told by the file's first octets.

export type Packing = "gzip" | "bzip2" | "xz" | "zstd" | "lz4";

/** What begins with none of these is no packed message; `undefined` stands for what only its own server can open. */
const MAGIC: readonly (readonly [Buffer, Packing | undefined])[] = [
  [Buffer.from("1f8b08", "hex"), "gzip"],
  // "BZh" and a digit, then the mark of the first block, or of the end.
  [Buffer.from("BZh"), "bzip2"],
  [Buffer.from("fd377a585a00", "hex"), "xz"],
  [Buffer.from("28b52ffd", "hex"), "zstd"],
  [Buffer.from("Dovecot-LZ4\x0d\x2a\x9b\xc5", "latin1"), "lz4"],
  [Buffer.from("CRYPTED\x03\x07", "latin1"), undefined],
];
const FIRST_OCTETS = new Set(MAGIC.map(([magic]) => magic[0]));
const BZIP2 = /^BZh[1-9](?:1AY&SY|\x17rE8P\x90)/;

/** Undefined for mail as it is; `packing` is missing for what was encrypted. */
export function packingOf(first: Buffer): { readonly packing?: Packing } | undefined {
  // One look is all that it costs ordinary mail.
  if (!FIRST_OCTETS.has(first[0])) return undefined;
  for (const [magic, packing] of MAGIC)
    if (first.subarray(0, magic.length).equals(magic))
      return packing === undefined
        ? {}
        : packing !== "bzip2" || BZIP2.test(first.toString("latin1", 0, 10))
          ? { packing }
          : undefined;
  return undefined;
}
