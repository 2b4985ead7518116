// Mail on disks as mail programs leave it: what can be read is read, all else is named with the way out, and nothing is "Complete".

import { execFileSync } from "node:child_process";
import { chmodSync, mkdirSync, readdirSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Desk, type Said } from "../kit/cli.ts";
import { FROM, letter, mbox, writeTree } from "../kit/disk-tree.ts";

let desk: Desk;
beforeEach(() => {
  desk = new Desk();
});
afterEach(() => desk[Symbol.dispose]());

const mail = (): string => desk.path("mail");
type Event = Readonly<Record<string, unknown>>;

interface Listed extends Said {
  /** Folders that can be read, by their paths. */
  readonly folders: readonly string[];
  readonly leftOut: readonly Event[];
}

async function list(place: string, ...more: string[]): Promise<Listed> {
  const said = await desk.run(["folders", place, "--json", ...more]);
  const events: Event[] = said.out
    .split("\n")
    .filter(Boolean)
    .map((line) => JSON.parse(line));
  return {
    ...said,
    folders: events.flatMap(({ type, selectable, name }) =>
      type === "folder" && selectable === true ? [`${name}`] : [],
    ),
    leftOut: events.filter(({ type }) => type === "left-out"),
  };
}

/** Backs up everything, and gives how many messages came. */
async function backup(place: string, ...more: string[]): Promise<Said & { copied: number; partial: boolean }> {
  const said = await desk.run(["backup", place, `maildir:${desk.path(`out${Math.random()}`)}`, "--json", ...more]);
  const last = said.out.trim().split("\n").at(-1) ?? "{}";
  const { summary } = JSON.parse(last) as { summary?: { balance: { copied: number }; outcome: string } };
  return { ...said, copied: summary?.balance.copied ?? -1, partial: summary?.outcome === "partial" };
}

const named = (leftOut: readonly Event[]): string[] =>
  leftOut.map(({ name, why }) => `${String(name).replace(`${mail()}/`, "")}: ${String(why)}`);

describe("trees that are read whole", () => {
  it.each<[string, string[], string[]]>([
    [
      "KMail's",
      ["inbox/", "sent-mail/", ".inbox.directory/Clients/", ".inbox.directory/.Clients.directory/Acme/"],
      ["inbox", "inbox/Clients", "inbox/Clients/Acme", "sent-mail"],
    ],
    ["one whose levels are hidden (mbsync's Legacy)", ["INBOX/", "A/", "A/.B/.C/"], ["INBOX", "A", "A/B/C"]],
    ["a Maildir++ with a folder that ends in directory", ["/", ".X.directory/"], ["INBOX", "X/directory"]],
    ["one in a folder called tmp", ["a/", "tmp/b/"], ["a", "tmp/b"]],
  ])("%s", async (_, paths, folders) => {
    writeTree(mail(), paths);
    for (const scheme of ["", "maildir:", "mbox:"]) {
      const listed = await list(`${scheme}${mail()}`);
      expect(listed).toMatchObject({ code: 0, leftOut: [] });
      // In a tree of mboxes any spelling of INBOX at the top is the inbox.
      const found = listed.folders.map((name) => name.toLowerCase()).sort();
      expect(found).toEqual(folders.map((name) => name.toLowerCase()).sort());
      expect(await backup(`${scheme}${mail()}`)).toMatchObject({ code: 0, copied: folders.length });
    }
  });

  it("Maildirs and mboxes beside each other, under either name; KMail's with mboxes; the names differ", async () => {
    writeTree(mail(), ["inbox/", "both/"]);
    writeTree(mail(), {
      archive: mbox("a"),
      ".archive.directory/2003": mbox("b"),
      ".inbox.directory/Old": mbox("c"),
      "both.mbox": mbox("d"),
    });
    for (const scheme of ["", "maildir:", "mbox:"]) {
      const listed = await list(`${scheme}${mail()}`);
      expect(listed).toMatchObject({ code: 0, leftOut: [] });
      expect(listed.folders.map((name) => name.toLowerCase()).sort()).toEqual(
        ["archive", "archive/2003", "both", "both (2)", "inbox", "inbox/old"].sort(),
      );
      expect(await backup(`${scheme}${mail()}`)).toMatchObject({ code: 0, copied: 6 });
    }
  });

  it("fifty folders deep", async () => {
    const deep = Array.from({ length: 50 }, (_, i) => `d${i}`).join("/");
    writeTree(mail(), ["a/", `${deep}/`]);
    expect(await backup(`maildir:${mail()}`)).toMatchObject({ code: 0, copied: 2 });
  });

  it("mailboxes that are called as index files are, and index files are none", async () => {
    writeTree(mail(), {
      Inbox: mbox("a"),
      "Inbox.msf": "// <!-- <mdb:mork:z v='1.4'/> -->",
      "Book.index": mbox("b"),
      "Thesis.toc": mbox("c"),
      "Door.lock": mbox("d"),
      "Real.index": `\x00\x01index\n\n${mbox("x")}`,
    });
    const listed = await list(`mbox:${mail()}`);
    expect(listed).toMatchObject({ code: 0, leftOut: [] });
    expect([...listed.folders].sort()).toEqual(["Book.index", "Door.lock", "INBOX", "Thesis.toc"]);
  });
});

