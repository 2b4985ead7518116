// What a person reads at the end of a run, and what a program reads: sums, losses, names, the report file.

import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { barLine } from "../../src/cli/bars.ts";
import { renderFolders } from "../../src/cli/commands/folders.ts";
import { renderVerify, verdictOf } from "../../src/cli/commands/verify.ts";
import { jsonLine } from "../../src/cli/json.ts";
import { Notes, type Removal } from "../../src/cli/notes.ts";
import { lineOf } from "../../src/cli/progress.ts";
import {
  renderBalance,
  renderBroken,
  renderIdle,
  renderLosses,
  renderRemovals,
  renderStopped,
  renderTroubles,
} from "../../src/cli/report.ts";
import { belongsInReport, openReportFile } from "../../src/cli/report-file.ts";
import { renderPlan } from "../../src/cli/report-plan.ts";
import { width } from "../../src/cli/text.ts";
import { configError, MailError } from "../../src/mail/errors.ts";
import type { Loss } from "../../src/mail/fidelity.ts";
import type { Folder } from "../../src/mail/model.ts";
import { headerSlice, preview } from "../../src/mail/preview.ts";
import type { Disposition, FolderSummary, MigrationEvent, RunSummary } from "../../src/migrate/events.ts";
import { emptyBalance } from "../../src/migrate/tally.ts";

let root = "";
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), "report-"));
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

const folder: Folder = { path: ["Clients", "A/B"], selectable: true, messages: 3 };
type Settled = Extract<MigrationEvent, { type: "message-settled" }>;
const settled = (id: string, as: Disposition, more: Partial<Settled> = {}): Settled => ({
  type: "message-settled",
  entry: {
    origin: { folder: folder.path, generation: "7", id },
    traits: { flags: new Set(["seen", "answered"]), keywords: new Set(["b", "a"]), labels: new Set() },
    size: 12,
  },
  as,
  bytes: 12,
  losses: [],
  ...more,
});
const summaryOf = (change: Partial<RunSummary>): RunSummary => ({
  outcome: "complete",
  listed: 0,
  balance: emptyBalance(),
  closes: true,
  bytes: 0,
  traitsUpdated: 0,
  removed: 0,
  kept: 0,
  losses: [],
  folders: [],
  seconds: 0,
  ...change,
});

describe("events as JSON", () => {
  it("have camelCase keys, sorted arrays for sets, and errors without stack or cause", () => {
    const error = new MailError("too-large", "refused", {
      scope: "message",
      remedy: "give-up",
      hint: "Leave it out.",
      cause: new Error("LOGIN me hunter2"),
    });
    expect(JSON.parse(jsonLine(settled("9", "failed", { error, quarantine: "/q/1.eml" })))).toEqual({
      type: "message-settled",
      entry: {
        origin: { folder: ["Clients", "A/B"], generation: "7", id: "9" },
        traits: { flags: ["answered", "seen"], keywords: ["a", "b"], labels: [] },
        size: 12,
      },
      as: "failed",
      bytes: 12,
      losses: [],
      error: { code: "too-large", message: "refused", hint: "Leave it out." },
      quarantine: "/q/1.eml",
    });
    const finished = JSON.parse(jsonLine({ type: "run-finished", summary: summaryOf({ listed: 2 }) }));
    expect(Object.keys(finished.summary.balance)).toContain("alreadyCopied");
    expect(finished.summary.closes).toBe(true);
  });

  it("are one line each, whatever is in a name", () => {
    const line = jsonLine({ name: "a\nb\u2028c\u0085d\u001b[2J\ud800", folder: ["already-copied"] });
    expect(line).toMatch(/^[\x20-\x7e]*$/);
    expect(JSON.parse(line)).toEqual({ name: "a\nb\u2028c\u0085d\u001b[2J\ud800", folder: ["already-copied"] });
  });
});

