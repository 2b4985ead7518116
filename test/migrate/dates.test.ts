// Dates outlive copies that leave the files' times behind: by the name of a file of ours, the ledger, a foreign name, or Received.

import { readdirSync, readFileSync, renameSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { cp } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { checkMaildir } from "../../src/cli/commands/verify.ts";
import { frame } from "../../src/core/lines.ts";
import { parseOwn } from "../../src/formats/maildir/names.ts";
import type { Received } from "../../src/mail/model.ts";
import { recordedDates } from "../../src/migrate/recorded-dates.ts";
import { run } from "../../src/migrate/run.ts";
import { openMaildirSink } from "../../src/sinks/maildir.ts";
import { openMaildirSource } from "../../src/sources/maildir.ts";
import { plant, readAll, SIGNAL, scratch } from "../formats/maildir/kit.ts";
import { mail, memorySource } from "../kit/memory.ts";

const at = scratch();
const WHEN: readonly (Received | undefined)[] = [
  { epochSeconds: 1_099_000_838, zoneMinutes: -240 },
  { epochSeconds: 1_000_000_000 },
  // Before 1970, and after the name was made.
  { epochSeconds: -86_400 },
  { epochSeconds: 4_000_000_000, zoneMinutes: 330 },
  undefined,
];

/** An archive of ours, with a message of each date. */
async function archive(): Promise<void> {
  await using sink = await openMaildirSink({ path: at.path("box") }, SIGNAL);
  const folders = [
    {
      path: ["INBOX"],
      generation: "1",
      mail: WHEN.map((received, i) => mail(`m${i}`, undefined, received === undefined ? {} : { received })),
    },
  ];
  const job = run(memorySource(folders), sink, { stateDirectory: at.path("state") }, SIGNAL);
  expect((await job.finished).outcome).toBe("complete");
}

/** As versions before wrote their names: the date was in the file's time alone. */
function asBefore(path: string): void {
  const replace = (file: string): void => {
    const text = readFileSync(file, "utf8");
    const lines = text.split("\n").map((line) => line.replace(/(R[0-9a-f]{8})D-?\d+/, "$1"));
    writeFileSync(file, lines.map(reframed).join("\n"));
  };
  for (const name of readdirSync(join(path, "cur")))
    renameSync(join(path, "cur", name), join(path, "cur", name.replace(/(R[0-9a-f]{8})D-?\d+/, "$1")));
  const traits = join(path, "mailferry/traits");
  for (const file of readdirSync(traits)) replace(join(traits, file));
  const ledger = join(path, "mailferry/ledger");
  for (const pair of readdirSync(ledger))
    for (const file of readdirSync(join(ledger, pair))) replace(join(ledger, pair, file));
}

function reframed(line: string): string {
  return line === "" ? "" : frame(line.slice(9)).trimEnd();
}

/** `touch`, on every message. */
function touch(path: string, seconds = Date.now() / 1000): void {
  for (const place of ["cur", "new"])
    for (const name of readdirSync(join(path, place))) utimesSync(join(path, place, name), seconds, seconds);
}

async function dates(path: string, notices: string[] = []): Promise<(Received | undefined)[]> {
  const options = { path, recordedDates, onNotice: (text: string) => notices.push(text) };
  await using source = await openMaildirSource(options, SIGNAL);
  return (await readAll(source, ["INBOX"])).map(({ entry }) => entry.traits.received);
}

async function problems(path: string, notices: string[] = []): Promise<string[]> {
  const found: string[] = [];
  await checkMaildir(
    path,
    SIGNAL,
    (what) => found.push(what),
    (text) => notices.push(text),
  );
  // Taking the dates out of names made ledger and traits shorter than the archive knows them.
  return found.filter((what) => !what.includes("lacks its end"));
}

test("an archive of ours that was copied without its files' times has its dates, and verify says what others show", async () => {
  await archive();
  const before = await dates(at.path("box"));
  expect(before.slice(0, 4)).toEqual(WHEN.slice(0, 4));
  const silent: string[] = [];
  expect(await problems(at.path("box"), silent)).toEqual([]);
  expect(silent).toEqual([]);
  await cp(at.path("box"), at.path("copy"), { recursive: true });
  touch(at.path("copy"), Date.now() / 1000 + 1000);
  const notices: string[] = [];
  expect(await dates(at.path("copy"), notices)).toEqual(before);
  expect(notices).toEqual([expect.stringContaining("INBOX: the files of 5 messages have the time of a copy")]);
  const told: string[] = [];
  expect(await problems(at.path("copy"), told)).toEqual([]);
  expect(told).toEqual(notices);
});

test("one whose names do not hold the dates yet has them from its ledger, and verify compares", async () => {
  await archive();
  const before = await dates(at.path("box"));
  asBefore(at.path("box"));
  expect(readdirSync(at.path("box/cur")).map((name) => parseOwn(name)?.epochSeconds)).toEqual(
    WHEN.map(() => undefined),
  );
  expect(await problems(at.path("box"))).toEqual([]);
  touch(at.path("box"), Date.now() / 1000 + 1000);
  expect(await dates(at.path("box"))).toEqual(before);
  expect(await problems(at.path("box"))).toEqual([]);
  // A time that might be true is believed, and told by verify.
  touch(at.path("box"), 1_200_000_000);
  const found = await problems(at.path("box"));
  // What no file system keeps lies beside it, and has no other date.
  expect(found).toHaveLength(3);
  expect(found[0]).toContain("has the date 2008-01-10T21:20:00.000Z, and was stored with 2004-10-28T22:00:38.000Z");
});

test("without its ledger such a file goes by its header", async () => {
  await archive();
  asBefore(at.path("box"));
  touch(at.path("box"), Date.now() / 1000 + 1000);
  const name = readdirSync(at.path("box/cur")).sort()[0] ?? "";
  const head = "Received: from a by b; Thu, 28 Oct 2004 17:00:38 -0400\nDate: Fri, 1 Jan 1999 00:00:00 Z\n\nx\n";
  writeFileSync(at.path(`box/cur/${name}`), head);
  touch(at.path("box"), Date.now() / 1000 + 1000);
  await using source = await openMaildirSource({ path: at.path("box") }, SIGNAL);
  const [first] = await readAll(source, ["INBOX"]);
  expect(first?.entry.traits.received).toEqual({ epochSeconds: 1_098_997_238, zoneMinutes: -240 });
});

const DELIVERED = 1_099_000_838;
const HEADER =
  "Received: from a by b; Thu, 28 Oct 2004 17:00:38 -0400\nDate: Mon, 1 Nov 2004 12:00:00 +0000\nSubject: s\n\nx\n";

async function foreign(files: Readonly<Record<string, string>>, seconds: number): Promise<(Received | undefined)[]> {
  await plant(at.path("foreign"), { "cur/": "", "new/": "", ...files });
  touch(at.path("foreign"), seconds);
  return await dates(at.path("foreign"));
}

test("mail of others: the name's time where the file's is later, the header's where the name is an import's", async () => {
  const now = Math.floor(Date.now() / 1000);
  const got = await foreign(
    {
      [`cur/${DELIVERED}.M1P1.host:2,S`]: HEADER,
      "cur/1000000000.made-up:2,S": HEADER,
      "cur/1300000000.M1P1.host:2,S": HEADER,
      "cur/1300000001.M1P1.host:2,S": "Subject: no date\n\n",
      "cur/1300000002.M1P1.host:2,S": "Date: Fri, 1 Jan 2038 00:00:00 Z\n\n",
      "cur/1300000003_0.17.host,U=3:2,S": "Date: Sat, 12 Mar 2011 00:00:00 +0100\n\n",
    },
    now,
  );
  expect(got).toEqual([
    { epochSeconds: 1_098_997_238, zoneMinutes: -240 },
    { epochSeconds: DELIVERED, zoneMinutes: -240 },
    { epochSeconds: 1_098_997_238, zoneMinutes: -240 },
    { epochSeconds: 1_300_000_001 },
    { epochSeconds: 1_300_000_002 },
    { epochSeconds: 1_300_000_003, zoneMinutes: 60 },
  ]);
});

test("a time of no meaning is none; one before the name, or soon after it, is the message's own", async () => {
  const name = `cur/${DELIVERED}.M1P1.host:2,S`;
  expect(await foreign({ [name]: HEADER }, 0)).toEqual([{ epochSeconds: DELIVERED, zoneMinutes: -240 }]);
  expect(await foreign({ [name]: HEADER }, 315_532_800)).toEqual([{ epochSeconds: DELIVERED, zoneMinutes: -240 }]);
  for (const time of [DELIVERED - 1, 1111, DELIVERED + 30])
    expect(await foreign({ [name]: HEADER }, time)).toEqual([{ epochSeconds: time }]);
});

test("a name without a time leaves the file's", async () => {
  expect(await foreign({ "cur/msg.a1:2,S": HEADER, "cur/17.x:2,S": HEADER }, 1_600_000_000)).toEqual([
    { epochSeconds: 1_600_000_000 },
    { epochSeconds: 1_600_000_000 },
  ]);
});

test("the target's files have the times that their names say", async () => {
  await archive();
  for (const name of readdirSync(at.path("box/cur"))) {
    const seconds = parseOwn(name)?.epochSeconds;
    if (seconds !== undefined && seconds > 0 && seconds < 2 ** 31)
      expect(Math.floor(statSync(at.path(`box/cur/${name}`)).mtimeMs / 1000)).toBe(seconds);
  }
});
