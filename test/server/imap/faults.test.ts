// Connections that are cut, reset or stalled in the middle: the error says what may have happened, and the next try works.

import { afterAll, beforeAll, expect, it } from "vitest";
import { MailError } from "../../../src/mail/errors.ts";
import { openImapSink } from "../../../src/sinks/imap.ts";
import { openImapSource } from "../../../src/sources/imap.ts";
import { type Dovecot, startDovecot } from "../../kit/dovecot.ts";
import { startProxy } from "../../kit/proxy.ts";
import { folderOf, listFolders, messageOf, readAll, signal } from "./helpers.ts";

let server: Dovecot;
beforeAll(async () => {
  server = await startDovecot({ fsync: false, users: ["anna", "ben", "carl", "dora"] });
  await using sink = await openImapSink(server.serverOptions("imaps", "anna"), signal);
  const folder = await sink.open(folderOf(["Box"]), signal);
  await Promise.all(
    Array.from({ length: 60 }, async (_, n) =>
      folder.append(await messageOf(`N: ${n}\r\n\r\n${"x".repeat(100)}\r\n`.repeat(n % 20 === 7 ? 8000 : 40)), signal),
    ),
  );
});
afterAll(() => server.stop());

it("a reading that is cut at any place throws a retry, and the same source reads on", async () => {
  for (const afterBytes of [9_000, 60_000, 300_000, 1_000_000]) {
    await using proxy = await startProxy(server.ports.imaps);
    await using source = await openImapSource(
      { ...server.serverOptions("imaps", "anna"), port: proxy.port, connections: 1 },
      signal,
    );
    proxy.configure({ cut: { direction: "down", afterBytes, connections: 1 } });
    proxy.reset();
    const seen = new Set<string>();
    let failure: unknown;
    for (let tries = 0; tries < 5; tries++) {
      try {
        for (const { entry, error } of await readAll(source, ["Box"], ({ origin }) => !seen.has(origin.id))) {
          if (error !== undefined) throw error;
          seen.add(entry.origin.id);
        }
        break;
      } catch (error) {
        failure = error;
      }
    }
    expect(failure).toBeInstanceOf(MailError);
    expect(failure).toMatchObject({ code: "connection", details: { remedy: "retry", scope: "account" } });
    expect(seen.size).toBe(60);
  }
});

it("octet by octet, everything is the same", async () => {
  await using proxy = await startProxy(server.ports.imaps, { chunkBytes: 7 });
  const direct = await openImapSource(server.serverOptions("imaps", "anna"), signal);
  const expected = (await readAll(direct, ["Box"], ({ size = 0 }) => size < 10_000)).map(({ bytes }) =>
    bytes?.toString(),
  );
  await direct[Symbol.asyncDispose]();
  await using source = await openImapSource({ ...server.serverOptions("imaps", "anna"), port: proxy.port }, signal);
  const read = await readAll(source, ["Box"], ({ size = 0 }) => size < 10_000);
  expect(read.map(({ bytes }) => bytes?.toString())).toEqual(expected);
});

it("appends cut in the middle are unknown or never happened, what was confirmed is there, and the sink goes on", async () => {
  await using proxy = await startProxy(server.ports.imaps);
  const options = { ...server.serverOptions("imaps", "ben"), port: proxy.port };
  await using sink = await openImapSink(options, signal);
  const folder = await sink.open(folderOf(["Box"]), signal);
  proxy.configure({ cut: { direction: "up", afterBytes: 200_000, connections: 1 } });
  proxy.reset();
  const messages = await Promise.all(
    Array.from({ length: 300 }, (_, n) => messageOf(`N: ${n}\r\n\r\n${"y".repeat(1000)}\r\n`)),
  );
  const fates = await Promise.allSettled(messages.map((one) => folder.append(one, signal)));
  const confirmed = fates.flatMap((fate) => (fate.status === "fulfilled" ? [fate.value.receipt?.ref] : []));
  const failed = fates.flatMap((fate) => (fate.status === "rejected" ? [fate.reason as MailError] : []));
  expect(failed.length).toBeGreaterThan(0);
  for (const error of failed) {
    expect(error).toBeInstanceOf(MailError);
    expect(error.details.remedy).toBe("retry");
    expect(error.details.outcome).toMatch(/^(none|unknown)$/);
  }
  proxy.configure({});
  const again = await folder.append(await messageOf("N: again\r\n\r\n"), signal);
  const present = new Set<string>();
  for await (const { receipt } of folder.copies(undefined, signal)) present.add(receipt.ref);
  for (const ref of [...confirmed, again.receipt?.ref]) expect(present.has(ref ?? "")).toBe(true);
  const never = failed.filter(({ details }) => details.outcome === "none").length;
  expect(present.size).toBeLessThanOrEqual(301 - never);
});

it("connections that were reset while nobody used them are replaced", async () => {
  await using proxy = await startProxy(server.ports.imap);
  await using source = await openImapSource({ ...server.serverOptions("imap", "carl"), port: proxy.port }, signal);
  const before = await listFolders(source);
  proxy.reset();
  let after: unknown;
  // The reset may be met by the first command; never by the second.
  for (let tries = 0; tries < 2 && after === undefined; tries++)
    after = await listFolders(source).catch((error: unknown) => {
      expect(error).toMatchObject({ details: { remedy: "retry" } });
    });
  expect(after).toEqual(before);
});

it("an abort while the server stalls ends the reading quietly", async () => {
  await using proxy = await startProxy(server.ports.imaps);
  await using source = await openImapSource({ ...server.serverOptions("imaps", "anna"), port: proxy.port }, signal);
  const box = (await listFolders(source)).find(({ path }) => path[0] === "Box");
  if (box === undefined) throw new Error("no box");
  const abort = new AbortController();
  let count = 0;
  const options = {
    want: () => true,
    signal: abort.signal,
    listed: () => {
      proxy.stall();
      setImmediate(() => abort.abort());
    },
  };
  for await (const _ of source.read({ folder: box }, options)) count++;
  expect(count).toBeLessThan(60);
  proxy.resume();
  expect((await readAll(source, ["Box"])).length).toBe(60);
});
