// Nothing is deleted without proof: whatever happens to a copy, or at the source, between the append and the proof.

import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { MigrationEvent } from "../../src/migrate/events.ts";
import { type RunOptions, run } from "../../src/migrate/run.ts";
import { openImapSink } from "../../src/sinks/imap.ts";
import { openMaildirSink } from "../../src/sinks/maildir.ts";
import { openMboxZipSink } from "../../src/sinks/mbox-zip.ts";
import type { Sink } from "../../src/sinks/sink.ts";
import { openImapSource } from "../../src/sources/imap.ts";
import { openPop3Source } from "../../src/sources/pop3.ts";
import type { Source } from "../../src/sources/source.ts";
import { count } from "../kit/counts.ts";
import { type Dovecot, startDovecot } from "../kit/dovecot.ts";
import { connectImap, type Seed } from "../kit/imap-client.ts";
import { seedMaildir } from "../kit/seed-maildir.ts";

const { signal } = new AbortController();
const INBOX = ["INBOX"];
/** Stands in the body of the message whose copy is hurt. */
const MARKED = "second body";
const BODIES = ["first body", MARKED, "third body", "fourth body"];

let server: Dovecot;
let root = "";
let serial = 0;

const messageOf = (body: string): Buffer =>
  Buffer.from(`Subject: ${body}\r\nMessage-ID: <${body.replace(" ", ".")}@x>\r\n\r\n${body}\r\n`);
const seedOf = (body: string, more: Partial<Seed> = {}): Seed => ({ folder: INBOX, bytes: messageOf(body), ...more });

beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), "removal-"));
  server = await startDovecot({ users: [], fsync: false });
});
afterAll(async () => {
  await server?.stop();
  rmSync(root, { recursive: true, force: true });
});

/** A new account with these messages in its inbox. */
async function account(bodies: readonly string[] = BODIES): Promise<string> {
  const user = `user${serial++}`;
  await server.addUser(user);
  seedMaildir(
    server,
    user,
    bodies.map((body) => seedOf(body)),
  );
  return user;
}

async function left(user: string): Promise<string[]> {
  await using client = await connectImap(server.serverOptions("imaps", user));
  return (await client.read(INBOX)).map(({ bytes }) => /\r\n\r\n(.*)\r\n$/.exec(bytes.toString("latin1"))?.[1] ?? "");
}

const SOURCES = {
  imap: (user: string) => openImapSource(server.serverOptions("imaps", user), signal),
  pop3: (user: string) => openPop3Source(server.serverOptions("pop3s", user), signal),
} as const;

/** Copies and deletes; `between` runs after the last append and before the first proof. */
async function move(source: Source, sink: Sink, between: () => Promise<void>, options: Partial<RunOptions> = {}) {
  await using from = source;
  await using to = sink;
  const attacked: Sink = {
    ...to,
    async seal(until, failed) {
      await to.seal(until, failed);
      await between();
    },
  };
  const going = run(from, attacked, { stateDirectory: join(root, `state${serial++}`), remove: {}, ...options }, signal);
  const kept: string[] = [];
  const notices: string[] = [];
  for await (const event of going as AsyncIterable<MigrationEvent>) {
    if (event.type === "message-kept") kept.push(event.why);
    if (event.type === "notice") notices.push(event.text);
  }
  count("states");
  return { summary: await going.finished, kept, notices };
}

function maildirFile(path: string): string {
  const name = readdirSync(join(path, "cur")).find((file) => readFileSync(join(path, "cur", file)).includes(MARKED));
  if (name === undefined) throw new Error("the copy is not there");
  return join(path, "cur", name);
}

function flip(file: string): void {
  const bytes = readFileSync(file);
  const at = bytes.lastIndexOf(MARKED);
  bytes[at] = (bytes[at] ?? 0) ^ 1;
  writeFileSync(file, bytes);
}

