// Tables fit the terminal, names keep both their ends, and people read decoded names; on a pipe nothing is cut.

import { describe, expect, it } from "vitest";
import { renderFolders } from "../../src/cli/commands/folders.ts";
import { renderVerify } from "../../src/cli/commands/verify.ts";
import { Notes } from "../../src/cli/notes.ts";
import { lineOf } from "../../src/cli/progress.ts";
import { renderLosses, renderRemovals, renderStopped } from "../../src/cli/report.ts";
import { renderPlan } from "../../src/cli/report-plan.ts";
import { columnsOf, fitted } from "../../src/cli/tables.ts";
import { squeeze, width } from "../../src/cli/text.ts";
import { showPath } from "../../src/mail/model.ts";
import { encodeMutf7 } from "../../src/mail/mutf7.ts";
import { openImapSink } from "../../src/sinks/imap.ts";
import { Desk } from "../kit/cli.ts";
import { startAccount } from "../scripted/imap-account.ts";

const LONG = ["Müller & Söhne", "Angebote und Rechnungen des Jahres 2019 mit einem sehr langen Namen, Teil 二"];
const PATHS = [["INBOX"], LONG, [...LONG.slice(0, 1), `${LONG[1]}1`]];
const raw = (path: readonly string[]): string => path.map(encodeMutf7).join("/");

function planned(names: (path: readonly string[]) => string = raw): Notes {
  const notes = new Notes(true);
  const event = (one: object): void => notes.add(one as never);
  for (const path of PATHS) {
    event({ type: "folder-opened", folder: { path }, name: names(path), losses: [], created: false });
    for (const [as, times] of Object.entries({ planned: 1234, filtered: 2345, adopted: 3456 }))
      for (let i = 0; i < times; i++) {
        const entry = { origin: { folder: path, generation: "1", id: `${i}` }, traits: {} };
        event({ type: "message-settled", entry, as, bytes: 123_456, losses: [{ kind: "received" }] });
      }
    event({ type: "folder-finished", folder: { path }, summary: { due: 4567 } });
  }
  return notes;
}

const folders = PATHS.map((path) => ({
  path,
  selectable: true,
  messages: 1_234_567,
  bytes: 12_345_678,
  use: "archive" as const,
}));
const sums = { matched: 1234, missing: 2345, changed: 3456, extra: 4567, altered: 0 };
const compared = { folders: PATHS.map((folder) => ({ folder, name: "x", ...sums })), ...sums };
const stopped = { progress: PATHS.map((folder) => ({ folder, done: 1234, open: 2345 })) };
const deleted = new Notes(false);
for (const folder of PATHS)
  deleted.add({
    type: "folder-removed",
    folder,
    removed: 1234,
    stayed: { "too-new": 2345, "not-proved": 3, short: 4 },
  });

const TABLES: readonly [string, (columns?: number) => string[], readonly string[]][] = [
  ["the plan", (columns) => renderPlan(planned(), false, columns), ["1,234", "152 MB", "3,456", "2,345"]],
  ["the plan of a run that deletes", (columns) => renderPlan(planned(), true, columns), ["1,234", "4,567"]],
  ["folders", (columns) => renderFolders(folders, columns), ["archive", "1,234,567", "12.3 MB"]],
  ["a comparison", (columns) => renderVerify(compared as never, columns), ["1,234", "2,345", "3,456", "4,567"]],
  ["what is open", (columns) => renderStopped(stopped as never, columns), ["1,234", "2,345"]],
  ["what was deleted", (columns) => renderRemovals(deleted, columns), ["1,234", "2,352"]],
];

describe.each(TABLES)("%s", (_, render, numbers) => {
  it.each([46, 60, 80, 120])("fits %i columns, with all of its numbers, and tells its folders apart", (columns) => {
    const lines = render(columns);
    expect(Math.max(...lines.map(width))).toBeLessThanOrEqual(columns);
    const text = lines.join("\n");
    for (const number of numbers)
      expect(text.split(number)).toHaveLength(PATHS.length + (text.includes("in sum") ? 2 : 1));
    expect(text).toMatch(/二(\s|$)/m);
    expect(text).toMatch(/二1(\s|$)/m);
  });

  it("cuts nothing on a pipe, nor on a terminal that is wide enough", () => {
    for (const columns of [undefined, 400]) {
      const text = render(columns).join("\n");
      for (const path of PATHS) expect(text).toContain(showPath(path));
      expect(text).not.toContain("…");
    }
  });
});

