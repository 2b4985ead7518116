// What every sink promises: one call runs the whole suite for an adapter.

import { tmpdir } from "node:os";
import { describe, expect, it } from "vitest";
import { stage } from "../../src/mail/body.ts";
import { MailError } from "../../src/mail/errors.ts";
import { narrow } from "../../src/mail/fidelity.ts";
import { plausibleSizes } from "../../src/mail/key.ts";
import type { Message } from "../../src/mail/message.ts";
import { showPath, type TraitChange } from "../../src/mail/model.ts";
import type { Receipt } from "../../src/sinks/sink.ts";
import { chunks, contentKey, expectTraits, letter, oddMail, seedKey } from "./seed.ts";
import {
  append,
  copiesOf,
  fail,
  folder,
  HOSTILE_NAMES,
  type MadeSink,
  message,
  NEVER,
  ODD_NAMES,
  receiptOf,
  roundTripNames,
  type SinkSuite,
  stream,
} from "./sink-kit.ts";
import { foldersOf, readAll } from "./source.ts";

const NOTHING = { flags: new Set<never>(), keywords: new Set<string>(), labels: new Set<string>() };

export function sinkConformance(name: string, suite: SinkSuite): void {
  const used = new Set<string>();
  const promise = (what: string, test: (made: MadeSink) => Promise<void>): void => {
    used.add(what);
    const reason = suite.skip?.[what];
    if (reason !== undefined) {
      it.skip(`${what} (not here: ${reason})`);
      return;
    }
    it(what, async () => {
      const made = await suite.make();
      try {
        await test(made);
      } finally {
        await made.sink[Symbol.asyncDispose]();
        await made.dispose();
      }
    });
  };

  describe(`${name} keeps the promises of a sink`, () => {
    promise("describes a folder without changing anything", async ({ sink, asSource }) => {
      const plan = await sink.describe(folder(["Only described"]), NEVER);
      const opened = await sink.open(folder(["Opened"]), NEVER);
      await append(opened, letter("one"));
      await sink.seal(NEVER);
      await using source = await asSource();
      const names = (await foldersOf(source)).map(({ path }) => showPath(path));
      expect(names).not.toContain(showPath(plan.path));
      expect(names).toContain(showPath(opened.path));
    });

    promise("opens as it described", async ({ sink }) => {
      const plan = await sink.describe(folder(["Plan"]), NEVER);
      const opened = await sink.open(folder(["Plan"]), NEVER);
      expect(opened).toMatchObject({ name: plan.name, path: plan.path, created: true });
      expect(opened.fidelity).toEqual(plan.fidelity);
      expect(opened.generation).not.toBe("");
    });

    promise("opens a folder twice without harm", async ({ sink }) => {
      const first = await sink.open(folder(["Twice"]), NEVER);
      const stored = await append(first, letter("one"));
      const second = await sink.open(folder(["Twice"]), NEVER);
      expect(second.generation).toBe(first.generation);
      const copies = await copiesOf(second);
      expect(copies.length).toBe(1);
      expect(await contentKey(second.reopen(receiptOf(stored), NEVER))).toBe(await seedKey(letter("one")));
    });

    promise("opens many folders at once, one of them twice", async ({ sink }) => {
      const paths = [["A"], ["B"], ["B", "C"], ["A"], ["D", "E", "F"]];
      const opened = await Promise.all(paths.map((path) => sink.open(folder(path), NEVER)));
      for (const one of opened) await append(one, letter(`in ${one.name}`));
      expect((await copiesOf(opened[0] ?? fail())).length).toBe(2);
      expect((await copiesOf(opened[2] ?? fail())).length).toBe(1);
    });

    promise("lists exactly what was appended, with its traits", async ({ sink }) => {
      const opened = await sink.open(folder(["Traits"]), NEVER);
      const seeds = [
        letter("seen", { flags: new Set(["seen"]) }),
        letter("many", { flags: new Set(["answered", "flagged", "seen", "draft"]) }),
        letter("keywords", { keywords: new Set(["$Forwarded", "Later"]) }),
        letter("old", { received: { epochSeconds: 86_400 * 400, zoneMinutes: -210 } }),
        letter("zone", { received: { epochSeconds: 1_600_000_000, zoneMinutes: 345 } }),
        letter("bare"),
      ];
      const stored = await Promise.all(seeds.map((seed) => append(opened, seed)));
      const copies = new Map((await copiesOf(opened)).map((copy) => [copy.receipt.ref, copy]));
      expect(copies.size).toBe(seeds.length);
      for (const [i, seed] of seeds.entries()) {
        const copy = copies.get(receiptOf(stored[i] ?? fail()).ref);
        if (copy === undefined) throw new Error(`copies() does not list message ${i}`);
        expectTraits(copy.traits, seed.traits, opened.fidelity, `message ${i}`);
        const { shape, key } = await stage(chunks(seed.bytes), tmpdir());
        expect([...plausibleSizes(shape)]).toContain(copy.size);
        if (copy.key !== undefined) expect(copy.key).toBe(key);
        const messageId = /<[^>]*>/.exec(seed.bytes.toString("latin1"))?.[0];
        if (copy.messageId !== undefined) expect(copy.messageId).toBe(messageId);
      }
    });

    promise("gives back the bytes of every odd message", async ({ sink }) => {
      const opened = await sink.open(folder(["Bytes"]), NEVER);
      for (const seed of oddMail()) {
        const stored = await append(opened, seed);
        expect(stored.altered, seed.bytes.toString("latin1", 0, 80)).toBeUndefined();
        expect(await contentKey(opened.reopen(receiptOf(stored), NEVER))).toBe(await seedKey(seed));
      }
    });

    promise("gives each of many concurrent appends its own fate", async ({ sink }) => {
      const opened = await sink.open(folder(["Many"]), NEVER);
      const seeds = Array.from({ length: 150 }, (_, i) => letter(`number ${i}`, {}, "x".repeat(i * 37)));
      const stored = await Promise.all(seeds.map((seed) => append(opened, seed)));
      const refs = stored.map((one) => receiptOf(one).ref);
      expect(new Set(refs).size).toBe(seeds.length);
      expect((await copiesOf(opened)).map(({ receipt }) => receipt.ref).sort()).toEqual([...refs].sort());
      const keys = await Promise.all(stored.map((one) => contentKey(opened.reopen(receiptOf(one), NEVER))));
      expect(keys).toEqual(await Promise.all(seeds.map(seedKey)));
    });

    promise("keeps exact twins as two copies", async ({ sink }) => {
      const opened = await sink.open(folder(["Twins"]), NEVER);
      const [one, two] = await Promise.all([append(opened, letter("twin")), append(opened, letter("twin"))]);
      expect(receiptOf(one).ref).not.toBe(receiptOf(two).ref);
      expect((await copiesOf(opened)).length).toBe(2);
    });

    promise("stores a message of several megabytes", async ({ sink }) => {
      const opened = await sink.open(folder(["Large"]), NEVER);
      const seed = letter("large", {}, `${"0123456789abcdef".repeat(4)}\r\n`.repeat(60_000));
      const stored = await append(opened, seed);
      expect(await contentKey(opened.reopen(receiptOf(stored), NEVER))).toBe(await seedKey(seed));
    });

    promise("changes just the traits that it is told to", async ({ sink }) => {
      const opened = await sink.open(folder(["Update"]), NEVER);
      const before = letter("changes", { flags: new Set(["seen", "flagged"]), keywords: new Set(["stays", "goes"]) });
      const other = letter("other", { flags: new Set(["flagged"]) });
      const stored = await append(opened, before);
      const untouched = await append(opened, other);
      if (opened.update === undefined) throw new Error("no update: the suite needs a reason for skipping this");
      const change: TraitChange = {
        add: { ...NOTHING, flags: new Set(["answered"]), keywords: new Set(["comes"]) },
        remove: { ...NOTHING, flags: new Set(["flagged"]), keywords: new Set(["goes"]) },
      };
      await opened.update(receiptOf(stored), change, NEVER);
      const after = letter("changes", {
        flags: new Set(["seen", "answered"]),
        keywords: new Set(["stays", "comes"]),
      });
      const copies = await copiesOf(opened);
      expect(copies.length).toBe(2);
      for (const [receipt, seed] of [
        [receiptOf(stored), after],
        [receiptOf(untouched), other],
      ] as const) {
        const copy = copies.find((item) => item.receipt.ref === receipt.ref);
        if (copy === undefined) throw new Error("an update changed a receipt");
        expectTraits(copy.traits, seed.traits, opened.fidelity, receipt.ref);
        expect(await contentKey(opened.reopen(receipt, NEVER))).toBe(await seedKey(seed));
      }
    });

    promise("lists after a position only what came after it", async ({ sink }) => {
      const opened = await sink.open(folder(["Position"]), NEVER);
      await append(opened, letter("before"));
      const position = await opened.position(NEVER);
      const later = await append(opened, letter("after"));
      const refs = (await copiesOf(opened, position)).map(({ receipt }) => receipt.ref);
      if (position === undefined) expect(refs.length).toBe(2);
      else expect(refs).toEqual([receiptOf(later).ref]);
      const end = await opened.position(NEVER);
      if (end !== undefined) expect(await copiesOf(opened, end)).toEqual([]);
    });

    promise("may be sealed twice, and reads back afterwards", async ({ sink }) => {
      const opened = await sink.open(folder(["Sealed"]), NEVER);
      const stored = await append(opened, letter("sealed"));
      await sink.seal(NEVER);
      await sink.seal(NEVER);
      expect(await contentKey(opened.reopen(receiptOf(stored), NEVER))).toBe(await seedKey(letter("sealed")));
    });

    promise("is read as a source with the same messages and traits", async ({ sink, asSource }) => {
      const opened = await sink.open(folder(["Round", "Trip"]), NEVER);
      const seeds = [...oddMail(), letter("traits", { flags: new Set(["flagged"]), keywords: new Set(["Later"]) })];
      await Promise.all(seeds.map((seed) => append(opened, seed)));
      await sink.seal(NEVER);
      await using source = await asSource();
      const found = (await foldersOf(source)).find(({ path }) => showPath(path) === showPath(opened.path));
      if (found === undefined) throw new Error(`${showPath(opened.path)} is not listed`);
      const read = await readAll(source, found);
      expect(read.map(({ key }) => key).sort()).toEqual((await Promise.all(seeds.map(seedKey))).sort());
      for (const seed of seeds) {
        const key = await seedKey(seed);
        const traits = read.find((item) => item.key === key)?.entry.traits;
        const kept = narrow(seed.traits, opened.fidelity).kept;
        if (traits !== undefined) expectTraits(traits, kept, source.tells, seed.bytes.toString("latin1", 0, 40));
      }
    });

    promise("is the same for a later run: generation, copies, bytes", async ({ sink, reopenSink }) => {
      const opened = await sink.open(folder(["Again"]), NEVER);
      const seeds = [letter("one", { flags: new Set(["seen"]) }), letter("two")];
      const stored = await Promise.all(seeds.map((seed) => append(opened, seed)));
      await sink.seal(NEVER);
      await sink[Symbol.asyncDispose]();
      await using later = await reopenSink();
      expect(later.identity).toBe(sink.identity);
      const again = await later.open(folder(["Again"]), NEVER);
      expect(again).toMatchObject({ created: false, generation: opened.generation, name: opened.name });
      const refs = (await copiesOf(again)).map(({ receipt }) => receipt.ref);
      expect(refs.sort()).toEqual(stored.map((one) => receiptOf(one).ref).sort());
      for (const [i, seed] of seeds.entries())
        expect(await contentKey(again.reopen(receiptOf(stored[i] ?? fail()), NEVER))).toBe(await seedKey(seed));
      const third = await append(again, letter("three"));
      expect(refs).not.toContain(receiptOf(third).ref);
      expect((await copiesOf(again)).length).toBe(3);
    });

    promise("is the same for a run after one that never sealed", async ({ sink, reopenSink }) => {
      const opened = await sink.open(folder(["Unsealed"]), NEVER);
      const stored = await append(opened, letter("one"));
      await sink[Symbol.asyncDispose]();
      await using later = await reopenSink();
      const again = await later.open(folder(["Unsealed"]), NEVER);
      expect(again.generation).toBe(opened.generation);
      expect((await copiesOf(again)).map(({ receipt }) => receipt.ref)).toEqual([receiptOf(stored).ref]);
      expect(await contentKey(again.reopen(receiptOf(stored), NEVER))).toBe(await seedKey(letter("one")));
    });

    promise("says not-found for a copy that is gone", async ({ sink, asSource }) => {
      const opened = await sink.open(folder(["Gone"]), NEVER);
      const stored = await append(opened, letter("gone"));
      await sink.seal(NEVER);
      await using source = await asSource();
      const found = (await foldersOf(source)).find(({ path }) => showPath(path) === showPath(opened.path));
      if (found === undefined || source.remove === undefined)
        throw new Error("no remove: the suite needs a reason for skipping this");
      const origins = (await readAll(source, found)).map(({ entry }) => entry.origin);
      let removed = 0;
      for await (const _ of source.remove(stream(origins), NEVER)) removed++;
      expect(removed).toBe(1);
      const error: unknown = await contentKey(opened.reopen(receiptOf(stored), NEVER)).catch((reason) => reason);
      expect(error).toBeInstanceOf(MailError);
      expect(error).toMatchObject({ code: "not-found" });
    });

    promise("says not-found for a receipt that never was", async ({ sink }) => {
      const opened = await sink.open(folder(["Never"]), NEVER);
      const stored = await append(opened, letter("one"));
      // Of the same form, so that it is the copy that is missing.
      const receipt: Receipt = { ref: receiptOf(stored).ref.replace(/[1-9](?!.*[1-9])/, (digit) => `${digit}9`) };
      const error: unknown = await contentKey(opened.reopen(receipt, NEVER)).catch((reason) => reason);
      expect(error).toBeInstanceOf(MailError);
      expect(error).toMatchObject({ code: "not-found" });
    });

    promise("round-trips every odd name, or declares what became of it", async ({ sink, asSource }) => {
      await roundTripNames(sink, asSource, ODD_NAMES, false);
    });

    promise("lets no hostile name out, in or over another", async ({ sink, asSource }) => {
      await roundTripNames(sink, asSource, HOSTILE_NAMES, true);
    });

    promise("takes a folder below one that holds no mail", async ({ sink, asSource }) => {
      await sink.open({ path: ["Holder"], selectable: false }, NEVER).catch((error: unknown) => {
        // Where there can be no such folder it may be refused, in our words.
        expect(error).toBeInstanceOf(MailError);
      });
      const child = await sink.open(folder(["Holder", "Child"]), NEVER);
      await append(child, letter("child"));
      await sink.seal(NEVER);
      await using source = await asSource();
      const found = (await foldersOf(source)).find(({ path }) => showPath(path) === showPath(child.path));
      if (found === undefined) throw new Error("the child is not listed");
      expect((await readAll(source, found)).length).toBe(1);
    });

    promise("takes special use and subscription without stumbling", async ({ sink, asSource }) => {
      const sent = await sink.open({ path: ["Sent"], selectable: true, use: "sent", subscribed: true }, NEVER);
      const inbox = await sink.open({ path: ["INBOX"], selectable: true, use: "inbox", subscribed: true }, NEVER);
      await append(sent, letter("sent"));
      await append(inbox, letter("inbox"));
      await sink.seal(NEVER);
      await using source = await asSource();
      const names = (await foldersOf(source)).map(({ path }) => showPath(path));
      expect(names).toContain("INBOX");
      expect(names).toContain(showPath(sent.path));
    });

    promise("refuses to append under an aborted signal, and works on", async ({ sink }) => {
      const opened = await sink.open(folder(["Abort"]), NEVER);
      await using body = await stage(chunks(letter("aborted").bytes), tmpdir());
      const aborted = opened.append(message(body, letter("aborted"), opened), AbortSignal.abort());
      await expect(aborted).rejects.toThrow();
      const stored = await append(opened, letter("after"));
      expect((await copiesOf(opened)).map(({ receipt }) => receipt.ref)).toEqual([receiptOf(stored).ref]);
    });

    promise("leaves nothing behind of a message whose bytes cannot be read", async ({ sink }) => {
      const opened = await sink.open(folder(["Broken"]), NEVER);
      await using staged = await stage(chunks(letter("broken").bytes), tmpdir());
      // As one that is not held in memory.
      const { bytes: _, ...body } = staged;
      const broken: Message = {
        ...message(staged, letter("broken"), opened),
        body: {
          ...body,
          async *open() {
            yield body.head.subarray(0, 20);
            throw new Error("the staged file is gone");
          },
          async [Symbol.asyncDispose]() {},
        },
      };
      await expect(opened.append(broken, NEVER)).rejects.toThrow();
      const stored = await append(opened, letter("after"));
      expect((await copiesOf(opened)).map(({ receipt }) => receipt.ref)).toEqual([receiptOf(stored).ref]);
    });

    promise("may be disposed of twice", async ({ sink }) => {
      await append(await sink.open(folder(["Dispose"]), NEVER), letter("one"));
      await sink[Symbol.asyncDispose]();
      await sink[Symbol.asyncDispose]();
    });

    it("names in its skips only promises that exist", () => {
      for (const what of Object.keys(suite.skip ?? {})) expect([...used]).toContain(what);
    });
  });
}
