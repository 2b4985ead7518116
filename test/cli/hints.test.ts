// What a message tells to do is done as it stands, and then it works: places, names and options; what takes a server is in test/server/cli.

import { execFileSync } from "node:child_process";
import { copyFileSync, cpSync, mkdirSync, readdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { writeZip } from "../../src/formats/zip/write.ts";
import { advised, Desk } from "../kit/cli.ts";

let desk: Desk;
const home = process.cwd();
beforeEach(() => {
  desk = new Desk();
  process.chdir(desk.root);
  desk.put("mail", ["a"]);
  desk.put("mail", ["b"], "Clients.Old");
  mkdirSync("boxes");
  writeFileSync("box", letters("c"));
  writeFileSync("boxes/Box", letters("d"));
  writeFileSync("note", "milk\n");
  mkdirSync("docs");
  writeFileSync("docs/list", "milk\n");
});
afterEach(() => {
  process.chdir(home);
  desk[Symbol.dispose]();
});

function letters(...names: readonly string[]): string {
  return names
    .map((name) => `From ${name}@x Tue Jan  2 10:00:00 2024\nSubject: ${name}\nMessage-ID: <${name}@x>\n\nbody\n\n`)
    .join("");
}

/** One command line, as it is typed; words are parted by blanks. */
const run = (line: string) => desk.run(line.split(" "));

/** What was done before; what was typed, and is refused; what is said; what it says to do beside typing, and to type. Each of these then works. */
interface Hint {
  readonly before?: readonly string[] | (() => void | Promise<void>);
  readonly typed: string;
  readonly code?: number;
  readonly says: string | RegExp;
  readonly deed?: () => void;
  readonly works: readonly string[];
}

const OPTIONS: readonly Hint[] = [
  { typed: "bakup mail a", says: 'Did you mean "backup"?', works: ["backup mail a"] },
  { typed: "backup mail a --foldr INBOX", says: "Did you mean --folder?", works: ["backup mail a --folder INBOX"] },
  { typed: "backup mail a b", says: "Quote a path with spaces.", works: [] },
  { typed: "backup mail", says: "mailferry backup --help shows", works: ["backup --help"] },
  { typed: "bakup", says: "mailferry --help", works: ["--help"] },
  {
    typed: "backup mail a --max-size big",
    says: "Write a number with k, M or G: --max-size 25M.",
    works: ["backup mail a --max-size 25M", "backup mail b --max-size 25k", "backup mail c --max-size 1G"],
  },
  {
    typed: "drain pop3s://me@localhost:1 a --leave-for 14",
    says: "Write a number with h, d or w: --leave-for 14d.",
    works: [],
  },
  {
    typed: "backup mail a --since yesterday",
    says: "--since 2024-01-31 or --since 2024-01-31T12:00Z.",
    works: ["backup mail a --since 2024-01-31", "backup mail b --since 2024-01-31T12:00Z"],
  },
  {
    typed: "backup mail a --since 2025-01-01 --before 2024-01-01",
    says: "Swap the two dates.",
    works: ["backup mail a --since 2024-01-01 --before 2025-01-01"],
  },
  {
    typed: "backup mail a --connections 0",
    says: "Write for example --connections 4.",
    works: ["backup mail a --connections 4"],
  },
  {
    typed: "backup mail a --folder INBOX --into a --into b",
    says: "Give it once.",
    works: ["backup mail a --folder INBOX --into a"],
  },
  {
    typed: "backup mail a --map Clients",
    says: 'Write --map Old=New/Place; a "=" inside a name is written \\=.',
    works: ["backup mail a --map Clients=New/Place", "backup mail b --map Clients=New\\=Place"],
  },
  {
    typed: "backup mail a --use nothing --folder INBOX",
    says: /Known are .*inbox/,
    works: ["backup mail a --use inbox"],
  },
  {
    typed: "backup mail a --folder Nope",
    says: /The source has: INBOX, Clients\/Old\. "\*" stays inside one name, "\*\*" goes through all\./,
    works: ["backup mail a --folder Clients/Old", "backup mail b --folder Clients/*", "backup mail c --folder **"],
  },
  {
    typed: "backup mail a --report -",
    says: "(./- for that one), or use --json.",
    works: ["backup mail a --report ./-"],
  },
  { typed: "backup mail a --report -", says: "or use --json.", works: ["backup mail a --json"] },
  { typed: "backup mail a --report docs", says: "Give the name of a file.", works: ["backup mail a --report docs/r"] },
  {
    typed: "backup mail a --report no/r",
    says: "there is no folder no. Make it first.",
    deed: () => mkdirSync("no"),
    works: ["backup mail a --report no/r"],
  },
  { typed: "drain mail a", says: "Use: mailferry backup.", works: ["backup mail a"] },
  { typed: "migrate mail a --move", says: "Leave --move out.", works: ["migrate mail a"] },
  { typed: "verify box", says: "Write: mailferry verify SOURCE TARGET.", works: ["backup box a", "verify box a"] },
];

const PLACES: readonly Hint[] = [
  {
    typed: "folders -",
    says: "a file or folder of that name is ./-.",
    deed: () => cpSync("mail", "-", { recursive: true }),
    works: ["folders ./-"],
  },
  { typed: "folders mbx:box", says: "Did you mean mbox:", works: ["folders mbox:box"] },
  {
    before: () => renameSync("box", "a:b"),
    typed: "folders a:b",
    says: "a path with a colon is written ./a:….",
    works: ["folders ./a:b"],
  },
  {
    typed: "folders maildir://mail",
    says: "Write maildir:DIR or maildir:/absolute/path",
    works: ["folders maildir:mail"],
  },
  { typed: "folders mbox:", says: "Write mbox:PATH.", works: ["folders mbox:box"] },
  { typed: "folders mbox:box?dialect=x", says: /Known are .*\brd\b/, works: ["folders mbox:box?dialect=rd"] },
  { typed: "folders mbox:box?raw=yes", says: "Write raw=on or raw=off.", works: ["folders mbox:box?raw=on"] },
  { typed: "folders mbox:box?raw=", says: "Write ?raw=VALUE.", works: ["folders mbox:box?raw=off"] },
  { typed: "folders mbox:box?row=on", says: /Known are .*raw|raw/, works: ["folders mbox:box?raw=on"] },
  {
    typed: "backup mail mbox:new",
    says: "Write maildir:DIR, mboxzip:FILE.zip or mboxzip:DIR.",
    works: ["backup mail maildir:new", "backup mail mboxzip:new.zip", "backup mail mboxzip:zips"],
  },
  { typed: "folders maildir:box", says: "Use mbox: for an mbox file.", works: ["folders mbox:box"] },
  { typed: "backup mail note", says: "Choose another name.", works: ["backup mail notes"] },
  {
    typed: "backup mail maildir:note",
    says: "Choose another target, or move the file out of the way.",
    deed: () => renameSync("note", "away"),
    works: ["backup mail maildir:note"],
  },
  { typed: "backup mail maildir:note/x", says: "Choose another place.", works: ["backup mail maildir:x"] },
  {
    typed: "backup mail docs",
    says: "Choose an empty or a new folder, or the root of a Maildir.",
    deed: () => mkdirSync("empty"),
    works: ["backup mail empty", "backup mail new", "backup mail/ boxes/../new2"],
  },
  {
    typed: "backup mail mboxzip:docs",
    says: "Choose another place, or an empty directory.",
    deed: () => mkdirSync("empty"),
    works: ["backup mail mboxzip:empty"],
  },
  {
    typed: "backup mail mboxzip:note",
    says: "Choose another place, or a name that ends in .zip.",
    works: ["backup mail mboxzip:note.zip"],
  },
  {
    before: () => mkdirSync("d.zip"),
    typed: "backup mail mboxzip:d.zip",
    says: 'Name a file that ends in ".zip", or a directory whose name does not.',
    works: ["backup mail mboxzip:e.zip", "backup mail mboxzip:d"],
  },
  {
    typed: "backup mail mboxzip:no/a.zip",
    says: "Make it first, or choose another place.",
    deed: () => mkdirSync("no"),
    works: ["backup mail mboxzip:no/a.zip"],
  },
  { typed: "backup mail ./mail", says: "Choose another target", works: ["backup mail other"] },
  { typed: "backup mail mail/below", says: "Choose a target outside of it", works: ["backup mail outside"] },
  {
    before: ["backup mail a"],
    typed: "verify a ./a",
    says: /Choose another|Name two endpoints/,
    works: ["verify mail a", "verify a"],
  },
  {
    before: ["backup mail a"],
    typed: "backup mail mboxzip:a",
    says: "Write maildir:",
    works: ["backup mail maildir:a"],
  },
  { before: ["backup mail a"], typed: "folders mbox:a", says: "Write maildir:a.", works: ["folders maildir:a"] },
  {
    before: ["backup mail mboxzip:z"],
    typed: "folders maildir:z",
    says: "Write mboxzip:",
    works: ["folders mboxzip:z"],
  },
  {
    typed: "folders nowhere",
    says: "Check the path.",
    deed: () => renameSync("box", "nowhere"),
    works: ["folders nowhere"],
  },
  {
    typed: "folders mbox:nowhere",
    says: "Give an mbox file, or a folder that holds some.",
    works: ["folders mbox:box", "folders mbox:boxes"],
  },
  { typed: "folders maildir:nowhere", says: "Check the path.", works: ["folders maildir:mail"] },
  { typed: "restore mboxzip:nowhere a", says: "Check the path.", works: [] },
  {
    typed: "folders mbox:note",
    says: "Give the mbox file itself, or the folder it is in; mboxzip:FILE.zip and maildir:DIR read other kinds.",
    works: ["folders mbox:box", "folders mbox:boxes", "folders maildir:mail"],
  },
  { typed: "folders docs", says: "Name the folder that the mail is in", works: ["folders boxes"] },
  {
    typed: "folders mboxzip:docs",
    says: "Give the directory with the numbered zips, or a FILE.zip.",
    works: ["backup mail mboxzip:z", "folders mboxzip:z", "backup mail z.zip", "folders mboxzip:z.zip"],
  },
  {
    typed: "verify mboxzip:docs",
    says: "Give the directory with the numbered zips, or a FILE.zip.",
    works: ["backup mail mboxzip:z", "verify mboxzip:z", "backup mail z.zip", "verify mboxzip:z.zip"],
  },
  {
    before: () => symlinkSync("loop", "loop"),
    typed: "backup mail loop",
    says: "Choose another place.",
    works: ["backup mail straight"],
  },
  {
    before: () => symlinkSync("loop", "loop"),
    typed: "folders loop",
    says: "its links lead in a circle",
    works: ["folders mail"],
  },
  {
    typed: `backup mail ${"x".repeat(300)}`,
    says: "a name in that path is too long. Choose another place.",
    works: [`backup mail ${"x".repeat(200)}`],
  },
  {
    typed: "backup mail new --must-exist",
    says: "run it once without --must-exist.",
    works: ["backup mail new", "backup mail new --must-exist"],
  },
  {
    before: ["backup box one.zip"],
    typed: "backup mail one.zip",
    says: "Choose another name, or a directory (mboxzip:DIR) for an archive that grows.",
    works: ["backup mail two.zip", "backup mail mboxzip:one"],
  },
  {
    before: () => copyFileSync("note", "one.zip"),
    typed: "backup mail one.zip",
    says: "Choose another name, or a directory (mboxzip:DIR)",
    works: ["backup mail two.zip", "backup mail mboxzip:one"],
  },
];

/** A file of the archive that it names. */
const ARCHIVE: readonly Hint[] = [
  {
    before: async () => {
      await run("backup mail a");
      rmSync("a/mailferry/inventory.jsonl");
      copyFileSync("a/mailferry/archive.json", "good");
      writeFileSync("a/mailferry/archive.json", "{");
    },
    typed: "backup mail a",
    says: "Put back a good copy of it",
    deed: () => copyFileSync("good", "a/mailferry/archive.json"),
    works: ["verify mail a"],
  },
  {
    before: async () => {
      await run("backup mail a");
      rmSync("a/mailferry/inventory.jsonl");
      writeFileSync("a/mailferry/archive.json", "{");
    },
    typed: "backup mail a",
    says: /or move \S+\/a\/mailferry away: the archive then gets a new id, and the next run looks at what is there\./,
    deed: () => renameSync("a/mailferry", "away"),
    works: ["backup mail a", "verify mail a --both-ways"],
  },
  {
    before: async () => {
      await run("backup box a");
      renameSync("a/mailferry/inventory.jsonl", "inventory");
      rmSync("a/mailferry/archive.json");
    },
    typed: "backup box a",
    says: /Move \S+\/a\/mailferry\/ledger\/\S+\.jsonl away if you mean this source and this target; losing it costs a look at the target, never a duplicate\./,
    deed: () => {
      for (const name of readdirSync("a/mailferry/ledger", { recursive: true, encoding: "utf8" }))
        if (name.includes("INBOX") || name.includes("box")) renameSync(join("a/mailferry/ledger", name), "away");
    },
    works: ["backup box a", "verify box a"],
  },
  {
    before: async () => {
      await run("backup mail mboxzip:z");
      desk.put("mail", ["later"]);
      await run("backup mail mboxzip:z");
      const first = readdirSync("z").find((name) => name.startsWith("0001")) ?? "";
      copyFileSync(join("z", first), "z/0001-20200101T000000Z.zip");
    },
    typed: "backup mail mboxzip:z",
    says: "Move the one that does not belong to this archive elsewhere.",
    deed: () => renameSync("z/0001-20200101T000000Z.zip", "elsewhere.zip"),
    works: ["backup mail mboxzip:z", "verify mail mboxzip:z"],
  },
  {
    before: async () => {
      const open = async function* () {
        yield Buffer.from(letters("z"));
      };
      const options = { date: new Date(), bytes: 1000, entries: 1 };
      await writeZip("old.zip", [{ name: "Inbox.mbox", open }], options, new AbortController().signal);
    },
    typed: "folders mboxzip:old.zip",
    says: "unpack it and name the folder as mbox:DIR.",
    deed: () => {
      mkdirSync("unpacked");
      writeFileSync("unpacked/Inbox.mbox", letters("z"));
    },
    works: ["folders mbox:unpacked"],
  },
];

describe.each([
  ["options", OPTIONS],
  ["places", PLACES],
  ["archives", ARCHIVE],
])("%s", (_, hints) => {
  it.each(hints.map((hint) => [hint.typed.slice(0, 60), hint] as const))("%s", async (_, hint) => {
    const { before, typed, says, deed, works } = hint;
    if (typeof before === "function") await before();
    else for (const line of before ?? []) await run(line);
    const refused = await run(typed);
    expect(refused.err).toMatch(
      typeof says === "string" ? new RegExp(says.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")) : says,
    );
    expect(refused.code).toBe(hint.code ?? 2);
    deed?.();
    for (const line of works) expect({ line, ...(await run(line)) }).toMatchObject({ line, code: 0 });
  });
});

it.each(["it's here", "~home", "a;b$c"])("a name of a place is named as a shell takes it: %s", async (name) => {
  cpSync("mail", name, { recursive: true });
  cpSync("mail", `${name}@x.y`.replaceAll(" ", "_"), { recursive: true });
  const named = async (typed: readonly string[], pattern: RegExp): Promise<string> => {
    const { code, err } = await desk.run(typed);
    expect(code).toBe(2);
    expect(err).toMatch(pattern);
    const word = pattern.exec(err)?.[1] ?? "";
    return execFileSync("sh", ["-c", `set -- ${word}; [ $# = 1 ] && printf %s "$1"`]).toString();
  };
  await desk.run(["backup", name, "archive of it"]);
  const archive = await named(["folders", "mbox:archive of it"], /Write (.*)\.$/m);
  expect(await desk.run(["folders", archive])).toMatchObject({ code: 0 });
  const other = await named(["backup", name, "mboxzip:archive of it"], /Write (.*), or choose another folder\.$/m);
  expect(await desk.run(["backup", name, other])).toMatchObject({ code: 0 });
  const account = await named(["folders", `${name}@x.y`.replaceAll(" ", "_")], /Write (.*) for the folder/);
  expect(await desk.run(["folders", account])).toMatchObject({ code: 0 });
  const check = await desk.run(["backup", `./${name}`, `${name} copy`]);
  expect(await desk.run(advised(check.err, "verify"))).toMatchObject({ code: 0 });
});
