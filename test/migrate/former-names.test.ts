// Folders that an earlier version called otherwise: a pair that was filled by those names goes on by them, and copies nothing again.

import { mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { openMaildirs, openMboxes } from "../../src/endpoints/local.ts";
import { showPath } from "../../src/mail/model.ts";
import type { RunSummary } from "../../src/migrate/events.ts";
import { run } from "../../src/migrate/run.ts";
import { openMaildirSink } from "../../src/sinks/maildir.ts";
import type { Source } from "../../src/sources/source.ts";

const signal = new AbortController().signal;
let root: string;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "mailferry-former-"));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const mbox = (name: string): string =>
  `From a@b Fri Mar 01 10:00:00 2019\nMessage-ID: <${name}@e>\nFrom: a@b\nSubject: ${name}\n\nBody\n\n`;

function bundle(): Promise<Source> {
  const path = join(root, "Tax.mbox");
  mkdirSync(path, { recursive: true });
  writeFileSync(join(path, "mbox"), mbox("tax"));
  return openMboxes({ path }, signal);
}

function linked(): Promise<Source> {
  const path = join(root, "maildir");
  for (const place of ["cur", "new", "tmp"]) {
    mkdirSync(join(path, place), { recursive: true });
    mkdirSync(join(path, "zeta", place), { recursive: true });
    mkdirSync(join(path, "zeta", "below", place), { recursive: true });
  }
  writeFileSync(join(path, "zeta", "cur", "1.a.b:2,S"), "Subject: z\n\nx\n");
  writeFileSync(join(path, "zeta", "below", "cur", "2.a.b:2,S"), "Subject: below\n\nx\n");
  if (!readdirSync(path).includes("alpha")) symlinkSync("zeta", join(path, "alpha"));
  return openMaildirs({ path }, signal);
}

async function folders(source: Source): Promise<string[]> {
  const paths: string[] = [];
  for await (const { path } of source.folders(signal)) paths.push(showPath(path));
  return paths.sort();
}

/** As the version before would: by the names that it gave. */
async function asBefore(source: Source): Promise<Source> {
  const old = ["mbox", "alpha", "alpha/below"];
  source.callAsBefore?.(async (path) => old.includes(showPath(path)));
  return { ...source, callAsBefore: () => undefined };
}

async function backup(source: Source, options: { remove?: object } = {}): Promise<RunSummary> {
  await using _source = source;
  await using sink = await openMaildirSink({ path: join(root, "archive") }, signal);
  return await run(source, sink, { stateDirectory: root, ...options }, signal).finished;
}

describe.each([
  ["a bundle of Apple Mail by its own path", bundle, ["mbox"], ["Tax"], 1],
  [
    "a Maildir under the name of a link to it",
    linked,
    ["INBOX", "alpha", "alpha/below"],
    ["INBOX", "zeta", "zeta/below"],
    2,
  ],
] as const)("%s", (_, open, then, now, messages) => {
  it("is called as it is now where no pair was filled", async () => {
    expect(await folders(await open())).toEqual(now);
    expect((await backup(await open())).balance.copied).toBe(messages);
    expect((await backup(await open())).balance).toMatchObject({ copied: 0, "already-copied": messages });
    expect(await folders(await open())).toEqual(now);
  });

  it("goes on by its former name where a pair was filled by that", async () => {
    expect(await folders(await asBefore(await open()))).toEqual(then);
    expect((await backup(await asBefore(await open()))).balance.copied).toBe(messages);
    for (let night = 0; night < 2; night++)
      expect((await backup(await open())).balance).toMatchObject({ copied: 0, "already-copied": messages });
  });

  it("is called as it is now where both were filled", async () => {
    await backup(await asBefore(await open()));
    await backup({ ...(await open()), callAsBefore: () => undefined });
    const source = await open();
    let called: string[] = [];
    const seen: Source = {
      ...source,
      async *folders(abort) {
        for await (const folder of source.folders(abort)) {
          called = [...called, showPath(folder.path)].sort();
          yield folder;
        }
      },
    };
    expect((await backup(seen)).balance).toMatchObject({ copied: 0, "already-copied": messages });
    expect(called).toEqual(now);
  });
});

it("what goes by a former name is deleted at the source when it was proved", async () => {
  await backup(await asBefore(await linked()));
  expect(await backup(await linked(), { remove: {} })).toMatchObject({ outcome: "complete", removed: 2 });
  expect(readdirSync(join(root, "maildir", "zeta", "cur"))).toEqual([]);
});
