// Deleting on a server: exactly these messages, and through the Trash where EXPUNGE would only take a label away.

import { expect, it } from "vitest";
import type { Origin } from "../../../src/mail/model.ts";
import { expandSet } from "../../../src/protocol/imap/syntax.ts";
import { openImapSource } from "../../../src/sources/imap.ts";
import { type Conversation, startScripted } from "../../kit/scripted.ts";
import { command, options } from "./wire.ts";

const { signal } = new AbortController();

/** Three messages in every folder; MOVE and UID EXPUNGE take them away, \Deleted of others stays. */
async function serve(talk: Conversation, capabilities: string, trash: string | undefined): Promise<void> {
  const held = new Set([1, 2, 3]);
  const marked = new Set<number>([3]);
  talk.send(`* OK [CAPABILITY ${capabilities}] hello\r\n`);
  for (let heard = await command(talk); heard !== undefined; heard = await command(talk)) {
    const { tag, text } = heard;
    const uids = expandSet(text.split(" ")[2] ?? "", 10) ?? [];
    if (text === "CAPABILITY") talk.send(`* CAPABILITY ${capabilities}\r\n`);
    else if (text.startsWith("LIST"))
      talk.send(
        `* LIST (\\HasNoChildren) "/" INBOX\r\n${trash === undefined ? "" : `* LIST (\\Trash) "/" "${trash}"\r\n`}`,
      );
    else if (text.startsWith("SELECT")) talk.send("* 3 EXISTS\r\n* OK [UIDVALIDITY 5] x\r\n");
    else if (text.startsWith("UID MOVE")) for (const uid of uids) held.delete(uid);
    else if (text.startsWith("UID STORE")) for (const uid of uids) marked.add(uid);
    else if (text.startsWith("UID EXPUNGE")) for (const uid of uids) if (marked.has(uid)) held.delete(uid);
    if (text.startsWith("UID FETCH"))
      for (const uid of uids) if (held.has(uid)) talk.send(`* ${uid} FETCH (UID ${uid})\r\n`);
    talk.send(`${tag} OK done\r\n`);
  }
}

async function remove(capabilities: string, trash: string | undefined, folder = "INBOX") {
  await using played = await startScripted((talk) => serve(talk, `IMAP4rev1 ${capabilities}`, trash));
  await using source = await openImapSource({ ...options(played.port), connections: 1 }, signal);
  const said = await source.checkRemove?.(signal).catch((error: unknown) => error);
  async function* origins(): AsyncGenerator<Origin> {
    for (const id of ["1", "2"]) yield { folder: folder.split("/"), generation: "5", id };
  }
  const gone: string[] = [];
  let error: unknown;
  try {
    for await (const { id } of source.remove?.(origins(), signal) ?? []) gone.push(id);
  } catch (caught) {
    error = caught;
  }
  const told = played.heard
    .map((line) => line.replace(/^\S+ /, ""))
    .filter((line) => /STORE|EXPUNGE|MOVE|COPY/.test(line));
  return { said, gone, told, error };
}

it("with UIDPLUS exactly the named ones go, whatever else is marked", async () => {
  expect(await remove("UIDPLUS MOVE", "Trash")).toEqual({
    said: undefined,
    gone: ["1", "2"],
    told: ["UID STORE 1:2 +FLAGS.SILENT (\\Deleted)", "UID EXPUNGE 1:2"],
    error: undefined,
  });
});

it("a server that works as Gmail does gets a move to its Trash, by its own name, and the user is told", async () => {
  expect(await remove("X-GM-EXT-1 UIDPLUS MOVE", "[Gmail]/Papierkorb")).toEqual({
    said: expect.stringContaining("[Gmail]/Papierkorb"),
    gone: ["1", "2"],
    told: ['UID MOVE 1:2 "[Gmail]/Papierkorb"'],
    error: undefined,
  });
});

it("without MOVE it is copied there first", async () => {
  const { told, gone } = await remove("X-GM-EXT-1 UIDPLUS", "Trash");
  expect(gone).toEqual(["1", "2"]);
  expect(told).toEqual(['UID COPY 1:2 "Trash"', "UID STORE 1:2 +FLAGS.SILENT (\\Deleted)", "UID EXPUNGE 1:2"]);
});

it("in the Trash itself deleting is for good", async () => {
  const { told } = await remove("X-GM-EXT-1 UIDPLUS MOVE", "Trash", "Trash");
  expect(told).toEqual(["UID STORE 1:2 +FLAGS.SILENT (\\Deleted)", "UID EXPUNGE 1:2"]);
});

it.each([
  ["MOVE", "Trash", /UIDPLUS/],
  ["", undefined, /UIDPLUS/],
  ["X-GM-EXT-1 UIDPLUS MOVE", undefined, /shows no Trash/],
])(
  "with %j and the Trash %j it is refused beforehand, and nothing is touched",
  async (capabilities, trash, message) => {
    const { said, gone, told, error } = await remove(capabilities, trash);
    for (const refusal of [said, error])
      expect(refusal).toMatchObject({ code: "config", message: expect.stringMatching(message) });
    expect([gone, told]).toEqual([[], []]);
  },
);