describe("the plan", () => {
  it("shows decoded names in the target, and on a terminal those alone that read otherwise", () => {
    expect(renderPlan(planned()).join("\n")).not.toContain("&APw-");
    expect(renderPlan(planned())[2]).toContain(`→  ${showPath(LONG)}`);
    expect(renderPlan(planned(), false, 80).join("\n")).not.toContain("→");
    const elsewhere = renderPlan(
      planned((path) => `${encodeMutf7("Größe")}/${raw(path)}`),
      false,
      80,
    );
    expect(elsewhere.find((line) => line.includes("→"))).toBe("    → Größe/INBOX");
    expect(elsewhere.filter((line) => line.includes("→ Größe/Müller & Söhne"))).toHaveLength(2);
  });

  it("has shorter headings where the longer ones do not fit", () => {
    expect(renderPlan(planned(), true, 200)[0]).toContain("THERE ALREADY");
    expect(renderPlan(planned(), true, 80)[0]).toMatch(/^FOLDER +COPY +BYTES +THERE +OUT +LOSSES +DELETE$/);
  });
});

it("words below a row are wrapped, and none is lost", () => {
  const below = "one two three four five six seven eight nine ten";
  const lines = fitted([["A"]], [{ cells: ["x"], below }], 24).slice(2);
  expect(Math.max(...lines.map(width))).toBeLessThanOrEqual(24);
  expect(lines.map((line) => line.trim()).join(" ")).toBe(below);
});

it("a terminal that says no width, or none, has 80 columns; a pipe has none", () => {
  const of = (stream: object) => columnsOf(stream as NodeJS.WriteStream);
  expect([{ isTTY: true, columns: 0 }, { isTTY: true }, { isTTY: true, columns: 50 }, { columns: 50 }].map(of)).toEqual(
    [80, 80, 50, undefined],
  );
});

it("a name that is cut keeps its end", () => {
  expect(squeeze("Archive/2019/Projects A", 15)).toBe("Archive…jects A");
  expect(squeeze("short", 5)).toBe("short");
  expect(squeeze("x".repeat(5000), undefined)).toHaveLength(5000);
  for (const columns of [1, 2, 3, 10, 11])
    expect(width(squeeze("二二二二二二二二二二\u001b[2J二二", columns))).toBeLessThanOrEqual(columns);
});

describe("lines of folders", () => {
  const finished = (path: readonly string[], name: string, columns?: number) => {
    const balance = { copied: 1 };
    const summary = { folder: path, name, listed: 1, balance, closes: true };
    return lineOf({ type: "folder-finished", folder: { path }, summary } as never, 0, columns);
  };

  it.each([
    ["Clients/M&APw-ller", ""],
    [".Clients.M&APw-ller", ""],
    ["Clients.M&APw-ller", ""],
    ["Kunden/M&APw-ller", " → Kunden/Müller"],
    ["Clients/M&APw-ller &", " → Clients/M&APw-ller &"],
  ])("%s is shown as it reads", (name, arrow) => {
    expect(finished(["Clients", "Müller"], name)).toBe(`Clients/Müller${arrow}: 1 copied`);
  });

  it("a dot in a name is no level of folders", () => {
    expect(finished(["A.B"], "A/B")).toBe("A.B → A/B: 1 copied");
  });

  it("are cut on a terminal alone", () => {
    expect(finished(LONG, raw(LONG))).toBe(`${showPath(LONG)}: 1 copied`);
    expect(finished(LONG, raw(LONG), 80)).toMatch(/^Müller & .*….*Teil 二: 1 copied$/);
  });

  it("tell with -v what a folder is called there, decoded", () => {
    const folder = { path: LONG };
    const event = { type: "folder-opened", folder, name: raw(LONG), losses: [], created: true } as never;
    expect(lineOf(event, 1)).toBe(`${showPath(LONG)} → ${showPath(LONG)} (new)`);
  });
});

it("a loss of a name tells the other one decoded", () => {
  const notes = new Notes(false);
  const losses = [{ kind: "folder-name", from: ["Größe."], to: "Gr&APYA3w-e_" }];
  notes.add({ type: "folder-opened", folder: { path: ["Größe."] }, name: "x", losses, created: true } as never);
  expect(renderLosses(notes).join("\n")).toContain("the folder name Größe. (it is Größe_ there)");
});

it("a run says it decoded, and its JSON holds the store's own name", async () => {
  using desk = new Desk();
  const source = desk.put("source", ["a"], "M&APw-ller");
  const { out, err } = await desk.run(["backup", source, `maildir:${desk.path("new")}`, "--json"]);
  expect(err).toMatch(/^Müller: 1 copied$/m);
  expect(out).toContain('"name":".M&APw-ller"');
  const plan = await desk.run(["backup", source, `maildir:${desk.path("other")}`, "--dry-run", "--into", "Größe"]);
  expect(plan.out).toMatch(/Müller +→ +\.Größe\.Müller /);
});

it("what a server refuses about a folder names it decoded", async () => {
  await using account = await startAccount({
    before: ({ text }) => (text.startsWith("CREATE") ? "NO [CANNOT] not here" : undefined),
  });
  const { signal } = new AbortController();
  await using sink = await openImapSink(account.server(), signal);
  const folder = { path: ["Müller"], selectable: true };
  await expect(sink.open(folder as never, signal)).rejects.toThrow("the folder Müller cannot be made");
});
