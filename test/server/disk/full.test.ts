// A file system that is really full, with its short writes: what is there then is whole, and with more room the next run ends with
// each message once. Needs root, who may mount a small one in memory; the suite beside this one plays such a disk for everybody.

import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { MailError } from "../../../src/mail/errors.ts";
import type { RunSummary } from "../../../src/migrate/events.ts";
import { run } from "../../../src/migrate/run.ts";
import { openMaildirSource } from "../../../src/sources/maildir.ts";
import type { Source } from "../../../src/sources/source.ts";
import { count, countCompared } from "../../kit/counts.ts";
import { type Dovecot, startDovecot } from "../../kit/dovecot.ts";
import type { Seed } from "../../kit/imap-client.ts";
import { seedMaildir } from "../../kit/seed-maildir.ts";
import { type Content, held, keys, ON_DISKS, type Place } from "../places.ts";

const signal = new AbortController().signal;
/** What the mail needs is more than each of these, but for the last. */
const SIZES_KB = [64, 96, 128, 192, 256, 320, 8192];

function canMount(): boolean {
  if (process.getuid?.() !== 0) return false;
  const directory = mkdtempSync(join(tmpdir(), "mailferry-mount-"));
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=64k", "tmpfs", directory], { stdio: "ignore" });
    execFileSync("umount", [directory]);
    return true;
  } catch {
    return false;
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

let dovecot: Dovecot;
let root: string;
let wanted: Content;
beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), "mailferry-full-"));
  dovecot = await startDovecot({ fsync: false, users: ["from"] });
  seedMaildir(dovecot, "from", mail());
  wanted = await held(source());
});
afterAll(async () => {
  await dovecot?.stop();
  rmSync(root, { recursive: true, force: true });
});

/** Half a megabyte that cannot be packed, in messages of odd sizes, twins among them. */
function* mail(): Generator<Seed> {
  let state = 1;
  const noise = (length: number): string => {
    let text = "";
    for (let i = 0; i < length; i++) {
      state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff;
      text += String.fromCharCode(33 + ((state >> 8) % 90)) + (i % 70 === 69 ? "\n" : "");
    }
    return `${text}\n`;
  };
  for (const folder of [["INBOX"], ["Work"]])
    for (let n = 0; n < 30; n++) {
      const bytes = Buffer.from(`Message-ID: <${folder}${n}@example.org>\nSubject: ${n}\n\n${noise(n * 500 + 13)}`);
      const seed = {
        folder,
        bytes,
        flags: n % 3 === 0 ? (["seen"] as const) : [],
        received: { epochSeconds: 1_600_000_000 + n },
      };
      yield seed;
      if (n % 10 === 0) yield seed;
    }
}

const source = (): Promise<Source> => openMaildirSource({ path: dovecot.maildir("from") }, signal);

async function once(place: Place, state: string): Promise<RunSummary | MailError> {
  try {
    await using from = await source();
    await using sink = await place.sink();
    return await run(from, sink, { stateDirectory: state }, signal).finished;
  } catch (error) {
    if (error instanceof MailError) return error;
    throw error;
  }
}

describe.runIf(canMount())("a small file system of its own (only root may mount one)", () => {
  it.each(Object.entries(ON_DISKS))("into %s, until there is room enough", async (target, placeAt) => {
    const disk = join(root, target.replaceAll(/\W/g, "-"));
    mkdirSync(disk);
    // An account needs room for its ledger alone.
    const sizes = target.startsWith("an account") ? [4, 8, 16, 8192] : SIZES_KB;
    execFileSync("mount", ["-t", "tmpfs", "-o", `size=${sizes[0]}k`, "tmpfs", disk]);
    try {
      const place = await placeAt(dovecot, join(disk, "target"));
      let copied = 0;
      for (const size of sizes) {
        execFileSync("mount", ["-o", `remount,size=${size}k`, disk]);
        const ended = await once(place, join(disk, "state"));
        count("disk faults");
        if (size !== sizes.at(-1)) {
          // What is full says so: with an error, or with an outcome that is not whole.
          if (ended instanceof Error) expect(ended.code, `${size} KB: ${ended.message}`).toBe("quota");
          else expect(ended.outcome, `${size} KB`).not.toBe("complete");
        } else if (ended instanceof Error) throw ended;
        else expect(ended.outcome).toBe("complete");
        if (!(ended instanceof Error)) copied += ended.balance.copied;
      }
      const there = await place.content();
      countCompared(keys(wanted), keys(there));
      expect(there).toEqual(wanted);
      expect(copied, "what was copied once is not copied again").toBeLessThanOrEqual(keys(wanted).length);
    } finally {
      execFileSync("umount", [disk]);
    }
  });
});
