// A maildrop as a source: everything offered, everything accounted, nothing deleted but what QUIT confirmed.

import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import { isAbort, MailError } from "../../src/mail/errors.ts";
import type { Entry, Folder, Origin } from "../../src/mail/model.ts";
import { openPop3Source } from "../../src/sources/pop3.ts";
import type { Incoming, Source } from "../../src/sources/source.ts";
import { never, type Script, type ScriptedMessage, scriptedServer, USUAL } from "../protocol/pop3/scripted-server.ts";

const TIMING = { connectMs: 5_000, inactivityMs: 5_000 };
const FOLDER: Folder = { path: ["INBOX"], selectable: true };

function id(body: string, nth?: number): string {
  const key = createHash("sha256").update(body.replaceAll("\r\n", "\n")).digest("hex");
  return nth === undefined ? `sha256:${key}` : `sha256:${key}#${nth}`;
}

interface Seen {
  readonly offered: Entry[];
  readonly listedAfter: number | undefined;
  readonly got: Map<string, string | MailError>;
}

/** Takes the bytes where they are there, as the engine does. */
async function text({ content, bytes }: Incoming): Promise<string> {
  if (bytes !== undefined) return Buffer.from(bytes).toString("latin1");
  const chunks: Uint8Array[] = [];
  for await (const chunk of content) chunks.push(chunk);
  return Buffer.concat(chunks).toString("latin1");
}

async function readAll(source: Source, wants: (entry: Entry) => boolean = () => true): Promise<Seen> {
  const offered: Entry[] = [];
  let listedAfter: number | undefined;
  const got = new Map<string, string | MailError>();
  const want = (entry: Entry) => {
    offered.push(entry);
    return wants(entry);
  };
  const listed = () => {
    listedAfter = offered.length;
  };
  for await (const incoming of source.read({ folder: FOLDER }, { want, listed, signal: never }))
    got.set(
      incoming.entry.origin.id,
      await text(incoming).catch((error: unknown) => {
        if (error instanceof MailError && error.details.scope === "message") return error;
        throw error;
      }),
    );
  return { offered, listedAfter, got };
}

async function* origins(ids: readonly string[]): AsyncGenerator<Origin> {
  for (const each of ids) yield { folder: ["INBOX"], generation: "maildrop", id: each };
}

async function removeAll(source: Source, ids: readonly string[]): Promise<string[]> {
  const gone: string[] = [];
  for await (const origin of source.remove?.(origins(ids), never) ?? []) gone.push(origin.id);
  return gone;
}

const A = "Subject: a\r\n\r\n.dot\r\n";
const B = "Subject: b\r\n\r\nb\r\n";
const THREE: readonly ScriptedMessage[] = [
  { uidl: "ua", body: A },
  { uidl: "ub", body: B, size: 999 },
  { uidl: "uc", body: "c\r\n" },
];

