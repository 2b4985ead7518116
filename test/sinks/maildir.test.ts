// The Maildir sink: what it writes, what it leaves alone, and that what it holds is given back by our source.

import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdir, readdir, readFile, rename, rm, stat, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { keyOf } from "../../src/mail/key.ts";
import { NO_TRAITS, type Traits } from "../../src/mail/model.ts";
import { openMaildirSink } from "../../src/sinks/maildir.ts";
import type { Copy, Sink, SinkFolder } from "../../src/sinks/sink.ts";
import { openMaildirSource } from "../../src/sources/maildir.ts";
import { bytesOf, folder, foldersOf, message, plant, readAll, SIGNAL, scratch } from "../formats/maildir/kit.ts";

const at = scratch();
const ROOT = join(import.meta.dirname, "../..");

const open = (path = at.path("box")): Promise<Sink> => openMaildirSink({ path }, SIGNAL);
const source = (path = at.path("box")) => openMaildirSource({ path }, SIGNAL);

async function copiesOf(target: SinkFolder): Promise<Copy[]> {
  const found: Copy[] = [];
  for await (const copy of target.copies(undefined, SIGNAL)) found.push(copy);
  return found;
}

async function add(target: SinkFolder, text: string | Uint8Array, traits: Partial<Traits> = {}): Promise<string> {
  const { receipt } = await target.append(await message(text, traits), SIGNAL);
  if (receipt === undefined) throw new Error("no receipt");
  return receipt.ref;
}

const tree = async (path: string): Promise<string[]> => (await readdir(path, { recursive: true })).sort();

test("describing changes nothing, and the identity is known before there is an archive, and stays", async () => {
  const sink = await open();
  expect((await sink.describe(folder("A"), SIGNAL)).name).toBe(".A");
  await sink.seal(SIGNAL);
  await sink[Symbol.asyncDispose]();
  expect(existsSync(at.path("box"))).toBe(false);
  await sink.open(folder("A"), SIGNAL);
  expect((await open()).identity).toBe(sink.identity);
  expect((await source()).identity).toBe(sink.identity);
  expect(sink.identity).toMatch(/^maildir:[0-9a-f-]{36}$/);
});

test("what is something else is refused, and stays as it is", async () => {
  await plant(at.path(), {
    file: "x",
    "other/letter.txt": "mine",
    "zip/mailferry/archive.json": '{"format":"mboxzip","version":1,"id":"12345678"}',
  });
  for (const name of ["file", "file/below", "other", "zip"]) {
    const before = await tree(at.path());
    await expect(open(at.path(name))).rejects.toMatchObject({ code: "config" });
    expect(await tree(at.path())).toEqual(before);
  }
});

test("a missing, an empty, an own and a foreign Maildir are taken, and so is one that a run left unfinished", async () => {
  await plant(at.path(), { "empty/": "", "foreign/cur/": "", "foreign/new/1.a.b": "x", "begun/mailferry/lock": "" });
  for (const name of ["missing", "empty", "foreign", "begun", "missing"]) {
    const target = await (await open(at.path(name))).open(folder("INBOX"), SIGNAL);
    await add(target, "a\r\n");
  }
  expect(await readAll(await source(at.path("missing")), ["INBOX"])).toHaveLength(2);
  expect(await readAll(await source(at.path("foreign")), ["INBOX"])).toHaveLength(2);
});

const BODIES: Readonly<Record<string, Buffer>> = {
  plain: Buffer.from("Subject: a\r\n\r\nb\r\n"),
  "bare LF": Buffer.from("Subject: a\n\nb\n"),
  mixed: Buffer.from("a\r\nb\nc\r\n"),
  "CR alone": Buffer.from("a\rb\r\nc"),
  "CR alone, no CRLF": Buffer.from("a\rb\nc"),
  "CR CR LF": Buffer.from("a\r\r\nb\r\n"),
  "ends in CR": Buffer.from("a\r\nb\r"),
  "8 bit and NUL": Buffer.from(Array.from({ length: 256 }, (_, i) => i)),
  "no newline": Buffer.from("abc"),
  empty: Buffer.alloc(0),
  large: Buffer.concat([Buffer.from("Subject: large\r\n\r\n"), Buffer.from(`${"x".repeat(76)}\r\n`.repeat(40_000))]),
  "large, one CRLF at the end": Buffer.concat([Buffer.alloc(3_000_000, "y\n"), Buffer.from("\r\n")]),
};