describe("folders in the folder of the messages", () => {
  beforeEach(() => {
    writeTree(mail(), ["/"]);
    writeTree(mail(), { "cur/03/1704369603.a.host:2,FS": letter("a"), "cur/a7/1704369604.b.host:2,": letter("b") });
  });

  it("hold messages, as Evolution keeps them, with their flags; run again, nothing is copied", async () => {
    const target = `maildir:${desk.path("out")}`;
    expect((await desk.run(["backup", `maildir:${mail()}`, target])).code).toBe(0);
    expect(readdirSync(join(desk.path("out"), "cur")).filter((name) => name.endsWith(":2,FS"))).toHaveLength(1);
    const again = await desk.run(["backup", `maildir:${mail()}`, target]);
    expect(again).toMatchObject({ code: 0 });
    expect(again.err).toContain("3 already copied");
    expect((await desk.run(["verify", `maildir:${mail()}`, target])).code).toBe(0);
  });

  it("are named where they lie deeper, or are hidden", async () => {
    writeTree(mail(), { "cur/03/deep/1704369605.c.host:2,": letter("c"), "cur/.gone/x": letter("d") });
    const run = await backup(`maildir:${mail()}`, "-q");
    expect(run).toMatchObject({ code: 3, copied: 3, partial: true });
    expect(run.err).toContain("cur/03/deep: it is a folder in a folder among the messages");
    expect(run.err).toContain("cur/.gone: it is a hidden folder among the messages");
    const alone = await desk.run(["verify", `maildir:${mail()}`]);
    expect(alone.code).toBe(3);
    expect(alone.err).toContain("Not complete: 3 messages in");
    expect(alone.err).not.toContain("Sound");
  });
});

describe("a beginning that is damaged", () => {
  it("does not hide the rest: bare, by its folder, by its index, behind many NULs", async () => {
    const boxes = `garbage of a bad sector\n\n${mbox("a", "b")}`;
    writeTree(mail(), {
      Inbox: boxes,
      "Inbox.msf": "//",
      Old: Buffer.concat([Buffer.alloc(3 << 20), Buffer.from(`\n${mbox("c")}`)]),
    });
    expect(await backup(mail(), "-q")).toMatchObject({ code: 3, copied: 3 });
    expect(await backup(join(mail(), "Inbox"))).toMatchObject({ code: 3, copied: 2 });
  });

  it("and nothing behind it: what its index calls a mailbox is named", async () => {
    writeTree(mail(), { Sent: mbox("a"), Inbox: Buffer.alloc(5000), "Inbox.msf": "//" });
    const run = await backup(mail(), "-q");
    expect(run).toMatchObject({ code: 3, copied: 1 });
    expect(run.err).toContain("Inbox: a mail program calls it a mailbox, and no message begins in it");
  });
});

