// Promise: mail programs' mboxes are read as folders with flags, dates and names, and the messages stay byte for byte theirs.

import { appendFile, chmod, mkdir, mkdtemp, readFile, rm, symlink, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join as joinPath } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Folder } from "../../src/mail/model.ts";
import { showPath } from "../../src/mail/model.ts";
import { type MboxSourceOptions, openMboxSource } from "../../src/sources/mbox.ts";
import type { Incoming, Source } from "../../src/sources/source.ts";
import { bytes, join } from "../formats/mbox/kit.ts";

const FROM = "From a@b.example Sat Jan  3 01:05:34 2015\n";
const { signal } = new AbortController();
let root = "";

beforeEach(async () => {
  root = await mkdtemp(joinPath(tmpdir(), "mailferry-mbox-"));
});
afterEach(() => rm(root, { recursive: true, force: true }));

async function put(name: string, content: string | Buffer): Promise<string> {
  const path = joinPath(root, name);
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, typeof content === "string" ? bytes(content) : content);
  return path;
}

async function folders(source: Source): Promise<Folder[]> {
  const list: Folder[] = [];
  for await (const folder of source.folders(signal)) list.push(folder);
  return list;
}

interface Got {
  readonly incoming: Incoming;
  readonly text: string;
}

async function readAll(source: Source, want: () => boolean = () => true): Promise<Got[]> {
  const got: Got[] = [];
  for (const folder of await folders(source))
    for await (const slice of source.slices(folder, signal))
      for await (const incoming of source.read(slice, { want, signal }))
        got.push({ incoming, text: (await join(incoming.content)).toString("latin1") });
  return got;
}

async function messages(content: string | Buffer, options: Partial<MboxSourceOptions> = {}): Promise<Got[]> {
  const path = await put("box", content);
  await using source = await openMboxSource({ path, ...options }, signal);
  return readAll(source);
}

async function traitsOf(
  header: string,
): Promise<{ flags: string[]; keywords: string[]; labels: string[]; text: string }> {
  const [got] = await messages(`${FROM}${header}Subject: x\n\nbody\n`);
  if (got === undefined) throw new Error("no message");
  const { flags, keywords, labels } = got.incoming.entry.traits;
  return { flags: [...flags].sort(), keywords: [...keywords].sort(), labels: [...labels], text: got.text };
}