test.each(Object.entries(BODIES))("bytes are sacred: %s", async (_, bytes) => {
  const target = await (await open()).open(folder("A"), SIGNAL);
  const ref = await add(target, bytes);
  expect((await bytesOf(target.reopen({ ref }, SIGNAL))).equals(bytes)).toBe(true);
  const [got] = await readAll(await source(), ["A"]);
  expect(got?.bytes?.equals(bytes)).toBe(true);
  const [copy] = await copiesOf(target);
  const size = (await stat(at.path(`box/.A/cur/${ref}:2,`))).size;
  expect(copy?.size).toBe(size);
  // The sizes in the name are exact, as Dovecot demands.
  expect(ref).toContain(`,S=${size},`);
  const wire = Buffer.from(bytes.toString("latin1").replace(/(?<!\r)\n/g, "\r\n"), "latin1").length;
  expect(ref.endsWith(`,W=${wire}`)).toBe(true);
});

test("lines lie with LF on disk where that can be undone", async () => {
  const target = await (await open()).open(folder("A"), SIGNAL);
  const ref = await add(target, "Subject: a\r\n\r\nb\r\n", { flags: new Set(["seen", "draft"]) });
  expect(await readFile(at.path(`box/.A/cur/${ref}:2,DS`), "utf8")).toBe("Subject: a\n\nb\n");
});

const everything: Traits = {
  flags: new Set(["seen", "answered", "flagged", "deleted", "draft"]),
  keywords: new Set([
    "$Forwarded",
    "$MDNSent",
    "work",
    "no atom (at all)",
    "ünïcode",
    ...Array.from({ length: 30 }, (_, i) => `k${i}`),
  ]),
  labels: new Set(["\\Important", "Mit Äpfeln/und Birnen", "a\nb"]),
  received: { epochSeconds: 1_234_567_890, zoneMinutes: -210 },
};

test("every trait comes back: flags, more keywords than there are letters, labels, the date with its zone", async () => {
  const target = await (await open()).open(folder("A"), SIGNAL);
  await add(target, "a\r\n", everything);
  await add(target, "b\r\n", { received: { epochSeconds: 5 } });
  const [first, second] = await readAll(await source(), ["A"]);
  expect(first?.entry.traits).toEqual(everything);
  expect(second?.entry.traits).toEqual({ ...NO_TRAITS, received: { epochSeconds: 5 } });
  const copies = await copiesOf(await (await open()).open(folder("A"), SIGNAL));
  expect(copies.map(({ traits }) => traits)).toContainEqual(everything);
});

test.each([-1, 0, 1, 2 ** 31 - 1, 2 ** 31, 2 ** 33, 2 ** 36])(
  "the date %i is kept, whatever the file system can hold",
  async (epochSeconds) => {
    const target = await (await open()).open(folder("A"), SIGNAL);
    await add(target, "a\r\n", { received: { epochSeconds } });
    expect((await readAll(await source(), ["A"]))[0]?.entry.traits.received).toEqual({ epochSeconds });
  },
);

test("messages come back in the order in which they were given", async () => {
  const target = await (await open()).open(folder("A"), SIGNAL);
  const given = await Promise.all(Array.from({ length: 300 }, (_, i) => add(target, `${i}\r\n`)));
  const got = await readAll(await source(), ["A"]);
  expect(got.map(({ entry }) => entry.origin.id)).toEqual(given);
  expect(got.map(({ bytes }) => bytes?.toString())).toEqual(given.map((_, i) => `${i}\r\n`));
});

