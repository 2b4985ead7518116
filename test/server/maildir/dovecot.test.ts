// Our Maildir as a real Dovecot shows it, and what Dovecot does to it as we read it again.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { keyOf } from "../../../src/mail/key.ts";
import { showPath, type Traits } from "../../../src/mail/model.ts";
import { openMaildirSink } from "../../../src/sinks/maildir.ts";
import { openMaildirSource } from "../../../src/sources/maildir.ts";
import { folder, foldersOf, message, readAll, SIGNAL } from "../../formats/maildir/kit.ts";
import { type Dovecot, startDovecot } from "../../kit/dovecot.ts";
import { connectImap } from "../../kit/imap-client.ts";

let dovecot: Dovecot;
let scratch: string;
let users = 0;
beforeAll(async () => {
  // With "^" between the parts, "." and "/" in a part can be told apart on the wire.
  dovecot = await startDovecot({ users: [], separator: "^" });
});
afterAll(() => dovecot?.stop());
beforeEach(() => {
  scratch = mkdtempSync(join(tmpdir(), "maildir-server-"));
});
afterEach(() => rmSync(scratch, { recursive: true, force: true }));

const PATHS: readonly (readonly string[])[] = [
  ["INBOX"],
  ["INBOX", "Sub"],
  ["Clients", "A/B"],
  ["Clients", "A.B"],
  ["Clients", "A", "B"],
  ["~tilde", "~x", "a~"],
  ["back\\slash", "\\2e"],
  [".."],
  [" lead and trail "],
  ['%*"&'],
  ["R&D", "Entwürfe", "日本語", "😀"],
  ["cur", "new"],
  ["mailferry"],
];

const TRAITS: readonly Partial<Traits>[] = [
  {},
  { flags: new Set(["seen"]), received: { epochSeconds: 1_000_000_000, zoneMinutes: 120 } },
  { flags: new Set(["answered", "flagged", "deleted", "draft"]), received: { epochSeconds: 0 } },
  { keywords: new Set(["$Forwarded", "Work", "$MDNSent"]), received: { epochSeconds: 2 ** 31 - 1 } },
];

const BODIES = [
  "Subject: a\r\n\r\nplain\r\n",
  "Subject: b\r\n\r\n8 bit \xe9\r\nno end",
  "bare\nlines\n\n",
  "Subject: d\r\n\r\na\rb\r\n",
];

async function fill(path: string): Promise<void> {
  await using sink = await openMaildirSink({ path }, SIGNAL);
  for (const at of PATHS) {
    const target = await sink.open({ ...folder(...at), subscribed: at.length !== 2 }, SIGNAL);
    await Promise.all(
      TRAITS.map(async (traits, i) => {
        const bytes = Buffer.from(BODIES[i] ?? "", "latin1");
        await target.append(await message(bytes, traits), SIGNAL);
      }),
    );
  }
  await sink.seal(SIGNAL);
}

async function newUser(maildir: string): Promise<string> {
  const name = `user${users++}`;
  await dovecot.addUser(name, { maildir });
  return name;
}

/** What the log says beside the comings and goings of sessions. */
function complaints(): string[] {
  return dovecot
    .log()
    .split("\n")
    .filter((line) => /(Error|Warning|Panic|Fatal): /.test(line));
}

test("Dovecot shows the same folders, subscriptions, messages, flags, keywords and dates, without a complaint", async () => {
  await fill(join(scratch, "box"));
  const user = await newUser(join(scratch, "box"));
  await using client = await connectImap(dovecot.serverOptions("imaps", user));
  const listed = (await client.folders()).filter(({ selectable }) => selectable);
  expect(listed.map(({ path }) => showPath(path)).sort()).toEqual(PATHS.map(showPath).sort());
  for (const { path, subscribed } of listed)
    expect([showPath(path), subscribed]).toEqual([showPath(path), path.length !== 2]);
  for (const path of PATHS) {
    const held = await client.read(path);
    expect(held).toHaveLength(TRAITS.length);
    for (const [i, { flags = new Set(), keywords = new Set(), received }] of TRAITS.entries()) {
      const { key } = await keyOf(
        (async function* () {
          yield Buffer.from(BODIES[i] ?? "", "latin1");
        })(),
      );
      const one = held.find((item) => item.key === key);
      expect(one?.flags).toEqual([...flags].sort());
      expect(one?.keywords).toEqual([...keywords].sort());
      if (received !== undefined) expect(one?.epochSeconds).toBe(received.epochSeconds);
    }
  }
  expect(complaints()).toEqual([]);
});

