// The state was lost, damaged, or is another job's; the target was changed by its owner or by another program: each run then ends
// in a right copy or in a clear refusal, never in a second copy and never in a loss.

import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { mkdir, readdir, rm, utimes, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { describe, expect, it } from "vitest";
import { frame } from "../../../src/core/lines.ts";
import { JOURNAL_VERSION } from "../../../src/migrate/ledger-codec.ts";
import { keys } from "../places.ts";
import { type PlaceName, type Scene, scenes, seed } from "./kit.ts";

const { scene } = scenes();
const ALL: readonly PlaceName[] = ["a Maildir", "an archive of zips", "an account"];
/** Another program can write to these. */
const SHARED: readonly PlaceName[] = ["a Maildir", "an account"];
const WORK = ["Work", "2024"];

async function filled(target: PlaceName): Promise<Scene> {
  const made = await scene(target);
  await made.heals();
  return made;
}

/** With so much mail in one folder that two of it are less than a fifth. */
async function filledWell(target: PlaceName): Promise<Scene> {
  const made = await scene(target);
  await made.atSource((client) => client.fill(Array.from({ length: 8 }, (_, n) => seed(`more${n}`, WORK))));
  await made.heals();
  return made;
}

/** The two files that were delivered first. */
async function oldest(directory: string): Promise<string[]> {
  const number = (name: string): number => Number(/Q(\d+)/.exec(name)?.[1]);
  return (await readdir(directory)).sort((a, b) => number(a) - number(b)).slice(0, 2);
}

/** Puts a message where another mail program would. */
async function put(made: Scene, name: string, folder: readonly string[]): Promise<void> {
  const one = seed(name, folder);
  if (made.user !== undefined) await made.atTarget((client) => client.append(one));
  else {
    const directory = join(made.path, folder[0] === "INBOX" ? "" : ".Work.2024", "new");
    const path = join(directory, `1600000000.M1P1.${name}`);
    await writeFile(path, one.bytes.toString().replaceAll("\r\n", "\n"));
    await utimes(path, 1_600_000_000, 1_600_000_000);
  }
}

/** What Dovecot or a file system knows of the folder goes with it. */
async function deleteFolder(made: Scene, again: boolean): Promise<void> {
  if (made.user !== undefined) {
    await made.atTarget(async (client) => {
      await client.delete(WORK);
      if (again) await client.create(WORK);
    });
    return;
  }
  const directory = join(made.path, ".Work.2024");
  await rm(directory, { recursive: true });
  if (again) for (const name of ["cur", "new", "tmp"]) await mkdir(join(directory, name), { recursive: true });
}

describe.each(ALL)("into %s", (target) => {
  it("nothing happened: nothing is copied", async () => {
    const made = await filled(target);
    expect((await made.go()).balance).toMatchObject({ "already-copied": 8, copied: 0 });
  });

  it("the ledger was deleted: the copies are found again", async () => {
    const made = await filled(target);
    for (const path of made.journals()) await rm(dirname(path), { recursive: true, force: true });
    expect((await made.heals()).balance).toMatchObject({ adopted: 8, copied: 0 });
  });

  it("the ledger was deleted, and then new mail came", async () => {
    const made = await filled(target);
    for (const path of made.journals()) await rm(path);
    await made.atSource((client) => client.fill([seed("INBOX2", ["INBOX"]), seed("new", WORK)]));
    expect((await made.heals()).balance).toMatchObject({ adopted: 8, copied: 2 });
  });

  it("the ledger is from a newer version: refused, with the way out", async () => {
    const made = await filled(target);
    await made.atSource((client) => client.append(seed("new", ["INBOX"])));
    for (const path of made.journals()) rewriteHeader(path, { v: JOURNAL_VERSION + 1 });
    await made.refuses(/version 3, this program writes 2/);
    for (const path of made.journals()) await rm(path);
    expect((await made.heals()).balance).toMatchObject({ adopted: 8, copied: 1 });
  });

  it("the ledger is another job's: refused, and used for nothing", async () => {
    const made = await filled(target);
    await made.atSource((client) => client.append(seed("new", ["INBOX"])));
    for (const path of made.journals()) rewriteHeader(path, { source: "imaps://other@example.org:993" });
    await made.refuses(/belongs to another source and target: imaps:\/\/other@example.org:993/);
  });

  it("the journals of two folders were exchanged: refused", async () => {
    const made = await filled(target);
    await made.atSource((client) => client.fill([seed("new", ["INBOX"]), seed("new", WORK)]));
    const [one = "", two = ""] = made.journals();
    renameSync(one, `${one}.x`);
    renameSync(two, one);
    renameSync(`${one}.x`, two);
    await made.refuses(/belongs to another source and target.*folder/);
  });

  it("the ledger was cut or one of its bytes changed, and new mail came: still each message once", async () => {
    // test/migrate/damaged-state.test.ts tries every byte.
    for (const damage of [0.3, 1]) {
      const made = await filled(target);
      await made.atSource((client) => client.fill([seed("INBOX2", ["INBOX"]), seed("new", WORK)]));
      for (const path of made.journals()) {
        const bytes = readFileSync(path);
        const at = Math.min(bytes.length - 1, Math.floor(bytes.length * damage));
        if (path.includes("INBOX")) writeFileSync(path, bytes.subarray(0, at));
        else {
          bytes[at] = (bytes[at] ?? 0) ^ 4;
          writeFileSync(path, bytes);
        }
      }
      await made.heals();
    }
  });

  it("the target was taken away as a whole: it is filled again", async () => {
    const made = await filled(target);
    if (made.user === undefined) await rm(made.path, { recursive: true });
    else
      await made.atTarget(async (client) => {
        await client.delete(WORK);
        const uids = (await client.read(["INBOX"])).map(({ uid }) => uid);
        await client.expunge(["INBOX"], uids);
      });
    // That all of an inbox is its owner's wish cannot be told from a loss.
    await made.heals();
  });
});

function rewriteHeader(path: string, change: object): void {
  const text = readFileSync(path, "latin1");
  const end = text.indexOf("\n");
  const header = JSON.parse(text.slice(9, end)) as object;
  writeFileSync(path, frame(JSON.stringify({ ...header, ...change })) + text.slice(end + 1), "latin1");
}

describe.each(SHARED)("into %s, which others use too", (target) => {
  it.each([
    ["deleted", false],
    ["deleted and made again", true],
  ])(
    "a folder was %s, and nothing moved at the source: it is filled again, and a dry run says so",
    async (_, again) => {
      const made = await filled(target);
      await deleteFolder(made, again);
      expect((await made.go({ dryRun: true })).balance).toMatchObject({ planned: 4, "already-copied": 4 });
      expect((await made.heals()).balance).toMatchObject({ copied: 4, "already-copied": 4 });
    },
  );

  it("a folder was made again there, and holds as much other mail: it is filled again, and a dry run says so", async () => {
    const made = await filled(target);
    await deleteFolder(made, true);
    for (let n = 0; n < 4; n++) await put(made, `foreign${n}`, WORK);
    expect((await made.go({ dryRun: true })).balance).toMatchObject({ planned: 4, "already-copied": 4 });
    expect((await made.go()).balance).toMatchObject({ copied: 4, "already-copied": 4 });
    expect(keys(await made.content())).toHaveLength(12);
  });

  it("a folder was renamed there: it is filled under its name, and the renamed one stays", async () => {
    const made = await filled(target);
    if (made.user === undefined) renameSync(join(made.path, ".Work.2024"), join(made.path, ".Old"));
    else await made.atTarget((client) => client.rename(WORK, ["Old"]));
    await made.go();
    const content = await made.content();
    const old = content.get("Old");
    content.delete("Old");
    expect(old?.length).toBe(4);
    expect(content).toEqual(await made.wanted());
  });

  it("another program put mail there: it stays, and nothing is copied for it", async () => {
    const made = await filled(target);
    await put(made, "foreign", WORK);
    await made.atSource((client) => client.append(seed("new", WORK)));
    expect((await made.go()).balance).toMatchObject({ copied: 1, "already-copied": 8 });
    const [at, there] = [await made.wanted(), await made.content()];
    expect(keys(there).length).toBe(keys(at).length + 1);
    expect(keys(there)).toEqual(expect.arrayContaining(keys(at)));
  });

  it("another program put the very message there that is yet to be copied: it becomes the copy", async () => {
    const made = await filled(target);
    await put(made, "new", WORK);
    await made.atSource((client) => client.fill([seed("new", WORK), seed("new", WORK)]));
    // Twins at the source: one has its copy there, the other has not.
    expect((await made.heals()).balance).toMatchObject({ adopted: 1, copied: 1 });
  });

  it("the owner deleted mail there: it stays deleted until --recheck brings it back, once", async () => {
    const made = await filledWell(target);
    if (made.user !== undefined)
      await made.atTarget(async (client) => {
        const uids = (await client.read(WORK)).slice(0, 2).map(({ uid }) => uid);
        await client.expunge(WORK, uids);
      });
    else {
      const directory = join(made.path, ".Work.2024/cur");
      for (const name of await oldest(directory)) rmSync(join(directory, name));
    }
    await made.atSource((client) => client.append(seed("new", WORK)));
    expect((await made.go()).balance).toMatchObject({ copied: 1, "already-copied": 16 });
    expect(keys(await made.content()).length).toBe(15);
    expect((await made.heals({ recheck: true })).balance).toMatchObject({ adopted: 15, copied: 2 });
  });

  it("the owner moved mail to another folder there: it stays there, and is not copied again", async () => {
    const made = await filledWell(target);
    if (made.user !== undefined)
      await made.atTarget(async (client) => {
        await client.wire.command('SELECT "Work/2024"');
        await client.wire.command("UID MOVE 1:2 INBOX");
      });
    else {
      const directory = join(made.path, ".Work.2024/cur");
      for (const name of await oldest(directory)) renameSync(join(directory, name), join(made.path, "cur", name));
    }
    await made.atSource((client) => client.fill([seed("new", WORK), seed("newer", ["INBOX"])]));
    expect((await made.go()).balance).toMatchObject({ copied: 2, "already-copied": 16 });
    const content = await made.content();
    expect([content.get("INBOX")?.length, content.get("Work/2024")?.length]).toEqual([7, 11]);
  });
});

describe("an archive", () => {
  it.each(["a Maildir", "an archive of zips"] as const)(
    "%s whose mailferry/ was deleted is gone on with",
    async (target) => {
      const made = await filled(target);
      await rm(join(made.path, "mailferry"), { recursive: true });
      await made.atSource((client) => client.append(seed("new", WORK)));
      expect((await made.heals()).balance).toMatchObject({ adopted: 8, copied: 1 });
    },
  );

  it("of a newer version is refused", async () => {
    for (const target of ["a Maildir", "an archive of zips"] as const) {
      const made = await filled(target);
      const file = join(made.path, "mailferry/archive.json");
      const good = readFileSync(file, "utf8");
      writeFileSync(file, good.replace('"version":1', '"version":2'));
      await expect(made.go()).rejects.toMatchObject({
        code: "config",
        message: expect.stringContaining("newer mailferry"),
      });
      writeFileSync(file, good);
      await made.heals();
    }
  });

  it("whose zip was taken away gets again what that held, and says that it is missing", async () => {
    const made = await filled("an archive of zips");
    await made.atSource((client) => client.append(seed("new", WORK)));
    await made.heals();
    const [first = ""] = (await readdir(made.path)).filter((name) => name.startsWith("0001"));
    rmSync(join(made.path, first));
    await made.atSource((client) => client.append(seed("newer", WORK)));
    expect(await made.go()).toMatchObject({ outcome: "partial", closes: true, balance: { copied: 9 } });
    expect(await made.content()).toEqual(await made.wanted());
    expect(existsSync(join(made.path, first))).toBe(false);
  });

  it("that was put in the place of another is looked at, as its ledger is not this one's", async () => {
    const [one, other] = [await filled("a Maildir"), await filled("a Maildir")];
    await rm(one.path, { recursive: true });
    renameSync(other.path, one.path);
    // Its ledger is of another source, and says nothing here.
    expect((await one.heals()).balance).toMatchObject({ adopted: 8, copied: 0 });
  });
});
