// What a server refuses at the door is followed by what else it offers; what it says of haste is no word about the password.

import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import { exitCodeOf } from "../../../src/cli/exit.ts";
import { MailError } from "../../../src/mail/errors.ts";
import { Lessons } from "../../../src/protocol/pop3/login.ts";
import { openPop3Session } from "../../../src/protocol/pop3/session.ts";
import { type Act, never, PASSWORD, type Script, scriptedServer, USER, USUAL } from "./scripted-server.ts";

const TIMING = { connectMs: 5_000, inactivityMs: 5_000 };
const STAMP = "<1896.697170952@example.org>";
const APOP = `APOP ${USER} ${createHash("md5").update(`${STAMP}${PASSWORD}`).digest("hex")}`;
const PLAIN = `AUTH PLAIN ${Buffer.from(`\0${USER}\0${PASSWORD}`).toString("base64")}`;
const USER_PASS = [`USER ${USER}`, `PASS ${PASSWORD}`];

/** What was said in so many logins, which know of each other; the last word is the error of a login that failed. */
async function said(script: Script, logins = 1): Promise<string[]> {
  await using server = await scriptedServer(script);
  const lessons = new Lessons();
  for (let n = 0; n < logins; n++)
    try {
      await (await openPop3Session(server.options(), never, TIMING, lessons)).quit();
    } catch (error) {
      if (!(error instanceof MailError)) throw error;
      server.commands.push(`${error.code} ${exitCodeOf(error)}`);
    }
  return server.commands;
}

const refusing =
  (what: RegExp, act: Act = { send: "-ERR [AUTH] not for this account\r\n" }): Script["on"] =>
  (line) =>
    what.test(line) ? act : undefined;

describe("a refused way in is followed by what else is offered", () => {
  it("APOP by SASL, and that by USER and PASS", async () => {
    const greeting = `+OK ${STAMP}\r\n`;
    expect(await said({ greeting, on: refusing(/^APOP/) })).toEqual(["CAPA", APOP, PLAIN, "QUIT"]);
    expect(await said({ greeting, on: refusing(/^APOP/), capabilities: null })).toEqual([
      "CAPA",
      APOP,
      ...USER_PASS,
      "QUIT",
    ]);
    expect(await said({ greeting, on: refusing(/^(APOP|AUTH)/), capabilities: ["USER", "SASL PLAIN"] })).toEqual([
      "CAPA",
      APOP,
      PLAIN,
      ...USER_PASS,
      "QUIT",
    ]);
  });

  it.each(["tls", "starttls"] as const)("SASL by USER and PASS, also under %s", async (security) => {
    const all = await said({ security, on: refusing(/^AUTH/), capabilities: ["USER", "SASL PLAIN"] });
    expect(all.slice(-4)).toEqual([PLAIN, ...USER_PASS, "QUIT"]);
  });

  it("not by what is not offered: USER, where the server tells all it has", async () => {
    const refused = await said({ on: refusing(/^AUTH/), capabilities: ["SASL PLAIN"] });
    expect(refused).toEqual(["CAPA", PLAIN, "auth 4"]);
  });

  it("LOGIN where nothing else is offered", async () => {
    let asked = 0;
    const on: Script["on"] = (line) => {
      if (line === "AUTH LOGIN") asked = 1;
      if (asked === 0 || asked > 2) return undefined;
      return { send: asked++ === 1 ? "+ VXNlcm5hbWU6\r\n" : "+ UGFzc3dvcmQ6\r\n" };
    };
    const base64 = (text: string) => Buffer.from(text).toString("base64");
    expect(await said({ capabilities: ["SASL LOGIN"], on })).toEqual([
      "CAPA",
      "AUTH LOGIN",
      base64(USER),
      base64(PASSWORD),
      "QUIT",
    ]);
  });

  it("on a new connection where the server hangs up on who was refused", async () => {
    const act: Act = { send: "-ERR no\r\n", ending: "fin" };
    const capabilities = ["USER", "SASL PLAIN"];
    const all = await said({ capabilities, on: refusing(/^AUTH/, act) });
    expect(all.filter((line) => !line.startsWith("USER"))).toEqual(["CAPA", PLAIN, "CAPA", USER_PASS[1], "QUIT"]);
    // Refused in all ways it is the password.
    expect((await said({ capabilities, on: refusing(/^(AUTH|USER|PASS)/, act) })).at(-1)).toBe("auth 4");
    const cut: Act = { ending: "fin" };
    const on: Script["on"] = (line) => (/^AUTH/.test(line) ? act : /^USER/.test(line) ? cut : undefined);
    expect((await said({ capabilities, on })).at(-1)).toBe("auth 4");
  });

  it("on a new connection where the server hangs up at one of them without a word, in the next session too", async () => {
    const greeting = `+OK ${STAMP}\r\n`;
    const all = await said({ greeting, on: refusing(/^APOP/, { ending: "fin" }) }, 2);
    expect(all).toEqual(["CAPA", APOP, "CAPA", PLAIN, "QUIT", "CAPA", PLAIN, "QUIT"]);
    // At the last of them it is the line, or the server.
    expect((await said({ on: refusing(/^AUTH/, { ending: "fin" }), capabilities: ["SASL PLAIN"] })).at(-1)).toBe(
      "connection 5",
    );
  });

  it("and is not tried again by the next session, unless all were refused", async () => {
    const capabilities = ["USER", "SASL PLAIN"];
    const all = await said({ capabilities, on: refusing(/^AUTH/) }, 2);
    expect(all.filter((line) => line === PLAIN)).toHaveLength(1);
    let wrong = true;
    const on: Script["on"] = (line) => (wrong && /^(AUTH|PASS)/.test(line) ? { send: "-ERR no\r\n" } : undefined);
    await using server = await scriptedServer({ capabilities, on });
    const lessons = new Lessons();
    await expect(openPop3Session(server.options(), never, TIMING, lessons)).rejects.toMatchObject({ code: "auth" });
    wrong = false;
    await (await openPop3Session(server.options(), never, TIMING, lessons)).quit();
    expect(server.commands.at(-2)).toBe(PLAIN);
  });

  it("but not where the server says what is no word about the way: in use, too often, a fault", async () => {
    for (const words of ["[IN-USE] x", "[SYS/TEMP] x", "too many logins", "[AUTH] Too many failed attempts"]) {
      const all = await said({ on: refusing(/^AUTH/, { send: `-ERR ${words}\r\n` }) });
      expect([words, ...all.slice(0, -1)]).toEqual([words, "CAPA", PLAIN]);
      expect([words, all.at(-1)]).toEqual([words, expect.stringMatching(/^(locked|connection) 5$/)]);
    }
  });
});

