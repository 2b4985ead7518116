// States that mail programs keep in places of their own: Thunderbird's Maildir store, Evolution, KMail, and names without a colon.

import { existsSync, readdirSync } from "node:fs";
import { utimes } from "node:fs/promises";
import { describe, expect, test } from "vitest";
import { parseFileName } from "../../src/formats/maildir/names.ts";
import type { Entry } from "../../src/mail/model.ts";
import { run } from "../../src/migrate/run.ts";
import { verify } from "../../src/migrate/verify.ts";
import { openMaildirSink } from "../../src/sinks/maildir.ts";
import { openMaildirSource } from "../../src/sources/maildir.ts";
import { openMboxSource } from "../../src/sources/mbox.ts";
import type { Source } from "../../src/sources/source.ts";
import { foldersOf, plant, readAll, SIGNAL, scratch } from "../formats/maildir/kit.ts";

const at = scratch();
const SECONDS = Date.UTC(2004, 9, 28, 21, 0, 38) / 1000;

/** A message as Thunderbird stores it, and as it came. */
function mozilla(name: string, status: string, status2 = "00000000", keys = ""): { stored: string; came: string } {
  const came = `Received: by x; Thu, 28 Oct 2004 17:00:38 -0400\nSubject: ${name}\nX-Mozilla-Draft-Info: kept\n\nBody\n`;
  const state = `X-Mozilla-Status: ${status}\nX-Mozilla-Status2: ${status2}\nX-Mozilla-Keys: ${keys.padEnd(80)}\n`;
  return { stored: state + came, came: came.replaceAll("\n", "\r\n") };
}

const STORE = {
  one: mozilla("one", "0001", "00000000", "$label1 work"),
  two: mozilla("two", "1006"),
  gone: mozilla("gone", "0009"),
  marked: mozilla("marked", "0000", "00200000"),
};

async function store(): Promise<void> {
  await plant(at.path("Mail"), {
    "Inbox/tmp/": "",
    "Inbox/cur/1704369600000.eml": STORE.one.stored,
    "Inbox/cur/1704369600001.eml": STORE.two.stored,
    "Inbox/cur/1704369600002.eml": STORE.gone.stored,
    "Inbox/cur/1704369600003.eml": STORE.marked.stored,
    // Not Thunderbird's: its name and its time say all there is.
    "Inbox/cur/1704369600.M1P1.host.eml": "Date: Thu, 28 Oct 2004 17:00:38 -0400\n\nx\n",
    "Inbox.msf": "",
    "Inbox.sbd/Clients/cur/1704369600004.eml": mozilla("four", "0001").stored,
    "Inbox.sbd/Clients/tmp/": "",
    "Inbox.sbd/Clients.sbd/Acme/cur/1704369600005.eml": mozilla("five", "0001").stored,
    "Inbox.sbd/Clients.sbd/Acme/tmp/": "",
  });
  await utimes(at.path("Mail/Inbox/cur/1704369600.M1P1.host.eml"), 1_600_000_000, 1_600_000_000);
}

const sorted = (words: Iterable<string>): string[] => [...words].sort();

