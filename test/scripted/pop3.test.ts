// Maildrops that are drained from servers that refuse, hang up, name nothing, name twice or name anew: each message arrives once.

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { EXIT } from "../../src/cli/exit.ts";
import { openPop3Source } from "../../src/sources/pop3.ts";
import { type ScriptedMessage, type ScriptedServer, scriptedServer, USUAL } from "../protocol/pop3/scripted-server.ts";
import { type Bench, carry, intoMaildir, type Job, keysIn, MAIL, once, openBench, signal } from "./jobs.ts";

let bench: Bench;
beforeAll(async () => {
  bench = await openBench();
});
afterAll(() => bench?.[Symbol.asyncDispose]());

const TIMING = { connectMs: 20_000, inactivityMs: 20_000 };
const DRAIN = { remove: {} };
const named = (prefix = "u"): ScriptedMessage[] => MAIL.map((body, n) => ({ uidl: `${prefix}${n}`, body }));

/** What is in the maildrop now is what shall arrive, whatever becomes of the maildrop. */
async function draining(server: ScriptedServer): Promise<Job> {
  const open = () => openPop3Source(server.options(), signal, TIMING);
  const wanted = await keysIn(open());
  return { ...intoMaildir(bench, open), wanted: async () => wanted };
}

type Words = readonly [string, { readonly send?: string; readonly ending?: "fin" | "reset" }, boolean];
/** The last says whether it passes by itself. */
const WORDS: readonly Words[] = [
  ["-ERR", { send: "-ERR no\r\n" }, false],
  ["-ERR [SYS/TEMP]", { send: "-ERR [SYS/TEMP] later\r\n" }, true],
  ["-ERR [IN-USE]", { send: "-ERR [IN-USE] somebody has it\r\n" }, true],
  ["a half of an answer and ends", { send: "+O", ending: "fin" }, true],
  ["nothing and ends", { ending: "fin" }, true],
  ["RST", { ending: "reset" }, true],
];
const MOST = 60;
const LIMIT_MS = 300_000;

describe.each([
  ["copying with PIPELINING", {}, USUAL],
  ["draining with PIPELINING", DRAIN, USUAL],
  ["draining without CAPA", DRAIN, null],
] as const)("%s", (_, options, capabilities) => {
  it.each(WORDS)(
    "from a server that says %s to any one command",
    async (name, act, passes) => {
      for (let at = 0, wasMet = true; wasMet; at++) {
        let n = -1;
        let met: string | undefined;
        await using server = await scriptedServer({
          messages: named(),
          capabilities,
          on: (line) => {
            if (n < 0 || n++ !== at) return undefined;
            met = line;
            return act;
          },
        });
        const job = await draining(server);
        n = 0;
        const exits = passes ? [EXIT.temporary] : [EXIT.temporary, EXIT.usage, EXIT.login];
        try {
          await carry(job, { options, exits, mended: () => (n = -1) });
        } catch (error) {
          throw new Error(`${name}, command ${at}: ${met}`, { cause: error });
        }
        if (options === DRAIN) expect(server.messages).toEqual([]);
        expect(at).toBeLessThan(MOST);
        wasMet = met !== undefined;
      }
    },
    LIMIT_MS,
  );
});

