// Whole jobs on a bad wire: octet by octet, silent, reset between a server's commit and its answer.

import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import type { MigrationEvent, RunSummary } from "../../../src/migrate/events.ts";
import { run } from "../../../src/migrate/run.ts";
import type { ServerOptions } from "../../../src/protocol/server.ts";
import { openImapSink } from "../../../src/sinks/imap.ts";
import { openMaildirSink } from "../../../src/sinks/maildir.ts";
import type { Sink } from "../../../src/sinks/sink.ts";
import { openImapSource } from "../../../src/sources/imap.ts";
import { openMaildirSource } from "../../../src/sources/maildir.ts";
import { openPop3Source } from "../../../src/sources/pop3.ts";
import type { Source } from "../../../src/sources/source.ts";
import { contentOf, keysOf } from "../../kit/content.ts";
import { count } from "../../kit/counts.ts";
import { type Dovecot, startDovecot } from "../../kit/dovecot.ts";
import type { Seed } from "../../kit/imap-client.ts";
import { startProxy } from "../../kit/proxy.ts";
import { seedMaildir } from "../../kit/seed-maildir.ts";

const signal = new AbortController().signal;
/** Far longer than a busy machine makes a living server wait, far shorter than a test may take. */
const STALL_MS = 3_000;
const MESSAGES = 12;

let dovecot: Dovecot;
let root: string;
let places = 0;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "mailferry-wire-"));
  dovecot = await startDovecot({ fsync: false, users: ["from"] });
  seedMaildir(dovecot, "from", mail());
});
afterAll(async () => {
  await dovecot?.stop();
  await rm(root, { recursive: true, force: true });
});

function* mail(): Generator<Seed> {
  for (let n = 0; n < MESSAGES; n++) {
    const text = n === 3 ? `${"x".repeat(70)}\r\n`.repeat(4500) : `.\r\n..\r\n\xe9\r\n${"y".repeat(n * 9)}`;
    yield {
      folder: ["INBOX"],
      bytes: Buffer.from(`Message-ID: <${n}@example.org>\r\nSubject: ${n}\r\n\r\n${text}\r\n`, "latin1"),
      flags: n % 2 === 0 ? ["seen"] : [],
    };
  }
}

function server(kind: "imap" | "pop3", user: string, port: number = dovecot.ports[kind]): ServerOptions {
  const password = async (): Promise<string> => dovecot.password;
  return { host: "127.0.0.1", port, security: "none", user, password, connections: 1 };
}

async function fresh(): Promise<string> {
  const user = `user${places++}`;
  await dovecot.addUser(user);
  return user;
}

async function held(opening: Promise<Source>): Promise<Map<string, string[]>> {
  await using source = await opening;
  const content = keysOf(await contentOf(source));
  for (const [path, messages] of content) if (messages.length === 0) content.delete(path);
  return content;
}

const imapContent = (user: string) => held(openImapSource(server("imap", user), signal));

/** What a target holds, by the folders of the source. */
async function arrived(content: Promise<Map<string, string[]>>): Promise<Map<string, string[]>> {
  return new Map([...(await content)].map(([path, keys]) => [path.replace("Box/", ""), keys]));
}

async function ferry(source: Source, sink: Sink, heard: (event: MigrationEvent) => void): Promise<RunSummary> {
  count("wire faults");
  const options = {
    stateDirectory: join(root, `state${places++}`),
    // What a wire held back comes to the server when the wire is let go, and it may be busy with other tests.
    patience: { attempts: 5, firstDelayMs: 1, settleMs: 1500 },
    // A folder that must be made is known to be empty: nothing is asked between opening it and the appends.
    into: ["Box"],
  };
  const job = run(source, sink, options, signal);
  for await (const event of job) heard(event);
  return await job.finished;
}

it.each(["up", "down", "both"] as const)(
  "a target that falls silent (%s) is noticed, and the job goes on over a new connection",
  async (direction) => {
    const to = await fresh();
    await using proxy = await startProxy(dovecot.ports.imap);
    await using source = await openImapSource(server("imap", "from"), signal);
    await using sink = await openImapSink(server("imap", to, proxy.port), signal, { stallMs: STALL_MS });
    let retries = 0;
    const summary = await ferry(source, sink, ({ type }) => {
      if (type === "folder-opened" && retries === 0) proxy.stall(direction === "both" ? undefined : direction);
      if (type === "retry-scheduled" && ++retries > 0) proxy.resume();
    });
    expect(summary).toMatchObject({ outcome: "complete", closes: true, listed: MESSAGES });
    expect(retries).toBeGreaterThan(0);
    expect(await arrived(imapContent(to))).toEqual(await imapContent("from"));
  },
);

