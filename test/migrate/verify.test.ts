// Verify finds every difference there can be between two ends, and none where there is none.

import { describe, expect, it } from "vitest";
import { MailError } from "../../src/mail/errors.ts";
import { FULL_FIDELITY, NO_FIDELITY } from "../../src/mail/fidelity.ts";
import type { Entry, Folder } from "../../src/mail/model.ts";
import { type VerifyFinding, type VerifyOptions, verify } from "../../src/migrate/verify.ts";
import type { Source } from "../../src/sources/source.ts";
import { type MemoryFolder, mail, memorySource } from "../kit/memory.ts";

const signal = new AbortController().signal;
const seen = { flags: new Set(["seen"] as const), received: { epochSeconds: 1000 } };
const inbox = (...messages: MemoryFolder["mail"]): MemoryFolder => ({
  path: ["INBOX"],
  generation: "1",
  mail: messages,
});
const copyOf = (folders: readonly MemoryFolder[]): Source => ({ ...memorySource(folders), identity: "memory:copy" });

async function compare(
  source: Source,
  target: Source,
  options: VerifyOptions = {},
  describe?: Parameters<typeof verify>[2],
  find?: Parameters<typeof verify>[7],
) {
  const findings: VerifyFinding[] = [];
  const summary = await verify(
    source,
    target,
    describe,
    options,
    signal,
    (f) => findings.push(f),
    () => undefined,
    find,
  );
  return { summary, kinds: findings.map(({ kind }) => kind), findings };
}

const three = () => [mail("a", undefined, seen), mail("b", undefined, seen), mail("c", undefined, seen)];

