// `mailferry/numbers`: the highest number that a zip of this archive ever had, so that none is given again, and which are not missed.

import { copyFile, readdir } from "node:fs/promises";
import { join } from "node:path";
import { replaceFile, syncDirectory } from "../../core/files.ts";
import { frame, unframe } from "../../core/lines.ts";
import { openOwn, readOwn } from "../../core/own-file.ts";
import { errno, ioError } from "../../mail/errors.ts";
import { asideName } from "../mend.ts";
import { missingNumbers, type ZipFileName } from "./layout.ts";
import { zipNumber } from "./ref.ts";

const FILE = "numbers";
const LF = 10;
/** Lost zips that are named. */
const NAMED = 100;

export interface Numbers {
  readonly highest: number;
  /** Of lost zips: what the source still had of them was copied again. */
  readonly forgiven: readonly number[];
}

/** "damaged": not all of it says something. An archive of before has no such file: then what its ledgers name counts. */
export async function readNumbers(home: string): Promise<Numbers | "damaged"> {
  const { last, isWhole } = await readLines(home);
  if (!isWhole) return "damaged";
  return last ?? { highest: await highestRecorded(home), forgiven: [] };
}

/** The same, where the last line that can be read counts, and without any what the ledgers name. */
export async function knownNumbers(home: string): Promise<Numbers> {
  const { last, isWhole } = await readLines(home);
  if (last !== undefined && isWhole) return last;
  return { highest: Math.max(last?.highest ?? 0, await highestRecorded(home)), forgiven: last?.forgiven ?? [] };
}

interface Lines {
  /** Undefined where there is none. */
  readonly last: Numbers | undefined;
  /** Each line of the file can be read; there is none, or no file. */
  readonly isWhole: boolean;
  /** Octets up to the end of the last whole line. */
  readonly size: number;
}

async function readLines(home: string): Promise<Lines> {
  let text: Buffer;
  try {
    text = await readOwn(join(home, FILE));
  } catch (error) {
    if (errno(error) === "ENOENT" || errno(error) === "ENOTDIR") return { last: undefined, isWhole: true, size: 0 };
    throw ioError(`cannot read ${join(home, FILE)}`, error);
  }
  let last: Numbers | undefined;
  let isWhole = text.length > 0 && text.at(-1) === LF;
  let at = 0;
  for (let end = text.indexOf(LF); end !== -1; end = text.indexOf(LF, at)) {
    const numbers = decode(unframe(text.subarray(at, end)));
    if (numbers === undefined) isWhole = false;
    else last = numbers;
    at = end + 1;
  }
  return { last, isWhole, size: at };
}

function decode(text: string | undefined): Numbers | undefined {
  try {
    const { highest, forgiven } = JSON.parse(text ?? "{}") as Partial<Record<keyof Numbers, unknown>>;
    const isNumber = (value: unknown): value is number => Number.isSafeInteger(value);
    if (isNumber(highest) && Array.isArray(forgiven) && forgiven.every(isNumber)) return { highest, forgiven };
  } catch {
    // No line of ours.
  }
  return undefined;
}

/**
 * Durable when it resolves. A line more, as there are disks on which nothing can be renamed over a file; what a death left of a line is
 * cut off.
 */
export async function writeNumbers(home: string, { highest, forgiven }: Numbers): Promise<void> {
  const path = join(home, FILE);
  try {
    const { size, isWhole } = await readLines(home);
    const handle = await openOwn(path, "a");
    try {
      if (!isWhole) await handle.truncate(size);
      await handle.writeFile(frame(JSON.stringify({ highest, forgiven })));
      await handle.sync();
    } finally {
      await handle.close();
    }
    if (size === 0) await syncDirectory(home);
  } catch (error) {
    throw ioError(`cannot write ${path}`, error);
  }
}

/** Made again from what can be read of it, the ledgers and the zips; the file as it was stays beside. True where it was damaged. */
export async function mendNumbers(home: string, zips: readonly ZipFileName[]): Promise<boolean> {
  if ((await readNumbers(home)) !== "damaged") return false;
  const path = join(home, FILE);
  const { highest, forgiven } = await knownNumbers(home);
  try {
    await copyFile(path, asideName(path));
    const last = Math.max(highest, zips.at(-1)?.number ?? 0);
    await replaceFile(path, frame(JSON.stringify({ highest: last, forgiven })));
    return true;
  } catch (error) {
    throw ioError(`cannot write ${path}`, error);
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
      const file = await openOwn(join(home, "ledger", pair, name));
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
