// Messages by UID: several batches on their way, every UID accounted, whatever the server leaves out, repeats or reorders.

import { expect, it } from "vitest";
import { type Fetched, fetchBodies } from "../../../src/protocol/imap/bodies.ts";
import type { Connection } from "../../../src/protocol/imap/connection.ts";
import { listMessages } from "../../../src/protocol/imap/listing.ts";
import { beginSelect } from "../../../src/protocol/imap/mailbox.ts";
import { GATHER_LIMIT } from "../../../src/protocol/imap/scanner.ts";
import { expandSet } from "../../../src/protocol/imap/syntax.ts";
import type { Conversation } from "../../kit/scripted.ts";
import { command, play } from "./wire.ts";

const META = 'FLAGS (\\Seen) INTERNALDATE "01-Jan-2020 00:00:00 +0000" RFC822.SIZE 3';

/** Answers FETCHes; `row` gives what is sent for one UID. */
async function serve(talk: Conversation, row: (uid: number, text: string) => string | Buffer): Promise<void> {
  for (let heard = await command(talk); heard !== undefined; heard = await command(talk)) {
    const set = /^UID FETCH (\S+)/.exec(heard.text)?.[1] ?? "";
    for (const uid of expandSet(set, 10_000) ?? []) talk.send(row(uid, heard.text));
    talk.send(`${heard.tag} OK done\r\n`);
  }
}

const isMeta = (text: string): boolean => !text.includes("BODY");

async function* singly(batches: AsyncIterable<readonly Fetched[]>): AsyncGenerator<Fetched> {
  for await (const batch of batches) yield* batch;
}

async function collect(
  connection: Connection,
  uids: readonly number[],
): Promise<{ got: Map<number, string>; broken: number[] }> {
  const got = new Map<number, string>();
  const broken: number[] = [];
  const wanted = { uids: Uint32Array.from(uids), sizes: Uint32Array.from(uids.map(() => 3)) };
  for await (const fetched of singly(fetchBodies(connection, wanted, (uids) => broken.push(...uids)))) {
    expect(got.has(fetched.uid)).toBe(false);
    if ("error" in fetched) got.set(fetched.uid, `${fetched.error.code} ${fetched.error.details.scope}`);
    else {
      let size = 0;
      let head = "";
      for await (const chunk of fetched.content) {
        size += chunk.length;
        if (head === "") head = Buffer.from(chunk).toString("latin1").slice(0, 3);
      }
      got.set(fetched.uid, size === 3 ? head : `${head}…${size}`);
    }
  }
  return { got, broken };
}

it("eight batches are asked for before the first is answered, and one more with each answer", async () => {
  await using played = await play(async (talk) => {
    const heard: (Awaited<ReturnType<typeof command>> & {})[] = [];
    const hear = async (first: number): Promise<void> => {
      const next = await command(talk);
      if (next === undefined) throw new Error(`nobody asks for ${first}`);
      expect(next.text).toContain(`UID FETCH ${first}:${first + 124} `);
      heard.push(next);
    };
    const answer = (n: number): void => {
      for (let uid = 125 * n + 1; uid <= 125 * (n + 1); uid++)
        talk.send(`* ${uid} FETCH (UID ${uid} ${META} BODY[] {3}\r\nabc)\r\n`);
      talk.send(`${heard[n]?.tag} OK\r\n`);
    };
    for (let n = 0; n < 8; n++) await hear(125 * n + 1);
    for (let n = 8; n < 10; n++) {
      answer(n - 8);
      await hear(125 * n + 1);
    }
    for (let n = 2; n < 10; n++) answer(n);
    await serve(talk, (uid) => `* ${uid} FETCH (UID ${uid} ${META} BODY[] "abc")\r\n`);
  });
  const uids = Array.from({ length: 1250 }, (_, n) => n + 1);
  const { got } = await collect(played.connection, uids);
  expect(played.server.failures).toEqual([]);
  expect([...got.keys()].sort((a, b) => a - b)).toEqual(uids);
  expect(new Set(got.values())).toEqual(new Set(["abc"]));
});