describe("reading a maildrop", () => {
  it("shows one folder with its counts", async () => {
    await using server = await scriptedServer({ messages: THREE });
    await using source = await openPop3Source(server.options(), never, TIMING);
    const folders: Folder[] = [];
    for await (const folder of source.folders(never)) folders.push(folder);
    const bytes = THREE.reduce((sum, { body }) => sum + body.length, 0);
    expect(folders).toEqual([{ path: ["INBOX"], selectable: true, use: "inbox", messages: 3, bytes, name: "INBOX" }]);
    expect([source.kind, source.limits.sessions]).toEqual(["pop3", 1]);
    expect(source.identity).toBe(`pop3://anna@127.0.0.1:${server.port}`);
  });

  it("logs in once for opening, looking and the first read, and leaves with QUIT", async () => {
    await using server = await scriptedServer({ messages: THREE });
    await using source = await openPop3Source(server.options(), never, TIMING);
    for await (const _folder of source.folders(never));
    await readAll(source);
    expect(server.sessions).toBe(1);
    expect(server.commands.at(-1)).toBe("QUIT");
    expect(server.commands.some((line) => line.startsWith("DELE"))).toBe(false);
  });

  it("offers every message, then says so, and gives the wanted ones, any number of times", async () => {
    await using server = await scriptedServer({ messages: THREE });
    await using source = await openPop3Source(server.options(), never, TIMING);
    for (let round = 0; round < 2; round++) {
      const { offered, listedAfter, got } = await readAll(source, (entry) => entry.origin.id !== "ub");
      expect(offered.map(({ origin, size }) => [origin.id, size])).toEqual([
        ["ua", A.length],
        ["ub", 999],
        ["uc", 3],
      ]);
      expect(offered[0]?.origin).toEqual({ folder: ["INBOX"], generation: "maildrop", id: "ua" });
      expect(listedAfter).toBe(3);
      expect([...got]).toEqual([
        ["ua", A],
        ["uc", "c\r\n"],
      ]);
    }
    expect(server.commands.filter((line) => line === "RETR 2")).toEqual([]);
  });

  it("says that all is listed for an empty maildrop too", async () => {
    await using server = await scriptedServer();
    await using source = await openPop3Source(server.options(), never, TIMING);
    expect(await readAll(source)).toEqual({ offered: [], listedAfter: 0, got: new Map() });
  });

  it("takes UIDLs that changed between two runs for what they are: other ids", async () => {
    await using server = await scriptedServer({ messages: THREE });
    await using source = await openPop3Source(server.options(), never, TIMING);
    await readAll(source);
    server.messages = THREE.map((message, i) => ({ ...message, uidl: `new${i}` }));
    const { got } = await readAll(source);
    expect([...got]).toEqual([
      ["new0", A],
      ["new1", B],
      ["new2", "c\r\n"],
    ]);
  });

  it("keeps 8-bit UIDLs apart", async () => {
    const on: Script["on"] = (line) =>
      line === "UIDL" ? { send: Buffer.from("+OK\r\n1 \xe4\r\n2 \xf6\r\n3 x y\r\n.\r\n", "latin1") } : undefined;
    await using server = await scriptedServer({ messages: THREE, on });
    await using source = await openPop3Source(server.options(), never, TIMING);
    expect([...(await readAll(source)).got.keys()]).toEqual(["\xe4", "\xf6", "x y"]);
  });
});

