// Targets that trim or fold names: the name that a path got is found again by the next run and by a comparison.

import { afterAll, beforeAll, expect, it } from "vitest";
import { ledgerOfPair } from "../../src/migrate/pair.ts";
import { verify } from "../../src/migrate/verify.ts";
import { pathsOf } from "../../src/protocol/imap/names.ts";
import { openImapSink } from "../../src/sinks/imap.ts";
import { openImapSource } from "../../src/sources/imap.ts";
import { count } from "../kit/counts.ts";
import { startAccount } from "./imap-account.ts";
import { type Bench, once, openBench, signal } from "./jobs.ts";
import { between } from "./refusing.ts";

let bench: Bench;
beforeAll(async () => {
  bench = await openBench();
});
afterAll(() => bench?.[Symbol.asyncDispose]());

const trimmed = (name: string): string => name.trim();
const folded = (name: string, boxes: ReadonlyMap<string, unknown>): string =>
  [...boxes.keys()].find((one) => one.toLowerCase() === name.toLowerCase()) ?? name;
const lower = (name: string): string => (name.toUpperCase() === "INBOX" ? "INBOX" : name.toLowerCase());

it.each([
  ["trims", trimmed, [], ["TEST", "TEST ", "a "]],
  ["compares without case", folded, ["archive"], ["Archive", "Sent Items"]],
  ["lowers", lower, [], ["TEST ", "TEST", "a ", "A"]],
  ["lowers (the other order)", lower, [], ["TEST", "TEST ", "A", "a "]],
  ["replaces characters", (name: string) => name.replaceAll(".", "_"), [], ["a.b"]],
  ["drops characters", (name: string) => name.replace(/[()*]/g, ""), [], ["Clients (old)", "Clients* old", "Team"]],
  ["lowers and trims", (name: string) => trimmed(lower(name)), [], ["TEST ", "TEST", "A"]],
] as const)("a server that %s: nothing twice, and verify passes", async (_, respell, there, paths) => {
  count("scripted cases");
  await using from = await startAccount();
  for (const [n, name] of paths.entries()) from.add(name, `Message-ID: <r${n}@example.org>\r\n\r\n${n}\r\n`);
  await using to = await startAccount({ spelling: (name, account) => respell(name, account.mailboxes) });
  for (const name of there) to.mailboxes.set(name, { uidValidity: 5, uidNext: 1, messages: [] });
  const job = await between(bench, from, to);
  expect((await once(job)).summary).toMatchObject({ outcome: "complete", balance: { copied: paths.length } });
  // Not even two paths in one.
  expect((await to.keys()).size).toBe(paths.length);
  for (let run = 0; run < 2; run++)
    expect((await once(job)).summary).toMatchObject({ outcome: "complete", balance: { copied: 0, adopted: 0 } });
  await using source = await openImapSource(from.server(), signal);
  await using target = await openImapSource(to.server(), signal);
  await using sink = await openImapSink(to.server(), signal);
  const pair = { source: source.identity, sink: sink.identity };
  await using ledger = ledgerOfPair(job.state, pair);
  const nobody = (): void => undefined;
  const summary = await verify(
    source,
    target,
    sink.describe.bind(sink),
    {},
    signal,
    nobody,
    nobody,
    sink.find?.bind(sink),
    { told: ledger.told, recall: async (asked) => sink.recall?.(await ledger.names(asked)) },
  );
  expect(summary).toMatchObject({ equal: true, matched: paths.length, extra: 0, foldersMissing: 0 });
});

it("what was made on the way to INBOX below INBOX does not take its path", () => {
  const listed = ["INBOX", "INBOX.INBOX", "INBOX.INBOX.INBOX"].map((name) => ({ name, delimiter: "." }));
  expect(pathsOf(listed, "INBOX.").get("INBOX.INBOX.INBOX")).toEqual(["INBOX", "INBOX"]);
});
