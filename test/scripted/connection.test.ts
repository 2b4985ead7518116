// A connection that goes bad under a job: its secret is refused, its server is away, its octets are nonsense, or it is dead and silent.
//
// mutation: src/protocol/credentials.ts: "if (other === secret) throw error;" -> "" (tests: "that stays wrong")
// mutation: src/cli/secrets.ts: "if (refused !== undefined && refused === given) answer = undefined;" -> "" (tests: "is asked for again")
// mutation: src/protocol/imap/scanner.ts: "this.#full.push(literal.sink);" -> "literal.sink.end();" (tests: "in the middle of a large FETCH")
// mutation: src/protocol/imap/parse.ts: "\"${words(first.slice(0, 80))}\"" -> "\"${first.slice(0, 80)}\"" (tests: "random octets in the clear as the answer of LIST")
// mutation: src/protocol/pop3/replies.ts: "has a passing fault: ${said}`, { remedy: \"retry\" }" -> "has a passing fault: ${said}`, { remedy: \"give-up\" }" (tests: "SYS/TEMP")

import { writeFileSync } from "node:fs";
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { EXIT, exitCodeOf } from "../../src/cli/exit.ts";
import { program } from "../../src/cli/program.ts";
import { secretsFrom } from "../../src/cli/secrets.ts";
import { DEFAULT_PATIENCE } from "../../src/core/retry.ts";
import { MAX_LINE } from "../../src/protocol/imap/scanner.ts";
import type { ServerOptions } from "../../src/protocol/server.ts";
import { openImapSink } from "../../src/sinks/imap.ts";
import { openImapSource } from "../../src/sources/imap.ts";
import { openMaildirSource } from "../../src/sources/maildir.ts";
import { openPop3Source } from "../../src/sources/pop3.ts";
import { count, countCompared } from "../kit/counts.ts";
import { type HowCut, startProxy } from "../kit/proxy.ts";
import { randomFrom } from "../kit/random.ts";
import {
  type Act,
  USUAL as POP3,
  type ScriptedMessage,
  scriptedServer,
  USER,
} from "../protocol/pop3/scripted-server.ts";
import { type Manners, startAccount, USUAL } from "./imap-account.ts";
import {
  type Bench,
  carry,
  impatient,
  intoAccount,
  intoMaildir,
  type Job,
  keysIn,
  MAIL,
  makeMaildir,
  once,
  openBench,
  signal,
} from "./jobs.ts";

/** What the command's own patience waited: here a clock that costs no time. */
const slept = vi.hoisted((): number[] => []);
vi.mock("node:timers/promises", async (original) => ({
  ...(await original<typeof import("node:timers/promises")>()),
  setTimeout: async (ms: number) => void slept.push(ms),
}));

let bench: Bench;
beforeAll(async () => {
  bench = await openBench();
});
afterAll(() => bench?.[Symbol.asyncDispose]());
beforeEach(() => void slept.splice(0));

type Place = "an IMAP source" | "an IMAP target" | "a POP3 source";
const PLACES: readonly Place[] = ["an IMAP source", "an IMAP target", "a POP3 source"];
type Ask = ServerOptions["password"];
/** Watchdogs, as both protocols name them. */
interface Stalls {
  readonly stallMs?: number;
  readonly loginMs?: number;
  readonly connectMs?: number;
  readonly inactivityMs?: number;
}
const stalls = (ms: number, loginMs = ms): Stalls => ({ stallMs: ms, loginMs, connectMs: loginMs, inactivityMs: ms });

/** The server of one end; the other end of its jobs is a Maildir. */
interface Served extends AsyncDisposable {
  readonly port: number;
  /** A job of its own, with its own state and its own other end; what it asks for is asked anew at each opening. */
  job(ways?: { readonly port?: number; readonly password?: Ask; readonly stalls?: () => Stalls }): Job;
  /** The words of a command that carries its mail to or from a Maildir. */
  words(): { readonly argv: readonly string[]; arrived(): Promise<Map<string, string[]>> };
}

const named = (mail: readonly string[] = MAIL): ScriptedMessage[] => mail.map((body, n) => ({ uidl: `u${n}`, body }));

