// Zips: written whole or not at all, read under limits, and every damage told.

import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { ZipArchive } from "archiver";
import { describe, expect, it } from "vitest";
import { rangeReader } from "../../../src/formats/zip/ranges.ts";
import { MAX_ENTRIES, MAX_NAME_BYTES, openZip } from "../../../src/formats/zip/read.ts";
import { readSeal } from "../../../src/formats/zip/seal.ts";
import { writeZip, type ZipInput } from "../../../src/formats/zip/write.ts";
import { gather, NEVER, pieces, scratch } from "../mboxzip/kit.ts";

const OPTIONS = { date: new Date("2026-01-02T03:04:05Z"), bytes: 1_000_000, entries: 3 };
const FILES: Readonly<Record<string, Buffer>> = {
  "a.txt": Buffer.from("text ".repeat(20_000)),
  "Größe/b c.txt": randomBytes(300_000),
  "empty.txt": Buffer.alloc(0),
};
const inputs = (files = FILES): ZipInput[] =>
  Object.entries(files).map(([name, bytes]) => ({ name, open: () => pieces(bytes, 65_536) }));

describe("a zip", () => {
  for (const store of [false, true])
    it(`gives back what went in (${store ? "stored" : "deflated"})`, async () => {
      await using place = await scratch();
      const path = join(place.path, "x.zip");
      await writeZip(path, inputs(), { ...OPTIONS, store }, NEVER);
      await using zip = await openZip(path);
      expect([...zip.entries.keys()]).toEqual(Object.keys(FILES));
      for (const [name, bytes] of Object.entries(FILES))
        expect((await gather(zip.read(name, "account"))).equals(bytes), name).toBe(true);
      expect(await readSeal(path, NEVER)).toBe("intact");
      expect((await stat(path)).mode & 0o777).toBe(0o600);
    });

  it("is written with Zip64 when it may outgrow a plain zip", async () => {
    await using place = await scratch();
    const path = join(place.path, "x.zip");
    await writeZip(path, inputs(), { ...OPTIONS, bytes: 5_000_000_000 }, NEVER);
    expect((await readFile(path)).includes(Buffer.from("PK\x06\x06", "latin1"))).toBe(true);
    await using zip = await openZip(path);
    expect((await gather(zip.read("a.txt", "account"))).equals(FILES["a.txt"] ?? Buffer.alloc(0))).toBe(true);
  });

  it("has a broken seal after any one byte changed", async () => {
    await using place = await scratch();
    const path = join(place.path, "x.zip");
    await writeZip(path, inputs({ "a.txt": Buffer.from("short") }), OPTIONS, NEVER);
    const good = await readFile(path);
    for (let at = 0; at < good.length; at++) {
      const bad = Buffer.from(good);
      bad[at] = (bad[at] ?? 0) ^ 1;
      await writeFile(path, bad);
      expect(await readSeal(path, NEVER), `byte ${at}`).not.toBe("intact");
    }
  });

  it("fails with the error of an input that fails, whichever it is", async () => {
    await using place = await scratch();
    for (const bad of [0, 1, 2]) {
      const files = inputs();
      files[bad] = {
        name: "bad",
        async *open() {
          yield Buffer.alloc(100_000);
          throw new Error("the input broke");
        },
      };
      await expect(writeZip(join(place.path, "x.zip"), files, OPTIONS, NEVER)).rejects.toThrow(/the input broke/);
    }
  });

  it("fails when the output cannot be written", async () => {
    await using place = await scratch();
    await expect(writeZip(join(place.path, "no", "x.zip"), inputs(), OPTIONS, NEVER)).rejects.toThrow(/ENOENT/);
  });

  it("says that the disk is full", async () => {
    const big = inputs({ "a.bin": randomBytes(3_000_000) });
    await expect(writeZip("/dev/full", big, OPTIONS, NEVER)).rejects.toMatchObject({ code: "quota" });
  });

  it("stops at once when it is aborted in the middle of an entry", async () => {
    await using place = await scratch();
    const stop = new AbortController();
    const endless: ZipInput = {
      name: "endless",
      async *open() {
        for (let i = 0; ; i++) {
          if (i === 20) stop.abort(new Error("stopped"));
          yield randomBytes(10_000);
        }
      },
    };
    await expect(writeZip(join(place.path, "x.zip"), [endless], OPTIONS, stop.signal)).rejects.toThrow("stopped");
  });
});