const PATHS: readonly (readonly string[])[] = [
  ["INBOX"],
  ["INBOX", "Sub"],
  ["inbox"],
  ["Clients", "A/B"],
  ["Clients", "A.B"],
  ["Clients.A", "B"],
  ["Clients", "A", "B"],
  ["Clients", "a", "B"],
  ["~tilde", "~", "a~"],
  ["back\\slash", "\\2e"],
  [".."],
  [".", "..", "/"],
  ["../../../tmp/x"],
  [" lead and trail "],
  ['%*"&'],
  ["R&D", "Entwürfe", "日本語", "😀"],
  ["a\u0000b"],
  ["a\r\nb"],
  ["half \ud83d"],
  ["", "x"],
  ["cur"],
  ["new", "tmp"],
  ["mailferry"],
  ["x".repeat(300)],
  ["x".repeat(299), "y"],
  [`${"x".repeat(299)}.y`],
  ["ü".repeat(200)],
  ["ü".repeat(200), "child"],
  Array.from({ length: 100 }, (_, i) => `d${i}`),
];

test("whatever the folders are called: each has a place of its own inside the root, and its true name comes back", async () => {
  const sink = await open();
  const names = new Set<string>();
  for (const path of PATHS) {
    const plan = await sink.describe(folder(...path), SIGNAL);
    const target = await sink.open({ ...folder(...path), subscribed: true, use: "archive" }, SIGNAL);
    expect(target.name).toBe(plan.name);
    expect(target.path).toEqual(path);
    names.add(target.name);
    await add(target, `${JSON.stringify(path)}\r\n`);
  }
  await sink.seal(SIGNAL);
  expect(names.size).toBe(PATHS.length);
  expect(await readdir(at.path())).toEqual(["box"]);
  for (const name of await readdir(at.path("box"))) expect(name.length).toBeLessThanOrEqual(255);

  const back = await source();
  const folders = await foldersOf(back);
  expect([...folders.keys()].sort()).toEqual(PATHS.map((path) => JSON.stringify(path)).sort());
  for (const path of PATHS) {
    expect(folders.get(JSON.stringify(path))).toMatchObject({ selectable: true, subscribed: true, messages: 1 });
    expect((await readAll(back, path))[0]?.bytes?.toString()).toBe(`${JSON.stringify(path)}\r\n`);
  }
  // The next run finds every one of them again.
  const again = await open();
  for (const path of PATHS) {
    const target = await again.open(folder(...path), SIGNAL);
    expect(target.created).toBe(false);
    expect(await copiesOf(target)).toHaveLength(1);
  }
});

test("a folder whose real name is another's shortened one does not get its place, whichever comes first", async () => {
  const long = ["x".repeat(300)];
  const { name } = await (await open()).describe(folder(...long), SIGNAL);
  const real = [name.slice(1)];
  for (const [box, order] of [
    ["one", [long, real]],
    ["two", [real, long]],
  ] as const) {
    for (const path of order) await add(await (await open(at.path(box))).open(folder(...path), SIGNAL), `${path}\r\n`);
    const back = await source(at.path(box));
    for (const path of order)
      expect((await readAll(back, path)).map(({ bytes }) => bytes?.toString())).toEqual([`${path}\r\n`]);
  }
});

test("two names that are one directory on this disk still get two", async () => {
  const sink = await open();
  const upper = await sink.open(folder("Box"), SIGNAL);
  await symlink(".Box", at.path("box/.bOX"));
  const lower = await sink.open(folder("bOX"), SIGNAL);
  expect(lower.name).not.toBe(".bOX");
  await add(upper, "upper\r\n");
  await add(lower, "lower\r\n");
  expect((await readAll(await source(), ["bOX"])).map(({ bytes }) => bytes?.toString())).toEqual(["lower\r\n"]);
});

