// Messages that go to a real Dovecot in groups: each arrives as it is and under its own name, and a refused one alone is missing.

import { afterAll, beforeAll, expect, it } from "vitest";
import type { SystemFlag } from "../../../src/mail/model.ts";
import { openImapSink } from "../../../src/sinks/imap.ts";
import type { Sink } from "../../../src/sinks/sink.ts";
import { type Dovecot, startDovecot } from "../../kit/dovecot.ts";
import { connectImap } from "../../kit/imap-client.ts";
import { contentOf, folderOf, messageOf, signal } from "./helpers.ts";

let server: Dovecot;
let users = 0;
beforeAll(async () => {
  server = await startDovecot({ users: [], fsync: false });
});
afterAll(() => server.stop());

interface Account extends AsyncDisposable {
  readonly sink: Sink;
  /** The APPEND commands that were sent. */
  readonly appends: string[];
}

async function newAccount(): Promise<Account> {
  const user = `user${++users}`;
  await server.addUser(user);
  const appends: string[] = [];
  const trace = (_: string, direction: string, text: string): void => {
    if (direction === "C" && / APPEND /.test(text)) appends.push(text);
  };
  const sink = await openImapSink({ ...server.serverOptions("imap", user), trace }, signal);
  return { sink, appends, [Symbol.asyncDispose]: () => sink[Symbol.asyncDispose]() };
}

it("a thousand messages, twins among them, each with its own flags, date and bytes under the name that it was given", async () => {
  await using account = await newAccount();
  const folder = await account.sink.open(folderOf(["Box"]), signal);
  const flags: readonly SystemFlag[] = ["seen", "answered", "flagged", "draft"];
  const sent = await Promise.all(
    Array.from({ length: 1000 }, (_, n) =>
      messageOf(`Subject: ${n >> 1}\r\n\r\n${"x".repeat(n)}${n % 7 === 0 ? "" : "\r\n"}`, {
        flags: new Set(flags.filter((_flag, bit) => ((n >> bit) & 1) === 1)),
        keywords: new Set(n % 5 === 0 ? [`K${n % 3}`] : []),
        received: { epochSeconds: 1_500_000_000 + n, zoneMinutes: n % 2 === 0 ? 0 : -330 },
      }),
    ),
  );
  const stored = await Promise.all(sent.map((message) => folder.append(message, signal)));
  expect(new Set(stored.map(({ receipt }) => receipt?.ref)).size).toBe(1000);
  expect(stored.filter(({ losses, altered }) => losses !== undefined || altered !== undefined)).toEqual([]);
  expect(account.appends.length).toBeLessThan(20);
  const copies = new Map<string, unknown>();
  for await (const { receipt, traits } of folder.copies(undefined, signal))
    copies.set(receipt.ref, [traits.flags, traits.keywords, traits.received?.epochSeconds]);
  for (const [n, { receipt }] of stored.entries()) {
    const traits = sent[n]?.traits;
    expect(copies.get(receipt?.ref ?? "")).toEqual([traits?.flags, traits?.keywords, traits?.received?.epochSeconds]);
  }
  for (const n of [0, 1, 127, 128, 500, 998, 999]) {
    const bytes = await contentOf(folder.reopen(stored[n]?.receipt ?? { ref: "" }, signal));
    expect(bytes.equals(Buffer.from(sent[n]?.body.head ?? []))).toBe(true);
  }
});

it("one that Dovecot refuses is missing, and all around it are there once", async () => {
  await using account = await newAccount();
  const folder = await account.sink.open(folderOf(["Box"]), signal);
  // It stores no empty message.
  const sent = await Promise.all(
    Array.from({ length: 300 }, (_, n) => messageOf(n === 150 ? "" : `Subject: ${n}\r\n\r\n`)),
  );
  const fates = await Promise.allSettled(sent.map((message) => folder.append(message, signal)));
  expect(fates.flatMap(({ status }, n) => (status === "rejected" ? [n] : []))).toEqual([150]);
  expect(fates[150]).toMatchObject({ reason: { details: { scope: "message", outcome: "none" } } });
  const refs: string[] = [];
  for await (const { receipt } of folder.copies(undefined, signal)) refs.push(receipt.ref);
  const named = fates.flatMap((fate) => (fate.status === "fulfilled" ? [fate.value.receipt?.ref] : []));
  expect([...named].sort()).toEqual([...refs].sort());
});

it("a keyword that one message cannot have is its loss alone", async () => {
  await using account = await newAccount();
  const folder = await account.sink.open(folderOf(["Box"]), signal);
  const sent = await Promise.all(
    Array.from({ length: 50 }, (_, n) =>
      messageOf(`Subject: ${n}\r\n\r\n`, { keywords: new Set(n === 20 ? ["fine", "x".repeat(200)] : ["fine"]) }),
    ),
  );
  const stored = await Promise.all(sent.map((message) => folder.append(message, signal)));
  expect(stored.flatMap(({ losses }, n) => (losses === undefined ? [] : [n]))).toEqual([20]);
  let count = 0;
  for await (const _ of folder.copies(undefined, signal)) count++;
  expect(count).toBe(50);
});

it("when somebody deletes the folder the group is refused whole, and the account works on", async () => {
  await using account = await newAccount();
  await using other = await openImapSink(server.serverOptions("imap", `user${users}`), signal);
  const folder = await account.sink.open(folderOf(["Box"]), signal);
  await using client = await connectImap(server.serverOptions("imap", `user${users}`));
  await client.delete(["Box"]);
  const sent = await Promise.all(Array.from({ length: 40 }, (_, n) => messageOf(`Subject: ${n}\r\n\r\n`)));
  for (const fate of await Promise.allSettled(sent.map((message) => folder.append(message, signal))))
    expect(fate).toMatchObject({ status: "rejected", reason: { details: { scope: "folder", remedy: "retry" } } });
  const next = await other.open(folderOf(["Other"]), signal);
  expect((await next.append(await messageOf("A: b\r\n\r\n"), signal)).receipt).toBeDefined();
});
