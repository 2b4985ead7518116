// Every length that a peer chooses has a bound: crossing it is a clear error, said before the octets are held.

import { once } from "node:events";
import { PassThrough, Writable } from "node:stream";
import { beforeAll, describe, expect, it } from "vitest";
import { MailError } from "../../src/mail/errors.ts";
import { MAX_FOLDERS } from "../../src/mail/model.ts";
import { Connection } from "../../src/protocol/imap/connection.ts";
import { fetchAll } from "../../src/protocol/imap/fetch.ts";
import { Gathering } from "../../src/protocol/imap/gathering.ts";
import {
  listMessages,
  MAX_INCOMPLETE,
  MAX_MESSAGES,
  MAX_UNORDERED,
  UidTrail,
} from "../../src/protocol/imap/listing.ts";
import { listMailboxes, MAX_FOLDER_NAME, MAX_FOLDER_NAMES, selectMailbox } from "../../src/protocol/imap/mailbox.ts";
import { MAX_LISTS, MAX_TEXT, MAX_VALUES } from "../../src/protocol/imap/parse.ts";
import { MAX_LINE, MAX_RESPONSE } from "../../src/protocol/imap/scanner.ts";
import { connectImap, LOGIN_LINE_LIMIT } from "../../src/protocol/imap/session.ts";
import { MAX_FLAGS } from "../../src/protocol/imap/syntax.ts";
import {
  CAPABILITY_LIMIT,
  LISTING_LINE_LIMIT,
  MESSAGE_LIMIT,
  REPLY_LINE_LIMIT,
} from "../../src/protocol/pop3/limits.ts";
import { openPop3SessionAs } from "../../src/protocol/pop3/session.ts";
import { WORDS_LIMIT } from "../../src/protocol/words.ts";
import { count } from "../kit/counts.ts";
import { startScripted } from "../kit/scripted.ts";
import { command, options } from "./imap/wire.ts";
import { scriptedServer } from "./pop3/scripted-server.ts";

/** What a peer may make us hold before the error: the bound itself, twice, and what Node has for itself. */
const ROOM = 260 * 1024 * 1024;

function* repeated(text: string, times: number): Generator<string> {
  const many = 10_000;
  const chunk = text.repeat(many);
  for (; times >= many; times -= many) yield chunk;
  yield text.repeat(times);
}

/** A connection whose server answers the command that begins with `verb` with these texts, and all others with OK. */
function answering(verb: string, texts: () => Iterable<string>): { connection: Connection; sent(): number } {
  const incoming = new PassThrough();
  let sent = 0;
  const outgoing = new Writable({
    async write(chunk: Buffer, _, done) {
      done();
      for (const line of chunk.toString("latin1").split("\r\n").filter(Boolean)) {
        const [tag = ""] = line.split(" ", 1);
        if (line.slice(tag.length + 1).startsWith(verb))
          for (const text of texts()) {
            if (incoming.destroyed) return;
            sent += text.length;
            if (!incoming.write(Buffer.from(text, "latin1")))
              await Promise.race([once(incoming, "drain"), once(incoming, "close")]);
          }
        if (!incoming.destroyed) incoming.write(`${tag} OK done\r\n`);
      }
    },
  });
  const server = { host: "127.0.0.1", port: 1, security: "none", user: "u", password: async () => "p" } as const;
  const wire = { readSocket: incoming, writeSocket: outgoing, socket: incoming };
  return { connection: new Connection(wire, { server, name: "t", capabilities: new Set() }), sent: () => sent };
}

const list = async (connection: Connection): Promise<void> => void (await listMailboxes(connection, "generation"));
const fetch = async (connection: Connection): Promise<void> => void (await fetchAll(connection, "UID FETCH 1 (FLAGS)"));
const listing = async (connection: Connection): Promise<void> => {
  connection.selected = { name: "x", readOnly: true, uidValidity: "1", exists: 5, flags: [] };
  for await (const _ of listMessages(connection, "1:5"));
};

interface Case {
  readonly work: (connection: Connection) => Promise<void>;
  readonly verb: string;
  readonly texts: () => Iterable<string>;
  readonly words: RegExp;
  /** Octets that are sent at the most before the error. */
  readonly most: number;
}

function* rowsBackwards(): Generator<string> {
  for (let uid = MAX_UNORDERED + 10; uid > 0; ) {
    let text = "";
    for (let n = 0; n < 5_000 && uid > 0; n++) text += `* 1 FETCH (UID ${uid--} FLAGS () RFC822.SIZE 1)\r\n`;
    yield text;
  }
}

function* folders(many: number, name: (n: number) => string): Generator<string> {
  for (let n = 0; n < many; n++) yield `* LIST () "/" "${name(n)}"\r\n`;
}

