// The victim of the kill test: appends what the archive does not hold yet, says each receipt, then seals.

import { createHash } from "node:crypto";
import { writeSync } from "node:fs";
import type { ContentKey } from "../../../src/mail/key.ts";
import { openMboxZipSink } from "../../../src/sinks/mbox-zip.ts";
import { append, folder, NEVER } from "./kit.ts";

const [path = "", count = "0"] = process.argv.slice(2);
const sink = await openMboxZipSink({ path, job: "job" }, NEVER);
if (sink.sealed !== undefined) process.exit(0);
const opened = await Promise.all(["INBOX", "Other"].map((name) => sink.open(folder(name), NEVER)));
const there = new Set<ContentKey>();
for (const one of opened)
  for await (const { key } of one.copies(undefined, NEVER)) if (key !== undefined) there.add(key);

const texts = Array.from(
  { length: Number(count) },
  (_, i) => `Subject: ${i}\r\n\r\nFrom ${i}\r\n${"line\r\n".repeat(i % 97)}`,
);
const keyOf = (text: string) => createHash("sha256").update(text.replaceAll("\r\n", "\n")).digest("hex") as ContentKey;
for (let from = 0; from < texts.length; from += 8)
  await Promise.all(
    texts.slice(from, from + 8).map(async (text, i) => {
      const into = opened[(from + i) % 2];
      if (into === undefined || there.has(keyOf(text))) return;
      const ref = await append(into, text);
      writeSync(1, `${from + i} ${ref}\n`);
    }),
  );
writeSync(1, "sealing\n");
await sink.seal(NEVER);
writeSync(1, "sealed\n");
await sink[Symbol.asyncDispose]();
writeSync(1, "done\n");
