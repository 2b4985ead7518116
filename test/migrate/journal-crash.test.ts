// A ledger that was cut, damaged or killed: it opens, it never passes for whole, and what was durable is still there.

import { spawn } from "node:child_process";
import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { openLedger } from "../../src/migrate/journal.ts";
import { all, done, INBOX, journalIn, origin, PAIR, scratch } from "./journal-kit.ts";

const head = { generation: "7", listed: 1, sourceState: "7/42" };

/** Three runs, each closed, and records of every kind. */
async function history(directory: string): Promise<string> {
  for (const run of [1, 2, 3]) {
    await using ledger = await openLedger(directory, PAIR);
    const folder = await ledger.folder("INBOX");
    await folder.begin("1");
    await folder.put(done(origin(`${run}0`)));
    await folder.put(done(origin(`${run}1`)));
    await folder.put({ state: "failed", origin: origin(`${run}2`), code: "io" });
    if (run === 2) await folder.adopt(origin("99", "8"), done(origin("10")).key);
    await folder.put({ state: "removed", origin: origin(`${run}1`) });
    await folder.close(`position ${run}`, [{ source: INBOX, head }]);
  }
  return journalIn(directory);
}

describe("a journal that lost its end", () => {
  it("opens wherever it was cut, is never clean, and goes on", async () => {
    await using place = await scratch();
    const path = await history(place.path);
    const whole = await readFile(path);
    const known = new Set(["10", "20", "30", "99"]);
    for (let length = 0; length < whole.length; length++) {
      await writeFile(path, whole.subarray(0, length));
      const notices: string[] = [];
      {
        await using ledger = await openLedger(place.path, PAIR, { onNotice: (text) => notices.push(text) });
        if (length % 4 === 0) expect(await ledger.glance("INBOX"), `cut at ${length}`).toBeUndefined();
        const folder = await ledger.folder("INBOX");
        expect(folder.clean, `cut at ${length}`).toBe(false);
        const records = await all(folder);
        for (const record of records) expect(known).toContain(record.origin.id.replace(/1$/, "0"));
        // Every byte is tried for opening; writing on is tried for some, as it costs a sync.
        if (length % 61 !== 0) continue;
        await folder.begin("1");
        await folder.put(done(origin("new")));
        await folder.close("end", []);
      }
      await using ledger = await openLedger(place.path, PAIR);
      const folder = await ledger.folder("INBOX");
      expect(folder, `cut at ${length}`).toMatchObject({ clean: true, sinkPosition: "end" });
      expect(folder.find(origin("new"))?.state).toBe("done");
      for (const name of await readdir(place.path)) {
        if (!name.includes("damaged")) continue;
        expect(notices.join(), `cut at ${length}`).toContain("INBOX");
        await rm(join(place.path, name));
      }
    }
  });

  it("keeps what stood before the cut", async () => {
    await using place = await scratch();
    const path = await history(place.path);
    const whole = await readFile(path);
    await writeFile(path, whole.subarray(0, whole.length - 1));
    await using ledger = await openLedger(place.path, PAIR);
    const folder = await ledger.folder("INBOX");
    expect((await all(folder)).map((record) => record.origin.id)).toEqual(["20", "99", "30"]);
    expect(folder.find(origin("31"))?.state).toBe("removed");
  });
});

