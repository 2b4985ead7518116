// Command lines over archives in this process, and a source that fills each of an archive's own files.

import { randomUUID } from "node:crypto";
import { once } from "node:events";
import {
  cpSync,
  createWriteStream,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { ZipArchive } from "archiver";
import { afterAll, afterEach, beforeAll, beforeEach, vi } from "vitest";
import { program } from "../../src/cli/program.ts";
import { openZip } from "../../src/formats/zip/read.ts";

export interface Said {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

export class ArchiveRoom implements Disposable {
  readonly root: string;
  readonly source: string;

  constructor(root = mkdtempSync(join(tmpdir(), "mailferry-archive-cli-"))) {
    this.root = root;
    this.source = join(root, "source");
  }

  /** Runs one command line. */
  async cli(...args: string[]): Promise<Said> {
    const out: string[] = [];
    const err: string[] = [];
    const spies = [
      vi.spyOn(process.stdout, "write").mockImplementation((text) => out.push(String(text)) > 0),
      vi.spyOn(process.stderr, "write").mockImplementation((text) => err.push(String(text)) > 0),
    ];
    try {
      const code = await program(args, { PATH: process.env.PATH, XDG_STATE_HOME: join(this.root, "state") });
      return { code, out: out.join(""), err: err.join("") };
    } finally {
      for (const spy of spies) spy.mockRestore();
    }
  }

  /** Mail with more keywords than a Maildir has letters, labels, and a folder whose name no directory can have. */
  fill(count = 40, from = 0): void {
    const work = join(this.source, `Work ${"é".repeat(100)}`);
    mkdirSync(this.source, { recursive: true });
    for (const [path, name] of [
      [join(this.source, "Inbox"), "in"],
      [work, "work"],
    ] as const) {
      const messages: string[] = [];
      for (let i = 0; i < from + count; i++) {
        const day = String((i % 27) + 1).padStart(2, "0");
        messages.push(
          [
            `From a@example.org Fri Mar ${day} 10:00:00 2019`,
            `Message-ID: <${name}-${i}@example.org>`,
            `Subject: ${name} ${i}`,
            "From: a@example.org",
            `X-Keywords: word${i % 40}`,
            `X-Gmail-Labels: label ${i % 3}`,
            "Status: RO",
            "",
            `Body ${i} of ${name}.`,
            "",
            "",
          ].join("\n"),
        );
      }
      writeFileSync(path, messages.join(""));
    }
  }

  [Symbol.dispose](): void {
    rmSync(this.root, { recursive: true, force: true });
  }
}

/** Messages in each of the two folders, and of how many of them it is the first. */
type Fill = readonly [count: number, from: number];

/** To be called at the top of a suite: an archive into which each of these fills was backed up by itself; each test gets a copy. */
export function useArchive(kind: "maildir" | "mboxzip", fills: readonly Fill[], { query = "", prepare }: Making = {}) {
  // Made by its first test: a suite of which none is asked for leaves nothing.
  const room = new ArchiveRoom(join(tmpdir(), `mailferry-archive-cli-${randomUUID()}`));
  const pristine = join(room.root, "pristine");
  const archive = join(room.root, "archive");
  const restored = join(room.root, "restored");
  const into = (target: string, ...more: string[]): Promise<Said> =>
    room.cli("backup", `mbox:${room.source}`, `${kind}:${target}`, ...more);
  const demand = async (target: string): Promise<void> => {
    const { code, err } = await into(target + query);
    if (code !== 0) throw new Error(err);
  };
  beforeAll(async () => {
    for (const [count, from] of fills) {
      room.fill(count, from);
      prepare?.(room);
      await demand(pristine);
    }
  }, 60_000);
  afterAll(() => room[Symbol.dispose]());
  beforeEach(() => cpSync(pristine, archive, { recursive: true, preserveTimestamps: true }));
  afterEach(() => {
    for (const path of [archive, restored]) rmSync(path, { recursive: true, force: true });
  });
  return {
    room,
    pristine,
    archive,
    restored,
    demand,
    backup: (...more: string[]): Promise<Said> => into(archive, ...more),
    restore: (from = archive): Promise<Said> => room.cli("restore", from, `maildir:${restored}`),
    verify: (...more: string[]): Promise<Said> => room.cli("verify", archive, ...more),
    /** Its zips by their numbers. */
    zips: (): string[] =>
      readdirSync(archive)
        .filter((name) => name.endsWith(".zip"))
        .sort()
        .map((name) => join(archive, name)),
  };
}

interface Making {
  /** Behind the target. */
  readonly query?: string;
  /** Called before each backup. */
  prepare?(room: ArchiveRoom): void;
}

/** Every file below a folder, by its path there. */
export function filesBelow(directory: string): string[] {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(directory, join(entry.parentPath, entry.name)))
    .sort();
}

export function isLarge(path: string, least: number): boolean {
  return statSync(path).size >= least;
}

/** Packs a zip again, as zip -d does it, without the members that `change` gives nothing for; `keeps`: the comment stays. */
export async function repack(
  path: string,
  change: (name: string, bytes: Buffer) => Buffer | undefined,
  keeps = true,
): Promise<void> {
  const files: [string, Buffer][] = [];
  let comment: string;
  {
    await using zip = await openZip(path);
    comment = keeps ? zip.comment : "";
    for (const name of zip.entries.keys()) {
      const parts: Buffer[] = [];
      for await (const chunk of zip.read(name, "account")) parts.push(chunk);
      const bytes = change(name, Buffer.concat(parts));
      if (bytes !== undefined) files.push([name, bytes]);
    }
  }
  const packed = new ZipArchive({ comment });
  const out = createWriteStream(path);
  packed.pipe(out);
  for (const [name, bytes] of files) packed.append(bytes, { name });
  await Promise.all([packed.finalize(), once(out, "close")]);
}
