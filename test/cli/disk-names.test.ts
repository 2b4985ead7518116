// A name alone decides nothing: an mbox is one under the name of a mail program's own file, too, and also among messages.

import { execFileSync } from "node:child_process";
import { appendFileSync, readdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Desk } from "../kit/cli.ts";
import { FROM, letter, mbox, writeTree } from "../kit/disk-tree.ts";

let desk: Desk;
beforeEach(() => {
  desk = new Desk();
});
afterEach(() => desk[Symbol.dispose]());

const mail = (): string => desk.path("mail");

describe("an mbox under the name of a program's own file, beside Maildirs", () => {
  const NAMES = [
    "subscriptions",
    "Subscriptions",
    "maildirsize",
    "dovecot-uidlist",
    "dovecot.index",
    "dovecot.mailbox.log",
    "Thumbs.db",
    "courierimapsubscribed",
    "cyrus.cache",
    "maildirfolder",
  ];

  it.each(["/", "Work/"])("at the top where %s is a Maildir: read", async (maildir) => {
    writeTree(mail(), [maildir]);
    writeTree(mail(), Object.fromEntries(NAMES.map((name, i) => [name, mbox(`a${i}`, `b${i}`)])));
    for (const [place, out] of [
      [mail(), "bare"],
      [`maildir:${mail()}`, "maildir"],
    ] as const) {
      const target = `maildir:${desk.path(out)}`;
      const run = await desk.run(["backup", place, target]);
      expect(run.code).toBe(0);
      expect(run.err).toMatch(new RegExp(`copied +${1 + 2 * NAMES.length} `));
      const verify = await desk.run(["verify", place, target]);
      expect(verify.code).toBe(0);
      expect(verify.out + verify.err).toContain(`${1 + 2 * NAMES.length} messages`);
    }
  });

  it("a hidden one is named; one behind blank lines and a byte order mark is read", async () => {
    writeTree(mail(), ["Work/"]);
    writeTree(mail(), { ".subscriptions": mbox("a"), Subscriptions: `\u{feff}\n\n${mbox("b")}` });
    const run = await desk.run(["backup", mail(), `maildir:${desk.path("out")}`]);
    expect(run.code).toBe(3);
    expect(run.err).toContain(".subscriptions: it is an mbox whose name is hidden");
    expect(run.err).toMatch(/copied +2 /);
  });

  it("what such a program does keep in them is no mail, and no folder's name is taken from an mbox", async () => {
    writeTree(mail(), ["/", ".Work/"]);
    writeTree(mail(), {
      "dovecot-uidlist": "3 V1704369600 N2 G0\n1 :1704369600.root.host\n",
      maildirsize: "1000S\n120 1\n",
      courierimapsubscribed: "INBOX.Work\n",
      "dovecot.index": Buffer.alloc(200, 7),
      "cyrus.cache": "From nowhere\n",
      subscriptions: mbox("a"),
    });
    const run = await desk.run(["folders", mail(), "--json"]);
    expect(run.code).toBe(0);
    const folders = run.out
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as { type: string; name?: string; subscribed?: boolean })
      .filter(({ type }) => type === "folder");
    expect(folders.map(({ name }) => name).sort()).toEqual(["INBOX", "Work", "subscriptions"]);
    expect(folders.find(({ name }) => name === "Work")?.subscribed).toBe(true);
  });

  it("an archive's list of subscriptions is not written into an mbox", async () => {
    writeTree(mail(), ["/", ".Work/"]);
    writeTree(mail(), { subscriptions: "Work\n" });
    const archive = desk.path("archive");
    await desk.run(["backup", `maildir:${mail()}`, `maildir:${archive}`]);
    writeFileSync(join(archive, "subscriptions"), mbox("a"));
    writeTree(mail(), [".More/"]);
    appendFileSync(join(mail(), "subscriptions"), "More\n");
    await desk.run(["backup", `maildir:${mail()}`, `maildir:${archive}`]);
    expect(readFileSync(join(archive, "subscriptions"), "utf8")).toBe(mbox("a"));
    const restore = await desk.run(["restore", archive, `maildir:${desk.path("back")}`]);
    expect(restore.code).toBe(3);
    expect(restore.err).toContain("subscriptions: it is an mbox, and no part of this archive");
  });
});

