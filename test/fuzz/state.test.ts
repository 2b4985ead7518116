// State files may be damaged, or made by somebody else: manifest, journal, sidecar and folder map are read without harm whatever
// is in them, give back what was written, and never what was not.

import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import { afterAll, expect } from "vitest";
import { frame, scanLines, unframe } from "../../src/core/lines.ts";
import { readArchiveId } from "../../src/formats/archive.ts";
import { readFolderMap } from "../../src/formats/maildir/folder-map.ts";
import { keywordsOf } from "../../src/formats/maildir/keywords.ts";
import { toBytes } from "../../src/formats/maildir/paths.ts";
import { openSidecar } from "../../src/formats/maildir/sidecar.ts";
import { readSubscriptions } from "../../src/formats/maildir/subscriptions.ts";
import { decodeRecord, encodeRecord, MAX_LINE, type ManifestRecord, readManifest } from "../../src/formats/manifest.ts";
import { MailError } from "../../src/mail/errors.ts";
import type { ContentKey } from "../../src/mail/key.ts";
import { SYSTEM_FLAGS, type Traits } from "../../src/mail/model.ts";
import { openLedger } from "../../src/migrate/journal.ts";
import { headsOf } from "../../src/migrate/ledger-codec.ts";
import type { Random } from "../kit/random.ts";
import { quickDisk } from "../kit/scratch.ts";
import { all, done, INBOX, journalIn, origin, PAIR } from "../migrate/journal-kit.ts";
import { cutUp, mutate, oddPath, oddText, textOf, times } from "./generate.ts";
import { fuzz, target } from "./kit.ts";