describe("two ends", () => {
  it("that hold the same are equal, whatever the order and the ids", async () => {
    const other = three()
      .reverse()
      .map((item, i) => ({ ...item, id: String(i) }));
    const { summary, kinds } = await compare(memorySource([inbox(...three())]), copyOf([inbox(...other)]));
    expect(summary).toMatchObject({ equal: true, matched: 3, missing: 0, changed: 0, extra: 0 });
    expect(kinds).toEqual([]);
  });

  it("differ by a missing message, and by the second of twins", async () => {
    const twins = [mail("1", "same\r\n"), mail("2", "same\r\n"), mail("3")];
    const { summary, kinds } = await compare(memorySource([inbox(...twins)]), copyOf([inbox(mail("1", "same\r\n"))]));
    expect(summary).toMatchObject({ equal: false, matched: 1, missing: 2 });
    expect(kinds).toEqual(["missing", "missing"]);
  });

  it("differ by one flag, one keyword, one second; and say which", async () => {
    const wrong = three();
    const [a, b, c] = wrong;
    if (a === undefined || b === undefined || c === undefined) throw new Error("three messages");
    a.traits = { ...a.traits, flags: new Set() };
    b.traits = { ...b.traits, keywords: new Set(["$X"]) };
    c.traits = { ...c.traits, received: { epochSeconds: 1001 } };
    const { summary, findings } = await compare(memorySource([inbox(...three())]), copyOf([inbox(...wrong)]));
    expect(summary).toMatchObject({ equal: false, changed: 3, matched: 0 });
    expect(findings.map(({ what }) => what)).toEqual([
      "the target lacks seen",
      "the target has $X beside",
      expect.stringContaining("received 1970-01-01T00:16:40.000Z at the source"),
    ]);
  });

  it("are compared only on what both can tell", async () => {
    const bare = { ...copyOf([inbox(...three().map((m) => mail(m.id)))]), tells: NO_FIDELITY };
    const { summary } = await compare(memorySource([inbox(...three())]), bare);
    expect(summary).toMatchObject({ equal: true, matched: 3 });
  });

  it("are compared only on what the target's folder can keep, where it says", async () => {
    const wanted = [mail("a", undefined, { ...seen, keywords: new Set(["$Work", "$Known"]) })];
    const kept = [mail("a", undefined, { ...seen, keywords: new Set(["$known"]) })];
    const fidelity = { ...FULL_FIDELITY, keywords: new Set(["$known"]) };
    const describe = async ({ path }: Folder) => ({ name: path.join("/"), path, fidelity });
    const both = [memorySource([inbox(...wanted)]), copyOf([inbox(...kept)])] as const;
    expect((await compare(...both, {}, describe)).summary).toMatchObject({ equal: true, matched: 1 });
    expect((await compare(...both)).findings).toMatchObject([{ kind: "changed", what: "the target lacks $Work" }]);
    const bare = [memorySource([inbox(...wanted)]), copyOf([inbox(mail("a", undefined, seen))])] as const;
    expect((await compare(...bare, {}, describe)).findings).toMatchObject([{ what: "the target lacks $Known" }]);
  });

  it("are compared under the name that the target gave, where it cannot hold the wanted one", async () => {
    const source = memorySource([inbox(), { path: ["a/b", "c."], generation: "1", mail: three() }]);
    const target = () => copyOf([inbox(), { path: ["a_b", "c"], generation: "1", mail: three() }]);
    const describe = async ({ path }: Folder) => {
      const there = path.map((part) => part.replace("/", "_").replace(".", ""));
      return { name: there.join("/"), path: there, fidelity: FULL_FIDELITY };
    };
    // Both ways: the other name is not taken for a folder that the source does not have.
    const { summary, kinds } = await compare(source, target(), { bothWays: true }, describe);
    expect(summary).toMatchObject({ equal: true, matched: 3, foldersMissing: 0, foldersExtra: 0, extra: 0 });
    expect(kinds).toEqual([]);
    expect(summary.folders.at(-1)).toMatchObject({ folder: ["a/b", "c."], name: "a_b/c" });
    const plain = await compare(source, target(), {});
    expect(plain.summary).toMatchObject({ equal: false, foldersMissing: 1, missing: 3 });
  });

  it("are compared under the name that took its place, where the wanted one was refused; asked last", async () => {
    const source = memorySource([
      { path: ["a*"], generation: "1", mail: three() },
      { path: ["b*"], generation: "1", mail: [] },
      { path: ["a_"], generation: "1", mail: [mail("x")] },
    ]);
    const target = copyOf([
      { path: ["a_1"], generation: "1", mail: three() },
      { path: ["a_"], generation: "1", mail: [mail("x")] },
    ]);
    const asked: string[] = [];
    const tell = (what: string, { path }: Folder, there = path) => {
      asked.push(`${what} ${path}`);
      return { name: there.join("/"), path: there, fidelity: FULL_FIDELITY };
    };
    const describe = async (folder: Folder) => tell("describe", folder);
    // What was made nowhere keeps its name.
    const find = async (folder: Folder) => tell("find", folder, folder.path[0] === "a*" ? ["a_1"] : folder.path);
    const { summary, findings } = await compare(source, target, { bothWays: true }, describe, find);
    expect(summary).toMatchObject({ equal: false, matched: 4, missing: 0, foldersMissing: 1, foldersExtra: 0 });
    expect(findings.map(({ kind, folder }) => `${kind} ${folder}`)).toEqual(["folder-missing b*"]);
    // A name is free for another folder only when all have theirs; and of one that is there nothing else is asked.
    expect(asked).toEqual(["describe a*", "describe b*", "describe a_", "find a*", "find b*"]);
  });

  it("differ both ways by a message of the target that cannot be read", async () => {
    const broken = new MailError("malformed", "bit rot", { scope: "message", remedy: "give-up" });
    const target = () => ({
      ...memorySource([inbox(...three(), mail("x"))], { content: new Map([["x", broken]]) }),
      identity: "memory:copy",
    });
    const one = await compare(memorySource([inbox(...three())]), target());
    expect([one.summary.equal, one.kinds]).toEqual([true, ["unreadable", "extra"]]);
    expect((await compare(memorySource([inbox(...three())]), target(), { bothWays: true })).summary.equal).toBe(false);
  });

  it("name a message whose bytes a server altered, by Message-ID and date", async () => {
    const rewritten = mail("a", "Message-ID: <a@example>\r\n\r\nBODY a\r\n", seen);
    const { summary, kinds } = await compare(
      memorySource([inbox(mail("a", undefined, seen))]),
      copyOf([inbox(rewritten)]),
    );
    expect(summary).toMatchObject({ equal: false, changed: 1, missing: 0, extra: 0 });
    expect(kinds).toEqual(["altered"]);
  });

  it("report extra mail, which counts only both ways", async () => {
    const target = () => copyOf([inbox(...three(), mail("x")), { path: ["Else"], generation: "1", mail: [mail("y")] }]);
    const one = await compare(memorySource([inbox(...three())]), target());
    expect(one.summary).toMatchObject({ equal: true, extra: 2 });
    const both = await compare(memorySource([inbox(...three())]), target(), { bothWays: true });
    expect(both.summary.equal).toBe(false);
  });

  it("differ by a folder that is missing, even an empty one", async () => {
    const source = memorySource([inbox(), { path: ["Empty"], generation: "1", mail: [] }]);
    const { summary, kinds } = await compare(source, copyOf([inbox()]));
    expect(summary).toMatchObject({ equal: false, foldersMissing: 1 });
    expect(kinds).toEqual(["folder-missing"]);
  });

  it("are compared through --map and --into", async () => {
    const source = memorySource([{ path: ["Old", "Sub"], generation: "1", mail: three() }]);
    const target = copyOf([{ path: ["In", "New", "Sub"], generation: "1", mail: three() }]);
    const { summary } = await compare(source, target, { map: [{ from: ["Old"], to: ["New"] }], into: ["In"] });
    expect(summary).toMatchObject({ equal: true, matched: 3 });
  });

  it("scale: a thousand messages with ten keys each find their own", async () => {
    const many = (shift: number) =>
      Array.from({ length: 3000 }, (_, i) => mail(String(i), `n ${(i + shift) % 3000}\r\n`));
    const { summary } = await compare(memorySource([inbox(...many(0))]), copyOf([inbox(...many(7))]));
    expect(summary).toMatchObject({ equal: true, matched: 3000 });
  });

  it("differ by an empty folder too many, which counts only both ways; not by what was left out", async () => {
    const extra = () => copyOf([inbox(), { path: ["Empty"], generation: "1", mail: [] }]);
    expect((await compare(memorySource([inbox()]), extra())).summary).toMatchObject({ equal: true, foldersExtra: 1 });
    const both = await compare(memorySource([inbox()]), extra(), { bothWays: true });
    expect(both.summary.equal).toBe(false);
    expect(both.kinds).toEqual(["folder-extra"]);
    const select = { include: [], exclude: ["Empty"] };
    expect((await compare(memorySource([inbox()]), extra(), { bothWays: true, select })).summary.equal).toBe(true);
  });
});

