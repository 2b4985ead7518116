// The Maildir source: layouts of other programs, hostile and odd files, what changes while it reads, and deletion.

import { execFileSync } from "node:child_process";
import { linkSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { mkdir, readdir, symlink, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import type { Entry, Origin } from "../../src/mail/model.ts";
import { openMaildirSink } from "../../src/sinks/maildir.ts";
import { openMaildirSource } from "../../src/sources/maildir.ts";
import type { Source } from "../../src/sources/source.ts";
import { bytesOf, folder, foldersOf, message, plant, readAll, SIGNAL, scratch } from "../formats/maildir/kit.ts";

const at = scratch();
const open = (path = at.path("box")): Promise<Source> => openMaildirSource({ path }, SIGNAL);
const ids = (got: readonly { entry: Entry }[]): string[] => got.map(({ entry }) => entry.origin.id);

async function paths(source: Source): Promise<string[]> {
  return [...(await foldersOf(source)).values()].map(({ path }) => path.join("/"));
}

test("what is no Maildir is refused in words", async () => {
  await plant(at.path(), {
    file: "x",
    "empty/": "",
    "letters/a.txt": "x",
    "zip/mailferry/archive.json": '{"format":"mboxzip","version":1,"id":"12345678"}',
    "newer/mailferry/archive.json": '{"format":"maildir","version":2,"id":"12345678"}',
    "newer/cur/": "",
    "torn/mailferry/archive.json": '{"format":"mai',
  });
  for (const name of ["file", "empty", "letters", "zip", "newer", "torn", "missing", "file/below"])
    await expect(open(at.path(name))).rejects.toMatchObject({ name: "MailError", code: "config" });
});

test("Maildir++ of another program: names decoded, order of delivery, flags, keywords, date, new mail unseen", async () => {
  await plant(at.path("box"), {
    "cur/1000000002.M5P1.host:2,RSab": "Subject: b\n\n",
    "cur/1000000001.M9P1.host,S=12:2,": "Subject: a\n\n",
    "new/1000000003.M1P1.host": "Subject: c\r\n\r\n",
    "tmp/1000000000.M1P1.host": "not delivered",
    "dovecot-keywords": "0 $Label1\n1 Work\n99 No\nrubbish\n",
    ".A.B\\2eC/cur/": "",
    ".Entw&APw-rfe/new/": "",
    ".broken&x/cur/": "",
    ".notmuch/xapian/": "",
    "sieve/x": "",
    subscriptions: "V\t2\n\nA\tB\\2eC\n",
  });
  await utimes(at.path("box/cur/1000000002.M5P1.host:2,RSab"), 1_111, 1_111.9);
  const source = await open();
  expect(source.identity).toBe(`maildir:${at.path("box")}`);
  expect(source.tells.labels).toBe(false);
  const folders = await foldersOf(source);
  expect([...folders.keys()].sort()).toEqual(['["A","B.C"]', '["Entwürfe"]', '["INBOX"]', '["broken&x"]']);
  expect(folders.get('["A","B.C"]')).toMatchObject({ subscribed: true, messages: 0 });
  expect(folders.get('["INBOX"]')).toMatchObject({ subscribed: false, use: "inbox", messages: 3, bytes: 38 });
  const got = await readAll(source, ["INBOX"]);
  expect(ids(got)).toEqual(["1000000001.M9P1.host,S=12", "1000000002.M5P1.host", "1000000003.M1P1.host"]);
  expect(got.map(({ bytes }) => bytes?.toString())).toEqual(["a", "b", "c"].map((name) => `Subject: ${name}\r\n\r\n`));
  expect(got[1]?.entry).toMatchObject({
    origin: { folder: ["INBOX"], generation: "maildir" },
    size: 12,
    traits: {
      flags: new Set(["answered", "seen"]),
      keywords: new Set(["$Label1", "Work"]),
      received: { epochSeconds: 1_111 },
    },
  });
  expect(got[2]?.entry.traits.flags.has("seen")).toBe(false);
});

test("nested trees are read, with and without an inbox at the top; other directories are no folders", async () => {
  await plant(at.path(), {
    "fs/cur/": "",
    "fs/Clients/A/cur/1.a": "x",
    "fs/Clients/A/B.C/new/": "",
    "fs/Entw&APw-rfe/cur/": "",
    "verbatim/INBOX/cur/1.a": "x",
    "verbatim/INBOX/Sub/cur/": "",
    "verbatim/Grüße/cur/": "",
    "verbatim/lost/and/found": "x",
    "legacy/top/cur/": "",
    "legacy/top/.sub/cur/": "",
    "legacy/top/.sub/.below/cur/": "",
  });
  expect(await paths(await open(at.path("fs")))).toEqual(["INBOX", "Clients/A", "Clients/A/B.C", "Entwürfe"]);
  const verbatim = await open(at.path("verbatim"));
  expect(await paths(verbatim)).toEqual(["Grüße", "INBOX", "INBOX/Sub"]);
  expect(await readAll(verbatim, ["INBOX"])).toHaveLength(1);
  expect(await paths(await open(at.path("legacy")))).toEqual(["top", "top/sub", "top/sub/below"]);
});

test("two directories that decode to one name are two folders, and neither hides the other", async () => {
  await plant(at.path("box"), {
    "cur/1.a": "root",
    ".INBOX/cur/2.b": "dot",
    ".a\\2eb/cur/3.c": "x",
    ".a\\2Eb/cur/4.d": "y",
  });
  const source = await open();
  const found = await paths(source);
  expect(new Set(found).size).toBe(4);
  const bodies = [];
  for (const path of (await foldersOf(source)).values())
    for (const { bytes } of await readAll(source, path.path)) bodies.push(bytes?.toString());
  expect(bodies.sort()).toEqual(["dot", "root", "x", "y"]);
});

test("links that lead in circles end, and a link in place of a message gives nothing away", async () => {
  await plant(at.path(), { secret: "password", "box/cur/1.ok:2,": "x", "box/new/": "" });
  await symlink("..", at.path("box/.loop"));
  await symlink(".", at.path("box/self"));
  await symlink(at.path("secret"), at.path("box/cur/2.link:2,"));
  await symlink("nowhere", at.path("box/cur/3.dangling:2,"));
  execFileSync("mkfifo", [at.path("box/cur/4.pipe:2,")]);
  await mkdir(at.path("box/cur/5.directory:2,"));
  const source = await open();
  expect(await paths(source)).toEqual(["INBOX"]);
  const got = await readAll(source, ["INBOX"]);
  expect(ids(got)).toEqual(["1.ok", "2.link", "3.dangling", "4.pipe"]);
  expect(got[0]?.bytes?.toString()).toBe("x");
  for (const { bytes, error } of got.slice(1)) {
    expect(bytes).toBeUndefined();
    expect(error).toMatchObject({ code: "malformed", details: { scope: "message", remedy: "give-up" } });
  }
});

test("file names that are no UTF-8 are read, told apart and deleted like any other", async () => {
  await plant(at.path("box"), { "cur/": "", "new/": "" });
  for (const name of ["1.caf\xe9:2,S", "1.caf\xea:2,"]) {
    const path = Buffer.concat([Buffer.from(`${at.path("box/cur")}/`), Buffer.from(name, "latin1")]);
    await writeFile(path, name, "latin1");
  }
  const source = await open();
  const got = await readAll(source, ["INBOX"]);
  expect(got.map(({ bytes }) => bytes?.toString("latin1")).sort()).toEqual(["1.caf\xe9:2,S", "1.caf\xea:2,"]);
  expect(new Set(ids(got)).size).toBe(2);
  expect(await removed(source, [(got[0] as { entry: Entry }).entry.origin])).toHaveLength(1);
  expect(await readAll(source, ["INBOX"])).toHaveLength(1);
});

test("two files with one base name are two messages, each under a name of its own", async () => {
  await plant(at.path("box"), { "cur/1.a:2,": "one", "cur/1.a:2,S": "two", "new/1.a": "three", "cur/2.b:2,": "x" });
  const got = await readAll(await open(), ["INBOX"]);
  expect(ids(got).sort()).toEqual(["2.b", "cur/1.a:2,", "cur/1.a:2,S", "new/1.a"]);
  expect(got.map(({ bytes }) => bytes?.toString()).sort()).toEqual(["one", "three", "two", "x"]);
});

test.each([1, 400_000])(
  "a message of %i octets that is renamed after it was listed is still given; one that is gone says so",
  async (size) => {
    const text = "y".repeat(size);
    await plant(at.path("box"), { "cur/": "", "tmp/": "", "new/1.a": text, "cur/2.b:2,": text, "cur/3.c:2,": text });
    const got = await readAll(await open(), ["INBOX"], undefined, () => {
      renameSync(at.path("box/new/1.a"), at.path("box/cur/1.a:2,F"));
      renameSync(at.path("box/cur/2.b:2,"), at.path("box/cur/2.b:2,S"));
      rmSync(at.path("box/cur/3.c:2,"));
    });
    expect(got.map(({ bytes }) => bytes?.length)).toEqual([size, size, undefined]);
    expect(got[2]?.error).toMatchObject({ code: "not-found", details: { scope: "message" } });
  },
);

test("every entry is offered once, the unwanted are not read, and an unread content is skipped", async () => {
  await plant(
    at.path("box"),
    Object.fromEntries(Array.from({ length: 200 }, (_, i) => [`cur/${1000 + i}.x:2,`, String(i)])),
  );
  const source = await open();
  const asked: string[] = [];
  const got: string[] = [];
  let isListed = 0;
  const want = ({ origin }: Entry): boolean => {
    expect(isListed).toBe(0);
    asked.push(origin.id);
    return Number(origin.id.slice(0, 4)) % 2 === 0;
  };
  const listed = (): void => {
    isListed++;
  };
  for await (const { entry, content } of source.read({ folder: folder("INBOX") }, { want, listed, signal: SIGNAL })) {
    got.push(entry.origin.id);
    if (got.length % 3 === 0)
      expect((await bytesOf(content)).toString()).toBe(String(Number(entry.origin.id.slice(0, 4)) - 1000));
  }
  expect(asked).toEqual(Array.from({ length: 200 }, (_, i) => `${1000 + i}.x`));
  expect(got).toEqual(asked.filter((_, i) => i % 2 === 0));
  expect(isListed).toBe(1);
});

test("an abort ends the reading quietly between two messages", async () => {
  await plant(
    at.path("box"),
    Object.fromEntries(Array.from({ length: 100 }, (_, i) => [`cur/${1000 + i}.x:2,`, String(i)])),
  );
  const stop = new AbortController();
  let seen = 0;
  const source = await open();
  for await (const _ of source.read({ folder: folder("INBOX") }, { want: () => true, signal: stop.signal }))
    if (++seen === 5) stop.abort();
  expect(seen).toBe(5);
});

async function removed(source: Source, origins: readonly Origin[]): Promise<Origin[]> {
  const gone: Origin[] = [];
  const each = async function* (): AsyncGenerator<Origin> {
    yield* origins;
  };
  for await (const origin of source.remove?.(each(), SIGNAL) ?? []) gone.push(origin);
  return gone;
}

test("deletion takes exactly what it was told, under whatever name it has now, and only from the same folder", async () => {
  const sink = await openMaildirSink({ path: at.path("box") }, SIGNAL);
  const target = await sink.open(folder("A"), SIGNAL);
  for (let i = 0; i < 5; i++) await target.append(await message(`${i}\r\n`), SIGNAL);
  const source = await open();
  const origins = (await readAll(source, ["A"])).map(({ entry }) => entry.origin);
  const [a, b, c] = origins;
  if (a === undefined || b === undefined || c === undefined) throw new Error("messages are missing");
  renameSync(at.path(`box/.A/cur/${a.id}:2,`), at.path(`box/.A/cur/${a.id}:2,FS`));
  linkSync(at.path(`box/.A/cur/${c.id}:2,`), at.path(`box/.A/cur/${c.id}:2,S`));
  writeFileSync(at.path("box/precious"), "x");
  const hostile = ["../../precious", "cur/../../../precious", "a\u0000b"].map((id) => ({ ...a, id }));
  const gone = await removed(source, [a, b, c, { ...b, generation: "another" }, ...hostile]);
  expect(gone).toEqual([a, b]);
  expect(await readdir(at.path("box/.A/cur"))).toHaveLength(4);
  expect(await readdir(at.path("box"))).toContain("precious");
  // What is gone already is gone.
  expect(await removed(source, [a])).toEqual([a]);
});

test("a folder that cannot be read is told, not passed over", async () => {
  await plant(at.path("box"), { "cur/1.a:2,": "x", "new/": "" });
  const source = await open();
  await expect(readAll(source, ["Nowhere"])).rejects.toMatchObject({ code: "not-found", details: { scope: "folder" } });
  await plant(at.path("box"), {
    "mailferry/traits/": "",
    "mailferry-folder": "00000000-0000-4000-8000-000000000000\n",
  });
  await mkdir(join(at.path("box"), "mailferry/traits/00000000-0000-4000-8000-000000000000.jsonl"));
  // What lies in the way of a small file of ours costs what that said, and no mail; whoever reads the archive says so beside it.
  expect(await readAll(source, ["INBOX"])).toHaveLength(1);
});

test("a damaged sidecar or folder map costs what its bad lines said, and no mail", async () => {
  const sink = await openMaildirSink({ path: at.path("box") }, SIGNAL);
  const target = await sink.open({ ...folder("A"), use: "sent" }, SIGNAL);
  const labels = (name: string) => ({ labels: new Set([name]) });
  for (const name of ["one", "two", "three"]) await target.append(await message("x\r\n", labels(name)), SIGNAL);
  const path = at.path(`box/mailferry/traits/${target.generation}.jsonl`);
  execFileSync("sed", ["-i", '2s/.*/{"m":12,\\xff/', path]);
  execFileSync("truncate", ["-s", "-9", path]);
  execFileSync("sh", [
    "-c",
    'printf \'{"d":"../../x","p":["evil"],"s":false}\\nrubbish\\n{"d":".B","s":fal\' >> "$0"',
    at.path("box/mailferry/folders.jsonl"),
  ]);
  const told = async () => (await readAll(await open(), ["A"])).map(({ entry }) => [...entry.traits.labels]);
  expect(await told()).toEqual([["one"], [], []]);
  expect(await paths(await open())).toEqual(["INBOX", "A"]);
  expect((await foldersOf(await open())).get('["A"]')?.use).toBe("sent");
  // What is written after it stands on lines of its own.
  const again = await openMaildirSink({ path: at.path("box") }, SIGNAL);
  await (await again.open({ ...folder("A"), use: "archive" }, SIGNAL)).append(
    await message("x\r\n", labels("four")),
    SIGNAL,
  );
  expect(await told()).toEqual([["one"], [], [], ["four"]]);
  expect((await foldersOf(await open())).get('["A"]')?.use).toBe("archive");
});

test("messages in folders of cur are deleted where they lie, and nothing by a name that leads elsewhere", async () => {
  await plant(at.path("box"), {
    "cur/03/1.a:2,S": "Subject: a\n\n",
    "cur/a7/2.b:2,": "Subject: b\n\n",
    "cur/a7/1.a:2,": "Subject: c\n\n",
    victim: "x",
  });
  const source = await open();
  const got = await readAll(source, ["INBOX"]);
  expect(ids(got).sort()).toEqual(["2.b", "cur/03/1.a:2,S", "cur/a7/1.a:2,"]);
  const origins = got.map(({ entry }) => entry.origin);
  const [first] = origins;
  if (first === undefined) throw new Error("nothing was read");
  for (const id of ["cur/../victim", "cur/./../victim", "cur/03/../1.a"])
    expect(await removed(source, [{ ...first, id }])).toEqual([]);
  expect(await removed(source, origins)).toHaveLength(3);
  expect(await readdir(at.path("box"))).toContain("victim");
  expect(await readdir(at.path("box/cur/a7"))).toEqual([]);
});