it("attributes in any order, unasked rows, rows twice, NIL and gone messages: each UID ends once", async () => {
  const asked = new Map<number, number>();
  await using played = await play(async (talk) => {
    await serve(talk, (uid, text) => {
      asked.set(uid, (asked.get(uid) ?? 0) + 1);
      const again = (asked.get(uid) ?? 0) > 1;
      if (uid === 1) return `* 1 FETCH (BODY[] {3}\r\none ${META} UID 1)\r\n`;
      if (uid === 2)
        return `* 2 FETCH (FLAGS (\\Deleted))\r\n* 77 FETCH (UID 77 BODY[] "x")\r\n* 2 FETCH (UID 2 BODY[] "two" ${META})\r\n`;
      if (uid === 3) return `* 3 FETCH (UID 3 BODY[] "333" ${META})\r\n* 3 FETCH (UID 3 BODY[] "444" ${META})\r\n`;
      if (uid === 4) return `* 4 FETCH (UID 4 ${META}${isMeta(text) ? "" : " BODY[] NIL"})\r\n`;
      if (uid === 5) return "* OK nothing here\r\n";
      if (uid === 6 && !again) return "";
      return `* 6 FETCH (UID ${uid} ${META}${isMeta(text) ? "" : ' BODY[] "six"'})\r\n`;
    });
  });
  const { got } = await collect(played.connection, [1, 2, 3, 4, 5, 6]);
  expect(Object.fromEntries(got)).toEqual({
    1: "one",
    2: "two",
    3: "333",
    4: "malformed message",
    5: "not-found message",
    6: "six",
  });
});

it.each([`UID 8 ${META} BODY[]`, "BODY[]", `UID 8 BODY[]`])(
  "a large body comes as a stream, behind %j too",
  async (before) => {
    const size = GATHER_LIMIT * 3;
    await using played = await play(async (talk) => {
      await serve(talk, (uid, text) => {
        if (isMeta(text)) return `* 8 FETCH (UID ${uid} ${META})\r\n`;
        if (uid !== 8) return `* ${uid} FETCH (UID ${uid} ${META} BODY[] "abc")\r\n`;
        const rest = before === "BODY[]" ? " UID 8" : "";
        return Buffer.concat([
          Buffer.from(`* 8 FETCH (${before} {${size}}\r\n`),
          Buffer.alloc(size, 65),
          Buffer.from(`${rest})\r\n`),
        ]);
      });
    });
    const { got } = await collect(played.connection, [7, 8, 9]);
    expect(Object.fromEntries(got)).toEqual({ 7: "abc", 8: `AAA…${size}`, 9: "abc" });
  },
);

it("large bodies that nobody reads are skipped", async () => {
  const size = GATHER_LIMIT * 4;
  await using played = await play(async (talk) => {
    await serve(talk, (uid) =>
      Buffer.concat([
        Buffer.from(`* 8 FETCH (UID ${uid} ${META} BODY[] {${size}}\r\n`),
        Buffer.alloc(size),
        Buffer.from(")\r\n"),
      ]),
    );
  });
  const seen: number[] = [];
  const wanted = { uids: Uint32Array.of(1, 2, 3), sizes: Uint32Array.of(size, size, size) };
  for await (const { uid } of singly(fetchBodies(played.connection, wanted, () => undefined))) seen.push(uid);
  expect(seen).toEqual([1, 2, 3]);
});

it("a connection that ends inside a large body is a connection error, and says at which message", async () => {
  const size = GATHER_LIMIT * 2;
  await using played = await play(async (talk) => {
    const heard = await command(talk);
    expect(heard?.text).toContain("UID FETCH 1:3");
    talk.send(`* 1 FETCH (UID 1 ${META} BODY[] "abc")\r\n* 2 FETCH (UID 2 ${META} BODY[] {${size}}\r\n`);
    talk.send(Buffer.alloc(size - 1));
    talk.end();
  });
  const broken: number[] = [];
  const read = async (): Promise<void> => {
    const wanted = { uids: Uint32Array.of(1, 2, 3), sizes: Uint32Array.of(3, 3, 3) };
    for await (const fetched of singly(fetchBodies(played.connection, wanted, (uids) => broken.push(...uids))))
      if ("content" in fetched) for await (const chunk of fetched.content) expect(chunk.length).toBeGreaterThan(0);
  };
  await expect(read()).rejects.toMatchObject({ code: "connection", details: { scope: "account", remedy: "retry" } });
  expect(broken).toEqual([2]);
});

it("a refusal is this message's own unless the server asks for patience", async () => {
  const answer = { words: "NO [UNAVAILABLE] not this one" };
  await using played = await play(async (talk) => {
    for (let heard = await command(talk); heard !== undefined; heard = await command(talk)) {
      if (isMeta(heard.text)) talk.send(`* 1 FETCH (UID 1 ${META})\r\n${heard.tag} OK\r\n`);
      else talk.send(`${heard.tag} ${answer.words}\r\n`);
    }
  });
  const { got } = await collect(played.connection, [1]);
  expect(got.get(1)).toBe("protocol message");
  answer.words = "BAD Request is throttled. Suggested Backoff Time: 299961 milliseconds";
  await expect(collect(played.connection, [1])).rejects.toMatchObject({
    details: { scope: "account", remedy: "wait", waitMs: 299961 },
  });
});

