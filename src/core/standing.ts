// Whether what a run reads from or writes to on a disk is still where it was: a folder may be renamed, a disk be pulled, a share be lost.

import { statSync } from "node:fs";
import { errno, MailError } from "./errors.ts";

export interface Standing {
  /** Remembers what is there now and was not before: an archive may be made by the run itself. */
  look(): void;
  /** What is no longer there, with the way out; undefined where all is. What was once gone stays gone. */
  gone(): MailError | undefined;
}

export interface Place {
  readonly path: string;
  /** "the archive", in words. */
  readonly what: string;
  /** By what it is known, where something else may be made by its name; else the path itself. */
  readonly mark?: string;
}

/** Where a path leads to nothing, or to a disk that does not answer. What may not be read is there all the same. */
const GONE = new Set(["ENOENT", "ENOTDIR", "EIO", "ENODEV", "ENXIO", "ESTALE", "ENOTCONN", "ENOMEDIUM", "EHOSTDOWN"]);

export function standing(places: readonly Place[]): Standing {
  const devices = new Map<Place, number>();
  let error: MailError | undefined;
  // An inode is not asked for: file systems in user space number them anew. Under a disk that was unmounted lies another one.
  const look = (): void => {
    for (const place of places) {
      if (devices.has(place)) continue;
      const found = deviceOf(place.mark ?? place.path);
      if (typeof found === "number") devices.set(place, found);
    }
  };
  look();
  return {
    look,
    gone() {
      if (error !== undefined) return error;
      for (const [{ path, what, mark = path }, device] of devices) {
        const found = deviceOf(mark);
        if (found === device || found === "unknown") continue;
        error = new MailError("io", `${what} ${path} is no longer there`, {
          scope: "account",
          remedy: "wait",
          hint: "Bring the disk or the folder back and run the same command again; it goes on where it stopped.",
        });
        return error;
      }
      return undefined;
    },
  };
}

function deviceOf(path: string): number | "gone" | "unknown" {
  try {
    return statSync(path).dev;
  } catch (error) {
    return GONE.has(errno(error) ?? "") ? "gone" : "unknown";
  }
}