async function serveImap(place: Place, manners: Manners, mail: readonly string[] = MAIL): Promise<Served> {
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

async function servePop3(
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

const flat = (all: Map<string, string[]>): string[] =>
  [...all].flatMap(([name, keys]) => keys.map((key) => `${name} ${key}`));

/** A Maildir is made with its first message. */
function noneYet(error: unknown): Map<string, string[]> {
  expect(error).toMatchObject({ message: expect.stringContaining("there is no Maildir") });
  return new Map();
}

/** What is there is whole, and there no more often than it should be. Gives how many. */
async function nothingForeign(job: Job): Promise<number> {
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
async function cli(argv: readonly string[], environment: NodeJS.ProcessEnv): Promise<{ code: number; said: string }> {
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

interface Expiring extends AsyncDisposable {
  readonly server: Served;
  /** Every secret that was tried in vain. */
  readonly refused: readonly string[];
}

/** In the middle of the mail it hangs up, and from then on only "new" is right; `expired` is called at that moment. */
async function startExpiring(place: Place, expired: () => void): Promise<Expiring> {
  const refused: string[] = [];
  let right = "old";
  const isRight = (secret: string): boolean => {
    if (secret !== right) refused.push(secret);
    return secret === right;
  };
  const expire = (): void => {
    right = "new";
    expired();
  };
  const expiring = (server: Served): Expiring => ({
    server,
    refused,
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  });
  if (place === "a POP3 source") {
    const server = await servePop3((line) => {
      const [, sasl] = /^AUTH PLAIN (\S+)$/.exec(line) ?? [];
      if (sasl !== undefined) {
        const [, , secret = ""] = Buffer.from(sasl, "base64").toString().split("\0");
        return isRight(secret) ? undefined : { send: "-ERR [AUTH] no longer\r\n" };
      }
      if (line !== "RETR 3" || right === "new") return undefined;
      expire();
      return { ending: "fin" };
    });
    return expiring(server);
  }
  let appended = 0;
  const server = await serveImap(place, {
    // One message a command: some are stored when it ends.
    capabilities: USUAL.filter((name) => name !== "MULTIAPPEND"),
    before({ text, literals }, talk) {
      const login = /^LOGIN \S+ "?([^"]*)"?$/.exec(text);
      if (login !== null)
        return isRight(literals.at(-1)?.toString() ?? login[1] ?? "")
          ? undefined
          : "NO [AUTHENTICATIONFAILED] no longer";
      if (place !== "an IMAP target" || right === "new" || !text.startsWith("APPEND") || ++appended < 3)
        return undefined;
      expire();
      talk.send("* BYE the password was changed\r\n");
      talk.end();
      return "done";
    },
    rows: (rows, text) => (right === "new" || !text.includes("BODY.PEEK[]") ? rows : rows.slice(0, 2)),
    after({ text }, talk) {
      if (place !== "an IMAP source" || right === "new" || !text.includes("BODY.PEEK[]")) return undefined;
      expire();
      talk.send("* BYE the password was changed\r\n");
      talk.end();
      return "done";
    },
  });
  return expiring(server);
}

/** A file that a command prints: what a key ring or an agent for tokens is. */
function keyring(): { readonly command: string; put(secret: string): void } {
  const path = bench.place("keyring");
  const put = (secret: string): void => writeFileSync(path, `${secret}\n`);
  put("old");
  return { command: `cat ${path}`, put };
}

describe.each(PLACES)("a secret that ends in the middle of a run, at %s", (place) => {
  it("is asked for again, and the run goes on", async () => {
    const ring = keyring();
    await using expiring = await startExpiring(place, () => ring.put("new"));
    const password = await secretsFrom(process.env, () => undefined).password("source", "a", ring, signal);
    const { failure, summary } = await carry(expiring.server.job({ password }));
    expect(failure).toBeUndefined();
    expect(summary).toMatchObject({ outcome: "complete", closes: true });
    expect(expiring.refused).toEqual(["old"]);
  });

  it.each([
    ["that stays wrong", "old", ["old"]],
    ["that is wrong in another way later", "older", ["old", "older"]],
  ])("%s: ends the run, and is tried no more", async (_, later, refused) => {
    const ring = keyring();
    await using expiring = await startExpiring(place, () => ring.put(later));
    const password = await secretsFrom(process.env, () => undefined).password("source", "a", ring, signal);
    const job = expiring.server.job({ password });
    const { patience, waits } = impatient();
    const { failure, summary } = await once(job, { patience });
    expect(failure).toMatchObject({ code: "auth", details: { scope: "account", remedy: "give-up" } });
    expect(failure?.message).toContain(`the login of ${place === "a POP3 source" ? USER : "u"}: `);
    expect(exitCodeOf(failure)).toBe(EXIT.login);
    expect(expiring.refused).toEqual(refused);
    // The connection that ended was worth one new one.
    expect(waits.length).toBeLessThanOrEqual(1);
    const held = await nothingForeign(job);
    expect(held).toBeGreaterThan(0);
    expect(held).toBeLessThan(MAIL.length);
    const { copied = 0, adopted = 0 } = summary?.balance ?? {};
    expect(copied + adopted).toBeLessThanOrEqual(held);
    const right = await secretsFrom(process.env, () => undefined).password(
      "source",
      "a",
      { command: "echo new" },
      signal,
    );
    // The same state and ends, another opening.
    const opened = expiring.server.job({ password: right });
    await carry({ ...job, ...(place === "an IMAP target" ? { sink: opened.sink } : { source: opened.source }) });
    expect(expiring.refused).toEqual(refused);
  });

  it("the command says whose it is, ends with exit 4, and carries the rest when it is right", async () => {
    count("scripted cases");
    const ring = keyring();
    await using expiring = await startExpiring(place, () => undefined);
    const { argv, arrived } = expiring.server.words();
    const side = place === "an IMAP target" ? "target" : "source";
    const words = [...argv, `--${side}-password-command`, ring.command];
    const environment = { XDG_STATE_HOME: bench.place("state") };
    const first = await cli(words, environment);
    expect(first.said).toContain(`the login of ${place === "a POP3 source" ? USER : "u"}: `);
    expect(first.code).toBe(EXIT.login);
    expect(expiring.refused).toEqual(["old"]);
    ring.put("new");
    for (let again = 0; again < 2; again++) expect((await cli(words, environment)).code).toBe(EXIT.complete);
    const wanted = flat(await expiring.server.job().wanted());
    const held = flat(await arrived());
    countCompared(wanted, held);
    expect(held).toEqual(wanted);
    expect(expiring.refused).toEqual(["old"]);
  });
});

const AWAY: readonly (readonly [string, "RETR 3" | "STAT", Act, string])[] = [
  ["closes every connection", "RETR 3", { ending: "fin" }, "connection"],
  ["resets every connection", "RETR 3", { ending: "reset" }, "connection"],
  ["says -ERR [SYS/TEMP]", "RETR 3", { send: "-ERR [SYS/TEMP] later\r\n" }, "connection"],
  ["says -ERR [IN-USE]", "RETR 3", { send: "-ERR [IN-USE] by another\r\n" }, "locked"],
  ["closes every connection, before the first message", "STAT", { ending: "fin" }, "connection"],
];

describe.each(AWAY)("a maildrop that %s", (_, when, act, code) => {
  const { attempts } = DEFAULT_PATIENCE;
  /** Without jitter: doubling up to a minute. */
  const DELAYS = [1000, 2000, 4000, 8000, 16_000, 32_000, 60_000];

  /** Away for so many new connections after it fell off. */
  const serve = async (logins: number) => {
    const away = { left: -1 };
    const server = await servePop3(
      (line) => {
        if (away.left < 0 && line === when) {
          away.left = logins;
          return { ending: "fin" };
        }
        return away.left > 0 && line.startsWith("PASS") && away.left-- > 0 ? act : undefined;
      },
      { capabilities: ["USER", "UIDL", "RESP-CODES", "PIPELINING"] },
    );
    return { server, away };
  };

  it("is given up after as many tries as declared, with growing waits: exit 5", async () => {
    const { server, away } = await serve(1000);
    await using _server = server;
    const job = server.job();
    const { patience, waits } = impatient(attempts);
    const { failure, summary } = await once(job, { patience });
    expect(failure).toMatchObject({ code });
    expect(exitCodeOf(failure)).toBe(EXIT.temporary);
    expect(waits).toEqual(DELAYS);
    // The first one fell off, the others were not let in. An idle one that fell off is replaced in the same try.
    expect(server.sessions).toBe(when === "STAT" ? 1 + attempts : attempts);
    const held = await nothingForeign(job);
    expect(held).toBe(when === "STAT" ? 0 : 2);
    expect(summary?.balance.copied ?? 0).toBe(held);
    away.left = 0;
    await carry(job);
  });

  it("and comes back in time: all arrives in one run", async () => {
    const { server } = await serve(3);
    await using _server = server;
    const { patience, waits } = impatient(attempts);
    const { failure, summary } = await carry(server.job(), { options: { patience } });
    expect(failure).toBeUndefined();
    expect(summary).toMatchObject({ outcome: "complete", closes: true });
    expect(waits).toEqual(DELAYS.slice(0, when === "STAT" ? 3 : 4));
  });

  it("the command ends with exit 5 after its own patience", async () => {
    count("scripted cases");
    const { server, away } = await serve(1000);
    await using _server = server;
    const { argv, arrived } = server.words();
    const environment = { MAILFERRY_SOURCE_PASSWORD: "old", XDG_STATE_HOME: bench.place("state") };
    expect((await cli(argv, environment)).code).toBe(EXIT.temporary);
    expect(slept).toHaveLength(attempts - 1);
    for (const [n, ms] of slept.entries()) {
      expect(ms).toBeGreaterThanOrEqual(DELAYS[n] ?? 0);
      expect(ms).toBeLessThanOrEqual((DELAYS[n] ?? 0) * 1.25);
    }
    away.left = 0;
    for (let again = 0; again < 2; again++) expect((await cli(argv, environment)).code).toBe(EXIT.complete);
    const wanted = flat(await server.job().wanted());
    const held = flat(await arrived());
    countCompared(wanted, held);
    expect(held).toEqual(wanted);
  });
});

const random = randomFrom(20);
const octets = Buffer.from(Array.from({ length: 4096 }, () => random.upTo(256)));
/** By what is sent instead of an answer. */
const NONSENSE: readonly (readonly [string, { readonly imap: Buffer; readonly pop3: Buffer }])[] = [
  ["random octets", { imap: octets, pop3: octets }],
  ["NULs", { imap: Buffer.alloc(70_000), pop3: Buffer.alloc(70_000) }],
  ["a line without end", { imap: Buffer.alloc(MAX_LINE + 70_000, "A"), pop3: Buffer.alloc(70_000, "A") }],
  [
    "the other protocol",
    { imap: Buffer.from("+OK 2 320\r\n"), pop3: Buffer.from("* OK [CAPABILITY IMAP4rev1] hello\r\n") },
  ],
];
const LARGE = [
  MAIL[0] ?? "",
  `Message-ID: <large@example.org>\r\n\r\n${`${"x".repeat(70)}\r\n`.repeat(16_000)}`,
  ...MAIL.slice(1),
];
/** So long a silence is taken for a dead connection, while the server talks nonsense. */
const NONSENSE_STALL_MS = 500;

const IMAP_MOMENTS: readonly (readonly [string, Place, string])[] = [
  ["as a greeting", "an IMAP source", ""],
  ["as the answer of the login", "an IMAP source", "LOGIN"],
  ["as the answer of LIST", "an IMAP source", "LIST"],
  ["in the middle of a FETCH", "an IMAP source", "UID FETCH"],
  ["in the middle of a large FETCH", "an IMAP source", "UID FETCH"],
  ["as the answer of the login", "an IMAP target", "LOGIN"],
  ["as the answer of LIST", "an IMAP target", "LIST"],
  ["as the answer of SELECT", "an IMAP target", "SELECT"],
  ["as the answer of APPEND", "an IMAP target", "APPEND"],
];
const POP3_MOMENTS: readonly (readonly [string, string, string])[] = [
  ["as a greeting", "", ""],
  ["as the answer of CAPA", "CAPA", ""],
  ["in the lines of CAPA", "CAPA", "+OK\r\nUIDL\r\n"],
  ["as the answer of the login", "PASS", ""],
  ["as the answer of STAT", "STAT", ""],
  ["in the lines of LIST", "LIST", "+OK\r\n1 70\r\n"],
  ["in the lines of UIDL", "UIDL", "+OK\r\n1 u0\r\n"],
  ["as the answer of RETR", "RETR 3", ""],
  ["in the middle of a message", "RETR 3", "+OK\r\nSubject: 3\r\n\r\nzzz"],
];

/**
 * A run that meets it ends with an error for people, or gets on by what comes whole before it; and the next one, over a good wire,
 * carries everything.
 */
async function survives(job: Job, mend: () => void): Promise<void> {
  count("wire faults");
  const { failure, summary: first, events } = await once(job, impatient(2));
  const errors = events.flatMap((event) => (event.type === "retry-scheduled" ? [event.error] : []));
  if (failure === undefined) expect(first).toMatchObject({ outcome: "complete", closes: true });
  else {
    errors.push(failure);
    expect([EXIT.usage, EXIT.temporary]).toContain(exitCodeOf(failure));
  }
  expect(errors).not.toEqual([]);
  for (const { code, message } of errors) {
    expect(["protocol", "connection", "config"]).toContain(code);
    expect(message).toMatch(/^[^\p{Cc}]{10,400}$/u);
  }
  await nothingForeign(job);
  mend();
  const { failure: later, summary } = await carry(job);
  expect(later).toBeUndefined();
  expect(summary).toMatchObject({ outcome: "complete", closes: true });
}

describe.each(NONSENSE)("%s in the clear", (_, { imap, pop3 }) => {
  it.each(IMAP_MOMENTS)("%s, from %s", async (moment, place, verb) => {
    let isBad = true;
    let met = 0;
    const isIt = (text: string): boolean => isBad && verb !== "" && text.startsWith(verb);
    const isFetch = verb === "UID FETCH";
    const utter: Manners["after"] = ({ text }, talk) => {
      if (!isIt(text) || (isFetch && !text.includes("BODY.PEEK[]"))) return undefined;
      met++;
      if (!isFetch) talk.send(imap);
      return "done";
    };
    const manners: Manners = {
      ...(verb === "" ? { greeting: imap.toString("latin1") } : {}),
      // What an APPEND brought is stored before nobody learns of it.
      ...(verb === "APPEND" || isFetch ? { after: utter } : { before: utter }),
      rows(rows, text) {
        const [first, second] = rows;
        if (!isIt(text) || !text.includes("BODY.PEEK[]") || first === undefined || second === undefined) return rows;
        // Near enough to its end that the nonsense fills the literal.
        return [first, second.subarray(0, -Math.min(1000, second.length >> 1)), imap];
      },
    };
    const changing = { ...manners };
    await using server = await serveImap(place, changing, moment.includes("large") ? LARGE : MAIL);
    const loginMs = verb === "" || verb === "LOGIN" ? 2 * NONSENSE_STALL_MS : 10 * NONSENSE_STALL_MS;
    const job = server.job({ stalls: () => (isBad ? stalls(NONSENSE_STALL_MS, loginMs) : {}) });
    await survives(job, () => {
      isBad = false;
      delete changing.greeting;
    });
    if (verb !== "") expect(met).toBeGreaterThan(0);
  });

  it.each(POP3_MOMENTS)("%s, from a POP3 source", async (_moment, line, before) => {
    let isBad = true;
    let met = 0;
    await using server = await servePop3(
      (text) => {
        if (!isBad || line === "" || !text.startsWith(line)) return undefined;
        met++;
        return { send: Buffer.concat([Buffer.from(before), pop3]), ending: "silence" };
      },
      {
        capabilities: ["USER", "UIDL", "RESP-CODES", "PIPELINING"],
        greeting: () => (isBad && line === "" ? pop3.toString("latin1") : undefined),
      },
    );
    const loginMs = line === "" ? NONSENSE_STALL_MS : 10 * NONSENSE_STALL_MS;
    const job = server.job({ stalls: () => (isBad ? stalls(NONSENSE_STALL_MS, loginMs) : {}) });
    await survives(job, () => {
      isBad = false;
    });
    if (line !== "") expect(met).toBeGreaterThan(0);
  });
});

const STALL_MS = 1000;

describe.each(PLACES)("a dead connection that nobody tells of, to %s", (place) => {
  const serve = (): Promise<Served> => (place === "a POP3 source" ? servePop3(() => undefined) : serveImap(place, {}));

  it.concurrent.each(
    (["up", "down"] as const).flatMap((direction) => [0, 0.3, 0.6, 0.9].map((part) => [direction, part] as const)),
  )("is noticed and replaced (what goes %s is lost, from %f of the job on)", async (direction, part) => {
    count("wire faults");
    // How much passes until the ends are open, and how much in all.
    const seen = { open: 0, all: 0 };
    {
      await using server = await serve();
      await using proxy = await startProxy(server.port);
      const job = server.job({ port: proxy.port });
      await using _source = await job.source();
      await using _sink = await job.sink();
      seen.open = proxy.bytes[direction];
    }
    {
      await using server = await serve();
      await using proxy = await startProxy(server.port);
      await once(server.job({ port: proxy.port }));
      seen.all = proxy.bytes[direction];
    }
    // What is said in parting is missed by nobody.
    const parting = direction === "up" ? 40 : 100;
    const afterBytes = Math.floor(seen.open + 1 + part * (seen.all - seen.open - parting));
    await using server = await serve();
    const how: HowCut = "swallow";
    await using proxy = await startProxy(server.port, { cut: { direction, afterBytes, how, connections: 1 } });
    const job = server.job({ port: proxy.port, stalls: () => stalls(STALL_MS) });
    let connections = 0;
    let passed = 0;
    const { failure, summary } = await carry(job, {
      options: impatient(10),
      mended: () => {
        connections = proxy.accepted;
        passed = proxy.bytes[direction];
      },
    });
    expect(failure).toBeUndefined();
    expect(summary).toMatchObject({ outcome: "complete", closes: true });
    // Two runs may differ by a row or two: what was to be lost last may never come.
    if (passed >= afterBytes || part < 0.9) expect(connections).toBeGreaterThan(1);
  });
});
