// Folders with any names, carried as whole jobs to each kind of target and back again: each keeps its own mail, nothing reaches
// outside of the target, and in an archive each comes back under its very name.

import { existsSync, readdirSync } from "node:fs";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type FolderPath, showPath } from "../../../src/mail/model.ts";
import type { RunSummary } from "../../../src/migrate/events.ts";
import { run } from "../../../src/migrate/run.ts";
import { verify } from "../../../src/migrate/verify.ts";
import { openMaildirSink } from "../../../src/sinks/maildir.ts";
import type { Sink } from "../../../src/sinks/sink.ts";
import { openMaildirSource } from "../../../src/sources/maildir.ts";
import { openMboxZipSource } from "../../../src/sources/mbox-zip.ts";
import type { Source } from "../../../src/sources/source.ts";
import { HOSTILE_NAMES, ODD_NAMES } from "../../conformance/sink-kit.ts";
import { oddPath } from "../../fuzz/generate.ts";
import { count, countCompared } from "../../kit/counts.ts";
import { type Dovecot, startDovecot } from "../../kit/dovecot.ts";
import { mail, memorySource } from "../../kit/memory.ts";
import { randomFrom } from "../../kit/random.ts";
import { quickDisk } from "../../kit/scratch.ts";
import { type Content, held, keys, PLACES, type Place } from "../places.ts";

const { signal } = new AbortController();

const HOSTILE: readonly FolderPath[] = [
  ...ODD_NAMES,
  ...HOSTILE_NAMES,
  ...[
    "CON",
    "nul.txt",
    "COM1",
    "C:\\Windows",
    "C:",
    "\\\\host\\share",
    "a:b",
    "q?*<>|",
    "end.",
    "end ",
    "~",
    "~root",
    "-rf",
    "$(id)",
    "`id`",
  ].map((name) => [name]),
  ["caf\u00e9"],
  ["cafe\u0301"],
  ["CAF\u00c9"],
  ["Straße"],
  ["STRASSE"],
  ["\u212a"],
  ["K"],
  ["k"],
  ["abc\u202egnp.exe"],
  ["zero\u200bwidth"],
  ["zerowidth"],
  ["joined\u200d"],
  ["\ufeffbom"],
  ["line\u2028separator"],
  ["\x1b]0;title\x07"],
  ["\x9b2J"],
  ["inbox"],
  ["Inbox", "Sub"],
  ["INBOX", ".."],
  ["..", "INBOX"],
  [".INBOX"],
  ["cur", "new", "tmp"],
  ["dovecot-keywords"],
  ["subscriptions"],
  ["mailferry", "ledger"],
  ["manifest.jsonl"],
  ["a".repeat(255), "b".repeat(255), "c".repeat(255), "d".repeat(255), "e".repeat(255)],
  Array.from({ length: 60 }, (_, n) => `deep${n}`),
  ...Array.from({ length: 25 }, (_, seed) => oddPath(randomFrom(seed + 77)).map((part) => part || "x")),
];
const PATHS = [...new Map(HOSTILE.map((path) => [JSON.stringify(path), path])).values()];

let dovecot: Dovecot;
let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(quickDisk(), "mailferry-hostile-"));
  dovecot = await startDovecot({ fsync: false, users: [] });
});
afterAll(async () => {
  await dovecot?.stop();
  await rm(root, { recursive: true, force: true });
});

const hostile = () =>
  memorySource(
    PATHS.map((path, n) => ({
      path,
      generation: "1",
      mail: [mail("1", `Message-ID: <${n}@x>\r\nSubject: ${n}\r\n\r\nin folder ${n}\r\n`)],
    })),
  );

async function carry(source: Source, sink: Sink, state: string): Promise<RunSummary> {
  await using from = source;
  await using to = sink;
  return await run(from, to, { stateDirectory: state }, signal).finished;
}

/** Which message lies where, whatever the folder is called. */
const onlyKeys = (content: Content): string[] =>
  [...content.values()].map((messages) => messages.map(({ key }) => key).join(" ")).sort();

