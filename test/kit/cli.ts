// The program in this process, with what it prints caught; and the commands that it advises, to be carried out as they stand.

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { vi } from "vitest";
import { program } from "../../src/cli/program.ts";

export interface Said {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** A folder of its own for one suite's files and state. */
export class Desk implements Disposable {
  readonly root = mkdtempSync(join(tmpdir(), "mailferry-cli-"));

  path(name: string): string {
    return join(this.root, name);
  }

  /** Never asks: there is no terminal. */
  async run(args: readonly string[], environment: Readonly<Record<string, string>> = {}): Promise<Said> {
    const out: string[] = [];
    const err: string[] = [];
    const spies = [
      vi.spyOn(process.stdout, "write").mockImplementation((text) => out.push(String(text)) > 0),
      vi.spyOn(process.stderr, "write").mockImplementation((text) => err.push(String(text)) > 0),
    ];
    try {
      const state = { PATH: process.env.PATH, XDG_STATE_HOME: this.path("state") };
      const code = await program(args, { ...state, ...environment });
      return { code, out: out.join(""), err: err.join("") };
    } finally {
      for (const spy of spies) spy.mockRestore();
    }
  }

  /** Puts mail into a Maildir, which is made when it is not there; `below` names a folder of it (Maildir++). */
  put(maildir: string, names: readonly string[], below?: string): string {
    const root = this.path(maildir);
    const folders = below === undefined ? [root] : [root, join(root, `.${below}`)];
    for (const folder of folders)
      for (const place of ["cur", "new", "tmp"]) mkdirSync(join(folder, place), { recursive: true });
    for (const name of names) {
      const text = `From: ${name}@example.org\nSubject: about ${name}\nDate: Tue, 2 Jan 2024 10:00:00 +0000\nMessage-ID: <${name}@x>\n\nbody of ${name}\n`;
      writeFileSync(join(folders.at(-1) ?? root, "cur", `1704189600.${name}.x:2,S`), text);
    }
    return root;
  }

  [Symbol.dispose](): void {
    rmSync(this.root, { recursive: true, force: true });
  }
}

/** The words of the first "mailferry …" command in a text whose verb is this one, as a shell would take them; up to a line's end, "(", or ";". */
export function advised(text: string, verb: string): readonly string[] {
  const start = text.indexOf(`mailferry ${verb} `);
  if (start === -1) throw new Error(`no "mailferry ${verb}" in: ${text}`);
  const words: string[] = [];
  const pattern = /\s*((?:'[^']*'|\\'|[^\s'();])+)|\s*([\n();])/gy;
  pattern.lastIndex = start + "mailferry".length;
  for (let match = pattern.exec(text); match !== null; match = pattern.exec(text)) {
    const [whole, word] = match;
    if (word === undefined || whole.includes("\n")) break;
    words.push(word.replaceAll("\\'", "\u0000").replaceAll("'", "").replaceAll("\u0000", "'"));
  }
  const last = words.pop();
  return last === undefined ? words : [...words, last.replace(/[.,]$/, "")];
}

/** The word of a text that begins so, as a shell would take it. */
export function advisedWord(text: string, start: string): string {
  const escaped = start.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&");
  const word = new RegExp(`(?:^|\\s)('${escaped}(?:[^']|'\\\\'')*'|${escaped}[^\\s']*)`).exec(text)?.[1];
  if (word === undefined) throw new Error(`no word that begins with ${start} in: ${text}`);
  return word.startsWith("'") ? word.slice(1, -1).replaceAll("'\\''", "'") : word.replace(/[.,]$/, "");
}
