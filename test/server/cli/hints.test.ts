// What a message tells to do is done as it stands, and then it works: addresses, passwords, and what only an account has.

import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { advised, Desk } from "../../kit/cli.ts";
import { type Dovecot, startDovecot } from "../../kit/dovecot.ts";
import type { Seed } from "../../kit/imap-client.ts";
import { seedMaildir } from "../../kit/seed-maildir.ts";

let server: Dovecot;
let desk: Desk;

function* mail(): Generator<Seed> {
  for (let i = 0; i < 4; i++)
    yield {
      folder: i < 2 ? ["INBOX"] : ["Clients"],
      bytes: Buffer.from(`Subject: ${i}\r\nMessage-ID: <${i}@x>\r\n\r\nbody ${i}\r\n`),
      flags: [],
      received: { epochSeconds: 1_700_000_000 + i },
    };
}

beforeAll(async () => {
  desk = new Desk();
  server = await startDovecot({ users: ["anna", "ben", "cleo", "post"] });
  for (const user of ["anna", "post"]) seedMaildir(server, user, mail());
});
afterAll(async () => {
  await server?.stop();
  desk[Symbol.dispose]();
});

const run = (args: readonly string[]) =>
  desk.run(args, { MAILFERRY_SOURCE_PASSWORD: server.password, MAILFERRY_TARGET_PASSWORD: server.password });
const anna = (): string => server.url("imaps", "anna");
const ben = (): string => server.url("imaps", "ben");
/** The same address with another scheme, or without its query. */
const as = (url: string, scheme: string): string => url.replace(/^\w+/, scheme);
const plain = (url: string): string => url.replace(/\?.*/, "");
const to = (name: string): string => desk.path(name);