it.each(["a Maildir", "an archive of zips", "a FILE.zip", "an account"] as const)(
  "to %s and back: nothing outside, nothing over another",
  async (target) => {
    const directory = join(root, target.replaceAll(" ", "-"));
    await mkdir(directory);
    const state = join(directory, "state");
    const path = join(directory, "target");
    const place: Place = await PLACES[target](dovecot, path);
    const wanted = await held(Promise.resolve(hostile()));
    expect(wanted.size).toBe(PATHS.length);
    count("hostile names", PATHS.length);
    const first = await carry(hostile(), await place.sink(), state);
    const there = await place.content();
    countCompared(onlyKeys(wanted), onlyKeys(there));
    expect(first).toMatchObject({ outcome: "complete", closes: true, listed: PATHS.length });
    // A folder of its own for each, with that one message in it.
    expect(onlyKeys(there)).toEqual(onlyKeys(wanted));
    if (place.user === undefined) expect(keys(there).sort()).toEqual(keys(wanted).sort());
    else {
      // What an account cannot call by its name is told, name by name.
      const told = new Set(
        first.losses.flatMap(({ loss }) => (loss.kind === "folder-name" ? [showPath(loss.from)] : [])),
      );
      expect([...wanted.keys()].filter((name) => !there.has(name)).sort()).toEqual([...told].sort());
      // And is no difference: each is compared where it lies.
      expect(await differences(place)).toEqual([]);
    }
    const names = readdirSync(directory).sort();
    for (const name of names) expect(["state", "target", "target.zip"]).toContain(name);
    for (const outside of ["escaped", "../escaped", "../../escaped"])
      expect(existsSync(join(directory, outside))).toBe(false);
    expect(existsSync("/etc/escaped")).toBe(false);
    const again = await carry(hostile(), await place.sink(), state);
    expect(again.balance.copied + again.balance.adopted).toBe(0);

    // And back: to an account from an archive, and to an archive from an account.
    const back: Place = await PLACES[place.user === undefined ? "an account" : "a Maildir"](
      dovecot,
      join(directory, "back"),
    );
    const source =
      target === "a Maildir"
        ? await openMaildirSource({ path }, signal)
        : target === "an account"
          ? await asSource(place)
          : await openMboxZipSource({ path: target === "a FILE.zip" ? `${path}.zip` : path }, signal);
    const returned = await carry(source, await back.sink(), join(directory, "state"));
    expect(returned.folders.filter(({ closes, error }) => !closes || error !== undefined)).toEqual([]);
    expect(returned).toMatchObject({ outcome: "complete", balance: { failed: 0 } });
    expect(onlyKeys(await back.content())).toEqual(onlyKeys(wanted));
    // From archive to archive every name is kept.
    if (target === "an archive of zips") {
      const copy = join(directory, "copy");
      await carry(await openMboxZipSource({ path }, signal), await openMaildirSink({ path: copy }, signal), state);
      expect(keys(await held(openMaildirSource({ path: copy }, signal))).sort()).toEqual(keys(there).sort());
    }
    expect(PATHS.map(showPath).length).toBe(wanted.size);
  },
);

/** What a comparison with the account finds, and whether it is called equal without anything found. */
async function differences(place: Place): Promise<string[]> {
  await using sink = await place.sink();
  await using target = await asSource(place);
  const found: string[] = [];
  const { equal, matched } = await verify(
    hostile(),
    target,
    sink.describe.bind(sink),
    {},
    signal,
    ({ kind, folder, what }) => found.push(`${kind} ${showPath(folder)}: ${what}`),
    () => undefined,
    sink.find?.bind(sink),
  );
  return equal && matched === PATHS.length ? found : [...found, `${matched} of ${PATHS.length} are equal`];
}

async function asSource(place: Place): Promise<Source> {
  const { openImapSource } = await import("../../../src/sources/imap.ts");
  return openImapSource(dovecot.serverOptions("imap", place.user ?? ""), signal);
}
