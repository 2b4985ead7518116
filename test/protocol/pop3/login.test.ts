// Connecting and logging in: nothing secret leaves before the wire is safe, and every refusal has its own clear error.

import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import { isAbort, MailError } from "../../../src/mail/errors.ts";
import { openPop3Session, openPop3SessionAs } from "../../../src/protocol/pop3/session.ts";
import type { ServerOptions } from "../../../src/protocol/server.ts";
import { makeCertificates } from "../../kit/certificates.ts";
import { certificates, never, PASSWORD, type Script, scriptedServer, USER, USUAL } from "./scripted-server.ts";

const TIMING = { connectMs: 5_000, inactivityMs: 5_000 };
const PLAIN = `AUTH PLAIN ${Buffer.from(`\0${USER}\0${PASSWORD}`).toString("base64")}`;

async function failure(options: ServerOptions, timing = TIMING): Promise<MailError> {
  const error = await openPop3Session(options, never, timing).then(
    (session) => {
      session.close();
      return undefined;
    },
    (reason: unknown) => reason,
  );
  if (!(error instanceof MailError)) throw new Error(`no MailError: ${String(error)}`);
  return error;
}

async function commandsOf(script: Script, more: Partial<ServerOptions> = {}): Promise<string[]> {
  await using server = await scriptedServer(script);
  const session = await openPop3Session(server.options(more), never, TIMING);
  await session.quit();
  return server.commands;
}

describe("the way in", () => {
  it("is AUTH PLAIN under TLS where it is offered", async () => {
    expect(await commandsOf({ security: "tls" })).toEqual(["CAPA", PLAIN, "QUIT"]);
  });

  it("is USER and PASS where it is not, or where there is no CAPA", async () => {
    for (const capabilities of [["USER"], null])
      expect(await commandsOf({ security: "tls", capabilities })).toEqual([
        "CAPA",
        `USER ${USER}`,
        `PASS ${PASSWORD}`,
        "QUIT",
      ]);
  });

  it("takes one round trip for USER and PASS where the server reads ahead", async () => {
    const on: Script["on"] = (line) => (line.startsWith("USER") ? {} : undefined);
    await using server = await scriptedServer({ capabilities: ["USER", "PIPELINING"], on });
    const timing = { ...TIMING, inactivityMs: 50 };
    // The first answer never comes.
    await expect(openPop3Session(server.options(), never, timing)).rejects.toThrow("no answer");
    expect(server.commands).toEqual(["CAPA", `USER ${USER}`, `PASS ${PASSWORD}`]);
  });

  it("is APOP in the clear when the greeting has a timestamp, and never under TLS", async () => {
    const greeting = "+OK ready <1896.697170952@example.org>\r\n";
    const digest = createHash("md5").update(`<1896.697170952@example.org>${PASSWORD}`).digest("hex");
    expect(await commandsOf({ greeting })).toEqual(["CAPA", `APOP ${USER} ${digest}`, "QUIT"]);
    expect(await commandsOf({ greeting, security: "tls" })).toContain(PLAIN);
  });

  it("is not APOP with a timestamp that no server would make", async () => {
    expect(await commandsOf({ greeting: "+OK <a\xffb@c>\r\n" })).toContain(PLAIN);
  });

  it("asks for CAPA again under TLS: what was said in the clear is forgotten", async () => {
    expect(await commandsOf({ security: "starttls" })).toEqual(["STLS", "CAPA", PLAIN, "QUIT"]);
  });

  it("sends a long password after the challenge, and answers a server that asks twice", async () => {
    const password = "x".repeat(400);
    const response = Buffer.from(`\0${USER}\0${password}`).toString("base64");
    const on: Script["on"] = (line) => (line === "AUTH PLAIN" ? { send: "+ \r\n" } : undefined);
    expect(await commandsOf({ on }, { password: async () => password })).toEqual([
      "CAPA",
      "AUTH PLAIN",
      response,
      "QUIT",
    ]);
    const late: Script["on"] = (line) => (line === PLAIN ? { send: "+\r\n" } : undefined);
    expect(await commandsOf({ on: late })).toEqual(["CAPA", PLAIN, PLAIN.slice(11), "QUIT"]);
  });

  it("takes a token with XOAUTH2, and tells the server's refusal", async () => {
    const token = "ya29.token";
    const command = `AUTH XOAUTH2 ${Buffer.from(`user=${USER}\x01auth=Bearer ${token}\x01\x01`).toString("base64")}`;
    const capabilities = ["SASL PLAIN XOAUTH2"];
    const credentials = { kind: "token", user: USER, token } as const;
    await using good = await scriptedServer({ security: "tls", capabilities });
    await (await openPop3SessionAs(good.options(), credentials, never, TIMING)).quit();
    expect(good.commands).toEqual(["CAPA", command, "QUIT"]);
    const on: Script["on"] = (line) =>
      line === command
        ? { send: "+ eyJzdGF0dXMiOiI0MDAifQ==\r\n" }
        : line === ""
          ? { send: "-ERR [AUTH] expired\r\n" }
          : undefined;
    await using bad = await scriptedServer({ security: "tls", capabilities, on });
    await expect(openPop3SessionAs(bad.options(), credentials, never, TIMING)).rejects.toMatchObject({ code: "auth" });
    await using none = await scriptedServer({ security: "tls" });
    await expect(openPop3SessionAs(none.options(), credentials, never, TIMING)).rejects.toMatchObject({ code: "auth" });
  });
});

