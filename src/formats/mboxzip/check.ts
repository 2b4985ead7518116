// The whole archive by itself: each of its zips, their numbers, and that they belong together.

import { stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { configError, errno, ioError } from "../../mail/errors.ts";
import { ARCHIVE_HOME, readArchiveId } from "../archive.ts";
import { checkZip } from "./check-zip.ts";
import { listZips, neverFinished, type ZipFileName } from "./layout.ts";
import { knownNumbers, lostNumbers, lostZip, readNumbers } from "./numbers.ts";
import { zipNumber } from "./ref.ts";

/**
 * Checks FILE.zip, or every zip of DIR, without any other state: structure, CRCs, the manifest's checksums, every message's
 * content key and SHA-256, names. `onProblem` gets one line a problem; none means that not a byte differs from what was written.
 * `onArchive` gets the archive's id and the highest number that a zip of it had (0: a single file). Resolves with the number of messages whose bytes are right. Throws MailError config where there is no such archive, io where
 * it cannot be read.
 */
export async function checkMboxZip(
  path: string,
  signal: AbortSignal,
  onProblem: (text: string) => void,
  onArchive?: (id: string, lastZip: number) => void,
): Promise<{ messages: number }> {
  const zips = await zipsAt(path);
  const highest = zips[0]?.number === 0 ? 0 : await checkNumbers(path, zips, onProblem);
  let archive = zips[0]?.number === 0 ? undefined : await readArchiveId(path, "mboxzip");
  let messages = 0;
  for (const { number, path: file } of zips) {
    signal.throwIfAborted();
    const { header, messages: good } = await checkZip(file, tmpdir(), signal, onProblem);
    messages += good;
    if (header === undefined) continue;
    archive ??= header.archive;
    if (header.archive !== archive) onProblem(`${file}: it belongs to another archive`);
    if (number > 0 && header.zip !== number)
      onProblem(`${file}: its manifest says that it is number ${zipNumber(header.zip)}`);
  }
  if (archive !== undefined) onArchive?.(archive, highest);
  return { messages };
}

/** The highest number that is known. */
async function checkNumbers(
  path: string,
  zips: readonly ZipFileName[],
  onProblem: (text: string) => void,
): Promise<number> {
  const home = join(path, ARCHIVE_HOME);
  const numbers = await readNumbers(home);
  if (numbers === "damaged") onProblem(`${join(home, "numbers")} is damaged`);
  const known = numbers === "damaged" ? await knownNumbers(home) : numbers;
  for (const number of await lostNumbers(home, zips, known)) onProblem(lostZip(path, number));
  return Math.max(known.highest, zips.at(-1)?.number ?? 0);
}

/** A single file has no number in its name: 0. */
async function zipsAt(path: string): Promise<ZipFileName[]> {
  let isDirectory: boolean;
  try {
    isDirectory = (await stat(path)).isDirectory();
  } catch (error) {
    const unfinished = errno(error) === "ENOENT" ? await neverFinished(path) : undefined;
    if (unfinished !== undefined) throw unfinished;
    const known = ioError(`cannot read ${path}`, error);
    throw known.code === "io" ? configError(`there is no archive ${path}`, "Check the path.", error) : known;
  }
  if (!isDirectory) return [{ number: 0, path }];
  const part = await neverFinished(path);
  if (part !== undefined) throw part;
  const zips = await listZips(path);
  if (zips.length === 0 && (await readArchiveId(path, "mboxzip")) === undefined)
    throw configError(`${path} holds no mboxzip archive`, "Give the directory with the numbered zips, or a FILE.zip.");
  return zips;
}
