// An IMAP account on a real Dovecot keeps and gives back what is put into it, byte for byte, or says what it did not keep.

import { afterAll, beforeAll, expect, it } from "vitest";
import { MailError } from "../../../src/mail/errors.ts";
import type { FolderPath, Origin, SystemFlag } from "../../../src/mail/model.ts";
import { openImapSink } from "../../../src/sinks/imap.ts";
import type { SinkFolder } from "../../../src/sinks/sink.ts";
import { openImapSource } from "../../../src/sources/imap.ts";
import { type Dovecot, startDovecot } from "../../kit/dovecot.ts";
import { contentOf, folderOf, listFolders, messageOf, readAll, signal } from "./helpers.ts";

let server: Dovecot;
let users = 0;
beforeAll(async () => {
  server = await startDovecot({ fsync: false });
});
afterAll(() => server.stop());

async function newUser(): Promise<string> {
  const user = `user${++users}`;
  await server.addUser(user);
  return user;
}

const HEADER = "From: a@example.org\r\nSubject: x\r\nMessage-ID: <1@example.org>\r\n\r\n";
const BIG = `${HEADER}${"0123456789abcdef".repeat(6)}\r\n`.repeat(12_000);

it.each(["imaps", "imap"] as const)("every byte of a message comes back as it was put (%s)", async (kind) => {
  const user = await newUser();
  await using sink = await openImapSink(server.serverOptions(kind, user), signal);
  await using source = await openImapSource(server.serverOptions(kind, user), signal);
  const folder = await sink.open(folderOf(["Box"]), signal);
  const sent = [
    `${HEADER}plain\r\n`,
    `${HEADER}no newline at the end`,
    `${HEADER}8-bit \xe4\xf6\xfc\xff\x80\r\n`,
    `${HEADER}ends with a literal {3}\r\n+ OK\r\n* BYE\r\nm1 NO\r\n)\r\n`,
    "X",
    "\r\n",
    `${HEADER}${"x".repeat(100_000)}\r\n`,
    `${HEADER}a lone \r in it\r\n`,
    BIG,
  ];
  const messages = await Promise.all(sent.map((text) => messageOf(text)));
  const stored = await Promise.all(messages.map((message) => folder.append(message, signal)));
  expect(stored.map(({ altered }) => altered)).toEqual(sent.map(() => undefined));
  const read = await readAll(source, ["Box"]);
  const bytes = read.map((one) => one.bytes?.toString("latin1") ?? String(one.error)).sort();
  expect(bytes).toEqual([...sent].sort());
  const back = await Promise.all(
    stored.map(async ({ receipt }) =>
      receipt === undefined ? "" : (await contentOf(folder.reopen(receipt, signal))).toString("latin1"),
    ),
  );
  expect(back).toEqual(sent);
});

it("bare LF is sent as CRLF and is no alteration; NUL is one; an empty message is refused by itself", async () => {
  const user = await newUser();
  await using sink = await openImapSink(server.serverOptions("imaps", user), signal);
  const folder = await sink.open(folderOf(["Box"]), signal);
  const lf = await messageOf("A: b\n\nline\nline\r\n");
  const crcrlf = await messageOf("A: b\r\n\r\nline\r\r\n");
  const nul = await messageOf("A: b\r\n\r\nnul \0 nul\r\n");
  const empty = await messageOf("");
  const results = await Promise.allSettled([lf, crcrlf, nul, empty].map((one) => folder.append(one, signal)));
  expect(results[0]).toMatchObject({ status: "fulfilled", value: { receipt: {} } });
  expect(results[0]).not.toHaveProperty("value.altered");
  expect(results[1]).not.toHaveProperty("value.altered");
  expect(results[2]).toMatchObject({ status: "fulfilled", value: { altered: expect.stringContaining("NUL") } });
  expect(results[3]).toMatchObject({
    status: "rejected",
    reason: { details: { scope: "message", remedy: "give-up", outcome: "none" } },
  });
});

const ODD: readonly FolderPath[] = [
  ["INBOX"],
  ["INBOX", "below"],
  ["Ünïcode", "日本 語"],
  ["a b", " leading", "trailing "],
  ['quote " back \\ slash'],
  ["100% * & &- &AOQ- {5}"],
  ["dots.in.it"],
  ["~tilde"],
  ["emoji 🦊"],
  ["[Gmail]", "All Mail"],
  ["'single' (paren)"],
];

