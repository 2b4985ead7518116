import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { identityOf, openSource, parseEndpoint, refuseCleartext, refuseSame, showEndpoint } from "../src/endpoints.ts";
import { MailError } from "../src/mail/errors.ts";

let root = "";
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), "endpoints-"));
  mkdirSync(join(root, "mail/cur"), { recursive: true });
  mkdirSync(join(root, "mail/new"), { recursive: true });
  mkdirSync(join(root, "tree/a/cur"), { recursive: true });
  mkdirSync(join(root, "tree/a/new"), { recursive: true });
  mkdirSync(join(root, "zips"), { recursive: true });
  writeFileSync(join(root, "zips/0001-20240101T000000Z.zip"), "");
  for (const format of ["maildir", "mboxzip"]) {
    mkdirSync(join(root, `our-${format}/mailferry`), { recursive: true });
    writeFileSync(
      join(root, `our-${format}/mailferry/archive.json`),
      JSON.stringify({ format, version: 1, id: "12345678" }),
    );
  }
  mkdirSync(join(root, "thunderbird"));
  writeFileSync(join(root, "thunderbird/Inbox"), "From - Mon\n");
  writeFileSync(join(root, "one.mbox"), "From a@b Mon Jan  1 00:00:00 2024\n\nx\n");
  writeFileSync(join(root, "what?raw=on"), "From a@b\n");
  writeFileSync(join(root, "a.zip"), "PK\u0003\u0004rest", "latin1");
  writeFileSync(join(root, "picture"), "GIF89a");
  mkdirSync(join(root, "half.zip.part.d"));
  symlinkSync(join(root, "mail"), join(root, "link"));
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

function refusal(act: () => unknown): MailError {
  try {
    act();
  } catch (error) {
    if (error instanceof MailError) return error;
    throw error;
  }
  throw new Error("nothing was refused");
}
const words = (error: MailError): string => `${error.message} ${error.details.hint ?? ""}`;