describe("the balance", () => {
  it("names every sum that is not zero, and says that it closes", () => {
    const balance = { ...emptyBalance(), copied: 1000, "already-copied": 200, altered: 1, failed: 3 };
    const text = renderBalance(
      summaryOf({ listed: 1204, balance, bytes: 45_300_000, seconds: 12, kept: 4 }),
      false,
    ).join("\n");
    expect(text).toMatch(/listed +1,204\n +copied +1,000 +45\.3 MB in 12 s\n +already copied +200\n/);
    expect(text).toMatch(/altered.* 1\n +failed +3\n/);
    expect(text).toContain("kept at the source");
    expect(text).toContain("The balance closes.");
    expect(text).not.toMatch(/vanished|planned|filtered/);
  });

  it("says how much is not accounted for, and where", () => {
    const balance = { ...emptyBalance(), copied: 5 };
    const summary = summaryOf({ listed: 7, balance, closes: false, outcome: "partial" });
    expect(renderBalance(summary, false).join("\n")).toContain("does not close: 2 messages of 7 not accounted for");
    const lost = { folder: ["A\u001b"], name: "A", listed: 7, balance, closes: false };
    const folders = [lost, { ...lost, error: "SELECT refused" }];
    expect(renderBroken({ folders }).join("\n")).toMatch(/A\\u001b: 2 of 7 messages open\n.*: SELECT refused/);
    expect(renderBroken({ folders }, true)).toEqual([expect.any(String), expect.stringContaining("SELECT refused")]);
  });

  it("of a stopped run says what was done and what is open, by folder, of all that was planned", () => {
    const of = (progress: RunSummary["progress"]): RunSummary =>
      summaryOf({
        listed: 29,
        balance: { ...emptyBalance(), copied: 29 },
        closes: false,
        outcome: "stopped",
        ...(progress && { progress }),
      });
    const progress = [
      { folder: ["INBOX"], done: 20, open: 30 },
      { folder: ["Done"], done: 9, open: 0 },
      { folder: ["Sent\u001b"], done: 0, open: 91 },
    ];
    expect(renderBalance(of(progress), false).at(-1)).toBe(
      "  Stopped before its end: 29 of 150 done, 121 messages open in 2 folders of 3.",
    );
    expect(renderStopped(of(progress)).join("\n")).toMatch(
      /^Open\n.*DONE +OPEN\n {2}INBOX +20 +30\n {2}Sent\\u001b +0 +91$/,
    );
    const unknown = [...progress, { folder: ["POP"], done: 1 }];
    expect(renderBalance(of(unknown), false).at(-1)).toContain("30 done, 121 messages or more open in 3 folders of 4");
    expect(renderStopped(of(unknown)).at(-1)).toMatch(/POP +1 +\?$/);
    const many = Array.from({ length: 30 }, (_, i) => ({ folder: [`F${i}`], done: 0, open: 1 }));
    expect(renderStopped(of(many)).at(-1)).toContain("and 10 more folders");
  });
});

describe("losses", () => {
  it("are told in sum and by folder", () => {
    const notes = new Notes(false);
    const losses: Loss[] = [{ kind: "keyword", name: "$Big\u202e" }, { kind: "received" }];
    for (let i = 0; i < 3; i++) notes.add(settled(String(i), "copied", { losses }));
    notes.add({
      type: "folder-opened",
      folder,
      name: "x",
      losses: [{ kind: "folder-name", from: ["a"], to: "x" }],
      created: true,
    });
    const text = renderLosses(notes).join("\n");
    expect(text).toContain("the keyword $Big\\u202e: 3 messages (Clients/A\\/B 3)");
    expect(text).toContain("the received date: 3 messages");
    expect(text).toContain("the folder name a (it is x there)");
    expect(renderLosses(new Notes(false))).toEqual([]);
  });

  it("of a hostile mailbox stay bounded", () => {
    const notes = new Notes(false);
    for (let i = 0; i < 5000; i++) notes.add(settled("1", "copied", { losses: [{ kind: "keyword", name: `k${i}` }] }));
    expect(notes.losses.size).toBe(1000);
    expect(renderLosses(notes).at(-1)).toContain("4,950 more");
  });
});

