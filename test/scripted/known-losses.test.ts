// What a target refused was told when it was copied: a comparison counts it as known, and as no difference.

import { afterAll, beforeAll, expect, it } from "vitest";
import { ledgerOfPair } from "../../src/migrate/pair.ts";
import { type VerifyFinding, type VerifySummary, verify } from "../../src/migrate/verify.ts";
import { openImapSink } from "../../src/sinks/imap.ts";
import { openImapSource } from "../../src/sources/imap.ts";
import { count } from "../kit/counts.ts";
import { type ScriptedAccount, startAccount } from "./imap-account.ts";
import { type Bench, type Job, once, openBench, signal } from "./jobs.ts";
import { between, inbox } from "./refusing.ts";

let bench: Bench;
beforeAll(async () => {
  bench = await openBench();
});
afterAll(() => bench?.[Symbol.asyncDispose]());

async function compared(
  from: ScriptedAccount,
  to: ScriptedAccount,
  state: Job["state"] | undefined,
): Promise<{ summary: VerifySummary; kinds: VerifyFinding["kind"][] }> {
  await using source = await openImapSource(from.server(), signal);
  await using target = await openImapSource(to.server(), signal);
  await using sink = await openImapSink(to.server(), signal);
  const pair = { source: source.identity, sink: sink.identity };
  await using ledger = state === undefined ? undefined : ledgerOfPair(state, pair);
  const kinds: VerifyFinding["kind"][] = [];
  const summary = await verify(
    source,
    target,
    sink.describe.bind(sink),
    {},
    signal,
    ({ kind }) => kinds.push(kind),
    () => undefined,
    sink.find?.bind(sink),
    ledger && { told: ledger.told, recall: async (paths) => sink.recall?.(await ledger.names(paths)) },
  );
  return { summary, kinds };
}

const letter = (n: number): string => `Message-ID: <k${n}@example.org>\r\n\r\n${n}\r\n`;

/** Two of the same bytes, one of them of 1960; one with a keyword that is refused; an ordinary one. */
async function copied(): Promise<AsyncDisposable & { from: ScriptedAccount; to: ScriptedAccount; job: Job }> {
  const from = await startAccount();
  from.add("INBOX", letter(0), { date: "01-Jan-1960 00:00:00 +0000" });
  from.add("INBOX", letter(0), { date: "02-Feb-2012 00:00:00 +0000" });
  from.add("INBOX", letter(1), { flags: new Set(["\\Seen", "shop.example"]) });
  from.add("INBOX", letter(2));
  const to = await startAccount({
    before: ({ text }) => (/^(APPEND|UID STORE).*(-1960 |shop)/.test(text) ? "BAD no" : undefined),
  });
  const job = await between(bench, from, to);
  expect((await once(job)).summary).toMatchObject({ outcome: "complete", balance: { copied: 4 } });
  return {
    from,
    to,
    job,
    async [Symbol.asyncDispose]() {
      await from[Symbol.asyncDispose]();
      await to[Symbol.asyncDispose]();
    },
  };
}

it("is no difference, and counted", async () => {
  count("scripted cases");
  await using pair = await copied();
  const { from, to, job } = pair;
  const { summary, kinds } = await compared(from, to, job.state);
  expect(summary).toMatchObject({ equal: true, matched: 4, changed: 0, extra: 0, knownLosses: 2 });
  expect(kinds).toEqual(["known-loss", "known-loss"]);
  // Whoever has no state is told of them.
  const unknown = await compared(from, to, undefined);
  expect(unknown.summary).toMatchObject({ equal: false, changed: 2 });
  expect(unknown.summary.knownLosses).toBeUndefined();
});

it("takes no twin's copy, whichever comes first", async () => {
  await using pair = await copied();
  const { from, to, job } = pair;
  const twins = inbox(to).filter(({ bytes }) => bytes.includes("<k0@"));
  const [one, two] = twins.map(({ date }) => date);
  expect(one).not.toBe(two);
  for (const [n, twin] of twins.entries()) Object.assign(twin, { date: n === 0 ? two : one });
  const { summary } = await compared(from, to, job.state);
  expect(summary).toMatchObject({ equal: true, matched: 4, knownLosses: 2 });
});

it("hides nothing else that differs", async () => {
  await using pair = await copied();
  const { from, to, job } = pair;
  for (const { bytes, flags } of inbox(to)) if (bytes.includes("<k1@")) flags.delete("\\Seen");
  for (const one of inbox(to))
    if (one.bytes.includes("<k2@")) Object.assign(one, { date: " 1-Jan-2001 00:00:00 +0000" });
  const { summary, kinds } = await compared(from, to, job.state);
  expect(summary).toMatchObject({ equal: false, matched: 2, changed: 2, knownLosses: 1 });
  expect(kinds.sort()).toEqual(["changed", "changed", "known-loss"]);
});
