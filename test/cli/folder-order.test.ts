// What is said of folders at the end of a run stands in their own order, whichever was done first; bars tell no time left too early.

import { Writable } from "node:stream";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { barLine, openBars } from "../../src/cli/bars.ts";
import { showProgress } from "../../src/cli/progress.ts";
import type { Ui } from "../../src/cli/ui.ts";
import { Desk } from "../kit/cli.ts";

let desk: Desk;
let source: string;
const FOLDERS = ["Beta", "Alpha", "Delta", "Gamma"];
beforeEach(() => {
  desk = new Desk();
  source = desk.put("source", ["a"]);
  // The largest is done first.
  for (const [i, name] of FOLDERS.entries())
    desk.put(
      "source",
      Array.from({ length: 1 + ((i * 7) % 5) * 10 }, (_, n) => `${name}${n}`),
      name,
    );
});
afterEach(() => desk[Symbol.dispose]());

/** Names at the beginning of a line with a count of what was copied. */
const told = (err: string): string[] =>
  [...err.matchAll(/^(\S+?)(?: → \S+)?: \d+ copied/gm)].map(([, name]) => String(name));

it("the lines of a run, in the order of the source, and with -v as they are done", async () => {
  const listed = await desk.run(["folders", source, "--json"]);
  const summaries = async (...more: string[]) => {
    const { out, err } = await desk.run(["backup", source, desk.path(`target${more.length}`), "--json", ...more]);
    const last = JSON.parse(out.trim().split("\n").at(-1) ?? "") as { summary: { folders: { folder: string[] }[] } };
    return { order: last.summary.folders.map(({ folder }) => folder.join("/")), err };
  };
  expect(listed.code).toBe(0);
  const { order, err } = await summaries();
  expect(order).toHaveLength(5);
  expect(told(err)).toEqual(order);
  const loud = await summaries("-v");
  expect(told(loud.err).sort()).toEqual([...order].sort());
});

describe("what was held", () => {
  const said: string[] = [];
  const say = (...lines: readonly string[]): void => void said.push(...lines);
  const ui = { quiet: true, verbose: 0, json: false, say, insist: say, through: () => undefined } as unknown as Ui;
  const finished = (name: string) => {
    const summary = { folder: [name], name, listed: 1, balance: { copied: 1 }, closes: true };
    return { type: "folder-finished", folder: { path: [name], messages: 1 }, summary } as never;
  };

  it("is told of a run that was stopped, in its order, and of one that ended without a sum", async () => {
    for (const isEnded of [true, false]) {
      said.length = 0;
      {
        using progress = await showProgress(ui);
        for (const name of ["B", "A"]) progress.add(finished(name));
        expect(said).toEqual([]);
        const folders = ["A", "never done", "B"].map((name) => ({ folder: [name] }));
        if (isEnded) progress.add({ type: "run-finished", summary: { folders } } as never);
      }
      expect(said.map((line) => line.slice(0, 1))).toEqual(isEnded ? ["A", "B"] : ["B", "A"]);
    }
  });
});

it("a bar tells the time left once its rate has been measured for some seconds", () => {
  const meter = { name: "x", total: 1000, done: 1, bytes: 1, size: undefined, passed: 0 };
  const rate = { messages: 1, bytes: 1, passed: 1 };
  expect(barLine(meter, { ...rate, seconds: 0.5 }, 80)).toMatch(/ETA +-$/);
  expect(barLine(meter, { ...rate, seconds: 4 }, 80)).toMatch(/ETA +16:39$/);
});

it("lines above the bars are wrapped, and not cut at the terminal's width", () => {
  const written: string[] = [];
  const sink = new Writable({
    write(chunk, _, done) {
      written.push(String(chunk));
      done();
    },
  });
  const stream = Object.assign(sink, {
    isTTY: true,
    columns: 40,
    rows: 10,
  }) as unknown as NodeJS.WriteStream;
  const line = `${"long ".repeat(30)}end`;
  {
    using bars = openBars(stream);
    bars.add({ type: "run-planned", folders: 1, messages: 1 });
    bars.write(`${line}\n`);
  }
  expect(written.join("")).toContain(line);
  // DECAWM off: the terminal would drop what is beyond its width.
  expect(written.join("")).not.toContain("\u001b[?7l");
});