describe("quick", () => {
  const sized = (source: Source): Source => ({ ...source, wireSize: ({ size }) => size });
  const quick = { quick: true };

  it("finds a message that is missing although another of the same second and flags is there", async () => {
    const { summary, kinds } = await compare(
      memorySource([inbox(...three())]),
      copyOf([inbox(...three().slice(1))]),
      quick,
    );
    expect(summary).toMatchObject({ equal: false, matched: 2, missing: 1 });
    expect(kinds).toEqual(["missing"]);
    const swapped = [mail("a", undefined, seen), mail("b", undefined, seen), mail("d", undefined, seen)];
    const other = await compare(memorySource([inbox(...three())]), copyOf([inbox(...swapped)]), quick);
    expect(other.summary).toMatchObject({ matched: 2, missing: 1, extra: 1 });
  });

  it("knows what has no Message-ID by its size, where one end tells no date", async () => {
    const nameless = (n: number) => mail(String(n), `Subject: ${"x".repeat(n)}\r\n\r\n`, seen);
    const maildrop = (...all: MemoryFolder["mail"]): Source => ({
      ...memorySource([inbox(...all)]),
      tells: NO_FIDELITY,
    });
    const both = [nameless(1), nameless(2)];
    const bare = both.map(({ id, bytes }) => mail(id, bytes.toString("latin1")));
    const same = await compare(sized(maildrop(...bare)), sized(copyOf([inbox(...both)])), quick);
    expect(same.summary).toMatchObject({ equal: true, matched: 2, extra: 0 });
    const other = await compare(sized(maildrop(...bare)), sized(copyOf([inbox(nameless(1), nameless(3))])), quick);
    expect(other.summary).toMatchObject({ equal: false, matched: 1, changed: 1 });
  });

  it("finds another size, date and flag", async () => {
    const long = mail("a", "Message-ID: <a@example>\r\n\r\nlonger\r\nthan it was\r\n", seen);
    const late = mail("b", undefined, { ...seen, received: { epochSeconds: 1001 } });
    const read = mail("c", undefined, { received: seen.received });
    const { findings } = await compare(
      sized(memorySource([inbox(...three())])),
      sized(copyOf([inbox(long, late, read)])),
      quick,
    );
    expect(findings.map(({ what }) => what)).toEqual([
      expect.stringMatching(/^\d+ bytes at the source, \d+ in the target$/),
      expect.stringContaining("received"),
      "the target lacks seen",
    ]);
  });

  it("reads no body: what lies behind the header is never asked for", async () => {
    const source = memorySource([inbox(mail("a", `Message-ID: <a@example>\r\n\r\nbody\r\n`))]);
    const lazy: Source = {
      ...source,
      async *read(slice, options) {
        for await (const { entry } of source.read(slice, options))
          yield {
            entry,
            content: (async function* () {
              yield Buffer.from("Message-ID: <a@example>\r\n\r\n");
              throw new Error("the body was read");
            })(),
          };
      },
    };
    expect((await compare(lazy, { ...lazy, identity: "other" }, quick)).summary).toMatchObject({
      equal: true,
      matched: 1,
    });
  });

  it("is weaker, and says so: equal Message-ID, size and date with another body pass", async () => {
    const other = mail("a", `Message-ID: <a@example>\r\n\r\nbodY a\r\n`);
    const both = [sized(memorySource([inbox(mail("a"))])), sized(copyOf([inbox(other)]))] as const;
    expect((await compare(...both, quick)).summary.equal).toBe(true);
    expect((await compare(...both)).summary.equal).toBe(false);
  });
});

