// One connection: commands go out without waiting, answers find their own, and a server that stops or leaves is noticed.

import { setImmediate as tick } from "node:timers/promises";
import { expect, it } from "vitest";
import type { DataResponse } from "../../../src/protocol/imap/parse.ts";
import { literalOf } from "../../../src/protocol/imap/syntax.ts";
import { command, play } from "./wire.ts";

it("commands are sent before earlier ones are answered, and answers may come in any order", async () => {
  await using played = await play(async (talk) => {
    const heard = [await command(talk), await command(talk), await command(talk)];
    for (const one of heard.reverse()) talk.send(`${one?.tag} OK ${one?.text}\r\n`);
    await command(talk);
  });
  const answers = await Promise.all(["ONE", "TWO", "THREE"].map((text) => played.connection.run(text)));
  expect(answers.map(({ text }) => text)).toEqual(["ONE", "TWO", "THREE"]);
});

it.each([
  [["LITERAL+"], 5000, "{5000+}"],
  [["LITERAL-"], 4096, "{4096+}"],
  [["LITERAL-"], 4097, "{4097}"],
  [[], 1, "{1}"],
])("with %j a literal of %i octets goes as %s", async (capabilities, size, marker) => {
  await using played = await play(async (talk) => {
    const heard = await command(talk);
    expect(heard?.literals[0]?.length).toBe(size);
    talk.send(`${heard?.tag} OK ${heard?.text.replaceAll(/[{}]/g, "|")}\r\n`);
    await command(talk);
  }, capabilities);
  const { text } = await played.connection.run(["X ", literalOf(Buffer.alloc(size, 10)), " Y"]);
  expect(text).toBe(`X ${marker.replaceAll(/[{}]/g, "|")} Y`);
  expect(played.server.failures).toEqual([]);
});

it("a synchronising literal that is refused is not sent, and the next command goes on", async () => {
  await using played = await play(async (talk) => {
    await command(talk, (_, tag) => {
      talk.send(`${tag} NO [OVERQUOTA] full\r\n`);
      return true;
    });
    const next = await command(talk);
    talk.send(`${next?.tag} OK ${next?.text}\r\n`);
    await command(talk);
  }, []);
  const first = played.connection.run(["APPEND x ", literalOf(Buffer.from("secret"))]);
  const second = played.connection.run("NOOP");
  expect(await first).toMatchObject({ status: "NO", code: "OVERQUOTA" });
  expect(await second).toMatchObject({ status: "OK", text: "NOOP" });
  expect(played.server.heard.join("\n")).not.toContain("secret");
});

it("untagged data goes to the oldest command that takes it", async () => {
  await using played = await play(async (talk) => {
    const a = await command(talk);
    const b = await command(talk);
    talk.send(`* 1 A\r\n* 2 B\r\n* 3 C\r\n${a?.tag} OK\r\n* 4 A\r\n* 5 B\r\n${b?.tag} OK\r\n`);
    await command(talk);
  });
  const seen: string[] = [];
  const listener = (name: string) => ({
    data: (response: DataResponse) => {
      if (response.name !== name) return false;
      seen.push(`${name}${response.number}`);
      return true;
    },
  });
  await Promise.all([played.connection.run("A", listener("A")), played.connection.run("B", listener("B"))]);
  expect(seen).toEqual(["A1", "B2", "B5"]);
});

it("BYE and the end: what was sent has an unknown outcome, and the server's words are told", async () => {
  await using played = await play(async (talk) => {
    await command(talk);
    talk.send("* BYE shutting down\r\n");
    talk.end();
  });
  await expect(played.connection.run("X")).rejects.toMatchObject({
    code: "connection",
    message: expect.stringContaining("shutting down"),
    details: { remedy: "retry", scope: "account", outcome: "unknown" },
  });
  await expect(played.connection.run("Y")).rejects.toMatchObject({ details: { outcome: "none" } });
});

it("a command that waits behind a literal when the connection ends never happened", async () => {
  await using played = await play(async (talk) => {
    await talk.line();
    talk.reset();
  }, []);
  const first = played.connection.run(["APPEND x ", literalOf(Buffer.from("abc"))]);
  const second = played.connection.run("APPEND y");
  await expect(first).rejects.toMatchObject({ details: { outcome: "unknown" } });
  await expect(second).rejects.toMatchObject({ details: { outcome: "none" } });
});

it("a server that says nothing is given up after the time set, but not while it is we who hold", async () => {
  await using played = await play(
    async (talk) => {
      await command(talk);
      await command(talk);
    },
    [],
    40,
  );
  played.connection.hold();
  const waiting = played.connection.run("X");
  const early = await Promise.race([waiting.catch(() => "failed"), new Promise((resolve) => setTimeout(resolve, 150))]);
  expect(early).toBeUndefined();
  played.connection.release();
  await expect(waiting).rejects.toMatchObject({ code: "connection", message: expect.stringContaining("no answer") });
});

it("an abort ends every wait", async () => {
  await using played = await play(async (talk) => {
    await command(talk);
    await command(talk);
  });
  const abort = new AbortController();
  const waiting = played.connection.abortable(abort.signal, () => played.connection.run("X"));
  await tick();
  abort.abort();
  await expect(waiting).rejects.toMatchObject({ details: { outcome: "unknown" } });
});

it.each(["nonsense\r\n", "z9 OK who?\r\n", "* 1 FETCH (\r\n"])(
  "%j from the server ends the connection",
  async (words) => {
    await using played = await play(async (talk) => {
      await command(talk);
      talk.send(words);
      await command(talk);
    });
    await expect(played.connection.run("X")).rejects.toMatchObject({ code: "protocol", details: { remedy: "retry" } });
  },
);

it("a literal that is shorter than announced ends the connection instead of the message becoming commands", async () => {
  await using played = await play(async (talk) => {
    await talk.line();
    await talk.line();
  });
  const short = { size: 10, chunks: () => literalOf(Buffer.from("abc")).chunks() };
  await expect(played.connection.run(["APPEND x ", short])).rejects.toMatchObject({ code: "connection" });
});
