// Records for the journal's tests, and a plain model that says what a ledger should answer.

import { createHash } from "node:crypto";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ContentKey } from "../../src/mail/key.ts";
import { NO_TRAITS, type Origin, type Traits } from "../../src/mail/model.ts";
import type { DoneRecord, FolderLedger, LedgerRecord } from "../../src/migrate/ledger.ts";

export const PAIR = { source: "imaps://anna@old.example:993", sink: "imaps://anna@new.example:993" };
export const INBOX = ["INBOX"];

export const keyOf = (text: string): ContentKey => createHash("sha256").update(text).digest("hex") as ContentKey;

export const origin = (id: string, generation = "7", folder: readonly string[] = INBOX): Origin => ({
  folder,
  generation,
  id,
});

export function done(of: Origin, more: Partial<DoneRecord> = {}): DoneRecord {
  return {
    state: "done",
    origin: of,
    key: keyOf(`${of.generation} ${of.id}`),
    size: 1000 + of.id.length,
    receipt: { ref: `1:${of.generation}-${of.id}` },
    traits: NO_TRAITS,
    firstSeen: 1_700_000_000,
    proved: false,
    ...more,
  };
}

export async function scratch(): Promise<{ path: string } & AsyncDisposable> {
  const path = await mkdtemp(join(tmpdir(), "mailferry-ledger-"));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

/** The only journal in a directory (of this folder). */
export async function journalIn(directory: string, folder = ""): Promise<string> {
  const names = (await readdir(directory)).filter((name) => name.startsWith(folder) && name.endsWith(".jsonl"));
  if (names.length !== 1) throw new Error(`expected one journal, found ${names.join(", ")}`);
  return join(directory, names[0] ?? "");
}

export async function all(ledger: FolderLedger, source: readonly string[] = INBOX): Promise<DoneRecord[]> {
  const records: DoneRecord[] = [];
  for await (const record of ledger.records(source)) records.push(record);
  return records;
}

/** What a ledger answers, kept in the plainest way. */
export class Model {
  readonly records = new Map<string, LedgerRecord>();
  /** The done record behind a removed one. */
  readonly behind = new Map<string, DoneRecord>();
  readonly days = new Map<string, number>();
  readonly claimed = new Set<string>();
  readonly listed = new Set<string>();
  readonly settled = new Set<string>();
  readonly listings = new Set<string>();
  order = 0;
  readonly written = new Map<string, number>();

  static name({ folder, generation, id }: Origin): string {
    return JSON.stringify([folder, generation, id]);
  }

  put(record: LedgerRecord): void {
    const name = Model.name(record.origin);
    this.listed.add(name);
    this.written.set(name, ++this.order);
    if (record.state === "removed") {
      const before = this.records.get(name);
      if (before !== undefined && (before.state === "done" || before.state === "altered"))
        this.behind.set(name, before);
      else if (before?.state !== "removed") this.behind.delete(name);
    } else this.behind.delete(name);
    if (record.state === "done" || record.state === "altered") {
      const day = Math.min(record.firstSeen, this.days.get(name) ?? record.firstSeen);
      this.days.set(name, day);
      this.records.set(name, { ...record, firstSeen: day });
      if (record.receipt !== undefined) this.claimed.add(record.receipt.ref);
    } else this.records.set(name, record);
  }

  done(name: string): DoneRecord | undefined {
    const record = this.records.get(name);
    if (record === undefined || record.state === "failed") return undefined;
    return record.state === "removed" ? this.behind.get(name) : record;
  }

  holds(ref: string): boolean {
    if (this.claimed.has(ref)) return true;
    return [...this.records.keys()].some((name) => this.done(name)?.receipt?.ref === ref);
  }

  claim(ref: string): boolean {
    if (this.holds(ref)) return false;
    this.claimed.add(ref);
    return true;
  }

  /** Every record that may be taken over by this origin. */
  adoptable(by: Origin, key: ContentKey): string[] {
    return [...this.records].flatMap(([name, record]) => {
      if ((record.state !== "done" && record.state !== "altered") || record.key !== key) return [];
      const { folder, generation } = record.origin;
      const older = JSON.stringify(folder) === JSON.stringify(by.folder) && generation !== by.generation;
      const gone = this.listings.has(JSON.stringify([folder, generation])) && !this.listed.has(name);
      return older || gone ? [name] : [];
    });
  }

  adopted(from: string, by: Origin): void {
    const record = this.records.get(from);
    if (record === undefined || (record.state !== "done" && record.state !== "altered")) throw new Error("no record");
    this.records.delete(from);
    this.days.delete(from);
    this.put({ ...record, origin: by });
  }

  forget(): void {
    this.records.clear();
    this.behind.clear();
    this.claimed.clear();
  }

  /** What a new process knows. */
  reopened(): void {
    this.claimed.clear();
    this.listed.clear();
    this.settled.clear();
    this.listings.clear();
  }

  size(): number {
    return [...this.records.values()].filter(({ state }) => state === "done" || state === "altered").length;
  }

  live(folder: readonly string[]): DoneRecord[] {
    return [...this.records.entries()]
      .filter(([, { origin: of }]) => JSON.stringify(of.folder) === JSON.stringify(folder))
      .sort(([a], [b]) => (this.written.get(a) ?? 0) - (this.written.get(b) ?? 0))
      .flatMap(([, record]) => (record.state === "done" || record.state === "altered" ? [record] : []));
  }
}

/** Numbers from 0 to below 1 that are the same in every run of a seed (mulberry32). */
export function random(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}

export const someTraits = (pick: () => number): Traits => ({
  flags: new Set((["seen", "answered", "flagged", "deleted", "draft"] as const).filter(() => pick() < 0.4)),
  keywords: new Set(["$Forwarded", "größe", "a b", 'quo"te\\'].filter(() => pick() < 0.2)),
  labels: new Set(["Läbel/1", "x"].filter(() => pick() < 0.2)),
  ...(pick() < 0.5
    ? {}
    : { received: { epochSeconds: Math.floor(pick() * 2e9), ...(pick() < 0.5 ? {} : { zoneMinutes: -210 }) } }),
});
