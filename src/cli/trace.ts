// MAILFERRY_TRACE: both sides of the conversation to stderr ("1") or to a file, without secrets.

import { createWriteStream } from "node:fs";
import { PRIVATE_FILE } from "../core/files.ts";
import type { ServerOptions } from "../protocol/server.ts";
import { plain } from "./text.ts";

export interface Trace extends AsyncDisposable {
  readonly write: NonNullable<ServerOptions["trace"]>;
}

/**
 * undefined when nothing is to be traced. `hide` takes secrets out once more, beside what the clients leave out themselves.
 * `fail` is told when the file cannot be written; the run goes on without it.
 */
export function openTrace(
  setting: string | undefined,
  hide: (text: string) => string,
  fail: (text: string) => void,
): Trace | undefined {
  if (setting === undefined || setting === "" || setting === "0") return undefined;
  const line = (connection: string, direction: "C" | "S", text: string): string =>
    `${new Date().toISOString().slice(11, 23)} ${plain(connection)} ${direction}: ${plain(hide(text.replace(/\r?\n$/, "")))}\n`;
  if (setting === "1")
    return {
      write: (connection, direction, text) => void process.stderr.write(line(connection, direction, text)),
      async [Symbol.asyncDispose]() {},
    };
  const file = createWriteStream(setting, { flags: "a", mode: PRIVATE_FILE });
  let broken = false;
  file.on("error", (error) => {
    if (!broken) fail(`MAILFERRY_TRACE cannot be written: ${error.message}`);
    broken = true;
  });
  return {
    write: (connection, direction, text) => {
      if (!broken) file.write(line(connection, direction, text));
    },
    async [Symbol.asyncDispose]() {
      if (!broken) await new Promise<void>((resolve) => file.end(() => resolve()).once("error", () => resolve()));
    },
  };
}
