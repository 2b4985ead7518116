// --report FILE: the whole list as JSON, written while the run goes and put in place at its end.

import { randomUUID } from "node:crypto";
import { createWriteStream, statSync, type WriteStream } from "node:fs";
import { open, rename, unlink } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { finished } from "node:stream/promises";
import { PRIVATE_FILE, syncDirectory } from "../core/files.ts";
import { configError, errno, ioError } from "../mail/errors.ts";
import type { MigrationEvent } from "../migrate/events.ts";
import { jsonLine } from "./json.ts";

export interface ReportFile extends AsyncDisposable {
  /** Resolves at once unless the disk is behind. */
  add(item: object): Promise<void> | undefined;
  /** Puts the report in place, with these keys beside its list. */
  finish(rest: object): Promise<void>;
  /** True once that was tried. */
  readonly isFinished: boolean;
}

/** What a report lists: every message but those that were simply copied, what was deleted, what stayed, what was said about folders. */
export function belongsInReport(event: MigrationEvent): boolean {
  switch (event.type) {
    case "message-settled":
      return (
        event.losses.length > 0 ||
        event.note !== undefined ||
        !["copied", "already-copied", "filtered", "planned"].includes(event.as)
      );
    case "folder-opened":
      return event.losses.length > 0;
    case "message-removed":
    case "message-kept":
    case "folder-removed":
    case "left-out":
    case "notice":
    case "retry-scheduled":
      return true;
    default:
      return false;
  }
}

/**
 * Opens it at once, so that a place that cannot be written is known before anything was done. Until `finish` an older file
 * stays. Throws MailError config, quota or io.
 */
export async function openReportFile(path: string, head: object = {}): Promise<ReportFile> {
  if (path === "-")
    throw configError(
      "--report writes a file, and not standard output",
      "Give a name (./- for that one), or use --json.",
    );
  const target = resolve(path);
  const directory = dirname(target);
  // Renaming over a folder fails only at the end, and over /dev/stdout it would not fail at all.
  if (isOther(target, path))
    throw configError(`--report ${path} is there already, and is no file`, "Give the name of a file.");
  const temporary = join(directory, `.${basename(target).slice(0, 100)}.${randomUUID()}.part`);
  let stream: WriteStream;
  try {
    const handle = await open(temporary, "wx", PRIVATE_FILE);
    stream = createWriteStream(temporary, { fd: handle, flush: true });
  } catch (error) {
    if (errno(error) === "ENOENT")
      throw configError(`cannot write --report ${path}: there is no folder ${dirname(path)}`, "Make it first.", error);
    throw ioError(`cannot write --report ${path}`, error);
  }
  let failure: unknown;
  stream.on("error", (error) => {
    failure ??= error;
  });
  const said = jsonLine(head);
  stream.write(said === "{}" ? '{"events":[' : `${said.slice(0, -1)},\n"events":[`);
  let first = true;
  let placed = false;
  let isFinished = false;
  return {
    get isFinished() {
      return isFinished;
    },
    add(item) {
      if (failure !== undefined) return undefined;
      const room = stream.write(`${first ? "\n" : ",\n"}${jsonLine(item)}`);
      first = false;
      if (room) return undefined;
      return new Promise((resolve) => {
        const go = (): void => {
          stream.off("drain", go).off("error", go);
          resolve();
        };
        stream.once("drain", go).once("error", go);
      });
    },
    async finish(rest) {
      isFinished = true;
      try {
        stream.end(`\n],\n${jsonLine({ ...rest, endedAt: new Date() }).slice(1)}\n`);
        await finished(stream);
        if (failure !== undefined) throw failure;
        await rename(temporary, target);
        placed = true;
        await syncDirectory(directory);
      } catch (error) {
        throw ioError(`cannot write --report ${path}`, error);
      }
    },
    async [Symbol.asyncDispose]() {
      if (placed) return;
      stream.destroy();
      await unlink(temporary).catch(() => undefined);
    },
  };
}

/** Whether something that is no file is there. */
function isOther(target: string, path: string): boolean {
  try {
    return statSync(target, { throwIfNoEntry: false })?.isFile() === false;
  } catch (error) {
    throw ioError(`cannot write --report ${path}`, error);
  }
}