describe("servers", () => {
  it.each([
    ["imaps://me@host", { kind: "imap", host: "host", port: 993, security: "tls", user: "me" }],
    ["imap://me@host", { kind: "imap", host: "host", port: 143, security: "starttls", user: "me" }],
    ["pop3s://me@host/", { kind: "pop3", host: "host", port: 995, security: "tls", user: "me" }],
    ["pop3://me@host", { kind: "pop3", host: "host", port: 110, security: "starttls", user: "me" }],
    ["IMAPS://me@HOST:1993", { kind: "imap", host: "host", port: 1993, security: "tls", user: "me" }],
    ["imap://me@localhost?tls=none", { kind: "imap", host: "localhost", port: 143, security: "none", user: "me" }],
    ["imaps://me@example.org@imap.example.org", { user: "me@example.org", host: "imap.example.org" }],
    ["imaps://m%3Ae%2F%40@host", { user: "m:e/@" }],
    ["imaps://j%C3%B6rg@m%C3%BCller.example", { user: "jörg", host: "xn--mller-kva.example" }],
    ["imaps://jörg@müller.example", { user: "jörg", host: "xn--mller-kva.example" }],
    ["imaps://me@[::1]:1993", { host: "::1", port: 1993 }],
    ["imaps://me@[2001:db8::1]", { host: "2001:db8::1", port: 993 }],
    ["imaps://me@host?connections=4&compress=on", { connections: 4, compress: true }],
    ["imaps://me@host?ca=%2Fetc%2Fmy%20ca.pem", { ca: "/etc/my ca.pem" }],
    ["imaps://me@host?ca=/etc/a@b.pem", { ca: "/etc/a@b.pem", host: "host" }],
    [`imaps://me@host?fingerprint=sha256:${"AB:".repeat(31)}CD`, { fingerprint: `${"ab".repeat(31)}cd` }],
  ])("reads %s", (text, expected) => {
    expect(parseEndpoint(text, "source")).toMatchObject(expected);
  });

  it.each([
    "imaps://me:hunter2@host",
    "imaps://me@example.org:hunter2@host",
    "imaps://me:hun/ter2@host",
    "imaps://me:hun?ter2@host",
    "imaps://me:hun#ter2@host",
    "imaps://me@example.org:hun/ter2@host",
    "imaps://me:hunter2@host:993?tls=none",
    "imaps://me:hunter2@",
    "pop3s://:hunter2@host",
    "imaps:me:hunter2@host",
    "imaps://me@host:hunter2",
    "imaps://me@host?hunter2",
    "imaps://me@host?password=hunter2",
    "imaps://me@host?pass%77=hunter2",
    "imaps://me@host/hunter2",
    "imaps://me@host?connections=hunter2",
    "me:hunter2@host",
    "https://me:hunter2@host",
  ])("never repeats what may be a password: %s", (text) => {
    for (const role of ["source", "target"] as const) {
      const error = refusal(() => parseEndpoint(text, role));
      expect(error.code).toBe("config");
      expect(words(error)).not.toMatch(/hun|ter2/);
      expect(error.details.hint).toBeTruthy();
    }
  });

  it.each([
    ["imaps://host", "no user"],
    ["imaps://@host", "no user"],
    ["imaps://me@", "no host"],
    ["imaps://me@ho st", "no host"],
    ["imaps://me@host..example", "no host"],
    ["imaps://me@::1", "cannot be read"],
    ["imaps://me@[::zz]", "IPv6"],
    ["imaps://me@host:0", "port"],
    ["imaps://me@host:65536", "port"],
    ["imaps://me@host:", "port"],
    ["imaps://me@host/INBOX", "behind the host"],
    ["imaps://m%0d%0ae@host", "control character"],
    ["imaps://m%zz@host", "percent"],
    ["imaps://me@host?tls=none", "tls=none"],
    ["imap://me@host?tls=off", 'only be "none"'],
    ["imap://me@host?tls=none&ca=x", "no certificate"],
    ["imaps://me@host?connections=0", "connections"],
    ["imaps://me@host?connections=2&connections=3", "twice"],
    ["imaps://me@host?compress=yes", "on nor off"],
    ["imaps://me@host?fingerprint=sha1:aa", "fingerprint"],
    ["imaps://me@host?tsl=none", 'unknown option "tsl"'],
    ["pop3s://me@host?connections=2", 'unknown option "connections"'],
    ["pop4://me@host", "no kind of endpoint"],
    ["", "empty"],
    ["imaps://me@host\r\n", "line break"],
  ])("refuses %s", (text, why) => {
    const error = refusal(() => parseEndpoint(text, "source"));
    expect(words(error)).toContain(why);
    expect(error.details.hint).toBeTruthy();
  });

  it("lists the options that there are when one is unknown", () => {
    expect(words(refusal(() => parseEndpoint("imaps://me@h?x=1", "source")))).toContain(
      "tls, ca, fingerprint, connections, compress",
    );
    expect(words(refusal(() => parseEndpoint("maildir:x?store=on", "source")))).toContain("maildir has no options");
  });

  it("shows an endpoint so that it can be typed again", () => {
    for (const text of [
      "imaps://me@example.org@imap.example.org",
      "imap://me@host:1143",
      "pop3s://me@[::1]:1995",
      "imaps://m%3Ae%2Ff%3F@host",
    ]) {
      const endpoint = parseEndpoint(text, "source");
      expect(showEndpoint(endpoint)).toBe(text);
      expect(parseEndpoint(showEndpoint(endpoint), "source")).toEqual(endpoint);
    }
  });

  it("sends nothing in the clear to another machine, unless that is allowed", () => {
    for (const host of ["localhost", "127.0.0.1", "127.3.2.1", "[::1]"])
      refuseCleartext(parseEndpoint(`imap://me@${host}?tls=none`, "source"), false);
    for (const host of ["example.org", "127.0.0.1.example.org", "10.0.0.1", "localhost.example.org", "0.0.0.0"]) {
      const endpoint = parseEndpoint(`pop3://me@${host}?tls=none`, "source");
      expect(words(refusal(() => refuseCleartext(endpoint, false)))).toContain("--allow-cleartext");
      refuseCleartext(endpoint, true);
    }
  });

  it("refuses cleartext also when it is opened by itself, before the password is asked for", async () => {
    const endpoint = parseEndpoint("imap://me@mail.example.org?tls=none", "source");
    const password = (): Promise<string> => Promise.reject(new Error("asked"));
    const opening = openSource(endpoint, { password }, new AbortController().signal);
    await expect(opening).rejects.toThrow("in the clear");
  });

  it("says which certificate file cannot be used", async () => {
    const context = { password: async () => "x" };
    const { signal } = new AbortController();
    for (const [path, why] of [
      [join(root, "none.pem"), "ENOENT"],
      [join(root, "picture"), "no PEM certificate"],
    ] as const) {
      const endpoint = parseEndpoint(`imaps://me@127.0.0.1?ca=${encodeURIComponent(path)}`, "source");
      await expect(openSource(endpoint, context, signal)).rejects.toMatchObject({
        code: "config",
        message: expect.stringContaining(why),
      });
    }
  });
});