describe("Apple Mail's exports", () => {
  it("are called Tax, given alone or in their folder", async () => {
    writeTree(mail(), {
      "Tax.mbox/mbox": mbox("a"),
      "Tax.mbox/table_of_contents": "\0\0",
      "Tax/Sub.mbox/mbox": mbox("b"),
      "Travel.mbox/mbox": mbox("c"),
      "Travel.mbox/Inner.mbox/mbox": mbox("d"),
    });
    for (const scheme of ["", "mbox:", "maildir:"]) {
      const listed = await list(`${scheme}${mail()}`);
      expect(listed).toMatchObject({ code: 0, leftOut: [], err: "" });
      expect(listed.folders.filter((name) => name.startsWith("Tax"))).toEqual(["Tax", "Tax/Sub"]);
      expect(listed.folders).toHaveLength(4);
    }
    const target = `maildir:${desk.path("out")}`;
    for (const name of ["Tax", "Travel"])
      expect((await desk.run(["backup", join(mail(), `${name}.mbox`), target])).code).toBe(0);
    expect(readdirSync(desk.path("out")).filter((name) => /^\.T/.test(name))).toEqual([
      ".Tax",
      ".Travel",
      ".Travel.Inner",
    ]);
  });
});

describe("mail of other forms", () => {
  const zip = (name: string): Buffer => {
    const directory = Buffer.alloc(46 + name.length);
    directory.write("PK\x01\x02", 0, "latin1");
    directory.writeUInt16LE(name.length, 28);
    directory.write(name, 46, "latin1");
    return Buffer.concat([
      Buffer.from("PK\x03\x04"),
      Buffer.alloc(60),
      directory,
      Buffer.from("PK\x05\x06"),
      Buffer.alloc(18),
    ]);
  };
  const emlx = `120       \n${letter("e")}<?xml version="1.0"?>`;
  const FORMS: [string, Readonly<Record<string, string | Buffer>>, RegExp][] = [
    [
      "Apple Mail's store",
      { "INBOX.mbox/0F-11/Data/Messages/1.emlx": emlx, "INBOX.mbox/0F-11/Data/1/Messages/2.emlx": emlx },
      /INBOX\.mbox: holds 2 messages of Apple Mail's own store/,
    ],
    [
      ".eml",
      { "old/1.eml": letter("a"), "old/2.eml": letter("b") },
      /old: holds 2 messages in files by themselves \(\.eml\)/,
    ],
    [
      "MH",
      { "mh/inbox/1": letter("a"), "mh/inbox/.mh_sequences": "cur: 1" },
      /mh\/inbox: holds a message of an MH folder/,
    ],
    ["files without a form", { "saved/letter from ann": letter("a") }, /saved: holds a message in a file by itself/],
    ["MMDF", { box: `\x01\x01\x01\x01\n${letter("a")}\x01\x01\x01\x01\n` }, /box: is a mailbox in MMDF/],
    ["Babyl", { RMAIL: "BABYL OPTIONS: -*- rmail -*-\nVersion: 5\n\x1f" }, /RMAIL: is a mailbox in Babyl/],
    ["PST", { "archive.pst": "!BDN....SM" }, /archive\.pst: is an Outlook data file/],
    ["OLM", { "export.olm": zip("Accounts/a/message.xml") }, /export\.olm: is an archive of Outlook for Mac/],
    ["TNEF", { "winmail.dat": Buffer.from("789f3e22aabb", "hex") }, /winmail\.dat: is mail of Outlook in TNEF/],
    [
      "Outlook Express",
      { "Inbox.dbx": Buffer.from("cfad12fec5fd746f", "hex") },
      /Inbox\.dbx: is a folder of Outlook Express/,
    ],
    [
      "Pegasus",
      { "FOL0001.PMM": Buffer.alloc(128, 7), "A.CNM": letter("a") },
      /FOL0001\.PMM: is a folder of Pegasus Mail/,
    ],
    ["The Bat!", { "MESSAGES.TBB": Buffer.from("!\x09p\x19") }, /MESSAGES\.TBB: is a folder of The Bat!/],
    [
      "a zip of Takeout",
      { "takeout.zip": zip("Takeout/Mail/All mail.mbox") },
      /takeout\.zip: is a packed archive that holds mail/,
    ],
    ["a packed mbox", { "list.mbox.gz": gzipSync(mbox("a")) }, /list\.mbox\.gz: is a packed mailbox/],
    [
      "a packed mbox under another name",
      { "2019-March.txt.gz": gzipSync(mbox("a")) },
      /2019-March\.txt\.gz: is a packed mailbox/,
    ],
  ];

  it.each(FORMS)("%s beside mail is named, and the mail is read", async (_, files, said) => {
    writeTree(mail(), { ...files, Good: mbox("good") });
    const run = await backup(mail(), "-q");
    expect(run).toMatchObject({ code: 3, copied: 1 });
    expect(run.err).toMatch(said);
    const { leftOut } = await list(mail());
    for (const { hint } of leftOut) expect(hint).toMatch(/^[A-Z].*/);
    const args = leftOut.flatMap(({ folder }) => ["--exclude", (folder as string[]).join("/")]);
    const without = await backup(mail(), ...args);
    expect(without).toMatchObject({ code: 0, copied: 1 });
    expect(without.err).not.toContain("nothing is left out");
  });

  it.each(FORMS)("%s instead of mail is named, with the way out", async (_, files, said) => {
    writeTree(mail(), files);
    for (const place of [mail(), `maildir:${mail()}`, `mbox:${mail()}`]) {
      const { code, err } = await backup(place);
      expect(code).toBe(2);
      expect(err.replace(/; (\S*) (holds|is) /, "; $1: $2 ")).toMatch(said);
      expect(err).toMatch(/ (?:Make|Export|In Apple Mail|Copy|Unpack|Give) /);
    }
  });

  it.each(FORMS.filter(([, files]) => Object.keys(files).length === 1 && !Object.keys(files)[0]?.endsWith(".zip")))(
    "%s as the file itself is named",
    async (_, files) => {
      writeTree(mail(), files);
      const [name = ""] = Object.keys(files);
      const { code, err } = await backup(join(mail(), name));
      expect(code).toBe(2);
      expect(err).toContain(`${name} is `);
      expect(err).toContain("which is not read.");
    },
  );

  it("what the hint makes of single messages is read", async () => {
    writeTree(mail(), {
      "it's MY FILES/1.eml": letter("a"),
      "it's MY FILES/2.eml": letter("b"),
      "mh/1": letter("c"),
      "mh/2": letter("d"),
      "saved/x": letter("e"),
    });
    const { leftOut } = await list(mail()).then(async (first) =>
      first.code === 2 ? { leftOut: await leftOutBeside() } : first,
    );
    expect(leftOut).toHaveLength(3);
    for (const [i, { hint, messages }] of leftOut.entries()) {
      const command = /: (mkdir .*)$/.exec(String(hint))?.[1] ?? "";
      const place = desk.path(`new${i}`);
      execFileSync("sh", ["-c", command.replaceAll("NEW", place)]);
      expect(await backup(`maildir:${place}`)).toMatchObject({ code: 0, copied: messages });
    }
  });

  async function leftOutBeside(): Promise<readonly Event[]> {
    writeFileSync(join(mail(), "Good"), mbox("good"));
    return (await list(mail())).leftOut;
  }

  it("what the hint says of an mbox in an archive, and of a hidden one, is read", async () => {
    desk.put("box", ["a"]);
    await desk.run(["backup", desk.path("box"), `maildir:${mail()}`]);
    writeTree(mail(), { "Old mail": mbox("b", "c") });
    const restore = await desk.run(["restore", mail(), `maildir:${desk.path("restored")}`, "-q"]);
    expect(restore.code).toBe(3);
    const place = /Give it by itself: '(.+)'/.exec(restore.err)?.[1] ?? "";
    expect(await backup(place)).toMatchObject({ code: 0, copied: 2 });
    writeTree(desk.path("other"), { Good: mbox("a"), ".hidden": mbox("b") });
    const run = await backup(desk.path("other"));
    expect(run.code).toBe(3);
    expect(await backup(/Give it by itself: (\S+)/.exec(run.err)?.[1] ?? "")).toMatchObject({ code: 0, copied: 1 });
  });

  it("what is no mail is none: pictures, texts, empty files, a program's folders, other zips", async () => {
    writeTree(mail(), {
      Good: mbox("a"),
      "notes.txt": "Dear diary,\n",
      "photo.jpg": Buffer.from("ffd8ffe0", "hex"),
      "photos.zip": zip("img/1.jpg"),
      "site.tar.gz": gzipSync("nothing"),
      "popstate.dat": "",
      ".git/config": "[core]",
      ".DS_Store": "\0\0\0\x01Bud1",
      "lost+found/x": "a text",
      "README.md": "Title: x\n\ntext\n",
    });
    expect(await backup(mail())).toMatchObject({ code: 0, copied: 1 });
    writeTree(desk.path("maildir"), ["/", ".Sent/"]);
    writeTree(desk.path("maildir"), {
      "dovecot-uidlist": "3 V1 N1",
      "dovecot.index.log": "\x01\x02",
      subscriptions: "Sent\n",
      maildirsize: "100S\n",
      ".Sent/maildirfolder": "",
      ".notmuch/xapian/x": "x",
      "courierimapkeywords/:list": "x",
    });
    expect(await backup(desk.path("maildir"))).toMatchObject({
      code: 0,
      copied: 2,
      err: expect.not.stringContaining("not read"),
    });
  });
});