test("what Dovecot changes is found again: renames, new keywords, new mail, deletions, a folder renamed", async () => {
  await fill(join(scratch, "box"));
  const user = await newUser(join(scratch, "box"));
  const path = dovecot.maildir(user);
  const before = await readAll(await openMaildirSource({ path }, SIGNAL), ["Clients", "A", "B"]);
  await using client = await connectImap(dovecot.serverOptions("imaps", user));
  const uids = (await client.read(["Clients", "A", "B"])).map(({ uid }) => uid);
  const [first = 0, second = 0] = uids;
  await client.store(["Clients", "A", "B"], first, "+", ["\\Flagged", "Fresh"]);
  await client.expunge(["Clients", "A", "B"], [second]);
  await client.append({
    folder: ["Clients", "A", "B"],
    bytes: Buffer.from("Subject: new\r\n\r\n"),
    keywords: ["Other"],
  });
  await client.rename([".."], ["Renamed"]);

  await using sink = await openMaildirSink({ path }, SIGNAL);
  const target = await sink.open(folder("Clients", "A", "B"), SIGNAL);
  expect(target.created).toBe(false);
  const refs: string[] = [];
  for await (const { receipt, size, traits } of target.copies(undefined, SIGNAL)) {
    refs.push(receipt.ref);
    expect(size).toBeGreaterThan(0);
    if (traits.keywords.has("Fresh")) expect(traits.flags.has("flagged")).toBe(true);
  }
  expect(refs).toHaveLength(TRAITS.length);
  let kept = 0;
  for (const { entry, bytes } of before) {
    if (!refs.includes(entry.origin.id)) continue;
    kept++;
    expect((await keyOf(target.reopen({ ref: entry.origin.id }, SIGNAL))).key).toBe(
      (
        await keyOf(
          (async function* () {
            yield bytes ?? Buffer.alloc(0);
          })(),
        )
      ).key,
    );
  }
  expect(kept).toBe(TRAITS.length - 1);
  const keywords = (await readAll(await openMaildirSource({ path }, SIGNAL), ["Clients", "A", "B"])).flatMap(
    ({ entry }) => [...entry.traits.keywords],
  );
  expect(keywords).toContain("Fresh");
  expect(keywords).toContain("Other");
  expect([...(await foldersOf(await openMaildirSource({ path }, SIGNAL))).keys()]).toContain('["Renamed"]');
  expect(complaints()).toEqual([]);
});

test("Dovecot sees what we add and change while it has the folder open", async () => {
  await fill(join(scratch, "box"));
  const user = await newUser(join(scratch, "box"));
  const path = dovecot.maildir(user);
  await using client = await connectImap(dovecot.serverOptions("imaps", user));
  await client.store(["INBOX"], (await client.read(["INBOX"]))[0]?.uid ?? 0, "+", ["Theirs"]);
  await using sink = await openMaildirSink({ path }, SIGNAL);
  const target = await sink.open(folder("INBOX"), SIGNAL);
  const late = { keywords: new Set(["Ours", "theirs"]), flags: new Set(["seen"] as const) };
  const { receipt } = await target.append(await message("Subject: late\r\n\r\n", late), SIGNAL);
  dovecot.adopt(user);
  const find = async () => (await client.read(["INBOX"])).find(({ bytes }) => bytes.includes("Subject: late"));
  expect(await find()).toMatchObject({ flags: ["seen"], keywords: ["Ours", "Theirs"] });
  const none = { flags: new Set<never>(), keywords: new Set<string>(), labels: new Set<string>() };
  if (receipt === undefined || target.update === undefined) throw new Error("the sink cannot change traits");
  const change = {
    add: { ...none, flags: new Set(["answered"] as const) },
    remove: { ...none, keywords: new Set(["Ours"]) },
  };
  await target.update(receipt, change, SIGNAL);
  dovecot.adopt(user);
  expect(await find()).toMatchObject({ flags: ["answered", "seen"], keywords: ["Theirs"] });
  expect(complaints()).toEqual([]);
});
