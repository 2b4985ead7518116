// A disk that fails at any step of its work: nothing that is not durable is counted as copied, and the next run, with the disk
// well again, ends with each message once.

import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { firstOf, MailError } from "../../../src/mail/errors.ts";
import type { RunSummary } from "../../../src/migrate/events.ts";
import { run } from "../../../src/migrate/run.ts";
import { openMaildirSource } from "../../../src/sources/maildir.ts";
import type { Source } from "../../../src/sources/source.ts";
import { count, countCompared } from "../../kit/counts.ts";
import { type DiskFault, faultyDisk } from "../../kit/disk-faults.ts";
import { type Dovecot, startDovecot } from "../../kit/dovecot.ts";
import type { Seed } from "../../kit/imap-client.ts";
import { quickDisk } from "../../kit/scratch.ts";
import { seedMaildir } from "../../kit/seed-maildir.ts";
import { FIRST_SEED, SOAK_SECONDS } from "../../kit/seeds.ts";
import { type Content, held, keys, ON_DISKS, type Place } from "../places.ts";

const signal = new AbortController().signal;
const PATIENCE = { attempts: 2, firstDelayMs: 1 };
const TIME_LIMIT_MS = 900_000;

let dovecot: Dovecot;
let root: string;
let cases = 0;
let wanted: Content;
beforeAll(async () => {
  root = await mkdtemp(join(quickDisk(), "mailferry-disk-"));
  dovecot = await startDovecot({ fsync: false, users: ["from"] });
  seedMaildir(dovecot, "from", mail());
  wanted = await held(source());
});
afterAll(async () => {
  await dovecot?.stop();
  await rm(root, { recursive: true, force: true });
});

/** Twins, flags, a keyword that a Maildir needs its own file for, and a message that is staged in a file. */
function* mail(): Generator<Seed> {
  for (const folder of [["INBOX"], ["Work"]])
    for (const n of [1, 2, 2, 3])
      yield {
        folder,
        bytes: Buffer.from(
          `Message-ID: <${folder}${n}@example.org>\nSubject: ${n}\n\n${"x"
            .repeat(70)
            .concat("\n")
            .repeat(folder[0] === "Work" && n === 3 ? 18_000 : n)}`,
        ),
        flags: n === 1 ? ["seen"] : [],
        keywords: n === 3 ? ["Project"] : [],
        received: { epochSeconds: 1_600_000_000 + n },
      };
}

/** On the same disk, but only read. */
const source = (): Promise<Source> => openMaildirSource({ path: dovecot.maildir("from") }, signal);

async function once(place: Place, state: string, notices: string[] = []): Promise<RunSummary | MailError> {
  try {
    await using from = await source();
    await using sink = await place.sink();
    const running = run(from, sink, { stateDirectory: state, patience: PATIENCE }, signal);
    for await (const event of running) if (event.type === "notice") notices.push(event.text);
    return await running.finished;
  } catch (caught) {
    // The run's end and the closing of the target may both fail.
    const error = firstOf(caught);
    // Anything else would be a bug of ours, whatever the disk does.
    if (error instanceof MailError) return error;
    throw error;
  }
}

async function carry(target: string, fault: DiskFault): Promise<readonly string[]> {
  const directory = join(root, `case${cases++}`);
  const place = await (ON_DISKS[target] ?? expect.fail())(dovecot, join(directory, "target"));
  const state = join(directory, "state");
  await mkdir(directory);
  let steps: readonly string[];
  let first: RunSummary | MailError;
  {
    using disk = await faultyDisk(directory, fault);
    first = await once(place, state);
    steps = disk.steps;
    if (disk.failed > 0 && fault.lasting) expect(isWhole(first), "a lasting fault ends no run as complete").toBe(false);
  }
  if (fault.at > 0) count("disk faults");
  const notices: string[] = [];
  const second = await once(place, state, notices);
  if (second instanceof Error) throw second;
  expect(
    notices.filter((text) => text.includes("damaged")),
    "what was not written whole is not taken for damage",
  ).toEqual([]);
  expect(second.outcome).toBe("complete");
  const { balance } = second;
  // What the first run called copied is there: the second has not copied it again.
  if (!(first instanceof Error) && !first.balance.failed)
    expect(balance.copied).toBeLessThanOrEqual(total() - first.balance.copied);
  const there = await place.content();
  countCompared(keys(wanted), keys(there));
  expect(there).toEqual(wanted);
  await rm(directory, { recursive: true, force: true });
  return steps;
}

const total = (): number => [...wanted.values()].reduce((sum, { length }) => sum + length, 0);
const isWhole = (ended: RunSummary | MailError): boolean => !(ended instanceof Error) && ended.outcome === "complete";

interface Kind extends Omit<DiskFault, "at"> {
  readonly name: string;
  /** At every one of the steps, or at every so many; in a soak at each. */
  readonly every: number;
}
const FAULTS: readonly Kind[] = [
  { name: "a disk that is full from one step on", errno: "ENOSPC", lasting: true, every: 6 },
  { name: "one step that fails", errno: "EIO", lasting: false, every: 5 },
  { name: "one fsync that fails, and what it was for is gone", errno: "EIO", lasting: false, loses: true, every: 1 },
  { name: "a quota that is used up from one step on", errno: "EDQUOT", lasting: true, every: 9 },
  // From the first step on, or after the system has seen an error and will not write any more.
  { name: "a disk that is read-only from one step on", errno: "EROFS", lasting: true, every: 9 },
];

describe.each(Object.keys(ON_DISKS))("into %s", (target) => {
  it.each(FAULTS)(
    "$name: nothing lost, nothing twice, nothing said that is not so",
    async ({ name, every, ...fault }) => {
      const steps = await carry(target, { ...fault, at: 0 });
      expect(steps.filter((kind) => kind === "fsync").length).toBeGreaterThan(1);
      const stride = SOAK_SECONDS > 0 ? 1 : every;
      for (let at = 1 + (FIRST_SEED % stride); at <= steps.length; at += stride) {
        if (fault.loses && steps[at - 1] !== "fsync") continue;
        await carry(target, { ...fault, at }).catch((error: unknown) => {
          throw new Error(`${name}: step ${at} of ${steps.length}, ${steps[at - 1]}`, { cause: error });
        });
      }
    },
    TIME_LIMIT_MS,
  );
});
