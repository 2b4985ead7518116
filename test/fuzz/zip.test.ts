// Archives that were damaged, or made to do harm: every message that comes out is one that went in, whole, and everything else is
// a MailError, in bounded time and memory. Where the manifest is damaged, and says so, the mbox alone does not know how a message's
// lines ended, and whether its last one did: then it is one that went in but for that, and for nothing else.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { crc32, deflateRawSync } from "node:zlib";
import { afterAll, beforeAll, expect, it } from "vitest";
import { rangeReader } from "../../src/formats/zip/ranges.ts";
import { openZip } from "../../src/formats/zip/read.ts";
import { MailError } from "../../src/mail/errors.ts";
import { openMboxZipSource } from "../../src/sources/mbox-zip.ts";
import { gather, NEVER, ODD, writeRun } from "../formats/mboxzip/kit.ts";
import { quickDisk } from "../kit/scratch.ts";
import { mutate } from "./generate.ts";
import { fuzz, target } from "./kit.ts";

const root = mkdtempSync(join(quickDisk(), "mailferry-fuzz-zip-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const WORDS = [
  "PK\x01\x02",
  "PK\x03\x04",
  "PK\x05\x06",
  "PK\x06\x06",
  "PK\x06\x07",
  "\xff\xff\xff\xff",
  "\0\0\0\0",
  "\x08\0",
  "\x63\0",
  "../",
  "/etc/",
  "a\0",
  "\x01\0\x10\0",
  "manifest.jsonl",
  "\x7f".repeat(40),
];

const samples: Buffer[] = [];
const known = new Set<string>();
/** The same as their mboxes alone can say them. */
const knownLess = new Set<string>();
beforeAll(async () => {
  const mail = ODD.filter((text) => text.length < 10_000);
  for (const text of mail) {
    known.add(text);
    knownLess.add(withoutManifest(text));
  }
  for (const store of [true, false]) {
    const path = join(root, `good${store}.zip`);
    await writeRun(
      path,
      [
        [["INBOX"], mail.slice(0, 8)],
        [["A", "b/c"], mail.slice(8)],
        [["empty"], []],
      ],
      { store },
    );
    samples.push(readFileSync(path));
  }
});

const sampleOf = (store: boolean): Buffer => samples[store ? 0 : 1] ?? expect.fail("no sample");

/** A message whose lines all end in one way lies with LF, and any with a last line that ends; what holds no CR there is taken for mail with CRLF. */
function withoutManifest(text: string): string {
  const isCrlf = !/\r(?!\n)|(?<!\r)\n/.test(text);
  const lies = isCrlf ? text.replaceAll("\r\n", "\n") : text;
  const ended = lies.endsWith("\n") ? lies : `${lies}\n`;
  return ended.includes("\r") ? ended : ended.replaceAll("\n", "\r\n");
}

async function tolerant<T>(work: () => Promise<T>): Promise<T | undefined> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof MailError) return undefined;
    throw error;
  }
}

/** Reads all that an archive gives, each message by itself; and whether it said that its manifest is damaged. */
async function restored(path: string): Promise<{ readonly got: string[]; readonly isLess: boolean }> {
  const got: string[] = [];
  let isLess = false;
  const onNotice = (text: string): void => {
    isLess ||= text.includes("is read from its mboxes alone");
  };
  await tolerant(async () => {
    await using source = await openMboxZipSource({ path, onNotice }, NEVER);
    for await (const folder of source.folders(NEVER))
      await tolerant(async () => {
        for await (const slice of source.slices(folder, NEVER))
          for await (const { content } of source.read(slice, { want: () => true, signal: NEVER })) {
            const bytes = await tolerant(() => gather(content));
            if (bytes !== undefined) got.push(bytes.toString("latin1"));
          }
      });
  });
  return { got, isLess };
}

fuzz({
  "whatever happened to an archive, a message that comes out of it is one that went in": target({
    inputs: 400,
    make(random) {
      const sample = sampleOf(random.chance(0.6));
      if (random.chance(0.5)) return mutate(random, sample, WORDS, sampleOf(random.chance(0.5)));
      // Within the messages: behind the manifest, which stands first, and before the directory.
      const bad = Buffer.from(sample);
      const from = sample.indexOf("PK\x03\x04", 4);
      const at = from + random.upTo(sample.indexOf("PK\x01\x02") - from);
      bad[at] = (bad[at] ?? 0) ^ (1 << random.upTo(8));
      return bad;
    },
    async check(bytes) {
      const path = join(root, "bad.zip");
      writeFileSync(path, bytes);
      const { got, isLess } = await restored(path);
      for (const text of got) expect([text, known.has(text) || (isLess && knownLess.has(text))]).toEqual([text, true]);
    },
    show: (input) => input,
  }),
  "any octets in the place of a zip are read entry by entry, or refused": target({
    inputs: 350,
    make: (random) => mutate(random, sampleOf(random.chance(0.5)), WORDS),
    async check(bytes, random) {
      const path = join(root, "any.zip");
      writeFileSync(path, bytes);
      await tolerant(async () => {
        await using zip = await openZip(path);
        for (const { name, size, crc } of zip.entries.values()) {
          expect(name).not.toMatch(/^\/|(?:^|\/)\.\.(?:\/|$)|[\0\\]/);
          const whole = await tolerant(() => gather(zip.read(name, "message")));
          if (whole !== undefined) expect([whole.length, crc32(whole)]).toEqual([size, crc]);
          const ranges = rangeReader(zip, name);
          const offset = random.upTo(size + 1);
          const part = await tolerant(() =>
            gather(ranges.read(offset, Math.min(size - offset, random.upTo(2_000)), NEVER)),
          );
          if (whole !== undefined && part !== undefined) expect(whole.includes(part)).toBe(true);
          await ranges.close();
        }
      });
    },
    show: (input) => input,
  }),
});

