// A name alone decides nothing: an mbox is one under the name of a mail program's own file, too, and also among messages.

import { appendFileSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Desk } from "../kit/cli.ts";
import { mbox, writeTree } from "../kit/disk-tree.ts";

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
