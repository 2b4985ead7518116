// From spool to zip: written beside the spool, made durable, read back whole, and only then given its name.

import { createReadStream } from "node:fs";
import { rename, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { syncDirectory } from "../../core/files.ts";
import type { Hold } from "../../core/lock.ts";
import { ioError, MailError } from "../../mail/errors.ts";
import { encodeRecord, MANIFEST_NAME } from "../manifest.ts";
import { writeZip, type ZipInput } from "../zip/write.ts";
import { checkZip } from "./check-zip.ts";
import { type Spool, spoolBytes } from "./spool.ts";

export interface PackOptions {
  /** Where the finished zip goes; on the same file system as the spool. */
  readonly target: string;
  /** Where it is until then. */
  readonly part: string;
  readonly temporary: string;
  readonly store: boolean;
  /** See HeaderRecord. */
  readonly failed?: number;
  /** Called before the zip gets its name. */
  readonly hold?: Hold;
}

const CHUNK = 256 * 1024;

/**
 * Packs what the spool holds. When it fails (MailError io or quota, the signal's reason) nothing is lost: the spool is whole, and
 * packing can begin anew. The spool itself is left for the caller to remove.
 */
export async function packSpool(spool: Spool, options: PackOptions, signal: AbortSignal): Promise<void> {
  const { target, part, temporary, store } = options;
  try {
    await rm(part, { force: true });
    const inputs = [...inputsOf(spool, options.failed)];
    const date = new Date(spool.header.created);
    const limits = { store, date, bytes: spoolBytes(spool), entries: inputs.length };
    await writeZip(part, inputs, limits, signal);
    await readBack(part, spool, temporary, signal);
    options.hold?.(true);
    await rename(part, target);
    await syncDirectory(dirname(target));
  } catch (error) {
    await rm(part, { force: true }).catch(() => undefined);
    if (signal.aborted) throw signal.reason;
    throw ioError(`cannot write ${target}`, error);
  }
}

function* inputsOf(spool: Spool, failed: number | undefined): Generator<ZipInput> {
  yield { name: MANIFEST_NAME, open: () => manifestLines(spool, failed) };
  for (const { record, end } of spool.folders.values()) {
    if (end === 0) continue;
    const file = spool.fileOf(record.entry);
    yield { name: record.entry, open: () => createReadStream(file, { end: end - 1, highWaterMark: CHUNK }) };
  }
}

/** The folder lines come first, so that a reader learns of them without reading on; the others keep their order. */
async function* manifestLines(spool: Spool, failed: number | undefined): AsyncGenerator<Buffer> {
  const first = [encodeRecord({ ...spool.header, ...(failed === undefined ? {} : { failed }) })];
  for (const { record, listed } of spool.folders.values()) if (listed) first.push(encodeRecord(record));
  let parts: Buffer[] = [Buffer.from(first.join(""))];
  let bytes = 0;
  for await (const { record, bytes: line } of spool.read(0)) {
    if (record.type === "header" || record.type === "folder") continue;
    parts.push(line, NEWLINE);
    bytes += line.length;
    if (bytes < CHUNK) continue;
    yield Buffer.concat(parts);
    parts = [];
    bytes = 0;
  }
  // An empty chunk would stall the stream that is made of them.
  if (parts.length > 0) yield Buffer.concat(parts);
}

const NEWLINE = Buffer.from("\n");

async function readBack(part: string, spool: Spool, temporary: string, signal: AbortSignal): Promise<void> {
  const problems: string[] = [];
  const { messages } = await checkZip(part, temporary, signal, (text) => void problems.push(text));
  if (problems.length === 0 && messages === spool.messages) return;
  const why = problems[0] ?? `${messages} messages came back, and not ${spool.messages}`;
  throw new MailError("io", `the zip that was just written does not read back: ${why}`, {
    scope: "account",
    remedy: "wait",
    hint: "Nothing is lost; mend the disk and run the same command again.",
  });
}