describe("messages without an id of their own", () => {
  const bodies = [A, B, A, A];

  it("are called by their content where the server has no UIDL, twins by their order", async () => {
    for (const send of ["-ERR unknown command\r\n", "+OK\r\n.\r\n"]) {
      const capabilities = USUAL.filter((name) => name !== "UIDL");
      const on: Script["on"] = (line) => (line === "UIDL" ? { send } : undefined);
      await using server = await scriptedServer({ messages: bodies.map((body) => ({ body })), capabilities, on });
      await using source = await openPop3Source(server.options(), never, TIMING);
      const { offered, listedAfter, got } = await readAll(source);
      expect(offered.length).toBe(4);
      expect(listedAfter).toBe(4);
      expect([...got]).toEqual([
        [id(A), A],
        [id(B), B],
        [id(A, 2), A],
        [id(A, 3), A],
      ]);
    }
  });

  it("are called by their content where a UIDL is seen twice, is missing, or imitates ours", async () => {
    const messages = [
      { uidl: "twice", body: A },
      { uidl: "once", body: B },
      { uidl: "twice", body: A },
      { body: "c\r\n" },
      { uidl: id("x"), body: "d\r\n" },
      { uidl: "\x07", body: "e\r\n" },
    ];
    await using server = await scriptedServer({ messages });
    await using source = await openPop3Source(server.options(), never, TIMING);
    const { got } = await readAll(source);
    expect([...got.keys()]).toEqual([id(A), "once", id(A, 2), id("c\r\n"), id("d\r\n"), id("e\r\n")]);
  });

  it("are not read again when they are not wanted", async () => {
    await using server = await scriptedServer({ messages: [{ body: A }] });
    await using source = await openPop3Source(server.options(), never, TIMING);
    await readAll(source, () => false);
    expect(server.commands.filter((line) => line === "RETR 1").length).toBe(1);
  });

  it("are offered and fail when they cannot be read", async () => {
    const on: Script["on"] = (line) => (line === "RETR 1" ? { send: "-ERR broken\r\n" } : undefined);
    await using server = await scriptedServer({ messages: [{ body: A }, { body: B }], on });
    await using source = await openPop3Source(server.options(), never, TIMING);
    const { got } = await readAll(source);
    expect([...got.values()][0]).toBeInstanceOf(MailError);
    expect(got.get(id(B))).toBe(B);
    expect(await removeAll(source, [...got.keys()])).toEqual([id(B)]);
  });

  it("fail when they have other bytes on the second reading", async () => {
    let times = 0;
    const on: Script["on"] = (line) => (line === "RETR 1" ? { send: `+OK\r\n${++times}\r\n.\r\n` } : undefined);
    await using server = await scriptedServer({ messages: [{ body: A }], on });
    await using source = await openPop3Source(server.options(), never, TIMING);
    const [error] = [...(await readAll(source)).got.values()];
    expect(error).toBeInstanceOf(MailError);
  });

  it("do not come of a UIDL that fails for the moment: their ids would change", async () => {
    for (const send of ["-ERR [SYS/TEMP] later\r\n", "-ERR oops\r\n"]) {
      const on: Script["on"] = (line) => (line === "UIDL" ? { send } : undefined);
      await using server = await scriptedServer({ messages: THREE, on });
      await using source = await openPop3Source(server.options(), never, TIMING);
      await expect(readAll(source)).rejects.toBeInstanceOf(MailError);
    }
  });
});

describe("what goes wrong while reading", () => {
  it("a message that the server refuses fails alone", async () => {
    const on: Script["on"] = (line) => (line === "RETR 2" ? { send: "-ERR cannot open\r\n" } : undefined);
    await using server = await scriptedServer({ messages: THREE, on });
    await using source = await openPop3Source(server.options(), never, TIMING);
    const { got } = await readAll(source);
    expect(got.get("ua")).toBe(A);
    expect(got.get("ub")).toBeInstanceOf(MailError);
    expect(got.get("uc")).toBe("c\r\n");
  });

  it("a lost connection fails the reading, and the next one has all", async () => {
    const on: Script["on"] = (line, session) =>
      line === "RETR 2" && session === 1 ? { send: "+OK\r\nSubj", ending: "reset" } : undefined;
    await using server = await scriptedServer({ messages: THREE, on });
    await using source = await openPop3Source(server.options(), never, TIMING);
    await expect(readAll(source)).rejects.toMatchObject({ code: "connection", details: { remedy: "retry" } });
    expect((await readAll(source)).got.size).toBe(3);
  });

  it.each(["fin", "goodbye"])("an idle session that the server ended (%s) is replaced", async (how) => {
    const send = how === "fin" ? {} : { send: "-ERR idle too long\r\n" };
    const on: Script["on"] = (line, session) =>
      line === "STAT" && session === 1 ? { ...send, ending: "fin" } : undefined;
    // The greeting of the goodbye comes with the login's answer, before anything else is asked.
    const late: Script["on"] = (line, session) =>
      line.startsWith("AUTH") && session === 1 ? { send: "+OK\r\n-ERR idle too long\r\n", ending: "fin" } : undefined;
    await using server = await scriptedServer({ messages: THREE, on: how === "fin" ? on : late });
    await using source = await openPop3Source(server.options(), never, TIMING);
    expect((await readAll(source)).got.size).toBe(3);
    expect(server.sessions).toBe(2);
  });

  it("a maildrop in use is a clear error at opening", async () => {
    const on: Script["on"] = (line) => (line.startsWith("AUTH") ? { send: "-ERR [IN-USE] locked\r\n" } : undefined);
    await using server = await scriptedServer({ messages: THREE, on });
    await expect(openPop3Source(server.options(), never, TIMING)).rejects.toMatchObject({
      code: "locked",
      details: { remedy: "wait" },
    });
  });

  it("an abort ends the reading quietly, after the message in hand", async () => {
    const big = `${"z".repeat(3_000_000)}\r\n`;
    await using server = await scriptedServer({ messages: [{ uidl: "big", body: big }, ...THREE] });
    await using source = await openPop3Source(server.options(), never, TIMING);
    const abort = new AbortController();
    const sizes: number[] = [];
    for await (const incoming of source.read({ folder: FOLDER }, { want: () => true, signal: abort.signal })) {
      abort.abort();
      sizes.push((await text(incoming)).length);
    }
    expect(sizes).toEqual([big.length]);
  });

  it("an abort while the server is silent ends the reading quietly", async () => {
    const abort = new AbortController();
    const on: Script["on"] = (line) => {
      if (line !== "UIDL") return undefined;
      abort.abort();
      return {};
    };
    await using server = await scriptedServer({ messages: THREE, on });
    await using source = await openPop3Source(server.options(), never, TIMING);
    const got: Incoming[] = [];
    for await (const incoming of source.read({ folder: FOLDER }, { want: () => true, signal: abort.signal }))
      got.push(incoming);
    expect(got).toEqual([]);
  });

  it("a source that is left in the middle lets the maildrop go", async () => {
    await using server = await scriptedServer({ messages: THREE });
    await using source = await openPop3Source(server.options(), never, TIMING);
    for await (const _incoming of source.read({ folder: FOLDER }, { want: () => true, signal: never })) break;
    expect((await readAll(source)).got.size).toBe(3);
  });
});