describe("a journal that was damaged", () => {
  it("in any one byte opens unclean, or not at all, and loses no other line", async () => {
    await using place = await scratch();
    const path = await history(place.path);
    const whole = await readFile(path);
    const lineStarts = [0, ...[...whole.entries()].filter(([, byte]) => byte === 10).map(([at]) => at + 1)];
    const full = await recordsAt(place.path);
    for (let at = 0; at < whole.length; at += 7) {
      const bad = Buffer.from(whole);
      bad[at] = (bad[at] ?? 0) ^ (1 << (at % 8));
      await writeFile(path, bad);
      await using ledger = await openLedger(place.path, PAIR);
      const folder = await ledger.folder("INBOX");
      expect(folder.clean, `byte ${at}`).toBe(false);
      if (at < (lineStarts[1] ?? 0)) continue;
      // At most two lines are hurt, when the byte was the line end between them.
      expect(full.size - folder.size, `byte ${at}`).toBeLessThanOrEqual(2);
    }
  });

  it("is kept aside before anything is written, and what holds is written anew", async () => {
    await using place = await scratch();
    const path = await history(place.path);
    const bad = await readFile(path);
    const middle = bad.indexOf('"i":"20"');
    bad.write("XX", middle);
    await writeFile(path, bad);
    const notices: string[] = [];
    {
      await using ledger = await openLedger(place.path, PAIR, { onNotice: (text) => notices.push(text) });
      const folder = await ledger.folder("INBOX");
      expect(notices.join()).toContain("damaged");
      expect((await readFile(path)).equals(bad)).toBe(true);
      expect(folder.find(origin("20"))).toBeUndefined();
      await folder.begin("1");
      await folder.put(done(origin("20")));
      await folder.close("end", []);
    }
    const aside = (await readdir(place.path)).filter((name) => name.includes("damaged"));
    expect(aside.length).toBe(1);
    expect((await readFile(join(place.path, aside[0] ?? ""))).equals(bad)).toBe(true);
    expect(notices.join()).toContain(aside[0]);
    const again: string[] = [];
    await using ledger = await openLedger(place.path, PAIR, { onNotice: (text) => again.push(text) });
    const folder = await ledger.folder("INBOX");
    expect(again).toEqual([]);
    expect(folder.clean).toBe(true);
    for (const id of ["20", "30"]) expect(await folder.find(origin(id))?.read()).toEqual(done(origin(id)));
  });

  it("in its first line is kept aside, and a new one is begun", async () => {
    await using place = await scratch();
    const path = await history(place.path);
    const bad = await readFile(path);
    bad[0] = 33;
    await writeFile(path, bad);
    const notices: string[] = [];
    {
      await using ledger = await openLedger(place.path, PAIR, { onNotice: (text) => notices.push(text) });
      const folder = await ledger.folder("INBOX");
      expect(folder).toMatchObject({ clean: false, size: 0 });
      expect(notices.join()).toContain(path);
      await folder.put(done(origin("1")));
    }
    const aside = (await readdir(place.path)).filter((name) => name.includes("damaged"));
    expect((await readFile(join(place.path, aside[0] ?? ""))).equals(bad)).toBe(true);
    expect((await recordsAt(place.path)).size).toBe(1);
  });

  it("or that is something else altogether is never overwritten", async () => {
    await using place = await scratch();
    const path = await history(place.path);
    const other = Buffer.alloc(300_000, 7);
    await writeFile(path, other);
    {
      await using ledger = await openLedger(place.path, PAIR);
      const folder = await ledger.folder("INBOX");
      await folder.put(done(origin("1")));
    }
    const names = (await readdir(place.path)).filter((name) => name.includes("damaged"));
    expect((await readFile(join(place.path, names[0] ?? ""))).equals(other)).toBe(true);
  });

  it("holds a line from a newer program that it does not know: unclean, and the line is kept", async () => {
    await using place = await scratch();
    const path = await history(place.path);
    const { frame } = await import("../../src/core/lines.ts");
    await writeFile(path, Buffer.concat([await readFile(path), Buffer.from(frame('{"s":"novelty"}'))]));
    await using ledger = await openLedger(place.path, PAIR);
    const folder = await ledger.folder("INBOX");
    expect(folder.clean).toBe(false);
    await folder.put(done(origin("1")));
    expect((await readdir(place.path)).some((name) => name.includes("damaged"))).toBe(true);
  });
});

