// Whatever is in a user name, a password, a folder name or a keyword: the server hears the commands that we meant, and no others.

import { expect, it } from "vitest";
import { NO_TRAITS } from "../../src/mail/model.ts";
import { connectImap } from "../../src/protocol/imap/session.ts";
import { openPop3SessionAs } from "../../src/protocol/pop3/session.ts";
import { openImapSink } from "../../src/sinks/imap.ts";
import { openImapSource } from "../../src/sources/imap.ts";
import { oddText } from "../fuzz/generate.ts";
import { count } from "../kit/counts.ts";
import { randomFrom } from "../kit/random.ts";
import { folderOf, messageOf, readAll, signal } from "../server/imap/helpers.ts";
import { type Account, account, options } from "./imap/account.ts";
import type { Heard } from "./imap/wire.ts";
import { scriptedServer } from "./pop3/scripted-server.ts";

/** What would be a command of its own, if it got the chance. */
const EVIL: readonly string[] = [
  "x\r\nx9 DELETE INBOX\r\n",
  "x\nx9 DELETE INBOX\n",
  "x\rx9 DELETE INBOX\r",
  "x\0y",
  '" x9 DELETE INBOX "',
  '\\" DELETE \\',
  "\\",
  '"',
  "{3}\r\nabc",
  "{3+}\r\nabc",
  "{12}",
  "~{3}",
  ") DELETE (",
  "%*%",
  "x\x01auth=Bearer y\x01",
  "x\x1b[2J",
  "x\x7f",
  "\x80\x9b",
  "ä\u2028ö",
  "DELE 1",
  " ",
  "  two  ",
  "\t",
  "&-&AGE-",
  "NIL",
  "INBOX",
];
const CASES = [...new Set([...EVIL, ...Array.from({ length: 30 }, (_, seed) => oddText(randomFrom(seed + 1)) || "x")])];

/** The strings of a command, quoted or literal, as the server understands them. */
function stringsOf({ text, literals }: Heard): string[] {
  let next = 0;
  return [...text.matchAll(/"((?:[^"\\]|\\.)*)"|\{\d+\+?\}/g)].map(([, quoted]) =>
    quoted === undefined ? (literals[next++]?.toString("latin1") ?? "") : quoted.replace(/\\(.)/g, "$1"),
  );
}

const VERBS =
  /^(?:CAPABILITY|LOGIN|AUTHENTICATE PLAIN|ID|NAMESPACE|LIST|LSUB|STATUS|SELECT|EXAMINE|CREATE|SUBSCRIBE|APPEND|UID FETCH|UID STORE|NOOP|LOGOUT|ENABLE|CLOSE)\b/;

function expectOnlyOurs({ server, heard }: Account): void {
  expect(server.failures).toEqual([]);
  for (const { text } of heard) expect(text).toMatch(VERBS);
  expect(heard.map(({ text }) => text).join("\n")).not.toMatch(/^DELETE/m);
}

it.each(["IMAP4rev1", "IMAP4rev1 LITERAL+", "IMAP4rev1 AUTH=PLAIN SASL-IR"])(
  "IMAP (%s): user names and passwords arrive whole, or nothing is sent",
  async (capabilities) => {
    for (const text of CASES) {
      const made = await account(capabilities);
      await using _ = made.server;
      for (const [user, pass] of [
        [text, "sesame"],
        ["ali", text],
      ] as const) {
        made.heard.length = 0;
        const isRefused = /[\r\n\0]/.test(text) || (user === text && /[\x00-\x1f\x7f]/.test(text));
        const before = made.server.connections;
        const connecting = connectImap(options(made.server.port, user, pass), { name: "t" }, signal);
        if (isRefused) {
          await expect(connecting).rejects.toMatchObject({ code: "config" });
          expect(made.server.connections).toBe(before);
          continue;
        }
        const ended = await connecting.then(
          (connection) => connection.close(),
          (error: unknown) => error,
        );
        expect(ended).toBeUndefined();
        expectOnlyOurs(made);
        const utf8 = (one: string): string => Buffer.from(one, "utf8").toString("latin1");
        const login = made.heard.find(({ text: said }) => said.startsWith("LOGIN"));
        const plain = made.server.heard.findLast((line) => /AUTHENTICATE PLAIN|^[A-Za-z0-9+/=]{8,}$/.test(line));
        if (login !== undefined) {
          const said = stringsOf(login);
          // What needs no quotes has none.
          const bare = login.text.split(" ").slice(1);
          expect(
            said.length === 2 ? said : bare.length === 2 ? bare.map((one) => one.replace(/^"|"$/g, "")) : said,
          ).toEqual([utf8(user), utf8(pass)]);
        } else {
          const given = Buffer.from(plain?.split(" ").at(-1) ?? "", "base64").toString("latin1");
          expect(given).toBe(utf8(`\0${user}\0${pass}`));
        }
      }
    }
  },
);

