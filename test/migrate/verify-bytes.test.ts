// Bit rot is found: whichever byte of whichever file of an archive changes, verifying the archive by itself tells.

import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { checkMaildir, checkZip } from "../../src/cli/commands/verify.ts";
import { stageBytes } from "../../src/mail/body.ts";
import { MailError } from "../../src/mail/errors.ts";
import { quarantineIn } from "../../src/migrate/quarantine.ts";
import { run } from "../../src/migrate/run.ts";
import { openMaildirSink } from "../../src/sinks/maildir.ts";
import { openMboxZipSink } from "../../src/sinks/mbox-zip.ts";
import type { Sink } from "../../src/sinks/sink.ts";
import { type MemoryFolder, mail, memorySource } from "../kit/memory.ts";

const { signal } = new AbortController();
let root: string;
let path: string;

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "mailferry-bytes-"));
  path = join(root, "archive");
});
afterEach(() => rm(root, { recursive: true, force: true }));

const folders = (): MemoryFolder[] => [
  {
    path: ["INBOX"],
    generation: "1",
    mail: [
      mail("a", undefined, { flags: new Set(["seen"]), keywords: new Set(["Work", "$Later"]) }),
      mail("b", undefined, { labels: new Set(["kept aside", "ü"]), received: { epochSeconds: 7, zoneMinutes: 60 } }),
    ],
  },
  // A name that its directory cannot say.
  { path: ["Work", "x".repeat(256)], generation: "1", mail: [mail("c", undefined, { labels: new Set(["too"]) })] },
];

async function fill(open: () => Promise<Sink>): Promise<void> {
  await using sink = await open();
  const { summary } = { summary: await run(memorySource(folders()), sink, { stateDirectory: root }, signal).finished };
  expect(summary.outcome).toBe("complete");
}

/** As runs leave it that could not carry a message. */
async function setAside(directory: string): Promise<void> {
  const quarantine = quarantineIn(directory);
  const origin = { folder: ["INBOX"], generation: "1", id: "9" };
  await quarantine.setAside(
    origin,
    stageBytes(Buffer.from("Subject: odd\n\nset aside\n"), false),
    "the server would not have it",
  );
  await quarantine.setAside({ ...origin, id: "10" }, undefined, "it could not be read");
}

/** What verifying says; an archive that is too broken to be read is told by an error. */
async function told(check: (onProblem: (text: string) => void) => Promise<unknown>): Promise<string[]> {
  const found: string[] = [];
  try {
    await check((text) => found.push(text));
  } catch (error) {
    if (!(error instanceof MailError)) throw error;
    found.push(error.message);
  }
  return found;
}

const maildirProblems = (): Promise<string[]> => told((onProblem) => checkMaildir(path, signal, onProblem));
const zipProblems = (): Promise<string[]> => told((onProblem) => checkZip(path, signal, onProblem));

