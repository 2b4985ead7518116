// The spool after crashes and on bad disks: what was told is there, what was not told is gone, nothing in between.

import { cp, mkdir, readdir, readFile, stat, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { type HeaderRecord, MANIFEST_NAME } from "../../../src/formats/manifest.ts";
import { type Committer, committer } from "../../../src/formats/mboxzip/commit.ts";
import { messageAt } from "../../../src/formats/mboxzip/content.ts";
import { parseRef } from "../../../src/formats/mboxzip/ref.ts";
import { openSpool, type Spool } from "../../../src/formats/mboxzip/spool.ts";
import { stage } from "../../../src/mail/body.ts";
import { NO_TRAITS } from "../../../src/mail/model.ts";
import { gather, NEVER, ODD, pieces, scratch, snapshot } from "./kit.ts";

const HEADER: HeaderRecord = { type: "header", archive: "a", job: "j", created: "2026-01-01T00:00:00Z", zip: 1 };

async function put(spool: Spool, commits: Committer, name: string, text: string): Promise<string> {
  await using body = await stage(pieces(Buffer.from(text, "latin1")), "/nowhere");
  const origin = { folder: [name], generation: "1", id: "1" };
  const folder = spool.folder({ type: "folder", path: [name], selectable: true });
  return await commits.append(folder, { entry: { origin, traits: NO_TRAITS }, traits: NO_TRAITS, body }, NEVER);
}

async function get(spool: Spool, ref: string): Promise<string> {
  const place = parseRef(ref);
  if (place === undefined) throw new Error(`no ref: ${ref}`);
  return (await gather(messageAt(spool.stored(place, NEVER), place))).toString("latin1");
}

describe("a spool", () => {
  it("cut anywhere behind what the disk had promised keeps just the whole messages, and goes on", async () => {
    await using place = await scratch();
    const good = join(place.path, "good");
    const texts = ["Subject: a\r\n\r\nFrom b\r\n", "", "x".repeat(300), "Subject: c\n\nno end"];
    const told: { ref: string; manifest: number; mbox: number }[] = [];
    let file = "";
    {
      await using spool = await openSpool(good, HEADER);
      const commits = committer(spool);
      for (const text of texts) {
        const ref = await put(spool, commits, "INBOX", text);
        file = spool.fileOf("INBOX.mbox").slice(good.length + 1);
        told.push({ ref, manifest: spool.manifestEnd, mbox: (await stat(join(good, file))).size });
      }
    }
    const total = told.at(-1)?.manifest ?? 0;
    let turn = 0;
    for (let cut = 0; cut <= total; cut += cut > total - 4 ? 1 : 11) {
      const whole = told.filter(({ manifest }) => manifest <= cut);
      const least = whole.at(-1)?.mbox ?? 0;
      const most = told[whole.length]?.mbox ?? least;
      for (const mbox of new Set([least, (least + most) >> 1, most])) {
        const path = join(place.path, `turn-${++turn}`);
        await cp(good, path, { recursive: true });
        await truncate(join(path, MANIFEST_NAME), cut);
        await truncate(join(path, file), mbox);
        await using spool = await openSpool(path, HEADER);
        expect(spool.messages, `manifest ${cut}, mbox ${mbox}`).toBe(whole.length);
        for (const [i, { ref }] of whole.entries()) expect(await get(spool, ref)).toBe(texts[i]);
        const next = await put(spool, committer(spool), "INBOX", "after\r\n");
        expect(await get(spool, next)).toBe("after\r\n");
        expect(parseRef(next)?.offset).toBe(least);
      }
    }
  });

  it("whose mbox is shorter than its manifest says is refused, and nothing is cut", async () => {
    await using place = await scratch();
    const path = join(place.path, "spool");
    let file = "";
    {
      await using spool = await openSpool(path, HEADER);
      await put(spool, committer(spool), "INBOX", "one\r\n");
      file = spool.fileOf("INBOX.mbox");
    }
    await writeFile(join(path, MANIFEST_NAME), `${await readFile(join(path, MANIFEST_NAME), "utf8")}torn`);
    await truncate(file, (await stat(file)).size - 1);
    const before = await snapshot(path);
    await expect(openSpool(path, HEADER)).rejects.toMatchObject({ code: "malformed", message: /shorter/ });
    expect(await snapshot(path)).toEqual(before);
  });

  it("with a bad line before its last is refused by its number, and nothing is cut", async () => {
    await using place = await scratch();
    const path = join(place.path, "spool");
    {
      await using spool = await openSpool(path, HEADER);
      const commits = committer(spool);
      for (const text of ["one", "two", "three"]) await put(spool, commits, "INBOX", text);
    }
    const manifest = await readFile(join(path, MANIFEST_NAME), "utf8");
    await writeFile(join(path, MANIFEST_NAME), manifest.replace('"size":3', '"size":4'));
    const before = await snapshot(path);
    await expect(openSpool(path, HEADER)).rejects.toMatchObject({ code: "malformed", message: /line 3/ });
    expect(await snapshot(path)).toEqual(before);
  });

  it("begins anew where its header was torn", async () => {
    await using place = await scratch();
    const path = join(place.path, "spool");
    await mkdir(path);
    await writeFile(join(path, MANIFEST_NAME), '{"type":"hea');
    await writeFile(join(path, "x.mbox"), "leftover");
    await using spool = await openSpool(path, HEADER);
    expect(await readdir(path)).toEqual([MANIFEST_NAME]);
    expect(await get(spool, await put(spool, committer(spool), "INBOX", "one"))).toBe("one");
  });

  it("stores many folders and messages in one batch, each with its own bytes", async () => {
    await using place = await scratch();
    await using spool = await openSpool(join(place.path, "spool"), HEADER);
    const commits = committer(spool);
    const texts = Array.from({ length: 300 }, (_, i) => `${ODD[i % ODD.length]}${"z".repeat(i * 50)}`);
    const refs = await Promise.all(texts.map((text, i) => put(spool, commits, `folder ${i % 7}`, text)));
    for (const [i, ref] of refs.entries()) expect(await get(spool, ref)).toBe(texts[i]);
    let at = 0;
    for await (const { number } of spool.read(0)) at = number;
    expect(at).toBe(1 + 7 + 300);
  });

  it("takes nothing of a message that fails in the middle, however much was written by then", async () => {
    await using place = await scratch();
    await using spool = await openSpool(join(place.path, "spool"), HEADER);
    const commits = committer(spool);
    for (const size of [10, 900_000, 3_000_000]) {
      await using body = await stage(pieces(Buffer.alloc(100, 120)), "/nowhere");
      const broken = {
        ...body,
        async *open() {
          yield Buffer.alloc(size, 121);
          throw new Error("gone");
        },
        async [Symbol.asyncDispose]() {},
      };
      const origin = { folder: ["INBOX"], generation: "1", id: "1" };
      const message = { entry: { origin, traits: NO_TRAITS }, traits: NO_TRAITS, body: broken };
      const folder = spool.folder({ type: "folder", path: ["INBOX"], selectable: true });
      const before = put(spool, commits, "INBOX", `before ${size}`);
      const failed = commits.append(folder, message, NEVER);
      const after = put(spool, commits, "INBOX", `after ${size}`);
      await expect(failed).rejects.toMatchObject({ code: "io", details: { scope: "message" } });
      expect(await get(spool, await before)).toBe(`before ${size}`);
      expect(await get(spool, await after)).toBe(`after ${size}`);
    }
    expect(spool.messages).toBe(6);
  });

  it("goes back to the last batch when the disk is full, and goes on when it is not", async () => {
    await using place = await scratch();
    const path = join(place.path, "spool");
    await using spool = await openSpool(path, HEADER);
    let full = false;
    const manifest = new Proxy(spool.manifest, {
      get(target, name) {
        if (name === "write" && full)
          return async (data: Uint8Array, from: number, _length: number, at: number) => {
            // As a full disk does: a part is written, and then no more.
            await target.write(data, from, 5, at);
            throw Object.assign(new Error("no space left on device"), { code: "ENOSPC" });
          };
        const value: unknown = Reflect.get(target, name, target);
        return typeof value === "function" ? value.bind(target) : value;
      },
    });
    const commits = committer(Object.assign(spool, { manifest }));
    const one = await put(spool, commits, "INBOX", "one");
    const before = await snapshot(path);
    full = true;
    const both = [put(spool, commits, "INBOX", "two"), put(spool, commits, "Other", "three")];
    for (const lost of both) await expect(lost).rejects.toMatchObject({ code: "quota", details: { scope: "account" } });
    full = false;
    const { [spool.fileOf("Other.mbox").slice(path.length + 1)]: other, ...rest } = await snapshot(path);
    expect([other ?? "", rest]).toEqual(["", before]);
    const four = await put(spool, commits, "INBOX", "four");
    expect([await get(spool, one), await get(spool, four)]).toEqual(["one", "four"]);
    await using again = await openSpool(path, HEADER);
    expect(again.messages).toBe(2);
  });

  it("says that its state is unknown when not even going back is possible, and takes no more", async () => {
    await using place = await scratch();
    await using spool = await openSpool(join(place.path, "spool"), HEADER);
    const commits = committer(Object.assign(spool, { fileOf: () => "/dev/full" }));
    for (let turn = 0; turn < 2; turn++)
      await expect(put(spool, commits, "INBOX", "one")).rejects.toMatchObject({
        code: "io",
        details: { outcome: "unknown", scope: "account" },
      });
  });
});
