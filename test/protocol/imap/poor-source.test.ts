// Whole jobs from a server that says NO, BAD or BYE once to any command, mixes its rows up, or numbers its folder anew.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { MailError } from "../../../src/mail/errors.ts";
import type { RunSummary } from "../../../src/migrate/events.ts";
import { run } from "../../../src/migrate/run.ts";
import { expandSet } from "../../../src/protocol/imap/syntax.ts";
import { openMaildirSink } from "../../../src/sinks/maildir.ts";
import { openImapSource } from "../../../src/sources/imap.ts";
import { openMaildirSource } from "../../../src/sources/maildir.ts";
import { contentOf, keysOf } from "../../kit/content.ts";
import { count } from "../../kit/counts.ts";
import { type Conversation, startScripted } from "../../kit/scripted.ts";
import { command, options } from "./wire.ts";

const { signal } = new AbortController();
const UIDS = [1, 2, 4, 9, 10];
const bodyOf = (uid: number): string => `Subject: ${uid}\r\n\r\n${"z".repeat(uid * 7)}\r\n`;

let root: string;
let places = 0;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "mailferry-poor-"));
});
afterAll(() => rm(root, { recursive: true, force: true }));

interface Faults {
  /** Called before each command is answered; true: it was answered. */
  before?(text: string, tag: string, talk: Conversation): boolean;
  uidValidity?(): number;
  /** What is sent for the rows of a FETCH. */
  rows?(rows: string[], text: string): string[];
}

/** An IMAP4rev1 server without any extension, with five messages in its only folder. */
async function play(talk: Conversation, faults: Faults): Promise<void> {
  talk.send("* OK [CAPABILITY IMAP4rev1] hello\r\n");
  for (let heard = await command(talk); heard !== undefined; heard = await command(talk)) {
    const { tag, text } = heard;
    if (faults.before?.(text, tag, talk) === true) continue;
    const validity = faults.uidValidity?.() ?? 5;
    if (text === "CAPABILITY") talk.send("* CAPABILITY IMAP4rev1\r\n");
    else if (text.startsWith("LIST")) talk.send('* LIST () "." INBOX\r\n');
    else if (text.startsWith("STATUS"))
      talk.send(`* STATUS INBOX (MESSAGES ${UIDS.length} UIDVALIDITY ${validity} UIDNEXT 11)\r\n`);
    else if (text.startsWith("EXAMINE")) talk.send(`* ${UIDS.length} EXISTS\r\n* OK [UIDVALIDITY ${validity}] x\r\n`);
    else if (text.startsWith("UID FETCH")) {
      const set = text.split(" ")[2] ?? "";
      const asked = set === "1:*" ? UIDS : UIDS.filter((uid) => expandSet(set, 100)?.includes(uid));
      const rows = asked.map((uid) => {
        const body = bodyOf(uid);
        const content = text.includes("BODY") ? ` BODY[] {${body.length}}\r\n${body}` : "";
        return `* ${UIDS.indexOf(uid) + 1} FETCH (UID ${uid} FLAGS (\\Seen) INTERNALDATE " 1-Jan-2020 00:00:00 +0100" RFC822.SIZE ${body.length}${content})\r\n`;
      });
      for (const row of faults.rows?.(rows, text) ?? rows) talk.send(row);
    }
    talk.send(`${tag} OK done\r\n`);
  }
}

interface Carried {
  readonly failure: unknown;
  readonly last: RunSummary;
  readonly subjects: string[];
}

/** Runs until complete, at most twice. */
async function carry(faults: Faults): Promise<Carried> {
  count("scripted cases");
  await using server = await startScripted((talk) => play(talk, faults));
  const path = join(root, `maildir${places++}`);
  const once = async (): Promise<RunSummary> => {
    await using source = await openImapSource({ ...options(server.port), connections: 1 }, signal);
    await using sink = await openMaildirSink({ path }, signal);
    const patience = { attempts: 3, firstDelayMs: 1 };
    return await run(source, sink, { stateDirectory: root, patience }, signal).finished;
  };
  let failure: unknown;
  const first = await once().catch((error: unknown) => {
    failure = error;
    return undefined;
  });
  const last = first?.outcome === "complete" ? first : await once();
  await using arrived = await openMaildirSource({ path }, signal);
  const keys = keysOf(await contentOf(arrived)).get("INBOX") ?? [];
  return { failure, last, subjects: keys };
}