describe("deleting", () => {
  it("takes exactly the origins asked for, in a session of its own, and tells them after QUIT", async () => {
    await using server = await scriptedServer({ messages: THREE });
    await using source = await openPop3Source(server.options(), never, TIMING);
    await readAll(source);
    // New mail has come meanwhile, before the old: numbers mean nothing from one session to the next.
    server.messages = [{ uidl: "new", body: "new\r\n" }, ...THREE];
    expect(await removeAll(source, ["uc", "gone-since", "ua"])).toEqual(["ua", "uc"]);
    expect(server.messages.map(({ uidl }) => uidl)).toEqual(["new", "ub"]);
    expect(server.sessions).toBe(2);
  });

  it("asks the server nothing when there is nothing to delete", async () => {
    await using server = await scriptedServer({ messages: THREE });
    await using source = await openPop3Source(server.options(), never, TIMING);
    const before = server.commands.length;
    expect(await removeAll(source, [])).toEqual([]);
    const foreign = async function* (): AsyncGenerator<Origin> {
      yield { folder: ["Sent"], generation: "maildrop", id: "ua" };
      yield { folder: ["INBOX"], generation: "other", id: "ua" };
      yield { folder: ["INBOX"], generation: "maildrop", id: "\u0175\u0161" };
    };
    for await (const _origin of source.remove?.(foreign(), never) ?? []) throw new Error("deleted");
    expect(server.commands.length).toBe(before);
  });

  it("of messages called by their content compares the content first", async () => {
    const bodies = [A, B, A, A];
    await using server = await scriptedServer({ messages: bodies.map((body) => ({ body })) });
    await using source = await openPop3Source(server.options(), never, TIMING);
    expect(await removeAll(source, [id(B), id(A, 2), id("not here")])).toEqual([id(B), id(A, 2)]);
    expect(server.messages.map(({ body }) => body)).toEqual([A, A]);
  });

  it("never takes a UIDL that two messages have", async () => {
    await using server = await scriptedServer({ messages: THREE.map(({ body }) => ({ uidl: "same", body })) });
    await using source = await openPop3Source(server.options(), never, TIMING);
    expect(await removeAll(source, ["same"])).toEqual([]);
    expect(server.messages.length).toBe(3);
  });

  it.each([
    ["silence", { ending: "silence" }],
    ["a cut", { ending: "reset" }],
    ["a refusal", { send: "-ERR some deleted messages not removed\r\n" }],
  ] as const)("yields nothing and says unknown when QUIT is met by %s", async (_name, act) => {
    const on: Script["on"] = (line, session) => (line === "QUIT" && session === 2 ? act : undefined);
    await using server = await scriptedServer({ messages: THREE, on });
    await using source = await openPop3Source(server.options(), never, { ...TIMING, inactivityMs: 100 });
    await readAll(source);
    await expect(removeAll(source, ["ua"])).rejects.toMatchObject({ details: { outcome: "unknown" } });
  });

  it("has no effect when the connection ends before QUIT", async () => {
    const on: Script["on"] = (line) => (line === "DELE 2" ? { ending: "fin" } : undefined);
    await using server = await scriptedServer({ messages: THREE, on });
    await using source = await openPop3Source(server.options(), never, TIMING);
    await expect(removeAll(source, ["ua", "ub"])).rejects.toMatchObject({ details: { outcome: "none" } });
    expect(server.messages.length).toBe(3);
  });

  it("has no effect when it is aborted before QUIT", async () => {
    const abort = new AbortController();
    const on: Script["on"] = (line) => {
      if (!line.startsWith("DELE")) return undefined;
      abort.abort();
      return {};
    };
    await using server = await scriptedServer({ messages: THREE, on });
    await using source = await openPop3Source(server.options(), never, TIMING);
    const run = async () => {
      for await (const _origin of source.remove?.(origins(["ua"]), abort.signal) ?? []);
    };
    expect(isAbort(await run().catch((error: unknown) => error))).toBe(true);
    expect(server.messages.length).toBe(3);
    // The one QUIT is that of the session which had nothing to do.
    expect(server.commands.indexOf("QUIT")).toBeLessThan(server.commands.indexOf("DELE 1"));
    expect(server.commands.lastIndexOf("QUIT")).toBe(server.commands.indexOf("QUIT"));
  });
});

