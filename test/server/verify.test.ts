// Verify between any two ends, with the oddest mail: it says what another way of comparing says, and sees nothing else.

import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { themes } from "../../fixtures/make.ts";
import { run } from "../../src/migrate/run.ts";
import { type VerifyFinding, type VerifyOptions, verify } from "../../src/migrate/verify.ts";
import { openImapSink } from "../../src/sinks/imap.ts";
import { openMaildirSink } from "../../src/sinks/maildir.ts";
import { openMboxZipSink } from "../../src/sinks/mbox-zip.ts";
import type { Sink } from "../../src/sinks/sink.ts";
import { openImapSource } from "../../src/sources/imap.ts";
import { openMaildirSource } from "../../src/sources/maildir.ts";
import { openMboxSource } from "../../src/sources/mbox.ts";
import { openMboxZipSource } from "../../src/sources/mbox-zip.ts";
import { openPop3Source } from "../../src/sources/pop3.ts";
import type { Source } from "../../src/sources/source.ts";
import { contentOf } from "../kit/content.ts";
import { count } from "../kit/counts.ts";
import { type Dovecot, startDovecot } from "../kit/dovecot.ts";
import { type MemoryFolder, memorySource } from "../kit/memory.ts";
import { seedMbox } from "../kit/seed-mbox.ts";

const { signal } = new AbortController();
let server: Dovecot;
let root = "";

/** All oddities in the one folder that every end has. */
function inbox(): MemoryFolder {
  const mail = [...themes()].map(({ theme, name, bytes, flags, keywords, received }) => ({
    id: `${theme}/${name}`,
    bytes,
    traits: { flags: new Set(flags), keywords: new Set(keywords), labels: new Set<string>(), received },
  }));
  return { path: ["INBOX"], generation: "1", mail };
}

const ENDS = {
  memory: async (): Promise<Source> => ({ ...memorySource([inbox()]), identity: "memory:original" }),
  imap: () => openImapSource(server.serverOptions("imaps", "anna"), signal),
  pop3: () => openPop3Source(server.serverOptions("pop3s", "post"), signal),
  mbox: () => openMboxSource({ path: join(root, "mbox"), dialect: "rd" }, signal),
  maildir: () => openMaildirSource({ path: join(root, "maildir") }, signal),
  mboxzip: () => openMboxZipSource({ path: join(root, "mboxzip") }, signal),
} as const;
type End = keyof typeof ENDS;
const NAMES = Object.keys(ENDS) as End[];

async function carry(source: Source, sink: Sink): Promise<void> {
  await using from = source;
  await using to = sink;
  await run(from, to, { stateDirectory: join(root, "state") }, signal).finished;
}

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "verify-"));
  server = await startDovecot({ users: ["anna", "post"], fsync: false });
  await mkdir(join(root, "mbox"));
  await seedMbox(join(root, "mbox"), [inbox()]);
  await carry(await ENDS.memory(), await openMaildirSink({ path: join(root, "maildir") }, signal));
  await carry(await ENDS.memory(), await openMboxZipSink({ path: join(root, "mboxzip"), job: "j" }, signal));
  for (const user of ["anna", "post"])
    await carry(await ENDS.memory(), await openImapSink(server.serverOptions("imaps", user), signal));
});
afterAll(async () => {
  await server?.stop();
  await rm(root, { recursive: true, force: true });
});

async function compare(source: Source, target: Source, options: VerifyOptions = {}) {
  await using from = source;
  await using to = target;
  const findings: VerifyFinding[] = [];
  const note = (finding: VerifyFinding): void => void findings.push(finding);
  const summary = await verify(from, to, undefined, options, signal, note, () => undefined);
  const of = (kind: VerifyFinding["kind"]): string[] =>
    findings.flatMap((finding) => (finding.kind === kind && finding.origin ? [finding.origin.id] : [])).sort();
  return { summary, of };
}

