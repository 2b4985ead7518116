// Deleting at the source shows that it goes on; a question and Ctrl-C leave no half of a bar behind; a stopped run says what is open.

import { Writable } from "node:stream";
import { expect, it } from "vitest";
import { type Bars, openBars } from "../../src/cli/bars.ts";
import { lineOf } from "../../src/cli/progress.ts";
import { renderBalance } from "../../src/cli/report.ts";
import type { MigrationEvent, RunSummary } from "../../src/migrate/events.ts";
import { run } from "../../src/migrate/run.ts";
import { Desk } from "../kit/cli.ts";
import { mail, memorySink, memorySource, newStore } from "../kit/memory.ts";

/** A terminal of so many columns; `frame`: what the last drawing wrote, a line a row. */
function terminal(columns = 80) {
  const written: string[] = [];
  const sink = new Writable({
    write(chunk, _, done) {
      written.push(String(chunk));
      done();
    },
  });
  const stream = Object.assign(sink, { isTTY: true, columns, rows: 24 }) as unknown as NodeJS.WriteStream;
  const plain = (): string => written.join("").replaceAll(/\u001b\[[?0-9;]*[A-Za-z]/g, "");
  return {
    stream,
    text: plain,
    frame: (bars: Bars): string[] => {
      written.length = 0;
      // Draws once more before it clears.
      bars.clear();
      return plain().split("\n");
    },
  };
}

const origin = { folder: ["A"], generation: "1", id: "1" };
const event = (type: string, more: object = {}): MigrationEvent => ({ type, origin, ...more }) as never;

it("bars tell what was read back and what is gone; what stays is no part of what goes", () => {
  const { stream, frame } = terminal();
  using bars = openBars(stream);
  bars.add({ type: "run-planned", folders: 1, messages: 5 });
  bars.add({ type: "removal-begun", messages: 5 });
  for (let i = 0; i < 3; i++) bars.add(event("message-proved"));
  bars.add(event("message-kept", { why: "not-proved" }));
  for (let i = 0; i < 2; i++) bars.add(event("message-removed"));
  const [proofs = "", deletions = "", last, ...more] = frame(bars);
  expect(proofs).toMatch(/^read back +\[.*\] +80% +4\/5 /);
  expect(deletions).toMatch(/^deleted +\[.*\] +50% +2\/4 /);
  // Octets are none of it, and a row is left for what the terminal itself writes.
  expect(`${proofs}${deletions}`).not.toMatch(/\bk?B/);
  expect([last, more]).toEqual(["", []]);
});

it("what is read back once more is not counted twice; nothing is shown where nothing may go", () => {
  const { stream, frame } = terminal();
  using bars = openBars(stream);
  bars.add({ type: "removal-begun", messages: 2 });
  for (let i = 0; i < 3; i++) bars.add(event("message-proved"));
  expect(frame(bars)[0]).toMatch(/^read back.* 2\/2 /);
  bars.add({ type: "removal-begun", messages: 0 });
  expect(frame(bars).join("")).toBe("");
});

it("after a question the bars are there again", () => {
  const { stream, frame, text } = terminal();
  using bars = openBars(stream);
  bars.add({ type: "run-planned", folders: 1, messages: 5 });
  expect(frame(bars)[0]).toContain("in sum");
  bars.write("a line\n");
  expect(text()).toContain("a line");
  bars.add({ type: "removal-begun", messages: 5 });
  expect(frame(bars)[0]).toContain("read back");
});

it("the row below the bars is empty, so that a ^C lengthens none of them", () => {
  const { stream, frame } = terminal(60);
  using bars = openBars(stream);
  bars.add({ type: "run-planned", folders: 1, messages: 5 });
  for (const name of ["A", "B"])
    bars.add(event("folder-opened", { folder: { path: [name], messages: 3 }, name, losses: [], created: true }));
  const rows = frame(bars);
  expect(rows.map((row) => row.trim().split(/ +/)[0])).toEqual(["A", "B", "in", ""]);
});

it("a run tells of it: how many it looks at, each that was proved and each that went, and nothing where nothing may go", async () => {
  using desk = new Desk();
  const ids = ["a", "b", "c"];
  const events: MigrationEvent[] = [];
  const go = async (most?: { count: number }) => {
    events.length = 0;
    const source = memorySource([{ path: ["A"], generation: "7", mail: ids.map((id) => mail(id)) }]);
    const remove = most === undefined ? {} : { most };
    const going = run(
      source,
      memorySink(newStore()),
      { stateDirectory: desk.root, remove },
      AbortSignal.timeout(20_000),
    );
    for await (const one of going) events.push(one);
    return events.filter(({ type }) => /^removal|^message-(proved|removed)/.test(type));
  };
  const told = await go();
  expect(told[0]).toEqual({ type: "removal-begun", messages: 3 });
  for (const id of ids) {
    const types = told.flatMap((one) => ("origin" in one && one.origin.id === id ? [one.type] : []));
    expect(types).toEqual(["message-proved", "message-removed"]);
  }
  // On a pipe there is no line of it.
  expect(told.map((one) => lineOf(one, 2))).toEqual(told.map(() => undefined));
  expect(await go({ count: 1 })).toEqual([]);
});

it("the balance of a stopped run says what was listed until then, and what of it is open", () => {
  const balance = {
    copied: 3,
    "already-copied": 1,
    failed: 1,
    adopted: 0,
    filtered: 0,
    altered: 0,
    vanished: 0,
    planned: 0,
  };
  const sums = { balance, bytes: 1, traitsUpdated: 0, removed: 0, kept: 0, losses: [], folders: [], seconds: 1 };
  const stopped: RunSummary = { ...sums, listed: 9, closes: false, outcome: "stopped", progress: [] };
  const text = renderBalance(stopped, false).join("\n");
  expect(text).toMatch(/listed until then +9$/m);
  expect(text).toMatch(/open +4$/m);
  const whole = renderBalance({ ...stopped, listed: 5, closes: true, outcome: "complete" }, false).join("\n");
  expect(whole).toMatch(/listed +5$/m);
  expect(whole).not.toContain("open");
  const partial = renderBalance({ ...stopped, outcome: "partial" }, false).join("\n");
  expect(partial).not.toMatch(/^ +open /m);
});
