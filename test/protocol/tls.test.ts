// Nobody is let in: whatever is wrong with the wire or the certificate, no secret is sent, and the error names the way out.

import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { exitCodeOf } from "../../src/cli/exit.ts";
import { program } from "../../src/cli/program.ts";
import { type EndpointContext, openSink, openSource, parseEndpoint } from "../../src/endpoints.ts";
import { MailError } from "../../src/mail/errors.ts";
import { type Certificates, makeCertificates } from "../kit/certificates.ts";
import { count } from "../kit/counts.ts";
import { leaksIn } from "../kit/leaks.ts";
import { type Conversation, type Identity, type ScriptedServer, startScripted } from "../kit/scripted.ts";
import { account } from "./imap/account.ts";
import { command } from "./imap/wire.ts";

const { signal } = new AbortController();
const PASSWORD = "marked-password-7";
const KINDS = ["imaps", "imap", "pop3s", "pop3"] as const;
type Kind = (typeof KINDS)[number];
const isImplicit = (kind: Kind): boolean => kind.endsWith("s");
const good = makeCertificates();

let root = "";
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), "tls-"));
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

/** How STARTTLS and STLS are answered. */
interface Upgrade {
  readonly identity: Identity;
  readonly offered?: boolean;
  /** In the clear, behind the answer. */
  readonly injected?: boolean;
}

async function playImap(talk: Conversation, { identity, offered = true, injected = false }: Upgrade): Promise<void> {
  const capabilities = `IMAP4rev1${offered ? " STARTTLS" : ""}`;
  talk.send(`* OK [CAPABILITY ${capabilities}] hello\r\n`);
  for (let heard = await command(talk); heard !== undefined; heard = await command(talk)) {
    const { tag, text } = heard;
    if (text === "STARTTLS" && offered)
      await talk.secure(identity, `${tag} OK go\r\n${injected ? `* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\n` : ""}`);
    else if (text === "STARTTLS") talk.send(`${tag} BAD unknown\r\n`);
    else {
      if (text === "CAPABILITY") talk.send(`* CAPABILITY ${capabilities}\r\n`);
      if (text.startsWith("LIST")) talk.send('* LIST (\\HasNoChildren) "/" INBOX\r\n');
      talk.send(`${tag} OK done\r\n`);
    }
  }
}

async function playPop3(talk: Conversation, { identity, offered = true, injected = false }: Upgrade): Promise<void> {
  talk.send("+OK ready\r\n");
  for (let line = await talk.line(); line !== undefined; line = await talk.line())
    if (line === "STLS" && offered)
      await talk.secure(identity, `+OK begin\r\n${injected ? "+OK\r\nSASL PLAIN\r\n.\r\n" : ""}`);
    else if (line === "STLS") talk.send("-ERR unknown command\r\n");
    else talk.send(line === "CAPA" ? "+OK\r\nUSER\r\n.\r\n" : line === "STAT" ? "+OK 0 0\r\n" : "+OK\r\n");
}

function serve(kind: Kind, upgrade: Upgrade): Promise<ScriptedServer> {
  const play = (talk: Conversation): Promise<void> => (kind.startsWith("imap") ? playImap : playPop3)(talk, upgrade);
  return startScripted(play, isImplicit(kind) ? upgrade.identity : undefined);
}

interface Outcome {
  readonly error: unknown;
  readonly asked: number;
}

async function open(url: string, context: Partial<EndpointContext> = {}, role: "source" | "target" = "source") {
  let asked = 0;
  const password = async (): Promise<string> => {
    asked++;
    return PASSWORD;
  };
  const endpoint = parseEndpoint(url, role);
  try {
    const whole = { password, ...context };
    await using _opened = await (role === "source"
      ? openSource(endpoint, whole, signal)
      : openSink(endpoint, { ...whole, job: "j" }, signal));
    return { error: undefined, asked } satisfies Outcome;
  } catch (error) {
    return { error, asked } satisfies Outcome;
  }
}

/** Opens an endpoint at this server; it must be refused, with exit code 2, before the password was sent. */
async function refused(kind: Kind, upgrade: Upgrade, query: string, host = "localhost"): Promise<string> {
  await using server = await serve(kind, upgrade);
  const { error } = await open(`${kind}://anna@${host}:${server.port}${query}`);
  expect(server.connections).toBeGreaterThan(0);
  count("scripted cases");
  expect(leaksIn(server.heard.join("\n"), [PASSWORD])).toEqual([]);
  expect(server.heard.filter((line) => /LOGIN|AUTH|USER|PASS|APOP/.test(line))).toEqual([]);
  if (!(error instanceof MailError)) throw new Error(`it was let in: ${String(error)}`);
  expect(exitCodeOf(error)).toBe(2);
  expect(error.message).toContain(`:${server.port}`);
  return `${error.message} | ${error.details.hint ?? ""}`;
}