describe("a single file", () => {
  test("is a folder called as the file without .mbox, and INBOX in any spelling", async () => {
    for (const [file, name] of [
      ["Sent.mbox", "Sent"],
      ["Inbox", "INBOX"],
      ["INBOX.MBOX", "INBOX"],
      ["mail.2019", "mail.2019"],
    ] as const) {
      const path = await put(file, `${FROM}A: 1\n`);
      await using source = await openMboxSource({ path }, signal);
      const list = await folders(source);
      expect(list.map((folder) => folder.path)).toEqual([[name]]);
      expect(list[0]?.use).toBe(name === "INBOX" ? "inbox" : undefined);
      expect(source.identity).toMatch(new RegExp(`^mbox:/.*/${file.replace(".", "\\.")}$`));
    }
  });

  test("that is no mbox, or is not there, is refused by name", async () => {
    const path = await put("letter.txt", "Dear all,\n");
    await expect(openMboxSource({ path }, signal)).rejects.toMatchObject({
      code: "config",
      message: expect.stringContaining("letter.txt is not an mbox"),
    });
    await expect(openMboxSource({ path: `${path}.gone` }, signal)).rejects.toMatchObject({
      code: "config",
      message: expect.stringContaining("letter.txt.gone"),
    });
  });

  test("that is empty holds no messages", async () => {
    expect(await messages("")).toEqual([]);
  });

  test("offers every entry to want once, and yields what is wanted", async () => {
    const path = await put("box", `${FROM}A: 1\n\n${FROM}B: 2\n\n${FROM}C: 3\n`);
    await using source = await openMboxSource({ path }, signal);
    let asked = 0;
    const got = await readAll(source, () => ++asked === 2);
    expect(asked).toBe(3);
    expect(got.map(({ text }) => text)).toEqual(["B: 2\n"]);
    expect(got[0]?.incoming.entry.origin).toMatchObject({ folder: ["box"], id: String(FROM.length + 6) });
    expect(got[0]?.incoming.entry.size).toBe(5);
  });

  test("gives the same origins again, and new ones when its state changed", async () => {
    const path = await put("box", `${FROM}A: 1\n\n`);
    const origins = async () => {
      await using source = await openMboxSource({ path }, signal);
      const [folder] = await folders(source);
      const got = await readAll(source);
      return { state: folder?.state, all: got.map(({ incoming }) => incoming.entry.origin) };
    };
    const first = await origins();
    expect(await origins()).toEqual(first);
    expect(first.state?.startsWith(first.all[0]?.generation ?? "none")).toBe(true);
    await appendFile(path, `${FROM}B: 2\n`);
    const grown = await origins();
    expect(grown.all).toHaveLength(2);
    expect(grown.state).not.toBe(first.state);
    await utimes(path, 1, 1);
    expect((await origins()).state).not.toBe(grown.state);
  });

  test("ends quietly between two messages when the signal is aborted", async () => {
    const path = await put("box", `${FROM}A: 1\n\n${FROM}B: 2\n`);
    await using source = await openMboxSource({ path }, signal);
    const controller = new AbortController();
    const [folder] = await folders(source);
    if (folder === undefined) throw new Error("no folder");
    let count = 0;
    for await (const incoming of source.read({ folder }, { want: () => true, signal: controller.signal })) {
      count++;
      controller.abort();
      expect((await join(incoming.content)).toString()).toBe("A: 1\n");
    }
    expect(count).toBe(1);
  });

  test("that changes while it is read ends with an error that asks for another run", async () => {
    const path = await put("box", `${FROM}A: 1\n\n${FROM}B: 2\n`);
    await using source = await openMboxSource({ path }, signal);
    const [folder] = await folders(source);
    if (folder === undefined) throw new Error("no folder");
    const reading = async () => {
      for await (const { content } of source.read({ folder }, { want: () => true, signal })) {
        await join(content);
        await appendFile(path, "\nmore\n");
      }
    };
    await expect(reading()).rejects.toMatchObject({ details: { scope: "folder", remedy: "retry" } });
  });

  test("that is cut short while it is read never gives a short message as a whole one", async () => {
    const path = await put("box", `${FROM}A: 1\n\n${"x".repeat(5_000_000)}\n`);
    await using source = await openMboxSource({ path }, signal);
    const [folder] = await folders(source);
    if (folder === undefined) throw new Error("no folder");
    const reading = async () => {
      for await (const { content } of source.read({ folder }, { want: () => true, signal })) {
        let first = true;
        for await (const _ of content) {
          if (first) await writeFile(path, FROM);
          first = false;
        }
      }
    };
    await expect(reading()).rejects.toMatchObject({ details: { scope: "folder", remedy: "retry" } });
  });
});

