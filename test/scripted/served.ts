import { expect, vi } from "vitest";
import { program } from "../../src/cli/program.ts";
import type { ServerOptions } from "../../src/protocol/server.ts";
import { openImapSink } from "../../src/sinks/imap.ts";
import { openImapSource } from "../../src/sources/imap.ts";
import { openMaildirSource } from "../../src/sources/maildir.ts";
import { openPop3Source } from "../../src/sources/pop3.ts";
import {
  type Act,
  USUAL as POP3,
  type ScriptedMessage,
  scriptedServer,
  USER,
} from "../protocol/pop3/scripted-server.ts";
import { flat } from "./contents.ts";
import { type Manners, startAccount } from "./imap-account.ts";
import { type Bench, intoAccount, intoMaildir, type Job, keysIn, MAIL, makeMaildir, signal } from "./jobs.ts";

export type Place = "an IMAP source" | "an IMAP target" | "a POP3 source";
export const PLACES: readonly Place[] = ["an IMAP source", "an IMAP target", "a POP3 source"];
type Ask = ServerOptions["password"];
/** Watchdogs, as both protocols name them. */
interface Stalls {
  readonly stallMs?: number;
  readonly loginMs?: number;
  readonly connectMs?: number;
  readonly inactivityMs?: number;
}
export const stalls = (ms: number, loginMs = ms): Stalls => ({
  stallMs: ms,
  loginMs,
  connectMs: loginMs,
  inactivityMs: ms,
});

/** The server of one end; the other end of its jobs is a Maildir. */
export interface Served extends AsyncDisposable {
  readonly port: number;
  /** A job of its own, with its own state and its own other end; what it asks for is asked anew at each opening. */
  job(ways?: { readonly port?: number; readonly password?: Ask; readonly stalls?: () => Stalls }): Job;
  /** The words of a command that carries its mail to or from a Maildir. */
  words(): { readonly argv: readonly string[]; arrived(): Promise<Map<string, string[]>> };
}

const named = (mail: readonly string[] = MAIL): ScriptedMessage[] => mail.map((body, n) => ({ uidl: `u${n}`, body }));

export async function serveImap(
  bench: Bench,
  place: Place,
  manners: Manners,
  mail: readonly string[] = MAIL,
): Promise<Served> {
  const account = await startAccount(manners);
  const isSource = place === "an IMAP source";
  if (isSource) for (const text of mail) account.add("INBOX", text);
  const { port } = account.server();
  const url = `imap://u@127.0.0.1:${port}?tls=none`;
  return {
    port,
    job({ port: through = port, password = async () => "old", stalls: timing = () => ({}) } = {}) {
      const server = (): ServerOptions => ({ ...account.server(), port: through, password });
      return isSource
        ? {
            ...intoMaildir(bench, () => openImapSource(server(), signal, timing())),
            wanted: () => account.keys(),
          }
        : { ...intoAccount(bench, account, mail), sink: () => openImapSink(server(), signal, timing()) };
    },
    words() {
      const path = bench.place("maildir");
      if (isSource) return { argv: ["backup", url, `maildir:${path}`], arrived: () => maildirKeys(path) };
      makeMaildir(path, mail);
      return { argv: ["restore", `maildir:${path}`, url], arrived: () => account.keys() };
    },
    [Symbol.asyncDispose]: () => account[Symbol.asyncDispose](),
  };
}

type On = (line: string, session: number) => Act | undefined;

export async function servePop3(
  bench: Bench,
  on: On,
  { capabilities = POP3, greeting }: { capabilities?: readonly string[]; greeting?: () => string | undefined } = {},
): Promise<Served & { readonly sessions: number }> {
  const server = await scriptedServer({
    messages: named(),
    capabilities,
    on,
    get greeting() {
      return greeting?.() ?? "+OK ready\r\n";
    },
  });
  const { port } = server;
  const wanted = async (): Promise<Map<string, string[]>> => {
    await using plain = await scriptedServer({ messages: named() });
    return await keysIn(openPop3Source(plain.options(), signal));
  };
  return {
    port,
    get sessions() {
      return server.sessions;
    },
    job: ({ port: through = port, password = async () => "old", stalls: timing = () => ({}) } = {}) => ({
      ...intoMaildir(bench, () => openPop3Source(server.options({ port: through, password }), signal, timing())),
      wanted,
    }),
    words() {
      const path = bench.place("maildir");
      const url = `pop3://${USER}@127.0.0.1:${port}?tls=none`;
      return { argv: ["backup", url, `maildir:${path}`], arrived: () => maildirKeys(path) };
    },
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

const maildirKeys = (path: string): Promise<Map<string, string[]>> => keysIn(openMaildirSource({ path }, signal));

/** A Maildir is made with its first message. */
function noneYet(error: unknown): Map<string, string[]> {
  expect(error).toMatchObject({ message: expect.stringContaining("there is no Maildir") });
  return new Map();
}

/** What is there is whole, and there no more often than it should be. Gives how many. */
export async function nothingForeign(job: Job): Promise<number> {
  const left = flat(await job.wanted());
  const held = flat(await job.arrived().catch(noneYet));
  for (const key of held) {
    const at = left.indexOf(key);
    expect(at, `${key} is broken or there twice`).toBeGreaterThanOrEqual(0);
    left.splice(at, 1);
  }
  return held.length;
}

/** The command itself, in this process. */
export async function cli(
  argv: readonly string[],
  environment: NodeJS.ProcessEnv,
): Promise<{ code: number; said: string }> {
  const said: string[] = [];
  const hear = (text: unknown): boolean => said.push(String(text)) > 0;
  const spies = (["stdout", "stderr"] as const).map((name) =>
    vi.spyOn(process[name], "write").mockImplementation(hear),
  );
  try {
    const code = await program([...argv, "--allow-cleartext"], { PATH: process.env.PATH, ...environment });
    return { code, said: said.join("") };
  } finally {
    for (const spy of spies) spy.mockRestore();
  }
}
