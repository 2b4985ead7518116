// The real command as a process of its own, with its events read as they come, and killed on the word.

import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { builtMain } from "./build.ts";

export interface CommandOptions {
  readonly cwd?: string;
  readonly sourcePassword?: string;
  readonly targetPassword?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** "000": what the command makes shows its own modes. */
  readonly umask?: string;
  /** SIGKILL when this answers true for an event. */
  killWhen?(event: { readonly type: string; readonly [key: string]: unknown }, index: number): boolean;
}

export interface CommandResult {
  readonly code: number | null;
  readonly killed: boolean;
  readonly stdout: string;
  readonly stderr: string;
  readonly events: readonly { readonly type: string; readonly [key: string]: unknown }[];
}

/** Runs `mailferry` with these arguments. Events are there only with --json. */
export async function mailferry(args: readonly string[], options: CommandOptions = {}): Promise<CommandResult> {
  const { sourcePassword, targetPassword, killWhen, umask } = options;
  const words = [process.execPath, await builtMain(), ...args];
  const [file, ...rest] = umask === undefined ? words : ["sh", "-c", 'umask "$0"; exec "$@"', umask, ...words];
  const child = spawn(file ?? "", rest, {
    stdio: ["ignore", "pipe", "pipe"],
    cwd: options.cwd,
    env: {
      ...process.env,
      ...(sourcePassword === undefined ? {} : { MAILFERRY_SOURCE_PASSWORD: sourcePassword }),
      ...(targetPassword === undefined ? {} : { MAILFERRY_TARGET_PASSWORD: targetPassword }),
      ...options.env,
    },
  });
  let killed = false;
  let stderr = "";
  const lines: string[] = [];
  const events: { type: string }[] = [];
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
  });
  const reader = createInterface({ input: child.stdout });
  const ended = new Promise<number | null>((resolve) => child.once("close", resolve));
  reader.on("line", (line) => {
    lines.push(line);
    if (!line.startsWith("{")) return;
    const event = JSON.parse(line) as { type: string };
    events.push(event);
    if (!killed && killWhen?.(event, events.length) === true) {
      killed = true;
      child.kill("SIGKILL");
    }
  });
  const code = await ended;
  return { code, killed, stdout: lines.join("\n"), stderr, events };
}

/** Kills after so many messages were settled as copied. */
export function afterCopied(count: number): NonNullable<CommandOptions["killWhen"]> {
  let copied = 0;
  return (event) => event.type === "message-settled" && event.as === "copied" && ++copied >= count;
}
