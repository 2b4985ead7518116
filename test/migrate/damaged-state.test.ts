// The ledger was cut at any byte, or any of its bits changed: the next run ends with each message once, twins among them, also
// those that came meanwhile.

import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { run } from "../../src/migrate/run.ts";
import { count, countCompared } from "../kit/counts.ts";
import {
  keysIn,
  type MemoryFolder,
  type MemoryStore,
  mail,
  memorySink,
  memorySource,
  newStore,
} from "../kit/memory.ts";
import { quickDisk } from "../kit/scratch.ts";
import { SOAK_SECONDS } from "../kit/seeds.ts";

/** Of the bytes of a journal every so many-th is changed; all of them in a soak. It is cut at each. */
const STRIDE = SOAK_SECONDS > 0 ? 1 : 11;
/** After so many-th of the runs one more is made, which must find nothing to do; after each in a soak. */
const AGAIN = SOAK_SECONDS > 0 ? 1 : 5;
const PATIENCE = { attempts: 2, firstDelayMs: 1 };

const root = mkdtempSync(join(quickDisk(), "mailferry-damaged-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const twin = (id: string) => mail(id, "Message-ID: <twin@x>\r\n\r\ntwin\r\n");
const source: MemoryFolder[] = [
  { path: ["INBOX"], generation: "7", mail: [mail("1"), twin("2"), twin("3"), mail("4")] },
  { path: ["Work"], generation: "7", mail: [twin("1"), mail("5"), mail("6")] },
];
let store: MemoryStore;
const good = join(root, "good");
const older = join(root, "older");
/** The files of the good state by their names: written from here, which is quicker than to copy a tree. */
const files = new Map<string, Buffer>();

async function go(into: MemoryStore, stateDirectory: string) {
  const going = run(
    memorySource(source),
    memorySink(into),
    { stateDirectory, patience: PATIENCE },
    new AbortController().signal,
  );
  return await going.finished;
}

/** Two runs, and mail that comes after them: a third twin, and one that another program put into the target. */
beforeAll(async () => {
  store = newStore();
  await go(store, good);
  cpSync(good, older, { recursive: true });
  source[0]?.mail.push(mail("7"));
  await go(store, good);
  source[0]?.mail.push(twin("8"));
  source[1]?.mail.push(mail("9"));
  store.folders.get("Work")?.push({ ref: String(store.next++), bytes: mail("9").bytes, traits: mail("9").traits });
  for (const entry of readdirSync(good, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    if (entry.isFile()) files.set(relative(good, path), readFileSync(path));
  }
});

const journals = (): string[] => [...files.keys()].filter((name) => name.endsWith(".jsonl"));

let runs = 0;

async function tried(name: string, bytes: Buffer, what: string): Promise<void> {
  count("states");
  const state = join(root, "state");
  rmSync(state, { recursive: true, force: true });
  for (const [other, whole] of files) {
    mkdirSync(dirname(join(state, other)), { recursive: true, mode: 0o700 });
    writeFileSync(join(state, other), other === name ? bytes : whole, { mode: 0o600 });
  }
  const copy: MemoryStore = { ...store, folders: new Map([...store.folders].map(([path, held]) => [path, [...held]])) };
  const summary = await go(copy, state);
  expect(summary.outcome, what).toBe("complete");
  for (const { path, mail: messages } of source) {
    const [wanted, held] = [await keysIn(messages), await keysIn(copy.folders.get(path.join("/")) ?? [])];
    countCompared(wanted, held);
    expect(held, what).toEqual(wanted);
  }
  if (runs++ % AGAIN > 0) return;
  const again = await go(copy, state);
  expect(again.balance.copied + again.balance.adopted, what).toBe(0);
}

it("undamaged, the two that came are copied and found", async () => {
  for (const name of journals()) await tried(name, readFileSync(join(good, name)), "nothing");
  // One a folder, and that of the runs.
  expect(journals().length).toBe(3);
});

it("cut at any byte", async () => {
  for (const name of journals()) {
    const whole = readFileSync(join(good, name));
    for (let length = 0; length < whole.length; length++)
      await tried(name, whole.subarray(0, length), `${name} cut at ${length}`);
  }
}, 3_600_000);

it("with any of its bits changed", async () => {
  for (const name of journals()) {
    const whole = readFileSync(join(good, name));
    for (let at = 0; at < whole.length; at += STRIDE) {
      const bad = Buffer.from(whole);
      bad[at] = (bad[at] ?? 0) ^ (1 << (at % 8));
      await tried(name, bad, `${name}, byte ${at}`);
    }
  }
}, 3_600_000);

it("of an earlier day, from a backup: what was copied since is found", async () => {
  for (const name of journals()) await tried(name, readFileSync(join(older, name)), "older");
});
