// Received dates that are none, dates that a target refuses, and system flags that nobody has registered: they cost themselves, by
// name, and never the message.

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { verify } from "../../src/migrate/verify.ts";
import { parseInternalDate } from "../../src/protocol/imap/syntax.ts";
import { openMaildirSink } from "../../src/sinks/maildir.ts";
import { openImapSource } from "../../src/sources/imap.ts";
import { openMaildirSource } from "../../src/sources/maildir.ts";
import { count } from "../kit/counts.ts";
import { type Manners, type ScriptedAccount, startAccount } from "./imap-account.ts";
import { type Bench, carry, intoMaildir, once, openBench, signal } from "./jobs.ts";
import { between, expectHeld, inbox, lossesOf, ofType } from "./refusing.ts";

let bench: Bench;
beforeAll(async () => {
  bench = await openBench();
});
afterAll(() => bench?.[Symbol.asyncDispose]());

const HEADER_DATE = "Tue, 05 Mar 2019 07:08:09 +0100";
const STANDS_IN = seconds("05-Mar-2019 07:08:09 +0100");
const letter = (n: number, more = ""): string =>
  `Message-ID: <d${n}@example.org>\r\n${more}Date: ${HEADER_DATE}\r\nSubject: ${n}\r\n\r\n${"y".repeat(n + 1)}\r\n`;

function seconds(text: string): number {
  return parseInternalDate(text)?.epochSeconds ?? Number.NaN;
}

function datesIn(account: ScriptedAccount): number[] {
  return inbox(account).map(({ date }) => seconds(date));
}