describe("reading a zip", () => {
  it("says of a file cut anywhere that it is not whole", async () => {
    await using place = await scratch();
    const path = join(place.path, "x.zip");
    await writeZip(path, inputs({ "a.txt": Buffer.from("short") }), OPTIONS, NEVER);
    const good = await readFile(path);
    for (let cut = 0; cut < good.length; cut += 3) {
      await writeFile(path, good.subarray(0, cut));
      await expect(openZip(path), `cut at ${cut}`).rejects.toMatchObject({ code: "malformed" });
    }
  });

  it("says not-there and not-permitted in our words", async () => {
    await expect(openZip("/nowhere/x.zip")).rejects.toMatchObject({ code: "config" });
  });

  it("finds damage in an entry by its CRC or in unpacking", async () => {
    await using place = await scratch();
    for (const store of [true, false]) {
      const path = join(place.path, `${store}.zip`);
      await writeZip(path, inputs({ "a.txt": randomBytes(5000) }), { ...OPTIONS, store }, NEVER);
      const bad = await readFile(path);
      bad[2000] = (bad[2000] ?? 0) ^ 0x10;
      await writeFile(path, bad);
      await using zip = await openZip(path);
      await expect(gather(zip.read("a.txt", "message"))).rejects.toMatchObject({
        code: "malformed",
        details: { scope: "message" },
      });
    }
  });

  it("refuses names that leave the folder, and names that stand twice", async () => {
    await using place = await scratch();
    const path = join(place.path, "x.zip");
    await writeZip(path, inputs({ "aaaa/bb.txt": Buffer.from("x"), "cccc/dd.txt": Buffer.from("y") }), OPTIONS, NEVER);
    const good = await readFile(path, "latin1");
    for (const name of ["../../b.txt", "/etc/passwd", "aa\\bb\\c.txt", "C:/x/yz.txt", "aaaa/b\0.txt", "cccc/dd.txt"]) {
      await writeFile(path, good.replaceAll("aaaa/bb.txt", name.padEnd(11, "x").slice(0, 11)), "latin1");
      await expect(openZip(path), name).rejects.toMatchObject({ code: "malformed" });
    }
  });

  it("refuses more entries than anybody has, before it reads one of them", async () => {
    await using place = await scratch();
    const path = join(place.path, "x.zip");
    await writeZip(path, inputs({ "a.txt": Buffer.from("x") }), { ...OPTIONS, bytes: 5_000_000_000 }, NEVER);
    const bytes = await readFile(path);
    // APPNOTE 4.3.14: the count on this disk, then the one of all.
    const end = bytes.indexOf("PK\x06\x06", 0, "latin1");
    for (const at of [24, 32]) bytes.writeBigUInt64LE(BigInt(MAX_ENTRIES + 1), end + at);
    // Where the plain record has a count of its own, that would be taken.
    bytes.writeUInt16LE(0xffff, bytes.lastIndexOf("PK\x05\x06", undefined, "latin1") + 10);
    await writeFile(path, bytes);
    await expect(openZip(path)).rejects.toMatchObject({
      code: "malformed",
      message: expect.stringContaining(`more than ${MAX_ENTRIES} entries`),
    });
  });

  it("refuses entries whose names are too long together", async () => {
    await using place = await scratch();
    const path = join(place.path, "x.zip");
    const length = 0xffff;
    const many = Math.ceil(MAX_NAME_BYTES / length) + 1;
    // APPNOTE 4.3.12. A directory's name may stand there many times: it is not kept, so that its length alone counts.
    const entry = Buffer.alloc(46 + length, "x");
    entry.fill(0, 0, 46).write("PK\x01\x02", "latin1");
    entry.writeUInt16LE(length, 28);
    entry.write("/", entry.length - 1);
    const end = Buffer.alloc(22);
    end.write("PK\x05\x06", "latin1");
    for (const at of [8, 10]) end.writeUInt16LE(many, at);
    end.writeUInt32LE(many * entry.length, 12);
    await writeFile(path, [...Array<Buffer>(many).fill(entry), end]);
    await expect(openZip(path)).rejects.toMatchObject({
      code: "malformed",
      message: expect.stringContaining("names are too long"),
    });
  });

  it("reads what other programs wrote", async () => {
    await using place = await scratch();
    const path = join(place.path, "x.zip");
    const zip = new ZipArchive({ level: 9 });
    const done = gather(zip as AsyncIterable<Uint8Array>);
    zip.append("hello", { name: "dir/hello.txt" });
    await zip.finalize();
    await writeFile(path, await done);
    await using opened = await openZip(path);
    expect((await gather(opened.read("dir/hello.txt", "account"))).toString()).toBe("hello");
    expect(await readSeal(path, NEVER)).toBe("none");
  });

  it("is what unzip calls sound", async () => {
    await using place = await scratch();
    const path = join(place.path, "x.zip");
    await writeZip(path, inputs(), OPTIONS, NEVER);
    expect(execFileSync("unzip", ["-t", path]).toString()).toContain("No errors detected");
  });
});