describe("paths", () => {
  it.each([
    ["mail", "maildir"],
    ["tree", "maildir"],
    ["link", "maildir"],
    ["zips", "mboxzip"],
    ["our-maildir", "maildir"],
    ["our-mboxzip", "mboxzip"],
    ["thunderbird", "mbox"],
    ["one.mbox", "mbox"],
    ["a.zip", "mboxzip"],
  ])("recognises %s as a source by what is there", (name, kind) => {
    expect(parseEndpoint(join(root, name), "source")).toEqual({ kind, path: join(root, name) });
  });

  it.each([
    ["new.zip", "mboxzip"],
    ["NEW.ZIP", "mboxzip"],
    ["anywhere", "maildir"],
    ["mail", "maildir"],
    ["zips", "mboxzip"],
    ["our-maildir", "maildir"],
    ["our-mboxzip", "mboxzip"],
  ])("recognises %s as a target by its name", (name, kind) => {
    expect(parseEndpoint(join(root, name), "target")).toMatchObject({ kind });
  });

  it.each([
    ["nothing-here", "there is nothing at"],
    ["half.zip", "never finished"],
  ])("refuses the source %s with what is wrong", (name, why) => {
    expect(words(refusal(() => parseEndpoint(join(root, name), "source")))).toContain(why);
  });

  it("takes an account without its scheme for a mistake", () => {
    for (const role of ["source", "target"] as const)
      expect(words(refusal(() => parseEndpoint("me@imap.example.org", role)))).toContain("imaps://user@host");
  });

  it("writes neither into a file that is there, nor to what is only read", () => {
    expect(words(refusal(() => parseEndpoint(join(root, "picture"), "target")))).toContain("is a file");
    expect(words(refusal(() => parseEndpoint("mbox:x", "target")))).toContain("only read");
    expect(words(refusal(() => parseEndpoint("pop3s://me@h", "target")))).toContain("only read");
  });

  it("reads schemes, their options, and names with odd characters", () => {
    expect(parseEndpoint("mbox:a b.mbox?dialect=cl2&raw=on", "source")).toEqual({
      kind: "mbox",
      path: "a b.mbox",
      dialect: "cl2",
      raw: true,
    });
    expect(parseEndpoint("mboxzip:x.zip?store=on", "target")).toEqual({ kind: "mboxzip", path: "x.zip", store: true });
    expect(parseEndpoint("maildir:50%/what?", "target")).toEqual({ kind: "maildir", path: "50%/what?" });
    expect(parseEndpoint("maildir:~/x", "target")).toEqual({ kind: "maildir", path: join(homedir(), "x") });
    expect(parseEndpoint(join(root, "what?raw=on"), "source")).toMatchObject({ path: join(root, "what?raw=on") });
    expect(words(refusal(() => parseEndpoint("mbox:x?dialect=qmail", "source")))).toContain("auto, rd, o, cl, cl2");
    expect(words(refusal(() => parseEndpoint("maildir://server/x", "target")))).toContain("without a host");
    expect(words(refusal(() => parseEndpoint("zip:x", "target")))).toContain("Did you mean mboxzip:");
  });

  it("names the side of the command line where the mistake is", () => {
    expect(refusal(() => parseEndpoint("imaps://h", "source", "target")).message).toContain("the target");
  });
});

describe("one place twice", () => {
  it("is refused in every spelling", async () => {
    const pairs = [
      ["imaps://Me@host", "imap://me@HOST"],
      ["imaps://me@host:993", "imaps://me@host."],
      [`maildir:${root}/mail`, `maildir:${root}/tree/../link`],
      [`maildir:${root}/new`, `mboxzip:${root}/./new`],
      [`mbox:${root}/thunderbird`, `maildir:${root}/thunderbird/backup/deep`],
      [`maildir:${root}/mail`, `mboxzip:${root}/link/x.zip`],
    ] as const;
    for (const [a, b] of pairs) {
      const refused = refuseSame(parseEndpoint(a, "source"), parseEndpoint(b, "target"));
      await expect(refused, `${a} ${b}`).rejects.toMatchObject({ code: "config" });
    }
  });

  it("is not what two places are", async () => {
    const pairs = [
      ["imaps://me@host", "imaps://you@host"],
      ["imaps://me@host:1993", "imaps://me@host:2993"],
      ["pop3s://me@host", "imaps://me@host"],
      [`maildir:${root}/mail`, `maildir:${root}/mail2`],
      [`mbox:${root}/one.mbox`, `maildir:${root}`],
    ] as const;
    for (const [a, b] of pairs) await refuseSame(parseEndpoint(a, "source"), parseEndpoint(b, "target"));
  });

  it("is told by an identity without secrets", async () => {
    expect(await identityOf(parseEndpoint("imaps://me@x@host", "source"))).toBe("imap://me%40x@host");
  });
});
