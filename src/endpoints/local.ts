// Mail on a disk, opened for reading: a folder that holds Maildirs and mboxes is read as both.

import { stat } from "node:fs/promises";
import { resolve } from "node:path";
import { readArchiveId } from "../formats/archive.ts";
import { openDisk } from "../formats/disk/disk.ts";
import { shellWord } from "../formats/disk/foreign.ts";
import { configError } from "../mail/errors.ts";
import { joinSources } from "../sources/joined.ts";
import { type MaildirSourceOptions, openMaildirSource } from "../sources/maildir.ts";
import { type MboxSourceOptions, openMboxSource } from "../sources/mbox.ts";
import type { Source } from "../sources/source.ts";

interface Links {
  readonly followLinks?: boolean;
}

/** Throws what openMaildirSource throws; where the folder holds no mail, the listing of its folders throws MailError config. */
export async function openMaildirs(options: MaildirSourceOptions & Links, signal: AbortSignal): Promise<Source> {
  const { path, followLinks } = options;
  const root = resolve(path);
  // An archive is its own Maildirs, and nothing else.
  if (!(await isDirectory(root)) || (await readArchiveId(root, "maildir")) !== undefined)
    return await openMaildirSource(options, signal);
  const disk = openDisk(root, { style: "maildir", ...(followLinks === undefined ? {} : { followLinks }) }, true);
  const maildirs = await openMaildirSource({ ...options, disk }, signal);
  const mboxes = await openMboxSource({ path, disk, ...toldOf(options) }, signal);
  return joinSources(root, disk, maildirs, mboxes);
}

/** The same for mboxes: a file, or a folder. Throws what openMboxSource throws. */
export async function openMboxes(options: MboxSourceOptions & Links, signal: AbortSignal): Promise<Source> {
  const { path, followLinks } = options;
  const root = resolve(path);
  if (!(await isDirectory(root))) return await openMboxSource(options, signal);
  if ((await readArchiveId(root, "maildir")) !== undefined)
    throw configError(`${path} is an archive of mailferry's, a Maildir`, `Write ${shellWord(`maildir:${path}`)}.`);
  const disk = openDisk(root, { style: "mbox", ...(followLinks === undefined ? {} : { followLinks }) }, true);
  const mboxes = await openMboxSource({ ...options, disk }, signal);
  return joinSources(root, disk, mboxes, await openMaildirSource({ path, disk, ...toldOf(options) }, signal));
}

type Told = Pick<MaildirSourceOptions, "onNotice" | "withExpunged">;

/** What is told of the one kind is told of the other. */
function toldOf({ onNotice, withExpunged }: Told): Told {
  return {
    ...(onNotice === undefined ? {} : { onNotice }),
    ...(withExpunged === undefined ? {} : { withExpunged }),
  };
}

async function isDirectory(path: string): Promise<boolean> {
  return await stat(path).then(
    (info) => info.isDirectory(),
    () => false,
  );
}
