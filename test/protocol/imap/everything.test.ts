// A folder of which nothing is known is opened and fetched by two commands in one flight; whatever the server makes of that, each
// message comes once.

import { setTimeout as delay } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import type { Entry, Folder } from "../../../src/mail/model.ts";
import { GATHER_LIMIT } from "../../../src/protocol/imap/scanner.ts";
import { expandSet } from "../../../src/protocol/imap/syntax.ts";
import { openImapSource } from "../../../src/sources/imap.ts";
import { type Conversation, type ScriptedServer, startScripted } from "../../kit/scripted.ts";
import { command, options } from "./wire.ts";

const { signal } = new AbortController();
const META = 'FLAGS (\\Seen) INTERNALDATE "01-Jan-2020 00:00:00 +0000" RFC822.SIZE 3';
const EVERYTHING = "UID FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[])";

interface Server {
  /** What the folder holds. */
  readonly uids: readonly number[];
  /** The answer to the EXAMINE, if it is not a good one. */
  readonly refuses?: string;
  readonly validity?: (examines: number) => number;
  /** Rows for the first command, and its tagged answer; without them all goes well. */
  everything?(talk: Conversation, tag: string): void;
}

/** Plays the server; both commands of the first flight are heard before the first is answered. */
function serve({ uids, refuses, validity = () => 5, everything }: Server): Promise<ScriptedServer> {
  let examines = 0;
  return startScripted(async (talk) => {
    talk.send("* OK [CAPABILITY IMAP4rev1] hello\r\n");
    const rows = (set: string, body: boolean): void => {
      for (const uid of uids.length === 0 ? [] : (expandSet(set.replace("*", String(Math.max(...uids))), 10_000) ?? []))
        if (uids.includes(uid)) talk.send(`* 1 FETCH (UID ${uid} ${META}${body ? ` BODY[] "a${uid}"` : ""})\r\n`);
    };
    for (let heard = await command(talk); heard !== undefined; heard = await command(talk)) {
      const { tag, text } = heard;
      if (text === "CAPABILITY") talk.send("* CAPABILITY IMAP4rev1\r\n");
      if (text.startsWith("EXAMINE")) {
        const behind = await command(talk);
        if (refuses === undefined)
          talk.send(`* ${uids.length} EXISTS\r\n* OK [UIDVALIDITY ${validity(++examines)}] x\r\n${tag} OK\r\n`);
        else talk.send(`${tag} ${refuses}\r\n`);
        const isFirst = behind?.text === EVERYTHING;
        if (refuses !== undefined) talk.send(`${behind?.tag} BAD no folder is open\r\n`);
        else if (isFirst && everything !== undefined) everything(talk, behind.tag);
        else {
          rows("1:*", isFirst);
          talk.send(`${behind?.tag} OK\r\n`);
        }
        continue;
      }
      if (text.startsWith("UID FETCH")) rows(text.split(" ")[2] ?? "", text.includes("BODY"));
      talk.send(`${tag} OK\r\n`);
    }
  });
}

interface Got {
  readonly bodies: ReadonlyMap<string, string>;
  readonly asked: readonly string[];
  readonly listed: number;
  readonly heard: readonly string[];
}

async function read(
  server: ScriptedServer,
  messages: number,
  want: (entry: Entry) => boolean = () => true,
): Promise<Got> {
  await using source = await openImapSource(options(server.port), signal);
  const folder: Folder = { path: ["INBOX"], name: "INBOX", selectable: true, messages };
  const bodies = new Map<string, string>();
  const asked: string[] = [];
  let listed = 0;
  const reading = {
    want: (entry: Entry): boolean => {
      asked.push(entry.origin.id);
      expect(entry.traits.flags).toEqual(new Set(["seen"]));
      return want(entry);
    },
    listed: () => {
      listed++;
    },
    everything: true,
    signal,
  };
  for await (const { entry, content } of source.read({ folder }, reading)) {
    expect(bodies.has(entry.origin.id)).toBe(false);
    expect(asked).toContain(entry.origin.id);
    let size = 0;
    let text = "";
    for await (const chunk of content) {
      size += chunk.length;
      if (text.length < 10) text += Buffer.from(chunk).toString("latin1").slice(0, 10);
    }
    bodies.set(entry.origin.id, size > 10 ? String(size) : text);
  }
  const heard = server.heard
    .filter((line) => /EXAMINE|FETCH/.test(line))
    .map((line) => line.slice(line.indexOf(" ") + 1));
  return { bodies, asked, listed, heard };
}