describe("ranges of an entry", () => {
  for (const store of [false, true]) {
    const how = store ? "stored" : "deflated";
    it(`are right in any order, also all at once (${how})`, async () => {
      await using place = await scratch();
      const path = join(place.path, "x.zip");
      const bytes = randomBytes(2_000_000);
      await writeZip(path, inputs({ "a.bin": bytes }), { ...OPTIONS, store }, NEVER);
      await using zip = await openZip(path);
      const reader = rangeReader(zip, "a.bin");
      const ranges = Array.from({ length: 60 }, (_, i) => [(i * 379_993) % 1_990_000, (i * 7919) % 10_000] as const);
      const read = await Promise.all(ranges.map(([at, length]) => gather(reader.read(at, length, NEVER))));
      for (const [i, [at, length]] of ranges.entries())
        expect(read[i]?.equals(bytes.subarray(at, at + length)), `range ${i}`).toBe(true);
      await reader.close();
    });

    it(`go on after one that was left in the middle (${how})`, async () => {
      await using place = await scratch();
      const path = join(place.path, "x.zip");
      const bytes = randomBytes(1_000_000);
      await writeZip(path, inputs({ "a.bin": bytes }), { ...OPTIONS, store }, NEVER);
      await using zip = await openZip(path);
      const reader = rangeReader(zip, "a.bin");
      for await (const chunk of reader.read(10, 900_000, NEVER)) {
        expect(chunk.length).toBeGreaterThan(0);
        break;
      }
      expect((await gather(reader.read(500_000, 10, NEVER))).equals(bytes.subarray(500_000, 500_010))).toBe(true);
      expect((await gather(reader.read(0, 10, NEVER))).equals(bytes.subarray(0, 10))).toBe(true);
      await reader.close();
    });
  }

  it("beyond the end are not found; those before the damage are still read", async () => {
    await using place = await scratch();
    const path = join(place.path, "x.zip");
    const bytes = Buffer.from(Array.from({ length: 300_000 }, (_, i) => `${i}\n`).join(""));
    await writeZip(path, inputs({ "a.bin": bytes }), OPTIONS, NEVER);
    const bad = await readFile(path);
    // A block type that deflate does not have would be luck; a long run of ones breaks any block.
    bad.fill(0xff, bad.length >> 1, (bad.length >> 1) + 2000);
    await writeFile(path, bad);
    await using zip = await openZip(path);
    const reader = rangeReader(zip, "a.bin");
    await expect(gather(reader.read(bytes.length, 1, NEVER))).rejects.toMatchObject({ code: "not-found" });
    for (let turn = 0; turn < 2; turn++) {
      expect((await gather(reader.read(100, 50, NEVER))).equals(bytes.subarray(100, 150))).toBe(true);
      await expect(gather(reader.read(bytes.length - 10, 10, NEVER))).rejects.toMatchObject({
        code: "malformed",
        details: { scope: "message" },
      });
    }
    await reader.close();
  });
});