const IMAP: Readonly<Record<string, Case>> = {
  "a line without end": {
    work: fetch,
    verb: "UID",
    texts: () => repeated("* 1 FETCH x", 4_000_000),
    words: /a line of the server is longer/,
    most: MAX_LINE + 2e6,
  },
  "a literal that is to be gathered": {
    work: fetch,
    verb: "UID",
    texts: () => [`* 1 FETCH (BODY[HEADER] {${MAX_RESPONSE + 1}}\r\n`],
    words: /larger than/,
    most: 100,
  },
  "many literals in one response": {
    work: fetch,
    verb: "UID",
    texts: () => ["* 1 FETCH (", ...repeated("A {0}\r\n", 200_000)],
    words: /literals/,
    most: 400_000,
  },
  "many lists in one response": {
    work: fetch,
    verb: "UID",
    texts: () => ["* 1 FETCH (", ...repeated("()", MAX_LISTS + 1), ")\r\n"],
    words: /lists/,
    most: 1e6,
  },
  "many values in one response": {
    work: fetch,
    verb: "UID",
    texts: () => ["* SEARCH", ...repeated(" 1", MAX_VALUES + 2), "\r\n"],
    words: /values/,
    most: 1e7,
  },
  "many flags of one message": {
    work: fetch,
    verb: "UID",
    texts: () => ["* 1 FETCH (UID 1 FLAGS (", ...repeated("a ", MAX_FLAGS + 1), "))\r\n"],
    words: /flags/,
    most: 1e6,
  },
  "many folders": {
    work: list,
    verb: "LIST",
    texts: () => folders(2 * MAX_FOLDERS, (n) => `f${n}`),
    words: /more than 100000 folders/,
    most: 2.5 * MAX_FOLDERS * 24,
  },
  "a folder with a long name": {
    work: list,
    verb: "LIST",
    texts: () => folders(1, () => "x".repeat(MAX_FOLDER_NAME + 1)),
    words: /longer than 8192/,
    most: 1e4,
  },
  "folders whose names are long together": {
    work: list,
    verb: "LIST",
    texts: () => folders(4_000, (n) => `${n}${"x".repeat(8_000)}`),
    words: /names of more than/,
    most: 2 * MAX_FOLDER_NAMES,
  },
  "states of folders that nobody asked for": {
    work: list,
    verb: "LIST",
    texts: function* () {
      for (let n = 0; n <= MAX_FOLDERS; n++) yield `* STATUS "s${n}" (MESSAGES 1)\r\n`;
    },
    words: /more than 100000 folders/,
    most: 1e7,
  },
  "messages out of their order": {
    work: listing,
    verb: "UID",
    texts: rowsBackwards,
    words: /out of their order/,
    most: 1e8,
  },
};

describe("an IMAP server that sends", () => {
  it.each(Object.entries(IMAP))("%s is refused", async (_, { work, verb, texts, words, most }) => {
    count("scripted cases");
    const before = process.memoryUsage().rss;
    const { connection, sent } = answering(verb, texts);
    const error: unknown = await work(connection).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(MailError);
    expect(String(error)).toMatch(words);
    expect(sent()).toBeLessThan(most);
    expect(process.memoryUsage().rss - before).toBeLessThan(ROOM);
  });

  it("a long excuse has it cut, in linear time", async () => {
    const { connection } = answering("SELECT", () => ["m1 NO ", ...repeated("exceeds ", 2_000_000), "\r\n"]);
    const started = process.cpuUsage();
    const error: unknown = await selectMailbox(connection, "x", true).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: "protocol", details: { scope: "folder" } });
    expect(String(error).length).toBeLessThan(WORDS_LIMIT + 100);
    expect(MAX_TEXT).toBeGreaterThan(WORDS_LIMIT);
    expect(process.cpuUsage(started).user / 1e6).toBeLessThan(5);
  });

  it("single octets costs no more than they do", () => {
    const gathered = new Gathering();
    const before = process.memoryUsage();
    for (let n = 0; n < 3_000_000; n++) gathered.push(Buffer.from([n & 255]));
    const after = process.memoryUsage();
    // Each as a Buffer of its own would be some hundred octets.
    expect(after.heapUsed + after.external - before.heapUsed - before.external).toBeLessThan(100e6);
    const whole = gathered.take();
    expect([whole.length, whole[70_000], gathered.length]).toEqual([3_000_000, 70_000 & 255, 0]);
  });
});

it("IMAP: as many messages as no folder has are refused", () => {
  const trail = new UidTrail();
  for (let uid = 1; uid <= MAX_MESSAGES; uid++) trail.add(uid);
  expect(() => trail.add(MAX_MESSAGES + 1)).toThrow(/more than 16000000 messages/);
});

it("IMAP: of the rows without a size only so many are held back", async () => {
  const last = MAX_INCOMPLETE + 5;
  const rows = function* (): Generator<string> {
    for (let uid = 1; uid <= last; uid++) yield `* ${uid} FETCH (UID ${uid} FLAGS ())\r\n`;
  };
  const { connection } = answering("UID", rows);
  connection.selected = { name: "x", readOnly: true, uidValidity: "1", exists: last, flags: [] };
  const uids: number[] = [];
  for await (const batch of listMessages(connection, "1:*")) uids.push(...batch.map(({ uid }) => uid));
  expect(new Set(uids).size).toBe(last);
  // What finds no place goes on at once; the others wait for their sizes up to the end.
  expect(uids.slice(0, 6)).toEqual([1, 2, 3, 4, 5].map((n) => MAX_INCOMPLETE + n).concat(1));
});