describe("links", () => {
  it("inside the tree are followed where nothing else leads, once, and none round in a circle", async () => {
    writeTree(mail(), [
      "Sent/",
      ".store/Projects/",
      "Projects → .store/Projects",
      "Sent Items → Sent",
      "self → .",
      "Sent/loop → ..",
      "Linked/x → ../.store",
    ]);
    writeTree(mail(), { ".store/Box": mbox("a"), "Box → .store/Box": "", "Box again → Box": "" });
    for (const scheme of ["maildir:", "mbox:"]) {
      const listed = await list(`${scheme}${mail()}`);
      expect(listed).toMatchObject({ code: 0, leftOut: [] });
      expect([...listed.folders].sort()).toEqual(["Box", "Projects", "Sent"]);
      expect(await backup(`${scheme}${mail()}`)).toMatchObject({ code: 0, copied: 3 });
    }
  });

  it("that lead out are named, and followed with --follow-links", async () => {
    writeTree(desk.path("away"), ["Work/", "cur/"]);
    writeTree(desk.path("away"), { Box: mbox("a"), "notes.txt": "x" });
    writeTree(mail(), [
      "Sent/",
      "Work → ../away/Work",
      "Box → ../away/Box",
      "notes → ../away/notes.txt",
      ".Half/x → y",
    ]);
    mkdirSync(join(mail(), "Split"));
    writeTree(mail(), ["Split/cur → ../../away/cur/cur"]);
    for (const scheme of ["maildir:", "mbox:"]) {
      const { code, folders, leftOut } = await list(`${scheme}${mail()}`);
      expect(code).toBe(3);
      expect(folders).toEqual(["Sent"]);
      expect(named(leftOut).sort()).toEqual([
        `.Half/x: it is a link to y, which is not there`,
        `Box: it is a link that leads out of the folder, to ${desk.path("away/Box")}`,
        `Split/cur: it is a link that leads out of the folder, to ${desk.path("away/cur/cur")}`,
        `Work: it is a link that leads out of the folder, to ${desk.path("away/Work")}`,
      ]);
      const all = await list(`${scheme}${mail()}`, "--follow-links", "--exclude", ".Half/**", "--exclude", "Half/**");
      expect(all.code).toBe(0);
      expect([...all.folders].sort()).toEqual(["Box", "Sent", "Split", "Work"]);
      expect(await backup(`${scheme}${mail()}`, "--follow-links")).toMatchObject({ code: 3, copied: 4 });
    }
  });

  it("of locks lead nowhere, and are no mail", async () => {
    writeTree(mail(), ["lock → 127.0.1.1:+4711", ".#Inbox → ann@host.4711:1700000000"]);
    writeTree(mail(), { Inbox: mbox("a") });
    expect(await backup(mail())).toMatchObject({ code: 0, copied: 1 });
  });

  it.each([[], ["--follow-links"]])("in an archive of ours are never followed (%s)", async (...options) => {
    const secret = desk.path("secret");
    writeTree(secret, ["cur/"]);
    renameSync(join(secret, "cur"), join(secret, "box"));
    desk.put("box", ["a"]);
    desk.put("box", ["b"], "Sent");
    await desk.run(["backup", desk.path("box"), `maildir:${mail()}`]);
    writeTree(mail(), [`.Stolen → ../secret/box`, ".Odd/cur → ../../secret/box/cur", ".Again → .Sent"]);
    const out = desk.path("restored");
    const restore = await desk.run(["restore", mail(), `maildir:${out}`, "-q", ...options]);
    expect(restore.code).toBe(3);
    expect(restore.err).toContain(".Stolen: it is a link, and in an archive no link is followed");
    expect(restore.err).toContain(".Odd/cur: it is a link, and in an archive no link is followed");
    expect(readdirSync(out).filter((name) => /^\.[A-Z]/.test(name))).toEqual([".Sent"]);
    const alone = await desk.run(["verify", mail(), ...options]);
    expect(alone.code).toBe(3);
    expect(alone.err).not.toContain("Sound");
  });
});

