// Real mail that others published, where it is present: appended to a real server, backed up, compared by content key.

import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { MailError } from "../../src/mail/errors.ts";
import { keyOf } from "../../src/mail/key.ts";
import { NO_TRAITS } from "../../src/mail/model.ts";
import { run } from "../../src/migrate/run.ts";
import { openImapSink } from "../../src/sinks/imap.ts";
import { openMaildirSink } from "../../src/sinks/maildir.ts";
import { openImapSource } from "../../src/sources/imap.ts";
import { openMaildirSource } from "../../src/sources/maildir.ts";
import { openMboxSource } from "../../src/sources/mbox.ts";
import type { Source } from "../../src/sources/source.ts";
import { contentOf } from "../kit/content.ts";
import { type Dovecot, startDovecot } from "../kit/dovecot.ts";
import { type MemoryFolder, memorySource } from "../kit/memory.ts";

const corpus = fileURLToPath(new URL("../../../shared/corpus/", import.meta.url));
const signal = new AbortController().signal;

async function filesBelow(directory: string): Promise<string[]> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
}

/** All messages of a source, as its bytes. */
async function collect(source: Source): Promise<Buffer[]> {
  const found: Buffer[] = [];
  for await (const folder of source.folders(signal)) {
    if (!folder.selectable) continue;
    for await (const slice of source.slices(folder, signal))
      for await (const { content } of source.read(slice, { want: () => true, signal })) {
        const chunks: Uint8Array[] = [];
        for await (const chunk of content) chunks.push(Buffer.from(chunk));
        found.push(Buffer.concat(chunks));
      }
  }
  return found;
}

async function emlMessages(): Promise<Buffer[]> {
  return Promise.all((await filesBelow(join(corpus, "eml"))).map((file) => readFile(file)));
}

async function mboxMessages(): Promise<Buffer[]> {
  const found: Buffer[] = [];
  for (const path of await filesBelow(join(corpus, "mbox"))) {
    if (path.endsWith(".json")) continue;
    try {
      await using source = await openMboxSource({ path }, signal);
      found.push(...(await collect(source)));
    } catch (error) {
      // Some of the published files are no mbox by any rule; that they are refused with a clear error is right.
      if (!(error instanceof MailError) || error.code !== "config")
        throw new Error(relative(corpus, path), { cause: error });
    }
  }
  return found;
}

async function maildirMessages(scratch: string): Promise<Buffer[]> {
  await promisify(execFile)("tar", ["-xf", join(corpus, "maildir.tar"), "-C", scratch]);
  const expected = JSON.parse(await readFile(join(corpus, "maildir-expected.json"), "utf8")) as Record<string, unknown>;
  const roots = Object.keys(expected).filter((name) => existsSync(join(scratch, name, "cur")));
  const found: Buffer[] = [];
  // A folder of a tree is read with its tree.
  for (const name of roots) {
    if (roots.some((other) => other !== name && name.startsWith(`${other}/`))) continue;
    if (
      roots.some(
        (other) => other !== name && dirname(other) === dirname(name) && name.includes("/.") && !other.includes("/."),
      )
    )
      continue;
    await using source = await openMaildirSource({ path: join(scratch, name) }, signal);
    found.push(...(await collect(source)));
  }
  return found;
}

describe.skipIf(!existsSync(corpus))("the published corpus (skipped where it is not beside the project)", () => {
  let dovecot: Dovecot;
  let root: string;
  beforeAll(async () => {
    root = await mkdtemp(join(tmpdir(), "mailferry-corpus-"));
    dovecot = await startDovecot({ fsync: false });
  });
  afterAll(async () => {
    await dovecot?.stop();
    await rm(root, { recursive: true, force: true });
  });

  it("goes through IMAP and into a Maildir; what the server alters is said, nothing else differs", async () => {
    const kinds = {
      eml: await emlMessages(),
      mbox: await mboxMessages(),
      maildir: await maildirMessages(await mkdtemp(join(root, "tar-"))),
    };
    expect(kinds.eml.length).toBe(687);
    const folders = Object.entries(kinds).map(
      ([name, bytes]): MemoryFolder => ({
        path: [name],
        generation: "1",
        mail: bytes.map((message, i) => ({ id: String(i), bytes: message, traits: NO_TRAITS })),
      }),
    );
    const all = folders.flatMap(({ mail }) => mail.map(({ bytes }) => bytes));
    const empty = all.filter((bytes) => bytes.length === 0).length;

    await dovecot.addUser("corpus");
    const server = dovecot.serverOptions("imaps", "corpus");
    const sink = await openImapSink(server, signal);
    const altered = new Set<string>();
    const going = run(memorySource(folders), sink, { stateDirectory: join(root, "state"), prove: true }, signal);
    for await (const event of going)
      if (event.type === "message-settled" && event.as === "altered")
        altered.add(`${event.entry.origin.folder[0]}/${event.entry.origin.id}`);
    const summary = await going.finished;
    await sink[Symbol.asyncDispose]();
    expect(summary).toMatchObject({ closes: true, listed: all.length });
    expect(summary.balance.failed).toBe(empty);
    expect(summary.balance.copied + summary.balance.altered).toBe(all.length - empty);
    // Dovecot alters a NUL, and drops a CR that ends the message on a line of its own; nothing else.
    for (const { path, mail } of folders)
      for (const { id, bytes } of mail)
        if (bytes.length > 0)
          expect([`${path[0]}/${id}`, altered.has(`${path[0]}/${id}`)]).toEqual([
            `${path[0]}/${id}`,
            bytes.includes(0) || /\n\r+$/.test(bytes.subarray(-9).toString("latin1")),
          ]);

    const path = join(root, "backup");
    const source = await openImapSource(server, signal);
    const archive = await openMaildirSink({ path }, signal);
    const backup = await run(source, archive, { stateDirectory: join(root, "state"), prove: true }, signal).finished;
    await source[Symbol.asyncDispose]();
    await archive[Symbol.asyncDispose]();
    expect(backup).toMatchObject({ outcome: "complete", closes: true, listed: all.length - empty });

    await using reader = await openMaildirSource({ path }, signal);
    const content = await contentOf(reader);
    for (const { path: name, mail } of folders) {
      const want: string[] = [];
      for (const { id, bytes } of mail) {
        if (bytes.length === 0 || altered.has(`${name[0]}/${id}`)) continue;
        want.push((await keyOf(one(bytes))).key);
      }
      const got = (content.get(name[0] ?? "") ?? []).map(({ key }) => key);
      for (const key of want) {
        const at = got.indexOf(key);
        expect(at, `a message of ${name[0]} is not in the backup`).not.toBe(-1);
        got.splice(at, 1);
      }
      expect(got.length).toBe([...altered].filter((id) => id.startsWith(`${name[0]}/`)).length);
    }
    console.log(
      `corpus: ${kinds.eml.length} eml, ${kinds.mbox.length} from mboxes, ${kinds.maildir.length} from Maildirs; ` +
        `${summary.balance.copied} exact, ${summary.balance.altered} altered by the server, ${empty} empty and refused`,
    );
  });
});

async function* one(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  if (bytes.length > 0) yield bytes;
}
