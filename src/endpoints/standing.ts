// What of a source and a target has to stay where it is while they are read and written.

import { existsSync } from "node:fs";
import { dirname } from "node:path";
import { type Standing, standing } from "../core/standing.ts";
import { archiveFile } from "../formats/archive.ts";
import { type Endpoint, isAccount } from "./endpoint.ts";

export function standingOf(source: Endpoint, target: Endpoint | undefined): Standing {
  const places = [];
  if (!isAccount(source)) {
    const isArchive = source.kind === "mboxzip" || existsSync(archiveFile(source.path));
    places.push({ path: source.path, what: isArchive ? "the archive" : "the source" });
  }
  if (target !== undefined && !isAccount(target)) {
    // A file is put in place at the end, over the one before.
    const isFile = target.kind === "mboxzip" && /\.zip$/i.test(target.path);
    places.push(
      isFile
        ? { path: dirname(target.path), what: "the folder of the archive," }
        : { path: target.path, what: "the archive", mark: archiveFile(target.path) },
    );
  }
  return standing(places);
}
