// Killed at any moment and run again: nothing that was told is lost, and nothing is there twice.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { describe, expect, it } from "vitest";
import { checkMboxZip } from "../../../src/formats/mboxzip/check.ts";
import { NEVER, restoreFrom, scratch } from "./kit.ts";

const COUNT = 400;
const CHILD = join(import.meta.dirname, "kill-child.ts");

/** Runs the child until it has said that many lines, or one of these words; then kill -9. Returns what it had said. */
async function runUntil(path: string, stop: (line: string, said: number) => boolean): Promise<string[]> {
  const child = spawn(process.execPath, ["--import", "tsx", CHILD, path, String(COUNT)], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const gone = once(child, "close");
  const said: string[] = [];
  for await (const line of createInterface({ input: child.stdout })) {
    said.push(line);
    if (stop(line, said.length)) child.kill("SIGKILL");
  }
  await gone;
  return said;
}

describe("an archive whose run is killed with -9", () => {
  for (const name of ["mail.zip", "archive"])
    it(`is whole after the next run (${name})`, { timeout: 120_000 }, async () => {
      await using place = await scratch();
      const path = join(place.path, name);
      const told = new Set<string>();
      const stops: readonly ((line: string, said: number) => boolean)[] = [
        (_line, said) => said === 1,
        (_line, said) => said === 90,
        (_line, said) => said === 61,
        (line) => line === "sealing",
        (line) => line === "sealed",
        () => false,
      ];
      for (const stop of stops)
        for (const line of await runUntil(path, stop)) {
          const number = /^(\d+) \d+\//.exec(line)?.[1];
          if (number === undefined) continue;
          expect(told.has(number), `message ${number} stored twice`).toBe(false);
          told.add(number);
        }
      const numbers = (await restoreFrom(path)).map(({ bytes }) => Number(/^Subject: (\d+)/.exec(String(bytes))?.[1]));
      expect(numbers.sort((a, b) => a - b)).toEqual(Array.from({ length: COUNT }, (_, i) => i));
      const problems: string[] = [];
      expect(await checkMboxZip(path, NEVER, (text) => void problems.push(text))).toEqual({ messages: COUNT });
      expect(problems).toEqual([]);
      if (name === "mail.zip") expect(await readdir(place.path)).toEqual([name]);
    });
});