describe.each([
  ["on a shared connection", 3],
  ["on a connection of its own", 501],
])("%s", (_, messages) => {
  const three = new Map([
    ["1", "a1"],
    ["20", "a20"],
    ["30", "a30"],
  ]);
  const rowOf = (uid: number, meta = META): string => `* 1 FETCH (UID ${uid} ${meta} BODY[] "a${uid}")\r\n`;

  it("it takes two commands, and nothing is listed", async () => {
    await using server = await serve({
      uids: [1, 20, 30],
      everything: (talk, tag) => talk.send(`${rowOf(1)}${rowOf(20)}${rowOf(30)}${tag} OK\r\n`),
    });
    const got = await read(server, messages);
    expect(got.bodies).toEqual(three);
    expect(got).toMatchObject({ asked: ["1", "20", "30"], listed: 1, heard: ['EXAMINE "INBOX"', EVERYTHING] });
    expect(server.failures).toEqual([]);
  });

  it("an empty folder is none", async () => {
    await using server = await serve({ uids: [], everything: (talk, tag) => talk.send(`${tag} OK\r\n`) });
    expect(await read(server, messages)).toMatchObject({ asked: [], listed: 1 });
  });

  it("a row before the folder is open is one of another folder", async () => {
    await using server = await startScripted(async (talk) => {
      talk.send("* OK [CAPABILITY IMAP4rev1] hello\r\n");
      for (let heard = await command(talk); heard !== undefined; heard = await command(talk)) {
        if (heard.text.startsWith("EXAMINE")) talk.send(`${rowOf(99)}* 1 EXISTS\r\n* OK [UIDVALIDITY 5] x\r\n`);
        if (heard.text === "CAPABILITY") talk.send("* CAPABILITY IMAP4rev1\r\n");
        if (heard.text === EVERYTHING) talk.send(rowOf(1));
        talk.send(`${heard.tag} OK\r\n`);
      }
    });
    const got = await read(server, messages);
    expect([...got.bodies.keys()]).toEqual(["1"]);
    expect(got.asked).toEqual(["1"]);
  });

  it.each([
    ["leaves one out", rowOf(1) + rowOf(30)],
    ["gives one no content", `${rowOf(1)}* 1 FETCH (UID 20 ${META} BODY[] NIL)\r\n${rowOf(30)}`],
    ["gives one without its flags", `${rowOf(1)}* 1 FETCH (UID 20 BODY[] "a20")\r\n${rowOf(30)}`],
    ["gives one without its UID", `${rowOf(1)}* 1 FETCH (${META} BODY[] "a20")\r\n${rowOf(30)}`],
    ["repeats one in place of another", rowOf(1) + rowOf(30) + rowOf(30)],
    ["gives none", ""],
  ])("a server that %s is asked for it, and for nothing else", async (_what, rows) => {
    await using server = await serve({
      uids: [1, 20, 30],
      everything: (talk, tag) => talk.send(`${rows}${tag} OK\r\n`),
    });
    const got = await read(server, messages);
    expect(got.bodies).toEqual(three);
    expect([...got.asked].sort()).toEqual(["1", "20", "30"]);
    expect(got.listed).toBe(1);
    const again = rows === "" ? "UID FETCH 1,20,30 " : "UID FETCH 20 ";
    expect(got.heard.filter((line) => line.includes("BODY")).slice(1)).toEqual([expect.stringContaining(again)]);
  });

  it.each(["NO [SERVERBUG] one cannot be read", "BAD too much"])(
    "after a refusal (%s) the rest is listed",
    async (words) => {
      await using server = await serve({
        uids: [1, 20, 30],
        everything: (talk, tag) => talk.send(`${rowOf(1)}${tag} ${words}\r\n`),
      });
      const got = await read(server, messages);
      expect(got.bodies).toEqual(three);
      expect(got.listed).toBe(1);
    },
  );

  it("one that goes away after it came does not hide one that was left out", async () => {
    await using server = await serve({
      uids: [1, 20, 30],
      everything: (talk, tag) => talk.send(`${rowOf(1)}* 1 EXPUNGE\r\n${rowOf(30)}${tag} OK\r\n`),
    });
    expect((await read(server, messages)).bodies).toEqual(three);
  });

  it("nor does one that comes meanwhile", async () => {
    await using server = await serve({
      uids: [1, 20, 30],
      everything: (talk, tag) => talk.send(`${rowOf(1)}* 4 EXISTS\r\n${rowOf(30)}${rowOf(40)}${tag} OK\r\n`),
    });
    const got = await read(server, messages);
    expect([...got.bodies.keys()].sort()).toEqual(["1", "20", "30", "40"]);
  });

  it("nor does a count that was lowered after it", async () => {
    await using server = await serve({
      uids: [1, 20, 30],
      everything: (talk, tag) => talk.send(`${rowOf(1)}* 1 EXPUNGE\r\n* 2 EXISTS\r\n${rowOf(30)}${tag} OK\r\n`),
    });
    expect((await read(server, messages)).bodies).toEqual(three);
  });

  it("nor do one that goes and one that comes, which leave the count as it is", async () => {
    await using server = await serve({
      uids: [1, 20, 30],
      everything: (talk, tag) =>
        talk.send(`${rowOf(1)}* 1 EXPUNGE\r\n* 3 EXISTS\r\n${rowOf(30)}${rowOf(40)}${tag} OK\r\n`),
    });
    expect([...(await read(server, messages)).bodies.keys()].sort()).toEqual(["1", "20", "30", "40"]);
  });

  it("a folder that is opened without a UIDVALIDITY is not read into memory", async () => {
    const size = GATHER_LIMIT + 1000;
    await using server = await startScripted(async (talk) => {
      talk.send("* OK [CAPABILITY IMAP4rev1] hello\r\n");
      for (let heard = await command(talk); heard !== undefined; heard = await command(talk)) {
        if (heard.text === "CAPABILITY") talk.send("* CAPABILITY IMAP4rev1\r\n");
        if (heard.text.startsWith("EXAMINE")) talk.send("* 1 EXISTS\r\n");
        if (heard.text === EVERYTHING) {
          talk.send(`* 1 FETCH (UID 20 ${META} BODY[] {${size}}\r\n`);
          talk.send(Buffer.alloc(size, "x"));
          talk.send(")\r\n");
        }
        talk.send(`${heard.tag} OK\r\n`);
      }
    });
    await expect(read(server, messages)).rejects.toMatchObject({ code: "protocol", details: { scope: "folder" } });
  });

  it("what is not wanted is not handed on", async () => {
    await using server = await serve({ uids: [1, 20, 30] });
    const got = await read(server, messages, ({ origin }) => origin.id !== "20");
    expect([...got.bodies.keys()]).toEqual(["1", "30"]);
    expect(got.asked).toEqual(["1", "20", "30"]);
  });

  it("large bodies come as they are sent, small ones around them", async () => {
    const size = GATHER_LIMIT + 1000;
    await using server = await serve({
      uids: [1, 20, 30],
      everything: (talk, tag) => {
        talk.send(`${rowOf(1)}* 1 FETCH (UID 20 ${META} BODY[] {${size}}\r\n`);
        talk.send(Buffer.alloc(size, "x"));
        talk.send(`)\r\n${rowOf(30)}${tag} OK\r\n`);
      },
    });
    const got = await read(server, messages);
    expect([...got.bodies]).toEqual([
      ["1", "a1"],
      ["20", String(size)],
      ["30", "a30"],
    ]);
  });

  it("a folder that is refused is refused as that", async () => {
    await using server = await serve({ uids: [1], refuses: "NO [NONEXISTENT] no such folder" });
    await expect(read(server, messages)).rejects.toMatchObject({ code: "not-found", details: { scope: "folder" } });
  });

  it("a throttle is the account's, not the folder's", async () => {
    await using server = await serve({
      uids: [1, 20],
      everything: (talk, tag) =>
        talk.send(`${rowOf(1)}${tag} NO Request is throttled. Suggested Backoff Time: 299961 milliseconds\r\n`),
    });
    await expect(read(server, messages)).rejects.toMatchObject({ details: { scope: "account", remedy: "wait" } });
  });

  it("a folder that is made anew before the rest is listed is read again from its beginning", async () => {
    await using server = await serve({
      uids: [1, 20],
      validity: (examines) => 4 + examines,
      everything: (talk, tag) => talk.send(`${rowOf(1)}${tag} OK\r\n`),
    });
    await expect(read(server, messages)).rejects.toMatchObject({ details: { scope: "folder", remedy: "retry" } });
  });

  it("a connection that ends in the middle is a connection error", async () => {
    await using server = await serve({
      uids: [1, 20],
      everything: (talk) => {
        talk.send(rowOf(1));
        talk.reset();
      },
    });
    await expect(read(server, messages)).rejects.toMatchObject({ code: "connection", details: { scope: "account" } });
  });
});

