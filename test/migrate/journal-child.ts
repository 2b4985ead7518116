// A process that writes records until it is killed, and prints the id of each one that is durable.

import { openLedger } from "../../src/migrate/journal.ts";
import { done, origin, PAIR } from "./journal-kit.ts";

const directory = process.argv[2] ?? "";
const start = Number(process.argv[3] ?? "0");
const ledger = await openLedger(directory, PAIR);
const folder = await ledger.folder("INBOX");
await folder.begin("1");
process.stdout.write("begun\n");
for (let id = start; ; id += 8) {
  const batch = Array.from({ length: 8 }, async (_, i) => {
    await folder.put(done(origin(String(id + i))));
    process.stdout.write(`${id + i}\n`);
  });
  await Promise.all(batch);
}
