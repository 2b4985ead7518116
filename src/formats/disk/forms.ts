// Mail of forms that are not read, gathered: a line for all messages of one form in one folder.

import type { LeftOut } from "../../mail/left-out.ts";
import type { FolderPath } from "../../mail/model.ts";
import { type BytePath, showBytes, toBytes } from "../maildir/paths.ts";
import { describeForeign, type Foreign, NAMED_FILES, wayOut } from "./foreign.ts";

interface Place {
  readonly directory: BytePath;
  readonly path: FolderPath;
}

export class Forms {
  readonly #root: BytePath;
  readonly #found = new Map<
    string,
    { readonly form: Foreign; readonly place: Place; readonly file: Place; readonly files: BytePath[]; count: number }
  >();

  constructor(root: BytePath) {
    this.#root = root;
  }

  /** A file of that form, and the folder that it lies in. */
  add(form: Foreign, folder: Place, file: Place): void {
    const place = form.isMessage === true ? bundleOf(folder) : file;
    const key = `${form.kind} ${place.directory}`;
    const known = this.#found.get(key);
    if (known === undefined) this.#found.set(key, { form, place, file, files: [file.directory], count: 1 });
    else {
      known.count++;
      if (known.count <= NAMED_FILES) known.files.push(file.directory);
    }
  }

  leftOut(): LeftOut[] {
    return [...this.#found.values()].map(({ form, place, file, files, count }) => {
      const isMessages = form.isMessage === true;
      const root = showBytes(this.#root.slice(this.#root.lastIndexOf("/") + 1));
      const folder = place.path.length === 0 ? [root] : place.path;
      return {
        name: showBytes(place.directory),
        why: `${isMessages ? "holds " : "is "}${describeForeign(form, count)}, which ${count === 1 ? "is" : "are"} not read`,
        hint: wayOut(
          form,
          showBytes(place.directory),
          showBytes(file.directory),
          canBeNamed(files, count) ? files.map(showBytes) : undefined,
        ),
        folder,
        ...(isMessages ? { messages: count } : {}),
      };
    });
  }
}

/** Few enough, and a terminal shows each as it is. */
function canBeNamed(files: readonly BytePath[], count: number): boolean {
  return (
    files.length === count &&
    files.every((file) => toBytes(showBytes(file)) === file && !/\p{Cc}/u.test(showBytes(file)))
  );
}

/** Apple Mail's store has the messages of NAME.mbox many folders below it. */
function bundleOf(folder: Place): Place {
  const parts = folder.directory.split("/");
  const at = parts.findLastIndex((part) => /.\.mbox$/i.test(part));
  const above = parts.length - 1 - at;
  if (at === -1 || above >= folder.path.length) return folder;
  return { directory: parts.slice(0, at + 1).join("/"), path: folder.path.slice(0, folder.path.length - above) };
}
