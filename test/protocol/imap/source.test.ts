// The source against servers that are poor or hostile: messages that end the connection, no UIDPLUS, no extensions at all.

import { describe, expect, it } from "vitest";
import type { Entry, Folder, Origin } from "../../../src/mail/model.ts";
import { expandSet } from "../../../src/protocol/imap/syntax.ts";
import { openImapSource } from "../../../src/sources/imap.ts";
import type { Source } from "../../../src/sources/source.ts";
import { type Conversation, startScripted } from "../../kit/scripted.ts";
import { command, options } from "./wire.ts";

const { signal } = new AbortController();
const META = 'FLAGS (\\Seen \\Recent Work) INTERNALDATE " 1-Jan-2020 00:00:00 +0100" RFC822.SIZE 3';

/** An IMAP4rev1 server without any extension, with three messages in its only folder. */
async function plain(talk: Conversation, poison?: number): Promise<void> {
  talk.send("* OK [CAPABILITY IMAP4rev1] hello\r\n");
  for (let heard = await command(talk); heard !== undefined; heard = await command(talk)) {
    const { tag, text } = heard;
    if (text === "CAPABILITY") talk.send("* CAPABILITY IMAP4rev1\r\n");
    else if (text === 'LIST "" "*"')
      talk.send(
        '* LIST (\\HasNoChildren) "." inBOX\r\n* LIST (\\Noselect) "." {4}\r\na"&-\r\n* LIST (\\Sent) "." "a\\"&-.b"\r\n',
      );
    else if (text.startsWith("LSUB")) talk.send('* LSUB () "." INBOX\r\n');
    else if (text.startsWith("STATUS"))
      talk.send(`* STATUS ${text.split(" ")[1]} (MESSAGES 3 UIDVALIDITY 5 UIDNEXT 4)\r\n`);
    else if (text.startsWith("EXAMINE")) talk.send("* 3 EXISTS\r\n* OK [UIDVALIDITY 5] x\r\n");
    else if (text.startsWith("UID FETCH")) {
      const set = text.split(" ")[2] ?? "";
      for (const uid of expandSet(set === "1:*" ? "1:3" : set, 10) ?? []) {
        if (text.includes("BODY") && uid === poison) {
          talk.end();
          return;
        }
        talk.send(`* ${uid} FETCH (UID ${uid} ${META}${text.includes("BODY") ? " BODY[] abc" : ""})\r\n`);
      }
    }
    talk.send(`${tag} OK\r\n`);
  }
}

async function foldersOf(source: { folders(signal: AbortSignal): AsyncIterable<Folder> }): Promise<Folder[]> {
  const all: Folder[] = [];
  for await (const folder of source.folders(signal)) all.push(folder);
  return all;
}

it("without extensions all is found by LIST, LSUB and STATUS, and no state is promised", async () => {
  await using played = await startScripted((talk) => plain(talk));
  await using source = await openImapSource(options(played.port), signal);
  expect(await foldersOf(source)).toEqual([
    { path: ["INBOX"], name: "inBOX", selectable: true, use: "inbox", subscribed: true, messages: 3 },
    { path: ['a"&'], name: 'a"&-', selectable: false, subscribed: false },
    { path: ['a"&', "b"], name: 'a"&-.b', selectable: true, use: "sent", subscribed: false, messages: 3 },
  ]);
  const entries: unknown[] = [];
  const folder: Folder = { path: ["INBOX"], name: "inBOX", selectable: true };
  const want = (entry: unknown): boolean => {
    entries.push(entry);
    return false;
  };
  for await (const _ of source.read({ folder }, { want, signal })) throw new Error("nothing was wanted");
  expect(entries[0]).toEqual({
    origin: { folder: ["INBOX"], generation: "5", id: "1" },
    traits: {
      flags: new Set(["seen"]),
      keywords: new Set(["Work"]),
      labels: new Set(),
      received: { epochSeconds: 1577833200, zoneMinutes: 60 },
    },
    size: 3,
  });
  expect(entries).toHaveLength(3);
});

describe("a message that ends the connection each time", () => {
  const folder: Folder = { path: ["INBOX"], name: "INBOX", selectable: true };
  const origin = (id: string): Origin => ({ folder: ["INBOX"], generation: "5", id });

  /** One reading: what came, and what ended it. */
  async function reading(source: Source, ids: readonly string[], alone: boolean) {
    const came: string[] = [];
    let failure: unknown;
    try {
      const want = (entry: Entry): boolean => ids.includes(entry.origin.id);
      for await (const { entry, content } of source.read({ folder }, { want, alone, signal })) {
        for await (const _ of content);
        came.push(entry.origin.id);
      }
    } catch (error) {
      failure = error;
    }
    return { came, failure };
  }

  it("is named by the error, as the first of what was asked for together", async () => {
    await using played = await startScripted((talk) => plain(talk, 2));
    await using source = await openImapSource(options(played.port), signal);
    const { came, failure } = await reading(source, ["1", "2", "3"], false);
    expect(came).toEqual(["1"]);
    expect(failure).toMatchObject({ code: "connection", details: { suspects: [origin("2"), origin("3")] } });
  });

  it("is asked for by itself where all are suspects: those before it come, and it alone is named", async () => {
    await using played = await startScripted((talk) => plain(talk, 2));
    await using source = await openImapSource(options(played.port), signal);
    const { came, failure } = await reading(source, ["1", "2", "3"], true);
    expect(came).toEqual(["1"]);
    expect(failure).toMatchObject({ code: "connection", details: { suspects: [origin("2")] } });
    expect(await reading(source, ["3"], true)).toEqual({ came: ["3"], failure: undefined });
    const asked = played.heard.filter((line) => line.includes("BODY.PEEK[]"));
    expect(asked.map((line) => / UID FETCH (\S+)/.exec(line)?.[1])).toEqual(["1", "2", "3"]);
  });
});

it("without UIDPLUS nothing is deleted, not even marked", async () => {
  await using played = await startScripted((talk) => plain(talk));
  await using source = await openImapSource(options(played.port), signal);
  async function* origins(): AsyncGenerator<Origin> {
    yield { folder: ["INBOX"], generation: "5", id: "1" };
  }
  const remove = async (): Promise<void> => {
    for await (const _ of source.remove?.(origins(), signal) ?? []) throw new Error("nothing can be gone");
  };
  await expect(remove()).rejects.toMatchObject({ code: "config", message: expect.stringContaining("UIDPLUS") });
  expect(played.heard.join("\n")).not.toMatch(/STORE|EXPUNGE/);
});