describe("Thunderbird's Maildir store", () => {
  test("has its flags, tags and dates from its fields, which do not belong to the mail", async () => {
    await store();
    const notices: string[] = [];
    const options = { path: at.path("Mail"), onNotice: (text: string) => notices.push(text) };
    await using source = await openMaildirSource(options, SIGNAL);
    expect([...(await foldersOf(source)).keys()].sort()).toEqual([
      '["INBOX","Clients","Acme"]',
      '["INBOX","Clients"]',
      '["INBOX"]',
    ]);
    const got = await readAll(source, ["INBOX"]);
    const by = new Map(got.map((one) => [one.entry.origin.id, one]));
    const traits = (id: string) => by.get(id)?.entry.traits;
    const received = { epochSeconds: SECONDS, zoneMinutes: -240 };
    expect(traits("1704369600000.eml")).toMatchObject({ flags: new Set(["seen"]), received });
    expect(sorted(traits("1704369600000.eml")?.keywords ?? [])).toEqual(["$label1", "work"]);
    expect(traits("1704369600001.eml")).toMatchObject({ flags: new Set(["answered", "flagged"]) });
    expect(sorted(traits("1704369600001.eml")?.keywords ?? [])).toEqual(["$Forwarded"]);
    expect(traits("1704369600003.eml")?.flags).toEqual(new Set(["deleted"]));
    expect(traits("1704369600.M1P1.host.eml")?.received).toEqual({ epochSeconds: 1_600_000_000 });
    expect(by.get("1704369600000.eml")?.bytes?.toString()).toBe(STORE.one.came);
    expect(got.filter(({ entry }) => entry.isExpunged === true).map(({ entry }) => entry.origin.id)).toEqual([
      "1704369600002.eml",
    ]);
    expect(notices).toEqual([
      "INBOX: 1 message that Thunderbird deleted and has not compacted away: left out, unless --with-expunged is given",
    ]);
  });

  test("leaves a body alone that begins behind a long header, whatever is in it", async () => {
    const head = `X-Mozilla-Status: 0001\nX-Long: ${"x ".repeat(200_000)}\n`;
    const rest = `\nX-Mozilla-Status: 0009\n${"y".repeat(70)}\n`.repeat(6000);
    await plant(at.path("Mail"), { "A/cur/1704369600000.eml": head + rest, "A/new/": "" });
    await using source = await openMaildirSource({ path: at.path("Mail") }, SIGNAL);
    const [got] = await readAll(source, ["A"]);
    const want = head.slice(head.indexOf("\n") + 1) + rest;
    expect(got?.bytes?.toString()).toBe(want.replaceAll("\n", "\r\n"));
    expect(got?.entry.isExpunged).toBeUndefined();
  });
});

const ignore = (): void => undefined;
const MBOX = ["0001", "0009", "0019", "0005"]
  .map((status, i) => `From - Thu Jan  4 12:00:00 2024\nX-Mozilla-Status: ${status}\nSubject: m${i}\n\nBody\n\n`)
  .join("");

describe.each(["mbox", "maildir"] as const)("what Thunderbird expunged and has not compacted, in a %s", (kind) => {
  const open = async (): Promise<Source> => {
    if (kind === "maildir") {
      if (!existsSync(at.path("Mail"))) await store();
      return await openMaildirSource({ path: at.path("Mail") }, SIGNAL);
    }
    if (!existsSync(at.path("INBOX"))) await plant(at.path(), { INBOX: MBOX });
    return await openMboxSource({ path: at.path("INBOX") }, SIGNAL);
  };
  const expunged = kind === "mbox" ? 2 : 1;
  const kept = kind === "mbox" ? 2 : 6;

  test("is left out and counted, comes when it is asked for though nothing changed, and goes by the same rule in verify", async () => {
    const go = async (more: { withExpunged?: boolean } = {}) => {
      await using source = await open();
      await using sink = await openMaildirSink({ path: at.path("out") }, SIGNAL);
      return (await run(source, sink, { stateDirectory: at.path("state"), ...more }, SIGNAL).finished).balance;
    };
    const compare = async (more: { withExpunged?: boolean } = {}) => {
      await using source = await open();
      await using target = await openMaildirSource({ path: at.path("out") }, SIGNAL);
      return await verify(source, target, undefined, { bothWays: true, ...more }, SIGNAL, ignore, ignore);
    };
    expect(await go()).toMatchObject({ copied: kept, filtered: expunged });
    // An mbox in which nothing moved is not read again for it; a Maildir always is.
    expect(await go()).toMatchObject({
      copied: 0,
      "already-copied": kept,
      filtered: kind === "mbox" ? 0 : expunged,
    });
    expect(await compare()).toMatchObject({ missing: 0, changed: 0, extra: 0, equal: true });
    expect(await compare({ withExpunged: true })).toMatchObject({ equal: false, missing: expunged });
    expect(await go({ withExpunged: true })).toMatchObject({ copied: expunged, filtered: 0 });
    expect((await compare({ withExpunged: true })).equal).toBe(true);
    expect(await go()).toMatchObject({ copied: 0 });
    const flagged = readdirSync(at.path("out"), { recursive: true, encoding: "utf8" }).filter((name) =>
      /:2,\w*T/.test(name),
    );
    expect(flagged).toHaveLength(kind === "mbox" ? expunged : expunged + 1);
  });
});