describe("a journal that has grown", () => {
  it("is made small when more than half of it is stale, and means the same", async () => {
    await using place = await scratch();
    const gone = { state: "removed", origin: origin("gone") } as const;
    {
      await using ledger = await openLedger(place.path, PAIR);
      const folder = await ledger.folder("INBOX");
      await folder.begin("1");
      for (let i = 0; i < 300; i++) await folder.put(done(origin(String(i % 3)), { size: i, firstSeen: 50 + i }));
      await folder.put(done(gone.origin));
      await folder.put(gone);
      await folder.put({ state: "failed", origin: origin("bad"), code: "malformed" });
      const before = (await readFile(await journalIn(place.path))).length;
      expect(folder.settle(origin("1"))).toBe(true);
      await folder.close("p", [{ source: INBOX, head }]);
      expect((await readFile(await journalIn(place.path))).length).toBeLessThan(before / 10);
      expect(folder.settle(origin("1"))).toBe(false);
      expect(await folder.find(origin("2"))?.read()).toMatchObject({ size: 299, firstSeen: 52 });
      await folder.put(done(origin("later")));
      await folder.close("q", []);
    }
    expect((await readdir(place.path)).length).toBe(1);
    await using ledger = await openLedger(place.path, PAIR);
    const folder = await ledger.folder("INBOX");
    expect(folder).toMatchObject({ clean: true, size: 4, sinkPosition: "q", sinkGeneration: "1" });
    expect(folder.head(INBOX)).toEqual(head);
    expect(await folder.find(gone.origin)?.read()).toEqual(done(gone.origin));
    expect(folder.find(gone.origin)?.state).toBe("removed");
    expect(folder.find(origin("bad"))?.state).toBe("failed");
    expect((await all(folder)).map((record) => record.origin.id)).toEqual(["0", "1", "2", "later"]);
  });

  it("closes all the same when it cannot be made small", async () => {
    await using place = await scratch();
    const notices: string[] = [];
    {
      await using ledger = await openLedger(place.path, PAIR, { onNotice: (text) => notices.push(text) });
      const folder = await ledger.folder("INBOX");
      for (let i = 0; i < 200; i++) await folder.put(done(origin("1")));
      const path = await journalIn(place.path);
      // The name of the temporary file is taken by something that cannot be unlinked.
      await mkdir(join(dirname(path), `.${path.slice(dirname(path).length + 1)}.part`));
      await folder.close("p", []);
      expect(folder.clean).toBe(true);
    }
    expect(notices.length).toBe(1);
    await using ledger = await openLedger(place.path, PAIR);
    expect(await ledger.folder("INBOX")).toMatchObject({ clean: true, size: 1 });
  });
});

describe("a writer that is killed", () => {
  it("leaves every record that it was told was durable, and an unclean ledger", async () => {
    await using place = await scratch();
    const durable = new Set<string>();
    for (let round = 0; round < 3; round++) {
      const script = fileURLToPath(new URL("journal-child.ts", import.meta.url));
      const child = spawn(process.execPath, ["--import", "tsx", script, place.path, String(round * 1_000_000)], {
        stdio: ["ignore", "pipe", "inherit"],
      });
      let text = "";
      for await (const chunk of child.stdout) {
        text += String(chunk);
        if (text.length > 400 * (round + 1)) child.kill("SIGKILL");
      }
      for (const id of text.slice(0, text.lastIndexOf("\n")).split("\n").slice(1)) durable.add(id);
      await using ledger = await openLedger(place.path, PAIR);
      const folder = await ledger.folder("INBOX");
      expect(folder.clean).toBe(false);
      expect(folder.sinkGeneration).toBe("1");
      for (const id of durable) expect(await folder.find(origin(id))?.read()).toEqual(done(origin(id)));
    }
    expect(durable.size).toBeGreaterThan(100);
  });
});

async function recordsAt(directory: string): Promise<{ size: number }> {
  await using ledger = await openLedger(directory, PAIR);
  return { size: (await ledger.folder("INBOX")).size };
}