describe.each([
  ["copying", {}],
  ["draining", DRAIN],
])("%s", (_, options) => {
  it.each<readonly [string, readonly ScriptedMessage[]]>([
    ["no UIDLs", MAIL.map((body) => ({ body }))],
    ["UIDLs for some", MAIL.map((body, n) => (n % 2 === 0 ? { body } : { body, uidl: `u${n}` }))],
    ["one UIDL for all", MAIL.map((body) => ({ body, uidl: "same" }))],
    ["one UIDL for two that differ", named().map((one, n) => (n < 2 ? { ...one, uidl: "same" } : one))],
    ["UIDLs that look like ours", MAIL.map((body, n) => ({ body, uidl: `sha256:${n}` }))],
    // What is shorter than a server says is not deleted there, however wrong its sizes are: pop3-whole has that.
    ...(options === DRAIN
      ? []
      : [["sizes that are wrong", named().map((one, n) => ({ ...one, size: n * 99_999 }))] as const]),
  ])("of a maildrop with %s", async (__, messages) => {
    await using server = await scriptedServer({ messages });
    const job = await draining(server);
    await carry(job, { options });
    if (options === DRAIN) expect(server.messages).toEqual([]);
    // Mail that comes later under a name that was there before, and one more twin. (What was deleted and is there again with the same
    // name and bytes is taken for what was not deleted after all.)
    const [first = { body: "" }] = messages;
    const twin = options === DRAIN ? [] : [first];
    const later = [{ ...first, body: "Subject: later\r\n\r\nlater\r\n" }, ...twin];
    server.messages = [...server.messages, ...later];
    const open = () => openPop3Source(server.options(), signal, TIMING);
    const before = options === DRAIN ? MAIL.map((body) => ({ body })) : [];
    await using all = await scriptedServer({ messages: [...before, ...server.messages] });
    const wanted = await keysIn(openPop3Source(all.options(), signal, TIMING));
    await carry({ ...job, source: open, wanted: async () => wanted }, { options });
  });
});

it("UIDLs that change between two runs are no second copy", async () => {
  await using server = await scriptedServer({ messages: named() });
  const job = await draining(server);
  await carry(job);
  for (const prefix of ["v", "w"]) {
    server.messages = [...named(prefix)].reverse();
    await carry(job);
  }
  server.messages = MAIL.map((body) => ({ body }));
  await carry(job);
});

it("UIDLs that change within a run are no second copy", async () => {
  let broken = false;
  await using server = await scriptedServer({
    messages: named(),
    on(line) {
      if (line !== "RETR 4" || broken) return undefined;
      broken = true;
      server.messages = named("v");
      return { ending: "reset" };
    },
  });
  const open = () => openPop3Source(server.options(), signal, TIMING);
  await carry(intoMaildir(bench, open));
  expect(broken).toBe(true);
});

it("a maildrop that is in use is exit 5 and says so; mail that comes meanwhile is carried", async () => {
  let locked = true;
  await using server = await scriptedServer({
    messages: named(),
    on: (line) =>
      locked && line.startsWith("PASS") ? { send: "-ERR [IN-USE] do you have another session?\r\n" } : undefined,
    capabilities: ["USER", "UIDL"],
  });
  const open = () => openPop3Source(server.options(), signal, TIMING);
  const job = intoMaildir(bench, open);
  const { failure } = await once(job, DRAIN);
  expect(failure).toMatchObject({ code: "locked", details: { remedy: "wait" } });
  expect(server.messages).toHaveLength(MAIL.length);
  locked = false;
  server.messages = [...named(), { uidl: "new", body: "Subject: new\r\n\r\nnew\r\n" }];
  const wanted = await keysIn(open());
  await carry({ ...job, wanted: async () => wanted }, { options: DRAIN });
  expect(server.messages).toEqual([]);
});

it("a server that lists less than it counts is not believed, and nothing is deleted", async () => {
  let lies = true;
  await using server = await scriptedServer({
    messages: named(),
    on: (line) =>
      lies && line === "LIST"
        ? { send: "+OK\r\n1 99\r\n.\r\n" }
        : lies && line === "UIDL"
          ? { send: "+OK\r\n1 u0\r\n.\r\n" }
          : undefined,
  });
  const open = () => openPop3Source(server.options(), signal, TIMING);
  const job = intoMaildir(bench, open);
  const { failure } = await once(job, DRAIN);
  expect(failure).toMatchObject({ code: "protocol", details: { remedy: "retry" } });
  expect(server.messages).toHaveLength(MAIL.length);
  lies = false;
  const wanted = await keysIn(open());
  await carry({ ...job, wanted: async () => wanted }, { options: DRAIN });
});
