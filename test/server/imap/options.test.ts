// The options of an endpoint: compression gives the same bytes, and one connection is enough for everything.

import { expect, it } from "vitest";
import { openImapSink } from "../../../src/sinks/imap.ts";
import { openImapSource } from "../../../src/sources/imap.ts";
import { startDovecot } from "../../kit/dovecot.ts";
import { contentOf, folderOf, messageOf, readAll, signal } from "./helpers.ts";

const TEXTS = Array.from({ length: 30 }, (_, n) => `N: ${n}\r\n\r\n${"0123456789 ".repeat(n * n * 40)}\r\n`);

it("compressed, everything is the same", async () => {
  await using server = await startDovecot({ fsync: false, plugins: ["zlib"], imapPlugins: ["imap_zlib"] });
  const lines: string[] = [];
  const options = {
    ...server.serverOptions("imap", "anna"),
    compress: true,
    trace: (_: string, direction: string, text: string) => lines.push(direction + text),
  };
  await using sink = await openImapSink(options, signal);
  const folder = await sink.open(folderOf(["Box"]), signal);
  for (const text of TEXTS) expect((await folder.append(await messageOf(text), signal)).altered).toBeUndefined();
  await using source = await openImapSource(options, signal);
  expect((await readAll(source, ["Box"])).map(({ bytes }) => bytes?.toString())).toEqual(TEXTS);
  expect(lines.some((line) => line.includes("COMPRESS DEFLATE"))).toBe(true);
});

it("with a single connection nothing waits for itself", async () => {
  await using server = await startDovecot({ fsync: false });
  const options = { ...server.serverOptions("imaps", "anna"), connections: 1 };
  await using sink = await openImapSink(options, signal);
  const [a, b] = await Promise.all([sink.open(folderOf(["A"]), signal), sink.open(folderOf(["B"]), signal)]);
  const stored = await Promise.all(
    TEXTS.map(async (text, n) => {
      const folder = n % 2 === 0 ? a : b;
      const { receipt } = await folder.append(await messageOf(text), signal);
      if (receipt === undefined) throw new Error("no receipt");
      const none = { flags: new Set<never>(), keywords: new Set<string>(), labels: new Set<string>() };
      await folder.update?.(receipt, { add: { ...none, keywords: new Set(["K"]) }, remove: none }, signal);
      return (await contentOf(folder.reopen(receipt, signal))).toString();
    }),
  );
  expect(stored).toEqual(TEXTS);
  let copies = 0;
  for (const folder of [a, b])
    for await (const { traits } of folder.copies(undefined, signal)) copies += traits.keywords.has("K") ? 1 : 0;
  expect(copies).toBe(TEXTS.length);
  expect(await a.position(signal)).toBe("15");
});
