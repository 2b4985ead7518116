// The manifest: what goes in comes out, and no changed byte goes unseen.

import { describe, expect, it } from "vitest";
import {
  decodeRecord,
  encodeRecord,
  MAX_LINE,
  type ManifestRecord,
  type MessageRecord,
  readManifest,
} from "../../src/formats/manifest.ts";
import type { ContentKey } from "../../src/mail/key.ts";
import { pieces } from "./mboxzip/kit.ts";

const HEADER: ManifestRecord = {
  type: "header",
  archive: "id-1",
  job: "job \u2028 ü",
  created: "2026-01-01T00:00:00Z",
  zip: 1,
};
const MESSAGE: MessageRecord = {
  type: "message",
  folder: ["Größe", 'a"b\\c/\0\n', "\ud800"],
  origin: { folder: ["INBOX"], generation: "7", id: "42" },
  traits: {
    flags: new Set(["seen", "draft"]),
    keywords: new Set(["$Forwarded"]),
    labels: new Set(["Ärger\r\n"]),
    received: { epochSeconds: -5, zoneMinutes: -90 },
  },
  size: 10,
  key: "a".repeat(64) as ContentKey,
  sha256: "b".repeat(64),
  lines: "lf",
  entry: "INBOX.mbox",
  offset: 100,
  length: 90,
  added: [140, 150],
  newline: true,
};
const RECORDS: readonly ManifestRecord[] = [
  HEADER,
  { type: "folder", path: ["INBOX"], selectable: true, use: "inbox", subscribed: false, entry: "INBOX.mbox" },
  MESSAGE,
  { ...MESSAGE, traits: { flags: new Set(), keywords: new Set(), labels: new Set() } },
  {
    type: "update",
    folder: ["INBOX"],
    ref: "0001/INBOX.mbox@0",
    change: {
      add: { flags: new Set(["seen"]), keywords: new Set(["a"]), labels: new Set() },
      remove: { flags: new Set(), keywords: new Set(), labels: new Set(["l"]) },
    },
  },
];

const decode = (line: string) => decodeRecord(Buffer.from(line.slice(0, -1)));

async function all(bytes: Buffer, size: number, mode?: "whole" | "torn" | "rest") {
  const lines = [];
  for await (const line of readManifest(pieces(bytes, size), "m.jsonl", mode)) lines.push(line);
  return lines;
}

describe("a manifest line", () => {
  it("comes back as it went in, and is plain JSON", () => {
    for (const record of RECORDS) {
      const line = encodeRecord(record);
      expect(decode(line)).toEqual(record);
      expect(JSON.parse(line)).toMatchObject({ type: record.type });
      expect(line.indexOf("\n")).toBe(line.length - 1);
    }
  });

  it("shows every changed byte", () => {
    for (const record of RECORDS) {
      const line = Buffer.from(encodeRecord(record).slice(0, -1));
      for (let at = 0; at < line.length; at++)
        for (const flip of [1, 0x20, 0xff]) {
          const bad = Buffer.from(line);
          bad[at] = (bad[at] ?? 0) ^ flip;
          expect(() => decodeRecord(bad), `byte ${at} ^ ${flip}`).toThrow();
        }
    }
  });

  it("is refused when a field does not mean anything, whatever its checksum", () => {
    const wrong: readonly object[] = [
      { ...MESSAGE, offset: -1 },
      { ...MESSAGE, length: 1.5 },
      { ...MESSAGE, size: Number.MAX_SAFE_INTEGER + 2 },
      { ...MESSAGE, added: [99, 150] },
      { ...MESSAGE, added: [150, 140] },
      { ...MESSAGE, added: [140, 189] },
      { ...MESSAGE, added: [140, 150, 160] },
      { ...MESSAGE, key: "A".repeat(64) },
      { ...MESSAGE, lines: "crlf" },
      { ...MESSAGE, folder: [] },
      { ...MESSAGE, folder: "INBOX" },
      { ...MESSAGE, newline: "yes" },
      { type: "folder", path: ["a"], selectable: true, use: "everything", entry: "a.mbox" },
      { type: "folder", path: [1], selectable: true, entry: "a.mbox" },
    ];
    for (const record of wrong)
      expect(() => decode(encodeRecord(record as ManifestRecord)), JSON.stringify(record)).toThrow(/"/);
  });
});

describe("a manifest", () => {
  const bytes = Buffer.from(RECORDS.map(encodeRecord).join(""));

  it("is read the same at every chunk size", async () => {
    for (const size of [1, 2, 7, 64, bytes.length]) {
      const lines = await all(bytes, size);
      expect(lines.map(({ record }) => record)).toEqual(RECORDS);
      expect(lines.map(({ number }) => number)).toEqual([1, 2, 3, 4, 5]);
      expect(lines.at(-1)?.end).toBe(bytes.length);
    }
  });

  it("names file and line of a bad one", async () => {
    const lines = RECORDS.map(encodeRecord);
    lines[2] = (lines[2] ?? "").replace('"size":10', '"size":11');
    await expect(all(Buffer.from(lines.join("")), 50)).rejects.toMatchObject({
      code: "malformed",
      message: expect.stringMatching(/^m\.jsonl, line 3: /),
    });
  });

  it("must begin with its one header, of a version that is known", async () => {
    const [header = "", ...rest] = RECORDS.map(encodeRecord);
    await expect(all(Buffer.from(rest.join("")), 50)).rejects.toThrow(/line 1/);
    await expect(all(Buffer.from(header + header), 50)).rejects.toThrow(/line 2/);
    await expect(all(Buffer.from(""), 50)).rejects.toThrow(/empty/);
    const { crc32 } = await import("node:zlib");
    const json = '{"type":"header","format":"mailferry-mboxzip","version":3';
    const newer = `${json},"crc":"${crc32(json).toString(16).padStart(8, "0")}"}\n`;
    await expect(all(Buffer.from(newer), 50)).rejects.toMatchObject({ code: "config", message: /version 3/ });
  });

  it("cut anywhere gives its whole lines when torn ends are expected, and an error when not", async () => {
    const ends = (await all(bytes, 100)).map(({ end }) => end);
    for (let cut = 0; cut < bytes.length; cut++) {
      const whole = ends.filter((end) => end <= cut).length;
      expect((await all(bytes.subarray(0, cut), 61, "torn")).length, `cut at ${cut}`).toBe(whole);
      if (!ends.includes(cut)) await expect(all(bytes.subarray(0, cut), 61)).rejects.toThrow(/m\.jsonl/);
    }
  });

  it("does not take a bad line in the middle for a torn end", async () => {
    const lines = RECORDS.map(encodeRecord);
    lines[1] = "nonsense\n";
    await expect(all(Buffer.from(lines.join("")), 50, "torn")).rejects.toThrow(/line 2/);
  });

  it("does not gather a line without end", async () => {
    let given = 0;
    async function* endless() {
      const chunk = Buffer.alloc(1 << 20, 120);
      for (;;) {
        given += chunk.length;
        yield chunk;
      }
    }
    const read = async () => {
      for await (const _ of readManifest(endless(), "m.jsonl"));
    };
    await expect(read()).rejects.toThrow(/line 1: it is longer/);
    expect(given).toBeLessThan(MAX_LINE * 2);
  });
});