it.each([undefined, true])(
  "a source that tells no dates is compared by those of its headers, as it was copied; quick: %s",
  async (quick) => {
    const dated = (id: string, year: number) =>
      mail(id, `Received: from x by y; Tue, 2 Jan ${year} 10:00:00 +0000\r\nMessage-ID: <${id}@x>\r\n\r\n${id}\r\n`);
    const folder = (...messages: ReturnType<typeof mail>[]) => ({ path: ["INBOX"], generation: "1", mail: messages });
    const { received: _, ...rest } = FULL_FIDELITY;
    const source = Object.assign(memorySource([folder(dated("old", 2010), dated("new", 2024))]), {
      tells: { ...rest, received: false },
    });
    // Of the target's own the one outside the dates was copied by a run without them.
    const target = Object.assign(memorySource([folder(dated("new", 2024), dated("old", 2010), dated("mine", 2023))]), {
      identity: "memory:target",
    });
    const options = { since: Date.UTC(2020, 0) / 1000, ...(quick === undefined ? {} : { quick }) };
    const nothing = (): void => undefined;
    const summary = await verify(source, target, undefined, options, new AbortController().signal, nothing, nothing);
    expect(summary).toMatchObject({ equal: true, matched: 1, missing: 0, extra: 1 });
  },
);

it.each([undefined, true])("what is larger than the run took is not extra; quick: %s", async (quick) => {
  const sized = (source: ReturnType<typeof memorySource>) =>
    Object.assign(source, { wireSize: ({ size }: Entry) => size });
  const folder = { path: ["INBOX"], generation: "1", mail: [mail("small"), mail("large", `${"x".repeat(3000)}\r\n`)] };
  const target = Object.assign(sized(memorySource([folder])), { identity: "memory:target" });
  const [small] = folder.mail;
  const source = sized(memorySource([{ ...folder, mail: small === undefined ? [] : [small] }]));
  const options = { maxSize: 2000, bothWays: true, ...(quick === undefined ? {} : { quick }) };
  const nothing = (): void => undefined;
  const summary = await verify(source, target, undefined, options, new AbortController().signal, nothing, nothing);
  expect(summary).toMatchObject({ equal: true, matched: 1, extra: 0 });
});
