// Twins with several dates: a copy with the date of one that is still to come is left to it, and nobody waits for nobody.

import { expect, it } from "vitest";
import { stageBytes } from "../../src/mail/body.ts";
import { FULL_FIDELITY } from "../../src/mail/fidelity.ts";
import { NO_TRAITS, type Traits } from "../../src/mail/model.ts";
import { type Candidates, type Found, gatherCandidates } from "../../src/migrate/candidates.ts";
import type { FolderLedger } from "../../src/migrate/ledger.ts";
import { Rivals } from "../../src/migrate/rivals.ts";
import type { SinkFolder } from "../../src/sinks/sink.ts";
import { randomFrom } from "../kit/random.ts";

const signal = new AbortController().signal;
const BYTES = Buffer.from("Message-ID: <1@example.org>\r\n\r\nA twin.\r\n");
const at = (epochSeconds: number, flag?: "seen" | "flagged"): Traits => ({
  ...NO_TRAITS,
  flags: new Set(flag === undefined ? [] : [flag]),
  received: { epochSeconds },
});

/** Copies of BYTES that nobody knows, with these dates; undefined where the store tells none. */
function copiesOf(dates: readonly (number | undefined)[]): Promise<Candidates> {
  const claimed = new Set<string>();
  const ledger: Pick<FolderLedger, "holds" | "claim"> = {
    holds: ({ ref }) => claimed.has(ref),
    claim: ({ ref }) => !claimed.has(ref) && claimed.add(ref) !== undefined,
  };
  const folder: Pick<SinkFolder, "copies" | "reopen" | "fidelity"> = {
    fidelity: FULL_FIDELITY,
    async *copies() {
      for (const [n, date] of dates.entries())
        yield {
          receipt: { ref: String(n) },
          size: BYTES.length,
          traits: date === undefined ? NO_TRAITS : at(date, "seen"),
        };
    },
    async *reopen() {
      yield BYTES;
    },
  };
  return gatherCandidates(folder as SinkFolder, ledger as FolderLedger, undefined, signal);
}

const find = (copies: Candidates, traits: Traits, rivals?: Rivals): Promise<Found | undefined> =>
  copies.find(stageBytes(BYTES, false), traits, signal, rivals && ((date) => rivals.count(BYTES.length, date)));

const awaiting = (...dates: number[]): Rivals => {
  const rivals = new Rivals();
  for (const date of dates) rivals.add(BYTES.length, date);
  return rivals;
};

it("a copy with the date of one that is still to come is left to it", async () => {
  const copies = await copiesOf([60, 60]);
  const rivals = awaiting(60, 60);
  expect(await find(copies, at(180, "flagged"), rivals)).toBeUndefined();
  for (let n = 0; n < 2; n++) {
    rivals.take(BYTES.length, 60);
    const found = await find(copies, at(60, "seen"), rivals);
    expect(found?.receivedAt(60)).toBe(true);
  }
  expect(copies.left()).toBe(0);
});

it("one that nobody with its date can need is taken, whatever its date", async () => {
  const several = await copiesOf([60, 60]);
  expect((await find(several, at(180), awaiting(60)))?.receivedAt(180)).toBe(false);
  expect(await find(several, at(180), awaiting(60))).toBeUndefined();
  const unclaimed = await copiesOf([60]);
  expect(await find(unclaimed, at(180), awaiting(61, 180))).toBeDefined();
  const unasked = await copiesOf([60]);
  expect(await find(unasked, at(180))).toBeDefined();
  const dateless = await copiesOf([undefined]);
  expect(await find(dateless, at(180), awaiting(60, 0))).toBeDefined();
});

it("counts what waits, however much of it", () => {
  const random = randomFrom(7);
  const rivals = new Rivals();
  const plain = new Map<string, number>();
  for (let n = 0; n < 50_000; n++) {
    const [size, date] = [
      random.upTo(300),
      1_500_000_000 + random.upTo(100) - (random.chance(1 / 10) ? 2_000_000_000 : 0),
    ];
    const name = `${size} ${date}`;
    const now = plain.get(name) ?? 0;
    if (random.chance(1 / 3)) {
      rivals.take(size, date);
      plain.set(name, Math.max(0, now - 1));
    } else {
      rivals.add(size, date);
      plain.set(name, now + 1);
    }
  }
  for (const [name, count] of plain) {
    const [size = 0, date = 0] = name.split(" ").map(Number);
    expect(rivals.count(size, date)).toBe(count);
  }
  expect(rivals.count(1000, 1_500_000_000)).toBe(0);
});