type Words = () => readonly string[];
const HINTS: readonly (readonly [string, Words, string | RegExp, readonly Words[]])[] = [
  [
    "an account as the target of backup",
    () => ["backup", anna(), ben()],
    "Use: mailferry migrate SOURCE TARGET.",
    [() => ["migrate", anna(), ben()]],
  ],
  [
    "an account as the target of a backup of an archive",
    () => ["backup", desk.put("local", ["a"]), ben()],
    "Use: mailferry restore ARCHIVE TARGET.",
    [() => ["restore", to("local"), ben()]],
  ],
  [
    "restore from an account",
    () => ["restore", anna(), to("restored")],
    "Use: mailferry migrate, or backup.",
    [() => ["migrate", anna(), ben()], () => ["backup", anna(), to("restored")]],
  ],
  [
    "verify of an account alone",
    () => ["verify", anna()],
    "Write: mailferry verify SOURCE TARGET.",
    [() => ["backup", anna(), to("verified")], () => ["verify", anna(), to("verified")]],
  ],
  [
    "--leave and --leave-for",
    () => ["drain", anna(), to("left"), "--leave", "--leave-for", "14d"],
    "Give one of them.",
    [() => ["drain", anna(), to("left"), "--leave"], () => ["drain", anna(), to("left"), "--leave-for", "99999d"]],
  ],
  [
    "a bound that is none",
    () => ["drain", anna(), to("left"), "--max-delete", "some", "--leave"],
    "Write --max-delete 500 or --max-delete 10%.",
    [
      () => ["drain", anna(), to("left"), "--max-delete", "500", "--dry-run"],
      () => ["drain", anna(), to("left"), "--max-delete", "10%", "--dry-run"],
    ],
  ],
  [
    "drain into an account",
    () => ["drain", server.url("pop3s", "post"), server.url("imaps", "cleo")],
    "Use: mailferry migrate --move.",
    [() => ["migrate", server.url("pop3s", "post"), server.url("imaps", "cleo"), "--move"]],
  ],
  [
    "a maildrop as a target",
    () => ["migrate", anna(), server.url("pop3s", "ben")],
    "As a target write imaps://…, maildir:… or mboxzip:….",
    [
      () => ["migrate", anna(), ben()],
      () => ["migrate", anna(), `maildir:${to("m")}`],
      () => ["migrate", anna(), `mboxzip:${to("z")}`],
    ],
  ],
  [
    "the same account twice",
    () => ["migrate", anna(), anna()],
    "Choose another target",
    [() => ["migrate", anna(), ben()]],
  ],
  ["no slashes", () => ["folders", anna().replace("//", "")], "Write imaps://user@host.", [() => ["folders", anna()]]],
  [
    "a folder in the address",
    () => ["folders", anna().replace(/(\d)\?/, "$1/Clients?")],
    "Folders are chosen with --folder GLOB.",
    [() => ["folders", anna(), "--folder", "Clients"]],
  ],
  [
    "a port that is none",
    () => ["folders", anna().replace(/:\d+\?/, ":99999?")],
    "A port goes behind the host: host:1993.",
    [() => ["folders", anna()]],
  ],
  [
    "an address of IPv6 without brackets",
    () => ["folders", anna().replace("localhost", "::1")],
    "An IPv6 address stands in brackets: user@[::1]:993.",
    [],
  ],
  ["a % that is none", () => ["folders", anna().replace("anna", "an%na")], "Write %25 for a %.", []],
  [
    "an option that is none",
    () => ["folders", `${anna()}&connection=1`],
    "imap knows tls, ca, fingerprint, connections, compress.",
    [() => ["folders", anna().replace(/&?connections=\d+/, "")]],
  ],
  [
    "a number of connections that is none",
    () => ["folders", `${anna().replace(/&?connections=\d+/, "")}&connections=0`],
    "Write ?connections=4.",
    [() => ["folders", `${anna().replace(/&?connections=\d+/, "")}&connections=4`]],
  ],
  [
    "tls that is no word",
    () => ["folders", `${plain(as(server.url("imap", "anna"), "imap"))}?tls=off`],
    "Write ?tls=none.",
    [() => ["folders", `${plain(server.url("imap", "anna"))}?tls=none`]],
  ],
  [
    "TLS and none",
    () => ["folders", `${plain(anna())}?tls=none`],
    /Write imap:\/\/…\?tls=none, or leave tls=none out\./,
    [() => ["folders", `${plain(server.url("imap", "anna"))}?tls=none`], () => ["folders", anna()]],
  ],
  [
    "a certificate without TLS",
    () => ["folders", `${server.url("imap", "anna")}&tls=none`],
    "Leave ca and fingerprint out.",
    [() => ["folders", `${plain(server.url("imap", "anna"))}?tls=none`]],
  ],
  [
    "the port for STARTTLS",
    () => ["folders", as(server.url("imap", "anna"), "imaps")],
    "where it is the one for STARTTLS or STLS write imap:// or pop3://.",
    [() => ["folders", server.url("imap", "anna")]],
  ],
  [
    "the port for STLS",
    () => ["folders", as(server.url("pop3", "post"), "pop3s")],
    "for port 110 use pop3:// (STLS).",
    [() => ["folders", server.url("pop3", "post")]],
  ],
  [
    "IMAP at POP3's port",
    () => ["folders", as(server.url("pop3", "anna"), "imap")],
    "Write pop3s:// or pop3:// for it",
    [() => ["folders", server.url("pop3", "anna")], () => ["folders", server.url("pop3s", "anna")]],
  ],
  [
    "a ca that is not there",
    () => ["folders", `${plain(anna())}?ca=${to("none.pem")}`],
    "Give the path of a PEM file.",
    [() => ["folders", `${plain(anna())}?ca=${server.caFile}`]],
  ],
  [
    "a ca that is none",
    () => ["folders", `${plain(anna())}?ca=${to("text")}`],
    "It starts with -----BEGIN CERTIFICATE-----.",
    [() => ["folders", `${plain(anna())}?ca=${server.caFile}`]],
  ],
];

