// The mboxzip sink: a zip with an mbox a folder and a manifest, as one FILE.zip or as an archive that grows.

import type { FolderRecord } from "../formats/manifest.ts";
import { type ArchiveState, openArchiveState } from "../formats/mboxzip/archive-state.ts";
import { messageAt } from "../formats/mboxzip/content.ts";
import { findArchive } from "../formats/mboxzip/find.ts";
import { knownNumbers, lostNumbers, lostZip, writeNumbers } from "../formats/mboxzip/numbers.ts";
import { type Place, parseRef } from "../formats/mboxzip/ref.ts";
import { openSealed, type SealedArchive } from "../formats/mboxzip/sealed.ts";
import { configError, MailError } from "../mail/errors.ts";
import { FULL_FIDELITY } from "../mail/fidelity.ts";
import type { Folder, FolderPath } from "../mail/model.ts";
import { showPath } from "../mail/model.ts";
import type { FolderPlan, Receipt, Setback, Sink, SinkFolder, Stood } from "./sink.ts";

export interface MboxZipSinkOptions {
  /** Ends in ".zip": a single file, written once. Anything else: a directory with a zip a run. */
  readonly path: string;
  /** Names the job (source and selection), an opaque text: a finished FILE.zip is accepted again only for the same one. */
  readonly job: string;
  /** Pack without compression. */
  readonly store?: boolean;
  /** Every octet of an archive that grows is looked at, and what is damaged of it set aside: the run carries anew what it held. */
  readonly recheck?: boolean;
}

/** Appends that wait for one commit together: more of them make larger batches. */
const WRITES = 128;
const FOLDERS = 32;

/**
 * Looks, and writes nothing until the first `open` (but for finishing what a crash after the last step left). Throws MailError
 * config when something else is there or FILE.zip is another job's, locked when another run writes to it, malformed when it is
 * damaged.
 */
export async function openMboxZipSink(options: MboxZipSinkOptions, signal: AbortSignal): Promise<Sink> {
  const isRecheck = options.recheck === true;
  const found = await findArchive(options.path, options.job, signal, isRecheck);
  const { id, sealed, home } = found;
  const identity = `mboxzip:${id}`;
  let state: Promise<ArchiveState> | undefined;
  let finished: Promise<SealedArchive> | undefined;
  const ready = (signal: AbortSignal): Promise<ArchiveState> => {
    if (sealed !== undefined) throw configError(`${options.path} is finished; nothing can be added to it`);
    state ??= openArchiveState(found, options.job, options.store === true, signal, isRecheck);
    return state;
  };
  const describe = async (folder: Folder): Promise<FolderPlan> => ({
    name: showPath(folder.path),
    path: folder.path,
    fidelity: FULL_FIDELITY,
  });
  const numbers = found.single === undefined ? await knownNumbers(home) : { highest: 0, forgiven: [] };
  const { bad = [] } = found;
  const gone = found.single === undefined ? await lostNumbers(home, found.zips, numbers) : [];
  const lost = [...gone, ...bad.map(({ number }) => number)];
  const there = new Set(found.zips.map(({ number }) => number).filter((number) => !lost.includes(number)));
  /** In a zip that is lost; the next one to be written has the highest number. */
  const isLost = ({ ref }: Receipt): boolean => {
    const zip = parseRef(ref)?.zip;
    return zip !== undefined && lost.includes(zip) && !there.has(zip);
  };
  const setbackOf = ({ newest }: Stood): Setback | undefined => {
    const last = newest.at(-1)?.receipt;
    if (last !== undefined && isLost(last)) return { why: "the zip with its newest copy is missing" };
    return lost.length === 0 ? undefined : { thinned: true };
  };
  return {
    kind: "mboxzip",
    identity,
    limits: { writes: WRITES, folders: FOLDERS },
    home,
    get missing() {
      const damaged = [...new Set(found.damaged)];
      return [...gone.map((number) => lostZip(options.path, number)), ...bad.map(({ why }) => why), ...damaged];
    },
    async forgive() {
      const now = await knownNumbers(home);
      await writeNumbers(home, { ...now, forgiven: [...now.forgiven, ...lost] });
    },
    // How much is gone is counted where it is opened.
    isGone: async (_, __, ___, stood) => stood !== undefined && setbackOf(stood) !== undefined,
    apart: "always",
    ...(sealed === undefined ? {} : { sealed }),
    ...(found.single === undefined ? {} : { once: true }),
    describe,
    async open(folder, signal, stood) {
      if (sealed !== undefined) {
        finished ??= openSealed(options.path);
        return {
          ...(await describe(folder)),
          generation: id,
          created: false,
          ...finishedFolder(await finished, folder.path),
        };
      }
      const archive = await ready(signal);
      const { created } = archive.declare(folderRecord(folder));
      const setback = stood === undefined ? undefined : setbackOf(stood);
      return {
        ...(await describe(folder)),
        generation: id,
        created,
        ...(setback === undefined ? {} : { setback }),
        lacks: isLost,
        ...folderOf(archive, folder.path),
      };
    },
    async seal(signal, failed) {
      if (sealed === undefined) await (await ready(signal)).seal(signal, failed);
    },
    async [Symbol.asyncDispose]() {
      await (await finished?.catch(() => undefined))?.[Symbol.asyncDispose]();
      await (await state?.catch(() => undefined))?.[Symbol.asyncDispose]();
    },
  } satisfies Sink;
}

