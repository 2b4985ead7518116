// Trees of mail as mail programs leave them on a disk, written from a table of paths.

import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

export const FROM = "From ann@a.example Thu Jan  4 12:00:00 2024\n";

export function letter(name: string): string {
  return `From: ann@a.example\nSubject: about ${name}\nDate: Thu, 4 Jan 2024 12:00:00 +0000\nMessage-ID: <${name}@a.example>\n\nBody of ${name}\n`;
}

export function mbox(...names: readonly string[]): string {
  return names.map((name) => `${FROM}${letter(name)}\n`).join("");
}

/**
 * A path that ends in "/" is a Maildir with one message, called as the path is; "path → to" a link; any other a file with that
 * content.
 */
export function writeTree(root: string, paths: Readonly<Record<string, string | Buffer>> | readonly string[]): void {
  const entries = Array.isArray(paths) ? paths.map((path) => [path, ""] as const) : Object.entries(paths);
  for (const [path, content] of entries) {
    const [link, to] = path.split(" → ");
    const place = join(root, link ?? "");
    if (to !== undefined) {
      mkdirSync(dirname(place), { recursive: true });
      symlinkSync(to, place);
    } else if (path.endsWith("/")) {
      for (const part of ["cur", "new", "tmp"]) mkdirSync(join(place, part), { recursive: true });
      const name = path.replace(/[^A-Za-z0-9]/g, "") || "root";
      writeFileSync(join(place, "cur", `1704369600.${name}.host:2,S`), letter(name));
    } else {
      mkdirSync(dirname(place), { recursive: true });
      writeFileSync(place, content);
    }
  }
}