/** What is sent in place of the quoted INTERNALDATE of a row, NIL among it. */
const sending =
  (given: readonly string[]): NonNullable<Manners["rows"]> =>
  (rows) =>
    rows.map((row) => {
      const text = row.toString("latin1");
      const uid = Number(/UID (\d+)/.exec(text)?.[1]);
      return Buffer.from(text.replace(/INTERNALDATE "[^"]*"/, `INTERNALDATE ${given[uid - 1]}`), "latin1");
    });

describe("a source's INTERNALDATE", () => {
  const ABSURD = [
    '"30-Dec-1899 00:00:00 +0530"',
    '"00-Jan-0000 00:00:00 +0000"',
    '"01-Jan-0001 00:00:00 +0000"',
    '"00-Jan-2021 00:00:00 +0000"',
    '"31-Feb-2021 10:00:00 +0000"',
    '"01-Mar-2021 25:00:00 +0000"',
    '"19-Jan-2038 03:14:07 +0000"',
    '"01-Mar-2100 10:00:00 +0000"',
    '"yesterday"',
  ];
  const NONE = ["NIL", '""'];
  const GOOD = [
    '" 1-Mar-2021 10:00:00 +0000"',
    '"1-Mar-2021 10:00:00 -0500"',
    '"01-Mar-2021 10:00:00"',
    '"31-Dec-1969 23:00:00 +0000"',
  ];
  const given = [...ABSURD, ...NONE, ...GOOD];

  it.each(["everything at once", "a listing first"])(
    "that is none gives way to the header's, and it is told: %s",
    async (way) => {
      await using from = await startAccount({ rows: sending(given) });
      for (const n of given.keys()) from.add("INBOX", letter(n));
      await using to = await startAccount();
      const options = way === "a listing first" ? { maxSize: 1 << 20 } : {};
      const { summary } = await carry(await between(bench, from, to), { options });
      expect(lossesOf(summary)).toEqual({ received: ABSURD.length });
      expect(summary?.losses).toEqual([{ loss: { kind: "received", absurd: true }, messages: ABSURD.length }]);
      const good = GOOD.map((text) => seconds(text.slice(1, -1)));
      expect(datesIn(to)).toEqual([...[...ABSURD, ...NONE].map(() => STANDS_IN), ...good]);
      // None of them was asked for by itself.
      expect(from.heard.filter((line) => /UID FETCH \d+ \(UID BODY/.test(line))).toEqual([]);
    },
  );

  it("that is none gives way to the topmost Received that is one, and verify finds nothing to say", async () => {
    count("scripted cases");
    await using from = await startAccount({ rows: sending(['"30-Dec-1899 00:00:00 +0000"']) });
    const hops =
      "Received: by b; Sat, 30 Dec 1899 00:00:00 +0000\r\nReceived: by a; Mon, 04 Mar 2019 01:02:03 +0000\r\n";
    from.add("INBOX", letter(0, hops));
    const path = bench.place("target");
    await carry({
      ...intoMaildir(bench, from),
      sink: () => openMaildirSink({ path }, signal),
      arrived: () => from.keys(),
    });
    await using target = await openMaildirSource({ path }, signal);
    await using source = await openImapSource(from.server(), signal);
    const nobody = (): void => undefined;
    const ways = [
      [source, target],
      [target, source],
    ] as const;
    for (const quick of [false, true])
      for (const [one, other] of ways)
        expect(await verify(one, other, undefined, { quick }, signal, nobody, nobody)).toMatchObject({
          equal: true,
          matched: 1,
        });
    const dates: (number | undefined)[] = [];
    for await (const folder of target.folders(signal))
      for await (const slice of target.slices(folder, signal))
        for await (const { entry } of target.read(slice, { want: () => true, signal }))
          dates.push(entry.traits.received?.epochSeconds);
    expect(dates).toEqual([seconds("04-Mar-2019 01:02:03 +0000")]);
  });
});

describe.each<readonly [string, Manners]>([
  ["with all that is usual", {}],
  ["without MULTIAPPEND", { capabilities: ["IMAP4rev1", "LITERAL+", "UIDPLUS"] }],
  ["without UIDPLUS", { capabilities: ["IMAP4rev1", "LITERAL+"], uidplus: false }],
])("a target %s that refuses a date", (_, manners) => {
  const OLD = "01-Jan-1960 00:00:00 +0000";
  const USUAL = "02-Feb-2012 00:00:00 +0000";

  /** Three messages, the middle one of 1960. */
  async function dated(flags: readonly string[] = []): Promise<ScriptedAccount> {
    const account = await startAccount();
    for (const n of [0, 1, 2])
      account.add("INBOX", letter(n), { date: n === 1 ? OLD : USUAL, flags: new Set(n === 1 ? flags : []) });
    return account;
  }

  const refusing = (pattern: RegExp, words: string): Manners => ({
    ...manners,
    before: ({ text }) => (text.startsWith("APPEND") && pattern.test(text) ? words : undefined),
  });

  it.each([
    ["BAD Invalid date-time in Append command", /-1960 /, STANDS_IN],
    ["NO no such date", /-1960 /, STANDS_IN],
    ["BAD Parse Error", /-1960 |-2019 /, undefined],
  ])(
    "%s: the message comes with the header's date or none, and the next run knows it",
    async (words, pattern, date) => {
      await using from = await dated();
      await using to = await startAccount(refusing(pattern, words));
      const job = await between(bench, from, to);
      const { summary, events } = await carry(job);
      expect(summary).toMatchObject({ outcome: "complete", balance: { copied: 3, failed: 0 } });
      expect(lossesOf(summary)).toEqual({ received: 1 });
      expect(ofType(events, "retry-scheduled")).toEqual([]);
      const dates = datesIn(to).sort((a, b) => a - b);
      const nowadays = seconds(" 1-Jan-2020 00:00:00 +0100");
      expect(dates).toEqual([seconds(USUAL), seconds(USUAL), date ?? nowadays]);
      const again = await once({ ...job, state: bench.place("state") });
      expect(again.summary).toMatchObject({ outcome: "complete", balance: { copied: 0, adopted: 3 } });
      await expectHeld(job);
    },
  );

  it("and a keyword as well: each costs only itself", async () => {
    await using from = await dated(["\\Seen", "shop.example"]);
    await using to = await startAccount(refusing(/-1960 |shop/, "BAD no"));
    const { summary } = await carry(await between(bench, from, to));
    expect(summary).toMatchObject({ outcome: "complete", balance: { copied: 3, failed: 0 } });
    expect(lossesOf(summary)).toMatchObject({ received: 1 });
  });

  it("of no kind is asked for it again where something else is refused", async () => {
    await using from = await startAccount();
    from.add("INBOX", letter(1), { date: USUAL });
    await using to = await startAccount(refusing(/./, "NO I do not like it"));
    const { summary } = await once(await between(bench, from, to));
    expect(summary).toMatchObject({ outcome: "partial", balance: { failed: 1 } });
    expect(to.heard.filter((line) => / APPEND /.test(line))).toHaveLength(1);
  });
});

describe("system flags that nobody has registered", () => {
  it("are named as losses, \\Forwarded is its keyword, and \\Recent is nobody's", async () => {
    await using from = await startAccount();
    const flags = [
      ["\\Seen", "\\Indexed"],
      ["\\forwarded", "\\Recent"],
      ["\\X-Has-Attachment", "\\Indexed", "Work"],
      ["$Forwarded"],
    ];
    for (const [n, some] of flags.entries()) from.add("INBOX", letter(n), { flags: new Set(some) });
    await using to = await startAccount();
    const job = await between(bench, from, to);
    const { summary, events } = await carry(job);
    expect(lossesOf(summary)).toEqual({ "flag \\Indexed": 2, "flag \\X-Has-Attachment": 1 });
    expect(inbox(to).map((one) => [...one.flags].sort())).toEqual([
      ["\\Seen"],
      ["$Forwarded"],
      ["Work"],
      ["$Forwarded"],
    ]);
    const told = ofType(events, "message-settled").map(({ losses }) => losses.length);
    expect(told).toEqual([1, 0, 2, 0]);
    const again = await once(job);
    expect(again.summary).toMatchObject({ traitsUpdated: 0, balance: { "already-copied": 4 } });
  });
});
