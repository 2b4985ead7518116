// Two kinds of mail in one folder on a disk, read as one source: a Maildir with mboxes beside it, or the other way round.

import type { Disk } from "../formats/disk/disk.ts";
import { insteadOf } from "../formats/disk/disk.ts";
import { configError } from "../mail/errors.ts";
import { type Entry, type Folder, type FolderPath, type Origin, showPath } from "../mail/model.ts";
import type { Incoming, ReadOptions, Slice, Source } from "./source.ts";

/**
 * `first` is the kind that was asked for, and the source keeps its identity: a folder that holds nothing else is the very same source
 * as before. What can be deleted at all is deleted in its folders alone.
 */
export function joinSources(root: string, disk: Disk, first: Source, second: Source): Source {
  const owners = new Map<string, Source>();
  const ownerOf = (path: FolderPath): Source => owners.get(showPath(path)) ?? first;
  const names = new FormerNames(disk);
  const list = async function* (signal: AbortSignal): AsyncGenerator<Folder> {
    owners.clear();
    for (const source of [first, second])
      for await (const listed of source.folders(signal)) {
        const folder = await names.call(listed);
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
    callAsBefore: (leads) => {
      names.leads = leads;
    },
    async *slices(folder, signal) {
      for await (const slice of ownerOf(folder.path).slices(names.own(folder), signal)) yield { ...slice, folder };
    },
    read: (slice, options) => names.read(ownerOf(slice.folder.path), slice, options),
    ...(remove === undefined ? {} : { remove: names.remove(remove.bind(first)) }),
    wireSize: (entry) => ownerOf(entry.origin.folder).wireSize?.(entry),
    async [Symbol.asyncDispose]() {
      await first[Symbol.asyncDispose]();
      await second[Symbol.asyncDispose]();
    },
  } satisfies Source;
}

type Remove = NonNullable<Source["remove"]>;

/** Folders that go on by the names which earlier versions gave them, where a target was filled by those. */
class FormerNames {
  /** Whether an earlier run copied mail of a path. */
  leads: (path: FolderPath) => Promise<boolean> = async () => false;
  readonly #disk: Disk;
  /** By the name that is used: the folder's own path; and the other way round. */
  readonly #own = new Map<string, FolderPath>();
  readonly #used = new Map<string, FolderPath>();

  constructor(disk: Disk) {
    this.#disk = disk;
  }

  /** The folder by the name that it is to have. */
  async call(folder: Folder): Promise<Folder> {
    const { path } = folder;
    for (const { path: above, was } of this.#disk.formerly) {
      if (above.length > path.length || above.some((part, i) => part !== path[i])) continue;
      const before = [...was, ...path.slice(above.length)];
      if ((await this.leads(path)) || !(await this.leads(before))) continue;
      this.#own.set(showPath(before), path);
      this.#used.set(showPath(path), before);
      return { ...folder, path: before };
    }
    return folder;
  }

  own(folder: Folder): Folder {
    const path = this.#own.get(showPath(folder.path));
    return path === undefined ? folder : { ...folder, path };
  }

  read(source: Source, slice: Slice, options: ReadOptions): AsyncIterable<Incoming> {
    const folder = this.own(slice.folder);
    if (folder === slice.folder) return source.read(slice, options);
    const used = (entry: Entry): Entry => ({ ...entry, origin: this.#usedOf(entry.origin) });
    const read = source.read({ ...slice, folder }, { ...options, want: (entry) => options.want(used(entry)) });
    return mapped(read, (incoming) => ({ ...incoming, entry: used(incoming.entry) }));
  }

  remove(remove: Remove): Remove {
    return (origins, signal, hold, removal) => {
      if (this.#own.size === 0) return remove(origins, signal, hold, removal);
      const own = <T extends Origin>(origin: T): T => ({
        ...origin,
        folder: this.#own.get(showPath(origin.folder)) ?? origin.folder,
      });
      const told = removal && {
        ...removal,
        recorded: (origin: Origin) => removal.recorded(this.#usedOf(origin)),
        changed: (origin: Origin) => removal.changed(this.#usedOf(origin)),
        absent: (origin: Origin) => removal.absent(this.#usedOf(origin)),
      };
      return mapped(remove(mapped(origins, own), signal, hold, told), (origin) => this.#usedOf(origin));
    };
  }

  #usedOf(origin: Origin): Origin {
    const folder = this.#used.get(showPath(origin.folder));
    return folder === undefined ? origin : { ...origin, folder };
  }
}

async function* mapped<T, R>(items: AsyncIterable<T>, change: (item: T) => R): AsyncGenerator<R> {
  for await (const item of items) yield change(item);
}
