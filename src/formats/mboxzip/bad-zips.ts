// Zips of a growing archive that cannot be read: the others are read all the same, and each of these is named.

import { isAbort, MailError } from "../../mail/errors.ts";
import { MANIFEST_NAME } from "../manifest.ts";
import { openZip, type Zip } from "../zip/read.ts";
import { readSeal } from "../zip/seal.ts";
import type { ZipFileName } from "./layout.ts";
import { isEntryName } from "./names.ts";
import { demandSame, manifestHead } from "./zips.ts";

export interface BadZip extends ZipFileName {
  /** In words; it names the file. */
  readonly why: string;
  /** The way out. */
  readonly hint?: string;
  /** It can be opened, and its mboxes can be read without its manifest. */
  readonly isLesser?: true;
}

const NEVER = new AbortController().signal;

/** True for a zip of ours that holds mboxes, whatever became of its manifest. */
export async function holdsMboxes(zip: Zip, signal = NEVER): Promise<boolean> {
  const names = [...zip.entries.keys()].filter((name) => name !== MANIFEST_NAME);
  if (names.length === 0 || !names.every(isEntryName)) return false;
  if (zip.entries.has(MANIFEST_NAME)) return true;
  // Its name was damaged: what is as it was sealed never had one.
  return (await readSeal(zip.path, signal)) === "broken";
}

export interface SortedZips {
  readonly id: string | undefined;
  readonly good: readonly ZipFileName[];
  readonly bad: readonly BadZip[];
}

/**
 * Tells those whose manifest begins as it must from the others. `known`: the archive's id, else that of the first good one. `look` may find
 * more against a zip: it throws MailError malformed. What is no fault of a zip is thrown.
 */
export async function sortZips(
  zips: readonly ZipFileName[],
  known: string | undefined,
  look: (zip: Zip, file: ZipFileName) => Promise<void> = async () => undefined,
): Promise<SortedZips> {
  let id = known;
  const good: ZipFileName[] = [];
  const bad: BadZip[] = [];
  for (const file of zips) {
    let isLesser = false;
    try {
      await using zip = await openZip(file.path);
      const { header } = await manifestHead(zip).catch(async (error: unknown) => {
        whyBad(error);
        isLesser = await holdsMboxes(zip);
        throw error;
      });
      demandSame(file, header, id ?? header.archive);
      await look(zip, file);
      id ??= header.archive;
      good.push(file);
    } catch (error) {
      const why = whyBad(error);
      const hint = error instanceof MailError ? error.details.hint : undefined;
      bad.push({ ...file, why, ...(hint === undefined ? {} : { hint }), ...(isLesser ? { isLesser } : {}) });
    }
  }
  return { id, good, bad };
}

/** What is wrong with a zip, in words. Throws what says nothing against it. */
export function whyBad(error: unknown): string {
  if (isAbort(error) || !(error instanceof MailError) || error.code !== "malformed") throw error;
  return error.message;
}

export function badZip({ why, hint }: BadZip): string {
  return `${why}; what this zip held is not read${hint === undefined ? "" : `. ${hint.replace(/\.$/, "")}`}`;
}
