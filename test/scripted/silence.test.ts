// A server that owes us something and says nothing is given a word after five seconds, once a wait: whatever is waited for.

import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { tellSilence } from "../../src/cli/waiting.ts";
import { parseEndpoint } from "../../src/endpoints.ts";
import { SILENCE_MS, whileOpening } from "../../src/protocol/silence.ts";
import { Desk } from "../kit/cli.ts";
import { startScripted } from "../kit/scripted.ts";
import { startAccount } from "./imap-account.ts";

let desk: Desk;
beforeEach(() => {
  desk = new Desk();
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
});
afterEach(() => {
  vi.useRealTimers();
  desk[Symbol.dispose]();
});

const MAIL = "From: a@x\r\nSubject: s\r\nMessage-ID: <s@x>\r\n\r\nbody\r\n";
const WORD = /^still waiting for (\S+): it has not (let us in yet|answered for some seconds)$/gm;
const wordsIn = (err: string): string[] => [...err.matchAll(WORD)].map(([, , what]) => String(what));
const environment = { MAILFERRY_SOURCE_PASSWORD: "p", MAILFERRY_TARGET_PASSWORD: "p" };

/** What the server does not say for so long, and how often it was asked for. */
function slowly(pattern: RegExp, ms: number) {
  const state = { asked: 0 };
  return {
    state,
    wait: async ({ text }: { readonly text: string }): Promise<void> => {
      if (!pattern.test(text)) return;
      state.asked++;
      // What was answered before is heard first.
      for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setImmediate(resolve));
      await vi.advanceTimersByTimeAsync(ms);
    },
  };
}

const VERBS: readonly (readonly [string, RegExp, (url: string) => string[]])[] = [
  ["the list of folders", /^LIST/i, (url) => ["folders", url]],
  ["the content of a folder", /FETCH.*BODY/i, (url) => ["backup", url, desk.path("target")]],
  ["one after the other", /^LIST|FETCH.*BODY/i, (url) => ["backup", url, desk.path("target")]],
  ["an APPEND", /^APPEND/i, (url) => ["restore", desk.put("mail", ["a"]), url]],
  ["what verify reads", /FETCH.*BODY/i, (url) => ["verify", url, desk.put("other", ["a"])]],
];

it.each(VERBS)("%s", async (_, pattern, words) => {
  for (const [ms, told] of [
    [SILENCE_MS + 1000, true],
    [SILENCE_MS - 1000, false],
  ] as const) {
    const { state, wait } = slowly(pattern, ms);
    await using account = await startAccount({ wait });
    account.add("INBOX", MAIL);
    const url = `imap://u@127.0.0.1:${account.server().port}?tls=none&connections=1`;
    const { err } = await desk.run(words(url), environment);
    expect(state.asked).toBeGreaterThan(0);
    expect(wordsIn(err)).toEqual(told ? Array(state.asked).fill("answered for some seconds") : []);
  }
});

it("changes nothing about when it is given up", async () => {
  const { wait } = slowly(/^LIST/i, 310_000);
  await using account = await startAccount({ wait });
  const url = `imap://u@127.0.0.1:${account.server().port}?tls=none&connections=1`;
  const { err, code } = await desk.run(["folders", url], environment);
  expect({ code, words: wordsIn(err).length }).toEqual({ code: 5, words: 1 });
  expect(err).toContain("no answer from 127.0.0.1 for 300 seconds");
});

it("is not said with -q, and one wait has one word however long it is", async () => {
  for (const quiet of [[], ["-q"]]) {
    const { state, wait } = slowly(/^LIST/i, 60_000);
    await using account = await startAccount({ wait });
    account.add("INBOX", MAIL);
    const url = `imap://u@127.0.0.1:${account.server().port}?tls=none&connections=1`;
    const { err, code } = await desk.run(["folders", url, ...quiet], environment);
    expect({ code, asked: state.asked }).toEqual({ code: 0, asked: 1 });
    expect(wordsIn(err)).toHaveLength(quiet.length === 0 ? 1 : 0);
  }
});

it.each([
  [["USER"], "let us in yet"],
  [["STAT"], "answered for some seconds"],
  [["RETR"], "answered for some seconds"],
  [["STAT", "RETR"], "answered for some seconds"],
])("POP3: %s", async (verbs, what) => {
  const answers: Readonly<Record<string, string>> = {
    CAPA: "+OK\r\nUIDL\r\nUSER\r\n.\r\n",
    STAT: `+OK 1 ${MAIL.length}\r\n`,
    LIST: `+OK\r\n1 ${MAIL.length}\r\n.\r\n`,
    UIDL: "+OK\r\n1 u1\r\n.\r\n",
    RETR: `+OK\r\n${MAIL}.\r\n`,
  };
  await using server = await startScripted(async (talk) => {
    talk.send("+OK ready\r\n");
    for (let line = await talk.line(); line !== undefined; line = await talk.line()) {
      const [asked = ""] = line.split(" ");
      if (verbs.includes(asked)) await vi.advanceTimersByTimeAsync(SILENCE_MS + 1000);
      talk.send(answers[asked] ?? "+OK\r\n");
    }
  });
  const url = `pop3://u@127.0.0.1:${server.port}?tls=none`;
  const { code, err } = await desk.run(["backup", url, desk.path("target")], environment);
  expect(code).toBe(0);
  const asked = server.heard.filter((line) => verbs.some((verb) => line.startsWith(verb))).length;
  expect(asked).toBeGreaterThanOrEqual(verbs.length);
  expect(wordsIn(err)).toEqual(Array(asked).fill(what));
});

it("several connections that wait at once have one word, and the next wait has its own", () => {
  const said: string[] = [];
  const ui = { say: (...lines: readonly string[]) => void said.push(...lines) };
  const onSilence = tellSilence(parseEndpoint("imaps://me@example.org", "source"), ui);
  const ends = [onSilence("login"), onSilence("answer"), onSilence("answer")];
  expect(said).toEqual(["still waiting for imaps://me@example.org: it has not let us in yet"]);
  for (const end of ends) end();
  ends[0]?.();
  onSilence("answer");
  expect(said).toHaveLength(2);
});

it("the way in is waited for in the same way, and a quick one has no word", async () => {
  const said: string[] = [];
  let open: (value: string) => void = () => undefined;
  const onSilence = (owed: string) => {
    said.push(owed);
    return () => void said.push("over");
  };
  const silent = whileOpening(onSilence, new Promise<string>((resolve) => (open = resolve)));
  await vi.advanceTimersByTimeAsync(SILENCE_MS - 1);
  expect(said).toEqual([]);
  await vi.advanceTimersByTimeAsync(60_000);
  expect(said).toEqual(["login"]);
  open("in");
  expect(await silent).toBe("in");
  await whileOpening(onSilence, Promise.resolve());
  expect(said).toEqual(["login", "over"]);
  expect(vi.getTimerCount()).toBe(0);
});