describe("messages in trouble", () => {
  it("are named with their preview and where their bytes are", async () => {
    const path = join(root, "1.eml");
    writeFileSync(
      path,
      "From: =?utf-8?q?J=C3=B6rg?= <j@example.org>\r\nSubject: =?utf-8?b?SGVsbG8gG1sySg==?=\r\nDate: Mon, 1 Jan 2024 10:00:00 +0200\r\n\r\nFrom: x\r\nSubject: body\r\n",
    );
    const notes = new Notes(false);
    const error = new MailError("too-large", "the server says: 64 MB\r\nat most", {
      scope: "message",
      remedy: "give-up",
      hint: "Use --max-size.",
    });
    notes.add(settled("42", "failed", { error, quarantine: path }));
    notes.add(settled("43", "vanished"));
    for (let i = 0; i < 30; i++) notes.add(settled(`a${i}`, "altered", { note: "NUL became 0x80" }));
    const text = (await renderTroubles(notes, { ...emptyBalance(), failed: 1, altered: 30, vanished: 1 })).join("\n");
    expect(text).toContain("Clients/A\\/B 42 (12 B): the server says: 64 MB\\u000d\\u000aat most");
    expect(text).toContain("Use --max-size.");
    expect(text).toMatch(/From: "?Jörg"? <j@example.org> \| Subject: Hello .* \| Date: 2024-01-01T08:00:00Z/);
    expect(text).not.toContain("\u001b");
    expect(text).toContain(`its bytes are in ${path}`);
    expect(text).toContain("and 10 more");
    expect(text).toContain("gone from the source");
  });

  it("do without a preview where there is none", async () => {
    expect(await preview(Buffer.from([0xff, 0xfe, 0x00]))).toEqual({});
    expect(await preview(Buffer.alloc(0))).toEqual({});
    const notes = new Notes(false);
    notes.add(settled("1", "failed", { quarantine: join(root, "none.eml") }));
    expect((await renderTroubles(notes, undefined)).join("\n")).toContain("none.eml");
  });

  it("show the header alone, however large the message", () => {
    const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString();
    expect(text(headerSlice(Buffer.from("A: b\r\n\r\nbody")))).toBe("A: b\r\n\r\n");
    expect(text(headerSlice(Buffer.from("A: b\n\nbody")))).toBe("A: b\n\n");
    expect(text(headerSlice(Buffer.from("\r\nbody")))).toBe("\r\n");
    expect(text(headerSlice(Buffer.from("A: b")))).toBe("A: b");
    expect(headerSlice(Buffer.alloc(3 << 20, 65))).toHaveLength(1 << 20);
  });
});