let whole: string[];
let commands: string[];
beforeAll(async () => {
  const heard: string[] = [];
  const carried = await carry({
    before: (text) => {
      heard.push(text);
      return false;
    },
  });
  whole = carried.subjects;
  commands = heard;
  expect(whole).toHaveLength(UIDS.length);
});

describe.each([
  ["NO", (tag: string) => `${tag} NO not now\r\n`, false],
  ["NO [UNAVAILABLE]", (tag: string) => `${tag} NO [UNAVAILABLE] later\r\n`, false],
  ["BAD", (tag: string) => `${tag} BAD what\r\n`, false],
  [
    "a throttle with a wait",
    (tag: string) => `${tag} BAD Request is throttled. Suggested Backoff Time: 5 milliseconds\r\n`,
    false,
  ],
  ["BYE", () => "* BYE going down\r\n", true],
  ["nothing, and ends", () => "", true],
] as const)("a server that says %s", (_, words, ends) => {
  it("to any one command: afterwards everything is there once", async () => {
    expect(commands.length).toBeGreaterThan(6);
    for (let at = 0; at < commands.length; at++) {
      let n = 0;
      const carried = await carry({
        before: (_text, tag, talk) => {
          if (n++ !== at) return false;
          talk.send(words(tag));
          if (ends) talk.end();
          return true;
        },
      });
      expect(carried.last, commands[at]).toMatchObject({ outcome: "complete", closes: true });
      expect(carried.subjects, commands[at]).toEqual(whole);
      if (carried.failure !== undefined) expect(carried.failure, commands[at]).toBeInstanceOf(MailError);
    }
  });
});

it.each<[string, Faults]>([
  ["rows in any order", { rows: (rows) => [...rows].reverse() }],
  ["rows twice", { rows: (rows) => [...rows, ...rows] }],
  ["rows without a UID among them", { rows: (rows) => rows.flatMap((row) => [row.replace(/UID \d+ /, ""), row]) }],
  [
    "no UID in the rows of many",
    {
      rows: (rows, text) =>
        rows.length > 1 && text.includes("BODY") ? rows.map((row) => row.replace(/UID \d+ /, "")) : rows,
    },
  ],
  [
    "NIL for bodies of many",
    {
      rows: (rows) =>
        rows.length > 1
          ? rows.map((row) => row.replace(/BODY\[\] \{\d+\}\r\n[\s\S]*\)\r\n$/, "BODY[] NIL)\r\n"))
          : rows,
    },
  ],
  ["wrong sizes", { rows: (rows) => rows.map((row, n) => row.replace(/SIZE \d+/, `SIZE ${n * 99}`)) }],
  [
    "news in between",
    {
      rows: (rows) =>
        rows.flatMap((row) => [
          row,
          "* 6 EXISTS\r\n",
          "* 1 RECENT\r\n",
          "* 3 FETCH (FLAGS (\\Flagged))\r\n",
          "* OK still here\r\n",
        ]),
    },
  ],
])("with %s everything arrives once", async (_, faults) => {
  const { failure, last, subjects } = await carry(faults);
  expect(failure).toBeUndefined();
  expect(last).toMatchObject({ outcome: "complete", closes: true });
  expect(subjects).toEqual(whole);
});

it("a folder numbered anew in the middle of a run is no second copy", async () => {
  let examined = 0;
  let cut = false;
  const { last, subjects } = await carry({
    before: (text, _tag, talk) => {
      if (text.startsWith("EXAMINE")) examined++;
      if (!text.includes("BODY") || cut) return false;
      cut = true;
      const body = bodyOf(1);
      talk.send(
        `* 1 FETCH (UID 1 FLAGS (\\Seen) INTERNALDATE " 1-Jan-2020 00:00:00 +0100" RFC822.SIZE ${body.length} BODY[] {${body.length}}\r\n${body})\r\n`,
      );
      talk.end();
      return true;
    },
    uidValidity: () => (examined > 1 ? 6 : 5),
  });
  expect(last).toMatchObject({ outcome: "complete" });
  expect(subjects).toEqual(whole);
});