describe("messages told by their headers alone", () => {
  const messages = [
    { uidl: "a", body: "Subject: x\r\n.Message-ID: no\r\nMessage-ID: <a@example.org>\r\n\r\nbody\r\n" },
    { uidl: "b", body: "Subject: y\r\n\r\nMessage-ID: <in.the.body@example.org>\r\n" },
    { uidl: "c", body: "Message-ID: <c@example.org>\r\n\r\nbody\r\n" },
  ];
  const headOf = (n: number): string => (messages[n - 1]?.body.split("\r\n\r\n")[0] ?? "").replace(/^\./gm, "..");

  it.each([["PIPELINING"], ["RESP-CODES"]])("by TOP, and no body is asked for (with %s)", async (...more) => {
    const asked: string[] = [];
    await using server = await scriptedServer({
      messages,
      capabilities: ["UIDL", "USER", "TOP", ...more],
      on(line) {
        asked.push(line);
        const number = /^TOP (\d+) 0$/.exec(line)?.[1];
        if (number === "3") return { send: "-ERR gone\r\n" };
        return number === undefined ? undefined : { send: `+OK\r\n${headOf(Number(number))}\r\n\r\n.\r\n` };
      },
    });
    await using source = await openPop3Source(server.options(), never);
    const found: unknown[] = [];
    for await (const { entry, messageId } of source.identify?.({ path: ["INBOX"], selectable: true }, never) ?? [])
      found.push([entry.origin.id, messageId]);
    expect(found).toEqual([
      ["a", "<a@example.org>"],
      ["b", undefined],
      ["c", undefined],
    ]);
    expect(asked.filter((line) => line.startsWith("RETR"))).toEqual([]);
  });

  it("not where the server offers no TOP", async () => {
    await using server = await scriptedServer({ messages, capabilities: ["UIDL", "USER"] });
    await using source = await openPop3Source(server.options(), never);
    expect(source.identify).toBeUndefined();
  });
});