function authority({ ca }: Certificates): string {
  const file = join(root, "ca.pem");
  writeFileSync(file, ca);
  return `?ca=${encodeURIComponent(file)}`;
}

const WAY_OUT = /\?fingerprint=sha256:/;
const expired = makeCertificates({ days: -1 });
const early = makeCertificates({ fromDays: 2, days: 9 });
const elsewhere = makeCertificates({ hosts: ["mail.example.org"] });
const alone = makeCertificates({ selfSigned: true });

describe.each(KINDS)("%s", (kind) => {
  const BAD: readonly (readonly [string, Certificates, () => string, RegExp])[] = [
    ["expired", expired, () => authority(expired), /certificate has expired.*renew.*\?fingerprint=sha256:/],
    ["not yet valid", early, () => authority(early), /not yet valid.*clock.*\?fingerprint=sha256:/],
    [
      "for another host",
      elsewhere,
      () => authority(elsewhere),
      /another host.*mail\.example\.org.*\?fingerprint=sha256:/,
    ],
    ["self-signed", alone, () => "", /self-signed.*\?ca=FILE.*\?fingerprint=sha256:/],
    ["of an authority that nobody knows", good, () => "", /not trusted.*\?ca=FILE.*\?fingerprint=sha256:/],
    ["of another authority than the named one", good, () => authority(elsewhere), /not trusted.*\?ca=FILE/],
  ];

  it.each(BAD)(
    "a certificate that is %s is refused, and let in when it is pinned",
    async (_what, identity, query, words) => {
      expect(await refused(kind, { identity }, query())).toMatch(words);
      await using server = await serve(kind, { identity });
      const pinned = await open(`${kind}://anna@localhost:${server.port}?fingerprint=sha256:${identity.fingerprint}`);
      expect(pinned.error).toBeUndefined();
      expect(leaksIn(server.heard.join("\n"), [PASSWORD])).not.toEqual([]);
    },
  );

  it("a good certificate is let in; its address must stand in it as well", async () => {
    await using server = await serve(kind, { identity: good });
    for (const host of ["localhost", "127.0.0.1"])
      expect((await open(`${kind}://anna@${host}:${server.port}${authority(good)}`)).error).toBeUndefined();
    const byName = makeCertificates({ hosts: ["localhost"] });
    expect(await refused(kind, { identity: byName }, authority(byName), "127.0.0.1")).toMatch(WAY_OUT);
  });

  it("a wrong pin is refused, though the authority is trusted", async () => {
    const query = `${authority(good)}&fingerprint=sha256:${elsewhere.fingerprint}`;
    expect(await refused(kind, { identity: good }, query)).toMatch(/pinned/);
  });

  it.each(["TLSv1", "TLSv1.1"] as const)(
    "a server that speaks %s at the most is refused, pinned or not",
    async (version) => {
      const identity: Identity = { ...good, minVersion: "TLSv1", maxVersion: version, ciphers: "DEFAULT@SECLEVEL=0" };
      for (const query of [authority(good), `?fingerprint=sha256:${good.fingerprint}`])
        expect(await refused(kind, { identity }, query)).toMatch(/no TLS that is safe \(1\.2 or later\).*up to date/);
    },
  );

  if (isImplicit(kind)) return;

  it("without STARTTLS or STLS, or with answers before its handshake, it is refused", async () => {
    const stripped = await refused(kind, { identity: good, offered: false }, authority(good));
    expect(stripped).toMatch(/(?:STARTTLS|STLS).*(?:imaps|pop3s):\/\//);
    expect(await refused(kind, { identity: good, injected: true }, authority(good))).toMatch(
      new RegExp(`before the TLS handshake: refused \\| Somebody may be .*; use ${kind}s:// or another network\\.$`),
    );
    // The pin is of the certificate, and no leave to do without one.
    const pin = `?fingerprint=sha256:${good.fingerprint}`;
    await refused(kind, { identity: good, offered: false }, pin);
    await refused(kind, { identity: good, injected: true }, pin);
  });
});

/** Reaches this machine, and is not among the names that are known to. */
const ELSEWHERE = "[::ffff:127.0.0.1]";

describe("cleartext at the command line", () => {
  /** "THERE" is the server, "MAIL" a Maildir, "OTHER" an account that would let us in; both sides can give a password. */
  const COMMANDS: readonly (readonly [what: string, args: readonly string[]])[] = [
    ["folders", ["folders", "THERE"]],
    ["backup", ["backup", "THERE", "NEW"]],
    ["drain", ["drain", "THERE", "NEW"]],
    ["migrate from it", ["migrate", "THERE", "OTHER"]],
    ["migrate to it", ["migrate", "OTHER", "THERE"]],
    ["restore", ["restore", "MAIL", "THERE"]],
    ["verify", ["verify", "THERE", "MAIL"]],
    ["verify of an account with it", ["verify", "OTHER", "THERE"]],
  ];

  it.each(COMMANDS)(
    "%s goes on to connect with --allow-cleartext alone, and asks for no password before",
    async (what, args) => {
      const mail = join(root, "mail");
      for (const part of ["cur", "new", "tmp"]) mkdirSync(join(mail, part), { recursive: true });
      const asked = join(root, "asked");
      rmSync(asked, { force: true });
      const other = await account("IMAP4rev1 LITERAL+");
      await using _ = other.server;
      // Says why the login fails, so that nobody tries again.
      await using server = await startScripted(async (talk) => {
        talk.send(what === "drain" ? "+OK ready\r\n" : "* OK [CAPABILITY IMAP4rev1] hello\r\n");
        for (let line = await talk.line(); line !== undefined; line = await talk.line()) {
          const [tag = ""] = line.split(" ");
          if (what === "drain") talk.send(line === "CAPA" ? "+OK\r\nUSER\r\n.\r\n" : "-ERR [AUTH] no\r\n");
          else if (line.endsWith("CAPABILITY")) talk.send(`* CAPABILITY IMAP4rev1\r\n${tag} OK\r\n`);
          else talk.send(`${tag} NO [AUTHENTICATIONFAILED] no\r\n`);
        }
      });
      const real: Readonly<Record<string, string>> = {
        THERE: `${what === "drain" ? "pop3" : "imap"}://anna@${ELSEWHERE}:${server.port}?tls=none`,
        OTHER: `imap://ben@127.0.0.1:${other.server.port}?tls=none`,
        MAIL: mail,
        NEW: join(root, "new"),
      };
      const words = args.map((word) => real[word] ?? word);
      const ask = `echo x >> '${asked}'; echo ${PASSWORD}`;
      const sides = what === "folders" || what === "drain" || what === "backup" ? ["source"] : ["source", "target"];
      const given = sides.flatMap((side) => [`--${side}-password-command`, ask]);
      const cli = async (...more: string[]): Promise<{ code: number; said: string }> => {
        let said = "";
        const write = vi.spyOn(process.stderr, "write").mockImplementation((text) => {
          said += String(text);
          return true;
        });
        try {
          const environment = { PATH: process.env.PATH, XDG_STATE_HOME: join(root, "state") };
          return { code: await program([...words, ...given, ...more], environment), said };
        } finally {
          write.mockRestore();
        }
      };
      const refused = await cli();
      expect(refused.said).toMatch(/tls=none would send the password .*--allow-cleartext/);
      expect([refused.code, server.connections, existsSync(asked)]).toEqual([2, 0, false]);

      const allowed = await cli("--allow-cleartext");
      expect([allowed.code, allowed.said]).toEqual([4, expect.stringContaining("refuses the login of anna")]);
      expect(server.connections).toBeGreaterThan(0);
    },
  );
});

describe("cleartext", () => {
  const FAR = [
    "example.org",
    "10.0.0.1",
    "0.0.0.0",
    "127.0.0.1.example.org",
    "localhost.example.org",
    "[::2]",
    "[fe80::1]",
  ];

  it.each(FAR)("to %s is refused before the password is asked for or a connection made", async (host) => {
    for (const [kind, role] of [
      ["imap", "source"],
      ["imap", "target"],
      ["pop3", "source"],
    ] as const) {
      const { error, asked } = await open(`${kind}://anna@${host}:9?tls=none`, {}, role);
      expect(error).toMatchObject({ code: "config", details: { hint: expect.stringContaining("--allow-cleartext") } });
      expect([exitCodeOf(error), asked]).toEqual([2, 0]);
    }
  });

  it.each(["localhost", "127.0.0.1", "[::1]"])("to %s is this machine's own affair", async (host) => {
    // Nobody listens on the port: that it comes to a connection is what counts.
    const { error, asked } = await open(`pop3://anna@${host}:1?tls=none`);
    expect(error).toMatchObject({ code: "connection" });
    expect(asked).toBe(1);
  });
});