test("use, subscription and a folder without mail are remembered; what was subscribed before stays", async () => {
  await plant(at.path("box"), { "cur/": "", "new/": "", subscriptions: "Mine\nLists.node\n" });
  const sink = await open();
  await sink.open({ path: ["Sent"], selectable: true, use: "sent", subscribed: true }, SIGNAL);
  await sink.open({ path: ["Clients"], selectable: false }, SIGNAL);
  await sink.open({ path: ["Clients", "A"], selectable: true, subscribed: false }, SIGNAL);
  await sink.open({ path: ["INBOX"], selectable: true, subscribed: true, use: "inbox" }, SIGNAL);
  await sink.seal(SIGNAL);
  await sink.seal(SIGNAL);
  expect(await readFile(at.path("box/subscriptions"), "utf8")).toBe("Mine\nLists.node\nSent\nINBOX\n");
  const folders = await foldersOf(await source());
  expect(folders.get('["Sent"]')).toMatchObject({ use: "sent", subscribed: true, selectable: true });
  expect(folders.get('["Clients"]')).toMatchObject({ selectable: false });
  expect(folders.get('["Clients","A"]')).toMatchObject({ subscribed: false, selectable: true });
  expect(folders.get('["INBOX"]')).toMatchObject({ use: "inbox", subscribed: true });
  expect(existsSync(at.path("box/.Clients"))).toBe(false);
  // It may hold mail some day.
  await add(await (await open()).open(folder("Clients"), SIGNAL), "a\r\n");
  expect((await foldersOf(await source())).get('["Clients"]')).toMatchObject({ selectable: true, messages: 1 });
});

test("a folder that was deleted and made again is another one", async () => {
  const first = await (await open()).open(folder("A"), SIGNAL);
  expect(first.created).toBe(true);
  expect((await (await open()).open(folder("A"), SIGNAL)).generation).toBe(first.generation);
  await rm(at.path("box/.A"), { recursive: true });
  const second = await (await open()).open(folder("A"), SIGNAL);
  expect(second.generation).not.toBe(first.generation);
  expect(second.created).toBe(true);
});

test("a change is just that change: other flags stay, a letter of another program's too", async () => {
  const target = await (await open()).open(folder("A"), SIGNAL);
  const ref = await add(target, "a\r\n", {
    flags: new Set(["seen"]),
    keywords: new Set(["one"]),
    labels: new Set(["L"]),
  });
  await rename(at.path(`box/.A/cur/${ref}:2,Sa`), at.path(`box/.A/cur/${ref}:2,FSXaz`));
  const sets = (flags: string[], keywords: string[], labels: string[]) =>
    ({ flags: new Set(flags), keywords: new Set(keywords), labels: new Set(labels) }) as Omit<Traits, "received">;
  await target.update?.(
    { ref },
    { add: sets(["answered"], ["two", "$forwarded", "odd one"], ["M"]), remove: sets(["seen"], ["ONE"], ["L"]) },
    SIGNAL,
  );
  expect(await readdir(at.path("box/.A/cur"))).toEqual([`${ref}:2,FPRXbcz`]);
  const [copy] = await copiesOf(target);
  expect(copy?.traits).toMatchObject({
    flags: new Set(["flagged", "answered"]),
    labels: new Set(["M"]),
  });
  expect([...(copy?.traits.keywords ?? [])].sort()).toEqual(["$Forwarded", "odd one", "two"].sort());
  await target.update?.({ ref }, { add: sets([], [], []), remove: sets([], ["$Forwarded"], []) }, SIGNAL);
  expect((await copiesOf(target))[0]?.traits.keywords).toEqual(new Set(["two", "odd one"]));
});

test("many changes at once, several to one message, all take effect", async () => {
  const target = await (await open()).open(folder("A"), SIGNAL);
  const refs = await Promise.all(Array.from({ length: 50 }, (_, i) => add(target, `${i}\r\n`)));
  const none = { flags: new Set<never>(), keywords: new Set<string>(), labels: new Set<string>() };
  const flags = ["seen", "flagged", "answered"] as const;
  await Promise.all(
    refs.flatMap((ref) =>
      flags.map((flag) => target.update?.({ ref }, { add: { ...none, flags: new Set([flag]) }, remove: none }, SIGNAL)),
    ),
  );
  for (const { traits } of await copiesOf(target)) expect(traits.flags).toEqual(new Set(flags));
});

