// Servers that give less than a message, or a text of their own in its place: asked for again, then failed by name, never deleted;
// and servers whose sizes are merely wrong, of which nothing fails.

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type VerifyFinding, verify } from "../../src/migrate/verify.ts";
import { openMaildirSink } from "../../src/sinks/maildir.ts";
import { openImapSource } from "../../src/sources/imap.ts";
import { openMaildirSource } from "../../src/sources/maildir.ts";
import { count } from "../kit/counts.ts";
import { type Manners, type ScriptedAccount, startAccount } from "./imap-account.ts";
import { type Bench, carry, intoMaildir, once, openBench, signal } from "./jobs.ts";
import { between, inbox, ofType } from "./refusing.ts";

let bench: Bench;
beforeAll(async () => {
  bench = await openBench();
});
afterAll(() => bench?.[Symbol.asyncDispose]());

const letter = (n: number, text = "line\r\n".repeat(200)): string =>
  `Message-ID: <w${n}@example.org>\r\nSubject: note ${n}\r\n\r\n${text}`;
const SAYS = 'The server couldn\'t retrieve the following message:\r\n\r\nSubject: "note"\r\n';
const NAMES = "Subject: Retrieval using the IMAP4 protocol failed for the following message: 3\r\n";
const standIn = (id: string): string => `${NAMES}From: Microsoft Exchange Server\r\nMessage-ID: <${id}>\r\n\r\n${SAYS}`;

interface Given {
  /** As RFC822.SIZE tells it. */
  readonly size?: number;
  readonly body?: string;
}

/** What is given of a message whenever it is asked for; undefined: as it is. */
type Giving = (uid: number, bytes: Buffer, withBody: boolean) => Given | undefined;

function giving(give: Giving): NonNullable<Manners["rows"]> {
  return (rows) =>
    rows.map((row) => {
      const text = row.toString("latin1");
      const uid = Number(/UID (\d+)/.exec(text)?.[1]);
      const at = text.indexOf("BODY[] {");
      const start = text.indexOf("}\r\n", at) + 3;
      const bytes = at === -1 ? Buffer.alloc(0) : row.subarray(start, row.length - 3);
      const given = give(uid, bytes, at !== -1);
      if (given === undefined) return row;
      const meta = (at === -1 ? text : text.slice(0, at)).replace(/RFC822\.SIZE \d+/, (was) =>
        given.size === undefined ? was : `RFC822.SIZE ${given.size}`,
      );
      if (at === -1) return Buffer.from(meta, "latin1");
      const body = given.body ?? bytes.toString("latin1");
      return Buffer.from(`${meta}BODY[] {${body.length}}\r\n${body})\r\n`, "latin1");
    });
}

async function giver(messages: readonly string[], give: Giving): Promise<ScriptedAccount> {
  const account = await startAccount({ rows: giving(give) });
  for (const text of messages) account.add("INBOX", text);
  return account;
}

