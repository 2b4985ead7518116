// Compressed message files: every format unpacked and held against its size; cut, spoilt and boundless ones are told, none passes.

import { readFileSync, writeFileSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { expect, test } from "vitest";
import { type Packing, packingOf } from "../../../src/formats/packed/kinds.ts";
import { unpack } from "../../../src/formats/packed/unpack.ts";
import { openMaildirSink } from "../../../src/sinks/maildir.ts";
import { openMaildirSource } from "../../../src/sources/maildir.ts";
import { bytesOf, folder, inPieces, message, plant, readAll, SIGNAL, scratch } from "../maildir/kit.ts";

const FIXTURES = join(import.meta.dirname, "../../../fixtures");
const MAIL = readFileSync(join(FIXTURES, "mime/mixed-related.eml"));
const ON_DISK = Buffer.from(MAIL.toString("latin1").replaceAll("\r\n", "\n"), "latin1");
const FORMATS: Readonly<Record<Packing, string>> = { gzip: "gz", bzip2: "bz2", xz: "xz", zstd: "zstd", lz4: "lz4" };
const packings = Object.keys(FORMATS) as Packing[];
const packed = (packing: Packing): Buffer =>
  readFileSync(join(FIXTURES, "compressed", `mixed-related.${FORMATS[packing]}`));

const unpacked = (packing: Packing, octets: Buffer, size?: number, piece = 700): Promise<Buffer> =>
  bytesOf(unpack(packing, inPieces(octets, piece), size));

const at = scratch();

test.each(packings)("%s: told by its first octets, and unpacked whatever the pieces", async (packing) => {
  const octets = packed(packing);
  expect(packingOf(octets)).toEqual({ packing });
  for (const piece of [1, 7, 1000, 100_000])
    expect((await unpacked(packing, octets, ON_DISK.length, piece)).equals(ON_DISK)).toBe(true);
});

test("what begins like mail is no packed message", () => {
  for (const text of [
    "From: a",
    "Date: x",
    "BZh: a header field",
    "BZh9 but no block",
    "Conversation: x",
    "(",
    "",
    "\x1f",
    "CRYPTED: x",
  ])
    expect(packingOf(Buffer.from(text))).toBeUndefined();
});

test.each(packings)("%s: cut anywhere, it fails", async (packing) => {
  const octets = packed(packing);
  for (let length = 20; length < octets.length; length += 13)
    await expect(unpacked(packing, octets.subarray(0, length), ON_DISK.length), String(length)).rejects.toThrow(Error);
});

test.each(packings)("%s: another size than its name tells fails", async (packing) => {
  for (const size of [ON_DISK.length - 1, ON_DISK.length + 1, 0])
    await expect(unpacked(packing, packed(packing), size)).rejects.toThrow(/octets are in it/);
});

test.each(["gzip", "bzip2", "xz"] as const)("%s: a changed octet fails, or changes nothing", async (packing) => {
  const octets = packed(packing);
  let failed = 0;
  for (let place = 10; place < octets.length; place += 5) {
    const spoilt = Buffer.from(octets);
    spoilt[place] = (spoilt[place] ?? 0) ^ 0x21;
    const result = await unpacked(packing, spoilt, ON_DISK.length).catch(() => undefined);
    if (result === undefined) failed++;
    else expect(result.equals(ON_DISK)).toBe(true);
  }
  expect(failed).toBeGreaterThan(octets.length / 6);
});

test.each(["zstd", "lz4"] as const)(
  "%s has no checksum: a changed octet ends, in an error or in as many octets",
  async (packing) => {
    const octets = packed(packing);
    for (let place = 4; place < octets.length; place += 3) {
      const spoilt = Buffer.from(octets);
      spoilt[place] = (spoilt[place] ?? 0) ^ 0xff;
      const result = await unpacked(packing, spoilt, ON_DISK.length).catch(() => undefined);
      expect(result?.length ?? ON_DISK.length).toBe(ON_DISK.length);
    }
  },
);

test("a small file that holds gigabytes is left as soon as it is larger than it says", async () => {
  let pulled = 0;
  const member = gzipSync(Buffer.alloc(1 << 20));
  const endless = async function* (): AsyncGenerator<Uint8Array> {
    while (pulled++ < 300) yield member;
  };
  await expect(bytesOf(unpack("gzip", endless(), 5000))).rejects.toThrow("more than 5000 octets are in it");
  expect(pulled).toBeLessThan(100);
});

test("a zstd frame that asks for two gigabytes of memory gets none", async () => {
  const frame = Buffer.from("28b52ffd00a8010000", "hex");
  await expect(unpacked("zstd", frame)).rejects.toThrow("too much memory");
  const single = Buffer.from("28b52ffda0ffffff7f010000", "hex");
  await expect(unpacked("zstd", single)).rejects.toThrow("too much memory");
  // The second frame of a file is looked at as the first.
  await expect(unpacked("zstd", Buffer.concat([packed("zstd"), frame]))).rejects.toThrow("too much memory");
});

test("xz says in words what is wrong with it", async () => {
  const octets = packed("xz");
  await expect(unpacked("xz", octets.subarray(0, 700))).rejects.toThrow("it ends too early");
  const spoilt = Buffer.from(octets);
  spoilt[700] = (spoilt[700] ?? 0) ^ 0xff;
  await expect(unpacked("xz", spoilt)).rejects.toThrow("a damaged block");
});

test("without a size in its name a format that tells its own end is believed, lz4 is not", async () => {
  for (const packing of packings)
    if (packing === "lz4")
      await expect(unpacked(packing, packed(packing))).rejects.toThrow("its name does not say how much is in it");
    else expect((await unpacked(packing, packed(packing))).equals(ON_DISK)).toBe(true);
});

test("several at once in one process: each is itself, though xz does one at a time", async () => {
  const all = await Promise.all(
    Array.from({ length: 40 }, (_, i) => packings[i % packings.length] ?? "gzip").map((packing, i) =>
      i % 7 === 3
        ? unpacked(packing, packed(packing).subarray(0, 900), ON_DISK.length).catch(() => ON_DISK)
        : unpacked(packing, packed(packing), ON_DISK.length),
    ),
  );
  for (const result of all) expect(result.equals(ON_DISK)).toBe(true);
});

test("one that is let go of in the middle holds up no other", async () => {
  const large = gzipSync(Buffer.alloc(1 << 22));
  for (const packing of ["xz", "gzip"] as const)
    for (let round = 0; round < 3; round++) {
      let closed = false;
      const source = async function* (): AsyncGenerator<Uint8Array> {
        try {
          for (;;) yield packing === "xz" ? packed("xz") : large;
        } finally {
          closed = true;
        }
      };
      for await (const _ of unpack(packing, source(), undefined)) break;
      await expect.poll(() => closed).toBe(true);
    }
  expect((await unpacked("xz", packed("xz"), ON_DISK.length)).equals(ON_DISK)).toBe(true);
});

test("a Maildir: packed mail is read beside plain mail; what cannot be unpacked fails by name, and alone", async () => {
  const size = ON_DISK.length;
  await mkdir(at.path("box/cur"), { recursive: true });
  const put = (name: string, octets: Buffer): void => writeFileSync(at.path(`box/cur/${name}`), octets);
  for (const [i, packing] of packings.entries())
    put(`100000000${i}.M1P1.host,S=${size},W=${MAIL.length}:2,S`, packed(packing));
  put(`1000000006.M1P1.host,S=${size}:2,`, packed("bzip2").subarray(0, 1000));
  put("1000000007.M1P1.host:2,", Buffer.from("CRYPTED\x03\x07\x02rest", "latin1"));
  put("1000000008.M1P1.host,S=12:2,", Buffer.from("Subject: a\n\n"));
  await using source = await openMaildirSource({ path: at.path("box") }, SIGNAL);
  const got = await readAll(source, ["INBOX"]);
  expect(got.slice(0, 5).map(({ bytes }) => bytes?.equals(MAIL))).toEqual([true, true, true, true, true]);
  expect(got[5]?.error).toMatchObject({
    message: expect.stringMatching(/1000000006\S+ is compressed \(bzip2\) and cannot be unpacked: /),
    details: { scope: "message", remedy: "give-up" },
  });
  expect(got[6]?.error).toMatchObject({
    message: expect.stringMatching(/1000000007\S+ is encrypted by Dovecot's mail_crypt plugin/),
    details: { scope: "message", hint: expect.stringContaining("over IMAP") },
  });
  expect(got[7]?.bytes?.toString()).toBe("Subject: a\r\n\r\n");
  // The way out that the error names.
  put(`1000000006.M1P1.host,S=${size}:2,`, ON_DISK);
  expect((await readAll(source, ["INBOX"]))[5]?.bytes?.equals(MAIL)).toBe(true);
});

test("what came to an archive of ours as it is stays so, also where it begins like a packed message", async () => {
  const odd = packed("gzip");
  {
    await using sink = await openMaildirSink({ path: at.path("own") }, SIGNAL);
    const target = await sink.open(folder("INBOX"), SIGNAL);
    await target.append(await message(odd), SIGNAL);
    await sink.seal(SIGNAL);
  }
  await using source = await openMaildirSource({ path: at.path("own") }, SIGNAL);
  expect((await readAll(source, ["INBOX"]))[0]?.bytes?.equals(odd)).toBe(true);
});

test("a folder whose files were packed by hand keeps their flags", async () => {
  await plant(at.path("hand"), { "cur/": "", "dovecot-keywords": "6 Wrong\n25 Other\n" });
  writeFileSync(at.path("hand/cur/1000000001.M1P1.host:2,FS.gz"), packed("gzip"));
  await using source = await openMaildirSource({ path: at.path("hand") }, SIGNAL);
  const [got] = await readAll(source, ["INBOX"]);
  expect(got?.bytes?.equals(MAIL)).toBe(true);
  expect(got?.entry.traits).toMatchObject({ flags: new Set(["flagged", "seen"]), keywords: new Set() });
});
