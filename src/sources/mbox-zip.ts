// The mboxzip source: FILE.zip or all zips of DIR read as one, each message's bytes as they came.

import { createHash } from "node:crypto";
import { readdir, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { ARCHIVE_HOME, readArchiveId } from "../formats/archive.ts";
import { badZip, sortZips, whyBad } from "../formats/mboxzip/bad-zips.ts";
import { mailBeside } from "../formats/mboxzip/beside.ts";
import { type Catalogue, type CatalogueMessage, openCatalogue } from "../formats/mboxzip/catalogue.ts";
import { messageAt } from "../formats/mboxzip/content.ts";
import { isSingleFile, listZips, neverFinished, type ZipFileName } from "../formats/mboxzip/layout.ts";
import { knownNumbers, lostNumbers, lostZip } from "../formats/mboxzip/numbers.ts";
import { linesOf } from "../formats/mboxzip/rebuild.ts";
import { formatRef, type Place, placeOf, zipNumber } from "../formats/mboxzip/ref.ts";
import { repackedIn } from "../formats/mboxzip/shape.ts";
import { manifestHead, type ZipPool, type ZipShelf, zipPool, zipShelf } from "../formats/mboxzip/zips.ts";
import { openZip } from "../formats/zip/read.ts";
import { configError, errno, ioError, MailError } from "../mail/errors.ts";
import { FULL_FIDELITY } from "../mail/fidelity.ts";
import type { Entry, Folder } from "../mail/model.ts";
import type { Incoming, ReadOptions, Slice, Source } from "./source.ts";

export interface MboxZipSourceOptions {
  /** FILE.zip, or a directory with numbered zips. */
  readonly path: string;
  /** Told what concerns the whole archive: an unfinished run, a zip that is missing. */
  readonly onNotice?: (text: string) => void;
}

const MEND = "Use another copy of it; or a backup with --recheck, which copies again what the source still has of it";

/** Each slice inflates for itself, so that more than the usual number of cores gains nothing. */
const SESSIONS = 4;

/**
 * Throws MailError config where there is no such archive or a newer mailferry wrote it, malformed when a zip is cut off, damaged,
 * of another archive, or not ours. Writes nothing but temporary files outside the archive.
 */
export async function openMboxZipSource(options: MboxZipSourceOptions, signal: AbortSignal): Promise<Source> {
  const { id, zips, missing } = await findZips(options, signal);
  const paths = new Map(zips.map(({ number, path }) => [number, path]));
  const pool = zipPool((number) => paths.get(number));
  const isSingle = isSingleFile(options.path);
  let built: Promise<Catalogue> | undefined;
  const catalogue = (): Promise<Catalogue> => {
    const say = (text: string): void => {
      if (missing.includes(text)) return;
      missing.push(text);
      options.onNotice?.(text);
    };
    // Further down than its first lines.
    const skips = (file: ZipFileName, why: string): boolean => {
      if (!isSingle) say(badZip({ ...file, why }));
      return !isSingle;
    };
    built ??= build(zips, signal, skips, say);
    return built;
  };
  const beside = isSingle ? [] : await mailBeside(options.path, signal);
  // Read now: whoever asks what is missing must be told all of it.
  await catalogue();
  return {
    kind: "mboxzip",
    identity: `mboxzip:${id}`,
    limits: { sessions: SESSIONS },
    tells: FULL_FIDELITY,
    missing,
    leftOut: () => beside,
    ...(isSingle ? {} : { home: join(options.path, ARCHIVE_HOME) }),
    async *folders(signal) {
      for (const { record, messages, bytes } of (await catalogue()).folders()) {
        signal.throwIfAborted();
        const { path, selectable, use, subscribed } = record;
        yield {
          path,
          // What holds messages was selectable, whatever a later line says.
          selectable: selectable || messages > 0,
          ...(use === undefined ? {} : { use }),
          ...(subscribed === undefined ? {} : { subscribed }),
          messages,
          bytes,
          state: `${id} ${zips.at(-1)?.number ?? 0}`,
        } satisfies Folder;
      }
    },
    async *slices(folder) {
      yield { folder };
    },
    async *read(slice, options) {
      yield* readSlice(await catalogue(), pool, id, slice, options);
    },
    async [Symbol.asyncDispose]() {
      await pool[Symbol.asyncDispose]();
      await (await built?.catch(() => undefined))?.[Symbol.asyncDispose]();
    },
  } satisfies Source;
}

async function findZips(
  { path, onNotice }: MboxZipSourceOptions,
  signal: AbortSignal,
): Promise<{ id: string; zips: ZipFileName[]; missing: string[] }> {
  let isDirectory: boolean;
  try {
    isDirectory = (await stat(path)).isDirectory();
  } catch (error) {
    if (errno(error) !== "ENOENT") throw ioError(`cannot read ${path}`, error);
    throw (await neverFinished(path)) ?? configError(`there is no archive ${path}`, "Check the path.", error);
  }
  const part = isDirectory ? await neverFinished(path) : undefined;
  if (part !== undefined) throw part;
  if (!isDirectory) {
    await using zip = await openZip(path);
    const [lost] = (await sortZips([{ number: 1, path }], undefined)).bad;
    if (lost?.isLesser === true) return { id: `damaged-${basename(path)}`, zips: [{ number: 1, path }], missing: [] };
    const { header } = await manifestHead(zip);
    return { id: header.archive, zips: [{ number: header.zip, path }], missing: [] };
  }
  const zips = await listZips(path);
  const home = join(path, ARCHIVE_HOME);
  const repacked: string[] = [];
  const glance = await repackedIn(home, signal, (why) => repacked.push(why));
  const { id, good, bad } = await sortZips(zips, await readArchiveId(path, "mboxzip"), glance);
  const lessers = bad.filter(({ isLesser }) => isLesser === true);
  const unread = bad.filter(({ isLesser }) => isLesser !== true);
  if (id === undefined && lessers.length === 0 && bad[0] !== undefined)
    throw new MailError("malformed", bad[0].why, {
      scope: "account",
      remedy: "give-up",
      hint: "Use another copy of it.",
    });
  if (id === undefined && lessers.length === 0)
    throw configError(`${path} holds no mboxzip archive`, "Give the directory with the numbered zips, or a FILE.zip.");
  const missing = (await lostNumbers(home, zips, await knownNumbers(home))).map((number) => lostZip(path, number));
  for (const text of missing) onNotice?.(`${text}; what it held is not read`);
  for (const zip of unread) onNotice?.(badZip(zip));
  for (const why of repacked) onNotice?.(`${why}; what it still holds is read. ${MEND}`);
  missing.push(...unread.map(badZip), ...repacked);
  const spools = await readdir(join(path, ARCHIVE_HOME, "spool")).catch(() => []);
  if (spools.some((name) => Number(name) > (zips.at(-1)?.number ?? 0)))
    onNotice?.(
      `${path}: the last run was not finished; what it had gathered is not read until the same backup runs again`,
    );
  const read = [...good, ...lessers].sort((a, b) => a.number - b.number);
  return { id: id ?? `damaged-${basename(path)}`, zips: read, missing };
}

/** `skips`: told of a zip that cannot be read to its end; true where the others are to be read without it. */
async function build(
  zips: readonly ZipFileName[],
  signal: AbortSignal,
  skips: (file: ZipFileName, why: string) => boolean,
  onDamage: (why: string) => void,
): Promise<Catalogue> {
  const left = [...zips];
  for (;;) {
    const catalogue = await openCatalogue(tmpdir());
    let now: ZipFileName | undefined;
    try {
      for (const file of left) {
        signal.throwIfAborted();
        now = file;
        await using zip = await openZip(file.path);
        await catalogue.absorb(file.number, linesOf(zip, file.number, signal, onDamage), 0);
      }
      return catalogue;
    } catch (error) {
      await catalogue[Symbol.asyncDispose]();
      const why = whyBad(error);
      if (now === undefined || !skips(now, why)) throw error;
      // Some of its lines were taken in: all of it goes.
      left.splice(left.indexOf(now), 1);
    }
  }
}

async function* readSlice(
  catalogue: Catalogue,
  pool: ZipPool,
  generation: string,
  { folder }: Slice,
  options: ReadOptions,
): AsyncGenerator<Incoming> {
  const { signal } = options;
  // One bit a message: which of them are wanted.
  let wanted = new Uint8Array(1024);
  let count = 0;
  for await (const message of catalogue.messages(folder.path)) {
    if (signal.aborted) return;
    if (await options.want(entryOf(message, generation))) {
      if (count >> 3 >= wanted.length) {
        const larger = new Uint8Array(Math.max(wanted.length * 2, (count >> 3) + 1));
        larger.set(wanted);
        wanted = larger;
      }
      wanted[count >> 3] = (wanted[count >> 3] ?? 0) | (1 << (count & 7));
    }
    count++;
  }
  options.listed?.();
  await using shelf = zipShelf(pool, 1);
  let at = -1;
  for await (const message of catalogue.messages(folder.path)) {
    if (signal.aborted) return;
    at++;
    if (((wanted[at >> 3] ?? 0) & (1 << (at & 7))) === 0) continue;
    yield { entry: entryOf(message, generation), content: original(shelf, message, signal) };
  }
}

function entryOf({ zip, record, traits }: CatalogueMessage, generation: string): Entry {
  const id = formatRef(placeOf(zip, record));
  return { origin: { folder: record.folder, generation, id }, traits, size: record.size };
}

/** Nothing vanishes from an archive: what its manifest lists and is not there is damage. */
async function* neverGone(content: AsyncIterable<Uint8Array>, { zip, entry }: Place): AsyncGenerator<Uint8Array> {
  try {
    yield* content;
  } catch (error) {
    if (!(error instanceof MailError) || error.code !== "not-found") throw error;
    throw new MailError("malformed", `${entry} in zip ${zipNumber(zip)} does not hold what its manifest lists`, {
      ...error.details,
      scope: "message",
    });
  }
}

/** The bytes, checked against the manifest: a damaged message must not pass for the one that was stored. */
async function* original(shelf: ZipShelf, message: CatalogueMessage, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  const { record, zip } = message;
  const hash = createHash("sha256");
  let size = 0;
  const place = placeOf(zip, record);
  const stored = messageAt(shelf.stored(place, signal), place);
  for await (const chunk of neverGone(stored, place)) {
    hash.update(chunk);
    size += chunk.length;
    if (size > record.size) break;
    yield chunk;
  }
  if (size === record.size && hash.digest("hex") === record.sha256) return;
  throw new MailError(
    "malformed",
    `the message at ${record.entry} ${record.offset} in zip ${zipNumber(zip)} is not the one that was stored (SHA-256)`,
    { scope: "message", remedy: "give-up", hint: "The archive is damaged there; use another copy of it." },
  );
}