describe("secrets", () => {
  it("never reach the trace or an error, even when the server repeats them", async () => {
    const said: string[] = [];
    for (const script of [
      {
        capabilities: ["USER"],
        on: (line: string) => (line.startsWith("PASS") ? { send: `-ERR bad ${line}\r\n` } : undefined),
      },
      {
        capabilities: ["SASL PLAIN"],
        on: (line: string) => (line.startsWith("AUTH") ? { send: `-ERR bad ${line}\r\n` } : undefined),
      },
    ] satisfies Script[]) {
      await using server = await scriptedServer(script);
      const password = "correct horse";
      const trace: ServerOptions["trace"] = (_name, direction, text) => said.push(`${direction}: ${text}`);
      const error = await failure(server.options({ trace, password: async () => password }));
      const all = [error.message, error.details.hint, ...said].join("\n");
      expect(all).not.toContain(password);
      expect(all).not.toContain(Buffer.from(`\0${USER}\0${password}`).toString("base64"));
    }
    expect(said).toContain("C: PASS ****");
    expect(said).toContain("C: AUTH PLAIN ****");
  });

  it("that look like the server's own words do not disturb the session", async () => {
    await using server = await scriptedServer({ messages: [{ uidl: "u", body: "12345678\r\n" }] });
    const session = await openPop3Session(server.options({ password: async () => "+OK 1 10" }), never, TIMING);
    expect(await session.stat()).toEqual({ messages: 1, bytes: 10 });
    await session.quit();
  });

  it.each(["\r", "\n", "\0", "anna\r\nDELE 1"])(
    "with %j in user or password are refused before a connection is made",
    async (text) => {
      await using server = await scriptedServer();
      let asked = 0;
      const user = await failure(
        server.options({
          user: text,
          password: async () => {
            asked++;
            return "x";
          },
        }),
      );
      expect([user.code, asked]).toEqual(["config", 0]);
      expect((await failure(server.options({ password: async () => `a${text}` }))).code).toBe("config");
      expect(server.sessions).toBe(0);
    },
  );
});

describe("TLS", () => {
  it.each(["tls", "starttls"] as const)(
    "%s: an untrusted certificate is refused before a word is said",
    async (security) => {
      await using server = await scriptedServer({ security });
      const error = await failure(server.options({ ca: makeCertificates().ca }));
      expect([error.code, error.details.remedy]).toEqual(["config", "give-up"]);
      expect(server.commands.filter((line) => line !== "STLS")).toEqual([]);
    },
  );

  it("a certificate for another name is refused", async () => {
    const other = makeCertificates({ hosts: ["mail.example.org"] });
    await using server = await scriptedServer({ security: "tls", certificates: other });
    expect((await failure(server.options({ ca: other.ca }))).code).toBe("config");
    expect(server.commands).toEqual([]);
  });

  it.each(["tls", "starttls"] as const)(
    "%s: the pinned certificate is trusted, whoever signed it",
    async (security) => {
      await using server = await scriptedServer({ security });
      const { fingerprint } = certificates();
      const { ca: _ca, ...options } = server.options({ fingerprint });
      await (await openPop3Session(options, never, TIMING)).quit();
      expect(server.commands).toContain(PLAIN);
    },
  );

  it.each(["tls", "starttls"] as const)(
    "%s: any other than the pinned one is refused, though its authority is trusted",
    async (security) => {
      await using server = await scriptedServer({ security });
      const error = await failure(server.options({ fingerprint: "0".repeat(64) }));
      expect(error.code).toBe("config");
      expect(error.message).toContain(certificates().fingerprint);
      expect(server.commands.filter((line) => line !== "STLS")).toEqual([]);
    },
  );

  it("STLS refused or stripped: nothing is said in the clear", async () => {
    const on: Script["on"] = (line) => (line === "STLS" ? { send: "-ERR unknown command\r\n" } : undefined);
    await using server = await scriptedServer({ security: "starttls", capabilities: ["USER"], on });
    const error = await failure(server.options());
    expect(error.code).toBe("config");
    expect(error.message).toContain("STLS");
    expect(server.commands).toEqual(["STLS"]);
  });

  it("answers injected before the handshake are refused", async () => {
    const on: Script["on"] = (line) =>
      line === "STLS" ? { send: "+OK begin\r\n+OK\r\nSASL PLAIN\r\n.\r\n", ending: "tls" } : undefined;
    await using server = await scriptedServer({ security: "starttls", on });
    const error = await failure(server.options());
    expect(error.code).toBe("protocol");
    expect(server.commands).toEqual(["STLS"]);
  });

  it("a port that speaks no TLS is named as such", async () => {
    await using server = await scriptedServer();
    const error = await failure(server.options({ security: "tls" }));
    expect(error.code).toBe("config");
    expect(error.message).toContain("does not speak TLS");
  });

  it("a handshake that is cut is a lost connection", async () => {
    const on: Script["on"] = (line) => (line === "STLS" ? { send: "+OK begin\r\n", ending: "fin" } : undefined);
    await using server = await scriptedServer({ security: "starttls", on });
    const error = await failure(server.options());
    expect([error.code, error.details.remedy]).toEqual(["connection", "retry"]);
  });
});

