// Command lines over archives in this process, and a source that fills each of an archive's own files.

import { once } from "node:events";
import { createWriteStream, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { ZipArchive } from "archiver";
import { vi } from "vitest";
import { program } from "../../src/cli/program.ts";
import { openZip } from "../../src/formats/zip/read.ts";

export interface Said {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

export class ArchiveRoom implements Disposable {
  readonly root = mkdtempSync(join(tmpdir(), "mailferry-archive-cli-"));
  readonly source = join(this.root, "source");

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