it.each(["IMAP4rev1 LITERAL+", "IMAP4rev1"])(
  "IMAP (%s): folder names and keywords are strings and atoms, however they are made",
  async (capabilities) => {
    const made = await account(capabilities);
    await using _ = made.server;
    await using sink = await openImapSink(options(made.server.port), signal);
    const names = new Set<string>();
    for (const text of CASES) {
      count("hostile names");
      made.heard.length = 0;
      const opened = await sink.open(folderOf([text, text], { subscribed: true }), signal);
      expect(names.has(opened.name), text).toBe(false);
      names.add(opened.name);
      expect(opened.name).toMatch(/^[\x20-\x7e]+$/);
      const keywords = new Set([text, "fine"]);
      const { losses = [] } = await opened.append(
        await messageOf("Subject: x\r\n\r\nx\r\n", { ...NO_TRAITS, keywords }),
        signal,
      );
      const append = made.heard.find(({ text: said }) => said.startsWith("APPEND"));
      expect(append?.text).toMatch(
        /^APPEND (?:"(?:[^"\\]|\\.)*") \([!#$&'+,\-./0-9:;<=>?@A-Z[^_`a-z|}~ ]*\)(?: "[^"]*")? \{\d+\+?\}$/,
      );
      const kept =
        /^APPEND "" \(([^)]*)\)/.exec(append?.text.replace(/"(?:[^"\\]|\\.)*"/g, '""') ?? "")?.[1]?.split(" ") ?? [];
      expect(kept).toContain("fine");
      if (!kept.includes(text)) expect(losses).toContainEqual(expect.objectContaining({ kind: "keyword", name: text }));
      expectOnlyOurs(made);
      for (const one of made.heard.filter(({ text: said }) => /^(?:CREATE|SELECT|APPEND)/.test(said)))
        expect([opened.name, ...parents(opened.name)]).toContain(stringsOf(one)[0]);
    }
    made.heard.length = 0;
    await sink.seal(signal);
    expectOnlyOurs(made);
  },
);