describe.each(["imap", "pop3"] as const)("from %s", (kind) => {
  const inMaildir: readonly (readonly [string, (file: string) => void])[] = [
    ["has another byte", flip],
    ["was cut", (file) => truncateSync(file, 30)],
    ["is empty", (file) => truncateSync(file, 0)],
    ["is gone", unlinkSync],
    [
      "became a folder",
      (file) => {
        unlinkSync(file);
        mkdirSync(file);
      },
    ],
  ];

  it.each(inMaildir)("a copy in a Maildir that %s keeps its original, and that alone", async (_what, hurt) => {
    const user = await account();
    const path = join(root, `maildir${serial++}`);
    const sink = await openMaildirSink({ path }, signal);
    const { summary, kept } = await move(await SOURCES[kind](user), sink, async () => hurt(maildirFile(path)));
    expect(await left(user)).toEqual([MARKED]);
    expect(kept).toEqual(["not-proved"]);
    expect(summary).toMatchObject({ removed: 3, kept: 1, outcome: "partial", closes: true });
  });

  it.each(["growing", "single"])("a copy in a %s zip that rotted keeps its original", async (form) => {
    const user = await account();
    const path = join(root, `zip${serial++}${form === "single" ? ".zip" : ""}`);
    const sink = await openMboxZipSink({ path, job: "j", store: true }, signal);
    const { summary, kept } = await move(await SOURCES[kind](user), sink, async () => {
      const [name = ""] = form === "single" ? [""] : readdirSync(path).filter((file) => file.endsWith(".zip"));
      flip(join(path, name));
    });
    expect(await left(user)).toContain(MARKED);
    expect(kept).toContain("not-proved");
    expect(summary).toMatchObject({ outcome: "partial" });
  });

  it("a copy that somebody deleted in the target account keeps its original, and that alone", async () => {
    const user = await account();
    const other = await account([]);
    const sink = await openImapSink(server.serverOptions("imaps", other), signal);
    const { kept } = await move(await SOURCES[kind](user), sink, async () => {
      await using client = await connectImap(server.serverOptions("imaps", other));
      const copy = (await client.read(INBOX)).find(({ bytes }) => bytes.includes(MARKED));
      await client.expunge(INBOX, [copy?.uid ?? 0]);
    });
    expect(await left(user)).toEqual([MARKED]);
    expect(kept).toEqual(["not-proved"]);
  });

  it("what came meanwhile stays, and what another client deleted shifts nothing", async () => {
    const user = await account();
    const path = join(root, `maildir${serial++}`);
    const sink = await openMaildirSink({ path }, signal);
    const { summary } = await move(await SOURCES[kind](user), sink, async () => {
      await using client = await connectImap(server.serverOptions("imaps", user));
      const [first] = await client.read(INBOX);
      await client.expunge(INBOX, [first?.uid ?? 0]);
      // The very same bytes as a message that is to go, and new ones.
      await client.append(seedOf(MARKED));
      await client.append(seedOf("fifth body"));
    });
    expect(await left(user)).toEqual([MARKED, "fifth body"]);
    expect(summary.balance).toMatchObject({ copied: 4, failed: 0 });
  });

  it("what an option left out stays, whatever became of it before", async () => {
    const user = await account();
    const path = join(root, `maildir${serial++}`);
    const stateDirectory = join(root, `state${serial++}`);
    const open = () => openMaildirSink({ path }, signal);
    const nothing = async (): Promise<void> => undefined;
    await using source = await SOURCES[kind](user);
    await using all = await open();
    await run(source, all, { stateDirectory }, signal).finished;
    await all[Symbol.asyncDispose]();
    const { summary } = await move(await SOURCES[kind](user), await open(), nothing, { maxSize: 60, stateDirectory });
    expect(summary).toMatchObject({ removed: 0, kept: 0, balance: { filtered: 4 } });
    expect(await left(user)).toEqual(BODIES);
  });
});

it("another message that its owner marked as \\Deleted stays", async () => {
  const user = await account();
  {
    await using client = await connectImap(server.serverOptions("imaps", user));
    const marked = (await client.read(INBOX)).find(({ bytes }) => bytes.includes(MARKED));
    await client.store(INBOX, marked?.uid ?? 0, "+", ["\\Deleted"]);
  }
  const sink = await openMaildirSink({ path: join(root, `maildir${serial++}`) }, signal);
  const { summary } = await move(await SOURCES.imap(user), sink, async () => undefined, { skipDeleted: true });
  expect(summary).toMatchObject({ removed: 3, kept: 0, outcome: "complete" });
  expect(await left(user)).toEqual([MARKED]);
});

it("one account under two names is not emptied into itself, at the first run and at the second", async () => {
  const user = await account();
  const alias = { ...server.serverOptions("imaps", user), host: "127.0.0.1" };
  const stateDirectory = join(root, `state${serial++}`);
  for (const _ of [1, 2]) {
    const moving = move(await SOURCES.imap(user), await openImapSink(alias, signal), async () => undefined, {
      stateDirectory,
    });
    await expect(moving).rejects.toMatchObject({ code: "config", message: expect.stringContaining("one account") });
    expect(await left(user)).toEqual(BODIES);
  }
  await using client = await connectImap(alias);
  expect((await client.folders()).map(({ raw }) => raw).filter((name) => /mailferry/.test(name))).toEqual([]);
});

it("two accounts whose folders have the same UIDVALIDITY and UIDs are told apart", async () => {
  const [user, other] = [await account(), await account()];
  for (const each of [user, other]) {
    await using client = await connectImap(server.serverOptions("imaps", each));
    await client.count(INBOX);
    await client.logout();
    const list = join(server.maildir(each), "dovecot-uidlist");
    writeFileSync(list, readFileSync(list, "latin1").replace(/^3 V\d+/, "3 V1700000000"), "latin1");
    for (const file of readdirSync(server.maildir(each)))
      if (file.startsWith("dovecot.index")) rmSync(join(server.maildir(each), file));
    server.adopt(each);
  }
  const sink = await openImapSink(server.serverOptions("imaps", other), signal);
  const { summary } = await move(await SOURCES.imap(user), sink, async () => undefined);
  expect(summary).toMatchObject({ removed: 4, outcome: "complete", balance: { adopted: 4 } });
  expect([await left(user), await left(other)]).toEqual([[], BODIES]);
});
