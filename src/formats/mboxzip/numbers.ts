// `mailferry/numbers`: the highest number that a zip of this archive ever had, so that none is given again, and which are not missed.

import { open, readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { replaceFile } from "../../core/files.ts";
import { frame, unframe } from "../../core/lines.ts";
import { errno, ioError } from "../../mail/errors.ts";
import { missingNumbers, type ZipFileName } from "./layout.ts";
import { zipNumber } from "./ref.ts";

const FILE = "numbers";
/** Lost zips that are named. */
const NAMED = 100;

export interface Numbers {
  readonly highest: number;
  /** Of lost zips: what the source still had of them was copied again. */
  readonly forgiven: readonly number[];
}

/** "damaged": it says nothing. An archive of before has no such file: then what its ledgers name counts. */
export async function readNumbers(home: string): Promise<Numbers | "damaged"> {
  let line: Buffer;
  try {
    line = await readFile(join(home, FILE));
  } catch (error) {
    if (errno(error) === "ENOENT" || errno(error) === "ENOTDIR")
      return { highest: await highestRecorded(home), forgiven: [] };
    throw ioError(`cannot read ${join(home, FILE)}`, error);
  }
  const text = line.at(-1) === 10 ? unframe(line.subarray(0, -1)) : undefined;
  try {
    const { highest, forgiven } = JSON.parse(text ?? "{}") as Partial<Record<keyof Numbers, unknown>>;
    const isNumber = (value: unknown): value is number => Number.isSafeInteger(value);
    if (isNumber(highest) && Array.isArray(forgiven) && forgiven.every(isNumber)) return { highest, forgiven };
  } catch {
    // Said below.
  }
  return "damaged";
}

/** The same, where a damaged file counts as a lost one. */
export async function knownNumbers(home: string): Promise<Numbers> {
  const found = await readNumbers(home);
  return found === "damaged" ? { highest: await highestRecorded(home), forgiven: [] } : found;
}

/** Durable when it resolves. */
export async function writeNumbers(home: string, { highest, forgiven }: Numbers): Promise<void> {
  try {
    await replaceFile(join(home, FILE), frame(JSON.stringify({ highest, forgiven })));
  } catch (error) {
    throw ioError(`cannot write ${join(home, FILE)}`, error);
  }
}

/** The numbers of the zips that are gone and missed, the first hundred. A number with a spool is still to become a zip. */
export async function lostNumbers(home: string, zips: readonly ZipFileName[], numbers: Numbers): Promise<number[]> {
  const lost = missingNumbers(zips);
  for (let next = (zips.at(-1)?.number ?? 0) + 1; next <= numbers.highest && lost.length < NAMED; next++)
    lost.push(next);
  const spooled = new Set(lost.length === 0 ? [] : (await namesIn(join(home, "spool"))).map(Number));
  return lost.filter((number) => !numbers.forgiven.includes(number) && !spooled.has(number));
}

export function lostZip(root: string, number: number): string {
  return `${root}: the zip with the number ${zipNumber(number)} is missing`;
}

/** The highest number of a zip that a receipt in any ledger below names. */
async function highestRecorded(home: string): Promise<number> {
  let highest = 0;
  for (const pair of await namesIn(join(home, "ledger")))
    for (const name of await namesIn(join(home, "ledger", pair))) {
      if (!name.endsWith(".jsonl")) continue;
      const file = await open(join(home, "ledger", pair, name), "r");
      try {
        for await (const line of file.readLines({ encoding: "latin1" }))
          highest = Math.max(highest, Number(/"r":"(\d{4,9})\//.exec(line)?.[1] ?? 0));
      } finally {
        await file.close();
      }
    }
  return highest;
}

async function namesIn(directory: string): Promise<string[]> {
  try {
    return await readdir(directory);
  } catch (error) {
    if (errno(error) === "ENOENT" || errno(error) === "ENOTDIR") return [];
    throw ioError(`cannot read ${directory}`, error);
  }
}