it("an mbox of one's own name in a Maildir is read as before when nothing else is there", async () => {
  writeTree(mail(), { Inbox: `${FROM}${letter("a")}` });
  expect(await backup(join(mail(), "Inbox"))).toMatchObject({ code: 0, copied: 1 });
});

describe("what may not be read", () => {
  // Root may read everything: then as nobody.
  const asSomebody = async <T>(work: () => Promise<T>): Promise<T> => {
    if (process.geteuid?.() !== 0) return await work();
    // What is loaded when it is needed may lie where nobody may look.
    await work();
    process.seteuid?.(65534);
    try {
      return await work();
    } finally {
      process.seteuid?.(0);
    }
  };

  it("is named: a hidden folder, a level, a folder of messages, an mbox; all else is carried", async () => {
    writeTree(mail(), ["/", ".Sent/", "nested/Clients/", "Closed/", "Open/"]);
    writeTree(mail(), { Old: mbox("a"), "sub/Good": mbox("b") });
    const { folders } = await list(`maildir:${mail()}`);
    expect(folders).toHaveLength(7);
    const closed = [".Sent", "nested", "Closed/cur", "Old"].map((name) => join(mail(), name));
    chmodSync(desk.root, 0o777);
    for (const place of closed) chmodSync(place, 0o700);
    if (process.geteuid?.() !== 0) for (const place of closed) chmodSync(place, 0o000);
    const run = await asSomebody(() => backup(`maildir:${mail()}`, "-q"));
    let turn = 0;
    const pair = await asSomebody(async () => {
      const target = `maildir:${desk.path(`whole${turn++}`)}`;
      await desk.run(["backup", `maildir:${mail()}`, target]);
      return await desk.run(["verify", `maildir:${mail()}`, target, "-q"]);
    });
    const alone = await asSomebody(() => desk.run(["verify", `maildir:${mail()}`]));
    const boxes = await asSomebody(() => list(`mbox:${mail()}`));
    for (const place of closed) chmodSync(place, 0o755);
    expect(run).toMatchObject({ code: 3, copied: 3, partial: true });
    for (const name of [".Sent", "nested", "Closed", "Old"])
      expect(run.err).toContain(`${join(mail(), name)}: it may not be read (EACCES)`);
    expect(run.err).not.toContain("The balance closes");
    expect(pair).toMatchObject({
      code: 3,
      err: expect.stringContaining("Not complete: 3 messages of the source are in"),
    });
    expect(alone).toMatchObject({ code: 3, err: expect.stringContaining("Not complete: 3 messages in") });
    expect(boxes.code).toBe(3);
    expect(boxes.leftOut).toHaveLength(4);
  });
});

it("an archive of ours is no folder of mboxes, and where one lies in a tree its own files are no mail", async () => {
  desk.put("box", ["a"]);
  await desk.run(["backup", desk.path("box"), `maildir:${join(mail(), "archive")}`]);
  mkdirSync(join(mail(), "archive", "mailferry", "quarantine"), { recursive: true });
  writeFileSync(join(mail(), "archive", "mailferry", "quarantine", "x.eml"), letter("x"));
  expect(await backup(`maildir:${mail()}`)).toMatchObject({ code: 0, copied: 1 });
  const refused = await backup(`mbox:${join(mail(), "archive")}`);
  expect(refused.code).toBe(2);
  const place = /Write (\S+)\.$/m.exec(refused.err)?.[1] ?? "";
  expect(await backup(place)).toMatchObject({ code: 0, copied: 1 });
});
