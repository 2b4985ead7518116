// The target went back in time: restored from a snapshot with the same UIDVALIDITY, laid in place from an older backup, or without its
// last zip. What it lost is copied again, and no flag, \Deleted among them, lands on mail that has the name of a lost copy now.

import { existsSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { ImapClient, Seed } from "../../kit/imap-client.ts";
import { keys } from "../places.ts";
import { type PlaceName, type Scene, scenes, seed } from "./kit.ts";

const { scene } = scenes();

/** Mail of other people: of another day, and of another length. */
const other = (n: number, folder: Seed["folder"] = ["INBOX"]): Seed => ({
  ...seed(`other ${n}`, folder),
  bytes: Buffer.from(`Message-ID: <other${n}@example.net>\r\n\r\n${"words of somebody else ".repeat(n + 3)}\r\n`),
  received: { epochSeconds: 1_650_000_000 + n },
});

/** Copied, kept as a snapshot, and two more messages copied since; gives what puts the snapshot back. */
async function grown(target: PlaceName): Promise<{ made: Scene; putBack: () => Promise<void> }> {
  const made = await scene(target);
  // So that what is lost is less than a fifth.
  await made.atSource((client) => client.fill(Array.from({ length: 8 }, (_, n) => seed(`more ${n}`, ["INBOX"]))));
  await made.heals();
  const putBack = made.snapshot();
  await made.atSource((client) => client.fill([seed("late1", ["INBOX"]), seed("late2", ["INBOX"])]));
  expect((await made.heals()).balance.copied).toBe(2);
  return { made, putBack };
}

/** The flags that other people's mail has. */
async function flagsOfOthers(made: Scene): Promise<string[]> {
  const there = (await made.content()).get("INBOX") ?? [];
  const wanted = new Set(((await made.wanted()).get("INBOX") ?? []).map(({ key }) => key));
  return there.filter(({ key }) => !wanted.has(key)).map(({ flags, keywords }) => `${flags}${keywords}`);
}

/** The target holds each message of the source once, and so many others. */
async function expectAll(made: Scene, others: number): Promise<void> {
  const there = keys(await made.content());
  for (const key of keys(await made.wanted())) {
    const at = there.indexOf(key);
    expect(at, key).toBeGreaterThanOrEqual(0);
    there.splice(at, 1);
  }
  expect(there.length).toBe(others);
}

describe("an account that went back", () => {
  it("gets again what it lost, although nothing moved at the source", async () => {
    const { made, putBack } = await grown("an account");
    await putBack();
    expect((await made.heals()).balance).toMatchObject({ copied: 2 });
  });

  it("and grew as far again with other people's mail, gets again what it lost", async () => {
    const { made, putBack } = await grown("an account");
    await putBack();
    await made.atTarget((client) => client.fill([other(1), other(2)]));
    expect((await made.go()).balance).toMatchObject({ copied: 2 });
    await expectAll(made, 2);
    expect((await made.go()).balance.copied).toBe(0);
  });

  it.each([1, 2, 4])("and grew by %i: no flag of ours lands on other people's mail", async (count) => {
    const { made, putBack } = await grown("an account");
    await putBack();
    const others = Array.from({ length: count }, (_, n) => other(n));
    await made.atTarget((client) => client.fill(others));
    await made.atSource(async (client) => {
      for (const { uid } of await client.read(["INBOX"]))
        await client.store(["INBOX"], uid, "+", ["\\Deleted", "\\Flagged", "Urgent"]);
    });
    await made.go();
    expect(await flagsOfOthers(made)).toEqual(others.map(() => ""));
    await expectAll(made, count);
    const { traitsUpdated, balance } = await made.go();
    expect([traitsUpdated, balance.copied]).toEqual([0, 0]);
  });

  it.each([
    ["of the same length", 2, 1_650_000_000],
    ["of the same length, and many", 6, 1_650_000_000],
    ["of the same length and date, and more", 3, undefined],
  ])("and grew by mail %s: that gets no flag of ours, and what was lost comes again", async (_, count, at) => {
    const { made, putBack } = await grown("an account");
    await putBack();
    // As long as what was lost, and told apart by the bytes alone.
    const late = [seed("late1", ["INBOX"]), seed("late2", ["INBOX"])];
    const others = Array.from({ length: count }, (_, n) => {
      const like = late[n % 2] ?? seed("late1", ["INBOX"]);
      const bytes = Buffer.from(Buffer.from(like.bytes).toString("latin1").replaceAll("late", `oth${n}`), "latin1");
      return { ...like, bytes, flags: [], received: { epochSeconds: at === undefined ? 1_600_000_000 : at + n } };
    });
    await made.atTarget((client) => client.fill(others));
    await made.atSource(async (client) => {
      for (const { uid } of await client.read(["INBOX"]))
        await client.store(["INBOX"], uid, "+", ["\\Deleted", "\\Flagged", "Urgent"]);
    });
    expect((await made.go()).balance).toMatchObject({ copied: 2 });
    expect((await flagsOfOthers(made)).join()).not.toMatch(/deleted|flagged|urgent/i);
    await expectAll(made, count);
  });

  it("after a run that died, too: the newest records tell", async () => {
    const { made, putBack } = await grown("an account");
    for (const path of made.journals()) await cutClosing(path);
    await putBack();
    await made.atTarget((client) => client.fill([other(1), other(2), other(3)]));
    await made.go();
    await expectAll(made, 3);
    expect(await flagsOfOthers(made)).toEqual(["", "", ""]);
  });
});

async function cutClosing(path: string): Promise<void> {
  const { readFileSync, writeFileSync } = await import("node:fs");
  const lines = readFileSync(path, "latin1").split("\n");
  writeFileSync(path, `${lines.slice(0, -2).join("\n")}\n`, "latin1");
}

describe("copies that are gone from an account", () => {
  /** Counted from the oldest, or with a minus from the newest. */
  const expunge = (from: number, to?: number) => async (client: ImapClient) => {
    const uids = (await client.read(["INBOX"])).map(({ uid }) => uid);
    await client.expunge(["INBOX"], uids.slice(from, to));
  };

  async function manyIn(count = 10): Promise<Scene> {
    const made = await scene("an account");
    await made.atSource((client) =>
      client.fill(Array.from({ length: count - 4 }, (_, n) => seed(`more ${n}`, ["INBOX"], [], []))),
    );
    await made.heals();
    return made;
  }

  it("were removed by their owner where they are few and old, and stay so", async () => {
    const made = await manyIn();
    await made.atTarget(expunge(0, 1));
    await made.atSource((client) => client.append(seed("new", ["INBOX"])));
    expect((await made.go()).balance).toMatchObject({ copied: 1 });
    expect((await made.content()).get("INBOX")?.length).toBe(10);
    // And again come back when everything is asked for.
    expect((await made.heals({ recheck: true })).balance).toMatchObject({ copied: 1 });
  });

  it("come again where a fifth of the folder is gone, a few at a time", async () => {
    const made = await manyIn();
    await made.atTarget(expunge(0, 1));
    await made.atSource((client) => client.append(seed("new", ["INBOX"])));
    await made.go();
    await made.atTarget(expunge(0, 2));
    // As many messages are there as before.
    await made.atTarget((client) => client.fill([other(1), other(2), other(3)]));
    expect((await made.go()).balance).toMatchObject({ copied: 3 });
    await expectAll(made, 3);
  });

  it("come again where the newest are among them", async () => {
    const made = await manyIn(24);
    await made.atTarget(expunge(-4));
    expect((await made.heals()).balance).toMatchObject({ copied: 4 });
  });
});

describe("a Maildir from an older backup", () => {
  it.each(["nothing moved at the source", "new mail came"])("gets again what it lost: %s", async (what) => {
    const { made, putBack } = await grown("a Maildir");
    await putBack();
    if (what === "new mail came") await made.atSource((client) => client.append(seed("new", ["INBOX"])));
    expect((await made.heals()).balance.copied).toBe(what === "new mail came" ? 3 : 2);
  });

  it("keeps removed what its owner removed, as long as that is little", async () => {
    const made = await scene("a Maildir");
    await made.atSource((client) => client.fill(Array.from({ length: 6 }, (_, n) => seed(`more ${n}`, ["INBOX"]))));
    await made.heals();
    const [first = ""] = readdirSync(join(made.path, "cur")).sort();
    rmSync(join(made.path, "cur", first));
    await made.atSource((client) => client.append(seed("new", ["INBOX"])));
    expect((await made.go()).balance).toMatchObject({ copied: 1 });
    expect((await made.content()).get("INBOX")?.length).toBe(10);
  });
});

describe("an archive of zips", () => {
  const zips = (made: Scene): string[] =>
    readdirSync(made.path)
      .filter((name) => name.endsWith(".zip"))
      .sort();

  it("without its last zip gives that number to no other, and what it held is copied again", async () => {
    const { made } = await grown("an archive of zips");
    const [first = "", second = ""] = zips(made);
    rmSync(join(made.path, second));
    const summary = await made.go();
    expect(summary).toMatchObject({ outcome: "partial", balance: { copied: 2 } });
    expect(summary.missing).toEqual([expect.stringContaining("the zip with the number 0002 is missing")]);
    expect(zips(made)).toEqual([first, expect.stringMatching(/^0003-/)]);
    await expectAll(made, 0);
  });

  it("is not complete until it was gone through once more, and is then", async () => {
    const { made } = await grown("an archive of zips");
    rmSync(join(made.path, zips(made)[1] ?? ""));
    expect((await made.go()).outcome).toBe("partial");
    expect((await made.go()).outcome).toBe("partial");
    const again = await made.go({ recheck: true });
    expect(again).toMatchObject({ outcome: "partial", balance: { copied: 0 } });
    expect(await made.go()).toMatchObject({ outcome: "complete", balance: { copied: 0 } });
    await expectAll(made, 0);
  });

  it("without an earlier zip gets again what that held, where it was a fifth", async () => {
    const { made } = await grown("an archive of zips");
    const [first = ""] = zips(made);
    rmSync(join(made.path, first));
    expect((await made.go()).balance.copied).toBe(16);
    await expectAll(made, 0);
    expect(existsSync(join(made.path, first))).toBe(false);
  });

  it("that was written by a program that kept no numbers gives none twice either", async () => {
    const { made } = await grown("an archive of zips");
    rmSync(join(made.path, "mailferry", "numbers"));
    rmSync(join(made.path, zips(made)[1] ?? ""));
    await made.go();
    expect(zips(made)[1]).toMatch(/^0003-/);
    await expectAll(made, 0);
  });
});