it.each(["imap", "pop3"] as const)(
  "a source that falls silent (%s) is noticed, and the job goes on over a new connection",
  async (kind) => {
    const path = join(root, `maildir${places++}`);
    await using proxy = await startProxy(dovecot.ports[kind]);
    const place = server(kind, "from", proxy.port);
    await using source =
      kind === "imap"
        ? await openImapSource(place, signal, { stallMs: STALL_MS })
        : await openPop3Source(place, signal, { connectMs: STALL_MS, inactivityMs: STALL_MS });
    await using sink = await openMaildirSink({ path }, signal);
    let retries = 0;
    const summary = await ferry(source, sink, ({ type }) => {
      // What is read is asked for while the target is opened, and may be here when that is done.
      if (type === "run-planned") proxy.stall("down");
      if (type === "retry-scheduled" && ++retries > 0) proxy.resume();
    });
    expect(summary).toMatchObject({ outcome: "complete", closes: true, listed: MESSAGES });
    expect(retries).toBeGreaterThan(0);
    expect(await arrived(held(openMaildirSource({ path }, signal)))).toEqual(await imapContent("from"));
  },
);

it("reset after the server stored messages and before it said so: they are found, and not stored again", async () => {
  const to = await fresh();
  await using proxy = await startProxy(dovecot.ports.imap);
  await using source = await openImapSource(server("imap", "from"), signal);
  await using sink = await openImapSink(server("imap", to, proxy.port), signal);
  let done: Promise<void> | undefined;
  const stored = async (): Promise<void> => {
    const deadline = performance.now() + 30_000;
    while (performance.now() < deadline) {
      const files = await Promise.all(
        ["cur", "new"].map((name) => readdir(join(dovecot.maildir(to), ".Box.INBOX", name)).catch((): string[] => [])),
      );
      if (files.flat().length === MESSAGES) break;
      await new Promise((resolve) => setImmediate(resolve));
    }
    proxy.reset();
    proxy.resume();
  };
  const summary = await ferry(source, sink, ({ type }) => {
    if (type !== "folder-opened" || done !== undefined) return;
    proxy.stall("down");
    done = stored();
  });
  await done;
  expect(summary).toMatchObject({ outcome: "complete", closes: true });
  expect(summary.balance).toMatchObject({ copied: 0, adopted: MESSAGES });
  expect(await arrived(imapContent(to))).toEqual(await imapContent("from"));
});

it("octet by octet in both directions, everything arrives as it is", async () => {
  const to = await fresh();
  await using up = await startProxy(dovecot.ports.imap, { chunkBytes: 1 });
  await using down = await startProxy(dovecot.ports.imap, { chunkBytes: 1 });
  await using pop = await startProxy(dovecot.ports.pop3, { chunkBytes: 1 });
  const small = { select: { include: ["INBOX"], exclude: [] }, maxSize: 10_000 };
  const options = () => ({ stateDirectory: join(root, `state${places++}`), ...small });
  await using source = await openImapSource(server("imap", "from", up.port), signal);
  await using sink = await openImapSink(server("imap", to, down.port), signal);
  expect((await run(source, sink, options(), signal).finished).balance).toMatchObject({ copied: MESSAGES - 1 });
  const path = join(root, `maildir${places++}`);
  await using drop = await openPop3Source(server("pop3", "from", pop.port), signal);
  await using disk = await openMaildirSink({ path }, signal);
  expect((await run(drop, disk, options(), signal).finished).balance).toMatchObject({ copied: MESSAGES - 1 });
  const all = (await imapContent("from")).get("INBOX") ?? [];
  const here = (await imapContent(to)).get("INBOX") ?? [];
  expect(here).toHaveLength(MESSAGES - 1);
  expect(all).toEqual(expect.arrayContaining(here));
  expect(await held(openMaildirSource({ path }, signal))).toEqual(await imapContent(to));
});