it.each(HINTS)("%s", async (_, typed, says, works) => {
  writeFileSync(to("text"), "no certificate\n");
  const refused = await run(typed());
  expect(refused.err).toMatch(says instanceof RegExp ? says : new RegExp(says.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")));
  expect(refused.code).toBe(2);
  for (const words of works) expect({ words: words(), ...(await run(words())) }).toMatchObject({ code: 0 });
});

it("an address of IPv6 is taken in brackets, a user with a % as %25, one with a colon as %3A", async () => {
  const reached = await run(["folders", anna().replace("localhost", "[::1]")]);
  // Where this machine has no IPv6 nobody answers there; read it was.
  expect(reached.err).not.toMatch(/cannot be read|brackets/);
  // Asked for the password, and refused for it: this server knows no such names.
  expect(await run(["folders", anna().replace("anna", "an%25na")])).toMatchObject({ code: 4 });
  const colon = await run(["folders", anna().replace("anna", "an:na")]);
  expect(colon).toMatchObject({ code: 2, err: expect.stringContaining('a ":" in a user name is written %3A') });
  expect(await run(["folders", anna().replace("anna", "an%3Ana")])).toMatchObject({ code: 4 });
});

it("the command that is named prints the fingerprint in a form that is taken", async () => {
  const refused = await run(["folders", `${plain(anna())}?fingerprint=sha256:x`]);
  const command = /(openssl x509 .*) prints it\./.exec(refused.err)?.[1] ?? "";
  const [program = "", ...words] = command.split(" ");
  const file = join(server.directory, "certificate.pem");
  const printed = execFileSync(
    program,
    words.map((word) => (word === "CERTIFICATE" ? file : word)),
  ).toString();
  const digits = /=(\S+)/.exec(printed)?.[1] ?? "";
  expect(await run(["folders", `${plain(anna())}?fingerprint=sha256:${digits}`])).toMatchObject({ code: 0 });
});

describe("a password", () => {
  const bare = (...args: string[]) => desk.run(args);

  it("is given in each way that is named", async () => {
    const { code, err } = await bare("folders", anna());
    expect(code).toBe(2);
    expect(err).toContain("Set MAILFERRY_SOURCE_PASSWORD, or use --source-password-command or --source-password-file.");
    writeFileSync(to("secret"), `${server.password}\n`, { mode: 0o600 });
    expect(await run(["folders", anna()])).toMatchObject({ code: 0 });
    expect(await bare("folders", anna(), "--source-password-file", to("secret"))).toMatchObject({ code: 0 });
    expect(await bare("folders", anna(), "--source-password-command", `cat '${to("secret")}'`)).toMatchObject({
      code: 0,
    });
    const target = await bare("migrate", anna(), ben(), "--source-password-file", to("secret"));
    expect(target.err).toContain("Set MAILFERRY_TARGET_PASSWORD");
    const both = ["--source-password-file", to("secret"), "--target-password-file", to("secret")];
    expect(await bare("migrate", anna(), ben(), ...both)).toMatchObject({ code: 0 });
  });

  it("in a file that others can read: the command that is named mends it", async () => {
    writeFileSync(to("open secret"), `${server.password}\n`, { mode: 0o644 });
    const first = await bare("folders", anna(), "--source-password-file", to("open secret"));
    const command = /mend it with: (.*)$/m.exec(first.err)?.[1] ?? "";
    expect(first.code).toBe(0);
    execFileSync("sh", ["-c", command]);
    const second = await bare("folders", anna(), "--source-password-file", to("open secret"));
    expect(second).toMatchObject({ code: 0, err: "" });
  });

  it("on the command line is refused, and the ways that are named are those", async () => {
    const { code, err } = await bare("folders", anna(), "--password", server.password);
    expect(code).toBe(2);
    expect(err).toContain("MAILFERRY_SOURCE_PASSWORD, --source-password-command, --source-password-file or the prompt");
    expect(err).not.toContain(server.password);
  });
});

it("what is printed at the end of each kind of run is a command that works", async () => {
  const backup = await run(["backup", anna(), to("with 'odd' name"), "--folder", "Clients"]);
  expect(await run(advised(backup.err, "verify"))).toMatchObject({ code: 0 });
  const drain = await run(["drain", server.url("pop3s", "anna"), to("drained it's")]);
  expect(await run(advised(drain.err, "verify"))).toMatchObject({ code: 0 });
});

it("drain of an account says what drains the inbox alone, and what deletes nothing", async () => {
  seedMaildir(server, "cleo", mail());
  const alone = await run(["drain", server.url("imaps", "cleo"), to("cleo"), "--leave"]);
  expect(alone).toMatchObject({ code: 0, err: expect.not.stringContaining("drain deletes") });
  expect(alone.err).not.toMatch(/removed from the source, after proof +[1-9]/);
  const inbox = await run(["drain", server.url("imaps", "cleo"), to("cleo"), "--folder", "INBOX"]);
  expect(inbox.err).toMatch(/drain deletes .* from the one folder of/);
  const { out } = await run(["folders", server.url("imaps", "cleo")]);
  expect(out).toMatch(/^INBOX +inbox +0 /m);
  expect(out).toMatch(/^Clients +[1-9]/m);
});