describe("refusals", () => {
  const refused = async (answer: string, capabilities = USUAL): Promise<MailError> => {
    const on: Script["on"] = (line) => (/^(AUTH|PASS)/.test(line) ? { send: `${answer}\r\n` } : undefined);
    await using server = await scriptedServer({ on, capabilities });
    return await failure(server.options());
  };

  it.each([
    ["-ERR [IN-USE] busy", "locked", "wait"],
    ["-ERR [in-use] busy", "locked", "wait"],
    ["-ERR maildrop already locked", "locked", "wait"],
    ["-ERR [LOGIN-DELAY] too often", "locked", "wait"],
    ["-ERR [SYS/TEMP] disk", "connection", "retry"],
    ["-ERR [SYS/PERM] no such disk", "protocol", "give-up"],
    ["-ERR [AUTH] no", "auth", "give-up"],
    ["-ERR account blocked", "auth", "give-up"],
    ["-ERR", "auth", "give-up"],
  ])("%s is %s, %s", async (answer, code, remedy) => {
    const error = await refused(answer);
    expect([error.code, error.details.remedy, error.details.scope]).toEqual([code, remedy, "account"]);
    expect(error.details.hint ?? "retry").not.toBe("");
  });

  it("tells how long LOGIN-DELAY is", async () => {
    const error = await refused("-ERR [LOGIN-DELAY] no", ["SASL PLAIN", "LOGIN-DELAY 300 USER"]);
    expect(error.details.waitMs).toBe(300_000);
  });

  it("a greeting that is -ERR, none, or silence: a clear error in time", async () => {
    await using busy = await scriptedServer({ greeting: "-ERR [SYS/TEMP] later\r\n" });
    expect((await failure(busy.options())).details.remedy).toBe("retry");
    await using http = await scriptedServer({ greeting: "220 smtp ready\r\n" });
    expect((await failure(http.options())).message).toContain("speaks SMTP, not POP3");
    await using silent = await scriptedServer({ greeting: "+O" });
    expect((await failure(silent.options(), { ...TIMING, connectMs: 50 })).code).toBe("connection");
    await using mute = await scriptedServer({ greeting: "" });
    expect((await failure(mute.options({ security: "tls" }), { ...TIMING, connectMs: 50 })).code).toBe("connection");
  });

  it("nobody listening: a connection error that names the place", async () => {
    const server = await scriptedServer();
    const options = server.options();
    await server[Symbol.asyncDispose]();
    const error = await failure(options);
    expect(error.code).toBe("connection");
    expect(error.message).toContain(`127.0.0.1:${options.port}`);
  });

  it("an abort ends a login at once", async () => {
    for (const security of ["none", "tls"] as const) {
      const abort = new AbortController();
      const on: Script["on"] = (line) => {
        if (line !== "CAPA") return undefined;
        abort.abort();
        return {};
      };
      await using server = await scriptedServer({ security, on });
      const error = await openPop3Session(server.options(), abort.signal, TIMING).catch((reason: unknown) => reason);
      expect(isAbort(error)).toBe(true);
    }
  });
});
