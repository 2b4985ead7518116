// A server that lets in fewer connections than would be opened, and says so in one of the ways that servers have: everything arrives
// over those that are in, and what is told where there is none is no word about the password.

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { EXIT, exitCodeOf } from "../../src/cli/exit.ts";
import { renderBalance } from "../../src/cli/report.ts";
import { openImapSink } from "../../src/sinks/imap.ts";
import { openImapSource } from "../../src/sources/imap.ts";
import { count } from "../kit/counts.ts";
import type { Conversation } from "../kit/scripted.ts";
import { letter } from "./contents.ts";
import { type Manners, type ScriptedAccount, startAccount, USUAL } from "./imap-account.ts";
import { type Bench, carry, impatient, intoMaildir, type Job, makeMaildir, once, openBench, signal } from "./jobs.ts";
import { cli } from "./served.ts";

let bench: Bench;
beforeAll(async () => {
  bench = await openBench();
});
afterAll(() => bench?.[Symbol.asyncDispose]());

const KINDS = ["BYE", "close", "reset", "silence", "NO", "NO with a code", "BYE to the login"] as const;
type Kind = (typeof KINDS)[number];
const WORDS = "Maximum number of connections from user+IP exceeded";

/** A server for as many as `most` says at the moment, over all its accounts. */
class Door {
  readonly inside = new Set<Conversation>();
  readonly #kind: Kind;
  most: number;
  refused = 0;
  #left: (() => void) | undefined;

  constructor(kind: Kind, most: number) {
    this.#kind = kind;
    this.most = most;
  }

  /** When everybody has gone: a server may know of it a moment later than the client. */
  async empty(): Promise<void> {
    while (this.inside.size > 0)
      await new Promise<void>((resolve) => {
        this.#left = resolve;
      });
  }