test("a message that another program moved from new to cur and renamed is still found", async () => {
  await plant(at.path("box"), { "new/1.a.host": "Subject: a\n\n", "cur/": "", "tmp/": "" });
  const target = await (await open()).open(folder("INBOX"), SIGNAL);
  expect((await copiesOf(target)).map(({ receipt }) => receipt.ref)).toEqual(["1.a.host"]);
  const read = async () => (await bytesOf(target.reopen({ ref: "1.a.host" }, SIGNAL))).toString();
  expect(await read()).toBe("Subject: a\r\n\r\n");
  await rename(at.path("box/new/1.a.host"), at.path("box/cur/1.a.host:2,S"));
  expect(await read()).toBe("Subject: a\r\n\r\n");
  await rename(at.path("box/cur/1.a.host:2,S"), at.path("box/cur/1.a.host:2,ST"));
  expect(await read()).toBe("Subject: a\r\n\r\n");
  await rm(at.path("box/cur/1.a.host:2,ST"));
  await expect(read()).rejects.toMatchObject({ code: "not-found", details: { scope: "message" } });
  const none = { flags: new Set<never>(), keywords: new Set<string>(), labels: new Set<string>() };
  await expect(target.update?.({ ref: "1.a.host" }, { add: none, remove: none }, SIGNAL)).rejects.toMatchObject({
    code: "not-found",
  });
});

test("a failed append leaves nothing, is told to its caller alone, and the others are stored", async () => {
  const target = await (await open()).open(folder("A"), SIGNAL);
  const good = await message("good\r\n");
  const bad = await message("bad\r\n");
  const broken = {
    ...bad,
    body: {
      ...bad.body,
      open: async function* () {
        yield Buffer.from("b");
        throw new Error("the wire broke");
      },
    },
  };
  const short = {
    ...bad,
    body: {
      ...bad.body,
      open: async function* () {
        yield Buffer.from("b");
      },
    },
  };
  const fates = await Promise.allSettled([good, broken, short, good].map((item) => target.append(item, SIGNAL)));
  expect(fates.map(({ status }) => status)).toEqual(["fulfilled", "rejected", "rejected", "fulfilled"]);
  expect(await readdir(at.path("box/.A/tmp"))).toEqual([]);
  expect(await readdir(at.path("box/.A/cur"))).toHaveLength(2);
});

test("an aborted append stores nothing", async () => {
  const target = await (await open()).open(folder("A"), SIGNAL);
  const stop = new AbortController();
  stop.abort();
  await expect(target.append(await message("a\r\n"), stop.signal)).rejects.toThrow();
  expect(await readdir(at.path("box/.A/tmp"))).toEqual([]);
});

test("everything is for its owner alone", async () => {
  const sink = await open();
  const target = await sink.open({ ...folder("A"), use: "sent", subscribed: true }, SIGNAL);
  await add(target, "a\r\n", everything);
  await sink.seal(SIGNAL);
  for (const name of await tree(at.path("box"))) {
    const info = await stat(at.path(`box/${name}`));
    expect([name, (info.mode & 0o777).toString(8)]).toEqual([name, info.isDirectory() ? "700" : "600"]);
  }
});