describe("tables", () => {
  it("of a dry run say folder, target, messages, bytes and losses", () => {
    const notes = new Notes(true);
    notes.add({ type: "folder-opened", folder, name: ".Clients.A\\2fB", losses: [], created: false });
    notes.add(settled("1", "planned", { losses: [{ kind: "received" }] }));
    notes.add(settled("2", "planned"));
    notes.add(settled("3", "filtered"));
    expect(renderPlan(notes)[1]).toMatch(/^Clients\/A\\\/B +→ +\.Clients\.A\\2fB +2 +24 B +0 +1 +1$/);
  });

  it("of deletions say in words why mail stayed at the source, whatever the reason", () => {
    const texts = {
      filtered: "left out by the options",
      altered: "altered in the target",
      failed: "failed",
      "too-new": "too new yet",
      "not-proved": "without an equal copy",
      "not-confirmed": "not confirmed by the server",
      "cut-short": "not reached",
      "folder-incomplete": "in a folder that is not complete",
      "over-limit": "more than --max-delete allows",
      declined: "declined",
    } satisfies Partial<Record<keyof Removal["stayed"], string>>;
    const reasons = Object.keys(texts);
    const notes = new Notes(false);
    const stayed = Object.fromEntries(reasons.map((reason, i) => [reason, 1000 + i]));
    notes.add({ type: "folder-removed", folder: folder.path, removed: 7, stayed });
    notes.add({ type: "folder-removed", folder: ["Whole\u001b"], removed: 1200, stayed: {} });
    const [title, head, row, whole] = renderRemovals(notes);
    expect([title, head]).toEqual(["Deleted at the source", expect.stringMatching(/FOLDER +DELETED +KEPT +WHY$/)]);
    const why = Object.values(texts).map((text, i) => `1,00${i} ${text}`);
    expect(row).toMatch(/^ {2}Clients\/A\\\/B +7 +10,045 /);
    expect(row?.split(/ 10,045 +/)[1]).toBe(why.join(", "));
    expect(whole).toMatch(/^ {2}Whole\\u001b +1,200 +0 *$/);
    expect(renderRemovals(new Notes(false))).toEqual([]);
  });

  it("of folders are aligned and harmless", () => {
    const rows = renderFolders([
      { path: ["INBOX"], selectable: true, use: "inbox", messages: 1200, bytes: 5_000_000 },
      { path: ["日本\u001b[2J"], selectable: true },
      { path: ["Group"], selectable: false },
    ]);
    expect(new Set(rows.map(width)).size).toBe(1);
    expect(rows.join("\n")).not.toContain("\u001b");
    expect(rows.at(-1)).toMatch(/3 folders +1,200 +>= 5\.0 MB/);
  });

  it("of a comparison end with the sum", () => {
    const one = { folder: ["A"], name: "A", matched: 5, missing: 1, changed: 2, altered: 0, extra: 0 };
    const sum = {
      matched: 5,
      missing: 1,
      changed: 2,
      altered: 0,
      extra: 0,
      foldersMissing: 0,
      foldersExtra: 0,
      equal: false,
      seconds: 1,
    };
    expect(renderVerify({ folders: [one], ...sum }).at(-1)).toMatch(/in sum +5 +1 +2 +0/);
    const said = (more: object): string =>
      verdictOf({ folders: [], ...sum, ...more }, { bothWays: false, quick: false });
    expect(said({})).toBe(
      "Different: 1 missing, 2 changed. Copying again brings what is new at the source; with --recheck also what is gone from the target, and flags and keywords up to date.",
    );
    // Advice that would change nothing is none.
    expect(said({ missing: 0, altered: 2 })).toMatch(
      /^Different: 2 changed \(all altered by the target's server\)\. What a server altered stays as it is/,
    );
    const whole = { missing: 0, changed: 0, equal: true };
    expect(said(whole)).toBe("Verified: 5 messages of the source are in the target (1.0 s).");
    expect(said({ ...whole, knownLosses: 1 })).toMatch(
      /^Verified: 5 .*\. Known loss: 1 message without what the target /,
    );
    expect(said({ altered: 1 })).toMatch(/2 changed \(1 of them altered by .*\)\. Copying again brings/);
  });
});

describe("lines while it runs", () => {
  it("are one a folder, harmless, and more with -v", () => {
    const balance = { ...emptyBalance(), copied: 2, "already-copied": 1 };
    const line = lineOf(
      {
        type: "folder-finished",
        folder,
        summary: { folder: folder.path, name: "x", listed: 3, balance, closes: true },
      },
      0,
    );
    expect(line).toBe("Clients/A\\/B → x: 2 copied, 1 already copied");
    expect(lineOf({ type: "notice", text: "odd\u001b[2J" }, 0)).toBe("odd\\u001b[2J");
    const error = configError("busy");
    expect(lineOf({ type: "retry-scheduled", what: "A", attempt: 2, delayMs: 4000, error }, 0)).toContain(
      "busy; next try (2) in 4.0 s",
    );
    expect(lineOf(settled("1", "failed"), 0)).toBeUndefined();
    expect(lineOf(settled("1", "failed"), 1)).toContain("failed");
    expect(lineOf(settled("1", "copied"), 2)).toBeUndefined();
  });

  it("draw bars whose columns stand still", () => {
    const lines = [0, 1, 500, 999].map((done) =>
      barLine(
        { name: "Archive", total: 1000, done, bytes: done * 5000, size: 5e6, passed: done * 5000 },
        { messages: done / 50, bytes: 1e5, passed: 1e5 },
        99,
      ),
    );
    expect(
      new Set(lines.map((line) => `${line.indexOf("[")} ${line.indexOf("%")} ${line.indexOf("ETA")} ${line.length}`))
        .size,
    ).toBe(1);
  });

  it("say of a folder that a stopped run never read that it was not read, and of an encoded name nothing", () => {
    const finished = (
      path: string,
      name: string,
      listed: number,
      messages: number,
      verbose = 0,
    ): string | undefined => {
      const summary = { folder: [path], name, listed, balance: emptyBalance(), closes: true };
      return lineOf(
        { type: "folder-finished", folder: { path: [path], selectable: true, messages }, summary },
        verbose,
      );
    };
    expect(finished("Sent", "Sent", 0, 600)).toBe("Sent: not read");
    expect(finished("Sent", "Sent", 0, 0)).toBeUndefined();
    expect(finished("Sent", "Sent", 0, 0, 1)).toBe("Sent: empty");
    expect(finished("Entwürfe", "Entw&APw-rfe", 0, 0, 1)).toBe("Entwürfe: empty");
    expect(finished("Entwürfe", ".Entw&APw-rfe", 0, 0, 1)).toBe("Entwürfe: empty");
  });

  const meter = {
    name: "日本語のとても長い名前\u001b[2J".repeat(3),
    total: 1000,
    done: 250,
    bytes: 100_000_000,
    size: 1_000_000_000,
    passed: 100_000_000,
  };
  const rate = { messages: 10, bytes: 1e6, passed: 2e6 };

  it("draw a bar within any width", () => {
    for (const columns of [20, 39, 59, 79, 119, 300]) {
      const line = barLine(meter, rate, columns);
      expect(width(line)).toBeLessThanOrEqual(columns);
      expect(line).not.toContain("\u001b");
    }
  });

  it("always say percent and time left, by octets where these are known; the rates give way first", () => {
    expect(barLine(meter, rate, 39)).toMatch(/… +10% ETA +7:30$/);
    expect(barLine(meter, rate, 59)).toMatch(/\[=* +\] +10% +250\/1,000 ETA +7:30$/);
    expect(barLine(meter, rate, 79)).toMatch(/ +10% +250\/1,000 +100 MB +1\.0 MB\/s ETA +7:30$/);
    expect(barLine(meter, rate, 119)).toMatch(/\[=+ +\] +10% +250\/1,000 +100 MB +1\.0 MB\/s +10\/s ETA +7:30$/);
    const unmeasured = { ...meter, size: undefined };
    expect(barLine(unmeasured, rate, 79)).toMatch(/ 25% +250\/1,000 .* ETA +1:15$/);
    expect(barLine({ ...meter, passed: 1_000_000_000 }, rate, 79)).toMatch(/ 99% /);
    expect(barLine({ ...meter, done: 1000 }, rate, 79)).toMatch(/ 100% /);
    const empty = { name: "x", total: 0, done: 5, bytes: 0, size: undefined, passed: 0 };
    expect(barLine(empty, { messages: 0, bytes: 0, passed: 0 }, 80)).toMatch(/ 5 .*ETA +-$/);
  });

  it("tell folders in which there was nothing to do in one line", () => {
    const one = (name: string, balance: object, more: object = {}) => ({
      folder: [name],
      name,
      listed: 3,
      balance: { ...emptyBalance(), ...balance },
      closes: true,
      ...more,
    });
    const idle = Array.from({ length: 200 }, (_, i) => one(`F${i}`, { "already-copied": 3 }));
    const lines = renderIdle([
      ...idle,
      one("new", { copied: 1, "already-copied": 2 }),
      one("bad", {}, { error: "x", closes: false }),
      one("open", { "already-copied": 3 }, { closes: false }),
    ]);
    expect(lines).toEqual(["Nothing new in 200 folders: 600 already copied."]);
    const finishedOf = (summary: FolderSummary, verbose: number) =>
      lineOf(
        { type: "folder-finished", folder: { path: summary.folder, selectable: true, messages: 3 }, summary },
        verbose,
      );
    expect(idle.map((summary) => finishedOf(summary, 0)).filter((line) => line !== undefined)).toEqual([]);
    expect(finishedOf(one("F", { "already-copied": 3 }), 1)).toBe("F: 3 already copied");
    expect(finishedOf(one("F", { "already-copied": 2, failed: 1 }), 0)).toBe("F: 2 already copied, 1 failed");
  });
});

describe("the report file", () => {
  it("is in place only when it is whole, for its owner alone", async () => {
    const path = join(root, "report.json");
    writeFileSync(path, "old");
    {
      await using file = await openReportFile(path);
      for (const event of [settled("1", "failed"), settled("2", "copied"), settled("3", "altered")])
        if (belongsInReport(event)) await file.add(event);
      expect(readFileSync(path, "utf8")).toBe("old");
      await file.finish({ summary: summaryOf({}), exitCode: 3 });
    }
    const report = JSON.parse(readFileSync(path, "utf8"));
    expect(report.events.map((event: { as: string }) => event.as)).toEqual(["failed", "altered"]);
    expect(report).toMatchObject({ exitCode: 3, summary: { closes: true } });
    expect(statSync(path).mode & 0o777).toBe(0o600);
  });

  it("leaves the old one and nothing else when the run dies", async () => {
    const path = join(root, "kept.json");
    writeFileSync(path, "old");
    {
      await using file = await openReportFile(path);
      await file.add({ type: "notice" });
    }
    expect(readFileSync(path, "utf8")).toBe("old");
    expect(readdirSync(root).filter((name) => name.endsWith(".part"))).toEqual([]);
  });

  it("holds an empty list too, and a place that cannot be written is known at once", async () => {
    const path = join(root, "empty.json");
    await using file = await openReportFile(path);
    await file.finish({ exitCode: 0 });
    expect(JSON.parse(readFileSync(path, "utf8"))).toEqual({ events: [], exitCode: 0, endedAt: expect.any(String) });
    await expect(openReportFile(join(root, "none/report.json"))).rejects.toThrow("--report");
  });
});
