// What a real server does not keep is said exactly: altered messages, refused ones set aside with their bytes, dates lost.

import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { themes } from "../../fixtures/make.ts";
import { run } from "../../src/migrate/run.ts";
import { openImapSink } from "../../src/sinks/imap.ts";
import { type Dovecot, startDovecot } from "../kit/dovecot.ts";
import { type MemoryFolder, memorySource } from "../kit/memory.ts";

const signal = new AbortController().signal;
let dovecot: Dovecot;
let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "mailferry-altered-"));
  dovecot = await startDovecot({ fsync: false });
  await dovecot.addUser("odd");
});
afterAll(async () => {
  await dovecot?.stop();
  await rm(root, { recursive: true, force: true });
});

it("every fixture ends as it must: copied, altered, failed, or with its date lost; and again after the ledger is lost", async () => {
  const fixtures = [...themes()];
  const folders = new Map<string, MemoryFolder>();
  for (const { theme, name, bytes, flags, keywords, received } of fixtures) {
    const folder = folders.get(theme) ?? { path: ["Odd", theme], generation: "1", mail: [] };
    folders.set(theme, folder);
    const traits = { flags: new Set(flags), keywords: new Set(keywords), labels: new Set<string>(), received };
    folder.mail.push({ id: name, bytes, traits });
  }
  const named = (what: string | undefined) =>
    fixtures.filter(({ dovecot: fate }) => fate === what).map(({ theme, name }) => `${theme}/${name}`);
  const expected = {
    altered: named("alters").sort(),
    failed: named("refuses").sort(),
    dateless: named("loses-date").sort(),
  };
  expect(Object.values(expected).map(({ length }) => length > 0)).toEqual([true, true, true]);

  for (const attempt of ["first", "without its ledger"]) {
    const stateDirectory = join(root, attempt);
    await using sink = await openImapSink(dovecot.serverOptions("imaps", "odd"), signal);
    const going = run(memorySource([...folders.values()]), sink, { stateDirectory }, signal);
    const got = { altered: [] as string[], failed: [] as string[], dateless: [] as string[] };
    for await (const event of going) {
      if (event.type !== "message-settled") continue;
      const { folder, id } = event.entry.origin;
      const name = `${folder[1]}/${id}`;
      if (event.as === "altered" || event.as === "failed") got[event.as].push(name);
      if (event.losses.some(({ kind }) => kind === "received")) got.dateless.push(name);
      if (event.as !== "altered" && event.as !== "failed") continue;
      const bytes = fixtures.find((fixture) => `${fixture.theme}/${fixture.name}` === name)?.bytes;
      expect(await readFile(event.quarantine ?? ""), name).toEqual(bytes);
    }
    const summary = await going.finished;
    for (const list of Object.values(got)) list.sort();
    expect(got, attempt).toEqual(expected);
    expect(summary).toMatchObject({ outcome: "partial", closes: true, listed: fixtures.length });
    const { copied, adopted, altered, failed } = summary.balance;
    expect([copied, adopted][attempt === "first" ? 0 : 1]).toBe(fixtures.length - altered - failed);
  }
});
