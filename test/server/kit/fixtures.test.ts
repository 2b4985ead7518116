// What Dovecot does to each fixture is what the fixture says: the other tests build on it.

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { fits, mailbox, ODD_FOLDERS, themes } from "../../../fixtures/make.ts";
import { type Dovecot, startDovecot } from "../../kit/dovecot.ts";
import { connectImap, type ImapClient, keyOf } from "../../kit/imap-client.ts";
import { seedMaildir } from "../../kit/seed-maildir.ts";

let dovecot: Dovecot;
let client: ImapClient;
beforeAll(async () => {
  dovecot = await startDovecot({ users: ["anna", "ben", "carl"] });
  client = await connectImap(dovecot.serverOptions("imaps", "anna"));
});
afterAll(async () => {
  await client?.logout();
  await dovecot?.stop();
});

describe("Dovecot", () => {
  it.each([...themes()])("does to $theme/$name what the fixture says", async (fixture) => {
    const folder = [fixture.theme, fixture.name];
    const appended = client.append({ ...fixture, folder });
    if (fixture.dovecot === "refuses") {
      await expect(appended).rejects.toThrow("NO");
      return;
    }
    await appended;
    const [held] = await client.read(folder);
    expect(held?.key === keyOf(fixture.bytes)).toBe(fixture.dovecot !== "alters");
    expect(held?.epochSeconds === fixture.received.epochSeconds).toBe(fixture.dovecot !== "loses-date");
    expect(held?.flags).toEqual([...fixture.flags].sort());
    expect(held?.keywords).toEqual([...fixture.keywords].sort());
  });

  it("takes every odd folder name that its separator allows", async () => {
    const folders = ODD_FOLDERS.filter((path) => fits(path, "/"));
    for (const path of folders) await client.create(path);
    const paths = (await client.folders()).map(({ path }) => path);
    for (const path of folders) expect(paths).toContainEqual(path);
  });

  it("keeps a believable mailbox byte for byte, filled by IMAP or by files", async () => {
    const filed = [...mailbox({ seed: 3, messages: 300, folders: 20 })];
    await using ben = await connectImap(dovecot.serverOptions("imap", "ben"));
    expect(await ben.fill(filed)).toBe(300);
    expect(seedMaildir(dovecot, "carl", filed)).toBe(300);
    await using carl = await connectImap(dovecot.serverOptions("imap", "carl"));
    for (const owner of [ben, carl]) {
      const held = [...(await owner.readAll()).values()].flat();
      const summary = held.map(({ key, flags, keywords, epochSeconds }) => [key, flags, keywords, epochSeconds].join());
      const wanted = filed.map(({ bytes, flags, keywords, received }) =>
        [keyOf(bytes), [...flags].sort(), [...keywords].sort(), received.epochSeconds].join(),
      );
      expect(summary.sort()).toEqual(wanted.sort());
    }
  });
});