/** What is sent without end, or promised to be. Behind 32 MB the server gives up, so that a client that takes all fails as well. */
const FLOODS: Readonly<Record<string, (send: (text: string) => void, isHeard: () => boolean) => Promise<void>>> = {
  "a line without end": async (send, isHeard) => {
    for (let n = 0; n < 512 && isHeard(); n++) {
      send("x".repeat(65_536));
      await new Promise(setImmediate);
    }
  },
  "a huge literal": async (send) => send(`{${LOGIN_LINE_LIMIT + 1}}\r\n`),
  "many literals": async (send) => send(`{60000}\r\n${"x".repeat(60_000)}`.repeat(3)),
};

describe("an IMAP server that sends before the login", () => {
  // The server of this test does not wait for room: while imapflow is loaded for the first time it would fill its own memory.
  beforeAll(() => import("imapflow"));

  const STAGES = ["greeting", "CAPABILITY", "AUTHENTICATE"];
  it.each(STAGES.flatMap((stage) => Object.keys(FLOODS).map((what) => [what, stage] as const)))(
    "%s as its %s is refused",
    async (what, stage) => {
      count("scripted cases");
      let sent = 0;
      await using server = await startScripted(async (talk) => {
        const flood = async (head: string): Promise<void> => {
          let isHeard = true;
          const gone = talk.line().then(() => {
            isHeard = false;
          });
          const send = (text: string): void => {
            sent += text.length;
            talk.send(text);
          };
          send(head);
          await FLOODS[what]?.(send, () => isHeard);
          if (what.startsWith("a line")) talk.end();
          await gone;
        };
        if (stage === "greeting") return flood("* OK ");
        talk.send("* OK hello\r\n");
        for (let heard = await command(talk); heard !== undefined; heard = await command(talk)) {
          const { tag, text } = heard;
          if (text.startsWith(stage)) return flood(stage === "CAPABILITY" ? "* CAPABILITY " : `${tag} NO `);
          if (text === "CAPABILITY") talk.send("* CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR\r\n");
          talk.send(`${tag} OK done\r\n`);
        }
      });
      const before = process.memoryUsage().rss;
      const { signal } = new AbortController();
      const error: unknown = await connectImap(options(server.port), { name: "t", loginMs: 5_000 }, signal).catch(
        (thrown: unknown) => thrown,
      );
      expect(error).toMatchObject({ code: "protocol", details: { scope: "account" } });
      const bound = what === "many literals" ? 2 * LOGIN_LINE_LIMIT : LOGIN_LINE_LIMIT;
      expect(String(error)).toContain(`127.0.0.1:${server.port} sends more than belongs to a login: `);
      expect(String(error)).toContain(`exceeds maximum allowed size of ${bound} bytes`);
      // Beyond the bound lies only what the sockets hold.
      expect(sent).toBeLessThan(16e6);
      expect(process.memoryUsage().rss - before).toBeLessThan(ROOM);
      expect(server.failures).toEqual([]);
    },
  );
});

const POP3: readonly (readonly [what: string, verb: string, answer: string, words: RegExp])[] = [
  ["a greeting without end", "", "x".repeat(REPLY_LINE_LIMIT + 10), /a line of more than 16384 octets/],
  ["an answer without end", "STAT", `+OK ${"1".repeat(REPLY_LINE_LIMIT)}`, /a line of more than 16384 octets/],
  ["many capabilities", "CAPA", `+OK\r\n${"X\r\n".repeat(CAPABILITY_LIMIT + 1)}`, /CAPA answer without end/],
  ["a long capability", "CAPA", `+OK\r\n${"X".repeat(LISTING_LINE_LIMIT + 10)}`, /a line of more than 4096 octets/],
  ["a long unique id", "UIDL", `+OK\r\n1 ${"u".repeat(LISTING_LINE_LIMIT)}`, /a line of more than 4096 octets/],
  ["a message number that no maildrop has", "LIST", `+OK\r\n${MESSAGE_LIMIT + 1} 5\r\n.\r\n`, /makes no sense/],
];

describe("a POP3 server that sends", () => {
  it.each(POP3)("%s is refused", async (_, verb, answer, words) => {
    count("scripted cases");
    await using server = await scriptedServer({
      messages: [{ uidl: "u", body: "x\r\n" }],
      ...(verb === ""
        ? { greeting: answer }
        : { on: (line) => (line.startsWith(verb) ? { send: answer } : undefined) }),
    });
    const work = async () => {
      const credentials = { kind: "password", user: "anna", password: "geheim" } as const;
      await using session = await openPop3SessionAs(server.options(), credentials, new AbortController().signal, {
        connectMs: 5_000,
        inactivityMs: 5_000,
      });
      await session.list();
    };
    await expect(work()).rejects.toMatchObject({ code: "protocol", message: expect.stringMatching(words) });
  });
});