describe("traits", () => {
  test("of Status and X-Status are flags", async () => {
    expect((await traitsOf("Status: RO\nX-Status: AFDT\n")).flags).toEqual([
      "answered",
      "deleted",
      "draft",
      "flagged",
      "seen",
    ]);
    expect((await traitsOf("Status: O\n")).flags).toEqual([]);
    expect((await traitsOf("status: R\nx-status:\n")).flags).toEqual(["seen"]);
    expect((await traitsOf("")).flags).toEqual([]);
  });

  test("of X-Keywords and X-Mozilla-Keys are keywords, one a name", async () => {
    const { keywords, text } = await traitsOf(
      "X-Keywords: work $Forwarded     \nX-Mozilla-Keys: $label1\n\t$LABEL2 WORK                    \n",
    );
    expect(keywords).toEqual(["$Forwarded", "$LABEL2", "$label1", "work"]);
    expect(text).toBe("Subject: x\n\nbody\n");
  });

  test("of X-Mozilla-Status are flags, forwarded, and deleted where it awaits compaction", async () => {
    expect(await traitsOf("X-Mozilla-Status: 0007\n")).toMatchObject({ flags: ["answered", "flagged", "seen"] });
    expect(await traitsOf("X-Mozilla-Status: 0009\nX-Mozilla-Status2: 00000000\n")).toMatchObject({
      flags: ["deleted", "seen"],
    });
    expect(await traitsOf("X-Mozilla-Status: 1001\nX-Mozilla-Status2: 00800000\n")).toMatchObject({
      flags: ["seen"],
      keywords: ["$Forwarded", "$MDNSent"],
    });
    expect(await traitsOf("X-Mozilla-Status: 0000\nX-Mozilla-Status2: 08200000\n")).toMatchObject({
      flags: ["deleted"],
      keywords: ["$label4"],
    });
    expect(await traitsOf("X-Mozilla-Status: 0000\nX-Mozilla-Status2: f0000000\n")).toMatchObject({
      flags: [],
      keywords: [],
    });
  });

  test("of X-Gmail-Labels are labels, decoded and unquoted, and flags where they say so", async () => {
    const header =
      'X-Gmail-Labels: =?UTF-8?Q?1.Organiza=C4=8Dn=C3=AD,"3._Culture,_Hle?=\n =?UTF-8?Q?d=C3=A1n=C3=AD_ztracen=C3=A9ho_=C4=8Dasu",Important?=\n';
    const { labels, flags, text } = await traitsOf(header);
    expect(labels).toEqual(["1.Organizační", "3. Culture, Hledání ztraceného času", "Important"]);
    expect(flags).toEqual(["seen"]);
    expect(text).toContain(header);
    expect((await traitsOf("X-Gmail-Labels: Inbox,Unread,Starred\n")).flags).toEqual(["flagged"]);
    expect((await traitsOf("X-Gmail-Labels: Posteingang,Ungelesen\n")).flags).toEqual([]);
    expect((await traitsOf("X-Gmail-Labels: \n")).labels).toEqual([]);
  });

  test("are taken from the top header alone, and only in the container's own shape", async () => {
    const { flags, text } = await traitsOf("Status: 5.0.0\nX-Status: see below\nContent-Length: about 5\n");
    expect(flags).toEqual([]);
    expect(text).toContain("Status: 5.0.0\nX-Status: see below\nContent-Length: about 5\n");
    const [got] = await messages(`${FROM}A: 1\n\nStatus: RO\nX-Keywords: no\n`);
    expect(got?.incoming.entry.traits.flags.size).toBe(0);
    expect(got?.text).toBe("A: 1\n\nStatus: RO\nX-Keywords: no\n");
  });
});

describe("bytes", () => {
  const header = [
    "Received: by x\r\n",
    "X-IMAPbase: 1234567890 17 a b\r\n",
    "STATUS: RO\r\n",
    "A: \xe9\0 \r\n\tfolded\r\n",
    "X-Keywords: a\r\n b\r\n\tc\r\n",
    "X-UID: 17\r\n",
    "broken line\r\n",
    "X-UIDL: stays\r\n",
    "X-Mozilla-Status: 0001\r\n",
    "X-Mozilla-Status2: 00000000\r\n",
    "X-Mozilla-Keys:                    \r\n",
    "Content-Length: 6\r\n",
  ];
  const CONTAINER = /^(?:X-IMAPbase|STATUS|X-Keywords|X-UID:|X-Mozilla|Content-Length)/;

  test("lose the container's lines and nothing else", async () => {
    const body = "\r\nStatus: RO\r\n\xff\n\r\r\n";
    const file = `${FROM}${header.join("")}${body}\r\n${FROM}B: 2\n`;
    const want = `${header.filter((line) => !CONTAINER.test(line)).join("")}${body}`;
    const got = await messages(file);
    expect(got.map(({ text }) => text)).toEqual([want, "B: 2\n"]);
    expect(got[0]?.incoming.entry.size).toBe(want.length);
    expect([...(got[0]?.incoming.entry.traits.keywords ?? [])]).toEqual(["a", "b", "c"]);
  });

  test("keep every line when raw is asked for, and the traits are the same", async () => {
    const file = `${FROM}${header.join("")}\r\nbody\r\n`;
    const [got] = await messages(file, { raw: true });
    expect(got?.text).toBe(`${header.join("")}\r\nbody\r\n`);
    expect(got?.incoming.entry.traits.flags.has("seen")).toBe(true);
  });

  test("of a message whose header is nothing but the container's", async () => {
    expect((await messages(`${FROM}Status: RO\n\nbody\n\n${FROM}Status: O\n`)).map(({ text }) => text)).toEqual([
      "\nbody\n",
      "",
    ]);
  });

  test("a mail program's own data is passed over with a notice", async () => {
    const notices: string[] = [];
    const internal = `From MAILER-DAEMON Sat Jan  3 01:05:34 2015\nSubject: DON'T DELETE THIS MESSAGE -- FOLDER INTERNAL DATA\nX-IMAP: 1 2\n\nThis text is part of the internal format\n\n`;
    const got = await messages(`${internal}${FROM}A: 1\n`, { onNotice: (text) => notices.push(text) });
    expect(got.map(({ text }) => text)).toEqual(["A: 1\n"]);
    expect(notices.join("\n")).toContain("internal data");
  });
});

