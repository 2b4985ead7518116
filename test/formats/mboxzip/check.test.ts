// An archive by itself: sound is silent, and whatever is wrong is told.

import { readdir, readFile, rename, unlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { decodeRecord, encodeRecord, MANIFEST_NAME, type ManifestRecord } from "../../../src/formats/manifest.ts";
import { checkMboxZip } from "../../../src/formats/mboxzip/check.ts";
import { openZip } from "../../../src/formats/zip/read.ts";
import { writeZip } from "../../../src/formats/zip/write.ts";
import { gather, NEVER, ODD, pieces, scratch, writeRun } from "./kit.ts";

async function check(path: string): Promise<{ messages: number; problems: string[] }> {
  const problems: string[] = [];
  const { messages } = await checkMboxZip(path, NEVER, (text) => void problems.push(text));
  return { messages, problems };
}

/** A good zip taken apart and put together again with something changed. */
async function tamper(
  from: string,
  to: string,
  change: (parts: { records: ManifestRecord[]; entries: Map<string, Buffer> }) => void,
): Promise<void> {
  await using zip = await openZip(from);
  const entries = new Map<string, Buffer>();
  for (const name of zip.entries.keys()) entries.set(name, await gather(zip.read(name, "account")));
  const lines = String(entries.get(MANIFEST_NAME)).trimEnd().split("\n");
  entries.delete(MANIFEST_NAME);
  const parts = { records: lines.map((line) => decodeRecord(Buffer.from(line))), entries };
  change(parts);
  const manifest = Buffer.from(parts.records.map(encodeRecord).join(""));
  const inputs = [...new Map([[MANIFEST_NAME, manifest], ...parts.entries])];
  await writeZip(
    to,
    inputs.map(([name, bytes]) => ({ name, open: () => pieces(bytes) })),
    { date: new Date(), bytes: 1, entries: 1 },
    NEVER,
  );
}

describe("an archive checked by itself", () => {
  it("is sound with every odd message, as a file and as a directory", async () => {
    await using place = await scratch();
    for (const name of ["mail.zip", "archive"]) {
      await writeRun(join(place.path, name), [
        [["INBOX"], ODD],
        [["A", "b/c"], ODD],
      ]);
      expect(await check(join(place.path, name))).toEqual({ messages: ODD.length * 2, problems: [] });
    }
  });

  it("tells of a single byte that changed, anywhere in the file", async () => {
    await using place = await scratch();
    for (const store of [false, true]) {
      const path = join(place.path, `${store}.zip`);
      await writeRun(path, [[["INBOX"], ["Subject: a\r\n\r\nbody\r\n", ">From x\n"]]], { store });
      const good = await readFile(path);
      // The seal's own test takes every byte; here every fifth, and another one of each five in the other form.
      for (let at = store ? 0 : 2; at < good.length; at += 5) {
        const bad = Buffer.from(good);
        bad[at] = (bad[at] ?? 0) ^ (at % 2 === 0 ? 0x01 : 0xff);
        await writeFile(path, bad);
        expect((await check(path)).problems, `byte ${at} of ${good.length}`).not.toEqual([]);
      }
    }
  });

  it("tells of every cut", async () => {
    await using place = await scratch();
    const path = join(place.path, "x.zip");
    await writeRun(path, [[["INBOX"], ["a\r\n"]]]);
    const good = await readFile(path);
    for (let cut = 0; cut < good.length; cut += 7) {
      await writeFile(path, good.subarray(0, cut));
      const text = (await check(path)).problems.join("\n");
      expect(text, `cut at ${cut}`).toMatch(/cut off/);
      expect(text, `cut at ${cut}`).not.toMatch(/another program/);
    }
  });

  it("tells what does not fit together, although each part is sound", async () => {
    await using place = await scratch();
    const good = join(place.path, "good.zip");
    const path = join(place.path, "bad.zip");
    await writeRun(good, [
      [["INBOX"], ["Subject: one\r\n\r\n1\r\n", "Subject: two\r\n\r\n2\r\n"]],
      [["Other"], ["Subject: three\r\n\r\n3\r\n"]],
    ]);
    const message = (records: ManifestRecord[], n: number) =>
      records.flatMap((record, i) => (record.type === "message" ? [{ record, i }] : []))[n] ?? {
        record: undefined,
        i: -1,
      };
    const cases: readonly (readonly [string, RegExp, Parameters<typeof tamper>[2]])[] = [
      [
        "entry that no line names",
        /is not in the manifest/,
        ({ entries }) => void entries.set("x.mbox", Buffer.from("x")),
      ],
      ["entry that is missing", /"Other\.mbox" is missing/, ({ entries }) => void entries.delete("Other.mbox")],
      ["unsafe name", /not a safe name/, ({ entries }) => void entries.set("con.mbox", Buffer.from("x"))],
      ["names that clash", /overwrite another/, ({ entries }) => void entries.set("inbox.mbox", Buffer.from("x"))],
      ["line left out", /does not follow/, ({ records }) => void records.splice(message(records, 0).i, 1)],
      ["last line left out", /are in no line/, ({ records }) => void records.splice(message(records, 1).i, 1)],
      [
        "message listed twice",
        /overlaps/,
        ({ records }) => {
          const { record, i } = message(records, 0);
          if (record !== undefined) records.splice(i + 1, 0, record);
        },
      ],
      [
        "wrong hash",
        /SHA-256/,
        ({ records }) => {
          const { record, i } = message(records, 0);
          if (record !== undefined) records[i] = { ...record, sha256: "0".repeat(64) };
        },
      ],
      [
        "wrong key",
        /content key/,
        ({ records }) => {
          const { record, i } = message(records, 0);
          if (record !== undefined) records[i] = { ...record, key: "0".repeat(64) as typeof record.key };
        },
      ],
      [
        "wrong size",
        /bytes, and not 999/,
        ({ records }) => {
          const { record, i } = message(records, 0);
          if (record !== undefined) records[i] = { ...record, size: 999 };
        },
      ],
      [
        "wrong line ends",
        /bytes, and not/,
        ({ records }) => {
          const { record, i } = message(records, 0);
          if (record !== undefined) records[i] = { ...record, lines: "as-is" };
        },
      ],
      [
        "one entry for two folders",
        /two folders/,
        ({ records }) => {
          const { record, i } = message(records, 0);
          if (record !== undefined) records[i] = { ...record, folder: ["Other"] };
        },
      ],
      [
        "changed body",
        /SHA-256/,
        ({ entries }) => {
          const mbox = String(entries.get("INBOX.mbox")).replace("\n\n1\n", "\n\n7\n");
          entries.set("INBOX.mbox", Buffer.from(mbox));
        },
      ],
      [
        "changed From_ line",
        /From_ line/,
        ({ entries }) => {
          const mbox = String(entries.get("INBOX.mbox")).replace(/^From /, "Form ");
          entries.set("INBOX.mbox", Buffer.from(mbox));
        },
      ],
    ];
    for (const [what, problem, change] of cases) {
      await tamper(good, path, change);
      expect((await check(path)).problems.join("\n"), what).toMatch(problem);
    }
    await tamper(good, path, () => undefined);
    expect(await check(path)).toEqual({ messages: 3, problems: [] });
  });

  it("tells of a zip that is missing, or of another archive", async () => {
    await using place = await scratch();
    for (const name of ["a", "b"])
      for (const text of ["1\n", "2\n", "3\n"]) await writeRun(join(place.path, name), [[["INBOX"], [text]]]);
    const zipsOf = async (name: string) =>
      (await readdir(join(place.path, name))).filter((file) => file.endsWith(".zip")).sort();
    const [, second = ""] = await zipsOf("a");
    await unlink(join(place.path, "a", second));
    expect((await check(join(place.path, "a"))).problems).toEqual([expect.stringMatching(/0002 is missing/)]);
    const [, , third = ""] = await zipsOf("b");
    await rename(join(place.path, "b", third), join(place.path, "a", third.replace("0003", "0002")));
    expect((await check(join(place.path, "a"))).problems).toEqual([
      expect.stringMatching(/another archive/),
      expect.stringMatching(/says that it is number 0003/),
    ]);
  });

  it("tells of a zip that another program packed again", async () => {
    await using place = await scratch();
    const path = join(place.path, "x.zip");
    await writeRun(path, [[["INBOX"], ["a\r\n"]]]);
    const bytes = await readFile(path);
    const end = bytes.lastIndexOf(Buffer.from("PK\x05\x06", "latin1"));
    const bare = Buffer.from(bytes.subarray(0, end + 22));
    bare.writeUInt16LE(0, end + 20);
    await writeFile(path, bare);
    expect(await check(path)).toEqual({ messages: 1, problems: [expect.stringMatching(/has no seal/)] });
  });

  it("says what is no archive at all", async () => {
    await using place = await scratch();
    await expect(check(join(place.path, "none.zip"))).rejects.toMatchObject({ code: "config" });
    await expect(check(place.path)).rejects.toMatchObject({ code: "config" });
  });
});