const WRITER = `
  import { openMaildirSink } from ${JSON.stringify(join(ROOT, "src/sinks/maildir.ts"))};
  import { stage } from ${JSON.stringify(join(ROOT, "src/mail/body.ts"))};
  const signal = new AbortController().signal;
  const sink = await openMaildirSink({ path: process.argv[1] }, signal);
  const folder = await sink.open({ path: ["A"], selectable: true }, signal);
  const traits = { flags: new Set(), keywords: new Set(), labels: new Set(["L"]) };
  for (let i = 0; ; i++) {
    const text = Buffer.from("Subject: " + i + "\\r\\n\\r\\n" + "0123456789abcdef".repeat(500 + i) + "\\r\\n");
    const body = await stage((async function* () { yield text; })(), "/nonexistent");
    const one = folder.append({ entry: { origin: {}, traits }, traits, body }, signal).then(({ receipt }) => {
      console.log(receipt.ref + " " + body.key);
    });
    if (i % 64 === 63) await one;
  }`;

test("killed in the middle: cur holds whole messages only, all that were answered for; the next run sweeps tmp", async () => {
  for (let round = 0; round < 2; round++) {
    const child = spawn(process.execPath, ["--import", "tsx", "--input-type=module", "-e", WRITER, at.path("box")], {
      cwd: ROOT,
      stdio: ["ignore", "pipe", "inherit"],
    });
    let said = "";
    const gone = once(child, "close");
    child.stdout.on("data", (chunk: Buffer) => {
      said += chunk;
      if (said.length > 20_000 + round * 7_000) child.kill("SIGKILL");
    });
    await gone;
    const answered = said
      .slice(0, said.lastIndexOf("\n"))
      .split("\n")
      .map((line) => line.split(" "));
    expect(answered.length).toBeGreaterThan(50);
    const target = await (await open()).open(folder("A"), SIGNAL);
    expect(await readdir(at.path("box/.A/tmp"))).toEqual([]);
    for (const [ref = "", key] of answered) expect((await keyOf(target.reopen({ ref }, SIGNAL))).key).toBe(key);
    for (const { entry, bytes } of await readAll(await source(), ["A"])) {
      expect(bytes?.toString("latin1")).toMatch(/^Subject: \d+\r\n\r\n(0123456789abcdef){500,}\r\n$/);
      expect(entry.traits.labels).toEqual(new Set(["L"]));
    }
  }
});

test("another program's files in tmp stay, and a name made by a living process too", async () => {
  const sink = await open();
  await add(await sink.open(folder("A"), SIGNAL), "a\r\n");
  await writeFile(at.path("box/.A/tmp/1.2.other"), "x");
  await (await open()).open(folder("A"), SIGNAL);
  expect(await readdir(at.path("box/.A/tmp"))).toEqual(["1.2.other"]);
});

test("python's mailbox reads the same folders, messages and flags", async () => {
  const sink = await open();
  const target = await sink.open(folder("A"), SIGNAL);
  await add(target, "Subject: one\r\n\r\n", { flags: new Set(["seen", "flagged"]) });
  await add(target, "Subject: two\r\n\r\n", { keywords: new Set(["$Forwarded"]) });
  await sink.open(folder("B", "C"), SIGNAL);
  const script = `
import mailbox, sys, json
box = mailbox.Maildir(sys.argv[1], create=False)
inside = box.get_folder("A")
print(json.dumps([sorted(box.list_folders()), sorted((m["subject"], "".join(c for c in m.get_flags() if c.isupper()), m.get_subdir()) for m in inside)]))`;
  const { stdout } = await promisify(execFile)("python3", ["-c", script, at.path("box")]);
  expect(JSON.parse(stdout)).toEqual([
    ["A", "B.C"],
    [
      ["one", "FS", "cur"],
      ["two", "P", "cur"],
    ],
  ]);
});

test("open twice gives the same folder, and concurrent opens do not meet", async () => {
  const sink = await open();
  const [a, b, c] = await Promise.all([folder("A"), folder("A"), folder("B")].map((item) => sink.open(item, SIGNAL)));
  expect(a?.created).toBe(true);
  // Whoever comes second may find mail there.
  expect(b).toMatchObject({ name: a?.name, path: a?.path, generation: a?.generation, created: false });
  expect(c?.generation).not.toBe(a?.generation);
  await mkdir(at.path("box/.A/cur"), { recursive: true });
});
