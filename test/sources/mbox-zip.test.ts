// The mboxzip source: the shared promises, several zips read as one, and clear words for what is none.

import { readdir, readFile, rename, rm, unlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { encodeRecord, MANIFEST_NAME, type ManifestLine, type ManifestRecord } from "../../src/formats/manifest.ts";
import { openCatalogue } from "../../src/formats/mboxzip/catalogue.ts";
import { manifestHead } from "../../src/formats/mboxzip/zips.ts";
import { openZip } from "../../src/formats/zip/read.ts";
import { writeZip } from "../../src/formats/zip/write.ts";
import { narrow } from "../../src/mail/fidelity.ts";
import { MAX_FOLDERS } from "../../src/mail/model.ts";
import { openMboxZipSink } from "../../src/sinks/mbox-zip.ts";
import { openMboxZipSource } from "../../src/sources/mbox-zip.ts";
import type { SeedFolder } from "../conformance/seed.ts";
import { sourceConformance } from "../conformance/source.ts";
import {
  append,
  folder,
  gather,
  NEVER,
  ODD,
  pieces,
  restore,
  restoreFrom,
  scratch,
  snapshot,
  writeRun,
} from "../formats/mboxzip/kit.ts";

const NOTHING = { flags: new Set<never>(), keywords: new Set<string>(), labels: new Set<string>() };

async function seeded(path: string, folders: readonly SeedFolder[]): Promise<void> {
  await using sink = await openMboxZipSink({ path, job: "seed" }, NEVER);
  for (const { path: name, use, mail } of folders) {
    const opened = await sink.open({ path: name, selectable: true, ...(use === undefined ? {} : { use }) }, NEVER);
    for (const { bytes, traits } of mail) await append(opened, bytes, narrow(traits, opened.fidelity).kept);
  }
  await sink.seal(NEVER);
}

for (const name of ["mail.zip", "archive"])
  sourceConformance(`mboxzip (${name})`, {
    async make(folders) {
      const place = await scratch();
      const path = join(place.path, name);
      await seeded(path, folders);
      // The origin's folder is the archive's own, whatever the first source called it.
      return { source: await openMboxZipSource({ path }, NEVER), dispose: async () => place[Symbol.asyncDispose]() };
    },
    skip: { "deletes exactly the messages that it is told to": "an archive is never deleted from" },
  });

/** Writes a zip that is ours but for its manifest and entries. */
async function forge(
  path: string,
  records: readonly (ManifestRecord | string)[],
  entries: Record<string, string> = {},
) {
  const manifest = records.map((record) => (typeof record === "string" ? record : encodeRecord(record))).join("");
  const files = Object.entries({ [MANIFEST_NAME]: manifest, ...entries });
  const inputs = files.map(([name, text]) => ({ name, open: () => pieces(Buffer.from(text, "latin1")) }));
  await writeZip(path, inputs, { date: new Date(), bytes: 1, entries: 1 }, NEVER);
}
const HEADER: ManifestRecord = {
  type: "header",
  archive: "archive-1",
  job: "j",
  created: "2026-01-01T00:00:00Z",
  zip: 1,
};

describe("an archive with more folders than anybody has", () => {
  const folders = (from: number, to: number): string[] =>
    Array.from({ length: to - from }, (_, n) =>
      encodeRecord({ type: "folder", path: [`f${from + n}`], selectable: true, entry: `${from + n}` }),
    );

  it("is refused by the lines of one zip", async () => {
    await using place = await scratch();
    const path = join(place.path, "x.zip");
    await forge(path, [HEADER, ...folders(0, MAX_FOLDERS + 1)]);
    await using zip = await openZip(path);
    await expect(manifestHead(zip)).rejects.toMatchObject({
      code: "malformed",
      message: `${path} has more than ${MAX_FOLDERS} folders`,
    });
  });

  it("is refused by those of all zips together", async () => {
    await using place = await scratch();
    await using catalogue = await openCatalogue(place.path);
    const bytes = Buffer.from("{}");
    const lines = async function* (from: number, to: number): AsyncGenerator<ManifestLine> {
      for (let n = from; n < to; n++) {
        const folder = { type: "folder", path: [`f${n}`], selectable: true, entry: `${n}` } as const;
        yield { record: folder, bytes, number: n + 1, end: 0 };
      }
    };
    await catalogue.absorb(1, lines(0, MAX_FOLDERS / 2), 0);
    await catalogue.absorb(2, lines(0, MAX_FOLDERS), 0);
    await expect(catalogue.absorb(3, lines(MAX_FOLDERS, MAX_FOLDERS + 1), 0)).rejects.toMatchObject({
      code: "malformed",
      message: `the archive has more than ${MAX_FOLDERS} folders`,
    });
  });
});

describe("an mboxzip read as a source", () => {
  it("gives back every odd message byte for byte, and its zone and labels", async () => {
    await using place = await scratch();
    for (const name of ["mail.zip", "archive"]) {
      const path = join(place.path, name);
      await using sink = await openMboxZipSink({ path, job: "job" }, NEVER);
      const opened = await sink.open(folder("INBOX"), NEVER);
      const traits = {
        keywords: new Set(["$Junk", "two words", "Ü", "a\r\nX-Evil: 1"]),
        labels: new Set(["Label/1"]),
        received: { epochSeconds: -86_400, zoneMinutes: -210 },
      };
      const refs: string[] = [];
      for (const text of ODD) refs.push(await append(opened, text, traits));
      for (const [i, ref] of refs.entries())
        expect((await gather(opened.reopen({ ref }, NEVER))).toString("latin1"), `spooled ${i}`).toBe(ODD[i]);
      await sink.seal(NEVER);
      for (const [i, ref] of refs.entries())
        expect((await gather(opened.reopen({ ref }, NEVER))).toString("latin1"), `sealed ${i}`).toBe(ODD[i]);
      const restored = await restoreFrom(path);
      expect(restored.map(({ bytes }) => bytes.toString("latin1"))).toEqual(ODD);
      for (const one of restored) expect(one.traits).toEqual({ flags: new Set(), ...traits });
    }
  });

  it("reads all zips as one, with later changes folded in", async () => {
    await using place = await scratch();
    const path = join(place.path, "archive");
    const [first = ""] = await writeRun(path, [[["INBOX"], ["one\r\n", "two\r\n"]]]);
    await using second = await openMboxZipSink({ path, job: "job" }, NEVER);
    const inbox = await second.open({ ...folder("INBOX"), subscribed: true, use: "inbox" }, NEVER);
    const third = await append(inbox, "three\r\n", { flags: new Set(["flagged"]) });
    const seen = { add: { ...NOTHING, flags: new Set(["seen"] as const), keywords: new Set(["k"]) }, remove: NOTHING };
    await inbox.update?.({ ref: first }, seen, NEVER);
    await inbox.update?.(
      { ref: third },
      { add: NOTHING, remove: { ...NOTHING, flags: new Set(["flagged"] as const) } },
      NEVER,
    );
    await second.open(folder("New and empty"), NEVER);
    await second.seal(NEVER);
    await second[Symbol.asyncDispose]();
    await using later = await openMboxZipSink({ path, job: "job" }, NEVER);
    const again = await later.open(folder("INBOX"), NEVER);
    await again.update?.(
      { ref: first },
      { add: { ...NOTHING, flags: new Set(["answered"] as const) }, remove: { ...NOTHING, keywords: new Set(["K"]) } },
      NEVER,
    );
    await later.seal(NEVER);

    await using source = await openMboxZipSource({ path }, NEVER);
    const folders = await gatherFolders(source);
    expect(folders).toMatchObject([
      { path: ["INBOX"], use: "inbox", subscribed: true, messages: 3, bytes: 17 },
      { path: ["New and empty"], messages: 0 },
    ]);
    const all = await restore(source);
    expect(all.map(({ bytes }) => bytes.toString())).toEqual(["one\r\n", "two\r\n", "three\r\n"]);
    expect(all.map(({ traits }) => [...traits.flags])).toEqual([["seen", "answered"], [], []]);
    expect([...(all[0]?.traits.keywords ?? [])]).toEqual([]);
    expect((await readdir(path)).filter((name) => name.endsWith(".zip")).length).toBe(3);
  });

  it("reads only what is wanted, each body or none", async () => {
    await using place = await scratch();
    const path = join(place.path, "mail.zip");
    const texts = Array.from({ length: 40 }, (_, i) => `message ${i}\r\n`);
    await writeRun(path, [[["INBOX"], texts]]);
    await using source = await openMboxZipSource({ path }, NEVER);
    let asked = 0;
    const order: string[] = [];
    const options = {
      want: () => asked++ % 3 === 0,
      listed: () => order.push(`listed after ${asked}`),
      signal: NEVER,
    };
    for await (const { content } of source.read({ folder: folder("INBOX") }, options))
      order.push(order.length % 2 === 0 ? "left" : (await gather(content)).toString());
    expect(order[0]).toBe("listed after 40");
    expect(order.slice(1)).toEqual(texts.filter((_, i) => i % 3 === 0).map((text, i) => (i % 2 === 1 ? "left" : text)));
  });

  it("does not hand out a message that is not the one that was stored", async () => {
    await using place = await scratch();
    const path = join(place.path, "mail.zip");
    await writeRun(
      path,
      [[["INBOX"], ["Subject: a\r\n\r\nfirst\r\n", "Subject: b\r\n\r\nsecond\r\n", "Subject: c\r\n\r\nthird\r\n"]]],
      {
        store: true,
      },
    );
    const text = await readFile(path, "latin1");
    await writeFile(path, text.replace("second", "sEcond"), "latin1");
    await using source = await openMboxZipSource({ path }, NEVER);
    const fates: string[] = [];
    for await (const { content } of source.read({ folder: folder("INBOX") }, { want: () => true, signal: NEVER }))
      fates.push(await gather(content).then(String, (error) => `${error.code} ${error.details.scope}`));
    expect(fates).toEqual(["Subject: a\r\n\r\nfirst\r\n", "malformed message", "Subject: c\r\n\r\nthird\r\n"]);
  });

  it("tells of an unfinished run and of a missing zip", async () => {
    await using place = await scratch();
    const path = join(place.path, "archive");
    for (const text of ["1\n", "2\n", "3\n"]) await writeRun(path, [[["INBOX"], [text]]]);
    await using sink = await openMboxZipSink({ path, job: "job" }, NEVER);
    await append(await sink.open(folder("INBOX"), NEVER), "4\n");
    await sink[Symbol.asyncDispose]();
    const zips = (await readdir(path)).filter((name) => name.endsWith(".zip")).sort();
    await unlink(join(path, zips[1] ?? ""));
    const notices: string[] = [];
    await using source = await openMboxZipSource({ path, onNotice: (text) => void notices.push(text) }, NEVER);
    expect((await restore(source)).map(({ bytes }) => String(bytes))).toEqual(["1\n", "3\n"]);
    expect(notices).toEqual([expect.stringMatching(/0002 is missing/), expect.stringMatching(/not finished/)]);
  });

  it("writes nothing into the archive", async () => {
    await using place = await scratch();
    const path = join(place.path, "archive");
    await writeRun(path, [[["INBOX"], ["1\n"]]]);
    const before = await snapshot(path);
    await restoreFrom(path);
    expect(await snapshot(path)).toEqual(before);
  });

  it("is read without mailferry/, from the zips alone", async () => {
    await using place = await scratch();
    const path = join(place.path, "archive");
    await writeRun(path, [[["INBOX"], ["1\n"]]]);
    await rm(join(path, "mailferry"), { recursive: true });
    expect((await restoreFrom(path)).map(({ bytes }) => String(bytes))).toEqual(["1\n"]);
  });
});

async function gatherFolders(source: Awaited<ReturnType<typeof openMboxZipSource>>) {
  const folders = [];
  for await (const one of source.folders(NEVER)) folders.push(one);
  return folders;
}

describe("what is no mboxzip", () => {
  const refused = (path: string) => openMboxZipSource({ path }, NEVER).then((source) => restore(source));

  it("is refused with what to do", async () => {
    await using place = await scratch();
    const at = (name: string) => join(place.path, name);
    await writeFile(at("text.zip"), "no zip at all");
    await writeFile(at("empty.zip"), "");
    await forge(at("plain.zip"), []);
    await writeZip(
      at("foreign.zip"),
      [{ name: "INBOX.mbox", open: () => pieces(Buffer.from("From x")) }],
      { date: new Date(), bytes: 1, entries: 1 },
      NEVER,
    );
    await writeRun(at("good.zip"), [[["INBOX"], ["1\n"]]]);
    const good = await readFile(at("good.zip"));
    await writeFile(at("cut.zip"), good.subarray(0, good.length - 30));
    const cases: readonly (readonly [string, string, RegExp])[] = [
      ["missing.zip", "config", /there is no archive/],
      [".", "config", /holds no mboxzip archive/],
      ["text.zip", "malformed", /not a whole zip/],
      ["empty.zip", "malformed", /not a whole zip/],
      ["cut.zip", "malformed", /not a whole zip/],
      ["plain.zip", "malformed", /line 1/],
      ["foreign.zip", "malformed", /was not written by mailferry/],
    ];
    for (const [name, code, message] of cases)
      await expect(refused(at(name)), name).rejects.toMatchObject({ code, message });
  });

  it("is refused for a bad line, a newer version, and a bomb", async () => {
    await using place = await scratch();
    const path = join(place.path, "x.zip");
    await forge(path, [HEADER, "nonsense\n"]);
    await expect(refused(path)).rejects.toMatchObject({ code: "malformed", message: /manifest\.jsonl, line 2/ });
    await forge(path, [encodeRecord(HEADER).replace('"version":2', '"version":3')]);
    await expect(refused(path)).rejects.toMatchObject({ code: "malformed", message: /line 1: its checksum/ });
    await forge(path, [HEADER, "\0".repeat(80_000_000)]);
    await expect(refused(path)).rejects.toMatchObject({ code: "malformed", message: /far more than it can be/ });
  });

  it("is told from a run that is not finished yet", async () => {
    await using place = await scratch();
    const path = join(place.path, "x.zip");
    await using sink = await openMboxZipSink({ path, job: "job" }, NEVER);
    await append(await sink.open(folder("INBOX"), NEVER), "1\n");
    await expect(refused(path)).rejects.toMatchObject({ code: "config", message: /never finished/ });
  });

  it("is a zip of another archive among ours", async () => {
    await using place = await scratch();
    await writeRun(join(place.path, "a"), [[["INBOX"], ["1\n"]]]);
    await writeRun(join(place.path, "b"), [[["INBOX"], ["2\n"]]]);
    const [zip = ""] = (await readdir(join(place.path, "b"))).filter((name) => name.endsWith(".zip"));
    await rename(join(place.path, "b", zip), join(place.path, "a", zip.replace("0001", "0002")));
    // It is named, and those that are ours are read without it.
    await using source = await openMboxZipSource({ path: join(place.path, "a") }, AbortSignal.timeout(60_000));
    expect(source.missing).toEqual([expect.stringContaining("another archive")]);
    const folders = [];
    for await (const folder of source.folders(AbortSignal.timeout(60_000))) folders.push(folder.messages);
    expect(folders).toEqual([1]);
  });

  it("names a message whose place lies outside its entry, and reads the others", async () => {
    await using place = await scratch();
    const good = join(place.path, "good.zip");
    await writeRun(good, [[["INBOX"], ["a\n", "b\n"]]]);
    await using zip = await openZip(good);
    const lines = String(await gather(zip.read(MANIFEST_NAME, "account")))
      .trimEnd()
      .split("\n");
    const mbox = String(await gather(zip.read("INBOX.mbox", "account")));
    const { decodeRecord } = await import("../../src/formats/manifest.ts");
    const records = lines.map((line) => decodeRecord(Buffer.from(line)));
    const bent = records.map((record) =>
      record.type === "message" && record.offset === 0 ? { ...record, entry: "../../etc/passwd" } : record,
    );
    const path = join(place.path, "bent.zip");
    await forge(path, bent, { "INBOX.mbox": mbox });
    await using source = await openMboxZipSource({ path }, NEVER);
    const fates: string[] = [];
    for await (const { content } of source.read({ folder: folder("INBOX") }, { want: () => true, signal: NEVER }))
      fates.push(await gather(content).then(String, (error) => `${error.code} ${error.details.scope}`));
    expect(fates).toEqual([expect.stringMatching(/message$/), "b\n"]);
  });
});