const root = mkdtempSync(join(quickDisk(), "mailferry-fuzz-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const WORDS = [
  "{",
  "}",
  "[",
  "]",
  '"',
  ",",
  ":",
  "\\",
  "\\u0000",
  "\n",
  "\r\n",
  "\0",
  "null",
  "true",
  "-1",
  "1e999",
  "9007199254740993",
  '"..":',
  "[[[[[[",
  '"__proto__":',
  '"type":"message"',
  '"s":"done"',
  '"s":"close"',
  ',"crc":"00000000"}',
  "\xff",
  "x".repeat(300),
];

const hex = (random: Random): string => times(64, () => random.pick([..."0123456789abcdef"])).join("");
const traitsOf = (random: Random): Traits => ({
  flags: new Set(SYSTEM_FLAGS.filter(() => random.chance(0.3))),
  keywords: new Set(times(random.upTo(3), () => oddText(random, 3))),
  labels: new Set(times(random.upTo(3), () => oddText(random, 3))),
  ...(random.chance(0.3)
    ? {}
    : {
        received: {
          epochSeconds: random.upTo(2 ** 32) - 2 ** 31,
          ...(random.chance(0.5) ? {} : { zoneMinutes: random.upTo(2880) - 1440 }),
        },
      }),
});

function anyRecord(random: Random, isFirst: boolean): ManifestRecord {
  if (isFirst)
    return {
      type: "header",
      archive: oddText(random),
      job: oddText(random),
      created: "2026-01-01T00:00:00Z",
      zip: random.upTo(1000),
    };
  switch (random.upTo(3)) {
    case 0:
      return {
        type: "folder",
        path: oddPath(random),
        selectable: random.chance(0.5),
        subscribed: random.chance(0.5),
        entry: oddText(random),
      };
    case 1:
      return {
        type: "update",
        folder: oddPath(random),
        ref: oddText(random),
        change: { add: sets(random), remove: sets(random) },
      };
    default: {
      const offset = random.upTo(2 ** 40);
      const from = random.upTo(100);
      const added = [offset + from, offset + from + random.upTo(100)] as const;
      return {
        type: "message",
        folder: oddPath(random),
        origin: { folder: oddPath(random), generation: oddText(random), id: oddText(random) },
        traits: traitsOf(random),
        size: random.upTo(2 ** 40),
        key: hex(random) as ContentKey,
        sha256: hex(random),
        lines: random.pick(["lf", "as-is"]),
        entry: oddText(random),
        offset,
        length: added[1] - offset + 2 + random.upTo(1000),
        added,
        newline: random.chance(0.5),
      };
    }
  }
}

function sets(random: Random): Omit<Traits, "received"> {
  const { received: _, ...rest } = traitsOf(random);
  return rest;
}

async function readAll(pieces: readonly Buffer[], mode: "whole" | "torn" | "rest"): Promise<unknown> {
  async function* content() {
    yield* pieces;
  }
  const lines: unknown[] = [];
  try {
    for await (const { record, number, end } of readManifest(content(), "m", mode)) lines.push({ record, number, end });
    return { lines };
  } catch (error) {
    if (!(error instanceof MailError)) throw error;
    return { lines, error: error.message };
  }
}

/** JSON values that a reader who trusts its file would fall over. */
function anyJson(random: Random, depth = 0): unknown {
  switch (random.upTo(depth > 2 ? 6 : 8)) {
    case 0:
      return random.pick([null, true, false]);
    case 1:
      return random.pick([0, -1, 1.5, 2 ** 53, 1e300, 7]);
    case 2:
    case 3:
      return oddText(random, 3);
    case 4:
      return hex(random);
    case 5:
      return {};
    case 6:
      return times(random.upTo(4), () => anyJson(random, depth + 1));
    default:
      return Object.fromEntries(
        times(random.upTo(4), () => [
          random.pick(["f", "g", "i", "s", "path", "__proto__"]),
          anyJson(random, depth + 1),
        ]),
      );
  }
}

/** A line of a journal with fields of any kind, most of them right. */
function journalLine(random: Random): object {
  const maybe = (right: unknown): unknown => (random.chance(0.06) ? anyJson(random) : right);
  const named = { f: maybe(["INBOX"]), g: maybe("7"), i: maybe(String(random.upTo(9))) };
  const kind = random.pick([
    "done",
    "done",
    "altered",
    "removed",
    "failed",
    "seen",
    "forget",
    "open",
    "close",
    "other",
  ]);
  const head = { f: maybe(["INBOX"]), g: maybe("7"), n: maybe(3), s: maybe("7/42") };
  const by: Record<string, object> = {
    done: {
      k: maybe(hex(random)),
      n: maybe(10),
      c: maybe(5),
      r: maybe(`1:${random.upTo(9)}`),
      t: maybe("S"),
      w: maybe(["a"]),
      l: maybe([]),
      d: maybe(1),
      z: maybe(60),
      p: maybe(1),
      m: maybe(1),
      ...(random.chance(0.2) ? { o: maybe(named) } : {}),
    },
    failed: { e: maybe("io") },
    seen: { c: maybe(5) },
    open: { n: maybe(random.upTo(5)), g: maybe("1") },
    close: { n: maybe(random.upTo(5)), g: maybe("1"), p: maybe("9"), h: maybe([maybe(head)]) },
  };
  const fields = by[kind === "altered" ? "done" : kind] ?? {};
  return { s: maybe(kind), ...(["open", "close", "forget"].includes(kind) ? {} : named), ...fields };
}

fuzz({
  "a manifest gives back its records, in any pieces, and no changed one": target({
    inputs: 1_200,
    make: (random) => times(1 + random.upTo(6), (index) => anyRecord(random, index === 0)),
    async check(records, random) {
      const good = Buffer.from(records.map(encodeRecord).join(""));
      const whole = (await readAll([good], "whole")) as { lines: { record: ManifestRecord }[]; error?: string };
      expect(whole.error).toBeUndefined();
      expect(whole.lines.map(({ record }) => record)).toEqual(records);
      expect(await readAll(cutUp(random, good), "whole")).toEqual(whole);
      const bad = mutate(random, good, WORDS);
      const mode = random.pick(["whole", "torn", "rest"] as const);
      const read = (await readAll([bad], mode)) as { lines: { record: ManifestRecord }[] };
      expect(await readAll(cutUp(random, bad), mode)).toEqual(read);
      // Lines may have been doubled or taken out; none says what was never written.
      const known = new Set(records.map((record) => encodeRecord(record)));
      for (const { record } of read.lines) expect(known.has(encodeRecord(record))).toBe(true);
    },
  }),
  "a manifest line of any JSON under a right checksum is refused or means what it says": target({
    inputs: 2_500,
    make(random) {
      const record = JSON.parse(encodeRecord(anyRecord(random, random.chance(0.2)))) as Record<string, unknown>;
      delete record.crc;
      for (const key of Object.keys(record))
        if (random.chance(0.15)) record[key] = random.chance(0.2) ? [] : anyJson(random);
      return record;
    },
    check(fields) {
      const json = JSON.stringify(fields).slice(0, -1);
      const line = `${json},"crc":"${crc32(json).toString(16).padStart(8, "0")}"}`;
      let record: ManifestRecord;
      try {
        record = decodeRecord(Buffer.from(line));
      } catch (error) {
        expect(error).toBeInstanceOf(Error);
        expect(error).not.toBeInstanceOf(TypeError);
        return;
      }
      expect(decodeRecord(Buffer.from(encodeRecord(record).slice(0, -1)))).toEqual(record);
      if ("folder" in record) expect(record.folder.length).toBeGreaterThan(0);
    },
  }),
  "a line without end is not gathered": target({
    inputs: 3,
    make: (random) => MAX_LINE + 1 + random.upTo(1000),
    async check(length) {
      async function* endless() {
        for (let sent = 0; sent < 8 * length; sent += 65_536) yield Buffer.alloc(65_536, 120);
      }
      let pulled = 0;
      async function* counted() {
        for await (const chunk of endless()) {
          pulled += chunk.length;
          yield chunk;
        }
      }
      const read = async () => {
        for await (const _ of readManifest(counted(), "m", "torn"));
      };
      await expect(read()).rejects.toMatchObject({ code: "malformed" });
      expect(pulled).toBeLessThan(MAX_LINE + 200_000);
      const line = Buffer.concat([Buffer.alloc(length, 120), Buffer.from("\n")]);
      expect(JSON.stringify(await readAll([line], "torn"))).toContain("longer than");
    },
  }),
  "checked lines are read whole at any chunk of the file, and a changed one is not": target({
    inputs: 1_500,
    make: (random) => times(random.upTo(6), () => JSON.stringify(anyJson(random))),
    async check(texts, random) {
      const good = Buffer.from(texts.map(frame).join(""), "latin1");
      const bad = random.chance(0.5) ? mutate(random, good, WORDS) : good;
      const known = new Set(texts.map((text) => unframe(Buffer.from(frame(text).slice(0, -1), "latin1"))));
      const seen: string[] = [];
      for await (const lines of scanLines(
        async (buffer, at) => bad.copy(buffer, 0, at, Math.min(bad.length, at + 1 + random.upTo(300))),
        0,
      ))
        for (const { text, torn } of lines) if (text !== undefined && !torn) seen.push(text);
      for (const text of seen) expect(known.has(text)).toBe(true);
      if (bad === good) expect(seen.length).toBe(texts.length);
    },
  }),
  "a journal of any lines under right checksums is read without harm, and goes on": target({
    inputs: 220,
    make: (random) => ({ lines: times(random.upTo(14), () => journalLine(random)), isCut: random.chance(0.4) }),
    async check({ lines, isCut }, random) {
      const directory = mkdtempSync(join(root, "ledger-"));
      {
        await using ledger = await openLedger(directory, PAIR);
        await (await ledger.folder("INBOX")).put(done(origin("first")));
      }
      const path = await journalIn(directory);
      const text = Buffer.concat([
        readFileSync(path),
        Buffer.from(lines.map((line) => frame(JSON.stringify(line))).join(""), "latin1"),
      ]);
      writeFileSync(path, isCut ? mutate(random, text, WORDS) : text);
      try {
        await using ledger = await openLedger(directory, PAIR);
        const glance = await ledger.glance("INBOX");
        expect(typeof (glance?.sinkGeneration ?? "")).toBe("string");
        const folder = await ledger.folder("INBOX");
        for (const record of await all(folder)) {
          expect(record.key).toMatch(/^[0-9a-f]{64}$/);
          expect(folder.find(record.origin)?.state).toBe(record.state);
          for (const name of [...record.traits.keywords, ...record.traits.labels]) expect(typeof name).toBe("string");
        }
        for (const path of folder.heads()) expect(folder.head(path)).toBeDefined();
        await folder.adopt(origin("99", "8"), done(origin("first")).key);
        await folder.begin("1");
        await folder.put(done(origin("new")));
        await folder.close("9", [{ source: INBOX, head: { generation: "7", listed: 1 } }]);
        expect((await folder.find(origin("new"))?.read())?.size).toBe(1003);
      } finally {
        rmSync(directory, { recursive: true });
      }
      expect(headsOf({ s: "close", n: 1, h: [] })).toEqual([]);
    },
  }),
  "what lies beside a Maildir is read without harm, and names nothing outside of it": target({
    inputs: 250,
    make: (random) => ({
      map: times(random.upTo(5), () => ({
        d: random.pick(["", ".A", "..", "./x", ".", "/etc", "../x", ".a\0", `.${oddText(random)}`]),
        p: anyJson(random),
        u: anyJson(random),
        s: anyJson(random),
      })),
      traits: times(random.upTo(5), () => ({
        m: random.pick(["1", "2", anyJson(random)]),
        k: anyJson(random),
        l: anyJson(random),
        t: anyJson(random),
      })),
      text: textOf(
        random,
        [
          "0 $A\n",
          "25 b\n",
          "26 c\n",
          "x\n",
          "V\t2\n",
          "\n",
          "\0",
          "..",
          "/etc/x\n",
          "INBOX\n",
          "a\tb\n",
          '{"format":"maildir","version":1,"id":"12345678"}',
          "{",
          "\xff",
        ],
        6,
      ),
    }),
    async check({ map, traits, text }, random) {
      const directory = mkdtempSync(join(root, "maildir-"));
      const bytes = toBytes(directory);
      const file = (name: string, octets: string | Buffer): string => {
        writeFileSync(join(directory, name), octets);
        return join(directory, name);
      };
      mkdirSync(join(directory, "mailferry"));
      const lines = (items: readonly object[]): Buffer => {
        const good = Buffer.from(items.map((item) => frame(JSON.stringify(item))).join(""), "latin1");
        return random.chance(0.5) ? good : mutate(random, good, WORDS);
      };
      try {
        for (const { directory: name, path } of (await readFolderMap(file("folders.jsonl", lines(map)))).values()) {
          expect(name).toMatch(/^(?:\.[^/\0]+)?$/);
          expect([".", ".."]).not.toContain(name);
          for (const part of path ?? []) expect(typeof part).toBe("string");
        }
        const sidecar = await openSidecar(toBytes(file("traits.jsonl", lines(traits))));
        for (const base of ["1", "2", "3"]) {
          const extra = await sidecar.get(base);
          for (const name of [...(extra?.keywords ?? []), ...(extra?.labels ?? [])]) expect(typeof name).toBe("string");
        }
        await sidecar.put([{ base: "3", extra: { keywords: ["k"], labels: [] } }]);
        expect((await sidecar.get("3"))?.keywords).toEqual(["k"]);
        file("dovecot-keywords", text);
        const table = keywordsOf(bytes);
        await table.load();
        for (const letter of "az") expect(table.nameOf(letter) ?? "").not.toContain("\n");
        file("subscriptions", text);
        await readSubscriptions(directory);
        file("mailferry/archive.json", text);
        await readArchiveId(directory, "maildir");
      } finally {
        rmSync(directory, { recursive: true });
      }
    },
  }),
});
