// Our POP3 client and source against a real Dovecot: exact bytes, exact deletion, TLS both ways.

import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { MailError } from "../../../src/mail/errors.ts";
import { keyOf } from "../../../src/mail/key.ts";
import type { Entry, Folder, Origin } from "../../../src/mail/model.ts";
import type { ServerOptions } from "../../../src/protocol/server.ts";
import { openPop3Source } from "../../../src/sources/pop3.ts";
import type { Source } from "../../../src/sources/source.ts";
import { makeCertificates } from "../../kit/certificates.ts";
import { type Dovecot, startDovecot } from "../../kit/dovecot.ts";

const never = new AbortController().signal;
const FOLDER: Folder = { path: ["INBOX"], selectable: true };
const COUNT = 300;

let dovecot: Dovecot;
beforeAll(async () => {
  dovecot = await startDovecot({ users: [], fsync: false });
});
afterAll(() => dovecot?.stop());

/** Odd mail, the same in every run. No NUL: Dovecot changes it. */
function message(i: number): Buffer {
  const head = `From: a@example.org\r\nSubject: message ${i}\r\nMessage-ID: <${i}@example.org>\r\n\r\n`;
  const bodies: readonly string[] = [
    "plain\r\n",
    ".\r\n..\r\n...\r\n.x\r\n",
    "\xe4\xf6\xfc\xff\x80\x01\x7f\r\n",
    "no end of line",
    "",
    "lone \r here\r\n\r\r\n.\r\n",
    `${"x".repeat(100_000)}\r\n`,
    "From here\r\n>From there\r\n",
    "\r\n\r\n\r\n",
    `${".\r\n".repeat(5_000)}`,
    `${"line of text\r\n".repeat(i * 10)}`,
    "LF\nonly\n.\n..\n",
  ];
  const whole = `${head}${bodies[i % bodies.length] ?? ""}`;
  // Dovecot stores LF or CRLF; both come back as CRLF.
  const text = i % 2 === 0 ? whole : whole.replaceAll("\r\n", "\n");
  return Buffer.from(i === 7 ? `${text}${"big \xe9 line\r\n".repeat(1_500_000)}` : text, "latin1");
}

async function fill(user: string, count: number): Promise<string[]> {
  await dovecot.addUser(user);
  for (const name of ["cur", "new", "tmp"]) mkdirSync(join(dovecot.maildir(user), name), { recursive: true });
  const keys: string[] = [];
  for (let i = 0; i < count; i++) {
    const bytes = message(i);
    writeFileSync(join(dovecot.maildir(user), "new", `${1_700_000_000 + i}.M${i}.test`), bytes);
    keys.push(await keyed(bytes));
  }
  dovecot.adopt(user);
  return keys;
}

async function keyed(bytes: Buffer): Promise<string> {
  async function* whole(): AsyncGenerator<Uint8Array> {
    yield bytes;
  }
  return (await keyOf(whole())).key;
}

async function keysLeft(user: string): Promise<string[]> {
  const keys: string[] = [];
  for (const folder of ["cur", "new"])
    for (const name of readdirSync(join(dovecot.maildir(user), folder)))
      keys.push(await keyed(readFileSync(join(dovecot.maildir(user), folder, name))));
  return keys.sort();
}

/** Content key by UIDL. */
async function readAll(source: Source): Promise<Map<string, string>> {
  const offered: Entry[] = [];
  const keys = new Map<string, string>();
  const want = (entry: Entry) => offered.push(entry) > 0;
  for await (const { entry, content } of source.read({ folder: FOLDER }, { want, signal: never }))
    keys.set(entry.origin.id, (await keyOf(content)).key);
  expect(keys.size).toBe(offered.length);
  return keys;
}

async function removeAll(source: Source, ids: readonly string[]): Promise<string[]> {
  async function* origins(): AsyncGenerator<Origin> {
    for (const id of ids) yield { folder: ["INBOX"], generation: "maildrop", id };
  }
  const gone: string[] = [];
  for await (const origin of source.remove?.(origins(), never) ?? []) gone.push(origin.id);
  return gone;
}

async function refusal(options: ServerOptions): Promise<MailError> {
  return openPop3Source(options, never).then(
    () => Promise.reject(new Error("let in")),
    (error: MailError) => error,
  );
}

describe("a Dovecot maildrop", () => {
  it("gives every message, exact, over STLS and over TLS; then loses exactly what it was told to", async () => {
    const keys = await fill("drop", COUNT);
    let ids = new Map<string, string>();
    for (const kind of ["pop3", "pop3s"] as const) {
      await using source = await openPop3Source(dovecot.serverOptions(kind, "drop"), never);
      ids = await readAll(source);
      expect([...ids.values()].sort()).toEqual([...keys].sort());
    }
    const asked = [...ids.keys()].filter((_, i) => i % 3 === 0);
    await using source = await openPop3Source(dovecot.serverOptions("pop3s", "drop"), never);
    expect((await removeAll(source, [...asked, "no such id"])).sort()).toEqual([...asked].sort());
    const left = [...ids].filter(([id]) => !asked.includes(id)).map(([, key]) => key);
    expect(await keysLeft("drop")).toEqual(left.sort());
    // The others kept their ids.
    expect([...(await readAll(source)).keys()]).toEqual([...ids.keys()].filter((id) => !asked.includes(id)));
  });

  it("is free again at once when a session has ended: reading and deleting in turn, twenty times", async () => {
    await fill("turns", 20);
    await using source = await openPop3Source(dovecot.serverOptions("pop3s", "turns"), never);
    for (let left = 20; left > 0; left--) {
      const [first = ""] = (await readAll(source)).keys();
      expect(await removeAll(source, [first])).toEqual([first]);
    }
    expect(await keysLeft("turns")).toEqual([]);
  });

  it("tells its counts, and is empty without an error", async () => {
    await fill("none", 0);
    await using source = await openPop3Source(dovecot.serverOptions("pop3", "none"), never);
    for await (const folder of source.folders(never)) expect([folder.messages, folder.bytes]).toEqual([0, 0]);
    expect((await readAll(source)).size).toBe(0);
  });

  it("that another session holds is a clear error", async () => {
    await fill("held", 1);
    const options = dovecot.serverOptions("pop3s", "held");
    await using _holder = await openPop3Source(options, never);
    const error = await refusal(options);
    expect([error.code, error.details.remedy]).toEqual(["locked", "wait"]);
  });

  it("refuses a wrong password as auth, and a certificate that is not its own as config", async () => {
    await fill("safe", 1);
    const options = dovecot.serverOptions("pop3s", "safe");
    const wrong = await refusal({ ...options, password: async () => "wrong" });
    expect([wrong.code, wrong.details.remedy]).toEqual(["auth", "give-up"]);
    for (const kind of ["pop3", "pop3s"] as const) {
      const { ca: _ca, ...bare } = dovecot.serverOptions(kind, "safe");
      expect((await refusal({ ...bare, ca: makeCertificates().ca })).code).toBe("config");
      expect((await refusal({ ...bare, fingerprint: "0".repeat(64) })).code).toBe("config");
      await using source = await openPop3Source({ ...bare, fingerprint: dovecot.fingerprint }, never);
      expect((await readAll(source)).size).toBe(1);
    }
  });

  it("is logged into in the clear where that is asked for", async () => {
    await fill("clear", 3);
    const { ca: _ca, ...options } = dovecot.serverOptions("pop3", "clear");
    await using source = await openPop3Source({ ...options, security: "none" }, never);
    expect((await readAll(source)).size).toBe(3);
  });
});