it("folder names of every kind come back as the same paths, and the second opening finds them", async () => {
  const user = await newUser();
  await using sink = await openImapSink(server.serverOptions("imaps", user), signal);
  for (const path of ODD) {
    const opened = await sink.open(folderOf(path, { subscribed: true }), signal);
    expect(opened.path).toEqual(path);
    expect(opened.created).toBe(path.length !== 1 || path[0] !== "INBOX");
    await opened.append(await messageOf(Buffer.from(`${HEADER}${JSON.stringify(path)}\r\n`)), signal);
  }
  await sink.seal(signal);
  await using again = await openImapSink(server.serverOptions("imaps", user), signal);
  for (const path of ODD) expect((await again.open(folderOf(path), signal)).created).toBe(false);
  await using source = await openImapSource(server.serverOptions("imaps", user), signal);
  const listed = await listFolders(source);
  for (const path of ODD) {
    const folder = listed.find((one) => JSON.stringify(one.path) === JSON.stringify(path));
    expect(folder).toMatchObject({ messages: 1, subscribed: true, selectable: true });
    const [message] = await readAll(source, path);
    expect(message?.bytes?.toString()).toContain(JSON.stringify(path));
  }
});

it("opened to be read through, folders are asked for at once and without their octets, and told anew each further time", async () => {
  const user = await newUser();
  await using sink = await openImapSink(server.serverOptions("imaps", user), signal);
  await (await sink.open(folderOf(["Box"]), signal)).append(await messageOf(`${HEADER}x\r\n`), signal);
  const lists: string[] = [];
  const options = {
    ...server.serverOptions("imaps", user),
    trace: (_: string, direction: string, text: string) =>
      void (direction === "C" && / LIST /.test(text) && lists.push(text)),
  };
  await using source = await openImapSource(options, signal, { toRead: true });
  const box = { path: ["Box"], messages: 1 };
  const [first] = (await listFolders(source)).filter(({ path }) => path[0] === "Box");
  expect(first).toMatchObject(box);
  expect(first).not.toHaveProperty("bytes");
  expect(lists).toHaveLength(1);
  expect(lists[0]).not.toContain("SIZE");
  await sink.open(folderOf(["Later"]), signal);
  expect((await listFolders(source)).map(({ path }) => path[0])).toContain("Later");
  expect(lists).toHaveLength(2);
  await using sized = await openImapSource(options, signal);
  expect((await listFolders(sized)).find(({ path }) => path[0] === "Box")).toMatchObject({
    ...box,
    bytes: HEADER.length + 3,
  });
});

it("a delimiter or a line end in a name gives way, says so, and injects nothing", async () => {
  const user = await newUser();
  await using sink = await openImapSink(server.serverOptions("imaps", user), signal);
  const slash = await sink.open(folderOf(["a/b"]), signal);
  expect(slash.path).toEqual(["a_b"]);
  const other = await sink.open(folderOf(["a_b"]), signal);
  expect(other.name).not.toBe(slash.name);
  const evil = await sink.open(folderOf(["x\r\nm9 DELETE INBOX\r\n\0"]), signal);
  expect(evil.name).not.toMatch(/[\r\n\0]/);
  const inbox = await sink.describe(folderOf(["inbox"]), signal);
  expect(inbox.name.toUpperCase()).not.toBe("INBOX");
});

it("a folder of a server with a prefix is named without it", async () => {
  await using prefixed = await startDovecot({
    separator: ".",
    listescape: false,
    extraConfig: "namespace inbox {\n  prefix = INBOX.\n}\n",
  });
  await using sink = await openImapSink(prefixed.serverOptions("imaps", "anna"), signal);
  const opened = await sink.open(folderOf(["Clients", "A.B"]), signal);
  expect(opened.name).toBe("INBOX.Clients.A_B");
  expect(opened.path).toEqual(["Clients", "A_B"]);
  expect((await sink.open(folderOf(["INBOX"]), signal)).name).toBe("INBOX");
  await using source = await openImapSource(prefixed.serverOptions("imaps", "anna"), signal);
  const paths = (await listFolders(source)).map(({ path }) => path);
  expect(paths).toContainEqual(["Clients", "A_B"]);
  expect(paths).toContainEqual(["INBOX"]);
});

const ALL_FLAGS: ReadonlySet<SystemFlag> = new Set(["seen", "answered", "flagged", "deleted", "draft"]);

