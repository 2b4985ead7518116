// When the command is built: runs it on a little mail, and keeps what V8 compiled for that.

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadCompiled, writeCompiled } from "./compiled.ts";
import type * as Process from "./process.ts";
import { tuneProcess } from "./tune.ts";

const MESSAGE =
  "From: a@example.org\nDate: Mon, 1 Jan 2024 00:00:00 +0000\nMessage-ID: <1@example.org>\nSubject: one\n\none\n";

async function warm(root: string): Promise<void> {
  const { program } = loadCompiled(join(__dirname, "program.cjs")) as typeof Process;
  // Of an account only the beginning: there is no server to ask.
  loadCompiled(join(__dirname, "imapflow.cjs"));
  const source = join(root, "source");
  for (const part of ["cur", "new", "tmp"]) mkdirSync(join(source, part), { recursive: true });
  writeFileSync(join(source, "cur", "1704067200.M1P1.example:2,S"), MESSAGE);
  const env = { XDG_STATE_HOME: join(root, "state") };
  const target = `maildir:${join(root, "target")}`;
  for (const words of [
    ["backup", source, target],
    ["backup", source, target],
    ["verify", source, target],
  ]) {
    const code = await program(words, env);
    if (code !== 0) throw new Error(`${words.join(" ")} ended with ${code}`);
  }
  writeCompiled();
}

tuneProcess();
const root = mkdtempSync(join(tmpdir(), "mailferry-warm-"));
warm(root).finally(() => rmSync(root, { recursive: true, force: true }));