describe("the received date", () => {
  const date = async (content: string, options: Partial<MboxSourceOptions> = {}) =>
    (await messages(content, options))[0]?.incoming.entry.traits.received;

  test("is the From_ line's, with its zone where it has one", async () => {
    expect(await date(`${FROM}Date: 1 Jan 2001 00:00:00 Z\n`)).toEqual({
      epochSeconds: Date.UTC(2015, 0, 3, 1, 5, 34) / 1000,
    });
    expect(await date("From - Sat Jan 03 01:05:34 2015\nA: 1\n")).toEqual({
      epochSeconds: Date.UTC(2015, 0, 3, 1, 5, 34) / 1000,
    });
    expect(await date("From 1@xxx Sat Jan 03 01:05:34 +0100 2015\nA: 1\n")).toEqual({
      epochSeconds: Date.UTC(2015, 0, 3, 0, 5, 34) / 1000,
      zoneMinutes: 60,
    });
  });

  test("is else the topmost Received's or Date's, and that is told", async () => {
    const notices: string[] = [];
    const onNotice = (text: string) => notices.push(text);
    expect(await date("From 1@xxx\nReceived: by x; 1 Jan 2001 00:00:00 +0100\nDate: x\n", { onNotice })).toEqual({
      epochSeconds: Date.UTC(2000, 11, 31, 23) / 1000,
      zoneMinutes: 60,
    });
    expect(notices.join()).toContain("1 message(s) have no date in the From_ line");
    expect(await date("From - \nDate: 1 Jan 2001 00:00:00 Z\n")).toMatchObject({
      epochSeconds: Date.UTC(2001, 0, 1) / 1000,
    });
    expect(await date("From - \nA: 1\n")).toBeUndefined();
  });

  test("of a From_ line that says when Thunderbird stored it gives way to the header's, which cannot be later", async () => {
    const stored = Date.UTC(2023, 10, 1, 11, 33, 16) / 1000;
    const received = "Received: by x; Thu, 28 Oct 2004 17:00:38 -0400\n";
    const seconds = Date.UTC(2004, 9, 28, 21, 0, 38) / 1000;
    for (const line of ["From - Wed Nov 01 11:33:16 2023\n", "From - Wed Nov 01 11:33:16 UTC 2023\n"]) {
      expect(await date(`${line}X-Mozilla-Status: 0001\n${received}`)).toEqual({
        epochSeconds: seconds,
        zoneMinutes: -240,
      });
      expect(await date(`${line}${received}Date: 1 Jan 2001 00:00:00 Z\n`)).toMatchObject({ epochSeconds: seconds });
      expect(await date(`${line}Received: by x; Thu, 28 Oct 2032 17:00:38 -0400\n`)).toMatchObject({
        epochSeconds: stored,
      });
      expect(await date(`${line}Subject: x\n`)).toMatchObject({ epochSeconds: stored });
    }
    expect(await date(`From a@b Wed Nov 01 11:33:16 2023\n${received}`)).toMatchObject({ epochSeconds: stored });
    const notices: string[] = [];
    await date(`From - Wed Nov 01 11:33:16 2023\n${received}`, { onNotice: (text) => notices.push(text) });
    expect(notices).toEqual([]);
  });
});