  manners(more: Manners = {}): Manners {
    return {
      ...more,
      enter: async (talk) => {
        const isGuest = this.inside.size < this.most;
        if (!isGuest) this.refused++;
        if (!isGuest && this.#kind === "BYE") talk.send("* BYE Too many concurrent connections\r\n");
        if (!isGuest && this.#kind === "reset") talk.reset();
        if (!isGuest && this.#kind === "silence") while ((await talk.line()) !== undefined);
        if (!isGuest && !/NO|login/.test(this.#kind)) return undefined;
        if (isGuest) this.inside.add(talk);
        return () => {
          this.inside.delete(talk);
          this.#left?.();
        };
      },
      before: (heard, talk, account) => {
        const isRefused = heard.text.startsWith("LOGIN") && !this.inside.has(talk);
        if (!isRefused) return more.before?.(heard, talk, account);
        if (this.#kind !== "BYE to the login")
          return this.#kind === "NO" ? `NO ${WORDS}` : "NO [LIMIT] not so many at once";
        talk.send(`* BYE ${WORDS}\r\n`);
        talk.end();
        return "done";
      },
    };
  }
}

const FOLDERS = 6;

/** Small folders, and one that has a connection of its own. */
function fill(account: ScriptedAccount, large = 600): void {
  for (let n = 0; n < large; n++) account.add("INBOX", letter(`i${n}`));
  for (let f = 1; f < FOLDERS; f++) for (let n = 0; n < 20; n++) account.add(`F${f}`, letter(`${f}-${n}`));
}

function between(from: ScriptedAccount, to: ScriptedAccount): Job {
  return {
    source: () => openImapSource({ ...from.server(), user: "from", connections: 3 }, signal),
    sink: () => openImapSink({ ...to.server(), connections: 3 }, signal),
    wanted: () => from.keys(),
    arrived: () => to.keys(),
    state: bench.place("state"),
  };
}

describe.each(KINDS)("a server that answers one connection too many with: %s", (kind) => {
  it("as a source, which grants one", async () => {
    const door = new Door(kind, 1);
    await using account = await startAccount(door.manners());
    fill(account);
    const source = async () => {
      await door.empty();
      return await openImapSource({ ...account.server(), connections: 3 }, signal);
    };
    const job = { ...intoMaildir(bench, source), wanted: () => account.keys() };
    const { failure, summary } = await carry(job);
    expect(failure).toBeUndefined();
    expect(summary).toMatchObject({ outcome: "complete", closes: true });
    // Two runs.
    expect(door.refused).toBeGreaterThan(0);
    expect(door.refused).toBeLessThanOrEqual(2);
  });

  it("as a target, which grants one", async () => {
    const door = new Door(kind, 1);
    await using from = await startAccount();
    await using to = await startAccount(door.manners());
    fill(from);
    const job = between(from, to);
    const sink = async () => {
      await door.empty();
      return await job.sink();
    };
    const { failure } = await carry({ ...job, sink });
    expect(failure).toBeUndefined();
    expect(door.refused).toBeGreaterThan(0);
    // Those that were asked for at once.
    expect(door.refused).toBeLessThanOrEqual(4);
  });

  it("as both, which grants two in all, and everything is deleted at the source", async () => {
    const door = new Door(kind, 2);
    await using from = await startAccount(door.manners());
    await using to = await startAccount(door.manners());
    fill(from, 60);
    const wanted = await from.keys();
    count("scripted cases");
    const { failure, summary } = await once(between(from, to), { remove: {} });
    expect(failure).toBeUndefined();
    expect(summary).toMatchObject({ outcome: "complete", closes: true, kept: 0, removed: summary?.listed });
    expect(await to.keys()).toEqual(wanted);
    expect(await from.keys()).toEqual(new Map());
  });

  it("with none of ours in: exit 5, and not a word about the password", async () => {
    count("scripted cases");
    const door = new Door(kind, 0);
    await using account = await startAccount(door.manners());
    const asked: (string | undefined)[] = [];
    const password = async (refused?: string): Promise<string> => String(asked.push(refused));
    for (const open of [openImapSource, openImapSink]) {
      const error: unknown = await open({ ...account.server(), password }, signal, { loginMs: 200 }).catch(
        (thrown: unknown) => thrown,
      );
      expect(error).toMatchObject({ code: "connection" });
      expect(exitCodeOf(error)).toBe(EXIT.temporary);
      const { message, details } = error as { message: string; details: { hint?: string } };
      const said = `${message} ${details.hint ?? ""}`;
      expect(said).toMatch(/too many connections|closed without a greeting|says nothing|not so many/);
      if (kind.startsWith("BYE")) expect(message).toMatch(/: (?:Too many concurrent|Maximum number of) connections/);
      expect(said).not.toMatch(/password/);
    }
    expect(asked).toEqual([undefined, undefined]);
  });

  it("and takes one back in the middle of it: the others go on, and it is replaced only where the server lets us", async () => {
    for (const most of [1, 2]) {
      const door = new Door(kind, 2);
      let appended = 0;
      await using from = await startAccount();
      await using to = await startAccount(
        door.manners({
          capabilities: USUAL.filter((name) => name !== "MULTIAPPEND"),
          before({ text }, talk) {
            if (!text.startsWith("APPEND") || ++appended !== 100) return undefined;
            door.most = most;
            talk.end();
            return "done";
          },
        }),
      );
      fill(from, 300);
      const job = between(from, to);
      const { patience, waits } = impatient();
      const { failure, summary } = await once(job, { patience });
      count("scripted cases");
      expect(failure).toBeUndefined();
      expect(summary).toMatchObject({ outcome: "complete", closes: true });
      // The folders of the connection that died, once.
      expect(waits.length).toBeLessThanOrEqual(2);
      expect(await to.keys()).toEqual(await from.keys());
    }
  });

  it("and ends the only one: patience brings it back; where it stays out, exit 5 and a balance that does not close", async () => {
    for (const comesBack of [true, false]) {
      const door = new Door(kind, 1);
      let appended = 0;
      await using from = await startAccount();
      await using to = await startAccount(
        door.manners({
          capabilities: USUAL.filter((name) => name !== "MULTIAPPEND"),
          before({ text }, talk) {
            if (!text.startsWith("APPEND") || ++appended !== 30) return undefined;
            if (!comesBack) door.most = 0;
            talk.end();
            return "done";
          },
        }),
      );
      fill(from, 60);
      const job: Job = {
        ...between(from, to),
        sink: () => openImapSink({ ...to.server(), connections: 3 }, signal, { loginMs: 100 }),
      };
      const { failure, summary } = await once(job);
      count("scripted cases");
      expect(failure === undefined).toBe(comesBack);
      expect(summary?.closes).toBe(comesBack);
      if (failure !== undefined) expect(exitCodeOf(failure)).toBe(EXIT.temporary);
      if (summary !== undefined && !comesBack) expect(renderBalance(summary, false).join()).not.toContain("closes");
    }
  });
});

// A server that still counts the connection before and is silent costs its thirty seconds, and no more.
it.each(KINDS.filter((kind) => kind !== "silence"))("verify compares a target that grants one (%s)", async (kind) => {
  const door = new Door(kind, 1);
  await using account = await startAccount(door.manners());
  const path = bench.place("maildir");
  const mail = Array.from({ length: 30 }, (_, n) => letter(`v${n}`));
  makeMaildir(path, mail);
  const url = `imap://u@127.0.0.1:${account.server().port}?tls=none`;
  const environment = {
    XDG_STATE_HOME: bench.place("state"),
    MAILFERRY_TARGET_PASSWORD: "p",
    MAILFERRY_SOURCE_PASSWORD: "p",
  };
  for (const words of [
    ["restore", `maildir:${path}`, url],
    ["verify", `maildir:${path}`, url],
    ["folders", url],
  ]) {
    await door.empty();
    const { code, said } = await cli(words, environment);
    expect(`${code} ${said}`).toMatch(/^0 /);
  }
  count("scripted cases");
});

it("a folder that was never begun does not close the balance, whatever became of the others", async () => {
  count("scripted cases");
  await using from = await startAccount();
  await using to = await startAccount();
  fill(from, 0);
  const job = between(from, to);
  let finished = 0;
  const source = async () => {
    const open = await openImapSource({ ...from.server(), connections: 1 }, signal);
    return { ...open, limits: { sessions: 1 } };
  };
  // The account is shut when the first folder is through.
  const { failure, summary } = await once({ ...job, source }, { patience: impatient(2).patience }, (event) => {
    if (event.type === "folder-finished" && ++finished === 1)
      to.manners = {
        before({ text }, talk) {
          if (text.startsWith("LOGIN")) return "NO [AUTHENTICATIONFAILED] no longer";
          talk.end();
          return "done";
        },
      };
  });
  expect(failure).toBeDefined();
  expect(summary?.folders.length).toBeLessThan(FOLDERS);
  expect(summary?.closes).toBe(false);
  if (summary !== undefined) expect(renderBalance(summary, false).join()).not.toContain("closes");
});