function folderRecord({ path, selectable, use, subscribed }: Folder): Omit<FolderRecord, "entry"> {
  return {
    type: "folder",
    path,
    selectable,
    ...(use === undefined ? {} : { use }),
    ...(subscribed === undefined ? {} : { subscribed }),
  };
}

function folderOf(
  archive: ArchiveState,
  path: FolderPath,
): Pick<SinkFolder, "position" | "copies" | "append" | "reopen" | "update"> {
  return {
    async position() {
      const { zip, index } = archive.position();
      return `${zip}:${index}`;
    },
    async *copies(since, signal) {
      const [fromZip = 0, fromIndex = 0] = since === undefined ? [] : since.split(":").map(Number);
      if (!Number.isSafeInteger(fromZip) || !Number.isSafeInteger(fromIndex))
        throw new MailError("malformed", `"${since}" is no position in an mboxzip`, {
          scope: "folder",
          remedy: "give-up",
        });
      for await (const { zip, index, record, traits, ref } of archive.messages(path, fromZip, signal)) {
        if (zip < fromZip || (zip === fromZip && index < fromIndex)) continue;
        yield { receipt: { ref }, traits, size: record.size, key: record.key };
      }
    },
    async append(message, signal) {
      return { receipt: { ref: await archive.append(path, message, signal) } };
    },
    async *reopen(receipt, signal) {
      const place = placeIn(receipt.ref);
      yield* messageAt(archive.stored(place, signal), place);
    },
    async update(receipt, change, signal) {
      placeIn(receipt.ref);
      await archive.update({ type: "update", folder: path, ref: receipt.ref, change }, signal);
    },
  };
}

/** A folder of a finished file: it can be read alone. */
function finishedFolder(
  archive: SealedArchive,
  path: FolderPath,
): Pick<SinkFolder, "position" | "copies" | "append" | "reopen"> {
  return {
    position: async () => undefined,
    async *copies(_, signal) {
      for await (const { record, traits, ref } of archive.messages(path, signal))
        yield { receipt: { ref }, traits, size: record.size, key: record.key, origin: record.origin };
    },
    async append() {
      throw configError("the file is finished; nothing can be added to it");
    },
    async *reopen(receipt, signal) {
      const place = placeIn(receipt.ref);
      yield* messageAt(archive.stored(place, signal), place);
    },
  };
}

function placeIn(ref: string): Place {
  const place = parseRef(ref);
  if (place === undefined)
    throw new MailError("not-found", `"${ref}" names no message of an mboxzip`, {
      scope: "message",
      remedy: "give-up",
    });
  return place;
}