describe("a folder of files", () => {
  const box = (n: number) => `${FROM}A: ${n}\n`;
  const open = async (notices: string[] = []) =>
    openMboxSource({ path: root, onNotice: (text) => notices.push(text) }, signal);

  test("is read as Thunderbird's tree", async () => {
    await put("Inbox", box(1));
    await put("Inbox.msf", '// <!-- <mdb:mork:z v="1.4"/> -->');
    await put("Inbox.sbd/Clients", box(2));
    await put("Inbox.sbd/Clients.msf", "");
    await put("Inbox.sbd/Clients.sbd/A.B", box(3));
    await put("Archives.sbd/2019", box(4));
    await put("Trash", "");
    await put("filterlog.html", "<html>");
    await put("msgFilterRules.dat", "");
    const notices: string[] = [];
    await using source = await open(notices);
    const list = await folders(source);
    expect(list.map(({ path, selectable }) => `${showPath(path)} ${selectable}`)).toEqual([
      "Archives false",
      "Archives/2019 true",
      "INBOX true",
      "INBOX/Clients true",
      "INBOX/Clients/A.B true",
      "Trash true",
    ]);
    expect(notices).toEqual([
      expect.stringContaining("filterlog.html is not an mbox"),
      expect.stringContaining("msgFilterRules.dat is not an mbox"),
    ]);
    expect((await readAll(source)).map(({ text }) => text)).toEqual(["A: 4\n", "A: 1\n", "A: 2\n", "A: 3\n"]);
  });

  test("is read as mutt's, Takeout's and Apple Mail's", async () => {
    await put("lists/debian/devel", box(1));
    await put("Takeout/Mail/All mail Including Spam and Trash.mbox", box(2));
    await put("Exported.mbox/mbox", box(3));
    await put("Exported.mbox/table_of_contents", "\0\0");
    await put("nested/inbox", box(4));
    await using source = await open();
    expect((await folders(source)).filter(({ selectable }) => selectable).map(({ path }) => path)).toEqual([
      ["Exported"],
      ["Takeout", "Mail", "All mail Including Spam and Trash"],
      ["lists", "debian", "devel"],
      ["nested", "inbox"],
    ]);
    expect(await readAll(source)).toHaveLength(4);
  });

  test("gives two files of one name two folders, and says so", async () => {
    await put("Inbox", box(1));
    await put("Inbox.mbox", box(2));
    await put("INBOX", box(3));
    const notices: string[] = [];
    await using source = await open(notices);
    const paths = (await folders(source)).map(({ path }) => showPath(path));
    expect(new Set(paths).size).toBe(3);
    expect(paths).toContain("INBOX");
    expect(notices.filter((text) => text.includes("is read as"))).toHaveLength(2);
    expect((await readAll(source)).map(({ text }) => text).sort()).toEqual(["A: 1\n", "A: 2\n", "A: 3\n"]);
  });

  test("leaves out links that lead elsewhere, hidden mboxes and Maildirs, by name, each once", async () => {
    await put("box", box(1));
    await put(".hidden", box(2));
    for (const name of ["cur", "new", "tmp"]) await mkdir(joinPath(root, "Mail", name), { recursive: true });
    await symlink("/etc", joinPath(root, "loop"));
    await symlink(joinPath(root, "box"), joinPath(root, "link"));
    const notices: string[] = [];
    await using source = await open(notices);
    expect((await folders(source)).map(({ path }) => path)).toEqual([["box"]]);
    await folders(source);
    expect(notices).toEqual([]);
    expect(source.leftOut?.()).toMatchObject([
      { name: joinPath(root, ".hidden"), why: "it is an mbox whose name is hidden" },
      { name: joinPath(root, "loop"), why: "it is a link that leads out of the folder, to /etc", isTree: true },
      { name: joinPath(root, "Mail"), why: "it is a Maildir", folder: ["Mail"] },
    ]);
  });

  test("with names that are not UTF-8 is read all the same", async () => {
    await writeFile(Buffer.concat([bytes(`${root}/`), bytes("\xe4\xff")]), box(1));
    await put("ä", box(2));
    await using source = await open();
    expect((await folders(source)).map(({ path }) => path)).toEqual([["ä"], ["äÿ"]]);
    expect(await readAll(source)).toHaveLength(2);
  });

  test("that holds none is refused in one line, whatever else lies in it", async () => {
    const notices: string[] = [];
    await put("shopping list", bytes("milk\n"));
    await put("x", bytes("x\n"));
    await using source = await open(notices);
    await expect(folders(source)).rejects.toMatchObject({
      code: "config",
      message: expect.stringContaining("holds no mbox"),
    });
    expect(notices).toEqual([]);
  });

  test("with a file that is gone when it is read fails that folder alone", async () => {
    const path = await put("box", box(1));
    await using source = await open();
    const [folder] = await folders(source);
    if (folder === undefined) throw new Error("no folder");
    await rm(path);
    const reading = async () => {
      for await (const _ of source.read({ folder }, { want: () => true, signal }));
    };
    await expect(reading()).rejects.toMatchObject({ code: "not-found", details: { scope: "folder" } });
  });

  test("is never written to", async () => {
    const path = await put("box", `${FROM}Status: O\nA: 1\n`);
    await chmod(path, 0o400);
    await using source = await open();
    await readAll(source);
    expect(await readFile(path, "latin1")).toBe(`${FROM}Status: O\nA: 1\n`);
  });
});
