// The mboxzip sink: the shared promises in both of its shapes, and what is its own.

import { execFileSync } from "node:child_process";
import { cp, mkdir, mkdtemp, readdir, readFile, rename, rm, stat, unlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { openZip } from "../../src/formats/zip/read.ts";
import { errno } from "../../src/mail/errors.ts";
import { NO_TRAITS } from "../../src/mail/model.ts";
import { openMboxZipSink } from "../../src/sinks/mbox-zip.ts";
import { openMboxZipSource } from "../../src/sources/mbox-zip.ts";
import { sinkConformance } from "../conformance/sink.ts";
import {
  append,
  folder,
  gather,
  NEVER,
  ODD,
  restoreFrom,
  scratch,
  snapshot,
  writeRun,
} from "../formats/mboxzip/kit.ts";

const NO_REMOVE = { "says not-found for a copy that is gone": "an archive is never deleted from" };

async function place(): Promise<{ root: string; dispose(): Promise<void> }> {
  const root = await mkdtemp(join(tmpdir(), "mailferry-mboxzip-"));
  return { root, dispose: () => rm(root, { recursive: true, force: true }) };
}

for (const store of [false, true]) {
  const how = store ? "stored" : "deflated";
  sinkConformance(`FILE.zip, ${how},`, {
    async make() {
      const { root, dispose } = await place();
      const path = join(root, "mail.zip");
      return {
        sink: await openMboxZipSink({ path, job: "job", store }, NEVER),
        reopenSink: () => openMboxZipSink({ path, job: "job", store }, NEVER),
        asSource: () => openMboxZipSource({ path }, NEVER),
        dispose,
      };
    },
    skip: {
      ...NO_REMOVE,
      "is the same for a later run: generation, copies, bytes": "a finished file is not opened again",
    },
  });
  sinkConformance(`an archive that grows, ${how},`, {
    async make() {
      const { root, dispose } = await place();
      const path = join(root, "archive");
      return {
        sink: await openMboxZipSink({ path, job: "job", store }, NEVER),
        reopenSink: () => openMboxZipSink({ path, job: "job", store }, NEVER),
        asSource: () => openMboxZipSource({ path }, NEVER),
        dispose,
      };
    },
    skip: NO_REMOVE,
  });
}

async function zipsIn(path: string): Promise<string[]> {
  return (await readdir(path)).filter((name) => name.endsWith(".zip")).sort();
}

describe("a FILE.zip", () => {
  it("is there only when it is whole, and leaves nothing beside it", async () => {
    await using place = await scratch();
    const path = join(place.path, "mail.zip");
    const sink = await openMboxZipSink({ path, job: "job" }, NEVER);
    expect(await readdir(place.path)).toEqual([]);
    await append(await sink.open(folder("INBOX"), NEVER), "one\r\n");
    expect(await readdir(place.path)).toEqual(["mail.zip.part.d"]);
    await sink.seal(NEVER);
    await sink[Symbol.asyncDispose]();
    expect(await readdir(place.path)).toEqual(["mail.zip"]);
    expect((await stat(path)).mode & 0o777).toBe(0o600);
  });

  it("that is finished is accepted for the same job, and for no other", async () => {
    await using place = await scratch();
    const path = join(place.path, "mail.zip");
    await writeRun(path, [[["INBOX"], ["one\r\n", "two\r\n"]]], { job: "this job" });
    const before = await snapshot(place.path);
    await using again = await openMboxZipSink({ path, job: "this job" }, NEVER);
    expect(again.sealed).toMatchObject({ messages: 2, failed: 0 });
    const opened = await again.open(folder("INBOX"), NEVER);
    const origins: unknown[] = [];
    for await (const { origin } of opened.copies(undefined, NEVER)) origins.push(origin?.folder);
    expect(origins).toEqual([["INBOX"], ["INBOX"]]);
    await expect(append(opened, "late\r\n")).rejects.toMatchObject({ code: "config" });
    await again.seal(NEVER);
    await expect(openMboxZipSink({ path, job: "other job" }, NEVER)).rejects.toMatchObject({
      code: "config",
      message: /another command/,
      details: { hint: /another name.*directory/ },
    });
    expect(await snapshot(place.path)).toEqual(before);
  });

  it("is never written over what is something else", async () => {
    await using place = await scratch();
    const at = (name: string) => join(place.path, name);
    await writeFile(at("text.zip"), "somebody's");
    await mkdir(at("directory.zip"));
    await mkdir(at("taken.zip.part.d"));
    await writeFile(join(at("taken.zip.part.d"), "file"), "somebody's");
    await writeFile(at("file"), "x");
    const before = await snapshot(place.path);
    for (const name of ["text.zip", "directory.zip", "taken.zip", "nowhere/x.zip", "file/x.zip"])
      await expect(openMboxZipSink({ path: at(name), job: "job" }, NEVER), name).rejects.toMatchObject({
        code: "config",
      });
    expect(await snapshot(place.path)).toEqual(before);
  });

  it("that is half done goes on only for its own job", async () => {
    await using place = await scratch();
    const path = join(place.path, "mail.zip");
    const first = await openMboxZipSink({ path, job: "one" }, NEVER);
    const ref = await append(await first.open(folder("INBOX"), NEVER), "one\r\n");
    await first[Symbol.asyncDispose]();
    const before = await snapshot(place.path);
    await expect(openMboxZipSink({ path, job: "two" }, NEVER)).rejects.toMatchObject({ code: "config" });
    expect(await snapshot(place.path)).toEqual(before);
    await using again = await openMboxZipSink({ path, job: "one" }, NEVER);
    expect(again.identity).toBe(first.identity);
    const inbox = await again.open(folder("INBOX"), NEVER);
    expect(await gather(inbox.reopen({ ref }, NEVER))).toEqual(Buffer.from("one\r\n"));
    await append(inbox, "two\r\n");
    await again.seal(NEVER);
    expect((await restoreFrom(path)).map(({ bytes }) => String(bytes))).toEqual(["one\r\n", "two\r\n"]);
  });

  it("leaves its quarantine beside it, and overwrites none there", async () => {
    await using place = await scratch();
    const path = join(place.path, "mail.zip");
    await mkdir(`${path}.quarantine`);
    await writeFile(join(`${path}.quarantine`, "1.eml"), "older");
    await using sink = await openMboxZipSink({ path, job: "job" }, NEVER);
    await sink.open(folder("INBOX"), NEVER);
    await mkdir(join(sink.home ?? "", "quarantine", "sub"), { recursive: true });
    await writeFile(join(sink.home ?? "", "quarantine", "1.eml"), "newer");
    await writeFile(join(sink.home ?? "", "quarantine", "sub", "2.eml"), "two");
    await sink.seal(NEVER);
    await sink[Symbol.asyncDispose]();
    const { "mail.zip": _zip, ...rest } = await snapshot(place.path);
    expect(rest).toEqual({
      "mail.zip.quarantine/1.eml": "older",
      "mail.zip.quarantine/2-1.eml": "newer",
      "mail.zip.quarantine/sub/2.eml": "two",
    });
  });

  it("killed after it got its name and before the rest was removed is tidied by the next run", async () => {
    await using place = await scratch();
    const path = join(place.path, "mail.zip");
    const sink = await openMboxZipSink({ path, job: "job" }, NEVER);
    await append(await sink.open(folder("INBOX"), NEVER), "one\r\n");
    // As a kill leaves it: the spool, a quarantine, and the finished zip.
    await sink[Symbol.asyncDispose]();
    const kept = join(place.path, "kept");
    await cp(`${path}.part.d`, kept, { recursive: true });
    const again = await openMboxZipSink({ path, job: "job" }, NEVER);
    await again.seal(NEVER);
    await again[Symbol.asyncDispose]();
    await rename(kept, `${path}.part.d`);
    await mkdir(join(`${path}.part.d`, "mailferry", "quarantine"));
    await writeFile(join(`${path}.part.d`, "mailferry", "quarantine", "1.eml"), "one");
    await using later = await openMboxZipSink({ path, job: "job" }, NEVER);
    expect(later.sealed).toMatchObject({ messages: 1, failed: 0 });
    expect((await readdir(place.path)).sort()).toEqual(["mail.zip", "mail.zip.quarantine"]);
  });
});

describe("what a finished FILE.zip left behind", () => {
  it("is tidied wherever the tidying was killed, and nothing that is not its own", async () => {
    await using place = await scratch();
    const path = join(place.path, "mail.zip");
    const parts = `${path}.part.d`;
    await writeRun(path, [[["INBOX"], ["one\r\n"]]]);
    const reopen = async () => {
      await using sink = await openMboxZipSink({ path, job: "job" }, NEVER);
      expect(sink.sealed).toMatchObject({ messages: 1, failed: 0 });
      return (await readdir(place.path)).sort();
    };
    await mkdir(join(parts, "mailferry", "spool"), { recursive: true });
    expect(await reopen()).toEqual(["mail.zip"]);
    await mkdir(join(parts, "mailferry"), { recursive: true });
    await writeFile(join(parts, "mailferry", "archive.json"), '{"format":"mboxzip","version":1,"id":"somebody-elses"}');
    expect(await reopen()).toEqual(["mail.zip", "mail.zip.part.d"]);
    await unlink(join(parts, "mailferry", "archive.json"));
    await writeFile(join(parts, "mailferry", "letter.txt"), "x");
    expect(await reopen()).toEqual(["mail.zip", "mail.zip.part.d"]);
    expect(await readFile(join(parts, "mailferry", "letter.txt"), "utf8")).toBe("x");
  });
});

describe("an archive that grows", () => {
  it("gets a zip for each run with something new, and changes none that is there", async () => {
    await using place = await scratch();
    const path = join(place.path, "archive");
    await writeRun(path, [[["INBOX"], ["one\r\n"]]]);
    const [first = ""] = await zipsIn(path);
    expect(first).toMatch(/^0001-\d{8}T\d{6}Z\.zip$/);
    const bytes = await readFile(join(path, first));
    await writeRun(path, [[["INBOX"], []]]);
    expect(await zipsIn(path)).toEqual([first]);
    await writeRun(path, [[["INBOX"], ["two\r\n"]]], { job: "another selection" });
    const zips = await zipsIn(path);
    expect(zips.length).toBe(2);
    expect(zips[1]).toMatch(/^0002-/);
    expect((await readFile(join(path, first))).equals(bytes)).toBe(true);
    expect(await readdir(join(path, "mailferry", "spool"))).toEqual([]);
  });

  it("gets a zip with a manifest alone when only flags, or only a folder, are new", async () => {
    await using place = await scratch();
    const path = join(place.path, "archive");
    const [ref = ""] = await writeRun(path, [[["INBOX"], ["one\r\n"]]]);
    await using sink = await openMboxZipSink({ path, job: "job" }, NEVER);
    const inbox = await sink.open(folder("INBOX"), NEVER);
    await inbox.update?.({ ref }, { add: { ...NO_TRAITS, flags: new Set(["seen"]) }, remove: NO_TRAITS }, NEVER);
    await sink.seal(NEVER);
    await sink[Symbol.asyncDispose]();
    await writeRun(path, [[["Empty"], []]]);
    const zips = await zipsIn(path);
    expect(zips.length).toBe(3);
    for (const name of zips.slice(1)) {
      await using zip = await openZip(join(path, name));
      expect([...zip.entries.keys()]).toEqual(["manifest.jsonl"]);
    }
    expect((await restoreFrom(path)).map(({ traits }) => [...traits.flags])).toEqual([["seen"]]);
  });

  it("tells copies, positions and changes over all of its zips", async () => {
    await using place = await scratch();
    const path = join(place.path, "archive");
    const [one = ""] = await writeRun(path, [
      [["INBOX"], ["one\r\n"]],
      [["Other"], ["x\r\n"]],
    ]);
    await using sink = await openMboxZipSink({ path, job: "job" }, NEVER);
    const inbox = await sink.open(folder("INBOX"), NEVER);
    const start = await inbox.position(NEVER);
    const two = await append(inbox, "two\r\n");
    const list = async (since?: string) => {
      const found = [];
      for await (const { receipt, traits } of inbox.copies(since, NEVER)) found.push([receipt.ref, ...traits.flags]);
      return found;
    };
    expect(await list()).toEqual([[one], [two]]);
    expect(await list(start)).toEqual([[two]]);
    const change = { add: { ...NO_TRAITS, flags: new Set(["flagged"] as const) }, remove: NO_TRAITS };
    await Promise.all([inbox.update?.({ ref: one }, change, NEVER), inbox.update?.({ ref: two }, change, NEVER)]);
    expect(await list()).toEqual([
      [one, "flagged"],
      [two, "flagged"],
    ]);
    await sink.seal(NEVER);
    expect(await list()).toEqual([
      [one, "flagged"],
      [two, "flagged"],
    ]);
    expect(String(await gather(inbox.reopen({ ref: one }, NEVER)))).toBe("one\r\n");
    expect(await inbox.position(NEVER)).not.toBe(start);
  });

  it("is refused where something else is, and nothing is changed", async () => {
    await using place = await scratch();
    const at = (name: string) => join(place.path, name);
    await writeFile(at("file"), "x");
    await mkdir(at("full"));
    await writeFile(join(at("full"), "letter.txt"), "x");
    await mkdir(join(at("maildir"), "mailferry"), { recursive: true });
    const other = { format: "maildir", version: 1, id: "0123456789" };
    await writeFile(join(at("maildir"), "mailferry", "archive.json"), JSON.stringify(other));
    const before = await snapshot(place.path);
    for (const name of ["file", "full", "maildir"])
      await expect(openMboxZipSink({ path: at(name), job: "job" }, NEVER), name).rejects.toMatchObject({
        code: "config",
      });
    expect(await snapshot(place.path)).toEqual(before);
  });

  it("is written by one run at a time", async () => {
    await using place = await scratch();
    const path = join(place.path, "archive");
    await using one = await openMboxZipSink({ path, job: "job" }, NEVER);
    await one.open(folder("INBOX"), NEVER);
    await using two = await openMboxZipSink({ path, job: "job" }, NEVER);
    await expect(two.open(folder("INBOX"), NEVER)).rejects.toMatchObject({ code: "locked" });
  });

  it("keeps what an unfinished run gathered, even when its last zip was taken away since", async () => {
    await using place = await scratch();
    const path = join(place.path, "archive");
    for (const text of ["1\n", "2\n"]) await writeRun(path, [[["INBOX"], [text]]]);
    const killed = await openMboxZipSink({ path, job: "job" }, NEVER);
    await append(await killed.open(folder("INBOX"), NEVER), "3\n");
    await killed[Symbol.asyncDispose]();
    await unlink(join(path, (await zipsIn(path))[1] ?? ""));
    await writeRun(path, [[["INBOX"], ["4\n"]]]);
    expect((await zipsIn(path)).map((name) => name.slice(0, 4))).toEqual(["0001", "0003"]);
    expect((await restoreFrom(path)).map(({ bytes }) => String(bytes))).toEqual(["1\n", "3\n", "4\n"]);
  });

  it("goes on without mailferry/, as the archive that its zips say", async () => {
    await using place = await scratch();
    const path = join(place.path, "archive");
    await writeRun(path, [[["INBOX"], ["1\n"]]]);
    await rm(join(path, "mailferry"), { recursive: true });
    await writeRun(path, [[["INBOX"], ["2\n"]]]);
    expect((await restoreFrom(path)).map(({ bytes }) => String(bytes))).toEqual(["1\n", "2\n"]);
  });
});

/** Nothing is installed here, and nothing is skipped in silence. */
function program(name: string, ...args: string[]): string {
  try {
    return execFileSync(name, args).toString();
  } catch (error) {
    if (errno(error) === "ENOENT") throw new Error(`this test needs ${name}: apt-get install ${name}`);
    throw error;
  }
}

describe("other programs", () => {
  it("open it: unzip -t, and Python's mailbox with counts, flags and bodies", async () => {
    await using place = await scratch();
    const path = join(place.path, "mail.zip");
    await using sink = await openMboxZipSink({ path, job: "job" }, NEVER);
    const inbox = await sink.open(folder("INBOX"), NEVER);
    await append(inbox, "Subject: one\r\n\r\nFrom here\r\n\r\nFrom a@b Thu Jan  1 00:00:00 1970\r\n", {
      flags: new Set(["seen", "flagged", "answered"]),
      keywords: new Set(["$Forwarded"]),
    });
    for (const text of ODD) await append(inbox, text);
    await append(await sink.open(folder("Ümläute", "a/b"), NEVER), "Subject: two\r\n\r\nx");
    await sink.seal(NEVER);
    expect(program("unzip", "-t", path)).toContain("No errors detected");
    program("unzip", "-q", path, "-d", join(place.path, "out"));
    const script = `
import json, mailbox, sys
box = mailbox.mbox(sys.argv[1], create=False)
print(json.dumps([[m.get_flags(), m["Subject"] and str(m["Subject"]), m["X-Keywords"]] for m in box]))`;
    const run = (...names: string[]) => JSON.parse(program("python3", "-c", script, join(place.path, "out", ...names)));
    const all = run("INBOX.mbox");
    expect(all.length).toBe(ODD.length + 1);
    expect(all[0]).toEqual(
      ["ROFA", "one", "$Forwarded"].map((word, i) => (i === 0 ? expect.stringMatching(/^RO(FA|AF)$/) : word)),
    );
    expect(run("Ümläute", "a%2Fb.mbox")).toEqual([["O", "two", null]]);
  });
});
