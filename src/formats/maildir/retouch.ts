// Changing the traits of messages that are there already: renames, gathered, with one fsync of a directory for many.

import { rename } from "node:fs/promises";
import { syncDirectory } from "../../core/files.ts";
import { type Fate, GroupCommit } from "../../core/group.ts";
import type { Hold } from "../../core/lock.ts";
import { errno, ioError, MailError } from "../../mail/errors.ts";
import type { TraitChange } from "../../mail/model.ts";
import { each } from "./delivery.ts";
import type { MailFolder } from "./folder.ts";
import { fsPath, showBytes } from "./paths.ts";
import { changedFile } from "./traits.ts";

export interface Retouch {
  readonly folder: MailFolder;
  readonly base: string;
  readonly change: TraitChange;
}

/** Applies changes in the order in which they were added; each is durable when its call resolves. */
export function retouching(hold: Hold = () => undefined): GroupCommit<Retouch, void> {
  return new GroupCommit<Retouch, void>((batch) => {
    hold();
    return commit(batch);
  });
}

async function commit(batch: readonly Retouch[]): Promise<readonly Fate<void>[]> {
  const failed = new Map<Retouch, unknown>();
  // A lane a folder: two changes of one message must not meet, nor two writers of one sidecar.
  const folders = [...new Set(batch.map(({ folder }) => folder))];
  await each(folders, async (folder) => {
    const places = new Set<string>();
    for (const item of batch) {
      if (item.folder !== folder) continue;
      try {
        const moved = await folder.locator.with(item.base, (file) => retouch(item, file));
        if (moved === undefined)
          failed.set(item, new MailError("not-found", `${item.base} is gone`, { scope: "message", remedy: "give-up" }));
        for (const place of moved ?? []) places.add(place);
      } catch (error) {
        failed.set(item, ioError(`cannot change a message in ${showBytes(folder.directory)}`, error));
      }
    }
    for (const place of places) {
      try {
        await syncDirectory(`${showBytes(folder.directory)}/${place}`);
      } catch (error) {
        const failure = ioError(`cannot make ${showBytes(folder.directory)} durable`, error);
        for (const item of batch) if (item.folder === folder && !failed.has(item)) failed.set(item, failure);
      }
    }
  });
  return batch.map((item) => (failed.has(item) ? { error: failed.get(item) } : { value: undefined }));
}

/** Gives the directories that changed. Fails with ENOENT when the file was renamed meanwhile: then it is called again. */
async function retouch({ folder, change }: Retouch, file: string): Promise<readonly string[]> {
  const { directory, locator } = folder;
  const { name, base, extra } = await changedFile(file.slice(4), change, folder);
  if (extra !== undefined) await folder.sidecar.put([{ base, extra }]);
  const isPlain = !file.includes(":") && name === `${base}:2,`;
  // What has no flags and gets none stays where it is, in new too.
  if (file === `cur/${name}` || (isPlain && name === `${file.slice(4)}:2,`)) return [];
  try {
    await rename(fsPath(`${directory}/${file}`), fsPath(`${directory}/cur/${name}`));
  } catch (error) {
    if (errno(error) === "ENOENT") throw error;
    throw ioError(`cannot rename ${showBytes(`${directory}/${file}`)}`, error);
  }
  locator.moved(base, `cur/${name}`);
  return file.startsWith("new/") ? ["new", "cur"] : ["cur"];
}