it("IMAP: keywords of a source add nothing to the STORE that carries them over", async () => {
  const made = await account("IMAP4rev1 LITERAL+ UIDPLUS");
  await using _ = made.server;
  await using sink = await openImapSink(options(made.server.port), signal);
  const opened = await sink.open(folderOf(["INBOX"]), signal);
  const nothing = { flags: new Set<never>(), keywords: new Set<string>(), labels: new Set<string>() };
  for (const text of [
    ...CASES,
    "}",
    "k}",
    "k)",
    'k"',
    "k\r\nx9 DELETE INBOX",
    "k\n",
    "k\0",
    "a b",
    "\\Seen",
    "\\Deleted",
  ]) {
    count("hostile names");
    for (const side of ["add", "remove"] as const) {
      made.heard.length = 0;
      const keywords = new Set([text, "fine"]);
      const change = { add: nothing, remove: nothing, [side]: { ...nothing, keywords } };
      const failure: unknown = await opened.update?.({ ref: "7:5" }, change, signal).catch((error: unknown) => error);
      const stores = made.heard.filter(({ text: said }) => !said.startsWith("NOOP")).map(({ text: said }) => said);
      expect(stores.length, text).toBe(1);
      const [, names = ""] =
        /^UID STORE 5 [+-]FLAGS\.SILENT \(([!#$&'+,\-./0-9:;<=>?@A-Z[^_`a-z|}~ ]*)\)$/.exec(stores[0] ?? "") ?? [];
      // The one keyword as it is, or not at all: no part of it.
      expect([["fine"], [text, "fine"]], text).toContainEqual(names.split(" "));
      if (side === "add" && names === "fine" && text !== "fine")
        expect(failure, text).toMatchObject({ code: "malformed", details: { scope: "message" } });
      else expect(failure, text).toBeUndefined();
      expectOnlyOurs(made);
    }
  }
});

const parents = (name: string): string[] => name.split("/").map((_, i, parts) => parts.slice(0, i).join("/"));

it("IMAP: names that a server lists with anything in them are given back to it octet for octet", async () => {
  const listed = CASES.map((text) => Buffer.from(text, "utf8").toString("latin1")).filter(
    (name) => !/^inbox$/i.test(name) && name !== "",
  );
  const unique = [...new Set(listed)];
  const made = await account("IMAP4rev1 LITERAL+", { listed: unique });
  await using _ = made.server;
  await using source = await openImapSource(options(made.server.port), signal);
  const folders: string[][] = [];
  for await (const { path } of source.folders(signal)) folders.push([...path]);
  expect(folders.length).toBe(unique.length);
  for (const path of folders) {
    count("hostile names");
    expect(await readAll(source, path)).toEqual([]);
  }
  expectOnlyOurs(made);
  const asked = new Set(made.heard.filter(({ text }) => text.startsWith("EXAMINE")).map((one) => stringsOf(one)[0]));
  expect([...asked].sort()).toEqual([...unique].sort());
});

it.each([["USER"], ["USER", "SASL PLAIN"], ["USER", "PIPELINING"], ["SASL XOAUTH2"]])(
  "POP3 (%s): user names and passwords arrive whole, or nothing is sent",
  async (...capabilities) => {
    const isToken = capabilities[0] === "SASL XOAUTH2";
    for (const text of CASES) {
      await using server = await scriptedServer({
        capabilities,
        on: (line) => (line.startsWith("AUTH") ? { send: "+OK\r\n" } : undefined),
      });
      for (const [user, secret] of [
        [text, "sesame"],
        ["ali", text],
      ] as const) {
        server.commands.length = 0;
        const before = server.sessions;
        const isRefused = /[\r\n\0]/.test(text) || ((user === text || isToken) && /[\x00-\x1f\x7f]/.test(text));
        const credentials = isToken
          ? ({ kind: "token", user, token: secret } as const)
          : ({ kind: "password", user, password: secret } as const);
        const opening = openPop3SessionAs(server.options(), credentials, signal);
        if (isRefused) {
          await expect(opening).rejects.toMatchObject({ code: "config" });
          expect(server.sessions).toBe(before);
          continue;
        }
        await (await opening)[Symbol.asyncDispose]();
        const rest = server.commands.filter((line) => !/^(?:CAPA|QUIT)$/.test(line));
        const [first = ""] = rest;
        // Half a character has no octets: it goes as U+FFFD, as everywhere.
        const told = (one: string): string => Buffer.from(one, "utf8").toString("utf8");
        if (first.startsWith("AUTH")) {
          expect(rest.length).toBeLessThanOrEqual(2);
          const given = Buffer.from(rest.at(-1)?.split(" ").at(-1) ?? "", "base64").toString("utf8");
          expect(given).toBe(
            isToken ? `user=${told(user)}\x01auth=Bearer ${told(secret)}\x01\x01` : `\0${told(user)}\0${told(secret)}`,
          );
        } else expect(rest).toEqual([`USER ${told(user)}`, `PASS ${told(secret)}`]);
      }
    }
  },
);