async function filesOf(): Promise<string[]> {
  if (path.endsWith(".zip")) return [path];
  const entries = await readdir(path, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
}

/** White space for white space is no change where both only separate: in our own files, not in messages. */
const SPACE = /\s/;
const MESSAGE = /\/(?:cur|new)\/|\.(?:eml|zip)$/;
const [LF, CR] = [10, 13];
/** Files of other programs, or of both: nothing of ours can have a checksum there. */
const FOREIGN = /subscriptions$/;
/** Places looked at in one file; MAILFERRY_EVERY_BYTE=1 looks at all of them. */
const PLACES = process.env.MAILFERRY_EVERY_BYTE === "1" ? Number.POSITIVE_INFINITY : 60;

/** Changes that nobody tells. */
async function silent(problems: () => Promise<string[]>): Promise<string[]> {
  const found: string[] = [];
  for (const file of (await filesOf()).filter((name) => !FOREIGN.test(name))) {
    const good = await readFile(file);
    const step = Math.max(1, Math.floor(good.length / PLACES));
    // The last byte always: it ends a line.
    const places = new Set([
      ...Array.from({ length: Math.ceil(good.length / step) }, (_, i) => i * step),
      good.length - 1,
    ]);
    const changes = [...places].map((at) => [at, (good[at] ?? 0) ^ (at % 2 === 0 ? 1 << (at % 8) : 0xff)] as const);
    // The one change that could pass for a change of line ends.
    if (MESSAGE.test(file) && good.at(-1) === LF) changes.push([good.length - 1, CR]);
    for (const [at, octet] of changes) {
      if (at < 0) continue;
      const bad = Buffer.from(good);
      bad[at] = octet;
      const isSpace = [octet, good[at] ?? 0].every((each) => SPACE.test(String.fromCharCode(each)));
      if (isSpace && !MESSAGE.test(file)) continue;
      await writeFile(file, bad);
      if ((await problems()).length === 0)
        found.push(`${file.slice(path.length)} byte ${at}: ${JSON.stringify(good.toString("latin1", at - 8, at + 8))}`);
    }
    await writeFile(file, good);
  }
  expect(await problems()).toEqual([]);
  return found;
}

/** Every file of the archive, taken away one at a time. */
async function unmissed(problems: () => Promise<string[]>): Promise<string[]> {
  const found: string[] = [];
  for (const file of (await filesOf()).filter((name) => !FOREIGN.test(name))) {
    const good = await readFile(file);
    await rm(file);
    if ((await problems()).length === 0) found.push(file.slice(path.length));
    await writeFile(file, good);
  }
  expect(await problems()).toEqual([]);
  return found;
}

describe("a Maildir archive", () => {
  beforeEach(async () => {
    await fill(() => openMaildirSink({ path }, signal));
    await setAside(join(path, "mailferry", "quarantine"));
  });

  it("tells of any byte that changed, in messages, journals, ids, traits, keywords and the folder map", async () => {
    const files = (await filesOf()).join("\n");
    for (const kind of [
      /cur/,
      /ledger/,
      /archive\.json/,
      /mailferry-folder/,
      /traits/,
      /dovecot-keywords/,
      /folders\.jsonl/,
      /quarantine.*\.eml/,
      /quarantine.*\.txt/,
    ])
      expect(files).toMatch(kind);
    expect(await silent(maildirProblems)).toEqual([]);
  }, 1_200_000);

  it("tells of any file that is gone", async () => {
    const gone = await unmissed(maildirProblems);
    // It is empty, and says only to other programs that this is a folder below another.
    expect(gone.filter((name) => name.endsWith("maildirfolder")).length).toBe(1);
    // And the note on a message without bytes, which nothing else names.
    expect(gone.filter((name) => !name.endsWith("maildirfolder"))).toEqual([expect.stringMatching(/quarantine.*txt$/)]);
  }, 60_000);

  it("tells of a message that was put back without its record, and lets those of other programs be", async () => {
    await writeFile(join(path, "cur", "123.other.program:2,S"), "Subject: by another\n\nprogram\n");
    expect(await maildirProblems()).toEqual([]);
    const [ours = ""] = (await filesOf()).filter((file) => /cur\/.*S=\d+/.test(file));
    await writeFile(ours.replace(/Q\d+R/, "Q99R"), await readFile(ours));
    expect(await maildirProblems()).toEqual([expect.stringContaining("in no ledger")]);
  });
});

describe("an mboxzip archive", () => {
  it("that grows tells of any byte that changed", async () => {
    await fill(() => openMboxZipSink({ path, job: "j" }, signal));
    await setAside(join(path, "mailferry", "quarantine"));
    expect(await silent(zipProblems)).toEqual([]);
  }, 1_200_000);

  it("that grows tells of any zip that is gone, the last as well", async () => {
    await fill(() => openMboxZipSink({ path, job: "j" }, signal));
    const numbers = join(path, "mailferry", "numbers");
    const older = await readFile(numbers);
    const all = [...folders(), { path: ["More"], generation: "1", mail: [mail("d")] }];
    {
      await using sink = await openMboxZipSink({ path, job: "j" }, signal);
      await run(memorySource(all), sink, { stateDirectory: root }, signal).finished;
    }
    const zips = (await filesOf()).filter((name) => name.endsWith(".zip")).sort();
    for (const file of zips) {
      const good = await readFile(file);
      await rm(file);
      expect(await zipProblems()).toEqual([expect.stringMatching(/missing/)]);
      await writeFile(file, good);
    }
    expect(await zipProblems()).toEqual([]);
    // Numbers of an older copy of the archive do not speak of the last zip; the ledgers do.
    await writeFile(numbers, older);
    await rm(zips.at(-1) ?? "");
    expect(await zipProblems()).toContainEqual(expect.stringMatching(/the zips from 2 to 2 are missing/));
  });

  it("in one file tells of any byte that changed", async () => {
    path = join(root, "mail.zip");
    await fill(() => openMboxZipSink({ path, job: "j" }, signal));
    expect(await silent(zipProblems)).toEqual([]);
  }, 1_200_000);
});