it.each([
  ["Too many login attempts, try again later. Please wait 15 minutes", "connection", 5],
  ["Maximum number of connections exceeded", "connection", 5],
  ["Your account is temporarily unavailable", "connection", 5],
  ["login rate limit reached", "connection", 5],
  ["[AUTH] too many bad tries", "connection", 5],
  // A provider's words for a wrong password.
  ["[AUTH] login failure or POP3 disabled, try later", "auth", 4],
  ["Authentication failed", "auth", 4],
  ["invalid user name or password", "auth", 4],
])("-ERR %s is %s, exit %i", async (words, code, exit) => {
  const on = refusing(/^(AUTH|PASS)/, { send: `-ERR ${words}\r\n` });
  expect((await said({ on })).at(-1)).toBe(`${code} ${exit}`);
});

describe("CAPA", () => {
  it.each(["fin", "reset"] as const)("that is answered by a hang-up (%s) is left out from then on", async (ending) => {
    const all = await said({ on: refusing(/^CAPA/, { ending }) }, 2);
    expect(all).toEqual(["CAPA", ...USER_PASS, "QUIT", ...USER_PASS, "QUIT"]);
  });

  it("is not asked again where it is refused and the server hangs up", async () => {
    const all = await said({ on: refusing(/^CAPA/, { send: "-ERR unknown\r\n", ending: "fin" }) }, 2);
    expect(all.filter((line) => line === "CAPA")).toEqual(["CAPA"]);
    expect(all.slice(-6)).toEqual([...USER_PASS, "QUIT", ...USER_PASS, "QUIT"]);
  });

  it("is asked again by the next session where the line was to blame", async () => {
    let sessions = 0;
    const on: Script["on"] = (_line, session) => {
      sessions = session;
      return session <= 2 ? { ending: "reset" } : undefined;
    };
    const all = await said({ on }, 2);
    expect(all).toEqual(["CAPA", `USER ${USER}`, "connection 5", "CAPA", PLAIN, "QUIT"]);
    expect(sessions).toBe(3);
  });
});

describe("UTF8", () => {
  it("is said before the login where it is offered, and not else", async () => {
    expect(await said({ capabilities: [...USUAL, "UTF8"] })).toEqual(["CAPA", "UTF8", PLAIN, "QUIT"]);
    // RFC 6856 2.2: USER says that names and passwords may be UTF-8; the command is offered all the same.
    expect(await said({ capabilities: [...USUAL, "UTF8 USER"] })).toEqual(["CAPA", "UTF8", PLAIN, "QUIT"]);
    expect(await said({ security: "starttls", capabilities: [...USUAL, "UTF8"] })).toEqual([
      "STLS",
      "CAPA",
      "UTF8",
      PLAIN,
      "QUIT",
    ]);
    expect(await said({ capabilities: USUAL })).not.toContain("UTF8");
  });

  it("that is refused hinders nothing", async () => {
    const all = await said({ capabilities: [...USUAL, "UTF8"], on: refusing(/^UTF8/) });
    expect(all).toEqual(["CAPA", "UTF8", PLAIN, "QUIT"]);
  });
});
