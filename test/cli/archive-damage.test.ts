// Damage of every kind at any place of an archive, drawn by a seed: told by verify, nothing wrong restored, no hang, mended by --recheck.

import { execFileSync } from "node:child_process";
import { cpSync, lstatSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ArchiveRoom, filesBelow } from "../kit/archive-cli.ts";
import { type Random, randomFrom } from "../kit/random.ts";
import { FIRST_SEED, SOAK_SECONDS } from "../kit/seeds.ts";

const CASES = 16;
/** Whatever is read, an endless file among it: this process holds the test runner too. */
const MOST_MEMORY = 900 << 20;

let room: ArchiveRoom;
/** What the messages are, as a Maildir holds them. */
let contents: Set<string>;

const FORMS = [
  { name: "a Maildir", url: "maildir", path: "maildir", once: false },
  { name: "a growing archive of zips", url: "mboxzip", path: "zips", once: false },
  { name: "a FILE.zip", url: "mboxzip", path: "one.zip", once: true },
] as const;

beforeAll(async () => {
  room = new ArchiveRoom();
  for (const [count, from] of [
    [5, 0],
    [4, 5],
  ] as const) {
    room.fill(count, from);
    for (const { url, path, once } of FORMS)
      if (!once || from > 0)
        expect((await room.cli("backup", `mbox:${room.source}`, `${url}:${pristine(path)}`)).code).toBe(0);
  }
  contents = new Set(messagesOf(pristine("maildir")));
  expect(contents.size).toBe(18);
}, 120_000);
afterAll(() => room[Symbol.dispose]());

function pristine(path: string): string {
  mkdirSync(join(room.root, "pristine"), { recursive: true });
  return join(room.root, "pristine", path);
}

function messagesOf(maildir: string): string[] {
  return filesBelow(maildir)
    .filter((name) => /(?:^|\/)(?:cur|new)\//.test(name))
    .map((name) => readFileSync(join(maildir, name), "latin1"));
}

/** Files that belong to nobody, or to other programs as well. */
const NOT_OURS = /(?:^|\/)(?:lock|writer\.lock|subscriptions|maildirfolder)$/;

type Deed = readonly [name: string, deed: (path: string, draw: Random) => void];
const bytesOf = (path: string): Buffer => readFileSync(path);
const DEEDS: readonly Deed[] = [
  [
    "a bit turned",
    (path, draw) => {
      const bytes = bytesOf(path);
      const at = draw.upTo(Math.max(1, bytes.length));
      bytes[at] = (bytes[at] ?? 0) ^ (1 << draw.upTo(8));
      writeFileSync(path, bytes);
    },
  ],
  ["deleted", (path) => rmSync(path)],
  ["emptied", (path) => writeFileSync(path, "")],
  ["cut", (path, draw) => writeFileSync(path, bytesOf(path).subarray(0, draw.upTo(bytesOf(path).length)))],
  [
    "cut out of its middle",
    (path, draw) => {
      const bytes = bytesOf(path);
      const from = draw.upTo(bytes.length);
      const to = Math.min(bytes.length, from + 1 + draw.upTo(80));
      writeFileSync(path, Buffer.concat([bytes.subarray(0, from), bytes.subarray(to)]));
    },
  ],
  [
    "something put in",
    (path, draw) => {
      const bytes = bytesOf(path);
      const at = draw.upTo(bytes.length + 1);
      writeFileSync(path, Buffer.concat([bytes.subarray(0, at), Buffer.from("added\n"), bytes.subarray(at)]));
    },
  ],
  [
    "a pipe",
    (path) => {
      rmSync(path);
      execFileSync("mkfifo", [path]);
    },
  ],
  [
    "a link to /dev/zero",
    (path) => {
      rmSync(path);
      symlinkSync("/dev/zero", path);
    },
  ],
  [
    "a folder",
    (path) => {
      rmSync(path);
      mkdirSync(path);
    },
  ],
  [
    "a link to nowhere",
    (path) => {
      rmSync(path);
      symlinkSync(join(path, "nowhere"), path);
    },
  ],
];

describe.each(FORMS)("$name", ({ url, path, once }) => {
  const seed = FIRST_SEED;
  const cases = Array.from({ length: CASES }, (_, i) => seed + i);
  it.each(cases)(
    "seed %d",
    async (number) => {
      await damaged(number);
    },
    120_000,
  );

  it.runIf(SOAK_SECONDS > 0)(
    "and as many more as there is time for",
    async () => {
      const until = Date.now() + SOAK_SECONDS * 1000;
      for (let number = seed + CASES; Date.now() < until; number++) await damaged(number);
    },
    SOAK_SECONDS * 1000 + 300_000,
  );

  async function damaged(number: number): Promise<void> {
    const draw = randomFrom(number * 7919 + path.length);
    const archive = join(room.root, `${number}-${path}`);
    const restored = join(room.root, `${number}-restored`);
    cpSync(pristine(path), archive, { recursive: true, preserveTimestamps: true });
    const files = once ? [""] : filesBelow(archive).filter((name) => !NOT_OURS.test(name));
    const file = files[draw.upTo(files.length)] ?? "";
    // A single file is all that there is: what is no file any more is no archive.
    const [what, deed] = DEEDS[draw.upTo(once ? 6 : DEEDS.length)] ?? DEEDS[0] ?? ["", () => undefined];
    const about = `seed ${number}: ${file}: ${what}`;
    deed(join(archive, file), draw);

    const checked = await room.cli("verify", `${url}:${archive}`);
    expect([2, 6], `${about}\n${checked.err}`).toContain(checked.code);
    const found = await room.cli("restore", `${url}:${archive}`, `maildir:${restored}`);
    expect([0, 2, 3], `${about}\n${found.err}`).toContain(found.code);
    const got = lstatSync(restored, { throwIfNoEntry: false }) === undefined ? [] : messagesOf(restored);
    for (const text of got) expect(contents.has(text), `${about}: ${text}`).toBe(true);
    // A message that is gone is told, and no failure: it may be that somebody deleted it.
    if (found.code === 0 && !found.err.includes("no longer there")) {
      const same = await room.cli("verify", `mbox:${room.source}`, `maildir:${restored}`, "--both-ways");
      expect(same.code, `${about}\n${same.err}`).toBe(0);
    }
    if (!once && lstatSync(archive, { throwIfNoEntry: false }) !== undefined) {
      const mended = await room.cli("backup", `mbox:${room.source}`, `${url}:${archive}`, "--recheck");
      expect([0, 3], `${about}\n${mended.err}`).toContain(mended.code);
      const after = await room.cli("verify", `${url}:${archive}`);
      expect(after.err, `${about}\n${mended.err}`).toContain("Sound");
      expect(after.code, about).toBe(0);
    }
    expect(process.memoryUsage().rss, about).toBeLessThan(MOST_MEMORY);
    for (const each of [archive, restored]) rmSync(each, { recursive: true, force: true });
  }
});
