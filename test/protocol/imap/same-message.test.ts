// One message asked for several times at once: each who asks gets it, in whatever order a server sends its rows and answers.

import { expect, it } from "vitest";
import { fetchContent } from "../../../src/protocol/imap/bodies.ts";
import type { Connection } from "../../../src/protocol/imap/connection.ts";
import { GATHER_LIMIT } from "../../../src/protocol/imap/scanner.ts";
import { command, type Heard, play } from "./wire.ts";

async function sizeOf(connection: Connection, uid: number): Promise<number> {
  let size = 0;
  for await (const chunk of fetchContent(connection, uid)) size += chunk.length;
  return size;
}

it.each([
  ["small, rows before answers", 3, "together"],
  ["small, one by one", 3, "in turn"],
  ["large, rows before answers", GATHER_LIMIT + 7, "together"],
  ["large, one by one", GATHER_LIMIT + 7, "in turn"],
])("%s", async (_, size, order) => {
  const body = Buffer.alloc(size, "x");
  await using played = await play(async (talk) => {
    const heard: Heard[] = [];
    for (let n = 0; n < 3; n++) {
      const next = await command(talk);
      if (next === undefined) throw new Error("somebody does not ask");
      heard.push(next);
    }
    const row = (): void => {
      talk.send(`* 1 FETCH (UID 7 BODY[] {${size}}\r\n`);
      talk.send(body);
      talk.send(")\r\n");
    };
    if (order === "together") for (const __ of heard) row();
    for (const { tag } of heard) {
      if (order !== "together") row();
      talk.send(`${tag} OK done\r\n`);
    }
  });
  const { connection } = played;
  const sizes = await Promise.all([7, 7, 7].map((uid) => sizeOf(connection, uid)));
  expect(sizes).toEqual([size, size, size]);
});