it("the listing gives each message once, with those that FETCH left out", async () => {
  await using played = await play(async (talk) => {
    const fetch = await command(talk);
    talk.send(`* 2 FETCH (UID 20 FLAGS (\\Flagged))\r\n* 1 FETCH (UID 10 ${META})\r\n* 2 FETCH (UID 20 ${META})\r\n`);
    talk.send(
      `* 1 FETCH (UID 10 FLAGS ())\r\n* 5 FETCH (FLAGS ())\r\n* 4 FETCH (UID 40 ${META})\r\n${fetch?.tag} OK\r\n`,
    );
    const search = await command(talk);
    expect(search?.text).toBe("UID SEARCH UID 1:*");
    talk.send(`* SEARCH 10 20 30 40\r\n${search?.tag} OK\r\n`);
    const single = await command(talk);
    expect(single?.text).toContain("UID FETCH 30 ");
    talk.send(`${single?.tag} OK\r\n`);
    await command(talk);
  });
  played.connection.selected = { name: "x", readOnly: true, uidValidity: "1", exists: 4, flags: [] };
  const uids: number[] = [];
  for await (const rows of listMessages(played.connection, "1:*")) {
    for (const { uid, flags } of rows) {
      uids.push(uid);
      if (uid === 20) expect(flags).toEqual(new Set(["seen"]));
    }
  }
  expect(uids).toEqual([10, 20, 40, 30]);
  expect(played.server.failures).toEqual([]);
});

/** A folder of two messages, and what the server makes of a listing that comes before it has answered the EXAMINE. */
async function listedBehind(
  exists: number,
  hasty: (talk: Conversation, examine: string, fetch: string) => Promise<void> | void,
): Promise<{ uids: number[]; failures: readonly unknown[] }> {
  await using played = await play(async (talk) => {
    const examine = await command(talk);
    // Both are there before anything is answered.
    const fetch = await command(talk);
    expect([examine?.text, fetch?.text.split(" (")[0]]).toEqual(['EXAMINE "x"', "UID FETCH 1:*"]);
    await hasty(talk, examine?.tag ?? "", fetch?.tag ?? "");
    await command(talk);
  });
  const opening = beginSelect(played.connection, "x", true);
  const uids: number[] = [];
  opening.selected.catch(() => undefined);
  for await (const rows of listMessages(played.connection, "1:*", opening)) uids.push(...rows.map(({ uid }) => uid));
  expect(played.connection.selected?.exists).toBe(exists);
  return { uids, failures: played.server.failures };
}

const OPENED = "* 2 EXISTS\r\n* OK [UIDVALIDITY 5] x\r\n";

it("a folder is listed in the round trip that opens it", async () => {
  const { uids, failures } = await listedBehind(2, (talk, examine, fetch) => {
    // Before the folder is open, a row is one of another folder.
    talk.send(`* 1 FETCH (UID 99 ${META})\r\n${OPENED}${examine} OK\r\n`);
    talk.send(`* 1 FETCH (UID 10 ${META})\r\n* 2 FETCH (UID 20 ${META})\r\n${fetch} OK\r\n`);
  });
  expect(uids).toEqual([10, 20]);
  expect(failures).toEqual([]);
});

it.each(["NO", "BAD"])("a server that refuses that (%s) is asked again when the folder is open", async (word) => {
  const { uids, failures } = await listedBehind(2, async (talk, examine, fetch) => {
    talk.send(`${OPENED}${examine} OK\r\n${fetch} ${word} wait for me\r\n`);
    const again = await command(talk);
    expect(again?.text).toContain("UID FETCH 1:*");
    talk.send(`* 1 FETCH (UID 10 ${META})\r\n* 2 FETCH (UID 20 ${META})\r\n${again?.tag} OK\r\n`);
  });
  expect(uids).toEqual([10, 20]);
  expect(failures).toEqual([]);
});

it("an empty folder of which there is nothing to list is no failure", async () => {
  const { uids, failures } = await listedBehind(0, (talk, examine, fetch) => {
    talk.send(`* 0 EXISTS\r\n* OK [UIDVALIDITY 5] x\r\n${examine} OK\r\n${fetch} BAD no such messages\r\n`);
  });
  expect(uids).toEqual([]);
  expect(failures).toEqual([]);
});

it("a folder that cannot be opened is refused as that, and not for its listing", async () => {
  const list = listedBehind(0, (talk, examine, fetch) => {
    talk.send(`${examine} NO [NONEXISTENT] no such folder\r\n${fetch} BAD no folder is open\r\n`);
  });
  await expect(list).rejects.toMatchObject({ code: "not-found", details: { scope: "folder" } });
});
