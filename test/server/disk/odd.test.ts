// Disks with other rules than those of the usual file systems: whatever lies there keeps each folder's mail apart, and the next
// run knows it. What a disk does not allow is refused in words, and loses nothing.
//
// (That folders whose names differ in case alone are kept apart has two guards: how the disk folds, and the directory's inode.)

import { cp, mkdir, mkdtemp, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { MailError } from "../../../src/mail/errors.ts";
import type { RunSummary } from "../../../src/migrate/events.ts";
import { run } from "../../../src/migrate/run.ts";
import { openMaildirSource } from "../../../src/sources/maildir.ts";
import type { Source } from "../../../src/sources/source.ts";
import { count, countCompared } from "../../kit/counts.ts";
import { type Dovecot, startDovecot } from "../../kit/dovecot.ts";
import type { Seed } from "../../kit/imap-client.ts";
import { type DiskRules, oddDisk } from "../../kit/odd-disk.ts";
import { quickDisk } from "../../kit/scratch.ts";
import { seedMaildir } from "../../kit/seed-maildir.ts";
import { type Content, held, keys, ON_DISKS, type Place } from "../places.ts";

const signal = new AbortController().signal;

let dovecot: Dovecot;
let root: string;
let wanted: Content;
let more: Content;
beforeAll(async () => {
  root = await mkdtemp(join(quickDisk(), "mailferry-odd-disk-"));
  dovecot = await startDovecot({ fsync: false, users: ["from", "more"] });
  seedMaildir(dovecot, "from", mail(1));
  seedMaildir(dovecot, "more", [...mail(1), ...mail(2)]);
  wanted = await held(source(dovecot.maildir("from")));
  more = await held(source(dovecot.maildir("more")));
});
afterAll(async () => {
  await dovecot?.stop();
  await rm(root, { recursive: true, force: true });
});

const FOLDERS = [["INBOX"], ["Work"], ["work"], ["WORK", "Sub"], ["Work", "Sub"], ["Caf\u00e9"], ["caf\u00e9"]];

/** Of each folder four messages, two of them twins; a keyword of its own, so that its table is written again in the next run. */
function* mail(turn: number): Generator<Seed> {
  for (const folder of FOLDERS)
    for (const n of [1, 2, 2, 3])
      yield {
        folder: [...folder],
        bytes: Buffer.from(`Message-ID: <${turn}.${folder.join(".")}.${n}@example.org>\nSubject: ${n}\n\ntext\n`),
        flags: n === 1 ? ["seen"] : [],
        keywords: n === 3 ? [`Project${turn}`] : [],
        received: { epochSeconds: 1_600_000_000 + n },
      };
}

const source = (path: string): Promise<Source> => openMaildirSource({ path }, signal);

async function once(place: Place, state: string, mailbox = dovecot.maildir("from")): Promise<RunSummary | MailError> {
  try {
    await using from = await source(mailbox);
    await using sink = await place.sink();
    return await run(from, sink, { stateDirectory: state }, signal).finished;
  } catch (error) {
    if (error instanceof MailError) return error;
    throw error;
  }
}

const total = (): number => [...wanted.values()].reduce((sum, { length }) => sum + length, 0);

async function compare(place: Place, expected = wanted): Promise<void> {
  const there = await place.content();
  countCompared(keys(expected), keys(there));
  expect(there).toEqual(expected);
}

const inCapitals = (path: string): string => join(dirname(path), basename(path).toUpperCase());

describe.each(Object.entries(ON_DISKS))("into %s", (target, placeAt) => {
  const scene = async (rules: DiskRules): Promise<{ directory: string; path: string; rules: DiskRules }> => {
    const directory = await mkdtemp(join(root, "case-"));
    await mkdir(join(directory, "state"));
    count("disk faults");
    return { directory, path: join(directory, "target"), rules };
  };

  it("a disk to which names in another case are one", async () => {
    const { directory, path, rules } = await scene({ foldsCase: true });
    using disk = await oddDisk(directory, rules);
    const place = await placeAt(dovecot, path);
    const first = await once(place, join(directory, "state"));
    if (first instanceof Error) throw first;
    expect(first.outcome).toBe("complete");
    expect(first.balance.copied).toBe(total());
    await compare(place);
    // The next run names its places in capitals: it is the same target, and the same ledger.
    const other = place.user === undefined ? await placeAt(dovecot, inCapitals(path)) : place;
    const second = await once(other, inCapitals(join(directory, "state")));
    if (second instanceof Error) throw second;
    expect(second.balance.copied).toBe(0);
    await compare(other);
    expect(disk.felt).toBeGreaterThan(0);
  });

  it("a disk without hard links", async () => {
    const { directory, path, rules } = await scene({ refusesLinks: true });
    using disk = await oddDisk(directory, rules);
    const place = await placeAt(dovecot, path);
    for (const copied of [total(), 0]) {
      const ended = await once(place, join(directory, "state"));
      if (ended instanceof Error) throw ended;
      expect(ended.outcome).toBe("complete");
      expect(ended.balance.copied).toBe(copied);
    }
    await compare(place);
    expect(disk.felt).toBeGreaterThan(0);
  });

  it("a disk that renames over nothing", async () => {
    const { directory, path, rules } = await scene({ refusesToReplace: true });
    const state = join(directory, "state");
    // A sealed file takes nothing more.
    const grows = target !== "a FILE.zip";
    const mailbox = join(root, `growing-${basename(directory)}`);
    await cp(dovecot.maildir("from"), mailbox, { recursive: true, preserveTimestamps: true });
    const place = await placeAt(dovecot, path);
    {
      using disk = await oddDisk(directory, rules);
      const first = await once(place, state, mailbox);
      if (first instanceof Error) throw first;
      expect(first.outcome).toBe("complete");
      expect(await place.content()).toEqual(wanted);
      if (grows) await cp(dovecot.maildir("more"), mailbox, { recursive: true, preserveTimestamps: true });
      const second = await once(place, state, mailbox);
      if (target === "a Maildir") {
        // Its table of keywords is a file that others write too: it is replaced whole, or not at all.
        expect(second).toBeInstanceOf(MailError);
        expect((second as MailError).message).toMatch(/cannot write .*dovecot-keywords: EEXIST/);
        expect(disk.felt).toBeGreaterThan(0);
      } else if (second instanceof Error) throw second;
      else expect(second).toMatchObject({ outcome: "complete", balance: { copied: grows ? total() : 0 } });
    }
    // Elsewhere it goes on.
    const last = await once(place, state, mailbox);
    if (last instanceof Error) throw last;
    expect(last.outcome).toBe("complete");
    await compare(place, grows ? more : wanted);
  });
});