interface Part {
  readonly name: string;
  readonly data: Buffer;
  readonly stored?: boolean;
  /** As the directory claims it. */
  readonly size?: number;
  /** Where the directory says that it lies; else where it does. */
  readonly at?: number;
  /** Unix mode in the external attributes. */
  readonly mode?: number;
}

/** A zip written by hand, which may say what is not so. */
function zipOf(parts: readonly Part[]): Buffer {
  const bodies: Buffer[] = [];
  const directory: Buffer[] = [];
  let offset = 0;
  for (const { name, data, stored = false, size = data.length, at, mode = 0o100600 } of parts) {
    const packed = stored ? data : deflateRawSync(data);
    const fields = Buffer.alloc(26);
    fields.writeUInt16LE(20, 0);
    fields.writeUInt16LE(stored ? 0 : 8, 4);
    fields.writeUInt32LE(crc32(data), 10);
    fields.writeUInt32LE(packed.length, 14);
    fields.writeUInt32LE(size, 18);
    fields.writeUInt16LE(Buffer.byteLength(name), 22);
    const local = Buffer.concat([Buffer.from("PK\x03\x04"), fields, Buffer.from(name), packed]);
    const more = Buffer.alloc(14);
    more.writeUInt32LE((mode << 16) >>> 0, 6);
    more.writeUInt32LE(at ?? offset, 10);
    directory.push(Buffer.concat([Buffer.from("PK\x01\x02"), Buffer.from([20, 3]), fields, more, Buffer.from(name)]));
    bodies.push(local);
    offset += local.length;
  }
  const list = Buffer.concat(directory);
  const end = Buffer.alloc(18);
  end.writeUInt16LE(parts.length, 4);
  end.writeUInt16LE(parts.length, 6);
  end.writeUInt32LE(list.length, 8);
  end.writeUInt32LE(offset, 12);
  return Buffer.concat([...bodies, list, Buffer.from("PK\x05\x06"), end]);
}

const text = (name: string, data = "hello"): Part => ({ name, data: Buffer.from(data) });
const HOSTILE: Readonly<Record<string, readonly Part[]>> = {
  "a name above the root": [text("../../etc/passwd")],
  "an absolute name": [text("/etc/passwd")],
  "a drive": [text("C:/x")],
  "a backslash": [text("a\\..\\b")],
  "a NUL": [text("a\0b")],
  "two of one name": [text("a"), text("a", "other")],
  "a symbolic link": [{ ...text("INBOX.mbox", "/etc/passwd"), mode: 0o120777 }],
  "a device": [{ ...text("INBOX.mbox"), mode: 0o020666 }],
  "two in one place": [text("a"), { ...text("b"), at: 0 }],
  "one inside another": [text("a", "x".repeat(50)), { ...text("b"), at: 10 }],
  "one inside the directory": [text("a"), { ...text("b"), at: 80 }],
  "more than deflate can unpack": [{ ...text("a", "x".repeat(50)), size: 2_000_000_000 }],
  "a stored one of another size": [{ ...text("a"), stored: true, size: 6 }],
};

it("an honest zip by the same hand is read", async () => {
  const path = join(root, "honest.zip");
  writeFileSync(path, zipOf([text("a"), { ...text("b", "x".repeat(100_000)) }, { ...text("c"), stored: true }]));
  await using zip = await openZip(path);
  expect((await gather(zip.read("b", "account"))).length).toBe(100_000);
  expect([...zip.entries.keys()]).toEqual(["a", "b", "c"]);
});

it.each(Object.keys(HOSTILE))("a zip that holds %s is refused, and nothing of it read", async (what) => {
  const path = join(root, "hostile.zip");
  writeFileSync(path, zipOf(HOSTILE[what] ?? []));
  await expect(openZip(path)).rejects.toMatchObject({ code: "malformed", details: { remedy: "give-up" } });
  await expect(openMboxZipSource({ path }, NEVER)).rejects.toMatchObject({ code: "malformed" });
});

it("an entry that unpacks to more than it says ends there", async () => {
  const path = join(root, "bomb.zip");
  writeFileSync(path, zipOf([{ name: "a", data: Buffer.alloc(20_000_000), size: 20_000 }]));
  await using zip = await openZip(path);
  let octets = 0;
  const read = async () => {
    for await (const chunk of zip.read("a", "message")) octets += chunk.length;
  };
  await expect(read()).rejects.toMatchObject({ code: "malformed", details: { scope: "message" } });
  expect(octets).toBeLessThan(200_000);
});
