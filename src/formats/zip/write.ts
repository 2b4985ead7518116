// Writing a zip with archiver: one entry at a time, every stream watched, sealed and durable when it resolves.

import { createWriteStream } from "node:fs";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { ZipArchive } from "archiver";
import { PRIVATE_FILE } from "../../core/files.ts";
import { ioError } from "../../mail/errors.ts";
import { applySeal, BLANK_SEAL, sealHasher } from "./seal.ts";

export interface ZipInput {
  /** A safe relative path with "/"; unique in its zip. */
  readonly name: string;
  open(): AsyncIterable<Uint8Array>;
}

export interface ZipOptions {
  /** No compression. */
  readonly store?: boolean;
  /** The time that every entry gets. */
  readonly date: Date;
  /** An upper bound of the octets that go in, and the number of entries: beyond what a plain zip holds, Zip64 is used. */
  readonly bytes: number;
  readonly entries: number;
}

/** Fast, and mail (base64) gains little from more. */
const LEVEL = 1;
/** Sixteen kilobytes, which is the default, cost a tenth of the time in turns between the threads. */
const DEFLATED_CHUNK = 256 * 1024;
// A plain zip holds 65,535 entries and 4 GiB (APPNOTE 4.3.16); the limits here leave room for the headers.
const PLAIN_ENTRIES = 65_000;
const PLAIN_BYTES = 3_500_000_000;

/**
 * Writes a new file (an old one at `path` is replaced), durable when it resolves. Fails with what an input throws, with the
 * signal's reason, or MailError io/quota; the caller removes what was written then.
 */
export async function writeZip(
  path: string,
  inputs: Iterable<ZipInput>,
  options: ZipOptions,
  signal: AbortSignal,
): Promise<void> {
  signal.throwIfAborted();
  const zip = new ZipArchive({
    zlib: { level: LEVEL, chunkSize: DEFLATED_CHUNK },
    store: options.store === true,
    forceZip64: options.entries > PLAIN_ENTRIES || options.bytes > PLAIN_BYTES,
    comment: BLANK_SEAL,
  });
  const hasher = sealHasher();
  const stop = new AbortController();
  const cancel = () => stop.abort(signal.reason);
  signal.addEventListener("abort", cancel, { once: true });
  const out = createWriteStream(path, { flags: "w", mode: PRIVATE_FILE });
  const written = pipeline(zip, (chunks: AsyncIterable<Uint8Array>) => hasher.pass(chunks), out, {
    signal: stop.signal,
  });
  // Its failure is seen by whoever waits below; without this one it would count as unhandled while nobody waits.
  written.catch(() => undefined);
  try {
    for (const input of inputs) {
      const source = Readable.from(input.open(), { objectMode: false });
      try {
        await Promise.race([written.then(closedEarly), packed(zip, source, input.name, options.date)]);
      } finally {
        source.destroy();
      }
      signal.throwIfAborted();
    }
    // Never settles when the output fails: `written` does.
    zip.finalize().catch(() => undefined);
    await written;
    await applySeal(path, hasher.digest());
  } catch (error) {
    stop.abort(error);
    await written.catch(() => undefined);
    if (signal.aborted) throw signal.reason;
    throw ioError(`cannot write ${path}`, error);
  } finally {
    signal.removeEventListener("abort", cancel);
  }
}

function closedEarly(): never {
  throw new Error("the zip ended before its last entry");
}

/** Resolves when the entry is in the zip; a failing source is not forwarded by archiver, so it is watched here. */
function packed(zip: ZipArchive, source: Readable, name: string, date: Date): Promise<void> {
  return new Promise((resolve, reject) => {
    const settle = (error?: unknown) => {
      zip.off("entry", done);
      zip.off("error", settle);
      source.off("error", settle);
      // Destroyed sources of a failed zip may still complain.
      source.on("error", () => undefined);
      if (error === undefined) resolve();
      else reject(error);
    };
    const done = () => settle();
    zip.on("entry", done);
    zip.on("error", settle);
    source.on("error", settle);
    zip.append(source, { name, date, mode: 0o600 });
  });
}