describe("an mbox among the messages of a Maildir", () => {
  /** What a backup of the Maildir copied, and what it said. */
  async function backup(): Promise<{ code: number; err: string; copied: number }> {
    const run = await desk.run(["backup", `maildir:${mail()}`, `maildir:${desk.path(`out${Math.random()}`)}`]);
    return { ...run, copied: Number(/copied +(\d+)/.exec(run.err)?.[1] ?? -1) };
  }

  it.each<[string, string, string | Buffer]>([
    ["in cur", "cur/Archive2003", mbox("a", "b", "c")],
    ["in new, with CRLF", "new/old mail:2,S", mbox("a", "b", "c").replaceAll("\n", "\r\n")],
    ["with a large first message", "cur/large", `${mbox("a")}${"a line\n".repeat(60_000)}\n${mbox("b", "c")}`],
    ["packed", `cur/1704369600.M1.h,S=${mbox("a", "b", "c").length}:2,`, gzipSync(mbox("a", "b", "c"))],
  ])("%s is named and not copied as one message; what the hint says is read", async (_, path, content) => {
    writeTree(mail(), ["/"]);
    writeTree(mail(), { [path]: content });
    const run = await backup();
    expect(run).toMatchObject({ code: 3, copied: 1 });
    expect(run.err).toContain(`${path} is an mbox, and no single message`);
    if (path.includes(",S=")) return;
    const place = /Give it by itself: (?:'([^']+)'|([^\s;]+))/.exec(run.err);
    const again = await desk.run(["backup", place?.[1] ?? place?.[2] ?? "", `maildir:${desk.path("its")}`]);
    expect(again.code).toBe(0);
    expect(again.err).toMatch(/copied +3 /);
    renameSync(join(mail(), path), join(mail(), "moved"));
    expect(await backup()).toMatchObject({ code: 0, copied: 4 });
  });

  it.each([
    ["one From_ line in front", mbox("a")],
    ["prose that begins as a separator does", `${mbox("a")}\nFrom ann@a.example Thu Jan  4 12:00:00 2024\nshe wrote\n`],
    [
      "a quoted piece of another's header",
      `${mbox("a")}\nFrom ann@a.example Thu Jan  4 12:00:00 2024\nSubject: x\n\nshe wrote\n`,
    ],
    ["no From_ line, but the word", `From here to there\n${letter("a")}`],
    ["another one in an attachment", `${FROM}${attached(mbox("b", "c"))}`],
    ["a quoted one", `${mbox("a")}> ${mbox("b")}`],
  ])("a message with %s stays one", async (_, content) => {
    writeTree(mail(), ["/"]);
    writeTree(mail(), { "cur/1704369601.M1.h:2,S": content });
    expect(await backup()).toMatchObject({ code: 0, copied: 2 });
  });
});

describe("what the hint makes of single messages among other files", () => {
  const others = {
    Old: mbox("x", "y"),
    "1999": mbox("z"),
    "1998 archive": mbox("z"),
    "Notes.pdf": "%PDF-1.4\nFrom: a\nTo: b\nDate: c\nSubject: d\n",
    "arch.mbox.gz": gzipSync(mbox("q")),
    todo: "Subject: shopping\n\nmilk\n",
    "mail.tar": `a\0\0${letter("t")}`,
  };
  const many = (name: (n: number) => string): Record<string, string> =>
    Object.fromEntries(Array.from({ length: 15 }, (_, n) => [name(n), letter(`m${n}`)]));

  it.each<[string, Record<string, string>]>([
    ["one", { "loose message": letter("a") }],
    ["some, one of them hidden", { "it's": letter("a"), ".b": letter("b"), c: `>From x\n${letter("c")}` }],
    ["numbers", { 1: letter("a"), 20: letter("b") }],
    ["many", many((n) => `loose message ${n}`)],
    ["many numbers", many((n) => `${n + 1}`)],
  ])("%s: these and nothing else", async (_, messages) => {
    writeTree(mail(), ["/"]);
    const folder = "My Work";
    writeTree(join(mail(), folder), { ...others, ...messages });
    const run = await desk.run(["backup", mail(), `maildir:${desk.path("out")}`]);
    expect(run.code).toBe(3);
    const commands = [...run.err.matchAll(/: (mkdir -p NEW.*)$/gm)].map(([, command]) => command ?? "");
    expect(commands).toHaveLength(1);
    const place = desk.path("new");
    execFileSync("sh", ["-c", commands[0]?.replaceAll("NEW", place) ?? ""]);
    const made = readdirSync(join(place, "cur")).map((name) => readFileSync(join(place, "cur", name), "utf8"));
    expect(made.sort()).toEqual(Object.values(messages).sort());
    const again = await desk.run(["backup", `maildir:${place}`, `maildir:${desk.path("again")}`]);
    expect(again.code).toBe(0);
    expect(again.err).toMatch(new RegExp(`copied +${made.length} `));
  });

  it.each(["", "mbox:"])("of a message that is given by itself (%s), that alone", async (scheme) => {
    writeTree(mail(), { ...others, "a letter": letter("a"), another: letter("b") });
    const run = await desk.run(["backup", scheme + join(mail(), "a letter"), `maildir:${desk.path("out")}`]);
    expect(run.code).toBe(2);
    const command = /: (mkdir -p NEW.*)$/m.exec(run.err)?.[1] ?? "";
    execFileSync("sh", ["-c", command.replaceAll("NEW", desk.path("new"))]);
    expect(readdirSync(desk.path("new/cur"))).toEqual(["a letter"]);
  });
});

/** A message with that as an attachment. */
function attached(text: string): string {
  return `${letter("m").replace("\n\n", '\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary="b-1"\n\n--b-1\n\n')}--b-1\nContent-Type: text/plain\n\n${text}\n--b-1--\n`;
}
