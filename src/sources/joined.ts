// Two kinds of mail in one folder on a disk, read as one source: a Maildir with mboxes beside it, or the other way round.

import type { Disk } from "../formats/disk/disk.ts";
import { insteadOf } from "../formats/disk/disk.ts";
import { configError } from "../mail/errors.ts";
import { type Folder, type FolderPath, showPath } from "../mail/model.ts";
import type { Source } from "./source.ts";

/**
 * `first` is the kind that was asked for, and the source keeps its identity: a folder that holds nothing else is the very same source
 * as before. What can be deleted at all is deleted in its folders alone.
 */
export function joinSources(root: string, disk: Disk, first: Source, second: Source): Source {
  const owners = new Map<string, Source>();
  const ownerOf = (path: FolderPath): Source => owners.get(showPath(path)) ?? first;
  const list = async function* (signal: AbortSignal): AsyncGenerator<Folder> {
    owners.clear();
    for (const source of [first, second])
      for await (const folder of source.folders(signal)) {
        owners.set(showPath(folder.path), source);
        yield folder;
      }
    if (owners.size > 0) return;
    const { text, hint } = insteadOf(disk.leftOut);
    throw configError(
      `${root} holds no mbox and no Maildir${text}`,
      hint ?? "Name the folder that the mail is in; mboxzip:DIR reads an archive of zips.",
    );
  };
  const { remove } = first;
  return {
    kind: first.kind,
    identity: first.identity,
    limits: first.limits,
    tells: { ...first.tells, labels: first.tells.labels && second.tells.labels },
    leftOut: () => [...disk.leftOut, ...(first.leftOut?.() ?? []), ...(second.leftOut?.() ?? [])],
    folders: list,
    slices: (folder, signal) => ownerOf(folder.path).slices(folder, signal),
    read: (slice, options) => ownerOf(slice.folder.path).read(slice, options),
    ...(remove === undefined ? {} : { remove: remove.bind(first) }),
    wireSize: (entry) => ownerOf(entry.origin.folder).wireSize?.(entry),
    async [Symbol.asyncDispose]() {
      await first[Symbol.asyncDispose]();
      await second[Symbol.asyncDispose]();
    },
  } satisfies Source;
}