it("flags, keywords and dates are kept, and updates change only what they name", async () => {
  const user = await newUser();
  await using sink = await openImapSink(server.serverOptions("imaps", user), signal);
  const folder = await sink.open(folderOf(["Box"]), signal);
  const received = { epochSeconds: 1_234_567_890, zoneMinutes: -330 };
  const keywords = new Set(["$Forwarded", "Work", "a.b-c"]);
  const first = await folder.append(await messageOf(`${HEADER}1`, { flags: ALL_FLAGS, keywords, received }), signal);
  const second = await folder.append(await messageOf(`${HEADER}2`), signal);
  expect(first.losses).toBeUndefined();
  const copies = async () => {
    const all = [];
    for await (const copy of folder.copies(undefined, signal)) all.push(copy);
    return all;
  };
  const [one, two] = await copies();
  expect(one).toMatchObject({ receipt: first.receipt, messageId: "<1@example.org>" });
  expect(one?.traits.flags).toEqual(ALL_FLAGS);
  expect(one?.traits.keywords).toEqual(keywords);
  expect(one?.traits.received?.epochSeconds).toBe(received.epochSeconds);
  expect(two?.traits.flags.size).toBe(0);
  const none = { flags: new Set<SystemFlag>(), keywords: new Set<string>(), labels: new Set<string>() };
  await Promise.all([
    folder.update?.(
      first.receipt ?? { ref: "" },
      { add: none, remove: { ...none, flags: new Set(["deleted"]), keywords: new Set(["Work"]) } },
      signal,
    ),
    folder.update?.(
      second.receipt ?? { ref: "" },
      { add: { ...none, flags: new Set(["seen"]), keywords: new Set(["New"]) }, remove: none },
      signal,
    ),
  ]);
  const [after, other] = await copies();
  expect(after?.traits.flags).toEqual(new Set(["seen", "answered", "flagged", "draft"]));
  expect(after?.traits.keywords).toEqual(new Set(["$Forwarded", "a.b-c"]));
  expect(other?.traits.flags).toEqual(new Set(["seen"]));
  expect(other?.traits.keywords).toEqual(new Set(["New"]));
});

it("what a server does not keep of a message is told as a loss", async () => {
  const user = await newUser();
  await using sink = await openImapSink(server.serverOptions("imaps", user), signal);
  const folder = await sink.open(folderOf(["Box"]), signal);
  const odd = await folder.append(
    await messageOf(`${HEADER}1`, {
      keywords: new Set(["two words", "brace{", "fine"]),
      received: { epochSeconds: -86_400 * 365 * 20 },
    }),
    signal,
  );
  expect(odd.receipt).toBeDefined();
  expect(odd.losses).toEqual(
    expect.arrayContaining([
      { kind: "keyword", name: "two words" },
      { kind: "keyword", name: "brace{" },
      { kind: "received" },
    ]),
  );
  const late = await folder.append(
    await messageOf(`${HEADER}2`, { received: { epochSeconds: 2 ** 31 + 1000 } }),
    signal,
  );
  expect(late.losses).toEqual([{ kind: "received" }]);
});

it("a date that the server replaces is a loss: in the future, outside 1970 to 2038, without four digits in its year", async () => {
  await using sink = await openImapSink(server.serverOptions("imaps", await newUser()), signal);
  const folder = await sink.open(folderOf(["Box"]), signal);
  const now = Math.floor(Date.now() / 1000);
  const DAY = 86_400;
  const replaced = [-1, -DAY, 2 ** 31 - 1, 2 ** 31, 4e9, now + DAY, now + 365 * DAY, 253_402_300_800, -62_135_596_801];
  const kept = [0, 1, now - DAY, now];
  const losses = async (epochSeconds: number): Promise<unknown> =>
    (await folder.append(await messageOf(`${HEADER}${epochSeconds}`, { received: { epochSeconds } }), signal)).losses;
  for (const lost of await Promise.all(replaced.map(losses))) expect(lost).toEqual([{ kind: "received" }]);
  for (const lost of await Promise.all(kept.map(losses))) expect(lost).toBeUndefined();
  const dates: (number | undefined)[] = [];
  for await (const { traits } of folder.copies(undefined, signal)) dates.push(traits.received?.epochSeconds);
  expect(dates).toEqual(expect.arrayContaining(kept));
});

it("position and copies: only what came after is listed", async () => {
  const user = await newUser();
  await using sink = await openImapSink(server.serverOptions("imaps", user), signal);
  const folder = await sink.open(folderOf(["Box"]), signal);
  const receipts = async (since: string | undefined) => {
    const all: string[] = [];
    for await (const { receipt } of folder.copies(since, signal)) all.push(receipt.ref);
    return all;
  };
  expect(await receipts(undefined)).toEqual([]);
  const first = await folder.append(await messageOf(`${HEADER}1`), signal);
  const position = await folder.position(signal);
  expect(await receipts(position)).toEqual([]);
  const second = await folder.append(await messageOf(`${HEADER}2`), signal);
  expect(await receipts(position)).toEqual([second.receipt?.ref]);
  expect(await receipts(undefined)).toEqual([first.receipt?.ref, second.receipt?.ref]);
  const gone = folder.reopen({ ref: `${folder.generation}:99` }, signal);
  await expect(contentOf(gone)).rejects.toMatchObject({ code: "not-found", details: { scope: "message" } });
  const stale = folder.reopen({ ref: "1:1" }, signal);
  await expect(contentOf(stale)).rejects.toMatchObject({ code: "not-found" });
});