/** The content keys of an end, each as often as it is; read and counted without verify. */
const known = new Map<End, Promise<readonly string[]>>();
function keysAt(end: End): Promise<readonly string[]> {
  const keys = known.get(end) ?? readKeys(end);
  known.set(end, keys);
  return keys;
}
async function readKeys(end: End): Promise<readonly string[]> {
  await using source = await ENDS[end]();
  return (await contentOf(source)).get("INBOX")?.map(({ key }) => key) ?? [];
}

function surplus(of: readonly string[], over: readonly string[]): number {
  const left = [...over];
  return of.filter((key) => {
    const at = left.indexOf(key);
    if (at !== -1) left.splice(at, 1);
    return at === -1;
  }).length;
}

const pairs = NAMES.flatMap((from) =>
  NAMES.filter((to) => to !== from && to !== "memory").map((to) => [from, to] as const),
);

it.each(pairs)("%s against %s: as many equal, missing and surplus as counting finds", async (from, to) => {
  const [mine, theirs] = await Promise.all([keysAt(from), keysAt(to)]);
  expect(mine.length).toBeGreaterThan(70);
  const { summary, of } = await compare(await ENDS[from](), await ENDS[to]());
  const altered = of("altered").length;
  expect({
    missing: summary.missing + altered,
    extra: summary.extra + altered,
    rest: summary.matched + summary.changed - altered,
  }).toEqual({
    missing: surplus(mine, theirs),
    extra: surplus(theirs, mine),
    rest: mine.length - surplus(mine, theirs),
  });
  count("messages compared", mine.length);
});

describe("what an end cannot hold is named, and nothing else", () => {
  /** Dovecot refuses the empty message, whose twin (an empty line) it takes; an mbox keeps no state lines of a message's own. */
  const EXPECTED: Readonly<Record<Exclude<End, "memory">, { missing: number; altered: string[]; changed: string[] }>> =
    {
      imap: {
        missing: 1,
        altered: ["lines/nul", "lines/nul-in-header"],
        changed: ["dates/1969", "dates/2038-last-second", "dates/2038-too-late", "dates/2040"],
      },
      // It tells neither flags nor dates; and no NUL is changed on that way.
      pop3: { missing: 1, altered: [], changed: [] },
      mbox: {
        missing: 0,
        altered: ["headers/status-lines"],
        changed: ["dates/1969", "dates/1970-first-day", "dates/epoch"],
      },
      maildir: { missing: 0, altered: [], changed: [] },
      mboxzip: { missing: 0, altered: [], changed: [] },
    };
  it.each(Object.keys(EXPECTED) as Exclude<End, "memory">[])("%s", async (to) => {
    const { summary, of } = await compare(await ENDS.memory(), await ENDS[to]());
    expect({ missing: of("missing").length, altered: of("altered"), changed: of("changed") }).toEqual(EXPECTED[to]);
    expect(summary.equal).toBe(EXPECTED[to].missing + EXPECTED[to].altered.length + EXPECTED[to].changed.length === 0);
  });
});

it.each(["imap", "pop3"] as const)("an archive made of %s is its equal both ways, wholly and quickly", async (from) => {
  const archives: readonly (readonly [() => Promise<Sink>, () => Promise<Source>])[] = [
    [
      () => openMaildirSink({ path: join(root, `${from}-maildir`) }, signal),
      () => openMaildirSource({ path: join(root, `${from}-maildir`) }, signal),
    ],
    [
      () => openMboxZipSink({ path: join(root, `${from}-zip`), job: "j" }, signal),
      () => openMboxZipSource({ path: join(root, `${from}-zip`) }, signal),
    ],
  ];
  for (const [sink, archive] of archives) {
    await carry(await ENDS[from](), await sink());
    for (const quick of [false, true]) {
      const there = await compare(await ENDS[from](), await archive(), { quick, bothWays: true });
      expect(there.summary).toMatchObject({ equal: true, missing: 0, changed: 0, extra: 0 });
      const back = await compare(await archive(), await ENDS[from](), { quick, bothWays: true });
      expect(back.summary).toMatchObject({ equal: true, missing: 0, changed: 0, extra: 0 });
    }
  }
});
