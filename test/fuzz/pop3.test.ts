// The POP3 reader takes whatever a server sends: a whole session over a server gone mad ends with a MailError or with what was
// really sent, and what is well-formed comes out exact in any pieces.

import { createServer, type Socket } from "node:net";
import { afterAll, beforeAll, expect } from "vitest";
import { MailError } from "../../src/mail/errors.ts";
import { DotUnstuffer } from "../../src/protocol/pop3/dots.ts";
import { REPLY_LINE_LIMIT } from "../../src/protocol/pop3/limits.ts";
import { capabilities, parseReply } from "../../src/protocol/pop3/replies.ts";
import { openPop3SessionAs } from "../../src/protocol/pop3/session.ts";
import { WORDS_LIMIT, words } from "../../src/protocol/words.ts";
import { type Random, randomFrom } from "../kit/random.ts";
import { stuff } from "../protocol/pop3/scripted-server.ts";
import { cutUp, mutate, octets, textOf, times } from "./generate.ts";
import { fuzz, target } from "./kit.ts";

const MAIL = ["", ".", "..", "\r\n", "\r\n.\r\n", "\r", "\n", ".\r\n", "text", "\xff\0", "\r\n.", "x".repeat(70)];
const WORDS = [
  "+OK",
  "-ERR",
  "-ERR [SYS/TEMP] later",
  "-ERR [IN-USE] x",
  "\r\n.\r\n",
  "\r\n",
  "\r",
  "\n",
  ".",
  "..",
  "\0",
  "\x1b[2J",
  " ",
  "1 1",
  "99999999999",
  "-1",
  "4294967296 a",
  "16000000 1",
  "x".repeat(600),
  "x".repeat(20_000),
  "NaN",
  "1e9",
  "\xff",
];

/** What the server of one session does. */
interface Play {
  readonly seed: number;
  readonly mail: readonly string[];
  /** Which of its answers is changed; -1 for none. */
  readonly bad: number;
}
let play: Play;

const server = createServer({ noDelay: true }, (socket: Socket) => {
  const random = randomFrom(play.seed);
  let answers = 0;
  const say = (good: Buffer): void => {
    const isBad = answers++ === play.bad;
    const sent = isBad ? mutate(random, good, WORDS) : good;
    for (const piece of random.chance(0.5) && sent.length < 400 ? cutUp(random, sent) : [sent]) socket.write(piece);
    // Else both would wait: for an answer, and for a command.
    if (isBad) socket.end();
  };
  const { mail } = play;
  const answer = (line: string): string | Buffer => {
    const [verb = "", number] = line.split(" ");
    switch (verb) {
      case "CAPA":
        return `+OK\r\nUIDL\r\n${random.chance(0.5) ? "PIPELINING\r\n" : ""}RESP-CODES\r\n.\r\n`;
      case "STAT":
        return `+OK ${mail.length} 100\r\n`;
      case "LIST":
        return `+OK\r\n${mail.map((text, i) => `${i + 1} ${text.length}\r\n`).join("")}.\r\n`;
      case "UIDL":
        return `+OK\r\n${mail.map((_, i) => `${i + 1} id${i}\r\n`).join("")}.\r\n`;
      case "RETR":
        return Buffer.concat([Buffer.from("+OK\r\n"), stuff(Buffer.from(mail[Number(number) - 1] ?? "", "latin1"))]);
      default:
        return "+OK\r\n";
    }
  };
  let input = "";
  socket.on("error", () => undefined);
  socket.on("data", (chunk) => {
    input += chunk.toString("latin1");
    for (let at = input.indexOf("\r\n"); at !== -1; at = input.indexOf("\r\n")) {
      const what = answer(input.slice(0, at));
      input = input.slice(at + 2);
      say(typeof what === "string" ? Buffer.from(what, "latin1") : what);
    }
  });
  say(Buffer.from("+OK ready\r\n"));
});
let port = 0;
beforeAll(async () => {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  port = typeof address === "object" && address !== null ? address.port : 0;
});
afterAll(() => void server.close());

const mailOf = (random: Random): string => textOf(random, MAIL, 12);

async function session(): Promise<Map<number, string>> {
  const options = { host: "127.0.0.1", port, security: "none", user: "u", password: async () => "p" } as const;
  const login = { kind: "password", user: "u", password: "p-word" } as const;
  const never = new AbortController().signal;
  const timing = { connectMs: 10_000, inactivityMs: 10_000 };
  const got = new Map<number, string>();
  await using open = await openPop3SessionAs(options, login, never, timing);
  const listing = await open.list();
  for await (const { number, content } of open.retrieve(listing.numbers(), (n) => listing.size(n))) {
    let text = "";
    for await (const chunk of content) text += Buffer.from(chunk).toString("latin1");
    got.set(number, text);
  }
  for await (const _ of open.delete(listing.numbers()));
  await open.quit();
  return got;
}

fuzz({
  "a multi-line answer is undone exactly in any pieces, and ends where it ends": target({
    inputs: 6_000,
    make: (random) => ({ mail: mailOf(random), behind: octets(random, 20) }),
    check({ mail, behind }, random) {
      const whole = mail === "" || mail.endsWith("\r\n") ? mail : `${mail}\r\n`;
      // Some servers stuff more lines than they must.
      const stuffed = whole
        .split("\r\n")
        .map((line) => (line.startsWith(".") || (line !== "" && random.chance(0.3)) ? `.${line}` : line))
        .join("\r\n");
      const unstuffer = new DotUnstuffer();
      let text = "";
      let unused = 0;
      for (const piece of cutUp(random, Buffer.concat([Buffer.from(`${stuffed}.\r\n`, "latin1"), behind]))) {
        if (unstuffer.ended) {
          unused += piece.length;
          continue;
        }
        const { pieces, used } = unstuffer.feed(piece);
        for (const part of pieces) text += part.toString("latin1");
        if (unstuffer.ended) unused += piece.length - used;
        else expect(used).toBe(piece.length);
      }
      expect(unstuffer.ended).toBe(true);
      expect(text).toBe(whole);
      expect(unused).toBe(behind.length);
    },
  }),
  "a server's words are short and harmless, whatever it says": target({
    inputs: 3_000,
    make: (random) => mutate(random, Buffer.from("-ERR [SYS/TEMP] try again later"), WORDS),
    check(input) {
      const line = input.toString("latin1");
      const reply = parseReply(line);
      const said = words(reply?.text ?? line);
      expect(said).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u2028-\u202e]/);
      expect(said.length).toBeLessThanOrEqual(WORDS_LIMIT + 1);
      expect(capabilities(line.split("\r\n")).told).toBe(true);
    },
    show: (input) => input,
  }),
  "a whole session over a server gone mad ends, and a message that it did not touch is exact": target({
    inputs: 700,
    make: (random) => ({
      seed: random.upTo(2 ** 31),
      mail: times(1 + random.upTo(4), () => mailOf(random)),
      bad: random.upTo(12) - 1,
    }),
    async check(input) {
      play = input;
      const wanted = input.mail.map((text) => (text === "" || text.endsWith("\r\n") ? text : `${text}\r\n`));
      let got: Map<number, string> | undefined;
      try {
        got = await session();
      } catch (error) {
        if (!(error instanceof MailError) || input.bad === -1)
          throw new Error(`it ended with ${error}`, { cause: error });
        expect(error.message.length).toBeLessThan(REPLY_LINE_LIMIT);
      }
      if (input.bad === -1) expect([...(got ?? [])].map(([, text]) => text)).toEqual(wanted);
    },
  }),
});