async function* all<T>(items: readonly T[]): AsyncGenerator<T> {
  yield* items;
}

it("removal takes exactly the named messages, and leaves others that are marked as deleted", async () => {
  const user = await newUser();
  await using sink = await openImapSink(server.serverOptions("imaps", user), signal);
  const folder: SinkFolder = await sink.open(folderOf(["Böx"]), signal);
  for (let n = 1; n <= 5; n++)
    await folder.append(await messageOf(`${HEADER}${n}`, { flags: new Set(n === 5 ? ["deleted"] : []) }), signal);
  await using source = await openImapSource(server.serverOptions("imaps", user), signal);
  const read = await readAll(source, ["Böx"], () => true);
  const origins: Origin[] = read.map(({ entry }) => entry.origin).filter(({ id }) => id === "2" || id === "4");
  const removed: string[] = [];
  for await (const origin of source.remove?.(all(origins), signal) ?? []) removed.push(origin.id);
  expect(removed.sort()).toEqual(["2", "4"]);
  expect((await readAll(source, ["Böx"])).map(({ entry }) => entry.origin.id)).toEqual(["1", "3", "5"]);
  const stale = origins.map((origin) => ({ ...origin, generation: "7", id: "1" }));
  const refused = (async () => {
    for await (const origin of source.remove?.(all(stale), signal) ?? []) removed.push(origin.id);
  })();
  await expect(refused).rejects.toBeInstanceOf(MailError);
  expect((await readAll(source, ["Böx"])).length).toBe(3);
});

it("want is asked for every message once; what is not wanted is not read; unread content is skipped", async () => {
  const user = await newUser();
  await using sink = await openImapSink(server.serverOptions("imaps", user), signal);
  const folder = await sink.open(folderOf(["Box"]), signal);
  const texts = Array.from({ length: 30 }, (_, n) => (n % 10 === 3 ? BIG : `${HEADER}${n}`));
  for (const text of texts) await folder.append(await messageOf(text), signal);
  await using source = await openImapSource(server.serverOptions("imaps", user), signal);
  const box = (await listFolders(source)).find(({ path }) => path[0] === "Box");
  expect(box?.state).toMatch(/^\d+:31:30:\d+$/);
  expect(box?.bytes).toBeGreaterThan(BIG.length);
  const asked: string[] = [];
  const got: string[] = [];
  let listed = 0;
  const options = {
    want: async ({ origin }: { readonly origin: Origin }) => {
      asked.push(origin.id);
      return Number(origin.id) % 2 === 0;
    },
    listed: () => {
      expect(asked.length).toBe(30);
      listed++;
    },
    signal,
  };
  if (box === undefined) throw new Error("no box");
  for await (const { entry } of source.read({ folder: box }, options)) got.push(entry.origin.id);
  expect(new Set(asked).size).toBe(30);
  expect(listed).toBe(1);
  expect(got.map(Number).sort((a, b) => a - b)).toEqual(Array.from({ length: 15 }, (_, n) => 2 * n + 2));
});

it("a wrong password is an auth error, an untrusted or unpinned certificate a config error", async () => {
  const good = server.serverOptions("imaps", "anna");
  await expect(openImapSource({ ...good, password: async () => "wrong" }, signal)).rejects.toMatchObject({
    code: "auth",
    details: { remedy: "give-up", scope: "account" },
  });
  const { ca: _, ...untrusting } = good;
  await expect(openImapSource(untrusting, signal)).rejects.toMatchObject({ code: "config" });
  await expect(openImapSource({ ...untrusting, fingerprint: "0".repeat(64) }, signal)).rejects.toMatchObject({
    code: "config",
  });
  for (const kind of ["imaps", "imap"] as const) {
    const { ca: __, ...plain } = server.serverOptions(kind, "anna");
    await expect(openImapSource({ ...plain, fingerprint: "0".repeat(64) }, signal)).rejects.toMatchObject({
      code: "config",
    });
    await using pinned = await openImapSource({ ...plain, fingerprint: server.fingerprint }, signal);
    expect((await listFolders(pinned)).length).toBeGreaterThan(0);
  }
});

it("the trace shows both sides and no secret", async () => {
  const lines: string[] = [];
  const traced = {
    ...server.serverOptions("imaps", "anna"),
    trace: (connection: string, direction: string, text: string) => lines.push(`${connection} ${direction} ${text}`),
  };
  await using source = await openImapSource(traced, signal);
  await listFolders(source);
  expect(lines.some((line) => /C .*LIST/.test(line))).toBe(true);
  expect(lines.some((line) => /S \* LIST/.test(line))).toBe(true);
  const secret = [server.password, Buffer.from(`\0anna\0${server.password}`).toString("base64")];
  for (const word of secret) expect(lines.join("\n")).not.toContain(word);
});
