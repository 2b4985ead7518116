// Where the parts of an mboxzip lie: the zips of an archive in their order, and the names beside a FILE.zip.

import { readdir, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { configError, errno, ioError, MailError } from "../../mail/errors.ts";
import { MAX_FOLDERS } from "../../mail/model.ts";
import { zipNumber } from "./ref.ts";

export interface ZipFileName {
  readonly number: number;
  readonly path: string;
}

const ZIP_NAME = /^(\d{4,9})-\d{8}T\d{6}Z\.zip$/;

/** "NNNN-<time>.zip": the number orders, the time is for people. */
export function zipFileName(number: number, created: Date): string {
  const time = created.toISOString().replace(/[-:]|\.\d+/g, "");
  return `${zipNumber(number)}-${time}.zip`;
}

/** True when the path names a single FILE.zip and no archive that grows. */
export function isSingleFile(path: string): boolean {
  return path.toLowerCase().endsWith(".zip");
}

/** The zips of an archive that grows, in their order. Empty where there is no such directory. */
export async function listZips(directory: string): Promise<ZipFileName[]> {
  let names: string[];
  try {
    names = await readdir(directory);
  } catch (error) {
    if (errno(error) === "ENOENT") return [];
    if (errno(error) === "ENOTDIR") throw configError(`${directory} is a file, not a directory`, undefined, error);
    throw ioError(`cannot read ${directory}`, error);
  }
  const zips: ZipFileName[] = [];
  for (const name of names) {
    const number = Number(ZIP_NAME.exec(name)?.[1] ?? 0);
    if (number > 0) zips.push({ number, path: join(directory, name) });
  }
  zips.sort((a, b) => a.number - b.number);
  for (const [i, { number, path }] of zips.entries())
    if (i > 0 && zips[i - 1]?.number === number)
      throw new MailError(
        "malformed",
        `${directory} holds two zips with the number ${zipNumber(number)} (${basename(path)})`,
        {
          scope: "account",
          remedy: "give-up",
          hint: "Move the one that does not belong to this archive elsewhere.",
        },
      );
  return zips;
}

/** The error for an archive with more folders than anybody has: each costs memory. */
export function tooManyFolders(what: string): MailError {
  return new MailError("malformed", `${what} has more than ${MAX_FOLDERS} folders`, {
    scope: "account",
    remedy: "give-up",
    hint: "The archive is damaged, or was made to do harm.",
  });
}

/** The numbers up to the last zip that are not there (the first hundred). A single file has the number 0 and misses none. */
export function missingNumbers(zips: readonly ZipFileName[]): number[] {
  const missing: number[] = [];
  let next = 1;
  for (const { number } of zips) {
    for (; next < number && missing.length < 100; next++) missing.push(next);
    next = number + 1;
  }
  return missing;
}

/** Where FILE.zip is gathered until it is sealed. */
export function partDirectory(file: string): string {
  return join(dirname(file), `${basename(file)}.part.d`);
}

/** The error for a FILE.zip that is not there yet, or what it is gathered in, given in its place; undefined for anything else. */
export async function neverFinished(path: string): Promise<MailError | undefined> {
  const isPart = /\.zip\.part\.d\/*$/i.test(path);
  const file = isPart ? path.replace(/\.part\.d\/*$/i, "") : path;
  if (!isSingleFile(file) || (await stat(partDirectory(file)).catch(() => undefined))?.isDirectory() !== true)
    return undefined;
  return configError(
    `${file} was never finished: what its run had gathered lies in ${partDirectory(file)}, and is no archive yet`,
    "Run the same backup again; it goes on where it stopped.",
  );
}

/** Where what could not be written stays when FILE.zip is done. */
export function quarantineBeside(file: string): string {
  return join(dirname(file), `${basename(file)}.quarantine`);
}
