// Where passwords come from, and that they are never shown: a command, a file, the environment, or a prompt.

import { spawn } from "node:child_process";
import { open } from "node:fs/promises";
import type { Role } from "../endpoints.ts";
import { configError, ioError } from "../mail/errors.ts";
import { askHidden, canAsk } from "./prompt.ts";
import { shellQuote } from "./text.ts";

export interface SecretOptions {
  readonly command?: string;
  readonly file?: string;
}

/** How long a password that a command printed is used again: one run opens several connections, a token ends within the hour. */
const COMMAND_MEMORY_MS = 60_000;
/** No password is longer; a command that prints more prints something else. */
const LONGEST = 64 * 1024;
/** Shorter secrets are not replaced in other text: they would be found everywhere. */
const SHORTEST_HIDDEN = 4;

export const variableOf = (side: Role): string => `MAILFERRY_${side.toUpperCase()}_PASSWORD`;

/** Told which secret the server refused, it looks for another one where there may be one. */
type Asking = (refused?: string) => Promise<string>;

/** The secrets of one process, which knows them well enough to hide them. */
export interface Secrets {
  /**
   * The password of one side. It is asked for at once, so that nothing starts without it; a command is run again when a later
   * login finds its answer old, or refused. Throws MailError config when there is none, or when a source of it fails.
   */
  password(side: Role, account: string, options: SecretOptions, signal: AbortSignal): Promise<Asking>;
  /** The text with every secret met so far replaced. */
  hide(text: string): string;
}

export function secretsFrom(environment: NodeJS.ProcessEnv, warn: (text: string) => void): Secrets {
  const known = new Set<string>();
  const learn = (secret: string): string => {
    known.add(secret);
    return secret;
  };
  return {
    async password(side, account, options, signal) {
      const { command, file } = options;
      if (command !== undefined && file !== undefined)
        throw configError(`the ${side}'s password is to come from a command and from a file`, "Give one of them.");
      if (command !== undefined) {
        const ask = remembering(async () => learn(await fromCommand(command, side, environment, signal)));
        await ask();
        return ask;
      }
      const secret = learn(await once(side, account, file, environment, warn, signal));
      return async () => secret;
    },
    hide(text) {
      let hidden = text;
      for (const secret of known) {
        if (secret.length < SHORTEST_HIDDEN) continue;
        for (const form of [
          secret,
          Buffer.from(secret, "utf8").toString("base64"),
          JSON.stringify(secret).slice(1, -1),
        ])
          hidden = hidden.replaceAll(form, "***");
      }
      return hidden;
    },
  };
}

async function once(
  side: Role,
  account: string,
  file: string | undefined,
  environment: NodeJS.ProcessEnv,
  warn: (text: string) => void,
  signal: AbortSignal,
): Promise<string> {
  if (file !== undefined) return fromFile(file, side, warn);
  const variable = environment[variableOf(side)];
  if (variable !== undefined && variable !== "") return variable;
  if (!canAsk())
    throw configError(
      `there is no password for ${account}, and no terminal to ask on`,
      `Set ${variableOf(side)}, or use --${side}-password-command or --${side}-password-file.`,
    );
  const answer = await askHidden(`Password of ${account}: `, signal);
  if (answer === "") throw configError(`no password was given for ${account}`);
  return answer;
}

async function fromFile(path: string, side: Role, warn: (text: string) => void): Promise<string> {
  let text: string;
  try {
    const handle = await open(path, "r");
    try {
      const stat = await handle.stat();
      if (stat.isFile() && (stat.mode & 0o077) !== 0)
        warn(`${path} can be read by other users; mend it with: chmod 600 ${shellQuote(path)}`);
      const { buffer, bytesRead } = await handle.read(Buffer.alloc(LONGEST), 0, LONGEST);
      text = buffer.toString("utf8", 0, bytesRead);
    } finally {
      await handle.close();
    }
  } catch (error) {
    const known = ioError(`cannot read --${side}-password-file ${path}`, error);
    throw known.code === "io"
      ? configError(known.message, "Give the path of a file with the password in its first line.", error)
      : known;
  }
  const line = firstLine(text);
  if (line === "")
    throw configError(`the first line of --${side}-password-file ${path} is empty`, "Put the password there.");
  return line;
}

/** Run by the shell, its questions (a key's passphrase) on our terminal. Its words are not repeated: they may hold a secret. */
function fromCommand(
  command: string,
  side: Role,
  environment: NodeJS.ProcessEnv,
  signal: AbortSignal,
): Promise<string> {
  const option = `--${side}-password-command`;
  const env = { ...environment };
  delete env[variableOf("source")];
  delete env[variableOf("target")];
  return new Promise((resolve, reject) => {
    const child = spawn(command, { shell: true, stdio: ["inherit", "pipe", "inherit"], env, signal });
    const chunks: Buffer[] = [];
    let size = 0;
    child.stdout.on("data", (chunk: Buffer) => {
      if (size < LONGEST) chunks.push(chunk);
      size += chunk.length;
    });
    child.once("error", (error) =>
      reject(signal.aborted ? error : configError(`${option} could not be run`, undefined, error)),
    );
    child.once("close", (code, killed) => {
      const line = firstLine(Buffer.concat(chunks).toString("utf8"));
      if (code !== 0)
        reject(configError(`${option} failed (${killed ?? `exit code ${code}`})`, "Run it by itself to see why."));
      else if (line === "")
        reject(configError(`${option} printed no password in its first line`, "Run it by itself to see why."));
      else resolve(line);
    });
  });
}

function firstLine(text: string): string {
  return /^[^\r\n]*/.exec(text.replace(/^\ufeff/, ""))?.[0] ?? "";
}

/** Concurrent calls share one answer, later ones too for a while, unless it was refused. */
function remembering(ask: () => Promise<string>): Asking {
  let answer: Promise<string> | undefined;
  let given: string | undefined;
  let asked = 0;
  return (refused) => {
    // Another login may have been refused before, and asked already: what it was told is for both.
    if (refused !== undefined && refused === given) answer = undefined;
    // The clock of the day, which goes on while the machine sleeps; set back, it says nothing about the age of an answer.
    if (answer === undefined || Math.abs(Date.now() - asked) > COMMAND_MEMORY_MS) {
      asked = Date.now();
      given = undefined;
      answer = ask();
      answer.then(
        (secret) => {
          given = secret;
        },
        () => {
          answer = undefined;
        },
      );
    }
    return answer;
  };
}
