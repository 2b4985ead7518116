// The lines of `runs.jsonl`: runs and names to JSON and back.

import type { FolderPath } from "../mail/model.ts";
import { type Fields, isListOf, isObject, isText, isWhole } from "./ledger-codec.ts";

export type RunLine =
  /** A run began: number, epoch seconds, version of the program, options that select. */
  | {
      readonly s: "start";
      readonly n: number;
      readonly a: number;
      readonly v: string;
      readonly o: Readonly<Record<string, unknown>>;
    }
  /** It ended: number, epoch seconds, outcome, balance, number of the archive's inventory as it was then. */
  | {
      readonly s: "end";
      readonly n: number;
      readonly a: number;
      readonly w: string;
      readonly b: Readonly<Record<string, number>>;
      readonly i?: number;
    }
  /** A path got this raw name in the target. */
  | { readonly s: "name"; readonly f: FolderPath; readonly r: string };

/** A line read back; undefined when it is none of ours. */
export function decodeRun(text: string): RunLine | undefined {
  let line: unknown;
  try {
    line = JSON.parse(text);
  } catch {
    return undefined;
  }
  return isObject(line) && isRunLine(line) ? (line as unknown as RunLine) : undefined;
}

function isRunLine(line: Fields): boolean {
  switch (line.s) {
    case "start":
      return isWhole(line.n) && isWhole(line.a) && isText(line.v) && isObject(line.o);
    case "end":
      return (
        isWhole(line.n) &&
        isWhole(line.a) &&
        isText(line.w) &&
        isBalance(line.b) &&
        (line.i === undefined || isWhole(line.i))
      );
    case "name":
      return isListOf(line.f, isText) && isText(line.r);
    default:
      return false;
  }
}

function isBalance(value: unknown): boolean {
  return isObject(value) && Object.values(value).every(isWhole);
}
