// Nonsense in the clear, at any moment of a conversation: told and got over, and nothing foreign is stored.

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { EXIT, exitCodeOf } from "../../src/cli/exit.ts";
import { MAX_LINE } from "../../src/protocol/imap/scanner.ts";
import { count } from "../kit/counts.ts";
import { randomFrom } from "../kit/random.ts";
import type { Manners } from "./imap-account.ts";
import { type Bench, carry, impatient, type Job, MAIL, once, openBench } from "./jobs.ts";
import { nothingForeign, type Place, serveImap, servePop3, stalls } from "./served.ts";

let bench: Bench;
beforeAll(async () => {
  bench = await openBench();
});
afterAll(() => bench?.[Symbol.asyncDispose]());

const random = randomFrom(20);
const octets = Buffer.from(Array.from({ length: 4096 }, () => random.upTo(256)));
/** By what is sent instead of an answer. */
const NONSENSE: readonly (readonly [string, { readonly imap: Buffer; readonly pop3: Buffer }])[] = [
  ["random octets", { imap: octets, pop3: octets }],
  ["NULs", { imap: Buffer.alloc(70_000), pop3: Buffer.alloc(70_000) }],
  ["a line without end", { imap: Buffer.alloc(MAX_LINE + 70_000, "A"), pop3: Buffer.alloc(70_000, "A") }],
  [
    "the other protocol",
    { imap: Buffer.from("+OK 2 320\r\n"), pop3: Buffer.from("* OK [CAPABILITY IMAP4rev1] hello\r\n") },
  ],
];
const LARGE = [
  MAIL[0] ?? "",
  `Message-ID: <large@example.org>\r\n\r\n${`${"x".repeat(70)}\r\n`.repeat(16_000)}`,
  ...MAIL.slice(1),
];
/** So long a silence is taken for a dead connection, while the server talks nonsense. */
const NONSENSE_STALL_MS = 500;

const IMAP_MOMENTS: readonly (readonly [string, Place, string])[] = [
  ["as a greeting", "an IMAP source", ""],
  ["as the answer of the login", "an IMAP source", "LOGIN"],
  ["as the answer of LIST", "an IMAP source", "LIST"],
  ["in the middle of a FETCH", "an IMAP source", "UID FETCH"],
  ["in the middle of a large FETCH", "an IMAP source", "UID FETCH"],
  ["as the answer of the login", "an IMAP target", "LOGIN"],
  ["as the answer of LIST", "an IMAP target", "LIST"],
  ["as the answer of SELECT", "an IMAP target", "SELECT"],
  ["as the answer of APPEND", "an IMAP target", "APPEND"],
];
const POP3_MOMENTS: readonly (readonly [string, string, string])[] = [
  ["as a greeting", "", ""],
  ["as the answer of CAPA", "CAPA", ""],
  ["in the lines of CAPA", "CAPA", "+OK\r\nUIDL\r\n"],
  ["as the answer of the login", "PASS", ""],
  ["as the answer of STAT", "STAT", ""],
  ["in the lines of LIST", "LIST", "+OK\r\n1 70\r\n"],
  ["in the lines of UIDL", "UIDL", "+OK\r\n1 u0\r\n"],
  ["as the answer of RETR", "RETR 3", ""],
  ["in the middle of a message", "RETR 3", "+OK\r\nSubject: 3\r\n\r\nzzz"],
];

/**
 * A run that meets it ends with an error for people, or gets on by what comes whole before it; and the next one, over a good wire,
 * carries everything.
 */
async function survives(job: Job, mend: () => void): Promise<void> {
  count("wire faults");
  const { failure, summary: first, events } = await once(job, impatient(2));
  const errors = events.flatMap((event) => (event.type === "retry-scheduled" ? [event.error] : []));
  if (failure === undefined) expect(first).toMatchObject({ outcome: "complete", closes: true });
  else {
    errors.push(failure);
    expect([EXIT.usage, EXIT.temporary]).toContain(exitCodeOf(failure));
  }
  expect(errors).not.toEqual([]);
  for (const { code, message } of errors) {
    expect(["protocol", "connection", "config"]).toContain(code);
    expect(message).toMatch(/^[^\p{Cc}]{10,400}$/u);
  }
  await nothingForeign(job);
  mend();
  const { failure: later, summary } = await carry(job);
  expect(later).toBeUndefined();
  expect(summary).toMatchObject({ outcome: "complete", closes: true });
}

describe.each(NONSENSE)("%s in the clear", (_, { imap, pop3 }) => {
  it.each(IMAP_MOMENTS)("%s, from %s", async (moment, place, verb) => {
    let isBad = true;
    let met = 0;
    const isIt = (text: string): boolean => isBad && verb !== "" && text.startsWith(verb);
    const isFetch = verb === "UID FETCH";
    const utter: Manners["after"] = ({ text }, talk) => {
      if (!isIt(text) || (isFetch && !text.includes("BODY.PEEK[]"))) return undefined;
      met++;
      if (!isFetch) talk.send(imap);
      return "done";
    };
    const manners: Manners = {
      ...(verb === "" ? { greeting: imap.toString("latin1") } : {}),
      // What an APPEND brought is stored before nobody learns of it.
      ...(verb === "APPEND" || isFetch ? { after: utter } : { before: utter }),
      rows(rows, text) {
        const [first, second] = rows;
        if (!isIt(text) || !text.includes("BODY.PEEK[]") || first === undefined || second === undefined) return rows;
        // Near enough to its end that the nonsense fills the literal.
        return [first, second.subarray(0, -Math.min(1000, second.length >> 1)), imap];
      },
    };
    const changing = { ...manners };
    await using server = await serveImap(bench, place, changing, moment.includes("large") ? LARGE : MAIL);
    const loginMs = verb === "" || verb === "LOGIN" ? 2 * NONSENSE_STALL_MS : 10 * NONSENSE_STALL_MS;
    const job = server.job({ stalls: () => (isBad ? stalls(NONSENSE_STALL_MS, loginMs) : {}) });
    await survives(job, () => {
      isBad = false;
      delete changing.greeting;
    });
    if (verb !== "") expect(met).toBeGreaterThan(0);
  });

  it.each(POP3_MOMENTS)("%s, from a POP3 source", async (_moment, line, before) => {
    let isBad = true;
    let met = 0;
    await using server = await servePop3(
      bench,
      (text) => {
        if (!isBad || line === "" || !text.startsWith(line)) return undefined;
        met++;
        return { send: Buffer.concat([Buffer.from(before), pop3]), ending: "silence" };
      },
      {
        capabilities: ["USER", "UIDL", "RESP-CODES", "PIPELINING"],
        greeting: () => (isBad && line === "" ? pop3.toString("latin1") : undefined),
      },
    );
    const loginMs = line === "" ? NONSENSE_STALL_MS : 10 * NONSENSE_STALL_MS;
    const job = server.job({ stalls: () => (isBad ? stalls(NONSENSE_STALL_MS, loginMs) : {}) });
    await survives(job, () => {
      isBad = false;
    });
    if (line !== "") expect(met).toBeGreaterThan(0);
  });
});