const lonely = (account: ScriptedAccount): string[] =>
  account.heard.flatMap((line) => /UID FETCH (\d+) \(UID BODY/.exec(line)?.[1] ?? []).sort();

const EIGHT = Array.from({ length: 8 }, (_, n) => letter(n + 1));
const BAD: Readonly<Record<number, (bytes: Buffer) => string>> = {
  2: () => "",
  3: (bytes) => bytes.toString("latin1").slice(0, 30),
  5: (bytes) => bytes.toString("latin1").slice(0, 900),
  6: () => standIn("w6@example.org"),
};

describe.each(["everything at once", "a listing first"])("content that is not the message, %s", (way) => {
  const options = way === "a listing first" ? { maxSize: 1 << 30 } : {};

  it("always: asked for again by itself, failed by name, never deleted, asked for by the next run", async () => {
    count("scripted cases");
    await using account = await giver(EIGHT, (uid, bytes, withBody) => {
      const bad = withBody ? BAD[uid] : undefined;
      return bad === undefined ? undefined : { body: bad(bytes) };
    });
    const job = intoMaildir(bench, account);
    for (const run of [1, 2]) {
      const { summary, events } = await once(job, options);
      expect(summary).toMatchObject({ outcome: "partial", closes: true, balance: { failed: 4 } });
      expect(summary?.balance).toMatchObject(run === 1 ? { copied: 4 } : { copied: 0, "already-copied": 4 });
      const failed = ofType(events, "message-settled").filter(({ as }) => as === "failed");
      const told = failed.map(({ entry, error }) => `${entry.origin.id}: ${error?.message}`).sort();
      expect(told.map((line) => line.slice(0, 2))).toEqual(["2:", "3:", "5:", "6:"]);
      expect(told[0]).toContain("and gives 0");
      expect(told[3]).toContain("a text of its own");
      // Of the others some are asked in the second run, for what their sizes are worth.
      const again = lonely(account).filter((uid) => Number(uid) in BAD);
      expect(again).toEqual(["2", "3", "5", "6"].flatMap((uid) => Array.from({ length: run }, () => uid)));
    }
    await once(job, { ...options, remove: {} });
    expect(inbox(account).map(({ uid }) => uid)).toEqual(expect.arrayContaining([2, 3, 5, 6]));
    account.manners = {};
    expect((await once(job)).summary).toMatchObject({ outcome: "complete", balance: { copied: 4 } });
  });

  it("once: the second answer is taken, in the same run", async () => {
    const given = new Set<number>();
    await using account = await giver(EIGHT, (uid, bytes, withBody) => {
      const bad = withBody && !given.has(uid) ? BAD[uid] : undefined;
      if (withBody) given.add(uid);
      return bad === undefined ? undefined : { body: bad(bytes) };
    });
    const { summary, events } = await carry(intoMaildir(bench, account), { options });
    expect(summary).toMatchObject({ outcome: "complete", balance: { copied: 8 } });
    expect(ofType(events, "retry-scheduled")).toEqual([]);
  });

  it.each([
    [
      "line ends counted as two where there is one",
      (bytes: Buffer) => ({ body: bytes.toString("latin1").replaceAll("\r\n", "\n"), size: bytes.length }),
    ],
    ["line ends counted as one", (bytes: Buffer) => ({ size: bytes.length - 203 })],
    ["an octet a line more", (bytes: Buffer) => ({ size: bytes.length + 200 })],
    ["none at all", () => ({ size: 0 })],
    ["twice as many, for each of them", (bytes: Buffer) => ({ size: 2 * bytes.length + 999 })],
    [
      "estimates that differ much",
      (bytes: Buffer, uid: number) => ({ size: Math.round(bytes.length * (1 + uid / 2)) }),
    ],
    ["some octets more, for each of them", (bytes: Buffer) => ({ size: bytes.length + 237 })],
  ] as const)("sizes with %s fail nothing", async (_, give) => {
    count("scripted cases");
    const sizes = new Map<number, number>();
    await using account = await giver(EIGHT, (uid, bytes, withBody) => {
      const given: Given = give(withBody ? bytes : Buffer.from(EIGHT[uid - 1] ?? ""), uid);
      sizes.set(uid, given.size ?? 0);
      return withBody ? given : { size: given.size ?? 0 };
    });
    const { summary } = await once(intoMaildir(bench, account), options);
    expect(summary).toMatchObject({ outcome: "complete", balance: { copied: 8, failed: 0 } });
    // Once each at the most, until it is known what the sizes are worth.
    expect(new Set(lonely(account)).size).toBe(lonely(account).length);
  });

  const header = (bytes: Buffer): string => `${bytes.toString("latin1").split("\r\n\r\n")[0]}\r\n\r\n`;

  it.each([
    ["the first five of ten", 10, 5],
    ["eight of the first nine of forty", 40, 9],
    ["all of three", 3, 3],
    ["nine of ten", 10, 9],
    ["thirty of thirty", 30, 30],
  ])("a header alone is no message, however often it comes: %s", async (_, count_, bad) => {
    count("scripted cases");
    const mail = Array.from({ length: count_ }, (_each, n) => letter(n + 1));
    await using account = await giver(mail, (uid, bytes, withBody) =>
      withBody && uid <= bad && (count_ !== 40 || uid !== 5) ? { body: header(bytes) } : undefined,
    );
    const cut = count_ === 40 ? bad - 1 : bad;
    const { summary } = await once(
      { ...intoMaildir(bench, account), wanted: () => account.keys() },
      { ...options, remove: {} },
    );
    expect(summary).toMatchObject({ outcome: "partial", balance: { copied: count_ - cut, failed: cut } });
    const left = inbox(account).map(({ uid }) => uid);
    for (let uid = 1; uid <= bad; uid++) if (count_ !== 40 || uid !== 5) expect(left).toContain(uid);
  });

  it.each<readonly [string, (text: string) => string]>([
    ["70 % of each", (text) => text.slice(0, text.length * 0.7)],
    ["all but the last 400 octets", (text) => text.slice(0, -400)],
    ["the first 700 octets", (text) => text.slice(0, 700)],
  ])("what may be cut is copied, told, and stays at the source: %s", async (_, cut) => {
    count("scripted cases");
    const mail = Array.from({ length: 12 }, (_each, n) => letter(n + 1, "line\r\n".repeat(200 + n)));
    const start = () =>
      giver(mail, (_uid, bytes, withBody) => (withBody ? { body: cut(bytes.toString("latin1")) } : undefined));
    {
      await using account = await start();
      const { summary, events } = await once(intoMaildir(bench, account), options);
      expect(summary).toMatchObject({ outcome: "complete", balance: { copied: 12 } });
      const said = ofType(events, "notice").filter(({ insist }) => insist === true);
      expect(said.map(({ text }) => text)).toEqual([expect.stringContaining("12 messages came with fewer octets")]);
    }
    await using account = await start();
    const { summary } = await once(intoMaildir(bench, account), { ...options, remove: {} });
    expect(summary).toMatchObject({ outcome: "partial", removed: 0, kept: 12, balance: { copied: 12 } });
    expect(inbox(account).length).toBe(12);
    // Nor is one of them deleted to see whether two accounts are one place, where the copies were found there.
    await using from = await start();
    await using to = await startAccount();
    const job = await between(bench, from, to);
    await once(job, options);
    const moved = await once({ ...job, state: bench.place("state") }, { ...options, remove: {} });
    expect(moved.summary).toMatchObject({ outcome: "partial", removed: 0, kept: 12, balance: { adopted: 12 } });
    expect(inbox(from).length).toBe(12);
  });

  it("where all sizes are wrong, nothing and next to nothing are no message all the same", async () => {
    count("scripted cases");
    await using account = await giver([...EIGHT, ...EIGHT], (uid, bytes, withBody) => {
      const size = 2 * Buffer.byteLength(EIGHT[(uid - 1) % 8] ?? "") + 999;
      if (!withBody || (uid !== 12 && uid !== 13 && uid !== 14)) return { size };
      const text = bytes.toString("latin1");
      return { size, body: uid === 12 ? "" : text.slice(0, uid === 13 ? 20 : 60) };
    });
    const { summary, events } = await once(intoMaildir(bench, account), options);
    expect(summary).toMatchObject({ balance: { copied: 13, failed: 3 } });
    const failed = ofType(events, "message-settled").filter(({ as }) => as === "failed");
    expect(failed.map(({ entry }) => entry.origin.id).sort()).toEqual(["12", "13", "14"]);
  });
});

it("two messages whose sizes are off by the same few octets are whole", async () => {
  count("scripted cases");
  await using account = await giver(
    ["a", "b"].map((text, n) => letter(n, `${text}\r\n`)),
    (uid) => ({
      size: letter(uid, "a\r\n").length + 40,
    }),
  );
  const { summary } = await once(intoMaildir(bench, account));
  expect(summary).toMatchObject({ outcome: "complete", balance: { copied: 2 } });
});

it.each([
  ["forwarded with its text", letter(1, `See below\r\n\r\n${SAYS}`)],
  ["kept from an earlier move", standIn("old@example.org")],
  ["asked about", `${NAMES}Message-ID: <q@example.org>\r\n\r\nWhat is this?\r\n`],
])("a stand-in %s, of the size that is announced, is mail", async (_, text) => {
  await using account = await giver([text, letter(2)], () => undefined);
  await carry(intoMaildir(bench, account));
});

describe("a large message", () => {
  const large = letter(9, `${"0123456789".repeat(7)}\r\n`.repeat(15_000));

  it("that is cut is asked for by itself in another pass", async () => {
    let asked = 0;
    await using account = await giver([letter(1), large], (uid, bytes, withBody) =>
      uid === 2 && withBody && asked++ === 0 ? { body: bytes.toString("latin1").slice(0, 700_000) } : undefined,
    );
    const { summary } = await carry(intoMaildir(bench, account));
    expect(summary).toMatchObject({ outcome: "complete", balance: { copied: 2 } });
    expect(lonely(account)).toEqual(["2"]);
  });

  it("that is cut always is failed, and one of fewer line ends than were counted is whole", async () => {
    count("scripted cases");
    const lf = large.replaceAll("\r\n", "\n");
    await using account = await giver([letter(1), large, large.replace("<w9@", "<w8@")], (uid, bytes, withBody) => {
      if (!withBody || uid === 1) return undefined;
      return { body: uid === 2 ? bytes.toString("latin1").slice(0, 700_000) : lf };
    });
    const { summary, events } = await once(intoMaildir(bench, account));
    expect(summary).toMatchObject({ outcome: "partial", balance: { copied: 2, failed: 1 } });
    const failed = ofType(events, "message-settled").filter(({ as }) => as === "failed");
    expect(failed.map(({ entry, error }) => [entry.origin.id, error?.message])).toEqual([
      ["2", `message 2 is not whole: the server announces ${large.length} octets and gives 700000`],
    ]);
  });
});

it("a comparison takes it for no message", async () => {
  count("scripted cases");
  await using account = await giver(EIGHT, (uid, _, withBody) => (withBody && uid === 4 ? { body: "" } : undefined));
  const path = bench.place("target");
  await once({ ...intoMaildir(bench, account), sink: () => openMaildirSink({ path }, signal) });
  await using source = await openImapSource(account.server(), signal);
  await using target = await openMaildirSource({ path }, signal);
  const findings: VerifyFinding[] = [];
  const on = (finding: VerifyFinding): void => void findings.push(finding);
  const summary = await verify(source, target, undefined, {}, signal, on, () => undefined);
  expect(summary).toMatchObject({ equal: false, matched: 7, missing: 1 });
  expect(findings).toEqual([expect.objectContaining({ kind: "missing", what: expect.stringContaining("not whole") })]);
});