test.each(["mbox", "maildir"])(
  "what Thunderbird fetched only the beginning of fails by name, in a %s",
  async (kind) => {
    const partial = mozilla("partial", "0401").stored;
    const whole = mozilla("whole", "0001").stored;
    await plant(at.path(), {
      box: `From - Thu Jan  4 12:00:00 2024\n${partial}\nFrom - Thu Jan  4 12:00:00 2024\n${whole}`,
      "Mail/box/cur/1704369600000.eml": partial,
      "Mail/box/cur/1704369600001.eml": whole,
      "Mail/box/new/": "",
    });
    await using source =
      kind === "mbox"
        ? await openMboxSource({ path: at.path("box") }, SIGNAL)
        : await openMaildirSource({ path: at.path("Mail") }, SIGNAL);
    const [first, second] = await readAll(source, ["box"]);
    expect(first?.error).toMatchObject({
      message: expect.stringMatching(/box.*: Thunderbird has fetched only the beginning of this message/),
      details: { scope: "message", remedy: "give-up", hint: expect.stringContaining("fetch the rest") },
    });
    expect(second?.bytes?.toString()).toContain("Subject: whole");
  },
);

async function states(content: string): Promise<Entry["traits"] | undefined> {
  await plant(at.path(), { box: `From a@b Thu Jan  4 12:00:00 2024\n${content}\nBody\n` });
  await using source = await openMboxSource({ path: at.path("box") }, SIGNAL);
  return (await readAll(source, ["box"]))[0]?.entry.traits;
}

test.each([
  ["0000002a-0010", ["seen"], []],
  ["0000002a-0012", ["deleted", "seen"], []],
  ["0000002a-000f", ["answered", "deleted", "draft", "flagged"], []],
  ["0000002a-0480", [], ["$Forwarded", "$Junk"]],
  ['0000002a-0010; flags="work,$label1"; tags="follow-up=1"', ["seen"], ["$label1", "work"]],
  ["0000002a-0010;\n\tflags=one", ["seen"], ["one"]],
  ["somebody's own", [], []],
])("Evolution's X-Evolution %s", async (value, flags, keywords) => {
  const traits = await states(`X-Evolution: ${value}\nSubject: s\n`);
  expect(sorted(traits?.flags ?? [])).toEqual(flags);
  expect(sorted(traits?.keywords ?? [])).toEqual(keywords);
});

test("Evolution's field stays in the mail, as in copies of before", async () => {
  await plant(at.path(), { box: "From a@b Thu Jan  4 12:00:00 2024\nX-Evolution: 0000002a-0010\n\nBody\n" });
  await using source = await openMboxSource({ path: at.path("box") }, SIGNAL);
  expect((await readAll(source, ["box"]))[0]?.bytes?.toString()).toContain("X-Evolution: 0000002a-0010");
});

test.each([
  // Others': F is flagged, T a draft.
  ["Status: RO\nX-Status: AFT\n", ["answered", "draft", "flagged", "seen"], []],
  ["Status: R\nX-Status: RGC\n", ["flagged", "seen"], []],
  ["Status: R\nX-Status: RAFT\nX-KMail-EncryptionState: \n", ["answered", "seen"], ["$Forwarded"]],
  ["Status: U\nX-Status: UKWIC\n", [], ["$IGNORED", "$TODO", "$WATCHED"]],
  ["Status: R\nX-Status: RPT\n", ["seen"], ["$Junk"]],
])("KMail's letters: %j", async (fields, flags, keywords) => {
  const traits = await states(`${fields}Subject: s\n`);
  expect(sorted(traits?.flags ?? [])).toEqual(flags);
  expect(sorted(traits?.keywords ?? [])).toEqual(keywords);
});

describe("a colon that another system replaced", () => {
  const octets = (text: string): string => Buffer.from(text).toString("latin1");
  test.each([":", ";", "!", "_", "-", "+", "%3A", "%3a", "=3A", "=3a", "\uf03a", "\ua789", "\uff1a"])(
    "by %j",
    (colon) => {
      const name = octets(`1704369600.M1P1.host,S=12${colon}2,FS`);
      expect(parseFileName(name)).toEqual({ base: "1704369600.M1P1.host,S=12", letters: "FS" });
      expect(parseFileName(octets(`1704369600.M1P1.host${colon}2,`))).toEqual({
        base: "1704369600.M1P1.host",
        letters: "",
      });
    },
  );

  test.each(["1704369600.M1P1.host-2", "1704369600.M1P1.host-2,S=12", "1704369600.M1P1.a%3Ab", "1704369600.x+2,S=1"])(
    "is none in %s",
    (name) => {
      expect(parseFileName(name)).toEqual({ base: name, letters: "" });
    },
  );
});