describe("two folders on one connection", () => {
  const folder = (name: string, messages: number): Folder => ({ path: [name], name, selectable: true, messages });

  /** Both folders' commands come before anything is answered. `late`: rows of the first folder that come after `pause`. */
  async function both(
    { first, late = "", second }: { readonly first: string; readonly late?: string; readonly second: string },
    then: (talk: Conversation) => Promise<void> = async () => undefined,
    pause: () => Promise<void> = async () => undefined,
  ): Promise<ScriptedServer> {
    return await startScripted(async (talk) => {
      talk.send("* OK [CAPABILITY IMAP4rev1] hello\r\n");
      for (;;) {
        const heard = await command(talk);
        if (heard === undefined) return;
        if (heard.text === "CAPABILITY") talk.send("* CAPABILITY IMAP4rev1\r\n");
        if (!heard.text.startsWith("EXAMINE")) {
          talk.send(`${heard.tag} OK\r\n`);
          continue;
        }
        const [fetchA, examineB, fetchB] = [await command(talk), await command(talk), await command(talk)];
        talk.send(`* 3 EXISTS\r\n* OK [UIDVALIDITY 5] x\r\n${heard.tag} OK\r\n${first}`);
        await pause();
        talk.send(
          `${late}${fetchA?.tag} OK\r\n* 1 EXISTS\r\n* OK [UIDVALIDITY 6] x\r\n${examineB?.tag} OK\r\n` +
            `${second}${fetchB?.tag} OK\r\n`,
        );
        await then(talk);
      }
    });
  }

  async function ids(server: ScriptedServer, stop?: AbortController): Promise<{ a: string[]; b: string[] }> {
    await using source = await openImapSource({ ...options(server.port), connections: 1 }, signal);
    const idsOf = async (slice: Folder, own: AbortSignal): Promise<string[]> => {
      const got: string[] = [];
      const reading = { want: () => true, everything: true, signal: own };
      for await (const { entry, content } of source.read({ folder: slice }, reading)) {
        got.push(entry.origin.id);
        if (stop !== undefined && slice.name === "A") {
          stop.abort();
          continue;
        }
        for await (const _ of content);
      }
      return got;
    };
    const [a, b] = await Promise.all([idsOf(folder("A", 3), stop?.signal ?? signal), idsOf(folder("B", 1), signal)]);
    return { a, b };
  }

  const rowOf = (uid: number): string => `* 1 FETCH (UID ${uid} ${META} BODY[] "a${uid}")\r\n`;

  it("what the server counts in one does not close the other", async () => {
    const listed: string[] = [];
    const first = `${rowOf(1)}* 1 FETCH (UID 20 ${META} BODY[] NIL)\r\n${rowOf(30)}`;
    await using server = await both({ first, second: rowOf(1) }, async (talk) => {
      // What is left of the first folder is looked for by itself.
      for (let heard = await command(talk); heard !== undefined; heard = await command(talk)) {
        listed.push(heard.text);
        if (heard.text.startsWith("EXAMINE")) talk.send("* 3 EXISTS\r\n* OK [UIDVALIDITY 5] x\r\n");
        if (heard.text.includes("1:*")) for (const uid of [1, 20, 30]) talk.send(`* 1 FETCH (UID ${uid} ${META})\r\n`);
        else if (heard.text.startsWith("UID FETCH")) talk.send(rowOf(20));
        talk.send(`${heard.tag} OK\r\n`);
      }
    });
    const { a, b } = await ids(server);
    expect(b).toEqual(["1"]);
    expect(a.sort()).toEqual(["1", "20", "30"]);
    expect(listed[0]).toBe('EXAMINE "A"');
  });

  it.each([
    ["in the same batch", 0],
    ["later", 300],
  ])("a large body that nobody reads any more (%s) does not hold up the other", async (_, ms) => {
    const size = 4 * GATHER_LIMIT;
    const large = `* 1 FETCH (UID 20 ${META} BODY[] {${size}}\r\n${"x".repeat(size)})\r\n`;
    const rows = ms === 0 ? { first: rowOf(1) + large } : { first: rowOf(1) + rowOf(30), late: large };
    await using server = await both({ ...rows, second: rowOf(1) }, undefined, () => delay(ms));
    const { b } = await ids(server, new AbortController());
    expect(b).toEqual(["1"]);
  });
});
